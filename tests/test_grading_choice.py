"""Is the chosen option of a response found, and only where one was chosen?"""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from util.grading.choice import LETTERS, grade_choice

CASES = [
    json.loads(line)
    for line in (Path(__file__).parent / "cases/choice.jsonl").read_text(encoding="utf-8").splitlines()
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["response"][:40])
def test_the_choice_of_a_response_is_judged(case):
    verdict = grade_choice(case["letter"], case["response"], options=case["options"])
    assert verdict.correct == case["correct"]
    assert verdict.reason == case.get("reason", "" if case["correct"] else verdict.reason)


@pytest.mark.parametrize("count", range(2, 11))
def test_every_letter_of_up_to_ten_options_can_be_chosen(count):
    for letter in LETTERS[:count]:
        for response in (f"\\boxed{{{letter}}}", f"The answer is ({letter}).", letter, f"**{letter}**"):
            assert grade_choice(letter, response, options=count).correct, response


@given(st.text(max_size=200))
@settings(max_examples=200, deadline=None)
def test_no_text_makes_the_grader_raise(text):
    assert grade_choice("A", text, options=5).reason in ("", "wrong_answer", "no_answer", "truncated")
