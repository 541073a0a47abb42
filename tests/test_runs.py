"""Is a run folder refused, resumed, joined and summed up rightly?"""

import errno
import json
import os
import tracemalloc
from collections import Counter
from contextlib import closing
from dataclasses import asdict, replace

import grading_functions as graders
import pytest

from util.errors import UserError
from util.generation import judging
from util.generation.judging import Grading, Judge
from util.grading.pool import GradingPool
from util.records import NO_TIME, Problem, Sample, Verdict
from util.results.counting import OUTCOMES, counted
from util.results.headline import summarise
from util.runs import merge
from util.runs.folder import Run, Wanted, find_run, find_runs, read_run_json
from util.runs.merge import merge_runs
from util.runs.reader import SampleSet, StoredProblems, read_records, text_digest


def a_run(folder, **settings):
    return Run(folder, settings={"task": "T", "model": "m", **settings}, made_with={})


def a_sample(index=0, text="The answer is 4.", problem_id="p1", temperature=0.7, finish_reason="stop"):
    return Sample(problem_id, temperature, index, text, None, finish_reason, 10, 5)


def judge(run, sample, correct, reason=""):
    run.add_verdict(sample.key, text_digest(sample.text), Verdict(correct, reason))


PROBLEM = Problem("p1", "What is 2 + 2?", "4", choices=("3", "4"), about={"subject": "sums"})


def test_one_problem_comes_back_through_every_file(tmp_path):
    with a_run(tmp_path / "run", model="m") as run:
        run.add_problem(PROBLEM, "What is 2 + 2? Box it.")
        run.add_sample(a_sample())
        judge(run, a_sample(), True)
    (record,) = read_records(tmp_path / "run")
    assert record.question == "What is 2 + 2?" and record.prompt == "What is 2 + 2? Box it."
    assert record.answer == "4" and record.about == {"subject": "sums"}
    assert record.sample == a_sample() and record.verdict == Verdict(True) and record.formatted is None
    with closing(StoredProblems(tmp_path / "run")) as stored:
        assert stored.get("p1") == PROBLEM


def test_a_verdict_no_longer_holds_after_the_text_changed(tmp_path):
    with a_run(tmp_path / "run") as run:
        run.add_problem(PROBLEM, "?")
        run.add_sample(a_sample())
        judge(run, a_sample(), True)
    line = {"problem_id": "p1", "temperature": 0.7, "index": 0, "text": "rewritten", "by": "rules"}
    (tmp_path / "run" / "formatted.jsonl").write_text(json.dumps(line) + "\n")
    (record,) = read_records(tmp_path / "run")
    assert record.formatted == "rewritten" and record.verdict is None


def test_the_last_verdict_about_a_sample_wins(tmp_path):
    with a_run(tmp_path / "run") as run:
        run.add_problem(PROBLEM, "?")
        run.add_sample(a_sample())
        judge(run, a_sample(), True)
        judge(run, a_sample(), False, "wrong_answer")
    (record,) = read_records(tmp_path / "run")
    assert record.verdict == Verdict(False, "wrong_answer")


def test_a_second_writer_is_refused_and_told_who_writes(tmp_path):
    with a_run(tmp_path / "run"):
        with pytest.raises(UserError, match="is being written by process"):
            a_run(tmp_path / "run")
    a_run(tmp_path / "run").close()


def test_samples_and_problems_are_known_again_after_reopening(tmp_path):
    with a_run(tmp_path / "run") as run:
        run.add_problem(PROBLEM, "?")
        run.add_sample(a_sample(3))
    with a_run(tmp_path / "run") as run:
        assert run.has("p1", 0.7, 3) and not run.has("p1", 0.7, 0) and not run.has("p1", 0.6, 3)
        run.add_problem(PROBLEM, "?")
    assert len((tmp_path / "run" / "problems.jsonl").read_text().splitlines()) == 1


def a_run_with_a_sample(folder, **settings):
    with a_run(folder, **settings) as run:
        run.add_problem(PROBLEM, "?")
        run.add_sample(a_sample())


