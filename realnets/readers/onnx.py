"""ONNX models: the initialisers of the graph, of graphs inside it and the tensors of Constant nodes.

The onnx package parses a whole model into memory and so is not used. What a model trains with (training_info) is not
looked at, nor are the small lists that a Constant may hold in other attributes than `value`.

Exporters call a weight that they have transposed or folded onnx::MatMul_121, 121 or val_0. Where one node alone uses
such a tensor it is named after that: by the module the node stands for and the part that the tensor plays there.

Source: onnx.proto and "External Data" of the ONNX project, IR versions 3 to 14; the module of a node is in its name
or in its property pkg.torch.onnx.name_scopes, as PyTorch's two exporters write them.
"""

import math
import re
from collections import Counter
from collections.abc import Hashable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from realnets.readers import _protobuf
from realnets.readers._paths import beside
from realnets.readers._protobuf import BYTES, VARINT, Field, Source, TooLarge, WireError
from realnets.readers.base import MAX_TENSORS, Probe, Tensor, numpy_dtype, unreadable
from rmt.errors import InputError

FORMAT = "ONNX"

_MAX_DEPTH = 32
_MAX_DIMS = 64
_MAX_ATTRIBUTES = 1000
_MAX_RUNS = 1_000_000
_MAX_NUMEL = 2**36
_MAX_ENTRY = 4096  # of external_data: key, path or number

_MODEL_FIELDS = {
    1: VARINT, 2: BYTES, 3: BYTES, 4: BYTES, 5: VARINT, 6: BYTES, 7: BYTES, 8: BYTES, 14: BYTES, 20: BYTES, 25: BYTES,
    26: BYTES,
}  # fmt: skip
_GRAPH_FIELDS = frozenset((1, 2, 5, 10, 11, 12, 13, 14, 15, 16))

_ATTRIBUTES = {5: "t", 6: "g", 11: "graphs", 22: "sparse_tensor"}

_FLOAT_DATA, _INT32_DATA, _INT64_DATA, _RAW_DATA, _DOUBLE_DATA, _UINT64_DATA = 4, 5, 7, 9, 10, 11
_EXTERNAL_DATA, _DATA_LOCATION = 13, 14
_DATA_FIELDS = frozenset((_FLOAT_DATA, _INT32_DATA, _INT64_DATA, _RAW_DATA, _DOUBLE_DATA, _UINT64_DATA))

_TYPES = {
    1: ("float32", _FLOAT_DATA), 2: ("uint8", _INT32_DATA), 3: ("int8", _INT32_DATA), 4: ("uint16", _INT32_DATA),
    5: ("int16", _INT32_DATA), 6: ("int32", _INT32_DATA), 7: ("int64", _INT64_DATA), 9: ("bool", _INT32_DATA),
    10: ("float16", _INT32_DATA), 11: ("float64", _DOUBLE_DATA), 12: ("uint32", _UINT64_DATA),
    13: ("uint64", _UINT64_DATA), 14: ("complex64", _FLOAT_DATA), 15: ("complex128", _DOUBLE_DATA),
    16: ("bfloat16", _INT32_DATA), 17: ("float8_e4m3fn", _INT32_DATA), 18: ("float8_e4m3fnuz", _INT32_DATA),
    19: ("float8_e5m2", _INT32_DATA), 20: ("float8_e5m2fnuz", _INT32_DATA), 24: ("float8_e8m0fnu", _INT32_DATA),
}  # fmt: skip
_UNREADABLE = {
    0: "undefined", 8: "string", 21: "uint4", 22: "int4", 23: "float4_e2m1fn", 25: "uint2", 26: "int2",
    27: "float6_e2m3fn", 28: "float6_e3m2fn",
}  # fmt: skip

_ANONYMOUS = re.compile(r"(onnx::.*|val_\d+|\d+)$")
_SCOPES = "pkg.torch.onnx.name_scopes"
_RECURRENT = {1: "W", 2: "R", 3: "B"}
_PARTS = {
    "MatMul": {0: "weight", 1: "weight"},
    "Gemm": {1: "weight", 2: "bias"},
    "Conv": {1: "weight", 2: "bias"},
    "ConvTranspose": {1: "weight", 2: "bias"},
    "Gather": {0: "weight"},
    "LSTM": _RECURRENT,
    "GRU": _RECURRENT,
    "RNN": _RECURRENT,
}


