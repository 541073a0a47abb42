"""How does a result file of the older layout become a run folder?

`read_old_file` reads one, `import_results` writes the run. The layout is one JSON object keyed by the text
of a problem. Each value holds the row's own fields and `responses`: per temperature one sample or a list of
samples with `content`, `correctness`, `reason` and perhaps `processed_content`. In the results.json of 2025
the keys are row numbers, `responses` is the list of samples itself, and the temperature stands in the
summary.json beside it.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from string import ascii_uppercase

from util.errors import UserError
from util.machines.versions import made_with
from util.records import Problem, Sample, Verdict, exact_number, graded_text
from util.response import split_parts
from util.runs.folder import Run
from util.runs.reader import text_digest
from util.runs.theirs import TheirScore, imported
from util.task import Task, content_id
from util.terminal import say

GRADER = "imported"
METRIC = "accuracy"  # the older tool has one
SUMMARY = "summary.json"
NOT_IN_ROWS = ("responses", "token_usages", "prompt", "input_conversation", "_index")
QUESTIONS = ("problem", "question", "Question")  # fields of rows in which a question stands
UNKNOWN_TEMPERATURE = 1.0  # of several samples: the tool draws one at temperature 0
OPTIONS = {"choices", "options", "multiple_choice_string"}  # fields of rows whose answer is a choice


@dataclass(frozen=True)
class OldSample:
    """One response of an old file."""

    temperature: float
    index: int
    content: str
    processed: str | None
    correct: bool | None
    reason: str
    prompt_tokens: int
    completion_tokens: int


def read_old_file(path: Path) -> dict[str, dict]:
    """The contents of an old result file; raises UserError when it is something else."""
    try:
        content = json.loads(path.read_bytes())
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is not JSON ({error}): give a result file of the older layout") from error
    if isinstance(content, dict) and content and all(map(_is_numbered, content.values())):
        content = _by_question(content, path)
    if not isinstance(content, dict) or not content:
        raise UserError(
            f"{path} is not an object keyed by problem text: give a result file of the older layout"
        )
    for question, row in content.items():
        if not _is_old_row(row):
            raise UserError(
                f"{path}: {question[:40]!r} has no responses by temperature with content each: "
                "give a result file of the older layout"
            )
    if not any(row["responses"] for row in content.values()):
        raise UserError(f"{path} holds problems and not one response: there is nothing to import")
    return content


def is_old_file(path: Path) -> bool:
    """Whether a file is a whole result file of the older layout."""
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return False
    rows = list(content.values()) if isinstance(content, dict) else []
    return bool(rows) and all(_is_numbered(row) or _is_old_row(row) for row in rows)


def import_results(
    content: dict[str, dict],
    task: Task,
    folder: Path,
    settings: dict,
    *,
    with_verdicts: bool,
    score: object = None,
) -> dict[str, int]:
    """Write the samples of an old file into a run folder, each once; returns what was written.

    The file does not say why a response ended. One as long as `max_tokens` of the settings was cut off there,
    unless a longer one shows that this was not the limit. `score` is what the older tool logged of all.
    """
    counts = Counter(problems=0, samples=0, cut_off=0, formatted=0, verdicts=0, left_out=0)
    limit = settings.get("max_tokens")
    if limit is not None and longest_response(content) > limit:
        limit = None
    made = {**made_with(), "imported": imported("the older layout", {METRIC: score})}
    with Run(folder, settings=settings, made_with=made) as opened:
        if opened.info["made_with"].get("imported") is True:  # by a version that kept no scores
            opened.info["made_with"]["imported"] = made["imported"]
            opened.save_info()
        for question, row in content.items():
            problem, prompt = _problem(task, question, row, settings["model"])
            opened.add_problem(problem, prompt)
            counts["problems"] += 1
            for old in _samples(row):
                key = (problem.id, old.temperature, old.index)
                if old.correct is not None:
                    opened.add_theirs(key, TheirScore(METRIC, old.correct))
                # The older tool stored the message of a failed request as if it were a response.
                if not old.content.strip() or old.content.startswith("Error:"):
                    counts["left_out"] += 1
                elif not opened.has(*key):
                    counts.update(_write(opened, problem.id, old, limit, with_verdicts))
    return dict(counts)


def _is_numbered(row: object) -> bool:
    """Whether a row is one of those that are keyed by their numbers."""
    return isinstance(row, dict) and isinstance(row.get("responses"), list)


def _by_question(content: dict[str, dict], path: Path) -> dict[str, dict]:
    """The rows of a results.json of 2025, keyed and nested as those of earlier files are."""
    said = said_beside(path, "configuration", "sampling_params", "temperature")
    if isinstance(said, int | float) and math.isfinite(said):
        temperature = float(said)
    else:
        several = any(len(row["responses"]) > 1 for row in content.values())
        temperature = UNKNOWN_TEMPERATURE if several else 0.0
        say(f"no {SUMMARY} beside {path} says the temperature: it is taken as {exact_number(temperature)}")
    rows: dict[str, dict] = {}
    for number, row in content.items():
        question = next(
            (row[name] for name in QUESTIONS if isinstance(row.get(name), str)), row.get("prompt")
        )
        asked = [turn.get("content") for turn in _turns(row) if turn.get("role") == "user"]
        key = question if isinstance(question, str) and question not in rows else f"row {number}"
        rows[key] = {
            **row,
            "prompt": asked[-1] if asked else row.get("prompt"),
            "responses": {str(temperature): row["responses"]},
            "token_usages": {str(temperature): row.get("token_usages")},
        }
    return rows


def _turns(row: dict) -> list[dict]:
    turns = row.get("input_conversation")
    return [turn for turn in turns if isinstance(turn, dict)] if isinstance(turns, list) else []


def said_beside(path: Path, *names: str) -> object:
    """What the summary beside a results.json says, by the names of the fields on the way to it."""
    try:
        value = json.loads(path.with_name(SUMMARY).read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def longest_response(content: dict[str, dict]) -> int:
    """The most completion tokens of a response; 0 where the file counts none."""
    return max((old.completion_tokens for row in content.values() for old in _samples(row)), default=0)


def _write(
    opened: Run, problem_id: str, old: OldSample, limit: int | None, with_verdicts: bool
) -> Counter[str]:
    """Write one sample and what was said of it."""
    counts = Counter(samples=1)
    key = (problem_id, old.temperature, old.index)
    ended = "unknown" if limit is None or old.completion_tokens < limit else "length"
    sample = Sample(*key, old.content, None, ended, old.prompt_tokens, old.completion_tokens)
    counts["cut_off"] = ended == "length"
    formatted = old.processed if old.processed and split_parts(old.processed) else None
    if formatted is not None:
        opened.add_formatted(key, formatted, GRADER)
        counts["formatted"] += 1
    # A verdict on a rewrite that is none (an error message, say) is about a text that is not kept.
    if with_verdicts and old.correct is not None and (formatted is not None or not old.processed):
        judged = text_digest(graded_text(sample, formatted))
        reason = "" if old.correct else "wrong_answer"
        opened.add_verdict(key, judged, Verdict(old.correct, reason, None, old.reason, GRADER))
        counts["verdicts"] += 1
    opened.add_told(sample)
    return counts


def _problem(task: Task, question: str, row: dict, model: str) -> tuple[Problem, str]:
    """The problem that the row's own fields make; by its text where they are not those of today's rows."""
    fields = {name: _without_letters(value) for name, value in row.items() if name not in NOT_IN_ROWS}
    try:
        problem = task.problem(fields)
        prompt = task.prompt(problem, model)
    except (KeyError, ValueError, TypeError, IndexError, AttributeError):  # fields that the old tool changed
        answer = row.get("answer")
        is_known = answer is not None and not OPTIONS & row.keys()  # else it may be an option's number
        problem = Problem(content_id(question), question, str(answer) if is_known else None)
        prompt = question
    return problem, row["prompt"] if isinstance(row.get("prompt"), str) else prompt


def _without_letters(value: object) -> object:
    """A row's options as they were loaded: the older tool wrote "(A) ", "(B) ", ... into them."""
    marks = [f"({letter}) " for letter in ascii_uppercase]
    if not isinstance(value, list) or not 0 < len(value) <= len(marks):
        return value
    marked = list(zip(value, marks, strict=False))
    if not all(isinstance(text, str) and text.startswith(mark) for text, mark in marked):
        return value
    return [text.removeprefix(mark) for text, mark in marked]


