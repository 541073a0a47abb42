"""May anybody read what is published of a run, and does it say all that repeats the number?"""

import hashlib
import json
from pathlib import Path

import jsonschema
import pytest
import yaml
from helpers import here, json_lines
from huggingface_hub import parse_eval_result_entries
from made_runs import make_run

import report

# The schemas of evaleval/every_eval_ever, version 0.3.0, without prose and without what no record here has.
SCHEMAS = json.loads((Path(__file__).parent / "every_eval_ever.json").read_text())
RECORD, LINE = (jsonschema.Draft7Validator(SCHEMAS[name]) for name in ("aggregate", "instance"))
SHARES = (4, 3, 0, 2, 4, 1)  # correct ones of four samples of each problem


def run_of(folder, *, change=None, samples=(), path="openai/gsm8k", **given):
    """A finished run of six problems; `change` edits its run.json."""
    drawn = [
        {"problem_id": f"p{place}", "index": index, "correct": index < share}
        for place, share in enumerate(SHARES)
        for index in range(4)
    ]
    settings = {"task": "GSM8K", "model": "Qwen/QwQ-32B", **given.pop("settings", {})}
    run = make_run(folder, [*drawn, *samples], settings=settings, dataset={"path": path}, **given)
    info = json.loads((run / "run.json").read_text())
    info["asked"] |= {"n": 4, "at": {"0.7": [[6, 4]]}}
    if change is not None:
        change(info)
    (run / "run.json").write_text(json.dumps(info))
    return run


def published(run, *flags):
    """The command in this process, and what it wrote: record, lines and entry, each checked by its schema."""
    done = here(report, "publish", run, "-o", run.parent / "out", *flags)
    assert done.returncode == 0, done.stderr
    paths = json.loads(done.stdout.strip().split("\n")[-1])
    record = json.loads(Path(paths["record"]).read_text())
    RECORD.validate(record)
    lines = json_lines(Path(paths["samples"])) if paths["samples"] else []
    for line in lines:
        LINE.validate(line)
    entry = None
    if paths["eval_results"]:
        (entry,) = parse_eval_result_entries(yaml.safe_load(Path(paths["eval_results"]).read_text()))
    return done, record, lines, entry


def refused(run, *flags):
    done = here(report, "publish", run, "-o", run.parent / "out", *flags)
    done.stderr = done.stderr.replace("\n  ", " ")
    assert done.returncode == 2 and not list((run.parent / "out").rglob("*.json*"))
    return done.stderr


def test_record_lines_and_entry_say_the_same_number_and_how_to_repeat_it(tmp_path):
    run = run_of(tmp_path / "run", settings={"seed": 7, "top_p": 0.95})
    done, record, lines, entry = published(run, "--organization", "A lab", "--source-url", "https://a.org/x")
    assert "nothing was sent" in done.stderr
    first = record["evaluation_results"][0]
    shares = {}
    for line in lines:
        shares.setdefault(line["sample_id"], []).append(line["evaluation"]["score"])
    mean = sum(sum(found) / len(found) for found in shares.values()) / len(shares)
    assert mean == pytest.approx(first["score_details"]["score"]) == sum(SHARES) / 24
    assert entry.value == round(100 * mean, 2) and (entry.dataset_id, entry.task_id) == (
        "openai/gsm8k",
        "gsm8k",
    )
    assert entry.dataset_revision == "a" * 40 and entry.source_url == "https://a.org/x"
    assert "avg@4 58.3 [" in entry.notes and "seed 7" in entry.notes and "maths-1" in entry.notes
    interval = first["score_details"]["uncertainty"]["confidence_interval"]
    assert interval["lower"] < mean < interval["upper"]
    config = first["generation_config"]
    assert config["additional_details"]["seed"] == "7" and config["generation_args"]["top_p"] == 0.95
    assert config["additional_details"]["prompt_hash"] == "0" * 16
    assert "--seed 7 --no-stop-loops --top-p 0.95" in config["generation_args"]["execution_command"]
    assert first["source_data"]["hf_repo"] == "openai/gsm8k"
    assert first["source_data"]["additional_details"]["revision"] == "a" * 40
    assert first["score_details"]["details"]["graders"] == '{"maths-1": 24}'
    assert record["eval_library"]["version"] == "v1"
    assert [found["evaluation_result_id"] for found in record["evaluation_results"]] == ["avg", "pass", "maj"]
    said = record["detailed_evaluation_results"]
    file = tmp_path / "out" / said["file_path"]
    assert said["checksum"] == hashlib.sha256(file.read_bytes()).hexdigest() and said["total_rows"] == 24
    assert {line["evaluation_id"] for line in lines} == {record["evaluation_id"]}


