"""How do the samples in another suite's log become a run?

Call `survey`; `write_problems` makes problems of one's own of the questions, `ByText` finds those of a
benchmark, and `import_logs` writes the run.
"""

from __future__ import annotations

import filecmp
import itertools
import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from util.data.foreign.samples import ForeignSample, Log
from util.errors import UserError, not_writable
from util.machines.versions import made_with
from util.records import Key, Problem, Sample
from util.runs.folder import Run
from util.runs.journal import make_folders, sha256_of, sync_names, write_lines
from util.runs.theirs import TheirScore, imported
from util.settings import MOST_SAMPLES
from util.task import content_id

ANCHOR = 8  # words by which a question is looked for within a prompt
UNKNOWN = "unknown"  # finish reason of a text whose log does not say how it ended
NO_REASON = "without a finish reason"
UNMATCHED = "unmatched:"  # begins the names of their problems that are none of ours, in theirs.jsonl
_SPACE, _WORD = re.compile(r"\s+"), re.compile(r"\w")


@dataclass(frozen=True)
class Survey:
    """What a log holds, apart from the responses."""

    asked: Mapping[str, ForeignSample]  # by the log's name of a problem: its first sample, without the text
    temperature: float  # of samples whose temperature the log does not say
    is_told: bool  # whether it says that of all
    longest: int  # completion tokens of a response
    responses: int
    unlike: Mapping[str, int]  # column with another number of values than of responses -> in how many rows
    unread: Mapping[str, int]  # column that holds something else than a number -> of how many samples
    first_unread: Mapping[str, str]  # what stands in it at first
    missing: Mapping[str, int]  # why there are no responses -> of how many samples


def survey(log: Log) -> Survey:
    """Read a log once.

    Raises UserError where it has two responses for one sample: neither may be lost.
    """
    texts: dict[tuple[str, int, float | None], int] = {}
    asked: dict[str, ForeignSample] = {}
    several, is_told, longest = False, True, 0
    missing: Counter[str] = Counter()
    unlike: Counter[str] = Counter()
    unread: Counter[str] = Counter()
    first_unread: dict[str, str] = {}
    for sample in log.samples():
        name = _name(sample)
        several = several or (sample.index is None and name in asked) or (sample.index or 0) > 0
        is_told = is_told and (sample.temperature is not None or bool(sample.missing))
        if sample.index is not None:
            text = hash((sample.text, sample.reasoning))
            if texts.setdefault((name, sample.index, sample.temperature), text) != text:
                raise UserError(
                    f"{log.path} has two responses for sample {sample.index} of problem {name}: split the "
                    "file into one for each run that wrote into it"
                )
        longest = max(longest, sample.completion_tokens)
        missing[sample.missing] += 1
        unlike.update(sample.unlike)
        unread.update(sample.unread.keys())
        for column, value in sample.unread.items():
            first_unread.setdefault(column, value)
        if name not in asked:
            asked[name] = replace(sample, text="", reasoning=None, scores=())
    responses = missing.pop("", 0)
    # The temperature of several samples is not 0: they would all be equal.
    usual = 1.0 if several else 0.0
    return Survey(asked, usual, is_told, longest, responses, unlike, unread, first_unread, missing)


def _name(sample: ForeignSample) -> str:
    """What tells a log's problems apart: its own names, else their texts."""
    return sample.problem or content_id(sample.question, sample.reference)


# --- problems of one's own ---


def own_problems(found: Survey, problems: Iterable[Problem]) -> dict[str, Problem | None]:
    """The problem of each name in a log, out of those that `write_problems` wrote and that can be graded."""
    by_id = {problem.id: problem for problem in problems}
    return {
        name: by_id.get(own) or Problem(own, found.asked[name].question, None)
        for name, own in _own_ids(found).items()
    }


def _own_ids(found: Survey) -> dict[str, str]:
    """The id of each problem of a log by its name there: of one text the same, whichever suite asked it."""
    times: Counter[str] = Counter()
    ids = {}
    for name, sample in found.asked.items():
        usual = content_id(sample.question, sample.reference)
        times[usual] += 1
        ids[name] = usual if times[usual] == 1 else f"{usual}-{times[usual]}"
    return ids