def test_settings_that_differ_are_refused_with_both_values_named(tmp_path):
    a_run_with_a_sample(tmp_path / "name", max_tokens=100)
    assert find_run(tmp_path, Wanted("name", {"max_tokens": 100})) == tmp_path / "name"
    with pytest.raises(UserError, match=r"max_tokens = 100, this command says 200"):
        find_run(tmp_path, Wanted("name", {"max_tokens": 200}))


def test_a_fresh_folder_beside_the_old_one_is_found_again(tmp_path):
    a_run_with_a_sample(tmp_path / "name", max_tokens=100)
    wanted = Wanted("name", {"max_tokens": 200})
    fresh = find_run(tmp_path, wanted, fresh=True)
    assert fresh == tmp_path / "name-2"
    a_run_with_a_sample(fresh, max_tokens=200)
    assert find_run(tmp_path, wanted) == fresh and find_run(tmp_path, wanted, fresh=True) == fresh


def test_samples_of_unknown_settings_are_not_added_to(tmp_path):
    a_run_with_a_sample(tmp_path / "name", max_tokens=100)
    (tmp_path / "name" / "run.json").unlink()
    with pytest.raises(UserError, match="has samples but no run.json"):
        a_run(tmp_path / "name", max_tokens=200)


def test_another_schema_is_refused(tmp_path):
    a_run(tmp_path / "name").close()
    path = tmp_path / "name" / "run.json"
    path.write_text(path.read_text().replace('"schema": 1', '"schema": 99'))
    with pytest.raises(UserError, match="schema 99"):
        find_run(tmp_path, Wanted("name", {}))


@pytest.mark.parametrize(
    "content",
    [
        "[]",
        "3",
        '{"schema": 1, "settings": {}}',
        '{"schema": 1, "settings": 3, "dataset": {}, "made_with": {}}',
    ],
)
def test_a_run_json_without_its_parts_is_refused(tmp_path, content):
    (tmp_path / "run.json").write_text(content)
    with pytest.raises(UserError, match="restore it|schema None"):
        read_run_json(tmp_path)


def test_a_sample_set_counts_each_sample_once():
    samples = SampleSet()
    for index in (0, 5, 5, 63, 64, 1000):
        samples.add("p", 0.0, index)
    assert len(samples) == 5 and samples.has("p", 0.0, 1000) and not samples.has("p", 0.0, 999)


def test_temperatures_that_differ_in_a_late_digit_are_told_apart(tmp_path):
    with a_run(tmp_path / "run") as run:
        run.add_problem(PROBLEM, "?")
        for temperature in (0.70000001, 0.7, 1.0):
            run.add_sample(a_sample(temperature=temperature))
    summary = summarise(read_records(tmp_path / "run"))
    assert {name: found.samples for name, found in summary.items()} == {
        "0.7": 1,
        "0.70000001": 1,
        "1": 1,
    }


def test_the_summary_says_over_what_each_number_was_computed(tmp_path):
    with a_run(tmp_path / "run") as run:
        run.add_problem(PROBLEM, "?")
        cases = [
            (a_sample(0), Verdict(True)),
            (a_sample(1, finish_reason="length"), Verdict(False, "truncated")),
            (a_sample(2), Verdict(False, "no_answer")),
            (a_sample(3), Verdict(False, "grader_error")),
            (a_sample(4), None),
            (a_sample(0, temperature=0.0), Verdict(True)),
        ]
        for sample, verdict in cases:
            run.add_sample(sample)
            if verdict is not None:
                run.add_verdict(sample.key, text_digest(sample.text), verdict)
    summary = {at: found.as_json() for at, found in summarise(read_records(tmp_path / "run")).items()}
    assert list(summary) == ["0", "0.7"] and summary["0"]["share_of_samples"] == 1.0
    numbers = summary["0.7"]
    assert (numbers["correct"], numbers["judged"], numbers["samples"]) == (1, 3, 5)
    assert numbers["share_of_samples"] == 1 / 3 and numbers["truncated"] == 1 and numbers["no_answer"] == 1
    assert numbers["not_judged"] == {"grader_error": 1, "not_graded": 1}
    assert numbers["completion_tokens"] == 25


