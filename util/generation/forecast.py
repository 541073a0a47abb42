"""What will a command ask, how many tokens will that take, and what will they cost?

Call `forecast` with an order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from util.data.rows import RowCounts
from util.engines.prices import BATCH_FACTOR, PRICES, dollars, forecast_line, money, price_of
from util.engines.tokens import open_counter, tokens_per_char
from util.errors import UserError
from util.generation.batches import check_no_batch_waits
from util.generation.order import Order, Plan
from util.generation.rounds import Name, Rounds, samples_at
from util.runs.batches import RunPlace, name_of, waiting_parts
from util.runs.folder import find_run, read_run_json
from util.runs.reader import SampleSet, read_records, samples_there
from util.terminal import number_of

COUNTED_PROMPTS = 1000  # prompts that a tokenizer counts; the others are taken to have as many per character


@dataclass(frozen=True)
class Earlier:
    """What an earlier run of the model tells about later ones."""

    folder: Path
    task: str
    tokens_per_sample: float
    samples: int
    tokens_per_second: float  # 0: it does not say
    gpus: int


@dataclass(frozen=True)
class Forecast:
    """What a command would ask of one benchmark. Tokens are of all requests together."""

    task: str
    requests: int  # at most, where verdicts decide how many
    there: int  # samples that need not be asked
    waiting: int  # requests that batches were asked already
    prompt_tokens: int
    prompts_counted_by: str
    completion_tokens: int
    most_completion_tokens: int  # when every answer is as long as it may be
    assumed: str  # why so many completion tokens
    speed: Earlier | None  # the run whose speed tells the time

    @property
    def hours(self) -> float | None:
        if self.speed is None:
            return None
        return self.completion_tokens / self.speed.tokens_per_second / 3600

    def as_json(self, model: str) -> dict:
        return {
            "requests": self.requests,
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.completion_tokens,
            "most_completion_tokens": self.most_completion_tokens,
            "dollars": dollars(model, self.prompt_tokens, self.completion_tokens),
            "most_dollars": dollars(model, self.prompt_tokens, self.most_completion_tokens),
            "batch_dollars": dollars(model, self.prompt_tokens, self.completion_tokens, in_batches=True),
            "hours": self.hours,
        }

    def lines(self, model: str) -> list[str]:
        """The forecast for people."""
        expected = f"{self.completion_tokens:,} completion tokens expected ({self.assumed})"
        there = number_of(self.there, "sample exists", "samples exist")
        waiting = f", {self.waiting:,} are asked in batches" if self.waiting else ""
        found = [
            f"{self.task}: {number_of(self.requests, 'request')}, {there} already{waiting}",
            f"  {self.prompt_tokens:,} prompt tokens ({self.prompts_counted_by})",
            f"  {expected}, {self.most_completion_tokens:,} at most",
        ]
        price = price_of(model)
        if price is not None:
            mean = price.of(self.prompt_tokens, self.completion_tokens)
            most = price.of(self.prompt_tokens, self.most_completion_tokens)
            found.append(f"  {money(mean)} expected, {money(most)} at most, at the prices in {PRICES.name}")
            why = "as it usually does" if price.batch == BATCH_FACTOR else "as that file says"
            found.append(
                f"  with --batch {money(price.batch * mean)} expected, {money(price.batch * most)} at most, "
                f"if a batch costs {price.batch:g} of that, {why}"
            )
        elif model.startswith("openai/"):
            found.append(f"  {PRICES} has no price for {model}: add a line for it")
        if self.speed is not None:
            found.append(
                f"  {self.hours:.2g} hours at the {self.speed.tokens_per_second:,.0f} tokens per second of "
                f"{self.speed.folder}"
            )
        elif not model.startswith("openai/"):
            found.append("  hours unknown: --result-dir holds no run of the model on as many GPUs")
        return found


def total_line(found: list[Forecast], model: str) -> str:
    """All benchmarks together, for people."""
    prompt_tokens = sum(one.prompt_tokens for one in found)
    completion_tokens = sum(one.completion_tokens for one in found)
    return (
        f"together {number_of(sum(one.requests for one in found), 'request')}, about "
        f"{forecast_line(model, prompt_tokens, completion_tokens)}"
    )


def forecast(order: Order, result_dir: Path, *, fresh: bool = False) -> Forecast:
    """What `order` would ask; nothing is written.

    Raises UserError for what the command itself would refuse: other settings than the run that is there.
    """
    folder = find_run(result_dir, order.wanted(), fresh=fresh)
    check_no_batch_waits(RunPlace(folder), order.options.batch)
    have = samples_there(folder)
    labels = None
    if len(have):
        info = read_run_json(folder)
        order, labels = order.continuing(info["settings"]), info["dataset"].get("labels")
    waiting = {name for part in waiting_parts(RunPlace(folder)) for name in part.left}
    counts = _Counts(order, have, waiting, labels, is_open=_by_verdicts(order.plan, folder, have))
    runs = list(_earlier_runs(result_dir, order.plan.model))
    mean, assumed = _expected_length(order, runs)
    return Forecast(
        task=order.task.name,
        requests=counts.requests,
        there=counts.there,
        waiting=counts.waiting,
        prompt_tokens=round(counts.prompt_tokens),
        prompts_counted_by=counts.counted_by,
        completion_tokens=round(counts.requests * mean),
        most_completion_tokens=counts.requests * order.plan.max_tokens,
        assumed=assumed,
        speed=_fastest(order, runs),
    )


def _by_verdicts(plan: Plan, folder: Path, have: SampleSet) -> Callable[[Name], bool]:
    """Whether a problem may want more samples; without a stopping rule each does until it has all."""
    if plan.stopping is None or not len(have):
        return lambda _: True
    rounds = Rounds(iter(()), n=plan.n, rule=plan.stopping, has=have.has)
    for record in read_records(folder):
        rounds.note_earlier(record.sample.key, record.verdict)
    return rounds.is_open


class _Counts:
    """Requests and prompt tokens of the samples that are not there yet."""

    def __init__(
        self,
        order: Order,
        have: SampleSet,
        waiting: set[str],
        labels: dict | None,
        *,
        is_open: Callable[[Name], bool],
    ) -> None:
        plan = order.plan
        counter = open_counter(plan.model)
        prompt = order.prompt()
        self.requests = self.there = self.waiting = 0
        self.prompt_tokens = 0.0
        self.counted_by = counter.by if counter.encode else "one token per four characters"
        chars = tokens = counted = 0
        rate = tokens_per_char(0, 0)
        rows = order.open_rows()
        for problem in order.problems(rows, order.open_labels(rows, labels), RowCounts()):
            wanted = [(t, index) for t in plan.temperatures for index in range(samples_at(t, plan.n))]
            lacking = [which for which in wanted if not have.has(problem.id, *which)]
            self.there += len(wanted) - len(lacking)
            asked = [which for which in lacking if is_open((problem.id, which[0]))]
            missing = sum(name_of(problem.id, *which) not in waiting for which in asked)
            self.requests += missing
            self.waiting += len(asked) - missing
            if not missing:
                continue
            text = "\n".join((plan.system_prompt or "", prompt(problem, plan.model)))
            if counter.encode is not None and counted < COUNTED_PROMPTS:
                here = counter.encode(text)
                chars, tokens, counted = chars + len(text), tokens + here, counted + 1
                rate = tokens_per_char(tokens, chars)
                self.prompt_tokens += missing * here
            else:
                self.prompt_tokens += missing * len(text) * rate


def _earlier_runs(result_dir: Path, model: str) -> Iterator[Earlier]:
    """The runs of `model` under `result_dir` that hold samples, by their run.json."""
    for path in sorted(result_dir.glob("*/run.json")):
        try:
            info = read_run_json(path.parent)
        except UserError:
            continue  # of another version: it tells us nothing
        if info["settings"].get("model") != model:
            continue
        all_tokens = [numbers["tokens"]["all"] for numbers in info.get("summary", {}).values()]
        samples = sum(found["samples"] for found in all_tokens)
        if not samples:
            continue
        made = info.get("generation", {})
        yield Earlier(
            folder=path.parent,
            task=info["settings"].get("task", ""),
            tokens_per_sample=sum(found["samples"] * found["mean"] for found in all_tokens) / samples,
            samples=samples,
            tokens_per_second=made["completion_tokens"] / made["seconds"] if made.get("seconds") else 0.0,
            gpus=made.get("gpus", 1),
        )


def _expected_length(order: Order, runs: list[Earlier]) -> tuple[float, str]:
    """Mean completion tokens to expect, and why."""
    most = order.plan.max_tokens
    of_task = [run for run in runs if run.task == order.task.name]
    chosen = of_task or runs
    if not chosen:
        return most / 4, f"a quarter of --max-tokens {most}: no earlier run of {order.plan.model} is there"
    samples = sum(run.samples for run in chosen)
    mean = min(most, sum(run.samples * run.tokens_per_sample for run in chosen) / samples)
    where = order.task.name if of_task else "other benchmarks"
    return mean, f"{mean:,.0f} each, as in {samples:,} earlier samples of the model on {where}"


def _fastest(order: Order, runs: list[Earlier]) -> Earlier | None:
    """The earlier run on as many GPUs that was fastest; None for endpoints, whose speed is theirs."""
    if order.options.engine_name == "openai":
        return None
    gpus = order.options.gpus
    timed = [run for run in runs if run.tokens_per_second and run.gpus == gpus]
    return max(timed, key=lambda run: run.tokens_per_second, default=None)
