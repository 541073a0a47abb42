"""Do right programs pass in containers and with low limits, or is it said why they would not?"""

import itertools
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from helpers import HANG_S
from test_sandbox import AS_NOBODY, CONTAINER, ROOT

from util.errors import UserError
from util.grading.sandbox import (
    Isolation,
    Limits,
    Program,
    Sandbox,
    control,
    layers,
    parent,
    require_isolation,
    selftest,
)

ASK = (
    f"import json, sys; sys.path.insert(0, {str(ROOT)!r})\nfrom util.errors import UserError\n"
    "from util.grading.sandbox import require_isolation\n"
    "try:\n    found = require_isolation(sys.argv[1])\n    print(json.dumps([found.tier, found.layers]))\n"
    "except UserError as error:\n    print(json.dumps([None, str(error)]))"
)
needs_root = pytest.mark.skipif(
    os.geteuid() != 0, reason="NOT ROOT: containers were not imitated, nothing ran with low limits as nobody"
)


def asked(*before, wanted="no-namespace"):
    """The tier and the layers, or None and why programs are refused."""
    command = [*before, sys.executable, "-B", "-c", ASK, wanted]
    done = subprocess.run(command, capture_output=True, text=True, timeout=HANG_S)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


@needs_root
def test_root_in_a_container_runs_programs_as_a_user_of_their_own():
    tier, found = asked(*CONTAINER, "docker", "open")
    assert tier == "no-namespace" and {"private user id", "Landlock", "seccomp"} <= set(found)


@needs_root
def test_root_who_may_make_user_namespaces_only_gets_full_isolation_below_a_closed_home():
    for home in ((), ("open",)):
        tier, found = asked(*CONTAINER, "unconfined", *home, wanted="full")
        assert tier == "full" and {"user namespace", "private user id"} <= set(found)


@needs_root
def test_without_any_capability_programs_are_still_confined():
    tier, found = asked(*CONTAINER, "bare", "open")
    assert tier == "no-namespace" and "private user id" not in found


@needs_root
def test_a_python_below_a_closed_home_is_one_sentence_with_the_cure():
    tier, why = asked(*CONTAINER, "docker")
    closed = [folder for folder in Path(sys.base_prefix).parents if not folder.stat().st_mode & 1]
    if not closed:
        pytest.skip("this Python can be reached by everyone")
    assert tier is None and why.count("\n") == 0
    assert f"may not enter {closed[-1]} (mode 700)" in why and f"chmod o+x {closed[-1]}" in why


@pytest.mark.parametrize(
    "limit, said",
    [
        ("-n 48", "ulimit -Hn is 48"),
        ("-t 5", "ulimit -t is 5"),
        ("-u 20", "ulimit -Hu is 20"),
        ("-s 8192", "ulimit -Hs is 8192"),
        ("-f 1000", "ulimit -Hf is 1000"),
        ("-v 1000000", "ulimit -Hv is 1000000"),
    ],
)
@pytest.mark.parametrize("user", [(), AS_NOBODY], ids=["as this user", "as nobody"])
def test_a_low_limit_is_one_sentence(limit, said, user):
    if user and os.geteuid():
        pytest.skip("needs root")
    tier, why = asked(*user, "/bin/bash", "-c", f'ulimit {limit}; exec "$0" "$@"')
    assert tier is None and why.count("\n") == 0
    assert said in why and "raise it" in why


def test_a_sandbox_that_does_not_start_is_one_sentence(monkeypatch):
    def broken():
        raise parent.SandboxError("the sandbox does not start: no folder to work in")

    monkeypatch.setattr(control, "isolation", broken)
    with pytest.raises(UserError, match="cannot be run here: the sandbox does not start: no folder"):
        require_isolation("weak")


MAPS = {
    "a machine of its own": ("0 0 4294967295\n", layers.PRIVATE_IDS),
    "a container with few": ("0 100000 65536\n", range(32768, 65536)),
    "one without root": ("0 1000 1\n1 100000 65536\n", range(32768, 65537)),
}


