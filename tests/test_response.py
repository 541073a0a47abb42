"""Is it known once, and rightly, where a thought ends and which program is run?"""

import json
import time
from pathlib import Path

import pytest
from helpers import takes_at_most
from hypothesis import example, given, settings
from hypothesis import strategies as st
from test_code_grading import ADD, SUM

from util.engines.tokens import estimate_tokens
from util.grading.choice import grade_choice
from util.grading.code import grade_code
from util.grading.maths import grade_maths
from util.records import Record, Sample
from util.response import (
    END_SOLUTION,
    MARKERS,
    before_other_problems,
    blocks,
    join_parts,
    opened_thought,
    part,
    program,
    solution_part,
    split_parts,
    units,
    without_end_of_turn,
    without_turn_tokens,
)
from util.training.formatting import Formatted, format_by_rule
from util.training.pairs.attempts import slices_of

CASES = Path(__file__).resolve().parent / "cases" / "responses.jsonl"
HARMONY = "<|start|>assistant<|channel|>final<|message|>"
# name -> what opens a thought, what closes it
FAMILIES = {
    **{
        name: (f"<{name}>", f"</{name}>")
        for name in ("think", "thinking", "thought", "reasoning", "seed:think")
    },
    "THINK": ("[THINK]", "[/THINK]"),
    "kimi": ("◁think▷", "◁/think▷"),
    "gemma": ("<|channel>thought\n", "<channel|>"),
    "gpt-oss": ("<|channel|>analysis<|message|>", f"<|end|>{HARMONY}"),
    "stripped gpt-oss": ("analysis", "assistantfinal"),
    "markers": ("<|begin_of_thought|>", "<|end_of_thought|>"),
    "upper": ("<THINK>", "</Think>"),
}
TAGS = {name: marks for name, marks in FAMILIES.items() if "gpt-oss" not in name}
WRITTEN = {
    **TAGS,
    "gpt-oss": FAMILIES["gpt-oss"],
}  # those that stand in text; letters alone are no mark there
CODE = f"```python\n{ADD}\n```"
WRONG_CODE = "```python\nprint(0)\n```"


def cases(kind):
    lines = [json.loads(line) for line in CASES.read_text(encoding="utf-8").splitlines()]
    return [
        pytest.param(case, id=f"{number}: {case['why']}") for number, case in enumerate(lines) if kind(case)
    ]


def verdicts(thought_and, opening, closing):
    """What the three graders say of responses that hold a wrong answer in the thought, a right one behind."""
    graders = (
        ("\\boxed{5}, no. ", "The answer is 7.", lambda text: grade_maths("7", text, symbolic=False)),
        ("\\boxed{A}, no. ", "The answer is B.", lambda text: grade_choice("B", text, options=4)),
        (f"\n{WRONG_CODE}\n", f"\n{CODE}", lambda text: grade_code(SUM, text)),
    )
    return [grade(thought_and(opening, closing, f"Hm. {wrong}", right)) for wrong, right, grade in graders]


def run(text):
    """The program that a grader would run in a response."""
    solution = solution_part(text)
    found = None if solution is None else program(solution)
    return None if found is None else found.code


# --- case files ---


@pytest.mark.parametrize("case", cases(lambda case: case.get("grader") == "maths"))
def test_a_maths_response_is_judged_by_what_stands_behind_its_thought(case):
    verdict = grade_maths(case["gold"], case["response"], symbolic=False)
    assert verdict.correct == case["correct"], verdict


@pytest.mark.parametrize("case", cases(lambda case: case.get("grader") == "choice"))
def test_a_letter_is_read_behind_the_thought(case):
    verdict = grade_choice(case["gold"], case["response"], options=case["options"])
    assert verdict.correct == case["correct"], verdict


@pytest.mark.parametrize("case", cases(lambda case: "solution" in case))
def test_the_solution_is_what_stands_behind_the_thought(case):
    assert solution_part(case["response"]) == case["solution"]


