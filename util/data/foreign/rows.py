"""What is in a file of rows that no suite is known to have written?

Call `read`: one log of JSON lines, CSV or parquet with columns for questions and responses.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from util.data.columns import NAMES, value_at
from util.data.files import READERS, DamagedFile, RowFilter
from util.data.foreign.samples import (
    ForeignSample,
    Log,
    Score,
    count,
    end_of,
    json_lines,
    last_of,
    number,
    score_of,
    text_of,
    texts,
    thought_of,
)
from util.errors import UserError

TOOL = "rows"
LOOKED_AT = 50  # rows from which columns are guessed
TALKS = ("messages", "conversations", "conversation")  # columns of whole conversations
# Of the columns that only generations have, the likeliest name first; the others are those of any problem.
OF_RESPONSES = {
    "response": "response responses generation generations completion completions model_output model_outputs "
    "generated_text model_response model_responses prediction predictions output outputs samples resps code",
    "reasoning": "reasoning_content reasoning thinking",
    "score": "score scores is_correct correct correctness passed acc accuracy reward",
    "extracted": "extracted_answer extracted_prediction extracted parsed_answer pred",
    "finish": "finish_reason finish_reasons stop_reason",
    "tokens": "completion_tokens output_tokens num_tokens",
    "temperature": "temperature",
    "index": "sample_index sample_idx generation_index sample_id",
    "model": "model model_name",
}


def read(path: Path, columns: Mapping[str, str]) -> list[Log]:
    """Raises UserError where the columns cannot be told; `columns` names some of them."""
    rows = list(itertools.islice(_rows(path), LOOKED_AT))
    if not rows:
        raise UserError(f"{path} has no rows: there is nothing to import")
    found = _columns(path, rows, columns)
    models = dict.fromkeys(_at(row, found, "model") for row in _rows(path)) if "model" in found else {}
    wanted = [model if isinstance(model, str) else None for model in models] or [None]
    return [
        Log(TOOL, path, path.stem, lambda model=model: _samples(path, found, model), model=model)  # type: ignore[misc]
        for model in wanted
    ]


def _rows(path: Path) -> Iterator[dict]:
    if path.suffix == ".jsonl":
        yield from json_lines(path)
        return
    try:
        yield from READERS[path.suffix](path, None, RowFilter(None, None, None))
    except DamagedFile as error:
        raise UserError(f"{path} cannot be read ({error}): mend the file") from error


def _columns(path: Path, rows: list[dict], named: Mapping[str, str]) -> dict[str, str]:
    there = dict.fromkeys(name for row in rows for name in row)
    for what, name in named.items():
        if what not in (*NAMES, *OF_RESPONSES):
            raise UserError(f"--columns {what}={name}: it can name {', '.join((*NAMES, *OF_RESPONSES))}")
        if all(value_at(row, name) is None for row in rows):
            raise UserError(f"{path} has no column {name!r}: its columns are {', '.join(there)}")
    found: dict[str, str] = dict(named)
    lower = {name.lower(): name for name in there}
    for what, names in {**OF_RESPONSES, **NAMES}.items():
        candidates = (lower.get(name.lower(), name) for name in names.split())
        likely = (name for name in candidates if name not in found.values() and _holds(rows, name))
        if what not in found and (column := next(likely, None)) is not None:
            found[what] = column
    talk = next((name for name in TALKS if name in there and "response" not in found), None)
    if talk is not None:
        found |= {"response": talk, "question": talk}
    for what in ("question", "response"):
        if what not in found:
            raise UserError(
                f"which column of {path} has the {what}s? Its columns are {', '.join(there)}: say it with "
                f"--columns {what}=NAME"
            )
    return found


def _holds(rows: list[dict], name: str) -> bool:
    return any(value_at(row, name) not in (None, "", []) for row in rows)


def _at(row: Mapping[str, Any], columns: Mapping[str, str], what: str) -> Any:
    """What a row has in a column; lists that CSV writes as JSON are read."""
    value = value_at(row, columns[what]) if what in columns else None
    if isinstance(value, str) and value.startswith("[") and value.endswith("]"):
        try:
            return json.loads(value)
        except ValueError:
            return value
    return value


def _samples(path: Path, columns: Mapping[str, str], model: str | None) -> Iterator[ForeignSample]:
    for row in _rows(path):
        if "model" in columns and _at(row, columns, "model") not in (model, None):
            continue
        asked, found = _at(row, columns, "question"), _at(row, columns, "response")
        if columns["response"] in TALKS and isinstance(found, list):
            found = last_of("assistant", found).get("content")
        several = isinstance(found, list) and not thought_of(found) and not text_of(found)
        responses = found if several and isinstance(found, list) else [found]
        name, options = _at(row, columns, "id"), _at(row, columns, "options")
        for at, content in enumerate(responses):
            said = {
                what: _one(_at(row, columns, what), at, len(responses), several=several)
                for what in ("reasoning", "score", "extracted", "finish", "tokens", "index")
            }
            score, index = score_of(said["score"]), number(said["index"])
            extracted = said["extracted"]
            yield ForeignSample(
                asked if isinstance(asked, str) else text_of(last_of("user", asked).get("content")),
                text_of(content),
                problem="" if name is None else str(name),
                index=int(index) if index is not None and index >= 0 and not several else None,
                reference=_at(row, columns, "answer"),
                choices=texts(options),
                reasoning=said["reasoning"] if isinstance(said["reasoning"], str) else thought_of(content),
                temperature=number(_at(row, columns, "temperature")),
                finish_reason=end_of(said["finish"]),
                completion_tokens=count(said["tokens"]),
                scores=()
                if score is None
                else (Score(columns["score"], score, extracted if isinstance(extracted, str) else None),),
                missing="" if isinstance(content, str | list) else "without a response",
            )


def _one(value: Any, at: int, of: int, *, several: bool) -> Any:
    """What is said of one response; of several at once only where there is one value for each."""
    if isinstance(value, list):
        return value[at] if len(value) == of else None
    return None if several and of > 1 else value
