"""What are the tests of a code problem, as each data set writes them?

Call `suite_of` on a row when its problem is made, and `read_tests` on the suite when an answer is graded.
"""

from __future__ import annotations

import ast
import base64
import binascii
import functools
import io
import json
import pickle
import re
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from util.grading.code.places import BadRow, place_of, read_row
from util.grading.sandbox import wire
from util.grading.sandbox.checker import called_names
from util.records import TestSuite

NO_NAME = "the tests call a function, and the row does not name it"
DECODED_BYTES = 1 << 30  # most that the compressed tests of one row may hold


@dataclass(frozen=True)
class Tests:
    """Inputs as the program gets them and what it should put out."""

    inputs: tuple[bytes, ...]
    expected: tuple[Any, ...]  # texts, or values that are returned
    wrapped: bool = False  # each expected value stands in a list of its own (Codewars rows)
    asserted: Asserted | None = None  # a test program instead of inputs and outputs


@dataclass(frozen=True)
class Asserted:
    """A test program that calls the function of the answer, and code that comes before both."""

    setup: str
    tests: str
    function: str


@dataclass(frozen=True)
class Layout:
    """How a data set writes its tests."""

    columns: tuple[str, ...]
    known: int  # the first so many columns are looked at when a problem is made
    read: Callable[[tuple[str, ...]], tuple[str | None, Tests]]  # the columns -> function name, tests


