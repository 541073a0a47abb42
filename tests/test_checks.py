"""Do the checks for every change, and the doctor, say what they could not run or find, and what failed?"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import versions
from helpers import ROOT

import doctor


@pytest.fixture
def check(monkeypatch, capsys):
    """Run the check where only the versions in `ends` are; returns status, versions tested, lines."""

    def environment(command):
        return Path(command[0]).parents[1].name

    def run(*flags, **ends):
        ends = {name.replace("_", "."): status for name, status in ends.items()}
        ran = []

        def answer(command, **_):
            if command[:3] == ["uv", "python", "find"]:
                here = command[-1] in ends
                return subprocess.CompletedProcess(command, 0 if here else 2, f"/python{command[-1]}\n")
            ran.append(command)
            status = ends[environment(command)] if "pytest" in command else 0
            return subprocess.CompletedProcess(command, status, "1 passed\n")

        monkeypatch.setattr(versions.subprocess, "run", answer)
        monkeypatch.setattr(versions, "OWN", "3.12")
        status = versions.main(["uv", *flags])
        tested = sorted(environment(command) for command in ran if "pytest" in command)
        return status, tested, capsys.readouterr().out.splitlines()

    return run


def test_a_version_that_is_not_here_is_a_warning_at_the_end(check):
    status, tested, lines = check(**{"3_11": 0, "3_12": 0})
    assert (status, tested) == (0, ["3.11"])
    assert lines[-1] == "WARNING: nothing was tested under Python 3.13, which is not installed here"


def test_the_warning_can_be_had_alone(check):
    status, tested, lines = check("--missing", **{"3_11": 0})
    assert (status, tested) == (0, [])
    assert lines == ["WARNING: nothing was tested under Python 3.13, which is not installed here"]


def test_the_version_under_which_make_test_runs_is_left_out_and_named(check):
    status, tested, lines = check(**{"3_11": 0, "3_12": 0, "3_13": 0})
    assert (status, tested) == (0, ["3.11", "3.13"])
    assert lines[0] == "Python 3.12 is left out: make test runs all tests under it (--all: here, too)"


def test_every_version_can_be_asked_for(check):
    status, tested, lines = check("--all", **{"3_11": 0, "3_12": 0, "3_13": 0})
    assert (status, tested) == (0, ["3.11", "3.12", "3.13"])
    assert not [line for line in lines if "left out" in line]


def test_one_version_that_fails_fails_the_check_and_the_others_run_all_the_same(check):
    status, tested, lines = check(**{"3_11": 1, "3_12": 0, "3_13": 0})
    assert (status, tested) == (1, ["3.11", "3.13"])
    assert lines[-1] == "FAILED: the tests without an engine under Python 3.11"


def test_a_version_that_pyenv_holds_but_has_not_switched_on_is_offered(tmp_path, monkeypatch):
    held = tmp_path / "versions" / "3.12.9" / "bin"
    held.mkdir(parents=True)
    (held / "python3.12").touch()
    uv = tmp_path / "uv"
    uv.write_text('#!/bin/sh\necho "${PATH%%:*}/python3.12"\n')
    uv.chmod(0o755)
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path))
    assert versions.interpreter(str(uv), "3.12") == str(held / "python3.12")


def test_without_a_browser_its_tests_are_skipped_and_the_last_line_says_what_to_install():
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/test_report.py"]
    some = "comes_in_pages or fits_the_window or short_names"  # the last needs none
    done = subprocess.run(
        [*command, "-k", some],
        cwd=ROOT,
        env={**os.environ, "PATH": "/nonexistent"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout
    skipped = int(re.search(r"(\d+) skipped", done.stdout)[1])
    reasons = re.findall(
        r"^SKIPPED \[(\d+)\] .*: chromium or chromedriver is missing", done.stdout, re.MULTILINE
    )
    assert sum(map(int, reasons)) == skipped > 0
    last = done.stdout.splitlines()[-1]
    assert last.startswith(f"WARNING: {skipped} BROWSER TESTS DID NOT RUN: ")
    assert last.endswith("as root: apt-get install chromium chromium-driver")


def test_ci_runs_the_command_that_we_document_and_nothing_else():
    lines = (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()
    prepares = ("#", "set -euo pipefail", 'cd "$(dirname "$0")/.."')
    commands = [line for line in lines if not line.startswith(prepares)]
    documented = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").splitlines()
    assert commands == ["make check"] and "make check" in documented


@pytest.mark.parametrize(
    ("user", "works", "said"),
    [
        (
            0,
            True,
            "Installing chromium and chromium-driver with apt-get: tests look at reports in a browser\n",
        ),
        (0, False, "apt-get failed: the browser tests will be skipped\n"),
        (1000, True, ""),
    ],
)
def test_make_installs_the_browser_where_it_may(tmp_path, user, works, said):
    for name in ("bash", "sh", "make", "env"):
        (tmp_path / name).symlink_to(f"/bin/{name}")
    for name, text in {
        "id": f"echo {user}",
        "apt-get": f'echo "$@" >>{tmp_path}/log; {"" if works else "exit 100"}',
    }.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{text}\n")
        (tmp_path / name).chmod(0o755)
    make = ["make", "--silent", "--old-file=.venv/.dev", "browser"]
    done = subprocess.run(make, cwd=ROOT, env={"PATH": str(tmp_path)}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith(said) and bool(done.stdout) == bool(said)
    log = tmp_path / "log"
    asked = log.read_text().splitlines() if log.exists() else []
    assert len(asked) == (0 if user else 2 if works else 1)


@pytest.mark.parametrize(
    "body, found, words",
    [
        (
            "echo 'Card A, 80 GB'; echo 'Card B, 80 GB'",
            ["Card A, 80 GB", "Card B, 80 GB"],
            "Card A, 80 GB; Card B",
        ),
        ("echo 'no driver' >&2; exit 9", [], "no driver"),
    ],
)
def test_the_doctor_names_the_gpus_or_says_why_there_are_none(
    tmp_path, monkeypatch, capsys, body, found, words
):
    tool = tmp_path / "nvidia-smi"
    tool.write_text(f"#!/bin/sh\n{body}\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    assert doctor.check_gpus() == found
    said = capsys.readouterr()
    assert words in said.out + said.err
