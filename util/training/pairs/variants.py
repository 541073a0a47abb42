"""Which shorter text is left of a response when its thought is cut behind an attempt at the answer?

`cut_for` says how many attempts a variant keeps, `shortened` makes its text.
Nothing is ever rewritten: a variant is the first attempts followed by the original's own solution.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from util.response import END_SOLUTION, MARKED

if TYPE_CHECKING:  # the module reads answers with the grader, which --help need not wait for
    from util.training.pairs.attempts import Slices

FCS, FCS_PLUS1, FCS_REFLECTION, WHOLE = "fcs", "fcs_plus1", "fcs_reflection", "whole"
JUDGED = "judged"  # no variant: every response with its label, in no pairs
NEXT_LONGER, MARGIN = "next-longer", "margin"
SILC_PAIRINGS = (MARGIN, NEXT_LONGER)
VARIANTS = (FCS, FCS_PLUS1, FCS_REFLECTION, WHOLE)
CUT_VARIANTS = (FCS, FCS_PLUS1, FCS_REFLECTION)


def pairs_file(folder: Path, variant: str) -> Path:
    """Where the pairs of a variant are written."""
    return folder / f"{variant}-conversations.json"


# Why a variant of a problem is not written.
NO_CORRECT, ONE_CORRECT = "no correct sample", "only one correct sample"
ONE_PIECE = "the shortest correct response is a single attempt"
NO_CORRECT_PIECE = "no attempt is correct by itself"
NO_NEXT_PIECE = "nothing follows the first correct attempt"
NO_SECOND_CORRECT = "no second correct attempt"
FULL_TEXT = "equal to the full text"
NOTHING_TO_CUT = (ONE_PIECE, NO_NEXT_PIECE, FULL_TEXT)  # the variant would be the whole response
OTHER_VARIANT = "equal to another variant"
SMALL_MARGIN = "margin too small"
NOT_CORRECT = "not correct under the grader when cut"
OTHER_FORM = "only one of chosen and rejected has a thought"
NO_THOUGHT = "no thought, which the others have"
TOLD_NOT_APART = "thought and solution cannot be told apart"


@dataclass(frozen=True)
class Cut:
    """How many of the first attempts a variant keeps, or why there is no such variant."""

    pieces: int = 0
    why_not: str = ""


def cut_for(variant: str, scores: Sequence[bool | None]) -> Cut:
    """How much of a response with these attempts a variant keeps."""
    if len(scores) < 2:
        return Cut(why_not=ONE_PIECE)
    correct = [number for number, score in enumerate(scores, 1) if score]
    if not correct:
        return Cut(why_not=NO_CORRECT_PIECE)
    keep = correct[0]
    if variant == FCS_PLUS1:
        keep += 1
        if keep > len(scores):
            return Cut(why_not=NO_NEXT_PIECE)
    elif variant == FCS_REFLECTION:
        if len(correct) < 2:
            return Cut(why_not=NO_SECOND_CORRECT)
        keep = correct[1]
    return Cut(why_not=FULL_TEXT) if keep == len(scores) else Cut(keep)


def shortened(slices: Slices, pieces: Sequence[str], keep: int) -> str:
    """The first `keep` attempts, followed by the original's solution and closed like the original."""
    thought = "".join(pieces[:keep]).rstrip()
    return closed(slices.head + thought + slices.bridge + slices.solution + slices.tail, slices.form)


def closed(text: str, form: str) -> str:
    """A text with markers, with the one at its end if a stop string has swallowed it."""
    return f"{text.rstrip()}\n\n{END_SOLUTION}" if form == MARKED and END_SOLUTION not in text else text


def margin(shorter: int, longer: int) -> float:
    """By which share of the longer text the other one is shorter."""
    return 1.0 - shorter / longer if longer > 0 else 0.0


@dataclass(frozen=True)
class Ordered:
    """Which of two samples is preferred, by their numbers."""

    chosen: int
    rejected: int


def silc_pair(
    correct: Sequence[tuple[int, int]],
    incorrect: Sequence[tuple[int, int]],
    *,
    min_margin: float,
    pairing: str = MARGIN,
) -> Ordered | None:
    """An incorrect sample and the next longer correct one, with the largest margin among all such pairs; of
    equal margins the one of more tokens.

    With the pairing NEXT_LONGER, only the shortest incorrect sample is looked at. Samples come as (tokens,
    number).
    """
    longer = sorted(correct)
    best: tuple[tuple[float, int], Ordered] | None = None
    for tokens, number in sorted(incorrect)[: 1 if pairing == NEXT_LONGER else None]:
        at = bisect_right(longer, tokens, key=lambda sample: sample[0])
        if at == len(longer):
            break
        share = margin(tokens, longer[at][0])
        if share >= min_margin and (best is None or (share, tokens) > best[0]):
            best = (share, tokens), Ordered(longer[at][1], number)
    return None if best is None else best[1]
