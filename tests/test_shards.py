"""Is a run that several jobs work on one run: nothing twice, nothing lost, whoever dies?"""

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from helpers import HANG_S, ROOT, here, paper_engine

import inference_and_check
from util.errors import RunStopped, UserError
from util.records import SCHEMA, SHARDED_SCHEMA, Problem, Sample, Verdict
from util.results.history import read_history
from util.runs import journal, shards
from util.runs.folder import Run, find_runs, read_run_json, writer_of
from util.runs.lines import VERDICTS
from util.runs.lock import IsWritten, this_process
from util.runs.merge import merge_runs
from util.runs.reader import RunReader, read_records, text_digest
from util.runs.shards import AUTO, Groups, Presence, Shard, group_size, of_slurm_array, shard_of

ELSEWHERE = {"host": "node7", "boot": "b", "pid": 4, "pids": "pid:[4]"}
SETTINGS = {"task": "Warmup", "model": "paper"}


def a_run(folder, shard=None):
    return Run(folder, settings=SETTINGS, made_with={}, shard=shard)


def a_sample(name, index=0, text="It is \\boxed{1}."):
    return Sample(name, 0.7, index, text, None, "stop", 5, 6)


def job_elsewhere(folder, number=3, *, age_s=0.0, **said):
    """The file of a job on another machine, not renewed for so long."""
    (folder / "shards").mkdir(parents=True, exist_ok=True)
    path = folder / "shards" / f"job-{number}.0"
    about = {**this_process(), **ELSEWHERE, "token": "t", "shard": f"{number}/8", "file": number}
    path.write_text(json.dumps({**about, **said}))
    os.utime(path, (time.time() - age_s,) * 2)
    return path


def test_eight_jobs_killed_at_random_on_a_disk_without_locks_end_with_one_run(tmp_path):
    command = [sys.executable, str(ROOT / "tests" / "shard_campaign.py"), str(tmp_path), "5", "1"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=2 * HANG_S)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["met"] > 0 and set(found.pop("ended")) == {0}
    assert (found["samples"], found["doubled"], found["wrong"]) == (240, 0, 0)


@pytest.fixture
def ask(tmp_path):
    """Run inference_and_check.py on Warmup with these flags."""
    engine = paper_engine(tmp_path, {"text": "It is \\boxed{7}."})
    words = ["--dataset", "Warmup", "--model", "paper", "--temperatures", 0.7, "--n", 2]
    words += ["--result-dir", tmp_path / "runs", *engine]

    def asked(*flags):
        return here(inference_and_check, *words, *flags)

    return asked, tmp_path / "runs" / "paper_Warmup_test_all_0_-1"


def test_a_run_may_be_continued_alone_and_by_any_number_of_jobs(ask):
    asked, run = ask
    assert asked("--limit", 5, "--inference").returncode == 0
    assert json.loads((run / "run.json").read_text())["schema"] == SCHEMA
    assert asked("--limit", 10, "--inference", "--shard", "2/3").returncode == 0
    assert asked("--limit", 15, "--inference", "--shard", "5/9").returncode == 0
    assert asked("--limit", 20, "--inference").returncode == 0
    lines = {path.name: path.read_bytes().count(b"\n") for path in run.glob("samples*.jsonl")}
    assert lines == {"samples.jsonl": 20, "samples.2.jsonl": 10, "samples.5.jsonl": 10}
    info = read_run_json(run)
    assert info["schema"] == SHARDED_SCHEMA and info["generation"]["generated"] == 40
    assert info["made_with"]["engine"] == "scripted" and info["summary"]["0.7"]["samples"] == 40
    assert len({record.sample.key for record in read_records(run)}) == 40


def test_the_last_job_ends_the_run_also_for_those_that_were_killed_before_they_graded(ask):
    asked, run = ask
    assert asked("--inference", "--shard", "1/2", "--limit", 4).returncode == 0
    done = asked("--shard", "2/2", "--limit", 4)
    assert "every sample exists already" in done.stderr
    assert json.loads(done.stdout)["temperatures"]["0.7"]["judged"] == 8
    assert not list((run / "shards").iterdir())


