"""How do values and messages travel between the grader and the processes that run programs?

Used on both sides of the wall: standard library only. Nothing is ever unpickled; a message is two lengths,
a JSON header and raw bytes, and whoever reads it sets the greatest size.
"""

from __future__ import annotations

import json
import os
import struct

LENGTHS = struct.Struct(">II")
CHUNK_BYTES = 1 << 20  # read at a time
HEADER_BYTES = 1 << 20  # greatest JSON header
_BIG = 10**4000  # json refuses to read integers of more than 4300 digits


class BadMessage(Exception):
    """Bytes that are no message; the other side is broken or hostile."""


def pack(header: object, body: bytes = b"") -> bytes:
    text = json.dumps(header).encode()
    return LENGTHS.pack(len(text), len(body)) + text + body


def unpack(buffer: bytearray, most: int) -> tuple[object, bytes] | None:
    """The first message in `buffer`, which is taken out; None while it is incomplete."""
    if len(buffer) < LENGTHS.size:
        return None
    head, body = LENGTHS.unpack_from(buffer)
    if head > HEADER_BYTES or body > most:
        raise BadMessage(f"a message of {head} + {body} bytes")
    end = LENGTHS.size + head + body
    if len(buffer) < end:
        return None
    try:
        header = json.loads(bytes(buffer[LENGTHS.size : LENGTHS.size + head]))
    except (ValueError, RecursionError) as error:
        raise BadMessage(str(error)) from error
    content = bytes(buffer[LENGTHS.size + head : end])
    del buffer[:end]
    return header, content


def write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def read_exactly(descriptor: int, size: int) -> bytearray:
    """The next `size` bytes; raises BadMessage when there are fewer."""
    data = bytearray()
    while len(data) < size:
        more = os.read(descriptor, min(size - len(data), CHUNK_BYTES))
        if not more:
            raise BadMessage(f"{size - len(data)} of {size} bytes are missing")
        data += more
    return data


# --- values of call-based tests ---


def encode(value: object) -> bytes:
    """A value of JSON's types as JSON; raises TypeError for others, RecursionError when nested too deeply."""
    return json.dumps(_plain(value)).encode()


def _plain(value: object) -> object:
    kind = type(value)
    if value is None or kind is str or kind is bool or kind is float:
        return value
    if kind is int:
        return value if -_BIG < value < _BIG else {"x": hex(value)}
    if kind is list or kind is tuple:
        return value if _is_simple(value) else [_plain(part) for part in value]
    if isinstance(value, dict):
        return {"": [[_plain(key), _plain(part)] for key, part in value.items()]}
    # Subclasses lose what they add; numbers of numpy become plain ones.
    for base in (bool, int, float, str, list, tuple):
        if isinstance(value, base):
            return _plain(base(value))
    if kind.__module__ == "numpy" and getattr(value, "shape", None) == ():
        return _plain(value.item())
    raise TypeError(f"a value of type {kind.__name__} was returned")


def _is_simple(values: list | tuple) -> bool:
    """Whether all are small integers or all are strings: most long lists are, and need no look at each."""
    kinds = set(map(type, values))
    return kinds == {str} or (kinds == {int} and -_BIG < min(values) and max(values) < _BIG)


def decode(data: bytes) -> object:
    """What `encode` was given; raises BadMessage for anything that `encode` cannot have written."""
    try:
        return _decoder.decode(data.decode())
    except (ValueError, RecursionError) as error:
        raise BadMessage(str(error)) from error


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


_decoder = json.JSONDecoder(object_pairs_hook=_restored)  # making one takes longer than reading a small value
