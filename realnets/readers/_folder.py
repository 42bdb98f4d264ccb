"""A folder as one checkpoint: which of its files are weights, and which of them are the same weights once more.

Repositories of models hold one model in several formats and precisions, and Trainers leave optimisers beside it. What a
file is, is told by its content; which files are copies of one another, by their names, as there is a convention for
these: model.safetensors, pytorch_model.bin, flax_model.msgpack, tf_model.h5, model.fp16.safetensors, onnx/model.onnx.
"""

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from types import ModuleType

from realnets.readers import _dispatch, sharded
from realnets.readers._paths import stays_inside
from realnets.readers.base import Probe, Tensor, unreadable
from rmt.errors import InputError, few, printable

_MAX_DEPTH = 3
_MAX_FILES = 10_000

_PIECE = re.compile(r"-\d{5}-of-\d{5}$")
_PRECISION = re.compile(r"[._-](fp16|fp32|bf16|float16|float32|bfloat16|int8|uint8|quantized|q4|q4f16|bnb4)$")
_FRAMEWORK = re.compile(r"(^|_)(pytorch|flax|tf|rust)_")
_CONVERTED = frozenset(("onnx", "openvino", "coreml", "tflite", "original"))
_TRAINING = re.compile(r"(^|[._-])(optimizer|optim|scheduler|scaler|training_args|rng_state(_\d+)?|random_states_\d+)$")


@dataclass(frozen=True)
class _File:
    """A weight file, or a folder below that is one checkpoint."""

    name: PurePosixPath  # below the folder
    path: Path
    reader: ModuleType | None  # None where it is a damaged archive of some kind
    fault: str = ""

    @property
    def stem(self) -> str:
        stem = PurePosixPath(self.name.name.lower().removesuffix(".index.json")).stem
        return _PIECE.sub("", stem)

    @property
    def weights(self) -> tuple[PurePosixPath, str]:
        """Equal for files that by their names hold the same weights."""
        return self.name.parent, _FRAMEWORK.sub(r"\1", _PRECISION.sub("", self.stem))

    @property
    def rank(self) -> tuple[bool, bool, int, str]:
        """Which of several copies to read: a sound one, in full precision, safetensors, then PyTorch; equal for shards."""
        format = self.reader.FORMAT if self.reader else ""
        whole = 0 if format == sharded.FORMAT else 1
        safe = format == "safetensors" or ".safetensors." in self.name.name
        torch = format.startswith("PyTorch") or ".bin." in self.name.name
        kind = 0 if safe else 2 if torch else 4
        return bool(self.fault), _PRECISION.search(self.stem) is not None, kind + whole, format


def open_folder(path: Path) -> tuple[str, list[Tensor], list[str]]:
    """The format, the tensors and what to tell of a folder, see `open_checkpoint`.

    Raises:
        InputError: it has no weight files, or none that can be read.
    """
    if (reader := _dispatch.folder_reader_of(path)) is not None:
        return reader.FORMAT, reader.tensors(path), []
    files, others = _sorted_out(path)
    if not files:
        known = ", ".join(r.FORMAT for r in _dispatch.readers())
        held = few_names(others) or f"no files down to {_MAX_DEPTH} folders below"
        raise InputError(f"{path}: a folder of no weight files, it holds {held}; known formats: {known}")
    chosen, notes = _chosen(files)
    listed = [(file, *_read(file)) for file in chosen]
    if all(fault for _, _, fault in listed):
        raise InputError(listed[0][2])
    tensors = []
    for file, found, fault in listed:
        if fault:
            tensors.append(unreadable(printable(str(file.name)), fault))
        else:
            tensors += found if len(chosen) == 1 else [t.inside(printable(str(file.name))) for t in found]
    formats = sorted({file.reader.FORMAT for file in chosen if file.reader})
    return ", ".join(formats), tensors, [f"{path}: {note}" for note in notes]


