"""Are texts that go in circles ended, soon and only they, and is it known of each run whether they were?"""

import itertools
import json
import random
import shlex
import sys
import tracemalloc

import pytest
from faulty_endpoint import FaultyEndpoint, Script
from helpers import ROOT, json_lines, last_line, own_process, paper_engine, script

import inference_and_check
from util.engines import open_engine
from util.engines.loops import LoopWatch, loop_end
from util.engines.options import EngineOptions
from util.engines.vllm_local import worker_options
from util.engines.vllm_worker import Prompts, _Answer, check_switch
from util.errors import UserError
from util.records import Request
from util.response import thought_end
from util.runs.folder import read_run_json
from util.runs.repeat import repeat_command
from util.settings import BY_NAME, values_of

sys.path.insert(0, str(ROOT / "benchmarks"))
import loops

LANGUAGES = json_lines(ROOT / "tests" / "cases" / "loops.jsonl")
LOOP = "Wait, let me check that again. So we have 12 apples, which does not match. Hmm, that is not right.\n"
FLAGS = ["--dataset", "Warmup", "--model", "m", "--limit", "2", "--max-tokens", "4000"]


@pytest.mark.parametrize("language", LANGUAGES, ids=lambda language: language["language"])
@pytest.mark.parametrize("kind", loops.KINDS)
def test_a_loop_is_ended_a_few_hundred_words_after_it_began_although_it_changes(language, kind):
    dice = random.Random(kind)
    before = loops.prose(dice, 300)
    rounds = loops.rounds(dice, language["sentences"], kind)
    text = before + "\n" + "".join(itertools.islice(rounds, 200))
    end = loop_end(text)
    assert end is not None and len(before) < end < len(before) + 4000


