"""Is every response cut where its solution begins, and does no unfaithful rewrite pass?"""

import pytest

from util.response import join_parts, split_parts
from util.training.formatting import (
    Formatted,
    NotFormatted,
    format_by_rule,
    same_ending,
)
from util.training.rewrites import check_rewrite, common_words, tidy_rewrite, tokens

THOUGHT = "First I add 2 and 3. Wait, is that right? Yes, 2 + 3 is 5, and twice that is 10."
SOLUTION = "Twice five is \\boxed{10}."


def parts(text: str, **known) -> tuple[str, str]:
    found = format_by_rule(text, **known)
    assert isinstance(found, Formatted), found
    return split_parts(found.text)


def rule(text: str, **known) -> str:
    found = format_by_rule(text, **known)
    return found.rule if isinstance(found, Formatted) else found.reason


def test_think_tags_end_the_thought():
    assert parts(f"<think>\n{THOUGHT}\n</think>\n\n{SOLUTION}") == (THOUGHT, SOLUTION)


def test_a_think_tag_that_the_template_opened_is_enough():
    assert parts(f"{THOUGHT}\n</think>\n\n{SOLUTION}") == (THOUGHT, SOLUTION)


def test_several_think_blocks_become_one_thought():
    thought, solution = parts(f"<think>one</think> two <think>three</think>{SOLUTION}")
    assert (thought.split(), solution) == (["one", "two", "three"], SOLUTION)


def test_an_unclosed_thought_is_not_formatted():
    assert rule(f"<think>{THOUGHT} {SOLUTION}") == "the thought is not closed"


def test_an_empty_think_block_leaves_the_rest_to_the_other_rules():
    assert rule(f"<think>\n\n</think>\n\n{THOUGHT}\n\n{SOLUTION}") == "no thought, last box"


def test_reasoning_that_came_apart_is_the_thought():
    assert parts(SOLUTION, reasoning=THOUGHT) == (THOUGHT, SOLUTION)


def test_markers_that_are_there_already_are_kept():
    text = join_parts(THOUGHT, SOLUTION)
    assert format_by_rule(text) == Formatted(text, "markers")


@pytest.mark.parametrize(
    "missing",
    ["<|begin_of_thought|>", "<|end_of_thought|>", "<|begin_of_solution|>", "<|end_of_solution|>"],
)
def test_one_missing_marker_is_repaired(missing):
    assert parts(join_parts(THOUGHT, SOLUTION).replace(missing, "")) == (THOUGHT, SOLUTION)


@pytest.mark.parametrize(
    "doubled",
    ["<|begin_of_thought|>", "<|end_of_thought|>", "<|begin_of_solution|>", "<|end_of_solution|>"],
)
def test_one_doubled_marker_is_repaired(doubled):
    assert parts(join_parts(THOUGHT, SOLUTION).replace(doubled, doubled * 2)) == (THOUGHT, SOLUTION)


def test_text_behind_the_solution_is_not_thrown_away_unseen():
    text = join_parts(THOUGHT, SOLUTION) + "\n\nNext question: what is 3 + 3?"
    assert rule(text) == "text after the end of the solution"


def test_the_sign_that_ends_a_turn_is_no_text():
    assert parts(join_parts(THOUGHT, SOLUTION) + "<|im_end|>\n") == (THOUGHT, SOLUTION)


@pytest.mark.parametrize(
    "heading", ["**Final Answer**", "## Solution", "### Final Answer:", "Final answer: ", "**Answer:**"]
)
def test_a_heading_begins_the_solution(heading):
    thought, solution = parts(f"{THOUGHT}\n\n{heading}\n\n\\[\\boxed{{10}}\\]")
    assert thought == THOUGHT
    assert solution.startswith(heading.strip())


def test_the_last_paragraph_with_the_box_is_the_solution():
    assert parts(f"{THOUGHT}\n\n{SOLUTION}") == (THOUGHT, SOLUTION)


def test_a_formula_takes_its_sentence_along():
    _, solution = parts(f"{THOUGHT}\n\nSo twice five is\n\n\\[\n\\boxed{{10}}\n\\]")
    assert solution.startswith("So twice five is")


def test_a_box_in_the_midst_of_the_thought_ends_nothing():
    assert isinstance(format_by_rule(f"{THOUGHT}\n\n{SOLUTION}\n\n" + "But wait. " * 60), NotFormatted)


def test_code_keeps_its_explanation():
    code = "```python\nprint(2 * 5)\n```"
    thought, solution = parts(f"{THOUGHT}\n\nHere is the program:\n\n{code}\n\nIt prints ten.")
    assert thought == THOUGHT
    assert solution == f"Here is the program:\n\n{code}\n\nIt prints ten."


