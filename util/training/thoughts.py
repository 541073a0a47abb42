"""In which form does a training row hold its thought, and which system message fits that form?

`read_answer` takes thought and solution of a response apart, whatever marks it uses; `written` puts them
together in one of `THOUGHT_FORMS`; `chosen_form` says which one a file has.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from util.errors import UserError
from util.response import (
    CLOSE,
    IN_FIELD,
    MARKED,
    OPEN,
    TAGGED,
    WITH_MARKERS,
    WITH_TAGS,
    WITHOUT,
    Mark,
    Parts,
    forms_named,
    holds_special_tokens,
    join_parts,
    join_tags,
    part,
    trimmed,
)

_MARKS = {WITH_TAGS: TAGGED, WITH_MARKERS: MARKED}  # form of a row -> form of its marks


@dataclass(frozen=True)
class Answer:
    """What a response says, without marks; an empty thought: there is none."""

    thought: str
    solution: str
    thoughts: int = 1  # how often it begins or ends to think, by its marks

    @property
    def plain(self) -> bool:
        return not self.thought


@dataclass(frozen=True)
class NoAnswer:
    """Why a response cannot be told apart in thought and solution."""

    why: str


_WITH_TOKENS = "special tokens of a chat template in the text"


def read_answer(text: str, reasoning: str = "") -> Answer | NoAnswer:
    """Thought and solution of a response; `reasoning` is a thought that stood in a field of its own."""
    parts = part(text)
    if parts.is_open:
        return NoAnswer("the thought is not closed")
    if parts.behind:
        has_tokens = holds_special_tokens(parts.behind)
        return NoAnswer(_WITH_TOKENS if has_tokens else "text after the end of the solution")
    apart = trimmed(part(reasoning).without_marks()) if reasoning else ""
    within = trimmed(parts.thought) if parts.marks else ""
    thought = "\n\n".join(filter(None, (apart, within)))
    answer = Answer(thought, parts.solution or "", times_thought(parts) + bool(apart))
    if not answer.solution.strip():
        return NoAnswer("nothing after the thought")
    if any(_holds_marks(one) for one in (answer.thought, answer.solution)):
        return NoAnswer("marks within the thought or the solution")
    if any(map(holds_special_tokens, (answer.thought, answer.solution))):
        return NoAnswer(_WITH_TOKENS)
    return answer


def times_thought(parts: Parts) -> int:
    """How many thoughts the marks of a response tell of; messages in several channels are one."""
    ended = begun = 0
    before: Mark | None = None
    for mark in parts.marks:
        if mark.form in (TAGGED, MARKED) and mark.kind in ("open", "close"):
            says_something = parts.text[before.end if before else 0 : mark.begin].strip() != ""
            ended += says_something and mark.kind == "close"
            begun += says_something and mark.kind == "open" and before is not None and before.kind == "open"
            before = mark
    return ended + begun


def _holds_marks(text: str) -> bool:
    """Whether a trainer or a grader would take a part of the text for the border of a thought.

    Chat templates part a text at each of the two tags, also where a sentence only names them.
    """
    return OPEN in text or CLOSE in text or bool(part(text).marks)


def written(answer: Answer, form: str) -> str:
    """The text of a row: the solution, behind the thought where there is one and it stands in the text."""
    if answer.plain or form in (IN_FIELD, WITHOUT):
        return answer.solution
    return (join_tags if form == WITH_TAGS else join_parts)(answer.thought, answer.solution)


def asks_for(system: str | None) -> frozenset[str]:
    """The marks that a system message wants a thought to stand between."""
    forms = forms_named(system or "")
    return forms - {TAGGED} | {"other tags"} if TAGGED in forms and OPEN not in (system or "") else forms


def chosen_form(wanted: str | None, named: str | None, of_runs: Iterable[str | None]) -> str:
    """The form of all rows of a file: the one that is wanted, else the one that system messages ask for.

    `named` is the message that a flag names, `of_runs` are those that the runs sent. Raises UserError where
    the flag's message asks for another form than the wanted one.
    """
    asked = asks_for(named)
    if wanted is None:
        messages = [named] if asked else list(of_runs)
        wanted = (
            WITH_MARKERS if messages and all(asks_for(one) == {MARKED} for one in messages) else WITH_TAGS
        )
    if asked - {_MARKS.get(wanted, "")}:
        raise UserError(
            f"--system-prompt asks for {' and '.join(sorted(asked))} around the thought, --thought {wanted} "
            "does not write that: choose another message, or leave --system-prompt out"
        )
    return wanted


def suits(message: str | None, form: str) -> bool:
    """Whether a system message asks for a thought in this form."""
    return bool(message) and asks_for(message) == {_MARKS.get(form, "")}


def fitting(messages: Iterable[str | None], form: str, *, plain: bool) -> str | None:
    """The first of these system messages that asks for no other form than a row has; None: there is none."""
    for message in messages:
        if message and (not asks_for(message) or (not plain and suits(message, form))):
            return message
    return None
