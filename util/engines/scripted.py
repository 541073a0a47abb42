"""What does a model answer whose answers are written in a file?

Open it as the engine "scripted": for tests of what a real model cannot be made to do.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from util.engines.loops import loop_end
from util.engines.options import EngineOptions
from util.errors import RunStopped, UserError
from util.records import Completion, Failure, Request

IDLE_S = 0.005
LONGEST_S = 0.1  # of a sleep


class ScriptedEngine:
    """Answers from the JSON-lines file named by engine_args {"script": FILE}.

    A line may name `problem_id`, `index` or `contains` (a part of the prompt) to say what it answers; the
    first line that fits is used. It gives `text` and optionally `finish_reason`, `reasoning`, `delay_s`, or
    instead of a text `fail` (a message: this request fails) or `stop` (a message: the engine dies).
    """

    def __init__(self, options: EngineOptions) -> None:
        script = options.engine_args.get("script")
        if script is None:
            raise UserError('the scripted engine needs --engine-args \'{"script": "FILE"}\'')
        try:
            lines = Path(script).read_text(encoding="utf-8").split("\n")
        except OSError as error:
            raise UserError(f"cannot read the script {script}: {error.strerror}") from error
        except UnicodeDecodeError as error:
            raise UserError(f"the script {script} is not text: {error}") from error
        try:
            self._lines = [json.loads(line) for line in lines if line.strip()]
        except (ValueError, RecursionError) as error:
            raise UserError(f"the script {script} holds a line that is not JSON: {error}") from error
        for line in self._lines:
            if not isinstance(line, dict) or not any(
                isinstance(line.get(name), str) for name in ("text", "fail", "stop")
            ):
                raise UserError(f"the script {script} holds {line!r}: a line needs text, fail or stop")

    def generate(self, requests: Iterable[Request | None]) -> Iterator[tuple[Request, Completion | Failure]]:
        for request in requests:
            if request is None:
                time.sleep(IDLE_S)
            else:
                yield request, self._answer(request)

    def _answer(self, request: Request) -> Completion | Failure:
        prompt = "\n".join(message["content"] for message in request.messages)
        for line in self._lines:
            if line.get("problem_id", request.problem_id) != request.problem_id:
                continue
            if line.get("index", request.index) != request.index or line.get("contains", "") not in prompt:
                continue
            _pause(line.get("delay_s", 0))
            if "stop" in line:
                raise RunStopped(line["stop"])
            if "fail" in line:
                return Failure(line["fail"])
            text, finish_reason = line["text"], line.get("finish_reason", "stop")
            if request.stop_loops and (end := loop_end(text)) is not None:
                text, finish_reason = text[:end], "loop"
            return Completion(
                text=request.begun + text,
                finish_reason=finish_reason,
                prompt_tokens=len(prompt.split()),
                completion_tokens=len(text.split()),
                reasoning=line.get("reasoning"),
            )
        return Failure("no line of the script answers this request")

    def close(self) -> None:
        pass


def _pause(seconds: float) -> None:
    """Sleep in short pieces: Python hears a signal that comes just as a sleep begins only at its end."""
    while seconds > LONGEST_S:
        time.sleep(LONGEST_S)
        seconds -= LONGEST_S
    time.sleep(seconds)
