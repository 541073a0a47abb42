"""Which system message does a run send, and where does it come from?

Call `system_prompt`; `read_text` reads any text that a flag names.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from util import prompts
from util.data import hub
from util.data.addresses import read_field
from util.data.files import READERS, ending
from util.data.rows import LOCAL, file_names, open_rows
from util.errors import DiskTrouble, RunStopped, UserError, why
from util.settings import short_name
from util.task import Source
from util.terminal import say

# Models that were trained with a fixed system message, and the published field that has it.
SYSTEM_PROMPTS = dict.fromkeys(
    ("Sky-T1-32B-Preview", "Sky-T1-32B-Flash", "Sky-T1-mini"),
    "hf://datasets/NovaSky-AI/Sky-T1_data_17k#system",
)
INSTEAD = "system_thought"  # our own words for the same, sent where the field cannot be read

READABLE = (*READERS, ".json")
FIRST_ROW_CHARS = 1 << 24


def system_prompt(
    name: str | None, model: str, *, data_dir: Path | None = None
) -> tuple[str | None, str | None]:
    """The system message and where it was taken from.

    `name` is one of ours, a text file, "hf://datasets/ORG/NAME[@REVISION][/FILE]#FIELD" for the field of a
    data set's first row, or "none". None takes the message that the model was trained with, if we know it.
    """
    if name is None:
        return _trained_with(model, data_dir)
    if name == "none":
        return None, name
    return read_text("--system-prompt", name, data_dir=data_dir) or (prompts.load(name), name)


def read_text(flag: str, name: str, *, data_dir: Path | None = None) -> tuple[str, str] | None:
    """The text of a file or of a hub data set's field, and where it was read; None where it is neither."""
    if name.startswith("hf://"):
        return _of_hub(flag, name, data_dir)
    if os.path.isfile(name):  # False for what may not be looked at, and for a text instead of a name
        return _of_file(flag, name), name
    return None


def _trained_with(model: str, data_dir: Path | None) -> tuple[str | None, str | None]:
    address = SYSTEM_PROMPTS.get(short_name(model))
    if address is None:
        return None, None
    reason = f"{hub.endpoint()} does not answer"
    try:
        path = read_field("--system-prompt", address).path
        if data_dir is not None or hub.remembered(path, "main") is not None or hub.answers():
            return _of_hub("--system-prompt", address, data_dir)
    except DiskTrouble:  # of its cache
        raise
    except (UserError, RunStopped) as error:
        reason = str(error)
    say(
        f"WARNING: the system message that {short_name(model)} was trained with cannot be read from "
        f"{address} ({reason}): what is new gets the suite's own wording of it; --system-prompt chooses "
        "another"
    )
    return prompts.load(INSTEAD), INSTEAD


def _of_file(flag: str, name: str) -> str:
    try:
        return Path(name).read_text(encoding="utf-8").removesuffix("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{flag} {name} cannot be read as a text file: {why(error)}") from error


def _of_hub(flag: str, address: str, data_dir: Path | None) -> tuple[str, str]:
    """The text, and its address with the commit and file that it was read from."""
    named = read_field(flag, address)
    path, field, revision = named.path, named.field, named.revision
    file = named.file or _first_file(path, revision, data_dir)
    source = Source(path, {"first": (file,)}, "first", revision=revision or "main")
    rows = open_rows(source, revision=revision, data_dir=data_dir)
    row = _first_of_json(rows.local(file)) if ending(Path(file)) == ".json" else next(iter(rows), None)
    value = None if row is None else row.get(field)
    if not isinstance(value, str) or not value:
        fields = "no rows" if row is None else f"the fields {', '.join(row)}"
        raise UserError(f"{address}: {file} has no text in field {field!r} of its first row; it has {fields}")
    local = rows.revision.startswith(LOCAL)
    return value, address if local else f"hf://datasets/{path}@{rows.revision}/{file}#{field}"


def _first_file(path: str, revision: str | None, data_dir: Path | None) -> str:
    for folder in ("data", ""):
        for name in file_names(path, folder, revision=revision, data_dir=data_dir):
            if ending(Path(name)) in READABLE:
                return name
    raise UserError(
        f"{path} has no file of rows that is understood ({', '.join(READABLE)}): "
        "name one, as in hf://datasets/ORG/NAME/FILE#FIELD"
    )


def _first_of_json(file: Path) -> dict | None:
    """The first object of a JSON list, or of a file that is one object, without reading all of it."""
    with file.open(encoding="utf-8") as text:
        head = text.read(FIRST_ROW_CHARS).lstrip("\ufeff \t\r\n")
    try:
        row, _ = json.JSONDecoder().raw_decode(head.removeprefix("[").lstrip())
    except (ValueError, RecursionError) as error:
        raise UserError(f"{file} cannot be read ({error}): name another file of the data set") from error
    return row if isinstance(row, dict) else None
