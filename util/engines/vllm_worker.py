"""What does the process do that holds one vLLM engine?

It reads requests, steps the engine and writes each finished sample at once. `vllm_local` starts it as a fresh
program (never a fork) in a session of its own. It reads JSON lines on standard input, first {"options": ...},
then requests, and writes JSON lines to the file descriptor named on its command line; what vLLM prints goes
to standard output and error, which the parent sends to a log. When standard input ends, be it that the parent
is done or that it died, the whole session ends.

Only add_request, step, abort_request, get_tokenizer and add_lora of vLLM's LLMEngine are used: they have kept
their form from 0.8.5 to 0.32.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import queue
import re
import signal
import sys
import threading
import time
from collections.abc import Sequence
from multiprocessing.connection import wait
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, NoReturn

from util.engines.loops import LoopWatch
from util.errors import UserError
from util.response import closing, opened_thought
from util.settings import thinking_switches
from util.terminal import say

if TYPE_CHECKING:
    from vllm import LLMEngine, SamplingParams

ALIVE_EVERY_S = 2.0  # how often the parent hears that the engine still steps
LOOK_EVERY_S = 1.0  # how often vLLM's own processes are looked at besides waiting for their end
SHUTDOWN_S = 15.0  # grace for the engine's own shutdown once the input has ended
THOUGHT_TOKENS = 16  # of a prompt's end that are looked at for an opened thought
PART_BYTES = 1 << 16  # of a weights file, for its hash
PIECE_TOKENS = 16  # of an answer that is watched: how many come at a time
END = None
# The last line of an engine's messages, as those read it who measure how fast it was.
SERVED = re.compile(r"served in (\d+) engine steps and ([\d.]+) s CPU")


class Outbox:
    """Messages to the parent, a JSON object a line; any thread may send."""

    def __init__(self, descriptor: int) -> None:
        self._file = os.fdopen(descriptor, "w", encoding="utf-8", errors="backslashreplace")
        os.set_inheritable(descriptor, False)  # a process of vLLM's must not keep it open
        self._lock = threading.Lock()

    def send(self, **message: object) -> None:
        with self._lock:
            self._file.write(json.dumps(message, ensure_ascii=False) + "\n")
            self._file.flush()


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.excepthook = _end_with_traceback
    out = Outbox(int(sys.argv[1]))
    options = json.loads(sys.stdin.readline())["options"]
    inbox: queue.SimpleQueue = queue.SimpleQueue()
    threading.Thread(target=_read_requests, args=(inbox,), daemon=True).start()
    engine = _load(options)
    done = threading.Event()
    _watch_children(out, done)
    config = engine.vllm_config
    sequences = config.scheduler_config.max_num_seqs
    check_switch(engine.get_tokenizer(), options["thinking"])
    out.send(
        ready={
            # A few more than it computes at a time, so that a free place is filled in the next step; what
            # waits here cannot go to a copy that is free.
            "window": sequences + sequences // 8 + 8,
            "version": _version(),
            "model": _held_model(config.model_config),
            "sequences": sequences,
            "cached_tokens": _cached_tokens(config.cache_config),
        },
    )
    cpu_s = time.process_time()
    steps = _serve(engine, options, inbox, out)
    say(f"served in {steps} engine steps and {time.process_time() - cpu_s:.2f} s CPU")
    done.set()
    shutdown = getattr(engine.engine_core, "shutdown", None)
    if shutdown is not None:
        shutdown()
    _end_session()


def _load(options: dict) -> LLMEngine:
    from vllm import EngineArgs, LLMEngine
    from vllm.usage.usage_lib import UsageContext

    # As vLLM's own LLM class does it: a bare engine runs half as many requests at a time, or fewer.
    engine_args = EngineArgs(**{"disable_log_stats": True} | options["engine_args"])
    engine = LLMEngine.from_engine_args(engine_args, usage_context=UsageContext.LLM_CLASS)
    for adapter in _adapter(options).values():  # now, not at the first request: it may not fit the model
        engine.add_lora(adapter)
    return engine


def _adapter(options: dict) -> dict[str, Any]:
    """What each request is told of the adapter, if there is one."""
    if options.get("adapter") is None:
        return {}
    from vllm.lora.request import LoRARequest

    name, path = options["adapter"]
    return {"lora_request": LoRARequest(name, 1, path)}


def _cached_tokens(config: Any) -> int:
    """Of how many tokens keys and values fit into memory; older versions count blocks alone."""
    return getattr(config, "kv_cache_size_tokens", None) or (config.num_gpu_blocks or 0) * config.block_size


def _version() -> str:
    import vllm

    return f"vllm {vllm.__version__}"


def _held_model(config: Any) -> dict[str, str]:
    """What tells this model from others of its name: precision, the hub's commit or a hash of its files."""
    held = {"dtype": str(config.dtype).removeprefix("torch.")}
    if config.quantization:
        held["quantization"] = str(config.quantization)
    if os.path.isdir(config.model):
        held["weights"] = weights_digest(Path(config.model))
    elif commit := _hub_commit(config.model, config.revision):
        held["revision"] = commit
    return held


