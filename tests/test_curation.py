"""Is no question kept twice, none of a benchmark, and of each problem what the rule says?"""

import numpy as np
import pytest
from helpers import ROOT, json_lines

from util.training.curation import (
    Candidate,
    Candidates,
    NearDuplicates,
    first_of_each,
    keep_per_problem,
    question_digest,
    repeated_share,
)
from util.training.questions import read_question

SHARED = ROOT.parent / "shared" / "data" / "cases" / "training_data.jsonl"
LONG = (
    "A farmer walks around his rectangular field every morning and counts the steps along each of the four "
    "sides before breakfast, and on Sunday he finds that the longer side has 30 steps more than the other."
)


def candidates(*samples: tuple[int, int, int]) -> Candidates:
    """From (group, tokens, rank)."""
    found = Candidates()
    for number, (group, tokens, rank) in enumerate(samples):
        found.add(
            Candidate(origin=0, sample=number, problem=0, formatted=-1, group=group, rank=rank, tokens=tokens)
        )
    return found


@pytest.mark.parametrize(
    ("rule", "kept"),
    [("shortest", {1, 3}), ("longest", {0, 3}), ("random", {2, 3}), (2, {1, 2, 3}), ("all", {0, 1, 2, 3})],
)
def test_the_keep_rule_chooses_among_the_samples_of_a_problem(rule, kept):
    samples = candidates((5, 300, 30), (5, 100, 20), (5, 200, 10), (9, 50, 40))
    assert set(keep_per_problem(samples, rule).tolist()) == kept


def test_nothing_is_kept_of_nothing():
    assert len(keep_per_problem(Candidates(), "shortest")) == 0


def test_white_space_makes_no_other_question():
    assert question_digest("What is  1 + 1?\n") == question_digest("What is 1 + 1?")
    assert question_digest("What is 1 + 1?") != question_digest("What is 1 + 2?")


def test_of_equal_questions_the_first_by_priority_stays():
    kept = first_of_each(np.array([4, 4, 7, 4]), np.array([2, 1, 3, 0]))
    assert kept.tolist() == [False, False, True, True]


def near_duplicates(*questions: str) -> list[bool]:
    near = NearDuplicates(len(questions))
    for number, question in enumerate(questions):
        near.set_signatures(slice(number, number + 1), *near.signature(read_question(question)))
    everything = np.ones(len(questions), bool)
    return near.dropped(everything, np.arange(len(questions))).tolist()


def test_a_question_with_one_other_word_is_a_near_duplicate():
    assert near_duplicates(LONG, LONG.replace("farmer", "teacher"), "Something else entirely?") == [
        False,
        True,
        False,
    ]


def test_a_question_with_another_number_is_another_question():
    assert near_duplicates(LONG, LONG.replace("30", "31")) == [False, False]


CHINESE = "一位农民每天早上绕着他的长方形田地走一圈，并在早饭前数出四条边各有多少步，长边比短边多30步。"


def test_near_duplicates_are_found_in_chinese_by_characters():
    questions = CHINESE, CHINESE.replace("农民", "老师"), CHINESE.replace("30", "31"), "小明有多少个苹果？"
    assert near_duplicates(*questions) == [False, True, False, False]


def test_a_repeated_passage_is_found_in_text_without_blanks():
    assert repeated_share(CHINESE) == 0
    assert repeated_share(CHINESE * 3) > 0.5
    for sentence in (
        "等等，让我再核对一遍这个式子。",
        "もう一度確かめてみよう。",
        "다시 한번 확인해 보자. ",
        "Wait, once more. ",
    ):
        assert repeated_share(sentence * 500) >= 0.9


def test_signs_and_capitals_make_no_other_question():
    assert near_duplicates(LONG, LONG.upper().replace(",", " -")) == [False, True]


def test_a_question_without_words_has_a_place_too():
    assert near_duplicates("?", "!", LONG) == [False, True, False]


def test_many_near_duplicates_leave_one():
    questions = [LONG.replace("breakfast", word) for word in ("tea", "lunch", "dinner", "work", "school")]
    assert near_duplicates(*questions).count(False) == 1


