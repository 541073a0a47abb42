"""Which training examples does somebody else's file of JSON lines hold?

`read_extra` reads a file: ShareGPT (`conversations`), chat (`messages`, `prompt` and `completion`), Alpaca
(`instruction`, `output`), and question with answer (`question`, `combined_text`, as in the STILL-2 release).
What is of no such form is set aside, with the reason.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from util.errors import UserError
from util.records import may_train

_ROLES = {"system": "system", "developer": "system"} | dict.fromkeys(("user", "human"), "user")
_ROLES |= dict.fromkeys(("assistant", "gpt", "model"), "assistant")
_THOUGHTS = ("reasoning_content", "reasoning", "thinking")  # fields in which others keep a thought apart
# What these fields say of a row that nobody learns from; `label` is true or false in rows for KTO alone.
_JUDGED = ("correct", "is_correct", "verdict")
_WRONG = ("wrong", "incorrect", "false")
# Fields that hold what an example of one question and one answer in text cannot say.
_BEYOND_TEXT = ("history", "tools", "images", "image", "videos", "audios")
_CALLS = ("tool_calls", "function_call")
_TEXT_PARTS = (None, "text", "input_text", "output_text", "thinking", "reasoning")  # kinds of a turn's parts
_MOST_NAMED = 100  # characters of the names that a reason repeats
# What our own training files say of a row, and the fields in which others say it.
_ABOUT = {
    "source": ("source", "domain"),
    "subject": ("subject",),
    "difficulty": ("difficulty",),
    "task": ("task",),
    "model": ("model",),
    "sample_id": ("sample_id",),
    "verdict": ("verdict",),
}


@dataclass(frozen=True)
class ExtraRow:
    """One row of an extra file, as far as training examples go."""

    system: str | None
    prompt: str
    response: str
    reasoning: str  # a thought in a field of its own
    about: dict[str, str]


@dataclass(frozen=True)
class SetAside:
    """A row that is no training example."""

    line: int
    why: str  # goes behind "line 3"


def read_extra(path: Path) -> Iterator[tuple[int, ExtraRow | SetAside]]:
    """Yield (offset in bytes, row) of each line; raises UserError when none is a training example."""
    if not path.is_file():
        raise UserError(f"no extra file at {path}: give a file of JSON lines")
    with open(path, "rb") as file:
        if file.read(64).lstrip()[:1] == b"[":
            raise UserError(
                f"{path} is one JSON list: turn it into JSON lines first, as with: jq -c '.[]' {path}"
            )
        file.seek(0)
        offset, usable = 0, 0
        first: SetAside | None = None
        for number, raw in enumerate(file, 1):
            if raw.strip():
                row = _row(raw)
                found = SetAside(number, row) if isinstance(row, str) else row
                if isinstance(found, SetAside):
                    first = first or found
                else:
                    usable += 1
                yield offset, found
            offset += len(raw)
    if first is not None and not usable:
        raise UserError(
            f"{path} line {first.line} {first.why}, and no line of the file holds an example: known are rows "
            "with conversations, messages, prompt and completion, instruction and output, or question and "
            "combined_text"
        )
    if not usable:
        raise UserError(f"{path} holds no row: leave it out, or give the file that was meant")


def extra_at(file: BinaryIO, offset: int) -> ExtraRow:
    """The row on the line that starts at `offset`."""
    file.seek(offset)
    row = _row(file.readline())
    assert isinstance(row, ExtraRow), f"{file.name} changed at byte {offset} while it was read"
    return row


def _row(raw: bytes) -> ExtraRow | str:
    """The example on a line, or what is wrong with the line."""
    try:
        line = json.loads(raw.decode("utf-8-sig"))  # some editors begin a file with a byte order mark
    except (ValueError, RecursionError):
        return "is not JSON in UTF-8"
    if not isinstance(line, dict):
        return "is not a JSON object"
    if _is_wrong(line):
        return "says that it is wrong"
    ended = line.get("finish_reason")
    if isinstance(ended, str) and not may_train(ended):
        return f"ended before its end: finish_reason {ended[:_MOST_NAMED]}"
    turns = _turns_of(line)
    if turns is None:
        return f"has the fields {', '.join(line)[:_MOST_NAMED] or '(none)'}"
    if not isinstance(turns, list) or not all(isinstance(turn, dict) for turn in turns):
        return "has no list of turns"
    beyond = [name for name in _BEYOND_TEXT if line.get(name)]
    beyond += [name for turn in turns for name in _CALLS if turn.get(name)]
    beyond += [
        str(kind) for turn in turns for part in _parts(turn) if (kind := part.get("type")) not in _TEXT_PARTS
    ]
    if beyond:
        return f"has more than one question and one answer in text: {beyond[0][:_MOST_NAMED]}"
    found: dict[str, list[dict]] = {"system": [], "user": [], "assistant": []}
    for turn in turns:
        role = turn.get("from", turn.get("role"))
        if role not in _ROLES:
            return f"has a turn of {str(role)[:_MOST_NAMED]!r}"
        found[_ROLES[role]].append(turn)
    numbers = tuple(map(len, found.values()))
    if numbers[0] > 1 or numbers[1:] != (1, 1):
        return f"has {numbers[1]} user and {numbers[2]} assistant turns"
    (user,), (assistant,) = found["user"], found["assistant"]
    if turns[-1] is not assistant:
        return "does not end with the assistant's turn"
    prompt, response = _text(user), _text(assistant)
    if not (prompt.strip() and response.strip()):
        return "has no text of the user or of the assistant"
    said = line.get("system") or (_text(found["system"][0]) if found["system"] else None)
    about = {name: _said(line, fields) for name, fields in _ABOUT.items()}
    return ExtraRow(said if isinstance(said, str) else None, prompt, response, _thought(assistant), about)


def _is_wrong(line: dict) -> bool:
    said = [line.get(name) for name in _JUDGED]
    words = (one.strip().lower() for one in said if isinstance(one, str))
    is_false = any(isinstance(one, int) and not one for one in said)  # false, or 0
    return is_false or line.get("label") is False or any(word in _WRONG for word in words)


def _said(line: dict, fields: tuple[str, ...]) -> str:
    """What the first of these fields that holds something says; "" where it is no text or number."""
    return next((str(line[name]) for name in fields if isinstance(line.get(name), str | int | float)), "")


def _turns_of(line: dict) -> object:
    """The turns of a row, whatever its form; None where it has none of the known ones."""
    for name in ("conversations", "messages"):
        if name in line:
            return line[name]
    if "prompt" in line and "completion" in line:
        prompt, completion = line["prompt"], line["completion"]
        if isinstance(prompt, list) and isinstance(completion, list):
            return [*prompt, *completion]
        return _asked_and_answered(prompt, completion)
    if "instruction" in line and "output" in line:
        asked = filter(None, (line["instruction"], line.get("input")))
        return _asked_and_answered("\n".join(map(str, asked)), line["output"])
    if "question" in line and "combined_text" in line:
        return _asked_and_answered(line["question"], line["combined_text"])
    return None


def _asked_and_answered(question: object, answer: object) -> list[dict]:
    return [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]


def _text(turn: dict) -> str:
    """The text of a turn; some write it as a list of parts."""
    content: Any = turn.get("value", turn.get("content"))
    if isinstance(content, list):
        parts = (part.get("text") for part in _parts(turn))
        return "\n".join(part for part in parts if isinstance(part, str))
    return content if isinstance(content, str) else ""


def _parts(turn: dict) -> list[dict]:
    content = turn.get("value", turn.get("content"))
    return [part for part in content if isinstance(part, dict)] if isinstance(content, list) else []


def _thought(turn: dict) -> str:
    """The thought that a turn has in a field or in a part of its own."""
    found = (part.get(name) for part in (turn, *_parts(turn)) for name in _THOUGHTS)
    return next((text for text in found if isinstance(text, str) and text.strip()), "")
