"""Pickles, read by a machine of our own that builds numbers, texts and lists and calls nothing.

The opcodes are scanned first: known ones only, and so many at most. Then they are followed on a
stack of inert values. What a pickle asks to be called is looked up in a short table of stand-ins;
everything else is refused by name. Dictionaries stay lists of pairs, so that not even a hash of a
value from the file is taken.
"""

from __future__ import annotations

import pickletools
import re
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from pruners.errors import InputError, first_line

MAX_BYTES = 4 * 2**20
MAX_OPCODES = 100_000
MAX_SHOWN = 80
MAX_SCALAR = 4096
_DECIMAL = re.compile(r"[0-9.eE+-]{1,64}")
_DTYPE = re.compile(r"f[248]|[iu][1248]|b1|[US]\d{1,3}")


@dataclass(frozen=True, slots=True)
class Name:
    """A class or function that the file names."""

    module: str
    name: str


class Pairs(list[tuple[Any, Any]]):
    """A dictionary of the file: pairs of key and value in its order."""


@dataclass(slots=True)
class Thing:
    """An instance of a class that is known by name only.

    Attributes:
        name: Its class.
        state: What the file sets it to; empty before.
    """

    name: Name
    state: Pairs = field(default_factory=Pairs)


@dataclass(slots=True)
class _Dtype:
    code: str
    order: str = "<"


def read_pickle(content: bytes) -> Any:
    """Return what a pickle holds: numbers, texts, bytes, lists, `Pairs` and `Thing`.

    Args:
        content: The file.

    Raises:
        InputError: It is empty or too large, is none, or asks for what plain results do not need.
    """
    if not content:
        raise InputError("the pickle is empty: 0 bytes; the program that wrote it was stopped")
    if len(content) > MAX_BYTES:
        raise InputError(f"the pickle has {len(content):,} bytes; {MAX_BYTES:,} are read at most")
    machine = _Machine()
    end = -1
    for code, argument, place in _scanned(content):
        machine.step(code, argument)
        end = place
    if end + 1 != len(content):
        raise InputError("the pickle goes on after its end; one that was written whole does not")
    return machine.result()


def is_pickle(content: bytes) -> bool:
    """Say whether a file begins as pickles of protocol 2 to 5 do, or ends as older ones."""
    first = content[:1]
    return first == b"\x80" or (first in (b"(", b"}", b"]", b"c") and content.endswith(b"."))


def asks_for(content: bytes, name: str) -> bool:
    """Say whether a pickle names a class or function of this name."""
    return any(
        code in _NAMING and str(argument).split(" ")[-1] == name
        for code, argument, _ in _scanned(content)
    )


_NAMING = ("GLOBAL", "SHORT_BINUNICODE")


def _scanned(content: bytes) -> Iterator[tuple[str, Any, int]]:
    """Yield opcodes with their arguments and places, as far as they are known and bounded."""
    try:
        for count, (opcode, argument, place) in enumerate(pickletools.genops(content)):
            if count >= MAX_OPCODES:
                raise InputError(f"the pickle has more than {MAX_OPCODES:,} opcodes")
            if opcode.name not in _STEPS:
                raise InputError(
                    f"the pickle uses the opcode {opcode.name}, which plain results do not need: "
                    "it is not read"
                )
            yield opcode.name, argument, place or 0
    except InputError:
        raise
    except Exception as error:
        # What the standard library raises of bytes that are no pickle is of many kinds.
        raise InputError(f"this is no pickle that can be read: {first_line(error)}") from None


class _Machine:
    """A stack of inert values."""

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}

    def step(self, code: str, argument: Any) -> None:
        """Follow one opcode."""
        try:
            _STEPS[code](self, argument)
        except InputError:
            raise
        except (LookupError, TypeError, ValueError, OverflowError):
            raise InputError(f"the pickle is damaged at {code}") from None

    def result(self) -> Any:
        """Return what is left at the end."""
        if len(self.stack) != 1 or self.marks:
            raise InputError("the pickle is damaged: it ends with something left over")
        return self.stack[0]

    def since_mark(self) -> list[Any]:
        """Take all values above the last mark."""
        place = self.marks.pop()
        found, self.stack[place:] = self.stack[place:], []
        return found

    def top(self, kind: type) -> Any:
        """Return the value on top, of a kind."""
        found = self.stack[-1]
        if type(found) is not kind:
            raise InputError("the pickle is damaged: a container is expected where none is")
        return found

    def take(self, count: int) -> list[Any]:
        """Take so many values."""
        if count > len(self.stack) - (self.marks[-1] if self.marks else 0):
            raise InputError("the pickle is damaged: values are missing")
        found, self.stack[len(self.stack) - count :] = self.stack[len(self.stack) - count :], []
        return found


