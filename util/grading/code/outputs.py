"""Is what a program printed, or a function returned, what the test expects?

Call `judge_text` for printed output and `judge_value` for the result of a call.
"""

from __future__ import annotations

import json
import math
import re
from decimal import Decimal
from typing import Any

from util.grading.sandbox import wire

ROOM = 1 << 20  # outputs may be this much longer than 16 times the expected one before they are wrong unread
TOLERANCE = 1e-6


def judge_text(output: bytes, expected: str, compare: str) -> tuple[str, str]:
    """("", "") when the output is as expected, else the reason and the first difference."""
    if len(output) > 16 * len(expected) + ROOM:
        return "wrong_output", f"{len(output)} bytes where {len(expected)} are expected"
    text = output.decode("utf-8", "surrogateescape")
    same = same_text if compare == "ordered" else same_text_legacy
    return ("", "") if same(text, expected) else ("wrong_output", _difference(text, expected))


def same_text(output: str, expected: str) -> bool:
    """Line by line, token by token, in order; blank lines count only when the number of lines is equal."""
    ours, theirs = output.strip().split("\n"), expected.strip().split("\n")
    if len(ours) != len(theirs):
        ours, theirs = [x for x in ours if x.strip()], [x for x in theirs if x.strip()]
    return len(ours) == len(theirs) and all(map(_same_line, ours, theirs))


def _same_line(output: str, expected: str) -> bool:
    if output.strip() == expected.strip():
        return True
    ours, theirs = output.split(), expected.split()
    return len(ours) == len(theirs) and all(map(_same_token, ours, theirs))


_NUMBER = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d{1,4})?", re.ASCII)
# 00101 is a string of bits and 12e4 one of hexadecimal digits: they are expected as they stand.
_SPELLED = re.compile(r"[+-]?0\d+|[+-]?\d+[eE]\d+", re.ASCII)
_INTEGER = re.compile(r"[+-]?\d+", re.ASCII)
_PLAIN = re.compile(r"[+-]?(?:0|[1-9]\d*)(?:\.0*)?", re.ASCII)  # an integer, or a float that is one


def _same_token(output: str, expected: str) -> bool:
    if output == expected:
        return True
    if not _NUMBER.fullmatch(output) or not _NUMBER.fullmatch(expected) or _SPELLED.fullmatch(expected):
        return False
    if _INTEGER.fullmatch(expected):
        return _PLAIN.fullmatch(output) is not None and Decimal(output) == Decimal(expected)
    return Decimal(output) == Decimal(expected) or _close(float(output), float(expected))


def _close(output: float, expected: float) -> bool:
    return output == expected or abs(output - expected) <= TOLERANCE * max(1.0, abs(expected))


def same_text_legacy(output: str, expected: str) -> bool:
    """The lenient comparison of older published numbers: the order of lines and of tokens is ignored."""
    ours = [line.split() for line in output.strip().split("\n") if line.strip()]
    theirs = [line.split() for line in expected.strip().split("\n") if line.strip()]
    if ours == theirs:
        return True
    if len(ours) == len(theirs) and all(len(a) == len(b) == 1 for a, b in zip(ours, theirs, strict=True)):
        if all(_legacy_close(a[0], b[0]) for a, b in zip(ours, theirs, strict=True)):
            return True
    return _rounded_sets(ours) == _rounded_sets(theirs)


def _legacy_close(output: str, expected: str) -> bool:
    if not _NUMBER.fullmatch(output) or not _NUMBER.fullmatch(expected):
        return False
    a, b = float(output), float(expected)
    return a == b or abs(a - b) <= 1e-8 + 1e-5 * abs(b)


def _rounded_sets(lines: list[list[str]]) -> set[frozenset]:
    return {
        frozenset(round(float(token), 3) if _NUMBER.fullmatch(token) else token for token in line)
        for line in lines
    }


# --- returned values ---


def judge_value(output: bytes, expected: Any, wrapped: bool, compare: str) -> tuple[str, str]:
    """The same for a result that `wire.encode` wrote; `wrapped`: the value may stand in a list alone."""
    if len(output) > ROOM and len(output) > 16 * len(_shown(expected)) + ROOM:
        return "wrong_output", f"a result of {len(output)} bytes is far longer than the expected one"
    try:
        value = wire.decode(output)
        same = same_value(value, expected)
        if not same and (wrapped or (compare == "legacy" and isinstance(expected, list) and expected)):
            same = same_value(value, expected[0])
        return ("", "") if same else ("wrong_output", _difference(_shown(value), _shown(expected)))
    except (wire.BadMessage, RecursionError) as error:
        return "wrong_output", f"the result cannot be read: {error}"


def _shown(value: object) -> str:
    return wire.encode(value).decode()


def same_value(output: object, expected: object) -> bool:
    """Equal as JSON values; tolerance only where a float is expected; keys as JSON writes them."""
    return output == expected or _alike(output, expected)


def _alike(output: object, expected: object) -> bool:
    if isinstance(expected, list):
        return (
            isinstance(output, list) and len(output) == len(expected) and all(map(_alike, output, expected))
        )
    if isinstance(expected, dict):
        if not isinstance(output, dict) or len(output) != len(expected):
            return False
        ours = {_key(key): value for key, value in output.items()}
        theirs = {_key(key): value for key, value in expected.items()}
        return ours.keys() == theirs.keys() and all(_alike(ours[key], theirs[key]) for key in theirs)
    if isinstance(expected, float) and isinstance(output, int | float):
        if isinstance(output, int) and abs(output) > 10**300:
            return False
        return _close(float(output), expected) or (math.isnan(output) and math.isnan(expected))
    return output == expected


def _key(key: object) -> str:
    if isinstance(key, str):
        return key
    if isinstance(key, int):  # Python writes no number of more than 4,300 digits in decimal
        return str(int(key)) if key.bit_length() < 10_000 else hex(key)
    return json.dumps(key)


def _difference(output: str, expected: str) -> str:
    """The first place where two texts differ, shortened."""
    at = next((i for i, (a, b) in enumerate(zip(output, expected, strict=False)) if a != b), None)
    at = min(len(output), len(expected)) if at is None else at
    begin = max(0, at - 20)
    return f"expected {_excerpt(expected, begin)}, got {_excerpt(output, begin)}"


def _excerpt(text: str, begin: int) -> str:
    cut = text[begin : begin + 60].encode("utf-8", "backslashreplace").decode()
    return ("..." if begin else "") + repr(cut) + ("..." if begin + 60 < len(text) else "")
