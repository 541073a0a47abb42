"""Where in a response is the answer?"""

from __future__ import annotations

import re

_THOUGHT_ENDS = ("</think>", "<|end_of_thought|>")
_THOUGHT_BEGINS = ("<think>", "<|begin_of_thought|>")
_BOX = re.compile(r"\\f?boxed\s*\{|\\framebox\s*\{")


def solution_part(text: str) -> str | None:
    """The text after the thought; the whole text where there is no thought; None if the thought is
    unclosed."""
    begin = text.rfind("<|begin_of_solution|>")
    if begin >= 0:
        return text[begin + len("<|begin_of_solution|>") :].split("<|end_of_solution|>")[0]
    end = max(text.rfind(mark) + len(mark) if mark in text else -1 for mark in _THOUGHT_ENDS)
    begin = max(text.rfind(mark) for mark in _THOUGHT_BEGINS)
    if begin >= 0 and begin > end:
        return None
    return text[end:] if end >= 0 else text


def last_box(text: str) -> str | None:
    r"""The contents of the last complete, non-empty \boxed{...}; None if there is none."""
    best = None
    for match in _BOX.finditer(text):
        depth = 1
        for i in range(match.end(), len(text)):
            depth += (text[i] == "{") - (text[i] == "}")
            if depth == 0:
                if text[match.end() : i].strip():
                    best = text[match.end() : i].strip()
                break
    return best
