"""Can a program get out, read what it may not, forge a result, take too much, or leave something behind?"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
from helpers import HANG_S, is_running, wait_until

from util.errors import UserError
from util.grading.sandbox import (
    Isolation,
    Limits,
    Program,
    Sandbox,
    SandboxError,
    control,
    parent,
    require_isolation,
)

ROOT = Path(__file__).resolve().parent.parent
CAMPAIGN = str(ROOT / "tests" / "attack_campaign.py")
AS_NOBODY = [sys.executable, str(ROOT / "tests" / "nobody.py")]
CONTAINER = [sys.executable, str(ROOT / "tests" / "container.py")]
NAMESPACES = ("user", "mount", "pid", "net", "ipc", "uts")
LIMITS = Limits(time_s=0.5, memory_bytes=1 << 30, output_bytes=1 << 20)
needs_root = pytest.mark.skipif(
    os.geteuid() != 0, reason="NOT ROOT: attacks ran as this user alone, not as root and as nobody"
)


@pytest.fixture(scope="module")
def sandbox():
    with Sandbox() as warm:
        yield warm


@pytest.fixture
def folder():
    """Unlike pytest's own, a folder that other users may enter."""
    name = Path("/tmp") / f"attacked-{os.getpid()}-{time.monotonic_ns()}"
    name.mkdir(mode=0o777)
    name.chmod(0o777)
    yield name
    for file in name.iterdir():
        file.unlink()
    name.rmdir()


def campaign(folder, *arguments, user=()):
    command = [*user, sys.executable, "-B", CAMPAIGN, str(folder), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=2 * HANG_S)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])


def check(result, tier=None):
    assert result["attacks"] >= 100
    assert not result["succeeded"], result["succeeded"]
    assert result["left"] == []
    if tier is not None:
        assert result["tier"] == tier, f"MISSING LAYERS: {result['missing']}"


def run(sandbox, source, inputs=(b"",), limits=LIMITS, function=None):
    return list(sandbox.run(Program((source,), function), list(inputs), limits))


def test_no_attack_succeeds_in_any_format(folder):
    check(campaign(folder, "often"))


@needs_root
def test_no_attack_succeeds_for_an_unprivileged_user(folder):
    result = campaign(folder, "once", user=AS_NOBODY)
    assert result["uid"] == 65534
    check(result, "full")


@needs_root
def test_no_attack_succeeds_for_an_unprivileged_user_without_namespaces(folder):
    result = campaign(folder, "once", *NAMESPACES, user=AS_NOBODY)
    check(result, "no-namespace")


@needs_root
def test_no_attack_succeeds_as_root_in_a_container(folder):
    check(campaign(folder, "once", user=[*CONTAINER, "docker", "open"]), "no-namespace")


def test_all_layers_are_in_place_on_this_machine(sandbox):
    found = sandbox.isolation
    assert found.tier == "full", f"MISSING LAYERS: {found.missing}"
    assert found.warning() is None


def test_a_missing_layer_is_named_loudly():
    with Sandbox(without=["net"]) as weaker:
        assert weaker.isolation.tier == "no-namespace"
        assert "net namespace (switched off)" in weaker.isolation.warning()


def test_a_sandbox_without_system_call_filter_counts_as_weak():
    with Sandbox(without=["seccomp"]) as weaker:
        assert weaker.isolation.tier == "weak"


def test_without_landlock_the_system_call_filter_is_still_there():
    with Sandbox(without=["landlock"]) as weaker:
        assert "seccomp" in weaker.isolation.layers and list(weaker.isolation.missing) == ["Landlock"]


def test_requiring_more_isolation_than_there_is_stops_the_run(monkeypatch):
    monkeypatch.setattr(control, "isolation", lambda: Isolation(("limits",), {"seccomp": "refused"}))
    with pytest.raises(UserError, match=r"weak isolation, and full is required.*seccomp \(refused\)"):
        require_isolation("full")
    assert require_isolation("weak").tier == "weak"


def test_a_program_sees_real_standard_input_and_output(sandbox):
    source = (
        "import sys, os\nprint(sys.stdin.read(), os.fstat(0).st_size, sys.stdin.mode, sys.stdin.fileno())"
    )
    (outcome,) = run(sandbox, source, [b"hello"])
    assert outcome.output == b"hello 5 r 0\n" and outcome.status == "ended"


def test_each_test_has_globals_and_streams_of_its_own(sandbox):
    source = "n = globals().get('n', 0) + int(input())\nprint(n)\nimport sys\nsys.stdout.close()"
    assert [outcome.output for outcome in run(sandbox, source, [b"1", b"2", b"3"])] == [
        b"1\n",
        b"2\n",
        b"3\n",
    ]


def test_nothing_of_one_program_reaches_the_next(sandbox):
    run(sandbox, "import builtins, sys\nbuiltins.left = sys.left = 1\nopen('left', 'w').write('x')")
    left = "hasattr(builtins, 'left'), hasattr(sys, 'left'), os.path.exists('left')"
    source = f"import builtins, os, sys\nprint({left})"
    assert run(sandbox, source)[0].output == b"False False False\n"


def test_a_sleeping_and_a_busy_program_are_both_ended(sandbox):
    for source in ("import time\ntime.sleep(10**6)", "while True: pass"):
        (outcome,) = run(sandbox, source)
        assert outcome.status == "timeout" and outcome.code < 2  # not by the time of all tests


