"""Is an engine chosen, told about its GPUs and given its prompts rightly? What needs no model."""

import pytest

from util.engines import EngineOptions, engine_name
from util.engines.vllm_local import _gpus_of, _model_path
from util.engines.vllm_worker import Prompts
from util.errors import UserError
from util.sampling import sample_seed, samples_at


class Tokenizer:
    """One token per character; the template ends as `opening` says."""

    def __init__(self, opening, chat_template="yes"):
        self.opening, self.chat_template, self.rendered = opening, chat_template, 0

    def apply_chat_template(self, messages, *, tokenize, add_generation_prompt):
        assert not tokenize and add_generation_prompt
        self.rendered += 1
        return "".join(f"[{message['role']}]{message['content']}" for message in messages) + self.opening

    def encode(self, text, add_special_tokens=True):
        return [0] * add_special_tokens + list(map(ord, text))


MESSAGES = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Why?"}]


def test_the_model_and_the_endpoint_choose_the_engine():
    assert engine_name(EngineOptions(model="Qwen/QwQ-32B-Preview")) == "vllm"
    assert engine_name(EngineOptions(model="openai/gpt-4o-mini")) == "openai"
    assert engine_name(EngineOptions(model="anything", api_base=("http://127.0.0.1/v1",))) == "openai"
    assert engine_name(EngineOptions(model="openai/gpt-4o-mini", engine="scripted")) == "scripted"


def test_copies_of_a_model_get_their_own_gpus():
    options = EngineOptions(model="m", tp=2, dp=3)
    assert [_gpus_of(copy, options, {}) for copy in range(3)] == ["0,1", "2,3", "4,5"]
    visible = {"CUDA_VISIBLE_DEVICES": "7,6,5,4,3,2"}
    assert [_gpus_of(copy, options, visible) for copy in range(3)] == ["7,6", "5,4", "3,2"]


def test_too_few_gpus_for_the_copies_are_counted():
    with pytest.raises(UserError, match="need 6 GPUs, CUDA_VISIBLE_DEVICES names 2"):
        _gpus_of(0, EngineOptions(model="m", tp=2, dp=3), {"CUDA_VISIBLE_DEVICES": "0,1"})


def test_a_thought_that_the_template_opens_belongs_to_the_answer():
    tokens, opened = Prompts(Tokenizer("[assistant]<think>\n")).render(MESSAGES)
    assert opened == "<think>\n" and tokens == list(
        map(ord, "[system]Be brief.[user]Why?[assistant]<think>\n")
    )
    assert Prompts(Tokenizer("[assistant]")).render(MESSAGES)[1] == ""


def test_the_samples_of_one_problem_render_its_prompt_once():
    tokenizer = Tokenizer("")
    prompts = Prompts(tokenizer)
    assert prompts.render(MESSAGES) == prompts.render([dict(message) for message in MESSAGES])
    assert tokenizer.rendered == 1


def test_a_base_model_without_a_template_gets_the_bare_texts():
    tokens, opened = Prompts(Tokenizer("", chat_template=None)).render(MESSAGES)
    assert tokens == [0, *map(ord, "Be brief.\n\nWhy?")] and opened == ""


def test_a_name_on_the_hub_is_passed_on_and_a_missing_folder_is_named(tmp_path):
    assert _model_path("Qwen/QwQ-32B-Preview") == "Qwen/QwQ-32B-Preview"
    assert _model_path(str(tmp_path)) == str(tmp_path)
    with pytest.raises(UserError, match="no model folder at ./nowhere"):
        _model_path("./nowhere")


def test_a_seed_follows_from_the_sample_alone():
    seeds = {
        sample_seed(run, problem, temperature, index)
        for run in (0, 1)
        for problem in ("a", "b")
        for temperature in (0.7, 1.0)
        for index in range(8)
    }
    assert len(seeds) == 64 and all(0 <= seed < 2**31 for seed in seeds)
    assert sample_seed(0, "a", 1, 3) == sample_seed(0, "a", 1.0, 3)


def test_greedy_decoding_needs_one_sample():
    assert samples_at(0.0, 64) == 1 and samples_at(0.7, 64) == 64
