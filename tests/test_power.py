"""Is what a command reported as finished there after a power cut? `make campaign` asks far more often."""

import itertools
import os
import random

import pytest
from power import Disk, campaign, watched

from util.records import Problem, Sample, Verdict
from util.runs.folder import Run
from util.runs.journal import Journal, make_folders, write_whole
from util.runs.lines import PROBLEMS, SAMPLES, THEIRS, VERDICTS
from util.runs.theirs import TheirScore


def test_a_step_that_has_ended_is_on_the_disk_and_one_that_was_cut_goes_on(tmp_path):
    found = campaign(tmp_path, cuts=36, seed=1)
    assert found["differ"] == []
    assert found["cuts"] >= 25


def test_of_a_sample_that_a_power_cut_leaves_all_that_was_said_is_left(tmp_path):
    """The contents that are there after any cut, line by line as each write reaches the disk."""
    top = tmp_path / "top"
    top.mkdir()
    states = iter(tmp_path / f"state {number}" for number in itertools.count())
    disk, dice, seen = Disk(top), random.Random(1), set()
    sample = Sample("p", 0.7, 0, "The answer is 4.", None, "stop", 1, 1)

    def cut(moment):
        disk.cut(state := next(states), dice)
        left = [name for name in (SAMPLES, PROBLEMS, VERDICTS, THEIRS) if _has_line(state / "run" / name)]
        seen.add(len(left))
        assert SAMPLES not in left or len(left) == 4

    with watched(disk):
        with Run(top / "run", settings={"task": "T", "model": "m"}, made_with={}) as run:
            disk.at = lambda moment: [cut(moment) for _ in range(8)]
            run.add_problem(Problem("p", "2 + 2?", "4"), "?")
            run.add_verdict(sample.key, "d", Verdict(True, ""))
            run.add_theirs(sample.key, TheirScore("acc", True))
            run.add_told(sample)
        cut(0)
    assert {0, 4} <= seen


def _has_line(path):
    return path.exists() and path.read_bytes().rstrip(b"\0").endswith(b"}\n")


@pytest.mark.parametrize("is_careful", [True, False])
def test_the_disk_loses_what_was_not_synced(tmp_path, is_careful):
    """The campaign would find a file whose contents or whose name was not brought to the disk."""
    top = tmp_path / "top"
    top.mkdir()
    disk = Disk(top)
    with watched(disk):
        if is_careful:
            make_folders(top / "run" / "inner")
            with Journal(top / "run" / "inner" / "a.jsonl") as journal:
                journal.append({"a": 1})
            write_whole(top / "run" / "b.json", "{}")
        else:
            (top / "run" / "inner").mkdir(parents=True)
            with open(top / "run" / "inner" / "a.jsonl", "w") as file:
                file.write('{"a": 1}\n')
                file.flush()
                os.fsync(file.fileno())
            (top / "run" / "b.json").write_text("{}")
    assert disk.is_whole() == is_careful
