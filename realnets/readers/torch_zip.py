"""PyTorch's zip format (torch.save since 1.6): NAME/data.pkl, and one stored member NAME/data/KEY for each storage."""

from pathlib import Path

from realnets.readers._torch_archive import Archive, root
from realnets.readers.base import Probe, Tensor

FORMAT = "PyTorch (zip)"


def recognises(probe: Probe) -> bool:
    """A zip with a data.pkl one folder down, and no constants beside it."""
    folder = root(probe.members)
    return folder is not None and f"{folder}constants.pkl" not in probe.members


def tensors(path: Path) -> list[Tensor]:
    """Every tensor of the pickled dict or module; the pickle is read as data and nothing in it is run."""
    return Archive(path).tensors("data.pkl", "data")
