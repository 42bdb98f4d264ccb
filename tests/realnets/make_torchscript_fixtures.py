"""Makes data/*.pt with PyTorch 2.13.0 (CPU): `python tests/realnets/make_torchscript_fixtures.py`.

TorchScript as saved, frozen and for phones, and a whole module in both of torch.save's formats. The files carry
PyTorch's own source, which no reader looks at and which is emptied here: no copy of it belongs in this repository.
"""

import io
import zipfile
from pathlib import Path

import torch
from torch import nn
from torch.ao.quantization import quantize_dynamic

DATA = Path(__file__).parent / "data"


class Net(nn.Module):
    """An embedding tied to the head, nested blocks, an LSTM, a buffer, and attributes that are no weights."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(11, 6)
        self.blocks = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 6))
        self.lstm = nn.LSTM(6, 6)
        self.head = nn.Linear(6, 11, bias=False)
        self.head.weight = self.embed.weight
        self.register_buffer("scale", torch.ones(3))
        self.act = nn.functional.relu
        self.settings = {"sizes": [1, 2], "device": torch.device("cpu")}

    def forward(self, x):
        """Uses every module."""
        return self.head(self.lstm(self.blocks(self.embed(x)))[0])


def net() -> Net:
    """Every parameter is sin(k), sin(k + 1), ... where k counts the parameters before it."""
    made = Net().eval()
    with torch.no_grad():
        for k, p in enumerate(made.parameters()):
            p.copy_(torch.sin(k + torch.arange(p.numel(), dtype=torch.float64)).reshape(p.shape))
    return made


def emptied(name: str, save) -> None:
    """Save, and pack again with the members under code/ empty."""
    buffer = io.BytesIO()
    save(buffer)
    with zipfile.ZipFile(buffer) as source, zipfile.ZipFile(DATA / name, "w") as target:
        for info in source.infolist():
            target.writestr(info.filename, b"" if "/code/" in info.filename else source.read(info))


if __name__ == "__main__":
    traced = torch.jit.trace(net(), torch.tensor([1, 2, 3]))
    emptied("traced.pt", lambda buffer: torch.jit.save(traced, buffer))
    emptied("frozen.pt", lambda buffer: torch.jit.save(torch.jit.freeze(traced), buffer))
    emptied("lite.ptl", lambda buffer: buffer.write(traced._save_to_buffer_for_lite_interpreter()))
    packed = torch.jit.script(quantize_dynamic(nn.Sequential(nn.Linear(6, 8)), {nn.Linear}))
    emptied("quantised.pt", lambda buffer: torch.jit.save(packed, buffer))
    torch.save(net(), DATA / "module.pt")
    torch.serialization.get_source_lines_and_file = lambda kind: (["left out\n"], 0, "left-out.py")
    torch.save(net(), DATA / "module-legacy.pt", _use_new_zipfile_serialization=False)
