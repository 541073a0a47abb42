"""How do values and messages travel between the grader and the processes that run programs?

Requests go by `pack` and `read_request`, results by `frame` and `take_frame`, values by `encode` and
`decode`. Used on both sides of the wall: standard library only. Requests go inward and are marshalled, as
the sender is trusted. What a program's own process sends is data alone: results, and a note about an
exception. How a test ended is said by the zygote, in frames that no program can write. Values are JSON:
nothing from a program is ever unpickled or unmarshalled.
"""

from __future__ import annotations

import collections
import datetime
import decimal
import fractions
import json
import marshal
import os
import re
import struct
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, NoReturn

LENGTH = struct.Struct(">Q")
FRAME = struct.Struct(">BiBII")  # status, number, source, bytes of the note, bytes of the body
NO_MEMORY = "MemoryError"  # the note of a program whose memory was not enough
CHUNK_BYTES = 1 << 20  # read at a time
NOTE_BYTES = 4096  # greatest note
_BIG = 10**4000  # json refuses to read integers of more than 4300 digits

# How a test ended: a frame names one of them by its position.
STATUSES = (
    "ended",
    "exit",  # with its process; the number is the exit status, negative for a signal
    "lost",  # cut short in a test of a call that nobody knows: not the first
    "timeout",
    "too large",
    "not compiled",
    "done",  # all is told
)
ENDED, EXIT, LOST, TIMEOUT, TOO_LARGE, NOT_COMPILED, DONE = range(len(STATUSES))


class BadMessage(Exception):
    """Bytes that are no message; the other side is broken or hostile."""


# --- requests, inwards ---


class Request(NamedTuple):
    """One program on some tests."""

    number: int
    asked: bytes  # what the program's driver reads
    inputs: tuple[bytes, ...] | None  # what the program reads from standard input, if it does
    tests: int
    time_s: float
    problem_s: float
    memory_bytes: int
    output_bytes: int


def pack(request: Any) -> bytes:
    """A request made of tuples, numbers, texts and bytes."""
    data = marshal.dumps(request)
    return LENGTH.pack(len(data)) + data


def read_request(descriptor: int) -> Any:
    """The next request; None when there is none, BadMessage when it is torn off."""
    head = os.read(descriptor, LENGTH.size)
    if not head:
        return None
    (size,) = LENGTH.unpack(head)
    data = bytearray()
    while len(data) < size:
        more = os.read(descriptor, min(size - len(data), CHUNK_BYTES))
        if not more:
            raise BadMessage(f"{size - len(data)} of {size} bytes are missing")
        data += more
    return marshal.loads(data)


def write_all(descriptor: int, data: bytes | bytearray) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


# --- frames, outwards: from a program's process to the zygote, and from there to the grader ---


class Frame(NamedTuple):
    status: int
    number: int
    source: int  # which of the sources is run
    note: bytes
    body: bytes
    end: int  # where in the buffer it ends


def frame(status: int, number: int = 0, source: int = 0, note: bytes = b"", body: bytes = b"") -> bytes:
    return FRAME.pack(status, number, source, len(note), len(body)) + note + body


def take_frame(buffer: bytearray, at: int, most: int) -> Frame | None:
    """The frame at a place of `buffer`; None while it is incomplete."""
    if len(buffer) < at + FRAME.size:
        return None
    status, number, source, note_size, size = FRAME.unpack_from(buffer, at)
    if status >= len(STATUSES) or note_size > NOTE_BYTES or size > most:
        raise BadMessage(f"a frame of the kind {status} with {note_size} + {size} bytes")
    begin = at + FRAME.size
    middle = begin + note_size
    end = middle + size
    if len(buffer) < end:
        return None
    return Frame(status, number, source, bytes(buffer[begin:middle]), bytes(buffer[middle:end]), end)


# --- values of call-based tests ---


def encode(value: object) -> bytes:
    """A value of JSON's types as JSON; raises TypeError for others, RecursionError when nested too deeply."""
    return _to_json(_plain(value)).encode()


def _plain(value: Any) -> Any:
    kind = type(value)
    if value is None or kind is str or kind is bool or kind is float:
        return value
    if kind is int:
        return value if -_BIG < value < _BIG else {"x": hex(value)}
    if kind is list or kind is tuple:
        return value if _is_simple(value) else [_plain(part) for part in value]
    if isinstance(value, dict):
        return {"": [[_plain(key), _plain(part)] for key, part in value.items()]}
    # Subclasses lose what they add; numbers and arrays of numpy become plain ones.
    bases: tuple[type, ...] = (bool, int, float, str, list, tuple)
    for base in bases:
        if isinstance(value, base):
            return _plain(base(value))
    if isinstance(value, deque):
        return _plain(list(value))
    if kind.__module__.partition(".")[0] == "numpy" and hasattr(value, "tolist"):
        plain = value.tolist()
        return _plain(float(plain) if type(plain) is kind else plain)  # longdouble has no plain form
    raise TypeError(f"a value of type {kind.__name__} was returned")


def _is_simple(values: list | tuple) -> bool:
    """Whether all are small integers or all are strings: most long lists are, and need no look at each."""
    kinds = set(map(type, values))
    return kinds == {str} or (kinds == {int} and -_BIG < min(values) and max(values) < _BIG)


def decode(data: bytes) -> Any:
    """What `encode` was given; raises BadMessage for anything that `encode` cannot have written."""
    return _decoded(data, _from_json)


def _decoded(data: bytes, read: Callable[[str, int], tuple[Any, int]]) -> Any:
    try:
        text = data.decode()
        value, end = read(text, 0)
    except (ValueError, RecursionError, StopIteration) as error:
        raise BadMessage(str(error)) from error
    if end != len(text):
        raise BadMessage("more than one value")
    return value