def recognises(probe: Probe) -> bool:
    """The fields of a ModelProto, of the right types, up to a version and a graph that begins like a GraphProto."""
    number, wire = (probe.head[0] >> 3, probe.head[0] & 7) if probe.head else (0, 0)
    if _MODEL_FIELDS.get(number) != wire:
        return False
    try:
        with probe.path.open("rb") as file:
            return _is_model(Source(file, 2**62), probe.size)  # a graph that was cut short is a graph still
    except WireError:
        return False
    except OSError as error:
        raise InputError(f"{probe.path}: cannot be read ({error.strerror or error})") from error


def _is_model(source: Source, size: int) -> bool:
    versioned = graph = False
    for count, item in enumerate(source.fields(0, source.size)):
        if _MODEL_FIELDS.get(item.number) != item.wire or count > MAX_TENSORS:
            return False
        if item.number == 1:
            if versioned or not 0 < item.value < 256:
                return False
            versioned = True
        elif item.number == 7:
            first = next(source.message(item), None)
            if first is None or first.number not in _GRAPH_FIELDS or first.wire != BYTES:
                return False
            graph = True
        elif item.end > size:
            return False
        if versioned and graph:
            return True
    return False


def tensors(path: Path) -> list[Tensor]:
    """Every initialiser and Constant, in the order of the file; a graph is walked by offsets, past the weights."""
    try:
        with path.open("rb") as file:
            size = path.stat().st_size
            walk = _Walk(Source(file, size))
            walk.model(size)
    except WireError as error:
        raise InputError(f"{path}: damaged ONNX model ({error})") from error
    return [_tensor(path, entry) for entry in walk.named()]


@dataclass(frozen=True)
class _Entry:
    """A TensorProto: what it says of itself, and where it lies in the file."""

    name: str
    dtype: str = ""
    shape: tuple[int, ...] = ()
    code: int = 0
    field: Field | None = None
    external: tuple[tuple[str, str], ...] | None = None
    fault: str = ""


@dataclass
class _Scope:
    """Tensors that share one space of names, and what uses the anonymous ones of it: None for several nodes."""

    entries: list[tuple[str, _Entry]] = field(default_factory=list)
    uses: dict[str, str | None] = field(default_factory=dict)


