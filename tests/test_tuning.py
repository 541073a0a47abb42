"""Does the tuning find what is fastest, lose no try, and leave out what changes the scores?"""

import errno
import itertools
import json
import math
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest
from helpers import HANG_S, ROOT, is_running, json_lines, paper_engine, wait_until

import doctor
import inference_and_check
from util.errors import DiskTrouble, UserError, disk_trouble
from util.generation import tuning
from util.generation.tuning import Asked, Scores, Tried, choose, compare, key, stages, tune

HOLD = Scores(False, "its scores hold")
SEQUENCES = [
    [{}],
    [{"max_num_seqs": number} for number in (32, 128, 256)],
    [{"enable_prefix_caching": False}],
]
ASKED = Asked(["--dataset", "Warmup", "--model", "m"], {}, limit=40, n=8)


class Machine:
    """A machine on paper: each setting multiplies the speed of the engine as it is; None does not fit."""

    def __init__(self, factors):
        self.factors, self.tried = factors, []

    def __call__(self, settings, n, folder=None):
        self.tried.append((key(settings), n))
        factors = [self.factors.get((name, str(value)), 1.0) for name, value in settings.items()]
        if None in factors:
            return Tried(settings, n, why_not="not enough memory")
        return Tried(
            settings, n, str(folder), 10, characters=int(1e6 * math.prod(factors)), tokens=9, seconds=1
        )


def found_by(machine, tries=SEQUENCES, check=lambda base, other: HOLD):
    return choose(tries, machine, check, 8)


def test_the_slower_half_is_not_tried_again_and_each_stage_stands_on_the_one_before():
    factors = {("max_num_seqs", "32"): 0.5, ("max_num_seqs", "128"): 1.5, ("max_num_seqs", "256"): 1.4}
    machine = Machine(factors | {("enable_prefix_caching", "False"): 1.1})
    found = found_by(machine)
    assert found.best.settings == {"max_num_seqs": 128, "enable_prefix_caching": False}
    again = [json.loads(name).get("max_num_seqs") for name, n in machine.tried if n == 16]
    assert again == [128, 256]
    assert found.best.speed / found.base.speed == pytest.approx(1.65)


def test_of_many_machines_the_choice_is_within_five_percent_of_the_best_of_all_combinations():
    dice = random.Random(1)
    names = [[one for one in stage if one] for stage in SEQUENCES]
    for _ in range(200):
        factors = {
            (name, str(value)): dice.choice([None, dice.uniform(0.5, 2)])
            for stage in names
            for one in stage
            for name, value in one.items()
        }
        machine = Machine(factors)
        every = [{**a, **b} for a, b in itertools.product([{}, *names[1]], [{}, *names[2]])]
        best = max(one.speed for one in (machine(settings, 1) for settings in every) if not one.why_not)
        assert found_by(Machine(factors)).best.speed >= 0.95 * best


def test_how_much_faster_the_best_is_is_said_over_all_rounds_that_both_were_in():
    def probe(settings, n):  # no faster where few are asked
        factor = 1.5 if n > 8 and settings.get("max_num_seqs") == 128 else 0.2 if settings else 1.0
        is_first = n == 8 and settings.get("max_num_seqs") == 128
        return Tried(settings, n, "", 5 * n, characters=int(n * 1e6 * max(factor, is_first)), seconds=n)

    found = choose(SEQUENCES, probe, lambda base, other: HOLD, 8)
    assert found.best.settings == {"max_num_seqs": 128}
    gain = found.gain()
    assert (gain.times, gain.samples, gain.sizes) == (pytest.approx((8 + 16 * 1.5) / 24), 120, (8, 16))
    told = "1.33 times as fast as the engine as it is, over 120 samples of each (8 + 16 of each problem)"
    assert gain.told("the engine as it is") == told
    assert f"# chosen: {told}\n" in tuning.text(found, ASKED, "m", "today")


def test_what_is_hardly_faster_is_left_as_the_engine_has_it():
    assert found_by(Machine({("max_num_seqs", "128"): 1.005})).best.settings == {}