@pytest.mark.parametrize("said", loops.SIGNS)
def test_digits_code_and_formulas_that_come_again_and_again_are_a_loop(said):
    assert loop_end("We compute.\n" + said * (3000 // len(said))) is not None


@pytest.mark.parametrize("kind", loops.HEALTHY)
def test_a_long_healthy_text_is_not_ended(kind):
    dice = random.Random(kind)
    assert [loop_end(loops.healthy_text(dice, kind, [])) for _ in range(12)] == [None] * 12


def test_it_does_not_matter_how_a_text_is_cut_into_pieces():
    text = loops.prose(random.Random(1), 100) + "\n" + LOOP * 40

    def ended(size):
        watch = LoopWatch()
        return next(at for at in range(0, len(text), size) if watch.feed(text[at : at + size]))

    ends = [ended(size) for size in (1, 7, 100)]
    assert max(ends) - min(ends) < 200


def test_of_a_long_text_only_what_is_near_is_remembered():
    words = [f"w{number * 7919 % 9973:x} " for number in range(3000)]
    watch = LoopWatch()
    tracemalloc.start()
    assert not any(watch.feed(word) for word in words)
    taken = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert taken < 250_000
    assert any(watch.feed(word) for word in words[-60:] * 8)


def test_an_answer_that_comes_in_pieces_is_whole_and_ended_when_it_repeats_itself():
    answer = _Answer(5, "<think>\n", LoopWatch())
    assert answer.take("I add. ", [1, 2], None) is None
    assert answer.take("7", [3], "stop") == "stop"
    assert (answer.text, answer.tokens) == ("<think>\nI add. 7", 3)
    answer = _Answer(5, "", LoopWatch())
    assert "loop" in [answer.take(LOOP, [1] * 25, None) for _ in range(20)]
    unwatched = _Answer(5, "", None)
    assert {unwatched.take(LOOP, [1] * 25, None) for _ in range(20)} == {None}


def test_loops_are_ended_at_temperature_0_and_said_and_the_setting_is_kept(tmp_path):
    engine = paper_engine(tmp_path, {"text": LOOP * 40})

    def run(folder, *more):
        done = script("inference_and_check.py", *FLAGS, *engine, "--result-dir", tmp_path / folder, *more)
        place = tmp_path / folder / "m_Warmup_test_all_0_-1"
        return done, place, {line["finish_reason"] for line in json_lines(place / "samples.jsonl")}

    done, place, ended = run("greedy")
    assert ended == {"loop"} and "100.0 % in a loop" in done.stderr
    assert "2 texts that repeated themselves were ended, which saved up to " in done.stderr
    assert last_line(done)["temperatures"]["0"]["apart"]["loop"]["samples"] == 2
    assert {line["verdict"]["reason"] for line in json_lines(place / "verdicts.jsonl")} == {"truncated"}
    assert run("warm", "--temperatures", "0.7")[2] == {"stop"}
    assert run("always", "--temperatures", "0.7", "--stop-loops")[2] == {"loop"}
    done, place, ended = run("never", "--no-stop-loops")
    assert ended == {"stop"} and "in a loop" not in done.stderr
    assert read_run_json(place)["settings"]["stop_loops"] == "never"
    command = shlex.split(repeat_command(place))
    assert "--no-stop-loops" in command
    assert inference_and_check.parse(command[2:]).stop_loops == "never"
    refused = run("never")[0]
    assert refused.returncode == 2 and "stop_loops" in refused.stderr


def test_in_runs_of_earlier_versions_loops_were_never_ended():
    info = read_run_json(ROOT / "tests" / "old_run" / "embedded_Warmup_test_all_0_-1")
    assert "stop_loops" not in info["settings"] and values_of(info)["stop_loops"] == "never"
    assert BY_NAME["stop_loops"].shown("never") == "loops ended never"


def test_an_endpoint_streams_what_has_to_be_heard_and_its_loops_are_ended():
    def ask(**more):
        with FaultyEndpoint(Script(reasoning=LOOP * 60)) as endpoint:
            engine = open_engine(EngineOptions("openai/test-model", api_base=(endpoint.url,), **more))
            asked = [
                Request("p", [{"role": "user", "content": "q"}], 0.0, index, 1, 4000, stop_loops=index == 0)
                for index in range(2)
            ]
            found = {request.index: done.finish_reason for request, done in engine.generate(asked)}
            engine.close()
        return found, sorted(bool(sent.get("stream")) for sent in endpoint.requests)

    assert ask() == ({0: "loop", 1: "stop"}, [False, True])


def test_who_lets_no_endpoint_stream_cannot_have_its_loops_ended(tmp_path):
    flags = [
        "--dataset",
        "Warmup",
        "--model",
        "openai/m",
        "--api-base",
        "http://127.0.0.1:9",
        "--stream",
        "never",
    ]
    done = script("inference_and_check.py", *flags, "--stop-loops", "--result-dir", tmp_path)
    assert done.returncode == 2 and "without --stream never" in done.stderr


# --- thinking on and off, and for how long ---


class _Words:
    """A tokenizer whose tokens are numbers of words."""

    def __init__(self):
        self.words = []

    def encode(self, text, add_special_tokens):
        self.words.append(text)
        return [len(self.words) - 1]

    def decode(self, tokens, skip_special_tokens):
        return "".join(self.words[token] for token in tokens)


def test_a_thought_that_has_used_its_budget_is_closed_and_its_answer_is_forced():
    tokenizer = _Words()
    answer = _Answer(5, "<think>\n", None, budget=3)
    said = ["I ", "think ", "and ", "think"]
    tokens = [tokenizer.encode(word, False)[0] for word in said]
    assert answer.take("I think ", tokens[:2], None) is None and answer.close_thought(tokenizer) is None
    assert answer.take("and think", tokens[2:], None) is None
    begun = answer.close_thought(tokenizer)
    assert begun is not None and begun[:3] == tokens[:3] and len(begun) == 4
    assert answer.take("The answer is 7.", [0, 1], "stop") == "budget"
    assert answer.text == "<think>\nI think and \n</think>\n\nThe answer is 7." and answer.tokens == 6


@pytest.mark.parametrize("text", ["<think>\nI add.\n</think>\n\nIt is", "It is 7, "])
def test_a_text_without_an_open_thought_keeps_its_own_way_beyond_the_budget(text):
    answer = _Answer(5, "", None, budget=3)
    assert answer.take(text, [1] * 8, None) is None and answer.close_thought(_Words()) is None
    assert answer.take(" 7.", [1], "stop") == "stop"


@pytest.mark.parametrize(
    ("text", "mark"),
    [
        ("<think>\nI", "</think>"),
        ("[THINK]I", "[/THINK]"),
        ("<|begin_of_thought|>I", "<|end_of_thought|>"),
        ("<think>I</think>It", ""),
        ("It is 7.", ""),
    ],
)
def test_an_open_thought_is_closed_by_the_mark_of_its_own_kind(text, mark):
    assert thought_end(text) == mark


def test_a_thinking_budget_is_a_setting(tmp_path):
    engine = paper_engine(tmp_path, {"text": "The answer is 7."})
    done = script(
        "inference_and_check.py", *FLAGS, *engine, "--result-dir", tmp_path / "a", "--thinking-budget", "64"
    )
    assert done.returncode == 0
    place = tmp_path / "a" / "m_Warmup_test_all_0_-1"
    assert read_run_json(place)["settings"]["thinking_budget"] == 64
    assert "--thinking-budget 64" in repeat_command(place)


class _Tokenizer:
    """One whose template knows a switch by one name, or none."""

    chat_template = "a template"

    def __init__(self, name):
        self.name = name

    def apply_chat_template(self, messages, *, tokenize, return_dict, add_generation_prompt, **told):
        return [1, 2] if told.get(self.name, True) else [1, 3]

    def decode(self, tokens):
        return ""


@pytest.mark.parametrize("name", ["enable_thinking", "thinking"])
def test_a_chat_template_hears_of_thinking_by_the_name_it_knows(name):
    pytest.importorskip("jinja2", reason="jinja2, which vLLM brings, is not installed")
    told = {
        which: worker_options(EngineOptions("a/b", thinking=which), False)["chat_template_kwargs"]
        for which in (None, "on", "off")
    }
    assert told[None] == {}
    for which, tokens in ((None, [1, 2]), ("on", [1, 2]), ("off", [1, 3])):
        check_switch(_Tokenizer(name), which)
        assert Prompts(_Tokenizer(name), told[which]).render([{"role": "user", "content": "q"}]) == (
            tokens,
            "",
        )


def test_a_thought_that_the_template_opens_is_not_opened_again_by_who_begins_the_answer():
    pytest.importorskip("jinja2", reason="jinja2, which vLLM brings, is not installed")

    class Opening(_Tokenizer):
        def decode(self, tokens):
            return "<think>\n"

        def encode(self, text, *, add_special_tokens):
            return [text]

    asked = [{"role": "user", "content": "q"}, {"role": "assistant", "content": "<think>\nWell"}]
    assert Prompts(Opening("thinking")).render(asked) == ([1, 2, "Well"], "<think>\nWell")


def test_a_template_that_ignores_the_switch_is_one_sentence():
    pytest.importorskip("jinja2", reason="jinja2, which vLLM brings, is not installed")
    with pytest.raises(UserError, match="the model's chat template ignores --thinking off: leave it out"):
        check_switch(_Tokenizer("another"), "off")


def test_an_endpoint_is_told_of_thinking_only_when_that_is_said():
    for thinking, sent in ((None, None), ("off", {"enable_thinking": False, "thinking": False})):
        with FaultyEndpoint() as endpoint:
            engine = open_engine(
                EngineOptions("openai/test-model", api_base=(endpoint.url,), thinking=thinking)
            )
            list(engine.generate([Request("p", [{"role": "user", "content": "q"}], 0.0, 0, 1, 10)]))
            engine.close()
        assert endpoint.requests[0].get("chat_template_kwargs") == sent


def test_thinking_is_a_setting_and_no_second_word_beside_chat_template_kwargs(tmp_path):
    engine = paper_engine(tmp_path, {"text": "The answer is 7."})

    def run(*more):
        return script("inference_and_check.py", *FLAGS, *engine, "--result-dir", tmp_path / "a", *more)

    assert run("--thinking", "off").returncode == 0
    place = tmp_path / "a" / "m_Warmup_test_all_0_-1"
    assert read_run_json(place)["settings"]["thinking"] == "off"
    assert "--thinking off" in repeat_command(place)
    assert "thinking" in run().stderr and run().returncode == 2
    twice = script(
        "inference_and_check.py", *FLAGS, "--thinking", "on",
        "--engine-args", json.dumps({"chat_template_kwargs": {"enable_thinking": True}}),
    )  # fmt: skip
    assert twice.returncode == 2 and "give one of them" in twice.stderr


@pytest.mark.engine
def test_the_embedded_model_is_ended_when_it_repeats_itself(tmp_path):
    flags = [
        "--dataset",
        "Warmup",
        "--model",
        "embedded",
        "--limit",
        "4",
        "--max-tokens",
        "1500",
        "--no-stop-loops",
    ]
    done = own_process("inference_and_check.py", *flags[:-1], "--result-dir", tmp_path)
    (place,) = tmp_path.glob("embedded_*")
    samples = json_lines(place / "samples.jsonl")
    looping = [line for line in samples if line["finish_reason"] == "loop"]
    assert looping, [line["finish_reason"] for line in samples]
    assert all(0 < line["completion_tokens"] < 1400 for line in looping)
    assert json.loads(done.stdout.splitlines()[-1])["temperatures"]["0"]["apart"]["loop"]["samples"] == len(
        looping
    )


@pytest.mark.engine
def test_the_embedded_model_answers_when_its_thought_has_used_its_budget(tmp_path):
    flags = ["--dataset", "Warmup", "--model", "embedded", "--limit", "4", "--max-tokens", "80"]
    thinking = ["--prefill", "<think>\n", "--thinking-budget", "10"]
    done = own_process("inference_and_check.py", *flags, *thinking, "--result-dir", tmp_path)
    assert done.returncode == 0, done.stderr
    (place,) = tmp_path.glob("embedded_*")
    samples = json_lines(place / "samples.jsonl")
    assert len(samples) == 4 and all(0 < line["completion_tokens"] <= 80 for line in samples)
    forced = [line for line in samples if "\n</think>\n\n" in line["text"]]
    assert forced and all(line["text"].startswith("<think>\n") for line in forced)
    assert {line["finish_reason"] for line in forced} <= {"budget", "length", "loop"}
