"""A thinking budget at endpoints: kept by the server itself, or by a second request that closes thoughts."""

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass

import pytest
from faulty_endpoint import FAULTS, STREAM_FAULTS, FaultyEndpoint, Script
from helpers import ROOT, here, json_lines, last_line, script, wait_until

import eval as evaluation
import inference_and_check
from util.engines.metered import Limit, MeteredEngine
from util.engines.openai_api import OpenAIEngine, open_openai_engine
from util.engines.openai_budget import by_its_own
from util.engines.openai_replies import Answer
from util.engines.options import EngineOptions
from util.engines.tokens import TokenCounter
from util.errors import UserError
from util.records import Completion, Request
from util.runs.folder import read_run_json
from util.runs.repeat import repeat_command

ANSWER = "The answer is 7."


@dataclass(frozen=True)
class Thinker:
    """A model whose tokens are words: how long it thinks, and what its server does about it."""

    words: int = 40
    opens: bool = True  # False: the chat template has opened the thought
    apart: bool = False  # the server takes the thought out of the answer
    own: str = "refused"  # the server's own budget: refused, kept, ignored
    counts: bool = False  # it says how many tokens are thought
    drops: bool = False  # the chat template leaves thoughts out of begun answers
    refuses: bool = False  # ... and the server sees it
    answer: str = ANSWER


class ThinkingEndpoint(FaultyEndpoint):
    def __init__(self, thinker=Thinker(), how=Script(owned_by="vllm")):  # noqa: B008
        super().__init__(how)
        self.thinker = thinker

    def refusal(self, body, headers):
        begun = body["messages"][-1]["role"] == "assistant"
        how = self.thinker
        why = None
        if "thinking_token_budget" in body and how.own == "refused":
            why = "thinking_token_budget is set but reasoning_config is not configured."
        elif begun and how.refuses:
            why = "continue_final_message is set but the final message does not appear in the chat"
        if why is None:
            return super().refusal(body, headers)
        text = json.dumps({"error": {"message": why, "type": "BadRequestError", "code": 400}}).encode()
        return b"HTTP/1.1 400 Bad\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (
            len(text),
            text,
        )

    def answer(self, body):
        how, last = self.thinker, body["messages"][-1]
        begun = last["content"] if last["role"] == "assistant" else ""
        if begun:
            assert body["continue_final_message"] and not body["add_generation_prompt"]
        thought = [f"step{number}" for number in range(how.words)]
        if how.own == "kept" and body.get("thinking_token_budget") is not None:
            thought = thought[: body["thinking_token_budget"]]
        said = " ".join([*["<think>\n"] * how.opens, *thought, "\n</think>\n\n", how.answer])
        if begun:
            after = begun.rpartition("</think>")[2].split()
            rest = how.answer.split()[len(after) :]
            said = " ".join([*[""] * bool(after), *rest]) if "</think>" in begun else "more thought"
        words = said.split(" ")
        kept = words[: body["max_tokens"]]
        text = " ".join(kept)
        message = {"role": "assistant", "content": text}
        if how.apart and not begun:
            inner, closed, rest = text.removeprefix("<think>\n ").partition("\n</think>\n\n")
            message = {"role": "assistant", "content": rest.strip() if closed else None}
            message["reasoning_content"] = inner.strip()
        elif how.apart:
            message = {"role": "assistant", "content": None, "reasoning_content": text}
        prompt = sum(
            len(each["content"].split()) for each in body["messages"] if not (how.drops and each is last)
        )
        usage = {"prompt_tokens": prompt, "completion_tokens": len(kept), "total_tokens": prompt + len(kept)}
        if how.counts:
            usage["completion_tokens_details"] = {"reasoning_tokens": len(thought)}
        finish_reason = "length" if len(words) > len(kept) else "stop"
        choice = {"index": 0, "message": message, "finish_reason": finish_reason}
        return {"id": "c", "created": 0, "model": body["model"], "choices": [choice], "usage": usage}


def asked(number=0, *, max_tokens=100, begun="", stop_loops=False):
    messages = [{"role": "user", "content": f"question {number}"}]
    messages += [{"role": "assistant", "content": begun}] if begun else []
    return Request(f"p{number}", messages, 0.7, 0, number, max_tokens, stop_loops)


def answers(endpoint, *requests, budget=10, **settings):
    engine = OpenAIEngine(
        model="test-model", api_base=(endpoint.url,), thinking_budget=budget, backoff_s=0.01, **settings
    )
    try:
        return [result for _, result in engine.generate(iter(requests or [asked()]))]
    finally:
        engine.close()


