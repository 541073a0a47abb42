"""Is no question kept twice, none of a benchmark, and of each problem what the rule says?"""

import numpy as np
import pytest

from util.training.curation import (
    BenchmarkText,
    Candidate,
    Candidates,
    NearDuplicates,
    first_of_each,
    keep_per_problem,
    question_digest,
    repeated_share,
    words_of,
)

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
        near.set_signatures(slice(number, number + 1), *near.signature(words_of(question)))
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


def test_a_passage_in_chinese_is_shown_as_it_stands_in_the_question():
    text = BenchmarkText()
    text.add("AIME", "1", CHINESE)
    text.close()
    found = text.find("题目：并在早饭前数出四条边各有多少步，长边比短边多30步！求面积。")
    assert found.text == "并在早饭前数出四条边各有多少步，长边比短边多30步"


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


def benchmark(*questions: str) -> BenchmarkText:
    text = BenchmarkText()
    for number, question in enumerate(questions):
        text.add("AIME", str(number), question)
    text.close()
    return text


def test_a_shared_passage_is_found_and_shown():
    found = benchmark(LONG).find("Now for something else. " + LONG[30:160].upper() + " How come?")
    assert (found.benchmark, found.problem_id) == ("AIME", "0")
    assert found.text in LONG[30:160].upper()
    assert len(found.text.split()) >= 13


def test_twelve_words_in_common_are_no_copy():
    twelve = " ".join(LONG.split()[:12])
    assert benchmark(LONG).find(f"{twelve} and then something else happens to everybody there") is None
    thirteen = " ".join(LONG.split()[:13])
    assert benchmark(LONG).find(f"{thirteen} something else happens") is not None


def test_a_short_benchmark_question_is_found_as_a_whole_only():
    text = benchmark("What is 2 + 2?")
    assert text.find("what is 2+2") is not None
    assert text.find("What is 2 + 2 times 3?") is None


def test_a_form_of_speech_of_many_problems_is_no_copy():
    speech = (
        "The answer can be written as m/n where m and n are relatively prime positive integers, find m+n."
    )
    text = benchmark(*(f"Problem about {thing}. {speech}" for thing in ("dice", "cards", "coins", "urns")))
    assert text.find(f"A new one about circles. {speech}") is None
    assert text.find(f"Problem about dice. {speech}") is not None


def test_a_repeated_passage_shows():
    once = " ".join(map(str, range(100)))
    assert repeated_share(once) == 0
    assert repeated_share(f"{once} {once}") > 0.4
    assert repeated_share("short") == 0