def test_a_repeated_passage_shows():
    once = " ".join(map(str, range(100)))
    assert repeated_share(once) == 0
    assert repeated_share(f"{once} {once}") > 0.4
    assert repeated_share("short") == 0


ROOTS = (
    "The roots of $x^2-7x+10=0$ are $p$ and $q$ and both of them are positive whole numbers. "
    "Find the {} of $p$ and $q$."
)
PENS = "{} sells 12 pens at 3 dollars. {} sells 15 pens at 2 dollars. What do both shops take in together?"
PENS_SWAPPED = (
    "A second shop sells 15 pens at 2 dollars. A shop sells 12 pens at 3 dollars. "
    "What do both shops take in together?"
)
CROWD = (
    "A crowd of 12 men, 7 women and 31 children waits for {} 2 buses that arrive within an hour. "
    "How many people wait? Explain it in a sentence or in two."
)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (
            PENS.format("A shop", "A second shop"),
            PENS_SWAPPED,
        ),
        ("Which number is prime?\n21\n27\n29\n33", "Which number is prime?\n29\n33\n21\n27"),
        ("Which is prime?\n(A) 21 (B) 27 (C) 29", "Which is prime?\n(A) 29 (B) 21 (C) 27"),
        (
            "Find the median of the numbers 3, 19, 4 and 11.",
            "Find the median of the numbers 11, 3, 4, and 19.",
        ),
        (
            r"Compute $\frac{\sqrt{3}}{2} \cdot 45^\circ$ of it.",
            r"Compute \(\dfrac{\sqrt3}2\times 45^{\circ}\) of it.",
        ),
        ("Solve $x^2 \\le 6{,}000$ for $x$.", "Solve x² ≤ 6,000 for x."),
        (ROOTS.format("sum"), "Solve the following problem. " + ROOTS.format("sum")),
        (
            "小红有15支铅笔，给了弟弟4支，又买了7支，现在她一共有多少支铅笔？请写出算式。",
            "小红有15支铅笔，给了弟弟4支，又买了7支，现在她一共有多少支铅笔？",
        ),
    ],
)
def test_order_and_spelling_make_no_other_question(first, second):
    assert near_duplicates(first, second) == [False, True]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("sum", "product"),
        ("smallest", "largest"),
        ("minimum", "maximum"),
        ("even", "odd"),
        ("more", "fewer"),
        ("at least", "at most"),
        ("minutes", "hours"),
        ("area", "perimeter"),
        ("positive", "negative"),
        ("true", "false"),
    ],
)
def test_an_opposite_makes_another_question(one, other):
    assert near_duplicates(CROWD.format(one), CROWD.format(one)) == [False, True]
    assert near_duplicates(CROWD.format(one), CROWD.format(other)) == [False, False]
    both = f"{CROWD} There is {one} and there is {other}, too."
    assert near_duplicates(both.format(one), both.format(other)) == [False, False]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (ROOTS.format("sum"), ROOTS.format("sum").replace("7x+10", "10x+7")),
        (ROOTS.format("sum"), ROOTS.format("sum").replace("-7x", "+7x")),
        (ROOTS.format("sum"), ROOTS.format("cubes")),
        (
            "一个长方形长15米，宽7米，求它的面积是多少平方米？",
            "一个长方形长15米，宽7米，求它的周长是多少平方米？",
        ),
        ("Which of these is true?\nup\ndown", "Which of these is true?\nleft\nright"),
    ],
)
def test_other_formulas_goals_and_options_make_another_question(first, second):
    assert near_duplicates(first, second) == [False, False]


@pytest.mark.skipif(not SHARED.is_file(), reason=f"no cases at {SHARED}")
def test_the_cases_of_near_duplicates_seen_in_practice():
    for case in json_lines(SHARED):
        if case["area"] == "dedup near":
            duplicate = near_duplicates(case["first"], case["second"])[1]
            assert duplicate == (case["right"] == "duplicate"), case
