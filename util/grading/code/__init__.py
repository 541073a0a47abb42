"""Does a program do what the tests of its problem ask?"""

from __future__ import annotations

import base64
import binascii
import functools
import io
import json
import math
import pickle
import re
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from decimal import Decimal

from util.errors import UserError
from util.grading.code.places import BadRow, Place, checksum, read_row
from util.grading.maths.answers import solution_part
from util.grading.sandbox import (
    Limits,
    Outcome,
    Program,
    SandboxError,
    discard_sandbox,
    warm_sandbox,
    wire,
)
from util.records import Problem, Verdict

GRADER = "code-1"
COMPARISONS = ("ordered", "legacy")
DEFAULT_LIMITS = Limits()
GRADE_TIMEOUT_S = 300.0  # above everything that the limits of one problem and one retry can add up to
BATCH_BYTES = 64 << 20  # inputs that are sent to the sandbox at a time
DECODED_BYTES = 1 << 30  # most that the compressed tests of one row may hold
ROOM = 1 << 20  # outputs may be this much longer than 16 times the expected one before they are wrong unread
TOLERANCE = 1e-6

# --- the tests of a problem ---


@dataclass(frozen=True)
class TestSuite:
    """The tests of one row, not yet read: where they lie and how they are written."""

    __test__ = False  # not a test class of pytest's

    layout: str  # one of LAYOUTS
    function: str | None = None  # the function to call; None: a program with standard input and output
    starter_code: str = ""
    place: Place | None = None
    texts: tuple[str, ...] = field(default=(), repr=False)  # the columns themselves, when not on disk
    checksum: int = 0
    note: str = ""  # what a reader of the verdict should know, such as "several answers are right"

    def tests(self) -> Tests:
        """Read the tests; raises BadRow with the reason when there are none that can be used."""
        return _tests(self)


@dataclass(frozen=True)
class Tests:
    """Inputs as the program gets them and what it should put out."""

    inputs: tuple[bytes, ...]
    expected: tuple[object, ...]  # texts, or values that are returned
    wrapped: bool = False  # each expected value stands in a list of its own (Codewars rows)


@dataclass(frozen=True)
class Layout:
    """How a data set writes its tests."""

    columns: tuple[str, ...]
    known: int  # the first so many columns are looked at when a problem is made
    read: Callable[[tuple[str, ...]], tuple[str | None, Tests]]  # the columns -> function name, tests


def suite_of(row: dict, layout: str, *, starter_code: str = "", note: str = "") -> TestSuite:
    """The handle of a row's tests; raises BadRow when the row has none that can be used.

    A row that was read from disk carries `tests_at`, and the tests stay there.
    """
    texts = _columns(row, layout)
    if layout == "livecodebench":  # its tests are compressed: they are not unpacked for looking at them
        function = _function_of(texts[1])
    else:
        function, _ = LAYOUTS[layout].read(texts)
    at = row.get("tests_at")
    return TestSuite(
        layout,
        function,
        starter_code,
        None if at is None else Place.of(at),
        texts if at is None else (),
        checksum(texts[: LAYOUTS[layout].known]),
        note,
    )


def _columns(row: dict, layout: str) -> tuple[str, ...]:
    texts = tuple(row[column] or "" for column in LAYOUTS[layout].columns)
    if not all(isinstance(text, str) for text in texts):
        raise BadRow("the tests are not text")
    return texts


def carry_tests(suite: TestSuite) -> TestSuite:
    """The same tests, taken from this machine's disk so that they can be read on another one."""
    if suite.place is None:
        return suite
    columns = LAYOUTS[suite.layout].columns
    try:
        texts = _columns(read_row(suite.place, columns), suite.layout)
    except BadRow:  # whoever grades meets the same and says so
        return suite
    return replace(suite, place=None, texts=texts)


