"""safetensors files, through the safetensors package, which checks that the header covers the file exactly."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open

from realnets.readers.base import MAX_TENSORS, Probe, Tensor, numpy_dtype
from rmt.errors import InputError

FORMAT = "safetensors"

_MAX_HEADER = 32 * 2**20  # of MAX_TENSORS tensors with long names; the package takes tenfold to parse it

_DTYPES = {
    "F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16",
    "F8_E4M3": "float8_e4m3fn", "F8_E5M2": "float8_e5m2", "C64": "complex64", "BOOL": "bool",
    "I64": "int64", "I32": "int32", "I16": "int16", "I8": "int8",
    "U64": "uint64", "U32": "uint32", "U16": "uint16", "U8": "uint8",
}  # fmt: skip


def recognises(probe: Probe) -> bool:
    """Eight bytes of header length, then the header's opening brace; the format itself caps a header at 100 MB."""
    return 2 <= int.from_bytes(probe.head[:8], "little") <= 100_000_000 and probe.head[8:9] == b"{"


def tensors(path: Path) -> list[Tensor]:
    """Every tensor of the file, in the order of the bytes."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
    if length > _MAX_HEADER:
        raise InputError(f"{path}: its header has {length} bytes, more than any list of tensors needs")
    try:
        with safe_open(path, framework="numpy") as file:
            names = list(file.offset_keys())
        if len(names) > MAX_TENSORS:
            raise InputError(f"{path}: holds {len(names)} tensors, more than any network")
        with path.open("rb") as file:
            file.seek(8)
            header = json.loads(file.read(length))
    except InputError:
        raise
    except (SafetensorError, ValueError) as error:
        raise InputError(f"{path}: truncated or damaged safetensors file ({error})") from error
    return [_tensor(path, name, header[name], 8 + length) for name in names]


def _tensor(path: Path, name: str, entry: dict[str, Any], base: int) -> Tensor:
    """`entry` has passed the package's checks; the package itself cannot give every dtype to NumPy."""
    stored: str = entry["dtype"]
    dtype = _DTYPES.get(stored, stored.lower())
    shape = tuple(entry["shape"])
    start, end = entry["data_offsets"]

    def load() -> np.ndarray:
        try:
            with path.open("rb") as file:
                file.seek(base + start)
                flat = np.frombuffer(file.read(end - start), numpy_dtype(dtype).newbyteorder("<"))
            return flat.astype(flat.dtype.newbyteorder("="), copy=False).reshape(shape)
        except (OSError, ValueError) as error:
            raise InputError(f"{path}: {name}: cannot be read ({error})") from error

    return Tensor(name, shape, dtype, load)
