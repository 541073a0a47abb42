"""Run folders with samples that nobody had to generate, for tests of the later steps."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from util.records import Problem, Sample, Verdict
from util.response import join_parts
from util.runs.folder import Run
from util.runs.reader import text_digest


@dataclass(frozen=True)
class PaperSample:
    """A sample and what was said of it; `formatted` False leaves it as it was generated."""

    problem_id: str
    question: str
    response: str = "Three and four are counted together, so that the answer is \\boxed{7}."
    correct: bool | None = True
    formatted: bool = True
    index: int = 0
    finish_reason: str = "stop"
    tokens: int = 10
    about: dict = field(default_factory=dict)
    choices: tuple[str, ...] = ()
    text: str | None = None  # as generated; otherwise `response` behind a thought without marks
    reasoning: str | None = None  # a thought that the endpoint returned apart
    reason: str = "wrong_answer"  # of a sample that is not correct
    reference: str | None = "7"
    cause: str = ""
    detail: str = ""


def write_run(
    folder: Path,
    samples: list[PaperSample],
    *,
    task: str = "NUMINA",
    model: str = "paper",
    system: str | None = None,
) -> Path:
    """A run of `task` on its train split with these samples."""
    settings = {"task": task, "model": model, "split": "train", "system_prompt": system}
    with Run(folder, settings=settings, made_with={}) as run:
        run.info["dataset"] = {"path": "org/name", "split": "train", "revision": "abc", "licence": "MIT"}
        run.save_info()
        for paper in samples:
            problem = Problem(paper.problem_id, paper.question, paper.reference, paper.choices, paper.about)
            run.add_problem(problem, f"{paper.question} Think first.")
            key = (paper.problem_id, 0.7, paper.index)
            text = f"I think about it.\n\n{paper.response}" if paper.text is None else paper.text
            run.add_sample(Sample(*key, text, paper.reasoning, paper.finish_reason, 5, paper.tokens))
            if paper.formatted:
                text = join_parts("I think about it.", paper.response)
                run.add_formatted(key, text, "rule: paper")
            if paper.correct is not None:
                reason = "" if paper.correct else paper.reason
                verdict = Verdict(paper.correct, reason, "7", paper.detail, "maths-1", cause=paper.cause)
                run.add_verdict(key, text_digest(text), verdict)
    return folder