@functools.lru_cache(maxsize=2)  # the samples of one problem come one after the other
def _tests(suite: TestSuite) -> Tests:
    layout = LAYOUTS[suite.layout]
    texts = suite.texts
    if suite.place is not None:
        texts = _columns(read_row(suite.place, layout.columns), suite.layout)
    if checksum(texts[: layout.known]) != suite.checksum:
        raise BadRow("the tests have changed since the problem was loaded")
    function, tests = layout.read(texts)
    if function != suite.function:
        raise BadRow(f"the tests call {function}, the problem {suite.function}")
    return tests


def _apps(texts: tuple[str, ...]) -> tuple[str | None, Tests]:
    """APPS and TACO: one JSON object {"inputs": [...], "outputs": [...], "fn_name"?}."""
    found = _json(texts[0]) if texts[0].strip() else None
    if not isinstance(found, dict):
        raise BadRow("no tests")
    inputs, outputs = found.get("inputs"), found.get("outputs")
    if not inputs or not outputs:
        raise BadRow("no tests")
    if not isinstance(inputs, list) or not isinstance(outputs, list):
        raise BadRow("the tests are no lists")
    if len(inputs) != len(outputs):
        raise BadRow(f"{len(inputs)} inputs and {len(outputs)} outputs")
    name = found.get("fn_name")
    if not name:
        return None, Tests(
            tuple(_text(i).encode("utf-8", "surrogatepass") for i in inputs), tuple(map(_text, outputs))
        )
    if not isinstance(name, str):
        raise BadRow(f"a function called {name!r}")
    if not all(isinstance(arguments, list) for arguments in inputs):
        # GeeksforGeeks rows of TACO hold texts such as "n = 5"
        raise BadRow("the inputs are no lists of arguments")
    wrapped = all(isinstance(value, list) and len(value) == 1 for value in outputs)
    packed = tuple(wire.encode(_integer_keys(arguments)) for arguments in inputs)
    return name, Tests(packed, tuple(outputs), wrapped)


def _text(value: object) -> str:
    """A test's text; some rows hold a list of lines, or a number."""
    if isinstance(value, list):
        return "\n".join(map(_text, value))
    return value if isinstance(value, str) else json.dumps(value)


def _integer_keys(arguments: list) -> list:
    """A mapping as the only argument has integers for keys, which JSON cannot write."""
    if len(arguments) == 1 and isinstance(arguments[0], dict) and arguments[0]:
        try:
            return [{int(key): value for key, value in arguments[0].items()}]
        except ValueError:
            pass
    return arguments


def _livecodebench(texts: tuple[str, ...]) -> tuple[str | None, Tests]:
    public, metadata, private = texts
    function = _function_of(metadata)
    tests = _test_list(public) + _test_list(private)
    if not tests:
        raise BadRow("no tests")
    inputs, expected = [], []
    for test in tests:
        try:
            given, wanted, kind = test["input"], test["output"], test.get("testtype", "stdin")
        except (TypeError, KeyError, AttributeError) as error:
            raise BadRow(f"a test without {error}") from error
        if not isinstance(given, str) or not isinstance(wanted, str):
            raise BadRow("a test that is not text")
        if (kind == "functional") != (function is not None):
            raise BadRow(f"a test of the kind {kind!r} for the function {function}")
        if function is None:
            inputs.append(given.encode("utf-8", "surrogatepass"))
            expected.append(wanted)
        else:
            inputs.append(_packed_lines(given))
            expected.append(_json(wanted))
    return function, Tests(tuple(inputs), tuple(expected))


def _packed_lines(given: str) -> bytes:
    """The arguments of a call, which stand one a line, as `wire.encode` would write the list of them."""
    lines = [line for line in given.split("\n") if line.strip()]
    together = f"[{','.join(lines)}]"
    if "{" in together or not together.isascii() or len(_json(together)) != len(lines):
        return wire.encode([_json(line) for line in lines])
    return together.encode()  # the same values, and not to be written again


def _function_of(metadata: str) -> str | None:
    found = _json(metadata) if metadata.strip() else {}
    name = found.get("func_name") if isinstance(found, dict) else None
    return name if isinstance(name, str) and name else None


