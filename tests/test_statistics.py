"""Are the numbers right, by values computed in another way, and do the intervals cover what they promise?"""

import itertools
import math
import random

import numpy
import pytest
import scipy.stats

from util.records import Record, Sample, Verdict, as_finished
from util.results.estimates import (
    majority_at_k,
    mean_of_shares,
    mean_within,
    pass_at_k,
    tokens_to_first_correct,
)
from util.results.headline import about_alike, about_graders, about_loops, summarise, summary_line
from util.results.paired_test import LEVEL, compare_shares, holm, permutation_p, problem_p


def record(problem_id="p", index=0, *, correct=True, tokens=10, temperature=0.7, **given):
    answer = given.get("extracted", "42" if correct else "41")
    verdict = Verdict(
        correct,
        given.get("reason", "" if correct else "wrong_answer"),
        answer,
        "",
        given.get("grader", "maths-1"),
        trust=given.get("trust", ""),
    )
    finish_reason = given.get("finish_reason", "stop")
    return Record(
        question="?",
        prompt="?",
        answer=given.get("answer", "42"),
        sample=Sample(
            problem_id, temperature, index, given.get("text", "text"), None, finish_reason, 5, tokens
        ),
        formatted=None,
        verdict=given.get("verdict", verdict),
        about=given.get("about", {}),
    )


def result(records):
    """The result at the one temperature there is."""
    (found,) = summarise(records).values()
    return found


def line_of(name, found):
    """The line for people, put together again where it goes on in a further one."""
    return summary_line(name, found).replace("\n ", "")


def only(records):
    """The same as numbers."""
    return result(records).as_json()


def test_verdicts_of_several_versions_of_a_grader_are_said():
    def by(*graders):
        return about_graders(result([record(index=at, grader=name) for at, name in enumerate(graders)]))

    assert "maths-17 (1) and maths-3 (2): `--check --regrade`" in by("maths-3", "maths-3", "maths-17")
    assert by("code-4", "code-4 legacy")
    assert not by("maths-17", "pool-1", "code-4", "judge-1", "judge-1 m")


def test_samples_that_are_all_the_same_text_are_counted_and_said():
    def drawn(*texts, name):
        return [record(name, index, text=text) for index, text in enumerate(texts)]

    alike = [*drawn("a", "a", name="p"), *drawn("b", "b", "b", name="q")]
    others = [*drawn("a", name="alone"), *drawn("a", "b", "a", name="r")]
    numbers = result(alike + others)
    assert numbers.alike == {"problems": 2, "of": 3}
    assert "all samples of 2 of 3 problems" in about_alike(0.7, numbers)
    assert not about_alike(0.0, numbers)  # greedy ones have to be
    assert not about_alike(0.7, result(alike[:2] + others))
    assert not about_alike(0.7, result([*alike, *others, *drawn("x", "y", name="s")]))


@pytest.mark.parametrize("problems, right", [(2, 1), (30, 0), (30, 12), (30, 29), (500, 499), (3000, 3000)])
def test_one_sample_each_gives_the_exact_interval_of_clopper_and_pearson(problems, right):
    found = mean_of_shares([1.0] * right + [0.0] * (problems - right))
    exact = scipy.stats.binomtest(right, problems).proportion_ci(0.95, "exact")
    assert (found.low, found.high) == pytest.approx((exact.low, exact.high), abs=1e-4)


@pytest.mark.parametrize("problems, n", [(3, 2), (30, 8), (200, 64)])
def test_the_ends_of_an_interval_are_quantiles_of_the_randomly_weighted_mean(problems, n):
    dice = numpy.random.default_rng(problems)
    shares = dice.binomial(n, dice.beta(0.7, 0.5, problems)) / n
    weights = dice.dirichlet([1] * (problems + 1), 20_000)
    ends = [numpy.quantile(weights @ [*shares, least], q) for least, q in ((0.0, 0.025), (1.0, 0.975))]
    found = mean_of_shares(shares.tolist())
    assert (found.low, found.high) == pytest.approx(ends, abs=0.004)


