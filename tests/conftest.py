"""What holds for all tests."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Generator

import pytest
from browser import NO_BROWSER
from helpers import PoolHere
from hypothesis import settings

# The same examples on every machine, so that a change fails for what it changed; with
# --hypothesis-profile search other ones. No time limits: the machine may be busy.
settings.register_profile("seeded", derandomize=True, deadline=None)
settings.register_profile("search", derandomize=False, deadline=None)
settings.load_profile("seeded")

# All tests of these files and with these fixtures need vLLM, torch or Ray, others say so themselves with
# `@pytest.mark.engine`. `-m "not engine"` leaves them out.
ENGINE_FILES = {"test_vllm.py", "test_ray.py"}
ENGINE_FIXTURES = {"tokenizer"}


@pytest.hookimpl(trylast=True)  # once pytest has its own terminal
def pytest_configure(config: pytest.Config) -> None:
    """Messages come in one line each, so that tests find in them what they look for."""
    writer = config.get_terminal_writer()
    writer.fullwidth = writer.fullwidth  # pytest's own lines stay as they are
    os.environ["COLUMNS"] = "10000"


@pytest.fixture(scope="session", autouse=True)
def no_sandbox_left() -> Generator[None]:
    """End the sandboxes that tests have warmed: what is open at the end of the process is warned about."""
    yield
    parent = sys.modules.get("util.grading.sandbox.parent")
    if parent is not None:
        for kind in [*parent._warm(os.getpid())]:
            parent.discard_sandbox(kind)


@pytest.fixture(scope="session", autouse=True)
def grading_here() -> Generator[None]:
    """Commands that tests run in this process grade in it, too."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("benchmark", "judging", "budget"):
            patch.setattr(f"util.generation.{name}.GradingPool", PoolHere)
        yield


@pytest.hookimpl(tryfirst=True)  # before `-m` chooses
def pytest_collection_modifyitems(items: list[pytest.Function]) -> None:
    lacking = [name for name in ("vllm", "torch") if importlib.util.find_spec(name) is None]
    for item in items:
        if item.path.name in ENGINE_FILES or ENGINE_FIXTURES & set(item.fixturenames):
            item.add_marker(pytest.mark.engine)
        if lacking and item.get_closest_marker("engine"):
            item.add_marker(pytest.mark.skip(reason=f"{' and '.join(lacking)} not installed: make setup"))


@pytest.hookimpl(wrapper=True, tryfirst=True)  # around all others: what it prints comes last
def pytest_sessionfinish(session: pytest.Session) -> Generator[None]:
    yield
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    skipped = reporter.stats.get("skipped", []) if reporter else []
    without_browser = sum(NO_BROWSER in str(report.longrepr) for report in skipped)
    if without_browser:
        reporter.ensure_newline()
        line = f"WARNING: {without_browser} BROWSER TESTS DID NOT RUN: {NO_BROWSER}"
        reporter.write_line(line, red=True, bold=True)
