"""What does a response consist of: a thought, a solution, the marks around them, code between fences?

`part` tells thought and solution apart, `solution_part` is what a grader reads, and `program` is the block of
code that it runs; `before_other_problems` ends a text where it goes on with another problem; `message_text`
and `message_thought` read a message of a chat. Nobody else knows how models mark a thought.
"""

from __future__ import annotations

import ast
import builtins
import itertools
import re
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

BEGIN_THOUGHT, END_THOUGHT = "<|begin_of_thought|>", "<|end_of_thought|>"
BEGIN_SOLUTION, END_SOLUTION = "<|begin_of_solution|>", "<|end_of_solution|>"
MARKERS = (BEGIN_THOUGHT, END_THOUGHT, BEGIN_SOLUTION, END_SOLUTION)
OPEN, CLOSE = "<think>", "</think>"  # of a thought that came without marks
WITH_TAGS, WITH_MARKERS, IN_FIELD, WITHOUT = "think", "markers", "field", "none"
THOUGHT_FORMS = (WITH_TAGS, WITH_MARKERS, IN_FIELD, WITHOUT)  # how training rows hold a thought
MARKED, TAGGED, CHANNELS = "markers", "think tags", "channels"  # forms: which marks a response uses


@dataclass(frozen=True)
class Parts:
    """Where the parts of a response lie in its text."""

    text: str
    form: str  # of the mark before the solution, or of the thought that is open; "": there is no thought
    marks: tuple[Mark, ...]  # in order; those that are only spoken of are none
    border: int  # where the solution begins
    end: int  # where it ends
    is_open: bool  # the last thought is not closed: there is no solution

    @property
    def thought(self) -> str:
        """The text before the solution, or all of it if the thought is open, without marks."""
        return self._without_marks(0, self.end if self.is_open else self.border)

    @property
    def solution(self) -> str | None:
        return None if self.is_open else trimmed(self.text[self.border : self.end])

    @property
    def behind(self) -> str:
        """What stands behind the end of the solution and belongs to no part; mostly nothing."""
        return self._without_marks(self.end, len(without_end_of_turn(self.text))).strip()

    def without_marks(self) -> str:
        return self._without_marks(0, len(self.text))

    def _without_marks(self, begin: int, end: int) -> str:
        """A stretch of the text; a line ends where a mark stood between two words."""
        pieces: list[str] = []
        for mark in self.marks:
            if begin <= mark.begin < end:
                pieces.append(self.text[begin : mark.begin])
                begin = mark.end
        pieces = [piece for piece in (*pieces, self.text[begin:end]) if piece]
        joints = (
            "" if one[-1].isspace() or other[0].isspace() else "\n"
            for one, other in itertools.pairwise(pieces)
        )
        return "".join(itertools.chain.from_iterable(itertools.zip_longest(pieces, joints, fillvalue="")))


def part(text: str) -> Parts:
    """Tell thought and solution apart by the marks that models write.

    The last closing mark ends the thought, whether or not an opening one was written, as templates put that
    into the prompt; where a thought is opened behind it, the last thought is open. A turn of the user
    behind a closed thought, or where none was opened, ends the solution.
    """
    body = without_end_of_turn(_before_next_turn(text))
    end = len(body)
    written = _written_marks(body)
    if not written:
        return Parts(text, "", (), 0, end, False)
    found: list[Mark] = []
    border, form = 0, ""
    open_form: str | None = ""  # "": a template may have opened a thought; None: none can be open
    solution_end: int | None = None
    unclosed: set[str] = set()  # forms of thoughts that their own closing mark has not ended
    code = _Code(body)
    last_closed = {mark.form: mark.begin for mark in written if mark.kind == "close"}
    for mark in written:
        if mark.kind == "message" and open_form != CHANNELS:
            continue
        if solution_end is not None and open_form is None and mark.kind not in ("solution", "end"):
            if mark.form not in unclosed or mark.end >= end:
                continue  # behind the end of the solution
        if mark.kind == "open" and open_form is None and mark.begin > last_closed.get(mark.form, -1):
            if _is_mentioned(body, mark, border):
                continue
        may_close = open_form in ("", mark.form) or mark.form in unclosed
        if code.holds(mark, may_close=may_close) and not (mark.kind == "end" and mark.end >= end):
            continue
        code.leave(mark.end)
        found.append(mark)
        if mark.kind == "open":
            open_form = form = mark.form
            unclosed.add(form)
        elif mark.kind == "end":
            if open_form in (None, "") and solution_end is None:
                solution_end = mark.begin
        else:
            border, form, open_form, solution_end = mark.end, mark.form, None, None
            unclosed.discard(form if mark.kind == "close" else "")
    is_open = bool(open_form)
    if solution_end is not None and not is_open:
        end = solution_end
    return Parts(text, form, tuple(found), border, max(border, end), is_open)


def solution_part(text: str) -> str | None:
    """The text after the thought; all of it where there is no thought; None if the thought is not closed."""
    return part(text).solution


def opened_thought(prompt: str) -> str:
    """The mark with which a prompt opens the thought that the model goes on with, and a line end; or ""."""
    prompt = prompt.rstrip()
    marks = _written_marks(prompt)
    is_open = bool(marks) and marks[-1].kind == "open" and marks[-1].end == len(prompt)
    return f"{prompt[marks[-1].begin :]}\n" if is_open else ""


def thought_end(text: str) -> str:
    """The mark that closes the thought which a text leaves open; "" where none is open."""
    if not part(text).is_open:
        return ""
    opening = next((mark for mark in reversed(_written_marks(text)) if mark.kind == "open"), None)
    said = "" if opening is None else text[opening.begin : opening.end]
    if said.startswith("<|begin_of"):
        return END_THOUGHT
    return f"{said[0]}/{said[1:]}" if said and not said.startswith(("<|", "<start")) else ""


@dataclass(frozen=True)
class Thought:
    """A thought and the signs around it, as they stand in a text."""

    opening: str  # all that stands before its first word; what would open it, where nothing did
    text: str
    mark: str  # that closes it, or would


def thought_of(text: str) -> Thought | None:
    """The thought of a response, up to its last closing mark; None where no mark tells of one."""
    parts = part(text)
    closes = [mark for mark in parts.marks if mark.kind in ("close", "solution")]
    ends = [mark for mark in closes if mark.kind == "close"] or closes
    opens = [mark for mark in parts.marks if mark.kind == "open"]
    if not (ends or opens):
        return None
    is_closed = bool(ends) and not parts.is_open
    end = ends[-1].begin if is_closed else parts.end
    mark = text[ends[-1].begin : ends[-1].end] if is_closed else thought_end(text) or CLOSE
    begin = opens[0].end if opens and not (ends and ends[0].begin < opens[0].begin) else 0
    return Thought(text[:begin] or opening_of(mark), text[begin:end], mark)


def opening_of(mark: str) -> str:
    """What opens the thought that a mark closes, and a line end; "" where it is not known."""
    if mark == END_THOUGHT:
        return f"{BEGIN_THOUGHT}\n"
    return f"{mark.replace('/', '', 1)}\n" if mark[1:2] == "/" else ""


def closing(text: str, *, otherwise: str = "") -> str:
    """What closes the thought that a text leaves open, with the lines around it; "" where none is open.

    `otherwise` is the mark of a thought that was opened without one, or whose mark cannot be closed alone.
    """
    mark = thought_end(text) or otherwise
    return f"\n{mark}\n\n" if mark else ""


def join_parts(thought: str, solution: str) -> str:
    """Thought and solution between the four markers."""
    return (
        f"{BEGIN_THOUGHT}\n\n{trimmed(thought)}\n\n{END_THOUGHT}\n\n"
        f"{BEGIN_SOLUTION}\n\n{trimmed(solution)}\n\n{END_SOLUTION}"
    )


def join_tags(thought: str, solution: str) -> str:
    """Thought and solution as models write them whose chat templates know a thought."""
    return f"{OPEN}\n{trimmed(thought)}\n{CLOSE}\n\n{trimmed(solution)}"


def forms_named(text: str) -> frozenset[str]:
    """The forms of the marks that a text speaks of or uses, such as a system message that asks for them."""
    return frozenset(_form_of(mark.group()) for mark in _MARK.finditer(text))


def split_parts(text: str) -> tuple[str, str] | None:
    """Thought and solution of a formatted text; None unless all four markers stand once and in order."""
    text = text.strip()
    if any(text.count(marker) != 1 for marker in MARKERS):
        return None
    if not text.startswith(BEGIN_THOUGHT) or not text.endswith(END_SOLUTION):
        return None
    thought, _, rest = text.removeprefix(BEGIN_THOUGHT).removesuffix(END_SOLUTION).partition(END_THOUGHT)
    between, _, solution = rest.partition(BEGIN_SOLUTION)
    thought, solution = trimmed(thought), trimmed(solution)
    return (thought, solution) if thought and solution and not between.strip() else None