def _samples(row: dict) -> Iterator[OldSample]:
    for temperature, found in row["responses"].items():
        usages = row.get("token_usages")
        usages = _as_list(usages.get(temperature) if isinstance(usages, dict) else None)
        for index, response in enumerate(_as_list(found)):
            usage = usages[index] if index < len(usages) and isinstance(usages[index], dict) else {}
            correct = response.get("correctness")
            yield OldSample(
                temperature=float(temperature),
                index=index,
                content=response.get("content") or "",
                processed=response.get("processed_content"),
                correct=None if correct is None else bool(correct),
                reason=str(response.get("reason") or ""),
                prompt_tokens=int(usage.get("prompt_tokens") or 0),
                completion_tokens=int(usage.get("completion_tokens") or 0),
            )


def _as_list(value: object) -> list:
    return value if isinstance(value, list) else [value]


def _is_old_row(row: object) -> bool:
    if not isinstance(row, dict) or not isinstance(row.get("responses"), dict):
        return False
    responses = [response for found in row["responses"].values() for response in _as_list(found)]
    return all(map(_is_number, row["responses"])) and all(map(_is_old_response, responses))


def _is_old_response(response: object) -> bool:
    if not isinstance(response, dict) or "content" not in response:
        return False
    return all(isinstance(response.get(name), str | None) for name in ("content", "processed_content"))


def _is_number(temperature: str) -> bool:
    try:
        return math.isfinite(float(temperature))
    except ValueError:
        return False