@pytest.mark.parametrize("place", MAPS)
def test_a_user_id_is_drawn_among_those_that_the_place_has(monkeypatch, tmp_path, place):
    written, ids = MAPS[place]
    (tmp_path / "map").write_text(written)
    monkeypatch.setattr("builtins.open", lambda path: (tmp_path / "map").open())
    drawn = {layers.private_id() for _ in range(20)}
    assert len(drawn) > 15 and all(number in ids for number in drawn)


def test_where_there_is_no_user_id_to_spare_that_is_said(monkeypatch, tmp_path):
    (tmp_path / "map").write_text("0 1000 1\n")
    monkeypatch.setattr("builtins.open", lambda path: (tmp_path / "map").open())
    with pytest.raises(OSError, match="no user id to spare"):
        layers.private_id()


# Which layers hold which attacks; where two hold one, it succeeds without both.
HOLD = {
    "mount landlock": {"reading a file", "writing outside"},
    "pid seccomp": {"forking without end", "killing the parent"},
    "net landlock seccomp": {"opening a socket", "forking without end", "killing the parent"},
    "limits": {"allocating without end"},
    "": set(),
}
ALL = "user mount pid net ipc uts landlock seccomp limits"
ALONE = ["unshare", "--mount", "--pid", "--fork", "--mount-proc", sys.executable, "-B"]


def self_test_alone(without):
    command = [*ALONE, str(ROOT / "tests" / "self_test_alone.py"), *without.split()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=HANG_S)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


@needs_root
@pytest.mark.parametrize("without", [*HOLD, ALL])
def test_the_self_test_sees_which_layers_are_gone_and_leaves_nothing_behind(without):
    found = self_test_alone(without)
    assert set(found["fell"]) == (set().union(*HOLD.values()) if without == ALL else HOLD[without]), found
    assert not any(found["left"].values()), found["left"]


class Defeated:
    """A sandbox in which every attack gets what it wants, and which outlives its end."""

    process_id = os.getpid()
    isolation = Isolation(())

    def run(self, program, inputs, limits):
        secret = os.environ[selftest.CANARY]
        yield parent.TestOutcome(
            0, "ended", f'"{secret}" connected forked allocated killed'.encode(), "", 0, 0, True
        )

    def close(self):
        pass


def test_every_probe_falls_when_its_attack_gets_what_it_wants(monkeypatch):
    monkeypatch.setattr(selftest, "Sandbox", lambda without: Defeated())
    monkeypatch.setattr(selftest, "check_control", lambda sandbox: None)
    held = [probe.name for probe in selftest.self_test().probes if probe.held]
    assert held == ["writing outside"]  # looks at the file itself


class Holds(Defeated):
    def run(self, program, inputs, limits):
        status = "too large" if "print('x'" in program.sources[0] else "timeout"
        yield parent.TestOutcome(0, status, b"", "", 0, 0, True)


def test_no_probe_falls_because_the_machine_is_slow(monkeypatch):
    clock = itertools.count(step=100)
    monkeypatch.setattr(time, "monotonic", lambda: next(clock))
    monkeypatch.setattr(selftest, "Sandbox", lambda without: Holds())
    monkeypatch.setattr(selftest, "check_control", lambda sandbox: None)
    fell = [probe.name for probe in selftest.self_test().probes if not probe.held]
    assert fell == ["outliving the grader"]  # as this one does


@pytest.mark.parametrize(
    "source",
    [
        "i = 0\nwhile True:\n    open(f'f{i}', 'wb').write(b'x' * (30 << 20))\n    i += 1",
        "i = 0\nwhile True:\n    open(f'f{i}', 'wb').close()\n    i += 1",
        "import os\nos.mkdir('d', 0o300)\ni = 0\nwhile True:\n    open(f'd/f{i}', 'wb').close()\n    i += 1",
    ],
)
def test_without_a_private_root_a_program_may_not_fill_the_disk_either(source):
    with Sandbox(without=["mount"]) as shared:
        outcome = next(shared.run(Program((source,)), [b""], Limits(time_s=20)))
        assert outcome.status == "exit" and outcome.code == 1 and "No space left" in outcome.note
        right = "for i in range(3): open(f'f{i}', 'wb').write(b'x' * (30 << 20))\nprint(1)"
        assert next(shared.run(Program((right,)), [b""], Limits())).output == b"1\n"
