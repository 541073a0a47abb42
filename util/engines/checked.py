"""How is a model asked until its answer passes a check, and at most so many times?"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace

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


@dataclass
class _Queue:
    """The requests of a conversation with an engine: new questions, and refused ones again."""

    questions: Iterator[Question]
    reminder: str
    again: deque[Request] = field(default_factory=deque)
    pending: dict[int, _Pending] = field(default_factory=dict)  # by the request's index
    count: int = 0

    def __iter__(self) -> Iterator[Request | None]:
        while True:
            if self.again:
                yield self.again.popleft()
                continue
            question = next(self.questions, None)
            if question is not None:
                yield self._first(question)
            elif self.pending:
                yield None  # a question under way may have to be asked again
            else:
                return

    def _first(self, question: Question) -> Request:
        messages = [{"role": "user", "content": question.prompt}]
        request = Request(question.name, messages, 0.0, self.count, 0, question.max_tokens)
        self.pending[self.count] = _Pending(question, request)
        self.count += 1
        return request

    def ask_again(self, pending: _Pending, reason: str) -> None:
        prompt = f"{pending.question.prompt}\n\n{self.reminder.replace('{reason}', reason)}"
        pending.tries += 1
        messages = [{"role": "user", "content": prompt}]
        self.again.append(replace(pending.request, messages=messages, seed=pending.tries - 1))


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
    queue = _Queue(iter(questions), reminder)
    for request, result in engine.generate(queue):
        pending = queue.pending[request.index]
        if isinstance(result, Failure):
            del queue.pending[request.index]
            yield pending.question, "", result
            continue
        usage.add(result)
        if result.finish_reason == "length":
            verdict: object = Refused("the answer was cut off by the token limit")
        elif result.finish_reason == "prompt_too_long":
            verdict = Refused("the prompt does not fit into the model's context")
        else:
            verdict = check(pending.question, result.text)
        hopeless = result.finish_reason == "prompt_too_long"
        if isinstance(verdict, Refused) and pending.tries < tries and not hopeless:
            queue.ask_again(pending, verdict.reason)
        else:
            del queue.pending[request.index]
            yield pending.question, result.text, verdict
