"""Where does the thought of a response end and its solution begin, and did a rewriting model keep both?

`format_by_rule` only cuts: every word of the response stays. What no rule covers may go to a model, and
`check_rewrite` says whether the model's text can stand for the original.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from util.grading.maths import same_answer
from util.grading.maths.answers import find_answer, last_box, solution_part

BEGIN_THOUGHT, END_THOUGHT = "<|begin_of_thought|>", "<|end_of_thought|>"
BEGIN_SOLUTION, END_SOLUTION = "<|begin_of_solution|>", "<|end_of_solution|>"
MARKERS = (BEGIN_THOUGHT, END_THOUGHT, BEGIN_SOLUTION, END_SOLUTION)
MAX_BOXES = 4  # paragraphs with a box at the end of a text that may be one answer
MAX_SOLUTION_WORDS_AFTER_BOX = 60  # more than this after the last box is thought that goes on
LEAST_IN_THOUGHT = 0.5  # of a plain trace's words, its program aside
MAX_WORDS = 200_000  # of a text whose fidelity is measured; longer ones count as changed


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


def format_by_rule(
    text: str, *, reasoning: str | None = None, finish_reason: str = "stop"
) -> Formatted | NotFormatted:
    """The response in thought and solution by the first rule that covers it.

    `reasoning` is a thought that the endpoint returned apart from the text.
    """
    if finish_reason in ("length", "prompt_too_long"):
        return NotFormatted("truncated", hopeless=True)
    text = _without_end_of_turn(text)
    if reasoning and reasoning.strip():
        found = _formatted("separate reasoning", _without_tags(reasoning), text, text)
        # A model would not see the thought.
        return found if isinstance(found, Formatted) else replace(found, hopeless=True)
    if not text.strip():
        return NotFormatted("empty", hopeless=True)
    found = _by_form(text)
    if isinstance(found, NotFormatted) and not has_ending(text):  # no rewrite of it could pass the check
        return replace(found, hopeless=True)
    return found


def join_parts(thought: str, solution: str) -> str:
    """Thought and solution between the four markers."""
    return (
        f"{BEGIN_THOUGHT}\n\n{thought.strip()}\n\n{END_THOUGHT}\n\n"
        f"{BEGIN_SOLUTION}\n\n{solution.strip()}\n\n{END_SOLUTION}"
    )


def split_parts(text: str) -> tuple[str, str] | None:
    """Thought and solution of a formatted text; None unless all four markers stand once and in order."""
    text = text.strip()
    if any(text.count(marker) != 1 for marker in MARKERS):
        return None
    if not text.startswith(BEGIN_THOUGHT) or not text.endswith(END_SOLUTION):
        return None
    thought, _, rest = text.removeprefix(BEGIN_THOUGHT).removesuffix(END_SOLUTION).partition(END_THOUGHT)
    between, _, solution = rest.partition(BEGIN_SOLUTION)
    thought, solution = thought.strip(), solution.strip()
    return (thought, solution) if thought and solution and not between.strip() else None


def check_rewrite(original: str, rewritten: str, *, min_fidelity: float) -> str | None:
    """What is wrong with a model's rewrite of a response; None when it may stand for it."""
    parts = split_parts(_MARKER_AS_WRITTEN.sub(_tidy_marker, rewritten))
    if parts is None:
        return "the four markers do not stand once each and in order"
    if not same_ending(original, parts[1]):
        return "the solution has another final answer or program"
    thought = _thought_of(original)
    before = words_of(thought if thought is not None else _without_marks(original))
    written, solution = words_of(parts[0]), words_of(parts[1])
    kept = common_words(before, written if thought is not None else written + solution)
    if kept < min_fidelity * len(before):
        return f"only {kept / len(before):.0%} of the words were kept in order"
    in_thought = kept if thought is not None else common_words(before, written)
    if in_thought < min_fidelity * len(written):
        return f"{1 - in_thought / len(written):.0%} of the thought's words are not in the original"
    if thought is None and in_thought < LEAST_IN_THOUGHT * len(words_of(_without_program(original))):
        return "most of the thought stands in the solution"
    if len(solution) > len(words_of(original)):
        return "the solution is longer than the whole original"
    return None


def tidy_rewrite(rewritten: str) -> str:
    """A checked rewrite, set like every other formatted text."""
    parts = split_parts(_MARKER_AS_WRITTEN.sub(_tidy_marker, rewritten))
    assert parts is not None, "only rewrites that passed the check are tidied"
    return join_parts(*parts)