def _push(machine: _Machine, value: Any) -> None:
    if isinstance(value, int) and value.bit_length() > 64:
        raise InputError("the pickle holds a whole number of more than 64 bits")
    machine.stack.append(value)


def _named(machine: _Machine, module: object, name: object) -> None:
    if not (isinstance(module, str) and isinstance(name, str)):
        raise InputError("the pickle names something by what is no text: it is not read")
    found = Name(module[:MAX_SHOWN], name[:MAX_SHOWN])
    if found not in _CALLS and found not in _CLASSES:
        raise InputError(
            f"the pickle asks for {found.module}.{found.name}, which plain results do not need: it "
            "is not read"
        )
    machine.stack.append(found)


def _global(machine: _Machine, argument: str) -> None:
    module, _, name = argument.partition(" ")
    _named(machine, module, name)


def _stack_global(machine: _Machine, _: Any) -> None:
    _named(machine, *machine.take(2))


def _call(machine: _Machine, _: Any) -> None:
    name, arguments = machine.take(2)
    if not isinstance(name, Name) or name not in _CALLS or not isinstance(arguments, tuple):
        raise InputError("the pickle calls what cannot be called here: it is not read")
    machine.stack.append(_CALLS[name](arguments))


def _instance(machine: _Machine, _: Any) -> None:
    name, arguments = machine.take(2)
    if arguments != ():
        raise InputError("the pickle makes an instance from arguments: it is not read")
    machine.stack.append(_thing(name))


def _build(machine: _Machine, _: Any) -> None:
    (state,) = machine.take(1)
    thing = machine.stack[-1]
    if isinstance(thing, _Dtype) and isinstance(state, tuple) and len(state) > 1:
        thing.order = state[1] if state[1] in ("<", ">") else "<"
    elif isinstance(thing, Thing) and isinstance(state, Pairs):
        thing.state = state
    else:
        raise InputError("the pickle sets the state of what has none here")


def _set_items(machine: _Machine, values: list[Any]) -> None:
    if len(values) % 2:
        raise InputError("the pickle is damaged: a key without a value")
    machine.top(Pairs).extend(zip(values[::2], values[1::2], strict=True))


def _setitem(machine: _Machine, _: Any) -> None:
    values = machine.take(2)
    _set_items(machine, values)


def _setitems(machine: _Machine, _: Any) -> None:
    values = machine.since_mark()
    _set_items(machine, values)


def _dict(machine: _Machine, _: Any) -> None:
    values = machine.since_mark()
    machine.stack.append(Pairs())
    _set_items(machine, values)


def _append(machine: _Machine, _: Any) -> None:
    (value,) = machine.take(1)
    machine.top(list).append(value)


def _appends(machine: _Machine, _: Any) -> None:
    values = machine.since_mark()
    machine.top(list).extend(values)


def _memoize(machine: _Machine, _: Any) -> None:
    machine.memo[len(machine.memo)] = machine.stack[-1]


def _put(machine: _Machine, place: Any) -> None:
    # Programs number what they put one after the other.
    if int(place) > MAX_OPCODES:
        raise InputError(f"the pickle puts a value in place {int(place):,}, of nothing between")
    machine.memo[int(place)] = machine.stack[-1]


def _get(machine: _Machine, place: Any) -> None:
    machine.stack.append(machine.memo[int(place)])


def _constant(value: Any) -> Callable[[_Machine, Any], None]:
    return lambda machine, _: machine.stack.append(value() if callable(value) else value)


def _tuple(count: int) -> Callable[[_Machine, Any], None]:
    return lambda machine, _: machine.stack.append(tuple(machine.take(count)))


def _nothing(machine: _Machine, _: Any) -> None:
    """Do nothing: of framing, and of the end."""