@pytest.mark.parametrize("case", cases(lambda case: "program" in case))
def test_the_program_is_the_block_that_a_grader_would_run(case):
    found = program(case["response"])
    assert (None if found is None else found.code) == case["program"]


# --- every family of marks, every situation, every grader ---


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(
    "text",
    [
        lambda opening, closing, thought, right: f"{opening}{thought}{closing}{right}",
        lambda opening, closing, thought, right: f"\n{opening}\n{thought}\n{closing}\n\n{right}",
        lambda opening, closing, thought, right: (
            f"{opening}{thought}{closing}{opening}{thought}{closing}{right}"
        ),
        lambda opening, closing, thought, right: f"{opening}{thought}{closing}{right}<|im_end|>\n",
        lambda opening, closing, thought, right: (
            f"{opening}an unclosed fence\n```\n{thought}\n{closing}\n{right}"
        ),
    ],
    ids=["closed", "on lines of their own", "repeated", "end of turn", "fence within the thought"],
)
def test_a_closed_thought_is_not_graded(family, text):
    opening, closing = FAMILIES[family]
    assert all(verdict.correct for verdict in verdicts(text, opening, closing))


@pytest.mark.parametrize("family", TAGS)
def test_a_closing_mark_is_enough(family):
    found = verdicts(lambda _, closing, thought, right: f"{thought}{closing}{right}", *FAMILIES[family])
    assert all(verdict.correct for verdict in found)


@pytest.mark.parametrize("family", TAGS)
def test_a_thought_within_a_thought_ends_with_the_outer_one(family):
    opening, closing = FAMILIES[family]
    text = f"{opening}a{opening}b{closing}\\boxed{{5}}{closing}The answer is 7."
    assert grade_maths("7", text).correct and part(text).thought.split() == ["a", "b", "\\boxed{5}"]


@pytest.mark.parametrize("family", WRITTEN)
@pytest.mark.parametrize(
    "text",
    [
        lambda opening, closing, thought, right: f"{opening}{thought}{right}",
        lambda opening, closing, thought, right: f"{opening}{thought}{closing}{opening}{right}",
        lambda opening, closing, thought, right: f"{opening}{thought}{closing}{right}\n{opening}But wait.",
        lambda opening, closing, thought, right: f"{opening}{opening}{thought}{right}",
    ],
    ids=["once", "the second", "behind the solution", "opened twice"],
)
def test_all_say_of_every_family_that_a_thought_is_not_closed(family, text):
    opening, closing = FAMILIES[family]
    for verdict in verdicts(text, opening, closing):
        assert not verdict.correct and verdict.reason == "truncated"
        assert verdict.detail == "the thought is not closed"
    whole = text(opening, closing, "Hm.", "So 7.")
    assert format_by_rule(whole).reason == "the thought is not closed" and format_by_rule(whole).hopeless
    assert part(whole).is_open and slices_of(whole).solution == ""


@pytest.mark.parametrize("text", ["analysis{}{}", "analysis{}assistantfinal{}assistantanalysisBut wait."])
def test_the_thought_of_gpt_oss_may_be_open_without_special_tokens(text):
    found = verdicts(lambda opening, closing, thought, right: text.format(thought, right), "", "")
    assert {verdict.reason for verdict in found} == {"truncated"}


@pytest.mark.parametrize("family", WRITTEN)
def test_a_thought_that_a_prompt_opens_is_told(family):
    opening, closing = FAMILIES[family]
    opened = opened_thought(f"Why?<|im_end|>\n<|im_start|>assistant\n{opening}\n")
    assert opened == f"{opening.rstrip()}\n" and part(f"{opened}It is 7.").is_open
    assert opened_thought(f"<|im_start|>assistant\n{opening}\n\n{closing}\n\n") == ""
    assert opened_thought(f"What is the {opening} tag?") == opened_thought("") == ""