def weights_digest(folder: Path) -> str:
    """A hash that tells the weights of a folder from others, without reading gigabytes of them.

    It counts the configuration and the indexes, and of each weights file its name, size and parts of its
    content.
    """
    digest = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        if path.name.endswith((".index.json", "config.json")):
            digest.update(path.read_bytes())
        elif path.suffix in (".safetensors", ".bin", ".gguf", ".pt"):
            size = path.stat().st_size
            digest.update(f"{path.name} {size}\n".encode())
            with open(path, "rb") as file:
                for place in (0, size // 2, max(0, size - PART_BYTES)):
                    file.seek(place)
                    digest.update(file.read(PART_BYTES))
    return f"sha256:{digest.hexdigest()[:16]}"


def _hub_commit(model: str, revision: str | None) -> str:
    """The commit of the hub's snapshot that lies in the cache; "" where none does."""
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(model, "config.json", revision=revision)
    return Path(found).parent.name if isinstance(found, str) else ""


def _serve(engine: LLMEngine, options: dict, inbox: queue.SimpleQueue, out: Outbox) -> int:
    """Answer requests until the input ends; returns the number of engine steps."""
    steps = 0
    prompts = Prompts(engine.get_tokenizer(), options["chat_template_kwargs"])
    refusals, adapter = _refusals(), _adapter(options)
    limit = engine.vllm_config.model_config.max_model_len
    running: dict[str, _Answer] = {}  # by the engine's request id
    heard_at = time.monotonic()
    while True:
        while not inbox.empty() or not running:
            request = inbox.get()
            if request is END:
                return steps
            try:
                tokens, opened = prompts.render(request["messages"])
            except RefusedByTemplate as error:
                out.send(id=request["id"], failure=str(error))
                continue
            if len(tokens) >= limit:
                out.send(id=request["id"], text="", finish_reason="prompt_too_long", tokens=[len(tokens), 0])
                continue
            most_tokens = min(request["max_tokens"], limit - len(tokens))
            budget = options["thinking_budget"]
            request["in_pieces"] = request["stop_loops"] or budget is not None
            sampling = _sampling(request, options, most_tokens)
            try:
                engine.add_request(str(request["id"]), {"prompt_token_ids": tokens}, sampling, **adapter)
            except refusals as error:  # vLLM looks at each request before it takes it
                out.send(id=request["id"], failure=f"vLLM refuses the request: {error}")
                continue
            watch = LoopWatch() if request["stop_loops"] else None
            answer = running[str(request["id"])] = _Answer(len(tokens), opened, watch, budget)
            answer.asked = (request, tokens, most_tokens)
        steps += 1
        for output in engine.step():
            answer, new = running[output.request_id], output.outputs[0]
            finish_reason = answer.take(new.text, new.token_ids, new.finish_reason)
            if finish_reason is None:
                begun = answer.close_thought(prompts.tokenizer)
                if begun is None:
                    continue
                request, tokens, most_tokens = answer.asked
                engine.abort_request([output.request_id])
                if most_tokens > answer.tokens:
                    sampling = _sampling(request, options, most_tokens - answer.tokens)
                    name = f"{output.request_id}+"  # another one: the first may not be gone yet
                    engine.add_request(name, {"prompt_token_ids": tokens + begun}, sampling, **adapter)
                    running[name] = running.pop(output.request_id)
                    continue
                finish_reason = "length"
            if finish_reason == "loop":
                engine.abort_request([output.request_id])
            del running[output.request_id]
            out.send(
                id=answer.asked[0]["id"],
                text=answer.text,
                finish_reason=finish_reason,
                tokens=[answer.prompt_tokens, answer.tokens],
            )
        if time.monotonic() - heard_at > ALIVE_EVERY_S:
            heard_at = time.monotonic()
            out.send(alive=True)


class _Answer:
    """An answer as it comes, in pieces where somebody watches it."""

    def __init__(
        self, prompt_tokens: int, opened: str, watch: LoopWatch | None, budget: int | None = None
    ) -> None:
        self.prompt_tokens = prompt_tokens
        self.asked: tuple[dict, list[int], int]  # request, prompt, most tokens
        self._ids: list[int] = []
        self._budget = budget  # most tokens of thought; None: no limit, or seen to
        self._is_forced = False  # whether its thought was ended by the budget
        self._pieces = [opened]  # first the thought tag that the prompt has opened
        self._watch = watch

    @property
    def tokens(self) -> int:
        return len(self._ids)

    def close_thought(self, tokenizer: Any) -> list[int] | None:
        """Close a thought that has used its budget: the tokens that the answer begins with; else None."""
        if self._budget is None or self.tokens < self._budget:
            return None
        budget, self._budget = self._budget, None
        if not (closed := closing(self.text)):
            return None
        thought = self._ids[:budget]
        self._ids = thought + tokenizer.encode(closed, add_special_tokens=False)
        self._pieces = [self._pieces[0], tokenizer.decode(thought, skip_special_tokens=True), closed]
        self._is_forced = True
        return list(self._ids)

    def take(self, text: str, tokens: Sequence[int], finish_reason: str | None) -> str | None:
        """Take the next piece; the finish reason, once there is one."""
        self._pieces.append(text)
        self._ids += tokens
        if finish_reason is None and self._watch is not None and self._watch.feed(text):
            return "loop"
        return "budget" if finish_reason == "stop" and self._is_forced else finish_reason

    @property
    def text(self) -> str:
        return "".join(self._pieces)


def _refusals() -> tuple[type[Exception], ...]:
    """What `add_request` raises for a request that it does not take; older versions know ValueError only."""
    try:
        from vllm.exceptions import VLLMValidationError
    except ImportError:
        return (ValueError,)
    return (ValueError, VLLMValidationError)


class RefusedByTemplate(Exception):
    """The model's chat template does not take such messages, as one without a system role."""


def check_switch(tokenizer: Any, thinking: str | None) -> None:
    """Raise UserError where a chat template would say the same whatever it is told of thinking."""
    if thinking is None:
        return
    asked = [{"role": "user", "content": "Hello"}]
    told = (Prompts(tokenizer, thinking_switches(which)).render(asked) for which in ("on", "off"))
    if next(told) == next(told):
        raise UserError(f"the model's chat template ignores --thinking {thinking}: leave it out")


class Prompts:
    """Chat messages as token ids; the last prompt is kept, because the samples of a problem come in a row."""

    def __init__(self, tokenizer: Any, template_arguments: dict | None = None) -> None:
        self.tokenizer = tokenizer
        self._arguments = {"add_generation_prompt": True, **(template_arguments or {})}
        self._last: tuple[list, tuple[list[int], str]] | None = None

    def render(self, messages: list[dict]) -> tuple[list[int], str]:
        """Token ids, and what the answer begins with: a thought tag that the template opens, or more."""
        if self._last is None or self._last[0] != messages:
            self._last = (messages, self._rendered(messages))
        return self._last[1]

    def _rendered(self, messages: list[dict]) -> tuple[list[int], str]:
        if messages[-1]["role"] != "assistant":
            return self._asked(messages)
        tokens, opened = self._asked(messages[:-1])
        begun = messages[-1]["content"].removeprefix(opened)  # said once, by whoever says it
        return tokens + self.tokenizer.encode(begun, add_special_tokens=False), opened + begun

    def _asked(self, messages: list[dict]) -> tuple[list[int], str]:
        from jinja2 import TemplateError

        try:
            tokens = self.tokenizer.apply_chat_template(
                messages, tokenize=True, return_dict=False, **self._arguments
            )
        except TemplateError as error:
            raise RefusedByTemplate(
                f"the model's chat template refuses the messages: {error}; if it knows no system message, "
                "give --system-prompt none"
            ) from error
        except ValueError:
            # Only the usual tokenizers have this field; others know how to chat without a template.
            if getattr(self.tokenizer, "chat_template", "none needed"):
                raise
            # A base model: the bare texts are the prompt.
            return self.tokenizer.encode("\n\n".join(message["content"] for message in messages)), ""
        return tokens, opened_thought(self.tokenizer.decode(tokens[-THOUGHT_TOKENS:]))


def _sampling(request: dict, options: dict, max_tokens: int) -> SamplingParams:
    from vllm import SamplingParams

    sampling = {  # JSON has no other names than texts; these are numbers of tokens
        name: {int(token): score for token, score in value.items()} if isinstance(value, dict) else value
        for name, value in options["sampling"].items()
    }
    return SamplingParams(
        temperature=request["temperature"],
        **sampling,
        seed=request["seed"],
        max_tokens=max_tokens,
        **_pieces(request),
    )


def _pieces(request: dict) -> dict:
    """How an answer comes: at its end, or piece by piece, as large as this version of vLLM can make them."""
    from vllm import SamplingParams
    from vllm.sampling_params import RequestOutputKind

    if not request.get("in_pieces"):
        return {"output_kind": RequestOutputKind.FINAL_ONLY}
    may_wait = "stream_interval" in SamplingParams.__struct_fields__
    return {"output_kind": RequestOutputKind.DELTA} | ({"stream_interval": PIECE_TOKENS} if may_wait else {})


def _read_requests(inbox: queue.SimpleQueue) -> None:
    for line in sys.stdin:
        inbox.put(json.loads(line))
    inbox.put(END)
    time.sleep(SHUTDOWN_S)  # the main thread may hang in a step whose engine has died
    _end_session()


def _watch_children(out: Outbox, done: threading.Event) -> None:
    """Tell the parent and end when one of vLLM's processes dies: `step` may wait for it for ever."""
    ours = multiprocessing.active_children()

    def watch() -> None:
        while all(child.is_alive() for child in ours):
            wait([child.sentinel for child in ours], LOOK_EVERY_S)
        if not done.is_set():
            dead = next(child for child in ours if not child.is_alive())
            out.send(lost={"name": dead.name, "pid": dead.pid, "status": dead.exitcode})
            _end_now()

    if ours:
        threading.Thread(target=watch, daemon=True).start()


def _end_with_traceback(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """End at once after an error: vLLM's own clean-up may wait for a process that is gone."""
    sys.stderr = sys.__stderr__  # torch's hook around this one holds back what is printed, for ever
    sys.__excepthook__(kind, error, trace)
    _end_now()


def _end_now() -> NoReturn:
    for child in multiprocessing.active_children():
        child.kill()
    os._exit(1)


def _end_session() -> None:
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    main()
