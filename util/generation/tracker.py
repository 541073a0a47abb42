"""How does one experiment tracker hear what a command does?

Run as a program of its own by `tracking.py`, which writes it JSON lines; whatever happens here, the command
goes on. It imports nothing of the suite.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import threading
from collections.abc import Mapping
from typing import Any, Protocol, TextIO

LEFT_ALONE_S = 60  # to send the rest, once the command is gone
Numbers = dict[str, float]


class Tracker(Protocol):
    link: str  # where a person looks at it

    def progress(self, numbers: Numbers) -> None: ...

    def result(self, numbers: Numbers) -> None: ...

    def end(self) -> None: ...


class Wandb:
    def __init__(self, project: str, name: str, folder: str, settings: Mapping[str, Any]) -> None:
        import wandb

        quiet = wandb.Settings(
            console="off",
            disable_code=True,
            disable_git=True,
            x_disable_machine_info=True,
            x_disable_meta=True,
            x_disable_stats=True,
        )
        self._run = wandb.init(project=project, name=name, dir=folder, config=dict(settings), settings=quiet)
        self.link = self._run.url or f"wandb sync {os.path.relpath(os.path.dirname(self._run.dir))}"

    def progress(self, numbers: Numbers) -> None:
        self._run.log(numbers)

    def result(self, numbers: Numbers) -> None:
        self._run.summary.update(numbers)

    def end(self) -> None:
        self._run.finish()


class Trackio:
    def __init__(self, project: str, name: str, folder: str, settings: Mapping[str, Any]) -> None:
        import trackio

        self._trackio = trackio
        trackio.init(
            project=project,
            name=name,
            config=dict(settings),
            embed=False,
            auto_log_gpu=False,
            auto_log_cpu=False,
        )
        self.link = f"trackio show --project {project}"

    def progress(self, numbers: Numbers) -> None:
        self._trackio.log(numbers)

    def result(self, numbers: Numbers) -> None:
        self._trackio.log(numbers)

    def end(self) -> None:
        self._trackio.finish()


class Mlflow:
    def __init__(self, project: str, name: str, folder: str, settings: Mapping[str, Any]) -> None:
        import mlflow

        self._mlflow = mlflow
        mlflow.set_experiment(project)
        nobody = {"mlflow.source.name": project, "mlflow.user": "-"}  # else a path here, and who is logged in
        run = mlflow.start_run(run_name=name, tags=nobody, log_system_metrics=False)
        mlflow.log_params(settings)
        self.link = f"mlflow run {run.info.run_id} of experiment {project}"

    def progress(self, numbers: Numbers) -> None:
        self._mlflow.log_metrics(numbers, step=int(numbers.get("samples", 0)))

    def result(self, numbers: Numbers) -> None:
        self._mlflow.log_metrics(numbers)

    def end(self) -> None:
        self._mlflow.end_run()


TRACKERS: dict[str, type[Wandb | Trackio | Mlflow]] = {"wandb": Wandb, "trackio": Trackio, "mlflow": Mlflow}


def main() -> None:
    # What packages print goes to standard error, a log file; nothing but this reads from the command.
    heard, told = os.fdopen(os.dup(0), encoding="utf-8"), os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)
    lines: queue.SimpleQueue[str] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(heard, lines), daemon=True).start()
    first = lines.get()
    if not first:
        return
    begun = json.loads(first)
    tracker: Tracker = TRACKERS[begun.pop("tracker")](**begun)
    told.write(tracker.link)
    told.flush()
    while line := lines.get():
        (what, numbers), *_ = json.loads(line).items()
        (tracker.progress if what == "progress" else tracker.result)(numbers)
    tracker.end()


def _listen(heard: TextIO, lines: queue.SimpleQueue[str]) -> None:
    """Take all that the command says, however slow the tracker is; at its end there is little time left."""
    for line in heard:
        lines.put(line)
    signal.alarm(LEFT_ALONE_S)
    lines.put("")


if __name__ == "__main__":
    main()
