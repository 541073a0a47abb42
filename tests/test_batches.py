"""Is every request of a batch answered once, and paid for once, whatever the interface and the machine do?"""

import os
import random
from dataclasses import replace

import pytest
from batch_endpoint import ASKED_AGAIN, CALL_FAULTS, RESULT_FAULTS, BatchEndpoint, quick_clients
from helpers import json_lines

from util.engines import openai_batches
from util.engines.openai_replies import Kind
from util.engines.options import EngineOptions
from util.errors import UserError
from util.generation import batches
from util.generation.batches import open_batches
from util.records import Completion, Request
from util.runs.batches import BatchBook, RunPlace, name_of, waiting_parts
from util.runs.journal import Journal

pytest.importorskip("openai", reason="the batch interface is spoken by its package")


quick = pytest.fixture(autouse=True)(quick_clients)
SEEDS = int(os.environ.get("BATCH_SEEDS", 5))


def request(number, temperature=0.7, index=0, **more):
    messages = [{"role": "user", "content": f"question {number}"}]
    return Request(f"p{number}", messages, temperature, index, 7, 100, **more)


REQUESTS = [request(number, index=index) for number in range(3) for index in range(2)]


class Command:
    """One command on a run's folder: asks for what has no sample yet, and writes down what comes."""

    def __init__(self, folder, endpoint, **options):
        self.folder, self.paused = folder, []
        self.failures = {}
        options = {"api_base": (endpoint.url,), "batch": "endpoint", **options}
        self.options = EngineOptions("openai/test-model", **options)

    def samples(self):
        path = self.folder / "samples.jsonl"
        return (
            {(line["problem_id"], line["index"]): line for line in json_lines(path)} if path.exists() else {}
        )

    def write(self, journal, one, result):
        key = {"problem_id": one.problem_id, "temperature": one.temperature, "index": one.index}
        journal.append({**key, **vars(result)})

    def run(self, requests=REQUESTS):
        have = self.samples()
        wanted = [one for one in requests if one is None or (one.problem_id, one.index) not in have]
        engine = self.engine = open_batches(
            self.options, place_of=lambda _: RunPlace(self.folder), pause=self.paused.append
        )
        try:
            with Journal(self.folder / "samples.jsonl") as journal:
                for one, result in engine.generate(wanted):
                    if isinstance(result, Completion):
                        self.write(journal, one, result)
                    else:
                        self.failures[(one.problem_id, one.index)] = result.message
        finally:
            engine.close()
        return self.samples()


def check_whole(folder, samples):
    """One sample of each request, with its own answer; nothing is left to fetch."""
    assert samples.keys() == {(one.problem_id, one.index) for one in REQUESTS}
    assert len(json_lines(folder / "samples.jsonl")) == len(REQUESTS)
    for (problem_id, _), sample in samples.items():
        assert f"answer to question {problem_id[1:]}" in sample["text"]
        assert (sample["finish_reason"], sample["prompt_tokens"], sample["completion_tokens"]) == (
            "stop",
            2,
            3,
        )
    assert not waiting_parts(RunPlace(folder))


class Interrupting:
    """Ctrl-C while a command waits for the third time."""

    times = 0

    def append(self, _):
        self.times += 1
        if self.times == 3:
            raise KeyboardInterrupt


def interrupted(folder, endpoint):
    """Leave a batch under way that the endpoint does not get on with."""
    endpoint.stuck = True
    command = Command(folder, endpoint)
    command.paused = Interrupting()
    with pytest.raises(KeyboardInterrupt):
        command.run()


@pytest.mark.parametrize("fault", [*CALL_FAULTS, *RESULT_FAULTS, *ASKED_AGAIN])
def test_a_fault_leaves_each_request_with_one_answer_that_was_paid_for_once(tmp_path, fault):
    with BatchEndpoint(*([fault, "create:cut_after"] if fault.startswith("list") else [fault])) as endpoint:
        samples = Command(tmp_path, endpoint).run()
        if fault == "bad_line":
            assert len(samples) == len(REQUESTS) - 1
            samples = Command(tmp_path, endpoint).run()
    assert endpoint.happened[fault] == 1
    check_whole(tmp_path, samples)
    assert set(endpoint.asked.values()) == {1}