@pytest.mark.parametrize("stream", ["never", "always"])
@pytest.mark.parametrize("server", ["vllm", "sglang", "llamacpp"])
def test_a_thought_that_has_used_its_budget_is_closed_and_answered_by_a_second_request(server, stream):
    with ThinkingEndpoint(how=Script(owned_by=server)) as endpoint:
        [done] = answers(endpoint, stream=stream)
    *_, first, second = endpoint.requests
    thought = " ".join(["<think>\n", *(f"step{number}" for number in range(9))])
    assert done.text == f"{thought}\n</think>\n\n{ANSWER}" and done.finish_reason == "budget"
    assert first["max_tokens"] == 10 and second["max_tokens"] == 90
    assert second["messages"][-1] == {"role": "assistant", "content": f"{thought}\n</think>\n\n"}
    assert done.completion_tokens == 10 + 4 and done.prompt_tokens == 2 + 13  # of both requests
    assert len(endpoint.requests) == (3 if server == "vllm" else 2)  # vLLM is asked for its own budget first


def test_a_server_of_vllm_keeps_the_budget_itself_where_it_can():
    thinker = Thinker(own="kept", counts=True, apart=True)
    with ThinkingEndpoint(thinker) as endpoint:
        [done] = answers(endpoint)
        [short] = answers(endpoint, budget=60)
    assert [body["thinking_token_budget"] for body in endpoint.requests] == [10, 60]
    assert endpoint.requests[0]["max_tokens"] == 100
    assert (done.finish_reason, done.text, len(done.reasoning.split())) == ("budget", ANSWER, 10)
    assert short.finish_reason == "stop" and len(short.reasoning.split()) == 40


def test_a_server_that_ignores_the_field_is_found_out_and_what_that_cost_is_counted(capsys):
    with ThinkingEndpoint(Thinker(words=400, own="ignored", apart=True)) as endpoint:
        [done] = answers(endpoint, asked(max_tokens=1000))
    assert done.finish_reason == "budget" and len(done.reasoning.split()) == 9
    assert len(endpoint.requests) == 3 and "thinking_token_budget" not in endpoint.requests[1]
    said = capsys.readouterr().err
    assert "keeps no thinking budget" in said and "completion tokens more" in said


@pytest.mark.parametrize("apart", [False, True])
@pytest.mark.parametrize("opens", [False, True])
def test_wherever_the_thought_stands_it_is_closed_by_a_mark_and_the_answer_follows(opens, apart):
    with ThinkingEndpoint(Thinker(opens=opens, apart=apart), Script(owned_by="sglang")) as endpoint:
        [done] = answers(endpoint)
    begun = endpoint.requests[-1]["messages"][-1]["content"]
    assert begun.startswith("<think>\n") and begun.endswith("\n</think>\n\n")
    assert begun.count("<think>") == 1 and "step8" in begun and "step10" not in begun
    assert done.finish_reason == "budget"
    if apart:
        assert done.text == ANSWER and done.reasoning.split()[-1] in ("step8", "step9")
    else:
        assert done.text == begun + ANSWER


def test_an_answer_that_was_cut_at_the_budget_goes_on_and_ends_as_usual():
    for thinker in (Thinker(words=6), Thinker(words=6, apart=True), Thinker(words=6, opens=False)):
        with ThinkingEndpoint(thinker, Script(owned_by="sglang")) as endpoint:
            [done] = answers(endpoint, budget=10)
        assert done.finish_reason == "stop" and " ".join(done.text.split()).endswith(ANSWER)
        assert len(endpoint.requests) == 2
        with ThinkingEndpoint(thinker, Script(owned_by="sglang")) as endpoint:
            [done] = answers(endpoint, budget=50)
        assert done.finish_reason == "stop" and len(endpoint.requests) == 1


def test_a_budget_as_large_as_the_answer_leaves_nothing_to_ask():
    with ThinkingEndpoint(how=Script(owned_by="sglang")) as endpoint:
        [done] = answers(endpoint, asked(max_tokens=10), budget=20)
    assert done.finish_reason == "length" and len(endpoint.requests) == 1 and done.completion_tokens == 10


def test_of_a_thought_that_nobody_sees_nothing_is_made_up():
    with ThinkingEndpoint(how=Script({"no_content": 1.0}, owned_by="sglang")) as endpoint:
        [done] = answers(endpoint)
    assert (done.text, done.finish_reason, len(endpoint.requests)) == ("", "length", 1)


def test_a_model_that_was_told_not_to_think_is_not_stopped_from_answering():
    with ThinkingEndpoint(
        Thinker(words=0, opens=False, answer="a b c d e f g h i j k l"), Script(owned_by="sglang")
    ) as endpoint:
        [done] = answers(endpoint, budget=5, thinks=False)
    assert done.finish_reason == "stop" and done.text.count("</think>") == 1