class _Walk:
    """Collects the tensors of a model, scope by scope: the graph with those in it, then every function."""

    def __init__(self, source: Source):
        self._source = source
        self._scopes = [_Scope()]
        self._count = 0

    def model(self, size: int) -> None:
        for item in self._source.fields(0, size):
            if item.number == 7:
                self._graph(item, "", 0, self._scopes[0])
            elif item.number == 25:
                self._function(item)

    def named(self) -> list[_Entry]:
        """The entries, those without a name of their own named by use, unless two would have one name."""
        given = [
            (prefix, entry, scope.uses.get(entry.name)) for scope in self._scopes for prefix, entry in scope.entries
        ]
        own = [f"{prefix}{entry.name}" for prefix, entry, _ in given]
        wanted = [f"{prefix}{use}" if use else name for (prefix, _, use), name in zip(given, own, strict=True)]
        taken, count = set(own), Counter(wanted)
        return [
            replace(entry, name=want if count[want] == 1 and want not in taken else name)
            for (_, entry, _), want, name in zip(given, wanted, own, strict=True)
        ]

    def _add(self, scope: _Scope, prefix: str, tensor: Field, sparse: bool = False, name: str = "") -> None:
        """Lists a tensor, under `name` if that is not empty; where it is damaged, the others are read all the same."""
        self._count += 1
        if self._count > MAX_TENSORS:
            raise TooLarge(f"holds more than {MAX_TENSORS} tensors")
        try:
            entry = self._sparse(tensor) if sparse else self._dense(tensor)
        except TooLarge:
            raise
        except WireError:
            entry = _Entry(f"tensor_{self._count}", fault="is damaged")
        scope.entries.append((prefix, replace(entry, name=name or entry.name)))

    def _function(self, function: Field) -> None:
        names = {f.number: self._source.text(f) for f in self._source.message(function) if f.number == 1}
        self._scopes.append(_Scope())
        self._nodes(function, 7, f"{names.get(1) or 'function'}.", 0, self._scopes[-1])

    def _graph(self, graph: Field, prefix: str, depth: int, scope: _Scope) -> None:
        if graph.wire != BYTES or depth > _MAX_DEPTH:
            raise WireError(f"malformed: graphs nest deeper than {_MAX_DEPTH}" if depth else "malformed: its graph")
        for item in self._source.message(graph):
            if item.number == 5:
                self._add(scope, prefix, item)
            elif item.number == 15:
                self._add(scope, prefix, item, sparse=True)
        self._nodes(graph, 1, prefix, depth, scope)

    def _nodes(self, parent: Field, number: int, prefix: str, depth: int, scope: _Scope) -> None:
        for item in self._source.message(parent):
            if item.number == number:
                self._node(item, prefix, depth, scope)

    def _node(self, node: Field, prefix: str, depth: int, scope: _Scope) -> None:
        name = op = module = output = ""
        position, anonymous, attributes = -1, [], []
        for item in self._source.message(node):
            if item.number == 1:
                position += 1
                text = self._source.text(item)
                if _ANONYMOUS.match(text) and len(scope.uses) + len(anonymous) < MAX_TENSORS:
                    anonymous.append((text, position))
            elif item.number == 2:
                output = output or self._source.text(item)
            elif item.number == 3:
                name = self._source.text(item)
            elif item.number == 4:
                op = self._source.text(item)
            elif item.number == 5:
                attributes.append(item)
                if len(attributes) > _MAX_ATTRIBUTES:
                    raise WireError(f"malformed: a node with over {_MAX_ATTRIBUTES} attributes")
            elif item.number == 9:
                module = self._module(item) or module
        for text, position in anonymous:
            scope.uses[text] = None if text in scope.uses else _part(op, name or output, module, position)
        label = name.strip("/").replace("/", ".") or output or op
        inner = f"{prefix}{label}."[-_protobuf.MAX_NAME :]
        for item in attributes:
            for kind, path, part in self._attribute(item):
                if kind in ("g", "graphs"):
                    self._graph(part, f"{inner}{path}.", depth + 1, scope)
                elif op == "Constant" and (kind, path) in (("t", "value"), ("sparse_tensor", "sparse_value")):
                    self._add(scope, prefix, part, sparse=kind == "sparse_tensor", name=output)

    def _module(self, item: Field) -> str:
        """The module a node stands for, from a property such as "['', 'lin2', 'lin2.0', 'linear_2']"."""
        key, value = self._pair(item)
        scopes = re.findall(r"'([^']*)'", value) if key == _SCOPES else []
        return scopes[-2] if len(scopes) > 1 else ""

    def _attribute(self, attribute: Field) -> list[tuple[str, str, Field]]:
        """(kind, the attribute's name, where it lies) of every tensor and graph of an attribute."""
        name, found = "", []
        for part in self._source.message(attribute):
            if part.number == 1:
                name = self._source.text(part)
            elif part.number in _ATTRIBUTES:
                found.append(part)
            if len(found) > MAX_TENSORS:
                raise TooLarge(f"holds more than {MAX_TENSORS} graphs")
        return [(_ATTRIBUTES[p.number], f"{name}.{i}" if p.number == 11 else name, p) for i, p in enumerate(found)]

    def _dense(self, tensor: Field) -> _Entry:
        name, code, shape, external = "", 0, [], False
        pairs: list[tuple[str, str]] = []
        for item in self._source.message(tensor):
            if item.number == 1:
                shape += self._dims(shape, item)
            elif item.number == 2:
                code = item.value
            elif item.number == 8:
                name = self._source.text(item)
            elif item.number == _DATA_LOCATION:
                external = item.value == 1
            elif item.number == _EXTERNAL_DATA and len(pairs) < _MAX_DIMS:
                pairs.append(self._pair(item))
        if min(shape, default=0) < 0 or math.prod(max(n, 1) for n in shape) > _MAX_NUMEL:
            return _Entry(name, fault="has an impossible shape")
        dtype = _TYPES[code][0] if code in _TYPES else _UNREADABLE.get(code, f"type {code} of ONNX")
        return _Entry(name, dtype, tuple(shape), code, tensor, tuple(pairs) if external else None)

    def _sparse(self, tensor: Field) -> _Entry:
        """Name and shape of a SparseTensorProto: its name is that of its values."""
        name, shape = "", []
        for item in self._source.message(tensor):
            if item.number == 1:
                name = self._dense(item).name
            elif item.number == 3:
                shape += self._dims(shape, item)
        return _Entry(name, "sparse", tuple(max(n, 0) for n in shape))

    def _dims(self, before: list[int], item: Field) -> list[int]:
        return self._source.integers(item, _MAX_DIMS - len(before))

    def _pair(self, item: Field) -> tuple[str, str]:
        """The key and the value of a StringStringEntryProto."""
        found = {1: "", 2: ""}
        for part in self._source.message(item):
            if part.number in found:
                found[part.number] = self._source.payload(part, _MAX_ENTRY).decode(errors="replace")
        return found[1], found[2]


