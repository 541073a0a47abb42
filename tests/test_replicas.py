"""Do equal workers share requests so that none waits, and is nothing lost when they die? Without a model."""

import random
from collections import Counter, deque

import pytest

from util.engines.options import EngineOptions
from util.engines.ray_models import model_needs
from util.errors import RunStopped, UserError
from util.machines.__main__ import parse
from util.machines.ray_cluster import ClusterNode, Needs
from util.machines.replicas import MOST_DEATHS, MOST_TRIES, RUN, Died, Ready, Replicas
from util.records import Failure, Request


class Worker:
    """Answers what it was asked after some looks at it, unless `fate` says that it dies."""

    def __init__(self, number, life, window, slow, fate):
        self.number, self.life, self.window, self.slow, self.fate = number, life, window, slow, fate
        self.inbox, self.looks, self.closed, self.dead, self.ready = deque(), 0, False, False, False

    def ask(self, requests):
        assert not self.closed and self.ready
        self.inbox.extend(requests)
        assert len(self.inbox) <= self.window

    def close(self):
        self.closed = True

    def say(self):
        self.looks += 1
        assert not self.dead
        why = self.fate(self)
        if why:
            self.dead = True
            return [why if isinstance(why, Died) else Died(why)]
        if not self.ready:
            self.ready = True
            return [Ready(self.window, "paper 1", sequences=self.window, cached_tokens=1000)]
        if self.inbox and self.looks % self.slow == 0:
            number, request = self.inbox.popleft()
            return [(number, f"{request.problem_id}/{request.index} by {self.number}")]
        return []


class Paper:
    """A place of scripted workers."""

    what = "worker"

    def __init__(self, window=4, slow=lambda number: 1, fate=lambda worker: ""):
        self.window, self.slow, self.fate = window, slow, fate
        self.workers, self.gone, self.waits = [], "", []

    def start(self, number):
        life = sum(worker.number == number for worker in self.workers)
        self.workers.append(Worker(number, life, self.window, self.slow(number), self.fate))
        return self.workers[-1]

    def wait(self, replicas, timeout_s):
        self.waits.append(timeout_s)
        for worker in replicas:
            if not self.gone:
                yield worker, worker.say()

    def lost(self):
        return self.gone


def requests(problems, n):
    return [Request(f"p{problem}", [], 0.7, index, 0, 8) for problem in range(problems) for index in range(n)]


def by_worker(answers):
    return Counter(text.split()[-1] for text in answers)


def test_whatever_dies_every_request_ends_exactly_once():
    for seed in range(30):
        rng = random.Random(seed)
        fate = lambda worker, rng=rng: "hit" if rng.random() < 0.02 else ""  # noqa: E731
        replicas = Replicas(Paper(window=3, slow=lambda number: 1 + number, fate=fate), 3)
        asked = requests(20, 5)
        got = []
        try:
            got = [request for request, _ in replicas.generate(asked)]
        except RunStopped:  # three workers that die three times in a row each
            continue
        finally:
            replicas.close()
        assert len(got) == 100 and {id(request) for request in got} == {id(request) for request in asked}


def test_a_slow_worker_does_not_keep_the_others_waiting():
    place = Paper(window=4, slow=lambda number: 50 if number == 0 else 1)
    answers = [answer for _, answer in Replicas(place, 2).generate(requests(10, 8))]
    counts = by_worker(answers)
    # the slow one answers once in 50 looks; had they halved the work it would have taken 2000 looks
    assert counts["1"] >= 70 and place.workers[0].looks < 400


def test_samples_of_a_problem_go_to_one_worker_in_runs():
    place = Paper(window=6)
    seen = {}
    for request, answer in Replicas(place, 3).generate(requests(12, RUN)):
        seen.setdefault(request.problem_id, Counter())[answer.split()[-1]] += 1
    alone = sum(len(workers) == 1 for workers in seen.values())
    assert alone >= 10  # but for the last ones, which are taken over by whoever is free
    assert len(by_worker(answer for workers in seen.values() for answer in workers.elements())) == 3


def test_a_few_requests_are_spread_over_all_workers():
    answers = [answer for _, answer in Replicas(Paper(window=64), 4).generate(requests(8, 1))]
    assert sorted(by_worker(answers).values()) == [2, 2, 2, 2]


def test_a_dead_worker_is_started_again_and_its_requests_are_asked_again(capsys):
    def fate(worker):
        return "hit" if worker.number == 1 and worker.life == 0 and worker.looks == 5 else ""

    place = Paper(fate=fate)
    assert len(list(Replicas(place, 2).generate(requests(4, 8)))) == 32
    assert [worker.number for worker in place.workers] == [0, 1, 1]
    assert place.workers[1].closed and place.workers[2].looks > 1
    assert "worker 2 of 2: hit; restarting it; " in capsys.readouterr().err


