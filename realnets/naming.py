"""What a tensor's name and shape say of its part in the network: conventions of PyTorch, Keras and TensorFlow."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

_OPTIMISER_FOLDER = re.compile(r"(optim|opt_state|ada(m|grad|delta|factor)|rmsprop|ftrl|(opt|sgd|nadam|param_states)$)")
_OPTIMISER_LEAF = re.compile(
    r"(exp_(avg|avg_sq|inf)|max_exp_avg_sq|momentum(_buffer)?|velocity|square_avg|grad_avg|acc_delta)$"
)
_NORMALISATION = re.compile(r"(norm|running_(mean|var)|num_batches_tracked|(^|[._/])(ln|bn|gn)(_|\d|[._/]|$))")
_WEIGHT_LEAVES = frozenset(("weight", "w", "kernel", "embeddings", "embedding", "table"))
_NOT_EMBEDDING = re.compile(r"(proj|linear|dense|fc|out|conv)")

_TORCH_RECURRENT = re.compile(
    r"^(?P<head>.*?)(?P<word>weight|w|kernel)_(?P<side>ih|hh)(?P<tail>(_?l?\d+)?(_reverse)?)$"
)
_KERAS_RECURRENT = re.compile(r"^(?P<head>.*?)(?P<word>recurrent_kernel|kernel)$")

_NUMBERS = 16  # in a name, of which its place depends on

_QKV = re.compile(r"(in_proj_weight|(to_|w_?)?qkv(_proj)?|c_attn|w_pack)")

_CODEGEN = re.compile(r"(^|\.)h\.\d+\.attn\.qkv_proj(\.|$)")

_GATES = {
    ("torch", 4): ("lstm", ("i", "f", "g", "o")),
    ("torch", 3): ("gru", ("r", "z", "n")),
    ("keras", 4): ("lstm", ("i", "f", "c", "o")),
    ("keras", 3): ("gru", ("z", "r", "h")),
    ("tensorflow", 4): ("lstm", ("i", "c", "f", "o")),
    ("torch", 1): ("rnn", ("",)),
    ("keras", 1): ("rnn", ("",)),
}


Shapes = Mapping[str, tuple[int, ...]]
"""Shapes of all tensors of a file by their `bare` names: a tensor's neighbours tell what it is."""


@dataclass(frozen=True)
class Split:
    """Gates stacked along one axis of a recurrent kernel, in the framework's order."""

    cell: str
    axis: int
    gates: tuple[str, ...]


def bare(name: str) -> str:
    """The name without TensorFlow's output number: "kernel:0" -> "kernel"."""
    return re.sub(r":\d+$", "", name)


def parts(name: str) -> list[str]:
    """The name's components in lower case: "a.b/c:0" -> ["a", "b", "c"]."""
    return [p for p in re.split(r"[./]", bare(name.lower())) if p]


def shared_folder(names: Sequence[str]) -> str:
    """The longest beginning of all names that ends in a dot or slash."""
    # The least and the greatest name differ where any two do.
    low, high = min(names), max(names)
    same = next((i for i, (a, b) in enumerate(zip(low, high, strict=False)) if a != b), min(len(low), len(high)))
    return low[: max(low.rfind(".", 0, same), low.rfind("/", 0, same)) + 1]


def by_depth(names: Sequence[str]) -> list[int]:
    """Indices of the names in the order of the network, as far as a file tells it: its own order, but numbers in theirs.

    Most safetensors files are sorted by name, and layer.10 comes before layer.2 there. What stands under one beginning of a
    name goes by its number if it has one, by its first appearance otherwise.
    """
    first: dict[str, int] = {}

    def key(name: str) -> list[tuple[int, str]]:
        found, head = [], ""
        for i, word in enumerate(re.split(r"(\d+)", name, maxsplit=_NUMBERS)):  # text and number in turn
            head += word
            digits = word.lstrip("0")
            found.append((len(digits), digits) if i % 2 else (first.setdefault(head, len(first)), ""))
        return found

    keys = [key(name) for name in names]
    return sorted(range(len(names)), key=keys.__getitem__)


def is_optimiser_state(name: str) -> bool:
    """Whether a tensor is a moment or buffer of an optimiser: under an "optim..." or "adam..." key, or an exp_avg.

    TensorFlow's slots are kernel/Adam_1, kernel/.OPTIMIZER_SLOT/opt/m and sgd/kernel_momentum. In a state of optax that was saved
    by itself numbers alone stand before "mu" or "nu" (0.mu.fc.kernel). Under "optimizer.target" T5X has the weights.
    """
    components = parts(name)
    if components[:2] == ["optimizer", "target"]:
        return False
    inner = [p for p in components if not p.isdigit()]
    if len(inner) > 1 and inner[0] in ("mu", "nu") and components[0].isdigit():
        return True
    if any(_OPTIMISER_FOLDER.match(p) for p in components):
        return True
    return bool(components) and _OPTIMISER_LEAF.match(components[-1]) is not None


def is_normalisation(name: str) -> bool:
    """Whether a vector is a gain, shift or running moment of a normalisation layer."""
    return _NORMALISATION.search(name.lower()) is not None


def is_bias_or_mask(name: str) -> bool:
    """Whether an array of two or more dimensions is no weight after all: stacked biases, an attention mask."""
    return parts(name)[-1:] == ["bias"] or "mask" in "".join(parts(name)[-1:])


