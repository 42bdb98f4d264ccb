"""A model of 4 GB goes through in little memory: one tensor at a time, and one float64 copy of it."""

import json
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torchfiles as tf

from realnets.layers import Layers
from realnets.readers import Tensor

SHAPES = (
    {"model.embed_tokens.weight": (50_000, 4096), "lm_head.weight": (50_000, 4096)}
    | {f"model.layers.{i}.mlp.up_proj.weight": (11_008, 4096) for i in range(36)}
    | {f"model.layers.{i}.self_attn.k_proj.weight": (128, 1024) for i in range(3)}
)
PER_SHARD = 8

PASS = """
import resource, sys
from pathlib import Path
from realnets import Layers, analyze, open_checkpoint

tensors = open_checkpoint(Path(sys.argv[1])).tensors
shapes = []
for layer in Layers(tensors):
    shapes.append(layer.W.shape)
    del layer
rows = analyze(Layers([t for t in tensors if "k_proj" in t.name])).rows
print(len(shapes), max(shapes)[0], sum(r["fitted"] for r in rows), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def _write(path: Path, tensors: dict[str, tuple[int, int]], block: np.ndarray, seed: int) -> None:
    """A safetensors file of bfloat16 made of turned copies of one block, so that no two tensors are equal."""
    header, at = {}, 0
    for name, (rows, columns) in tensors.items():
        header[name] = {"dtype": "BF16", "shape": [rows, columns], "data_offsets": [at, at + 2 * rows * columns]}
        at += 2 * rows * columns
    text = json.dumps(header).encode()
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for k, (rows, columns) in enumerate(tensors.values()):
            for start in range(0, rows * columns, block.size):
                turned = np.roll(block, 1000 * (seed + k) + start // block.size)
                file.write(turned[: rows * columns - start].tobytes())


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_four_gigabytes_go_through_in_three(tmp_path):
    block = np.ascontiguousarray(tf.random(2**20, dtype=tf.BFLOAT16))
    names = list(SHAPES)
    weight_map = {}
    try:
        for i in range(0, len(names), PER_SHARD):
            file = f"model-{i:05}.safetensors"
            _write(tmp_path / file, {n: SHAPES[n] for n in names[i : i + PER_SHARD]}, block, i)
            weight_map |= dict.fromkeys(names[i : i + PER_SHARD], file)
        (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))
        total = sum(f.stat().st_size for f in tmp_path.glob("*.safetensors"))
        done = subprocess.run([sys.executable, "-c", PASS, str(tmp_path)], capture_output=True, text=True, check=True)
    finally:
        for shard in tmp_path.glob("*.safetensors"):
            shard.unlink()
    n, longest, fitted, peak = map(int, done.stdout.split())
    assert total > 4e9
    assert (n, longest, fitted) == (len(SHAPES), 50_000, 3)
    peak /= 2**30 if sys.platform == "darwin" else 2**20
    assert peak < 3.0
    print(f"{total / 1e9:.1f} GB on disk, {peak:.2f} GiB in memory")


def test_an_array_is_let_go_with_its_last_piece():
    """While the layer is worked on, the stored array is gone, and so are its other pieces."""
    import weakref

    alive = []

    def load() -> np.ndarray:
        array = tf.random(24, 6)
        alive.append(weakref.ref(array))
        return array

    shapes = {"r.weight_ih_l0": (24, 6), "r.weight_hh_l0": (24, 6)}
    layers = Layers([Tensor(name, shape, "float32", load) for name, shape in shapes.items()], min_M=4)
    held = [(layer.name[-3:], alive[-1]() is not None) for layer in layers]
    assert held == [("[i]", True), ("[f]", True), ("[g]", True), ("[o]", False)]