def tidy_markers(text: str) -> str:
    """A text with the four markers written as they should be, for models that put blanks into them."""
    return _MARKER_AS_WRITTEN.sub(lambda found: f"<|{found[1].lower()}_of_{found[2].lower()}|>", text)


def without_end_of_turn(text: str) -> str:
    """A text without white space and the tokens that end a turn at its end."""
    end = len(text.rstrip())
    while text.endswith(_ENDS_OF_TURN, 0, end):
        end = text.rindex("<", 0, end)
        while end and text[end - 1].isspace():
            end -= 1
    return text[:end]


def without_turn_tokens(text: str) -> str:
    """A text with line ends in place of the tokens between turns."""
    return _TURN_TOKEN.sub("\n", text) if "<" in text else text


def before_other_problems(text: str, is_answered: Callable[[str, bool], bool]) -> str:
    """A text up to the problem with which it goes on behind its answer, as base models do; else the whole.

    `is_answered` is told the text in front, and whether a turn ended there for sure: then a weak sign does.
    Numbered problems are parts of the answer where a first one stands in front.
    """
    for problem in itertools.islice(_next_problems(text), _MOST_PROBLEMS):
        front = text[: problem.begin]
        if is_answered(front, problem.ends_turn):
            return text if problem.is_numbered and _FIRST.search(front) else front
    return text


def holds_special_tokens(text: str) -> bool:
    """Whether a tokenizer of chat models would take a part of a text for a token of its own, not for text."""
    may_hold = any(sign in text for sign in ("|>", "｜>", "<|", "</s>", "_turn>", "<eos>", "INST]"))
    return may_hold and _SPECIAL_TOKEN.search(text) is not None


def units(text: str) -> list[str]:
    """What the length of a text is counted in, and texts are compared by: its words; in Chinese, Japanese and
    Korean, which put no blank between words or put one at other places, each character."""
    words = text.split()
    if text.isascii():
        return words
    return [unit for word in words for unit in ((word,) if word.isascii() else _UNIT.findall(word))]


def wide_characters(text: str) -> int:
    """How many characters of a text are Chinese, Japanese or Korean: each is a unit of its own."""
    return 0 if text.isascii() else len(_WIDE_CHARACTER.findall(text))


_WIDE = (  # Hangul, kana, their signs of repetition, Bopomofo, ideographs, half-width kana
    r"\u1100-\u11ff\u3005-\u3007\u3040-\u318f\u31a0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7a3\uf900-\ufaff"
    r"\uff66-\uff9f\U00020000-\U0003ffff"
)
_WIDE_CHARACTER = re.compile(rf"[{_WIDE}]")
_UNIT = re.compile(rf"[{_WIDE}]|[^{_WIDE}]+")


def trimmed(text: str) -> str:
    """A text without white space around it; a fence at its head keeps its indentation, as its code does."""
    if not text[:1].isspace():
        return text.rstrip()
    begin = len(text) - len(text.lstrip())
    line = max(text.rfind("\n", 0, begin), text.rfind("\r", 0, begin)) + 1
    return text[line if _FENCE.match(text, line) else begin :].rstrip()


# --- messages of a chat, which may come in parts ---

# Where servers and gateways put the thought of a message; the first that says something counts.
THOUGHT_FIELDS = ("reasoning_content", "reasoning", "thinking", "thinking_blocks", "reasoning_details")
_THOUGHT_KINDS = ("reasoning", "thinking", "thought")  # types of parts begin with one of them
_WORDS_OF_PART = ("text", "thinking", "reasoning", "content", "summary")


def message_text(content: object) -> str:
    """The answer in a message's content: a text, or those parts of it that are text."""
    if isinstance(content, list):
        return "".join(_part_words(part) for part in content if _type_of(part) in ("text", "output_text"))
    return content if isinstance(content, str) else ""


def message_thought(message: Mapping[str, Any]) -> str | None:
    """The thought that stands apart in a message, in a field of its own or as parts of its content."""
    for field in THOUGHT_FIELDS:
        if words := _part_words(message.get(field)):
            return words
    content = message.get("content")
    parts = content if isinstance(content, list) else ()
    return "".join(_part_words(part) for part in parts if _type_of(part).startswith(_THOUGHT_KINDS)) or None


def _type_of(part: object) -> str:
    return str(part.get("type")) if isinstance(part, Mapping) else ""


def _part_words(part: object) -> str:
    """The words of a part, which may have parts itself."""
    if isinstance(part, list):
        return "".join(map(_part_words, part))
    if isinstance(part, Mapping):
        return next((words for name in _WORDS_OF_PART if (words := _part_words(part.get(name)))), "")
    return part if isinstance(part, str) else ""


# --- code between fences ---


@dataclass(frozen=True)
class Block:
    """A block between fences: from the line of its first fence to the end of that of its last one."""

    begin: int
    end: int
    tag: str
    code: str  # without the indentation or the quotation marks of its fence
    closed: bool


def blocks(text: str) -> Iterator[Block]:
    """The fenced blocks of a text; one that is never closed goes to the end.

    Models glue fences to other things: a sentence, the last line of code, the next fence, or ```python```.
    """
    opening: _Fence | None = None
    for fence in _fences(text, glued=True):
        if opening is None:
            if fence.is_whole:
                yield _block(text, fence, fence.end, fence.end, closed=True)
            elif fence.opens_glued:
                opening = fence
        elif fence.ends(opening):
            opens_next = fence.is_at_head and fence.names_language
            code_end = fence.begin if fence.is_at_head else fence.end - len(fence.run) - len(fence.info)
            yield _block(text, opening, code_end, fence.begin if opens_next else fence.end, closed=True)
            opening = fence if opens_next else None
    if opening is not None:
        yield _block(text, opening, len(text), len(text), closed=False)


def programs(text: str, function: str | None = None) -> list[Block]:
    """The blocks of which a grader runs the first that compiles.

    The last one comes first, of those that define the function asked for, else of those in Python, else of
    those without a tag and of what stands in no block. What only shows or uses an earlier block, a session or
    a sample is none of them unless there is nothing else; nor is another language. A program that stands in
    several blocks, none of which is one by itself, is put together.
    """
    return choose_programs(text, function).blocks


@dataclass(frozen=True)
class Choice:
    """The programs of a text, the first to be tried first, and why these blocks."""

    blocks: list[Block]
    why: str


def choose_programs(text: str, function: str | None = None) -> Choice:
    """As `programs`."""
    text = _before_turn_behind_program(text)
    everything = _whole_blocks(text)
    uses = _uses(everything)
    found = everything[::-1]
    acting = [block for block in found if _acts(block)]
    python = [block for block in acting if _PYTHON.match(block.tag)]
    others = [block for block in acting if not _PYTHON.match(block.tag)]
    defining: list[Block] = []
    if function:
        defining = _defining([block for block in found if block not in uses], function)
    choices = [(f"the last block that defines {function}", defining)]
    if function and not defining:
        defining = _defining(found, function)
        together = [_together(everything[: everything.index(block) + 1], False) for block in defining[:1]]
        choices = [
            (f"the last block that defines {function}, with those that it uses", [*together, *defining])
        ]
    if not defining:
        bare = _bare_programs(text, everything)
        foreign = [block for block in found if not _acts(block) and language_of(block)]
        untagged = [block for block in found if not block.tag]
        tagged = [
            block for block in everything if _PYTHON.match(block.tag) and not _SESSION.match(block.code)
        ]
        parts = uses | _parts(tagged)
        is_parted = len(tagged) > 1 and any(_READS.search(block.code) for block in tagged)
        choices = [
            (f"it defines {function}, in no block", _defining(bare, function) if function else []),
            ("the last block in Python", [block for block in python if block not in parts]),
            (
                "none of the blocks in Python is a program by itself: all of them",
                [_together(tagged, True), *python] if is_parted else [],
            ),
            ("the last block in Python", [block for block in python if block not in uses]),
            (
                "no block is marked as Python: the last that may be a program",
                [block for block in (*others, *bare, *foreign) if block not in uses],
            ),
            ("every block shows or uses another one: the last", acting),
            ("the last block in Python, which does nothing", [b for b in found if _PYTHON.match(b.tag)]),
            (
                "nothing looks like a program: the last block without a mark",
                # "3 4 5" is a sample, no program
                [block for block in untagged if _WORD.search(block.code)] or untagged,
            ),
            ("nothing looks like a program: the last block", found[:1]),
        ]
    why, chosen = next((choice for choice in choices if choice[1]), ("", []))
    return Choice(chosen[:_MOST_PROGRAMS], why)