def _part(op: str, node: str, module: str, position: int) -> str:
    """What to call an anonymous input of a node: MODULE.weight and the like, NODE.1 where the part has no name.

    The node /encoder/layer.0/query/MatMul is of the module encoder.layer.0.query; a Sequential is named twice,
    /lin2/lin2.0/MatMul.
    """
    *folders, last = [p for p in node.split("/") if p] or [op]
    steps: list[str] = []
    for folder in folders:
        if steps and folder.startswith(f"{steps[-1]}."):
            steps.pop()
        steps.append(folder)
    module = module or ".".join(steps)
    part = _PARTS.get(op, {}).get(position)
    if part is None:
        return f"{module}.{last}.{position}" if module else f"{last}.{position}"
    return f"{module or last}.{part}"


def _tensor(path: Path, entry: _Entry) -> Tensor:
    """The lazy Tensor of an entry."""
    where = f"{path}: {entry.name}"
    if entry.fault:
        return unreadable(entry.name, f"{where}: {entry.fault}")

    def load() -> np.ndarray:
        if entry.field is None or entry.code not in _TYPES:
            raise InputError(f"{where}: elements of type {entry.dtype} cannot be read")
        try:
            if entry.external is not None:
                return _external(path, where, entry)
            with path.open("rb") as file:
                return _inline(Source(file, path.stat().st_size), entry, entry.field)
        except WireError as error:
            raise InputError(f"{where}: {error}") from error
        except (OSError, ValueError) as error:
            if isinstance(error, InputError):
                raise
            raise InputError(f"{where}: cannot be read ({error})") from error

    memory: Hashable = None if entry.external is None else (entry.external, entry.dtype, entry.shape)
    return Tensor(entry.name, entry.shape, entry.dtype, load, memory)


def _inline(source: Source, entry: _Entry, tensor: Field) -> np.ndarray:
    """The elements in raw_data, or in the field of numbers that belongs to the type, packed or one by one.

    Raises:
        WireError: they are not there, or not as many as the shape needs.
    """
    name, number = _TYPES[entry.code]
    dtype, count = numpy_dtype(name), math.prod(entry.shape)
    runs: list[Field] = []
    kinds, nbytes = set(), 0
    for item in source.message(tensor):
        if item.number in _DATA_FIELDS and item.start < item.end:
            kinds.add(item.number)
            nbytes += item.end - item.start
            runs.append(item)
            if len(runs) > _MAX_RUNS:
                raise TooLarge(f"its elements are in over {_MAX_RUNS} pieces; save it again with a recent onnx")
    if len(kinds) > 1 or kinds - {number, _RAW_DATA}:
        raise WireError(f"malformed: elements of type {name} in fields {sorted(kinds)}")
    varints = bool(kinds) and kinds <= {_INT32_DATA, _INT64_DATA, _UINT64_DATA}
    if not (count <= nbytes <= 10 * count if varints else nbytes == count * dtype.itemsize):
        raise WireError(f"shape {entry.shape} of {name} does not fit the {nbytes} bytes of its data")
    data = b"".join(source.read(run.start, run.end - run.start) for run in runs)
    if len(data) != nbytes:
        raise WireError(f"truncated: {nbytes} bytes wanted, {len(data)} found")
    if varints:
        bits = dtype if dtype.kind in "iu" else np.dtype(f"u{dtype.itemsize}")
        return _protobuf.varints(data, count, bits).view(dtype).reshape(entry.shape)
    return _array(data, dtype, entry.shape)


def _external(path: Path, where: str, entry: _Entry) -> np.ndarray:
    """The elements in another file of the folder, or below it."""
    said = dict(entry.external or ())
    dtype = numpy_dtype(entry.dtype)
    needed = math.prod(entry.shape) * dtype.itemsize
    numbers = {key: said.get(key, default) for key, default in (("offset", "0"), ("length", str(needed)))}
    if not all(re.fullmatch(r"[0-9]{1,18}", number) for number in numbers.values()):
        raise InputError(f"{where}: malformed: its external data are at {str(numbers)[:80]}")
    offset, length = int(numbers["offset"]), int(numbers["length"])
    if length != needed:
        raise InputError(f"{where}: shape {entry.shape} does not fit the {length} bytes of its external data")
    other = beside(path, said.get("location", ""), where)
    with other.open("rb") as file:
        if (there := other.stat().st_size) < offset + length:
            raise InputError(f"{where}: truncated: {other.name} has {there} bytes, {offset + length} are needed")
        file.seek(offset)
        return _array(file.read(length), dtype, entry.shape)


def _array(data: bytes, dtype: np.dtype, shape: tuple[int, ...]) -> np.ndarray:
    """An array of little-endian bytes."""
    flat = np.frombuffer(data, dtype.newbyteorder("<"))
    return flat.astype(dtype, copy=False).reshape(shape)
