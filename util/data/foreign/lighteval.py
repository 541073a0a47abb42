"""What does lighteval write as details?

Call `read`: one log of a parquet file, of the columns until version 0.9 or of those since 0.10.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from util.data.columns import NAMES
from util.data.files import RowFilter, read_rows
from util.data.foreign.samples import (
    ForeignSample,
    Log,
    Score,
    last_of,
    number,
    question_of,
    read_object,
    score_of,
    texts,
)
from util.response import message_text

TOOL = "lighteval"
TEXTS = ("example", "full_prompt", "instruction")
_NAME = re.compile(r"details_(?P<task>.+)_(?P<date>\d{4}-\d\d-\d\dT[\d.-]+)")
# Of several responses together, and no mean of theirs.
_OF_ALL = re.compile(r"maj|pass\^|g-?pass|pass@(?!1\b|k:k=1\b)", re.IGNORECASE)


def fits(row: Mapping[str, Any]) -> bool:
    return {"doc", "model_response"} <= row.keys() or {"full_prompt", "predictions", "metrics"} <= row.keys()


def read(path: Path) -> list[Log]:
    named = _NAME.fullmatch(path.stem)
    task = named["task"] if named else path.stem
    above = [folder.name for folder in path.parents]
    model, results = None, {}
    if named and "details" in above:
        at = above.index("details")
        model = "/".join(reversed(above[1:at]))  # details/ORG/NAME/DATE/details_TASK_DATE.parquet
        beside = path.parents[at + 1] / "results" / model / f"results_{named['date']}.json"
        results = read_object(beside, digits=True)
    general = results.get("config_general") or {}
    drawn = (general.get("model_config") or general).get("generation_parameters") or {}
    found = (results.get("results") or {}).get(task) or {}
    scores = {metric: score for metric, score in found.items() if not metric.endswith("_stderr")}
    temperature = number(drawn.get("temperature"))
    return [
        Log(
            TOOL,
            path,
            task,
            lambda: _samples(path, temperature),
            model=general.get("model_name") or model,
            scores=scores,
        )
    ]


def _samples(path: Path, temperature: float | None) -> Iterator[ForeignSample]:
    for at, raw in enumerate(read_rows(path, RowFilter(None, None, None))):
        row = _new(raw) if "doc" in raw else _old(raw)
        responses = texts(row["responses"])
        reference = row["golds"][0] if len(row["golds"]) == 1 else row["golds"]
        about: dict[str, Any] = {
            "question": question_of(row["bare"], row["query"], reference, row["choices"]),
            "problem": str(at),
            "prompt": row["prompt"],
            "reference": reference,
            "choices": row["choices"],
            "temperature": temperature,
        }
        if not responses:
            yield ForeignSample(**about, index=0, missing="scored by log-likelihood, without a response")
        for index, text in enumerate(responses):
            answer = _one(row["extracted"], index, len(responses))
            yield ForeignSample(
                **about,
                index=index,
                text=text,
                reasoning=_one(row["thoughts"], index, len(responses)),
                prompt_tokens=len(row["asked"]),
                completion_tokens=len(_one(row["drawn"], index, len(responses)) or ()),
                scores=tuple(
                    # Of several responses it is their mean, which each of them is given.
                    Score(metric, score_of(score), answer if isinstance(answer, str) else None)
                    for metric, score in row["metrics"].items()
                    if score_of(score) is not None and (len(responses) == 1 or not _OF_ALL.search(metric))
                ),
            )


def _new(raw: dict) -> dict[str, Any]:
    doc, response = raw["doc"], raw["model_response"]
    choices, sent = list(texts(doc.get("choices"))), response.get("input")
    return {
        "bare": _bare(doc.get("specific")),
        "query": doc.get("query") or "",
        "prompt": sent if isinstance(sent, str) else message_text(last_of("user", sent).get("content")),
        "golds": _golds(choices, doc.get("gold_index")),
        "choices": tuple(choices) if len(choices) > 1 else (),
        "responses": response.get("text"),
        "thoughts": response.get("reasonings"),
        "asked": response.get("input_tokens") or (),
        "drawn": response.get("output_tokens"),
        "metrics": raw.get("metric") or {},
        "extracted": None,
    }


def _old(raw: dict) -> dict[str, Any]:
    """A row of a version before 0.10; the first ones wrote each value as the text of a Python literal."""
    row = {name: value if name in TEXTS else _value(value) for name, value in raw.items()}
    choices, specifics = list(texts(row.get("choices"))), row.get("specifics")
    responses, drawn = row["predictions"], row.get("cont_tokens")
    if isinstance(drawn, list) and len(drawn) == 1 and isinstance(responses, list) and len(responses) > 1:
        drawn = drawn[0]
    asked = row.get("input_tokens")
    if isinstance(asked, list) and len(asked) == 1 and isinstance(asked[0], list):
        asked = asked[0]
    return {
        "bare": _bare(specifics),
        "query": row.get("example") or row["full_prompt"],
        "prompt": row["full_prompt"],
        "golds": list(texts(row.get("gold"))) or _golds(choices, row.get("gold_index")),
        "choices": tuple(choices) if len(choices) > 1 else (),
        "responses": [responses] if isinstance(responses, str) else responses,
        "thoughts": None,
        "asked": asked if isinstance(asked, list) else (),
        "drawn": drawn,
        "metrics": row["metrics"] or {},
        "extracted": specifics.get("extracted_predictions") if isinstance(specifics, dict) else None,
    }


def _bare(specific: Any) -> str:
    """The question without the words around it, where the task keeps it."""
    found = (specific.get(name) for name in NAMES["question"].split()) if isinstance(specific, dict) else ()
    return next((text for text in found if isinstance(text, str) and text.strip()), "")


def _golds(choices: list[str], index: Any) -> list[str]:
    places = index if isinstance(index, list) else [index]
    right = [choices[at] for at in places if isinstance(at, int) and 0 <= at < len(choices)]
    return list(dict.fromkeys(right))


def _one(values: Any, index: int, of: int) -> Any:
    """What belongs to one of several responses; None where there is not one for each."""
    return values[index] if isinstance(values, list) and len(values) == of else None


def _value(value: Any) -> Any:
    if isinstance(value, str) and value[:1] in "[{" and value[-1:] in "]}":
        try:
            return ast.literal_eval(value)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            return value
    return value