class SlowPool:
    """Graders that find everything correct and hand over one verdict each time they are asked."""

    together, workers = 1, 1

    def __init__(self, folder):
        self.judge = Judge(folder, lambda problem, text: Verdict(True))
        self.submitted = []  # indices of the samples
        self._waiting = []

    def has_room(self):
        return True

    def submit(self, places, job, timeout_s):
        self._waiting.append((places, self.judge(job)))
        self.submitted += [one.key[2] for one in self._waiting[-1][1].results]

    def completed(self, *, block):
        return [self._waiting.pop(0)] if self._waiting else []

    def close(self):
        self.judge.close()


def test_a_sample_that_is_still_being_graded_when_the_engine_is_done_is_graded_once(tmp_path):
    with a_run(tmp_path / "run") as run:
        run.add_problem(PROBLEM, "?")
        pool, progress = SlowPool(run.folder), []
        offsets = [run.add_sample(a_sample(index)) for index in range(6)]
        with closing(pool), closing(Grading(run, pool, {}, timeout_s=9)) as grading:
            for index in range(3, 6):
                grading.offer(a_sample(index), offsets[index])
            assert [one.key for one in grading.collect(block=False)] == [("p1", 0.7, 3)]
            grading.grade_rest(progress.append)
    assert sorted(pool.submitted) == list(range(6))
    lines = (tmp_path / "run" / "verdicts.jsonl").read_text().splitlines()
    assert len(lines) == 6 and len(progress) == 5  # one came before the rest was graded


class FailingPool(SlowPool):
    """Graders that fail on every sample."""

    def completed(self, *, block):
        return [(places, Verdict(False, "grader_error")) for places, _ in super().completed(block=block)]


class DyingPool(SlowPool):
    """Takes several samples at once, and its graders die over one of them."""

    together = 4

    def completed(self, *, block):
        return [
            (
                places,
                Verdict(False, "grader_error") if any(one.key[2] == 70 for one in done.results) else done,
            )
            for places, done in super().completed(block=block)
        ]


@pytest.mark.parametrize("seconds", [1.0, 0.0], ids=["time for all", "time for one"])
def test_samples_that_are_graded_together_keep_their_verdicts_when_a_grader_dies_over_one(
    tmp_path, monkeypatch, seconds
):
    monkeypatch.setattr(judging, "TOGETHER_S", seconds)
    with a_run(tmp_path / "run") as run:
        run.add_problem(PROBLEM, "?")
        for index in range(300):
            run.add_sample(a_sample(index))
        pool = DyingPool(run.folder)
        found = a_check(run, pool)
        assert sorted(one.sample_index for one in found) == list(range(300))
        assert [one.sample_index for one in found if one.reason] == [70]
    assert Counter(pool.submitted)[70] == (2 if seconds else 1)  # with others, then by itself
    assert all(verdict.correct != (index == 70) for index, verdict in verdicts_of(tmp_path / "run").items())


def verdicts_of(folder):
    return {record.sample.index: record.verdict for record in read_records(folder)}


def test_the_last_samples_are_graded_one_by_one(tmp_path):
    sizes = []

    class Sizing(SlowPool):
        together = 16

        def submit(self, places, job, timeout_s):
            sizes.append(len(places))
            super().submit(places, job, timeout_s)

    with a_run(tmp_path / "run") as run:
        run.add_problem(PROBLEM, "?")
        for index in range(2000):
            run.add_sample(a_sample(index))
        assert len(a_check(run, Sizing(run.folder))) == 2000
    assert sizes[0] == 16 and sizes == sorted(sizes, reverse=True) and sizes[-judging.LAST :] == [1] * 64


JUDGED = [
    Verdict(True),
    Verdict(False, "wrong_answer"),
    Verdict(False, "grader_error"),
    Verdict(False, "sandbox_error"),
    Verdict(False, "undecided", cause=f"{NO_TIME}: all 8 seconds were used"),
    Verdict(False, "undecided", cause="the reference is prose"),
    Verdict(False, "no_tests"),
]


def test_what_failed_or_had_no_time_is_judged_again_by_each_command_once(tmp_path):
    with a_run(tmp_path / "run") as run:
        run.add_problem(PROBLEM, "?")
        for index, verdict in enumerate(JUDGED):
            run.add_sample(a_sample(index))
            run.add_verdict(a_sample(index).key, text_digest(a_sample().text), verdict)
        for pool in (FailingPool(run.folder), FailingPool(run.folder), SlowPool(run.folder)):
            with closing(pool), closing(Grading(run, pool, {}, timeout_s=9)) as grading:
                rest = grading.find_rest()
                assert rest.about_earlier_tries().startswith("3 samples are judged again: ")
                grading.grade_rest(rest=rest)
                assert pool.submitted == [2, 3, 4]
                assert grading.find_rest().count == 0 and not grading.find_rest().about_earlier_tries()
        with closing(Grading(run, SlowPool(run.folder), {}, timeout_s=9)) as grading:
            assert grading.find_rest().count == 0


