"""Readers of weight files, one format a file, chosen by content.

A reader is a module of this folder with `FORMAT` (its name), `recognises(probe) -> bool` and
`tensors(path) -> list[Tensor]`, which reads the list of contents and no weights; a format that is a folder also has
`recognises_folder(path) -> bool`. Putting one here adds the format.
"""

from dataclasses import dataclass
from pathlib import Path

from realnets.readers._dispatch import reader_of, readers
from realnets.readers._folder import few_names, open_folder
from realnets.readers.base import Probe as Probe
from realnets.readers.base import Tensor as Tensor
from rmt.errors import InputError, printable


@dataclass(frozen=True)
class Checkpoint:
    """A weight file or a folder of them: where it is, what it is, and its tensors, none of them loaded.

    Attributes:
        path: as given.
        format: of the file, or of the files.
        tensors: what there is to read.
        notes: what a user should be told, a line each: files of a folder that were not read.
    """

    path: Path
    format: str
    tensors: list[Tensor]
    notes: tuple[str, ...] = ()


def open_checkpoint(path: Path) -> Checkpoint:
    """List the tensors of a weight file or folder; the format is told from the content, never from a name.

    A folder may itself be a checkpoint of a format that is one. Otherwise it is what weight files it has, down to three
    folders below. Where they hold the same weights several times, in different formats or precisions as by the
    convention of the Hugging Face hub, one is taken: sharded safetensors, safetensors, PyTorch, then others. If several
    files are left, a tensor is called FILE/TENSOR. What was not read is in `notes`.

    Args:
        path: a safetensors, GGUF, ONNX or NumPy .npz file, a PyTorch state dict, module or TorchScript archive, a Keras or Flax
            file, the index of a TensorFlow or of a sharded checkpoint, or a folder of these or of Orbax.

    Returns:
        Checkpoint whose tensors load one at a time.

    Raises:
        InputError: the file is missing, unreadable, damaged, hostile, or of no known format; or nothing in the folder is
            a weight file.
    """
    try:
        if path.is_dir():
            format, tensors, notes = open_folder(path)
            return Checkpoint(path, format, tensors, tuple(notes))
        if path.exists() and not path.is_file():
            raise InputError(f"{path}: is neither a file nor a folder; save it to a file and give that")
        probe = Probe(path)
        if (reader := reader_of(probe)) is not None:
            return Checkpoint(path, reader.FORMAT, reader.tensors(path))
    except FileNotFoundError as error:
        where = (
            f"is a link to {printable(str(path.readlink()))}, which is not there"
            if path.is_symlink()
            else "no such file"
        )
        raise InputError(f"{path}: {where}") from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from error
    raise InputError(f"{path}: {_describe(probe)}; known formats: {', '.join(r.FORMAT for r in readers())}")


_LOOKS_LIKE = (
    (b"\x80", "a bare Python pickle, which is never loaded"),
    (b"\x93NUMPY", "a single NumPy array; save it with numpy.savez, or fit it with `rmt fit`"),
    (b"version https://git-lfs", "a pointer of Git LFS and not the file itself; fetch that with `git lfs pull`"),
    (b"\x1f\x8b", "a gzip archive; unpack it and give what is in it"),
    (b"\xff\xd8\xff", "a picture, not weights"),
    (b"\x89PNG", "a picture, not weights"),
)


def _describe(probe: Probe) -> str:
    if probe.size == 0:
        return "an empty file"
    if probe.head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return f"a zip archive of no weights, it holds {few_names(probe.members) or 'nothing'}"
    if (known := next((what for magic, what in _LOOKS_LIKE if probe.head.startswith(magic)), None)) is not None:
        return known
    if probe.head.isascii() and b"\x00" not in probe.head:
        return "a text file, not weights"
    return "not a weight file of a known format"
