"""A model of 4 GB is analysed in little memory: one tensor at a time, and one float64 copy of it."""

import json
import os
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torchfiles as tf

from realnets.layers import Layers
from realnets.readers import Tensor

WIDTH, MLP, VOCABULARY = 4096, 14_336, 128_256
SHAPES = (
    {"model.embed_tokens.weight": (VOCABULARY, WIDTH), "lm_head.weight": (VOCABULARY, WIDTH)}
    | {f"model.layers.{i}.mlp.up_proj.weight": (MLP, WIDTH) for i in range(8)}
    | {f"model.layers.{i}.mlp.down_proj.weight": (WIDTH, MLP) for i in range(8)}
    | {f"model.layers.{i}.self_attn.q_proj.weight": (WIDTH, WIDTH) for i in range(2)}
    | {f"model.layers.{i}.self_attn.k_proj.weight": (1024, WIDTH) for i in range(2)}
    | {f"model.layers.{i}.input_layernorm.weight": (WIDTH,) for i in range(2)}
)
"""Layers of a language model of eight billion parameters: all but one of its shapes, and as many as make 4 GB."""

PER_SHARD = 8
ROWS = 1024


def _write(path: Path, tensors: dict[str, tuple[int, ...]], rng: np.random.Generator) -> None:
    """A safetensors file of bfloat16: Gaussian numbers whose columns have the variances 1, 1/2, 1/3, ..."""
    header, at = {}, 0
    for name, shape in tensors.items():
        end = at + 2 * int(np.prod(shape))
        header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [at, end]}
        at = end
    text = json.dumps(header).encode()
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for shape in tensors.values():
            rows, columns = shape if len(shape) == 2 else (1, *shape)
            scale = np.arange(1, columns + 1, dtype=np.float32) ** -0.5
            for start in range(0, rows, ROWS):
                block = rng.standard_normal((min(ROWS, rows - start), columns), np.float32) * scale
                file.write(block.astype(tf.BFLOAT16).tobytes())


def _analysed(path: Path) -> tuple[dict, float]:
    """What the command line prints as JSON, and the peak of its resident memory in GB."""
    command = [sys.executable, "-m", "realnets", "analyze", str(path), "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        said = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return json.loads(said), usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e9


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_four_gigabytes_are_analysed_in_three(tmp_path):
    rng = np.random.default_rng(0)
    names = list(SHAPES)
    weight_map = {}
    try:
        for i in range(0, len(names), PER_SHARD):
            file = f"model-{i:05}.safetensors"
            _write(tmp_path / file, {n: SHAPES[n] for n in names[i : i + PER_SHARD]}, rng)
            weight_map |= dict.fromkeys(names[i : i + PER_SHARD], file)
        (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))
        total = sum(f.stat().st_size for f in tmp_path.glob("*.safetensors"))
        result, peak = _analysed(tmp_path)
    finally:
        for shard in tmp_path.glob("*.safetensors"):
            shard.unlink()
    assert total > 4e9
    assert peak < 3.0
    rows = {row["name"]: row for row in result["layers"]}
    matrices = {name: shape for name, shape in SHAPES.items() if len(shape) == 2}
    assert {name: (row["N"], row["M"]) for name, row in rows.items()} == {
        name: (max(shape), min(shape)) for name, shape in matrices.items()
    }
    assert all(row["fitted"] and row["rank"] == row["M"] for row in rows.values())
    # Of many rows X is nearly diagonal, its eigenvalues are nearly 1/k, and their density falls as x^-2.
    for name in ("model.embed_tokens.weight", "lm_head.weight"):
        assert abs(rows[name]["alpha"] - 2) < 0.1
    print(f"{total / 1e9:.2f} GB on disk, {peak:.2f} GB in memory")


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
