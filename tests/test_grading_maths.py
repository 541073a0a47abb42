"""Are answers to maths problems judged by the conventions, whatever they look like?"""

import itertools
import json
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks import load_task
from util.errors import UserError
from util.generation.golds import check_golds
from util.grading.__main__ import parse, run
from util.grading.maths import grade_maths, same_answer, symbolic
from util.records import Problem, TestSuite, as_finished

CASES = Path(__file__).parent / "cases"
MATH500 = Path(__file__).parents[2] / "shared/data/hub/HuggingFaceH4/MATH-500/test.jsonl"
GOLDS = (
    "33", "142.0", r"\frac{3}{4}", r"\left( 3, \frac{\pi}{2} \right)", "p - q", r"\text{Evelyn}", r"90^\circ",
    "6 - 5i", "x=5", "1,-2", "52_8", r"10,\!080", r"\begin{pmatrix} -1/3 \\ 2/3 \end{pmatrix}",
    r"1 \pm \sqrt{19}",
    "(3,4]",
    r"(-\infty, 2) \cup (3, \infty)", r"\$32,\!348", r"\{1\pm\sqrt{5},-2\}", "y = 2x + 3", r"137 \frac{1}{2}",
    r"x \in [-2,7]", r"\text{(C)}", "70,000", r"f(n) = 2 n+1007", r"\binom{2n}{n}", r"\frac{100!}{2^{50}}",
)  # fmt: skip
# Golds of MATH-500 that are written differently and mean the same.
TWINS = 16


