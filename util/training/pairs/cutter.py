"""Where do the attempts in a run's responses begin, and which of them are correct, by rule or by a model?

Call `cut_by_rule` of a `Cutter`, then `ask_for_cuts` and `ask_for_scores`. Two files of the result folder
keep what was found (split.jsonl: where attempts begin, scores.jsonl: which of them are correct).
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from util import prompts
from util.engines.checked import Answers, Question, Refused, ask
from util.engines.options import Engine
from util.records import Failure, Record, Verdict
from util.response import END_SOLUTION
from util.runs.batches import QuestionsPlace
from util.runs.reader import RunReader, text_digest
from util.runs.steps import StepBook, name_of_step
from util.training.pairs import attempts
from util.training.pairs.attempts import Slices, slices_of
from util.training.pairs.survey import OnProgress, Survey
from util.training.pairs.variants import closed

SPLIT, SCORES = "split.jsonl", "scores.jsonl"
TRIES = 2
JUDGE_TOKENS = 64

Grade = Callable[[Record, str], Verdict]  # judges a text as an answer to the record's problem


@dataclass(frozen=True)
class Response:
    """A sample's text ready to be cut."""

    record: Record
    text: str
    run: Path  # the folder of the run that it is from

    @cached_property
    def slices(self) -> Slices:
        return slices_of(self.text)

    @property
    def closed_text(self) -> str:
        """The text with the marker at its end, if it is one with markers."""
        return self.text if END_SOLUTION in self.text else closed(self.text, self.slices.form)

    @property
    def about(self) -> tuple[str, str]:
        """What names it in the journals: the problem and the text."""
        return self.record.sample.problem_id, text_digest(self.text)


