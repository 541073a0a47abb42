"""Are exactly those samples asked that the verdicts call for, and is nothing spent beyond a limit?"""

import itertools
import random
import time
from functools import cache

import pytest
from helpers import json_lines, last_line, paper_engine, script

from benchmarks.adaptive import Shape, on_paper
from util.engines.metered import open_metered
from util.engines.options import EngineOptions
from util.engines.prices import cost_line, forecast_line, money, price_of
from util.errors import UserError
from util.generation.loop import Outcome
from util.generation.rounds import Rounds, Stopping, pass_rate_interval
from util.records import Sample, Verdict

RULES = (
    Stopping(until_correct=1),
    Stopping(until_correct=3),
    Stopping(until_correct=2, give_up_after=4),
    Stopping(band=(0.2, 0.8)),
    Stopping(band=(0.3, 0.6)),
    Stopping(until_correct=4, band=(0.1, 0.5)),
    Stopping(give_up_after=3),
)
N = 12


@cache
def enough(rule, correct, wrong):
    """Whether the rule, as the help of its flags words it, wants no more; without asking the rule."""
    from scipy.stats import binomtest

    if rule.band is not None and correct + wrong:
        likely = binomtest(correct, correct + wrong).proportion_ci(0.95, method="wilson")
        if likely.high < min(rule.band) or likely.low > max(rule.band):
            return True
    limits = ((correct, rule.until_correct), (wrong, rule.give_up_after))
    return any(limit is not None and count >= limit for count, limit in limits)


def one_by_one(rule, verdicts):
    """How many samples somebody asks who looks at each verdict before the next question: brute force."""
    for asked in range(len(verdicts)):
        correct = sum(verdicts[:asked])
        if enough(rule, correct, asked - correct):
            return asked
    return len(verdicts)


def in_rounds(rule, verdicts, *, rng, there=None, ahead=False, stop_after=None):
    """The samples that Rounds asks when answers come in any order; name -> indices in the order asked."""
    asked = {name: [] for name in verdicts} if there is None else there
    names = ((name, 1.0) for name in verdicts)
    rounds = Rounds(names, n=N, rule=rule, has=lambda *key: key[2] in asked[key[0]])
    for name, indices in asked.items():
        for index in indices:
            rounds.note_earlier((name, 1.0, index), Verdict(verdicts[name][index]))
    under_way = []
    while sum(map(len, asked.values())) != stop_after:
        key = rounds.next()
        if key is None and ahead and rng.random() < 0.5:
            key = rounds.next_ahead()
        if key is not None:
            under_way.append(key)
        elif not under_way:
            assert not rounds.is_waiting
            return asked, rounds
        if under_way and (key is None or rng.random() < 0.5):
            done = under_way.pop(rng.randrange(len(under_way)))
            asked[done[0]].append(done[2])
            rounds.judged(done, Verdict(verdicts[done[0]][done[2]]))
    return asked, rounds


@pytest.mark.parametrize("rule", RULES, ids=Stopping.describe)
def test_the_samples_asked_are_those_of_a_brute_force_model_and_few_in_excess(rule):
    rng = random.Random(1)
    for _ in range(60):
        verdicts = {name: [rng.random() < rng.choice((0.1, 0.5, 0.9)) for _ in range(N)] for name in "abc"}
        asked, rounds = in_rounds(rule, verdicts, rng=rng)
        assert rounds.ended == 3 and rounds.still_wanted() == 0
        for name, indices in asked.items():
            wanted = one_by_one(rule, verdicts[name])
            assert sorted(indices) == list(range(len(indices)))
            assert wanted <= len(indices) <= max(wanted, 1.5 * wanted)


@pytest.mark.parametrize("rule", RULES, ids=Stopping.describe)
def test_what_is_asked_ahead_decides_as_what_is_not_whenever_a_command_is_stopped(rule):
    rng = random.Random(2)
    for _ in range(40):
        verdicts = {name: [rng.random() < rng.choice((0.1, 0.5, 0.9)) for _ in range(N)] for name in "abc"}
        there, _ = in_rounds(rule, verdicts, rng=rng, ahead=True, stop_after=rng.randrange(12))
        whole, resumed = ({name: [] for name in verdicts}, there)
        for begun in (whole, resumed):
            asked, rounds = in_rounds(rule, verdicts, rng=rng, there=begun, ahead=True)
            assert rounds.ended == 3 and rounds.still_wanted() == 0
            for name, indices in asked.items():
                correct = sum(verdicts[name][index] for index in indices)
                assert len(indices) == len(set(indices)) <= N
                assert len(indices) == N or enough(rule, correct, len(indices) - correct)
        for name, indices in whole.items():
            assert sorted(indices) == list(range(len(indices)))
            assert len(indices) >= one_by_one(rule, verdicts[name])


