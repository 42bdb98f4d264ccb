"""Keras's HDF5 files: .h5 of Keras 2 and of Keras 3's older form, .weights.h5 of Keras 3.

They are read by `_hdf5`, which says why h5py is not handed files of strangers.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from realnets.readers import _hdf5, _keras
from realnets.readers.base import Probe, Tensor

FORMAT = "HDF5 (Keras)"


def recognises(probe: Probe) -> bool:
    """HDF5's signature, at the start of the file."""
    return probe.head.startswith(_hdf5.MAGIC)


def tensors(path: Path) -> list[Tensor]:
    """Every dataset of the file; the optimiser's among them are told by their names later."""

    @contextmanager
    def opened() -> Iterator[_hdf5.Read]:
        with path.open("rb") as file:

            def read(start: int, length: int) -> bytes:
                file.seek(start)
                return file.read(length)

            yield read

    return _keras.tensors(path, opened, path.stat().st_size)