def passed_over(text: str, function: str | None, run: Block) -> Iterator[tuple[Block, str]]:
    """The other blocks of a text of which one is run, each with why it is not, for people."""
    everything, candidates = _whole_blocks(text), choose_programs(text, function).blocks
    uses, before = _uses(everything), candidates[: candidates.index(run)]
    for block in everything:
        if run.begin <= block.begin and block.end <= run.end:
            continue  # it is a part of it
        if block in before:
            why = "it does not compile"
        elif block in uses:
            why = "it shows or uses an earlier block"
        elif language := language_of(block):
            why = f"it is written in {language}"
        elif not _acts(block):
            why = "it is a session, a sample or text"
        elif function and not _defining([block], function):
            why = f"it does not define {function}"
        else:
            why = "others come before it"
        yield block, why


def _whole_blocks(text: str) -> list[Block]:
    """The blocks with code, each as it was before a fence inside a string parted it."""
    everything = [block for block in blocks(text) if block.code.strip()]
    if everything and not everything[-1].closed:
        everything[-1] = _without_prose(text, everything[-1])
    return _rejoined(text, everything)


def program(text: str, function: str | None = None) -> Block | None:
    """The block that a grader would run."""
    found = programs(text, function)
    if len(found) < 2:
        return found[0] if found else None
    return next((block for block in found if _compiles(block.code)), found[0])


def language_of(block: Block) -> str:
    """The language of a block by its tag, or by its text where it has none; "" for Python and the unknown."""
    if block.tag:
        name = _tagged(block.tag)
        return "" if name == "Shell" and not _SCRIPT.search(block.code) else name
    return next((name for name, sign in _SIGNS if sign.search(block.code)), "")


def _tagged(tag: str) -> str:
    name = _LANGUAGE_TAG.match(tag.lower())
    return "" if name is None else _LANGUAGES.get(name[1], "")


def _acts(block: Block) -> bool:
    """Whether a block may be a program in Python, and no sample or session."""
    return bool(_ACTS.search(block.code)) and not _SESSION.match(block.code) and not _tagged(block.tag)


def _defining(found: list[Block], function: str) -> list[Block]:
    """Those that define a function, in Python first, and none that leaves its body open unless all do."""
    name = re.escape(function)
    defines = re.compile(
        rf"\bdef[ \t]+{name}\b|^[ \t]*{name}[ \t]*=(?!=)|^[ \t]*(?:from|import)[ \t]+(\w+).*\b{name}\b",
        re.MULTILINE,
    )
    defining = [
        block
        for block in found
        if any(not match[1] or match[1] in _LIBRARIES for match in defines.finditer(block.code))
        and not _SESSION.match(block.code)
        and not _tagged(block.tag)
    ]
    defining.sort(key=lambda block: _PYTHON.match(block.tag) is None)
    return [block for block in defining if not _is_open(block.code, function)] or defining


def _is_open(code: str, function: str) -> bool:
    """Whether code ends in a function without a body: `def total(a, b): ...`"""
    code = _DOCSTRING.sub("...", _COMMENT.sub("", code))
    lines = [line for written in code.split("\n") if (line := written.strip())]
    while lines[-2:-1] == ["..."]:  # a docstring in front of the last line
        del lines[-2]
    lines = lines[-2:]
    if not lines:
        return True  # the function is only named in a comment
    *before, last = [*itertools.chain.from_iterable(line.rsplit(":", 1) for line in lines)]
    return last.strip().removesuffix("()") in ("pass", "...", "raise NotImplementedError") and any(
        f"def {function}(" in part for part in before
    )


def _rejoined(text: str, found: list[Block]) -> list[Block]:
    """The blocks of a text, where a fence inside a string of three quotation marks parted a program."""
    joined: list[Block] = []
    at = 0
    while at < len(found):
        block, parts = found[at], 1
        if any(block.code.count(quotes) % 2 for quotes in ('"""', "'''")):
            block, parts = _with_later_parts(text, found[at : at + 1 + _MOST_PARTS])
        joined.append(block)
        at += parts
    return joined


def _with_later_parts(text: str, found: list[Block]) -> tuple[Block, int]:
    """The first block up to the first later fence with which it compiles, and of how many it is made."""
    first = found[0]
    code_begin = text.find("\n", first.begin) + 1
    for parts, later in enumerate(found[1:], start=2):
        for code_end, end in ((later.begin, later.begin), (text.rfind("\n", 0, later.end), later.end)):
            code = text[code_begin:code_end].strip("\n")
            if code_end > code_begin and _compiles(code):
                return Block(first.begin, end, first.tag, code, True), parts
    return first, 1


def _uses(found: list[Block]) -> set[Block]:
    """Excerpts of an earlier block, half of its lines at most, and examples of its use, which call what it
    defines and they do not."""
    uses: set[Block] = set()
    known: set[str] = set()
    shown: dict[str, set[str]] = {}  # a line -> the lines of the last block that has it
    for block in found if len(found) > 1 else ():
        code = _COMMENT.sub("", block.code)
        lines = {line for written in code.split("\n") if (line := written.strip())}
        code = _STRING.sub("''", code)
        defined = set(_DEFINED.findall(code))
        lists = *_IMPORTED.findall(code), *_PARAMETERS.findall(code)
        own = defined.union(*_ASSIGNED.findall(code), *map(_IDENTIFIER.findall, lists))
        source = shown.get(next(iter(lines), ""), set())
        if (
            lines <= source
            and 2 * len(lines) <= len(source)
            or known.intersection(_CALLED.findall(code)) - own
        ):
            uses.add(block)
        else:
            shown |= dict.fromkeys(lines, lines)
        known |= defined - _BUILTINS
    return uses


def _parts(found: list[Block]) -> set[Block]:
    """Blocks that are no program by themselves: they do nothing but define, or read a variable that an
    earlier one sets and they do not."""
    parts: set[Block] = set()
    known: set[str] = set()
    for block in found if len(found) > 1 else ():
        try:
            tree = ast.parse(block.code)
        except _NO_CODE:
            continue
        read, variables, others = _names(tree)
        if (
            all(map(_defines, tree.body))
            or "*" not in others
            and known.intersection(read - variables - others)
        ):
            parts.add(block)
        known |= variables - _BUILTINS
    return parts


def _names(tree: ast.Module) -> tuple[set[str], set[str], set[str]]:
    """The names that a program reads, its variables, and what else it gives a name to."""
    read: set[str] = set()
    variables: set[str] = set()
    others: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            (read if isinstance(node.ctx, ast.Load) else variables).add(node.id)
        elif isinstance(node, ast.arg):
            others.add(node.arg)
        elif isinstance(node, ast.alias):
            others.add(node.asname or node.name.partition(".")[0])
        elif name := getattr(node, "name", None):  # functions, classes, exceptions, patterns
            others.add(name)
    return read, variables, others


def _defines(statement: ast.stmt) -> bool:
    if isinstance(statement, ast.Assign | ast.AnnAssign):
        return not any(isinstance(node, ast.Call) for node in ast.walk(statement))
    is_text = isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
    return is_text or isinstance(statement, _DEFINITIONS)


def _together(parts: list[Block], reads_input: bool) -> Block:
    """One program out of blocks; one whose input is arguments has none that reads another."""
    *before, last = parts
    before = [
        block
        for block in before
        if (_PYTHON.match(block.tag) or block.tag == last.tag)
        and (reads_input or not _READS.search(block.code))
    ]
    code = "\n\n".join(block.code for block in (*before, last))
    return Block((*before, last)[0].begin, last.end, last.tag, code, last.closed)


def _without_prose(text: str, block: Block) -> Block:
    """A block that is never closed, up to where an explanation begins behind its program."""
    if _compiles(block.code):
        return block
    begin = text.find("\n", block.begin) + 1 or len(text)
    for shorter in _bare_in(text, begin, len(text)):
        if _PROSE.match(text[shorter.end :].lstrip()):
            return replace(block, code=shorter.code)
    return block


def _bare_programs(text: str, fenced: list[Block]) -> list[Block]:
    """Programs that stand between no fences, behind a sentence perhaps, the last one first: such as compile,
    as prose is no program; or else a text that is plainly in another language."""
    borders = [0, *itertools.chain.from_iterable((block.begin, block.end) for block in fenced), len(text)]
    gaps = [(begin, end) for begin, end in zip(borders[::2], borders[1::2], strict=True)][::-1]
    found = [block for gap in gaps[:_MOST_PROGRAMS] for block in _bare_in(text, *gap)]
    if not found and not fenced and _FOREIGN_LINE.search(text):
        found = [_bare(text, 0, len(text))]
    return found


