"""Do the walls of the sandbox hold on this machine?

Call `self_test`: a handful of attacks, each of which must fail.
"""

from __future__ import annotations

import os
import secrets
import socket
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from util.grading.sandbox.control import check_control, check_own_limits
from util.grading.sandbox.parent import Isolation, Limits, Program, Sandbox, SandboxError, TestOutcome

LIMITS = Limits(time_s=1.0, problem_s=300.0, memory_bytes=512 << 20, output_bytes=1 << 20)
CANARY = "SANDBOX_SELF_TEST"


@dataclass(frozen=True)
class Probe:
    """One attack and what came of it."""

    name: str
    held: bool
    seen: str  # how the program ended


@dataclass(frozen=True)
class Report:
    """What the self-test found."""

    isolation: Isolation
    probes: tuple[Probe, ...]


def self_test(*, without: Sequence[str] = ()) -> Report:
    """Try to break out in each of the usual ways; raises UserError where even right programs would fail.

    `without` switches layers off, to see that the attacks then succeed.
    """
    check_own_limits()
    secret = secrets.token_hex(8)
    os.environ[CANARY] = secret
    try:
        with (
            tempfile.TemporaryDirectory() as folder,
            socket.create_server(("127.0.0.1", 0)) as listener,
        ):
            # Nothing but the sandbox shall keep a program from this folder.
            os.chmod(folder, 0o777)
            attacks = _attacks(secret, Path(folder), listener.getsockname()[1])
            sandbox = Sandbox(without=without)
            try:
                check_control(sandbox)
                probes = []
                for attack in attacks:
                    probes.append(_probe(sandbox, *attack))
                    if not Path(f"/proc/{sandbox.process_id}").exists():  # the attack has ended it
                        sandbox = Sandbox(without=without)
            finally:
                sandbox.close()
    finally:
        del os.environ[CANARY]
    gone = not Path(f"/proc/{sandbox.process_id}").exists()
    probes.append(Probe("outliving the grader", gone, "ended with it" if gone else "still there"))
    return Report(sandbox.isolation, tuple(probes))


def _attacks(
    secret: str, folder: Path, port: int
) -> list[tuple[str, str, Callable[[TestOutcome], bool], str | None]]:
    """Name, program, whether it got what it wanted, and the function to call in call-based tests."""
    file = folder / "secret"
    file.write_text(secret)
    file.chmod(0o644)

    def printed(text: str) -> Callable[[TestOutcome], bool]:
        return lambda outcome: text.encode() in outcome.output

    environment = (
        "import os, ctypes\nget = ctypes.CDLL(None).getenv\nget.restype = ctypes.c_char_p\n"
        f"print(os.environ.get({CANARY!r}), get({CANARY.encode()!r}))"
    )
    bomb = "import os, signal\nfor _ in range(50):\n    if os.fork() == 0: signal.pause()\nprint('forked')"
    memory = "x = [bytes(1 << 26) for _ in range(16)]\nprint('allocated')"
    spoof = (
        "class Equal(str):\n    def __eq__(self, other): return True\n    def __hash__(self): return 0\n"
        "def f():\n    import gc\n    for o in gc.get_objects():\n"
        f"        if {secret[::-1]!r}[::-1] in str(o): return o\n"
        "    return Equal()"
    )
    return [
        (
            "reading the environment",
            environment,
            printed(secret),
            None,
        ),
        ("reading a file", f"print(open({str(file)!r}).read())", printed(secret), None),
        (
            "opening a socket",
            f"import socket\nsocket.create_connection(('127.0.0.1', {port}), 1)\nprint('connected')",
            printed("connected"),
            None,
        ),
        (
            "writing outside",
            f"open({str(folder / 'left')!r}, 'w').write('x')\nprint('written')",
            lambda outcome: (folder / "left").exists(),
            None,
        ),
        ("forking without end", bomb, printed("forked"), None),
        ("allocating without end", memory, printed("allocated"), None),
        (
            "killing the parent",
            "import os\nos.kill(os.getppid(), 9)\nprint('killed')",
            printed("killed"),
            None,
        ),
        ("running without end", "while True: pass", lambda outcome: outcome.status != "timeout", None),
        (
            "printing without end",
            "while True: print('x' * 999)",
            lambda outcome: outcome.status != "too large",
            None,
        ),
        ("spoofing a pass", spoof, printed(f'"{secret}"'), "f"),
    ]


def _probe(
    sandbox: Sandbox, name: str, source: str, won: Callable[[TestOutcome], bool], function: str | None
) -> Probe:
    inputs = [b"" if function is None else b"[]"]
    try:
        outcome = next(sandbox.run(Program((source,), function), inputs, LIMITS))
    except SandboxError as error:
        return Probe(name, False, str(error))
    return Probe(name, not won(outcome), outcome.note or outcome.status)
