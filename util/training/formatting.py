"""Where does the thought of a response end and its solution begin?

`format_by_rule` only cuts: every word of the response stays, and so does what a grader reads in it. What no
rule covers may go to a model, and `rewrites` says whether the model's text can stand for the original.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from util.grading.choice import LETTERS, choose
from util.grading.languages import SCRIPTS, SPACED, any_of
from util.grading.maths import same_answer
from util.grading.maths.answers import find_answer
from util.records import Record, ending, may_train
from util.response import (
    MARKED,
    Block,
    Parts,
    blocks,
    join_parts,
    part,
    program,
    programs,
    solution_part,
    split_parts,
    trimmed,
    units,
    without_end_of_turn,
)

MAX_BOXES = 4  # paragraphs with a box at the end of a text that may be one answer
MAX_SOLUTION_WORDS_AFTER_BOX = 60  # more than this after the last box is thought that goes on
DECLARING = frozenset(("box", "answer tag", "####", "declared"))  # signs of an answer that is said to be one
UNCLOSED = "the thought is not closed"


@dataclass(frozen=True)
class Formatted:
    """A response in thought and solution, and the rule that found the border."""

    text: str
    rule: str


@dataclass(frozen=True)
class NotFormatted:
    """Why no rule covers a response; `hopeless` when a model could not format it either."""

    reason: str
    hopeless: bool = False


# What a grader reads in a response: its answer, the letter of an option, its program; "anything" where the
# grader is not known, and all of them have to stay.
GradedBy = Literal["answer", "letter", "program", "anything"]


def format_record(record: Record) -> Formatted | NotFormatted:
    """`format_by_rule` for a sample, with what its run knows of it."""
    sample = record.sample
    return format_by_rule(
        sample.text,
        reasoning=sample.reasoning,
        finish_reason=sample.finish_reason,
        graded_by=graded_by(record),
        choices=record.choices,
    )


def graded_by(record: Record) -> GradedBy:
    """What the grader of a record's task reads; runs store an answer unless it is the tests of a program."""
    if record.choices:
        return "letter"
    return "program" if record.answer is None else "answer"


def format_by_rule(
    text: str,
    *,
    reasoning: str | None = None,
    finish_reason: str = "stop",
    graded_by: GradedBy = "anything",
    choices: Sequence[str] = (),
) -> Formatted | NotFormatted:
    """The response in thought and solution by the first rule that covers it; its verdict stays what it was.

    `reasoning` is a thought that the endpoint returned apart from the text, `choices` the texts of options.
    """
    if not may_train(finish_reason, keep_budget=True):
        return NotFormatted("truncated" if ending(finish_reason).cut_off else finish_reason, hopeless=True)
    parts = part(text)
    apart = part(reasoning or "").without_marks().strip()
    if not apart and not text.strip():
        return NotFormatted("empty", hopeless=True)
    if parts.is_open:
        return NotFormatted(UNCLOSED, hopeless=True)
    found = _by_parts(parts, apart, _AnswerReader(graded_by, tuple(choices)))
    # A model would not see the thought that came apart; without an ending no rewrite could pass the check.
    if isinstance(found, NotFormatted) and (apart or not has_ending(text)):
        return replace(found, hopeless=True)
    return found


def same_ending(original: str, solution: str, *, graded_by: GradedBy = "anything") -> bool:
    """Whether a solution holds the program that a grader would run in the original, and its final answer.

    Where only the answer is graded, programs are a means: the solution may repeat them but hold no other.
    """
    whole = _final_part(original)
    before, after = program(whole), program(solution)
    if before is not None and graded_by in ("program", "anything"):
        if after is None or after.code != before.code:
            return False
        if graded_by == "program":
            return True
    if after is not None and all(after.code != one.code for one in (*blocks(original), *programs(whole))):
        return False
    answer, repeated = find_answer(whole), find_answer(solution)
    if answer is None or repeated is None:
        return answer is repeated and before is not None
    return answer.text == repeated.text or same_answer(answer.text, repeated.text, symbolic=False).equal


def has_ending(original: str) -> bool:
    """Whether there is a final answer or a program that a rewrite could be held to."""
    whole = _final_part(original)
    return bool(programs(whole)) or find_answer(whole) is not None


# --- responses that say where the thought ends ---


