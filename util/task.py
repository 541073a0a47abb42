"""What does a benchmark have to say about itself?

A benchmark is one `Task`, and a `Source` says where its rows lie.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field

from util.records import Problem, Verdict

_JSON = json.JSONEncoder(ensure_ascii=False)


@dataclass(frozen=True)
class Source:
    """Where the rows of a benchmark lie: files of one hub repository at one commit."""

    path: str  # "org/name" on the hub; a file beside the task for bundled data
    files: dict[str, tuple[str, ...]]  # split -> its files, in order
    split: str  # the split that results are usually reported on
    revision: str = "main"  # the pinned commit (40 hex digits); "main" is resolved once and then kept
    keep: Callable[[dict], bool] | None = None  # rows that belong to the benchmark at all
    by: str | None = None  # the column that --source chooses from
    columns: tuple[str, ...] | None = None  # columns to read; None reads all
    labels: str | None = None  # hub repository of difficulty labels, which --filter-difficulty joins by text
    licence: str = ""
    unread: tuple[str, ...] = ()  # columns that rows come without: long texts that only grading needs
    config: str | None = None  # part of a data set that is streamed; None: the only one
    is_streamed: bool = False  # read by the package `datasets`, which knows the layout of any data set
    tests_on_disk: bool = False  # rows come with "tests_at", where they lie: problems need not keep tests


@dataclass(frozen=True)
class Task:
    """One benchmark. All four functions are plain top-level functions, so they travel to other processes
    by name."""

    name: str
    source: Source
    problem: Callable[[dict], Problem]  # what is asked
    prompt: Callable[[Problem, str], str]  # (problem, model) -> the user message
    grade: Callable[[Problem, str], Verdict]  # (problem, response text) -> verdict
    gold: Callable[[dict], str | None]  # a response that the grader must accept; None: the row holds none
    # Further prompts by name for --prompt; `prompt` itself is "default".
    prompts: dict[str, Callable[[Problem, str], str]] = field(default_factory=dict)
    # (question, reference, answer) -> what a judge is asked about what `grade` finds; None: no judge decides
    ask_judge: Callable[[str, str, str], str] | None = None
    grade_timeout_s: float = 60.0
    limits: dict = field(default_factory=dict)  # of programs: settings, where no flag says otherwise
    metric: str = "accuracy"
    groups: tuple[str, ...] = ()  # facts in a problem's `about` by which results are split
    notes: dict = field(default_factory=dict)  # what a reader of the results should know
    choice: dict = field(default_factory=dict)  # how the rows were narrowed: part of a run's settings
    narrow: Callable[..., Task] | None = None  # (the task, what `choice` may say) -> the task so narrowed
    address: str = ""  # of problems of one's own, as --dataset names them
    lacking: Callable[[], str] | None = None  # tells people what its grader needs and does not find, if any
    hub_task: str = ""  # on the hub's leaderboard of the data set, as its eval.yaml has it; "": none is known

    @property
    def is_code(self) -> bool:
        """Whether answers are programs, which are judged by running them under `limits`."""
        return bool(self.limits)


def content_id(*fields: object) -> str:
    """First 16 hex digits of the SHA-256 of the fields as JSON, just as they are (no trimming, no folding).

    64 bits: for 859,494 rows the chance of any collision is about 2e-8 (birthday bound).
    """
    # Field by field: texts alone are encoded in half the time that a list of them takes.
    text = f"[{', '.join(map(_JSON.encode, fields))}]"
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]
