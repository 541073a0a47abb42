"""Are responses cut where their attempts end, and is nothing but the original's own text ever left?"""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pair_runs import attempt, think

from util.grading.maths import grade_maths
from util.records import Verdict
from util.training.pairs.attempts import (
    attempt_cuts,
    cuts_named,
    piece_answer,
    pieces_of,
    score_piece,
    slices_of,
    truth_of,
)
from util.training.pairs.variants import (
    CUT_VARIANTS,
    FULL_TEXT,
    NO_CORRECT_PIECE,
    NO_NEXT_PIECE,
    NO_SECOND_CORRECT,
    ONE_PIECE,
    Ordered,
    closed,
    cut_for,
    shortened,
    silc_pair,
)

WORDS = st.sampled_from(
    [
        "So the answer is 15.", "So it is 7.", r"Thus \boxed{15}.", "Wait, let me check.",
        "Alternatively, add.", "Hmm, ", "Let me double-check: ", "\n\n", "\n", " ", "- ",
        "**Final Answer**", "The final answer is 15.",
        "<think>", "</think>", "<|begin_of_thought|>", "<|end_of_thought|>", "<|begin_of_solution|>",
        "<|end_of_solution|>", "We add the numbers.", r"$\frac12$", "\r\n", "\t", "é…", "To be sure, ",
        "所以答案是15。", "等等，", "让我再检查一下。", "另一种方法：", "嗯", "不对，", "3×5=15。",
    ]
)  # fmt: skip
TEXTS = st.lists(WORDS, max_size=25).map("".join) | st.text(max_size=200)


def grade(text):
    return grade_maths("15", text, symbolic=False)


def cut(thought):
    return pieces_of(thought, attempt_cuts(thought))


@given(TEXTS)
def test_slices_joined_again_are_the_original_byte_for_byte(text):
    parts = slices_of(text)
    assert parts.joined() == text
    pieces = pieces_of(parts.thought, attempt_cuts(parts.thought))
    assert "".join(pieces) == parts.thought
    assert all(pieces) or pieces == [""]


@given(TEXTS)
def test_every_attempt_of_several_holds_an_answer(text):
    pieces = cut(text)
    assert len(pieces) == 1 or all(piece_answer(piece) is not None for piece in pieces)


@given(TEXTS, TEXTS)
def test_slices_at_places_that_a_model_names_rejoin_whatever_it_answers(answer, text):
    cuts = cuts_named(answer, text) or []
    assert "".join(pieces_of(text, cuts)) == text
    assert cuts == sorted(set(cuts)) and all(0 < place < len(text) for place in cuts)


@given(TEXTS, st.integers(1, 5))
def test_a_shortened_text_is_a_prefix_of_the_thought_and_the_whole_solution(text, keep):
    parts = slices_of(text)
    pieces = pieces_of(parts.thought, attempt_cuts(parts.thought))
    short = shortened(parts, pieces, keep)
    assert (
        closed("".join(pieces[:keep]).rstrip() + parts.bridge + parts.solution, parts.form)
        in closed(short, parts.form)
        or parts.form == "markers"
    )
    assert short.startswith(parts.head) and parts.solution in short


@given(st.lists(st.sampled_from([True, False, None]), max_size=7), st.sampled_from(CUT_VARIANTS))
def test_a_variant_keeps_less_than_the_whole_and_ends_where_its_name_says(scores, variant):
    found = cut_for(variant, scores)
    if found.why_not:
        assert found.pieces == 0
        return
    assert 0 < found.pieces < len(scores)
    kept = sum(map(bool, scores[: found.pieces]))
    assert kept == 2 if variant == "fcs_reflection" else kept >= 1
    if variant == "fcs":
        assert scores[found.pieces - 1] and kept == 1