class Cutter:
    """Finds the attempts in responses and which of them are correct: by rule, and by a model where rules end.

    `model` is the name of the rewrite model, None when no model is to be asked. `answers` counts what came of
    asking it; so many of the usable ones, `split_by_model`, said where attempts begin. What is asked in
    batches is kept in the folder `batches`.
    """

    def __init__(
        self,
        folder: Path,
        readers: Sequence[RunReader],
        found: Survey,
        grade: Grade,
        *,
        model: str | None,
        batches: Path,
    ) -> None:
        self._readers = readers
        self._survey = found
        self._grade = grade
        self._model = model
        self._splits = StepBook(folder / SPLIT)
        self._scores = StepBook(folder / SCORES)
        self.answers = Answers()
        self.split_by_model = 0
        self.batches = QuestionsPlace(
            batches, lambda name: self._splits.has(name) or self._scores.has(name), self._sync
        )

    def read(self, number: int) -> Response:
        record = self._readers[self._survey.run_of(number)].at(self._survey.place(number))
        return Response(record, record.text(), self._readers[self._survey.run_of(number)].folder)

    def cuts(self, response: Response) -> list[int]:
        """Where attempts begin, by rule, else as the model said."""
        line = self._splits.get(attempts.RULES, *response.about)
        if line is None:
            cuts = attempts.attempt_cuts(response.slices.thought)
            line = self._splits.add(attempts.RULES, *response.about, cuts=cuts)
        if not line["cuts"] and self._model is not None:
            line = self._splits.get(self._model, *response.about) or line
        return line["cuts"]

    def scores(self, response: Response) -> list[bool | None]:
        """Which attempts are correct; None where neither a rule nor the model knows."""
        cuts = self.cuts(response)
        line = self._scores.get(attempts.RULES, *response.about, cuts)
        if line is None:
            pieces = attempts.pieces_of(response.slices.thought, cuts)
            found = [
                attempts.score_piece(piece, lambda text: self._grade(response.record, text))
                for piece in pieces
            ]
            line = self._scores.add(
                attempts.RULES,
                *response.about,
                cuts,
                correct=[correct for correct, _ in found],
                answers=[answer for _, answer in found],
            )
        correct = list(line["correct"])
        if self._model is not None:
            for number, known in enumerate(correct):
                said = known is None and self._scores.get(self._model, *response.about, cuts, number)
                if said:
                    correct[number] = said["correct"]
        return correct

    def cut_by_rule(self, numbers: Iterable[int], on_progress: OnProgress = lambda tokens: None) -> list[int]:
        """Split and score responses by rule; returns those about which a model could say more."""
        open_questions = []
        for number in numbers:
            response = self.read(number)
            if len(self.cuts(response)) == 0 or None in self.scores(response):
                open_questions.append(number)
            on_progress(0)
        return open_questions

    def has_questions(self, numbers: Iterable[int]) -> bool:
        """Whether the model has not been asked yet about one of these responses."""
        numbers = list(numbers)
        return (
            next(self.to_split(numbers, 1), None) is not None
            or next(self.to_judge(numbers), None) is not None
        )

    def ask_for_cuts(
        self,
        engine: Engine,
        numbers: Iterable[int],
        *,
        max_tokens: int,
        on_progress: OnProgress = lambda tokens: None,
    ) -> None:
        """Ask the model where attempts begin in responses in which rules found a single one."""
        questions = self.to_split(numbers, max_tokens)
        reminder = prompts.load("split_again")
        for question, text, said in ask(
            engine, questions, _read_cuts, reminder=reminder, tries=TRIES, answers=self.answers
        ):
            step = (self._model, *question.about.about)
            if isinstance(said, Refused):
                self._splits.add(*step, cuts=[], said=text, refused=said.reason)
            elif not isinstance(said, Failure):
                self.split_by_model += 1
                self._splits.add(*step, cuts=said, said=text)
            on_progress(0)

    def ask_for_scores(
        self,
        engine: Engine,
        numbers: Iterable[int],
        on_progress: OnProgress = lambda tokens: None,
    ) -> None:
        """Ask the model about attempts in which no rule finds an answer."""
        reminder = prompts.load("judge_again")
        for question, text, said in ask(
            engine, self.to_judge(numbers), _read_truth, reminder=reminder, tries=TRIES, answers=self.answers
        ):
            if isinstance(said, Refused):
                self._scores.add(*question.about, correct=None, said=text, refused=said.reason)
            elif not isinstance(said, Failure):
                self._scores.add(*question.about, correct=said, said=text)
            on_progress(0)

    def to_split(self, numbers: Iterable[int], max_tokens: int) -> Iterator[Question]:
        """What the model was not asked yet about where attempts begin."""
        for response in map(self.read, numbers):
            if not self.cuts(response) and self._splits.get(self._model, *response.about) is None:
                name, prompt = name_of_step(self._model, *response.about), _split_prompt(response)
                yield Question(name, prompt, max_tokens, about=response)

    def to_judge(self, numbers: Iterable[int]) -> Iterator[Question]:
        """What the model was not asked yet about attempts in which no rule finds an answer."""
        for response in map(self.read, numbers):
            cuts = self.cuts(response)
            if not cuts:
                continue
            pieces = attempts.pieces_of(response.slices.thought, cuts)
            correct = 0
            for number, known in enumerate(self.scores(response)):
                correct += bool(known)
                if correct == 2:  # what comes later changes no variant
                    break
                step = (self._model, *response.about, cuts, number)
                if known is None and self._scores.get(*step) is None:
                    prompt = judge_prompt(response.record, pieces[number])
                    yield Question(name_of_step(*step), prompt, JUDGE_TOKENS, about=step)

    def _sync(self) -> None:
        self._splits.sync()
        self._scores.sync()

    def close(self) -> None:
        self._splits.close()
        self._scores.close()


def copy_steps(folder: Path, into: Path) -> None:
    """Copy what a result folder holds of steps; nothing where it holds none."""
    for name in (SPLIT, SCORES):
        if (folder / name).is_file():
            shutil.copyfile(folder / name, into / name)


def _split_prompt(response: Response) -> str:
    return prompts.render(
        prompts.load("split"), question=response.record.question, thought=response.slices.thought
    )


def judge_prompt(record: Record, piece: str) -> str:
    return prompts.render(
        prompts.load("judge"), question=record.question, answer=record.answer or "", piece=piece.strip()
    )


def _read_cuts(question: Question, text: str) -> list[int] | Refused:
    cuts = attempts.cuts_named(text, question.about.slices.thought)
    return Refused("none of its lines stands in the notes") if cuts is None else cuts


def _read_truth(question: Question, text: str) -> bool | Refused:
    said = attempts.truth_of(text)
    return Refused("it says neither True nor False") if said is None else said