def test_what_does_not_fit_is_a_result_and_only_nothing_at_all_an_error():
    found = found_by(Machine({("max_num_seqs", "128"): None, ("max_num_seqs", "256"): 1.3}))
    assert found.best.settings == {"max_num_seqs": 256}
    assert found.tried[8, key({"max_num_seqs": 128})].told() == "does not fit: not enough memory"
    parallel = [[{"tp": 1, "dp": 2}, {"tp": 2, "dp": 1}], *SEQUENCES[1:]]
    found = found_by(Machine({("tp", "1"): None, ("max_num_seqs", "256"): 1.3}), parallel)
    assert found.base.settings == {"tp": 2, "dp": 1}
    assert found.best.settings == {"tp": 2, "dp": 1, "max_num_seqs": 256}
    with pytest.raises(UserError, match="not enough memory"):
        found_by(Machine({("tp", "1"): None, ("tp", "2"): None}), parallel)


def test_what_fails_only_with_more_samples_makes_nothing_slower():
    machine = Machine(
        {("max_num_seqs", "128"): 2.0, ("max_num_seqs", "256"): 0.5, ("max_num_seqs", "32"): 0.4}
    )

    def tires(settings, n):
        return machine(settings, n) if n == 8 else Tried(settings, n, why_not="it was not done after 9 s")

    assert choose(SEQUENCES, tires, lambda base, other: HOLD, 8).best.settings == {"max_num_seqs": 128}


def test_the_fastest_is_left_out_when_its_scores_fall_and_the_next_one_is_taken():
    def check(base, other):
        assert base.settings == {}
        return Scores(other.settings.get("max_num_seqs") == 256, "of a check")

    machine = Machine({("max_num_seqs", "256"): 3.0, ("max_num_seqs", "128"): 2.0})
    found = found_by(machine, check=check)
    assert found.best.settings == {"max_num_seqs": 128}
    words = tuning.text(found, ASKED, "m", "today")
    assert [line for line in words.split("\n") if "256" in line and "of a check" in line]
    at = [words.index(f"with {n} samples of each of 40 problems") for n in (8, 16)]
    assert (
        words[at[0] : at[1]].count("max_num_seqs") == 4
        and words[at[1] :].count("max_num_seqs") == 3
        and at[0] < at[1]
    )


def test_a_killed_tuning_goes_on_where_it_was(tmp_path):
    machine = Machine({("max_num_seqs", "128"): 1.5})
    whole = tune(tmp_path / "whole", ASKED, SEQUENCES, machine, lambda base, other: HOLD)
    tries = list(machine.tried)
    assert len(tries) == len(set(tries))
    for killed_at in range(len(tries)):
        output = tmp_path / str(killed_at)
        first, second = Machine(machine.factors), Machine(machine.factors)

        def dies(settings, n, folder, first=first, killed_at=killed_at):
            if len(first.tried) == killed_at:
                raise KeyboardInterrupt
            return first(settings, n, folder)

        with pytest.raises(KeyboardInterrupt):
            tune(output, ASKED, SEQUENCES, dies, lambda base, other: HOLD)
        with open(f"{output}.probes/{tuning.KEPT}", "a") as torn:
            torn.write('{"settings": {"max_num')
        found = tune(output, ASKED, SEQUENCES, second, lambda base, other: HOLD)
        assert found.best.settings == whole.best.settings
        assert first.tried + second.tried == tries
    assert len(json_lines(tmp_path / "whole.probes" / tuning.KEPT)) == 1 + len(tries)


def test_where_nothing_ran_at_all_the_same_command_tries_again(tmp_path):
    full = Machine({("tp", "1"): None})
    for machine, told in ((full, "not enough memory"), (Machine({}), None)):
        if told is None:
            assert tune(tmp_path / "out", ASKED, [[{"tp": 1}]], machine, lambda *_: HOLD).best.speed > 0
        else:
            with pytest.raises(UserError, match=told):
                tune(tmp_path / "out", ASKED, [[{"tp": 1}]], machine, lambda *_: HOLD)
        assert len(machine.tried) == 1