def _bare_in(text: str, begin: int, end: int) -> list[Block]:
    if not _ACTS.search(text, begin, end):
        return []
    stretches: list[tuple[int, int]] = []
    is_open = False
    first: int | None = None
    at = begin
    for line in text[begin:end].splitlines(keepends=True):
        code = line.lstrip(_UNSEEN)
        if _CODE_LINE.match(code) or is_open and _GOES_ON_AS_CODE.match(code):
            if first is None:
                first = at
            if is_open:
                stretches[-1] = stretches[-1][0], at + len(line)
            else:
                stretches.append((at, at + len(line)))
            is_open = True
        else:
            is_open = False
        at += len(line)
    if first is None:
        return []
    tried = [(first, end), *stretches[::-1]][:_MOST_PROGRAMS]
    candidates = (_bare(text, *stretch) for stretch in tried if _ACTS.search(text, *stretch))
    return list(itertools.islice((block for block in candidates if _compiles(block.code)), 1))


def _bare(text: str, begin: int, end: int) -> Block:
    return Block(begin, end, "", _as_code(text[begin:end]), True)


def _compiles(source: str) -> bool:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of an invalid escape, say
        try:
            compile(source, "answer.py", "exec", dont_inherit=True)
        except _NO_CODE:
            return False
    return True


_MOST_INFO = 200  # characters behind a fence that stands behind a mark
_FENCE = re.compile(rf"([ \t>]*)(`{{3,}}|~{{3,}})([^`\r\n]{{0,{_MOST_INFO}}})(?![^\r\n])")
_UNSEEN = "\ufeff\u200b\u2060"  # byte order mark, blanks without width
_WORD = re.compile(r"[^\W\d_]")
_MOST_PROGRAMS = 8
_NO_CODE = SyntaxError, ValueError, RecursionError, MemoryError, OverflowError  # what the compiler raises
_DEFINITIONS = ast.Import | ast.ImportFrom | ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
_READS = re.compile(r"\binput\b(?![ \t]*=)|\bstdin\b|\bopen[ \t]*\([ \t]*0|\bfileinput\b|\bos\.read\b")
_PYTHON = re.compile(
    r"\W*(?:lang(?:uage)?-)?(?:python|pypy|py)[\d.]*(?:\b|(?=(?:import|from|def|class)[ \t]))", re.IGNORECASE
)
_LAST_FENCE = re.compile(r"(?:(?<!`)`+|(?<!~)~{3,})\s*\Z")
_TAG_ONLY = re.compile(r"[{.]*[\w+#.-]*\}?")
_ATTRIBUTE = re.compile(
    r"\w*(?:title|name|file|lines?|linenos|linenums|label|caption|class|id|style)=", re.IGNORECASE
)
# What a program does, and a sample, an example value or a call alone does not.
_ACTS = re.compile(
    r"\bprint\b|\bwrite(?:lines)?\b|\bsys\.stdout\b|\b(?:def|class)[ \t]+\w|\blambda\b|\bexec[ \t]*\("
)
_PROSE = re.compile(r"[^\w\n]*[^\W\d_]+[ \t]+[^\W\d_]+")
_BUILTINS = frozenset(dir(builtins))
_SESSION = re.compile(r"\s*(?:>>>|In \[\d|\$ )")
_COMMENT = re.compile(r"#[^\n]*")
_DEFINED = re.compile(r"\b(?:def|class)[ \t]+(\w+)")
_ASSIGNED = re.compile(r"(?<![\w.])(\w+)[ \t]*:?=(?!=)|\b(?:for|as)[ \t]+(\w+)")
_PARAMETERS = re.compile(r"\bdef[ \t]+\w+[ \t]*\(([^()]{0,500})")
_IDENTIFIER = re.compile(r"\w+")
_STRING = re.compile(r"(\"{3}|'{3})[\s\S]*?\1|\"[^\"\n]*\"|'[^'\n]*'")
_DOCSTRING = re.compile(r"^[ \t]*[rRbBuU]?(\"{3}|'{3})[\s\S]*?\1[ \t]*$", re.MULTILINE)
_MOST_PARTS = 3  # further blocks of which a parted program may be made
_LIBRARIES = sys.stdlib_module_names | {"numpy", "scipy", "sympy", "sortedcontainers", "networkx"}
_IMPORTED = re.compile(r"^[ \t]*(?:from|import)[ \t]+(.*)", re.MULTILINE)
_CALLED = re.compile(r"(?<![\w.])(?<!def )(?<!class )(\w+)[ \t]*\(")
_NAME = r"[A-Za-z_][\w.]*(?:\[[^\]\n]*\])*"
_CODE_LINE = re.compile(
    r"[ \t]*(?:(?:import|from)[ \t]+\w|@\w|(?:async[ \t]+)?def[ \t]+\w+[ \t]*\(|class[ \t]+\w+[ \t]*[:(]"
    r"|(?:while|if|elif|with|except)\b[^\n]*:|for[ \t][\w, \t()*]+[ \t]in[ \t]|(?:try|else|finally)[ \t]*:"
    rf"|(?:pass|break|continue)[ \t]*$|print\b|{_NAME}\(|{_NAME}(?:[ \t]*,[ \t]*\*?{_NAME})*[ \t]*"
    r"(?::[^=\n]+)?(?:[-+*/%&|^@]|//|\*\*|<<|>>)?=(?!=))"
)
_GOES_ON_AS_CODE = re.compile(r"[ \t]+\S|\s*$|[#)\]}\"']|(?:return|raise|assert|del|global)\b")
_SCRIPT = re.compile(r"\bread\b|\bawk\b|\$\(")  # of a shell; other lines only start a program
_FOREIGN_LINE = re.compile(  # in a text without fences
    r"^[ \t]*(?:#[ \t]*include[ \t]*[<\"]|using[ \t]+(?:namespace[ \t]+std|System)\b|import[ \t]+java\."
    r"|<\?php"
    r"|public[ \t]+(?:static|final|class)\b.*\{|package[ \t]+main\b|(?:func|fn|fun|int)[ \t]+main[ \t]*\("
    r"|(?:const|let|var)[ \t]+\w+[ \t]*=[ \t]*require\b|main[ \t]*(?:::[ \t]*IO|=[ \t]*(?:do|interact))\b"
    r"|program[ \t]+\w+;)",
    re.MULTILINE,
)
_LANGUAGE_TAG = re.compile(r"[{.\s]*(?:lang(?:uage)?-)?([a-z][a-z+#-]*)")
_LANGUAGES = {
    tag: name
    for name, tags in {
        "C": "c h",
        "C++": "c++ cpp cc cxx hpp",
        "C#": "c# cs csharp",
        "Clojure": "clojure clj",
        "D": "d",
        "Dart": "dart",
        "Elixir": "elixir ex",
        "Erlang": "erlang erl",
        "F#": "f# fsharp",
        "Fortran": "fortran",
        "Go": "go golang",
        "Haskell": "haskell hs",
        "Java": "java",
        "JavaScript": "javascript js jsx node",
        "Julia": "julia jl",
        "Kotlin": "kotlin kt",
        "Lisp": "lisp scheme racket",
        "Lua": "lua",
        "MATLAB": "matlab octave",
        "Nim": "nim",
        "OCaml": "ocaml ml",
        "Objective-C": "objc objective-c objectivec",
        "PHP": "php",
        "Pascal": "pascal pas delphi",
        "Perl": "perl pl",
        "R": "r",
        "Ruby": "ruby rb",
        "Rust": "rust rs",
        "SQL": "sql mysql",
        "Scala": "scala",
        "Shell": "bash sh shell zsh powershell",
        "Swift": "swift",
        "TypeScript": "typescript ts tsx",
        "Visual Basic": "vb vbnet",
        "Zig": "zig",
    }.items()
    for tag in tags.split()
}
_SIGNS = [  # asked in this order, of a text that does not compile as Python
    (name, re.compile(pattern, re.MULTILINE))
    for name, pattern in {
        "PHP": r"<\?php",
        "Rust": r"\bfn[ \t]+\w+[ \t]*[(<]|\blet[ \t]+mut\b|\bprintln!|^[ \t]*use[ \t]+std::",
        "C": r"^[ \t]*#[ \t]*include[ \t]*<(?:stdio|stdlib|string|math)\.h>",
        "C++": r"^(?:public|private):[ \t]*$"
        r"|^[ \t]*#[ \t]*include[ \t]*[<\"]|\busing[ \t]+namespace\b|\bstd::|\bcout\b|^int[ \t]+main\b",
        "C#": r"^[ \t]*using[ \t]+System\b|\bConsole\.(?:Write|Read)",
        "Java": r"^[ \t]*import[ \t]+java\b|^[ \t]*public[ \t]+(?:static|final|class)\b"
        r"|\bSystem\.(?:out|in)\b",
        "Java or C++": r"^[ \t]*public[ \t]+\w+[ \t]+\w+[ \t]*\(|^[ \t]*(?:class|struct)[ \t]+\w+[ \t]*\{",
        "Go": r"^[ \t]*package[ \t]+\w+[ \t]*$|^[ \t]*func[ \t]+(?:\w+[ \t]*)?\(|\bfmt\.(?:Print|Scan)",
        "Kotlin": r"\bfun[ \t]+\w+[ \t]*\(",
        "Swift": r"\bimport[ \t]+Foundation\b|\breadLine\(\)",
        "JavaScript": r"\bconsole\.log\b|\brequire\([ \t]*[\"']|^[ \t]*(?:const|let|var)[ \t]+[\w{\[]"
        r"|\bfunction\b[ \t]*(?:\w+[ \t]*)?\(|\)[ \t]*=>",
        "Pascal": r"^[ \t]*(?i:program[ \t]+\w+;|begin[ \t]*$)|\breadln\b|\bwriteln\b",
        "Perl": r"^[ \t]*(?:use[ \t]+strict|my[ \t]+[($@%])|<STDIN>",
        "Haskell": r"^main[ \t]*(?:::[ \t]*IO|=[ \t]*(?:do|interact|print|put))\b|^module[ \t].*\bwhere\b",
        "Ruby": r"^[ \t]*puts[ \t]|\bgets\.|=[ \t]*gets\b|^[ \t]*end[ \t]*$",
        "Scala": r"^[ \t]*object[ \t]+\w+|\bval[ \t]+\w+[ \t]*=",
        "Shell": r"^#!/\S*sh\b",
    }.items()
]


