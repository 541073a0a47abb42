"""How do run folders of the same settings become one?

Call `merge_runs`.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from util.errors import UserError
from util.runs.batches import RunPlace, waiting_parts
from util.runs.folder import Run, check_nobody_writes, read_run_json, spent_by_all
from util.runs.journal import Journal, parsed_line, read_lines
from util.runs.lines import FORMATTED, OPINIONS, PROBLEMS, SAMPLES, UNFORMATTED, VERDICTS, key_of, shortened
from util.runs.reader import SampleSet, has_samples, sample_from, sample_lines
from util.runs.repeat import next_step
from util.runs.theirs import logged_scores, read_theirs
from util.settings import difference
from util.terminal import say

SAID_OF_SAMPLES = (FORMATTED, UNFORMATTED, VERDICTS, OPINIONS)  # whose lines name a sample
OF_A_PROBLEM = ("question", "prompt", "answer")  # what must agree of one
OF_THE_ROWS = ("path", "split", "revision", "labels")  # parts of `dataset` that must agree


def merge_runs(folders: Sequence[Path], into: Path) -> dict[str, int]:
    """Write the samples of all `folders`, each once, with all that was said of them, into one; returns how
    many each gave.

    Of a sample that several have, the first one's counts. `into` may be what an earlier try left.
    Raises UserError when the runs were not made alike, or none has samples.
    """
    places = [os.path.realpath(folder) for folder in (*folders, into)]
    if len(set(places)) < len(places):
        raise UserError("a run is named twice: name each run once, and another folder behind -o")
    for folder in folders:
        read_run_json(folder)  # raises where there is no run
        if waiting_parts(RunPlace(folder)):
            raise UserError(
                f"{folder} has batches whose answers are not fetched yet, and the merged run would pay for "
                "them again: fetch them first, by the command that asked for them"
            )
    empty = [folder for folder in folders if not has_samples(folder)]
    if len(empty) == len(folders):
        raise UserError(f"none of these runs has samples: {next_step(folders[0], samples=0)}")
    for folder in empty:
        say(f"{folder} has no samples: it is left out")
    folders = [folder for folder in folders if folder not in empty]
    infos = [read_run_json(folder) for folder in folders]
    for folder, info in zip(folders[1:], infos[1:], strict=True):
        _refuse_unlike(folders[0], infos[0], folder, info)
    for folder in folders:
        check_nobody_writes(folder)
    _refuse_other_problems(folders)
    _say_other_samples(folders)
    first = infos[0]
    for folder, info in zip(folders[1:], infos[1:], strict=True):
        _say_unlike_models(folders[0], first, folder, info)
    with Run(into, settings=first["settings"], made_with=_made_with(infos)) as merged:
        if not merged.is_empty():
            _refuse_unlike(folders[0], first, into, merged.info)
        # Before the first sample: what is there of a merge that was killed has to be known again.
        merged.info = {**first, **_added_up(infos), "made_with": _made_with(infos)}
        merged.info.pop("summary", None)
        merged.save_info()
        return {str(folder): _take_all(folder, merged) for folder in folders}


def _refuse_unlike(one: Path, its: dict, other: Path, others: dict) -> None:
    """Raise UserError for the first thing by which two runs were made differently."""
    found = [difference(its["settings"], others["settings"])]
    found += [(name, its["dataset"].get(name), others["dataset"].get(name)) for name in OF_THE_ROWS]
    found.append(("prompt", its.get("prompt", {}).get("hash"), others.get("prompt", {}).get("hash")))
    for name, here, there in filter(None, found):
        if here != there:
            raise UserError(
                f"{one} was made with {name} = {shortened(here, 300)}, {other} with "
                f"{shortened(there, 300)}: only runs of the same settings become one; see all that differs "
                f"with: report.py compare {one} {other}"
            )


def _refuse_other_problems(folders: Sequence[Path]) -> None:
    """Raise UserError where runs have unlike problems under one name, as after a file was edited."""
    met: dict[str, tuple[int, int]] = {}  # of each problem: the first run that has it, and what it says there
    for number, folder in enumerate(folders):
        for _, line in read_lines(folder / PROBLEMS):
            content = hash(tuple(line[name] for name in OF_A_PROBLEM))
            first, before = met.setdefault(line["id"], (number, content))
            if content != before:
                _refuse_problem(folders[first], folder, line)


def _refuse_problem(one: Path, other: Path, line: dict) -> NoReturn:
    its = next(there for _, there in read_lines(one / PROBLEMS) if there["id"] == line["id"])
    name = next(name for name in OF_A_PROBLEM if its[name] != line[name])
    raise UserError(
        f"{one} and {other} do not mean the same by the problem {line['id']!r}: its {name} is "
        f"{shortened(its[name], 200)} and {shortened(line[name], 200)}; only runs of the same problems "
        "become one"
    )


def _say_other_samples(folders: Sequence[Path]) -> None:
    """Say how many samples of a run are others than those of earlier ones that stand in their place."""
    keys, lines = SampleSet(), set()
    for folder in folders:
        others = 0
        for line in sample_lines(folder):
            content = hash(line.raw.rstrip())
            if keys.add(*line.key):
                lines.add(content)
            else:
                others += content not in lines
        if others:
            say(
                f"WARNING: {folder}: {others:,} of its samples are not those that an earlier run has by the "
                "same problem, temperature and index, and are not taken"
            )


def _say_unlike_models(one: Path, its: dict, other: Path, others: dict) -> None:
    """Warn where two runs say of the model itself (its revision, weights or type of numbers) unlike things.

    What one of them does not record is not compared.
    """
    here, there = (info["made_with"].get("model", {}) for info in (its, others))
    for name in sorted(here.keys() & there.keys()):
        if here[name] != there[name]:
            say(
                f"{one} was made with the model's {name} {shortened(here[name], 300)}, {other} with "
                f"{shortened(there[name], 300)}: the merged run names the first alone"
            )


def _take_all(folder: Path, merged: Run) -> int:
    """Copy what `merged` lacks; a sample comes after all that was said of it."""
    asked = SampleSet()
    for sample in sample_lines(folder):
        if not merged.has(*sample.key):
            asked.add(*sample.key)
    for _, line in read_lines(folder / PROBLEMS):
        merged.add_problem_line(line)
    for name in SAID_OF_SAMPLES:
        _copy_lines(folder / name, merged.folder / name, asked)
    for _, key, their in read_theirs(folder):
        if not merged.has(*key):
            merged.add_theirs(key, their)
    for sample in sample_lines(folder):
        if asked.has(*sample.key):
            merged.add_told(sample_from(parsed_line(sample.raw, folder / SAMPLES, sample.offset)))
    return len(asked)


def _copy_lines(path: Path, to: Path, wanted: SampleSet) -> None:
    """Append the lines of a file that are about samples that are wanted."""
    if not os.path.lexists(path):
        return
    with Journal(to) as journal:
        for _, line in read_lines(path):
            if wanted.has(*key_of(line)):
                journal.append(line)


def _made_with(infos: Sequence[dict]) -> dict[str, Any]:
    """What the first run says, and of endpoints what all say; of other suites' scores those that all log
    alike: one of a part is none of the whole."""
    made = dict(infos[0]["made_with"])
    for name in ("left_out", "answered_as"):
        if told := {one for info in infos for one in info["made_with"].get(name, ())}:
            made[name] = sorted(told)
    if not isinstance(made.get("imported"), dict):
        return made
    first, *others = map(logged_scores, infos)
    alike = {metric: score for metric, score in first.items() if all(o.get(metric) == score for o in others)}
    return {**made, "imported": {**made["imported"], "scores": alike}}


def _asked_at(parts: Sequence[dict[str, list]]) -> dict[str, list]:
    """By temperature: what each run says of how many problems were asked how often."""
    temperatures = dict.fromkeys(name for at in parts for name in at)
    return {name: [step for at in parts for step in at.get(name, ())] for name in temperatures}


def _added_up(infos: Sequence[dict]) -> dict[str, Any]:
    """What was asked by all, and what generating took all of them."""
    asked = [info["asked"] for info in infos if "asked" in info]
    took = [info["generation"] for info in infos if "generation" in info]
    both: dict[str, Any] = {}
    if asked:
        limits = [one.get("limit") for one in asked]
        both["asked"] = {
            **asked[0],
            "temperatures": sorted({warmth for one in asked for warmth in one.get("temperatures", ())}),
            "n": max(one.get("n", 1) for one in asked),
            "limit": None if None in limits else max(limits),
        }
        if any("at" in one for one in asked):
            both["asked"]["at"] = _asked_at([one.get("at", {}) for one in asked])
    return both | spent_by_all(took)
