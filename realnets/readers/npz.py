"""NumPy .npz archives: a zip of .npy arrays, each read by itself and none of them unpickled."""

import io
import math
from pathlib import Path

import numpy as np

from realnets.readers import _zip
from realnets.readers.base import Probe, Tensor
from rmt.errors import InputError

FORMAT = "NumPy .npz"

_MAX_HEADER = 10_000  # numpy's own bound: a longer one can exhaust the parser of the literal in it
_PREFIX = 12 + 2 * _MAX_HEADER


def recognises(probe: Probe) -> bool:
    """A zip with .npy members."""
    return any(name.endswith(".npy") for name in probe.members)


def tensors(path: Path) -> list[Tensor]:
    """Every .npy member; other members are not looked at."""
    members = _zip.members(path).values()
    return [_tensor(path, m) for m in members if m.name.endswith(".npy")]


def _tensor(path: Path, member: _zip.Member) -> Tensor:
    name = member.name.removesuffix(".npy")
    stream = io.BytesIO(_zip.read(member, 0, min(member.size, _PREFIX)))
    try:
        version = np.lib.format.read_magic(stream)
        read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, fortran, dtype = read_header(stream, max_header_size=_MAX_HEADER)
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"{path}: {member.name} is not a .npy array ({reason})") from error
    start = stream.tell()

    def load() -> np.ndarray:
        if dtype.hasobject:
            raise InputError(f"{path}: {name}: holds pickled Python objects, which are never loaded")
        nbytes = math.prod(shape) * dtype.itemsize
        if nbytes != member.size - start or min(shape, default=0) < 0:
            raise InputError(f"{path}: {name}: shape {shape} does not fit the {member.size - start} bytes of its data")
        # From byte 0, so that the checksum covers what is used.
        flat = np.frombuffer(_zip.read(member), dtype, offset=start)
        return flat.reshape(shape, order="F" if fortran else "C")

    return Tensor(name, tuple(int(n) for n in shape), dtype.newbyteorder("=").name, load)