@pytest.mark.parametrize(
    ("end", "said"),
    [
        ("completed", {"status": "COMPLETED"}),
        ("completed", {"status": "all done", "completed_at": 1764460800}),
        ("expired", {"status": "Expired"}),
        ("cancelled", {"status": "canceled"}),
        ("cancelled", {"status": "stopped by somebody", "cancelled_at": 1764460800}),
    ],
)
def test_an_end_that_is_spelled_otherwise_is_an_end(tmp_path, end, said):
    with BatchEndpoint(*([] if end == "completed" else [end])) as endpoint:
        endpoint.spells = {end: said, "validating": {"status": "Queued"}}
        samples = Command(tmp_path, endpoint).run()
        samples = Command(tmp_path, endpoint).run()  # a cancelled one is asked again by another command
    check_whole(tmp_path, samples)
    assert set(endpoint.asked.values()) == {1}


def test_a_file_that_is_refused_in_capitals_is_refused(tmp_path):
    with BatchEndpoint("full") as endpoint:
        endpoint.spells = {"failed": {"status": "FAILED"}}
        check_whole(tmp_path, Command(tmp_path, endpoint).run())
    assert endpoint.happened["full"] == 1 and set(endpoint.asked.values()) == {1}


def test_a_status_that_nobody_knows_is_asked_for_an_hour_and_then_left_to_a_person(tmp_path, capsys):
    with BatchEndpoint() as endpoint:
        endpoint.spells = {"completed": {"status": "resting"}}
        command = Command(tmp_path, endpoint)
        with pytest.raises(
            UserError, match="not known here .batch_3 'resting'.* the same command looks again"
        ):
            command.run()
        assert 3600 <= sum(command.paused) < 4300
        assert capsys.readouterr().err.count("is 'resting', which is not known here") == 1
        endpoint.spells = {}
        check_whole(tmp_path, Command(tmp_path, endpoint).run())
    assert set(endpoint.asked.values()) == {1} and endpoint.calls["create"] == 1


@pytest.mark.parametrize("status", [404, 405, 501])
@pytest.mark.parametrize("path", ["/files", "/batches"])
def test_an_interface_that_a_vendor_lacks_is_one_sentence(tmp_path, path, status):
    with BatchEndpoint() as endpoint:
        endpoint.missing[path] = status
        with pytest.raises(UserError, match="has no batch interface .*: leave --batch out"):
            Command(tmp_path, endpoint).run()
        assert not endpoint.asked and endpoint.calls["upload"] == 1
        endpoint.missing.clear()
        check_whole(tmp_path, Command(tmp_path, endpoint).run())


def test_a_batch_that_somebody_cancelled_keeps_what_it_brought_and_the_next_command_asks_the_rest(tmp_path):
    with BatchEndpoint("cancelled") as endpoint:
        command = Command(tmp_path, endpoint)
        assert len(command.run()) == 3
        assert {words.partition(" ")[2] for words in command.failures.values()} == {"batch_3 was cancelled"}
        assert len(endpoint.ours) == 1
        check_whole(tmp_path, Command(tmp_path, endpoint).run())
    assert set(endpoint.asked.values()) == {1}


def test_results_that_are_gone_are_not_paid_for_again_before_the_person_says_so(tmp_path):
    with BatchEndpoint("output_deleted") as endpoint:
        command = Command(tmp_path, endpoint)
        assert not command.run() and len(command.failures) == len(REQUESTS)
        assert all("has results that are gone" in words for words in command.failures.values())
        assert set(endpoint.asked.values()) == {1}
        check_whole(tmp_path, Command(tmp_path, endpoint).run())


