"""What does a run folder with known contents look like? Written without a model, for tests that read it."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from util.records import SCHEMA, Key, Verdict
from util.runs.folder import Run
from util.runs.reader import text_digest
from util.runs.theirs import TheirScore, imported

SETTINGS = {
    "task": "MATH500",
    "model": "org/model-a",
    "split": "test",
    "source": None,
    "start": 0,
    "end": -1,
    "prompt": "default",
    "system_prompt": None,
    "system_prompt_hash": None,
    "max_tokens": 4096,
    "top_p": 1.0,
    "stop": [],
    "seed": 0,
}
DATASET = {"path": "org/data", "split": "test", "revision": "a" * 40, "rows": 4, "licence": "MIT"}
WORDS = (
    "so",
    "we",
    "find",
    "that",
    "the",
    "value",
    "of",
    "$x^2$",
    "is",
    "even",
    "and",
    "then",
    "hence",
    "number",
)


def make_run(
    folder: Path,
    samples: Sequence[dict],
    *,
    problems: Sequence[dict] = (),
    settings: dict | None = None,
    dataset: dict | None = None,
    graded: bool = True,
) -> Path:
    """Write a run folder.

    A sample says `problem_id`, `index`, and what differs from a correct answer of 10 tokens at temperature
    0.7.
    A problem says `id` and what differs from a question with the answer 42.
    """
    folder.mkdir(parents=True)
    info = {
        "schema": SCHEMA,
        "settings": {**SETTINGS, **(settings or {})},
        "dataset": {**DATASET, **(dataset or {})},
        "made_with": {"suite": "v1", "python": "3.11"},
        "prompt": {"name": "default", "hash": "0" * 16, "text": "{question}"},
        "asked": {"temperatures": [0.7], "n": 1, "limit": None},
    }
    (folder / "run.json").write_text(json.dumps(info), encoding="utf-8")
    known = {problem["id"]: problem for problem in problems}
    ids = dict.fromkeys([*known, *(sample["problem_id"] for sample in samples)])
    with open(folder / "problems.jsonl", "w", encoding="utf-8") as out:
        for problem_id in ids:
            question = f"What is the answer to {problem_id}?"
            line = {"id": problem_id, "question": question, "prompt": question, "answer": "42"}
            out.write(json.dumps({**line, **known.get(problem_id, {})}) + "\n")
    with (
        open(folder / "samples.jsonl", "w", encoding="utf-8") as out,
        open(folder / "verdicts.jsonl", "w", encoding="utf-8") as verdicts,
    ):
        for given in samples:
            sample, verdict = sample_and_verdict(given)
            out.write(json.dumps(sample) + "\n")
            if graded:
                verdicts.write(json.dumps(verdict) + "\n")
    return folder


def make_imported(
    folder: Path,
    theirs: Mapping[Key, TheirScore],
    *,
    scores: Mapping[str, object] | None = None,
    tool: str = "t",
) -> Path:
    """Make an imported run of one that is there: what another suite says of its samples, and of all."""
    with Run(folder, settings={}, made_with={}) as run:
        run.info["made_with"]["imported"] = imported(tool, scores or {})
        run.save_info()
        for key, their in theirs.items():
            run.add_theirs(key, their)
    return folder


def sample_and_verdict(given: dict) -> tuple[dict, dict]:
    """The lines of samples.jsonl and verdicts.jsonl for one sample."""
    correct = given.get("correct", True)
    sample = {
        "problem_id": given["problem_id"],
        "temperature": given.get("temperature", 0.7),
        "index": given["index"],
        "text": given.get("text", r"The answer is \boxed{42}."),
        "reasoning": given.get("reasoning"),
        "finish_reason": given.get("finish_reason", "stop"),
        "prompt_tokens": 5,
        "completion_tokens": given.get("tokens", 10),
    }
    verdict = Verdict(
        correct,
        given.get("reason", "" if correct else "wrong_answer"),
        given.get("extracted", "42" if correct else "41"),
        grader=given.get("grader", "maths-1"),
        **{name: given[name] for name in ("detail", "how", "trust", "cause") if name in given},
    )
    key = {name: sample[name] for name in ("problem_id", "temperature", "index")}
    return sample, {**key, "judged": text_digest(sample["text"]), "verdict": asdict(verdict)}


def make_large_run(folder: Path, *, problems: int, n: int, characters: int, seed: int = 0) -> int:
    """Write a run of random samples one by one, and return how many characters their texts have."""
    dice = random.Random(seed)
    make_run(
        folder,
        [],
        problems=[{"id": f"p{number}", "about": {"level": number % 5}} for number in range(problems)],
    )
    total = 0
    with (
        open(folder / "samples.jsonl", "w", encoding="utf-8") as samples,
        open(folder / "verdicts.jsonl", "w", encoding="utf-8") as verdicts,
    ):
        for number in range(problems):
            ease = dice.random()
            for index in range(n):
                words = " ".join(dice.choices(WORDS, k=characters // 5))
                response = f"<think>{words}</think> The answer is \\boxed{{42}}."
                given = {"problem_id": f"p{number}", "index": index, "text": response}
                given["tokens"] = int(dice.lognormvariate(6.5, 0.7))
                given["correct"] = dice.random() < ease
                if not given["correct"]:
                    given["extracted"] = str(dice.randrange(5))
                    if dice.random() < 0.2:
                        given |= {"finish_reason": "length", "reason": "truncated", "extracted": None}
                sample, verdict = sample_and_verdict(given)
                samples.write(json.dumps(sample) + "\n")
                verdicts.write(json.dumps(verdict) + "\n")
                total += len(response)
    return total