def write_problems(found: Survey, task: str, folder: Path) -> Path:
    """Write the questions of a log with their answers and options as rows of one's own; returns the file.

    One of the same name that holds other problems stays as it is: the next free number is taken.
    """
    title = re.sub(r"[^\w.+-]+", "-", task).strip("-.") or "problems"
    ids = _own_ids(found)
    rows = (
        {"id": ids[name], "question": sample.question, "answer": sample.reference}
        | ({"options": sample.choices} if sample.choices else {})
        for name, sample in found.asked.items()
    )
    part = folder / f".{title}.part"
    try:
        make_folders(folder)
        write_lines(part, (f"{json.dumps(row, ensure_ascii=False)}\n" for row in rows))
    except OSError as error:
        raise not_writable(folder, error, "--result-dir") from error
    names = (f"{title}{'' if number == 1 else f'-{number}'}.jsonl" for number in itertools.count(1))
    path = next(
        path
        for path in map(folder.joinpath, names)
        if not path.exists() or filecmp.cmp(part, path, shallow=False)
    )
    part.replace(path)
    sync_names(folder)
    return path


# --- the problems of a benchmark ---


@dataclass(frozen=True)
class _Match:
    problem: Problem
    tail: str | None  # what follows the question in the prompt; None: the question stands alone
    is_repeated: bool  # whether the words around it come again, as those around examples do


