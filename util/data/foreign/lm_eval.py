"""What does lm-evaluation-harness write with --log_samples?

Call `read`: one log of a samples file. It has a line per problem and filter; all have the same responses.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from util.data.columns import NAMES
from util.data.foreign.samples import (
    ForeignSample,
    Log,
    Score,
    json_lines,
    last_of,
    number,
    question_of,
    read_object,
    score_of,
    texts,
)
from util.response import message_text

TOOL = "lm-evaluation-harness"
_NAME = re.compile(r"samples_(?P<task>.+?)(?:_(?P<date>\d{4}-\d\d-\d\dT[\d.-]+))?")


def fits(row: Mapping[str, Any]) -> bool:
    return {"doc", "resps"} <= row.keys()


def read(path: Path) -> list[Log]:
    named = _NAME.fullmatch(path.stem)
    task = named["task"] if named else path.stem
    beside = path.with_name(f"results_{named['date']}.json" if named and named["date"] else "results.json")
    results = read_object(beside, digits=True)
    scores = {
        metric: score
        for metric, score in _within(results, "results", task).items()
        if "," in metric and "_stderr" not in metric
    }
    filters = _within(results, "configs", task).get("filter_list") or []
    votes = [one["name"] for one in filters if "majority_vote" in json.dumps(one)]
    model = results.get("model_name") or (path.parent.name if "__" in path.parent.name else None)
    return [
        Log(
            TOOL,
            path,
            task,
            lambda: _samples(path, votes),
            model=model and model.replace("__", "/"),
            version=results.get("lm_eval_version"),
            scores=scores,
        )
    ]


def _within(value: Any, *names: str) -> dict:
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    return value if isinstance(value, dict) else {}


def _samples(path: Path, votes: Collection[str]) -> Iterator[ForeignSample]:
    for row in json_lines(path):
        name = row.get("filter", "none")
        is_vote = name in votes or "maj" in name
        yield from _of_row(row, name, is_vote)


def _of_row(row: dict, filtered_by: str, is_vote: bool) -> Iterator[ForeignSample]:
    doc = row["doc"] if isinstance(row["doc"], dict) else {}
    prompt, options = _asked(row.get("arguments"))
    choices = next(filter(None, (texts(doc.get(name)) for name in NAMES["options"].split())), ())
    asked = (doc.get(name) for name in NAMES["question"].split())
    bare = next((text for text in asked if isinstance(text, str) and text.strip()), "")
    target = row.get("target")
    about: dict[str, Any] = {
        "question": question_of(bare, prompt, target, choices),
        "problem": str(row.get("doc_id", "")),
        "prompt": prompt,
        "reference": target,
        "choices": choices,
        "temperature": _temperature(options),
    }
    responses = [
        text for request in row["resps"] for text in (request if isinstance(request, list) else [request])
    ]
    if not responses or not all(isinstance(text, str) for text in responses):
        yield ForeignSample(**about, index=0, missing="scored by log-likelihood, without a response")
        return
    found = row.get("filtered_resps")
    for index, text in enumerate(responses):
        extracted = _extracted(found, index, len(responses))
        says = extracted is not None or (index == 0 and len(responses) == 1)
        yield ForeignSample(
            **about,
            index=index,
            text=text,
            scores=tuple(
                Score(
                    f"{metric},{filtered_by}", score_of(row[metric]), None if extracted == text else extracted
                )
                for metric in row.get("metrics") or _metrics(row)
                if says and not is_vote and score_of(row.get(metric)) is not None
            ),
        )


def _metrics(row: dict) -> list[str]:
    """The metrics of a version that does not list them."""
    others = ("doc_id", "temperature")
    return [name for name, value in row.items() if isinstance(value, int | float) and name not in others]


def _extracted(found: Any, index: int, responses: int) -> str | None:
    """What a filter made of a response; None where it does not say, or took another response.

    A filter that takes the first response leaves one, though there are several.
    """
    if isinstance(found, list) and len(found) == 1 and isinstance(found[0], list):
        found = found[0]
    if isinstance(found, str):
        found = [found]
    if not isinstance(found, list) or len(found) not in (1, responses) or index >= len(found):
        return None
    return found[index] if isinstance(found[index], str) else None


def _asked(arguments: Any) -> tuple[str, dict]:
    """The prompt and how the answer was drawn; older versions have lists, newer ones objects."""
    if isinstance(arguments, dict):
        arguments = list(arguments.values())
    first = arguments[0] if isinstance(arguments, list) and arguments else ()
    parts = list(first.values()) if isinstance(first, dict) else first if isinstance(first, list) else [first]
    prompt, options = (*parts, None, None)[:2]
    if isinstance(prompt, list) and len(prompt) == 1:
        prompt = prompt[0]
    if isinstance(prompt, str) and prompt.startswith('[{"'):  # messages, as endpoints were sent them
        try:
            prompt = message_text(last_of("user", json.loads(prompt)).get("content"))
        except ValueError:
            pass
    return prompt if isinstance(prompt, str) else "", options if isinstance(options, dict) else {}


def _temperature(options: dict) -> float | None:
    if options.get("do_sample") is False:
        return 0.0
    return number(options.get("temperature"))
