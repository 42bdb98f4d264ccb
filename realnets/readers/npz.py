"""NumPy .npz archives: a zip of .npy arrays, each read by itself and none of them unpickled."""

from pathlib import Path

import numpy as np

from realnets.readers import _zip
from realnets.readers.base import Probe, Tensor
from rmt.datafiles import NPY_HEAD, npy_array, npy_header

FORMAT = "NumPy .npz"


def recognises(probe: Probe) -> bool:
    """A zip with .npy members."""
    return any(name.endswith(".npy") for name in probe.members)


def tensors(path: Path) -> list[Tensor]:
    """Every .npy member; other members are not looked at."""
    members = _zip.members(path).values()
    return [_tensor(path, m) for m in members if m.name.endswith(".npy")]


def _tensor(path: Path, member: _zip.Member) -> Tensor:
    name = member.name.removesuffix(".npy")
    where = f"{path}: {name}"
    shape, _, dtype, _ = npy_header(_zip.read(member, 0, min(member.size, NPY_HEAD)), where)

    def load() -> np.ndarray:
        return npy_array(_zip.read(member), where)  # the whole member, so that its checksum covers what is used

    return Tensor(name, shape, dtype.newbyteorder("=").name, load)