@dataclass(frozen=True)
class _Fence:
    """A line with a fence: at its head, perhaps indented or within a quotation, or glued to what is there."""

    begin: int
    end: int
    indent: str
    run: str
    info: str

    @property
    def opens(self) -> bool:
        return "`" not in self.info

    @property
    def is_at_head(self) -> bool:
        return not self.indent.strip(" \t>" + _UNSEEN)

    @property
    def is_whole(self) -> bool:
        """Whether a block begins and ends on this line: ```python print(1)```"""
        code = self.info.rstrip()
        return (
            self.is_at_head and code.endswith(self.run) and bool(_first_line(code.removesuffix(self.run))[1])
        )

    @property
    def names_language(self) -> bool:
        tag = self.info.strip()
        return bool(tag) and (_TAG_ONLY.fullmatch(tag) or _PYTHON.match(tag)) is not None

    @property
    def opens_glued(self) -> bool:
        if self.is_at_head:
            return self.opens or _PYTHON.fullmatch(self.info.strip().removesuffix(self.run)) is not None
        return _TAG_ONLY.fullmatch(self.info.strip()) is not None

    def closes(self, opening: _Fence, *, mark: int | None = None) -> bool:
        """Whether it ends a block; `mark`: where on its line a mark begins, which may stand behind it."""
        behind = self.info if mark is None else self.info[: max(0, mark - self.end + len(self.info))]
        return self.run.startswith(opening.run) and not behind.strip(" \t>")

    def ends(self, opening: _Fence) -> bool:
        """Whether it ends a block where fences may be glued: behind the last line of code, or before a text
        or the next block."""
        if not self.run.startswith(opening.run):
            return False
        return "`" not in self.info if self.is_at_head else not self.info.strip()


def _fences(text: str, *, glued: bool = False) -> Iterator[_Fence]:
    flat = text.replace("\r", "\n") if "\r" in text else text
    runs = {sign: flat.find(sign) if sign[0] in flat else -1 for sign in ("```", "~~~")}
    while (at := min((at for at in runs.values() if at >= 0), default=-1)) >= 0:
        begin = flat.rfind("\n", 0, at) + 1
        end = flat.find("\n", at)
        end = len(flat) if end < 0 else end
        rest = flat[at:end]
        info = rest.lstrip(rest[0])
        fence = _Fence(begin, end, flat[begin:at], rest[: len(rest) - len(info)], info)
        if glued or fence.is_at_head:
            yield fence
        runs = {sign: flat.find(sign, end) if 0 <= run < end else run for sign, run in runs.items()}


def _block(text: str, opening: _Fence, code_end: int, end: int, *, closed: bool) -> Block:
    tag, first = _first_line(opening.info.strip().removesuffix(opening.run))
    code = text[opening.end : code_end].replace("\r\n", "\n").replace("\r", "\n").removeprefix("\n")
    # The last line of an answer may end in the closing fence: print(a + b)```
    lines = (code.removesuffix("\n") if closed else _LAST_FENCE.sub("", code)).split("\n")
    if opening.indent and opening.is_at_head:
        lines = [_without_indent(line, opening.indent) for line in lines]
    return Block(opening.begin, end, tag, _as_code("\n".join([first, *lines] if first else lines)), closed)


def _first_line(info: str) -> tuple[str, str]:
    """The tag of a block, and the code that some models put behind it on the line of the fence."""
    python = _PYTHON.match(info)
    behind = info[python.end() :].strip() if python else info.strip()
    if not _CODE_LINE.match(behind) or _ATTRIBUTE.match(behind):
        return info.strip(), ""
    return info[: python.end()].strip() if python else "", behind


def _as_code(text: str) -> str:
    """A program as it is compiled: up to the end of its turn, without a common indentation."""
    if "<" in text and (ended := _TURN_ENDS.search(text)):
        text = text[: ended.start()]
    for sign in _UNSEEN:
        text = text.replace(sign, "")
    begin = text[: len(text) - len(text.lstrip())]
    indent = begin[begin.rfind("\n") + 1 :]
    lines = text.split("\n")
    if indent and all(line.startswith(indent) or not line.strip() for line in lines):
        text = "\n".join(line.removeprefix(indent) for line in lines)
    return text.rstrip() + "\n"


def _without_indent(line: str, indent: str) -> str:
    if line.startswith(indent):
        line = line.removeprefix(indent)
    else:
        line = line.removeprefix(indent.rstrip())  # an empty line of a quotation
    return line if line.strip() else ""


# --- marks ---


@dataclass(frozen=True)
class Mark:
    """A sign around a thought or a solution."""

    begin: int
    end: int
    kind: str  # "open" and "close" a thought; "solution" begins one, "end" ends it; "message" ends a channel
    form: str


_TAG = r"(?:think|thinking|thought|reasoning|seed:think)"
_MESSAGE = r"[^<\n]{0,80}(?:<\|constrain\|>[^<\n]{0,40})?<\|message\|>"
_CHANNEL = r"(?:<\|start\|>assistant)?<\|channel\|>"  # gpt-oss; the channel of the solution is "final"
_MARK = re.compile(
    rf"(?P<open><{_TAG}>|\[THINK\]|◁think▷|<\|begin_of_thought\|>|<\|channel>(?:thought\b)?"
    rf"|{_CHANNEL}(?:analysis|commentary){_MESSAGE})"
    rf"|(?P<close></{_TAG}>|\[/THINK\]|◁/think▷|<\|end_of_thought\|>|<channel\|>|{_CHANNEL}final{_MESSAGE})"
    r"|(?P<solution><\|begin_of_solution\|>)"
    r"|(?P<end><\|end_of_solution\|>)"
    r"|(?P<message><\|end\|>)",
    re.IGNORECASE,
)
_MOST_NAME = 25  # characters of a mark from its "<" to its first ">"
_MARKER_AS_WRITTEN = re.compile(r"<\s*\|\s*(begin|end)_of_(thought|solution)\s*\|\s*>", re.IGNORECASE)
# What is left of gpt-oss's channels without special tokens: "analysisWe add.assistantfinalIt is 5."
_STRIPPED_BEGIN = re.compile(r"\s*analysis(?![ \t:;,.)])")
_STRIPPED_OPEN = re.compile(r"\s*analysis(?=[A-Z\u3040-\u30ff\u4e00-\u9fff\uac00-\ud7a3])")
_STRIPPED = re.compile(r"assistant(?:(?P<open>(?:analysis|commentary)(?=\S| to=))|final(?![ \t]))")
_ENDS_OF_TURN = tuple(
    "<|im_end|> <|eot_id|> <|eom_id|> <|endoftext|> <|end_of_text|> </s> <end_of_turn> <eos> <turn|> <|end|> "
    "<|return|> <|call|> <｜end▁of▁sentence｜>".split()
)
_BEGINS_OF_TURN = ("<|im_start|>", "<start_of_turn>", "<|turn>", "<|start|>")
_TURN_TOKEN = re.compile("|".join(map(re.escape, (*_ENDS_OF_TURN, *_BEGINS_OF_TURN))))
# Also those of templates that the grader need not know, such as <|start_header_id|> or <｜User｜>.
_SPECIAL_TOKEN = re.compile(rf"{_TURN_TOKEN.pattern}|<[|｜][A-Za-z][\w▁]{{3,40}}[|｜]>|\[/?INST\]")
_TURN_ENDS = re.compile(rf"^(?:{_TURN_TOKEN.pattern})|(?:{_TURN_TOKEN.pattern})[ \t]*$", re.MULTILINE)