@pytest.mark.parametrize(
    "turn",
    [
        "Wait, let me recompute. ", "Alternatively, count in fives. ", "Let me double-check: ",
        "Hmm, is that right? ", "To verify this, we multiply. ",
        "But let me check it again. ", "Another way to see this: ",
        "I should double-check that. ", "Actually, let me redo it. ",
        "**Verification:** ", "- Let's verify. ",
        "Let me try another approach. ", "To be sure, add them. ", "Is there another way? ", "Hold on. ",
        "As a double check, add. ", "Let me see if this makes sense. ", "Perhaps there is a neater way. ",
        "Plugging it back in, ", "Just to be absolutely sure, add. ", "For verification, we add. ",
    ],
)  # fmt: skip
def test_a_turn_after_an_answer_begins_a_new_attempt(turn):
    first, second = attempt(14), attempt(15, turn)
    for between in ("\n\n", "\n", " "):
        assert cut(f"{first}{between}{second}") == [first + between, second]


@pytest.mark.parametrize(
    "turn",
    [
        "等等，让我再检查一下。", "等一下，我是不是漏了什么？", "不对，重新算一遍。",
        "让我重新计算：", "让我验证一下这个结果。", "我们来验算一下。", "为了确保没有错误，再看一遍题目。",
        "另一种方法是直接相加。", "另外一种思路：", "换个思路，用五来数。", "我们也可以用另一种方法。",
        "有没有其他方法呢？", "方法二：", "嗯，这样对吗？", "不过，让我再想想。", "但是，我需要再确认一下。",
        "或者，我们可以从另一个角度看。", "但等等，让我再重新考虑一下。", "再检查一遍。", "**验证：**",
        "- 检验一下。", "慢着，", "实际上，让我仔细核对。", "再从头算一遍。", "其实还有别的方法。",
        "让我换一种方法试试。",
    ],
)  # fmt: skip
def test_a_turn_in_chinese_begins_a_new_attempt_too(turn):
    first, second = "三个五相加。所以答案是14。", f"{turn}五加五是十，再加五。所以一共有15个。"
    for between in ("\n\n", "\n", ""):
        assert cut(f"{first}{between}{second}") == [first + between, second]
        assert [score_piece(piece, grade)[0] for piece in (first, second)] == [False, True]


@pytest.mark.parametrize(
    "text",
    [
        "我们先看题目。等等，让我再读一遍题目。所以答案是15。",
        "小明检查了15个苹果，另一方面小红有3个。所以答案是18。",
        "先算第一部分，3×5=15。接下来算第二部分，得到8。所以答案是23。",
        "即使 x=15，也要看另一边的数字。等等，原来题目问的是周长。所以答案是16。",
        "令 f(5)=15。不对，让我重新算一下。应该是 f(5)=8。",
    ],
)
def test_chinese_words_before_an_answer_or_within_a_step_begin_no_attempt(text):
    assert cut(text) == [text]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("第一个因子是3，第二个是5，3×5=15。", "让我验证一下：15÷5=3，没错。所以是15。"),
        ("面积是 $3 \\times 5 = 15$ 平方米。", "等等，让我再检查一下。3乘5得到15。"),
        ("因此面积为15平方厘米。\n\n", "嗯，看起来很简单。让我用另一种方法验证。所以是15。"),
    ],
)
def test_a_chinese_attempt_that_only_computes_ends_at_a_re_check(first, second):
    assert cut(first + second) == [first, second]


def test_the_answer_said_again_in_chinese_begins_an_attempt_after_a_declared_one():
    assert cut("答案是15。综上所述，答案是15。") == ["答案是15。", "综上所述，答案是15。"]
    assert cut("所以是15。综上所述，答案是15。") == ["所以是15。综上所述，答案是15。"]


@pytest.mark.parametrize("word", ["嗯", "想要", "等等，", "让我", "再", "不过，", "所以"])
def test_a_word_said_over_and_over_is_looked_at_in_no_time(word):
    text = f"答案是15。{word * 20_000}"
    assert "".join(cut(text)) == text


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("One half is 3/6, so the sum is 5/6.\n\n", "Let me make sure: 3/6 + 2/6. So it is 5/6."),
        ("Rounded to the nearest integer: 15.\n\n", "Hmm, let me double-check this. So it is 15."),
        ("Then 3 * 5 = **15**.\n\n", "Wait, let me double-check this. So it is 15."),
        ("The area is 3 * 5 = 15. ", "Let me verify: half of 30 is the same. So it is 15."),
        ("Then $3 \\cdot 5 = 15$.\n\n", "Wait, let me double-check. 3 times 5 is 15. So it is 15."),
        ("That makes 5!/8 = 15 apples. ", "Alternatively, we add 5 + 5 + 5 = 15 apples."),
        ("3^5 ≡ 15 (mod 19). ", "Hmm, that was quick. Let me verify with 9 * 27. Again 3^5 = 15."),
        ("The sine gives 3 * 4.9 ≈ 14.7.\n\n", "Hmm, let me double-check. So it is 15."),
        ("3 * 5 = 15.\n\n", "Actually, wait. Let me reconsider. Three fives are \\boxed{15}."),
    ],
)
def test_an_attempt_that_only_computes_ends_at_a_re_check_with_the_doubt_before_it(first, second):
    assert cut(first + second) == [first, second]


