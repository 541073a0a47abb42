"""Where in a file does the last line about each problem or sample begin?

Call `problem_offsets` and `sample_offsets`; `find` looks a digest up.
"""

from __future__ import annotations

import hashlib
import json
import re
from array import array
from bisect import bisect_right
from pathlib import Path

from util.runs.journal import read_keys

# The first fields of a line as Journal writes them; lines written otherwise are decoded as a whole.
_PROBLEM_START = re.compile(rb'\{"id": ("(?:[^"\\]|\\.)*"), ')
_SAMPLE_START = re.compile(
    rb'\{"problem_id": ("(?:[^"\\]|\\.)*"), "temperature": ([-+.\deE]+), "index": (\d+), '
)


class OffsetTable:
    """Offset of the last line about each 64-bit key: 16 bytes a line, where a dict takes 170."""

    def __init__(self) -> None:
        self._keys = array("Q")
        self._offsets = array("q")
        self._is_sorted = True

    def add(self, key: int, offset: int) -> None:
        self._keys.append(key)
        self._offsets.append(offset)
        self._is_sorted = False

    def find(self, key: int) -> int:
        """The offset that was added last for `key`; -1 when there is none."""
        if not self._is_sorted:
            self._sort()
        at = bisect_right(self._keys, key) - 1
        return self._offsets[at] if at >= 0 and self._keys[at] == key else -1

    def _sort(self) -> None:
        order = sorted(range(len(self._keys)), key=self._keys.__getitem__)  # stable: the last line stays last
        self._keys = array("Q", map(self._keys.__getitem__, order))
        self._offsets = array("q", map(self._offsets.__getitem__, order))
        self._is_sorted = True


def problem_offsets(path: Path) -> OffsetTable:
    """Offset of the last line about each problem, by `name_digest` of its id."""
    table = OffsetTable()
    for offset, found in read_keys(path, _PROBLEM_START):
        name = found["id"] if isinstance(found, dict) else json.loads(found[1])
        table.add(name_digest(name), offset)
    return table


def sample_offsets(path: Path) -> OffsetTable:
    """Offset of the last line about each sample, by `key_digest`."""
    table = OffsetTable()
    for offset, found in read_keys(path, _SAMPLE_START):
        if isinstance(found, dict):
            key = (found["problem_id"], found["temperature"], found["index"])
        else:
            key = (json.loads(found[1]), float(found[2]), int(found[3]))
        table.add(key_digest(*key), offset)
    return table


def key_digest(problem_id: str, temperature: float, index: int) -> int:
    """64 bits that name a sample; a collision among a million samples has a chance of 3e-8."""
    return name_digest(f"{index} {float(temperature)} {problem_id}")


def name_digest(*parts: object) -> int:
    """64 bits that name a thing by its parts; the same in every process."""
    data = "\x1f".join(map(str, parts)).encode("utf-8", "backslashreplace")
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "big")
