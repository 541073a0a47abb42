"""How is a model asked until its answer passes a check, and at most so many times?

Call `ask` with `Question`s and a check that returns `Refused` for an answer that will not do.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

from util.engines.options import Engine
from util.records import Completion, Failure, Request


@dataclass(frozen=True)
class Question:
    """Something to ask, and whatever the caller needs to know the answer by."""

    name: str
    prompt: str
    max_tokens: int
    about: object = None


@dataclass(frozen=True)
class Refused:
    """Why an answer did not pass the check."""

    reason: str


@dataclass
class Usage:
    """What asking cost so far, refused answers included."""

    requests: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0

    def add(self, completion: Completion) -> None:
        self.requests += 1
        self.prompt_tokens += completion.prompt_tokens
        self.completion_tokens += completion.completion_tokens


@dataclass
class _Pending:
    question: Question
    request: Request
    tries: int = 1


def ask(
    engine: Engine,
    questions: Iterable[Question],
    check: Callable[[Question, str], object],
    *,
    reminder: str,
    tries: int,
    usage: Usage,
) -> Iterator[tuple[Question, str, object]]:
    """Yield each question with the last answer's text and what `check` made of it, as answers come in.

    `check` returns Refused for an answer that will not do; the question is then asked again, with the
    `reminder` ({reason} stands for the reason) behind the prompt, until it was asked `tries` times. What the
    engine could not get answered comes as Failure, never as an answer.
    """
    pending: dict[int, _Pending] = {}  # by the request's index
    again: deque[Request] = deque()

    def requests() -> Iterator[Request | None]:
        for number, question in enumerate(questions):
            while again:
                yield again.popleft()
            request = Request(question.name, _said(question.prompt), 0.0, number, 0, question.max_tokens)
            pending[number] = _Pending(question, request)
            yield request
        while pending:  # a question under way may have to be asked again
            yield again.popleft() if again else None

    for request, result in engine.generate(requests()):
        asked = pending[request.index]
        if isinstance(result, Failure):
            del pending[request.index]
            yield asked.question, "", result
            continue
        usage.add(result)
        hopeless = result.finish_reason == "prompt_too_long"
        if hopeless:
            verdict: object = Refused("the prompt does not fit into the model's context")
        elif result.finish_reason == "length":
            verdict = Refused("the answer was cut off by the token limit")
        else:
            verdict = check(asked.question, result.text)
        if isinstance(verdict, Refused) and asked.tries < tries and not hopeless:
            reminded = f"{asked.question.prompt}\n\n{reminder.replace('{reason}', verdict.reason)}"
            again.append(replace(asked.request, messages=_said(reminded), seed=asked.tries))
            asked.tries += 1
        else:
            del pending[request.index]
            yield asked.question, result.text, verdict


def _said(prompt: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": prompt}]