def test_the_same_result_is_published_in_the_same_files(tmp_path):
    run = run_of(tmp_path / "run")
    published(run)
    before = sorted((tmp_path / "out").rglob("*.*"))
    published(run)
    assert sorted((tmp_path / "out").rglob("*.*")) == before
    published(run, "--aggregate-only")
    assert [path for path in before if not path.exists()] == list(
        path for path in before if path.name.endswith("_samples.jsonl")
    )


def leaky(info):
    """Says, wherever a run.json can, what nobody else should read."""
    info["settings"] |= {
        "model": "/srv/leak1/QwQ-32B",
        "lora": "maths=/srv/leak2/maths",
        "lora_hash": "abc",
        "model_args": {
            "tokenizer": "/srv/leak3/tok",
            "extra_headers": {"api-key": "leak4"},
            "revision": "v1",
        },
        "prompt": "text:0123",
    }
    info["prompt"] |= {"name": "/home/leak5/own words.txt"}
    info["dataset"] |= {"labels": {"from": "a/b", "revision": "c", "local": "/srv/leak6/labels.jsonl"}}
    info["asked"] |= {
        "data_dir": "/srv/leak7",
        "system_prompt_from": "~/leak8/system.txt",
        "engine": {
            "engine": "openai",
            "tp": 2,
            "api_base": ["http://user:leak9@leak10.internal:8000/v1?key=leak11"],
            "headers": ["x-org=leak12"],
            "ray_address": "leak13:6379",
            "engine_args": {
                "hf_token": "leak14",
                "download_dir": "/srv/leak15",
                **info["settings"]["model_args"],
                "speculative_config": {"model": "/srv/leak16/draft", "url": "http://leak17.internal"},
            },
        },
    }
    info["settings"]["model_args"]["speculative_config"] = info["asked"]["engine"]["engine_args"][
        "speculative_config"
    ]
    info["grading"] = {
        "judge": "/srv/leak21/judge",
        "nodes": ["leak18: 8 cores"],
        "isolation": {"tier": "full", "root": "/srv/leak19"},
    }
    info["made_with"] |= {"engine": "openai", "hardware": {"gpus": ["H200"], "cpu": "EPYC"}}


def test_no_path_address_or_secret_of_this_machine_is_published(tmp_path):
    by = {"grader": "judge-1 /srv/leak20/judge, prompt 0123 (own)"}
    run = run_of(tmp_path / "run", change=leaky, samples=[{"problem_id": "p0", "index": 4, **by}])
    assert "QwQ-32B is not the name by which everybody knows a model" in refused(run)
    _, record, _, _ = published(run, "--model-id", "Qwen/QwQ-32B")
    written = "".join(path.read_text() for path in (tmp_path / "out").rglob("*.*") if path.is_file())
    assert "leak" not in written and "internal" not in written and str(tmp_path) not in written
    details = record["evaluation_results"][0]["generation_config"]["additional_details"]
    assert json.loads(details["model_args"])["tokenizer"] == "tok" and details["lora"] == "maths=maths"
    assert details["tp"] == "2" and details["isolation"] == "full" and details["lora_hash"] == "abc"
    assert record["model_info"]["inference_platform"] == "an OpenAI-compatible endpoint"