def is_embedding(name: str) -> bool:
    """Whether a matrix is a table of embeddings, by the component before "weight": ...emb..., wte or wpe."""
    components = [p for p in parts(name) if p not in _WEIGHT_LEAVES] or parts(name)
    if any(leaf in parts(name)[-1:] for leaf in ("embedding", "embeddings")):
        return True
    last = components[-1] if components else ""
    return last in ("wte", "wpe") or ("emb" in last and _NOT_EMBEDDING.search(last) is None)


def has_scale(name: str, shapes: Shapes) -> bool:
    """Whether a tensor is stored quantised, with its scale beside it (weight_scale, weight.absmax)."""
    return any(f"{bare(name)}{suffix}" in shapes for suffix in ("_scale", "_scale_inv", ".scale", ".absmax"))


def recurrent_split(name: str, shapes: Shapes) -> Split | None:
    """How a recurrent kernel splits into gates, or None if the matrix is not one.

    The number of gates is the ratio of the hidden-to-hidden kernel's sides (4 H x H for an LSTM, 3 H x H for a GRU),
    read off the tensor itself or off its partner; an LSTM with a projection (weight_hr) has no such ratio and 4 gates.

    Source: the orders are those of PyTorch (i, f, g, o; r, z, n), Keras (i, f, c, o; z, r, h) and TensorFlow 1
        (i, c, f, o).
    """
    name = bare(name)
    for framework, axis, count in (
        _torch_gates(name, shapes),
        _keras_gates(name, shapes),
        _tensorflow_gates(name, shapes),
    ):
        if (framework, count) in _GATES and shapes[name][axis] % count == 0:
            cell, gates = _GATES[framework, count]
            return Split(cell, axis, gates)
    return None


def onnx_gates(name: str, shapes: Shapes) -> Split | None:
    """How ONNX's recurrent kernels, NODE.W and NODE.R of (directions, gates H, inputs), split; None if it is not one.

    Source: the operators LSTM (i, o, f, c), GRU (z, r, h) and RNN of the ONNX standard.
    """
    hidden = shapes.get(f"{name[:-2]}.R") if name.endswith((".W", ".R")) else None
    if hidden is None or len(hidden) != 3:
        return None
    cells = {4: Split("lstm", 1, ("i", "o", "f", "c")), 3: Split("gru", 1, ("z", "r", "h"))}
    return cells.get(_ratio(hidden[1], hidden[2]))


def fused_parts(name: str, shape: tuple[int, int]) -> tuple[int, tuple[str, ...]]:
    """The axis along which a matrix holds the projections of attention one after the other, and their names; none if it does not.

    Only thirds and halves that are sure: query, key and value are equal and the other side is as long as each (`in_proj_weight`
    of PyTorch, `qkv`, GPT-2's `c_attn`). What is interleaved stays whole, by heads (`query_key_value` of BLOOM, GPT-NeoX and
    Falcon) or by shares of devices (`h.0.attn.qkv_proj` of CodeGen), as does a query beside fewer keys and values.
    """
    components = parts(name)
    near = components[-2:]
    if any(_QKV.fullmatch(p) for p in near) and not _CODEGEN.search(name):
        for axis in (0, 1):
            if shape[axis] == 3 * shape[1 - axis]:
                return axis, ("q", "k", "v")
    if any(p == "gate_up_proj" for p in near) and shape[0] % 2 == 0 and shape[0] > shape[1]:
        return 0, ("gate", "up")
    return 0, ()


def is_heads_kernel(name: str, of: str = "query|key|value|out") -> bool:
    """Whether an array of three axes is a projection of Flax's attention: (inputs, heads, size), or (heads, size, outputs)."""
    components = parts(name)
    attention = any("att" in p for p in components[:-2])
    return attention and components[-1:] == ["kernel"] and re.fullmatch(of, components[-2]) is not None


def is_stack(name: str) -> bool:
    """Whether an array of three axes is a stack of matrices, one for each expert of a mixture."""
    return any(re.search(r"(^|_)(experts?|moe)(_|$)", p) for p in parts(name))


def _torch_gates(name: str, shapes: Shapes) -> tuple[str, int, int]:
    match = _TORCH_RECURRENT.match(name)
    if match is None:
        return "torch", 0, 0
    head, word, tail = match["head"], match["word"], match["tail"]
    if f"{head}{word}_hr{tail}" in shapes:
        return "torch", 0, 4
    hidden = shapes.get(f"{head}{word}_hh{tail}")
    if hidden is None:
        return "torch", 0, 4 if "lstm" in head.lower() else 3 if "gru" in head.lower() else 0
    return "torch", 0, _ratio(hidden[0], hidden[-1])


def _keras_gates(name: str, shapes: Shapes) -> tuple[str, int, int]:
    match = _KERAS_RECURRENT.match(name)
    hidden = shapes.get(f"{match['head']}recurrent_kernel") if match else None
    return "keras", 1, _ratio(hidden[-1], hidden[0]) if hidden else 0


def _tensorflow_gates(name: str, shapes: Shapes) -> tuple[str, int, int]:
    """TensorFlow 1's fused kernel (inputs + H) x 4 H of a cell called ...lstm_cell."""
    components = parts(name)
    fused = len(components) > 1 and components[-1] == "kernel" and components[-2].endswith("lstm_cell")
    return "tensorflow", 1, 4 if fused and f"{name.removesuffix('kernel')}recurrent_kernel" not in shapes else 0


def _ratio(long: int, short: int) -> int:
    return long // short if short and long % short == 0 else 0