def test_an_earlier_draft_of_the_code_belongs_to_the_thought():
    draft, code = "```python\nprint(1)\n```", "```python\nprint(10)\n```"
    thought, solution = parts(f"{THOUGHT}\n\n{draft}\n\nNo, wrong.\n\n{code}")
    assert draft in thought and code in solution and draft not in solution


def test_blank_lines_in_code_are_no_border():
    code = "```python\na = 1\n\n\nb = 2\nprint(a + b)\n```"
    assert parts(f"{THOUGHT}\n\n{code}")[1].endswith(code)


def test_the_output_of_an_example_is_not_the_program():
    code, example = "```python\nprint(10)\n```", "It prints:\n\n```\n10\n```"
    assert parts(f"{THOUGHT}\n\n{code}\n\n{example}") == (THOUGHT, f"{code}\n\n{example}")


def test_a_program_that_only_helps_the_thought_stays_there():
    thought = f"{THOUGHT}\n\n```python\nprint(2 * 5)\n```\n\n```output\n10\n```"
    assert parts(f"{thought}\n{SOLUTION}", graded_by="answer") == (thought, SOLUTION)


def test_a_program_that_may_be_graded_stays_in_the_solution():
    code = "```python\nprint(2 * 5)\n```"
    for known in ({"graded_by": "program"}, {}):
        assert parts(f"{THOUGHT}\n\n{code}\n\n{SOLUTION}", **known) == (THOUGHT, f"{code}\n\n{SOLUTION}")


def test_a_program_without_any_thought_is_left_alone():
    for text in ("```python\nprint(1)\n```", "```python\nprint(1)\n```\n\nIt prints one, as asked."):
        assert format_by_rule(text) == NotFormatted("no thought before the program", hopeless=True)


def test_the_program_is_not_left_in_the_thought_for_another_one_behind_a_heading():
    code, other = "```python\nprint(10)\n```", "## Final Answer\n\nIt is short:\n\n```\nprint(11)\n```"
    found = parts(f"{THOUGHT}\n\n{code}\n\n{other}", graded_by="program")
    assert found == (THOUGHT, f"{code}\n\n{other}")


def test_an_answer_in_several_boxes_stays_together():
    solution = "The roots are \\boxed{1}\n\nand\n\n\\boxed{2}."
    assert parts(f"{THOUGHT}\n\n{solution}") == (THOUGHT, solution)


def test_a_heading_before_most_of_the_text_opens_the_work():
    work = "\n\n".join([THOUGHT] * 5)
    assert parts(f"I repeat the question.\n\n**Solution**\n\n{work}\n\n{SOLUTION}")[1] == SOLUTION


def test_lines_may_end_as_on_windows():
    assert parts(f"{THOUGHT}\r\n\r\n{SOLUTION}") == (THOUGHT, SOLUTION)


@pytest.mark.parametrize("tag", ["'</think>'", '"<thinking>"', "`<reasoning>`"])
def test_a_tag_that_is_spoken_of_is_no_border(tag):
    code = f"```python\ntag = {tag}\n```"
    for text in (f"<think>{THOUGHT}</think>{code}", f"{THOUGHT}\n\n{code}"):
        assert parts(text, graded_by="program") == (THOUGHT, code)


def test_a_thought_after_the_solution_is_not_thrown_away_unseen():
    text = join_parts(THOUGHT, SOLUTION)
    assert rule(f"{text}<|begin_of_thought|>But wait.") == "text after the end of the solution"
    text = text.removesuffix("<|end_of_solution|>")
    assert rule(f"{text}<|begin_of_thought|>But wait.") == "the thought is not closed"


@pytest.mark.parametrize(
    ("text", "reasoning"),
    [(f"<think>{THOUGHT} {SOLUTION}</think>", None), ("", THOUGHT), (join_parts("a", "b"), THOUGHT)],
)
def test_what_no_rewrite_could_be_held_to_goes_to_no_model(text, reasoning):
    assert format_by_rule(text, reasoning=reasoning).hopeless


@pytest.mark.timeout(300)  # one that looks behind each fence takes minutes
@pytest.mark.parametrize(
    ("unit", "outcome"),
    [
        ("```python\n", "a code block is not closed"),
        ("```\n~~~\n", "a code block is not closed"),
        ("\n \t", "last box"),
        ("Answer:\n", "final heading"),
    ],
)
def test_a_response_that_runs_in_circles_costs_no_more_than_its_length(unit, outcome):
    assert rule(f"{THOUGHT}\n\n{unit * 20_000}\n\n{SOLUTION}") == outcome