@pytest.mark.parametrize(
    "text",
    [
        "Then f(5) = 15. Wait, no. Let me recompute it. We have f(5) = 8.",
        "Then f(5) = 15. No, let me recompute it. We have f(5) = 8.",
        "One part is 3 * 5 = 15. Hmm, and now the other part, which is 8. So it is 8.",
        "The roots are x = 3 or x = 15" + " and so on" * 15 + ". Let me verify the sum. It is 18.",
    ],
)
def test_what_is_only_computed_is_no_answer_when_taken_back_or_worked_on(text):
    assert cut(text) == [text]


def test_a_factorial_ends_no_sentence():
    piece = "So here it is 6! / (3! 2!) = 720 / 12 = 60."
    assert piece_answer(piece) == "60"


def test_a_turn_before_any_answer_begins_no_attempt():
    text = "We look for the product. Wait, let me read it again. Alternatively, add. So the answer is 15."
    assert cut(text) == [text]


def test_words_of_a_turn_within_a_sentence_begin_no_attempt():
    text = "So the answer is 15. They had to wait, and alternatively could go. Thus it is 15."
    assert cut(text) == [text]


def test_an_intermediate_result_in_the_middle_is_no_answer():
    steps = "So a is 3. " + "We then look at the other numbers and what they are made of. " * 5
    assert cut(steps + "Wait, let me check. So the answer is 15.") == [
        steps + "Wait, let me check. So the answer is 15."
    ]


def test_what_follows_the_last_answer_belongs_to_the_last_attempt():
    pieces = cut(attempt(14) + "\n\nWait. " + attempt(15) + "\n\nHmm, all is well.")
    assert len(pieces) == 2 and pieces[-1].endswith("all is well.")


def test_an_answer_said_again_begins_an_attempt_only_after_a_declared_one():
    declared, concluded = r"It is \boxed{15}. ", "So it is 15. "
    again = "Therefore, the answer is 15."
    assert cut(declared + again) == [declared, again]
    assert cut(concluded + again) == [concluded + again]


@pytest.mark.parametrize("form", ["markers", "think tags", "plain"])
def test_a_response_is_parted_into_thought_and_solution(form):
    thought, solution = attempt(15), r"The answer is \boxed{15}."
    text = {
        "markers": think(thought),
        "think tags": f"<think>\n{thought}\n</think>\n\n{solution}",
        "plain": f"{thought}\n\n### Final Answer\n\n{solution}",
    }[form]
    parts = slices_of(text)
    assert parts.form == form and parts.thought == thought and r"\boxed{15}" in parts.solution


def test_a_last_attempt_of_a_plain_trace_is_no_solution_of_the_others():
    text = attempt(14) + "\n\n" + attempt(15, "Wait, let me recompute. ")
    assert slices_of(text).thought == text


def test_markers_that_stand_twice_or_out_of_order_are_plain_text():
    for text in (think("a") + think("b"), "<|begin_of_solution|> a <|end_of_thought|>"):
        parts = slices_of(text)
        assert parts.form == "plain" and parts.joined() == text


def test_a_cut_response_has_the_solution_and_all_markers():
    text = think(attempt(15), attempt(15, "Wait. "))
    parts = slices_of(text)
    short = shortened(parts, pieces_of(parts.thought, attempt_cuts(parts.thought)), 1)
    assert short == think(attempt(15))


def test_a_marker_that_a_stop_string_swallowed_is_put_back():
    text = think(attempt(15), attempt(15, "Wait. ")).removesuffix("<|end_of_solution|>").rstrip()
    parts = slices_of(text)
    short = shortened(parts, pieces_of(parts.thought, attempt_cuts(parts.thought)), 1)
    assert short == think(attempt(15)) and closed(text, parts.form).count("<|end_of_solution|>") == 1