def test_what_jobs_alone_have_graded_has_a_history(ask):
    asked, run = ask
    assert asked("--shard", "1/1", "--limit", 4).returncode == 0
    assert not (run / VERDICTS).read_bytes() and read_history(run).samples == 8


def test_while_jobs_write_a_check_is_refused_and_a_job_that_ends_leaves_the_end_to_them(ask):
    asked, run = ask
    assert asked("--inference", "--shard", "1/3", "--limit", 4).returncode == 0
    job_elsewhere(run)
    assert writer_of(run) == "shard 3/8: process 4 on node7"
    with pytest.raises(UserError, match=r"is being written by shard 3/8: process 4 on node7: wait for it"):
        find_runs(run)
    with pytest.raises(IsWritten, match="shard 3/8: process 4 on node7"):
        a_run(run)
    done = asked("--shard", "1/3", "--limit", 4, "--inference")
    assert done.returncode == 0 and "the run goes on: shard 3/8: process 4 on node7" in done.stderr
    assert "summary" in json.loads((run / "run.json").read_text())  # of the first command


def test_of_jobs_that_start_at_once_on_what_a_failed_command_left_one_makes_it_anew(ask, monkeypatch):
    asked, run = ask
    Run(run, settings={**SETTINGS, "max_tokens": 7}, made_with={}).close()
    is_free, tries = Presence._is_free, []

    def both_see_each_other(presence, path):
        tries.append(presence.shard)
        if len(tries) == 1:
            raise IsWritten("by one that waits for us")
        return is_free(presence, path)

    monkeypatch.setattr(Presence, "_is_free", both_see_each_other)
    monkeypatch.setattr("util.generation.benchmark.BEGIN_PAUSE_S", 0.0)
    done = asked("--shard", "1/8", "--limit", 4, "--inference")
    assert done.returncode == 0, done.stderr
    assert len(tries) > 2 and tries[:2] == [None, None]
    assert read_run_json(run)["settings"]["max_tokens"] > 7


@pytest.mark.parametrize(
    ("module", "name", "take_away"),
    [
        (shards, "make_folders", Path.rmdir),
        (shards, "_created", lambda path, _: path.unlink()),
        (journal, "sync_names", lambda run: (run / "shards").rmdir() or run.rmdir() or run.stat()),
    ],
    ids=["its folder", "its file", "the folder above"],
)
def test_a_job_begins_whatever_a_refused_one_takes_away_meanwhile(
    tmp_path, monkeypatch, module, name, take_away
):
    real, taken = getattr(module, name), []

    def taken_away_once(*words):
        found = real(*words)
        if not taken:
            taken.append(name)
            take_away(*words)
        return found

    monkeypatch.setattr(module, name, taken_away_once)
    monkeypatch.setattr(shards, "PAUSE_S", 0.0)
    with Presence(tmp_path / "run", Shard(1, 8)):
        assert taken and [path.name for path in tmp_path.glob("run/shards/job-*")] == ["job-1.0"]


def test_a_live_job_that_asks_for_anything_else_is_named(ask):
    asked, run = ask
    job_elsewhere(run, asked="other")
    done = asked("--shard", "1/3", "--inference")
    assert done.returncode == 2
    assert "shard 3/8: process 4 on node7 asks for other problems, temperatures or samples of" in done.stderr


def test_a_job_that_is_refused_for_its_samples_leaves_the_run_as_it_was(ask):
    asked, run = ask
    assert asked("--shard", "1/3").returncode == 0
    before = json.loads((run / "run.json").read_text())["asked"]
    job_elsewhere(run, asked="other")
    assert asked("--shard", "1/3", "--n", 9).returncode == 2
    assert json.loads((run / "run.json").read_text())["asked"] == before


@pytest.mark.parametrize(
    "flags",
    [
        ["--check"],
        ["--overwrite-settings"],
        ["--batch"],
        ["--until-correct", 1],
        ["--give-up-after", 2],
        ["--pass-rate-band", 0.1, 0.9],
    ],
)
def test_a_flag_that_does_not_go_with_shards_is_named(ask, flags):
    asked, _ = ask
    done = asked("--shard", "1/2", *flags)
    assert done.returncode == 2
    assert f"error: {flags[0]} " in done.stderr and "leave it or --shard 1/2 out" in done.stderr


