"""Which option of a multiple-choice problem does a response choose?"""

from __future__ import annotations

import re
from collections.abc import Sequence

from util.grading.answers import last_box, solution_part
from util.records import Verdict

GRADER = "choice-1"


def grade_choice(letter: str, response: str, *, options: int | Sequence[str]) -> Verdict:
    """Whether the response chooses the option `letter` out of `options` (how many, or their texts)."""
    count = options if isinstance(options, int) else len(options)
    valid = "ABCDEFGHIJ"[:count]
    solution = solution_part(response)
    if solution is None:
        return Verdict(False, "truncated", grader=GRADER)
    box = last_box(solution)
    found = re.search(rf"\b([{valid}])\b", box or "")
    if found is None:
        declared = re.findall(rf"answer\s*(?:is|:)?[\s*($]*([{valid}])\b", solution)
        chosen = declared[-1] if declared else None
    else:
        chosen = found.group(1)
    if chosen is None:
        return Verdict(False, "no_answer", grader=GRADER)
    return Verdict(chosen == letter, "" if chosen == letter else "wrong_answer", chosen, grader=GRADER)
