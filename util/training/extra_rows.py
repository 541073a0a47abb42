"""Which training examples does somebody else's file of JSON lines hold?

Understood are ShareGPT (`conversations`), chat (`messages`) and question with answer (`question`,
`combined_text`, as the STILL-2 release has them).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from util.errors import UserError

_USER, _ASSISTANT = ("user", "human"), ("assistant", "gpt")
# What our own training files say of a row, and the fields in which others say it.
_ABOUT = {
    "source": ("source", "domain"),
    "subject": ("subject",),
    "difficulty": ("difficulty",),
    "task": ("task",),
    "model": ("model",),
    "sample_id": ("sample_id",),
}


@dataclass(frozen=True)
class ExtraRow:
    """One row of an extra file, as far as training examples go."""

    system: str | None
    prompt: str
    response: str
    about: dict[str, str]


def read_extra(path: Path) -> Iterator[tuple[int, ExtraRow]]:
    """Yield (offset in bytes, row) of each line.

    Raises UserError with the line's number when a row is of none of the known forms.
    """
    if not path.is_file():
        raise UserError(f"no extra file at {path}: give a file of JSON lines")
    with open(path, "rb") as file:
        if file.read(64).lstrip()[:1] == b"[":
            raise UserError(
                f"{path} is one JSON list: turn it into JSON lines first, as with: jq -c '.[]' {path}"
            )
        file.seek(0)
        offset, rows = 0, 0
        for number, raw in enumerate(file, 1):
            if raw.strip():
                yield offset, _row(raw, f"{path} line {number}")
                rows += 1
            offset += len(raw)
    if not rows:
        raise UserError(f"{path} holds no row: leave it out, or give the file that was meant")


def extra_at(file: BinaryIO, offset: int) -> ExtraRow:
    """The row on the line that starts at `offset`."""
    file.seek(offset)
    return _row(file.readline(), f"{file.name} at byte {offset}")


def _row(raw: bytes, place: str) -> ExtraRow:
    try:
        line = json.loads(raw.decode("utf-8-sig"))  # some editors begin a file with a byte order mark
    except (ValueError, RecursionError) as error:
        raise UserError(f"{place} is not JSON ({error}): write one object per line, in UTF-8") from error
    if not isinstance(line, dict):
        raise UserError(f"{place} is not a JSON object: write one object per line")
    if "conversations" in line:
        system, prompt, response = _turns(line["conversations"], "from", "value", place)
    elif "messages" in line:
        system, prompt, response = _turns(line["messages"], "role", "content", place)
    elif "question" in line and "combined_text" in line:
        system, prompt, response = None, line["question"], line["combined_text"]
    else:
        raise UserError(
            f"{place} has the fields {', '.join(line) or '(none)'}: known are rows with conversations, with "
            "messages, or with question and combined_text"
        )
    system = line.get("system") or system
    if not (isinstance(prompt, str) and isinstance(response, str) and prompt.strip() and response.strip()):
        raise UserError(f"{place} has no text of the user or of the assistant: take the row out")
    about = {
        name: next((str(line[field]) for field in fields if line.get(field) is not None), "")
        for name, fields in _ABOUT.items()
    }
    return ExtraRow(system, prompt, response, about)


def _turns(turns: object, role: str, text: str, place: str) -> tuple[str | None, str | None, str | None]:
    """System, user and assistant text of a conversation of one turn each."""
    if not isinstance(turns, list) or not all(isinstance(turn, dict) for turn in turns):
        raise UserError(f"{place} has no list of turns: take the row out")
    system = [turn.get(text) for turn in turns if turn.get(role) == "system"]
    user = [turn.get(text) for turn in turns if turn.get(role) in _USER]
    assistant = [turn.get(text) for turn in turns if turn.get(role) in _ASSISTANT]
    if len(user) != 1 or len(assistant) != 1 or len(system) > 1:
        raise UserError(
            f"{place} has {len(user)} user and {len(assistant)} assistant turns: "
            "only rows with one of each can be mixed in"
        )
    return (system or [None])[0], user[0], assistant[0]