@pytest.mark.parametrize(
    "task", ["GPQADiamond", "GPQAMain", "GPQAExtended", "Idavidrein--gpqa--gpqa_main", "Nobody"]
)
def test_what_its_authors_keep_from_plain_text_is_published_as_ids_and_hashes(tmp_path, task):
    settings = {"task": task, "split": "train", "prompt": "text:0123", "system_prompt": "SECRET"}
    problems = [{"id": "p1", "question": "SECRET", "choices": ["SECRET", "B"], "prompt": "SECRET"}]

    def with_examples(info):
        info["prompt"]["text"] = "SECRET {question}"
        if "--" in task:
            info["dataset"]["address"] = "hf://datasets/Idavidrein/gpqa:gpqa_main/train"

    spoken = {"problem_id": "p1", "index": 9, "text": "SECRET", "extracted": "SECRET", "detail": "SECRET"}
    run = run_of(
        tmp_path / "run",
        settings=settings,
        problems=problems,
        path="Idavidrein/gpqa",
        change=with_examples,
        samples=[
            {**spoken, "reasoning": "SECRET", "reason": "undecided", "cause": "SECRET", "correct": False}
        ],
    )
    _, record, lines, entry = published(run)
    assert "SECRET" not in json.dumps([record, lines]) and "What is the answer" not in json.dumps(lines)
    (line,) = [line for line in lines if line["metadata"]["index"] == "9"]
    assert line["input"]["raw"] == f"sha256:{hashlib.sha256(b'SECRET').hexdigest()}"
    assert (entry is not None) == (task == "GPQADiamond")


def test_a_folder_that_looks_like_a_name_of_the_hub_is_none(tmp_path):
    held = {"model": {"dtype": "bfloat16", "weights": "0123"}, "engine": "vllm 0.32.0"}
    run = run_of(tmp_path / "run", change=lambda info: info["made_with"].update(held))
    assert "--model-id" in refused(run)
    _, record, _, _ = published(run, "--model-id", "Qwen/QwQ-32B")
    assert record["model_info"]["additional_details"]["weights"] == "0123"
    assert record["model_info"]["inference_engine"] == {"name": "vllm", "version": "0.32.0"}


def test_what_a_judge_graded_says_so_and_goes_on_no_leaderboard(tmp_path):
    def judged(info):
        info["grading"] = {"judge": "openai/some/judge", "judge_prompt": "f" * 16}

    by = {"grader": "judge-1 openai/some/judge, prompt ffff (own)"}
    samples = [{"problem_id": "p0", "index": 4, **by}]
    done, record, _, entry = published(run_of(tmp_path / "run", change=judged, samples=samples))
    scoring = record["evaluation_results"][0]["metric_config"]["llm_scoring"]
    assert scoring["judges"][0]["model_info"]["id"] == "some/judge" and "f" * 16 in scoring["input_prompt"]
    assert "not comparable with published numbers" in scoring["input_prompt"]
    assert entry is None and "a judge graded it" in done.stderr


def test_undecided_samples_count_and_those_that_nobody_could_judge_are_only_counted(tmp_path):
    more = [
        {"problem_id": "p0", "index": 4, "correct": False, "reason": "undecided"},
        {"problem_id": "p1", "index": 4, "correct": False, "reason": "grader_error"},
    ]
    _, record, lines, _ = published(run_of(tmp_path / "run", samples=more))
    details = record["evaluation_results"][0]["score_details"]["details"]
    assert (details["undecided"], details["not_judged"]) == ("1", '{"grader_error": 1}')
    assert float(details["score_if_undecided_were_correct"]) == pytest.approx(
        record["evaluation_results"][0]["score_details"]["score"] + 0.2 / 6
    )
    assert len(lines) == 25
    (undecided,) = [line for line in lines if line["metadata"].get("reason") == "undecided"]
    assert undecided["evaluation"] == {"score": 0.0, "is_correct": False}


def test_a_result_of_instructions_is_published_strict_and_loose(tmp_path):
    problems = [{"id": f"p{place}", "about": {"rules": 2}} for place in range(6)]
    _, record, _, _ = published(run_of(tmp_path / "run", problems=problems, settings={"task": "IFEval"}))
    details = record["evaluation_results"][0]["score_details"]["details"]
    prompts, instructions = (json.loads(details[f"{what}_followed"]) for what in ("prompts", "instructions"))
    assert (prompts["of"], instructions["of"]) == (24, 48)
    assert {"strict", "strict_up_to", "loose", "loose_up_to"} < prompts.keys()


