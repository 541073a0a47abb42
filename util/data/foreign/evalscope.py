"""What does evalscope write below reviews/ and predictions/?

Call `read`: one log of a reviews file, with what predictions and reports beside it add, or of predictions.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from util.data.foreign.samples import (
    ForeignSample,
    Log,
    Score,
    count,
    end_of,
    json_lines,
    last_of,
    read_object,
    score_of,
    thought_of,
)
from util.response import message_text

TOOL = "evalscope"
FOLDERS = ("reviews", "predictions")


def fits(row: Mapping[str, Any]) -> bool:
    keys = row.keys()
    is_old = "choices" in keys and ("raw_input" in keys or "reviewed" in keys)
    return is_old or {"index", "sample_score"} <= keys or {"index", "model_output"} <= keys


def read(path: Path) -> list[Log]:
    reviews, predictions = (_beside(path, name) for name in FOLDERS)
    if path == predictions and reviews.exists():
        path = reviews
    reports = [
        one for one in _beside(path, "reports").parent.glob("*.json") if path.stem.startswith(one.stem)
    ]
    report = max(reports, key=lambda one: len(one.stem), default=path.with_suffix(".json"))
    said = read_object(report, digits=True)
    subset = path.stem.removeprefix(report.stem).removeprefix("_")
    return [
        Log(
            TOOL,
            path,
            path.stem,
            lambda: _samples(path, predictions if path != predictions and predictions.exists() else None),
            model=said.get("model_name")
            or (path.parent.name if path.parent.parent.name in FOLDERS else None),
            scores=_scores(said, subset),
        )
    ]


def _beside(path: Path, name: str) -> Path:
    """The file of the same model and task in another of the folders; itself where there are none such."""
    top = path.parent.parent
    return top.with_name(name) / path.parent.name / path.name if top.name in FOLDERS else path


def _scores(report: Mapping[str, Any], subset: str) -> dict[str, object]:
    found = {}
    for metric in report.get("metrics") or ():
        name = (metric.get("identity") or {}).get("name") or str(metric.get("name", "")).removeprefix("mean_")
        for category in metric.get("categories") or ():
            for part in category.get("subsets") or ():
                if part.get("name") == subset:
                    found[name] = part.get("score")
    return found


def _samples(path: Path, predictions: Path | None) -> Iterator[ForeignSample]:
    ends = {} if predictions is None else {row.get("index"): _output(row) for row in json_lines(predictions)}
    for row in json_lines(path):
        if "choices" in row:
            yield from _old(row)
        else:
            yield _new(row, ends.get(row.get("index")) or _output(row))


def _output(row: dict) -> dict[str, Any]:
    """What a line of predictions says of how the text ended."""
    output = row.get("model_output") or {}
    usage, choice = output.get("usage") or {}, (output.get("choices") or [{}])[0]
    return {
        "finish_reason": end_of(choice.get("stop_reason")),
        "prompt_tokens": count(usage.get("input_tokens")),
        "completion_tokens": count(usage.get("output_tokens")),
    }


def _new(row: dict, output: dict[str, Any]) -> ForeignSample:
    scored, messages, target = row.get("sample_score") or {}, row.get("messages"), row.get("target")
    score = scored.get("score") or {}
    asked = row.get("input") or last_of("user", messages).get("content")  # "input" until version 1.0
    content = last_of("assistant", messages).get("content", score.get("prediction"))
    index = scored.get("generation_index")
    return ForeignSample(
        question=message_text(asked) if not isinstance(asked, str) else asked,
        text=message_text(content),
        problem=str(scored["group_id"]) if scored.get("group_id") is not None else "",
        index=index if isinstance(index, int) else None,
        reference=target[0] if isinstance(target, list) and len(target) == 1 else target,
        reasoning=thought_of(content),
        scores=tuple(
            Score(metric, score_of(value), score.get("extracted_prediction"))
            for metric, value in (score.get("value") or {}).items()
        ),
        missing="" if content is not None else "without a response",
        **output,
    )


def _old(row: dict) -> Iterator[ForeignSample]:
    """The samples of a line as versions before 0.17 wrote it."""
    raw = row.get("raw_input") or {}
    asked = row.get("messages") or raw.get("question") or raw.get("problem") or raw.get("query")
    for index, choice in enumerate(row["choices"]):
        message, review = choice.get("message") or {}, choice.get("review") or {}
        content, gold, found = message.get("content"), review.get("gold"), review.get("pred")
        yield ForeignSample(
            question=asked if isinstance(asked, str) else message_text(last_of("user", asked).get("content")),
            text=message_text(content),
            problem=str(row.get("index", "")),
            index=index,
            reference=gold if gold is not None else raw.get("answer"),
            reasoning=message.get("reasoning_content") or thought_of(content),
            finish_reason=end_of(choice.get("finish_reason")),
            scores=(
                Score(
                    "AverageAccuracy", score_of(review.get("result")), None if found is None else str(found)
                ),
            )
            if "result" in review
            else (),
            missing="" if content is not None else "without a response",
        )