def few_names(names: Iterable[object]) -> str:
    """The first few names out of a file or folder, safe to print, and how many more there are."""
    return few(printable(str(name)) for name in names)


def _read(file: _File) -> tuple[list[Tensor], str]:
    """The tensors of one file, or why there are none."""
    if file.reader is None:
        return [], file.fault
    try:
        return file.reader.tensors(file.path), ""
    except InputError as error:
        return [], str(error)
    except OSError as error:
        return [], f"{file.path}: cannot be read ({error.strerror or error})"


def _sorted_out(path: Path) -> tuple[list[_File], list[PurePosixPath]]:
    """The weight files of a folder, and the names of all others."""
    files, others = [], []
    for place in _places(path, path, 0):
        name = PurePosixPath(place.relative_to(path).as_posix())
        fault, reader = "", None
        try:
            reader = _dispatch.folder_reader_of(place) if place.is_dir() else _dispatch.reader_of(Probe(place))
            if reader is sharded:
                fault = _without_pieces(place)
        except InputError as error:
            fault = str(error)
        except OSError as error:
            fault = f"{place}: cannot be read ({error.strerror or error})"
        if reader or fault:
            files.append(_File(name, place, reader, fault))
        else:
            others.append(name)
        if len(files) + len(others) > _MAX_FILES:
            raise InputError(f"{path}: a folder of more than {_MAX_FILES} files; give one of them, or a folder in it")
    return files, others


def _without_pieces(index: Path) -> str:
    """What is wrong with an index none of whose files is there, as when its shards were deleted and the rest left."""
    fault = ""
    for name in sharded.shards(index):
        try:
            sharded.shard(index, name)
            return ""
        except InputError as error:
            fault = fault or str(error)
    return fault


def _places(root: Path, folder: Path, depth: int) -> Iterator[Path]:
    """Files in a folder and below, and folders that are one checkpoint; links out of the root are not followed."""
    with os.scandir(folder) as found:
        entries = sorted((e for e in found if not e.name.startswith(".")), key=lambda e: e.name)
    for entry in entries:
        place = Path(entry.path)
        if entry.is_dir(follow_symlinks=False):
            if _dispatch.folder_reader_of(place) is not None:
                yield place
            elif depth < _MAX_DEPTH:
                yield from _places(root, place, depth + 1)
        elif stays_inside(root, place):
            yield place


def _chosen(files: Sequence[_File]) -> tuple[list[_File], list[str]]:
    """The files to read, and what to say of the rest."""
    state = [f for f in files if _TRAINING.search(f.stem)]
    models = [f for f in files if f not in state] or state
    index_of = _pieces(models)
    weights = {f.name: index_of.get(f.name, f).weights for f in models}
    best = {weights[f.name]: f.rank for f in sorted(models, key=lambda f: f.rank, reverse=True)}
    chosen = [f for f in models if f.rank == best[weights[f.name]]]
    chosen = [f for f in chosen if not _converted(f, chosen)]
    read = {f.name for f in chosen} | {name for name, index in index_of.items() if index in chosen}
    rest = [f for f in models if f.name not in read]
    left_out = {
        f"as copies of {few_names(f.name for f in chosen)}": [f for f in rest if not f.fault],
        "being damaged": [f for f in rest if f.fault],
        "as the state of training": state if models is not state else [],
    }
    return chosen, [f"not read, {why}: {few_names(f.name for f in which)}" for why, which in left_out.items() if which]


def _pieces(files: Sequence[_File]) -> dict[PurePosixPath, _File]:
    """The index of each file that one speaks of."""
    indices = [f for f in files if f.reader is sharded and not f.fault]
    return {index.name.parent / name: index for index in indices for name in sharded.shards(index.path)}


def _converted(file: _File, chosen: Sequence[_File]) -> bool:
    """Whether it is in a folder for conversions, beside weights that these are made from."""
    places = [place for place in file.name.parents if place.name.lower() in _CONVERTED]
    return any(other.name.parent == place.parent for place in places for other in chosen)
