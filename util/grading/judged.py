"""Which answer is a judge, another model, asked about?

`grade_judged` finds it; what the judge says becomes the verdict (`util/generation/model_judge.py`).
"""

from __future__ import annotations

from util.records import NOT_ASKED, Problem, Verdict
from util.response import solution_part

GRADER = "judge-1"
LABEL = "own judge prompt, not comparable with published numbers"


def grade_judged(problem: Problem, response: str) -> Verdict:
    """All that follows the thought; a response without it has no answer, and no judge is asked."""
    answer = (solution_part(response) or "").strip()
    if not answer:
        return Verdict(False, "no_answer", detail="nothing follows the thought", grader=GRADER)
    # Of a text that was cut off this is no sure sign, so that it counts as truncated.
    return Verdict(False, NOT_ASKED, answer, "a judge decides", GRADER, trust="medium")


def grader_name(judge: str, prompt: str) -> str:
    """The grader of what a judge said in reply to a wording, by the hash of that."""
    return f"{GRADER} {judge}, prompt {prompt} ({LABEL})"


def is_of_judge(grader: str) -> bool:
    """Whether a verdict belongs to a run that is graded by a judge."""
    return grader.startswith("judge-")


def said_by_judge(grader: str) -> bool:
    """Whether a judge said a verdict: others are of texts without an answer."""
    return is_of_judge(grader) and " " in grader