def test_a_prefill_is_kept_and_its_thought_is_not_opened_twice():
    with ThinkingEndpoint(Thinker(opens=False), Script(owned_by="sglang")) as endpoint:
        endpoint.answer = _says_on(endpoint)
        [done] = answers(endpoint, asked(begun="<think>\nWell, "))
    assert done.text.startswith("<think>\nWell, step0") and done.text.count("<think>") == 1
    assert done.finish_reason == "budget"


def _says_on(endpoint):
    """An endpoint that goes on with an open thought until its limit, and answers a closed one."""

    def answer(body):
        closed = "</think>" in body["messages"][-1]["content"]
        text = ANSWER if closed else " ".join(f"step{number}" for number in range(body["max_tokens"]))
        choice = {"index": 0, "message": {"content": text}, "finish_reason": "stop" if closed else "length"}
        usage = {"prompt_tokens": 5, "completion_tokens": len(text.split())}
        return {"id": "c", "created": 0, "model": body["model"], "choices": [choice], "usage": usage}

    return answer


@pytest.mark.parametrize("flags", [("--thinking-budget", "9"), ("--prefill", "So ")])
def test_a_vendor_that_cannot_go_on_is_refused_before_anything_is_paid_or_a_bar_is_drawn(tmp_path, flags):
    with FaultyEndpoint(Script(owned_by="openai")) as endpoint:
        one = _flags(tmp_path / "one", endpoint.url, *flags)
        several = [
            *one[4:],
            "--model",
            "openai/test-model",
            "--evals",
            "Warmup",
            "--output-file",
            tmp_path / "o",
        ]
        for done in (here(inference_and_check, *one), here(evaluation, *several)):
            assert done.returncode == 2 and f"leave {flags[0]} out" in done.stderr.replace("\n  ", " ")
            assert "%|" not in done.stderr
    assert not endpoint.requests


@pytest.mark.parametrize("thinker", [Thinker(words=300, refuses=True), Thinker(words=300, drops=True)])
def test_a_server_whose_template_drops_the_thought_stops_the_run_in_a_sentence(thinker):
    with ThinkingEndpoint(thinker, Script(owned_by="vllm")) as endpoint:
        with pytest.raises(UserError, match="does not go on from a thought .* --reasoning-parser"):
            answers(endpoint, asked(max_tokens=400), budget=100)


def test_the_flag_and_the_field_of_vllm_are_not_given_together():
    options = EngineOptions(
        "openai/m",
        api_base=("http://127.0.0.1:1/v1",),
        thinking_budget=9,
        engine_args={"thinking_token_budget": 8},
    )
    with pytest.raises(UserError, match="say the same: give the flag"):
        open_openai_engine(options)


def test_a_thought_in_circles_is_ended_across_both_requests():
    def answer(body):
        begun = body["messages"][-1]
        text = "again and again I say the same words here. " * 60
        closed = begun["role"] == "assistant"
        choice = {"index": 0, "message": {"content": text}, "finish_reason": "stop" if closed else "length"}
        usage = {"prompt_tokens": 5, "completion_tokens": 10}
        return {"id": "c", "created": 0, "model": body["model"], "choices": [choice], "usage": usage}

    with ThinkingEndpoint(how=Script(owned_by="sglang")) as endpoint:
        endpoint.answer = answer
        [done] = answers(endpoint, asked(stop_loops=True, max_tokens=9000), budget=5000)
    assert done.finish_reason == "loop" and len(endpoint.requests) == 1


@pytest.mark.parametrize("stream", ["never", "always"])
def test_all_faults_lose_no_budgeted_answer_and_count_both_requests(stream):
    slow = ("stall", "stream_silent", "stream_silent_midway", "stream_endless_comments")
    kinds = [fault for fault in (*FAULTS, *STREAM_FAULTS) if fault not in slow]
    unlike = ("rate_limited_date", "not_utf8", "stream_not_utf8", "no_content", "stream_no_text")
    kinds = [fault for fault in kinds if fault not in unlike]
    shares = dict.fromkeys(kinds, 0.4 / len(kinds))
    how = Script(shares, seed=3, owned_by="sglang", retry_after_s=0.01)
    with ThinkingEndpoint(how=how) as endpoint:
        found = answers(endpoint, *map(asked, range(40)), stream=stream, retry_for_s=60)
    assert len(found) == 40 and all(isinstance(one, Completion) for one in found)
    assert {one.finish_reason for one in found} <= {"budget", "unknown"}  # some streams never say it
    assert all(one.text.endswith(f"step8\n</think>\n\n{ANSWER}") for one in found)


