"""What may others read of a run, so that they can repeat its number?

Call `check_publishable`, then `write_records`: an Every-Eval-Ever record with a line for each sample, and the
entry of `.eval_results` for the model's page on the hub. Nothing is sent. Paths of this machine, addresses of
endpoints and keys are in none of them.
"""

from __future__ import annotations

import hashlib
import json
import re
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from util.errors import UserError
from util.records import NOT_JUDGED, Record, exact_number
from util.results.estimates import CONFIDENCE
from util.results.public import public_info, public_settings, without_places
from util.results.sides import Side
from util.runs.journal import make_folders, sha256_of, sha256_of_text, whole_json, write_lines, write_whole
from util.runs.lines import SAMPLES
from util.runs.reader import read_records
from util.runs.repeat import command_of
from util.settings import BY_NAME, NOT_RECORDED, SETTINGS, short_name, values_of

SCHEMA_VERSION = "0.3.0"  # of evaleval/every_eval_ever
CHOOSING = ("source", "start", "end", "filter_difficulty", "limit", "start_date", "end_date")
NAMED_BY_THE_SCHEMA = re.compile(r"top_.|max_tokens").fullmatch  # settings that it has a field for
_RETRIEVED = "retrieved_timestamp"
_HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+")
_COMMIT = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True)
class Origin:
    """What a benchmark says of itself that a reader of its results should know."""

    usual_split: str = ""
    config: str | None = None
    hub_task: str = ""  # its name on the hub's leaderboard; "": it has none that we know
    notes: Mapping[str, Any] = field(default_factory=dict)
    in_plain_text: bool = False  # whether questions and answers may be read by anybody


@dataclass(frozen=True)
class Publisher:
    """Who publishes a result of which model, and where more can be read."""

    model_id: str
    organization: str = "not stated"
    relationship: str = "other"
    source_url: str | None = None


@dataclass(frozen=True)
class Published:
    """The files that were written; None for what was not, and why the leaderboard gets nothing."""

    record: Path
    samples: Path | None
    entry: Path | None
    why_no_entry: str


def check_publishable(side: Side, *, incomplete: bool, aggregate_only: bool) -> None:
    """Raise UserError for a run whose number should not stand anywhere as it is."""
    info = side.facts.info
    if "imported" in info["made_with"] or "asked" not in info:
        raise UserError(
            f"{side.folder} was imported, so nobody knows all that made its samples, and nobody could repeat "
            "its number: publish a run of this suite"
        )
    unfinished = _unfinished(side)
    if unfinished and not incomplete:
        raise UserError(
            f"{side.folder} is not finished ({unfinished}): run its command again, or publish it as "
            "incomplete with --incomplete"
        )
    if _is_own_file(side) and not aggregate_only:
        raise UserError(
            f"{side.folder} asks problems of {side.task}, a file that has no public address, so nobody could "
            "read its samples with profit: ask them as hf://datasets/ORG/NAME, or give --aggregate-only"
        )


def model_id(side: Side, said: str | None) -> str:
    """The name under which everybody knows the model; raises UserError where the run's is no such name."""
    name = said or side.model.removeprefix("openai/")
    is_folder = said is None and "weights" in side.facts.info["made_with"].get("model", {})
    if is_folder or not _HUB_NAME.fullmatch(name) or name.startswith("."):
        raise UserError(
            f"{name} is not the name by which everybody knows a model: give it as --model-id ORG/NAME"
        )
    return name


def write_records(
    folder: Path, side: Side, origin: Origin, by: Publisher, *, aggregate_only: bool = False
) -> Published:
    """Write what may be read of a run below `folder`, in the layout of the datastore and of a model's page.

    The same result is written to the same files again.
    """
    now = f"{datetime.now(UTC).timestamp():.3f}"
    record = _record(side, origin, by, now)
    there = {name: value for name, value in record.items() if name not in ("evaluation_id", _RETRIEVED)}
    digest = hashlib.sha256(json.dumps(there, sort_keys=True).encode()).digest()
    name = uuid.UUID(bytes=digest[:16], version=4)
    place = Path("data", side.task.replace("/", "_"), *by.model_id.split("/"))
    path, samples = folder / place / f"{name}.json", folder / place / f"{name}_samples.jsonl"
    make_folders(path.parent)
    if aggregate_only:
        samples.unlink(missing_ok=True)
    else:
        write_lines(samples, _lines(side, origin, record["evaluation_id"], by.model_id))
        record["detailed_evaluation_results"] = _about_samples(samples, place, origin, side)
    write_whole(path, whole_json(record))
    why = _why_no_entry(side, origin)
    entry = Path(folder, "models", by.model_id, ".eval_results", f"{side.task.replace('/', '_')}.yaml")
    if not why:
        make_folders(entry.parent)
        write_whole(entry, _entry(side, origin, by))
    return Published(path, None if aggregate_only else samples, None if why else entry, why)


