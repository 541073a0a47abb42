"""What does a command ask of one benchmark: of which problems, how many samples, judged how?

A script makes an `Order`; its parts are Plan (what is asked of each problem), Selection (which problems) and
Judging (how answers are graded).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from util.data import difficulty
from util.data.rows import RowCounts, Rows, check_bounds, check_positions, open_rows, problems
from util.data.wordings import Wording, ask_with
from util.engines.options import EngineOptions
from util.errors import UserError
from util.generation.rounds import Stopping
from util.records import Problem
from util.runs.folder import Wanted, run_name
from util.runs.reader import text_digest
from util.settings import (
    ALWAYS,
    BY_NAME,
    IF_GREEDY,
    NEVER,
    OF_A_RUN,
    SAMPLING,
    continued,
    model_args,
    short_name,
)
from util.task import Task

DEFAULT_PROMPT = BY_NAME["prompt"].default
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
    prompt: str = DEFAULT_PROMPT  # name of the wording, or the hash of one of the person's own
    wording: Wording | None = None  # that of the person's own
    system_prompt: str | None = None
    prefill: str = ""  # how each answer begins
    sampling: str = "flags"  # where the values come from that `EngineOptions.sampling` has
    stop_loops: str = NEVER  # when texts that repeat themselves are ended
    stopping: Stopping | None = None  # when a problem needs no further sample although it has not all n

    def ends_loops(self, temperature: float) -> bool:
        """Whether a text at this temperature is ended when it repeats itself."""
        return ends_loops(self.stop_loops, temperature)


def ends_loops(when: str, temperature: float) -> bool:
    """Whether a text at this temperature is ended when it repeats itself, by the setting stop_loops."""
    return when == ALWAYS or (when == IF_GREEDY and not temperature)


@dataclass(frozen=True)
class Selection:
    """Which problems of a benchmark are asked, and where its rows are read from."""

    split: str | None = None  # None: the one that results are reported on
    source: str | None = None
    start: int = 0
    end: int = -1
    filter_difficulty: bool = False
    difficulty_lower_bound: float | None = None
    difficulty_upper_bound: float | None = None
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
    judge: str | None = None  # the model that decides where the benchmark wants one


@dataclass(frozen=True)
class Order:
    """What a command asks of one benchmark."""

    task: Task
    plan: Plan
    selection: Selection
    options: EngineOptions
    system_prompt_from: str | None = None  # where the system message was taken from
    judging: Judging = Judging()
    limits: Mapping[str, Any] = field(
        default_factory=dict
    )  # of programs, as flags say; the task has the others
    given: frozenset[str] = frozenset()  # settings whose flags were given: they have no default to keep

    def needs_begun(self) -> str:
        """The flag for which the model has to go on with a begun answer; "" where none is given."""
        if self.options.thinking_budget is not None:
            return "--thinking-budget"
        return "--prefill" if self.plan.prefill else ""

    def check(self) -> None:
        """Raise UserError for a wording or rows that cannot be chosen, before anything is fetched."""
        self.prompt()
        chosen = self.selection
        check_positions(self.task, chosen.source, chosen.start, chosen.end)
        if chosen.filter_difficulty:
            check_bounds(self.task, self._bounds(), has_labels=self.task.source.labels is not None)
        elif self._bounds() != (None, None):
            raise UserError("difficulty bounds choose nothing without --filter-difficulty: add it")

    def wanted(self) -> Wanted:
        """The run folder's name and what must not change within it; temperatures, n and limit may."""
        settings = self.settings()
        model, chosen = short_name(self.plan.model), self.selection
        if self.options.adapter is not None:
            model += f"+{self.options.adapter.name}"
        name = run_name(model, *(settings[name] for name in ("task", "split", "source", "start", "end")))
        if not chosen.filter_difficulty:
            return Wanted(name, settings, self.given)
        bounds = zip(("from", "to"), self._bounds(), strict=True)
        said = "".join(f"_{word}_{bound:g}" for word, bound in bounds if bound is not None)
        return Wanted(f"{name}_difficulty{said}", settings, self.given, older_name=name)

    def settings(self) -> dict[str, Any]:
        """What must not change within a run, by the names of the table; those that mean something here."""
        system = self.plan.system_prompt
        known = {
            **vars(self.plan),
            **vars(self.selection),
            **{setting.name: setting.default for setting in SAMPLING},
            **self.options.sampling,
            **self.task.choice,
            **{name: self.limits.get(name, value) for name, value in self.task.limits.items()},
            "task": self.task.name,
            "split": self.selection.split or self.task.source.split,
            "system_prompt_hash": None if system is None else text_digest(system),
        }
        known["thinking"] = self.options.thinking
        known["thinking_budget"] = self.options.thinking_budget
        known["model_args"] = model_args(self.options.engine_args)
        if self.options.adapter is not None:
            known |= {"lora": str(self.options.adapter), "lora_hash": self.options.adapter.digest}
        if "chat_template_kwargs" in self.options.engine_args:
            known["chat_template_kwargs"] = self.options.engine_args["chat_template_kwargs"]
        return {setting.name: known[setting.name] for setting in OF_A_RUN if setting.name in known}

    def continuing(self, there: Mapping[str, Any]) -> Order:
        """The same order with the defaults that a run with these settings was begun with."""
        now = self.settings()
        kept = continued(there, now, self.given)
        changed = {name: value for name, value in kept.items() if value != now[name]}

        def of(fields: Mapping[str, Any]) -> dict[str, Any]:
            return {name: value for name, value in changed.items() if name in fields}

        task, choice = self.task, of(self.task.choice)
        if choice and task.narrow is not None:
            task = task.narrow(task, **{**task.choice, **choice})
        sampling = {**self.options.sampling, **of(dict.fromkeys(setting.name for setting in SAMPLING))}
        return replace(
            self,
            task=task,
            plan=replace(self.plan, **of(vars(self.plan))),
            selection=replace(self.selection, **of(vars(self.selection))),
            options=replace(self.options, sampling=sampling),
            limits={**self.limits, **of(self.task.limits)},
        )

    def open_rows(self, revision: str | None = None) -> Rows:
        """The rows to choose from; `revision` is taken where the command names none."""
        chosen = self.selection
        return open_rows(
            self.task.source,
            split=chosen.split,
            revision=chosen.revision or revision,
            data_dir=chosen.data_dir,
        )

    def open_labels(self, rows: Rows, begun: dict[str, Any] | None = None) -> difficulty.Labels | None:
        """The difficulties that choose among the rows; None where they choose nothing.

        `begun` is what the run that is continued notes of its labels.
        """
        where, chosen = self.task.source.labels, self.selection
        if where is None or not chosen.filter_difficulty:
            return None

        def all_chosen() -> Iterator[Problem]:
            return problems(self.task, rows, source=chosen.source, start=chosen.start, end=chosen.end)

        return difficulty.read_labels(where, all_chosen, data_dir=chosen.data_dir, begun=begun)

    def problems(self, rows: Rows, labels: difficulty.Labels | None, counts: RowCounts) -> Iterator[Problem]:
        """The problems that are asked, in order; fills `counts`."""
        chosen = self.selection
        return problems(
            self.task,
            rows,
            source=chosen.source,
            start=chosen.start,
            end=chosen.end,
            difficulty=self._bounds() if chosen.filter_difficulty else None,
            labels=None if labels is None else labels.of,
            limit=chosen.limit,
            counts=counts,
        )

    def prompt_template(self, problem: Problem) -> str:
        """The user message around a question, with {question} and {A}, {B}, ... where its texts stand."""
        letters = tuple(f"{{{chr(ord('A') + number)}}}" for number in range(len(problem.choices)))
        bare = replace(problem, question="{question}", choices=letters)
        return self.plan.wording.text if self.plan.wording else self.prompt()(bare, self.plan.model)

    def prompt(self) -> Prompt:
        """What makes a user message of a problem; raises UserError where the task has no such wording."""
        if self.plan.wording is not None:
            return ask_with(self.plan.wording.text)
        return prompt_named(self.task, self.plan.prompt)

    def _bounds(self) -> tuple[float | None, float | None]:
        return self.selection.difficulty_lower_bound, self.selection.difficulty_upper_bound


def name_of_text(text: str) -> str:
    """What stands for somebody's own wording where others have a name: another text is another setting."""
    return f"text:{text_digest(text)}"


def prompt_named(task: Task, name: str) -> Prompt:
    """One of the wordings that a task knows."""
    if name == DEFAULT_PROMPT:
        return task.prompt
    if name not in task.prompts:
        known = ", ".join([DEFAULT_PROMPT, *task.prompts])
        raise UserError(
            f"{task.name} has no prompt {name!r}: choose from {known}, or name a text file with {{question}} "
            "or a field of a data set (hf://datasets/ORG/NAME#FIELD)"
        )
    return task.prompts[name]
