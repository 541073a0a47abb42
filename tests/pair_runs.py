"""Runs made by hand for the tests of preference pairs."""

from __future__ import annotations

from pathlib import Path

from util.records import Problem, Sample, Verdict
from util.runs.folder import Run
from util.runs.reader import text_digest

SETTINGS = {
    "task": "MATH500",
    "model": "some/model",
    "split": "test",
    "max_tokens": 1000,
    "system_prompt": None,
}
PADDING = "We go on slowly and look at every part of it with care before anything else is said. "


def think(*attempts: str, answer: str = "15") -> str:
    """A response with these attempts between its thought markers."""
    thought = "\n\n".join(attempts)
    return (
        f"<|begin_of_thought|>\n\n{thought}\n\n<|end_of_thought|>\n\n"
        f"<|begin_of_solution|>\n\nThe result is \\boxed{{{answer}}}.\n\n<|end_of_solution|>"
    )


def attempt(answer: object, turn: str = "", padding: int = 2) -> str:
    return f"{turn}{PADDING * padding}So the answer is {answer}."


def make_run(
    folder: Path,
    problems: dict[str, list[tuple[str, bool | None]]],
    *,
    settings: dict | None = None,
    answer: str | None = "15",
    rate: float = 0.25,
) -> Path:
    """A run folder with (text, correct) samples per problem; correct None leaves a sample ungraded."""
    with Run(folder, settings={**SETTINGS, **(settings or {})}, made_with={"suite": "test"}) as run:
        for name, samples in problems.items():
            question = f"What is three times five ({name})?"
            run.add_problem(Problem(name, question, answer), f"{question} Put it into a box.")
            for index, (text, correct) in enumerate(samples):
                sample = Sample(name, 0.7, index, text, None, "stop", 20, int(len(text) * rate))
                run.add_sample(sample)
                if correct is not None:
                    verdict = Verdict(correct, "" if correct else "wrong_answer", "15", "", "maths-1")
                    run.add_verdict(sample.key, text_digest(text), verdict)
    return folder
