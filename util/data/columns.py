"""What may the columns of rows that strangers wrote be called?

`NAMES` is the table, `value_at` reads a column.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# What a column may be called, the likeliest name first; "a.b" is b within a.
NAMES = {
    "question": "question problem prompt question_content input query instruction task text messages",
    "answer": "answer final_answer expected_answer reference_answer correct_answer correct_option "
    "ground_truth gold target label answer_index answerkey reward_model.ground_truth solution output "
    "response",
    "options": "options choices",
    "tests": "input_output tests test_cases test test_list",
    "setup": "test_imports test_setup_code",
    "starter": "starter_code",
    "function": "fn_name function_name entry_point",
    "id": "id problem_id question_id unique_id task_id uid _id idx",
}


def value_at(row: Mapping[str, Any], name: str) -> Any:
    """The value of a column; "a.b" is b within a."""
    if name in row or "." not in name:
        return row.get(name)
    outer, _, inner = name.partition(".")
    within = row.get(outer)
    return value_at(within, inner) if isinstance(within, Mapping) else None