def a_run_of(folder, *indices, text="The answer is {}.", problem=PROBLEM, correct=True, **settings):
    with a_run(folder, **settings) as run:
        run.add_problem(problem, "?")
        for index in indices:
            sample = a_sample(index, text.format(index), problem.id)
            run.add_sample(sample)
            judge(run, sample, correct)
        run.info["asked"] = {"temperatures": [0.7], "n": max(indices) + 1, "limit": len(indices)}
        run.info["generation"] = {"seconds": 2.0, "generated": len(indices), "gpus": 1}
        run.save_info()
    return folder


def test_of_a_sample_with_two_lines_the_first_counts_and_this_is_said_once(tmp_path, capsys):
    folder = a_run_of(tmp_path / "run", 0, 1)
    path = folder / "samples.jsonl"
    path.write_text(path.read_text() + path.read_text().replace("answer is", "result is"))
    for _ in range(2):
        assert [record.sample.text for record in read_records(folder)] == [
            "The answer is 0.",
            "The answer is 1.",
        ]
        assert summarise(read_records(folder))["0.7"].samples == 2
    with a_run(folder) as run:
        assert run.count() == 2
    said = capsys.readouterr().err
    assert said.count("2 lines of samples.jsonl name a sample that an earlier line has") == 1


def test_merged_runs_hold_every_sample_once_with_what_was_said_of_it(tmp_path):
    other = replace(PROBLEM, id="p2", question="What is 3 + 3?")
    one, two = a_run_of(tmp_path / "a", 0, 1), a_run_of(tmp_path / "b", 1, 2, text="No: {}.", correct=False)
    three = a_run_of(tmp_path / "c", 0, problem=other)
    into = tmp_path / "all"
    for _ in range(2):  # the second time, all is there
        taken = merge_runs([one, two, three], into)
        found = {record.sample.key: record for record in read_records(into)}
        assert list(found) == [("p1", 0.7, 0), ("p1", 0.7, 1), ("p1", 0.7, 2), ("p2", 0.7, 0)]
        assert [record.verdict.correct for record in found.values()] == [True, True, False, True]
        assert found["p1", 0.7, 1].sample.text == "The answer is 1."
        assert found["p2", 0.7, 0].question == "What is 3 + 3?"
    assert list(taken.values()) == [0, 0, 0]
    info = read_run_json(into)
    assert info["asked"] == {"temperatures": [0.7], "n": 3, "limit": 2}
    assert (info["generation"]["generated"], info["generation"]["seconds"]) == (5, 6.0)


def test_a_run_without_samples_is_left_out_of_a_merge_and_named_by_later_steps(tmp_path, capsys):
    empty, other = tmp_path / "a", tmp_path / "b"
    for folder in (empty, other):
        a_run(folder, max_tokens=7).close()
    with pytest.raises(UserError, match="none of these runs has samples: .*/a has no samples yet"):
        merge_runs([empty, other], tmp_path / "all")
    with pytest.raises(UserError, match=f"{tmp_path} has no samples: generate them"):
        find_runs(tmp_path)
    assert not (tmp_path / "all").exists()
    one = a_run_of(tmp_path / "one", 0, max_tokens=9)  # settings of a run without samples bind nobody
    assert merge_runs([empty, one], tmp_path / "all") == {str(one): 1}
    assert find_runs(tmp_path) == [empty, tmp_path / "all", other, one]
    assert f"{empty} has no samples: it is left out" in (said := capsys.readouterr().err)
    assert said.count("has no samples\n") == 2