def test_a_folder_of_another_tuning_is_refused_and_left_as_it_is(tmp_path):
    def check(base, other):
        return HOLD

    tune(tmp_path / "out", ASKED, SEQUENCES, Machine({}), check)
    kept = (tmp_path / "out.probes" / tuning.KEPT).read_bytes()
    other = Asked(["--dataset", "Warmup", "--model", "other"], {}, limit=40, n=8)
    with pytest.raises(UserError, match=r"out\.probes is of another tuning: its asked is .*another --output"):
        tune(tmp_path / "out", other, SEQUENCES, Machine({}), check)
    assert (tmp_path / "out.probes" / tuning.KEPT).read_bytes() == kept


def test_what_the_flags_say_and_what_the_engine_has_anyway_is_not_tried():
    held = {"max_num_seqs": 128, "max_num_batched_tokens": 4096}
    on_cpu = stages(held, ["speculative_config"], gpus=0, on_cpu=True)
    assert on_cpu == [
        [{}],
        [{"max_num_seqs": 32}, {"max_num_seqs": 256}],
        [{"max_num_batched_tokens": 8192}],
        [{"enable_prefix_caching": False}],
    ]
    assert stages({}, [], gpus=4, on_cpu=False)[0] == [
        {"tp": 1, "dp": 4},
        {"tp": 2, "dp": 2},
        {"tp": 4, "dp": 1},
    ]
    assert stages({}, [], gpus=1, on_cpu=False)[0] == stages({}, ["tp"], gpus=4, on_cpu=False)[0] == [{}]


@pytest.mark.parametrize(
    "first, second, fell, words",
    [
        ((5, 8), (5, 8), False, "its scores hold: 62.5 without and 62.5 with it, on 40 problems"),
        ((5, 8), (3, 8), True, "its scores fall: 62.5 without and 37.5 with it, on 40 problems"),
        ((3, 8), (5, 8), False, "its scores hold"),
        ((0, 8), (0, 8), False, "the check shows nothing: none of the answers are right"),
        ((8, 8), (8, 8), False, "the check shows nothing: all of the answers are right"),
        ((0, 0), (0, 0), False, "the check shows nothing: no answer could be judged"),
    ],
)
def test_the_check_says_whether_scores_fell_and_where_it_can_show_nothing(first, second, fell, words):
    sides = [{f"p{number}": side for number in range(40) if side[1]} for side in (first, second)]
    found = compare(*sides)
    assert found.fell == fell and found.told.startswith(words)


def test_the_file_is_read_by_the_command_with_what_was_given_before(tmp_path):
    asked = Asked([*ASKED.words, "--stop", "it's \\n # all"], {"max_model_len": 99}, limit=40, n=8)
    factors = {("speculative_config", str(tuning.NGRAM)): 2.0, ("max_num_seqs", "128"): None}
    found = choose(
        [[{"tp": 2, "dp": 4}], *SEQUENCES[1:], [{"speculative_config": tuning.NGRAM}]],
        Machine(factors),
        lambda base, other: HOLD,
        8,
    )
    path = tmp_path / "fast.flags"
    path.write_text("--tp 3")
    with pytest.raises(UserError, match="no file of a tuning"):
        doctor.run(doctor.parse(["tune", "--model", "embedded", "--output", str(path)]))
    path.write_text(tuning.text(found, asked, "m", "2026-11-29"), encoding="utf-8")
    tuning.check_is_ours(path)
    args = inference_and_check.parse([*ASKED.words, f"@{path}"])
    assert (args.tp, args.dp) == (2, 4)
    assert args.engine_args == {"max_model_len": 99, "speculative_config": tuning.NGRAM}
    said = path.read_text(encoding="utf-8")
    assert "does not fit: not enough memory" in said and "tokens/s" in said and "2026-11-29" in said


