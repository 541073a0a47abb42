"""How is a model asked until its answer passes a check, and at most so many times?

Call `ask` with `Question`s and a check that returns `Refused` for an answer that will not do;
`Answers` counts what that costs and what comes of it.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from util.engines.options import Engine
from util.records import Completion, Failure, Request, ending

Checked = TypeVar("Checked")  # what a check makes of an answer that passes


@dataclass(frozen=True)
class Question:
    """Something to ask, and whatever the caller needs to know the answer by."""

    name: str
    prompt: str
    max_tokens: int
    about: Any = None


@dataclass(frozen=True)
class Refused:
    """Why an answer did not pass the check."""

    reason: str


@dataclass
class Answers:
    """What asking cost so far, refused answers included, and what came of it."""

    requests: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    usable: int = 0  # questions with an answer that passed the check
    refused: Counter[str] = field(default_factory=Counter)  # why the last answer did not pass -> questions
    failed: int = 0  # questions that the engine could not get answered
    failure: str = ""  # what it said of the last of these

    def pay_for(self, completion: Completion) -> None:
        self.requests += 1
        self.prompt_tokens += completion.prompt_tokens
        self.completion_tokens += completion.completion_tokens


@dataclass(frozen=True)
class AskedRequest(Request):
    """A request that knows its question; its index says how often that was asked before."""

    question: Question = field(kw_only=True)


def ask(
    engine: Engine,
    questions: Iterable[Question],
    check: Callable[[Question, str], Checked | Refused],
    *,
    reminder: str,
    tries: int,
    answers: Answers,
) -> Iterator[tuple[Question, str, Checked | Refused | Failure]]:
    """Yield each question with the last answer's text and what `check` made of it, as answers come in.

    `check` returns Refused for an answer that will not do; the question is then asked again, with the
    `reminder` ({reason} stands for the reason) behind the prompt, until it was asked `tries` times. What the
    engine could not get answered comes as Failure, never as an answer. `answers` counts all of them.
    """
    under_way = 0  # questions
    again: deque[Request] = deque()

    def requests() -> Iterator[Request | None]:
        nonlocal under_way
        for question in questions:
            while again:
                yield again.popleft()
            under_way += 1
            said = _said(question.prompt)
            yield AskedRequest(question.name, said, 0.0, 0, 0, question.max_tokens, question=question)
        while under_way:  # a question under way may have to be asked again
            yield again.popleft() if again else None

    for request, result in engine.generate(requests()):
        assert isinstance(request, AskedRequest)
        question = request.question
        if isinstance(result, Failure):
            under_way -= 1
            answers.failed, answers.failure = answers.failed + 1, result.message
            yield question, "", result
            continue
        answers.pay_for(result)
        hopeless = result.finish_reason == "prompt_too_long"
        if hopeless:
            verdict: Checked | Refused = Refused("the prompt does not fit into the model's context")
        elif why := ending(result.finish_reason).cut_off:
            verdict = Refused(f"the answer was {why}")
        else:
            verdict = check(question, result.text)
        asked = request.index + 1
        if isinstance(verdict, Refused) and asked < tries and not hopeless:
            reminded = f"{question.prompt}\n\n{reminder.replace('{reason}', verdict.reason)}"
            again.append(replace(request, messages=_said(reminded), index=asked, seed=asked))
            continue
        under_way -= 1
        if isinstance(verdict, Refused):
            answers.refused[verdict.reason] += 1
        else:
            answers.usable += 1
        yield question, result.text, verdict


def _said(prompt: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": prompt}]
