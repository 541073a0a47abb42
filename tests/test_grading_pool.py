"""Are verdicts of the pool complete, whatever happens to its workers?"""

import itertools
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import grading_functions as graders
import pytest
from helpers import HANG_S, is_running, wait_until

from util.grading import pool as pool_module
from util.grading.pool import WAITING_PER_WORKER, GradingPool
from util.records import Problem

PROBLEM = Problem("1", "2 + 3?", "5")


def everything(pool):
    """All keys and verdicts: `completed` has none left only when nothing is pending."""
    return list(itertools.chain.from_iterable(iter(lambda: list(pool.completed(True)), [])))


def test_every_grading_comes_back_once_with_its_own_verdict():
    with GradingPool(2, graders.call) as pool:
        for i in range(500):
            pool.submit(i, (graders.right, PROBLEM, "5" if i % 3 else "6"), 60)
        found = everything(pool)
    assert sorted(key for key, _ in found) == list(range(500))
    assert all(verdict.correct == bool(key % 3) for key, verdict in found)


def test_a_grading_over_its_limit_is_a_fault_of_the_grader_and_delays_no_other():
    with GradingPool(2, graders.call) as pool:
        pool.submit("slow", (graders.sleep, PROBLEM, "5"), 0.3)
        for i in range(20):
            pool.submit(i, (graders.right, PROBLEM, "5"), 60)
        found = dict(everything(pool))
    assert found["slow"].reason == "grader_error" and "over 0.3 s" in found["slow"].detail
    assert all(found[i].correct for i in range(20))


def test_a_grading_has_its_time_though_all_were_stopped_meanwhile(tmp_path, monkeypatch):
    usual, stopped_s, go_on = pool_module.wait, [], tmp_path / "go on"

    def stopped_once(objects, rest):
        if any(worker.running and worker.jobs for worker in pool._workers):
            if not stopped_s:
                stopped_s.append(2 * HANG_S)
                return []
            go_on.touch()
        return usual(objects, rest)

    clock = SimpleNamespace(monotonic=lambda: time.monotonic() + sum(stopped_s), sleep=time.sleep)
    monkeypatch.setattr(pool_module, "time", clock)
    monkeypatch.setattr(pool_module, "wait", stopped_once)
    pool = GradingPool(1, graders.call)
    with pool:
        pool.submit("waits", (graders.wait, PROBLEM, str(go_on)), HANG_S)
        assert dict(everything(pool))["waits"].correct
    assert stopped_s


def test_a_grading_whose_worker_dies_twice_is_given_up_and_the_others_go_on():
    with GradingPool(1, graders.call) as pool:
        for key in ("before", "after"):
            pool.submit(key, (graders.right, PROBLEM, "5"), 60)
        pool.submit("die", (graders.die, PROBLEM, "5"), 60)
        found = dict(everything(pool))
    assert found["die"].reason == "grader_error" and "died twice" in found["die"].detail
    assert found["before"].correct and found["after"].correct


def test_of_gradings_that_a_worker_has_together_only_those_to_blame_have_no_verdict():
    faults = {50: (graders.die, "died twice"), 120: (graders.sleep, "over 0.5 s"), 121: (graders.die, "died")}
    with GradingPool(2, graders.call) as pool:
        for key in range(200):
            grade = faults[key][0] if key in faults else graders.right
            pool.submit(key, (grade, PROBLEM, "5"), 0.5 if key == 120 else 60)
        found = everything(pool)
    assert sorted(key for key, _ in found) == list(range(200))
    for key, verdict in found:
        assert verdict.correct == (key not in faults)
        assert key not in faults or faults[key][1] in verdict.detail


def test_results_larger_than_a_pipe_come_back_whole():
    sizes = [0, 1, 70_000, 3_000_000, 2, 1_100_000]
    with GradingPool(1, graders.call) as pool:
        for key, size in enumerate(sizes):
            pool.submit(key, (graders.right, PROBLEM, "x" * size), 30)
        assert [len(verdict.extracted) for _, verdict in sorted(everything(pool))] == sizes


def test_a_grading_whose_worker_dies_once_is_done_again(tmp_path):
    with GradingPool(1, graders.call) as pool:
        pool.submit("once", (graders.die_once, PROBLEM, str(tmp_path / "been_here")), 30)
        assert dict(everything(pool))["once"].correct


def test_an_exception_in_a_grader_is_shown_and_never_a_wrong_answer(capfd):
    with GradingPool(1, graders.call) as pool:
        pool.submit("fail", (graders.fail, PROBLEM, "5"), 60)
        verdict = dict(everything(pool))["fail"]
    assert verdict.reason == "grader_error" and "died twice" in verdict.detail
    assert "ZeroDivisionError" in capfd.readouterr().err


def test_a_function_that_cannot_travel_by_name_is_refused_at_once():
    with pytest.raises((AttributeError, TypeError)):
        GradingPool(1, lambda job: None)


def test_no_symbolic_reaches_the_workers():
    with GradingPool(1, graders.call, symbolic=False) as pool:
        pool.submit("state", (graders.engine_state, PROBLEM, ""), 60)
        assert not dict(everything(pool))["state"].correct


def test_a_program_that_the_clock_ended_is_tried_again_alone_and_with_its_share_of_a_core():
    with GradingPool(2, graders.call) as pool:
        for key in range(5):
            pool.submit(key, (graders.ended_by_the_clock, PROBLEM, "waits" if key == 3 else "busy"), 60)
        found = dict(everything(pool))
    assert [found[key].reason for key in range(5)] == ["", "", "", "timeout", ""]