def suite_of(
    row: dict, layout: str, *, starter_code: str = "", note: str = "", time_s: float | None = None
) -> TestSuite:
    """The handle of a row's tests; raises BadRow when the row has none that can be used.

    A row that was read from disk carries `tests_at`, and the tests stay there.
    """
    texts, count = _columns(row, layout), None
    if layout == "livecodebench":  # its tests are compressed: they are not unpacked for looking at them
        function = _function_of(texts[1])
        if function is None and '"functional"' in texts[0]:
            raise BadRow(NO_NAME)
    else:
        function, tests = _read(LAYOUTS[layout], texts)
        count = None if tests.asserted else len(tests.inputs)
    if function is not None and starter_code.strip() and function not in starter_code:
        raise BadRow("the starter code does not name the function that the tests call")
    tests_at = row.get("tests_at")
    return TestSuite(
        layout,
        function,
        starter_code,
        None if tests_at is None else place_of(tests_at),
        texts if tests_at is None else (),
        _checksum(texts[: LAYOUTS[layout].known]),
        note,
        time_s,
        count,
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


def plain_tests(suite: TestSuite) -> str:
    """The tests as text for other programs: the columns as JSON, nothing packed; raises BadRow."""
    layout = LAYOUTS[suite.layout]
    read_tests(suite)  # raises BadRow where nothing can be graded with them
    texts = dict(zip(layout.columns, carry_tests(suite).texts, strict=True))
    if len(texts) == 1:
        return next(iter(texts.values()))
    if suite.layout == "asserts":
        return json.dumps(texts)
    private = texts["private_test_cases"].strip()
    if private and not private.startswith("["):
        texts["private_test_cases"] = _unpacked(private)
    return json.dumps(texts)


@functools.lru_cache(maxsize=2)  # the samples of one problem come one after the other
def read_tests(suite: TestSuite) -> Tests:
    """The tests themselves; raises BadRow with the reason when there are none that can be used."""
    layout = LAYOUTS[suite.layout]
    texts = suite.texts
    if suite.place is not None:
        texts = _columns(read_row(suite.place, layout.columns), suite.layout)
    if _checksum(texts[: layout.known]) != suite.checksum:
        raise BadRow("the tests have changed since the problem was loaded")
    function, tests = _read(layout, texts)
    if function != suite.function:
        raise BadRow(f"the tests call {function}, the problem {suite.function}")
    return tests


def _read(layout: Layout, texts: tuple[str, ...]) -> tuple[str | None, Tests]:
    try:
        return layout.read(texts)
    except RecursionError as error:
        raise BadRow("the tests are nested too deeply") from error


def _checksum(texts: tuple[str, ...]) -> int:
    """Tells whether the tests are still those that the problem was made from; not against forgery."""
    total = 0
    for text in texts:
        total = zlib.crc32(text.encode("utf-8", "surrogatepass"), total)
    return total


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
    name = _name(found.get("fn_name"))
    if name is None:
        return None, Tests(tuple(_bytes(_text(i)) for i in inputs), tuple(map(_text, outputs)))
    if not all(isinstance(arguments, list) for arguments in inputs):
        # GeeksforGeeks rows of TACO hold texts such as "n = 5"
        raise BadRow("the inputs are no lists of arguments")
    wrapped = all(isinstance(value, list) and len(value) == 1 for value in outputs)
    packed = tuple(wire.encode(_integer_keys(arguments)) for arguments in inputs)
    return name, Tests(packed, tuple(outputs), wrapped)


def _name(value: object) -> str | None:
    """The function that tests call; None where they are texts for a program."""
    if not value:
        return None
    if not isinstance(value, str) or not value.isidentifier():
        raise BadRow(f"a function called {value!r}")
    return value


def _bytes(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise BadRow(f"an input that is no text: {error}") from error


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
    tests = _test_list(public, "public") + _test_list(private, "private")
    if not tests:
        raise BadRow("no tests")
    inputs, expected = [], []
    for test in tests:
        if not isinstance(test, dict):
            raise BadRow(f"a test that is no object: {str(test)[:40]!r}")
        given, wanted, kind = test.get("input"), test.get("output"), test.get("testtype", "stdin")
        if not isinstance(given, str) or not isinstance(wanted, str):
            raise BadRow("a test without an input and an output that are text")
        if kind == "functional" and function is None:
            raise BadRow(NO_NAME)
        if kind != ("stdin" if function is None else "functional"):
            raise BadRow(f"a test of the kind {kind!r} where the row names {function or 'no function'}")
        if function is None:
            inputs.append(_bytes(given))
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
    return _name(found.get("func_name")) if isinstance(found, dict) else None


def _test_list(text: str, which: str) -> list:
    """A list of tests: JSON, or, if they are private, JSON pickled, compressed and written in base 64."""
    text = text.strip()
    if not text:
        return []
    packed = which == "private" and not text.startswith("[")
    found = _json(_unpacked(text) if packed else text)
    if not isinstance(found, list):
        raise BadRow(f"the {which} tests are no list")
    return found


_ASSERTS = re.compile(r"\bassert(?:\b|_|[A-Z])|\braises?\b")


def asserts(text: str) -> bool:
    """Whether a text may be a test program."""
    return _ASSERTS.search(text) is not None


def code_of(text: str) -> str:
    """A text that is Python code as it is, such as a question of HumanEval; "" for others."""
    try:
        return text if ast.parse(text).body else ""
    except (SyntaxError, ValueError, RecursionError):
        return ""


def function_of(tests: str) -> str:
    """The function that a short test program calls and does not have; raises BadRow where it is not one."""
    try:
        names = called_names(ast.parse(tests))
    except (SyntaxError, ValueError, RecursionError) as error:
        raise BadRow(f"the tests are no Python: {error}") from error
    if len(names) != 1:
        raise BadRow(
            f"the tests call {', '.join(sorted(names)) or 'no function'}, and no column names the one"
        )
    return names.pop()


def _asserted(texts: tuple[str, ...]) -> tuple[str | None, Tests]:
    """A test program such as those of HumanEval and MBPP. It is not parsed here: it may be megabytes long."""
    setup, tests, function = texts
    if not asserts(tests):
        raise BadRow("the tests assert nothing")
    name = _name(function)
    if name is None:
        raise BadRow(NO_NAME)
    return name, Tests((), (), asserted=Asserted(setup, tests, name))


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


def _json(text: str) -> Any:
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
    "asserts": Layout(("setup", "test", "entry_point"), 3, _asserted),
}