def test_a_run_that_lost_its_run_json_is_not_passed_over(tmp_path):
    for name in "ab":
        a_run_of(tmp_path / name, 0)
    (tmp_path / "a" / "run.json").unlink()
    with pytest.raises(UserError, match=f"no run at {tmp_path}/a: samples.jsonl is there, and run.json"):
        find_runs(tmp_path)
    (tmp_path / "a" / "samples.jsonl").write_text("")  # of a job that a power cut ended as it began
    with pytest.raises(
        UserError, match=f"no run at {tmp_path}/a: nothing was asked there yet; run the command"
    ):
        find_runs(tmp_path)


def test_a_folder_among_runs_that_may_not_be_looked_into_is_told(tmp_path, monkeypatch, capsys):
    run, closed, look = a_run_of(tmp_path / "run", 0), tmp_path / "closed", os.scandir
    closed.mkdir()

    def scandir(path):
        if path == str(closed):
            raise PermissionError(errno.EACCES, "Permission denied", path)
        return look(path)

    monkeypatch.setattr(os, "scandir", scandir)
    assert find_runs(tmp_path) == [run]
    assert f"{closed} cannot be looked into (Permission denied): runs in it are" in capsys.readouterr().err


@pytest.mark.parametrize("killed_at", ["before the first sample", "behind some samples"])
def test_a_merge_that_was_killed_is_repeated_by_the_same_command(tmp_path, monkeypatch, killed_at):
    one, two = a_run_of(tmp_path / "one", 0, 1), a_run_of(tmp_path / "two", 2, 3)
    for folder in (one, two):
        with a_run(folder) as run:
            run.info["dataset"] = {"path": "ORG/NAME", "split": "test", "revision": "a"}
            run.save_info()
    take_all = merge._take_all

    def die(folder, merged):
        if killed_at == "behind some samples" and folder == one:
            return take_all(folder, merged)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(merge, "_take_all", die)
        merge_runs([one, two], tmp_path / "all")
    merge_runs([one, two], tmp_path / "all")
    assert len(list(read_records(tmp_path / "all"))) == 4


@pytest.mark.parametrize("settings", [{"max_tokens": 7}, {"seed": 3}])
def test_runs_that_were_made_differently_are_not_merged(tmp_path, settings):
    one, two = a_run_of(tmp_path / "a", 0, max_tokens=9, seed=1), tmp_path / "b"
    a_run_of(two, 1, **{"max_tokens": 9, "seed": 1, **settings})
    ((name, value),) = settings.items()
    with pytest.raises(UserError, match=rf"{name} = \d, .* with {value}: only runs of the same settings"):
        merge_runs([one, two], tmp_path / "all")
    assert not (tmp_path / "all").exists()


def test_samples_of_a_merge_that_stand_behind_others_are_said_and_copies_are_not(tmp_path, capsys):
    one, copy = a_run_of(tmp_path / "a", 0, 1), a_run_of(tmp_path / "copy", 0, 1)
    other = a_run_of(tmp_path / "other", 0, 1, 2, text="So {}.")
    merge_runs([one, copy, other], tmp_path / "all")
    said = " ".join(capsys.readouterr().err.split())
    assert (
        f"{other}: 2 of its samples are not those that an earlier run has" in said and said.count("WARN") == 1
    )


def test_runs_with_unlike_problems_under_one_name_are_not_merged(tmp_path):
    one = a_run_of(tmp_path / "a", 0)
    two = a_run_of(tmp_path / "b", 1, problem=replace(PROBLEM, question="What is 2 + 5?"))
    with pytest.raises(UserError, match=r"'p1': its question is 'What is 2 \+ 2\?' and 'What is 2 \+ 5\?'"):
        merge_runs([one, two], tmp_path / "all")


def test_a_merged_run_keeps_what_all_say_of_their_endpoints(tmp_path):
    runs = [a_run_of(tmp_path / str(number), number) for number in range(2)]
    info = json.loads((runs[1] / "run.json").read_text())
    info["made_with"] |= {"left_out": ["seed"], "answered_as": ["other"]}
    (runs[1] / "run.json").write_text(json.dumps(info))
    merge_runs(runs, tmp_path / "all")
    made_with = read_run_json(tmp_path / "all")["made_with"]
    assert (made_with["left_out"], made_with["answered_as"]) == (["seed"], ["other"])