@pytest.mark.parametrize("niceness", [0, 5])
def test_a_second_try_alone_has_the_priority_of_the_command_and_no_higher_one(niceness):
    found = []

    def grade():
        os.nice(niceness)  # of this thread, and of what it starts
        with GradingPool(1, graders.call) as pool:
            pool.submit("waits", (graders.niceness_at_the_end, PROBLEM, ""), 60)
            found.append(dict(everything(pool))["waits"].detail)

    command = threading.Thread(target=grade)
    command.start()
    command.join()
    assert found == [str(os.nice(0) + niceness)]


def test_a_grader_is_ready_before_it_leaves_the_core_to_others():
    """Where all cores are busy it would otherwise take minutes to begin."""
    with GradingPool(1, graders.NicenessWhenLoaded()) as pool:
        pool.submit("niceness", None, 30)
        assert dict(everything(pool))["niceness"].detail == f"{os.nice(0)}, then 19"


def test_graders_and_programs_leave_the_core_to_an_engine_and_go_first_where_memory_is_short():
    with GradingPool(1, graders.call) as pool:
        pool.submit("priority", (graders.priority, PROBLEM, ""), 60)
        grader, sandbox = json.loads(dict(everything(pool))["priority"].extracted)
    assert (grader["nice"], grader["oom"], sandbox["nice"], sandbox["oom"]) == (19, 1000, 19, 1000)
    assert sandbox["group"] in (19, None), "with autogroup scheduling a session's niceness counts"


def test_verdicts_arrive_while_the_main_thread_is_busy():
    with GradingPool(1, graders.call) as pool:
        for i in range(50):
            pool.submit(i, (graders.right, PROBLEM, "5"), 60)
        end = time.monotonic() + HANG_S
        while pool.pending and time.monotonic() < end:
            sum(range(1000))
        assert len(list(pool.completed(False))) == 50


def test_a_full_queue_makes_submit_wait_and_an_interrupt_ends_the_wait():
    outcome = []

    def submit_one_more(pool):
        with pytest.raises(RuntimeError, match="closed"):
            pool.submit("more", (graders.right, PROBLEM, "5"), 60)
        outcome.append("released")

    with pytest.raises(KeyboardInterrupt), GradingPool(1, graders.call) as pool:
        for i in range(WAITING_PER_WORKER):
            pool.submit(i, (graders.sleep, PROBLEM, "5"), 60)
        waiting = threading.Thread(target=submit_one_more, args=(pool,), daemon=True)
        waiting.start()
        waiting.join(0.2)
        assert waiting.is_alive()
        raise KeyboardInterrupt
    waiting.join(HANG_S)
    assert outcome == ["released"]


def test_workers_end_with_the_pool():
    with GradingPool(1, graders.call) as pool:
        pool.submit("pid", (graders.process, PROBLEM, ""), 60)
        pid = int(dict(everything(pool))["pid"].extracted)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_workers_die_with_a_parent_that_is_killed(tmp_path):
    script = tmp_path / "parent.py"
    script.write_text(
        "import os, signal, sys\n"
        f"sys.path[:0] = {[str(Path(__file__).parent), str(Path(__file__).parents[1])]!r}\n"
        "import grading_functions as graders\n"
        "from util.grading.pool import GradingPool\n"
        "from util.records import Problem\n"
        "if __name__ == '__main__':\n"
        "    with GradingPool(1, graders.call) as pool:\n"
        "        pool.submit(1, (graders.process, Problem('1', '', ''), ''), 30)\n"
        "        print(dict(pool.completed(True))[1].extracted, flush=True)\n"
        "        pool.submit(2, (graders.sleep, Problem('1', '', ''), ''), 30)\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=HANG_S)
    wait_until(lambda: not is_running(int(done.stdout)))


def test_a_result_that_cannot_travel_is_a_fault_of_the_grader_and_nobody_waits_for_it():
    with GradingPool(1, graders.call) as pool:
        for key, grade in enumerate((graders.right, graders.untransportable, graders.right)):
            pool.submit(key, (grade, PROBLEM, "5"), 60)
        found = dict(everything(pool))
    assert found[1].reason == "grader_error" and found[0].correct and found[2].correct


BEGUN = """
import functools, json, signal, sys
from pathlib import Path

blocked = functools.partial(signal.pthread_sigmask, signal.SIG_BLOCK)
if __name__ == "__mp_main__":  # a worker that is only beginning
    Path(sys.argv[1]).write_text(json.dumps(sorted(blocked([]))))
else:
    from util.grading.pool import GradingPool

    with GradingPool(1, blocked) as pool:
        pool.submit("later", [], 60)
        ((_, later),) = pool.completed(block=True)
    print(json.dumps([sorted(later), sorted(blocked([]))]))
"""


def test_ctrl_c_does_not_find_a_grader_that_has_not_begun(tmp_path):
    """It would print a traceback; a grader that has begun ignores it, and programs may use the signal."""
    script, seen = tmp_path / "script.py", tmp_path / "seen"
    script.write_text(BEGUN)
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    command = [sys.executable, str(script), str(seen)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert json.loads(seen.read_text()) == [signal.SIGINT], done.stderr
    assert json.loads(done.stdout) == [[], []]