def test_what_a_whole_batch_lacks_is_asked_once_more_and_then_named(tmp_path):
    with BatchEndpoint(*["lacking"] * 9) as endpoint:
        command = Command(tmp_path, endpoint)
        assert len(command.run()) == 5
        [words] = command.failures.values()
        assert words == "2 batches brought no line about p0/0.7/0, which may be paid for all the same"
    assert len(endpoint.ours) == 2


def test_results_under_other_names_are_not_paid_for_again_by_themselves(tmp_path):
    with BatchEndpoint("renamed") as endpoint:
        command = Command(tmp_path, endpoint)
        assert not command.run() and len(command.failures) == len(REQUESTS)
        assert "6 that may be the answers (about 'request-p0/0.7/0')" in [*command.failures.values()][0]
        assert len(endpoint.ours) == 1
        check_whole(tmp_path, Command(tmp_path, endpoint).run())


def test_results_that_stay_cut_at_the_vendor_are_not_paid_for_again_by_themselves(tmp_path):
    with BatchEndpoint(*["torn_once"] * 4) as endpoint:
        command = Command(tmp_path, endpoint)
        assert len(command.run()) == 5
        assert "p2/0.7/1, and 1 that may be the answers (damaged)" in [*command.failures.values()][0]
        assert len(endpoint.ours) == 1


def test_a_failed_batch_that_brought_answers_all_the_same_keeps_them(tmp_path):
    with BatchEndpoint("half_expired") as endpoint:
        run_usual = endpoint._run

        def run_and_fail(batch):
            run_usual(batch)
            batch["status"] = "failed" if batch["status"] == "expired" else batch["status"]

        endpoint._run = run_and_fail
        check_whole(tmp_path, Command(tmp_path, endpoint).run())
        assert len(endpoint.ours) == 2 and set(endpoint.asked.values()) == {1}


def test_a_batch_that_gets_another_name_is_found_again(tmp_path):
    with BatchEndpoint() as endpoint:
        interrupted(tmp_path, endpoint)
        endpoint.batches["renamed"] = endpoint.batches.pop("batch_3") | {"id": "renamed"}
        endpoint.stuck = False
        check_whole(tmp_path, Command(tmp_path, endpoint).run())
        assert [batch["id"] for batch in endpoint.ours] == ["renamed"]


def test_where_batches_are_not_listed_one_that_may_have_been_made_is_left_to_the_person(tmp_path):
    with BatchEndpoint() as endpoint:
        assert is_killed(Command(tmp_path, endpoint), 8)
        endpoint.missing["/batches"] = 404
        with pytest.raises(UserError, match="lists no batches, so nobody knows whether one with the mark"):
            Command(tmp_path, endpoint).run()
        endpoint.missing.clear()
        check_whole(tmp_path, Command(tmp_path, endpoint).run())
        assert len(endpoint.ours) == 1


def test_a_batch_is_not_made_again_and_again_where_replies_describe_none(tmp_path):
    with BatchEndpoint() as endpoint:
        create_usual = endpoint.create
        endpoint.create = lambda said: (200, {"made": create_usual(said)[1]["id"]})
        endpoint.listed = lambda *_: {"data": []}
        with pytest.raises(UserError, match="made a batch, it seems, but the reply describes no batch: look"):
            Command(tmp_path, endpoint).run()
        assert len(endpoint.ours) == 1


def test_a_batch_that_is_listed_late_is_not_made_again(tmp_path):
    with BatchEndpoint("create:cut_after", "listed_late") as endpoint:
        check_whole(tmp_path, Command(tmp_path, endpoint).run())
        assert endpoint.happened["listed_late"] and len(endpoint.ours) == 1


