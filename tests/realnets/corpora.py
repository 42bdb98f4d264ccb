"""What is fuzzed: of every format a few files or folders, what of them is damaged, and what is read then.

    python tests/realnets/corpora.py               # the table: 10,000 damaged files of every format
    python tests/realnets/corpora.py GGUF 500 7    # 500 of one format, from seed 7, as JSON

Where a checksum would stop all damage at the door, it is made right again, as strangers can.
"""

import contextlib
import json
import shutil
import struct
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from unittest import mock

import google_crc32c
import h5py
import numpy as np
import torchfiles as tf
from fuzz import mutations, survives
from safetensors.numpy import save_file

from realnets.readers import _stores, tensorflow

DATA = Path(__file__).parent / "data"
N_FILES = 10_000
W = tf.random(8, 6)
INDEXES = ("object/ckpt-10", "module/m", "saver/model.ckpt-7", "saved-model/variables/variables")


@dataclass(frozen=True)
class Case:
    """One thing to damage.

    Attributes:
        data: the sound bytes.
        victim: the file that they are put into, damaged.
        opened: the file or folder that is then read.
        wrapped: what is made of damaged bytes before they are put there.
    """

    data: bytes
    victim: Path
    opened: Path
    wrapped: Callable[[bytes], bytes] = bytes


@dataclass(frozen=True)
class Corpus:
    """The cases of one format, made in an empty folder, and what holds while they are read."""

    cases: Callable[[Path], list[Case]]
    context: Callable[[], AbstractContextManager] = contextlib.nullcontext


