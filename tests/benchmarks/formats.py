"""Every format that `realnets` reads: a file of 100 MB by the framework itself, read back without it, array by array.

    python tests/benchmarks/formats.py                        # the formats whose frameworks this Python has
    python tests/benchmarks/formats.py --python OTHER/bin/python --python ...   # and those that others have

One Python writes a file with the framework and has the framework read it back: type, shape and SHA-256 of the bytes of every
array. A second one, without any framework, reads the same file through `realnets.open_checkpoint`, one tensor at a time.
Peak memory is above that of the process when it has imported realnets; times are the best of three, the file in the cache.
What was measured joins formats.json beside this file, from which the table is printed that README has.
"""

import argparse
import hashlib
import importlib
import importlib.metadata
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

FRAMEWORKS = (
    "torch", "tensorflow", "keras", "tf_keras", "flax", "orbax", "tensorstore", "onnx", "gguf", "h5py", "zarr",
)  # fmt: skip
"""What must not be imported while a file is read."""

VOCABULARY, WIDTH, HIDDEN = 16_384, 1024, 4096
MIB = 2**20
REPEATS = 3

Arrays = Iterable[tuple[str, str, tuple[int, ...], bytes]]
"""(name, dtype's name, shape, bytes in C order) of every array as the framework reads it."""


# --- writers, by frameworks: the file is written, and the framework's own reading of it returned


def weights() -> dict[str, np.ndarray]:
    """An embedding of 64 MB, dense layers in three types, a convolution, a vector and a number."""
    rng = np.random.default_rng(0)

    def normal(*shape: int) -> np.ndarray:
        return rng.standard_normal(shape, np.float32)

    return {
        "embed.weight": normal(VOCABULARY, WIDTH),
        "layers.0.up.weight": normal(HIDDEN, WIDTH),
        "layers.0.down.weight": normal(WIDTH, HIDDEN),
        "layers.1.up.weight": normal(HIDDEN, WIDTH).astype(np.float16),
        "layers.1.down.weight": normal(WIDTH, WIDTH).astype(np.float64),
        "conv.weight": normal(256, 256, 3, 3),
        "norm.weight": normal(WIDTH),
        "steps": np.array([3]),
    }


def of_numpy(arrays: Mapping[str, Any]) -> Arrays:
    for name, value in arrays.items():
        array = np.asarray(value)
        yield name, array.dtype.newbyteorder("=").name, array.shape, np.ascontiguousarray(array).tobytes()


def of_torch(state: Mapping[str, Any]) -> Arrays:
    import torch

    for name, tensor in state.items():
        flat = tensor.detach().contiguous()
        raw = flat.view(torch.int16) if flat.dtype == torch.bfloat16 else flat
        yield name, str(tensor.dtype).removeprefix("torch."), tuple(tensor.shape), raw.numpy().tobytes()


def torch_state() -> dict[str, Any]:
    """The weights, one of them in bfloat16."""
    import torch

    state = {name: torch.from_numpy(array) for name, array in weights().items()}
    return state | {"layers.0.down.weight": state["layers.0.down.weight"].bfloat16()}


def torch_model() -> Any:
    """The same in modules."""
    import torch
    from torch import nn

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.embed = nn.Embedding(VOCABULARY, WIDTH)
            self.up, self.down = nn.Linear(WIDTH, HIDDEN), nn.Linear(HIDDEN, WIDTH)
            self.conv = nn.Conv1d(WIDTH, 256, 3)
            self.lstm = nn.LSTM(256, 256, batch_first=True)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = self.down(torch.relu(self.up(self.embed(x))))
            return self.lstm(self.conv(y.transpose(1, 2)).transpose(1, 2))[0]

    globals()["Net"] = Net  # to be found by pickle
    Net.__qualname__ = "Net"
    torch.manual_seed(0)
    return Net().eval()


def write_safetensors(path: Path) -> Arrays:
    from safetensors.torch import load_file, save_file

    save_file(torch_state(), path)
    return of_torch(load_file(path))


def write_sharded(path: Path) -> Arrays:
    from huggingface_hub import save_torch_state_dict
    from safetensors.torch import load_file

    path.mkdir()
    save_torch_state_dict(torch_state(), path, max_shard_size="40MB")
    return of_torch({name: t for shard in path.glob("*.safetensors") for name, t in load_file(shard).items()})


