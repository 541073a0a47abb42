"""Is an engine chosen, told about its GPUs and given its prompts rightly? What needs no model."""

import queue
import subprocess
import sys
from types import SimpleNamespace

import pytest
from helpers import ROOT

from util.data.generation_config import known_sampling
from util.engines import vllm_local, vllm_worker
from util.engines.embedded import embedded_model
from util.engines.endings import last_words, latest_words
from util.engines.options import EngineOptions
from util.engines.vllm_local import (
    _gpus_of,
    _model_path,
    say_if_untried,
    worker_environment,
    worker_options,
)
from util.engines.vllm_worker import Prompts, RefusedByTemplate, weights_digest
from util.errors import UserError
from util.generation.rounds import sample_seed, samples_at
from util.machines.versions import tried_vllm

MESSAGES = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Why?"}]


def test_the_model_and_the_endpoint_choose_the_engine():
    assert EngineOptions(model="Qwen/QwQ-32B-Preview").engine_name == "vllm"
    assert EngineOptions(model="openai/gpt-4o-mini").engine_name == "openai"
    assert EngineOptions(model="anything", api_base=("http://127.0.0.1/v1",)).engine_name == "openai"
    assert EngineOptions(model="openai/gpt-4o-mini", engine="scripted").engine_name == "scripted"


def test_copies_of_a_model_get_their_own_gpus():
    options = EngineOptions(model="m", tp=2, dp=3)
    assert [_gpus_of(copy, options, {}) for copy in range(3)] == ["0,1", "2,3", "4,5"]
    visible = {"CUDA_VISIBLE_DEVICES": "7,6,5,4,3,2"}
    assert [_gpus_of(copy, options, visible) for copy in range(3)] == ["7,6", "5,4", "3,2"]


def test_without_a_gpu_a_model_of_ones_own_gets_room_for_its_context(monkeypatch):
    monkeypatch.delenv("VLLM_CPU_KVCACHE_SPACE", raising=False)
    monkeypatch.setattr("os.sysconf", {"SC_PAGE_SIZE": 4096, "SC_PHYS_PAGES": 1 << 23}.get)  # 32 GiB

    def gib(**options):
        return worker_environment(EngineOptions(**options), True)["VLLM_CPU_KVCACHE_SPACE"]

    assert (gib(model="a/b"), gib(model="a/b", dp=2), gib(model="embedded")) == ("8", "4", "1")
    monkeypatch.setenv("VLLM_CPU_KVCACHE_SPACE", "3")
    assert gib(model="a/b") == "3"


def test_pipeline_stages_are_refused_without_a_gpu(tmp_path):
    (tmp_path / "config.json").touch()
    with pytest.raises(UserError, match="--pp 2: vLLM's CPU build has no pipeline stages"):
        worker_options(EngineOptions(model=str(tmp_path), pp=2), True)
    assert worker_options(EngineOptions("a/b", pp=2), False)["engine_args"]["pipeline_parallel_size"] == 2


def test_speculation_on_the_cpu_build_is_warned_about(capsys):
    options = EngineOptions("a/b", engine_args={"speculative_config": {"method": "ngram"}})
    for on_cpu in (True, False):
        worker_options(options, on_cpu)
        assert ("worse, with speculation" in capsys.readouterr().err) == on_cpu


def test_too_few_gpus_for_the_copies_are_counted():
    with pytest.raises(UserError, match="need 6 GPUs, CUDA_VISIBLE_DEVICES names 2"):
        _gpus_of(0, EngineOptions(model="m", tp=2, dp=3), {"CUDA_VISIBLE_DEVICES": "0,1"})


@pytest.fixture
def tokenizer():
    """That of the embedded model; a test may change its template."""
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(embedded_model())


@pytest.fixture
def template(tokenizer):
    """Render MESSAGES with another template; returns the prompt as text and what it opens."""

    def render(text):
        tokenizer.chat_template = text
        tokens, opened = Prompts(tokenizer).render(MESSAGES)
        return tokenizer.decode(tokens), opened

    return render


LIST = "{% for message in messages %}[{{ message.role }}]{{ message.content }}{% endfor %}"


def test_a_thought_that_the_template_opens_belongs_to_the_answer(template):
    assert template(LIST + "[assistant]{{ '<think>\n' }}") == (
        "[system]Be brief.[user]Why?[assistant]<think>\n",
        "<think>\n",
    )
    assert template(LIST + "[assistant]")[1] == ""


def test_the_chat_template_gets_arguments_of_the_user(tokenizer):
    tokenizer.chat_template = "{{ messages[1].content }} {{ 'slowly' if enable_thinking else 'fast' }}"
    options = EngineOptions("a/b", engine_args={"chat_template_kwargs": {"enable_thinking": True}, "seed": 1})
    told = worker_options(options, False)
    assert told["engine_args"]["seed"] == 1 and "chat_template_kwargs" not in told["engine_args"]
    tokens, _ = Prompts(tokenizer, told["chat_template_kwargs"]).render(MESSAGES)
    assert tokenizer.decode(tokens) == "Why? slowly"


