"""Where a FILE argument leads: a path, `zoo:NAME`, or `hf:REPO[/FILE]` on the Hugging Face hub."""

import importlib
from collections.abc import Callable
from pathlib import Path

from realnets import zoo
from realnets.layers import MIN_M, Layers
from realnets.readers import Checkpoint, open_checkpoint
from rmt.errors import InputError

HUB_DEFAULT = "model.safetensors"


def open_source(source: str, say: Callable[[str], None] = lambda line: None) -> Checkpoint:
    """Open the weight file that `source` names.

    Args:
        source: a path; `zoo:NAME`; or `hf:OWNER/REPO[/FILE]`, FILE being model.safetensors unless given.
        say: told in one line when something is downloaded.

    Raises:
        InputError: it does not exist or cannot be used; `zoo.Unreachable` if only the network is missing.
    """
    if source.startswith("zoo:"):
        return open_checkpoint(zoo.fetch(source.removeprefix("zoo:"), say))
    if source.startswith("hf:"):
        return open_checkpoint(_from_hub(source, say))
    return open_checkpoint(Path(source))


def read_layers(source: str, min_M: int = MIN_M, say: Callable[[str], None] = lambda line: None) -> Layers:
    """The weight matrices of the file that `source` names, to be read one tensor at a time.

    Args:
        source: as of `open_source`.
        min_M: as of `Layers`.
        say: as of `open_source`.

    Raises:
        InputError: as of `open_source`.
    """
    checkpoint = open_source(source, say)
    return Layers(checkpoint.tensors, min_M, source, checkpoint.format)


def _from_hub(source: str, say: Callable[[str], None]) -> Path:
    try:
        hub = importlib.import_module("huggingface_hub")
    except ImportError as error:
        raise InputError(f"{source}: needs huggingface_hub: pip install 'heavytail-lab[hub]'") from error
    owner, _, rest = source.removeprefix("hf:").partition("/")
    name, _, file = rest.partition("/")
    repo = f"{owner}/{name}" if name else owner
    if not owner:
        raise InputError(f"{source}: names no repository; write hf:OWNER/REPO or hf:OWNER/REPO/FILE")
    say(f"fetching {file or HUB_DEFAULT} of {repo} through huggingface_hub")
    try:
        return Path(hub.hf_hub_download(repo, file or HUB_DEFAULT))
    except Exception as error:
        # The library's errors come from several HTTP packages and have no useful common base.
        kind, text = type(error).__name__, (str(error).splitlines() or [""])[0][:160]
        if kind in ("EntryNotFoundError", "RemoteEntryNotFoundError"):
            raise InputError(f"{source}: no {file or HUB_DEFAULT} in {repo}; name a file: hf:{repo}/FILE") from error
        if kind in ("RepositoryNotFoundError", "GatedRepoError", "HFValidationError", "RevisionNotFoundError"):
            raise InputError(f"{source}: {kind}: {text}") from error
        raise zoo.Unreachable(f"{source}: could not be downloaded; is there a network? {kind}: {text}") from error