@pytest.mark.parametrize("family", WRITTEN)
@pytest.mark.parametrize(
    "sentence",
    [
        "The {0} tag opens it.",
        "Write {0} and {1} around the thought.",
        "It stands between {0} marks.",
        "Recall {0} and {1} here.",
        "Nobody ever saw {0}, it seems.",
        "It is ``a ` {0} b`` here.",
        "Models use tags like {0}, and others.",
        "It is `{0}` here.",
        "It is `{0}...{1}` here.",
        "It is \"{0}\" or '{1}' here.",
        "It is “{1}” here.",
        "Call `s.split('{1}')` first.",
        "```\n{0}\n```",
        "```python\ns = r'{1}'\n```",
        "> ```\n> {0}\n> ```",
        "Use `re.sub('{0}.*?{1}', '', s)` here.",
        "Here:\n\n~~~\nprompt = f'''\n{0}\n{{thought}}\n{1}\n'''\n~~~",
    ],
)
def test_a_mark_that_is_only_spoken_of_is_none(family, sentence):
    opening, closing = (mark.strip() for mark in WRITTEN[family])
    said = sentence.format(opening, closing, thought="{thought}")
    assert not part(said).marks
    for text in (
        f"{said}\n\nThe answer is 7.",
        f"The answer is 7.\n\n{said}",
        f"<think>{said}</think>It is 7.",
    ):
        assert grade_maths("7", text).correct and not part(text).is_open
    assert part(f"<think>\n{said}").is_open
    assert run(f"{said}\n\n{CODE}") == run(CODE)
    assert grade_choice("B", f"{said}\n\nThe answer is B.", options=4).correct


@pytest.mark.parametrize("prose", ["of 7", ": 7", "\n\nIt is 7", " 7", ". So 7", "is 7", "isn't 7", ""])
def test_prose_that_begins_with_the_word_analysis_is_no_channel(prose):
    for text in (f"analysis{prose}", f"Analysis{prose}", f" analysis{prose} and assistantfinal tokens"):
        assert solution_part(text) == text.strip()


# --- parts ---


def test_parts_joined_are_split_again_and_read_alike():
    text = join_parts("I think.", "    ```python\n    x\n    ```")
    assert split_parts(text) == ("I think.", "    ```python\n    x\n    ```")
    assert solution_part(text) == split_parts(text)[1] and part(text).thought.strip() == "I think."
    assert split_parts(text + "more") is None and split_parts(text * 2) is None


def test_the_thought_of_a_formatted_text_ends_at_its_marker_whatever_it_holds():
    for thought in ("a\n</think>\n```\nx", "```\n[THINK]\n```\n<think>b\n~~~\nx", "> ```\n> `<|end|>"):
        parts = part(join_parts(thought, "It is 7."))
        assert "_of_thought" not in parts.thought and parts.solution == "It is 7."


def test_text_behind_the_solution_is_neither_graded_nor_lost():
    text = f"{join_parts('a', 'It is 7.')}\n\nNext: 8."
    assert grade_maths("7", text).correct and part(text).behind == "Next: 8."
    assert part(f"a{END_SOLUTION}{END_SOLUTION}<|im_end|>").behind == ""


def test_the_tokens_that_end_a_turn_are_no_text():
    assert without_end_of_turn("a <|return|>\n</s> <｜end▁of▁sentence｜>") == "a"
    assert without_turn_tokens("a<turn|>b") == "a\nb"
    assert grade_code(SUM, f"{CODE}<|im_end|>").correct


def test_a_program_for_the_next_turn_of_a_user_is_not_run():
    turn = "<|im_end|>\n<|im_start|>user\nNext?<|im_end|>\n<|im_start|>assistant\n<think>b</think>"
    assert grade_code(SUM, f"<think>a</think>{CODE}{turn}{WRONG_CODE}").correct
    assert not grade_code(SUM, f"<think>a</think>{WRONG_CODE}{turn}{CODE}").correct
    turn = "</s><s>[INST] Next? [/INST]\n"
    assert grade_code(SUM, f"{CODE}{turn}{WRONG_CODE}").correct
    assert not grade_code(SUM, f"{WRONG_CODE}{turn}{CODE}").correct


