"""Which benchmarks are there, in the order of the README?"""

from importlib import import_module

from util.task import Task

FILES = (
    "warmup",
    "numina",
    "math500",
    "aime",
    "gpqa",
    "mmlu",
    "mmlu_pro",
    "gsm8k",
    "arc_c",
    "amc23",
)

TASKS: dict[str, Task] = {}
for _file in FILES:
    _task = import_module(f"tasks.{_file}").task
    TASKS[_task.name] = _task
