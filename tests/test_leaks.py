"""Is a benchmark's question found in the pool however it is written, and is nothing else taken for one?"""

import os
import re
import subprocess
import sys

import pytest
from helpers import ROOT, json_lines

from util.training.leaks import PASSAGES, POOL_SPEECH, REWORDING, SAME, BenchmarkText
from util.training.questions import read_question

SHARED = ROOT.parent / "shared" / "data" / "cases" / "training_data.jsonl"
CASES = json_lines(ROOT / "tests" / "cases" / "leaks.jsonl")
OWN = [case for case in CASES if "benchmark" in case]
LONG = (
    "A farmer walks around his rectangular field every morning and counts the steps along each of the four "
    "sides before breakfast, and on Sunday he finds that the longer side has 30 steps more than the other."
)
CHINESE = "一位农民每天早上绕着他的长方形田地走一圈，并在早饭前数出四条边各有多少步，长边比短边多30步。"
SPEECH = "where $m$ and $n$ are relatively prime positive integers. Find $m+n$."


def benchmark(*questions: str, ngram: int | None = None) -> BenchmarkText:
    text = BenchmarkText(ngram)
    for number, question in enumerate(questions):
        text.add("AIME", str(number), question)
    text.close()
    return text


@pytest.fixture(scope="module")
def several() -> BenchmarkText:
    """The suite's own problems and those of the cases: words are as rare as in benchmarks."""
    warmup = [row["question"] for row in json_lines(ROOT / "tasks" / "warmup.jsonl")]
    answers = {case["benchmark"]: case.get("benchmark_answer") for case in OWN}
    text = BenchmarkText()
    for number, question in enumerate((*answers, *warmup, LONG)):
        text.add("AIME", str(number), question, answer=answers.get(question))
    text.close()
    return text


def test_a_copy_is_shown_as_it_stands(several):
    leak = several.find(f"  {LONG.upper()}\n")
    assert (leak.how, leak.score, leak.passages) == (SAME, 1.0, (LONG.upper(),))


def test_shared_passages_are_shown_with_the_share_that_they_make_up(several):
    leak = several.find("Now for something else. " + LONG[:160].upper() + " How come?")
    assert (leak.benchmark, leak.how) == ("AIME", PASSAGES)
    assert 0.6 < leak.score < 1
    assert leak.passages[0].startswith("a farmer walks around his rectangular field")


def test_a_passage_that_is_little_of_both_questions_is_no_leak(several):
    thirteen = " ".join(LONG.split()[:13])
    rest = "until the sun sets behind the hills, and his dog runs after him with a stick that weighs 3 pounds"
    assert several.find(f"{thirteen} {rest}, which it found near the river. How heavy is the dog?") is None


def test_part_of_a_benchmark_question_is_a_leak_and_so_is_one_that_holds_all_of_it(several):
    half = LONG[: LONG.index(", and on Sunday")]
    assert several.find(half).how == PASSAGES
    more = (
        "Read the following text and answer in one word, as a teacher would in a school of the last century."
    )
    assert several.find(f"{more} {LONG} {more.replace('one', 'a')}").how == PASSAGES


@pytest.mark.parametrize(
    "edit",
    [
        lambda text: text,
        str.upper,
        lambda text: re.sub(r"[.,?](?!\d)", " ", text),
        lambda text: text.replace("$", r"\(", 1).replace("$", r"\)"),
        lambda text: text.replace(r"\frac", r"\dfrac").replace("{3}", "3").replace(r"\circ", r"{\circ}"),
        lambda text: f"Solve this problem. {text}",
        lambda text: f"{text} Explain your answer.",
        lambda text: text.replace(" the ", " this "),
        lambda text: " ".join(word for at, word in enumerate(text.split()) if at % 9 != 8),
        lambda text: "\n".join(text.split(". ")[::-1]),
    ],
    ids="none capitals signs dollars latex before behind word dropped sentences".split(),
)
def test_every_copy_and_light_edit_is_found(several, edit):
    questions = dict.fromkeys(case["benchmark"] for case in OWN)
    missed = [question for question in questions if several.find(edit(question)) is None]
    assert not missed


def test_a_copy_that_calls_its_unknowns_otherwise_is_found(several):
    text = benchmark(
        *(case["benchmark"] for case in OWN), r"Let $x, y, z > 0$ with $xyz = 2$. Minimize $x^4 + 4y^2$."
    )
    assert text.find(r"Let $a, b, c > 0$ with $abc = 2$. Minimize $a^4 + 4b^2$.").how == PASSAGES
    assert text.find(r"Let $a, b, c > 0$ with $a+b = 7c$. Minimize $5a + b^3 + 9c$.") is None


def test_four_in_five_rewordings_with_the_same_numbers_are_found(several):
    rewordings = [case["training"] for case in OWN if case["leak"]]
    found = [leak for leak in map(several.find, rewordings) if leak is not None]
    assert len(rewordings) >= 30
    assert len(found) >= 0.8 * len(rewordings)
    assert {leak.how for leak in found} == {REWORDING}


def test_the_numbers_in_common_and_the_score_of_a_rewording_are_shown(several):
    leak = several.find(
        "How far from the middle of a circle with radius 13 does a chord lie that is 24 long?"
    )
    assert (leak.how, leak.numbers, leak.passages) == (REWORDING, ("13", "24"), ())
    assert 0.3 < leak.score < 1


CHORD = "How far from the middle of a circle with radius 13 does a chord lie that is 24 long?"


@pytest.mark.parametrize("answer", [None, "5", r"\boxed{5}", "5.0", r"5\sqrt{2}", r"\frac{7}{2}", "3.5", "B"])
def test_an_answer_of_another_form_may_be_that_of_a_rewording(several, answer):
    assert several.find(CHORD, answer=answer).how == REWORDING