@dataclass(frozen=True)
class _AnswerReader:
    """Reads in a text what its grader would."""

    graded_by: GradedBy
    choices: tuple[str, ...]

    def read(self, text: str) -> tuple[str | None, ...]:
        found: list[str | None] = []
        if self.graded_by in ("program", "anything"):
            block = program(text)
            found.append(None if block is None else block.code)
            if self.graded_by == "program" and block is not None:
                return tuple(found)
        if self.graded_by != "letter":
            answer = find_answer(text)
            found.append(None if answer is None else answer.text)
        if self.graded_by == "letter":
            found.append(choose(text, LETTERS[: len(self.choices)], self.choices)[0])
        elif self.graded_by == "anything":
            found += (choose(text, LETTERS[:options])[0] for options in range(2, len(LETTERS) + 1))
        return tuple(found)


def _by_parts(parts: Parts, apart: str, reader: _AnswerReader) -> Formatted | NotFormatted:
    solution = parts.solution or ""
    has_markers = any(mark.form == MARKED for mark in parts.marks)
    if parts.behind:
        return NotFormatted("text after the end of the solution")
    if apart:
        if has_markers:
            return NotFormatted("markers within the text")
        return _joined("separate reasoning", f"{apart}\n\n{parts.thought}", solution)
    if not parts.thought.strip():  # a model that was told not to think
        prefix = "repaired " if has_markers else "no thought, " if parts.marks else ""
        return _by_ending(solution, prefix, reader)
    if parts.form == MARKED:
        is_whole = split_parts(without_end_of_turn(parts.text)) is not None
        return _joined("markers" if is_whole else "repaired markers", parts.thought, solution)
    return _joined(parts.form, parts.thought, solution)


def _joined(rule: str, thought: str, solution: str) -> Formatted | NotFormatted:
    """The two parts between markers, unless one is empty or they hold marks of their own."""
    if not solution.strip():
        return NotFormatted("nothing after the thought")
    if not thought.strip():
        return NotFormatted("nothing before the solution")
    text = join_parts(thought, solution)
    if split_parts(text) is None or solution_part(text) != trimmed(solution):
        return NotFormatted("markers within the text")
    return Formatted(text, rule)


# --- plain traces: the last part is recognisably the solution ---

_HEADING = re.compile(
    r"^[ \t]*(?:#{1,6}[ \t]*|\*\*[ \t]*|\\(?:sub)*section\*?\{)?"
    r"(?:step[ \t]+\d+[ \t]*[:.][ \t]*)?(?:the[ \t]+)?"
    r"(?:final[ \t]+(?:answer|solution|code|result)|(?:(?:complete|python) )?solution|answer|conclusion)"
    r"[ \t]*(?:\*\*[ \t]*:?|\}[ \t]*:?|:[ \t]*\*\*|:|(?=\r?\n))[ \t]*"
    # "## Réponse finale", "**最终答案：**" and its like: a line of its own that some sign makes a heading
    r"|^[ \t]*(?:#{1,6}[ \t]*|\*\*[ \t]*|【)(?:[^\W\d_]+[ \t]+){0,2}"
    rf"(?:(?:{any_of(SPACED, 'answer')})(?:[ \t]+[^\W\d_]+)?"
    rf"|[^\W\d_]{{0,4}}(?:{any_of(SCRIPTS, 'answer')}|解答))"
    r"[ \t]*[:：]?[ \t]*(?:\*\*|】)?[ \t]*[:：]?[ \t]*(?=\r?\n)"
    r"|^[ \t]*(?-i:A):[ \t]*",
    re.IGNORECASE | re.MULTILINE,
)
_HASHES = re.compile(r"^####[ \t]+\S", re.MULTILINE)
_PARAGRAPH = re.compile(r"\n[ \t\r]*\n(?:[ \t\r]*\n)*")


def _by_ending(text: str, rule_prefix: str, reader: _AnswerReader) -> Formatted | NotFormatted:
    """Cut a plain trace before its last part, if a grader reads in that part what it reads in the whole."""
    fenced = list(blocks(text))
    if fenced and not fenced[-1].closed:
        return NotFormatted("a code block is not closed")
    read = reader.read(text)
    for rule, border in _borders(text, fenced):
        if border and text[:border].strip() and reader.read(trimmed(text[border:])) == read:
            found = _joined(rule_prefix + rule, text[:border], text[border:])
            if isinstance(found, Formatted):
                return found
    if not has_ending(text):
        return NotFormatted("no final answer and no program", hopeless=True)
    block = program(text)
    if block is not None and not text[: block.begin].strip():
        return NotFormatted("no thought before the program", hopeless=True)
    return NotFormatted("no part of the text is recognisably the solution")