def _test_list(text: str) -> list:
    """A list of tests: JSON, or JSON pickled, compressed and written in base 64."""
    text = text.strip()
    if not text:
        return []
    found = _json(text if text.startswith("[") else _unpacked(text))
    if not isinstance(found, list):
        raise BadRow("the tests are no list")
    return found


class _TextOnly(pickle.Unpickler):
    """Unpickling runs whatever it names; a text names nothing."""

    def find_class(self, module: str, name: str) -> object:
        raise pickle.UnpicklingError(f"the tests ask for {module}.{name}")


# What reading a damaged pickle raises, besides its own error.
_DAMAGED = (binascii.Error, zlib.error, pickle.UnpicklingError, EOFError, LookupError, TypeError, ValueError)


def _unpacked(text: str) -> str:
    try:
        unpacker = zlib.decompressobj()
        data = unpacker.decompress(base64.b64decode(text), DECODED_BYTES)
        found = _TextOnly(io.BytesIO(data)).load()
    except (*_DAMAGED, AttributeError, OverflowError, MemoryError) as error:
        raise BadRow(f"the private tests do not unpack: {error}") from error
    if not isinstance(found, str):
        raise BadRow("the private tests are no text")
    return found


def _json(text: str) -> object:
    try:
        try:
            return json.loads(text)
        except ValueError:  # no JSON, or integers of more digits than Python reads at a time
            return json.loads(text, parse_int=_integer)
    except (ValueError, RecursionError) as error:
        raise BadRow(f"the tests are no JSON: {error}") from error


def _integer(digits: str) -> int:
    """An integer of any length: Python refuses to read more than 4300 digits at a time."""
    if len(digits) <= 4000:
        return int(digits)
    if digits.startswith("-"):
        return -_integer(digits[1:])
    half = len(digits) // 2
    return _integer(digits[:-half]) * 10**half + _integer(digits[-half:].lstrip("0") or "0")


LAYOUTS = {
    "apps": Layout(("input_output",), 1, _apps),
    "livecodebench": Layout(("public_test_cases", "metadata", "private_test_cases"), 2, _livecodebench),
}

# --- the code in a response ---

_OPENING = re.compile(r"^([ \t]*(?:>[ \t]?)*)(`{3,}|~{3,})[ \t]*([^`\n]*)$")
_PYTHON = re.compile(r"^\W*(?:python|py|pypy)[\d.]*\b", re.IGNORECASE)


@dataclass(frozen=True)
class _Block:
    tag: str
    code: str


def code_candidates(text: str) -> tuple[str, ...]:
    """The code that a text offers: the last Python block, else others: the first that compiles counts."""
    blocks = [block for block in _blocks(text) if block.code.strip()]
    python = [block for block in blocks if _PYTHON.match(block.tag)]
    if python:
        return (python[-1].code,)
    untagged = [block.code for block in reversed(blocks) if not block.tag]
    return tuple(untagged) or tuple(block.code for block in blocks[-1:])


def _blocks(text: str) -> Iterator[_Block]:
    """The fenced blocks of a text; one that is never closed goes to the end."""
    opening, lines = None, []
    for line in text.replace("\r\n", "\n").replace("\r", "\n").split("\n"):
        if opening is None:
            if "```" in line or "~~~" in line:
                opening = _OPENING.match(line)
                lines = []
        elif _closes(line, opening):
            yield _block(opening, lines)
            opening = None
        else:
            lines.append(line)
    if opening is not None:
        yield _block(opening, lines)


def _closes(line: str, opening: re.Match) -> bool:
    fence = opening[2]
    if fence not in line:
        return False
    bare = line.strip(" \t>")
    return len(bare) >= len(fence) and bare == fence[0] * len(bare)


def _block(opening: re.Match, lines: list[str]) -> _Block:
    """The block without the indentation of its fence."""
    indent = opening[1]
    if indent:
        lines = [line.removeprefix(indent) if line.strip() else "" for line in lines]
    return _Block(opening[3].strip(), "\n".join(lines) + "\n")


