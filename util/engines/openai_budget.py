"""How does an endpoint keep to a thinking budget?

A server of vLLM may do so itself: `by_its_own` says what its answer shows. Elsewhere the answer is asked for
up to the budget, and `going_on` makes the request that goes on from there, with the thought closed; `joined`
puts the two answers together.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from util.engines.openai_replies import Answer
from util.engines.tokens import TokenCounter
from util.records import Completion, Request
from util.response import CLOSE, closing, opening_of, part

PHRASE_TOKENS = 64  # that a server may put before the mark with which it closes a thought
TOLD_TOKENS = 64  # so long a thought shows in the tokens of the prompt that has it


@dataclass(frozen=True)
class GoingOn:
    """What is asked after an answer that was ended at the budget."""

    request: Request
    begun: str  # thought and answer so far
    is_forced: bool  # whether the thought was still open


def going_on(request: Request, first: Completion, budget: int, *, thinks: bool) -> GoingOn | None:
    """The request that goes on from the `first` answer; None where it is whole, or no token is left.

    `thinks` is False where the model was told not to: a text without marks is then no thought.
    """
    left = request.max_tokens - first.completion_tokens
    is_cut = first.finish_reason == "length" or (
        first.finish_reason == "unknown" and first.completion_tokens >= budget
    )
    if not is_cut or left <= 0 or not (first.text or first.reasoning):  # a thought that nobody sees
        return None
    so_far = f"{request.begun}{first.text}"
    closed = closing(so_far)
    if first.reasoning:
        opening = request.begun if closing(request.begun) else opening_of(CLOSE)
        so_far = f"{opening}{first.reasoning}"
        closed = closing(so_far, otherwise=CLOSE)
        if first.text:
            so_far, closed = f"{so_far}{closed}{first.text}", ""
    elif not closed and thinks:
        marks = part(so_far).marks
        if not marks:  # the chat template has opened the thought, which goes on
            so_far = f"{opening_of(CLOSE)}{so_far}"
            closed = closing(so_far)
        elif marks[0].kind == "close":  # the same, and it has ended
            so_far = f"{opening_of(so_far[marks[0].begin : marks[0].end])}{so_far}"
    begun = so_far + closed
    messages = [message for message in request.messages if message["role"] != "assistant"]
    messages.append({"role": "assistant", "content": begun})
    return GoingOn(replace(request, messages=messages, max_tokens=left), begun, bool(closed))


def with_begun(request: Request, answer: Completion) -> Completion:
    """The answer with the beginning that its request gave it."""
    # A server that takes the thought out of the answer has taken its beginning, too.
    return answer if answer.reasoning else replace(answer, text=request.begun + answer.text)


def joined(first: Completion, then: GoingOn, second: Completion) -> Completion:
    """Both answers as one, with the tokens that both took; a thought stays where the endpoint put it."""
    # A server that takes thoughts out of answers may call all of this one a thought: it sees no mark.
    rest = f"{second.reasoning or ''}{second.text}"
    is_budget = then.is_forced and second.finish_reason == "stop"
    return Completion(
        text=f"{first.text}{rest}" if first.reasoning else f"{then.begun}{rest}",
        finish_reason="budget" if is_budget else second.finish_reason,
        prompt_tokens=first.prompt_tokens + second.prompt_tokens,
        completion_tokens=first.completion_tokens + second.completion_tokens,
        reasoning=first.reasoning,
    )


def is_dropped(first: Completion, second: Completion) -> bool:
    """Whether the tokens of the second prompt show that the server has left the begun answer out."""
    thought, more = first.completion_tokens, second.prompt_tokens - first.prompt_tokens
    return thought >= TOLD_TOKENS and 2 * more < thought


def by_its_own(answer: Answer, budget: int, counter: TokenCounter) -> Answer | None:
    """The answer of a server that was told the budget: None where it has not kept to it."""
    done = answer.completion
    if done.completion_tokens <= budget:
        return answer
    thought = done.reasoning
    if not thought:
        parts = part(done.text)
        ends = [mark.begin for mark in parts.marks if mark.kind == "close"]
        # An answer that goes on may write the closing mark again.
        thought = done.text[: ends[0]] if ends else done.text if parts.is_open else ""
    if answer.thought_tokens:
        count, slack = answer.thought_tokens, 0
    elif counter.encode is not None:
        count, slack = counter.encode(thought), budget // 50 + 1  # a text may be cut into other tokens
    else:
        share = len(thought) / max(1, len(done.reasoning or "") + len(done.text))
        count, slack = round(share * done.completion_tokens), budget // 4
    if count > budget + slack + PHRASE_TOKENS:
        return None
    is_forced = done.finish_reason == "stop" and count >= budget - slack
    return replace(answer, completion=replace(done, finish_reason="budget")) if is_forced else answer