def test_a_worker_that_dies_again_and_again_is_given_up_and_the_others_go_on(capsys):
    place = Paper(fate=lambda worker: "bad memory" if worker.number == 0 and worker.looks > 1 else "")
    results = list(Replicas(place, 2).generate(requests(4, 8)))
    assert len(results) == 32
    assert sum(worker.number == 0 for worker in place.workers) == MOST_DEATHS
    assert "ended 3 times without an answer, 1 are left" in capsys.readouterr().err


def test_when_all_workers_die_again_and_again_the_run_stops_with_a_reason():
    place = Paper(fate=lambda worker: "bad memory" if worker.looks > 2 else "", slow=lambda number: 9)
    replicas = Replicas(place, 2)
    with pytest.raises(RunStopped, match="no worker is left .*bad memory.*same command again"):
        list(replicas.generate(requests(40, 8)))
    with pytest.raises(RunStopped):
        list(replicas.generate(requests(1, 1)))


def test_a_request_that_kills_its_workers_is_a_failure_and_the_rest_is_answered():
    def fate(worker):
        return "hit" if worker.inbox and worker.inbox[0][1].problem_id == "p3" else ""

    results = list(Replicas(Paper(fate=fate, window=1), 2).generate(requests(10, 1)))
    failed = [(request, answer) for request, answer in results if isinstance(answer, Failure)]
    assert len(results) == 10
    assert [request.problem_id for request, _ in failed] == ["p3"]
    assert f"{MOST_TRIES} replicas died" in failed[0][1].message


def test_a_place_without_room_for_any_worker_stops_the_run():
    place = Paper()
    answers = Replicas(place, 2).generate(requests(4, 8))
    next(answers)
    place.fate = place.workers[0].fate = place.workers[1].fate = lambda worker: "the node left"
    place.lost = lambda: "no node is left" if len(place.workers) > 2 else ""
    with pytest.raises(RunStopped, match="no node is left"):
        list(answers)


def test_what_the_first_worker_refuses_is_for_the_user_to_put_right():
    place = Paper(fate=lambda worker: Died("no such model", refused=True))
    with pytest.raises(UserError, match="no such model"):
        Replicas(place, 2)
    assert all(worker.closed for worker in place.workers)


def test_while_the_source_has_nothing_to_ask_it_is_asked_again_soon():
    place = Paper()
    replicas = Replicas(place, 2)
    source = iter([*requests(1, 2), *[None] * 5, *requests(2, 2)])
    assert len(list(replicas.generate(source))) == 6
    assert max(place.waits[1:-4]) <= 0.1


def test_answers_to_a_call_that_was_left_are_not_given_to_the_next_one():
    place = Paper(slow=lambda number: 3)
    replicas = Replicas(place, 2)
    left = replicas.generate(requests(4, 8))
    next(left)
    left.close()
    again = requests(3, 1)
    assert {id(request) for request, _ in replicas.generate(again)} == {id(request) for request in again}


NODES = [ClusterNode("a", 8, 64), ClusterNode("b", 4, 32)]


def test_replicas_take_gpus_where_there_are_any_and_cores_elsewhere():
    assert model_needs(NODES, EngineOptions("m", tp=4, replicas=3), "a:1") == Needs(gpus=4, cpus=0)
    cpus = [ClusterNode("a", 0, 8), ClusterNode("b", 0, 6)]
    assert model_needs(cpus, EngineOptions("m", replicas=2), "a:1") == Needs(gpus=0, cpus=6)
    assert model_needs(cpus, EngineOptions("m", replicas=5), "a:1") == Needs(gpus=0, cpus=2)


def test_more_replicas_than_the_cluster_holds_are_refused_with_what_it_has():
    with pytest.raises(UserError, match=r"12 GPUs and 96 CPUs on 2 node\(s\) \(a: 8 GPUs.*holds 3: lower"):
        model_needs(NODES, EngineOptions("m", tp=4, replicas=4), "a:1")
    with pytest.raises(UserError, match="holds 0: lower --tp, a replica has its GPUs on one node"):
        model_needs(NODES, EngineOptions("m", tp=16), "a:1")
    with pytest.raises(UserError, match="0 GPUs and 2 CPUs on 1 node"):
        model_needs([ClusterNode("c", 0, 2)], EngineOptions("m", replicas=3), "a:1")


@pytest.mark.parametrize(("flag", "value"), [("--within", "0"), ("--within", "-1"), ("--nodes", "0")])
def test_a_wait_for_no_time_or_no_node_is_refused(flag, value, capsys):
    with pytest.raises(SystemExit) as left:
        parse(["--address", "a:6379", "--nodes", "1", flag, value])
    assert left.value.code == 2 and flag in capsys.readouterr().err


def test_replicas_compute_as_many_requests_at_once_as_their_places_and_their_memory_hold():
    replicas = Replicas(Paper(window=64), 3, wait_for_all=True)
    assert [replicas.at_once(tokens) for tokens in (0, 10, 100, 2000)] == [192, 192, 30, 0]
