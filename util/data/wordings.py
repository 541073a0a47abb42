"""Which words stand around a question that somebody else has worded?

Call `own_wording` with what --prompt says, then `ask_with` for the message to a problem.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from util import prompts
from util.data.system_prompts import read_text
from util.errors import UserError
from util.records import Problem, TestSuite, by_letter

LETTER = re.compile(r"\{([A-Z])\}")


@dataclass(frozen=True)
class Wording:
    """Words with {question} in them, and where they were read."""

    text: str
    origin: str


def own_wording(name: str, *, data_dir: Path | None = None) -> Wording | None:
    """The wording in a text file or a field of a hub data set; None where `name` is neither.

    Raises UserError where it has no place for the question.
    """
    found = read_text("--prompt", name, data_dir=data_dir)
    if found is None:
        return None
    text, origin = found
    if "{question}" not in text:
        raise UserError(f"--prompt {name} has no {{question}}: write it where the question is to stand")
    return Wording(text, origin)


def ask_with(text: str) -> Callable[[Problem, str], str]:
    """A task's prompt with other words.

    {question} has below it what an answer needs: options by their letters, unless the text places {A}, {B},
    ... itself, and the code or the name of a function to write, unless it places {starter_code} or
    {function}.
    """

    def prompt(problem: Problem, model: str) -> str:
        suite = problem.reference if isinstance(problem.reference, TestSuite) else TestSuite("")
        fields = {
            "starter_code": suite.starter_code.rstrip(),
            "function": suite.function or "",
            **_options(text, problem),
        }
        return prompts.render(text, question=_question(text, problem, suite), **fields)

    return prompt


def _question(text: str, problem: Problem, suite: TestSuite) -> str:
    parts = [problem.question]
    if problem.choices and not LETTER.search(text):
        parts.append(
            "\n".join(f"{letter}. {option}" for letter, option in by_letter(problem.choices).items())
        )
    is_placed = "{starter_code}" in text or "{function}" in text
    if suite.starter_code.strip() and not is_placed:
        parts.append(f"```python\n{suite.starter_code.rstrip()}\n```")
    elif suite.function and not is_placed:
        parts.append(f"The function is called `{suite.function}`.")
    return "\n\n".join(parts)


def _options(text: str, problem: Problem) -> dict[str, str]:
    """The options that the text places; raises UserError where these are not all that the problem has."""
    placed, options = set(LETTER.findall(text)), by_letter(problem.choices)
    if placed and options and placed != options.keys():
        raise UserError(
            f"the wording of --prompt places the options {', '.join(sorted(placed))}, and problem "
            f"{problem.id} has {', '.join(options)}: leave them out, then {{question}} has them below it"
        )
    return options