def test_a_run_that_is_not_finished_is_published_only_as_what_it_is(tmp_path):
    run = run_of(tmp_path / "run", change=lambda info: info["asked"]["at"].update({"0.7": [[6, 8]]}))
    assert "is not finished (24 of 48 asked" in refused(run)
    done, record, _, entry = published(run, "--incomplete")
    details = record["evaluation_results"][0]["score_details"]["details"]
    assert details["missing"] == "24" and details["incomplete"].startswith("24 of 48 asked") and entry is None
    assert "the run is not finished" in done.stderr


def test_what_has_no_number_or_several_is_refused(tmp_path):
    assert "no verdicts yet" in refused(run_of(tmp_path / "a" / "run", graded=False))
    two = run_of(tmp_path / "b" / "run", samples=[{"problem_id": "p0", "index": 0, "temperature": 0.3}])
    assert "choose with --temperatures" in refused(two)
    rule = {"n": 8, "stopping": {"until_correct": 1, "rule": "until 1 correct"}}
    stopped = run_of(tmp_path / "c" / "run", change=lambda info: info["asked"].update(rule))
    assert "its mean would be biased" in refused(stopped)
    imported = run_of(tmp_path / "f" / "run", change=lambda info: info["made_with"].update(imported={}))
    older = run_of(tmp_path / "g" / "run", change=lambda info: info.pop("asked"))
    assert "was imported" in refused(imported) and "was imported" in refused(older)
    assert "no run at" in refused(tmp_path / "d")
    assert "https://" in refused(run_of(tmp_path / "e" / "run"), "--source-url", "a.org")


def test_problems_of_ones_own_are_published_as_a_result_alone(tmp_path):
    def own(info):
        info["dataset"] |= {"address": str(tmp_path / "leak" / "mine.csv"), "revision": "local:12"}
        info["dataset"]["path"] = info["dataset"]["address"]

    run = run_of(tmp_path / "run", change=own, settings={"task": "mine.csv"})
    assert "has no public address" in refused(run)
    _, record, lines, entry = published(run, "--aggregate-only", "--hub-task", "mine")
    source = record["evaluation_results"][0]["source_data"]
    assert source["source_type"] == "other" and source["additional_details"]["revision"] == "local:12"
    assert not lines and entry is None and "detailed_evaluation_results" not in record
    assert "leak" not in json.dumps(record) and str(tmp_path) not in json.dumps(record)


@pytest.mark.parametrize("narrow", [{"limit": 6}, {"source": "math"}, {"start": 2}, {"split": "train"}])
def test_a_part_of_a_benchmark_goes_on_no_leaderboard(tmp_path, narrow):
    def choose(info):
        info["asked" if "limit" in narrow else "settings"] |= narrow

    done, _, _, entry = published(run_of(tmp_path / "run", change=choose))
    assert entry is None and "the run asks a part of GSM8K" in done.stderr.replace("\n  ", " ")


def test_problems_of_a_data_set_of_the_hub_are_published_without_asking_the_hub(tmp_path):
    def own(info):
        info["dataset"] |= {"address": "hf://datasets/org/set:main/test", "path": "org/set", "split": "test"}

    run = run_of(tmp_path / "run", change=own, settings={"task": "org--set--main"})
    _, record, lines, entry = published(run, "--hub-task", "set")
    assert record["evaluation_results"][0]["source_data"]["hf_repo"] == entry.dataset_id == "org/set"
    assert lines[0]["input"]["raw"] == "What is the answer to p0?"


def test_the_licence_of_the_problems_stands_beside_them(tmp_path):
    def licensed(info):
        info["dataset"]["licence"] = "CC BY-NC-SA 4.0"

    run = run_of(tmp_path / "run", change=licensed, settings={"task": "HMMT-Feb25", "split": "train"})
    _, record, _, entry = published(run, "--hub-task", "hmmt")
    said = record["evaluation_results"][0]["source_data"]["additional_details"]
    assert said["licence"] == "CC BY-NC-SA 4.0" and "no training data" in said["export"]
    assert record["detailed_evaluation_results"]["additional_details"]["licence"] == "CC BY-NC-SA 4.0"
    assert entry.task_id == "hmmt"