class ByText:
    """Finds the problem of a benchmark whose question a log asks: as it stands, or within a prompt."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self._by_text: dict[str, list[Problem]] = {}
        self._anchors: dict[tuple[str, ...], list[str]] = {}
        self._taken: set[str] = set()
        for problem in problems:
            text = _plain(problem.question)
            if text not in self._by_text:
                self._anchors.setdefault(tuple(text.split(" ")[:ANCHOR]), []).append(text)
            self._by_text.setdefault(text, []).append(problem)
        self._lengths = sorted({len(anchor) for anchor in self._anchors})

    def of_log(self, found: Survey) -> dict[str, Problem | None]:
        """The problem of each name in a log.

        A question within a prompt may be one of its examples. It is the one that is asked where the words
        around it do not come again, where what follows ends most prompts, or where options or answer are the
        same.
        """
        matches = {name: self._find(sample) for name, sample in found.asked.items()}
        tails = Counter(
            match.tail for match in matches.values() if match is not None and match.tail is not None
        )
        usual = max(tails, key=lambda tail: tails[tail], default="")
        ends = sum(
            _plain(sample.prompt or sample.question).endswith(usual) for sample in found.asked.values()
        )
        usual_tails = {None, usual} if 2 * ends >= len(found.asked) else {None}
        return {
            name: match.problem
            if match is not None
            and (
                match.tail in usual_tails
                or not match.is_repeated
                or match.problem.choices
                or _same_answer(match.problem, found.asked[name])
            )
            else None
            for name, match in matches.items()
        }

    def _find(self, sample: ForeignSample) -> _Match | None:
        """Each problem is found but once; of several that fit, the first one with the same options."""
        text = _plain(sample.question)
        is_bare = text in self._by_text
        prompt = text if is_bare or self._within(text) else _plain(sample.prompt)
        found = [text] if is_bare else self._within(prompt)
        free = [one for text in found for one in self._by_text[text] if one.id not in self._taken]
        problem = next((one for one in free if _same_options(one, sample)), free[0] if free else None)
        if problem is None:
            return None
        self._taken.add(problem.id)
        head, _, tail = prompt.rpartition(_plain(problem.question))
        return _Match(problem, None if is_bare else tail, is_repeated=_comes_again(head, tail))

    def _within(self, prompt: str) -> list[str]:
        """The questions in a prompt: the one that ends last first, before those of its examples; of several
        that end there, the longest."""
        words = prompt.split(" ")
        found: list[tuple[int, int, str]] = []
        for at in range(len(words)):
            for length in self._lengths:
                for text in self._anchors.get(tuple(words[at : at + length]), ()):
                    number = text.count(" ") + 1
                    if " ".join(words[at : at + number]) == text:
                        found.append((at + number, number, text))
        return [text for _, _, text in sorted(found, reverse=True)]


def _comes_again(head: str, tail: str) -> bool:
    """Whether the word before a question, such as "Question:", or the one behind it comes again later."""
    before, behind = (list(filter(_WORD.search, text.split(" "))) for text in (head, tail))
    return bool({*before[-1:]} & {*behind} or {*behind[:1]} & {*behind[1:]})


def _same_answer(problem: Problem, sample: ForeignSample) -> bool:
    ours, theirs = problem.reference, sample.reference
    return (
        isinstance(ours, str) and isinstance(theirs, str) and 0 < len(ours) and theirs.strip().endswith(ours)
    )


def _plain(text: str) -> str:
    return _SPACE.sub(" ", text).strip()


def _same_options(problem: Problem, sample: ForeignSample) -> bool:
    """Whether a letter means the same option there as here; not where the log does not tell."""
    ours = [_plain(option) for option in problem.choices]
    asked = _plain(sample.prompt or sample.question)

    def shows(at: int, option: str) -> bool:
        labelled = rf"\b{chr(ord('A') + at)}[])}}.:*]+ ?{re.escape(option)}"
        return option in asked and re.search(labelled, asked) is not None

    if all(shows(at, option) for at, option in enumerate(ours)):
        return True
    if any(shows(at, option) for option in ours for at in range(len(ours)) if ours[at] != option):
        return False
    return [_plain(option) for option in sample.choices] == ours


# --- the run ---


@dataclass(frozen=True)
class Part:
    """A log that is imported, and which of our problems it asks by its own names; None: none of ours."""

    log: Log
    found: Survey
    problems: Mapping[str, Problem | None]


def import_logs(
    parts: Sequence[Part], folder: Path, *, settings: dict, dataset: dict, limit: int | None
) -> Counter[str]:
    """Write what the logs of one model hold into a run folder, each sample once; returns what was done.

    A text whose log does not say how it ended is cut off where it has as many tokens as `limit`. Raises
    UserError where the folder holds something else.
    """
    first = parts[0].log
    about = {"logs": [{"name": part.log.path.name, "sha256": sha256_of(part.log.path)} for part in parts]}
    version = {} if first.version is None else {"version": first.version}
    # Of several logs each score is of a part of the samples.
    note = imported(first.tool, first.scores if len(parts) == 1 else {}, **version, **about)
    counts: Counter[str] = Counter()
    with Run(folder, settings=settings, made_with={**made_with(), "imported": note}) as run:
        if run.info["made_with"].get("imported") != note:
            raise UserError(f"{folder} holds other samples: import {first.path} into another --result-dir")
        run.info["dataset"] = dataset
        run.save_info()
        for part in parts:
            times: Counter[str] = Counter()
            for sample in part.log.samples():
                counts.update(_import(run, part, sample, times, limit))
        counts["problems"] = run.problems
    return counts


def _import(
    run: Run, part: Part, sample: ForeignSample, times: Counter[str], limit: int | None
) -> dict[str, int]:
    problem = part.problems[_name(sample)]
    is_shuffled = problem is not None and not _same_options(problem, sample)
    name = problem.id if problem is not None and not is_shuffled else f"{UNMATCHED}{_name(sample)}"
    key = _key(name, sample, part.found.temperature, times)
    for score in sample.scores:
        answer = score.extracted if isinstance(score.extracted, str) else None
        run.add_theirs(key, TheirScore(score.metric, score.score, answer))
    if problem is None:
        return {"samples of other problems": 1}
    if is_shuffled:
        return {"samples whose options stand in another order, or nobody knows in which": 1}
    if sample.missing:
        return {sample.missing: 1}
    if run.has(*key):
        return {}
    run.add_problem(problem, sample.prompt or sample.question)
    return _write(run, key, sample, limit)


def _key(problem_id: str, sample: ForeignSample, usual: float, times: Counter[str]) -> Key:
    said = sample.temperature
    temperature = said if said is not None and said >= 0 else usual
    index = sample.index
    if index is None or index >= MOST_SAMPLES:
        index = times[problem_id]
        times[problem_id] += 1
    return problem_id, temperature, index


def _write(run: Run, key: Key, sample: ForeignSample, limit: int | None) -> dict[str, int]:
    ended = sample.finish_reason
    if ended is None:
        ended = "length" if limit is not None and sample.completion_tokens >= limit else UNKNOWN
    reasoning = sample.reasoning or None
    run.add_told(Sample(*key, sample.text, reasoning, ended, sample.prompt_tokens, sample.completion_tokens))
    return {"samples": 1, "cut off": int(ended == "length"), NO_REASON: int(ended == UNKNOWN)}