def test_a_limit_of_tokens_holds_where_answers_take_two_requests():
    limit = Limit(
        400, lambda prompt, completion: prompt + completion, "--max-tokens-total", "{:,.0f} tokens".format
    )
    with ThinkingEndpoint(how=Script(owned_by="sglang")) as endpoint:
        engine = OpenAIEngine(model="test-model", api_base=(endpoint.url,), thinking_budget=10)
        metered = MeteredEngine(engine, (limit,), 10)
        found = [one for _, one in metered.generate(asked(number, max_tokens=50) for number in range(60))]
        metered.close()
    assert metered.exhausted and found
    paid = 29 * len(found)
    assert paid <= 400 and len(endpoint.requests) == 2 * len(found)


@pytest.mark.parametrize(
    ("count", "tokens", "reported", "encode", "ending"),
    [
        (10, 14, 10, None, "budget"),
        (9, 14, 9, None, "stop"),
        (74, 90, 74, None, "budget"),  # with the phrase that the server puts before the mark
        (75, 90, 75, None, None),
        (10, 14, 0, str.split, "budget"),
        (5, 14, 0, str.split, "stop"),
        (200, 220, 0, str.split, None),
        (10, 14, 0, None, "budget"),  # by its share of the tokens
        (2, 14, 0, None, "stop"),
        (400, 404, 0, None, None),
        (9, 10, 0, None, "stop"),
    ],
)
def test_what_a_server_did_about_its_budget_shows_in_the_tokens_of_the_thought(
    count, tokens, reported, encode, ending
):
    done = Completion(ANSWER, "stop", 3, tokens, reasoning=" ".join(["word"] * count))
    counter = TokenCounter("", None if encode is None else lambda text: len(encode(text)))
    kept = by_its_own(Answer(done, True, reported), 10, counter)
    assert (kept and kept.completion.finish_reason) == ending


def test_of_a_text_with_several_closing_marks_the_first_ends_the_thought():
    text = f"<think>\n{'word ' * 10}</think> It is {'word ' * 200}</think> 7."
    counter = TokenCounter("", lambda said: len(said.replace("<think>", "").split()))
    kept = by_its_own(Answer(Completion(text, "stop", 3, 215), True), 10, counter)
    assert kept and kept.completion.finish_reason == "budget"


def _flags(folder, url, *more):
    return [
        "--dataset", "Warmup", "--model", "openai/test-model", "--api-base", url, "--result-dir", folder,
        "--temperatures", "0.7", "--limit", "6", *more,
    ]  # fmt: skip


def _run(folder, url, *more):
    return script("inference_and_check.py", *_flags(folder, url, *more))


def test_several_samples_are_recorded_with_the_budget_and_the_repeat_command_has_it(tmp_path):
    with ThinkingEndpoint(how=Script(owned_by="sglang")) as endpoint:
        done = _run(tmp_path, endpoint.url, "--n", "3", "--thinking-budget", "10")
        again = _run(tmp_path, endpoint.url, "--n", "3", "--thinking-budget", "11")
    assert done.returncode == 0, done.stderr
    (place,) = tmp_path.iterdir()
    samples = json_lines(place / "samples.jsonl")
    assert len(samples) == 18 and {line["finish_reason"] for line in samples} == {"budget"}
    assert {line["completion_tokens"] for line in samples} == {14}
    assert read_run_json(place)["settings"]["thinking_budget"] == 10
    assert "--thinking-budget 10" in repeat_command(place)
    assert again.returncode == 2 and "thinking_budget" in again.stderr
    assert last_line(done)["temperatures"]["0.7"]["apart"]["budget"]["samples"] == 18


def lines_in(folder):
    return sum(path.read_bytes().count(b"\n") for path in folder.glob("*/samples.jsonl"))


def test_a_kill_between_the_two_requests_costs_one_sample_again_and_nothing_that_was_finished(tmp_path):
    with ThinkingEndpoint(how=Script(owned_by="sglang")) as endpoint:
        endpoint.most_answered = 7  # the second request of the fourth sample is not answered
        flags = _flags(tmp_path, endpoint.url, "--n", "2", "--thinking-budget", "10", "--concurrency", "1")
        command = [sys.executable, str(ROOT / "inference_and_check.py"), *map(str, flags), "--inference"]
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL, start_new_session=True)
        wait_until(lambda: len(endpoint.requests) == 8 and lines_in(tmp_path) == 3, process)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        (place,) = tmp_path.iterdir()
        before = (place / "samples.jsonl").read_bytes().rpartition(b"\n")[0]
        asked_before, endpoint.most_answered = len(endpoint.requests), None
        done = script("inference_and_check.py", *flags)
    assert done.returncode == 0, done.stderr
    assert before and (place / "samples.jsonl").read_bytes().startswith(before)
    names = Counter((line["problem_id"], line["index"]) for line in json_lines(place / "samples.jsonl"))
    assert len(names) == 12 and set(names.values()) == {1}
    finished = before.count(b"\n") + 1
    assert asked_before <= 2 * finished + 2 and len(endpoint.requests) - asked_before == 2 * (12 - finished)
