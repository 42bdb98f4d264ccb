"""Pickles read as data: an interpreter of the opcodes that only ever builds plain values.

Python's own unpickler imports and calls what a pickle names, and even with every import refused it can be made to
allocate gigabytes (memo indices) or to overflow the C stack (hashing nested tuples). Here a pickle is a list of
opcodes: a name is looked up in a table handed in by the reader, and nothing is imported. A name that is not in the
table can only be the class of an object that the pickle lays out: the object becomes a `Record` of its attributes, and
the class nothing at all. To call such a name, or to name anything of Python's own library, is refused by name.
"""

import io
import pickletools
import sys
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

MAX_WORK = 4_000_000
"""Opcodes plus elements copied, before a pickle is refused: far above any state dict, seconds at most."""


class PickleError(ValueError):
    """The pickle is truncated, malformed, too large, or asks for something that no state dict needs."""


class Ignored:
    """Stands for an object that weights do not need: a device, a NumPy scalar, an argparse namespace."""


@dataclass(frozen=True)
class Unknown:
    """A name that no table has, and nothing more: it is neither looked up nor called."""

    name: str


@dataclass(eq=False)
class Record:
    """An object of an unknown class as the pickle lays it out: attributes, items and arguments, under their names."""

    name: str
    contents: dict[str, Any]


_MARK = object()

_FORBIDDEN = sys.stdlib_module_names | {"__builtin__", "cPickle", "commands", "copy_reg"}  # the last four of Python 2


class Interpreter:
    """Runs one pickle after another from a stream.

    Args:
        names: what the globals a pickle may name stand for: a function of plain values, or a plain value.
        persistent: turns a persistent id (PyTorch's references to storages) into a plain value.
    """

    def __init__(self, names: Mapping[str, Any], persistent: Callable[[Any], Any]):
        self._names = names
        self._persistent = persistent
        self._work = 0

    def load(self, stream: io.BytesIO) -> Any:
        """The value of the next pickle in `stream`, which is left just behind it.

        Raises:
            PickleError: see the class.
        """
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}
        try:
            with warnings.catch_warnings(action="ignore"):  # of odd escapes in text
                return self._run(stream)
        except PickleError:
            raise
        except (ValueError, TypeError, IndexError, KeyError, AttributeError, OverflowError, MemoryError) as error:
            raise PickleError(f"truncated or malformed ({_short(error)})") from error

    def _run(self, stream: io.BytesIO) -> Any:
        for opcode, argument, _ in pickletools.genops(stream):
            self._spend(1)
            if opcode.name == "STOP":
                return self._stack.pop()
            step = _STEPS.get(opcode.name)
            if step is None:
                raise PickleError(f"uses the opcode {opcode.name}, which no state dict needs")
            step(self, argument)
        raise PickleError("truncated")

    def _spend(self, amount: int) -> None:
        self._work += amount
        if self._work > MAX_WORK:
            raise PickleError(f"needs more than {MAX_WORK} steps")

    def _push(self, value: Any) -> None:
        self._stack.append(value)

    def _pop_to_mark(self) -> list[Any]:
        items = []
        while (item := self._stack.pop()) is not _MARK:
            items.append(item)
        self._spend(len(items))
        return items[::-1]

    def _pop_tuple(self, count: int) -> None:
        items = tuple(self._stack[-count:])
        del self._stack[-count:]
        self._push(items)

    def _name(self, name: str) -> None:
        if name not in self._names and name.partition(".")[0] in _FORBIDDEN:
            raise PickleError(_refusal(name))
        self._push(self._names[name] if name in self._names else Unknown(name))

    def _stack_name(self) -> None:
        name, module = self._stack.pop(), self._stack.pop()
        if not (isinstance(name, str) and isinstance(module, str)):
            raise PickleError("names a global by something that is not text")
        self._name(f"{module}.{name}")

    def _call(self) -> None:
        arguments, function = self._stack.pop(), self._stack.pop()
        if isinstance(function, Unknown):
            raise PickleError(_refusal(function.name))
        if not isinstance(arguments, tuple) or not callable(function):
            raise PickleError("calls something that is not a function")
        self._spend(sum(len(a) for a in arguments if isinstance(a, list | tuple | dict)))
        self._push(function(*arguments))

    def _new(self) -> None:
        if not isinstance(self._stack[-2], Unknown):
            return self._call()
        arguments, kind = self._stack.pop(), self._stack.pop()
        self._push(Record(kind.name, {}))
        self._spend(len(arguments))
        self._extend(list(arguments))

    def _build(self) -> None:
        # The state of an OrderedDict is PyTorch's version metadata; the state of other known names is ignored with it.
        state, target = self._stack.pop(), self._stack[-1]
        if isinstance(target, Record):
            # A pair has the slots in its second place; what is neither means something to the class alone.
            pair = isinstance(state, tuple) and len(state) == 2 and all(isinstance(s, dict | None) for s in state)
            for part in state if pair else (state if isinstance(state, dict) else {"state": state},):
                self._spend(len(part or ()))
                target.contents.update(part or ())

    def _set_items(self, items: list[Any]) -> None:
        target = self._stack[-1]
        if isinstance(target, Ignored):
            return
        if isinstance(target, Record):
            target = target.contents
        if not isinstance(target, dict):
            raise PickleError("sets an item of something that is not a dict")
        target.update((_key(k), v) for k, v in zip(items[::2], items[1::2], strict=True))

    def _extend(self, items: list[Any]) -> None:
        target = self._stack[-1]
        if isinstance(target, Ignored):
            return
        if isinstance(target, Record):
            target.contents |= {str(len(target.contents) + i): item for i, item in enumerate(items)}
            return
        if not isinstance(target, list):
            raise PickleError("appends to something that is not a list")
        target.extend(items)