def same_ending(original: str, solution: str) -> bool:
    """Whether a solution ends in the original's program, or else in the original's final answer.

    A box behind the last program is the final answer; then the programs were a means, and the solution may
    repeat them but hold no other.
    """
    whole = _final_part(original)
    program, repeated = _program(whole), _program(solution)
    if program is not None and last_box(whole[program.end :]) is None:
        return repeated is not None and repeated.code == program.code
    if repeated is not None and all(repeated.code != block.code for block in _blocks(original)):
        return False
    before, after = find_answer(whole), find_answer(solution)
    if before is None or after is None:
        return False
    return before.text == after.text or same_answer(before.text, after.text, symbolic=False).equal


def has_ending(original: str) -> bool:
    """Whether there is a final answer or a program that a rewrite could be held to."""
    whole = _final_part(original)
    return _program(whole) is not None or find_answer(whole) is not None


def words_of(text: str) -> list[str]:
    """The words of a text; white space and how it is broken into lines do not matter."""
    return text.split()


def common_words(before: list[str], after: list[str]) -> int:
    """How many words two texts have in common, in order: the length of their longest common subsequence.

    One bit per word of `before` in one large integer, one addition per word of `after` (Hyyro 2004):
    30,000 against 30,000 words take about a tenth of a second.
    """
    if len(before) > MAX_WORDS or len(after) > MAX_WORDS:
        return 0
    places: dict[str, int] = {}
    for number, word in enumerate(before):
        places[word] = places.get(word, 0) | 1 << number
    full = (1 << len(before)) - 1
    row = full
    for word in after:
        hits = row & places.get(word, 0)
        row = (row + hits | row - hits) & full
    return len(before) - row.bit_count()


# --- responses that say where the thought ends ---

_ENDS_OF_TURN = ("<|im_end|>", "<|eot_id|>", "<|endoftext|>", "</s>", "<｜end▁of▁sentence｜>")
_MARKER = re.compile("|".join(map(re.escape, MARKERS)))
_MARKER_AS_WRITTEN = re.compile(r"<\s*\|\s*(begin|end)_of_(thought|solution)\s*\|\s*>", re.IGNORECASE)
_TAG = re.compile(r"<(/?)(?:think|thinking|thought|reasoning)>", re.IGNORECASE)


def _tags(text: str) -> list[re.Match[str]]:
    """The tags around thoughts; one between quotation marks or backticks is spoken of, and no border."""
    quotes = "\"'`"

    def is_quoted(tag: re.Match[str]) -> bool:
        before, behind = text[max(0, tag.start() - 1) : tag.start()], text[tag.end() : tag.end() + 1]
        return bool(before) and bool(behind) and before in quotes and behind in quotes

    return [tag for tag in _TAG.finditer(text) if not is_quoted(tag)]


def _without_tags(text: str, put: str = "") -> str:
    pieces, at = [], 0
    for tag in _tags(text):
        pieces.append(text[at : tag.start()])
        at = tag.end()
    return put.join([*pieces, text[at:]])


def _last_closing_tag(text: str) -> re.Match[str] | None:
    return next((tag for tag in reversed(_tags(text)) if tag[1]), None)


def _without_end_of_turn(text: str) -> str:
    text = text.rstrip()
    while text.endswith(_ENDS_OF_TURN):
        text = text[: text.rindex("<")].rstrip()
    return text


def _by_form(text: str) -> Formatted | NotFormatted:
    if _MARKER.search(text):
        return _by_markers(text)
    if _last_closing_tag(text) or _TAG.match(text.lstrip()):
        return _by_think_tags(text)
    return _by_ending(text, text, "")


def _tidy_marker(found: re.Match[str]) -> str:
    return f"<|{found[1].lower()}_of_{found[2].lower()}|>"


def _by_markers(text: str) -> Formatted | NotFormatted:
    """Repairs markers that are missing or doubled; the last solution is the one that counts."""
    begin = text.rfind(BEGIN_SOLUTION)
    if begin >= 0:
        thought, solution = text[:begin], text[begin + len(BEGIN_SOLUTION) :]
    elif (end := text.rfind(END_THOUGHT)) >= 0:
        thought, solution = text[:end], text[end + len(END_THOUGHT) :]
    else:
        plain = _MARKER.sub("", text)
        return _by_ending(plain, plain, "repaired ")
    solution, _, after = solution.partition(END_SOLUTION)
    if _MARKER.sub("", after).strip() or BEGIN_THOUGHT in solution:
        return NotFormatted("text after the end of the solution")
    solution = _MARKER.sub("", solution)
    if not _MARKER.sub("", thought).strip():
        return _by_ending(solution, solution, "repaired ")
    rule = "markers" if split_parts(text) else "repaired markers"
    return _formatted(rule, _without_tags(_MARKER.sub("", thought)), _without_tags(solution), solution)


