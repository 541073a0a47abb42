"""Runs every attack in every format against this machine's sandbox; prints what succeeded as a JSON line.

A script of its own so that the tests can also run it as an unprivileged user, or with layers switched off:

    python tests/attack_campaign.py FOLDER often|once [layer switched off ...]
"""

import json
import os
import secrets
import socket
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from helpers import HANG_S, is_running  # noqa: E402

from util.grading import code  # noqa: E402
from util.grading.code.suites import suite_of  # noqa: E402
from util.grading.sandbox import Limits, Sandbox, parent  # noqa: E402
from util.records import Problem  # noqa: E402

# Each sets `loot` to what it got hold of, or does damage. FILE, FOLDER, HOST, PORT and HOSTNAME stand for a
# secret file outside, a listening socket and this machine's name; SECRET is what a winner prints.
ATTACKS = [
    json.loads(line) for line in (ROOT / "tests" / "cases" / "attacks.jsonl").read_bytes().splitlines()
]
LIMITS = Limits(time_s=0.5, problem_s=300, memory_bytes=512 << 20, output_bytes=4 << 20)
SLOWEST_S = 150.0  # on a machine that is busy with other things; what no limit ends takes twice as long
RIGHT = {"stdin": "print(sum(map(int, input().split())))", "call": "def f(a, b):\n    return a + b"}


def row(layout: str, mode: str, outputs: list[str]) -> dict:
    """A row of one of the three data sets: two tests with the inputs 20 22 and 1 2."""
    inputs = [[20, 22], [1, 2]]
    if layout == "livecodebench":
        tests = [
            {
                "input": "\n".join(map(str, given)) if mode == "call" else " ".join(map(str, given)),
                "output": json.dumps(output) if mode == "call" else output,
                "testtype": "functional" if mode == "call" else "stdin",
            }
            for given, output in zip(inputs, outputs, strict=True)
        ]
        metadata = {"func_name": "f"} if mode == "call" else {}
        return {
            "public_test_cases": json.dumps(tests[:1]),
            "private_test_cases": json.dumps(tests[1:]),
            "metadata": json.dumps(metadata),
        }
    if mode == "call":  # TACO wraps each value in a list, APPS mostly does not
        outputs = [[output] for output in outputs] if layout == "taco" else outputs
        return {"input_output": json.dumps({"fn_name": "f", "inputs": inputs, "outputs": outputs})}
    texts = [" ".join(map(str, given)) + "\n" for given in inputs]
    return {"input_output": json.dumps({"inputs": texts, "outputs": outputs})}


def problem(layout: str, mode: str, outputs: list) -> Problem:
    suite = suite_of(row(layout, mode, outputs), "livecodebench" if layout == "livecodebench" else "apps")
    return Problem("attacked", "", suite)


def response(attack: str, mode: str, names: dict[str, str]) -> str:
    for name, value in names.items():
        attack = attack.replace(name, value)
    end = "\nprint(loot)\n" if mode == "stdin" else "\ndef f(a, b):\n    return loot\n"
    return f"```python\n{attack}{end}```"


def all_right(mode: str) -> bool:
    verdict = code.grade_code(
        problem("apps", mode, ["42", "3"] if mode == "stdin" else [42, 3]), f"```python\n{RIGHT[mode]}\n```"
    )
    return verdict.correct


def could_be_left(file: Path) -> bool:
    """Whether a program may have left this file: it has a name of theirs, and no program runs as root.

    Others work in the same places: an engine has shared memory, as root.
    """
    try:
        return "left" in file.name or (file.name.startswith("psm_") and file.stat().st_uid != 0)
    except FileNotFoundError:
        return False


def state(folder: Path) -> list:
    """What attacks could have changed outside."""
    found = [sorted(os.listdir(folder))]
    for place in (Path("/tmp"), Path("/dev/shm")):
        found.append(sorted(file.name for file in place.iterdir() if could_be_left(file)))
    secret = folder / "secret"
    status = secret.stat()
    return [*found, secret.read_text(), status.st_mode, status.st_mtime, status.st_uid, os.uname().nodename]


def main(folder: Path, without: list[str], *, often: bool = True) -> dict:
    """Try all attacks, in both modes or (not `often`) in turns; what came of it."""
    secret = "loot-" + secrets.token_hex(8)
    os.environ["CANARY"] = secret
    (folder / "secret").write_text(secret)
    (folder / "secret").chmod(0o644)
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setblocking(False)
    names = {
        "FILE": str(folder / "secret"),
        "FOLDER": str(folder),
        "HOSTNAME": os.uname().nodename,
        "HOST": "127.0.0.1",
        "PORT": str(listener.getsockname()[1]),
    }
    parent._warm(os.getpid())["plain"] = Sandbox(without=without)
    sandbox = parent.warm_sandbox()
    before, succeeded, reasons = state(folder), [], {}
    for number, (name, attack) in enumerate(map(dict.values, ATTACKS)):
        for mode in ("stdin", "call") if often else ("stdin", "call")[number % 2 :][:1]:
            layout = ("apps", "taco", "livecodebench")[(number + (mode == "call")) % 3]
            # Whoever gets hold of the secret, or of the word that stands for "it worked", is right.
            wanted = "SECRET" if "SECRET" in attack else secret
            began = time.monotonic()
            verdict = code.grade_code(
                problem(layout, mode, [wanted, wanted]), response(attack, mode, names), limits=LIMITS
            )
            spent = time.monotonic() - began
            reasons[verdict.reason] = reasons.get(verdict.reason, 0) + 1
            if verdict.correct or verdict.reason == "sandbox_error" or spent > SLOWEST_S:
                succeeded.append([name, mode, layout, verdict.reason, verdict.detail, round(spent, 1)])
            if parent.warm_sandbox() is not sandbox:
                succeeded.append([name, mode, layout, "the sandbox had to be started again", "", 0])
                sandbox = parent.warm_sandbox()
            if not all_right(mode):
                succeeded.append([name, mode, layout, "the grader no longer works", "", 0])
        if state(folder) != before:
            succeeded.append([name, "", "", "something outside has changed", repr(state(folder)), 0])
            before = state(folder)
    try:
        listener.accept()
        succeeded.append(["network", "", "", "someone has connected", "", 0])
    except BlockingIOError:
        pass
    processes = [sandbox.process_id]
    for process in processes:
        children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
        processes += map(int, children)
    parent.discard_sandbox()
    end = time.monotonic() + HANG_S
    while (left := list(filter(is_running, processes))) and time.monotonic() < end:
        time.sleep(0.02)  # what is ended by its parent's end may take a moment
    return {
        "attacks": len(ATTACKS),
        "tier": sandbox.isolation.tier,
        "missing": sandbox.isolation.missing,
        "uid": os.getuid(),
        "reasons": reasons,
        "succeeded": succeeded,
        "processes": len(processes),
        "left": left,
    }


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]), sys.argv[3:], often=sys.argv[2] == "often")))