def test_a_job_with_another_setting_is_told_of_no_flag_that_it_may_not_give(ask):
    asked, _ = ask
    assert asked("--limit", 1, "--max-tokens", 9, "--inference").returncode == 0
    for job, flags in (([], ["--overwrite-settings"]), (["--shard", "1/2"], [])):
        done = asked("--limit", 1, "--max-tokens", 8, "--inference", *job)
        assert done.returncode == 2 and "another --result-dir" in done.stderr
        assert [flag for flag in ["--overwrite-settings"] if flag in done.stderr] == flags


@pytest.mark.parametrize("text", ["0/4", "5/4", "4", "a/b", "1/0", "-1/4", "1/20000", ""])
def test_what_names_no_shard_is_refused(text):
    with pytest.raises(argparse.ArgumentTypeError, match="names no shard: write I/N with I from 1 to N"):
        shard_of(text)


@pytest.mark.parametrize(
    ("task", "least", "most", "count", "shard"),
    [
        ("5", "1", "8", "8", Shard(5, 8)),
        ("4", "0", "7", "8", Shard(5, 8)),
        ("7", "3", "7", "2", Shard(5, 5)),  # --array=3,7
        ("5", "1", "", "8", Shard(5, 8)),
    ],
)
def test_a_task_of_a_slurm_array_is_a_shard(monkeypatch, task, least, most, count, shard):
    for name, value in {"ID": task, "MIN": least, "MAX": most, "COUNT": count}.items():
        monkeypatch.setenv(f"SLURM_ARRAY_TASK_{name}", value)
    assert shard_of("auto") == AUTO and of_slurm_array() == shard


def test_outside_an_array_auto_is_refused(monkeypatch):
    monkeypatch.delenv("SLURM_ARRAY_TASK_ID", raising=False)
    with pytest.raises(UserError, match=r"SLURM_ARRAY_TASK_ID, which is '': submit with sbatch --array=1-N"):
        of_slurm_array()


# --- who lives ---


def test_two_jobs_with_one_number_are_not_let_in_and_told_who_has_it(tmp_path):
    with Presence(tmp_path, Shard(1, 2)):
        with pytest.raises(IsWritten, match=f"shard 1 of .* is being written by process {os.getpid()} on"):
            Presence(tmp_path, Shard(1, 4))
        Presence(tmp_path, Shard(2, 4)).close()
    Presence(tmp_path, Shard(1, 4)).close()


def test_of_a_job_on_another_machine_it_is_seen_whether_it_lives(tmp_path, monkeypatch, capsys):
    path = job_elsewhere(tmp_path, age_s=100)
    monkeypatch.setattr(time, "sleep", lambda s: os.utime(path, (time.time() - 90,) * 2))
    with pytest.raises(IsWritten, match="shard 3 of .* is being written by process 4 on node7"):
        Presence(tmp_path, Shard(3, 8))
    assert (
        "waiting up to 150 s to see whether shard 3/8: process 4 on node7 still runs"
        in capsys.readouterr().err
    )


@pytest.mark.parametrize("skew_s", [-1e6, 0, 1e6])
def test_ages_are_told_by_the_clock_of_the_disk_not_by_that_of_this_machine(tmp_path, monkeypatch, skew_s):
    right = time.time
    job_elsewhere(tmp_path, 3, age_s=100)
    job_elsewhere(tmp_path, 4, age_s=200)
    monkeypatch.setattr(time, "time", lambda: right() + skew_s)
    with Presence(tmp_path, Shard(1, 8)) as ours:
        assert [one.name for one in ours.others()] == ["shard 3/8: process 4 on node7"]


def test_whose_process_ended_is_followed_at_once_and_in_the_same_files(tmp_path):
    job_elsewhere(tmp_path, **{**this_process(), "started": "1"})
    with a_run(tmp_path, Shard(3, 8)) as run:
        assert run.number == 3
    assert not list((tmp_path / "shards").glob("job-*"))