# --- judging ---


def grader(
    *, compare: str = "ordered", all_tests: bool = False, limits: Limits = DEFAULT_LIMITS
) -> Callable[[Problem, str], Verdict]:
    """`grade_code` with these options, fit to travel to worker processes."""
    if compare not in COMPARISONS:
        raise UserError(f"--compare {compare}: choose from {', '.join(COMPARISONS)}")
    return functools.partial(grade_code, compare=compare, all_tests=all_tests, limits=limits)


def grade_code(
    problem: Problem,
    text: str,
    *,
    compare: str = "ordered",
    all_tests: bool = False,
    limits: Limits = DEFAULT_LIMITS,
) -> Verdict:
    """Run the code of a response on the tests of its problem: right when all of them pass."""
    name = GRADER if compare == "ordered" else f"{GRADER} {compare}"
    solution = solution_part(text)
    if solution is None:
        return Verdict(False, "truncated", detail="the response ends within its thought", grader=name)
    sources = code_candidates(solution)
    if not sources:
        return Verdict(False, "no_code", detail="no block of code after the thought", grader=name)
    suite = problem.reference
    try:
        if not isinstance(suite, TestSuite):
            raise BadRow(problem.unusable or "no tests")
        tests = suite.tests()
    except BadRow as error:
        return Verdict(False, "no_tests", sources[0], f"problem {problem.id}: {error}", name)
    judge = _Judge(Program(sources, suite.function), tests, compare, limits)
    for attempt in (1, 2):
        try:
            judge.run(all_tests)
            break
        except SandboxError as error:
            discard_sandbox(judge.kind)
            if attempt == 2:
                return Verdict(False, "sandbox_error", sources[0], str(error), name)
    return judge.verdict(name, suite.note)


# Programs with these words are run where what they need is loaded already. Answers that are functions may use
# names of `statistics` and `datetime` without importing them. Hints are looked for first, as that is faster.
_KINDS = (
    (
        "numpy",
        "np. numpy scipy pandas networkx numba sklearn".split(),
        re.compile(r"\b(?:numpy|np|scipy|pandas|networkx|numba|sklearn)\b"),
    ),
    (
        "more",
        "sortedcontainers dataclass decimal fractions cmath queue array date time tzinfo YEAR UTC tatistics "
        "mean mode median quantiles stdev variance correlation linear_regression NormalDist".split(),
        re.compile(
            r"\b(?:import|from)\b[^\n]*\b(?:array|queue)\b|\barray\.array\b"
            r"|\b(?:sortedcontainers|dataclass(?:es)?|decimal|fractions|cmath|date|datetime|timedelta|timezone"
            r"|tzinfo|M(?:AX|IN)YEAR|UTC|statistics|StatisticsError|(?:f|geometric_|harmonic_)?mean|(?:multi)?mode"
            r"|median(?:_\w+)?|quantiles|p?stdev|p?variance|covariance|correlation|linear_regression|NormalDist)\b"
        ),
    ),
)


def sandbox_kind(sources: tuple[str, ...]) -> str:
    """In which kind of sandbox a program is best run."""
    for kind, hints, words in _KINDS:
        for source in sources:
            if any(map(source.__contains__, hints)) and words.search(source):
                return kind
    return "plain"


