"""Is the chosen option of a response found, and only where one was chosen?"""

import json
import time
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


@pytest.mark.parametrize(
    ("response", "how", "trust"),
    [
        ("So \\boxed{B}", "box", "high"),
        ("<answer>B</answer>", "answer tag", "high"),
        ("The answer is (B).", "declared", "high"),
        ("The answer is B", "declared", "high"),
        ("The answer is A", "declared", "medium"),
        ("It grows there.\n\n**B**\n\nThat is all.", "bold", "medium"),
        ("B. It grows there", "last line", "medium"),
        ("It grows there.\nB", "last line", "medium"),
        ("B", "whole response", "medium"),
        ("That it grows there (B)", "lone letter", "low"),
    ],
)
def test_a_verdict_says_by_which_sign_the_letter_was_found_and_how_far_it_is_trusted(response, how, trust):
    verdict = grade_choice("B", response, options=4, accept="low")
    assert (verdict.how, verdict.trust) == (how, trust)


def test_a_letter_that_the_words_of_an_option_might_go_on_from_is_trusted_less():
    options = ("Berlin", "London", "Paris", "Rome")
    assert grade_choice("B", "The answer is B", options=options).trust == "medium"
    assert grade_choice("B", "The answer is B.", options=options).trust == "high"


def test_a_choice_with_less_trust_than_accepted_is_no_choice():
    assert grade_choice("B", "That it grows there (B)", options=4, accept="low").correct
    assert grade_choice("B", "That it grows there (B)", options=4).reason == "no_answer"
    assert grade_choice("B", "B. It grows there", options=4, accept="medium").correct
    assert grade_choice("B", "B. It grows there", options=4, accept="high").reason == "no_answer"
    assert grade_choice("B", "The answer is B.", options=4, accept="high").correct


@pytest.mark.parametrize(
    "part", ["\n", "answer ", "answer is ", "B is correct ", "A, ", "(A) ", "the one that "]
)
def test_a_text_that_repeats_itself_is_read_at_once(part):
    def seconds():
        started = time.process_time()
        grade_choice("B", f"The answer is {part * 12_000}", options=("a", "b", "c", "d"))
        return time.process_time() - started

    assert any(seconds() < 1 for _ in range(5))  # others may use the caches for a moment


@given(st.text(max_size=200))
@settings(max_examples=200)
def test_no_text_makes_the_grader_raise(text):
    assert grade_choice("A", text, options=5).reason in ("", "wrong_answer", "no_answer", "truncated")
