"""What does OpenCompass write below predictions/?

Call `read`: one log of a file of predictions with all its parts, and what the file below results/ says.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from util.data.foreign.samples import (
    ForeignSample,
    Log,
    Score,
    last_of,
    read_object,
    score_of,
)
from util.response import message_text

TOOL = "OpenCompass"
_PART = re.compile(r"(?P<task>.+)_(?P<part>\d+)")


def fits(content: Mapping[str, Any]) -> bool:
    first = next(iter(content.values()), None)
    return isinstance(first, dict) and {"prediction", "origin_prompt"} <= first.keys()


def read(path: Path) -> list[Log]:
    task, parts = _parts(path)
    if path != parts[0]:
        return []  # read together with the first part
    in_folder = path.parent.parent.name == "predictions"
    results = path.parent.parent.with_name("results") / path.parent.name / f"{task}.json"
    said = read_object(results, digits=True) if in_folder else {}
    details = said.get("details")
    scores = {metric: score for metric, score in said.items() if score_of(score) is not None}
    return [
        Log(
            TOOL,
            path,
            task,
            lambda: _samples(parts, details),
            model=path.parent.name if in_folder else None,
            scores=scores,
        )
    ]


def _parts(path: Path) -> tuple[str, list[Path]]:
    """The task's name and the files into which its predictions were split."""
    named = _PART.fullmatch(path.stem)
    if named is None or not path.with_name(f"{named['task']}_0.json").exists():
        return path.stem, [path]
    found = ((_PART.fullmatch(one.stem), one) for one in path.parent.glob("*.json"))
    parts = [(int(match["part"]), one) for match, one in found if match and match["task"] == named["task"]]
    return named["task"], [one for _, one in sorted(parts)]


def _samples(parts: list[Path], details: Any) -> Iterator[ForeignSample]:
    at = 0
    for path in parts:
        for row in read_object(path).values():
            told = details.get(str(at)) if isinstance(details, dict) else None
            if isinstance(details, list) and at < len(details):
                told = details[at]
            yield from _of_row(row, str(at), told if isinstance(told, dict) else {})
            at += 1


def _of_row(row: dict, problem: str, told: dict) -> Iterator[ForeignSample]:
    asked, gold, found = row["origin_prompt"], row.get("gold"), row["prediction"]
    question = asked if isinstance(asked, str) else message_text(last_of("user", asked).get("content"))
    responses = found if isinstance(found, list) else [found]
    answer, right = told.get("predictions", told.get("pred")), told.get("correct")
    for index, text in enumerate(responses):
        is_text = isinstance(text, str)
        own = answer[index] if isinstance(answer, list) and len(answer) == len(responses) else answer
        correct = right[index] if isinstance(right, list) and len(right) == len(responses) else right
        yield ForeignSample(
            question,
            text if is_text else "",
            problem=problem,
            index=index,
            reference=gold[0] if isinstance(gold, list) and len(gold) == 1 else gold,
            scores=(Score("accuracy", score_of(correct), own if isinstance(own, str) else None),)
            if score_of(correct) is not None
            else (),
            missing="" if is_text else "without a response",
        )