def cases(name):
    return [json.loads(line) for line in (CASES / name).read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize(
    "case", cases("maths_equality.jsonl"), ids=lambda case: f"{case['gold']} ~ {case['prediction']}"
)
def test_two_answers_are_the_same_or_not(case):
    found = same_answer(case["gold"], case["prediction"], symbolic=False)
    assert found.equal == case["equal"], case["why"]
    assert "undecided" not in case or bool(found.cause) == case["undecided"], case["why"]


@pytest.mark.parametrize("case", cases("maths_responses.jsonl"), ids=lambda case: case["response"][:40])
def test_the_answer_of_a_response_is_found_and_judged(case):
    given = {name: case[name] for name in ("kind", "question") if name in case}
    verdict = grade_maths(case["gold"], case["response"], symbolic=False, **given)
    assert as_finished(verdict, case.get("finish", "stop")).correct == case["correct"], case["why"]


@pytest.mark.parametrize("gold", GOLDS)
def test_a_gold_is_equal_to_itself_in_a_box(gold):
    assert grade_maths(gold, f"It follows that \\boxed{{{gold}}}.", symbolic=False).correct


def test_different_golds_differ():
    for a, b in itertools.permutations(GOLDS, 2):
        assert not same_answer(a, b, symbolic=False).equal, (a, b)


@pytest.mark.skipif(not MATH500.exists(), reason="MATH-500 does not lie beside the repository")
def test_no_two_different_golds_of_math500_are_equal():
    golds = [json.loads(line)["answer"] for line in MATH500.read_text(encoding="utf-8").splitlines()]
    assert all(same_answer(gold, f" {gold} ", symbolic=False).equal for gold in golds)
    golds = list(dict.fromkeys(golds))
    pairs = {
        frozenset(pair)
        for pair in itertools.permutations(golds, 2)
        if same_answer(*pair, symbolic=False).equal
    }
    assert len(pairs) == TWINS, pairs


def test_integers_may_have_leading_zeros_or_a_point():
    assert grade_maths("33", r"\boxed{033}", kind="integer").correct
    assert grade_maths("142.0", r"\boxed{142}", kind="integer").correct
    assert not grade_maths("33", r"\boxed{33.4}", kind="integer").correct


def test_reasons_tell_why_there_is_no_verdict_on_an_answer():
    assert grade_maths("1", "<think> \\boxed{1}").reason == "truncated"
    assert grade_maths("1", "I cannot solve this.").reason == "no_answer"
    assert grade_maths("1", r"\boxed{2}").reason == "wrong_answer"


def test_a_verdict_says_what_was_found_who_decided_and_both_forms():
    verdict = grade_maths(r"\frac12", r"so \boxed{0.5}", symbolic=False)
    assert (verdict.correct, verdict.extracted, verdict.grader) == (True, "0.5", "maths-19")
    assert verdict.detail == r"structure; box; \frac12 | 0.5"


@given(st.text(max_size=60), st.text(max_size=60))
@settings(max_examples=150)
def test_no_text_makes_the_grader_raise(gold, prediction):
    assert same_answer(gold, prediction, symbolic=False).equal in (True, False)
    assert grade_maths(gold, prediction, symbolic=False).grader


PIECES = st.sampled_from(
    r"\frac \sqrt { } ( ) [ ] 1 2 10 x y + - ^ _ = < , \pm \cup \infty \pi i"
    r" e ! % | \{ \} \sin \text{a} . : \\ & 0.5".split()
)


@given(st.lists(PIECES, max_size=14).map(" ".join), st.lists(PIECES, max_size=14).map(" ".join))
@settings(max_examples=300)
def test_half_finished_latex_gets_a_verdict(gold, prediction):
    assert same_answer(gold, prediction, symbolic=False).equal in (True, False)
    if gold.strip(" .,;:=\\"):
        assert same_answer(gold, gold, symbolic=False).equal in (True, False)


EXPRESSIONS = st.recursive(
    st.integers(-9, 9).map(str) | st.sampled_from(["x", "y", r"\pi", r"\sqrt{2}", "i"]),
    lambda inner: (
        st.tuples(inner, st.sampled_from(["+", "-", r"\cdot "]), inner).map("({0[0]}{0[1]}{0[2]})".format)
        | st.tuples(inner, inner).map(r"\frac{{{0[0]}}}{{{0[1]}}}".format)
    ),
    max_leaves=6,
)


@given(EXPRESSIONS, EXPRESSIONS)
@settings(max_examples=150)
def test_equality_of_expressions_is_symmetric_and_reflexive(a, b):
    assert same_answer(a, b, symbolic=False).equal == same_answer(b, a, symbolic=False).equal
    assert same_answer(a, a, symbolic=False).equal


@given(st.lists(st.integers(-99, 99), min_size=2, max_size=6), st.randoms(use_true_random=False))
@settings(max_examples=50)
def test_the_order_of_a_bare_list_does_not_count(numbers, shuffler):
    other = list(numbers)
    shuffler.shuffle(other)
    spaced = [", ".join(map(str, values)) for values in (numbers, other)]
    assert same_answer(*spaced, symbolic=False).equal


HOSTILE = {
    "nothing": "",
    "a megabyte of text": "lorem ipsum " * 87_000,
    "a million digits": "9" * 1_000_000,
    "nested braces": "{" * 10_000,
    "sums within each other": r"\sum_{i=1}^{9} i" * 12,
    "nested brackets": "(" * 10_000 + ")" * 10_000,
    "nested boxes": r"\boxed{" * 10_000,
    "two thousand boxes": r"\boxed{1}" * 2_000,
    "nested fractions": r"\frac{1}{" * 400 + "1" + "}" * 400,
    "half a fraction": r"\frac{1}{",
    "NUL": "\0" * 50,
    "lone surrogates": "\ud800\udfff 5 \ud800",
    "a tower": "9^{9^{9^9}}",
    "a factorial": "10000000!",
    "factorials of factorials": "((3000!)!)!",
    "a product of factorials": "3000!" * 50,
    "half an environment": r"\begin{align}" * 4 + r"\begin",
    "sums of sums": r"\sum_{k=1}^{300}" * 8 + "k!",
    "Chinese units": "5个" * 1_900,
    "digits that are no numbers": "①²፩" * 1_000,
    "python": "__import__('os').system('touch /tmp/x')",
    "signs": "-" * 3_900 + "5x",
    "many plus-minus": r"\pm 1" * 60,
    "a long list": ",".join(f"x+{i}" for i in range(500)),
    "a long sum": "+".join(["x"] * 900),
    "a long product": "x " * 1_400,
    "bars": "|" * 1_000,
    "backslashes": "\\" * 3_900,
    "dollars": "$" * 50_000,
    "answer is": "the answer is " * 20_000,
    "tags": "<answer>" * 30_000,
    "asterisks": "**" * 50_000,
    "formulas": "$x$ " * 30_000,
    "blanks in a box": r"\boxed{" + " " * 200_000 + "}",
    "a large power": "((x+1)^{1000})^{1000}",
    "a tiny number": "0." + "0" * 3_800 + "1",
    "a large exponent": "1e999999999",
    "functions": r"\sin" * 900 + "x",
    "unicode fractions": "½" * 1_500,
    "subscripts": "x" + "_1" * 900,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_input_gets_a_verdict_within_50_ms(name):
    text = HOSTILE[name]
    for grade in (
        lambda: same_answer("5", text, symbolic=False),
        lambda: same_answer(text, "0+" + text, symbolic=False),
        lambda: grade_maths("5", text, symbolic=False),
        lambda: grade_maths("5", r"\boxed{" + text + "}", symbolic=False),
    ):
        assert any(seconds(grade) < 0.05 for _ in range(9))  # others may use the caches for a moment


def seconds(function):
    start = time.process_time()
    function()
    return time.process_time() - start


def test_nothing_in_an_answer_is_executed(tmp_path):
    target = tmp_path / "made"
    for payload in (f"open('{target}','w').write('x')", f"__import__('pathlib').Path('{target}').touch()"):
        for answer in (payload, f"[{payload}]", f"({payload}, 1)", f"\\boxed{{{payload}}}"):
            same_answer("1", answer, symbolic=True)
            grade_maths("1", answer, symbolic=True)
    assert not target.exists()


def test_verdicts_are_the_same_in_any_thread():
    pairs = [(case["gold"], case["prediction"]) for case in cases("maths_equality.jsonl")[:60]]
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(lambda pair: same_answer(*pair, symbolic=False).equal, pairs * 2))
    assert found == [same_answer(*pair, symbolic=False).equal for pair in pairs] * 2


def test_the_first_tiers_load_nothing_heavy():
    code = (
        "import sys, util.grading.maths as m; m.same_answer('1', 'x+1', symbolic=False);"
        "print([n for n in ('sympy', 'subprocess', 'numpy', 'multiprocessing') if n in sys.modules])"
    )
    root = Path(__file__).parents[1]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("case", cases("maths_symbolic.jsonl"), ids=lambda case: case["gold"])
def test_the_symbolic_engine_decides_what_the_reader_cannot(case):
    assert same_answer(case["gold"], case["prediction"], symbolic=False).tier == "none"
    result = same_answer(case["gold"], case["prediction"], symbolic=True)
    assert (result.equal, result.tier) == (case["equal"], "symbolic")


@pytest.mark.parametrize(
    ("gold", "prediction"),
    [
        (r"\nabla \cdot F", r"\nabla \times F"),
        (r"\lim_{x\to\infty} f", r"\lim_{x\to 0} f"),
        (r"\lim_{n\to\infty} a_n", "a_n"),
        (r"\int_0^1 f(x)\,dx", r"\int_0^1 f(x)"),
        ("n!!", "(n!)!"),
        ("f(2) = 3", "g(2) = 3"),
    ],
)
def test_the_symbolic_engine_is_not_asked_what_it_would_read_as_something_else(gold, prediction):
    result = same_answer(gold, prediction, symbolic=True)
    assert not result.equal and result.cause, result


def test_and_against_or_is_seen_in_a_response():
    assert not grade_maths(r"x<2 \text{ or } x>3", r"\boxed{x<2 \text{ and } x>3}", symbolic=False).correct
    assert not grade_maths(r"A \text{ or } B", r"\boxed{A \text{ and } B}", symbolic=False).correct
    assert grade_maths(r"x=2 \text{ or } x=3", r"\boxed{x=2 \text{ and } x=3}", symbolic=False).correct


def test_a_comparison_that_needs_too_much_cpu_time_is_undecided_and_the_engine_comes_back():
    verdict = grade_maths(r"\lim_{n \to \infty} \prod_{k=1}^{10^9} (k^2+n)", r"\boxed{1}", symbolic=True)
    assert verdict.reason == "undecided" and "s of CPU time" in verdict.cause
    assert same_answer(r"\int_0^1 2x \, dx", "1.0", symbolic=True).equal


def test_an_engine_that_the_machine_stops_for_a_while_says_the_same():
    assert same_answer(r"\int_0^1 2x \, dx", "1", symbolic=True).equal
    child = symbolic._engine.child
    os.kill(child.pid, signal.SIGSTOP)
    timer = threading.Timer(symbolic.CPU_S + 1.0, os.kill, (child.pid, signal.SIGCONT))
    timer.start()
    assert same_answer(r"\int_0^1 4x \, dx", "2", symbolic=True).equal
    assert symbolic._engine.child is child
    timer.join()


def test_the_engine_works_for_a_script_that_guards_nothing():
    program = (
        "from util.grading import maths\nfrom util.grading.maths import symbolic\n"
        "symbolic.use(True)\n"
        "for p in ('1', '2'):\n"
        "    found = maths.same_answer(r'\\int_0^1 2x \\, dx', p)\n"
        "    print(found[:2])\n"
    )
    root = Path(__file__).parents[1]
    done = subprocess.run([sys.executable, "-"], input=program, cwd=root, capture_output=True, text=True)
    assert (done.stderr, done.stdout) == ("", "(True, 'symbolic')\n(False, 'symbolic')\n")


class StoppedOnce:
    """The line to a child that was stopped together with its parent, for as long as the clock says."""

    def __init__(self):
        self.words = [None, symbolic._READY, None, symbolic._YES]

    def poll(self, timeout_s):
        return self.words[0] is not None or self.words.pop(0) is not None

    def send_bytes(self, question):
        pass

    def recv_bytes(self):
        return self.words.pop(0)


def test_a_comparison_has_its_time_though_all_were_stopped_meanwhile(monkeypatch):
    clock = itertools.count(step=1000.0)
    monkeypatch.setattr(time, "monotonic", lambda: next(clock))
    child = symbolic._EngineChild()
    child.pipe, child.cpu_s = StoppedOnce(), lambda: 0.0
    assert child.wait_for_start() and child.answer("1", "1")


def test_an_engine_that_is_not_ready_makes_no_wrong_answer(monkeypatch):
    def busy(gold, prediction):
        raise symbolic.Busy("the engine is still starting")

    monkeypatch.setattr(symbolic, "same", busy)
    assert grade_maths(r"\int_0^1 2x \, dx", r"\boxed{1}", symbolic=True).reason == "undecided"


@pytest.mark.parametrize("case", cases("maths_edges.jsonl"), ids=lambda case: case["response"][-40:])
def test_an_answer_that_is_not_in_a_clean_box_is_judged_by_the_whole_of_it(case):
    verdict = grade_maths(
        case["gold"],
        case["response"],
        kind=case.get("answer_kind", "any"),
        symbolic=case.get("engine", False),
    )
    assert verdict.correct == case["right"], case["kind"]


@pytest.mark.parametrize("line", ["\nQ: what is it", "\nProblem 3: find it", "\nQuestion: The answer is 5?"])
def test_a_text_that_goes_on_with_ever_new_problems_is_read_to_its_end(line):
    assert not grade_maths("7", "hm" + 2_000 * line, symbolic=False).correct
    assert grade_maths("5", f"The answer is 5.{2_000 * line}", symbolic=False).correct


@pytest.mark.parametrize(
    "text",
    [r"\boxed{7}" + "\n" * 6_000 + "x", "The answer is 7." + " " * 6_000 + "!", f"x = 7{' ' * 6_000}x"],
)
def test_an_answer_with_thousands_of_blanks_behind_it_is_read_at_once(text):
    assert any(seconds(lambda: grade_maths("7", text, symbolic=False)) < 0.1 for _ in range(9))


def test_explain_prints_every_part_of_a_verdict(capsys, tmp_path):
    response = tmp_path / "response.txt"
    response.write_text(r"so it is \boxed{0.5}")
    assert run(parse(["explain", "--gold", r"\frac12", "--response", str(response)])) == 0
    printed = capsys.readouterr().out
    assert (
        "correct" in printed and "0.5" in printed and "box (high trust)" in printed and "maths-19" in printed
    )


def test_explain_shows_trust_and_takes_the_finish_reason_and_the_question_into_account(capsys):
    asked = [
        "explain",
        "--gold",
        "x=4",
        "--response",
        "The answer is 5x + 2 = 22",
        "--question",
        "Solve 5x+2=22.",
    ]
    assert run(parse(asked)) == 0
    assert "not correct: wrong_answer" in capsys.readouterr().out
    cut = ["explain", "--gold", "2", "--response", "The answer is 2"]
    assert run(parse(cut)) == 0
    assert "declared (medium trust)" in capsys.readouterr().out
    assert run(parse([*cut, "--finish-reason", "length"])) == 0
    assert "not correct: truncated" in capsys.readouterr().out


def test_check_golds_counts_references_that_the_grader_does_not_accept(capsys, monkeypatch):
    accepted = grade_maths
    monkeypatch.setattr(
        "tasks.warmup.grade_maths",
        lambda gold, text, **options: accepted(gold if int(gold) < 20 else gold + "1", text, **options),
    )
    assert run(parse(["check-golds", "--dataset", "Warmup"])) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("Warmup: ") and "of 40 references are accepted" in lines[0]
    assert "wrong_answer" in lines[1]
    with pytest.raises(UserError, match="judged by tests"):
        check_golds(load_task("APPS"), [Problem("1", "q", TestSuite("apps"))])


def test_explain_takes_a_tolerance_for_numbers_and_none_for_letters(capsys):
    assert (
        run(parse(["explain", "--gold", "3.14", "--response", "It is 3.1416.", "--tolerance", "digits"])) == 0
    )
    assert "number within digits" in capsys.readouterr().out
    with pytest.raises(UserError, match="a letter is right or wrong"):
        run(parse(["explain", "--gold", "B", "--response", "B", "--choice", "4", "--tolerance", "digits"]))


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["explain", "--gold", "5", "--response", "5", "--finish-reason", "ende"], "finish-reason"),
        (["explain", "--gold", " ", "--response", "5"], "--gold"),
        (["check-golds", "--dataset", "MATH500", "--limit", "0"], "--limit"),
        (
            ["check-golds", "--dataset", "MATH500", "--tolerance", "digits"],
            "--tolerance digits is for explain",
        ),
        (["check-golds", "--dataset", "MATH500", "--gold", "5"], "--gold 5 is for explain"),
        (["explain", "--gold", "5", "--response", "5", "--limit", "3"], "--limit 3 is for check-golds"),
    ],
)
def test_what_cannot_be_graded_is_refused_in_one_sentence(flags, said, capsys):
    with pytest.raises(SystemExit) as ended:
        parse(flags)
    message = capsys.readouterr().err
    assert ended.value.code == 2 and said in message and message.count("\n") == 1


def test_explain_takes_no_file_that_is_no_text(tmp_path):
    response = tmp_path / "model.bin"
    response.write_bytes(b"\x01\x00\x02")
    with pytest.raises(UserError, match="is no text file"):
        run(parse(["explain", "--gold", "5", "--response", str(response)]))


def test_explain_says_what_to_do_about_a_wrong_letter():
    with pytest.raises(UserError, match="give a letter out of ABCD"):
        run(parse(["explain", "--gold", "E", "--response", "B", "--choice", "4"]))


@pytest.mark.parametrize(
    "given", ["/nope.txt", "./nope", "../nope/x", "~/nope", "results/nope.jsonl", "nope.md"]
)
def test_explain_says_that_a_file_is_not_there(given):
    with pytest.raises(UserError, match="there is no such file"):
        run(parse(["explain", "--gold", "1", "--response", given]))


@pytest.mark.parametrize("given", ["1/2", "/2", "3.14", "x/y", "so it is /tmp/x.txt", r"/\pi", "B.", "1.e"])
def test_explain_takes_a_text_for_a_text(given, capsys):
    assert run(parse(["explain", "--gold", "1", "--response", given])) == 0
    assert "verdict" in capsys.readouterr().out