def test_a_merge_says_where_the_models_of_its_runs_are_not_the_same(tmp_path, capsys):
    runs = [a_run_of(tmp_path / str(number), number) for number in range(4)]
    models = [
        {"revision": "a", "dtype": "bfloat16"},
        {"revision": "b", "dtype": "bfloat16"},
        {"dtype": "half"},
    ]
    for run, model in zip(runs, models, strict=False):  # the last is from before models were recorded
        info = json.loads((run / "run.json").read_text())
        (run / "run.json").write_text(
            json.dumps({**info, "made_with": {**info["made_with"], "model": model}})
        )
    merge_runs(runs, tmp_path / "all")
    first, second = capsys.readouterr().err.splitlines()
    assert f"{runs[0]} was made with the model's revision 'a', {runs[1]} with 'b'" in first
    assert f"dtype 'bfloat16', {runs[2]} with 'half'" in second
    assert read_run_json(tmp_path / "all")["made_with"]["model"] == models[0]


def test_a_run_is_not_merged_with_itself_or_while_it_is_written(tmp_path):
    one, two = a_run_of(tmp_path / "a", 0), a_run_of(tmp_path / "b", 1)
    for runs, into in (([one, one], tmp_path / "all"), ([one, two], one)):
        with pytest.raises(UserError, match="a run is named twice"):
            merge_runs(runs, into)
    with a_run(two), pytest.raises(UserError, match="is being written by process"):
        merge_runs([one, two], tmp_path / "all")
    info = json.loads((two / "run.json").read_text())
    (two / "run.json").write_text(json.dumps({**info, "dataset": {"revision": "other"}}))
    with pytest.raises(UserError, match="revision = None, .* with 'other'"):
        merge_runs([one, two], tmp_path / "all")


def a_check(run, pool, **flags):
    """Grade what is left of a run; returns what was counted."""
    found = []
    with closing(pool), closing(Grading(run, pool, {}, timeout_s=9)) as grading:
        grading.grade_rest(on_counted=found.append, rest=grading.find_rest(found.append, **flags))
    return found


def test_each_sample_is_counted_once_with_its_last_verdict_and_as_a_report_counts_it(tmp_path):
    with a_run(tmp_path / "run") as run:
        run.add_problem(PROBLEM, "?")
        for index, verdict in enumerate([*JUDGED, None, None]):
            run.add_sample(a_sample(index))
            if verdict is not None:
                run.add_verdict(a_sample(index).key, text_digest(a_sample().text), verdict)
        found = a_check(run, SlowPool(run.folder))
        assert len(found) == len(JUDGED) + 2
        assert sorted(found, key=str) == sorted(map(counted, read_records(run.folder)), key=str)
        again = a_check(run, SlowPool(run.folder), again=True)
        assert all(OUTCOMES[one.outcome] == "correct" for one in again) and len(again) == len(found)


def test_a_sample_whose_text_was_edited_is_judged_on_the_text_of_today(tmp_path):
    with a_run(tmp_path / "run") as run:
        run.add_problem(PROBLEM, "?")
        for index in range(3):
            run.add_sample(a_sample(index, text="first"))
        a_check(run, SlowPool(run.folder))
    path = tmp_path / "run" / "samples.jsonl"
    lines = path.read_text().splitlines()
    lines[1] = lines[1].replace("first", "a longer text, so that what follows lies elsewhere")
    path.write_text("\n".join(lines) + "\n")
    with a_run(tmp_path / "run") as run:
        pool = SlowPool(run.folder)
        assert len(a_check(run, pool)) == 3 and pool.submitted == [1]
    assert all(record.verdict == Verdict(True) for record in read_records(tmp_path / "run"))


def test_a_sample_that_comes_while_the_rest_is_graded_is_left_to_the_next_check_and_a_torn_one_to_nobody(
    tmp_path,
):
    class Appending(SlowPool):
        def submit(self, place, job, timeout_s):
            if not self.submitted:
                with open(tmp_path / "run" / "samples.jsonl", "a") as file:
                    file.write(json.dumps(asdict(a_sample(7))) + "\n" + json.dumps(asdict(a_sample(8)))[:40])
            super().submit(place, job, timeout_s)

    with a_run(tmp_path / "run") as run:
        run.add_problem(PROBLEM, "?")
        for index in range(3):
            run.add_sample(a_sample(index))
        assert len(a_check(run, Appending(run.folder))) == 3
        pool = SlowPool(run.folder)
        assert len(a_check(run, pool)) == 4 and pool.submitted == [7]
    with a_run(tmp_path / "run") as run:  # opening it cuts off what was torn
        offset = run.add_sample(a_sample(8))
        pool = SlowPool(run.folder)
        with closing(pool), closing(Grading(run, pool, {}, timeout_s=9)) as grading:
            grading.offer(a_sample(8), offset)
            assert [one.key[2] for one in grading.collect(block=True)] == [8]
        assert len(a_check(run, SlowPool(run.folder))) == 5