def test_a_job_that_was_taken_for_dead_and_is_not_writes_no_more_and_its_files_are_let_be(tmp_path):
    with a_run(tmp_path, Shard(3, 8)) as slow:
        os.replace(job_elsewhere(tmp_path, age_s=151), tmp_path / "shards" / "job-3.0")
        with a_run(tmp_path, Shard(3, 8)) as other:
            assert other.number == 10003
            other.add_problem(Problem("a", "?", "1"), "?")
            other.add_sample(a_sample("a"))
            assert slow.presence is not None
            with pytest.raises(RunStopped, match="shard 3/8 of .* was not heard of for too long"):
                slow.presence.reassure()
    assert [record.sample.problem_id for record in read_records(tmp_path)] == ["a"]


def test_a_job_that_was_killed_before_it_said_who_it_is_is_soon_forgotten(tmp_path):
    path = job_elsewhere(tmp_path)
    path.write_text("")
    os.utime(path, (time.time() - 11,) * 2)
    Presence(tmp_path, Shard(3, 8)).close()


# --- who works on what ---


def groups_of(presence, ids, there=(), **changes):
    given = {
        "samples": 1,
        "asked": "1 [0.7]",
        "is_missing": lambda ids: not set(ids) <= set(there),
        **changes,
    }
    return Groups(presence, ids, **given)


def all_of(groups):
    """The leases of a job that answers each at once."""
    found = []
    for lease in groups.leased():
        if lease is not None:
            found.append(lease)
            groups.all_asked(lease)
    return found


IDS = [f"p{number}" for number in range(8)]


def test_each_group_is_one_jobs_and_who_is_done_helps_the_others_from_their_ends(tmp_path):
    with Presence(tmp_path, Shard(1, 2)) as one, Presence(tmp_path, Shard(2, 2)) as other:
        first, second = groups_of(one, IDS), groups_of(other, IDS)
        try:
            lease = next(lease for lease in second.leased() if lease is not None)
            assert lease.ids == ["p1"]
            taken = [lease.ids[0] for lease in all_of(first)]
            # One more is leased ahead of need.
            assert taken == ["p0", "p2", "p4", "p6", "p7", "p5"]
        finally:
            first.close()
            second.close()


def test_what_a_dead_job_left_is_taken_over_with_the_samples_that_it_had(tmp_path):
    a_run(tmp_path, Shard(3, 8)).close()
    with a_run(tmp_path, Shard(3, 8)) as dead, a_run(tmp_path, Shard(1, 8)) as run:
        for name in IDS:
            dead.add_problem(Problem(name, "?", "1"), "?")
        theirs = groups_of(dead.presence, IDS)
        leases = theirs.leased()
        lease = next(lease for lease in leases if lease is not None)
        ours = groups_of(run.presence, IDS)
        dead.add_sample(a_sample(lease.ids[0]))
        theirs.close()
        dead.close()
        try:
            found = all_of(ours)
        finally:
            ours.close()
        assert sorted(lease.ids[0] for lease in found) == IDS
        assert [lease.there for lease in found if lease.there] == [[(lease.ids[0], 0.7, 0)]]


def test_a_group_that_is_marked_as_done_and_lacks_samples_is_asked_again(tmp_path):
    """As after a power cut that took samples and left the mark."""
    for _ in range(2):  # the second time the mark is of the lease before
        with Presence(tmp_path, Shard(1, 2)) as one:
            groups = groups_of(one, IDS)
            try:
                assert sorted(lease.ids[0] for lease in all_of(groups)) == IDS
            finally:
                groups.close()
            with Presence(
                tmp_path, Shard(2, 2)
            ) as other:  # sees that no one but a live job has lost anything
                groups = groups_of(other, IDS)
                try:
                    assert all_of(groups) == []
                finally:
                    groups.close()


def test_a_slow_job_notices_that_it_lost_a_group_and_keeps_the_others(tmp_path, monkeypatch, capsys):
    with Presence(tmp_path, Shard(1, 1)) as slow:
        groups = groups_of(slow, IDS)
        try:
            leases = [lease for lease, _ in zip(filter(None, groups.leased()), range(2), strict=False)]
            assert all(groups.holds(name) for lease in leases for name in lease.ids)
            leases[0].path.with_name("0.1").write_text("{}")
            assert groups.holds("p0")  # it beats: nobody can have taken anything
            monkeypatch.setattr(shards, "DOUBT_S", -1)
            assert not groups.holds("p0") and groups.holds("p1") and groups.is_lost(leases[0])
        finally:
            groups.close()
    assert "other jobs have taken over 1 group" in capsys.readouterr().err