def fuzzed(name: str, n: int, seed: int) -> dict:
    """Reads `n` or a few more damaged files of one corpus: how many, those refused and read, and the worst of time and memory.

    Raises:
        AssertionError: one did not survive, see `fuzz.survives`, or left a mark.
    """
    total = refused = 0
    seconds = megabytes = 0.0
    corpus = CORPORA[name]
    with tempfile.TemporaryDirectory() as home, corpus.context():
        cases = corpus.cases(Path(home))
        for k, case in enumerate(cases):
            sound = case.victim.read_bytes() if case.victim.exists() else None
            for bad in mutations(case.data, -(-n // len(cases)), seed + k):
                case.victim.write_bytes(case.wrapped(bad))
                outcome = survives(case.opened)
                total, refused = total + 1, refused + outcome.refused
                seconds, megabytes = max(seconds, outcome.seconds), max(megabytes, outcome.megabytes)
            if sound is not None:
                case.victim.write_bytes(sound)
        assert not canary(Path(home)).exists()
    return {
        "format": name,
        "files": total,
        "refused": refused,
        "read": total - refused,
        "slowest s": seconds,
        "peak MB": megabytes,
    }


def canary(folder: Path) -> Path:
    """What the attacks would make."""
    return folder / "canary"


def attacks(folder: Path) -> list[tf.Call]:
    """Calls that a pickle may ask for, each of which would leave a mark or an event behind."""
    mark = str(canary(folder))
    run = f"open({mark!r}, 'w')"
    return [
        tf.Call("os", "system", (f"touch {mark}",)),
        tf.Call("posix", "system", (f"touch {mark}",)),
        tf.Call("subprocess", "Popen", (["touch", mark],)),
        tf.Call("builtins", "exec", (run,)),
        tf.Call("builtins", "eval", (run,)),
        tf.Call("builtins", "open", (mark, "w")),
        tf.Call("builtins", "__import__", ("this",)),
        tf.Call("os", "mkdir", (mark,)),
        tf.Call("os", "putenv", ("CANARY", "1")),
        tf.Call("ctypes", "CDLL", ("libc.so.6",)),
        tf.Call("socket", "create_connection", (("127.0.0.1", 9),)),
        tf.Call("torch.serialization", "load", (mark,)),
        tf.Call("numpy", "load", (mark, None, True)),
    ]


def pickles(folder: Path) -> list[bytes]:
    """State dicts with one of the attacks each, the first also in the opcodes of the oldest protocol."""
    made = [tf.dumps({"fc.weight": tf.whole("s", W), "x": call}, {"s": W.ravel()}) for call in attacks(folder)]
    mark = str(canary(folder)).encode()
    inst = b"(S'touch " + mark + b"'\nios\nsystem\n."
    obj = b"(cos\nsystem\nS'touch " + mark + b"'\no."
    build = b"\x80\x02cbuiltins\nobject\n)\x81}S'__setstate__'\ncos\nsystem\nsbS'touch " + mark + b"'\nb."
    return [*made, inst, obj, build]


# --- how a case is made


def _file(data: bytes, folder: Path, beside: Sequence[Path] = ()) -> Case:
    for other in beside:
        shutil.copy(other, folder)
    return Case(data, folder / "w", folder / "w")


def _saved(save: Callable[[Path], object], folder: Path) -> Case:
    save(folder / "sound")
    return _file((folder / "sound").read_bytes(), folder)


def _member(archive: bytes, suffix: str, folder: Path, method: int = zipfile.ZIP_STORED) -> Case:
    """The member of an archive whose name ends so; the archive is packed anew around it, with right checksums."""
    (folder / "sound").write_bytes(archive)
    with zipfile.ZipFile(folder / "sound") as source:
        members = {name: source.read(name) for name in source.namelist()}
    name = next(name for name in members if name.endswith(suffix))

    def packed(bad: bytes) -> bytes:
        with zipfile.ZipFile(folder / "packed", "w", method) as target:
            for member, content in members.items():
                target.writestr(member, bad if member == name else content)
        return (folder / "packed").read_bytes()

    return Case(members[name], folder / "w", folder / "w", packed)


def _files_of(source: Path, folder: Path) -> list[Case]:
    """Every file of a folder that is one checkpoint."""
    home = shutil.copytree(source, folder / source.name)
    victims = sorted(f for f in home.rglob("*") if f.is_file() and f.stat().st_size)
    return [Case(f.read_bytes(), f, home) for f in victims]


Maker = Callable[[Path], Case | list[Case]]


def _cases(makers: Sequence[Maker], folder: Path) -> list[Case]:
    found: list[Case] = []
    for k, make in enumerate(makers):
        place = folder / str(k)
        place.mkdir()
        made = make(place)
        found += made if isinstance(made, list) else [made]
    return found


def _corpus(*makers: Maker) -> Corpus:
    return Corpus(partial(_cases, makers))


def _of_data(*names: str, beside: Sequence[str] = ()) -> list[Maker]:
    others = [DATA / name for name in beside]
    return [lambda folder, name=name: _file((DATA / name).read_bytes(), folder, others) for name in names]


def _inside(suffix: str, *names: str, method: int = zipfile.ZIP_STORED) -> list[Maker]:
    return [lambda folder, name=name: _member((DATA / name).read_bytes(), suffix, folder, method) for name in names]


# --- the formats

STATE, STORAGES = {"fc.weight": tf.whole("s", W), "more": [{"step": 3}, ("a", 0.5)]}, {"s": W.ravel()}
FLOATS = {
    "a.weight": W,
    "b.weight": W.astype(np.float16),
    "c.weight": W.astype(tf.BFLOAT16),
    "d.weight": W.astype(np.float64)[:5],
    "steps": np.arange(5),
}


def _lora(folder: Path) -> Case:
    names = {
        "q.lora_A.weight": (3, 9),
        "q.lora_B.weight": (8, 3),
        "v.lora_down.weight": (2, 9),
        "v.lora_up.weight": (8, 2),
    }
    arrays = {name: tf.random(*shape, seed=k) for k, (name, shape) in enumerate(names.items())}
    return _saved(partial(save_file, arrays | {"q.base_layer.weight": tf.random(8, 9)}), folder)


def _sharded(folder: Path) -> list[Case]:
    save_file({"a.weight": W}, folder / "model-1.safetensors")
    save_file({"b.weight": 2 * W}, folder / "model-2.safetensors")
    index = {"weight_map": {"a.weight": "model-1.safetensors", "b.weight": "model-2.safetensors"}}
    path = folder / "model.safetensors.index.json"
    path.write_text(json.dumps(index))
    victims = (path, path, path, folder / "model-1.safetensors")
    return [
        Case(victim.read_bytes(), victim, opened) for victim, opened in zip(victims, (path, folder) * 2, strict=True)
    ]


def _repository(folder: Path) -> list[Case]:
    """As a hub has it: weights in two formats, an optimiser, a folder of conversions, a text."""
    save_file({"a.weight": W}, folder / "model.safetensors")
    tf.write_zip(folder / "pytorch_model.bin", STATE, STORAGES)
    tf.write_legacy(folder / "optimizer.pt", STATE, STORAGES)
    (folder / "onnx").mkdir()
    shutil.copy(DATA / "onnx" / "torchscript.onnx", folder / "onnx" / "model.onnx")
    (folder / "config.json").write_text('{"model_type": "bert"}')
    return [Case(f.read_bytes(), f, folder) for f in sorted(folder.rglob("*")) if f.is_file()]


def _npz(folder: Path) -> list[Case]:
    arrays = {n: a for n, a in FLOATS.items() if a.dtype != tf.BFLOAT16} | {"f": np.asfortranarray(W)}
    np.savez(folder / "stored.npz", **arrays)
    np.savez_compressed(folder / "packed.npz", **arrays)
    np.savez(folder / "objects.npz", W=W, x=np.array([{"a": 1}], object))
    stored, packed, objects = ((folder / f"{n}.npz").read_bytes() for n in ("stored", "packed", "objects"))
    found = [_file(stored, folder), _file(packed, folder), _member(stored, "a.weight.npy", folder)]
    return [*found, _member(packed, "f.npy", folder, zipfile.ZIP_DEFLATED), _member(objects, "x.npy", folder)]


def _zip(folder: Path) -> list[Case]:
    sound = tf.write_zip(folder / "zip", STATE, STORAGES).read_bytes()
    return [_file(sound, folder), _member(sound, "data.pkl", folder)]


def _legacy(folder: Path) -> Case:
    return _file(tf.write_legacy(folder / "legacy", STATE, STORAGES).read_bytes(), folder)


def hostile(folder: Path) -> list[Case]:
    """Each of the pickles by itself, in either of PyTorch's formats and as an array of objects in an .npz."""
    np.savez(folder / "objects.npz", x=np.array([{"a": 1}], object))
    objects = _member((folder / "objects.npz").read_bytes(), "x.npy", folder)
    header = objects.data[: objects.data.index(b"\n") + 1]
    archive = _member(tf.write_zip(folder / "zip", STATE, STORAGES).read_bytes(), "data.pkl", folder)
    legacy = tf.write_legacy(folder / "legacy", {}, {}).read_bytes()
    start = legacy.index(tf.dumps({}, {}))
    found = []
    for pickled in pickles(folder.parent):
        found += [_file(pickled, folder), _file(legacy[:start] + pickled + tf.dumps([], {}), folder)]
        found += [replace(archive, data=pickled), replace(objects, data=header + pickled)]
    return found


def _table(folder: Path) -> list[Case]:
    """Index and data of every checkpoint of TensorFlow's, the index four times as often."""
    found = []
    for index in INDEXES:
        source = DATA / "tensorflow" / f"{index}.index"
        for path in source.parent.glob(f"{source.stem}.*"):
            shutil.copy(path, folder)
        data = max(folder.glob(f"{source.stem}.data-*"))
        for victim in [folder / source.name] * 4 + [data]:
            found.append(Case(victim.read_bytes(), victim, folder / source.name))
    return found


@contextlib.contextmanager
def unchecked() -> Iterator[None]:
    """The checksums in tables of TensorFlow's are right whatever the bytes are."""
    block = tensorflow._block

    def right(data: bytes, start: int, size: int) -> bytes:
        end = start + size
        crc = tensorflow._masked_crc32c(data[start : end + 1]).to_bytes(4, "little")
        return block(data[: end + 1] + crc + data[end + 5 :], start, size)

    with mock.patch.object(tensorflow, "_block", right):
        yield


def _hdf5(fill: Callable[[h5py.File], object], folder: Path, **options) -> Case:
    def save(path: Path) -> None:
        with h5py.File(path, "w", **options) as file:
            fill(file)

    return _saved(save, folder)


def _compressed(file: h5py.File) -> None:
    file.create_dataset("fc/kernel", data=W, chunks=(4, 3), compression="gzip", shuffle=True, fletcher32=True)
    file["fc/bias"] = W[0]
    file["tied"] = h5py.SoftLink("/fc/kernel")


def _lambda(folder: Path) -> Case:
    return replace(
        _member((DATA / "keras3.keras").read_bytes(), "config.json", folder), data=json.dumps(LAMBDA).encode()
    )


LAMBDA = {
    "class_name": "Sequential",
    "config": {
        "layers": [
            {"class_name": "Lambda", "config": {"name": "x", "function": ["4wEAAAAAAAAAAAAA", None, None]}},
            {
                "class_name": "__lambda__",
                "module": "os",
                "registered_name": "system",
                "config": {"value": "touch canary"},
            },
            {"class_name": "LSTM", "config": {"name": "reader"}},
        ]
    },
}
"""A configuration that Keras would build by running a function of the file."""


def _manifest(source: Path, folder: Path) -> Case:
    """The manifest of an OCDBT database, unpacked, so that damage is to its numbers; its length and checksum are right."""
    home = shutil.copytree(source, folder / source.name)
    manifest = home / _stores.MANIFEST
    data = manifest.read_bytes()
    body = _stores.unzstd(data[14:-4], 2**20) if data[13] else data[14:-4]

    def signed(bad: bytes) -> bytes:
        made = data[:4] + struct.pack("<Q", len(bad) + 18) + b"\0\0" + bad
        return made + google_crc32c.value(made).to_bytes(4, "little")

    return Case(body, manifest, home, signed)


ONNX = [f"onnx/{name}.onnx" for name in ("torchscript", "dynamo", "every-type")]
HDF5 = ["keras2.h5", "keras2_weights.h5", "keras3.h5", "keras3.weights.h5", "keras3_bfloat16.weights.h5"]
ORBAX = [partial(_files_of, DATA / f"orbax_{name}") for name in ("ocdbt", "zarr", "zarr3", "tree")]

CORPORA: dict[str, Corpus] = {
    "safetensors": _corpus(partial(_saved, partial(save_file, FLOATS))),
    "LoRA adapters": _corpus(_lora),
    "sharded checkpoint": _corpus(_sharded),
    "folder": _corpus(_repository),
    "NumPy .npz": _corpus(_npz),
    "PyTorch (zip)": _corpus(_zip, *_of_data("module.pt"), *_inside("/data.pkl", "module.pt")),
    "PyTorch (legacy)": _corpus(_legacy, *_of_data("module-legacy.pt")),
    "TorchScript": _corpus(
        *_of_data("traced.pt", "frozen.pt", "lite.ptl", "quantised.pt"),
        *_inside("/data.pkl", "traced.pt", "lite.ptl", "quantised.pt"),
        *_inside("/constants.pkl", "frozen.pt", "quantised.pt"),
    ),
    "hostile pickles": _corpus(hostile),
    "ONNX": _corpus(*_of_data(*ONNX, beside=["onnx/dynamo.onnx.data"])),
    "TensorFlow checkpoint": _corpus(_table),
    "TensorFlow checkpoint, unchecked": Corpus(partial(_cases, [_table]), unchecked),
    "GGUF": _corpus(*_of_data("little.gguf", "big.gguf")),
    "HDF5 (Keras)": _corpus(
        *_of_data(*HDF5),
        partial(_hdf5, _compressed),
        partial(_hdf5, _compressed, libver="latest"),
    ),
    "Keras archive (.keras)": _corpus(
        *_of_data("keras3.keras"),
        *_inside(".weights.h5", "keras3.keras"),
        *_inside(".weights.h5", "keras3.keras", method=zipfile.ZIP_DEFLATED),
        *_inside("config.json", "keras3.keras"),
        _lambda,
    ),
    "Flax msgpack": _corpus(*_of_data("flax.msgpack", "flax_chunked.msgpack")),
    "Orbax checkpoint": _corpus(
        *ORBAX,
        partial(_manifest, DATA / "orbax_ocdbt"),
        partial(_manifest, DATA / "orbax_tree"),
    ),
}


def in_a_process_of_its_own(name: str, n: int = N_FILES, seed: int = 1) -> dict:
    """`fuzzed`, where a crash is its own, and warnings are errors.

    Raises:
        AssertionError: with the last lines of what it said.
    """
    command = [sys.executable, "-W", "error", __file__, name, str(n), str(seed)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, f"exit code {done.returncode}: {done.stderr[-3000:]}"
    return json.loads(done.stdout)


def main(*arguments: str) -> None:
    if arguments:
        name, n, seed = arguments
        print(json.dumps(fuzzed(name, int(n), int(seed))))
        return
    print("| format | files | refused | read | slowest | peak |\n|---|---|---|---|---|---|")
    for name in CORPORA:
        row = in_a_process_of_its_own(name)
        counts = f"{row['files']:,} | {row['refused']:,} | {row['read']:,}"
        print(f"| {name} | {counts} | {row['slowest s']:.2f} s | {row['peak MB']:.0f} MB |", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