class _Judge:
    """One program, test by test."""

    def __init__(self, program: Program, tests: Tests, compare: str, limits: Limits) -> None:
        self._program, self._tests, self._compare, self._limits = program, tests, compare, limits
        self.kind = sandbox_kind(program.sources)

    def run(self, all_tests: bool) -> None:
        """Run tests until one fails, or all of them.

        One process runs many tests. What it did in one test may disturb the next, so a test counts as failed
        only when it fails as the first test of a process.
        """
        self.passed, self._source, self._failure = 0, 0, None
        sandbox = warm_sandbox(self.kind)
        count = len(self._tests.inputs)
        next_test, one_by_one = 0, False
        while next_test < count:
            last = next_test + 1 if one_by_one else self._batch_end(next_test)
            begin = next_test
            outcomes = sandbox.run(self._program, self._tests.inputs[begin:last], self._limits)
            for outcome in outcomes:
                self._source = outcome.source
                reason, detail = self._judged(begin + outcome.test, outcome)
                if reason and not outcome.is_first:
                    one_by_one = True
                    break
                next_test += 1
                if not reason:
                    self.passed += 1
                    continue
                if self._failure is None:
                    self._failure = (reason, begin + outcome.test, detail)
                break
            outcomes.close()
            if self._failure is not None and (not all_tests or self._failure[0] == "compile_error"):
                return

    def _batch_end(self, begin: int) -> int:
        size = 0
        for test in range(begin, len(self._tests.inputs)):
            size += len(self._tests.inputs[test])
            if size > BATCH_BYTES and test > begin:
                return test
        return len(self._tests.inputs)

    def _judged(self, test: int, outcome: Outcome) -> tuple[str, str]:
        """("", "") when the test passed, else the reason and a short word about it."""
        reason, detail = _REASONS.get(outcome.status, ("", outcome.note))
        if outcome.status == "exit" and (outcome.code or self._program.function):
            reason, detail = _exit_reason(outcome.code)
        if reason:
            return reason, outcome.note or detail
        expected = self._tests.expected[test]
        if self._program.function is None:
            return _judge_text(outcome.output, expected, self._compare)
        return _judge_value(outcome.output, expected, self._tests.wrapped, self._compare)

    def verdict(self, grader: str, note: str) -> Verdict:
        count = len(self._tests.inputs)
        code = self._program.sources[self._source]
        note = f" ({note})" if note else ""
        if self._failure is None:
            assert self.passed == count > 0
            return Verdict(True, "", code, f"passed {count} of {count} tests{note}", grader)
        reason, test, detail = self._failure
        text = f"test {test + 1} of {count}: {detail}; {self.passed} passed{note}"
        return Verdict(False, reason, code, text, grader)


_REASONS = {
    "raised": ("runtime_error", "an exception"),
    "memory": ("memory", "out of memory"),
    "not compiled": ("compile_error", "not Python"),
    "timeout": ("timeout", "the time limit"),
    "too large": ("output_limit", "the output limit"),
    "meddled": ("runtime_error", "the program meddled with its own supervision"),
    "lost": ("runtime_error", "it ended by itself"),
    "cancelled": ("runtime_error", "cancelled"),
}


def _exit_reason(code: int) -> tuple[str, str]:
    if code == -9:  # not by us: the kernel was out of memory
        return "memory", "killed by the kernel"
    if code == -24:
        return "timeout", "the limit of processor time"
    if code < 0:
        return "runtime_error", f"ended by signal {-code}"
    return "runtime_error", f"exit status {code}" if code else "the program ended without a result"


# --- comparing printed text ---


def _judge_text(output: bytes, expected: str, compare: str) -> tuple[str, str]:
    if len(output) > 16 * len(expected) + ROOM:
        return "wrong_output", f"{len(output)} bytes where {len(expected)} are expected"
    text = output.decode("utf-8", "surrogateescape")
    same = same_text if compare == "ordered" else same_text_legacy
    return ("", "") if same(text, expected) else ("wrong_output", _difference(text, expected))


def same_text(output: str, expected: str) -> bool:
    """Line by line, token by token, in order; blank lines count only when the number of lines is equal."""
    ours, theirs = output.strip().split("\n"), expected.strip().split("\n")
    if len(ours) != len(theirs):
        ours, theirs = [x for x in ours if x.strip()], [x for x in theirs if x.strip()]
    return len(ours) == len(theirs) and all(map(_same_line, ours, theirs))


def _same_line(output: str, expected: str) -> bool:
    if output.strip() == expected.strip():
        return True
    ours, theirs = output.split(), expected.split()
    return len(ours) == len(theirs) and all(map(_same_token, ours, theirs))


_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,4})?", re.ASCII)