@pytest.mark.parametrize("n, mean", [(1, 0.05), (1, 0.5), (8, 0.99), (8, 0.5), (64, 0.02)])
@pytest.mark.parametrize("strength", [0.1, 5])  # nearly split into always and never solved, or nearly alike
def test_intervals_of_few_problems_hold_the_truth_in_at_least_94_of_100_draws(n, mean, strength):
    dice = numpy.random.default_rng([n, int(100 * mean)])
    seen, held, draws = {}, 0, 3000 if n == 1 else 300  # with one sample each there are few different draws
    for _ in range(draws):
        chances = dice.beta(strength * mean, strength * (1 - mean), 30)
        shares = tuple(sorted((dice.binomial(n, chances) / n).tolist()))
        found = seen.get(shares) or seen.setdefault(shares, mean_of_shares(shares))
        held += found.low <= mean <= found.high
    assert held / draws >= 0.94


def test_one_wrong_sample_does_not_make_an_interval_narrow():
    widths = []
    for wrong in range(0, 9):
        found = mean_of_shares([1.0] * 29 + [1 - wrong / 8])
        widths.append(found.high - found.low)
    assert widths == sorted(widths)


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_all_wrong_and_all_right_still_leave_doubt(share):
    found = mean_of_shares([share] * 30)
    assert found.value == share
    assert 0.08 < found.high - found.low < 0.16
    assert found.low <= share <= found.high


def test_one_problem_says_nothing_about_others():
    found = mean_of_shares([0.5])
    assert (found.low, found.high) == (0.0, 1.0)


@pytest.mark.parametrize("drawn, correct, k", [(8, 3, 2), (8, 0, 4), (8, 8, 1), (10, 1, 10), (6, 5, 4)])
def test_pass_at_k_is_the_share_of_all_subsets_with_a_right_one(drawn, correct, k):
    outcomes = [True] * correct + [False] * (drawn - correct)
    subsets = list(itertools.combinations(outcomes, k))
    assert pass_at_k(drawn, correct, k) == pytest.approx(sum(map(any, subsets)) / len(subsets))


@pytest.mark.parametrize(
    "correct, wrong, silent, k", [(3, [3, 2], 0, 8), (3, [2, 1], 2, 4), (2, [4, 2], 0, 4), (1, [1] * 5, 2, 2)]
)
def test_majority_at_k_is_the_mean_over_all_subsets(correct, wrong, silent, k):
    answers = ["right"] * correct + ["none"] * silent
    answers += [f"wrong {number}" for number, count in enumerate(wrong) for _ in range(count)]

    def won(subset):
        counts = {answer: subset.count(answer) for answer in subset if answer != "none"}
        most = [answer for answer, count in counts.items() if count == max(counts.values())]
        return 1 / len(most) if "right" in most else 0.0

    subsets = list(itertools.combinations(answers, k))
    expected = sum(map(won, subsets)) / len(subsets)
    assert majority_at_k(correct, wrong, silent, k) == pytest.approx(expected, abs=1e-9)


def test_majority_at_k_over_random_subsets_is_close_to_the_exact_value(monkeypatch):
    exact = majority_at_k(9, [7, 4, 2], 2, 8)
    monkeypatch.setattr("util.results.estimates.EXACT_VOTES", 0)
    drawn = majority_at_k(9, [7, 4, 2], 2, 8)
    assert drawn != exact and drawn == pytest.approx(exact, abs=0.08)


def test_tokens_to_the_first_correct_answer_are_the_mean_over_all_orders():
    samples = [(100, True), (200, False), (300, False), (50, True), (400, False)]
    costs = []
    for order in itertools.permutations(samples):
        first = next(place for place, (_, correct) in enumerate(order) if correct)
        costs.append(sum(tokens for tokens, _ in order[: first + 1]))
    assert tokens_to_first_correct(5, 2, 150, 900) == pytest.approx(sum(costs) / len(costs))