def test_samples_are_found_whatever_the_spelling_of_their_names(tmp_path):
    """Lines are looked up by their first bytes; those of other tools, and odd names, are decoded."""
    names = [("p1", 0.7), ("p1", 0.00001), ("p1", 12.34567), ("é 中", 1.0), ('a "b"\\', 0.0), ("p1", 2e15)]
    with a_run(tmp_path / "run") as run:
        for problem_id in {name for name, _ in names}:
            run.add_problem(Problem(problem_id, "?", "4"), "?")
        for problem_id, temperature in names:
            sample = a_sample(problem_id=problem_id, temperature=temperature)
            run.add_sample(sample)
            judge(run, sample, True)
    assert all(record.verdict == Verdict(True) for record in read_records(tmp_path / "run"))
    path = tmp_path / "run" / "samples.jsonl"
    compact = [json.dumps(json.loads(line), separators=(",", ":")) for line in path.read_text().splitlines()]
    path.write_text("\n".join(compact).replace(":1.0,", ":1,") + "\n")
    assert all(record.verdict == Verdict(True) for record in read_records(tmp_path / "run"))
    assert len(list(read_records(tmp_path / "run"))) == len(names)


def test_offering_a_sample_never_waits_and_those_for_which_there_is_no_room_come_later(tmp_path):
    class SmallPool(SlowPool):
        def has_room(self):
            return len(self._waiting) < 2

    with a_run(tmp_path / "run") as run:
        run.add_problem(PROBLEM, "?")
        pool, found = SmallPool(run.folder), []
        with closing(pool), closing(Grading(run, pool, {}, timeout_s=9)) as grading:
            for index in range(6):
                grading.offer(a_sample(index), run.add_sample(a_sample(index)))
            assert pool.submitted == [0, 1]
            while len(found) < 6:
                found += grading.collect(block=False)
        assert [one.key[2] for one in found] == list(range(6))


def test_a_sample_without_a_reference_is_counted_and_has_no_verdict(tmp_path):
    with a_run(tmp_path / "run") as run:
        run.add_problem(replace(PROBLEM, reference=None), "?")
        run.add_sample(a_sample())
        pool = SlowPool(run.folder)
        with closing(pool), closing(Grading(run, pool, {}, timeout_s=9)) as grading:
            grading.grade_rest()
            assert grading.without_problem == 1
    assert not (tmp_path / "run" / "verdicts.jsonl").read_bytes()


def test_grading_holds_no_texts_in_the_process_that_hands_them_out(tmp_path):
    text = "So we find that the answer is not yet known. " * 4000
    with a_run(tmp_path / "run") as run:
        run.add_problem(PROBLEM, "?")
        for index in range(150):
            run.add_sample(a_sample(index, text=text))
        judge = Judge(run.folder, graders.process)
        with GradingPool(2, judge) as pool, closing(Grading(run, pool, {}, timeout_s=30)) as grading:
            tracemalloc.start()
            grading.grade_rest()
            peak = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
    assert peak < 150 * len(text) / 8
    assert all(record.verdict is not None for record in read_records(tmp_path / "run"))


def test_a_folder_under_the_name_of_earlier_versions_is_continued_if_its_settings_are_equal(tmp_path):
    wanted = Wanted("name_difficulty_from_4", {"max_tokens": 100}, older_name="name")
    new = tmp_path / "name_difficulty_from_4"
    assert find_run(tmp_path, wanted) == new
    a_run_with_a_sample(tmp_path / "name", max_tokens=200)
    assert find_run(tmp_path, wanted) == new
    a_run_with_a_sample(tmp_path / "name-2", max_tokens=100)
    assert find_run(tmp_path, wanted) == tmp_path / "name-2"