def _same_token(output: str, expected: str) -> bool:
    if output == expected:
        return True
    if not _NUMBER.fullmatch(output) or not _NUMBER.fullmatch(expected):
        return False
    if Decimal(output) == Decimal(expected):
        return True
    return not expected.lstrip("+-").isdigit() and _close(float(output), float(expected))


def _close(output: float, expected: float) -> bool:
    return output == expected or abs(output - expected) <= TOLERANCE * max(1.0, abs(expected))


def same_text_legacy(output: str, expected: str) -> bool:
    """The lenient comparison of older published numbers: the order of lines and of tokens is ignored."""
    ours = [line.split() for line in output.strip().split("\n") if line.strip()]
    theirs = [line.split() for line in expected.strip().split("\n") if line.strip()]
    if ours == theirs:
        return True
    if len(ours) == len(theirs) and all(len(a) == len(b) == 1 for a, b in zip(ours, theirs, strict=True)):
        if all(_legacy_close(a[0], b[0]) for a, b in zip(ours, theirs, strict=True)):
            return True
    return _rounded_sets(ours) == _rounded_sets(theirs)


def _legacy_close(output: str, expected: str) -> bool:
    if not _NUMBER.fullmatch(output) or not _NUMBER.fullmatch(expected):
        return False
    a, b = float(output), float(expected)
    return a == b or abs(a - b) <= 1e-8 + 1e-5 * abs(b)


def _rounded_sets(lines: list[list[str]]) -> set[frozenset]:
    return {
        frozenset(round(float(token), 3) if _NUMBER.fullmatch(token) else token for token in line)
        for line in lines
    }


# --- comparing returned values ---


def _judge_value(output: bytes, expected: object, wrapped: bool, compare: str) -> tuple[str, str]:
    if len(output) > ROOM and len(output) > 16 * len(_shown(expected)) + ROOM:
        return "wrong_output", f"a result of {len(output)} bytes is far longer than the expected one"
    try:
        value = wire.decode(output)
        same = same_value(value, expected)
        if not same and (wrapped or (compare == "legacy" and isinstance(expected, list) and expected)):
            same = same_value(value, expected[0])
        return ("", "") if same else ("wrong_output", _difference(_shown(value), _shown(expected)))
    except (wire.BadMessage, RecursionError) as error:
        return "wrong_output", f"the result cannot be read: {error}"


def _shown(value: object) -> str:
    return wire.encode(value).decode()


def same_value(output: object, expected: object) -> bool:
    """Equal as JSON values; tolerance only where a float is expected; keys as JSON writes them."""
    if output == expected:
        return True
    if isinstance(expected, list):
        return (
            isinstance(output, list)
            and len(output) == len(expected)
            and all(map(same_value, output, expected))
        )
    if isinstance(expected, dict):
        if not isinstance(output, dict) or len(output) != len(expected):
            return False
        ours = {_key(key): value for key, value in output.items()}
        theirs = {_key(key): value for key, value in expected.items()}
        return ours.keys() == theirs.keys() and all(same_value(ours[key], theirs[key]) for key in theirs)
    if isinstance(expected, float) and isinstance(output, int | float):
        if isinstance(output, int) and abs(output) > 10**300:
            return False
        return _close(float(output), expected) or (math.isnan(output) and math.isnan(expected))
    return False


def _key(key: object) -> str:
    return key if isinstance(key, str) else json.dumps(key) if not isinstance(key, int) else str(int(key))


def _difference(output: str, expected: str) -> str:
    """The first place where two texts differ, shortened."""
    at = next((i for i, (a, b) in enumerate(zip(output, expected, strict=False)) if a != b), None)
    at = min(len(output), len(expected)) if at is None else at
    begin = max(0, at - 20)
    return f"expected {_excerpt(expected, begin)}, got {_excerpt(output, begin)}"


def _excerpt(text: str, begin: int) -> str:
    cut = text[begin : begin + 60].encode("utf-8", "backslashreplace").decode()
    return ("..." if begin else "") + repr(cut) + ("..." if begin + 60 < len(text) else "")