# --- other problems, with which a text goes on behind its answer ---

_MOST_PROBLEMS = 8  # of those with which a text goes on, in front of which an answer is looked for
_MOST_WORDS = 1_000  # characters of a question that tell whether it is a problem or a doubt
_QUESTION = r"question|problem|问题"  # a text may also have one with its own answer
_DIFFICULTY = re.compile(r"problem|问题", re.IGNORECASE)  # which this may mean, too
_EXERCISE = r"exercise|instruction|题目"
_ABROAD = (  # many of these mean a difficulty, too
    r"questão|pregunta|problema|pergunta|domanda|problème|frage|vraag|вопрос|câu hỏi"
    r"|問題|題目|質問|问|問|질문|문제|คำถาม|السؤال|سؤال"
    r"|exercice|ejercicio|exercício|esercizio|aufgabe|übung|opgave|bài|задача|задание|упражнение|练习|习题|練習"
)
_EXAMPLE = r"example|ejemplo|exemple|exemplo|esempio|beispiel|voorbeeld|пример|task|例题|例題|例|예제"
_ASKER = (
    r"user|human|usuario|usuário|utilisateur|utente|benutzer|nutzer|пользователь"
    r"|用户|用戶|ユーザー|사용자|المستخدم"
)
_OTHER = (
    r"next|new|another|similar|practice|bonus|otr[oa]|siguiente|nuev[oa]|autre|prochaine?"
    r"|nächste[rs]?|neue[rs]?|weitere[rs]?|outr[oa]|próxim[oa]|altr[oa]|prossim[oa]|друг\w+|следующ\w+|нов\w+"
)
_HEADING = (
    r"(?P<dress>[ \t*#\[【]{0,12})(?:\\[a-z]{4,10}\*?\{)?"
    rf"(?:(?:(?P<other>(?i:{_OTHER})[ \t]|(?:下一|另一|另外一)个?))?"
    rf"(?:(?P<question>(?i:{_QUESTION})|Q|(?<=[一个])[题道])|(?i:{_EXERCISE})"
    rf"|(?P<abroad>(?i:{_ABROAD}))|(?P<example>(?i:{_EXAMPLE}))|(?P<asker>(?i:{_ASKER})))"
    r"(?:(?:[ \t#№.]|[Nn][o°º]){0,4}(?P<number>\d{1,3})(?:[ \t]+\((?!\w\))[^()\n]{1,40}\))?)?"
    r"|第(?P<place>\d{1,3})[题題问問])"
    r"[ \t\u00a0*\]】}]{0,8}(?P<sign>[:：]|[.．](?!\d)|[)、]|[-–—][ \t]|$|(?<=[\]】]))"
)
_LEAD = (  # a line that leads to another problem
    r"[ \t*]*(?:(?i:here(?:['’]s| is)|below is) (?i:an?other|one more|a new|the next)"
    r"|(?:(?i:now|next),? )?(?:(?i:let['’]s|let us) )?(?:(?i:now) )?(?i:try|do|solve|answer)"
    r" (?i:another|one more|a new|the next)"
    r"|(?i:i have|can you solve) (?i:an?other|one more|a new)"
    r"|(?:(?i:now|please),? )?(?i:solve|answer) (?i:this|the following)"
    rf"|(?i:aquí|voici|hier|aqui|ecco|вот)\b[^\n:.?!]{{0,20}} (?i:{_OTHER}))"
    rf" (?i:{_QUESTION}|{_EXERCISE}|{_ABROAD})\b(?!-)[^\n:.!?]{{0,20}}(?:[:.!?]|$)"
)
_PART = rf"{_QUESTION}|{_EXERCISE}|{_ABROAD}|{_EXAMPLE}|q|part|subtask|teil|parte|partie"
_FIRST = re.compile(  # said of a part in front of the second one
    rf"\b(?:{_PART})[ \t_]*(?:(?:n[o°º]|№|[#.])[ \t.]*)?[(（]?(?:0?[1１](?!\d)|(?:one|uno)\b|[ai][).:])"
    rf"|\b(?:first|initial|erste|première?|primer[ao]?|primeir[ao]|prim[ao]|перв\w+|1\.)[ \t]+(?:{_PART})\b"
    r"|[问問题題例][ \t]*[(（]?[1１一]|第[ \t]*[(（]?[ \t]*[1１一][ \t]*[)）]?[ \t]*小?[题題问問]",
    re.IGNORECASE,
)
_ENDS = "|".join(map(re.escape, _ENDS_OF_TURN))
_ENDED = re.compile(_ENDS)
_USER_TURNS = (
    "<|im_start|>user <|start_header_id|>user <|header_start|>user <|start_of_role|>user <start_of_turn>user "
    "<|turn>user <|start|>user <|user|> <|im_user|> <seed:bos>user <｜User｜> <｜hy_User｜> <|USER_TOKEN|> "
    "[|user|] [|Human|] [INST]"
).split()
# A token in the midst of a line is one that a text speaks of; what a tool gives back is no turn of the user.
_BY_USER = (
    rf"(?:^[ \t]*|(?:{_ENDS})\s*|(?:(?<=[.!?)}}\]$*\d。！？])|(?<=```))(?=<|\[\|))"
    r"(?:<s>|<seed:eos>|<[|｜][\w▁]{3,40}[|｜]>){0,4}"
    rf"(?:{'|'.join(map(re.escape, _USER_TURNS))})(?!\s*<tool_response>)"
    rf"|(?:{_ENDS})\s*(?:Human|User|Question|Problem|Instruction)\b"
)
_BARE = r"(?:^|(?<=[.!?)}\]$*\d]))user[ \t]*$"  # what is left of it in a text without tokens
_REPLIED = r"(?=(?:.*\n){1,40}?.{0,400}assistant[ \t]*$)"
_HEAD = re.compile(rf"\n(?:{_HEADING}|{_LEAD})", re.MULTILINE)
_TURN = re.compile(rf"(?P<by_user>{_BY_USER})|{_BARE}{_REPLIED}", re.MULTILINE)
_TURN_SIGNS = ("|>", "｜>", "</s>", "_turn>", "<eos>", "INST]", "|]", "<seed:", "user\n")
_ASKS = re.compile(
    r"(?:^|[.,;!?]\s+)(?:how (?:many|much|long|far|old|fast|tall)|what (?:is|are|was|were|will|would)"
    r"|which|find|compute|calculate|determine|evaluate)\b|\bhow (?:many|much)\b[^.?!]*\?"
    r"|多少|几|幾|何|いくつ|몇|얼마",
    re.IGNORECASE,
)
_ORDERS = re.compile(
    r"\?|？|(?:^|[.,;!:]\s+)(?:solve|prove|show|simplify|factor|expand|find|compute|calculate|determine|evaluate|write"
    r"|name|list|explain|choose)\b|求|计算|解|证明",
    re.IGNORECASE,
)
_OWN = re.compile(  # how a doubt begins
    r"(?:I|[Ww]e|[Tt]his(?! question refers)|[Tt]hat|[Mm]y|[Oo]ur|[Ww]ait|[Bb]ut)\b"
)
_YES_OR_NO = re.compile(
    r"(?:what (?:about|if)|why|is|are|am|do|did|does|have|can|could|should|would)\b", re.IGNORECASE
)
_MAY_DOUBT = re.compile(r"(?i:another)|$")  # "Another problem: x = 0 is a solution as well."
_OWN_WORD = re.compile(r"\b(?:I|we|my|our|this|that)\b")
_IS_WRONG = re.compile(
    r"\b(?:for[gq][eo]t|miss(?:ed|ing)\b|ignor|overlook|neglect|wrong|mistak|error|incorrect)|忘|忽略|漏|错|遗漏",
    re.IGNORECASE,
)
_SENTENCE = re.compile(r".{0,80}?[.!?。！？]")
_REPLY = re.compile(
    r"\n[ \t*#]*(?:(?:(?:Final )?Answer|Solution|Response|Assistant"
    r"|Antwort|Lösung|Respuesta|Réponse|Resposta|Risposta"
    r"|Ответ|Решение|答案|答え|回答|解答|정답|답)(?!\w)[ \t*]*[:：\n]|\(?A[.):])"
)