def test_how_likely_a_further_sample_is_wanted_is_laplaces_rule():
    rule = Stopping(until_correct=1)
    for wrong, under_way in itertools.product(range(6), repeat=2):
        found = rule.chance_of_need(0, wrong, under_way)
        assert found == pytest.approx((wrong + 1) / (wrong + 1 + under_way))
    assert rule.chance_of_need(1, 0, 1) == 0
    assert Stopping(give_up_after=2).chance_of_need(0, 1, 1) == pytest.approx(1 / 3)


def test_nothing_is_asked_ahead_of_a_problem_that_is_done_or_hopeless_or_has_all_its_samples():
    rounds = Rounds(
        iter([("a", 1.0), ("b", 1.0)]), n=3, rule=Stopping(until_correct=1), has=lambda *key: False
    )
    assert [rounds.next(), rounds.next(), rounds.next()] == [("a", 1.0, 0), ("b", 1.0, 0), None]
    rounds.give_up(("b", 1.0, 0))
    assert rounds.next_ahead() is None  # as likely in excess as wanted, and both problems are under way
    rounds.judged(("a", 1.0, 0), Verdict(False, "wrong"))
    rounds.judged(("b", 1.0, 0), None)
    assert [rounds.next(), rounds.next(), rounds.next_ahead()] == [("a", 1.0, 1), None, ("a", 1.0, 2)]
    assert rounds.next_ahead() is None
    rounds.judged(("a", 1.0, 2), Verdict(True))
    assert rounds.is_waiting and rounds.next_ahead() is None
    rounds.judged(("a", 1.0, 1), Verdict(False, "wrong"))
    assert rounds.next() is None and not rounds.is_waiting and rounds.ended == 2


# Steps of an engine whose places are counted; more shapes are in benchmarks/adaptive.py --paper


@pytest.mark.parametrize(
    ("shape", "most_steps", "most_tokens"),
    [
        (Shape(40, 64, tokens=20, spread=0.6), 1.1, 0.5),  # few rounds: their longest answers decide
        (Shape(20, 200, spread=0), 4.1, 0.45),  # a place for each sample: the chain of rounds decides
        (Shape(60, 16, judged_after=(5, 20, 300)), 0.6, 0.45),
        (Shape(30, 16, Stopping(until_correct=2, give_up_after=4), spread=0.5), 0.6, 0.5),
    ],
)
def test_empty_places_are_filled_so_that_few_samples_take_few_steps(shape, most_steps, most_tokens):
    fixed, alone, ahead = (
        on_paper(shape, None),
        on_paper(shape, shape.rule, is_asked_ahead=False),
        on_paper(shape, shape.rule),
    )
    assert alone.asked_ahead == 0 < ahead.asked_ahead
    assert ahead.steps <= most_steps * fixed.steps and ahead.steps < alone.steps
    assert ahead.tokens <= most_tokens * fixed.tokens
    assert all(indices == list(range(len(indices))) for indices in ahead.samples.values())


def test_where_the_person_limits_what_is_spent_no_place_is_worth_a_sample():
    class Places:
        def at_once(self, tokens):
            return 7

        def close(self):
            pass

    def at_once(**limits):
        options = EngineOptions("m")
        return open_metered(options, max_tokens=5, opening=lambda options: Places(), **limits).at_once(5)

    assert (at_once(), at_once(max_tokens_total=1000)) == (7, 0)


@pytest.mark.parametrize("rule", RULES, ids=Stopping.describe)
def test_no_sample_of_a_round_can_be_in_vain_while_few_have_failed(rule):
    for correct, wrong in itertools.product(range(3), repeat=2):
        size = rule.round_size(correct, wrong, N)
        for outcome in itertools.product((0, 1), repeat=max(0, size - 1)):
            right = correct + sum(outcome)
            speculative = size <= (correct + wrong) // 2
            assert speculative or not enough(rule, right, wrong + len(outcome) - sum(outcome))