def write_npz(path: Path) -> Arrays:
    np.savez(path.open("wb"), **weights())
    return of_numpy(np.load(path))


def write_npz_compressed(path: Path) -> Arrays:
    np.savez_compressed(path.open("wb"), **weights())
    return of_numpy(np.load(path))


def write_torch_zip(path: Path) -> Arrays:
    import torch

    torch.save(torch_state(), path)
    return of_torch(torch.load(path))


def write_torch_legacy(path: Path) -> Arrays:
    import torch

    torch.save(torch_state(), path, _use_new_zipfile_serialization=False)
    return of_torch(torch.load(path))


def write_torch_module(path: Path) -> Arrays:
    import torch

    torch.save(torch_model(), path)
    return of_torch(torch.load(path, weights_only=False).state_dict())


def write_torchscript(path: Path) -> Arrays:
    import torch

    torch.jit.save(torch.jit.trace(torch_model(), torch.zeros((1, 5), dtype=torch.int64)), path)
    return of_torch(torch.jit.load(path).state_dict())


def write_onnx(path: Path) -> Arrays:
    import torch

    torch.onnx.export(torch_model(), (torch.zeros((1, 5), dtype=torch.int64),), path, dynamo=False)
    return of_onnx(path)


def write_onnx_external(path: Path) -> Arrays:
    import torch

    path.mkdir()
    sample = (torch.zeros((1, 5), dtype=torch.int64),)
    torch.onnx.export(torch_model(), sample, path / "w.onnx", dynamo=True, external_data=True, verbose=False)
    return of_onnx(path / "w.onnx")


def of_onnx(path: Path) -> Arrays:
    import onnx
    from onnx import numpy_helper

    graph = onnx.load(path).graph
    constants = [a.t for node in graph.node if node.op_type == "Constant" for a in node.attribute if a.name == "value"]
    for tensor in [*graph.initializer, *constants]:
        yield from of_numpy({tensor.name: numpy_helper.to_array(tensor, str(path.parent))})


def write_tensorflow(path: Path) -> Arrays:
    import tensorflow as tf

    root = tf.Module()
    for name, array in weights().items():
        setattr(root, name.replace(".", "_"), tf.Variable(array))
    root.brain = tf.Variable(tf.cast(weights()["layers.0.up.weight"], tf.bfloat16))
    tf.train.Checkpoint(root=root).write(str(path / "ckpt"))
    reader = tf.train.load_checkpoint(str(path / "ckpt"))
    names = [name for name, kind in reader.get_variable_to_dtype_map().items() if kind != tf.string]
    return of_numpy({name: reader.get_tensor(name) for name in names})


def keras_model(keras: Any) -> Any:
    layers = keras.layers
    tokens = keras.Input((5,), dtype="int32")
    x = layers.Embedding(VOCABULARY, WIDTH)(tokens)
    x = layers.Dense(WIDTH)(layers.Dense(HIDDEN)(x))
    return keras.Model(tokens, layers.LSTM(256)(layers.Conv1D(256, 3)(x)))


def write_keras_archive(path: Path) -> Arrays:
    import keras

    keras_model(keras).save(path.with_suffix(".keras"))
    loaded = keras.models.load_model(path.with_suffix(".keras"))
    return of_numpy({v.path: v.numpy() for v in loaded.weights})


def write_keras_weights(path: Path) -> Arrays:
    import keras

    keras_model(keras).save_weights(path.with_suffix(".weights.h5"))
    other = keras_model(keras)
    other.load_weights(path.with_suffix(".weights.h5"))
    return of_numpy({v.path: v.numpy() for v in other.weights})


def write_keras_2(path: Path) -> Arrays:
    import tf_keras

    keras_model(tf_keras).save(path.with_suffix(".h5"))
    loaded = tf_keras.models.load_model(path.with_suffix(".h5"), compile=False)
    return of_numpy({v.name: v.numpy() for v in loaded.weights})


