"""Benchmarks of mathematics in many languages, a benchmark for each."""

from tasks import FAMILIES
from tasks.own import task_of_columns
from util.task import Source, Task


def mgsm(name: str, code: str) -> Task:
    """Translations of 250 problems of GSM8K, in the hub's own copy as parquet: the data set is a script."""
    source = Source(
        path="juletxara/mgsm",
        files={"test": (f"{code}/test/0000.parquet",)},
        split="test",
        revision="refs/convert/parquet",
        licence="CC BY-SA 4.0",
    )
    return task_of_columns(name, source, {"question": "question", "answer": "answer_number"}, grade="number")


def polymath(name: str, code: str) -> Task:
    """Problems of four levels, which are its splits: low, medium, high and top."""
    source = Source(
        path="Qwen/PolyMath", files={}, split="top", config=code, is_streamed=True, licence="see its card"
    )
    return task_of_columns(name, source, {"question": "question", "answer": "answer", "id": "id"})


MAKERS = {"MGSM": mgsm, "PolyMath": polymath}
TASKS = {
    name: MAKERS[name.split("-")[0]](name, name.split("-")[1])
    for name, file in FAMILIES.items()
    if file == "languages"
}