@pytest.mark.parametrize("rule", RULES, ids=Stopping.describe)
def test_a_rule_holds_from_the_very_sample_that_fulfils_it(rule):
    for correct, wrong in itertools.product(range(N + 1), repeat=2):
        assert rule.is_finished(correct, wrong) == enough(rule, correct, wrong)


def test_a_pass_rate_above_the_band_ends_a_problem_as_one_below_it_does():
    rule = Stopping(band=(0.25, 0.75))
    ends = {
        right: next(n for n in range(99) if rule.is_finished(n * right, n * (not right))) for right in (0, 1)
    }
    assert ends[0] == ends[1] == 12  # Wilson: 12 alike lie beyond 1/4 and 3/4, 11 do not


def test_a_problem_that_keeps_failing_is_asked_in_few_rounds():
    rule, wrong, rounds = Stopping(until_correct=1), 0, 0
    while size := rule.round_size(0, wrong, 64 - wrong) if wrong < 64 else 0:
        wrong, rounds = wrong + size, rounds + 1
    assert wrong == 64 and rounds <= 12


def test_the_interval_of_a_pass_rate_is_wilsons():
    from scipy.stats import binomtest

    for correct, judged in ((0, 1), (0, 7), (3, 8), (8, 8), (50, 64)):
        theirs = binomtest(correct, judged).proportion_ci(0.95, method="wilson")
        assert pass_rate_interval(correct, judged) == pytest.approx((theirs.low, theirs.high), abs=1e-4)
    assert pass_rate_interval(0, 0) == (0.0, 1.0)


def test_a_failed_request_is_left_to_the_next_command():
    rounds = Rounds(iter([("a", 1.0)]), n=4, rule=Stopping(until_correct=1), has=lambda *key: False)
    for index in range(4):
        assert rounds.next() == ("a", 1.0, index)
        rounds.judged(("a", 1.0, index), None)
    assert rounds.next() is None and rounds.still_wanted() == 1


def test_an_undecided_sample_does_not_solve_a_problem():
    def asked(rule):
        rounds, count = Rounds(iter([("a", 1.0)]), n=6, rule=rule, has=lambda *key: False), 0
        while (key := rounds.next()) is not None:
            rounds.judged(key, Verdict(False, "undecided", cause="two candidates"))
            count += 1
        return count

    assert asked(Stopping(until_correct=1)) == 6
    assert asked(Stopping(until_correct=1, give_up_after=2)) == 2


def test_a_problem_without_tests_is_not_asked_again():
    rounds = Rounds(iter([("a", 1.0)]), n=4, rule=Stopping(until_correct=1), has=lambda *key: key[2] == 0)
    rounds.note_earlier(("a", 1.0, 0), Verdict(False, "no_tests"))
    assert rounds.next() is None and rounds.still_wanted() == 0


# The whole command, with an engine of paper


@pytest.fixture
def run(tmp_path):
    """Warmup where the third sample of problem 6 says 7, and every other one says 12."""
    right = {"problem_id": "warmup-06", "index": 2, "text": "The answer is 7."}
    engine = paper_engine(tmp_path, right, {"text": "It is 12."})
    flags = ["--dataset", "Warmup", "--model", "paper", "--result-dir", tmp_path / "r", *engine]
    return lambda *more: script("inference_and_check.py", *flags, *more)


def sample_counts(tmp_path):
    counts = {}
    for line in json_lines(tmp_path / "r" / "paper_Warmup_test_all_0_-1" / "samples.jsonl"):
        counts.setdefault(line["problem_id"], []).append(line["index"])
    return counts


ADAPTIVE = ("--temperatures", 0.7, "--n", 6, "--until-correct", 1)


