"""What several tests need: running a script as a user would, and small scripts for the engine of paper."""

from __future__ import annotations

import importlib
import json
import os
import random
import re
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack, redirect_stderr, redirect_stdout, suppress
from io import StringIO
from pathlib import Path
from types import ModuleType
from unittest.mock import patch

from util.cli import main
from util.grading.maths import symbolic as symbolic_engine
from util.records import Problem

ROOT = Path(__file__).resolve().parent.parent
HANG_S = 600.0  # longer than a busy machine takes for anything: only what hangs meets it


def own_process(
    name: str, *flags: object, timeout: float = HANG_S, **environment: str
) -> subprocess.CompletedProcess:
    """Run one of the suite's scripts as users start it: for vLLM, or libraries that read the environment."""
    return subprocess.run(
        [sys.executable, str(ROOT / name), *map(str, flags)],
        capture_output=True,
        text=True,
        timeout=timeout,
        env={**os.environ, **environment},
    )


def script(name: str, *flags: object, **environment: str) -> subprocess.CompletedProcess:
    """Run one of the suite's scripts in this process: most take longer to start than to run."""
    with patch.dict(os.environ, environment):
        return here(importlib.import_module(name.removesuffix(".py")), *flags)


def last_line(done: subprocess.CompletedProcess) -> dict:
    """The JSON of the last line of standard output."""
    return json.loads(done.stdout.strip().rsplit("\n", 1)[-1])


def paper_engine(folder: Path, *lines: dict) -> list[str]:
    """Flags for the scripted engine with these lines."""
    path = folder / "script.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return ["--engine", "scripted", "--engine-args", json.dumps({"script": str(path)})]


def make_adapter(folder: Path, *, strength: float = 100.0, **config: object) -> Path:
    """A LoRA adapter of rank 1 for the embedded model's last layer, written as PEFT does."""
    layer = "base_model.model.model.layers.29.mlp.down_proj"
    numbers = {
        f"{layer}.lora_A.weight": ((1, 1536), [1.0] * 1536),
        f"{layer}.lora_B.weight": ((576, 1), [strength * (at % 7 - 3) for at in range(576)]),
    }
    header, data = {}, b""
    for name, (shape, values) in numbers.items():
        begin, data = len(data), data + struct.pack(f"<{len(values)}f", *values)
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [begin, len(data)]}
    head = json.dumps(header).encode()
    said = {"peft_type": "LORA", "r": 1, "lora_alpha": 1, "target_modules": ["down_proj"], **config}
    folder.mkdir(exist_ok=True)
    (folder / "adapter_model.safetensors").write_bytes(struct.pack("<Q", len(head)) + head + data)
    (folder / "adapter_config.json").write_text(json.dumps(said), encoding="utf-8")
    return folder


def wide_lines(text: str, most: int = 80) -> list[str]:
    """Lines for people that are wider than a terminal, but for commands, which stay whole, and long words."""
    return [
        line
        for line in text.split("\n")
        if len(line) + len(re.findall("[\u4e00-\u9fff]", line)) > most
        and not re.match(r"\s*(python |sed |\{)", line)
        and len(line.split()) > 1
    ]


def asking(*questions: str) -> Callable[[], list[Problem]]:
    """The problems of a run, as its difficulty labels want them."""
    return lambda: [Problem(question, question, "1") for question in questions]


def json_lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]


def wait_until(holds: Callable[[], object], process: subprocess.Popen | None = None) -> None:
    """Return when it holds; fail at once when the process that is to bring it about has ended without."""
    end = time.monotonic() + HANG_S
    while not holds():
        if process is not None and process.poll() is not None:
            assert holds(), f"the process ended with {process.returncode} before that"
            return
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.02)


def takes_at_most(
    times: float, seconds: Callable[[int], float], short: int, long: int, *, least_s: float
) -> bool:
    """Whether what is `long` takes at most so many times as long as what is `short` (or `least_s`).

    A machine whose caches others use may be slow for a moment: then it is measured again.
    """
    return any(seconds(long) < times * max(seconds(short), least_s) for _ in range(9))


def descendants(process: int) -> set[int]:
    """The processes below this one."""
    parents = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            parents[int(folder.name)] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
    found = {process}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return found - {process}


def is_running(process: int) -> bool:
    """Whether there is such a process that has not ended, though its parent may not have looked yet."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def free_port() -> int:
    """A port for a program that has to be told one: the system gives it to nobody else meanwhile, as far as
    there are such ports that everybody may use."""
    given_from = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    dice = random.SystemRandom()  # other tests look for one at the same time
    while True:
        port = dice.randrange(*(given_from // 2, given_from) if given_from >= 4096 else (20_000, 30_000))
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def at_a_terminal() -> None:
    """For `preexec_fn`: Ctrl-C reaches the child even if the tests themselves run in the background."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


class PoolHere:
    """Grades in this process: the workers of a pool take longer to start than most commands to run.

    A fixture of conftest.py puts it where commands open their pool.
    """

    together = 100

    def __init__(self, workers: int, work: Callable[[object], object], *, symbolic: bool = True) -> None:
        self.workers, self._work, self._symbolic = workers, work, symbolic
        self._done: list[tuple[object, object]] = []

    def __enter__(self) -> PoolHere:
        self._before = symbolic_engine.enabled()
        symbolic_engine.use(self._symbolic)
        return self

    def __exit__(self, *_: object) -> None:
        symbolic_engine.use(self._before)
        getattr(self._work, "close", int)()  # what a worker leaves open until it ends

    def has_room(self) -> bool:
        return True

    def submit(self, key: object, job: object, timeout_s: float) -> None:
        self._done.append((key, self._work(job)))

    def completed(self, block: bool) -> list[tuple[object, object]]:
        done, self._done = self._done, []
        return done

    def fail(self, error: Exception) -> None:
        pass  # nobody waits for anything


def here(module: ModuleType, *flags: object) -> subprocess.CompletedProcess:
    """What `own_process` does, in this process, for any module with `parse` and `run`."""
    out, err = StringIO(), StringIO()
    handled = {
        number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGALRM)
    }
    with ExitStack() as changed:
        changed.enter_context(patch.object(sys, "argv", [f"{module.__name__}.py", *map(str, flags)]))
        changed.enter_context(redirect_stdout(out))
        changed.enter_context(redirect_stderr(err))
        try:
            main(module.parse, module.run)
        except SystemExit as end:
            status = end.code
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            for number, handler in handled.items():
                signal.signal(number, handler)
    return subprocess.CompletedProcess(flags, status, out.getvalue(), err.getvalue())