@pytest.mark.parametrize("answer", ["12", "$12$", r"1{,}200", "-5"])
def test_a_question_in_other_words_with_another_whole_number_as_its_answer_is_another_one(several, answer):
    assert several.find(CHORD, answer=answer) is None


def test_a_near_copy_is_a_leak_whatever_its_answer(several):
    maya = next(case["benchmark"] for case in OWN if case["benchmark"].startswith("Maya"))
    for question in (LONG, maya, maya.replace("18", "21")):
        assert several.find(question, answer="99999") is not None, question


def test_the_answers_keep_a_third_more_of_the_other_problems(several):
    others = [case for case in OWN if not case["leak"]]
    by_text = sum(several.find(case["training"]) is not None for case in others)
    by_answer = sum(several.find(case["training"], answer=case.get("answer")) is not None for case in others)
    assert by_answer <= by_text * 2 / 3


def test_a_problem_with_the_opposite_word_is_another_one(several):
    text = one_of_many("Find the sum of all divisors of 36 that are larger than 4 and smaller than 30.")
    assert text.find("Larger than 4, smaller than 30, divisors of 36: what is the sum of these?") is not None
    assert text.find("Larger than 4, smaller than 30, divisors of 36: what is the product of these?") is None


def one_of_many(question: str) -> BenchmarkText:
    return benchmark(question, *dict.fromkeys(case["benchmark"] for case in OWN))


@pytest.mark.parametrize(
    "thing", ["A tank leaks through two holes. The share left is", "Two cards are drawn with odds"]
)
def test_a_form_of_speech_of_many_problems_is_no_leak(thing):
    text = benchmark(
        *(f"Problem about {about}: $\\frac{{m}}{{n}}$, {SPEECH}" for about in ("dice", "cups", "urns", "ink"))
    )
    assert text.find(f"{thing} $\\frac{{m}}{{n}}$, {SPEECH}") is None
    assert text.find(f"Problem about dice: $\\frac{{m}}{{n}}$, {SPEECH}") is not None


def test_a_form_of_speech_of_the_pool_is_no_leak():
    """Where only one benchmark problem has it, the pool tells."""
    story = (
        "Roll a die until six shows up, and then roll all dice that you have got once more, unless it rains."
    )
    text = benchmark(f"{story} The chance of a rainy day is $\\frac{{m}}{{n}}$, {SPEECH}", LONG, CHINESE)
    suspect = f"Urns: $\\frac{{m}}{{n}}$, {SPEECH}"
    assert text.look(read_question(suspect)).suspect
    for number in range(POOL_SPEECH):
        story = " ".join(f"word{letter}{number}" for letter in "abcdefghijklmnopqrstuvw")
        looked = text.look(read_question(f"{story} $\\frac{{m}}{{n}}$, {SPEECH}"))
        assert not looked.suspect
        text.note_speech(looked.speech)
    assert text.find(suspect) is not None
    text.heed_speech()
    assert text.find(suspect) is None


def test_chinese_is_compared_by_characters():
    leak = benchmark(CHINESE, LONG).find("题目：并在早饭前数出四条边各有多少步，长边比短边多30步！求面积。")
    assert leak.how == PASSAGES
    assert "并在早饭前数出四条边各有多少步长边比短边多30步" in leak.passages


def test_a_question_of_a_few_words_is_found_as_a_whole_only():
    text = benchmark("What is 2 + 2?")
    assert text.find("what is 2+2") is not None
    assert text.find("What is 2 + 2 times 3?") is None


@pytest.mark.parametrize("question", ["", "?", "$$", "7", "的"])
def test_questions_of_hardly_a_word_are_read(several, question):
    assert several.find(question) is None
    text = benchmark(question)
    assert text.find("What is the sum of 3 and 5?") is None
    assert benchmark().find(question) is None


def test_the_old_rule_counts_words_in_a_row_and_nothing_else():
    text = benchmark(LONG, ngram=13)
    words = LONG.split()
    thirteen, twelve = " ".join(words[:13]), " ".join(words[:12])
    assert text.find(f"{twelve} and then something else happens to everybody there") is None
    leak = text.find(f"{thirteen} something else happens, and so it goes on for a very long time indeed")
    assert (leak.how, leak.passages) == (PASSAGES, (thirteen.lower(),))
    assert (
        text.find("On Sunday the longer side has 30 steps more, and a farmer walks around a field.") is None
    )


@pytest.mark.parametrize("signs", ["\n", "\\", "{", "\\frac{", "(", "-", "1,234,", "a. ", "\ud800"])
def test_any_number_of_signs_is_read_in_no_time(signs):
    """A rule that looks back over the whole text would take minutes."""
    assert read_question(signs * 50_000).asked == []


@pytest.mark.skipif(not SHARED.is_file(), reason=f"no cases at {SHARED}")
def test_the_cases_seen_in_practice():
    for case in (case for case in json_lines(SHARED) if case["area"] == "decontaminate"):
        leak = one_of_many(case["benchmark"]).find(case["training"])
        assert (leak is not None) == case["right"], case


def test_what_is_found_is_the_same_in_every_process():
    script = (
        "import sys; sys.path[:0] = ['.', 'tests']; from test_leaks import CASES, OWN, BenchmarkText\n"
        "text = BenchmarkText()\n"
        "for one in dict.fromkeys(case['benchmark'] for case in OWN): text.add('AIME', one, one)\n"
        "text.close(); print(text._known.tolist(), [text.find(case['training']) for case in CASES])"
    )
    told = [
        subprocess.run(
            [sys.executable, "-c", script],
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    ]
    assert told[0] == told[1] and "Leak(" in told[0]