@pytest.mark.parametrize(
    ("piece", "score"),
    [
        ("So the answer is 15.", (True, "15")),
        ("So the answer is 14.", (False, "14")),
        (r"First \boxed{14}, then \boxed{15}", (True, "15")),
        ("Thus we have $x = 15$.", (True, "x = 15")),
        ("So 3^5 = 15 (mod 19).", (True, "15")),
        ("So $3^5 \\equiv 15 \\pmod{19}$.", (True, "15")),
        ("We look at the numbers 3 and 15 for a while.", (None, None)),
        ("", (None, None)),
    ],
)
def test_an_attempt_is_scored_by_its_own_last_answer(piece, score):
    assert score_piece(piece, grade) == score


@pytest.mark.parametrize("reason", ["undecided", "grader_error", "sandbox_error"])
def test_an_attempt_on_which_the_grader_cannot_decide_is_not_called_wrong(reason):
    scored = score_piece("So the answer is 15.", lambda text: Verdict(False, reason))
    assert scored == (None, "15")


@pytest.mark.parametrize(
    ("scores", "kept"),
    [
        ([True], dict.fromkeys(CUT_VARIANTS, ONE_PIECE)),
        ([False, None], dict.fromkeys(CUT_VARIANTS, NO_CORRECT_PIECE)),
        ([True, False, False], {"fcs": 1, "fcs_plus1": 2, "fcs_reflection": NO_SECOND_CORRECT}),
        ([True, True, False], {"fcs": 1, "fcs_plus1": 2, "fcs_reflection": 2}),
        ([True, False, True, True], {"fcs": 1, "fcs_plus1": 2, "fcs_reflection": 3}),
        ([True, True], {"fcs": 1, "fcs_plus1": FULL_TEXT, "fcs_reflection": FULL_TEXT}),
        ([False, True], {"fcs": FULL_TEXT, "fcs_plus1": NO_NEXT_PIECE, "fcs_reflection": NO_SECOND_CORRECT}),
        ([None, True, None, True, True], {"fcs": 2, "fcs_plus1": 3, "fcs_reflection": 4}),
    ],
)
def test_each_variant_has_its_own_eligibility(scores, kept):
    found = {variant: cut_for(variant, scores) for variant in CUT_VARIANTS}
    assert {variant: cut.why_not or cut.pieces for variant, cut in found.items()} == kept


# --- what a model says ---


@pytest.mark.parametrize(
    "answer",
    [
        "Wait, let me recompute\nAlternatively, we could",
        "1. Wait, let me recompute ...\n2. Alternatively, we could ...",
        '- "Wait, let me recompute"\n- "Alternatively, we could"\n- "never written there"',
        "Here they are:\nWait,  let me recompute\n\nAlternatively, we could",
        "We start with\nWait, let me recompute\nAlternatively, we could",
    ],
)
def test_first_words_are_found_however_a_model_lists_them(answer):
    text = "We start with 14.\n\nWait, let me\nrecompute it. Alternatively, we could add."
    assert [text[place:][:4] for place in cuts_named(answer, text)] == ["Wait", "Alte"]


def test_first_words_in_chinese_have_no_spaces():
    text = "先算第一部分。等等，让我再检查一下。然后换个思路。"
    assert [text[place:][:2] for place in cuts_named("等等，让我再检查\n换个思路\n很好", text)] == [
        "等等",
        "换个",
    ]


def test_rubbish_names_no_places_and_none_means_a_single_attempt():
    assert cuts_named("I cannot help with that, sorry!", "We start here. Wait, no.") is None
    assert cuts_named("", "We start here.") is None
    assert cuts_named(" NONE.", "We start here.") == []


