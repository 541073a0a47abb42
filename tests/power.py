"""Cuts the power of a disk that is not there, and asks what a command finds on it afterwards.

    python tests/power.py FOLDER [CUTS [SEED]]

A `Disk` watches what commands do below a folder and knows what of it would survive a power cut: what was in
a file at its last fsync, and the names that a folder had at its own. Of the rest any part may be there, in
any order between files and with a torn last page. The campaign cuts every step of the pipeline at random
moments, runs it to its end on what was left, and prints what differs from an undisturbed run (nothing, if all
is well). Whom batches are asked then knows what it knew at the cut, and counts what it is asked.
"""

from __future__ import annotations

import builtins
import contextlib
import importlib
import io
import itertools
import json
import os
import random
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

import test_judge  # noqa: E402
from batch_endpoint import BatchEndpoint  # noqa: E402
from helpers import paper_engine  # noqa: E402
from kill_campaign import found, steps  # noqa: E402
from test_eval import small_hub  # noqa: E402
from test_labelling import small_numina  # noqa: E402
from test_second_opinion import CAREFUL, MODEL, YES_TO_ALL  # noqa: E402
from test_tuning import ASKED, HOLD, SEQUENCES, Machine  # noqa: E402

from util.engines import openai_batches  # noqa: E402
from util.errors import RunStopped, UserError  # noqa: E402
from util.generation import tuning  # noqa: E402
from util.generation.budget import BUDGET  # noqa: E402
from util.runs import shards  # noqa: E402
from util.runs.folder import read_run_json  # noqa: E402
from util.runs.journal import read_lines, write_whole  # noqa: E402
from util.runs.lines import OPINIONS  # noqa: E402
from util.runs.lock import read_holder  # noqa: E402
from util.runs.theirs import read_theirs  # noqa: E402

PAGE = 4096
Step = list[object] | Callable[[], None]  # a command, or what stands for one that needs vLLM


@dataclass(eq=False)
class File:
    """What is known of a file: its contents at the last fsync, and where they are now."""

    path: Path
    is_folder: bool = False
    durable: bytes = b""
    last: bytes | None = None  # contents when its last name was taken away

    def now(self) -> bytes:
        return self.path.read_bytes() if self.last is None else self.last


@dataclass
class Disk:
    """A folder whose files may be lost."""

    root: Path
    live: dict[Path, File] = field(default_factory=dict)
    durable: dict[Path, File] = field(default_factory=dict)  # by the names that would be found
    folders: set[Path] = field(default_factory=set)  # those that would be found
    pending: dict[Path, list[tuple[Path, File | None]]] = field(default_factory=dict)  # by folder: new names
    moment: int = 0
    at: Callable[[int], object] = lambda moment: None  # called before each thing that happens

    def __post_init__(self) -> None:
        self.folders.add(self.root)
        for path in self.root.rglob("*"):
            if path.is_dir():
                self.folders.add(path)
            else:
                self.live[path] = self.durable[path] = File(path, durable=path.read_bytes())

    def mine(self, path: object) -> Path | None:
        if not isinstance(path, str | Path):
            return None
        full = Path(os.path.abspath(path))
        return full if full.is_relative_to(self.root) and full != self.root else None

    def happens(self) -> None:
        self.moment += 1
        self.at(self.moment)

    def named(self, path: Path, file: File | None) -> None:
        """A name now stands for a file, or for nothing."""
        before = self.live.pop(path, None)
        if before is not None and before is not file:
            before.last = before.last if before.last is not None else b""
        if file is not None:
            file.path = path
            self.live[path] = file
        self.pending.setdefault(path.parent, []).append((path, file))

    def synced(self, number: int) -> None:
        path = Path(os.readlink(f"/proc/self/fd/{number}"))
        if path.is_dir():
            self.names_kept(path, len(self.pending.get(path, ())), self.durable, self.folders)
            self.pending.pop(path, None)
        elif path in self.live:
            self.live[path].durable = path.read_bytes()

    def names_kept(self, folder: Path, number: int, durable: dict[Path, File], folders: set[Path]) -> None:
        for path, file in self.pending.get(folder, ())[:number]:
            durable.pop(path, None)
            if file is not None and file.is_folder:
                folders.add(path)
            elif file is not None:
                durable[path] = file

    def is_whole(self) -> bool:
        """Whether a power cut could take nothing now."""
        is_synced = all(file.now() == file.durable for file in self.live.values())
        return is_synced and not any(self.pending.values())

    def cut(self, where: Path, dice: random.Random) -> None:
        """Write what would be left to another folder."""
        durable, folders = dict(self.durable), set(self.folders)
        for folder, names in self.pending.items():
            self.names_kept(folder, dice.randint(0, len(names)), durable, folders)
        shutil.rmtree(where, ignore_errors=True)
        where.mkdir(parents=True)
        for path, file in durable.items():
            if all(parent in folders for parent in path.parents if parent.is_relative_to(self.root)):
                to = where / path.relative_to(self.root)
                to.parent.mkdir(parents=True, exist_ok=True)
                to.write_bytes(_left_of(file, dice))