def test_every_permutation_is_counted_when_few_problems_differ():
    differences = [0.5, -0.25, 1.0, 0.0, 0.125, -1.0, 0.75]
    signs = itertools.product((-1, 1), repeat=len(differences))
    observed = abs(sum(differences))
    sums = [abs(sum(s * d for s, d in zip(sign, differences, strict=True))) for sign in signs]
    expected = sum(value >= observed - 1e-9 for value in sums) / len(sums)
    assert permutation_p(differences) == (pytest.approx(expected), True)


def test_one_sample_each_gives_the_exact_sign_test():
    differences = [1.0] * 11 + [-1.0] * 3 + [0.0] * 16
    expected = scipy.stats.binomtest(11, 14).pvalue
    assert permutation_p(differences) == (pytest.approx(expected), True)


def test_random_permutations_come_close_to_the_exact_value_and_repeat():
    differences = [1.0] * 24 + [-1.0] * 11
    found, exact = permutation_p(differences)
    assert not exact
    assert found == pytest.approx(scipy.stats.binomtest(24, 35).pvalue, abs=0.005)
    assert permutation_p(differences)[0] == found


def random_pair(seed):
    """Counts of two runs on the same problems, of few or many samples, far apart or not."""
    dice = random.Random(seed)
    n, shift = dice.choice([1, 1, 2, 8, 64]), dice.choice([0.0, 0.1, 0.3])
    first, second = {}, {}
    for number in range(dice.randint(2, 40)):
        chance = dice.random() ** dice.choice([0.2, 1, 5])
        better = min(1.0, chance + shift * dice.random())
        first[f"p{number}"] = (sum(dice.random() < chance for _ in range(n)), n)
        second[f"p{number}"] = (sum(dice.random() < better for _ in range(n)), n)
    return first, second


@pytest.mark.parametrize("seeds", [range(0, 40), range(40, 80)])
def test_the_interval_of_a_difference_never_contradicts_its_test(seeds):
    told = 0
    for seed in seeds:
        first, second = random_pair(seed)
        found = compare_shares(first, second)
        estimate = found.difference
        assert estimate.low <= estimate.value <= estimate.high
        assert (not estimate.low <= 0 <= estimate.high) == (found.p_value < LEVEL), seed
        told += found.p_value < LEVEL
    assert 3 < told < 35


def test_with_one_sample_each_interval_and_sign_test_agree_without_being_made_to():
    for better, worse, alike in itertools.product(range(0, 13, 2), range(0, 7, 2), (0, 25)):
        differences = [1.0] * better + [-1.0] * worse + [0.0] * alike
        if differences:
            found = mean_within(differences, -1.0, 1.0)
            assert (not found.low <= 0 <= found.high) == (permutation_p(differences)[0] < LEVEL)


def test_five_problems_more_of_thirty_are_no_difference_for_interval_and_test_alike():
    first = {f"p{number}": (number < 10, 1) for number in range(30)}
    second = {f"p{number}": (number < 15, 1) for number in range(30)}
    found = compare_shares(first, second)
    assert found.p_value == 0.0625 and found.difference.low <= 0


def test_equivalence_is_two_one_sided_tests():
    alike = {f"p{number}": (number % 2, 1) for number in range(500)}
    other = {**alike, "p0": (1, 1), "p1": (0, 1)}
    assert compare_shares(alike, other).equivalent(0.02) is True
    few = {f"p{number}": (number % 2, 1) for number in range(30)}
    assert compare_shares(few, few).equivalent(0.02) is None
    assert compare_shares(alike, {name: (1, 1) for name in alike}).equivalent(0.02) is False


@pytest.mark.parametrize(
    "first, second", [((1, 8), (7, 8)), ((0, 4), (4, 4)), ((3, 8), (10, 64)), ((2, 2), (2, 2))]
)
def test_the_test_of_one_problem_is_fishers(first, second):
    table = [[correct, judged - correct] for correct, judged in (first, second)]
    assert problem_p(first, second) == pytest.approx(scipy.stats.fisher_exact(table).pvalue)


