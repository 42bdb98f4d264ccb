"""ONNX: files of PyTorch's exporters and of the onnx package, read exactly; damage and hostility are one line."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from waves import values, wave
from wirefiles import number, put

from realnets.layers import Layers
from realnets.readers import _protobuf, onnx, open_checkpoint
from realnets.readers.base import Tensor
from rmt import InputError

DATA = Path(__file__).parent / "data" / "onnx"


def listed(path: Path) -> dict[str, Tensor]:
    checkpoint = open_checkpoint(path)
    assert checkpoint.format == "ONNX"
    return {t.name: t for t in checkpoint.tensors}


# --- messages written field by field


def tensor(name: str = "w", dims=(2, 3), code: int = 1, rest: bytes = put(9, wave(2, 3).tobytes())) -> bytes:
    return b"".join(put(1, d) for d in dims) + put(2, code) + put(8, name.encode()) + rest


def model(*tensors: bytes, nodes=(), more: bytes = b"") -> bytes:
    graph = b"".join(put(1, n) for n in nodes) + put(2, b"g") + b"".join(put(5, t) for t in tensors)
    return put(1, 8) + put(7, graph) + more


def refused(path: Path, data: bytes, says: str) -> None:
    path.write_bytes(data)
    with pytest.raises(InputError, match=rf"{path.name}.*{says}"):
        [t.load() for t in open_checkpoint(path).tensors]


@pytest.mark.parametrize("encoding", ["raw", "typed"])
def test_every_type_in_every_encoding(encoding):
    tensors = listed(DATA / "every-type.onnx")
    loadable = [dtype for dtype, _ in onnx._TYPES.values()]
    assert len(loadable) == 20
    for name in loadable:
        got = tensors[f"{name}.{encoding}"]
        assert (got.dtype, got.shape) == (name, (3, 4))
        array = got.load()
        assert array.dtype == values(name).dtype
        assert array.tobytes() == values(name).tobytes(), name


def test_packed_types_text_and_sparse_matrices_are_listed_and_not_read():
    tensors = listed(DATA / "every-type.onnx")
    left = {n: t.dtype for n, t in tensors.items() if t.dtype not in {d for d, _ in onnx._TYPES.values()}}
    packed = ("uint4", "int4", "float4_e2m1fn", "uint2", "int2")
    expected = {f"{n}.{e}": n for e in ("raw", "typed") for n in packed}
    assert left == expected | {"text": "string", "sparse": "sparse", "sk": "sparse"}
    for name in left:
        with pytest.raises(InputError, match=f"every-type.onnx: {name}: .*cannot be read"):
            tensors[name].load()


def test_constants_graphs_in_graphs_functions_and_names_by_use():
    tensors = listed(DATA / "every-type.onnx")
    expected = {
        "empty": np.zeros((0, 4), np.float32),
        "scalar": np.array(2.5, np.float32),
        "k": wave(2, 2),
        "MatMul_7.weight": wave(4, 5),  # was 123
        "124": wave(4, 6),  # two nodes use it
        "block.If.then_branch.w": 2 * wave(3, 2),
        "block.If.then_branch.c": 2 * wave(2, 3),
        "block.If.else_branch.w": 3 * wave(3, 2),
        "block.If.else_branch.c": 3 * wave(2, 3),
        "fn.c": wave(3, 3),
    }
    for name, array in expected.items():
        np.testing.assert_array_equal(tensors[name].load(), array, strict=True)
    types = {n for n in tensors if n.endswith((".raw", ".typed"))}
    assert tensors.keys() - types == expected.keys() | {"text", "sparse", "sk"}


@pytest.mark.parametrize("name", ["torchscript.onnx", "dynamo.onnx"])
def test_both_exporters_of_pytorch(name):
    """MatMul weights are transposed and have lost their names; ONNX has LSTM gates in the order i, o, f, c."""
    tensors = listed(DATA / name)
    ifco = [0, 3, 1, 2]
    expected = {
        "embed.weight": wave(7, 6),
        "fc.weight": wave(5, 6).T,
        "fc.bias": wave(5),
        "lstm.W": wave(16, 5).reshape(4, 4, 5)[ifco].reshape(1, 16, 5),
        "lstm.R": wave(16, 4).reshape(4, 4, 4)[ifco].reshape(1, 16, 4),
        "head.0.weight": wave(3, 4).T,
        "head.0.bias": wave(3),
        "up.weight": wave(1, 2, 2, 2),
        "up.bias": wave(2),
    }
    for tensor_name, array in expected.items():
        np.testing.assert_array_equal(tensors[tensor_name].load(), array, err_msg=tensor_name)
    assert not [
        n for n, t in tensors.items() if n.startswith("onnx::") or (n.startswith("val_") and t.dtype != "float32")
    ]
    kinds = {layer.name: layer.kind for layer in Layers(list(tensors.values()), min_M=3)}
    lstm = {f"lstm.{part}[{gate}]": "lstm" for part in "WR" for gate in "iofc"}
    assert kinds == {"embed.weight": "embedding", "fc.weight": "dense", "head.0.weight": "dense"} | lstm


@pytest.mark.parametrize(
    ("op", "node", "module", "position", "name"),
    [
        ("MatMul", "/encoder/layer.0/query/MatMul", "", 1, "encoder.layer.0.query.weight"),
        ("Gemm", "/lin2/lin2.0/Gemm", "", 2, "lin2.0.bias"),
        ("MatMul", "/MatMul_3", "", 1, "MatMul_3.weight"),
        ("MatMul", "node_MatMul_3", "fc", 0, "fc.weight"),
        ("Mul", "/a/Mul", "", 1, "a.Mul.1"),
        ("Conv", "", "", 1, "Conv.weight"),
    ],
)
def test_names_of_nameless_weights(op, node, module, position, name):
    assert onnx._part(op, node, module, position) == name


def test_two_weights_that_would_have_one_name_keep_theirs(tmp_path):
    nodes = [put(1, b"x") + put(1, n) + put(3, b"/fc/MatMul") + put(4, b"MatMul") for n in (b"1", b"2")]
    (tmp_path / "w").write_bytes(model(tensor("1"), tensor("2"), nodes=nodes))
    assert list(listed(tmp_path / "w")) == ["1", "2"]
    (tmp_path / "w").write_bytes(model(tensor("1"), tensor("fc.weight"), nodes=nodes))
    assert list(listed(tmp_path / "w")) == ["1", "fc.weight"]


def test_numbers_one_by_one_and_packed_in_pieces(tmp_path):
    floats = b"".join(number(4 << 3 | 5) + x.tobytes() for x in wave(6))
    pieces = put(5, number(1) + number(-2)) + put(5, 300) + put(5, b"".join(number(n) for n in (4, 5, 6)))
    (tmp_path / "w").write_bytes(
        model(tensor("floats", rest=floats), tensor("ints", (), 6, put(1, number(2) + number(3)) + pieces))
    )
    got = listed(tmp_path / "w")
    np.testing.assert_array_equal(got["floats"].load(), wave(2, 3))
    np.testing.assert_array_equal(got["ints"].load(), np.array([[1, -2, 300], [4, 5, 6]], np.int32), strict=True)


def test_varints_agree_with_python_integers_over_several_pieces(monkeypatch):
    monkeypatch.setattr(_protobuf, "_PIECE", 16)
    numbers = [0, 1, 127, 128, 2**32, 2**63, 2**64 - 1, -1, *range(0, 10**6, 12345)]
    packed = b"".join(number(n) for n in numbers)
    got = _protobuf.varints(packed, len(numbers), np.dtype(np.int64))
    assert got.tolist() == [_protobuf.signed(n % 2**64) for n in numbers]
    for wrong in (len(numbers) - 1, len(numbers) + 1):
        with pytest.raises(_protobuf.WireError):
            _protobuf.varints(packed, wrong, np.dtype(np.int64))


def test_external_data_of_one_place_share_their_memory(tmp_path):
    data = [pair("location", "d"), pair("offset", "8"), pair("length", "24")]
    one, other = (tensor(n, rest=b"".join(data) + put(14, 1)) for n in "ab")
    (tmp_path / "d").write_bytes(bytes(8) + wave(2, 3).tobytes())
    (tmp_path / "w").write_bytes(model(one, other))
    a, b = listed(tmp_path / "w").values()
    np.testing.assert_array_equal(a.load(), wave(2, 3))
    assert a.memory == b.memory is not None


def pair(key: str, value: str) -> bytes:
    return put(13, put(1, key.encode()) + put(2, value.encode()))


@pytest.mark.parametrize(
    ("location", "says"),
    [
        ("/etc/passwd", "outside its folder"),
        ("../outside", "outside its folder"),
        ("sub/../../outside", "outside its folder"),
        ("C:\\outside", "outside its folder"),
        ("..\\outside", "outside its folder"),
        ("link", "leads out"),
        ("folder-link/outside", "leads out"),
        ("loop", "refers to loop"),
        ("none", "not there"),
        ("", "not there"),
        (".", "not there"),
        ("a\0b", "refers to"),
        ("x" * 3000, "refers to"),
    ],
)
def test_external_data_stay_in_the_folder(tmp_path, location, says):
    (tmp_path / "outside").write_bytes(bytes(24))
    home = tmp_path / "home"
    home.mkdir()
    (home / "link").symlink_to(tmp_path / "outside")
    (home / "folder-link").symlink_to(tmp_path)
    (home / "loop").symlink_to(home / "loop")
    refused(home / "w", model(tensor(rest=pair("location", location) + put(14, 1))), f": w: .*{says}")


def test_links_into_the_cache_that_the_model_itself_is_linked_from_are_followed(tmp_path):
    blobs, snapshot = tmp_path / "blobs", tmp_path / "snapshot"
    blobs.mkdir()
    snapshot.mkdir()
    for name in ("dynamo.onnx", "dynamo.onnx.data"):
        shutil.copy(DATA / name, blobs / name[::-1])
        (snapshot / name).symlink_to(blobs / name[::-1])
    np.testing.assert_array_equal(listed(snapshot / "dynamo.onnx")["lstm.R"].load().shape, (1, 16, 4))


@pytest.mark.parametrize(
    ("pairs", "says"),
    [
        ((("offset", "-1"),), "malformed"),
        ((("offset", "1_0"),), "malformed"),
        ((("offset", "9" * 5000),), "malformed"),
        ((("length", "23"),), "does not fit"),
        ((("offset", "1"),), "truncated: d has 24 bytes, 25"),
        ((("offset", "9" * 18),), "truncated"),
    ],
)
def test_impossible_places_of_external_data(tmp_path, pairs, says):
    (tmp_path / "d").write_bytes(bytes(24))
    rest = pair("location", "d") + b"".join(pair(*p) for p in pairs) + put(14, 1)
    refused(tmp_path / "w", model(tensor(rest=rest)), f": w: .*{says}")


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        (tensor(dims=(2, 4)), "does not fit the 24 bytes"),
        (tensor(dims=(2**20, 2**10)), "does not fit the 24 bytes"),
        (tensor(dims=(-1, 3)), "impossible shape"),
        (tensor(dims=(2**40, 2**40)), "impossible shape"),
        (tensor(dims=(2**40, 0)), "impossible shape"),
        (tensor(dims=(1,) * 65), "does not fit"),
        (tensor(code=99), "type 99"),
        (tensor(code=6, dims=(2,), rest=put(5, b"\x80\x80")), "numbers"),
        (tensor(code=6, dims=(2,), rest=put(5, b"\xff" * 19 + b"\0")), "numbers|10 bytes"),
        (tensor(rest=put(9, bytes(24)) + put(4, bytes(24))), "in fields"),
        (tensor(rest=put(7, bytes(6))), "in fields"),
        (tensor(rest=b""), "does not fit the 0 bytes"),
        (tensor(code=15, rest=b""), "does not fit the 0 bytes"),
        (tensor(rest=b"\x4a\xff\xff\xff\xff\x7f"), "damaged"),
    ],
)
def test_a_damaged_tensor_does_not_take_the_others_with_it(tmp_path, bad, says):
    (tmp_path / "w").write_bytes(model(bad, tensor("good")))
    wrong, good = open_checkpoint(tmp_path / "w").tensors
    assert bool(wrong.unreadable) == (says in ("damaged", "impossible shape"))
    np.testing.assert_array_equal(good.load(), wave(2, 3))
    with pytest.raises(InputError, match=rf"/w: \w+: .*({says})"):
        wrong.load()


def test_graphs_that_nest_without_end(tmp_path):
    graph = put(2, b"g")
    for _ in range(500):
        graph = put(1, put(4, b"If") + put(5, put(1, b"b") + put(6, graph)))
    refused(tmp_path / "w", put(1, 8) + put(7, graph), "nest deeper")


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (model(*[b""] * (onnx.MAX_TENSORS + 1)), "more than 200000 tensors"),
        (model(nodes=[put(1, b"x" * 1000) * 1000] * 70), "bytes of text"),
    ],
)
def test_more_than_any_list_of_contents_is_refused(tmp_path, data, says):
    refused(tmp_path / "w", data, says)


def test_endless_fields_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(_protobuf, "MAX_FIELDS", 1000)
    refused(tmp_path / "w", model(nodes=[put(1, b"") * 1000]), "more than 1000 fields")


@pytest.mark.parametrize(
    "data",
    [
        b"\x08\x08",
        b"\x08\x08\x12\x04onnx",  # no graph
        put(1, 4) + put(2, put(1, b"CoreML")) + put(10, 1),
        put(1, 1) + put(2, put(1, bytes(50)) * 9),  # TensorFlow's SavedModel
        put(1, 0) + put(7, put(2, b"g")),
        put(1, 8) + put(7, put(3, b"g")),
        put(1, 8) + put(7, put(2, 1)),
        put(1, 8) + put(7, b""),
        b"\x08" * 100,
        b"\x3a" + b"\xff" * 30,
    ],
)
def test_other_messages_are_not_taken_for_a_model(tmp_path, data):
    (tmp_path / "w").write_bytes(data)
    with pytest.raises(InputError, match=r"not a weight file|text file"):
        open_checkpoint(tmp_path / "w")


def test_fields_in_any_order_and_unknown_ones_behind_the_graph(tmp_path):
    graph = put(2, b"g") + put(5, tensor())
    (tmp_path / "w").write_bytes(put(8, put(2, 20)) + put(7, graph) + put(1, 8) + put(99, b"new") + put(98, 1))
    np.testing.assert_array_equal(listed(tmp_path / "w")["w"].load(), wave(2, 3))


def test_names_are_printable_and_short(tmp_path):
    (tmp_path / "w").write_bytes(model(tensor("a\nb\x1b[31m" + "x" * 5000)))
    (name,) = listed(tmp_path / "w")
    assert name.startswith("a\\nb\\x1b[31mxx")
    assert len(name) < 1010


@pytest.mark.parametrize("name", ["torchscript.onnx", "every-type.onnx"])
def test_truncated_anywhere_it_is_an_error(tmp_path, name):
    data = (DATA / name).read_bytes()
    for end in range(0, len(data) - 40, 97):  # behind the graph there is only the list of operator sets
        refused(tmp_path / "cut", data[:end], "truncated" if end > 200 else "")
