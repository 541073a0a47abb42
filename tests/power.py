"""Cuts the power of a disk that is not there, and asks what a command finds on it afterwards.

    python tests/power.py FOLDER [CUTS [SEED]]

A `Disk` watches what commands do below a folder and knows what of it would survive a power cut: what was in
a file at its last fsync, and the names that a folder had at its own. Of the rest any part may be there, in
any order between files and with a torn last page. The campaign cuts every step of the pipeline at random
moments, runs it to its end on what was left, and prints what differs from an undisturbed run (nothing, if all
is well).
"""

from __future__ import annotations

import builtins
import contextlib
import importlib
import io
import json
import os
import random
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from kill_campaign import found, steps  # noqa: E402
from test_eval import small_hub  # noqa: E402
from test_labelling import small_numina  # noqa: E402

from util.errors import RunStopped, UserError  # noqa: E402

PAGE = 4096


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
    at: Callable[[int], None] = lambda moment: None  # called before each thing that happens

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

    def unlink(path: Any, *args: Any, **more: Any) -> None:
        mine = disk.mine(path)
        if mine is not None and mine in disk.live:
            disk.happens()
            disk.live[mine].last = mine.read_bytes()
            real["unlink"](path, *args, **more)
            disk.named(mine, None)
        else:
            real["unlink"](path, *args, **more)

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


def run(command: list[object]) -> None:
    """A command of the pipeline, in this process."""
    name, *words = map(str, command)
    script = importlib.import_module(name.removesuffix(".py"))
    status = script.run(script.parse(words))
    assert not status, f"{name} ended with {status}"


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
    commands = steps(place, data, limit=4, delay_s=0)
    for number, (name, command) in enumerate(commands.items()):
        share = cuts // len(commands) + (number < cuts % len(commands))
        apart = list(_cut_step(folder, command, share, dice))
        made += len(apart)
        differ += [f"{name} {what}: {one}" for what, some in apart for one in some]
    return {"cuts": made, "differ": differ}


def _cut_step(
    folder: Path, command: list[object], cuts: int, dice: random.Random
) -> Iterator[tuple[str, list[str]]]:
    """What is different, and after which cut, where a step is cut; the folder is left as the step left it."""
    place, before, after, left = (folder / name for name in ("place", "before", "after", "left"))
    _copy(place, before)
    disk = Disk(place)
    with watched(disk):
        run(command)
    want = found(place)
    _copy(place, after)
    states = {f"after its end, {which}": left / f"{which}" for which in range(cuts // 2)}
    for state in states.values():
        disk.cut(state, dice)
    some = min(disk.moment, cuts - cuts // 2)
    moments = {moment: left / f"at {moment}" for moment in dice.sample(range(1, disk.moment + 1), some)}
    _copy(before, place)
    disk = Disk(place)
    disk.at = lambda moment: disk.cut(moments[moment], dice) if moment in moments else None
    with watched(disk):
        run(command)
    for what, state in states.items():
        yield what, _apart(want, state, place, None)
    for moment, state in moments.items():
        if state.exists():  # the second time a step may do a little less
            yield f"at {moment}", _apart(want, state, place, command)
    shutil.rmtree(left, ignore_errors=True)
    _copy(after, place)


def _apart(want: dict[str, object], state: Path, place: Path, command: list[object] | None) -> list[str]:
    """What is different in a state from which a command goes on."""
    _copy(state, place)
    try:
        if command is not None:
            found(place)  # whoever looks at it now finds nothing damaged
            run(command)
        got = found(place)
    except (UserError, RunStopped, OSError, ValueError) as error:
        return [f"{type(error).__name__}: {error}"]
    return [name for name in want if want[name] != got.get(name)]


def _copy(source: Path, target: Path) -> None:
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target)


def main(folder: str, cuts: str = "500", seed: str = "0") -> None:
    print(json.dumps(campaign(Path(folder), int(cuts), int(seed)), indent=1))


if __name__ == "__main__":
    main(*sys.argv[1:])