def _key(key: Any) -> str:
    """Dict keys become text: they only name tensors, and hashing text can neither recurse nor be made to collide."""
    if isinstance(key, str):
        return key
    if isinstance(key, int | float | bytes) or key is None:
        return str(key)
    return "?"


def _refusal(name: str) -> str:
    return f"asks for {name[:120]!r}, which no weights need; refused, nothing was run"


def _short(error: BaseException) -> str:
    text = str(error).splitlines()
    return text[0][:120] if text else type(error).__name__


def _pair(vm: Interpreter, append: Callable[[list[Any]], None], count: int) -> None:
    items = vm._stack[-count:]
    del vm._stack[-count:]
    append(items)


_LITERALS = (
    "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT", "STRING", "BINSTRING",
    "SHORT_BINSTRING", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "BINBYTES", "SHORT_BINBYTES",
    "BINBYTES8", "BYTEARRAY8",
)  # fmt: skip

_STEPS: dict[str, Callable[[Interpreter, Any], Any]] = {
    "PROTO": lambda vm, a: None,
    "FRAME": lambda vm, a: None,
    "MARK": lambda vm, a: vm._push(_MARK),
    "POP": lambda vm, a: vm._stack.pop(),
    "POP_MARK": lambda vm, a: vm._pop_to_mark(),
    "DUP": lambda vm, a: vm._push(vm._stack[-1]),
    "NONE": lambda vm, a: vm._push(None),
    "NEWTRUE": lambda vm, a: vm._push(True),
    "NEWFALSE": lambda vm, a: vm._push(False),
    "EMPTY_TUPLE": lambda vm, a: vm._push(()),
    "TUPLE": lambda vm, a: vm._push(tuple(vm._pop_to_mark())),
    "TUPLE1": lambda vm, a: vm._pop_tuple(1),
    "TUPLE2": lambda vm, a: vm._pop_tuple(2),
    "TUPLE3": lambda vm, a: vm._pop_tuple(3),
    "EMPTY_LIST": lambda vm, a: vm._push([]),
    "LIST": lambda vm, a: vm._push(vm._pop_to_mark()),
    "APPEND": lambda vm, a: _pair(vm, vm._extend, 1),
    "APPENDS": lambda vm, a: vm._extend(vm._pop_to_mark()),
    "EMPTY_SET": lambda vm, a: vm._push(Ignored()),
    "ADDITEMS": lambda vm, a: vm._pop_to_mark(),
    "FROZENSET": lambda vm, a: (vm._pop_to_mark(), vm._push(Ignored())),
    "EMPTY_DICT": lambda vm, a: vm._push({}),
    "DICT": lambda vm, a: (items := vm._pop_to_mark(), vm._push({}), vm._set_items(items)),
    "SETITEM": lambda vm, a: _pair(vm, vm._set_items, 2),
    "SETITEMS": lambda vm, a: vm._set_items(vm._pop_to_mark()),
    "GET": lambda vm, a: vm._push(vm._memo[a]),
    "PUT": lambda vm, a: vm._memo.__setitem__(a, vm._stack[-1]),
    "MEMOIZE": lambda vm, a: vm._memo.__setitem__(len(vm._memo), vm._stack[-1]),
    "GLOBAL": lambda vm, a: vm._name(a.replace(" ", ".")),
    "STACK_GLOBAL": lambda vm, a: vm._stack_name(),
    "REDUCE": lambda vm, a: vm._call(),
    "NEWOBJ": lambda vm, a: vm._new(),
    "BUILD": lambda vm, a: vm._build(),
    "PERSID": lambda vm, a: vm._push(vm._persistent(a)),
    "BINPERSID": lambda vm, a: vm._push(vm._persistent(vm._stack.pop())),
    **{name: lambda vm, a: vm._push(a) for name in _LITERALS},
}
_STEPS |= {"BINGET": _STEPS["GET"], "LONG_BINGET": _STEPS["GET"], "BINPUT": _STEPS["PUT"], "LONG_BINPUT": _STEPS["PUT"]}
