"""What does a command ask of one benchmark: of which problems, how many samples, judged how?

A script makes an `Order`; its parts are Plan (what is asked of each problem), Selection (which problems) and
Judging (how answers are graded).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from util.data.rows import check_bounds, check_positions
from util.engines.options import EngineOptions
from util.errors import UserError
from util.generation.rounds import Stopping
from util.models import short_name
from util.records import Problem
from util.runs.folder import Wanted, run_name
from util.runs.reader import text_digest
from util.task import Task

DEFAULT_PROMPT = "default"
OnProgress = Callable[[int], None]  # called with the number of completion tokens of each finished sample
Prompt = Callable[[Problem, str], str]  # (problem, model) -> the user message


@dataclass(frozen=True)
class Plan:
    """What is asked of each problem."""

    model: str
    temperatures: tuple[float, ...]
    n: int  # samples per problem and temperature
    max_tokens: int
    seed: int
    system_prompt: str | None = None
    stopping: Stopping | None = None  # when a problem needs no further sample although it has not all n


@dataclass(frozen=True)
class Selection:
    """Which problems of a benchmark are asked, and where its rows are read from."""

    split: str | None = None  # None: the one that results are reported on
    source: str | None = None
    start: int = 0
    end: int = -1
    filter_difficulty: bool = False
    lower_bound: float | None = None
    upper_bound: float | None = None
    limit: int | None = None
    revision: str | None = None
    data_dir: Path | None = None


@dataclass(frozen=True)
class Judging:
    """How answers are graded; never a setting of the run, `--regrade` grades again in another way."""

    symbolic: bool = True  # ask the symbolic engine where the rules do not know
    compare: str = "ordered"  # how outputs of programs are compared
    all_tests: bool = False  # run a program's other tests after one has failed
    require_isolation: str = "no-namespace"  # least isolation under which programs may run
    on_cluster: bool = False  # on the CPUs of a Ray cluster instead of this machine's


@dataclass(frozen=True)
class Order:
    """What a command asks of one benchmark."""

    task: Task
    plan: Plan
    selection: Selection
    options: EngineOptions
    prompt: str = DEFAULT_PROMPT  # name of the prompt
    system_prompt_from: str | None = None  # where the system message was taken from
    judging: Judging = Judging()

    def check_selection(self) -> None:
        """Raise UserError for rows that cannot be chosen, before anything is fetched."""
        chosen = self.selection
        check_positions(self.task, chosen.source, chosen.start, chosen.end)
        bounds = (chosen.lower_bound, chosen.upper_bound)
        if chosen.filter_difficulty:
            check_bounds(self.task, bounds, has_labels=self.task.source.labels is not None)
        elif bounds != (None, None):
            raise UserError("difficulty bounds choose nothing without --filter-difficulty: add it")

    def wanted(self) -> Wanted:
        """The run folder's name and what must not change within it; temperatures, n and limit may."""
        chosen = self.selection
        split = chosen.split or self.task.source.split
        system = self.plan.system_prompt
        settings = {
            "task": self.task.name,
            "model": self.plan.model,
            "split": split,
            "source": chosen.source,
            "start": chosen.start,
            "end": chosen.end,
            "filter_difficulty": chosen.filter_difficulty,
            "difficulty_lower_bound": chosen.lower_bound,
            "difficulty_upper_bound": chosen.upper_bound,
            "prompt": self.prompt,
            "system_prompt": system,
            "system_prompt_hash": None if system is None else text_digest(system),
            "max_tokens": self.plan.max_tokens,
            "top_p": self.options.top_p,
            "top_k": self.options.top_k,
            "min_p": self.options.min_p,
            "stop": list(self.options.stop),
            "seed": self.plan.seed,
            **self.task.choice,
        }
        if "chat_template_kwargs" in self.options.engine_args:  # the one engine argument that changes prompts
            settings["chat_template_kwargs"] = self.options.engine_args["chat_template_kwargs"]
        model = short_name(self.plan.model)
        return Wanted(
            run_name(model, self.task.name, split, chosen.source, chosen.start, chosen.end), settings
        )


def prompt_named(task: Task, name: str) -> Prompt:
    """One of the wordings that a task knows."""
    if name == DEFAULT_PROMPT:
        return task.prompt
    if name not in task.prompts:
        known = ", ".join([DEFAULT_PROMPT, *task.prompts])
        raise UserError(f"{task.name} has no prompt {name!r}: choose from {known}")
    return task.prompts[name]


def prompt_template(order: Order, problem: Problem) -> str:
    """The user message around a question, with {question} and {A}, {B}, ... where its texts stand."""
    letters = tuple(f"{{{chr(ord('A') + number)}}}" for number in range(len(problem.choices)))
    return prompt_named(order.task, order.prompt)(
        replace(problem, question="{question}", choices=letters), order.plan.model
    )