@pytest.mark.parametrize("path", ["/files", "/batches"])
def test_what_was_refused_before_a_batch_was_made_binds_nobody(tmp_path, path):
    with BatchEndpoint() as endpoint:
        endpoint.missing[path] = 404
        with pytest.raises(UserError, match="leave --batch out"):
            Command(tmp_path, endpoint).run()
    batches.check_no_batch_waits(RunPlace(tmp_path), None)


def test_a_command_that_is_stopped_while_it_uploads_binds_nobody(tmp_path, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(openai_batches.BatchEndpoint, "upload", interrupted)
    with BatchEndpoint() as endpoint, pytest.raises(KeyboardInterrupt):
        Command(tmp_path, endpoint).run()
    batches.check_no_batch_waits(RunPlace(tmp_path), None)


def test_a_batch_that_may_have_been_made_before_the_key_was_refused_is_not_asked_again(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-right-1234567890")
    with BatchEndpoint("create:cut_after") as endpoint:
        command = Command(tmp_path, endpoint)

        def revoked(_):
            endpoint.key = "sk-another"

        command.paused = type("Pauses", (), {"append": staticmethod(revoked)})
        with pytest.raises(UserError, match="does not accept the API key"):
            command.run()
        assert "go on without this command (one that may have been made)" in capsys.readouterr().err
        endpoint.key = ""
        check_whole(tmp_path, Command(tmp_path, endpoint).run())
        assert len(endpoint.ours) == 1


def test_a_batch_that_is_refused_as_a_whole_ends_the_command_and_binds_nobody(tmp_path):
    with BatchEndpoint("bad_line") as endpoint:
        one = [request(1)]
        endpoint._run = lambda batch: endpoint._fail(batch, "model_not_found", "no such model")
        with pytest.raises(
            UserError, match="refuses batch batch_3 .model_not_found: no such model.: nothing"
        ):
            Command(tmp_path, endpoint).run(one)
    assert not waiting_parts(RunPlace(tmp_path))


class Killed(BaseException):
    """The process ends here: nobody can catch it."""


def kill_at(monkeypatch, moment):
    """End the command at a moment, before or after a call of the interface or a line of the journal."""
    seen = [0]

    def step():
        seen[0] += 1
        if seen[0] == moment:
            raise Killed

    def watched(work):
        def around(self, *args, **more):
            step()
            result = work(self, *args, **more)
            step()
            return result

        return around

    monkeypatch.setattr(BatchBook, "_note", watched(BatchBook._note))
    monkeypatch.setattr(openai_batches.BatchEndpoint, "_call", watched(openai_batches.BatchEndpoint._call))
    monkeypatch.setattr(Command, "write", watched(Command.write))
    return seen


def is_killed(command, moment):
    """Run a command as far as `moment`; False where it ended before."""
    with pytest.MonkeyPatch.context() as patch:
        kill_at(patch, moment)
        try:
            command.run()
        except Killed:
            return True
    return False


def test_a_command_that_is_killed_at_any_moment_neither_pays_twice_nor_loses_an_answer(tmp_path):
    moment, met = 0, True
    while met:
        moment += 1
        folder = tmp_path / str(moment)
        folder.mkdir()
        with BatchEndpoint("half_expired") as endpoint:
            met = is_killed(Command(folder, endpoint), moment)
            check_whole(folder, Command(folder, endpoint).run())
            assert set(endpoint.asked.values()) == {1}, moment
            assert len(endpoint.ours) == 2, moment
    assert moment > 40


class TwoRuns(Command):
    """A command that asks of two runs, whose requests have the same names."""

    def __init__(self, folder, endpoint):
        super().__init__(folder, endpoint)
        self.folders = [folder / "a", folder / "b"]

    def run(self):
        wanted = []
        for folder in self.folders:
            folder.mkdir(exist_ok=True)
            self.folder = folder
            have = self.samples()
            mine = [replace(one, messages=[*one.messages]) for one in REQUESTS]
            wanted += [(folder, one) for one in mine if (one.problem_id, one.index) not in have]
        of = {id(one): where for where, one in wanted}
        engine = open_batches(
            self.options, place_of=lambda one: RunPlace(of[id(one)]), pause=self.paused.append
        )
        try:
            for one, result in engine.generate(one for _, one in wanted):
                with Journal(of[id(one)] / "samples.jsonl") as journal:
                    self.write(journal, one, result)
        finally:
            engine.close()


@pytest.mark.parametrize("first", range(1, 4))
def test_two_runs_are_handed_in_at_once_and_neither_loses_or_pays_for_the_other(tmp_path, first):
    moment, met = first, True
    while met:
        folder = tmp_path / str(moment)
        folder.mkdir()
        with BatchEndpoint() as endpoint:
            met = is_killed(TwoRuns(folder, endpoint), moment)
            command = TwoRuns(folder, endpoint)
            command.run()
            for each in command.folders:
                command.folder = each
                check_whole(each, command.samples())
            assert len(endpoint.ours) == 2 and set(endpoint.asked.values()) == {2}, moment
        moment += 12


@pytest.mark.parametrize("seed", range(SEEDS))
def test_faults_of_all_kinds_and_kills_at_random_moments_end_alike(tmp_path, monkeypatch, seed):
    dice = random.Random(seed)
    faults = dice.sample([*CALL_FAULTS, *RESULT_FAULTS, *ASKED_AGAIN], 6)
    with BatchEndpoint(*faults, seed=seed) as endpoint:
        for _ in range(6):
            with monkeypatch.context() as patch:
                kill_at(patch, dice.randint(1, 40))
                try:
                    Command(tmp_path, endpoint).run()
                except Killed:
                    continue
        for _ in range(3):  # what failed in three batches is left to the next command
            samples = Command(tmp_path, endpoint).run()
        check_whole(tmp_path, samples)
    assert set(endpoint.asked.values()) == {1}, faults


def test_a_second_command_goes_on_with_the_batch_of_the_first(tmp_path, capsys):
    with BatchEndpoint() as endpoint:
        interrupted(tmp_path, endpoint)
        assert "batches go on without this command (batch_3): the same command" in capsys.readouterr().err
        endpoint.stuck = False
        check_whole(tmp_path, Command(tmp_path, endpoint).run())
        assert len(endpoint.ours) == 1


def test_answers_that_a_command_does_not_ask_for_stay_for_the_one_that_does(tmp_path):
    with BatchEndpoint() as endpoint:
        interrupted(tmp_path, endpoint)
        endpoint.stuck = False
        assert len(Command(tmp_path, endpoint).run(REQUESTS[:2])) == 2
        assert len(waiting_parts(RunPlace(tmp_path))) == 1
        check_whole(tmp_path, Command(tmp_path, endpoint).run())
        assert len(endpoint.ours) == 1 and endpoint.calls["fetch"] == 1


def test_a_batch_at_another_address_is_not_asked_again_here(tmp_path):
    with BatchEndpoint() as endpoint, BatchEndpoint() as other:
        interrupted(tmp_path, endpoint)
        with pytest.raises(
            UserError, match=f"has a batch under way at {endpoint.url}, and this command asks"
        ):
            Command(tmp_path, other).run()
        assert not other.ours


def test_what_an_endpoint_teaches_is_kept_for_later_commands(tmp_path):
    with BatchEndpoint("no_seed") as endpoint:
        Command(tmp_path, endpoint).run()
        assert ["seed" in body for body in endpoint.bodies] == [True] * 6 + [False] * 6
        later = Command(tmp_path, endpoint)
        later.run([*REQUESTS, request(9)])
        assert "seed" not in endpoint.bodies[-1] and len(endpoint.ours) == 3


def test_a_server_that_fills_in_sampling_is_told_all_of_it_as_live(tmp_path):
    with BatchEndpoint() as endpoint:
        endpoint.owned_by, endpoint.room = "vllm", 50
        Command(tmp_path, endpoint, sampling={"top_k": 20}).run()
    sent = endpoint.bodies[0]
    assert (sent["top_k"], sent["repetition_penalty"], sent["temperature"], sent["seed"]) == (20, 1.0, 0.7, 7)
    assert "max_tokens" not in sent  # it is more than the context


def test_a_model_that_thinks_by_itself_is_asked_as_live(tmp_path):
    with BatchEndpoint() as endpoint:
        options = {
            "api_base": (endpoint.url,),
            "batch": "endpoint",
            "engine_args": {"reasoning_effort": "low"},
        }
        command = Command(tmp_path, endpoint)
        command.options = EngineOptions("openai/o4-mini", **options)
        command.run([request(1)])
    sent = endpoint.bodies[0]
    assert sent["max_completion_tokens"] == 100 and sent["reasoning_effort"] == "low"
    assert not {"temperature", "top_p", "max_tokens"} & sent.keys()


def test_an_answer_that_goes_in_circles_is_cut_where_a_live_one_would_end(tmp_path):
    with BatchEndpoint("long") as endpoint:
        [sample] = Command(tmp_path, endpoint).run([request(1, stop_loops=True)]).values()
    assert sample["finish_reason"] == "loop" and len(sample["text"]) < 10_000


def test_an_answer_of_another_model_or_of_exactly_the_limit_is_seen_as_live(tmp_path, capsys):
    class Odd(BatchEndpoint):
        def _answer(self, body):
            used = {"prompt_tokens": 2, "completion_tokens": body["max_tokens"]}
            return {**super()._answer(body), "usage": used, "model": "another-model"}

    with Odd() as endpoint:
        command = Command(tmp_path, endpoint)
        ends = command.run([replace(request(1), max_tokens=300), request(2)])
    assert [line["finish_reason"] for line in ends.values()] == ["length", "stop"]
    told = " ".join(capsys.readouterr().err.split())
    assert "calls answers of exactly 300 tokens, the limit, finished" in told
    assert command.engine.answered_as == ["another-model"] and told.count("another-model answers") == 1


def test_the_last_requests_of_an_idle_source_are_handed_in(tmp_path):
    with BatchEndpoint() as endpoint:
        idle = [None] * 200
        samples = Command(tmp_path, endpoint).run([*REQUESTS[:3], *idle, *REQUESTS[3:], *idle])
        check_whole(tmp_path, samples)
        assert len(endpoint.ours) == 2


def test_no_part_is_larger_than_an_endpoint_takes_or_waits_beyond_its_limit_of_tokens(tmp_path, monkeypatch):
    monkeypatch.setattr(batches, "MOST_REQUESTS", 2)
    with BatchEndpoint("full") as endpoint:
        check_whole(tmp_path, Command(tmp_path, endpoint).run())
        assert len(endpoint.ours) >= 4
    with BatchEndpoint() as endpoint:
        monkeypatch.setattr(batches, "MOST_BYTES", 300)
        (tmp_path / "b").mkdir()
        check_whole(tmp_path / "b", Command(tmp_path / "b", endpoint).run())
        assert len(endpoint.ours) == len(REQUESTS)


def test_the_key_is_in_no_message_and_no_file(tmp_path, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-wrong-0987654321")
    with BatchEndpoint(key="sk-right-1234567890") as endpoint:
        with pytest.raises(UserError, match="does not accept the API key") as refused:
            Command(tmp_path, endpoint).run()
        assert "0987654" not in str(refused.value)
        monkeypatch.setenv("OPENAI_API_KEY", endpoint.key)
        check_whole(tmp_path, Command(tmp_path, endpoint).run())
    assert not any(b"1234567890" in path.read_bytes() for path in tmp_path.rglob("*.jsonl"))


def test_an_endpoint_that_is_not_there_ends_the_command_in_a_sentence(tmp_path, capsys):
    with BatchEndpoint() as endpoint:
        command = Command(tmp_path, endpoint)
    with pytest.raises(UserError, match="was not reached"):
        command.run()
    assert "(waiting up to 35 s for a server that is starting; said once)" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("line", "found"),
    [  # as vLLM 0.32 writes them
        (
            {
                "response": {"status_code": 400, "request_id": "r", "body": None},
                "error": {
                    "error": {"message": "max_tokens=9 cannot be greater", "param": "max_tokens", "code": 400}
                },
            },
            (Kind.TOO_LONG, "HTTP 400: max_tokens=9 cannot be greater"),
        ),
        (
            {
                "response": {"status_code": 400, "request_id": "r", "body": None},
                "error": {"error": {"message": "top_p must be in (0, 1]", "param": "top_p", "code": 400}},
            },
            (Kind.REFUSED, "HTTP 400: top_p must be in (0, 1]"),
        ),
        (
            {
                "response": {"status_code": 400, "body": None},
                "error": "Request must not be sent in stream mode",
            },
            (Kind.REFUSED, "HTTP 400: Request must not be sent in stream mode"),
        ),
        # as OpenAI does
        ({"response": None, "error": {"code": "batch_expired", "message": "expired"}}, None),
        (
            {"response": {"status_code": 429, "body": {"error": {"message": "slow"}}}},
            (Kind.BUSY, "HTTP 429: slow"),
        ),
        ({"response": None, "error": {"code": "x", "message": "odd"}}, (Kind.BROKEN, "HTTP 500: odd")),
        (
            {"response": {"status_code": 401, "body": {"error": {"message": "no key"}}}, "error": None},
            (Kind.KEY, "HTTP 401: no key"),
        ),
        ({}, (Kind.BROKEN, "a line of the results holds neither a response nor an error")),
        (
            {"response": "yes", "error": []},
            (Kind.BROKEN, "a line of the results holds neither a response nor an error"),
        ),
        (
            {"response": {"status_code": True}},
            (Kind.BROKEN, "a line of the results holds neither a response nor an error"),
        ),
    ],
)
def test_a_line_of_results_means_what_a_live_reply_would(line, found):
    outcome = openai_batches.read_line(line)
    assert (outcome and (outcome.kind, outcome.message)) == found


def test_what_somebody_took_out_of_a_folder_is_fetched_again_or_missed(tmp_path):
    with BatchEndpoint() as endpoint:
        assert len(Command(tmp_path, endpoint).run([*REQUESTS, request(9)])) == 7
        lines = (tmp_path / "batches.jsonl").read_text().splitlines(keepends=True)
        (tmp_path / "batches.jsonl").write_text("".join(lines[:-1]))  # killed before it said "taken"
        samples = (tmp_path / "samples.jsonl").read_text().splitlines(keepends=True)
        (tmp_path / "samples.jsonl").write_text("".join(samples[:-1]))
        (tmp_path / "batches" / "0001.results.jsonl").unlink()
        assert len(Command(tmp_path, endpoint).run([*REQUESTS, request(9)])) == 7
        assert len(endpoint.ours) == 1 and set(endpoint.asked.values()) == {1}
        (tmp_path / "batches.jsonl").write_text("".join(lines[:-1]))
        (tmp_path / "batches" / "0001.jsonl").unlink()
        with pytest.raises(UserError, match="0001.jsonl has 0 of 7 requests .* restore it, or delete"):
            waiting_parts(RunPlace(tmp_path))


def test_names_of_requests_are_short_plain_and_each_its_own():
    keys = [("p", 0.7, 0), ("p/0.7", 0.7, 0), ("ü\n", 1.0, 2), ("x" * 100, 0.0, 1), ("x" * 101, 0.0, 1)]
    names = [name_of(*key) for key in keys]
    assert names[0] == "p/0.7/0" and len({*names}) == len(keys)
    assert all(len(name) <= 64 and name.isascii() for name in names)