def test_output_without_end_is_cut_off(sandbox):
    (outcome,) = run(sandbox, "while True: print('x' * 1000)", limits=LIMITS)
    assert outcome.status == "too large"


def test_an_input_of_fifty_megabytes_is_read(sandbox):
    (outcome,) = run(sandbox, "print(len(input()))", [b"7" * (50 << 20)], Limits())
    assert outcome.output == b"52428800\n"


def test_a_program_may_raise_its_stack_limit_and_recurse_deeply(sandbox):
    source = (
        "import resource, sys, threading, functools\n"
        "resource.setrlimit(resource.RLIMIT_STACK, (1 << 29, -1))\nsys.setrecursionlimit(10**6)\n"
        "threading.stack_size(1 << 27)\n"
        "@functools.cache\ndef f(n): return 0 if n == 0 else 1 + f(n - 1)\n"
        "t = threading.Thread(target=lambda: print(f(20000)))\nt.start()\nt.join()"
    )
    assert run(sandbox, source, limits=Limits())[0].output == b"20000\n"


@pytest.mark.parametrize("layer", [*NAMESPACES, "landlock", "seccomp"])
def test_without_any_one_layer_programs_still_run(layer):
    with Sandbox(without=[layer]) as bare:
        assert run(bare, "import typing\nprint(typing.ContextManager.__name__)")[0].status == "ended"


THROUGH_C = {
    "a cache": "@functools.cache\ndef f(n): return 0 if n == 0 else 1 + f(n - 1)",
    "max": "def f(n): return 0 if n == 0 else 1 + max(f(m) for m in (n - 1,))",
    "map": "def f(n): return 0 if n == 0 else 1 + sum(map(f, [n - 1]))",
    "a method": "class F:\n def __call__(self, n): return 0 if n == 0 else 1 + self(n - 1)\nf = F()",
}


@pytest.mark.parametrize("way", THROUGH_C)
@pytest.mark.parametrize("thread", [False, True])
def test_deep_calls_are_the_same_in_every_python(sandbox, way, thread):
    call = "print(f(20000))"
    if thread:
        call = (
            f"t = threading.Thread(target=lambda: {call})\nthreading.stack_size(1 << 27)\nt.start()\nt.join()"
        )
    source = f"import functools, sys, threading\nsys.setrecursionlimit(10**5)\n{THROUGH_C[way]}\n{call}"
    assert run(sandbox, source, limits=Limits())[0].output == b"20000\n"


def test_endless_recursion_still_ends_with_an_error(sandbox):
    outcome = run(sandbox, "import functools\n@functools.cache\ndef f(n): return f(n + 1)\nf(0)")[0]
    assert "RecursionError" in outcome.note


def test_closing_the_iterator_ends_the_program_and_the_next_one_runs(sandbox):
    outcomes = sandbox.run(Program(("print(input(), flush=True)\nimport time",)), [b"1", b"2", b"3"], LIMITS)
    assert next(outcomes).output == b"1\n"
    outcomes.close()
    assert run(sandbox, "print(7)")[0].output == b"7\n"


def test_packages_of_contest_sites_can_be_imported():
    with Sandbox(kind="numpy") as with_numpy:
        source = (
            "import numpy, sortedcontainers\nprint(numpy.arange(3).sum(), *sortedcontainers.SortedList([2]))"
        )
        assert run(with_numpy, source)[0].output == b"3 2\n"


def test_a_sandbox_ends_when_its_process_is_killed():
    source = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r})\n"
        "from util.grading.sandbox import *\n"
        "s = Sandbox()\n"
        "program = Program(('import sys, time\\nif sys.stdin.read(): time.sleep(50)',))\n"
        "for _ in s.run(program, [b'', b'sleep'], Limits(time_s=40)):\n"
        "    print(s.process_id, flush=True)\n"
    )
    with subprocess.Popen([sys.executable, "-c", source], stdout=subprocess.PIPE, text=True) as worker:
        launcher = int(worker.stdout.readline())
        worker.send_signal(signal.SIGKILL)
    wait_until(lambda: not is_running(launcher))


def test_a_dead_sandbox_is_an_error_of_its_own():
    with Sandbox() as broken:
        os.killpg(broken.process_id, signal.SIGKILL)
        with pytest.raises(SandboxError):
            run(broken, "print(1)")


def test_nothing_grows_over_many_programs(sandbox):
    def resident_kb():
        return int(Path(f"/proc/{os.getpid()}/status").read_text().split("VmRSS:")[1].split()[0])

    for _ in range(50):
        run(sandbox, "print(1)")
    before, descriptors = resident_kb(), len(os.listdir("/proc/self/fd"))
    for _ in range(300):
        run(sandbox, "print(1)")
    assert resident_kb() - before < 1024 and len(os.listdir("/proc/self/fd")) <= descriptors


def test_packages_that_lie_below_tmp_are_found(monkeypatch):
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        Path(folder).chmod(0o755)
        (Path(folder) / "sortedcontainers.py").write_text("here = 'below tmp'\n")
        monkeypatch.setattr(parent.sysconfig, "get_paths", lambda: {"purelib": folder, "platlib": folder})
        with Sandbox() as elsewhere:
            source = "import sortedcontainers\nopen('mine', 'w')\nprint(sortedcontainers.here)"
            assert run(elsewhere, source)[0].output == b"below tmp\n"
            assert elsewhere.isolation.tier == "full"
