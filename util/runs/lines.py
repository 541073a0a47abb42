"""Does a line of a run's files hold what its readers expect?

Call `misfit`; `FIELDS` says what each file holds, `is_run_file` which files belong to a run. `named` and
`key_of` write and read by which fields a line names its sample.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from util.records import MOST_COUNTED, Key, Verdict
from util.settings import MOST_SAMPLES

PROBLEMS, SAMPLES, FORMATTED, UNFORMATTED, VERDICTS, OPINIONS, THEIRS, BATCHES = (
    "problems.jsonl",
    "samples.jsonl",
    "formatted.jsonl",
    "unformatted.jsonl",
    "verdicts.jsonl",
    "opinions.jsonl",
    "theirs.jsonl",
    "batches.jsonl",
)
ABSENT = object()  # stands for a field that a line does not have
Fits = Callable[[Any], bool]
Fields = Mapping[str, Fits]  # of a line, by name


def _is_text(value: Any) -> bool:
    return type(value) is str


def _is_text_or_null(value: Any) -> bool:
    return value is None or type(value) is str


def _is_text_if_there(value: Any) -> bool:
    return value in (None, ABSENT) or type(value) is str


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value < MOST_COUNTED


def _is_index(value: Any) -> bool:
    return type(value) is int and 0 <= value < MOST_SAMPLES


def _is_temperature(value: Any) -> bool:
    return type(value) in (int, float) and 0 <= value < MOST_COUNTED  # no NaN, no infinity


def _is_texts_if_there(value: Any) -> bool:
    return value in (None, ABSENT) or (isinstance(value, list) and all(map(_is_text, value)))


def _is_object_if_there(value: Any) -> bool:
    return value in (None, ABSENT) or isinstance(value, dict)


def _is_list(value: Any) -> bool:
    return isinstance(value, list)


def _is_label(value: Any) -> bool:
    return type(value) in (int, float) and value == value


def _is_verdict(value: Any) -> bool:
    """Whether all its values are texts, but `correct` and an `extracted` that is null."""
    if not isinstance(value, dict) or type(value.get("correct")) is not bool:
        return False
    others = 1 + (value.get("extracted", "") is None)
    return [*map(type, value.values())].count(str) == len(value) - others


def _is_score(value: Any) -> bool:
    return value is None or isinstance(value, bool | list)


def is_their_score(value: Any) -> bool:
    return value is None or type(value) is bool or (type(value) in (int, float) and abs(value) < MOST_COUNTED)


def _is_pair_of_words(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(map(_is_text_or_null, value))


_KEY: Fields = {"problem_id": _is_text, "temperature": _is_temperature, "index": _is_index}
FIELDS: dict[str, Fields] = {  # by the name of the file
    PROBLEMS: {
        "id": _is_text,
        "question": _is_text,
        "prompt": _is_text,
        "answer": _is_text_or_null,
        "choices": _is_texts_if_there,
        "about": _is_object_if_there,
    },
    SAMPLES: {
        **_KEY,
        "text": _is_text,
        "reasoning": _is_text_if_there,
        "finish_reason": _is_text,
        "prompt_tokens": _is_count,
        "completion_tokens": _is_count,
    },
    FORMATTED: {**_KEY, "text": _is_text},
    UNFORMATTED: _KEY,
    VERDICTS: {**_KEY, "judged": _is_text, "verdict": _is_verdict},
    OPINIONS: {
        **_KEY,
        **dict.fromkeys(("judged", "answer", "why", "verifier", "prompt"), _is_text),
        "said": _is_pair_of_words,
    },
    THEIRS: {**_KEY, "metric": _is_text, "score": is_their_score, "extracted": _is_text_or_null},
    "budget.jsonl": {
        **_KEY,
        **dict.fromkeys(("at", "prompt_tokens", "completion_tokens"), _is_count),
        **dict.fromkeys(("begun", "text", "finish_reason"), _is_text),
    },
    BATCHES: {"part": _is_count, "state": _is_text},
    "split.jsonl": {"step": _is_list, "cuts": _is_list},
    "scores.jsonl": {"step": _is_list, "correct": _is_score},
}
_KINDS: dict[Fits, str] = {
    _is_text: "a text",
    _is_text_or_null: "a text or null",
    _is_text_if_there: "a text or null",
    _is_count: "a count",
    _is_index: f"a number from 0 to {MOST_SAMPLES - 1}",
    _is_temperature: "a temperature",
    _is_texts_if_there: "a list of texts",
    _is_object_if_there: "an object",
    _is_list: "a list",
    _is_label: "a number",
    _is_verdict: "a verdict",
    _is_score: "a score",
    is_their_score: "a number, true, false or null",
    _is_pair_of_words: "a pair of texts",
}
LABELLED: Fields = {"id": _is_text, "gpt_difficulty_parsed": _is_label}
UNLABELLED: Fields = {"id": _is_text}


def named(key: Key) -> dict[str, Any]:
    """The fields by which a line names its sample."""
    return dict(zip(_KEY, key, strict=True))


def key_of(line: Mapping[str, Any]) -> Key:
    """The sample that a line names."""
    return line["problem_id"], line["temperature"], line["index"]


def is_run_file(path: Path) -> bool:
    """Whether a path is, or would be, one of the files of the run in its folder."""
    name, _, ending = path.name.partition(".")
    of_settings = name == "run" and ending.endswith("json")  # run.json, run.3.json of a shard
    of_lines = f"{name}.jsonl" in FIELDS and ending.endswith("jsonl")
    return (of_settings or of_lines) and (path.parent / "run.json").is_file()


def misfit(line: Mapping[str, Any], fields: Fields) -> str:
    """What is wrong with the first field that does not fit, in words; "" where all fit."""
    for name, is_right in fields.items():
        if not is_right(line.get(name, ABSENT)):
            if name not in line:
                return f"it has no {name}"
            return f"its {name} is {shortened(line[name])}, not {_KINDS[is_right]}"
    if "verdict" in fields and not line["verdict"].keys() <= Verdict.__dataclass_fields__.keys():
        unknown = next(name for name in line["verdict"] if name not in Verdict.__dataclass_fields__)
        return f"its verdict has {unknown!r}: a newer version of the suite wrote it"
    return ""


def shortened(value: Any, most: int = 40) -> str:
    text = repr(value)
    return text if len(text) <= most else f"{text[: most - 3]}..."
