"""Does a test program find what it asserts, where the functions that it calls are in another process?

`check` is run in a process of the sandbox that the program under test never enters: all that comes from there
are results, as data. Standard library only.
"""

from __future__ import annotations

import ast
import builtins
import random
import re
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if not TYPE_CHECKING and __name__ == "answer":  # the process of programs has no suite on its path
    import wire
else:
    from util.grading.sandbox import wire

MOST_CALLS = 10_000  # asked for at a time
FOREIGN = f'{{"{wire.FOREIGN}": "'  # in text that `wire` wrote: quotes within a string are escaped
SEED = 0  # of tests that draw their inputs: they draw the same ones whenever they are run
SKIP = "__skip__"  # a name that means the same within classes
SHOWN = 200  # characters of what a person reads
PLACES = {"setup.py": "the code before the tests", "tests.py": "the tests"}  # file of a frame -> what it is
# What has an effect in the process of the tests alone: they would not see what a program prints.
_ELSEWHERE = re.compile(
    r"\bredirect_std(?:out|err)\b|\bunittest\.mock\b|\bunittest[ \t]+import[ \t]+mock\b"
    r"|\b(?:sys\.std(?:in|out|err)|builtins\.(?:input|print))(?=[ \t]*=[^=])"
)
# A call that is known: its result, or else what it raised, or "" where its process has ended.
Known = dict[str, tuple[str | None, str]]


class NotKnown(BaseException):
    """A call whose result nobody has said yet."""


class Stop(BaseException):
    """No more can be found out in this run."""


def check(setup: str, tests: str, function: str, known: dict[str, list]) -> dict[str, Any]:
    """Run a test program as far as the `known` results take it.

    What comes back has the "calls" that it needs besides, if any; or "failed", the call that did or "", and
    "why"; or "unfit", why nothing can be tested so.
    """
    sys.set_int_max_str_digits(0)
    random.seed(SEED)
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed(SEED)
    run = _Run({call: tuple(said) for call, said in known.items()})
    try:
        run.go(setup, tests, function)
    except wire.Unfit as error:
        return {"unfit": str(error)}
    except (NotKnown, Stop):
        pass
    except BaseException as error:
        if not run.calls and not run.ended:
            return run.failure(error)
    if run.ended:
        return {"failed": run.ended, "why": shown(run.ended)}
    return {"calls": list(run.calls)}


class _Run:
    def __init__(self, known: Known) -> None:
        self._known = known
        self._names: dict[str, Any] = {"__name__": "tests", SKIP: self.skip}
        self.calls: dict[str, None] = {}  # that are not known, in order
        self.ended = ""  # the call that ended its process
        self._last = ""  # the last call that was answered
        self._raised: BaseException | None = None  # by that call

    def go(self, setup: str, tests: str, function: str) -> None:
        if found := _ELSEWHERE.search(f"{setup}\n{tests}"):
            raise wire.Unfit(f"they use {found[0]}, and the program runs in another process")
        names = self._names
        exec(compile(setup, "setup.py", "exec", dont_inherit=True), names)
        tree = ast.parse(tests)
        for name in {function, *called_names(tree)} - (names.keys() - {function}):
            names[name] = self.function(name)
        tree.body += ast.parse(calls_left_out(tree, function)).body
        ask = _Skips().visit(tree)
        exec(compile(ast.fix_missing_locations(ask), "tests.py", "exec", dont_inherit=True), names)

    def function(self, name: str) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            key = wire.encode_exactly([name, list(arguments), named]).decode()
            if FOREIGN in key:
                kind = key[key.index(FOREIGN) + len(FOREIGN) :].partition('"')[0]
                whose = "of the answer" if kind == wire.Foreign.__name__ else f"({kind})"
                raise wire.Unfit(f"they hand over an object {whose}, which cannot leave its process")
            if key not in self._known:
                if key in self.calls or len(self.calls) >= MOST_CALLS:
                    raise Stop
                self.calls[key] = None
                raise NotKnown
            self._last = key
            return self.result(key, arguments)

        return call

    def result(self, key: str, arguments: tuple) -> Any:
        result, raised = self._known[key]
        if result is not None:
            data = result.encode("utf-8", "surrogatepass")
            try:
                if not data.startswith(wire.CHANGED):
                    return wire.decode_exactly(data)
                for mine, changed in zip(
                    arguments, wire.decode_exactly(data[len(wire.CHANGED) : -1]), strict=False
                ):
                    refill(mine, changed)
                return None
            except (wire.BadMessage, RecursionError) as error:
                raise ValueError(f"the result cannot be read: {error}") from None
        if not raised:
            if not self.calls:  # else the tests have not come here by themselves
                self.ended = key
            raise Stop
        kind, _, message = raised.partition(": ")
        name, _, known = kind.removesuffix(")").partition(" (")
        try:
            self._raised = (self._error(name) or type(name, (self._error(known) or Exception,), {}))(message)
        except TypeError:  # UnicodeDecodeError and the like want more
            self._raised = Exception(raised)
        raise self._raised

    def _error(self, name: str) -> type[Exception] | None:
        """The exception of that name which the code before the tests, or else Python, has."""
        kind = self._names.get(name) or getattr(builtins, name, None)
        return kind if isinstance(kind, type) and issubclass(kind, Exception) else None

    def skip(self) -> None:
        """After a statement has failed: go on behind it where it had to."""
        error = sys.exc_info()[1]
        assert error is not None
        if not isinstance(error, NotKnown) and not (self.calls and isinstance(error, Exception)):
            raise error

    def failure(self, error: BaseException) -> dict[str, Any]:
        if error is self._raised:
            return {"failed": self._last, "why": shown(self._last)}
        said = " ".join(f"{type(error).__name__}: {error}".split())[:SHOWN].removesuffix(":")
        after = f", after {shown(self._last)}" if self._last else ""
        return {"failed": "", "why": f"{said}, in {_place(error)}{after}"}