def _by_think_tags(text: str) -> Formatted | NotFormatted:
    end = _last_closing_tag(text)
    if end is None:
        return NotFormatted("the thought is not closed", hopeless=True)
    thought, solution = _without_tags(text[: end.start()]), text[end.end() :]
    if _tags(solution):
        return NotFormatted("the thought is not closed", hopeless=True)
    if not thought.strip():  # a model that was told not to think
        return _by_ending(solution, solution, "no thought, ")
    return _formatted("think tags", thought, solution, solution)


# --- plain traces: the last part is recognisably the solution ---

_HEADING = re.compile(
    r"^[ \t]*(?:#{1,6}[ \t]*|\*\*[ \t]*|\\(?:sub)*section\*?\{)?"
    r"(?:step[ \t]+\d+[ \t]*[:.][ \t]*)?(?:the[ \t]+)?"
    r"(?:final[ \t]+(?:answer|solution|code|result)|(?:(?:complete|python) )?solution|answer|conclusion)"
    r"[ \t]*(?:\*\*[ \t]*:?|\}[ \t]*:?|:[ \t]*\*\*|:|(?=\r?\n))[ \t]*"
    r"|^[ \t]*(?-i:A):[ \t]*",
    re.IGNORECASE | re.MULTILINE,
)
_HASHES = re.compile(r"^####[ \t]+\S", re.MULTILINE)
_PARAGRAPH = re.compile(r"\n[ \t\r]*\n\s*")
_DECLARES = re.compile(r"\banswer\s*(?:is|:|=)", re.IGNORECASE)


def _by_ending(text: str, original: str, rule_prefix: str) -> Formatted | NotFormatted:
    """Cut a plain trace before its last part, if that part holds the answer of the whole."""
    blocks = list(_blocks(text))
    if blocks and not blocks[-1].closed:
        return NotFormatted("a code block is not closed")
    for rule, border in (
        ("final heading", _last_heading(text, blocks)),
        *(("last box", begin) for begin in _box_paragraphs(text, blocks)),
        ("last code block", _code_paragraph(text, blocks)),
        ("declared answer", _declaring_paragraph(text)),
    ):
        if border and text[:border].strip():
            found = _formatted(rule_prefix + rule, text[:border], text[border:], original)
            if isinstance(found, Formatted):
                return found
    if not has_ending(text):
        return NotFormatted("no final answer and no program", hopeless=True)
    program = _program(text)
    if program is not None and not text[: program.begin].strip():
        return NotFormatted("no thought before the program", hopeless=True)
    return NotFormatted("no part of the text is recognisably the solution")


def _formatted(rule: str, thought: str, solution: str, original: str) -> Formatted | NotFormatted:
    """The two parts joined, unless one is empty or the solution lost the answer."""
    if not solution.strip():
        return NotFormatted("nothing after the thought")
    if not thought.strip():
        return NotFormatted("nothing before the solution")
    text = join_parts(thought, solution)
    if split_parts(text) is None:
        return NotFormatted("markers within the text")
    if original is not solution and has_ending(original) and not same_ending(original, solution):
        return NotFormatted("the last part has another answer than the whole")
    return Formatted(text, rule)


def _last_heading(text: str, blocks: list[_Block]) -> int | None:
    """Where the last heading of a solution begins, outside of code.

    What is longer than all before it is not the result of a thought: such a heading opens the work itself.
    """
    starts = [match.start() for pattern in (_HEADING, _HASHES) for match in pattern.finditer(text)]
    start = max(_outside(starts, blocks), default=None)
    if start is None or len(words_of(text[start:])) > len(words_of(text[:start])):
        return None
    return start


def _box_paragraphs(text: str, blocks: list[_Block]) -> Iterator[int]:
    r"""Where the paragraph of the last box begins, if hardly anything follows that box; then those of the
    boxes shortly before, as an answer may have several.

    A formula that stands alone takes the sentence that announces it along. Where the text is a single
    paragraph, it is the line of the box.
    """
    end = len(text)
    for _ in range(MAX_BOXES):
        box = max(text.rfind("\\boxed", 0, end), text.rfind("\\fbox", 0, end))
        if box < 0 or len(text[box:].split()) > MAX_SOLUTION_WORDS_AFTER_BOX:
            return
        starts = _paragraphs(text, box, blocks)
        begin = starts[-1]
        if text.startswith(("\\[", "$$", "\\begin"), begin) and len(starts) > 2:
            if len(text[starts[-2] : begin].split()) <= MAX_SOLUTION_WORDS_AFTER_BOX:
                begin = starts[-2]
        yield begin or text.rfind("\n", 0, box) + 1
        end = begin