@pytest.mark.parametrize("begun", [False, True])
def test_a_job_that_wakes_after_others_have_ended_the_run_stops_in_a_sentence(tmp_path, begun):
    with Presence(tmp_path, Shard(1, 1)) as slow:
        groups = groups_of(slow, IDS) if begun else None
        shutil.rmtree(tmp_path / "shards")
        try:
            with pytest.raises(RunStopped, match="its place was taken; everything finished is kept"):
                all_of(groups or groups_of(slow, IDS))
        finally:
            if groups is not None:
                groups.close()


def test_of_a_sample_that_two_jobs_wrote_one_holds_with_its_own_verdict(tmp_path):
    problem = Problem("a", "?", "1")
    for number, answer in ((7, "2"), (4, "1")):  # the slow one wrote first
        with a_run(tmp_path, Shard(number, 8)) as run:
            run.add_problem(problem, "?")
            sample = a_sample("a", text=f"\\boxed{{{answer}}}")
            run._have._bits.clear()  # as if it had begun before the other one
            run.add_sample(sample)
            verdict = Verdict(answer == "1", "" if answer == "1" else "wrong_answer", answer, "", "maths-1")
            run.add_verdict(sample.key, text_digest(sample.text), verdict)
    records = list(read_records(tmp_path))
    assert [(record.sample.text, record.verdict.correct) for record in records] == [("\\boxed{1}", True)]
    with RunReader(tmp_path) as reader:
        for place, record in reader:
            assert reader.at(place) == replace(record, verdict=None)


def test_a_run_of_more_jobs_than_a_process_may_open_files_is_read(tmp_path):
    for number in range(1, 71):
        with a_run(tmp_path, Shard(number, 70)) as run:
            run.add_problem(Problem(f"p{number}", "?", "1"), f"{number}?")
            run.add_sample(sample := a_sample(f"p{number}"))
            run.add_verdict(sample.key, text_digest(sample.text), Verdict(True, "", "1", "", "maths-1"))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/proc/self/fd")) + 40, hard))
    try:
        with RunReader(tmp_path) as reader:
            found = list(reader)
            assert all(reader.at(place).sample == record.sample for place, record in reversed(found))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert len(found) == 70 and all(record.verdict.correct for _, record in found)


def test_runs_of_several_jobs_become_one_without_shards(tmp_path):
    for name in ("one", "other"):
        for number in (1, 2):
            with a_run(tmp_path / name, Shard(number, 2)) as run:
                problem = Problem(f"{name} {number}", "?", "1")
                run.add_problem(problem, "?")
                run.add_sample(a_sample(problem.id))
    assert merge_runs([tmp_path / "one", tmp_path / "other"], tmp_path / "both") == {
        str(tmp_path / "one"): 2,
        str(tmp_path / "other"): 2,
    }
    assert len(list(read_records(tmp_path / "both"))) == 4
    assert read_run_json(tmp_path / "both")["schema"] == SCHEMA


@pytest.mark.parametrize(
    ("problems", "samples", "size"),
    [
        (30, 64, 1),
        (500, 1, 1),
        (12_500, 1, 48),
        (12_500, 8, 8),
        (30_000, 1, 64),
        (276_000, 1, 68),
        (276_000, 8, 68),
    ],
)
def test_a_lease_is_of_some_minutes_of_work_and_there_are_never_many(problems, samples, size):
    assert group_size(problems, samples) == size
    assert problems / size <= shards.MOST_GROUPS


def test_a_damaged_line_of_a_job_is_named_with_its_file(tmp_path):
    with a_run(tmp_path, Shard(2, 2)) as run:
        run.add_problem(Problem("a", "?", "1"), "?")
        run.add_sample(a_sample("a"))
    path = tmp_path / "samples.2.jsonl"
    path.write_bytes(b"{oh\n" + path.read_bytes())
    with pytest.raises(UserError, match=r"samples\.2\.jsonl: line 1 is damaged .*\n  sed -i.damaged '1d' "):
        list(read_records(tmp_path))
