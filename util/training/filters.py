"""Which correct responses would nobody want to train on?

`FILTERS` are passed in their order; each can be switched off. `length_in_words` is the length of a solution.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from util.response import part, units, wide_characters
from util.training.curation import REPEATED_WORDS, repeated_share
from util.training.thoughts import Answer, times_thought

MIN_SOLUTION_WORDS = 10  # a third of the solutions cut by rule from plain traces were a bare box of 3 words
MAX_REPETITION = 0.3  # of a response's passages; texts that reason stay below 0.1
QUICK_WORDS = 4
MIN_FOREIGN = 2  # letters of a script that the prompt does not use, from which a response mixes languages
MIN_TOLD = 10  # words of thought and solution each, from which their languages can be compared


@dataclass(frozen=True)
class Draft:
    """A response that may become a row."""

    prompt: str
    text: str  # thought and solution, with the marks that it came with
    answer: Answer
    original: str = ""  # as it was generated, where the text was formatted since


@dataclass(frozen=True)
class Limits:
    """What the filters go by."""

    min_solution_words: int = MIN_SOLUTION_WORDS
    max_repetition: float = MAX_REPETITION
    off: frozenset[str] = frozenset()  # names of filters


@dataclass(frozen=True)
class Filter:
    """One reason to leave a response out."""

    stage: str  # what those are that it leaves, in the funnel
    against: str  # why the others are left out
    passes: Callable[[Draft, Limits], bool]


def length_in_words(text: str) -> float:
    """Words of a text; two characters of Chinese, Japanese or Korean count as one word."""
    return len(units(text)) - wide_characters(text) / 2


def _is_long_enough(draft: Draft, limits: Limits) -> bool:
    least = limits.min_solution_words
    return least <= 0 or length_in_words(draft.answer.solution) >= least


def _has_one_pair(draft: Draft, limits: Limits) -> bool:
    """Formatting makes one thought of several."""
    return draft.answer.thoughts <= 1 and times_thought(part(draft.original)) <= 1


def _boxes_agree(draft: Draft, limits: Limits) -> bool:
    """Whether the last box of the thought holds what that of the solution holds, where both have one."""
    if not all("boxed" in text for text in (draft.answer.thought, draft.answer.solution)):
        return True
    from util.grading.maths import same_answer  # takes longer to load than all else
    from util.grading.maths.answers import find_answer, last_box

    thought, solution = draft.answer.thought, draft.answer.solution
    if last_box(thought) == last_box(solution):
        return True
    found = [find_answer(text) for text in (thought, solution)]
    first, second = (None if one is None or one.how != "box" or one.cause else one.text for one in found)
    if first is None or second is None:
        return True
    compared = same_answer(first, second, symbolic=False)
    return compared.equal or compared.tier == "none"  # what only the symbolic engine could tell apart stays


_SCRIPTS = tuple(
    re.compile(f"[{letters}]")
    for letters in (
        r"\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff",  # ideographs
        r"\u3041-\u3096\u30a1-\u30fa\uff66-\uff9d",  # kana
        r"\u1100-\u11ff\u3131-\u318e\uac00-\ud7a3",  # Hangul
        r"\u0400-\u052f",  # Cyrillic
        r"\u0530-\u058f\u10a0-\u10ff",  # Armenian, Georgian
        r"\u05d0-\u05ea",  # Hebrew
        r"\u0620-\u064a\u066e-\u06d3\u0750-\u077f",  # Arabic
        r"\u0900-\u0dff",  # of India
        r"\u0e00-\u0eff",  # Thai, Lao
    )
)
_LATIN_WORD = re.compile(r"(?<![\\A-Za-z])[A-Za-z]{3,}")
_CODE = re.compile(r"```.*?(?:```|\Z)", re.DOTALL)


def _is_in_one_language(draft: Draft, limits: Limits) -> bool:
    """Whether a response keeps to the scripts of its prompt, and its solution to the language of its thought.

    Latin and Greek letters stand in every formula and count for nothing by themselves.
    """
    if draft.text.isascii():
        return True
    for script in _SCRIPTS:
        if len(script.findall(draft.text)) >= MIN_FOREIGN and script.search(draft.prompt) is None:
            return False
    spoken = [_is_wide(text) for text in (draft.answer.thought, draft.answer.solution)]
    return None in spoken or spoken[0] == spoken[1]


def _is_wide(text: str) -> bool | None:
    """Whether a text is Chinese, Japanese or Korean rather than in Latin letters; None: it is too short."""
    prose = _CODE.sub(" ", text)
    latin, wide = len(_LATIN_WORD.findall(prose)), wide_characters(prose) / 2
    return None if latin + wide < MIN_TOLD else wide > latin


def _repeats_little(draft: Draft, limits: Limits) -> bool:
    if limits.max_repetition >= 1:
        return True
    # A passage that was there before begins with a shorter one that was: counted four times as fast.
    words = units(draft.text)
    passages = len(words) - REPEATED_WORDS + 1
    different = len(set(zip(*(words[at:] for at in range(QUICK_WORDS)), strict=False)))
    if len(words) - QUICK_WORDS + 1 - different <= limits.max_repetition * passages:
        return True
    return repeated_share(draft.text) <= limits.max_repetition


def ends_with_its_problem(solution: str) -> bool:
    """Whether no other problem follows the answer: the grader judges what stands in front of it."""
    from util.grading.maths.answers import goes_on

    return not goes_on(solution)


def _is_about_one_problem(draft: Draft, limits: Limits) -> bool:
    return ends_with_its_problem(draft.answer.solution)


SHORT, REPETITION = "short", "repetition"
FILTERS = {  # quick ones first
    SHORT: Filter("with a solution", "solution too short", _is_long_enough),
    "tags": Filter("with one thought", "more than one thought", _has_one_pair),
    "next": Filter("about one problem", "another problem follows the answer", _is_about_one_problem),
    "boxes": Filter("boxes agree", "the boxes of thought and solution differ", _boxes_agree),
    "language": Filter("in one language", "languages are mixed", _is_in_one_language),
    REPETITION: Filter("not repetitive", "too much repetition", _repeats_little),
}