@pytest.mark.parametrize("fence", ["```", "~~~", "````"])
def test_a_program_is_run_as_a_whole_whatever_turns_it_writes_or_the_text_speaks_of(fence):
    program = CODE.replace("```python\n", "```python\nturn = '''<|im_start|>user\n[INST]'''\n")
    assert program != CODE
    program = program.replace("```", fence)
    for thought in ("", "<think>a</think>", "The prompt has [INST] in it.\n</think>"):
        for spoken in ("", "The prompt has a stray [INST] tag.", "It ends with `<|user|>`."):
            assert grade_code(SUM, f"{thought}{spoken}\n\n{program}").correct


@pytest.mark.parametrize(
    "head",
    [
        "Question: ", "**Question 2**\n", "Question #2: ", "Q2: ", "PROBLEM 2\n", "Problem 2) ",
        "Problem 2 (hard): ", "### Problem\n", "Another problem: ", "Exercise 2. ", "### Instruction:\n",
        "[Problem 2] ", r"\textbf{Problem 2.} ", "human: ", "第2题：", "下一题：",
        "用户：", "Pregunta 2: ", "Problème 2 : ", "Frage 2: ", "Задача 2. ", "質問2：", "문제 2: ",
        "Here's another question: ", "Now solve this problem:\n", "**Let's try another problem.** ",
        "Voici une autre question : ", "<|user|>\n", "[|user|]", "</s><s>[INST] ",
        "<|im_end|>\n<|im_start|>user\n", "<｜User｜>",
    ],
)  # fmt: skip
def test_a_text_ends_where_it_goes_on_with_another_problem(head):
    asked = f"{head}What is 3 + 4?\n7"  # in front of the answer it is the problem itself
    assert before_other_problems(asked, lambda front, _: "7" in front) == asked
    assert (
        before_other_problems(f"7.\n{head}What is 5 + 7?\n12", lambda front, _: "7" in front).strip() == "7."
    )


def test_the_text_of_a_record_holds_the_thought_that_came_apart():
    sample = Sample("1", 0.0, 0, "It is 7.", "\\boxed{5}? No.\n", "stop", 1, 1)
    record = Record("", "", "7", sample, None, None)
    parts = part(record.text())
    assert (parts.thought.strip(), parts.solution) == ("\\boxed{5}? No.", "It is 7.")
    assert record.graded_text == "It is 7."
    formatted = Record("", "", "7", sample, "formatted", None)
    assert formatted.text() == formatted.graded_text == "formatted"


# --- formatting keeps what graders read ---

MARKS = [mark for marks in FAMILIES.values() for mark in marks] + list(MARKERS)
PIECES = st.sampled_from(
    [
        *MARKS, *MARKS, "<|im_end|>", "<|end|>", "assistantanalysis",
        "`", "``", "'", '"', "“", "> ", "\n", "\n\n", "\n", "\n\n", " ", "   ", "\r\n",
        "```", "```python\n", "\n```\n", "\n```\n", "~~~\n", "~~~py\n", "````", "> ```python\n> ",
        "\n> ```\n", "   ```python3\n   ", "\n   ```\n", "```text\n",
        "print(1)", "print(2)", "   print(3)", "> print(4)", "x = 3", "return x", "1 2 3",
        "\\boxed{7}", "\\boxed{36}", "\\boxed{B}", "The answer is 7.", "The answer is B.", "#### 36", "36",
        "<answer>C</answer>", "Answer: ", "## Solution\n", "**Final Answer**\n", "B", "A is correct.",
        "boxed{", "the ", " tag", " and ", "between ", " marks", "Hmm, wait.", "用", "标签", "(", ")",
    ]
)  # fmt: skip
TEXTS = st.lists(PIECES, max_size=20).map("".join)


def read(text):
    """What graders find in a response, whatever is right."""
    found = [
        grade_maths("7", text, symbolic=False),
        *(grade_choice("B", text, options=n) for n in (2, 4, 10)),
    ]
    return run(text), [(verdict.correct, verdict.reason, verdict.extracted) for verdict in found]