def test_a_solved_problem_costs_no_further_tokens_and_biased_numbers_are_not_given(run, tmp_path):
    done = run(*ADAPTIVE)
    assert done.returncode == 0, done.stderr
    counts = sample_counts(tmp_path)
    assert sorted(counts["warmup-06"]) == [0, 1, 2]
    numbers = last_line(done)["temperatures"]["0.7"]
    assert (
        numbers["share_of_samples"] is numbers["avg"] is None
        and numbers["pass_at"] == numbers["maj_at"] == {}
    )
    assert numbers["stopped_early"]["solved"] == sum(len(indices) < 6 for indices in counts.values())
    assert numbers["stopped_early"]["tokens_at_fixed_n"] > numbers["completion_tokens"]
    assert "would be biased" in done.stderr and "until 1 correct, at most 6 samples" in done.stderr
    folder = tmp_path / "r" / "paper_Warmup_test_all_0_-1"
    page = script("report.py", folder, "-o", tmp_path / "report.html")
    assert page.returncode == 0 and "until 1 correct" in page.stderr, page.stderr
    repeated = script("report.py", "manifest", folder)
    assert " --n 6 " in repeated.stdout and " --until-correct 1 " in repeated.stdout
    again = run(*ADAPTIVE)
    assert last_line(again) == last_line(done) and "nothing to generate" in again.stderr
    run("--temperatures", 0.9, "--n", 6, "--until-correct", 1, "--limit", 6)
    compared = script("report.py", "compare", folder, folder, "--temperatures", 0.7, 0.9)
    assert compared.returncode == 2 and "was sampled until 1 correct" in compared.stderr
    filled = run("--temperatures", 0.7, "--n", 6)  # once all have n samples, nothing is biased any more
    assert last_line(filled)["temperatures"]["0.7"]["avg"] is not None


def test_giving_up_is_cheaper_than_asking_all(run, tmp_path):
    assert run(*ADAPTIVE, "--give-up-after", 2).returncode == 0
    assert max(map(len, sample_counts(tmp_path).values())) == 2
    there = sum(map(len, sample_counts(tmp_path).values()))
    done = run(*ADAPTIVE, "--give-up-after", 2, "--dry-run")
    assert last_line(done)["requests"] == 0 and f"{there} samples exist already" in done.stderr
    filled = last_line(run("--temperatures", 0.7, "--n", 6, "--dry-run"))
    assert filled["requests"] == 6 * len(sample_counts(tmp_path)) - there


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--until-correct", 2, "--n", 4], "greedy"),
        (["--until-correct", 2, "--temperatures", 1], "--n 1 is the most samples"),
        (["--until-correct", 2, "--temperatures", 1, "--n", 4, "--inference"], "need verdicts"),
        (["--pass-rate-band", 0.8, 0.2, "--temperatures", 1, "--n", 4], "must be below"),
        (["--max-tokens-total", 10, "--max-tokens", 20], "one request may use 20 tokens"),
        (["--max-cost", 5], "needs the price of paper"),
        (["--max-cost", 0], "not above 0"),
    ],
)
def test_flags_that_cannot_help_are_refused(run, flags, says):
    done = run(*flags)
    assert done.returncode == 2 and says in done.stderr, done.stderr


def test_a_token_limit_is_never_passed_and_the_same_command_goes_on(run, tmp_path):
    limited = ["--max-tokens", 20, "--n", 2, "--temperatures", 1, "--max-tokens-total", 3000]
    done = run(*limited)
    assert done.returncode == 1 and "--max-tokens-total" in done.stderr
    samples = json_lines(tmp_path / "r" / "paper_Warmup_test_all_0_-1" / "samples.jsonl")
    spent = sum(line["prompt_tokens"] + line["completion_tokens"] for line in samples)
    assert 0 < spent <= 3000 and last_line(done)["missing"] == 80 - len(samples)
    assert last_line(done)["temperatures"]["1"]["judged"] == len(samples)
    for _ in range(4):
        done = run(*limited)
    assert done.returncode == 0 and last_line(done)["missing"] == 0


def test_a_dry_run_says_what_is_missing_and_writes_nothing(run, tmp_path):
    done = run("--n", 2, "--temperatures", 1, "--max-tokens", 100, "--dry-run")
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "r").exists()
    found = last_line(done)
    assert (found["requests"], found["most_completion_tokens"], found["dollars"]) == (80, 8000, None)
    assert "a quarter of --max-tokens 100" in done.stderr and "hours unknown" in done.stderr
    run("--n", 1, "--temperatures", 1, "--max-tokens", 100)
    done = run("--n", 2, "--temperatures", 1, "--max-tokens", 100, "--dry-run")
    found = last_line(done)
    assert found["requests"] == 40 and found["completion_tokens"] == 40 * 3  # "It is 12.": three words
    assert "earlier samples of the model on Warmup" in done.stderr and found["hours"] > 0