def test_several_p_values_are_corrected_by_holm():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == [1.0, 1.0] and holm([]) == []


def test_runs_that_agree_everywhere_still_leave_doubt():
    counts = {f"p{number}": (1, 1) for number in range(30)}
    found = compare_shares(counts, counts)
    assert (found.differing, found.p_value, found.needed_problems) == (0, 1.0, None)
    assert found.difference.low < -0.05 and found.difference.high > 0.05


def test_the_number_of_problems_that_would_be_needed_has_the_promised_power():
    dice = numpy.random.default_rng(5)
    pilot = [-1] * 40 + [0] * 280 + [1] * 80
    first = {f"p{number}": (max(0, -value), 1) for number, value in enumerate(pilot)}
    second = {f"p{number}": (max(0, value), 1) for number, value in enumerate(pilot)}
    needed = compare_shares(first, second).needed_problems
    found = 0
    for _ in range(300):
        drawn = dice.choice([-1.0, 0.0, 1.0], p=[0.1, 0.7, 0.2], size=needed)
        found += scipy.stats.ttest_1samp(drawn, 0).pvalue < 0.05
    assert 0.7 < found / 300 < 0.9


def test_the_number_of_samples_that_would_be_needed_is_that_of_the_power_formula():
    sizes = [8, 4, 12, 4]  # problems need not have equally many samples
    first = {f"p{place}": (size // 4, size) for place, size in enumerate(sizes)}
    second = {f"p{place}": (size // 2, size) for place, size in enumerate(sizes)}
    outcomes = [
        [1] * correct + [0] * (size - correct)
        for counts in (first, second)
        for correct, size in counts.values()
    ]
    of_one = sum(numpy.var(some, ddof=1) for some in outcomes) / 4
    error = 0.25 / (scipy.stats.norm.ppf(0.975) + scipy.stats.norm.ppf(0.8))
    assert compare_shares(first, second).needed_samples == math.ceil(of_one / (4 * error**2))


def test_only_common_problems_are_compared():
    found = compare_shares({"a": (1, 1), "b": (0, 1)}, {"b": (1, 1), "c": (0, 1)})
    assert (found.problems, found.difference.value) == (1, 1.0)


def test_equal_answers_written_differently_vote_together():
    wrong = [r"\frac{1}{2}", "0.5", r"\dfrac12"]
    records = [record(index=place, correct=False, extracted=text) for place, text in enumerate(wrong)]
    records += [record(index=3), record(index=4), record(index=5, correct=False, extracted="7")]
    records += [record(index=6, correct=False, extracted="8"), record(index=7, correct=False, extracted="9")]
    numbers = only(records)
    assert numbers["maj_at"]["8"]["value"] == 0.0  # three halves against two right ones


def test_letters_are_compared_as_letters():
    records = [record(index=0, grader="choice-1", extracted="A")]
    records += [
        record(index=1, correct=False, grader="choice-1", extracted="B"),
        record(index=2, correct=False, grader="choice-1", extracted="b"),
        record(index=3, grader="choice-1", extracted="A"),
    ]
    assert only(records)["maj_at"]["4"]["value"] == 1.0


def test_answers_of_programs_do_not_vote():
    numbers = only([record(index=0, answer=None), record(index=1, answer=None, correct=False)])
    assert numbers["maj_at"] == {}


def test_truncated_answers_count_as_wrong_and_are_told_apart():
    cut = [
        record("q", index, correct=False, reason="truncated", finish_reason="length") for index in range(2)
    ]
    numbers = only([record("p", 0), record("p", 1), *cut])
    assert (numbers["share_of_samples"], numbers["truncated"], numbers["completed_accuracy"]) == (0.5, 2, 1.0)


def test_loops_refusals_and_forced_answers_are_counted_apart_and_completed_only_leaves_loops_out():
    records = [
        record(),
        record(index=1, correct=False, reason="truncated", finish_reason="length"),
        record(index=2, correct=False, reason="truncated", finish_reason="loop", tokens=40),
        record(index=3, correct=False, reason="no_answer", finish_reason="refusal"),
        record(index=4, correct=True, finish_reason="budget"),
    ]
    found = result(records)
    numbers = found.as_json()
    assert (numbers["truncated"], numbers["no_answer"], numbers["completed_accuracy"]) == (1, 0, 2 / 3)
    assert {name: found["samples"] for name, found in numbers["apart"].items()} == {
        "budget": 1,
        "loop": 1,
        "refusal": 1,
    }
    line = line_of("AIME", found)
    assert "20.0 % truncated, 0.0 % no answer, 20.0 % thought ended by its budget, 20.0 % in a loop, " in line
    told = about_loops(found, 100)
    assert (
        told
        == "1 text that repeated itself was ended, which saved up to 60 tokens (of --max-tokens 100 each)"
    )
    assert about_loops(result([record()]), 100) == ""


@pytest.mark.parametrize("reason", ["length", "max_tokens", "loop", "content_filter", "tool_use", "abort"])
def test_of_a_text_that_was_broken_off_only_a_sure_sign_counts(reason):
    sure, unsure = (Verdict(True, extracted="7", trust=trust) for trust in ("high", "low"))
    assert as_finished(sure, reason) == sure
    assert as_finished(unsure, reason).reason == "truncated"


def test_a_refusal_is_no_answer_and_a_forced_answer_is_judged_like_any_other():
    verdict = Verdict(True, extracted="7", trust="low")
    assert as_finished(verdict, "budget") == verdict
    refused = as_finished(verdict, "refusal")
    assert (refused.correct, refused.reason, refused.extracted) == (False, "no_answer", None)


def test_samples_that_could_not_be_judged_are_neither_right_nor_wrong():
    broken = record(index=1, verdict=Verdict(False, "grader_error"))
    ungraded = record(index=2, verdict=None)
    numbers = only([record(), broken, ungraded])
    assert (numbers["share_of_samples"], numbers["judged"], numbers["samples"]) == (1.0, 1, 3)
    assert numbers["not_judged"] == {"grader_error": 1, "not_graded": 1}


def undecided(problem_id="p", index=0, **given):
    return record(problem_id, index, correct=False, reason="undecided", **given)


def test_undecided_samples_are_not_correct_and_the_upper_end_takes_them_for_correct():
    records = [record("p", 0), undecided("p", 1), record("q", 0), record("q", 1, correct=False)]
    records += [undecided("r", 0), record("r", 1, verdict=Verdict(False, "sandbox_error"))]
    numbers = only(records)
    assert (numbers["judged"], numbers["correct"], numbers["undecided"]) == (5, 2, 2)
    assert numbers["not_judged"] == {"sandbox_error": 1}
    assert (numbers["share_of_samples"], numbers["share_of_samples_up_to"]) == (2 / 5, 4 / 5)
    assert (numbers["avg"]["value"], numbers["avg"]["up_to"]) == pytest.approx((1 / 3, (1 + 1 / 2 + 1) / 3))
    assert (numbers["tokens"]["wrong"]["samples"], numbers["tokens"]["undecided"]["samples"]) == (1, 2)
    line = line_of("AIME", result(records))
    assert line.startswith("AIME avg@1-2 33.3 (up to 83.3: 2 undecided) [")
    assert "% no answer, 33.3 % undecided, completed-only" in line and line.endswith("| 5 of 6")


def test_programs_in_another_language_are_wrong_and_counted_apart():
    records = [record("p", 0), record("p", 1, correct=False, reason="unsupported_language")]
    numbers = only(records)
    assert (numbers["judged"], numbers["correct"], numbers["other_language"]) == (2, 1, 1)
    assert numbers["tokens"]["wrong"]["samples"] == 1
    assert "50.0 % in another language" in line_of("APPS", result(records))
    assert "another language" not in line_of("APPS", result(records[:1]))


def test_an_undecided_sample_that_was_cut_off_is_undecided_and_counts_among_the_truncated():
    numbers = only([record(), undecided(index=1, finish_reason="length", trust="high")])
    assert (numbers["undecided"], numbers["truncated"]) == (1, 1)
    assert numbers["completed_accuracy"] == 1.0


def test_undecided_samples_are_counted_within_each_level():
    records = [record("p", about={"level": 1}), undecided("q", about={"level": 2})]
    levels = only(records)["groups"]["level"]
    assert [(levels[level]["value"], levels[level]["up_to"]) for level in "12"] == [(1, 1), (0, 1)]


@pytest.mark.parametrize(
    "silent",
    [
        {"reason": "undecided"},
        {"reason": "truncated", "finish_reason": "length"},
        {"trust": "low", "finish_reason": "length"},
        {"trust": "medium", "finish_reason": "length"},
    ],
)
def test_what_is_undecided_or_an_invented_answer_of_a_cut_off_text_has_no_vote(silent):
    records = [record(index=0)]
    records += [record(index=place, correct=False, extracted="7", **silent) for place in (1, 2, 3)]
    assert only(records)["maj_at"]["4"]["value"] == 1.0


def test_a_wrong_answer_in_a_box_has_its_vote_although_the_text_was_cut_off_behind_it():
    sure = {"trust": "high", "finish_reason": "length"}
    records = [record(index=0), *(record(index=place, correct=False, **sure) for place in (1, 2, 3))]
    assert only(records)["maj_at"]["4"]["value"] == 0.0


def test_a_problem_with_more_samples_weighs_no_more_than_another():
    records = [record("p", index, correct=False) for index in range(9)] + [record("q")]
    numbers = only(records)
    assert (numbers["avg"]["value"], numbers["share_of_samples"]) == (0.5, 0.1)


def test_results_are_split_by_what_problems_differ_in():
    records = [
        record("p", about={"level": 2, "subject": "x"}),
        record("q", about={"level": 10, "subject": "x"}),
    ]
    groups = only(records)["groups"]
    assert list(groups) == ["level"]
    assert list(groups["level"]) == ["2", "10"]


def test_percentiles_of_tokens_agree_with_numpy():
    dice = random.Random(1)
    tokens = [dice.randrange(5000) for _ in range(101)]
    found = only([record(f"p{place}", tokens=count) for place, count in enumerate(tokens)])["tokens"]["all"]
    for percentile in (5, 50, 95):
        assert found[f"p{percentile}"] == pytest.approx(numpy.percentile(tokens, percentile))


def test_the_numbers_do_not_depend_on_the_order_of_the_samples():
    dice = random.Random(2)
    records = [
        record(
            f"p{place}",
            index,
            correct=(right := dice.random() < 0.5),
            extracted="42" if right else str(index % 3),
        )
        for place in range(6)
        for index in range(10)
    ]
    shuffled = dice.sample(records, len(records))
    assert only(shuffled)["maj_at"] == only(records)["maj_at"]
    assert only(shuffled)["avg"] == pytest.approx(only(records)["avg"])


def test_the_line_of_a_benchmark_names_everything_in_order():
    records = [record(f"p{place}", index, correct=place < 6) for place in range(12) for index in range(8)]
    line = line_of("AIME", result(records))
    assert line.startswith("AIME avg@8 50.0 [")
    assert "pass@8 50.0 maj@8 50.0 | 0.0 % truncated, 0.0 % no answer, completed-only 50.0 | 96 of 96" in line


def test_a_run_without_verdicts_has_no_score():
    line = summary_line("AIME", result([record(verdict=None)]))
    assert line == "AIME nothing graded yet | 0 of 1"


def test_verdicts_are_counted_by_their_grader():
    graded = [record(index=index, grader=f"maths-{1 + index // 3}") for index in range(5)]
    assert only(graded)["graders"] == {"maths-1": 3, "maths-2": 2}