def test_an_open_code_block_is_not_formatted():
    assert rule(f"{THOUGHT}\n\n```python\nprint(") == "a code block is not closed"


def test_a_heading_without_the_answer_behind_it_is_no_solution():
    text = f"{THOUGHT}\n\n\\boxed{{10}}\n\n## Conclusion\n\nThat was nice, 3 times."
    assert rule(text) == "last box"


def test_no_word_is_lost_by_a_rule():
    for text in (f"{THOUGHT}\n\n{SOLUTION}", f"<think>{THOUGHT}</think>{SOLUTION}"):
        thought, solution = parts(text)
        assert (thought + " " + solution).split() == f"{THOUGHT} {SOLUTION}".split()


def test_an_empty_response_goes_to_no_model():
    assert format_by_rule(" \n") == NotFormatted("empty", hopeless=True)


def test_a_truncated_sample_is_not_formatted():
    assert format_by_rule(f"{THOUGHT}\n\n{SOLUTION}", finish_reason="length") == NotFormatted(
        "truncated", hopeless=True
    )


def test_the_common_words_are_those_of_the_longest_common_subsequence():
    assert common_words("a b c d e".split(), "b a c x e".split()) == 3
    assert common_words("a a a".split(), "a a".split()) == 2
    assert common_words([], ["a"]) == 0


ONE_PARAGRAPH = f"{THOUGHT} So the answer is \\boxed{{10}}."


def test_a_faithful_rewrite_passes():
    rewritten = join_parts(THOUGHT, "So the answer is \\boxed{10}.")
    assert check_rewrite(ONE_PARAGRAPH, rewritten, min_fidelity=0.9) is None


@pytest.mark.parametrize(
    ("rewritten", "wrong"),
    [
        ("Error: 429 too many requests", "markers"),
        (join_parts(THOUGHT, "So the answer is \\boxed{12}."), "another final answer"),
        (join_parts("I added.", "So the answer is \\boxed{10}."), "words were kept"),
        (join_parts(THOUGHT + " blah" * 10, "So the answer is \\boxed{10}."), "not in the original"),
        (join_parts(THOUGHT, "So the answer is \\boxed{10}.") * 2, "markers"),
        ("<|end_of_thought|>" + join_parts(THOUGHT, "is \\boxed{10}."), "markers"),
        (join_parts(THOUGHT, ""), "markers"),
        (join_parts("First I add", f"{ONE_PARAGRAPH}"), "stands in the solution"),
        (join_parts(THOUGHT, "As said: " * 20 + "So the answer is \\boxed{10}."), "longer than the whole"),
        (join_parts(THOUGHT, "```python\nprint(10)\n```\n\\boxed{10}"), "another final answer or program"),
    ],
)
def test_an_unfaithful_rewrite_is_refused(rewritten, wrong):
    assert wrong in check_rewrite(ONE_PARAGRAPH, rewritten, min_fidelity=0.9)


