"""What does inspect_ai log?

Call `read`: one log of a .eval file, a zip with one member per sample, or of a .json file.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from util.data.files import ending
from util.data.foreign.samples import (
    ForeignSample,
    Log,
    Score,
    count,
    end_of,
    last_of,
    number,
    read_object,
    score_of,
    texts,
    thought_of,
)
from util.errors import UserError
from util.response import message_text

TOOL = "inspect_ai"
VERSIONS = (1, 2)  # of the log's layout
ZSTD = 93  # a method of compression that `zipfile` knows from Python 3.14 on
LETTERS = {"C": 1.0, "P": 0.5, "I": 0.0, "N": 0.0}  # correct, partly, incorrect, no answer
ATTACHED = "attachment://"


def fits(content: Mapping[str, Any]) -> bool:
    return {"version", "eval", "samples"} <= content.keys()


def read(path: Path) -> list[Log]:
    """Raises UserError for a version that is not known."""
    if ending(path) == ".eval":
        with _archive(path) as archive:
            names = archive.namelist()
            # A run that was killed has no header: what it began with says the rest.
            name = next((one for one in ("header.json", "_journal/start.json") if one in names), None)
            if name is None:
                raise UserError(f"{path} has no header.json: it is no log of inspect_ai, or not whole")
            header = _member(path, archive, archive.getinfo(name), digits=True)
    else:
        header = read_object(path, digits=True)
    if header.get("version") not in VERSIONS:
        raise UserError(
            f"{path} has version {header.get('version')!r} of inspect_ai's log, and 1 and 2 are known: write "
            "it anew with `inspect log convert`"
        )
    about = header["eval"]
    # What the model was called with; a task's own settings stand in the plan.
    configs = (about.get("model_generate_config"), (header.get("plan") or {}).get("config"))
    temperature, limit = (_said(configs, name) for name in ("temperature", "max_tokens"))
    return [
        Log(
            TOOL,
            path,
            about.get("task") or path.stem,
            lambda: (_sample(sample, temperature) for sample in _samples(path)),
            model=about.get("model"),
            version=(about.get("packages") or {}).get("inspect_ai"),
            max_tokens=None if limit is None else count(int(limit)) or None,
            scores=_scores(header.get("results") or {}),
        )
    ]


def _said(configs: Sequence[Mapping[str, Any] | None], name: str) -> float | None:
    found = (number((config or {}).get(name)) for config in configs)
    return next((value for value in found if value is not None), None)


def _scores(results: Mapping[str, Any]) -> dict[str, object]:
    found = {}
    for score in results.get("scores") or ():
        metrics = score.get("metrics") or {}
        mean = metrics.get("accuracy") or metrics.get("mean")
        if mean is not None:
            found[score["name"]] = mean.get("value")
    return found


def _samples(path: Path) -> Iterator[dict]:
    if ending(path) != ".eval":
        yield from read_object(path).get("samples") or ()
        return
    with _archive(path) as archive:
        for info in archive.infolist():
            if info.filename.startswith("samples/") and info.filename.endswith(".json"):
                yield _member(path, archive, info)


def _archive(path: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError) as error:
        raise UserError(f"{path} is not a whole zip file ({error}): fetch the log again") from error


def _member(path: Path, archive: zipfile.ZipFile, info: zipfile.ZipInfo, *, digits: bool = False) -> dict:
    try:
        text = _unpacked_zstd(path, info) if info.compress_type == ZSTD else archive.read(info)
        content = json.loads(text, parse_float=str if digits else None)
    except (zipfile.BadZipFile, OSError, EOFError, ValueError, RecursionError) as error:
        raise UserError(f"{info.filename} of {path} cannot be read ({error}): fetch the log again") from error
    if not isinstance(content, dict):
        raise UserError(f"{info.filename} of {path} holds no object: fetch the log again")
    return content


def _unpacked_zstd(path: Path, info: zipfile.ZipInfo) -> bytes:
    """A member that only newer versions of `zipfile` can unpack: it begins behind its own short header."""
    import pyarrow

    with path.open("rb") as file:
        file.seek(info.header_offset + 26)
        lengths = file.read(4)
        file.seek(int.from_bytes(lengths[:2], "little") + int.from_bytes(lengths[2:], "little"), 1)
        packed = file.read(info.compress_size)
    with pyarrow.CompressedInputStream(pyarrow.BufferReader(packed), "zstd") as stream:
        return stream.read(info.file_size)


def _sample(raw: dict, temperature: float | None) -> ForeignSample:
    attachments = raw.get("attachments") or {}
    asked, output = _attached(raw.get("input"), attachments), _attached(raw.get("output") or {}, attachments)
    messages = _attached(raw.get("messages") or [], attachments)
    choice = (output.get("choices") or [{}])[0]
    content = (choice.get("message") or {}).get("content", output.get("completion"))
    usage, target = output.get("usage") or {}, raw.get("target")
    prompt = message_text(
        last_of("user", [one for one in messages if one.get("role") != "assistant"]).get("content")
    )
    question = asked if isinstance(asked, str) else message_text(last_of("user", asked).get("content"))
    missing = "" if output.get("choices") else "failed there" if raw.get("error") else "without a response"
    return ForeignSample(
        question=question,
        text=message_text(content),
        problem=str(raw.get("id")),
        index=count(raw.get("epoch")) - 1 if count(raw.get("epoch")) else None,
        prompt=prompt,
        reference=target[0] if isinstance(target, list) and len(target) == 1 else target,
        choices=texts(raw.get("choices")),
        reasoning=thought_of(content),
        temperature=temperature,
        finish_reason=end_of(choice.get("stop_reason")),
        prompt_tokens=count(usage.get("input_tokens")),
        completion_tokens=count(usage.get("output_tokens")),
        scores=tuple(_scores_of(raw)),
        missing=missing,
    )


def _scores_of(raw: dict) -> Iterator[Score]:
    one = {"score": raw["score"]} if raw.get("score") else {}  # until version 1
    for name, score in (raw.get("scores") or one).items():
        value, answer = score.get("value"), score.get("answer")
        for metric, said in value.items() if isinstance(value, dict) else [(name, value)]:
            found = LETTERS[said] if isinstance(said, str) and said in LETTERS else score_of(said)
            yield Score(metric, found, answer if isinstance(answer, str) else None)


def _attached(value: Any, attachments: Mapping[str, str]) -> Any:
    """A value with the long texts in it that the log keeps apart."""
    if isinstance(value, str):
        return attachments.get(value.removeprefix(ATTACHED), value) if value.startswith(ATTACHED) else value
    if isinstance(value, list):
        return [_attached(one, attachments) for one in value]
    if isinstance(value, dict):
        return {name: _attached(one, attachments) for name, one in value.items()}
    return value