@dataclass(frozen=True)
class _Problem:
    """Where another problem may begin."""

    begin: int
    is_numbered: bool = False
    ends_turn: bool = False


def _turns_of_users(text: str) -> Iterator[re.Match[str]]:
    """Where turns begin that are not within a program."""
    if any(turn in text for turn in _USER_TURNS):
        turns = (turn for turn in _TURN.finditer(text) if turn["by_user"])
        for turn in itertools.islice(turns, _MOST_PROBLEMS):
            if all(text.count(fence, 0, turn.start()) % 2 == 0 for fence in ("```", "~~~")):
                yield turn


def _before_next_turn(text: str) -> str:
    """A text up to the turn of a user with which it goes on behind its thought and solution."""
    for turn in _turns_of_users(text):
        front = without_end_of_turn(text[: turn.start()])
        marks = _marks_of_thoughts(front)
        if not marks or marks[-1].kind == "open" or marks[-1].end >= len(front):
            continue
        # Else the solution shows how a turn begins.
        if turn.group().startswith(_ENDS_OF_TURN) or _marks_of_thoughts(text[turn.end() :]):
            return front
    return text


def _before_turn_behind_program(text: str) -> str:
    for turn in _turns_of_users(text):
        front = text[: turn.start()]
        if any(front.count(fence) >= 2 for fence in ("```", "~~~")):
            return front
    return text


def _marks_of_thoughts(text: str) -> list[Mark]:
    return [mark for mark in _written_marks(text) if mark.kind in ("open", "close")]


def _next_problems(text: str) -> list[_Problem]:
    padded = "\n" + _ENDED.sub(lambda token: "\n".rjust(len(token.group())), text)
    found = [
        _Problem(match.start(), is_numbered=bool(match["number"] or match["place"]))
        for match in _HEAD.finditer(padded)
        if _heads_problem(padded, match)
    ]
    if any(sign in text for sign in _TURN_SIGNS):
        for match in _TURN.finditer(text):
            ends_turn = match["by_user"] is None or match.group().startswith(_ENDS_OF_TURN)
            found.append(_Problem(match.start(), ends_turn=ends_turn))
    return sorted(found, key=lambda problem: problem.begin)


def _heads_problem(text: str, match: re.Match[str]) -> bool:
    """Whether a heading is one of another problem, not a word of the text or a doubt of its own answer."""
    sign, number = match["sign"], match["number"] or match["place"]
    behind = text[match.end() : match.end() + _MOST_WORDS].lstrip(" \t\n*_")
    if match["asker"]:
        return bool(sign) and not number
    if match["example"]:  # most show the answer
        return bool(number) and _asks(behind.partition("\n")[0])
    if number:
        return True
    if match["abroad"] and not match["other"] and not _REPLY.search(behind):
        return False
    if sign == "":
        may_head = match["other"] or not set("#[【").isdisjoint(match["dress"])
    else:
        may_head = sign is None or sign in ":.：．"  # None: a line that leads to a problem
    may_doubt = sign is None or match["question"]
    is_difficulty = _DIFFICULTY.fullmatch(match["question"] or "") and _MAY_DOUBT.match(match["other"] or "")
    may_tell = sign is None or is_difficulty
    return bool(may_head) and not (may_doubt and _is_doubt(behind, may_tell=bool(may_tell)))


def _is_doubt(behind: str, *, may_tell: bool) -> bool:
    """Whether a question or a problem, read from behind its heading, is one that a text has with its own
    answer; `may_tell`: also where it asks for nothing."""
    said = behind.partition("\n")[0]
    is_own = _OWN_WORD.search(said) is not None
    if _ASKS.search(said):
        return is_own and _YES_OR_NO.match(said) is not None
    sentence = _SENTENCE.match(said)
    if _OWN.match(said) or sentence is not None and _IS_WRONG.search(sentence.group()):
        return True
    if _YES_OR_NO.match(said):
        return is_own or not _REPLY.search(behind)
    return may_tell and not _REPLY.search(behind) and not _asks(behind.partition("\n\n")[0])


def _asks(text: str) -> bool:
    return _ORDERS.search(text) is not None


def _written_marks(text: str) -> list[Mark]:
    """The marks of a text, in order, without those that its prose only speaks of."""
    found: list[Mark] = []
    for begin in _signs(text):
        match = _MARK.match(text, begin)
        if match and (not found or begin >= found[-1].end):
            found.append(Mark(*match.span(), match.lastgroup or "", _form_of(match.group())))
    found = sorted([*found, *_stripped_marks(text)], key=lambda mark: mark.begin)
    return [
        mark
        for chain in _chains(text, found)
        if not _is_named(text, chain)
        for mark in chain
        if not _is_quoted(text, mark.begin, mark.end)
    ]


def _signs(text: str) -> list[int]:
    """Where marks may begin. Characters are found ten times as fast as the pattern that tells marks apart."""
    return sorted(
        {
            text.rfind(first, max(0, at - _MOST_NAME), at)
            for first, last, before in (("<", ">", "kgtlKGTL|"), ("[", "]", "kK"), ("◁", "▷", "kK"))
            if first in text
            for at in _places(text, last)
            if text[at - 1] in before
        }
        - {-1}
    )


def _places(text: str, wanted: str) -> Iterator[int]:
    at = text.find(wanted)
    while at >= 0:
        yield at
        at = text.find(wanted, at + 1)


def _form_of(mark: str) -> str:
    if "_of_" in mark.lower():
        return MARKED
    return CHANNELS if "|" in mark else TAGGED


def _stripped_marks(text: str) -> list[Mark]:
    """The marks of gpt-oss in a text without special tokens; none in prose that begins with that word."""
    begin = _STRIPPED_BEGIN.match(text)
    if begin is None:
        return []
    others = list(_STRIPPED.finditer(text, begin.end()))
    if not _STRIPPED_OPEN.match(text) and all(match["open"] for match in others):
        return []
    first = Mark(0, begin.end(), "open", CHANNELS)
    kinds = ("open" if match["open"] else "close" for match in others)
    return [first, *(Mark(*match.span(), kind, CHANNELS) for match, kind in zip(others, kinds, strict=True))]


# --- marks that are only spoken of ---

_NEAR = 200  # characters before a mark that may tell what it is
_JOINT = re.compile(
    r"[ \t]*(?:(?:and|or|to|then|with|vs\.?|,|/|&|\+|\.{2,}|…|和|与|、)[ \t]*)*", re.IGNORECASE
)
_MOST_JOINT = 24
_IN_SENTENCE = re.compile(r"[^\s.!?:;。！？：；][ \t]+$|[(\[]$")
_NAMING = (  # words that lead to a mark that is spoken of, as in "between <think>"
    "the a an this that each every no any two between inside within in into with without of by using use "
    "uses after before behind called named like as and or tag tags token tokens mark marks marker markers "
    "opening closing literal word words string strings write writes writing type output emit print put add "
    "see say says for from until to"
)
_NAMES = re.compile(rf"(?:^|[\s(\"'*])(?:{_NAMING.replace(' ', '|')})[ \t]+$", re.IGNORECASE)
_NOUN = re.compile(
    r"[ \t-]*(?:(?:tag|mark|marker|token|block|section|element|delimiter|pair)s?|format|syntax)\b"
)
_LEADS_ZH = re.compile(r"[的用以到有在和与个是把由于从][ \t]*$")
_NOUN_ZH = re.compile(r"[ \t]*(?:标签|标记|之间)")
_GOES_ON = re.compile(r"[ \t]+[a-z(]|[.,;:!?)]")
_QUOTES = {"*": "*", '"': '"', "'": "'", "`": "`'", "“": "”", "‘": "’", "«": "»", "„": "“”", "「": "」"}
_OPENS_QUOTE = re.compile(r"(?:^|[^A-Za-z0-9.!?\"'`)\]}]|(?<![A-Za-z0-9])[rRfFbBuU]{1,2})$")