def refill(mine: Any, changed: Any) -> None:
    """What a call has done to a list, a dict or a set that it was given."""
    if type(mine) is not type(changed):
        return
    if isinstance(mine, list):
        mine[:] = changed
    elif isinstance(mine, dict | set):
        mine.clear()
        mine.update(changed)
    elif hasattr(mine, "ndim"):
        mine[...] = changed


def shown(call: str) -> str:
    """A call, for people."""
    name, arguments, named = wire.decode_exactly(call.encode())
    parts = [*map(repr, arguments), *(f"{key}={value!r}" for key, value in named.items())]
    return f"{name}({', '.join(parts)})"[:SHOWN]


def _place(error: BaseException) -> str:
    """Where in the tests an error comes from."""
    trace, place = error.__traceback__, "the tests"
    while trace is not None:
        if trace.tb_frame.f_code.co_filename in PLACES:
            place = f"line {trace.tb_lineno} of {PLACES[trace.tb_frame.f_code.co_filename]}"
        trace = trace.tb_next
    return place


class _Skips(ast.NodeTransformer):
    """Puts each simple statement into a `try`, so that a run goes on behind one whose call is not known."""

    def visit(self, node: ast.AST) -> Any:
        node = self.generic_visit(node)
        if not isinstance(node, ast.Assert | ast.Expr | ast.Assign | ast.AugAssign | ast.AnnAssign):
            return node
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            return node  # a docstring
        (guard,) = ast.parse(f"try: pass\nexcept BaseException: {SKIP}()").body
        assert isinstance(guard, ast.Try)
        guard.body = [node]
        return guard


def called_names(tree: ast.AST) -> set[str]:
    """Names that are called as functions and come from nowhere in the text itself."""
    nodes = list(ast.walk(tree))
    called = {
        node.func.id for node in nodes if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    bound = {node.id for node in nodes if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load)}
    bound |= {node.arg for node in nodes if isinstance(node, ast.arg)}
    for node in nodes:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            bound.add(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            bound |= {(alias.asname or alias.name).partition(".")[0] for alias in node.names}
    return called - bound - set(dir(builtins))


def calls_left_out(tree: ast.Module, function: str) -> str:
    """What runs tests that are functions which nobody calls: `check` of HumanEval, `test_...` of pytest."""
    lines = [node.value for node in tree.body if isinstance(node, ast.Expr)]
    called = {one.func.id for one in lines if isinstance(one, ast.Call) and isinstance(one.func, ast.Name)}
    names = [node.name for node in tree.body if isinstance(node, ast.FunctionDef) and not node.args.defaults]
    left_out = [f"check({function})" for name in names if name == "check"]
    left_out += [f"{name}()" for name in names if name.startswith("test_")]
    return "\n".join(call for call in left_out if call.partition("(")[0] not in called)