def test_a_chinese_rewrite_is_compared_by_characters():
    """A changed character is one of many, and not a whole changed sentence."""
    thought = "我们先计算两个数的和，然后检查结果是否正确，最后得到答案是十。"
    original = f"<think>{thought}</think>答案是\\boxed{{10}}。"
    kept = join_parts(thought.replace("先", "首先"), "答案是\\boxed{10}。")
    assert check_rewrite(original, kept, min_fidelity=0.9) is None
    cut = join_parts(thought[: len(thought) // 2], "答案是\\boxed{10}。")
    assert "of the words were kept" in check_rewrite(original, cut, min_fidelity=0.9)


def test_shuffled_words_are_not_kept_in_order():
    shuffled = " ".join(reversed(THOUGHT.split()))
    assert "words were kept" in check_rewrite(
        ONE_PARAGRAPH, join_parts(shuffled, "\\boxed{10}"), min_fidelity=0.9
    )


def test_a_program_without_fences_may_be_repeated_and_not_be_changed():
    code = "a, b = map(int, input().split())\nprint(a + b)"
    original = f"I add the two numbers.\n\n{code}\n"
    for graded_by in ("program", "anything"):
        assert same_ending(original, code, graded_by=graded_by)
        assert not same_ending(original, code.replace("+", "-"), graded_by=graded_by)


def test_a_changed_program_is_refused():
    original = "Think.\n\n```python\nprint(10)\n```"
    changed = join_parts("Think.", "```python\nprint(11)\n```")
    assert "another final answer or program" in check_rewrite(original, changed, min_fidelity=0.5)


def test_marks_written_with_blanks_are_put_right():
    rewritten = join_parts(THOUGHT, "So the answer is \\boxed{10}.").replace("<|", "< |")
    assert check_rewrite(ONE_PARAGRAPH, rewritten, min_fidelity=0.9) is None
    assert split_parts(tidy_rewrite(rewritten)) == (THOUGHT, "So the answer is \\boxed{10}.")


SEATS = (
    "I need the number of ways to seat 4 people. The first has 4 places, the next 3, then 2 and 1 place is "
    "left. "
    "Wait, the table is round, so I divide by 4. That is 24 / 4 = 6. Checking with 3 people: 6 / 3 = 2, "
    "which is right. So the answer should be 6."
)
SEATED = "Seat them in a row in 24 ways; each round seating is counted 4 times. So there are \\boxed{6} ways."


def wrong_with(thought: str, solution: str) -> str | None:
    original = f"<think>\n{SEATS}\n</think>\n\n{SEATED}"
    return check_rewrite(original, join_parts(thought, solution), min_fidelity=0.9, graded_by="answer")


@pytest.mark.parametrize(
    ("said", "instead"),
    [
        ("24 / 4 = 6. Checking", "25 / 5 = 6. Checking"), ("6 / 3 = 2", "8 / 4 = 2"), ("24 / 4", "24 * 4"),
        ("24 / 4 = 6", "24 / 4 > 6"), ("is round", "is not round"), ("is round", "isn't round"),
        ("right", "wrong"), ("then 2", "then two"), (", then 2 and 1 place is left", ""),
        (" Wait,", " By symmetry we are done. Wait,"), (" Wait,", " Then 2 + 2 = 4. Wait,"), 
        ("I need", "Sure, here is the thought: I need"), ("I need", "(the reasoning) I need"),
        ("should be 6.", "should be 6. Leave nothing out, add nothing, shorten nothing."),
        ("by 4", "by x"), ("the next", "no next"),
    ],
)  # fmt: skip
def test_a_rewrite_that_changes_the_thought_is_refused(said, instead):
    assert said in SEATS
    assert wrong_with(SEATS, SEATED) is None
    assert wrong_with(SEATS.replace(said, instead), SEATED)


@pytest.mark.parametrize(
    "solution",
    [
        "By the theorem of the purple octagon every table doubles its guests, hence \\boxed{6} ways.",
        SEATED.replace("24", "4"), SEATED.replace("4 times", "3 times"), SEATED.replace("24", "28"),
        SEATED.replace("is counted", "is not counted"), SEATED.replace(" 24", ""),
        SEATED.replace("in 24 ways; ", ""),
        SEATED.replace("So", "By Vieta's formulas"),
        f"{SEATED} I hope this helps you!", "24 / 3 = 8. " + SEATED,
        "So there are \\boxed{6} ways.",  # a solution that the response delimits stays whole
    ],
)  # fmt: skip
def test_a_rewrite_that_changes_or_invents_the_solution_is_refused(solution):
    assert wrong_with(SEATS, solution)


@pytest.mark.parametrize(
    ("said", "instead"),
    [
        ("Wait, ", ""), ("So the", "Thus the"), (". ", ".\n\n"), (" / ", "/"),
        ("That is 24 / 4 = 6", "That is $24 / 4 = 6$"),
        ("I need", "**I need**"), ("right. So", "right.\n\n## So"), ("24 / 4", "\\(24 / 4\\)"), ("= 6", "=6"),
    ],
)  # fmt: skip
def test_a_touch_of_wording_or_another_spelling_of_formulas_is_no_change(said, instead):
    for where in (SEATS, SEATED):
        assert said in SEATS
        changed = where.replace(said, instead)
        assert wrong_with(*((changed, SEATED) if where is SEATS else (SEATS, changed))) is None


ABROAD = (
    (
        "Sei x die Zahl. Dann ist 3x = 12. Sie ist größer als 3, gerade, und zwei gibt es nicht.",
        "Die Antwort lautet 4.",
    ),
    (
        "设甲有30元，乙有20元。甲比乙多10元，两人一共50元。不是25元，都是偶数。",
        "所以答案是\\boxed{30}。",
    ),
    (
        "Soit x le nombre. On a 2x = 10. Il est impair et le plus petit. Il n'y en a pas deux.",
        "La réponse est 5.",
    ),
    (
        "Let $f'(x) = -3x$ for $A \\leq 25\\%$. It is unique, every point of AB inside.",
        "So it is $\\boxed{-3}$.",
    ),
)


@pytest.mark.parametrize(
    ("number", "said", "instead"),
    [
        (0, "größer", "kleiner"), (0, "gerade", "ungerade"), (0, "zwei", "drei"), (0, " nicht", ""),
        (1, "多", "少"), (1, "两人", "三人"), (1, "不是", "是"), (1, "偶数", "奇数"),
        (2, "impair", "pair"), (2, "petit", "grand"), (2, " pas", ""), (2, "deux", "trois"),
        (3, "f'", "f"), (3, "-3x", "3x"), (3, "$A", "$B"), (3, "\\leq", "<"), (3, "\\%", ""), (3, "AB", "AC"),
        (3, "inside", "outside"), (3, "every", "no"), (3, "unique", "not unique"),
    ],
)  # fmt: skip
def test_what_turns_a_sentence_round_must_stay_in_other_languages_too(number, said, instead):
    thought, solution = ABROAD[number]
    original = f"{thought}\n\n{solution}"
    assert said in thought
    assert check_rewrite(original, join_parts(thought, solution), min_fidelity=0.9) is None
    changed = join_parts(thought.replace(said, instead, 1), solution)
    assert "must stay" in check_rewrite(original, changed, min_fidelity=0.5)


@pytest.mark.parametrize(
    ("original", "rewritten"),
    [
        ("It isn't $\\dfrac{1}{2}$ of $1{,}000$.", "It is not $\\frac12$ of 1,000."),
        ("$a\\cdot b\\leq\\left(c\\right)$", "\\(a \\times b \\le (c)\\)"),
        ("所以 $x^{2}≠3$，不对。", "所以\\(x^2 \\neq 3\\)不对"),
        ("- We cannot say\n- \\{2, 3\\}", "We can't say \\{2, 3\\}"),
    ],
)
def test_two_spellings_of_a_text_have_the_same_words_and_signs(original, rewritten):
    first, second = ([token.text for token in tokens(text) if token.text] for text in (original, rewritten))
    assert first == second


def test_a_thought_that_breaks_off_before_a_number_is_refused():
    thought, solution = (
        "With c = 17 the sides are 8 and 15. So its perimeter is 40.",
        "The perimeter is \\boxed{40}.",
    )
    original = f"{thought}\n\n{solution}"
    for ending, is_right in (
        (" So its perimeter is.", False),
        ("", True),
        (" So its perimeter is 40.", True),
    ):
        written = thought.replace(" So its perimeter is 40.", ending)
        last = solution if "40" in ending else f"So its perimeter is 40.\n\n{solution}"
        found = check_rewrite(original, join_parts(written, last), min_fidelity=0.8)
        assert (found is None) == is_right, found


def test_a_long_text_is_compared_in_little_time():
    thought = "\n\n".join(
        f"Then {number} + {number} = {2 * number}, which is even." for number in range(1000)
    )
    rewritten = join_parts(thought, "So it is \\boxed{6}.")
    assert check_rewrite(f"{thought}\n\nSo it is \\boxed{{6}}.", rewritten, min_fidelity=0.9) is None


@pytest.mark.parametrize("tag", ["think", "thinking", "thought", "reasoning", "seed:think"])
def test_no_tag_of_any_family_stays_in_the_thought(tag):
    assert parts(f"<{tag}>{THOUGHT}</{tag}>\n{SOLUTION}") == (THOUGHT, SOLUTION)


@pytest.mark.parametrize(
    "ending",
    [
        "最终答案：17", "**最终答案**：17", "答案：17", "答：17", "综上所述，答案是17。",
        "**最终答案**\n\n17", "【答案】\n17",
        "## 解答\n\n17", "最終的な答え：17", "答えは 17 です。", "정답: 17",
        "## 최종 답\n\n17", "Die Antwort lautet 17.",
        "## Endgültige Antwort\n\n17", "Réponse finale : 17", "**Réponse finale :**\n\n17",
        "La respuesta es 17.",
        "**Respuesta final**\n17", "A resposta é 17.", "Risposta finale: 17", "Ответ: 17", "Đáp án: 17",
    ],
)  # fmt: skip
def test_the_answer_in_any_language_begins_the_solution(ending):
    thought = "我先算八加九。Then I add it up.\n\n所以得到和。"
    assert parts(f"{thought}\n\n{ending}") == (thought, ending)


@pytest.mark.parametrize(
    "round_and_round",
    [
        "等一下，我想再核对一遍第二步，因为那里可能少乘了一个二，",
        "ちょっと待って、二番目の式をもう一度確かめたいと思う。",
        "Wait, I check the second step again. ",
    ],
)
def test_a_thought_that_goes_round_behind_the_box_is_no_solution(round_and_round):
    text = f"我先设未知数。\n\n所以是 \\boxed{{18}}。\n\n{round_and_round * 30}没有问题。"
    assert rule(text) == "no part of the text is recognisably the solution"