# --- the record ---


def _record(side: Side, origin: Origin, by: Publisher, now: str) -> dict[str, Any]:
    info = public_info(side.facts.info)
    made = info["made_with"]
    name, _, version = (made.get("engine") or "").partition(" ")
    is_here = name not in ("", "openai")
    where: dict[str, Any] = {"inference_platform": "an OpenAI-compatible endpoint"} if name else {}
    if is_here:
        where = {"inference_engine": {"name": name, "version": version or NOT_RECORDED}}
    libraries = {f"library {one}": value for one, value in made.get("libraries", {}).items()}
    hardware = made.get("hardware", {})
    machine = {"gpus": ", ".join(hardware.get("gpus", ())), "cpu": hardware.get("cpu")}
    organization = {"source_organization_name": by.organization}
    if by.source_url is not None:
        organization["source_organization_url"] = by.source_url
    return {
        "schema_version": SCHEMA_VERSION,
        "evaluation_id": f"{side.task}/{by.model_id}/{now}",
        _RETRIEVED: now,
        "evaluation_timestamp": _when(side).isoformat(),
        "source_metadata": {
            "source_name": "distillery",
            "source_type": "evaluation_run",
            **organization,
            "evaluator_relationship": by.relationship,
        },
        "eval_library": {
            "name": "distillery",
            "version": made.get("suite") or NOT_RECORDED,
            "additional_details": _texts({"python": made.get("python"), **libraries, **machine}),
        },
        "model_info": {
            "name": short_name(info["settings"]["model"]),
            "id": by.model_id,
            **where,
            "additional_details": {
                "deployment_type": "self_deployed" if is_here else "unknown",
                "model_availability": "unknown",
                **_texts(made.get("model", {})),
            },
        },
        "evaluation_results": list(_results(side, origin, info)),
    }