def _restored(pairs: list[tuple[str, object]]) -> object:
    if len(pairs) == 1:
        key, content = pairs[0]
        if key == "x" and isinstance(content, str):
            return int(content, 16)
        if key == "" and isinstance(content, list):
            try:
                return {name: part for name, part in content}
            except (TypeError, ValueError) as error:  # not pairs, or keys that cannot be keys
                raise BadMessage(str(error)) from error
    raise BadMessage("an object that no value is written as")


# Making these takes longer than reading or writing a small value.
_decoder: Any = json.JSONDecoder(object_pairs_hook=_restored)
_from_json = _decoder.scan_once
_to_json = json.JSONEncoder(check_circular=False).encode


# --- values of test programs, whose kind matters ---


class Unfit(BaseException):
    """Tests that hand over, or look into, what cannot leave its process."""


class Foreign:
    """Stands for an object that stayed behind in the process of a program: equal to nothing, and not None."""

    def __init__(self, kind: str) -> None:
        self._kind = kind

    def __repr__(self) -> str:
        return f"<{self._kind}>"

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("__"):
            raise AttributeError(name)
        raise Unfit(f"they use .{name} of an object of the program")

    def __call__(self, *_: object, **__: object) -> NoReturn:
        raise Unfit(f"they call an object of the program ({self._kind})")


FOREIGN = "object"
ARRAY = "array"  # of numpy, and what it holds
_DTYPE = re.compile(r"bool|(?:u?int|float|complex)\d{1,3}")
NAMED = "named"  # a tuple whose parts have names, which compares as a tuple
CHANGED = b'{"changed": '  # begins the result of a call that returned nothing and changed what it was given
_PARTED: dict[str, Any] = {
    "tuple": tuple,
    "set": set,
    "frozenset": frozenset,
    "deque": deque,
    "iterator": iter,
}
# kind -> how a value is written as text, and read
_WORDED: dict[str, tuple[type, Callable[[Any], str], Callable[[str], Any]]] = {
    "complex": (complex, str, complex),
    "bytes": (bytes, bytes.hex, bytes.fromhex),
    "fraction": (fractions.Fraction, str, fractions.Fraction),
    "decimal": (decimal.Decimal, str, decimal.Decimal),
    "datetime": (datetime.datetime, datetime.datetime.isoformat, datetime.datetime.fromisoformat),
    "date": (datetime.date, datetime.date.isoformat, datetime.date.fromisoformat),
}


def encode_exactly(value: object) -> bytes:
    """As `encode`, but tuples, sets and the like stay what they are, and an object becomes a `Foreign`."""
    return _to_json(_exact(value)).encode()


def _exact(value: Any) -> Any:
    if isinstance(value, list):
        return _exact_parts(value)
    if isinstance(value, tuple) and isinstance(names := getattr(type(value), "_fields", None), tuple):
        return {NAMED: [list(names), _exact_parts(list(value))]}
    for kind in ("tuple", "set", "frozenset", "deque"):
        if isinstance(value, _PARTED[kind]):
            return {kind: _exact_parts(list(value))}
    if isinstance(value, dict):
        return {"": [[_exact(key), _exact(part)] for key, part in value.items()]}
    for kind, (one, write, _) in _WORDED.items():
        if isinstance(value, one) and not isinstance(value, float | int):
            return {kind: write(value)}
    if isinstance(value, Iterator):
        return {"iterator": [_exact(part) for part in value]}
    if type(value).__module__ == "builtins" and hasattr(value, "__iter__") and not isinstance(value, str):
        return {"tuple": [_exact(part) for part in value]}  # a range, or the keys of a dict
    if type(value).__module__.partition(".")[0] == "numpy" and hasattr(value, "shape"):
        if value.shape and _DTYPE.fullmatch(str(value.dtype)):
            return {ARRAY: [str(value.dtype), _exact_parts(value.tolist())]}
    try:
        return _plain(value)
    except TypeError:
        return {FOREIGN: type(value).__name__}


def _exact_parts(values: list) -> list:
    if type(values) is list and (_is_simple(values) or set(map(type, values)) == {float}):
        return values
    return [_exact(part) for part in values]


def decode_exactly(data: bytes) -> Any:
    """What `encode_exactly` was given; raises BadMessage for anything that it cannot have written."""
    return _decoded(data, _from_exact_json)


def _restored_exactly(pairs: list[tuple[str, object]]) -> object:
    (kind, content), *others = pairs or [("", None)]
    try:
        if not others and kind in _PARTED and isinstance(content, list):
            return _PARTED[kind](content)
        if not others and kind in _WORDED and isinstance(content, str):
            return _WORDED[kind][2](content)
        if not others and kind == FOREIGN:
            return Foreign(str(content))
        if not others and kind == ARRAY and isinstance(content, list):
            return _array(*content)
        if not others and kind == NAMED and isinstance(content, list):
            names, parts = content
            return collections.namedtuple("Named", names)(*parts)
    except (TypeError, ValueError, ArithmeticError) as error:  # such as parts that cannot be in a set
        raise BadMessage(str(error)) from error
    return _restored(pairs)


def _array(held: str, values: list) -> object:
    import numpy

    if not _DTYPE.fullmatch(held):
        raise ValueError(f"an array of {held}")
    return numpy.array(values, held)


_exact_decoder: Any = json.JSONDecoder(object_pairs_hook=_restored_exactly)
_from_exact_json = _exact_decoder.scan_once