def test_a_dry_run_of_several_benchmarks_adds_up_dollars(tmp_path):
    flags = ["--evals", "Warmup", "--model", "openai/gpt-4o-mini", "--max-tokens", 1000, "--n", 4]
    flags += ["--temperatures", 1, "--output-file", tmp_path / "out.txt", "--result-dir", tmp_path / "r"]
    done = script("eval.py", *flags, "--dry-run")
    assert done.returncode == 0, done.stderr
    found = last_line(done)["Warmup"]
    tokens = found["prompt_tokens"] * 0.15 + 160 * 250 * 0.60
    assert found["requests"] == 160 and found["dollars"] == pytest.approx(tokens / 1e6)
    assert not (tmp_path / "r").exists() and not (tmp_path / "out.txt").exists()


def test_a_price_counts_for_a_model_with_and_without_the_word_for_endpoints(tmp_path):
    (tmp_path / "prices.txt").write_bytes(b"\xef\xbb\xbfopenai/mine 1 2\nother 3 4 # caf\xe9\n")
    found = [price_of(name, table=tmp_path / "prices.txt") for name in ("openai/mine", "openai/other")]
    assert [(one.prompt, one.completion) for one in found] == [(1, 2), (3, 4)]


@pytest.mark.parametrize(
    "line",
    ("gpt-x 1.0", "gpt-x 1.0 much", "gpt-x -1 2", "gpt-x 1 nan", "gpt-x 1 2 0.5 7", "gpt-x 0,15 0,6")
    + ("gpt-x 1 2 50", "gpt-x ١ 2", "gpt-x"),
)
def test_a_damaged_price_is_named_whichever_model_is_priced(tmp_path, line):
    table = tmp_path / "prices.txt"
    table.write_text(f"gpt-y 1 2\n{line}\n")
    for model in ("openai/gpt-x", "openai/gpt-y", "none"):
        with pytest.raises(UserError, match=f"line 2 is '{line}': write a model, two prices in dollars such"):
            price_of(model, table=table)


def test_two_prices_of_a_model_are_refused(tmp_path):
    table = tmp_path / "prices.txt"
    table.write_text("gpt-x 1 2\n\nopenai/gpt-x 3 4\n")
    with pytest.raises(UserError, match="line 3 prices gpt-x a second time: keep one"):
        price_of("gpt-x", table=table)


def test_a_command_that_is_done_only_says_that_the_table_of_prices_is_damaged(tmp_path, monkeypatch):
    (tmp_path / "prices.txt").write_text("gpt-x 1\n")
    monkeypatch.setitem(price_of.__kwdefaults__, "table", tmp_path / "prices.txt")
    assert cost_line("openai/gpt-x", 3, 4).startswith("3 prompt and 4 completion tokens; ")
    for asking in (
        lambda: forecast_line("openai/gpt-x", 3, 4),
        lambda: open_metered(EngineOptions("m"), max_tokens=5),
    ):
        with pytest.raises(UserError, match="line 1 is 'gpt-x 1'"):
            asking()


def test_an_amount_is_never_longer_than_it_is_read():
    assert [money(one) for one in (0, 3e-6, 1e-320, 1234.5)] == [
        "$0.00",
        "$0.0000030",
        "$1.0e-320",
        "$1,234.50",
    ]


def test_a_command_that_was_stopped_ends_with_the_samples_of_one_that_was_not(run, tmp_path):
    flags = [*ADAPTIVE, "--limit", 8, "--max-tokens", 20]
    run(*flags)
    whole = sample_counts(tmp_path)
    (tmp_path / "r").rename(tmp_path / "whole")
    for _ in range(12):
        done = run(*flags, "--max-tokens-total", 1000)
    assert done.returncode == 0 and last_line(done)["missing"] == 0
    assert {name: sorted(indices) for name, indices in sample_counts(tmp_path).items()} == {
        name: sorted(indices) for name, indices in whole.items()
    }


def test_the_time_of_a_command_is_that_since_it_first_asked():
    outcome = Outcome(asked_at=time.monotonic() - 3600)
    outcome.add(Sample("p", 0.7, 0, "text", None, "stop", 5, 10))
    assert 3600 <= outcome.seconds < 3700