def _results(side: Side, origin: Origin, info: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """avg@n first, to which the samples come, then pass@k and maj@k of the largest k that all have."""
    found = side.headline
    assert found.avg is not None  # a side has a number
    interval = {
        "confidence_interval": {
            "lower": found.avg.low,
            "upper": found.avg.high,
            "confidence_level": CONFIDENCE,
            "method": "random weights (Gaffke 2005) over problems",
        },
        "num_samples": found.judged_problems,
    }
    said = found.as_json()
    counts = {
        name: said.get(name)
        for name in ("samples", "judged", "correct", "undecided", "missing", "ungraded", "truncated")
        + ("no_answer", "not_judged", "apart", "completed_accuracy", "prompt_tokens", "completion_tokens")
        + ("rules", "by_judge")
    }
    counts |= {"problems": found.judged_problems, "problems_asked": found.asked.problems, "n": found.drawn()}
    counts |= {"score_if_undecided_were_correct": found.avg.up_to, "graders": _graders(side)}
    counts["incomplete"] = _unfinished(side)
    counts |= {f"{what}_followed": vars(share) for what, share in found.rules.items()}
    common = {
        "evaluation_name": side.task,
        "source_data": _source(side, origin, info),
        "generation_config": _generation(side, origin, info),
    }
    first = _metric("avg", found.drawn(), "mean over problems of the share of samples correct")
    if found.by_judge is not None:
        first["metric_config"]["llm_scoring"] = _judge(values_of(info), found.by_judge["label"])
    details = {"score": found.avg.value, "uncertainty": interval, "details": _texts(counts)}
    yield {**first, **common, "score_details": details}
    named = (
        ("pass", found.pass_at, "chance that one of k samples is correct"),
        ("maj", found.maj_at, "chance that the most frequent of k answers is correct"),
    )
    for name, values, what in named if found.n > 1 else ():
        best = found.over_all(values)
        if best is not None:
            yield {**_metric(name, str(best[0]), what), **common, "score_details": {"score": best[1]}}


def _metric(name: str, k: str, what: str) -> dict[str, Any]:
    return {
        "evaluation_result_id": name,
        "metric_config": {
            "evaluation_description": f"{name}@{k}: {what}",
            "metric_id": {"avg": "accuracy", "pass": "pass_at_k", "maj": "majority_at_k"}[name],
            "metric_name": f"{name}@{k}",
            "metric_unit": "proportion",
            "metric_parameters": {"n" if name == "avg" else "k": int(k) if k.isdecimal() else k},
            "lower_is_better": False,
            "score_type": "continuous",
            "min_score": 0,
            "max_score": 1,
        },
    }


def _graders(side: Side) -> dict[str, int]:
    """How many samples each grader judged; the name of one may be that of a model here."""
    return {without_places(name): count for name, count in side.headline.graders.items()}


def _judge(values: Mapping[str, Any], label: str) -> dict[str, Any]:
    """Which model judged the answers, and in reply to which words."""
    name = str(values["judge"]).removeprefix("openai/")
    known = {"deployment_type": "unknown", "model_availability": "unknown"}
    return {
        "judges": [{"model_info": {"name": short_name(name), "id": name, "additional_details": known}}],
        "input_prompt": f"prompt with the hash {values['judge_prompt']} ({label})",
    }


def _source(side: Side, origin: Origin, info: Mapping[str, Any]) -> dict[str, Any]:
    dataset = info["dataset"]
    path, split = str(dataset.get("path")), dataset.get("split")
    details = {name: dataset.get(name) for name in ("revision", "licence", "rows", "labels")}
    details |= {name: note for name, note in origin.notes.items() if isinstance(note, str)}
    details |= {"config": origin.config, "problems_asked": side.headline.asked.problems}
    if not _is_on_hub(side):
        details |= {"file": Path(path).name, "split": split}
        return {"dataset_name": side.task, "source_type": "other", "additional_details": _texts(details)}
    return {
        "dataset_name": side.task,
        "source_type": "hf_dataset",
        "hf_repo": path,
        **({"hf_split": split} if split else {}),
        "additional_details": _texts(details),
    }


def _generation(side: Side, origin: Origin, info: dict[str, Any]) -> dict[str, Any]:
    values, prompt, settings = values_of(info), info["prompt"], public_settings(info)
    if not origin.in_plain_text:  # it may show examples; its hash stays
        del settings["system_prompt"]
    own_words = str(values["prompt"]).startswith("text:")
    arguments = {
        "temperature": side.temperature,
        **{name: value for name, value in values.items() if NAMED_BY_THE_SCHEMA(name)},
        "execution_command": command_of(info),
        "prompt_template": prompt.get("text") if origin.in_plain_text or not own_words else None,
    }
    return {
        "generation_args": {
            name: value for name, value in arguments.items() if value is not None and value != NOT_RECORDED
        },
        "additional_details": _texts(settings),
    }


def _texts(values: Mapping[str, Any]) -> dict[str, str]:
    """Values as texts, as the schema has them; what says nothing is left out."""
    return {
        name: value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        for name, value in values.items()
        if value not in (None, "", [], {})
    }


# --- a line for each sample ---


def _lines(side: Side, origin: Origin, evaluation_id: str, model: str) -> Iterator[str]:
    """What was judged; of the rest the record says how much there is."""
    for record in read_records(side.folder):
        verdict = record.verdict
        if record.sample.temperature != side.temperature or verdict is None or verdict.reason in NOT_JUDGED:
            continue
        sample = record.sample
        line = {
            "schema_version": SCHEMA_VERSION,
            "evaluation_id": evaluation_id,
            "model_id": model,
            "evaluation_name": side.task,
            "evaluation_result_id": "avg",
            "sample_id": sample.problem_id,
            "sample_hash": sha256_of_text(record.question + (record.answer or "")),
            "interaction_type": "single_turn",
            **(_told(record) if origin.in_plain_text else _hashed(record)),
            "evaluation": {"score": float(verdict.correct), "is_correct": verdict.correct},
            "token_usage": _tokens(record),
            "metadata": _texts(
                {
                    "index": sample.index,
                    "reason": verdict.reason,
                    "grader": without_places(verdict.grader),
                    "finish_reason": sample.finish_reason,
                }
            ),
        }
        yield json.dumps(line) + "\n"  # in ASCII: a text may have halves of characters


def _told(record: Record) -> dict[str, Any]:
    verdict, sample = record.verdict, record.sample
    found = None if verdict is None else verdict.extracted
    attribution = [
        {
            "turn_idx": 0,
            "source": "output.raw",
            "extracted_value": found,
            "extraction_method": (verdict and verdict.how) or NOT_RECORDED,
            "is_terminal": True,
        }
    ]
    return {
        "input": {
            "raw": record.question,
            "formatted": record.prompt,
            "reference": [] if record.answer is None else [record.answer],
            **({"choices": list(record.choices)} if record.choices else {}),
        },
        "output": {
            "raw": [record.graded_text],
            **({"reasoning_trace": [sample.reasoning]} if sample.reasoning else {}),
        },
        "answer_attribution": [] if found is None else attribution,
    }


def _hashed(record: Record) -> dict[str, Any]:
    """Of problems whose authors ask that nobody reads them in plain text."""
    return {
        "input": {"raw": f"sha256:{sha256_of_text(record.question)}", "reference": []},
        "output": {"raw": [f"sha256:{sha256_of_text(record.graded_text)}"]},
        "answer_attribution": [],
    }


def _tokens(record: Record) -> dict[str, int]:
    used = record.sample.prompt_tokens, max(0, record.sample.completion_tokens)
    return {"input_tokens": used[0], "output_tokens": used[1], "total_tokens": sum(used)}


def _about_samples(samples: Path, place: Path, origin: Origin, side: Side) -> dict[str, Any]:
    with open(samples, "rb") as file:
        rows = sum(1 for _ in file)
    texts = "texts are hashes, as the authors of the problems ask" if not origin.in_plain_text else ""
    licence = side.facts.info["dataset"].get("licence")
    return {
        "format": "jsonl",
        "file_path": f"{place.as_posix()}/{samples.name}",
        "hash_algorithm": "sha256",
        "checksum": sha256_of(samples),
        "total_rows": rows,
        "additional_details": _texts({"licence": licence, "texts": texts}),
    }


# --- the entry on a model's page ---


def _why_no_entry(side: Side, origin: Origin) -> str:
    """Why a result belongs on no leaderboard of the hub; "" where it does."""
    values = values_of(side.facts.info)
    narrowed = [name for name in CHOOSING if values[name] not in (BY_NAME[name].default, None, NOT_RECORDED)]
    if values["split"] not in (origin.usual_split, None):
        narrowed.append("split")
    if not origin.hub_task or not _is_on_hub(side):
        return f"the suite knows no leaderboard of {side.task} on the hub (--hub-task names its task)"
    if side.headline.by_judge is not None:
        return f"a judge graded it ({side.headline.by_judge['label']})"
    if narrowed:
        flags = ", ".join(BY_NAME[name].flag for name in narrowed)
        return f"the run asks a part of {side.task} ({flags})"
    return f"the run is not finished ({_unfinished(side)})" if _unfinished(side) else ""


def _entry(side: Side, origin: Origin, by: Publisher) -> str:
    """YAML, in which each text stands as JSON has it."""
    info = public_info(side.facts.info)
    dataset, values = info["dataset"], values_of(info)
    revision = str(dataset.get("revision"))
    sampling = [setting.shown(values[setting.name]) for setting in SETTINGS if setting.group == "sampling"]
    notes = "; ".join(
        (
            f"{side.score}, {side.headline.judged} samples",
            ", ".join(filter(None, (f"temperature {exact_number(side.temperature)}", *sampling))),
            ", ".join(_graders(side)),
            f"distillery {info['made_with'].get('suite')}",
        )
    )
    lines = [
        "- dataset:",
        f"    id: {json.dumps(dataset['path'])}",
        f"    task_id: {json.dumps(origin.hub_task)}",
    ]
    if _COMMIT.fullmatch(revision):
        lines.append(f"    revision: {json.dumps(revision)}")
    lines += [
        f"  value: {round(100 * side.average, 2)}",
        f"  date: {json.dumps(_when(side).date().isoformat())}",
    ]
    if by.source_url is not None:
        lines += ["  source:", f"    url: {json.dumps(by.source_url)}", '    name: "Samples and settings"']
    return "\n".join([*lines, f"  notes: {json.dumps(notes)}"]) + "\n"


# --- what a run is ---


def _unfinished(side: Side) -> str:
    """What a run lacks, in words; "" where it has all that was asked."""
    if side.facts.being_written_by:
        return f"{side.facts.being_written_by} writes to it"
    if side.headline.complete:
        return ""
    return side.headline.unfinished().partition(": ")[2] or side.headline.over_some().strip()


def _is_own_file(side: Side) -> bool:
    address = side.facts.info["dataset"].get("address")
    return address is not None and not address.startswith("hf://")


def _is_on_hub(side: Side) -> bool:
    path = str(side.facts.info["dataset"].get("path"))
    return bool(_HUB_NAME.fullmatch(path)) and not path.endswith(".jsonl")


def _when(side: Side) -> datetime:
    """When the last sample was written."""
    seconds = (side.folder / SAMPLES).stat().st_mtime
    return datetime.fromtimestamp(round(seconds), UTC)
