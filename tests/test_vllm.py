"""Does real vLLM keep every finished sample, whichever process is killed? With the embedded model."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request

import pytest
from helpers import ROOT, at_a_terminal, free_port, is_running, json_lines, make_adapter, wait_until

from util.engines.embedded import child_environment, embedded_model
from util.engines.options import EngineOptions
from util.engines.vllm_local import start_model_process
from util.engines.vllm_worker import _sampling
from util.machines.replicas import Died, Ready
from util.records import Request
from util.settings import SAMPLING

OLD = ROOT / "tests" / "old_run"  # made by an earlier version, stopped after 5 of 12 samples
START_S = 600  # an engine starts in 20 s on two quiet cores; these machines are not always quiet
FLAGS = ["--dataset", "Warmup", "--max-tokens", "24", "--temperatures", "0.7", "--n", "4", "--limit", "12"]
WANTED = 48
ADVISED = {"do_sample": True, "temperature": 1.9, "top_k": 2, "top_p": 0.5, "repetition_penalty": 1.9}


@pytest.fixture(scope="module")
def model():
    return embedded_model()


@pytest.fixture(scope="module")
def advised_cache(tmp_path_factory, model):
    """A cache in which the embedded model brings sampling of its own along, as many models do."""
    cache = tmp_path_factory.mktemp("cache")
    folder = cache / "distillery" / "models" / model.name
    folder.mkdir(parents=True)
    for file in model.iterdir():
        (folder / file.name).symlink_to(file)
    said = json.loads((model / "generation_config.json").read_text()) | ADVISED
    (folder / "generation_config.json").unlink()
    (folder / "generation_config.json").write_text(json.dumps(said))
    return str(cache)


def command(tmp_path, *flags):
    script = str(ROOT / "inference_and_check.py")
    return [sys.executable, script, *FLAGS, "--result-dir", str(tmp_path), *flags]


@pytest.fixture
def start():
    """Start inference_and_check.py; what still runs when the test ends is killed."""
    started = []

    def begin(tmp_path, *flags):
        process = subprocess.Popen(
            command(tmp_path, *flags),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "OPENAI_API_KEY": "k"},
            preexec_fn=at_a_terminal,
        )
        started.append(process)
        return process

    yield begin
    for process in started:
        kill_and_reap(process)


def samples_file(tmp_path):
    found = list(tmp_path.glob("*/samples.jsonl"))
    return found[0] if found else None


def wait_for_samples(process, tmp_path, count):
    """Wait until `count` samples are on disk or the process has ended."""
    deadline = time.monotonic() + START_S
    while process.poll() is None:
        assert time.monotonic() < deadline, "no samples came"
        file = samples_file(tmp_path)
        if file is not None and file.read_bytes().count(b"\n") >= count:
            return
        time.sleep(0.05)


def whole_lines(tmp_path):
    file = samples_file(tmp_path)
    data = file.read_bytes() if file else b""
    return data[: data.rfind(b"\n") + 1]


def kill_and_reap(process):
    if process.returncode is None:
        process.kill()
        process.communicate()


def check_complete(tmp_path, output, wanted=WANTED):
    keys = [(line["problem_id"], line["index"]) for line in json_lines(samples_file(tmp_path))]
    assert len(keys) == len(set(keys)) == wanted
    numbers = json.loads(output.strip().rsplit("\n", 1)[-1])["temperatures"]["0.7"]
    assert numbers["judged"] == numbers["samples"] == wanted
    return numbers


def children_of(pid, title):
    found = subprocess.run(["pgrep", "-P", str(pid), "-f", title], capture_output=True)
    return [int(child) for child in found.stdout.split()]


def workers_of(process):
    """Pids of the engine processes that `process` started."""
    return children_of(process.pid, "vllm_worker")


def wait_until_gone(pids):
    """Engine processes do not outlive their parent."""
    wait_until(lambda: not any(map(is_running, pids)))


def test_killed_at_random_moments_the_run_resumes_and_ends_with_exactly_the_wanted_samples(
    tmp_path, start, model
):
    flags = ["--model", "embedded", "--limit", "20", "--n", "8"]  # enough that it is not done when it is hit
    rng = random.Random(1)
    kept = b""
    for _ in range(2):
        process = start(tmp_path, *flags)
        wait_for_samples(process, tmp_path, kept.count(b"\n") + rng.randrange(1, 12))
        engines = workers_of(process)
        time.sleep(rng.random() / 4)
        kill_and_reap(process)
        wait_until_gone(engines)
        now = whole_lines(tmp_path)
        assert now.startswith(kept) and now != kept
        kept = now
    process = start(tmp_path, *flags)
    output, errors = process.communicate(timeout=START_S)
    assert process.returncode == 0, errors
    assert whole_lines(tmp_path).startswith(kept)
    numbers = check_complete(tmp_path, output, wanted=160)
    assert 0 < numbers["correct"] < 160  # the small model gets some right and some wrong


def test_copies_killed_by_force_are_started_again_and_ctrl_c_stops_the_run(tmp_path, start, model):
    flags = [
        "--model",
        "embedded",
        "--limit",
        "20",
        "--n",
        "8",
    ]  # enough that they are busy when they are hit
    process = start(tmp_path, *flags, "--dp", "2", "--inference")
    wait_for_samples(process, tmp_path, 2)
    hit, other = workers_of(process)
    os.kill(hit, signal.SIGKILL)
    while len(workers_of(process)) < 2:
        assert process.poll() is None
        time.sleep(0.1)
    assert other in workers_of(process)
    wait_for_samples(process, tmp_path, 40)
    engines = workers_of(process)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=START_S)
    assert process.returncode == 130 and "Traceback" not in errors
    assert "copy of the model 1 of 2: its process was killed by SIGKILL" in errors
    assert "; restarting it" in errors  # and what it had, if it was ready by then
    wait_until_gone(engines)
    kept = whole_lines(tmp_path)

    process = start(tmp_path, *flags)
    output, errors = process.communicate(timeout=START_S)
    assert process.returncode == 0, errors
    assert whole_lines(tmp_path).startswith(kept)
    check_complete(tmp_path, output, wanted=160)


def test_a_half_finished_run_of_an_earlier_version_is_continued_by_the_same_command(tmp_path, start, model):
    folder = shutil.copytree(OLD, tmp_path / "results") / "embedded_Warmup_test_all_0_-1"
    kept = (folder / "samples.jsonl").read_bytes()
    settings = json.loads((folder / "run.json").read_text())["settings"]
    flags = ["--model", "embedded", "--n", "2", "--limit", "6", "--max-tokens", "48", "--top-p", "0.9"]
    process = start(tmp_path / "results", *flags, "--stop", "Question:")
    output, errors = process.communicate(timeout=START_S)
    assert process.returncode == 0, errors
    assert whole_lines(tmp_path / "results").startswith(kept)
    check_complete(tmp_path / "results", output, wanted=12)
    assert json.loads((folder / "run.json").read_text())["settings"] == {**settings, "model_args": {}}


def test_vllm_takes_every_parameter_of_sampling_by_its_name():
    values = {"top_p": 0.9, "top_k": 5, "min_p": 0.1, "stop": ["a"]}
    values |= {"repetition_penalty": 1.1, "presence_penalty": -0.5, "frequency_penalty": 0.25}
    values |= {"min_tokens": 2, "stop_token_ids": [7], "logit_bias": {"5": -1.5}}
    assert values.keys() == {setting.name for setting in SAMPLING}
    made = _sampling({"temperature": 0.5, "seed": 3, "stop_loops": False}, {"sampling": values}, 9)
    told = {**values, "logit_bias": {5: -1.5}}  # JSON writes numbers of tokens as texts
    assert {name: getattr(made, name) for name in values} == told
    assert (made.temperature, made.seed, made.max_tokens) == (0.5, 3, 9)


def listen_until(process, is_enough):
    """What the process says until that is enough."""
    heard, deadline = [], time.monotonic() + START_S
    while not is_enough(heard):
        assert time.monotonic() < deadline
        heard += process.listen(1.0)
    return heard


def test_one_engine_answers_each_request_once_and_says_which_of_its_processes_died(model, monkeypatch):
    monkeypatch.setenv("VLLM_ENABLE_V1_MULTIPROCESSING", "1")  # as on a GPU: vLLM has processes of its own

    def request(text="Say hello.", max_tokens=8, seed=7):
        return Request("p", [{"role": "user", "content": text}], 0.9, 0, seed, max_tokens)

    short = {"max_model_len": 256, "max_num_batched_tokens": 512}
    process = start_model_process(EngineOptions(model="embedded", engine_args=short))
    try:
        listen_until(process, lambda heard: any(isinstance(event, Ready) for event in heard))
        asked = [request(), request(), request(), request("word " * 300), request("Count: 1 2 3", 10**6)]
        process.ask(list(enumerate(asked)))
        answers = dict(listen_until(process, lambda heard: len(heard) == 5))
        assert answers[0].text == answers[1].text == answers[2].text != ""
        assert answers[0].finish_reason in ("stop", "length") and 0 < answers[0].completion_tokens <= 8
        assert answers[3].finish_reason == "prompt_too_long" and answers[3].text == ""
        assert answers[3].prompt_tokens > 256 and answers[3].completion_tokens == 0
        assert answers[4].prompt_tokens + answers[4].completion_tokens <= 256

        process.ask([(number, request("Tell a story.", 200, seed=number)) for number in range(8)])
        (worker,) = children_of(os.getpid(), "vllm_worker")
        (core,) = children_of(worker, "VLLM::EngineCore")
        os.kill(core, signal.SIGKILL)
        *_, died = listen_until(process, lambda heard: any(isinstance(event, Died) for event in heard))
        assert "its process EngineCore was killed by SIGKILL" in died.why and "memory" in died.why
    finally:
        process.close()


def test_a_model_that_cannot_be_loaded_is_named_with_the_reason(tmp_path, start):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text('{"model_type": "no_such_type"}')
    process = start(tmp_path / "results", "--model", str(tmp_path / "model"))
    _, errors = process.communicate(timeout=START_S)
    assert process.returncode == 2 and "could not load" in errors and "engine.log" in errors
    assert "Traceback" not in errors


@pytest.fixture(scope="module")
def server(advised_cache):
    """A real vLLM server of the embedded model on a loopback port, and the way to start it again.

    It would fill in what its model's generation_config.json advises wherever a request is silent.
    """
    serve = Server(free_port(), advised_cache)
    serve.start()
    yield serve
    serve.kill()


class Server:
    def __init__(self, port, cache):
        self.url = f"http://127.0.0.1:{port}/v1"
        module = "util.engines.embedded_server"
        self._command = [sys.executable, "-m", module, "--port", str(port), "--api-key", "k"]
        self._environment = child_environment() | {"XDG_CACHE_HOME": cache}
        self._process = None

    def start(self):
        self._process = subprocess.Popen(
            self._command,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=self._environment,
            start_new_session=True,
        )
        deadline = time.monotonic() + START_S
        while not self._healthy():
            assert self._process.poll() is None, "the server ended while it started"
            assert time.monotonic() < deadline, "the server did not start"
            time.sleep(0.5)

    def kill(self):
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def _healthy(self):
        try:
            with urllib.request.urlopen(self.url.removesuffix("/v1") + "/health", timeout=5) as reply:
                return reply.status == 200
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            return False


def greedy_texts(results, *flags, **environment):
    """The texts of a finished greedy run, by problem."""
    greedy = ["--temperatures", "0", "--n", "1", "--inference"]
    done = subprocess.run(
        command(results, *flags, *greedy),
        capture_output=True,
        text=True,
        timeout=START_S,
        env={**os.environ, "OPENAI_API_KEY": "k", **environment},
    )
    assert done.returncode == 0, done.stderr
    texts = {line["problem_id"]: line["text"] for line in json_lines(samples_file(results))}
    assert len(texts) == 12
    return texts


@pytest.fixture(scope="module")
def greedy_here(tmp_path_factory, advised_cache):
    results = tmp_path_factory.mktemp("greedy")
    return greedy_texts(results, "--model", "embedded", XDG_CACHE_HOME=advised_cache)


def test_greedy_texts_are_the_same_here_and_from_a_server_whatever_the_model_advises(
    tmp_path, greedy_here, server
):
    flags = ["--model", "openai/embedded", "--api-base", server.url, "--concurrency", "8"]
    served = greedy_texts(tmp_path, *flags)
    apart = [name for name, text in greedy_here.items() if served[name] != text]
    # Batches of another size round otherwise, and may turn a tie; a parameter would change every text.
    assert len(apart) <= 3 and all(served[name][:16] == greedy_here[name][:16] for name in apart)


def test_an_adapter_answers_with_the_model_and_is_recorded(tmp_path, greedy_here):
    adapter = make_adapter(tmp_path / "adapter")
    texts = greedy_texts(tmp_path / "results", "--model", "embedded", "--lora", f"tiny={adapter}")
    assert texts.keys() == greedy_here.keys() and not set(texts.items()) & set(greedy_here.items())
    (run,) = tmp_path.glob("results/embedded+tiny_Warmup_*/run.json")
    settings = json.loads(run.read_text())["settings"]
    assert settings["lora"] == f"tiny={adapter}" and settings["lora_hash"].startswith("sha256:")


def test_through_a_real_server_killed_clients_and_a_killed_server_lose_nothing(tmp_path, start, server):
    flags = ["--model", "openai/embedded", "--api-base", server.url, "--concurrency", "8"]
    process = start(tmp_path, *flags)
    wait_for_samples(process, tmp_path, 5)
    kill_and_reap(process)
    kept = whole_lines(tmp_path)
    assert kept

    process = start(tmp_path, *flags)
    wait_for_samples(process, tmp_path, kept.count(b"\n") + 5)
    server.kill()
    server.start()
    output, errors = process.communicate(timeout=START_S)
    assert process.returncode == 0, errors
    assert whole_lines(tmp_path).startswith(kept)
    check_complete(tmp_path, output)


def test_a_wrong_key_and_a_wrong_model_name_stop_at_once(tmp_path, start, server):
    flags = ["--api-base", server.url]
    process = subprocess.run(
        command(tmp_path, "--model", "openai/embedded", *flags),
        capture_output=True,
        text=True,
        timeout=START_S,
        env={**os.environ, "OPENAI_API_KEY": "wrong-key-1234"},
    )
    assert process.returncode == 2 and "1234" in process.stderr and "wrong-key" not in process.stderr
    process = start(tmp_path, "--model", "openai/other", *flags)
    _, errors = process.communicate(timeout=START_S)
    assert process.returncode == 2 and "embedded" in errors