def _borders(text: str, fenced: list[Block]) -> Iterator[tuple[str, int | None]]:
    """Each rule with where the solution would begin by it; one is looked at when those before it fail."""
    yield "final heading", _last_heading(text, fenced)
    for begin in _box_paragraphs(text, fenced):
        yield "last box", begin
    yield "last code block", _code_paragraph(text, fenced)
    yield "declared answer", _declaring_paragraph(text)


def _last_heading(text: str, fenced: list[Block]) -> int | None:
    """Where the last heading of a solution begins, outside of code.

    What is longer than all before it is not the result of a thought: such a heading opens the work itself.
    """
    starts = [match.start() for pattern in (_HEADING, _HASHES) for match in pattern.finditer(text)]
    start = max(_outside(starts, fenced), default=None)
    if start is None or len(units(text[start:])) > len(units(text[:start])):
        return None
    return start


def _box_paragraphs(text: str, fenced: list[Block]) -> Iterator[int]:
    r"""Where the paragraph of the last box begins, if hardly anything follows that box; then those of the
    boxes shortly before, as an answer may have several.

    A formula that stands alone takes the sentence that announces it along. Where the text is a single
    paragraph, it is the line of the box.
    """
    end = len(text)
    for _ in range(MAX_BOXES):
        box = max(text.rfind("\\boxed", 0, end), text.rfind("\\fbox", 0, end))
        if box < 0 or len(units(text[box:])) > MAX_SOLUTION_WORDS_AFTER_BOX:
            return
        starts = _paragraphs(text, box, fenced)
        begin = starts[-1]
        if text[begin:box].lstrip().startswith(("\\[", "$$", "\\begin")) and len(starts) > 2:
            if len(units(text[starts[-2] : begin])) <= MAX_SOLUTION_WORDS_AFTER_BOX:
                begin = starts[-2]
        yield begin or text.rfind("\n", 0, box) + 1
        end = begin


def _code_paragraph(text: str, fenced: list[Block]) -> int | None:
    """Where the program begins, with the paragraph before it if that is all prose."""
    block = program(text)
    if block is None:
        return None
    starts = _paragraphs(text, block.begin, fenced)
    begin = starts[-1]
    if begin == block.begin and len(starts) > 1:
        begin = starts[-2]
    announcing = text[begin : block.begin]
    if any(begin <= other.begin < block.begin for other in fenced) or not text[:begin].strip():
        return block.begin
    return block.begin if len(units(announcing)) > MAX_SOLUTION_WORDS_AFTER_BOX else begin


def _paragraphs(text: str, end: int, fenced: list[Block]) -> list[int]:
    """Where paragraphs begin, up to `end`: behind blank lines that are not in code, and behind code."""
    starts = _outside((match.end() for match in _PARAGRAPH.finditer(text, 0, end)), fenced)
    behind_code = (block.end + 1 for block in fenced if block.end < end)
    return sorted({0, *starts, *behind_code})


def _outside(places: Iterable[int], fenced: list[Block]) -> list[int]:
    """Those of the places that are not in code."""
    begins = [block.begin for block in fenced]

    def is_outside(at: int) -> bool:
        number = bisect_left(begins, at) - 1
        return number < 0 or at >= fenced[number].end

    return [at for at in places if is_outside(at)]


def _declaring_paragraph(text: str) -> int | None:
    """Where the last paragraph, or else the last line, begins if it declares the answer, in any language."""
    ends = [match.end() for match in _PARAGRAPH.finditer(text.rstrip())]
    ends.append(text.rstrip().rfind("\n") + 1)
    for begin in sorted(set(ends), reverse=True)[:2]:
        found = find_answer(text[begin:])
        if found is not None and found.how in DECLARING and found.how != "box":  # which has a rule of its own
            return begin
    return None


def _final_part(text: str) -> str:
    solution = solution_part(text)
    return text if solution is None else solution
