"""Where in a file does the last line about each problem or sample begin?

Call `problem_offsets` and `sample_offsets`; `find` looks a digest up. `read_samples` names the sample of each
line.
"""

from __future__ import annotations

import hashlib
import re
from array import array
from bisect import bisect_right
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from util.records import Key
from util.runs.journal import encoded, read_keys
from util.runs.lines import key_of, named

# The first fields of a line as Journal writes them, and in one spelling only: equal samples have equal bytes.
# Lines that begin otherwise (an id beyond ASCII, a temperature of five places) are decoded as a whole.
_PROBLEM_START = re.compile(rb'\{"id": "([ !#-\[\]-~]*)", ')
_SAMPLE_START = re.compile(
    rb'\{"problem_id": "([ !#-\[\]-~]*)", '
    rb'"temperature": (\d{1,3}\.(?:0|\d{0,3}[1-9])), "index": (0|[1-9]\d{0,5}), '
)


class OffsetTable:
    """Offset of the last line about each 64-bit key: 16 bytes a line, where a dict takes 170."""

    def __init__(self) -> None:
        self._keys = array("q")
        self._offsets = array("q")
        self._is_sorted = True

    def __len__(self) -> int:
        return len(self._keys)

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
        self._keys = array("q", map(self._keys.__getitem__, order))
        self._offsets = array("q", map(self._offsets.__getitem__, order))
        self._is_sorted = True


class SampleLine(NamedTuple):
    """A line about a sample, not decoded. A tuple: one is made for each line of a file."""

    offset: int
    key: Key
    digest: int  # as of `key_digest`
    raw: bytes


def problem_offsets(path: Path) -> OffsetTable:
    """Offset of the last line about each problem, by the `hash` of its id."""
    table = OffsetTable()
    for offset, found, _ in read_keys(path, _PROBLEM_START):
        table.add(hash(found["id"] if isinstance(found, dict) else found[1].decode()), offset)
    return table


def sample_offsets(path: Path) -> OffsetTable:
    """Offset of the last line about each sample, by `key_digest`."""
    table = OffsetTable()
    for line in read_samples(path):
        table.add(line.digest, line.offset)
    return table


def read_samples(path: Path) -> Iterator[SampleLine]:
    """Each line of a file in which every line is about a sample."""
    for offset, found, raw in read_keys(path, _SAMPLE_START):
        if isinstance(found, dict):
            key = key_of(found)
            digest = key_digest(*key)
        else:
            problem_id, temperature, index = found.groups()
            key, digest = (problem_id.decode(), float(temperature), int(index)), hash(found[0])
        yield SampleLine(offset, key, digest, raw)


def key_digest(problem_id: str, temperature: float, index: int) -> int:
    """64 bits that name a sample in this process; a million samples collide with a chance of 3e-8."""
    key = problem_id, float(temperature), index
    return hash(encoded(named(key))[:-2] + b", ")  # the bytes with which a line about it begins


def name_digest(*parts: object) -> int:
    """64 bits that name a thing by its parts; the same in every process."""
    data = "\x1f".join(map(str, parts)).encode("utf-8", "backslashreplace")
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "big")
