"""TorchScript archives (torch.jit.save): a pickled module, constants, and code, which is not looked at.

The module is a tree of objects of classes that the archive's own code defines; here an object is its attributes. A model
that was frozen has its weights among the constants, without names. Archives of before PyTorch 1.4 hold no pickle and
are not read.
"""

from dataclasses import replace
from pathlib import Path

from realnets.readers._torch_archive import Archive, root
from realnets.readers.base import Probe, Tensor

FORMAT = "TorchScript"


def recognises(probe: Probe) -> bool:
    """A zip with data.pkl and constants.pkl one folder down."""
    folder = root(probe.members)
    return folder is not None and f"{folder}constants.pkl" in probe.members


def tensors(path: Path) -> list[Tensor]:
    """Parameters and buffers by their names in the module, then constants.0, constants.1 and so on."""
    archive = Archive(path)
    constants = archive.tensors("constants.pkl", "constants", "constants.")
    # The two folders number their storages by themselves.
    return archive.tensors("data.pkl", "data") + [replace(t, memory=("constants", t.memory)) for t in constants]
