"""Writers of PyTorch's two file formats, opcode by opcode, independent of the reader and of PyTorch."""

import io
import struct
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np

STORAGES = {
    "float32": "FloatStorage",
    "float64": "DoubleStorage",
    "float16": "HalfStorage",
    "bfloat16": "BFloat16Storage",
    "int64": "LongStorage",
}


@dataclass(frozen=True)
class View:
    """A tensor as PyTorch saves it: a strided view, in elements, of a named flat storage."""

    key: str
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]


@dataclass(frozen=True)
class Call:
    """A hostile pickle's REDUCE: module.name(*arguments)."""

    module: str
    name: str
    arguments: tuple[Any, ...]


def dumps(value: Any, storages: Mapping[str, np.ndarray]) -> bytes:
    """`value` as a protocol 2 pickle."""
    return b"\x80\x02" + _opcodes(value, storages) + b"."


def _opcodes(value: Any, storages: Mapping[str, np.ndarray]) -> bytes:
    def each(values: Any) -> bytes:
        return b"".join(_opcodes(v, storages) for v in values)

    match value:
        case None:
            return b"N"
        case bool():
            return b"\x88" if value else b"\x89"
        case int():
            data = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
            return b"\x8a" + bytes([len(data)]) + data
        case float():
            return b"G" + struct.pack(">d", value)
        case str():
            return b"X" + struct.pack("<I", len(value.encode())) + value.encode()
        case tuple():
            return b"(" + each(value) + b"t"
        case list():
            return b"](" + each(value) + b"e"
        case dict():
            return b"ccollections\nOrderedDict\n)R(" + each(x for item in value.items() for x in item) + b"u"
        case View():
            flat = storages[value.key]
            kind = f"ctorch\n{STORAGES[flat.dtype.name]}\n".encode()
            head = _opcodes("storage", storages) + kind + each((value.key, "cpu", flat.size))
            tail = each((value.offset, value.shape, value.stride, False, {}))
            return b"ctorch._utils\n_rebuild_tensor_v2\n((" + head + b"tQ" + tail + b"tR"
        case Call():
            return f"c{value.module}\n{value.name}\n".encode() + _opcodes(value.arguments, storages) + b"R"
    raise TypeError(value)


def whole(key: str, array: np.ndarray) -> View:
    """The view that covers a storage in C order."""
    strides = tuple(s // array.itemsize for s in np.empty(array.shape, array.dtype).strides)
    return View(key, 0, array.shape, strides)


def write_zip(path: Path, root: Any, storages: Mapping[str, np.ndarray], byteorder: str = "little") -> Path:
    """torch.save's format since 1.6."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("model/data.pkl", dumps(root, storages))
        archive.writestr("model/byteorder", byteorder)
        for key, flat in storages.items():
            data = flat.byteswap() if byteorder == "big" else flat
            archive.writestr(f"model/data/{key}", data.tobytes())
        archive.writestr("model/version", "3\n")
    return path


def write_legacy(path: Path, root: Any, storages: Mapping[str, np.ndarray]) -> Path:
    """torch.save's format before 1.6."""
    out = io.BytesIO()
    sizes = {"short": 2, "int": 4, "long": 4}
    system = {"protocol_version": 1001, "little_endian": True, "type_sizes": sizes}
    for value in (0x1950A86A20F9469CFC6C, 1001, system, root, sorted(storages)):
        out.write(dumps(value, storages))
    for key in sorted(storages):
        out.write(struct.pack("<q", storages[key].size) + storages[key].tobytes())
    path.write_bytes(out.getvalue())
    return path


def random(*shape: int, seed: int = 0, dtype: Any = np.float32) -> np.ndarray:
    """Gaussian numbers."""
    return np.random.default_rng(seed).normal(size=shape).astype(dtype)


BFLOAT16 = ml_dtypes.bfloat16
