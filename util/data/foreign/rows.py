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
from util.data.files import TABLES, DamagedFile, RowFilter, ending, read_rows
from util.data.foreign.samples import (
    ForeignSample,
    Log,
    Score,
    count,
    end_of,
    json_lines,
    last_of,
    number,
    question_of,
    score_of,
    texts,
    thought_of,
)
from util.errors import UserError
from util.response import message_text
from util.terminal import say

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
    "model": "model model_name",
}


OF_NUMBERS = ("score", "tokens", "temperature")
OF_EACH = ("reasoning", "score", "extracted", "finish", "tokens")  # what is said of each response


def read(path: Path, columns: Mapping[str, str]) -> list[Log]:
    """Raises UserError where the columns cannot be told; `columns` names some of them."""
    rows = list(itertools.islice(_rows(path), LOOKED_AT))
    if not rows:
        raise UserError(f"{path} has no rows: there is nothing to import")
    found = _columns(path, rows, columns)
    if found != dict(columns):
        columns_taken = ", ".join(f"{what}={name}" for what, name in found.items())
        say(f"{path.name}: {columns_taken} (--columns says otherwise)")
    models = dict.fromkeys(_model(row, found) for row in _rows(path)) if "model" in found else [None]
    return [
        Log(TOOL, path, path.stem, lambda model=model: _samples(path, found, model), model=model)  # type: ignore[misc]
        for model in models
    ]


def _model(row: Mapping[str, Any], columns: Mapping[str, str]) -> str | None:
    value = value_at(row, columns["model"]) if "model" in columns else None
    return None if value in (None, "") else str(value)


def _rows(path: Path) -> Iterator[dict]:
    if ending(path) == ".jsonl":
        yield from json_lines(path)
        return
    try:
        yield from read_rows(path, RowFilter(None, None, None))
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
    of_models = OF_RESPONSES["response"].split()
    for what, names in {**OF_RESPONSES, **NAMES}.items():
        usual = [name for name in names.split() if what != "answer" or name not in of_models]
        candidates = (lower.get(name.lower(), name) for name in usual)
        likely = (name for name in candidates if name not in found.values() and _holds(rows, name, what))
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


def _holds(rows: list[dict], name: str, what: str) -> bool:
    """Whether a column holds something; yes or no is a label of responses, never an answer."""
    values = [value for row in rows if (value := value_at(row, name)) not in (None, "", [])]
    return bool(values) and not (what == "answer" and any(isinstance(value, bool) for value in values))


def _listed(path: Path, value: Any) -> Any:
    """The list that a cell of a table holds as JSON; anything else as it is."""
    if ending(path) in TABLES and isinstance(value, str) and value.startswith("["):
        try:
            return json.loads(value)
        except ValueError:
            return value
    return value


def _samples(path: Path, columns: Mapping[str, str], model: str | None) -> Iterator[ForeignSample]:
    for row in _rows(path):
        at = {what: value_at(row, name) for what, name in columns.items()}
        if _model(row, columns) != model:
            continue
        asked = at["question"]
        question = asked if isinstance(asked, str) else message_text(last_of("user", asked).get("content"))
        sent = row.get("prompt")
        choices = texts(_listed(path, at.get("options")))
        about: dict[str, Any] = {
            "question": question_of(
                question, sent if isinstance(sent, str) else "", at.get("answer"), choices
            ),
            "prompt": sent if isinstance(sent, str) else "",
            "reference": at.get("answer"),
            "choices": choices,
            "temperature": number(at.get("temperature")),
        }
        responses = _responses(path, at["response"], is_talk=columns["response"] in TALKS)
        of_each = {what: _listed(path, at.get(what)) for what in OF_EACH}
        unlike = tuple(
            columns[what] for what, value in of_each.items() if not _has_each(value, len(responses))
        )
        for index, content in enumerate(responses):
            said = {what: _one(value, index, len(responses)) for what, value in of_each.items()}
            said["temperature"] = at.get("temperature")
            score, extracted = score_of(said["score"]), said["extracted"]
            answer = extracted if isinstance(extracted, str) else None
            yield ForeignSample(
                **about,
                text=message_text(content),
                reasoning=said["reasoning"] if isinstance(said["reasoning"], str) else thought_of(content),
                finish_reason=end_of(said["finish"]),
                completion_tokens=count(said["tokens"]),
                scores=() if score is None else (Score(columns["score"], score, answer),),
                unlike=() if index else unlike,
                unread={columns[what]: str(said[what]) for what in OF_NUMBERS if _is_odd(said[what])},
                missing="" if isinstance(content, str | list) else "without a response",
            )


def _is_odd(value: object) -> bool:
    """Whether a cell says something that is neither a number nor yes or no."""
    is_empty = value is None or not str(value).strip() or value != value  # not a number: of a cell left out
    return not is_empty and score_of(value) is None


def _responses(path: Path, value: Any, *, is_talk: bool) -> list:
    """The responses of a row, each a text or a list of parts; None where there is none."""
    several = _listed(path, value)
    if isinstance(several, list) and (is_talk or last_of("user", several)):
        return [last_of("assistant", several).get("content")]
    if not isinstance(several, list) or (isinstance(value, str) and not texts(several)):
        several = [value]
    elif thought_of(several) or message_text(several):  # the parts of one
        return [several]
    found = (
        one.get("content", one.get("text")) if isinstance(one, Mapping) else one for one in several or [None]
    )
    responses = list(found)
    if any(isinstance(one, list) and not (thought_of(one) or message_text(one)) for one in responses if one):
        raise UserError(
            f"{path} has a response that is a list in a list ({str(value)[:60]}): write each as one text"
        )
    return responses


def _has_each(value: Any, responses: int) -> bool:
    """Whether there is nothing, or one value for each response."""
    return value is None or (len(value) if isinstance(value, list) else 1) == responses


def _one(value: Any, at: int, of: int) -> Any:
    """What is said of one response; of several only where there is one value for each."""
    if not _has_each(value, of):
        return None
    return value[at] if isinstance(value, list) else value