def tree() -> dict[str, Any]:
    """The weights as a nested dict of JAX arrays, one of them in bfloat16."""
    import jax

    jax.config.update("jax_enable_x64", True)
    found: dict[str, Any] = {}
    for name, array in weights().items():
        *folders, last = name.split(".")
        place = found
        for folder in folders:
            place = place.setdefault(f"{folder}_", {})
        place[last] = jax.numpy.asarray(array)
    found["brain"] = found["embed_"]["weight"][:HIDDEN].astype("bfloat16")
    return found


def of_tree(nested: Any) -> Arrays:
    import jax

    leaves, _ = jax.tree.flatten_with_path(nested)
    return of_numpy({jax.tree_util.keystr(path): leaf for path, leaf in leaves})


def write_flax(path: Path) -> Arrays:
    from flax import serialization

    path.write_bytes(serialization.to_bytes(tree()))
    return of_tree(serialization.msgpack_restore(path.read_bytes()))


def write_orbax(path: Path) -> Arrays:
    import orbax.checkpoint as ocp

    with ocp.PyTreeCheckpointer() as checkpointer:
        checkpointer.save(path.absolute(), tree())
        return of_tree(checkpointer.restore(path.absolute()))


def write_gguf(path: Path) -> Arrays:
    import gguf

    writer = gguf.GGUFWriter(path, "llama")
    for name, array in weights().items():
        writer.add_tensor(name, array)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return of_numpy({t.name: t.data for t in gguf.GGUFReader(path).tensors})


PICKLE, HDF5 = "own, of the pickle's opcodes", "own, of HDF5"

# format -> (its writer, the packages that it is by, what reads it here)
FORMATS: dict[str, tuple[Callable[[Path], Arrays], tuple[str, ...], str]] = {
    "safetensors": (write_safetensors, ("safetensors", "torch"), "safetensors"),
    "safetensors in shards": (
        write_sharded,
        ("huggingface_hub", "safetensors", "torch"),
        "safetensors, own of the index",
    ),
    "PyTorch state dict": (write_torch_zip, ("torch",), PICKLE),
    "PyTorch before 1.6": (write_torch_legacy, ("torch",), PICKLE),
    "PyTorch whole module": (write_torch_module, ("torch",), PICKLE),
    "TorchScript": (write_torchscript, ("torch",), PICKLE),
    "ONNX": (write_onnx, ("onnx", "torch"), "own"),
    "ONNX with external data": (write_onnx_external, ("onnx", "torch"), "own"),
    "TensorFlow checkpoint": (write_tensorflow, ("tensorflow",), "own"),
    "Keras .keras": (write_keras_archive, ("keras",), HDF5),
    "Keras .weights.h5": (write_keras_weights, ("keras",), HDF5),
    "Keras 2 .h5": (write_keras_2, ("tf-keras",), HDF5),
    "Flax msgpack": (write_flax, ("flax",), "own, of msgpack"),
    "Orbax folder": (write_orbax, ("orbax-checkpoint",), "own, of OCDBT and zarr; numcodecs"),
    "GGUF": (write_gguf, ("gguf",), "own"),
    "NumPy .npz": (write_npz, ("numpy",), "own"),
    "NumPy .npz, compressed": (write_npz_compressed, ("numpy",), "own"),
}


def write(format: str, folder: Path) -> dict[str, Any]:
    """Write a file into the empty folder; what the framework reads from it."""
    writer, packages, _ = FORMATS[format]
    arrays = [(dtype, shape, hashlib.sha256(data).hexdigest()) for _, dtype, shape, data in writer(folder / "w")]
    (path,) = folder.iterdir()
    by = ", ".join(f"{package} {importlib.metadata.version(package).partition('+')[0]}" for package in packages)
    return {"path": str(path), "by": by, "arrays": sorted(arrays)}


def can_write() -> list[str]:
    """The formats whose packages are here."""
    found = []
    for format, (_, packages, _) in FORMATS.items():
        try:
            [importlib.metadata.version(package) for package in packages]
        except importlib.metadata.PackageNotFoundError:
            continue
        found.append(format)
    return found


# --- the reader