_STEPS: dict[str, Callable[[_Machine, Any], None]] = {
    **dict.fromkeys(("PROTO", "FRAME", "STOP"), _nothing),
    **dict.fromkeys(("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4"), _push),
    **dict.fromkeys(("FLOAT", "BINFLOAT", "STRING", "BINSTRING", "SHORT_BINSTRING"), _push),
    **dict.fromkeys(("BINBYTES", "SHORT_BINBYTES", "UNICODE", "BINUNICODE"), _push),
    "SHORT_BINUNICODE": _push,
    "NONE": _constant(None),
    "NEWTRUE": _constant(True),
    "NEWFALSE": _constant(False),
    "MARK": lambda machine, _: machine.marks.append(len(machine.stack)),
    "EMPTY_LIST": _constant(list),
    "EMPTY_DICT": _constant(Pairs),
    "EMPTY_TUPLE": _tuple(0),
    "TUPLE1": _tuple(1),
    "TUPLE2": _tuple(2),
    "TUPLE3": _tuple(3),
    "TUPLE": lambda machine, _: machine.stack.append(tuple(machine.since_mark())),
    "LIST": lambda machine, _: machine.stack.append(machine.since_mark()),
    "DICT": _dict,
    "APPEND": _append,
    "APPENDS": _appends,
    "SETITEM": _setitem,
    "SETITEMS": _setitems,
    **dict.fromkeys(("PUT", "BINPUT", "LONG_BINPUT"), _put),
    **dict.fromkeys(("GET", "BINGET", "LONG_BINGET"), _get),
    "MEMOIZE": _memoize,
    "GLOBAL": _global,
    "STACK_GLOBAL": _stack_global,
    "REDUCE": _call,
    "NEWOBJ": _instance,
    "BUILD": _build,
}


def shown_kind(value: object) -> str:
    """Return a text of the file, cut; of anything else its kind alone, which takes no time."""
    return repr(value[:MAX_SHOWN]) if isinstance(value, str) else type(value).__name__


def _decimal(arguments: tuple[Any, ...]) -> float:
    (text,) = arguments
    if not isinstance(text, str) or not _DECIMAL.fullmatch(text):
        raise InputError(f"the pickle holds a decimal that is no number: {shown_kind(text)}")
    return float(text)


def _ordered(arguments: tuple[Any, ...]) -> Pairs:
    if arguments:
        raise InputError("the pickle makes an ordered dictionary from arguments: it is not read")
    return Pairs()


def _encode(arguments: tuple[Any, ...]) -> bytes:
    text, encoding = arguments
    if not isinstance(text, str) or encoding != "latin1" or len(text) > MAX_SCALAR:
        raise InputError("the pickle encodes a text otherwise than numbers are")
    return text.encode("latin1")


def _dtype(arguments: tuple[Any, ...]) -> _Dtype:
    code = arguments[0]
    if not isinstance(code, str) or not _DTYPE.fullmatch(code):
        raise InputError(f"the pickle holds numbers of a type that is not read: {shown_kind(code)}")
    return _Dtype(code)


_FORMS = {
    "f2": "e",
    "f4": "f",
    "f8": "d",
    "b1": "?",
    "i1": "b",
    "i2": "h",
    "i4": "i",
    "i8": "q",
    "u1": "B",
    "u2": "H",
    "u4": "I",
    "u8": "Q",
}


def _scalar(arguments: tuple[Any, ...]) -> Any:
    if len(arguments) != 2 or not isinstance(arguments[0], _Dtype):
        raise InputError("the pickle is damaged: a number without its type")
    dtype, raw = arguments
    if not isinstance(raw, str | bytes) or len(raw) > MAX_SCALAR:
        raise InputError("the pickle is damaged: a number that is none")
    raw = raw.encode("latin1") if isinstance(raw, str) else raw
    try:
        if dtype.code[0] == "U":
            return raw.decode(f"utf-32-{'le' if dtype.order == '<' else 'be'}").rstrip("\0")
        if dtype.code[0] == "S":
            return raw.rstrip(b"\0")
        return struct.unpack(dtype.order + _FORMS[dtype.code], raw)[0]
    except (struct.error, UnicodeDecodeError):
        raise InputError("the pickle is damaged: a number of another size than its type") from None


def _thing(name: object) -> Thing:
    # Only names are looked up: the hash of a nested tuple can take for ever.
    if not isinstance(name, Name) or name not in _CLASSES:
        raise InputError("the pickle makes an instance that plain results do not need")
    return Thing(name)


_CLASSES = {
    Name("paddleslim.dygraph.prune.filter_pruner", "Status"),
    Name("builtins", "object"),
    Name("__builtin__", "object"),
}
_CALLS: dict[Name, Callable[[tuple[Any, ...]], Any]] = {
    **{Name(module, "Decimal"): _decimal for module in ("decimal", "_decimal", "_pydecimal")},
    Name("collections", "OrderedDict"): _ordered,
    Name("_codecs", "encode"): _encode,
    Name("numpy", "dtype"): _dtype,
    **{Name(f"numpy.{core}.multiarray", "scalar"): _scalar for core in ("core", "_core")},
    **{
        Name(module, "_reconstructor"): lambda arguments: _thing(arguments[0])
        for module in ("copyreg", "copy_reg")
    },
}