def test_a_base_model_without_a_template_gets_the_bare_texts(template):
    assert template(None) == ("Be brief.\n\nWhy?", "")


def test_a_template_that_refuses_the_messages_says_why(template):
    with pytest.raises(RefusedByTemplate, match="System role not supported; .* --system-prompt none"):
        template("{{ raise_exception('System role not supported') }}")


class MistralTokenizer:
    """In the form of vLLM's own for Mistral: it has no template, and text never becomes a control token."""

    def apply_chat_template(self, messages, tools=None, **kwargs):
        assert kwargs["tokenize"] and kwargs["add_generation_prompt"]
        return [1, 3, 10, 4]

    def decode(self, tokens):
        return "<s>[INST]Why?[/INST]"


@pytest.mark.engine
def test_a_tokenizer_that_chats_without_a_template_is_asked_too():
    assert Prompts(MistralTokenizer()).render(MESSAGES) == ([1, 3, 10, 4], "")


def test_weights_of_the_same_name_are_told_apart(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(bytes(500_000))
    first = weights_digest(tmp_path)
    (tmp_path / "notes.txt").write_text("of no importance")
    assert weights_digest(tmp_path) == first
    for changed in (0, 250_000, 499_999):
        content = bytearray(500_000)
        content[changed] = 1
        weights.write_bytes(content)
        assert weights_digest(tmp_path) != first


class PaperEngine:
    """In the form of vLLM's: answers what it took in the next step, and takes no request number 2."""

    vllm_config = SimpleNamespace(model_config=SimpleNamespace(max_model_len=100))

    def __init__(self, inbox):
        self._inbox, self._taken = inbox, []

    def get_tokenizer(self):
        return MistralTokenizer()

    def add_request(self, number, prompt, sampling):
        if number == "2":
            raise ValueError("stop token 7 is unknown")
        self._taken.append(number)

    def step(self):
        taken, self._taken = self._taken, []
        self._inbox.put(vllm_worker.END)
        done = [SimpleNamespace(text="4", finish_reason="stop", token_ids=[9])]
        return [SimpleNamespace(request_id=number, finished=True, outputs=done) for number in taken]


@pytest.mark.engine
def test_a_request_that_vllm_refuses_fails_alone(monkeypatch):
    monkeypatch.setattr(vllm_worker, "_sampling", lambda request, options, max_tokens: None)
    monkeypatch.setattr(vllm_worker, "_refusals", lambda: (ValueError,))
    inbox, said = queue.SimpleQueue(), []
    for number in (1, 2, 3):
        inbox.put({"id": number, "messages": MESSAGES, "max_tokens": 5, "stop_loops": False})
    out = SimpleNamespace(send=lambda **message: said.append(message))
    vllm_worker._serve(PaperEngine(inbox), {"chat_template_kwargs": {}, "thinking_budget": None}, inbox, out)
    assert said.pop(0) == {"id": 2, "failure": "vLLM refuses the request: stop token 7 is unknown"}
    assert [(message["id"], message["text"]) for message in said] == [(1, "4"), (3, "4")]


def test_the_tokens_of_a_begun_answer_follow_those_of_the_prompt(tokenizer):
    prompt, opened = Prompts(tokenizer).render(MESSAGES)
    begun = [*MESSAGES, {"role": "assistant", "content": "Let me see: "}]
    tokens, text = Prompts(tokenizer).render(begun)
    assert tokens[: len(prompt)] == prompt and text == opened + "Let me see: "
    assert tokenizer.decode(tokens[len(prompt) :]) == "Let me see: "


def test_the_samples_of_one_problem_render_its_prompt_once(tokenizer, monkeypatch):
    prompts = Prompts(tokenizer)
    first = prompts.render(MESSAGES)
    monkeypatch.setattr(tokenizer, "apply_chat_template", None)
    assert prompts.render([dict(message) for message in MESSAGES]) == first


LOG = """\
(EngineCore pid=7) INFO 11-25 17:58:40 [core.py:10] Initializing a V1 LLM engine
(Worker pid=8) ERROR 11-25 17:58:48 [multiproc_executor.py:900] WorkerProc failed to start.
(Worker pid=8) ERROR 11-25 17:58:48 [multiproc_executor.py:900]     raise error
(Worker pid=8) ERROR 11-25 17:58:48 [multiproc_executor.py:900] torch.OutOfMemoryError: CUDA out of memory.
(EngineCore pid=7) RuntimeError: Engine core initialization failed. See root cause above.
Traceback (most recent call last):
  File "x.py", line 1, in step
vllm.v1.engine.exceptions.EngineDeadError: EngineCore encountered an issue. See stack trace (above).
[shutdown] MPClient: complete
"""


VALIDATION = """\
pydantic_core.ValidationError: 1 validation error for VllmConfig
  Value error, 9 heads. [type=value_error, input_value=1]
    For further information visit https://errors.pydantic.dev/2.14/v/value_error
"""


@pytest.mark.parametrize(
    ("log", "words"),
    [
        (LOG, "torch.OutOfMemoryError: CUDA out of memory"),
        (LOG.replace("torch.OutOfMemoryError", "so"), "vllm.v1.engine.exceptions.EngineDeadError"),
        (LOG[: LOG.index("\n(Worker")], "Initializing a V1 LLM engine"),
        ("Loading\n(A pid=1) INFO 11-25 1:1:1 [a.py:1] [shutdown] x\nA is deprecated.\n", "Loading"),
        (VALIDATION, VALIDATION.split("\n")[0] + ": Value error, 9 heads."),
        ("", "nothing"),
    ],
)  # fmt: skip
def test_the_last_words_of_an_engine_are_the_error_that_began_it(log, words):
    assert last_words(log.split("\n")).startswith(words)


@pytest.mark.parametrize(
    ("log", "words"),
    [
        ("", ""),
        ("INFO 11-25 17:43:14 [parallel.py:10] World size 1\n\n", "World size 1"),
        (
            "(EngineCore pid=7) INFO 11-25 17:43:14 [a.py:1] Using\nLoading: 0% 0/4\rLoading: 50% 2/4",
            "Loading: 50% 2/4",
        ),
        ("w" * 5000, "w" * 300),
    ],
)  # fmt: skip
def test_the_latest_words_of_an_engine_are_its_last_line_or_the_state_of_its_bar(log, words):
    assert latest_words(log) == words


def test_another_vllm_than_the_tried_one_is_named_and_not_refused(capsys):
    say_if_untried(f"vllm {tried_vllm()}")
    say_if_untried(f"vllm {tried_vllm()}+cpu on ray 2")
    assert capsys.readouterr().err == ""
    say_if_untried("vllm 0.8.5.post1")
    assert (
        f"the engine is vllm 0.8.5.post1, and the suite was tried with {tried_vllm()}"
        in capsys.readouterr().err
    )


@pytest.mark.engine
def test_a_cache_that_cannot_be_written_is_named_before_the_model_is_read(monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", "/dev/null/cache")
    with pytest.raises(UserError, match="/dev/null/cache.*Not a directory.*set XDG_CACHE_HOME"):
        embedded_model()


def test_a_name_on_the_hub_is_passed_on_and_a_missing_folder_is_named(tmp_path):
    assert _model_path("Qwen/QwQ-32B-Preview") == "Qwen/QwQ-32B-Preview"
    for missing in ("./nowhere", "/" + "m" * 300, "~nobody-here/model", "a/b/c", "with blanks", ".hidden"):
        with pytest.raises(UserError, match=f"no model folder at {missing}"):
            _model_path(missing)
        assert known_sampling(missing) is None


def test_a_folder_or_a_file_that_holds_no_model_is_refused_before_an_engine_starts(tmp_path, monkeypatch):
    with pytest.raises(UserError, match=f"{tmp_path} holds no model: it has no config.json"):
        _model_path(str(tmp_path))
    (tmp_path / "params.json").touch()
    assert _model_path(str(tmp_path)) == str(tmp_path)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="no model folder at params.json"):
        _model_path("params.json")


LOST = """
import contextlib, io, sys
from util.engines import vllm_worker

def load(options):
    own = sys.excepthook

    def torchs(*error):  # as in torch.distributed.distributed_c10d
        with contextlib.redirect_stderr(io.StringIO()) as said:
            own(*error)
        sys.stderr.write(said.getvalue())

    sys.excepthook = torchs
    if options:
        raise ValueError("no such adapter")
    return object()  # which has nothing of an engine

vllm_worker._load = load
vllm_worker.main()
"""


@pytest.mark.parametrize(
    "options, error", [("{}", "AttributeError: 'object' object has"), ("[1]", "ValueError: no such adapter")]
)
def test_an_error_of_the_engine_reaches_its_log_though_torch_prints_errors_at_its_end(options, error):
    told = f'{{"options": {options}}}\n'
    asked = subprocess.run(
        [sys.executable, "-c", LOST, "1"], cwd=ROOT, input=told, capture_output=True, text=True
    )
    assert asked.returncode == 1 and error in asked.stderr


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


def test_a_model_takes_the_gpus_of_all_its_copies():
    assert EngineOptions("a/b", tp=2, pp=3, dp=5, replicas=7).gpus == 210


def test_a_model_that_nobody_has_is_refused_after_one_question_to_the_hub(monkeypatch):
    asked = []
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr(
        vllm_local, "refusal_of_hub", lambda *name, **_: asked.append(name) or "the hub answers 401"
    )
    with pytest.raises(
        UserError, match=r"nobody/no-such-model is not on this machine.*\(the hub answers 401\)"
    ):
        vllm_local.check_known("nobody/no-such-model")
    assert len(asked) == 1