def read(path: Path) -> dict[str, Any]:
    """What `realnets` reads from the file, and what that took."""
    from realnets.readers import open_checkpoint
    from realnets.readers._dispatch import readers
    from rmt import InputError

    files = [p for p in sorted(path.rglob("*")) if p.is_file()] if path.is_dir() else [path]
    before = _memory("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # forgets the peak of before
    largest, seconds = 0, []
    for _ in range(REPEATS):
        start = time.perf_counter()
        checkpoint = open_checkpoint(path)
        for tensor in checkpoint.tensors:
            if tensor.dtype != "string":  # the graph of objects in a checkpoint of TensorFlow's
                largest = max(largest, tensor.load().nbytes)
        seconds.append(time.perf_counter() - start)
    peak = _memory("VmHWM") - before
    plain = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        for file in files:
            file.read_bytes()
        plain.append(time.perf_counter() - start)
    arrays = []
    for tensor in checkpoint.tensors:
        try:
            array = tensor.load()
        except InputError:
            assert tensor.dtype == "string", tensor
            continue
        arrays.append((array.dtype.name, array.shape, hashlib.sha256(array.tobytes()).hexdigest()))
    imported = sorted(name for name in FRAMEWORKS if name in sys.modules)
    assert not imported, imported
    return {
        "reader": next(r.__name__ for r in readers() if checkpoint.format == r.FORMAT),
        "arrays": sorted(arrays),
        "MB": sum(f.stat().st_size for f in files) / MIB,
        "largest MB": largest / MIB,
        "peak MB": peak / MIB,
        "seconds": min(seconds),
        "plain seconds": min(plain),
    }


def _memory(field: str) -> int:
    """Bytes of this process, by /proc/self/status."""
    return int(Path("/proc/self/status").read_text().partition(f"{field}:")[2].split()[0]) * 1024


# --- the table


def asked(python: str, *arguments: str) -> Any:
    """What this script says as JSON, run by that Python; its last line, since frameworks talk."""
    quiet = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run([python, __file__, *arguments], capture_output=True, text=True, env=quiet)
    if done.returncode:
        raise SystemExit(f"{python} {' '.join(arguments)}: {done.stderr[-3000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def measured(format: str, python: str) -> dict[str, Any]:
    """One row; it is an error if an array is not exactly the framework's."""
    with tempfile.TemporaryDirectory() as folder:
        said = asked(python, "--write", format, folder)
        found = asked(sys.executable, "--read", said["path"])
    exact = found.pop("arrays") == said["arrays"]
    if not exact:
        raise SystemExit(f"{format}: the arrays are not those that {said['by']} reads")
    return {"format": format, "by": said["by"], "tensors": len(said["arrays"]), **found}


def table(rows: Iterable[Mapping[str, Any]]) -> str:
    """README's table."""
    lines = [
        "| file | read by | exactly as by | size, largest tensor | peak memory | time, of a plain read |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows:
        lines.append(
            f"| {row['format']} | {FORMATS[row['format']][2]} | {row['by']} | {row['MB']:.0f} MB, {row['largest MB']:.0f} MB | "
            f"{row['peak MB']:.0f} MB | {row['seconds']:.2f} s, {row['seconds'] / row['plain seconds']:.1f} x |"
        )
    return "\n".join(lines)


def main() -> None:
    """Write, read, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--python",
        action="append",
        default=[],
        help="another Python that has frameworks; repeatable, the first that can write a format does",
    )
    parser.add_argument("--only", action="append", choices=FORMATS, help="this format; repeatable")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".json"), help="what the rows join")
    parser.add_argument("--can-write", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--write", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--read", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.can_write:
        print(json.dumps(can_write()))
    elif options.write:
        print(json.dumps(write(options.write[0], Path(options.write[1]))))
    elif options.read:
        print(json.dumps(read(options.read)))
    else:
        out = options.out
        rows = {row["format"]: row for row in json.loads(out.read_text(encoding="utf-8"))} if out.exists() else {}
        able = {
            format: python
            for python in [*options.python[::-1], sys.executable]
            for format in asked(python, "--can-write")
        }
        for format in options.only or FORMATS:
            if format in able:
                rows[format] = measured(format, able[format])
                print(json.dumps(rows[format]), flush=True)
        rows = [rows[format] for format in FORMATS if format in rows]
        out.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
        print(f"\n{table(rows)}")


if __name__ == "__main__":
    main()