def _chains(text: str, marks: list[Mark]) -> Iterator[list[Mark]]:
    """Marks that stand together, as in "<think> and </think>"."""
    chain: list[Mark] = []
    for mark in marks:
        if chain and not (
            mark.begin - chain[-1].end <= _MOST_JOINT and _JOINT.fullmatch(text, chain[-1].end, mark.begin)
        ):
            yield chain
            chain = []
        chain.append(mark)
    if chain:
        yield chain


def _is_quoted(text: str, begin: int, end: int) -> bool:
    """Whether quotation marks or backticks stand around a place; those of a fence do not count."""
    right = text[end : end + 1]
    left = text[begin - 1 : begin] if begin else ""
    if not right or right not in _QUOTES.get(left, ""):
        return False
    before = text[max(0, begin - 8) : begin].rstrip(left)
    if left == "`" and text.endswith("```", 0, begin):
        return False
    return _OPENS_QUOTE.search(before) is not None


def _is_named(text: str, chain: list[Mark]) -> bool:
    """Whether marks are named in a sentence, as in "the <think> tag" or "between <think> and </think>"."""
    begin, end = chain[0].begin, chain[-1].end
    if _is_quoted(text, begin, end):
        return True
    near = text[max(0, begin - _NEAR) : begin]
    before, behind = near[near.rfind("\n") + 1 :], text[end : end + _NEAR]
    if _NOUN_ZH.match(behind) and _LEADS_ZH.search(before):
        return True
    if not _IN_SENTENCE.search(before):
        return False
    if _NOUN.match(behind):
        return True
    if any(text[one.end : other.begin].strip() for one, other in itertools.pairwise(chain)):
        return True
    goes_on = _GOES_ON.match(behind)
    if goes_on is None:
        return False
    return _NAMES.search(before) is not None or chain[-1].kind == "open" and not goes_on.group()[0].isspace()


# Behind a closed thought, where a mark that is never closed would make an answer count as truncated.
_WRAPPED = (  # what stands before a mark, and behind it
    (re.compile(r"<(?:code|tt|kbd|samp|b|i|em|strong|q)>[ \t]*$", re.I), re.compile(r"[ \t]*</")),
    (re.compile(r"\\\w+\{[ \t]*$|\\verb(?P<sign>[|+!])$"), re.compile(r"[ \t]*[}|+!]")),
    (re.compile(r"<!--[ \t]*$"), re.compile(r"[ \t]*-->")),
    (
        re.compile(r"(?:[\"'`´“”„‟«»‹›‘’‚「『《〈【（(\[*_&;]|&lt;|&quot;)[ \t\u00a0\u202f]?$"),
        re.compile(r"[ \t\u00a0\u202f]?(?:[\"'`´“”„‟«»‹›‘’‚」』》〉】）)\]*_]|&quot;)"),
    ),
)
_NOUNS_ABROAD = (
    r"tags?|marks?|markers?|tokens?|markierung|zeichen|balises?|étiquettes?|jetons?|etiquetas?|marcas?|marcadore?s?"
    r"|etichett[ae]|marcator[ei]|segnaposto|тег\w*|метк\w+|токен\w*|маркер\w*|タグ|トークン|マーカー|태그|토큰|标签|标记|標籤|標記"
)
_IS_NOUN = re.compile(
    rf"[ \t-]*(?:{_NOUNS_ABROAD})(?!\w*[a-z])|[ \t]*(?:タグ|トークン|태그|토큰|标签|标记)", re.I
)
_AFTER_NOUN = re.compile(rf"(?:(?<!\w)|(?<=[\u3040-\uffff]))(?:{_NOUNS_ABROAD})[ \t:]*$", re.I)
_SAYS = re.compile(  # verbs and particles that make a mark the subject or the object of a sentence
    r"[ \t]+(?:(?:is|was|are|isn't|means|denotes|marks|opens|starts|begins|stands|indicates|tells|should|must"
    r"|ist|war|sind|bedeutet|markiert|öffnet|beginnt|steht|kennzeichnet|leitet"
    r"|est|était|signifie|marque|ouvre|désigne|indique|commence"
    r"|es|era|significa|marca|abre|indica|empieza|inicia|é|foi|começa|è|segna|apre|inizia"
    r"|это|является|означает|обозначает|открывает|начинает)(?!\w)|[-–—=][ \t])"
    r"|[ \t]*(?:は|が|を|という|とは|で|から|은|는|이|가|을|를|란|이란|라는|是|表示|用于|标)"
)
_IN_CLAUSE = re.compile(r"(?:[^\W\d_]|,)[ \t]+$")
_CLAUSE_GOES_ON = re.compile(r"[ \t]+[(\[]?(?P<next>[^\W\d_])|[.,;:!?)»”。，、；：！？]")


def _is_mentioned(text: str, mark: Mark, border: int) -> bool:
    """Whether a mark behind a closed thought is only spoken of, in any language, and opens none."""
    near = text[max(border, mark.begin - _NEAR) : mark.begin]
    if mark.form == CHANNELS or not near:
        return False
    before = near[near.rfind("\n") + 1 :]
    behind = text[mark.end : mark.end + _NEAR].split("\n", 1)[0]
    if any(left.search(before) and right.match(behind) for left, right in _WRAPPED):
        return True
    if _SAYS.match(behind) and (before.strip() or "\n" in near):
        return True
    if not before.strip():
        return False
    if _IS_NOUN.match(behind) or _AFTER_NOUN.search(before):
        return True
    goes_on = _CLAUSE_GOES_ON.match(behind) if _IN_CLAUSE.search(before) else None
    return goes_on is not None and (goes_on["next"] is None or goes_on["next"].islower())


# --- marks within code ---

_LINE = 500  # characters of a line, before and behind a mark, in which backticks are looked for
_TICKS = re.compile(r"(?<!`)`{1,2}(?!`)")


class _Code:
    """Walks along the code of a text and tells which marks stand in it and are none.

    A fence or a backtick within a thought may never be closed. So a closing mark counts within code where a
    thought may be open and, between fences, where it stands at the edge of a line.
    """

    def __init__(self, text: str) -> None:
        self._text = text
        self._fences = list(_fences(text))
        self._next = 0  # of the fences
        self._opening: _Fence | None = None
        self._begin = 0  # behind the last mark; what follows stands at the head of a line
        self._opened: tuple[int, set[str]] = (0, set())  # where code begins, forms of the marks that it opens

    def holds(self, mark: Mark, *, may_close: bool) -> bool:
        """Whether a mark is code; `may_close`: a thought may be open that it would close."""
        self._walk(mark.begin)
        between_fences = self._opening is not None
        begin = self._opening.begin if self._opening is not None else self._span_around(mark)
        if begin is None:
            return False
        if begin != self._opened[0]:
            self._opened = begin, set()
        if mark.kind == "open":
            self._opened[1].add(mark.form)
            return True
        if mark.form in self._opened[1]:
            return True
        if mark.kind in ("close", "message") and not may_close:
            return True
        return not self._at_edge_of_line(mark) if between_fences else mark.kind in ("solution", "end")

    def leave(self, end: int) -> None:
        """Begin anew behind a mark, perhaps with a fence on the same line."""
        self._begin, self._opening = end, None
        fence = _FENCE.match(self._text, end)
        if fence is not None:
            self._opening = _Fence(end, fence.end(), *fence.groups())
            self._begin = fence.end()

    def _walk(self, to: int) -> None:
        while self._next < len(self._fences) and self._fences[self._next].begin < to:
            fence = self._fences[self._next]
            self._next += 1
            if self._opening is None:
                self._opening = fence if fence.opens else None
            elif fence.closes(self._opening, mark=min(to, fence.end)):
                self._opening, self._begin = None, min(to, fence.end)

    def _span_around(self, mark: Mark) -> int | None:
        """Where the code between backticks begins in which a mark stands."""
        text = self._text
        first = max(self._begin, mark.begin - _LINE)
        if "`" not in text[first : mark.begin]:
            return None
        first = max(first, text.rfind("\n", first, mark.begin) + 1)
        last = text.find("\n", mark.end, mark.end + _LINE)
        opening: re.Match[str] | None = None
        for ticks in _TICKS.finditer(text, first, mark.end + _LINE if last < 0 else last):
            if opening is None:
                if ticks.start() >= mark.begin:
                    return None
                opening = ticks
            elif ticks.group() == opening.group():
                if ticks.start() >= mark.end:
                    return opening.start()
                opening = None
        return None

    def _at_edge_of_line(self, mark: Mark) -> bool:
        before = self._text[max(self._begin, mark.begin - _NEAR) : mark.begin].rstrip(" \t>")
        behind = self._text[mark.end : mark.end + _NEAR].lstrip(" \t")
        return not before or before[-1] in "\r\n" or not behind or behind[0] in "\r\n"