def assert_formatting_keeps(text):
    found = format_by_rule(text)
    if not isinstance(found, Formatted):
        return
    assert read(found.text) == read(text)
    thought, solution = split_parts(found.text)
    assert f"{thought} {solution}".split() == part(without_end_of_turn(text)).without_marks().split()


@settings(max_examples=300)
@example("[THINK][/THINK]Answer: \n   ```\n")  # a fence that nothing follows is no answer
@given(TEXTS)
def test_formatting_changes_no_verdict_and_no_program(text):
    assert_formatting_keeps(text)


@settings(max_examples=300)
@given(TEXTS, TEXTS, st.sampled_from(sorted(FAMILIES)))
def test_formatting_a_closed_thought_changes_no_verdict_and_no_program(thought, solution, family):
    opening, closing = FAMILIES[family]
    assert_formatting_keeps(f"{opening}{thought}{closing}{solution}")


@settings(max_examples=300)
@given(TEXTS, TEXTS)
def test_formatting_for_a_known_grader_keeps_what_that_grader_reads(thought, solution):
    text = f"{thought}\n\n{solution}"
    options = ("36", "seven", "x = 3", "9")
    for graded_by, reads in (
        ("answer", lambda text: grade_maths("7", text, symbolic=False).extracted),
        ("letter", lambda text: grade_choice("B", text, options=options).extracted),
        ("program", run),
    ):
        found = format_by_rule(text, graded_by=graded_by, choices=options)
        assert not isinstance(found, Formatted) or reads(found.text) == reads(text)


@settings(max_examples=300)
@given(TEXTS)
def test_parts_lie_in_the_text_and_blocks_in_order(text):
    parts = part(text)
    assert 0 <= parts.border <= parts.end <= len(text)
    assert all(one.end <= other.begin for one, other in zip(parts.marks, parts.marks[1:], strict=False))
    places = [place for block in blocks(text) for place in (block.begin, block.end)]
    assert places == sorted(places) and all(0 <= place <= len(text) for place in places)


# --- time ---


@pytest.mark.parametrize(
    "unit",
    [
        *MARKS, *MARKERS, "<think>`", "`</think>`", "the <think> tag ", "<think> and ", "'<think>'",
        "</think>```", "</think>~~~a", "``` ", "```\n", "```python\n</think>\n", "> ```\n", "\n", " ",
        "\r", "\t\n", "<|im_end|>", "<|end|>", "`", "<", "[", "<|", "<|channel|>analysis",
        "assistantanalysisX", "> ", "~", "```x", "\n\n \t", "<think>x", "x",
    ],
)  # fmt: skip
def test_a_response_takes_time_in_proportion_to_its_length(unit):
    def seconds(length):
        text = f"analysisX```{unit * (length // len(unit))}`"
        began = time.process_time()
        part(text).without_marks()
        program(text)
        return time.process_time() - began

    # 16 times as long; were it quadratic, it would take 256 times
    assert takes_at_most(48, seconds, 3_000, 48_000, least_s=0.0005)


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("So x = 3.", 4),
        ("等等，让我再核对", 8),  # the comma is a unit, too
        ("人々は〇と書く", 7),
        ("ㄅㄆㄇ", 3),
        ("ｶﾞﾂ", 3),
        ("그래서 답은", 5),
        ("\U00030000\U00020000", 2),
        ("因此 x = 3", 5),
        ("Ещё раз", 2),
        ("", 0),
    ],
)
def test_length_counts_words_and_in_chinese_japanese_and_korean_characters(text, count):
    assert len(units(text)) == count


def test_tokens_are_estimated_by_characters_in_chinese_japanese_and_korean():
    assert estimate_tokens("等等让我再核对一遍这个式子") == 13
    assert estimate_tokens("让我再核对 abcdefg") == 5 + 2
    assert estimate_tokens("abcd" * 10) == 10
    assert estimate_tokens("让我再核对一遍", 0.5) == 4  # as the run itself counted