def _left_of(file: File, dice: random.Random) -> bytes:
    now = file.now()
    if not now.startswith(file.durable):
        return dice.choice((file.durable, now))
    kept = dice.choice((len(file.durable), dice.randint(len(file.durable), len(now)), len(now)))
    zeros = b""
    if kept < len(now) and dice.random() < 1 / 3:  # of the page that was being written the rest is empty
        zeros = b"\0" * (min(len(now), -(-(kept + 1) // PAGE) * PAGE) - kept)
    return now[:kept] + zeros


@contextlib.contextmanager
def watched(disk: Disk) -> Iterator[None]:
    """While this is open, the disk sees what this process does to files."""
    names = ("open", "write", "fsync", "ftruncate", "replace", "rename", "unlink", "mkdir", "rmdir", "link")
    real = {name: getattr(os, name) for name in names}
    real_open, opens = builtins.open, (builtins, io)

    def created(path: object, do: Callable[[], Any]) -> Any:
        mine = disk.mine(path)
        if mine is None or os.path.exists(mine):
            return do()
        disk.happens()
        opened = do()
        if mine.exists():
            disk.named(mine, File(mine))
        return opened

    def os_open(path: Any, flags: int, *args: Any, **more: Any) -> int:
        return created(path, lambda: real["open"](path, flags, *args, **more))

    def any_open(path: Any, *args: Any, **more: Any) -> Any:
        return created(path, lambda: real_open(path, *args, **more))

    def write(number: int, data: Any) -> int:
        if disk.mine(os.readlink(f"/proc/self/fd/{number}")) is not None:
            disk.happens()
        return real["write"](number, data)

    def fsync(number: Any) -> None:
        disk.happens()
        number = number if isinstance(number, int) else number.fileno()
        real["fsync"](number)
        disk.synced(number)

    def moved(name: str) -> Callable[..., None]:
        def move(source: Any, target: Any, **more: Any) -> None:
            mine, to = disk.mine(source), disk.mine(target)
            if mine is None or to is None or mine not in disk.live:
                return real[name](source, target, **more)
            disk.happens()
            file, gone = disk.live[mine], disk.live.get(to)
            if gone is not None and gone is not file:
                gone.last = gone.now()
            real[name](source, target, **more)
            if name != "link":
                disk.named(mine, None)
                file.last = None
            disk.named(to, file)
            return None

        return move

    def unlink(path: Any, *, dir_fd: int | None = None) -> None:
        folder = "" if dir_fd is None else os.readlink(f"/proc/self/fd/{dir_fd}")
        mine = disk.mine(os.path.join(folder, path))
        if mine is not None and mine in disk.live:
            disk.happens()
            disk.live[mine].last = mine.read_bytes()
            real["unlink"](path, dir_fd=dir_fd)
            disk.named(mine, None)
        else:
            real["unlink"](path, dir_fd=dir_fd)

    def mkdir(path: Any, *args: Any, **more: Any) -> None:
        real["mkdir"](path, *args, **more)
        mine = disk.mine(path)
        if mine is not None:
            disk.happens()
            disk.pending.setdefault(mine.parent, []).append((mine, File(mine, is_folder=True)))

    fakes = {"open": os_open, "write": write, "fsync": fsync, "unlink": unlink, "mkdir": mkdir}
    fakes |= {name: moved(name) for name in ("replace", "rename", "link")}
    try:
        for name, fake in fakes.items():
            setattr(os, name, fake)
        for module in opens:
            module.open = any_open  # type: ignore[attr-defined]
        yield
    finally:
        for name, call in real.items():
            setattr(os, name, call)
        for module in opens:
            module.open = real_open  # type: ignore[attr-defined]


def all_steps(place: Path, data: Path, url: str) -> dict[str, Step]:
    """The commands of the pipeline, those that make runs of runs and of others' logs, what goes on from
    these, and those that ask in batches."""
    pipeline = steps(place, data, limit=4, delay_s=0)
    answer = [*pipeline["inference"], "--inference"]
    answer[answer.index("--result-dir") + 1] = place / "shards"
    runs = [place / folder / "paper_Warmup_test_all_0_-1" for folder in ("runs", "shards")]
    of_runs, row = "util.runs.__main__", {"answer": "7", "prompt": "?"}
    thought = "<think>\nI add both and get it.\n</think>\n\n"
    said = {"content": f"{thought}It is \\boxed{{7}}.", "correctness": True, "reason": ""}
    older = {f"What is {n} + 7?": {**row, "responses": {"0.7": [said, said]}} for n in range(8)}
    (data / "older_Warmup_test_None_0_-1.json").write_text(json.dumps(older), encoding="utf-8")
    lines = [
        {"question": q, "answer": "7", "response": f"It is {n}.", "score": n % 2} for n, q in enumerate(older)
    ]
    (data / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    imported = ["--model", "m", "--result-dir", place / "imported"]
    batches = ["--model", "openai/m", "--api-base", url, "--batch", "--engine-args", '{"poll_s": 0.001}']
    in_batches = {
        "batch": ["inference_and_check.py", "--dataset", "Warmup", "--temperatures", 0.7, "--n", 2, *batches]
        + ["--limit", 4, "--max-tokens", 100, "--result-dir", place / "batched"],
        "label in batches": ["label_math_difficulty.py", "--source", "math", *batches]
        + ["--data-dir", data / "mirror", "--output-dir", place / "batched" / "labels"],
    }
    asked = ["inference_and_check.py", "--temperatures", 0.7, "--n", 2]
    about_answers = {
        "judge": [*asked, *_own(data), "--model", "m", "--grade", "judge", "--judge", "jane"]
        + ["--result-dir", place / "judged"],
        "second opinion": [*asked, "--dataset", "Warmup", "--limit", 6, "--second-opinion", "judge"]
        + ["--audit-share", 0.5, *_engine(data / "verifier", [*CAREFUL, YES_TO_ALL, *MODEL])]
        + ["--model", "m", "--result-dir", place / "opinions"],
    }
    older_file = data / "older_Warmup_test_None_0_-1.json"
    of_others = place / "imported" / "m_Warmup_test_all_0_-1"
    engine = answer[answer.index("--engine") :][:4]
    again = ["inference_and_check.py", "--dataset", "Warmup", "--temperatures", 0.7]
    again += ["--check", "--regrade", "--no-stop-loops"]
    return pipeline | {
        "shard": [*answer, "--shard", "1/2", "--limit", 6],
        "merge": [of_runs, "merge", *runs, "-o", place / "merged"],
        "import": [of_runs, "import", data / "log.jsonl", *imported],
        "import older": [of_runs, "import", older_file, "--dataset", "Warmup", *imported],
        "check of an import": [*again, *imported],
        "budget": ["report.py", "budget", of_others, "--at", 1, 3, "--tokenizer", "none", *engine],
        "tune": lambda: _tune(place / "tuned.flags"),
        "page": ["report.py", runs[0], "-o", place / "page.html"],
        "publish": ["report.py", "publish", runs[0], "-o", place / "published", "--model-id", "org/m"],
        **about_answers,
        **(in_batches if find_spec(openai_batches.PACKAGE) else {}),
    }


def _own(data: Path) -> list[object]:
    """Problems of one's own, and an engine for a model and a judge, which fails on some planted answers."""
    rows = ({"question": question, "answer": answer} for question, answer, _ in test_judge.ROWS)
    (data / "own.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    lines = [test_judge.says("correct", "Ignore"), *test_judge.FAIR, *test_judge.MODEL]
    return ["--dataset", data / "own.jsonl", *_engine(data / "judge", lines)]


def _engine(folder: Path, lines: list[dict]) -> list[str]:
    folder.mkdir()
    return paper_engine(folder, *lines)


def _tune(output: Path) -> None:
    """What doctor.py does between its first look and its result, on a machine that is made up."""
    machine = Machine({("max_num_seqs", "128"): 1.5})
    tuned = tuning.tune(output, ASKED, SEQUENCES, machine, lambda base, other: HOLD)
    write_whole(output, tuning.text(tuned, ASKED, "m", "2026-11-29"))


def all_found(place: Path, vendor: BatchEndpoint) -> dict[str, object]:
    """What the commands ended with and paid for; of files that say when something was made, whether they are
    whole."""
    runs = sorted({path.parent for path in place.rglob("samples.jsonl")})
    theirs = [(run.name, key, said) for run in runs for _, key, said in read_theirs(run)]
    page = place / "page.html"
    whole = [
        f"a record: {len(json.loads(path.read_text()))}" for path in (place / "published").rglob("*.json")
    ]
    whole += [f"{len(path.read_text())} characters" for path in (place / "published").rglob("*.jsonl")]
    whole += ["page.html"] if page.exists() and page.read_bytes().rstrip().endswith(b"</html>") else []
    labels = [path.read_text() for path in (place / "batched").glob("labels/labeled_*.json")]
    more = {"theirs": sorted(theirs, key=repr), "whole": sorted({*whole}), "labels in batches": labels}
    opinions = {json.dumps(line, sort_keys=True) for run in runs for _, line in read_lines(run / OPINIONS)}
    begun = [run for run in runs if (run / "run.json").exists()]
    trust = [(run.name, read_run_json(run).get("grading", {}).get("judge_failed")) for run in begun]
    more |= {"opinions": sorted(opinions), "trust": trust}
    forced = [line for run in runs for _, line in read_lines(run / BUDGET)]
    tries = [line for _, line in read_lines(place / "tuned.flags.probes" / tuning.KEPT)]
    flags = [path.read_text() for path in place.glob("tuned.flags")]
    more |= {"forced": sorted(forced, key=repr), "tuned": [*tries, *flags]}
    return found(place) | more | {"paid": dict(vendor.asked)}


def run(command: Step) -> None:
    """A command of the pipeline, in this process."""
    if callable(command):
        return command()
    name, *words = map(str, command)
    script = importlib.import_module(name.removesuffix(".py"))
    status = script.run(script.parse(words))
    assert not status, f"{name} ended with {status}"
    return None


def campaign(folder: Path, cuts: int, seed: int) -> dict[str, Any]:
    """Cut each step so many times in all, half of the times after its end."""
    dice = random.Random(seed)
    data, place = folder / "data", folder / "place"
    for path in (data, place):
        path.mkdir(parents=True)
    small_numina(data)
    small_hub(data)
    differ: list[str] = []
    made = 0
    openai_batches.LISTED_AFTER_S = 0.0
    with BatchEndpoint(*["half_expired"] * 2) as vendor:
        vendor.says = lambda prompt: "[[4]]" if "[[" in prompt else "It is \\boxed{7}."
        commands = all_steps(place, data, vendor.url)
        for number, (name, command) in enumerate(commands.items()):
            share = cuts // len(commands) + (number < cuts % len(commands))
            apart = list(_cut_step(folder, command, share, dice, vendor))
            made += len(apart)
            differ += [f"{name} {what}: {one}" for what, some in apart for one in some]
    return {"cuts": made, "differ": differ}


def _cut_step(
    folder: Path, command: Step, cuts: int, dice: random.Random, vendor: BatchEndpoint
) -> Iterator[tuple[str, list[str]]]:
    """What is different, and after which cut, where a step is cut; the folder is left as the step left it."""
    place, before, after, left = (folder / name for name in ("place", "before", "after", "left"))
    _copy(place, before)
    at_first = vendor.known()
    disk = Disk(place)
    with watched(disk):
        run(command)
    want = all_found(place, vendor)
    assert {*vendor.asked.values()} <= {1}
    _copy(place, after)
    at_last = vendor.known()
    states = {f"after its end, {which}": left / f"{which}" for which in range(cuts // 2)}
    for state in states.values():
        disk.cut(state, dice)
    moments: dict[int, list[Path]] = {}
    for which in range(cuts - len(states)):  # a step with few moments is cut at each of them several times
        moment = dice.randint(1, disk.moment)
        moments.setdefault(moment, []).append(left / f"at {moment}, {which}")
    _copy(before, place)
    vendor.know(at_first)
    known: dict[Path, dict] = {}
    disk = Disk(place)

    def cut(moment: int) -> None:
        for state in moments.get(moment, ()):
            disk.cut(state, dice)
            known[state] = vendor.known()

    disk.at = cut
    with watched(disk):
        run(command)
    vendor.know(at_last)
    for what, state in states.items():
        yield what, _apart(want, state, place, None, vendor)
    for state in itertools.chain(*moments.values()):
        if state.exists():  # the second time a step may do a little less
            vendor.know(known[state])
            yield state.name, _apart(want, state, place, command, vendor)
    shutil.rmtree(left, ignore_errors=True)
    _copy(after, place)
    vendor.know(at_last)


def _apart(
    want: dict[str, object], state: Path, place: Path, command: Step | None, vendor: BatchEndpoint
) -> list[str]:
    """What is different in a state from which a command goes on."""
    _copy(state, place)
    try:
        if command is not None:
            _forget_processes(place)
            all_found(place, vendor)  # whoever looks at it now finds nothing damaged
            run(command)
        got = all_found(place, vendor)
    except (UserError, RunStopped, OSError, ValueError) as error:
        return [f"{type(error).__name__}: {error}"]
    return [name for name in want if want[name] != got.get(name)]


def _forget_processes(place: Path) -> None:
    """What files say of this process, which goes on, is said of one that the power cut ended."""
    shards.UNSAID_S = 0.0
    for path in place.rglob("*.[0-9]*"):
        if path.parent.name == shards.SHARDS and (said := read_holder(path)):
            path.write_text(json.dumps({**said, "started": "before"}), encoding="utf-8")


def _copy(source: Path, target: Path) -> None:
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target)


def main(folder: str, cuts: str = "500", seed: str = "0") -> None:
    print(json.dumps(campaign(Path(folder), int(cuts), int(seed)), indent=1))


if __name__ == "__main__":
    main(*sys.argv[1:])
