"""Makes data/onnx/ with onnx 1.23.2 and torch 2.13.0: `python tests/realnets/make_onnx_fixtures.py`.

It needs `pip install onnx torch onnxscript`.
"""

from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn
from waves import values, wave

DATA = Path(__file__).parent / "data" / "onnx"

TYPES = {
    "float32": 1, "uint8": 2, "int8": 3, "uint16": 4, "int16": 5, "int32": 6, "int64": 7, "bool": 9, "float16": 10,
    "float64": 11, "uint32": 12, "uint64": 13, "complex64": 14, "complex128": 15, "bfloat16": 16, "float8_e4m3fn": 17,
    "float8_e4m3fnuz": 18, "float8_e5m2": 19, "float8_e5m2fnuz": 20, "uint4": 21, "int4": 22, "float4_e2m1fn": 23,
    "float8_e8m0fnu": 24, "uint2": 25, "int2": 26,
}  # fmt: skip


def typed(name: str, code: int) -> TensorProto:
    """The same in the field of numbers of its type."""
    array = values(name)
    flat = array.astype(array.dtype if array.dtype.kind in "c" else np.float64).ravel()
    exact = array.ravel().tolist() if array.dtype.kind in "biu" else flat.tolist()
    return helper.make_tensor(f"{name}.typed", code, (3, 4), exact, raw=False)


def every_type() -> None:
    """Every type in both encodings, text, a sparse matrix, an empty one, a scalar; a graph in a graph; a function."""
    dense = [numpy_helper.from_array(values(name), f"{name}.raw") for name in TYPES]
    dense += [typed(name, code) for name, code in TYPES.items()]
    dense.append(helper.make_tensor("text", TensorProto.STRING, (2,), [b"a", b"bc"]))
    dense.append(numpy_helper.from_array(np.zeros((0, 4), np.float32), "empty"))
    dense.append(helper.make_tensor("scalar", TensorProto.FLOAT, (), [2.5]))
    dense.append(numpy_helper.from_array(wave(4, 5), "123"))
    dense.append(numpy_helper.from_array(wave(4, 6), "124"))
    some = numpy_helper.from_array(wave(3), "sparse")
    sparse = helper.make_sparse_tensor(some, numpy_helper.from_array(np.array([1, 5, 7])), [4, 5])

    def branch(name: str, scale: float) -> onnx.GraphProto:
        inner = helper.make_node("Constant", [], ["c"], value=numpy_helper.from_array(scale * wave(2, 3)))
        out = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
        held = [numpy_helper.from_array(scale * wave(3, 2), "w")]
        return helper.make_graph([inner, helper.make_node("MatMul", ["c", "w"], ["y"])], name, [], [out], held)

    nodes = [
        helper.make_node("Constant", [], ["k"], name="const", value=numpy_helper.from_array(wave(2, 2))),
        helper.make_node("Constant", [], ["sk"], sparse_value=sparse),
        helper.make_node("Constant", [], ["floats"], value_floats=[1.0, 2.0]),
        helper.make_node("MatMul", ["x", "123"], ["h"], name="MatMul_7"),
        helper.make_node("MatMul", ["x", "124"], ["h2"], name="MatMul_8"),
        helper.make_node("Add", ["124", "124"], ["h3"], name="Add_9"),  # used twice: keeps its name
        helper.make_node(
            "If", ["cond"], ["y"], name="/block/If", then_branch=branch("t", 2), else_branch=branch("e", 3)
        ),
    ]
    inner = helper.make_node("Constant", [], ["c"], value=numpy_helper.from_array(wave(3, 3)))
    function = helper.make_function("local", "fn", [], ["c"], [inner], [helper.make_opsetid("", 20)])
    graph = helper.make_graph(nodes, "g", [], [], dense, sparse_initializer=[sparse])
    model = helper.make_model(graph, functions=[function], producer_name="heavytail-lab")
    (DATA / "every-type.onnx").write_bytes(model.SerializeToString())


class Net(nn.Module):
    """Layers whose weights exporters transpose, fold and rename."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(7, 6)
        self.fc = nn.Linear(6, 5)
        self.lstm = nn.LSTM(5, 4, batch_first=True)
        self.head = nn.Sequential(nn.Linear(4, 3), nn.ReLU())
        self.up = nn.ConvTranspose2d(1, 2, 2)
        for parameter in self.parameters():
            parameter.data = torch.from_numpy(wave(*parameter.shape))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Something of everything."""
        y, _ = self.lstm(torch.relu(self.fc(self.embed(x))))
        return self.up(self.head(y)[:, None])


def exported() -> None:
    """The same network by PyTorch's two exporters, the newer with its weights in a file beside."""
    net, x = Net().eval(), (torch.arange(5)[None],)
    torch.onnx.export(net, x, DATA / "torchscript.onnx", dynamo=False)
    torch.onnx.export(net, x, DATA / "dynamo.onnx", dynamo=True, external_data=True, verbose=False)
    model = onnx.load(DATA / "dynamo.onnx", load_external_data=False)
    for node in model.graph.node:  # stack traces, most of the file
        kept = [p for p in node.metadata_props if p.key == "pkg.torch.onnx.name_scopes"]
        del node.metadata_props[:]
        node.metadata_props.extend(kept)
    (DATA / "dynamo.onnx").write_bytes(model.SerializeToString())


if __name__ == "__main__":
    DATA.mkdir(parents=True, exist_ok=True)
    every_type()
    exported()
