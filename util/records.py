"""What are the things that flow from a data set row to a training row?

Follow them in order: Problem, Request, Completion, Sample, Verdict, Record.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

SCHEMA = 1  # goes up when the meaning of a stored field changes; readers refuse other numbers
SHARDED_SCHEMA = 2  # of a run that several jobs have written to
MOST_COUNTED = 1 << 53  # of a count: as far as every reader of JSON counts exactly

# Why a text was judged as it was. "" belongs to correct verdicts alone.
REASONS = (
    "",
    "wrong_answer",
    "undecided",  # the grader cannot tell: not correct, and counted apart; `cause` says why
    "no_answer",  # nothing in the response looks like an answer
    "truncated",  # stopped by the token limit before an answer
    "no_code",
    "compile_error",
    "unsupported_language",  # the only program is in another language than Python
    "wrong_output",
    "runtime_error",
    "timeout",
    "memory",
    "output_limit",
    "no_tests",  # the row cannot be graded: counted apart, never wrong, never right
    "sandbox_error",  # the sandbox failed, not the program: counted apart
    "grader_error",  # the grader failed: counted apart
    "not_asked",  # a judge has still to be asked about the answer: counted apart
)
NOT_ASKED = REASONS[-1]
Key = tuple[str, float, int]  # names a sample: its problem, its temperature, and its index there
# How sure the sign is by which an answer was found. "high": a box, an answer tag, a "####" line, a finished
# declaration; "medium": a conclusion in the last line; "low": the last number, a letter that stands alone.
TRUSTS = ("high", "medium", "low")
NOT_JUDGED = frozenset(
    {"no_tests", "sandbox_error", "grader_error", NOT_ASKED}
)  # verdicts that say nothing about the text


@dataclass(frozen=True)
class Ending:
    """What the finish reason of a sample means for those who use it."""

    cut_off: str = ""  # what broke the text off: of what is left only a sure sign counts; "": a normal end
    trains: bool = True  # whether such a text may enter training files and pairs
    share: str = ""  # in the headline, where such samples are counted apart


ENDINGS = {  # the finish reasons that are no normal end
    "length": Ending("cut off by the token limit", trains=False),
    "prompt_too_long": Ending("the prompt did not fit into the model's context", trains=False),
    "loop": Ending("ended because it repeated itself", trains=False, share="in a loop"),
    "budget": Ending(trains=False, share="thought ended by its budget"),  # and the answer forced
    "refusal": Ending(trains=False, share="refused"),
    "content_filter": Ending("cut off by a filter of the endpoint", trains=False),
    "tool_calls": Ending("ended with a call of a tool", trains=False),
    "interrupted": Ending("broken off by the endpoint", trains=False),
}
NORMAL = Ending()
# What endpoints and other suites call these ends, and the normal one.
SAME_ENDS = {
    "max_tokens": "length",
    "model_length": "length",
    "model_context_window_exceeded": "length",
    "sensitive": "content_filter",
    "safety": "content_filter",
    "recitation": "content_filter",
    "function_call": "tool_calls",
    "tool_use": "tool_calls",
    "error": "interrupted",
    "abort": "interrupted",
    "insufficient_system_resource": "interrupted",
    "network_error": "interrupted",
    "end_turn": "stop",
    "eos": "stop",
}


def end_named(reason: str) -> str:
    """Our word for a finish reason, or the one given where we have none."""
    return SAME_ENDS.get(reason.lower(), reason)


def ending(finish_reason: str) -> Ending:
    return ENDINGS.get(end_named(finish_reason), NORMAL)


def may_train(finish_reason: str, *, keep_budget: bool = False) -> bool:
    """Whether a text that ended so may be an example; one with a forced answer only where that is wanted."""
    return ending(finish_reason).trains or (keep_budget and finish_reason == "budget")


RULES = "rules"  # the fact of a problem that says how many rules its reference consists of
# Marks that a verdict gives them: whether a rule is followed strictly, and loosely. None: nobody can tell.
FOLLOWED = {
    "s": (True, True),
    "l": (False, True),
    "-": (False, False),
    "~": (False, None),
    "?": (None, None),
}


def rules_in_short(marks: str) -> str:
    """The one mark that says whether all rules are followed."""
    whole = tuple(_all_of([FOLLOWED[mark][which] for mark in marks]) for which in (0, 1))
    return next(mark for mark, said in FOLLOWED.items() if said == whole)


def _all_of(said: list[bool | None]) -> bool | None:
    return False if False in said else None if None in said else True


BY_THE_CLOCK = "ended by the clock"  # cause of a time-out with CPU time to spare: a pool tries again alone
NO_TIME = "the symbolic engine had no time"  # causes that begin so are worth another try


def count_rules(about: Mapping[str, object]) -> int:
    """How many rules the reference of a problem with these facts consists of; 0: it is none of rules."""
    count = about.get(RULES)
    return count if isinstance(count, int) else 0


def exact_number(value: float) -> str:
    """A number with all its digits and no more, such as the name of a temperature: "0.7", "1" for 1.0."""
    return repr(float(value)).removesuffix(".0")


@dataclass(frozen=True)
class RowPlace:
    """One row of one file: at a byte offset of JSON lines, or by row group and position of parquet."""

    file: str
    offset: int = 0
    row_group: int | None = None  # None: JSON lines


@dataclass(frozen=True)
class TestSuite:
    """The tests of one code problem, not yet read: where they lie and how they are written."""

    __test__ = False  # not a test class of pytest's

    layout: str  # one of those that `grading/code/suites.py` reads
    function: str | None = None  # the function to call; None: a program with standard input and output
    starter_code: str = ""
    place: RowPlace | None = None
    texts: tuple[str, ...] = field(default=(), repr=False)  # the columns themselves, when not on disk
    checksum: int = 0
    note: str = ""  # what a reader of the verdict should know, such as "several answers are right"
    time_s: float | None = None  # what each test may take, where the row says so
    tests: int | None = None  # how many; None: nobody has unpacked them yet


@dataclass(frozen=True)
class Problem:
    """A row made ready to ask and grade; a pure function of the row."""

    id: str  # the data set's own id, else `content_id` of the fields that define the row
    question: str
    reference: str | TestSuite | None  # an answer, or the tests of a program; None when the row has none
    choices: tuple[
        str, ...
    ] = ()  # texts of a multiple-choice problem in the order shown; option i has letter A+i
    about: dict = field(default_factory=dict)  # short facts: source, subject, level, difficulty, ...
    unusable: str = (
        ""  # why this row can be neither asked nor graded, such as "no boxed answer"; counted apart
    )

    @property
    def answer(self) -> str:
        """The reference of a problem that is judged by its answer."""
        assert isinstance(self.reference, str), self.unusable
        return self.reference


def by_letter(choices: Sequence[str]) -> dict[str, str]:
    """The options of a problem by their letters."""
    return {chr(ord("A") + place): text for place, text in enumerate(choices)}


@dataclass(frozen=True)
class Request:
    """One prompt for one sample."""

    problem_id: str
    # [{"role": "system" | "user", "content": ...}, ...]; an "assistant" at the end has begun the answer: the
    # engine goes on with it and gives it back whole
    messages: list[dict[str, str]]
    temperature: float
    index: int  # which of the samples at this temperature, from 0
    seed: int
    max_tokens: int  # most tokens that the engine may generate
    stop_loops: bool = False  # whether a text that repeats itself is ended

    @property
    def key(self) -> Key:
        return (self.problem_id, self.temperature, self.index)

    @property
    def begun(self) -> str:
        """What the answer begins with."""
        last = self.messages[-1]
        return last["content"] if last["role"] == "assistant" else ""

    def __reduce__(self) -> tuple:
        """To another process it travels without what those who ask know besides, such as open files: engines
        give back the object that they were given."""
        return Request, tuple(getattr(self, name) for name in Request.__dataclass_fields__)


@dataclass(frozen=True)
class Completion:
    """What an engine answers to one request."""

    text: str
    finish_reason: str  # "stop", one of ENDINGS, or what the endpoint calls it
    prompt_tokens: int
    completion_tokens: int
    reasoning: str | None = None  # thought that the endpoint returned apart from the answer


@dataclass(frozen=True)
class Failure:
    """A request that an engine could not get answered; never becomes a sample."""

    message: str


@dataclass(frozen=True)
class Sample:
    """One completion, named by (problem_id, temperature, index)."""

    problem_id: str
    temperature: float
    index: int
    text: str
    reasoning: str | None
    finish_reason: str
    prompt_tokens: int
    completion_tokens: int

    @property
    def key(self) -> Key:
        return (self.problem_id, self.temperature, self.index)


@dataclass(frozen=True)
class Verdict:
    """What a grader says of a text."""

    correct: bool
    reason: str = ""  # one of REASONS
    extracted: str | None = None  # the answer that was found in the text
    detail: str = ""  # how it was decided, for people
    grader: str = ""  # name and version, such as "maths-12"
    how: str = ""  # by which sign the answer was found: "box", "answer tag", "declared", ...
    trust: str = ""  # one of TRUSTS: how far that sign can be trusted
    cause: str = ""  # why an undecided verdict is undecided, or what failed
    rules: str = ""  # where several rules are to be followed: a mark out of FOLLOWED for each

    @property
    def by_the_clock(self) -> bool:
        """Whether the clock ended a program that had CPU time to spare."""
        return self.reason == "timeout" and self.cause == BY_THE_CLOCK


def as_finished(verdict: Verdict, finish_reason: str) -> Verdict:
    """A verdict with the finish reason in mind: of a text that was cut off only a sure sign counts, and a
    refusal is no answer."""
    if verdict.reason in NOT_JUDGED - {NOT_ASKED}:
        return verdict
    if finish_reason == "refusal":
        return replace(
            verdict, correct=False, reason="no_answer", extracted=None, detail="refused", cause="", rules=""
        )
    why = ending(finish_reason).cut_off
    if not why or verdict.trust == "high":
        return verdict
    if verdict.trust or verdict.reason in ("no_answer", "no_code"):
        detail = f"{verdict.detail}; {why}"
        return replace(
            verdict, correct=False, reason="truncated", extracted=None, detail=detail, cause="", rules=""
        )
    return verdict


def is_waiting(verdict: Verdict | None) -> bool:
    """Whether a text is still to be judged: nobody has graded it, or a judge was not asked yet."""
    return verdict is None or verdict.reason == NOT_ASKED


def worth_another_try(verdict: Verdict) -> bool:
    """Whether the same grader may say more about the same text when it is asked once more."""
    if verdict.reason == "undecided":
        return verdict.cause.startswith(NO_TIME)
    return verdict.reason in ("grader_error", "sandbox_error")


@dataclass(frozen=True)
class Record:
    """A sample with all that was later said of it; joined on reading, never stored."""

    question: str
    prompt: str
    answer: str | None
    sample: Sample
    formatted: str | None
    verdict: Verdict | None
    about: dict = field(default_factory=dict)
    choices: tuple[str, ...] = ()

    def text(self) -> str:
        """The text of the record: the formatted one, else the sample's with the thought that came apart."""
        thought = (self.sample.reasoning or "").strip()
        if self.formatted is not None or not thought:
            return self.graded_text
        return f"<think>\n{thought}\n</think>\n\n{self.sample.text}"

    @property
    def graded_text(self) -> str:
        """The text that a verdict is about and is found by: graders never see a thought that came apart."""
        return graded_text(self.sample, self.formatted)


def graded_text(sample: Sample, formatted: str | None) -> str:
    return sample.text if formatted is None else formatted
