"""Are gradings on other machines complete, whatever dies? Their nodes are played in this process."""

import itertools
import json
import pickle
from contextlib import closing

import grading_functions as graders
import pytest

from util.errors import RunStopped
from util.generation.judging import CarriedJudge, Judge, ToGrade
from util.grading import cluster
from util.grading.cluster import ClusterGradingPool, GraderHost
from util.grading.code import grade_code
from util.grading.code.suites import carry_tests, read_tests, suite_of
from util.machines.replicas import Died, Replicas
from util.records import Problem, Sample
from util.runs.folder import Run
from util.runs.reader import RecordPlaces

PROBLEM = Problem("1", "2 + 3?", "5")


def carried(job):
    """What travels: these jobs hold all that is needed."""
    return PROBLEM.id, job


class Node:
    """Graders that die when they have been listened to `lives` times; gradings travel to them as bytes."""

    def __init__(self, lives, work):
        self.host, self.lives = GraderHost(1, work, True, None), lives

    def ask(self, requests):
        self.host.tell(pickle.loads(pickle.dumps(requests)))

    def listen(self):
        self.lives -= 1
        return self.host.listen() if self.lives else [Died("the node left")]

    def close(self):
        if self.host._pool is not None:
            self.host._pool.__exit__(RuntimeError)


class Nodes:
    what = "grading node"

    def __init__(self, *lives, work):
        self.lives, self.work = [list(each) for each in lives], work

    def start(self, number):
        return Node(self.lives[number].pop(0), self.work) if self.lives[number] else None

    def wait(self, nodes, timeout_s):
        for node in nodes:
            yield node, node.listen()

    def lost(self):
        return ""


FOREVER = 10**9


@pytest.fixture
def pool(monkeypatch):
    monkeypatch.setattr(cluster, "SAY_S", 0.01)

    def opened(*lives, work=graders.call, read=carried):
        nodes = Nodes(*lives, work=work)
        return ClusterGradingPool(Replicas(nodes, len(lives)), workers=len(lives), read=read)

    return opened


def everything(pool):
    return dict(itertools.chain.from_iterable(iter(lambda: list(pool.completed(True)), [])))


def test_every_grading_comes_back_once_with_its_own_verdict_though_a_node_leaves(pool):
    with pool([FOREVER], [4]) as open_pool:
        for i in range(200):
            open_pool.submit(i, (graders.right, PROBLEM, "5" if i % 3 else "6"), 60)
        found = everything(open_pool)
        assert open_pool.pending == 0
    assert sorted(found) == list(range(200))
    assert all(verdict.correct == bool(key % 3) for key, verdict in found.items())


def test_time_limits_and_dead_workers_are_treated_as_here(pool):
    with pool([FOREVER]) as open_pool:
        open_pool.submit("slow", (graders.sleep, PROBLEM, "5"), 0.3)
        open_pool.submit("dies", (graders.die, PROBLEM, "5"), 60)
        open_pool.submit("right", (graders.right, PROBLEM, "5"), 60)
        found = everything(open_pool)
    assert found["slow"].reason == found["dies"].reason == "grader_error"
    assert "over 0.3 s" in found["slow"].detail and "died twice" in found["dies"].detail
    assert found["right"].correct


def test_without_any_node_the_run_stops(pool):
    with pool([2], [3]) as open_pool:
        with pytest.raises(RunStopped, match="no grading node is left .*the node left.*same command again"):
            for i in range(10_000):
                open_pool.submit(i, (graders.right, PROBLEM, "5"), 60)
            everything(open_pool)


def test_tests_travel_with_the_problem(tmp_path, pool):
    tests = json.dumps({"inputs": ["1 2\n"], "outputs": ["3\n"]})
    file = tmp_path / "test.jsonl"
    file.write_text(json.dumps({"input_output": tests}) + "\n")
    at = {"file": str(file), "offset": 0}
    problem = Problem("1", "", suite_of({"input_output": tests, "tests_at": at}, "apps"))
    carried = carry_tests(problem.reference)
    assert carried.place is None and read_tests(carried) == read_tests(problem.reference)
    answer = "```python\nprint(sum(map(int, input().split())))\n```"
    with Run(tmp_path / "run", settings={}, made_with={}) as run:
        run.add_problem(problem, "?")
        offsets = [run.add_sample(Sample("1", 0.7, i, answer, None, "stop", 1, 1)) for i in range(2)]
    first, second = (ToGrade(RecordPlaces((offset, 0, -1)), problem.reference) for offset in offsets)
    judge, work = Judge(tmp_path / "run", grade_code), CarriedJudge(grade_code)
    with closing(judge), pool([FOREVER], work=work, read=judge.carried) as open_pool:
        open_pool.submit("first", first, 60)
        file.unlink()  # as on a machine that never had it
        open_pool.submit("second", second, 60)
        found = everything(open_pool)
    first, second = (one for name in ("first", "second") for one in found[name].results)
    assert first.is_correct and second.is_correct and second.key == ("1", 0.7, 1)
