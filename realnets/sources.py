"""Where a FILE argument leads: a path, `zoo:NAME`, or `hf:REPO[/FILE]` on the Hugging Face hub."""

import importlib
import math
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import ModuleType

from realnets import zoo
from realnets.cutting import Conv
from realnets.layers import MIN_M, Layer, Layers
from realnets.networks import STUDIED
from realnets.readers import Checkpoint, open_checkpoint, sharded
from realnets.readers._paths import is_plain
from rmt.errors import InputError

HUB_DEFAULTS = (
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
)
"""What is looked for, in this order, in a repository of which no file is named."""


def open_source(source: str, say: Callable[[str], None] = lambda line: None) -> Checkpoint:
    """Open the weight file, or the folder of weight files, that `source` names.

    Args:
        source: a path; `zoo:NAME`; or `hf:OWNER/REPO[/FILE]`, FILE being the first of HUB_DEFAULTS that there is unless
            given. With the index of a sharded checkpoint its files are downloaded too.
        say: told in one line when something is downloaded, or is there and not read.

    Raises:
        InputError: it does not exist or cannot be used; `zoo.Unreachable` if only the network is missing.
    """
    if not source:  # which as a path is the working folder
        raise InputError("no file is named: FILE is empty")
    if source.startswith("zoo:"):
        return open_checkpoint(zoo.fetch(source.removeprefix("zoo:"), say))
    if source.startswith("hf:"):
        return open_checkpoint(_from_hub(source, say))
    checkpoint = open_checkpoint(Path(source))
    for note in checkpoint.notes:
        say(note)
    return checkpoint


def read_layers(
    source: str, min_M: int = MIN_M, say: Callable[[str], None] = lambda line: None, conv: Conv | str = Conv.SLICES
) -> Layers:
    """The weight matrices of the file that `source` names, to be read one tensor at a time.

    Args:
        source: as of `open_source`.
        min_M: as of `Layers`.
        say: as of `open_source`.
        conv: as of `Layers`.

    Raises:
        InputError: as of `open_source`.
    """
    checkpoint = open_source(source, say)
    return Layers(checkpoint.tensors, min_M, source, checkpoint.format, conv)


def cached_layers(max_entries: int | None = None, count: int | None = None, min_M: int = MIN_M) -> tuple[str, ...]:
    """NETWORK/LAYER for every weight matrix of the `STUDIED` networks that were fetched before; nothing is downloaded.

    Experiments take their layers from here: what there is depends on the machine, and none at all is an answer too.

    Args:
        max_entries: leave out matrices with more entries; None keeps all.
        count: no more than this many of them, spread over the networks; None keeps all.
        min_M: as of `Layers`.

    Raises:
        InputError: a cached file cannot be read.
    """
    found, most = [], math.inf if max_entries is None else max_entries
    for network in (zoo.ZOO[name] for name in STUDIED if name in zoo.ZOO):
        if (path := zoo.cached(network)) is not None:
            planned = Layers(open_checkpoint(path).tensors, min_M).planned
            found += [f"{network.name}/{name}" for name, N, M in planned if most >= N * M]
    return tuple(found[:: -(-len(found) // count)] if found and count else found)


def cached_layer(name: str, min_M: int = MIN_M) -> Layer:
    """The weight matrix of a name from `cached_layers`; its network is read once and stays in memory.

    Raises:
        InputError: there is no such layer in a cached network.
    """
    network, _, layer = name.partition("/")
    found = zoo.ZOO.get(network)
    path = zoo.cached(found) if found else None
    layers = _in_memory(path, min_M) if path else {}
    if layer not in layers:
        raise InputError(f"{name}: no such layer in a network fetched before; `realnets zoo {network}` fetches one")
    return layers[layer]


@cache
def _in_memory(path: Path, min_M: int) -> dict[str, Layer]:
    return {layer.name: layer for layer in Layers(open_checkpoint(path).tensors, min_M)}


def _from_hub(source: str, say: Callable[[str], None]) -> Path:
    try:
        hub = importlib.import_module("huggingface_hub")
    except ImportError as error:
        raise InputError(f"{source}: needs huggingface_hub: pip install 'heavytail-lab[hub]'") from error
    owner, _, rest = source.removeprefix("hf:").partition("/")
    name, _, wanted = rest.partition("/")
    repo = f"{owner}/{name}" if name else owner
    if not owner:
        raise InputError(f"{source}: names no repository; write hf:OWNER/REPO or hf:OWNER/REPO/FILE")

    def fetch(file: str) -> Path | None:
        say(f"fetching {file} of {repo} through huggingface_hub")
        return _download(hub, source, repo, file)

    files = (wanted,) if wanted else HUB_DEFAULTS
    file, found = next(((file, path) for file in files if (path := fetch(file)) is not None), ("", None))
    if found is None:
        raise InputError(f"{source}: no {' or '.join(files)} in {repo}; name a file: hf:{repo}/FILE")
    if file.endswith(".index.json"):
        folder = file.rpartition("/")[0]
        for shard in sharded.shards(found):
            if not is_plain(shard):
                raise InputError(f"{source}: {file} names the file {shard[:120]!r}, which is not beside it; refused")
            if fetch(f"{folder}/{shard}" if folder else shard) is None:
                say(f"{source}: {shard}, which {file} names, is not in {repo}")
    return found


def _download(hub: ModuleType, source: str, repo: str, file: str) -> Path | None:
    """The file, from the hub or its cache; None if the repository does not have it."""
    try:
        return Path(hub.hf_hub_download(repo, file))
    except Exception as error:
        # The library's errors come from several HTTP packages and have no useful common base.
        kind, text = type(error).__name__, (str(error).splitlines() or [""])[0][:160]
        if kind in ("EntryNotFoundError", "RemoteEntryNotFoundError"):
            return None
        if kind in ("RepositoryNotFoundError", "GatedRepoError", "HFValidationError", "RevisionNotFoundError"):
            raise InputError(f"{source}: {kind}: {text}") from error
        raise zoo.Unreachable(f"{source}: could not be downloaded; is there a network? {kind}: {text}") from error
