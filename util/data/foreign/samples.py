"""What does the log of another suite say of one sample, whatever the suite?

Each reader yields `ForeignSample`s of a `Log`. What a format does not say stays empty or None.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from util.data.files import why_no_json
from util.errors import UserError
from util.records import end_named
from util.response import message_thought
from util.terminal import say

_DECIMAL_COMMA = re.compile(r"\s*([+-]?[0-9]+),([0-9]+)\s*")
_LETTER = re.compile(r"\(?[A-J]\)?")
ROLES = {"human": "user", "HUMAN": "user", "gpt": "assistant", "BOT": "assistant"}


@dataclass(frozen=True)
class Score:
    """What a suite says of a sample by one metric; see `TheirScore` in util/runs/theirs.py."""

    metric: str
    score: bool | float | None
    extracted: str | None = None


@dataclass(frozen=True)
class ForeignSample:
    """One response in a log of another suite."""

    question: str  # without the words around it, as far as the log tells
    text: str = ""
    problem: str = ""  # how the log names the problem; "": by the text of the question
    index: int | None = None  # which of the problem's samples; None: the next one
    prompt: str = ""  # the user message as it was sent; "": not logged
    reference: Any = None  # as logged; None: not logged
    choices: tuple[str, ...] = ()
    reasoning: str | None = None
    temperature: float | None = None
    finish_reason: str | None = None
    prompt_tokens: int = 0
    completion_tokens: int = 0
    model: str | None = None
    scores: tuple[Score, ...] = ()
    unlike: tuple[str, ...] = ()  # columns of its row with another number of values than responses: not taken
    unread: Mapping[str, str] = field(default_factory=dict)  # column -> what stands there instead of a number
    missing: str = ""  # why the log has no response, such as "scored by log-likelihood"

    def __post_init__(self) -> None:
        """Raise TypeError where a log has something else than its format has there."""
        for name in ("question", "text", "problem", "prompt"):
            if not isinstance(getattr(self, name), str):
                raise TypeError(f"its {name} is {str(getattr(self, name))[:40]!r}, not a text")
        if self.index is not None and (type(self.index) is not int or self.index < 0):
            raise TypeError(f"its index is {self.index!r}")


@dataclass(frozen=True)
class Log:
    """The samples of one model on one task, as another suite wrote them down."""

    tool: str
    path: Path
    task: str
    samples: Callable[[], Iterator[ForeignSample]]  # read anew by each call
    model: str | None = None
    version: str | None = None
    max_tokens: int | None = None  # that a response could have
    scores: Mapping[str, object] = field(default_factory=dict)  # of all samples together, by metric


def count(value: object) -> int:
    """A number of tokens, 0 where none is told; in a table it is a text, or has a point."""
    found = None if isinstance(value, bool) else number(value)
    return int(found) if found is not None and found > 0 and found.is_integer() else 0


def number(value: object) -> float | None:
    """A finite number that stands as such or as text, perhaps with a comma for the point; None where it is
    none, or nobody knows: 1,000 may be one or a thousand."""
    comma = _DECIMAL_COMMA.fullmatch(value) if isinstance(value, str) else None
    if comma and (len(comma[2]) != 3 or not int(comma[1])):
        value = f"{comma[1]}.{comma[2]}"
    try:
        found = float(value) if isinstance(value, str | int | float) else math.nan
    except ValueError:
        return None
    return found if math.isfinite(found) else None


def score_of(value: object) -> bool | float | None:
    """A score as it is logged; None where there is none."""
    if isinstance(value, str) and value.strip().lower() in ("true", "false"):
        return value.strip().lower() == "true"
    return value if isinstance(value, bool) else number(value)


def end_of(reason: object) -> str | None:
    return end_named(reason) if isinstance(reason, str) and reason not in ("", "unknown") else None


def texts(value: object) -> tuple[str, ...]:
    """The texts of a list, if it is one of texts alone."""
    return tuple(value) if isinstance(value, list) and all(isinstance(one, str) for one in value) else ()


def question_of(bare: str, whole: str, reference: object, choices: tuple[str, ...]) -> str:
    """The question of a problem: the whole prompt where only that can say which letter means what."""
    is_letter = isinstance(reference, str) and _LETTER.fullmatch(reference.strip()) is not None
    says_nothing = all(map(_LETTER.fullmatch, choices))
    return whole if not bare or (whole and is_letter and says_nothing) else bare


def thought_of(content: object) -> str | None:
    """The thought that stands apart in a message of parts."""
    return message_thought({"content": content})


def last_of(role: str, messages: object) -> Mapping[str, Any]:
    """The last message of a role; an empty one where there is none."""
    found: Mapping[str, Any] = {}
    for message in messages if isinstance(messages, list) else ():
        if isinstance(message, Mapping):
            said = message.get("role", message.get("from"))
            content = message.get("content", message.get("value", message.get("prompt")))
            if ROLES.get(str(said), said) == role and content is not None:
                found = {**message, "content": content}
    return found


def read_object(path: Path, *, digits: bool = False) -> dict:
    """The JSON object that a file holds; {} where there is no such file. `digits`: numbers stay texts."""
    try:
        content = json.loads(path.read_bytes(), parse_float=str if digits else None)
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is not whole JSON ({error}): fetch the file again") from error
    return content if isinstance(content, dict) else {}


def json_lines(path: Path) -> Iterator[dict]:
    """The objects of a file of JSON lines, or of one JSON list; a last line that was torn is left out."""
    with path.open("rb") as file:
        first = file.read(1)
        file.seek(0)
        if first == b"[":
            yield from _objects(path, _parsed(path, file.read(), 1))
            return
        for at, line in enumerate(file, 1):
            if not line.isspace():
                if not line.endswith(b"\n") and not _is_json(line):
                    _say_torn(path, at)
                    return
                yield from _objects(path, [_parsed(path, line, at)], at)


@cache  # said once a command, however often it reads
def _say_torn(path: Path, at: int) -> None:
    say(f"the last line of {path}, line {at}, is torn and left out")


def _is_json(line: bytes) -> bool:
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return False
    return True


def _parsed(path: Path, text: bytes, at: int) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        why = why_no_json(text, error)
        raise UserError(f"{path}, line {at}, is not JSON ({why}): mend the line or take it out") from error


def _objects(path: Path, values: list, at: int = 1) -> Iterator[dict]:
    for value in values:
        if not isinstance(value, dict):
            raise UserError(f"{path}, line {at}, holds {str(value)[:40]!r} instead of an object: mend it")
        yield value