def test_words_said_twice_are_found_behind_the_place_before_them():
    text = "A b c. Wait, no. A d. Wait, no. A e."
    assert cuts_named("Wait, no.\nWait, no.", text) == [found.start() for found in re.finditer("Wait", text)]


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("True", True), ("True.", True), ("**False**", False), ("false\n", False), ("Answer: TRUE", True),
        ("The passage arrives at 15, so: True", True), ("No, this is incorrect.", False), ("Yes.", True),
        ("That is not correct.", False), ("It could be true or false.\nFalse", False),
        ("正确。", True), ("不正确", False), ("这段推导是错误的。", False),
        ("true or false", None), ("", None), ("I do not know", None),
    ],
)  # fmt: skip
def test_true_and_false_are_read_tolerantly(said, meant):
    assert truth_of(said) is meant


# --- short incorrect against long correct ---


def test_every_incorrect_sample_is_looked_at_not_only_the_first():
    assert silc_pair([(50, 1)], [(60, 0), (5, 2)], min_margin=0.1) == Ordered(1, 2)


def test_the_next_longer_correct_sample_is_preferred_and_the_largest_margin_wins():
    correct, incorrect = [(10, 0), (500, 1), (600, 2)], [(5, 3), (20, 4), (550, 5)]
    assert silc_pair(correct, incorrect, min_margin=0.1) == Ordered(1, 4)


def test_no_pair_without_a_longer_correct_sample_or_with_too_small_a_margin():
    assert silc_pair([(50, 0)], [(50, 1), (60, 2)], min_margin=0.0) is None
    assert silc_pair([(50, 0)], [(46, 1)], min_margin=0.1) is None
    assert silc_pair([], [(46, 1)], min_margin=0.1) is None


LENGTHS = st.lists(st.integers(1, 60), max_size=8)


@given(LENGTHS, LENGTHS, st.sampled_from([0.0, 0.1, 0.5]))
def test_silc_takes_the_best_of_all_pairs(correct, incorrect, least):
    right = [(tokens, number) for number, tokens in enumerate(correct)]
    wrong = [(tokens, len(right) + number) for number, tokens in enumerate(incorrect)]
    pairs = [
        (1 - tokens / longer, tokens, longer)
        for tokens, _ in wrong
        if (longer := min((one for one, _ in right if one > tokens), default=None)) is not None
        and 1 - tokens / longer >= least
    ]
    pair = silc_pair(right, wrong, min_margin=least)
    if pair is None:
        assert not pairs
    else:
        lengths = incorrect[pair.rejected - len(right)], correct[pair.chosen]
        assert lengths == max(pairs)[1:]


@pytest.mark.parametrize(
    ("sentence", "reference"),
    [
        ("This gives the set {2, 3, 6}.", "2,3,6"), ("So the set is \\{2, 3, 6\\}.", "\\{2,3,6\\}"),
        ("So the pair is (2, 3).", "(2,3)"), ("So x = 2 or x = 3.", "2, 3"),
        ("Hence the interval is [2, 5].", "[2,5]"),
        ("So the day is Sunday.", "Sunday"), ("That means it falls on a Sunday.", "Sunday"),
        ("So it's **Tuesday**.", "Tuesday"), ("So the winner is Bob.", "Bob"), ("所以是星期天。", "星期天"),
        ("所以答案集合是{2,3,6}。", "\\{2,3,6\\}"),
    ],
)  # fmt: skip
def test_a_set_and_a_name_are_values_of_an_attempt(sentence, reference):
    again = f"{sentence}\n\nLet me double-check this. "
    assert cut(f"First we look. {again}{sentence}") == [
        f"First we look. {sentence}\n\n",
        again[len(sentence) + 2 :] + sentence,
    ]
    correct, _ = score_piece(sentence, lambda text: grade_maths(reference, text, symbolic=False))
    assert correct


@pytest.mark.parametrize(
    "sentence",
    [
        "So why did I get 61 earlier?", "So that means 61?", "So earlier I got 61.", "So it is 61?",
        "所以为什么刚才得到61？", "所以刚才是61。", "So it is not Sunday.", "So he never works on a Sunday.",
        "所以不是星期天。",
    ],
)  # fmt: skip
def test_a_question_an_earlier_value_and_a_denied_name_are_no_attempt(sentence):
    text = f"We look at it. {sentence}\n\nLet me double-check this. So it is 15."
    assert cut(text) == [text]


def test_a_name_that_is_not_the_right_one_tells_nothing():
    """It may be that of something on the way, about which a model can be asked."""
    assert score_piece("So the first one is Bob.", grade) == (None, "Bob")
