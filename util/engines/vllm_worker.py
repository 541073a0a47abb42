"""The process that holds one vLLM engine: reads requests, steps the engine, writes each finished sample at
once.

Started by `vllm_local` as a fresh program (never a fork) in a session of its own. It reads JSON lines on
standard
input, first {"options": ...}, then requests, and writes JSON lines to the file descriptor named on its
command line;
what vLLM prints goes to standard output and error, which the parent sends to a log. When standard input
ends, be it that the parent is done or that it died, the whole session ends.

Only add_request, step and get_tokenizer of vLLM's LLMEngine are used: they have kept their form from 0.8.5
to 0.32.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import sys
import threading
import time
from pathlib import Path

ALIVE_EVERY_S = 2.0  # how often the parent hears that the engine still steps
SHUTDOWN_S = 15.0  # grace for the engine's own shutdown once the input has ended
END = None


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    out = os.fdopen(int(sys.argv[1]), "w", encoding="utf-8", errors="backslashreplace")
    options = json.loads(sys.stdin.readline())["options"]
    inbox: queue.SimpleQueue = queue.SimpleQueue()
    threading.Thread(target=_read_requests, args=(inbox,), daemon=True).start()
    engine = _load(options)
    _watch_children(out)
    config = engine.vllm_config
    sequences = config.scheduler_config.max_num_seqs
    _send(
        out,
        ready={
            # A few more than it computes at a time, so that a free place is filled in the next step; what
            # waits here cannot go to a copy that is free.
            "window": sequences + sequences // 8 + 8,
            "max_model_len": config.model_config.max_model_len,
            "version": _version(),
        },
    )
    cpu_s = time.process_time()
    steps = _serve(engine, options, inbox, out)
    print(f"served in {steps} engine steps and {time.process_time() - cpu_s:.2f} s CPU", flush=True)
    shutdown = getattr(engine.engine_core, "shutdown", None)
    if shutdown is not None:
        shutdown()
    _end_session()


def _load(options: dict):
    from vllm import EngineArgs, LLMEngine

    return LLMEngine.from_engine_args(EngineArgs(**options["engine_args"]))


def _version() -> str:
    import vllm

    return f"vllm {vllm.__version__}"


def _serve(engine, options: dict, inbox: queue.SimpleQueue, out) -> int:
    """Answer requests until the input ends; returns the number of engine steps."""
    steps = 0
    prompts = Prompts(engine.get_tokenizer())
    limit = engine.vllm_config.model_config.max_model_len
    running: dict[
        str, tuple[int, str]
    ] = {}  # engine's request id -> (number of prompt tokens, opened thought)
    heard_at = time.monotonic()
    while True:
        while not inbox.empty() or not running:
            request = inbox.get()
            if request is END:
                return steps
            tokens, opened = prompts.render(request["messages"])
            if len(tokens) >= limit:
                _send(
                    out, id=request["id"], text="", finish_reason="prompt_too_long", tokens=[len(tokens), 0]
                )
                continue
            room = limit - len(tokens)
            engine.add_request(
                str(request["id"]),
                {"prompt_token_ids": tokens},
                _sampling(request, options, min(request["max_tokens"], room)),
            )
            running[str(request["id"])] = (len(tokens), opened)
        steps += 1
        for output in engine.step():
            if output.finished:
                prompt_tokens, opened = running.pop(output.request_id)
                done = output.outputs[0]
                _send(
                    out,
                    id=int(output.request_id),
                    text=opened + done.text,
                    finish_reason=done.finish_reason,
                    tokens=[prompt_tokens, len(done.token_ids)],
                )
        if time.monotonic() - heard_at > ALIVE_EVERY_S:
            heard_at = time.monotonic()
            _send(out, alive=True)


class Prompts:
    """Chat messages as token ids; the last prompt is kept, because the samples of a problem come in a row."""

    def __init__(self, tokenizer) -> None:
        self._tokenizer = tokenizer
        self._last: tuple[list, tuple[list[int], str]] | None = None

    def render(self, messages: list[dict]) -> tuple[list[int], str]:
        """Token ids, and the thought tag that the template itself opens: it belongs to the model's turn."""
        if self._last is None or self._last[0] != messages:
            self._last = (messages, self._rendered(messages))
        return self._last[1]

    def _rendered(self, messages: list[dict]) -> tuple[list[int], str]:
        if getattr(self._tokenizer, "chat_template", None):
            text = self._tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
            opened = "<think>\n" if text.rstrip().endswith("<think>") else ""
            return self._tokenizer.encode(text, add_special_tokens=False), opened
        # A base model has no chat template: the bare texts are the prompt.
        return self._tokenizer.encode("\n\n".join(message["content"] for message in messages)), ""


def _sampling(request: dict, options: dict, max_tokens: int):
    from vllm import SamplingParams
    from vllm.sampling_params import RequestOutputKind

    return SamplingParams(
        temperature=request["temperature"],
        top_p=options["top_p"],
        top_k=options["top_k"],
        min_p=options["min_p"],
        stop=options["stop"] or None,
        seed=request["seed"],
        max_tokens=max_tokens,
        output_kind=RequestOutputKind.FINAL_ONLY,
    )


def _read_requests(inbox: queue.SimpleQueue) -> None:
    for line in sys.stdin:
        inbox.put(json.loads(line))
    inbox.put(END)
    time.sleep(SHUTDOWN_S)  # the main thread may hang in a step whose engine has died
    _end_session()


def _watch_children(out) -> None:
    """End the session when one of vLLM's own processes dies: `step` would wait for it for ever."""
    import psutil

    ours = [child for child in psutil.Process().children(recursive=True) if _title(child).startswith("VLLM")]

    def watch() -> None:
        while True:
            time.sleep(ALIVE_EVERY_S)
            if any(not child.is_running() or child.status() == psutil.STATUS_ZOMBIE for child in ours):
                print("one of the engine's processes died", file=sys.stderr, flush=True)
                _end_session()

    if ours:
        threading.Thread(target=watch, daemon=True).start()


def _title(process) -> str:
    """First word of the command line, which vLLM's processes set to VLLM::EngineCore and the like."""
    try:
        return Path(f"/proc/{process.pid}/cmdline").read_bytes().decode("utf-8", "replace")
    except FileNotFoundError:  # it ended just now
        return ""


def _send(out, **message: object) -> None:
    out.write(json.dumps(message, ensure_ascii=False) + "\n")
    out.flush()


def _end_session() -> None:
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    main()
