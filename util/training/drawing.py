"""How much of which source and of which length goes into a training set?

`drawn` takes rows in their seeded order by a `Mix`; `sketch` and `most_different` choose among the answers to
one problem those that differ most.
"""

from __future__ import annotations

import math
import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from util.errors import UserError
from util.response import units

if TYPE_CHECKING:
    from numpy.typing import NDArray

SHINGLE_WORDS = 3
_FACTORS = (0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9)  # odd: each is a permutation


@dataclass(frozen=True)
class Mix:
    """How much is wanted."""

    weights: Mapping[str, float] = field(default_factory=dict)  # source -> how often its rows are taken
    max_rows: int | None = None
    token_budget: int | None = None
    max_per_source: int | None = None
    balance_lengths: bool = False  # whether each class of lengths gets its share, as long as it lasts

    @property
    def takes_all(self) -> bool:
        return not self.weights and (self.max_rows, self.token_budget, self.max_per_source) == (None,) * 3


@dataclass(frozen=True)
class Source:
    """Where rows come from: weights name a source alone, a limit counts that of each task by itself."""

    task: str
    name: str


def drawn(sources: Sequence[Source], tokens: Sequence[int], mix: Mix) -> list[int]:
    """Positions of the rows that are taken, in order; one may be taken several times.

    Raises UserError when a weight names a source that no row is from.
    """
    numbers = Counter(source.name for source in sources)
    unknown = sorted(set(mix.weights) - set(numbers))
    if unknown:
        known = ", ".join(sorted(numbers))
        raise UserError(f"--weights names the source {unknown[0]!r}, and the rows are from: {known}")
    taken: Counter[str] = Counter()
    offered: list[int] = []
    for position, source in enumerate(sources):
        weight = mix.weights.get(source.name, 1.0)
        whole = math.floor(weight)
        is_extra = taken[source.name] < round((weight - whole) * numbers[source.name])
        taken[source.name] += 1
        offered += [position] * (whole + is_extra)
    if mix.balance_lengths:
        offered = _in_turns(offered, tokens)
    kept: list[int] = []
    spent = 0
    from_source: Counter[Source] = Counter()
    for position in offered:
        if mix.max_rows is not None and len(kept) == mix.max_rows:
            break
        source = sources[position]
        if mix.max_per_source is not None and from_source[source] == mix.max_per_source:
            continue
        if mix.token_budget is None or spent + tokens[position] <= mix.token_budget:
            kept.append(position)
            spent += tokens[position]
            from_source[source] += 1
    return sorted(kept)


def _in_turns(offered: list[int], tokens: Sequence[int]) -> list[int]:
    """One row of each class of lengths after the other; a class is twice as long as the one before."""
    met: Counter[int] = Counter()
    turns = []
    for place, position in enumerate(offered):
        length_class = int(tokens[position]).bit_length()
        turns.append((met[length_class], place))
        met[length_class] += 1
    return [offered[place] for _, place in sorted(turns)]


def sketch(text: str) -> int:
    """64 bits of which two texts share the more, the more passages of three words they share."""
    import numpy as np

    hashes = [zlib.crc32(word.encode("utf-8", "backslashreplace")) for word in units(text)] or [0]
    hashes += [0] * (SHINGLE_WORDS - len(hashes))
    words = np.array(hashes, np.uint64)
    count = len(words) - SHINGLE_WORDS + 1
    passages = np.zeros(count, np.uint64)
    for at, factor in enumerate(_FACTORS):
        passages = (passages ^ words[at : at + count]) * np.uint64(factor)
        passages ^= passages >> np.uint64(29)
    bits = np.unpackbits(np.unique(passages).view(np.uint8).reshape(-1, 8), axis=1)
    return int.from_bytes(np.packbits(bits.mean(axis=0) > 0.5).tobytes())


def most_different(sketches: Sequence[int], number: int) -> list[int]:
    """Positions of so many texts, the first one and then always the one least like those taken before."""
    taken = [0]
    near = [(sketches[0] ^ other).bit_count() for other in sketches]
    while len(taken) < min(number, len(sketches)):
        rest = (at for at in range(len(sketches)) if at not in taken)
        best = max(rest, key=lambda at: (near[at], -at))
        taken.append(best)
        near = [min(old, (sketches[best] ^ one).bit_count()) for old, one in zip(near, sketches, strict=True)]
    return taken


def spread_out(order: NDArray[Any], groups: NDArray[Any], sketches: NDArray[Any], number: int) -> list[int]:
    """Of the positions in `order`, those of each group that differ most; the group is that of a position."""
    kept: list[int] = []
    begin = 0
    for end in range(1, len(order) + 1):
        if end == len(order) or groups[order[end]] != groups[order[begin]]:
            members = order[begin:end]
            chosen = most_different([int(sketches[at]) for at in members], number)
            kept += [int(members[at]) for at in sorted(chosen)]
            begin = end
    return kept