def _code_paragraph(text: str, blocks: list[_Block]) -> int | None:
    """Where the program begins, with the paragraph before it if that is all prose."""
    program = _program(text)
    if program is None:
        return None
    starts = _paragraphs(text, program.begin, blocks)
    begin = starts[-1]
    if begin == program.begin and len(starts) > 1:
        begin = starts[-2]
    announcing = text[begin : program.begin]
    if any(begin <= block.begin < program.begin for block in blocks) or not text[:begin].strip():
        return program.begin
    return program.begin if len(announcing.split()) > MAX_SOLUTION_WORDS_AFTER_BOX else begin


def _paragraphs(text: str, end: int, blocks: list[_Block]) -> list[int]:
    """Where paragraphs begin, up to `end`: behind blank lines that are not in code, and behind code."""
    starts = _outside((match.end() for match in _PARAGRAPH.finditer(text, 0, end)), blocks)
    behind_code = (block.end + 1 for block in blocks if block.end < end)
    return sorted({0, *starts, *behind_code})


def _outside(places: Iterable[int], blocks: list[_Block]) -> list[int]:
    """Those of the places that are not in code."""
    begins = [block.begin for block in blocks]

    def is_outside(at: int) -> bool:
        number = bisect_left(begins, at) - 1
        return number < 0 or at >= blocks[number].end

    return [at for at in places if is_outside(at)]


def _declaring_paragraph(text: str) -> int | None:
    """Where the last paragraph, or else the last line, begins if it declares the answer."""
    ends = [match.end() for match in _PARAGRAPH.finditer(text.rstrip())]
    ends.append(text.rstrip().rfind("\n") + 1)
    for begin in sorted(set(ends), reverse=True)[:2]:
        if _DECLARES.search(text, begin):
            return begin
    return None


# --- what an original consists of ---


@dataclass(frozen=True)
class _Block:
    """A fenced block: from its first fence to the end of its last one."""

    begin: int
    end: int
    tag: str
    code: str  # without white space at the ends of its lines
    closed: bool


_FENCE = re.compile(r"^[ \t]*(`{3,}|~{3,})([^`\n]*)$", re.MULTILINE)
_PYTHON = re.compile(r"\W*(?:python|pypy|py)[\d.]*\b", re.IGNORECASE)


def _blocks(text: str) -> Iterator[_Block]:
    """The fenced blocks of a text; one that is never closed goes to the end."""
    opening: re.Match[str] | None = None
    if "```" not in text and "~~~" not in text:
        return
    for fence in _FENCE.finditer(text):
        if opening is None:
            opening = fence
        elif not fence[2].strip() and fence[1].startswith(opening[1]):
            yield _block(text, opening, fence.start(), fence.end(), closed=True)
            opening = None
    if opening is not None:
        yield _block(text, opening, len(text), len(text), closed=False)


def _block(text: str, opening: re.Match[str], code_end: int, end: int, *, closed: bool) -> _Block:
    lines = text[opening.end() : code_end].strip("\r\n").split("\n")
    code = "\n".join(line.rstrip() for line in lines)
    return _Block(opening.start(), end, opening[2].strip(), code, closed)


def _program(text: str) -> _Block | None:
    """The block that a grader would run: the last in Python, else the last without a tag, else the last."""
    blocks = [block for block in _blocks(text) if block.code.strip()]
    python = [block for block in blocks if _PYTHON.match(block.tag)]
    untagged = [block for block in blocks if not block.tag]
    return next((found[-1] for found in (python, untagged, blocks) if found), None)


def _without_program(text: str) -> str:
    program = _program(text)
    return text if program is None else text[: program.begin] + text[program.end :]


def _final_part(text: str) -> str:
    part = solution_part(text)
    return text if part is None else part


def _thought_of(text: str) -> str | None:
    """The thought, where the response delimits it; None where it does not."""
    for end in (text.rfind(END_THOUGHT), text.rfind(BEGIN_SOLUTION)):
        if end > 0:
            return _without_marks(text[:end])
    tag = _last_closing_tag(text)
    return _without_marks(text[: tag.start()]) if tag and text[: tag.start()].strip() else None


def _without_marks(text: str) -> str:
    return _without_tags(_MARKER.sub(" ", text), " ")
