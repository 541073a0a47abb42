"""Is the answer of a response found where it stands?"""

import time

import pytest

from util.grading.maths.answers import find_answer, last_box
from util.grading.maths.numbers import number_word, plain_number


def test_the_last_complete_box_that_holds_something_counts():
    assert last_box(r"\boxed{1} and \boxed{\frac{1}{2}} or \boxed{} \boxed{3") == r"\frac{1}{2}"


def test_a_text_without_a_complete_box_has_none():
    assert last_box(r"\boxed{12") is None
    assert last_box("boxed") is None


def test_escaped_braces_do_not_close_a_box():
    assert last_box(r"\boxed{\{1, 2\}}") == r"\{1, 2\}"


def test_a_box_may_hold_a_box():
    assert last_box(r"\boxed{\text{so } \boxed{5}}") == r"\text{so } \boxed{5}"


def test_the_last_number_is_marked_as_a_last_resort():
    assert find_answer("so it makes 12 and then 15 apples").how == "last number"


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        (r"It is 12, then 15, so \boxed{3", None),
        (r"It is 12, then 15, so \boxed{", None),
        (r"It is 12, then 15, so the box is empty", "15"),
        (r"The answer is 15. So \boxed{3", "15"),  # said in words before
    ],
)
def test_the_numbers_before_a_box_that_was_cut_off_are_no_answer(text, answer):
    found = find_answer(text)
    assert (found and found.text) == answer


def test_boxes_joined_by_the_text_are_one_list():
    assert find_answer(r"$\boxed{1}$ and $\boxed{2}$").text == "1, 2"
    assert find_answer(r"$\boxed{1}$. No, wait, it is rather this: $\boxed{2}$").text == "2"


def test_words_are_numbers():
    assert number_word("three hundred and five") == 305
    assert number_word("minus twenty-one") == -21
    assert number_word("two million") == 2_000_000
    assert number_word("five six") is None
    assert number_word("hello") is None


def test_a_plain_number_keeps_what_was_written():
    assert plain_number("1,234.50").places == 2
    assert plain_number("50%").percent
    assert plain_number("1,23") is None
    assert plain_number("1/0") is None


@pytest.mark.parametrize(
    ("text", "trust"),
    [
        ("The answer is $42$", "high"),
        ("The answer is 42.", "high"),
        ("The answer is **42**", "high"),
        ("The answer is 42", "medium"),  # more digits may have been to come
    ],
)
def test_a_declared_answer_is_trusted_when_its_end_is_seen(text, trust):
    found = find_answer(text)
    assert (found.text, found.trust) == ("42", trust)


def test_thousands_of_letters_without_a_blank_take_no_seconds():
    started = time.process_time()
    assert find_answer("a" * 11_999 + "7").trust == "medium"
    assert time.process_time() - started < 3