def test_each_try_is_a_process_whose_crash_and_hang_are_results(tmp_path):
    good = {"text": "The answer is 8."}
    words = ["--dataset", "Warmup", "--model", "m", "--max-tokens", "48", "--temperatures", "0.7"]

    def probe(*lines, timeout_s=HANG_S, **settings):
        flags = paper_engine(tmp_path, *lines)
        asked = Asked([*words, *flags], json.loads(flags[-1]), limit=3, n=2)
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        return asked, tuning.probe_here(asked, settings, 2, folder, on_cpu=False, timeout_s=timeout_s)

    asked, ran = probe(good, max_num_seqs=3)
    assert (ran.samples, ran.characters, ran.why_not) == (6, 6 * len(good["text"]), "")
    assert ran.speed > 0 and ran.cpu_s is None
    shown = tuning.check_here(asked, ran, ran)
    assert not shown.fell and "none of the answers are right" in shown.told and "on 3 problems" in shown.told
    assert probe({"stop": "the engine died: out of memory"})[1].why_not == "the engine died: out of memory"
    assert "requests failed (the last one: vLLM refuses it)" in probe({"fail": "vLLM refuses it"})[1].why_not
    assert probe({**good, "delay_s": HANG_S}, timeout_s=0.1)[1].why_not == "it was not done after 0 s"
    refused = [OSError(number, os.strerror(number)) for number in (errno.ENOSPC, errno.EIO, errno.EROFS)]
    told = [str(disk_trouble(Path("/runs/samples.jsonl"), error)) for error in refused]
    for said in ("[Errno 28] No space left on device", *told):
        with pytest.raises(DiskTrouble, match="the disk stopped a try .*those that were done are kept"):
            probe({"stop": said})
    lost = "was killed by SIGKILL, which is what the system does when memory runs out"
    assert tuning.why_not(-9, "") == f"its process {lost}"


def test_a_try_ends_with_the_tuning_even_when_that_is_killed(tmp_path):
    flags = paper_engine(tmp_path, {"text": "5", "delay_s": 600})
    words = ["--dataset", "Warmup", "--model", "m", *flags, "--result-dir", str(tmp_path / "runs")]
    program = "import sys; from pathlib import Path; from util.generation.tuning import run_child\n"
    program += "run_child(sys.argv[2:], Path(sys.argv[1]))"
    command = [sys.executable, "-c", program, str(tmp_path / "log"), *words]
    tuning_process = subprocess.Popen(command, cwd=ROOT)
    try:
        wait_until(lambda: list(tmp_path.glob("runs/*/samples.jsonl")), tuning_process)
        found = subprocess.run(["pgrep", "-P", str(tuning_process.pid)], capture_output=True, text=True)
        (child,) = found.stdout.split()
    finally:
        tuning_process.kill()
        tuning_process.wait()
    wait_until(lambda: not is_running(int(child)))


def test_what_cannot_be_tuned_is_one_sentence(tmp_path):
    for flags, words in (
        (["--model", "openai/gpt"], "asked of the engine openai"),
        (["--model", "m", "--api-base", "http://localhost:1/v1"], "asked of the engine openai"),
        (["--model", "embedded", "--temperatures", "0"], "give one above 0"),
        (["--model", "embedded", "--output", str(tmp_path / "no" / "file")], "not a folder"),
    ):
        with pytest.raises(UserError, match=words):
            doctor.run(doctor.parse(["tune", *flags]))
    with pytest.raises(UserError, match="unknown data set"):
        tuning.size(["--dataset", "Wormup", "--model", "m"], {}, 8, None, on_cpu=True)
    words = ["--dataset", "Warmup", "--model", "m", *paper_engine(tmp_path, {"text": ""})]
    sized = tuning.size(words, {}, 8, None, on_cpu=False)
    assert (sized.limit, sized.n) == (40, 26)  # all of the 40 problems, and so often that many are under way


def test_a_try_is_given_the_flags_of_the_person_and_not_those_of_the_tuning():
    flags = ["--model", "m", "-o", "x.flags", "--max_tokens", "5", "--probe-timeout", "9", "--stop", "a b"]
    args = doctor.parse(["tune", *flags])
    assert args.words == ["--model", "m", "--max_tokens", "5", "--stop", "a b"]
    assert args.probe_timeout == 9 and str(args.output) == "x.flags"
    asked = inference_and_check.parse(doctor.asked_words(args))
    assert (asked.max_tokens, asked.stop, asked.temperatures, asked.dataset) == (5, ["a b"], [0.7], "Warmup")
    other = doctor.parse(["tune", "--model", "m", "--dataset", "MATH500", "--temperatures", "0.3"])
    asked = inference_and_check.parse(doctor.asked_words(other))
    assert (asked.max_tokens, asked.stop, asked.temperatures) == (32768, [], [0.3])
