"""The logs of other suites become runs: see foreign/README.md for who wrote them."""

import json
import os
import shutil
import zipfile
from pathlib import Path
from types import SimpleNamespace

import pytest
from helpers import ROOT, here, json_lines, last_line

import inference_and_check
from util.runs import __main__ as runs
from util.runs.folder import read_run_json

FOREIGN = ROOT / "tests" / "foreign"


def imported(path, folder, *flags):
    """What the import of a log says, its run folder, samples and scores of theirs."""
    done = here(runs, "import", path, "--result-dir", folder, *flags)
    assert done.returncode == 0, done.stderr
    result = last_line(done)
    run = Path(result["run"])
    theirs = json_lines(run / "theirs.jsonl") if (run / "theirs.jsonl").exists() else []
    return SimpleNamespace(
        said=" ".join(done.stderr.split()),
        result=result,
        run=run,
        samples=json_lines(run / "samples.jsonl"),
        problems=json_lines(run / "problems.jsonl"),
        theirs=theirs,
        info=read_run_json(run),
    )


def refused(path, folder, *flags):
    done = here(runs, "import", path, "--result-dir", folder, *flags)
    assert done.returncode == 2, done.stderr
    return " ".join(done.stderr.split())


def written(path, *rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def one(folder, pattern):
    (path,) = folder.glob(pattern)
    return path


# name -> log, model, tool, metric, their score, samples, endings, (score, extracted) of the first sample
LOGS = {
    "lm_eval": ("lm_eval/*/samples_sums*", "someone/model-7b", "lm-evaluation-harness",
                "exact_match,strict-match", "0.6666666666666666", 6, {"unknown": 6}, (1.0, "7")),
    "lighteval": ("lighteval/**/*.parquet", "someone/model-7b", "lighteval",
                  "pass@k:k=1&n=2", "0.75", 4, {"unknown": 4}, (0.5, None)),
    "lighteval 0.8": ("lighteval_0.8/**/*.parquet", "someone/model-7b", "lighteval",
                      "math_pass@1:2_samples", "0.75", 4, {"unknown": 4}, (0.5, None)),
    "inspect_ai": ("inspect_ai/sums.eval", "mockllm/model", "inspect_ai",
                   "match", "0.3333333333333333", 6, {"stop": 5, "length": 1}, (1.0, "7")),
    "evalscope": ("evalscope/reviews/*/*.jsonl", "model-7b", "evalscope",
                  "accuracy", "0.75", 4, {"stop": 3, "length": 1}, (1.0, "7")),
}  # fmt: skip


@pytest.mark.parametrize("name", LOGS)
def test_a_log_becomes_a_run_with_their_scores_beside_the_samples(tmp_path, name):
    pattern, model, tool, metric, score, samples, endings, first = LOGS[name]
    got = imported(one(FOREIGN, pattern), tmp_path)
    note = got.info["made_with"]["imported"]
    assert (got.info["settings"]["model"], note["from"], note["scores"][metric]) == (model, tool, score)
    assert len(got.samples) == got.result["samples"] == samples
    ends = [sample["finish_reason"] for sample in got.samples]
    assert {end: ends.count(end) for end in ends} == endings
    found = [line for line in got.theirs if line["metric"] == metric]
    assert (found[0]["score"], found[0]["extracted"]) == first
    assert sum(line["score"] for line in found) / len(found) == pytest.approx(float(score))


def test_the_command_that_the_import_names_judges_all_samples(tmp_path):
    got = imported(FOREIGN / "inspect_ai" / "sums.eval", tmp_path)
    command = got.said.partition("python inference_and_check.py ")[2].split()
    done = here(inference_and_check, *command)
    assert done.returncode == 0, done.stderr
    assert last_line(done)["temperatures"]["1"]["judged"] == len(got.samples)
    verdicts = json_lines(got.run / "verdicts.jsonl")
    assert len(verdicts) == len(got.samples)
    right = {line["problem_id"] for line in verdicts if line["verdict"]["correct"]}
    assert len(right) >= 2 and not all(line["verdict"]["correct"] for line in verdicts)


def test_predictions_alone_are_imported_to_problems_of_a_benchmark(tmp_path):
    rows = json_lines(one(FOREIGN, "evalscope/predictions/*/*.jsonl"))
    for at, row in enumerate(rows):
        row["messages"][0]["content"] = WARMUP[at]["question"]
    log = written(tmp_path / "predictions" / "a-model" / "warmup.jsonl", *rows)
    assert "no answers to judge by" in refused(log, tmp_path / "runs")
    got = imported(log, tmp_path / "runs", "--dataset", "Warmup")
    assert [sample["problem_id"] for sample in got.samples] == [row["id"] for row in WARMUP[:4]]
    assert (got.info["settings"]["model"], got.theirs) == ("a-model", [])
    assert [sample["finish_reason"] for sample in got.samples] == ["stop", "stop", "length", "stop"]


def test_an_import_that_is_repeated_adds_nothing(tmp_path):
    path = one(FOREIGN, LOGS["lm_eval"][0])
    first, second = imported(path, tmp_path), imported(path, tmp_path)
    assert first.run == second.run
    assert (
        second.samples == first.samples and second.theirs == first.theirs and "samples" not in second.result
    )


def test_an_import_that_was_stopped_is_completed_by_the_same_command(tmp_path, monkeypatch):
    from util.generation import imports

    path, written, write = one(FOREIGN, LOGS["lm_eval"][0]), [], imports._write

    def stopped(*what):
        if len(written) == 3:
            raise KeyboardInterrupt
        written.append(write(*what))
        return written[-1]

    monkeypatch.setattr(imports, "_write", stopped)
    assert here(runs, "import", path, "--result-dir", tmp_path).returncode == 130
    monkeypatch.undo()
    got = imported(path, tmp_path)
    assert (got.result["samples"], len(got.samples), len(got.theirs)) == (3, 6, 6)


def test_a_thought_that_a_log_keeps_apart_stays_apart(tmp_path):
    first = imported(FOREIGN / "inspect_ai" / "sums.eval", tmp_path).samples[0]
    assert (first["text"], first["reasoning"]) == ("3 + 4 is seven.\nANSWER: 7", "Let me add.")
    assert (first["prompt_tokens"], first["completion_tokens"]) == (12, 7)


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_an_archive_is_read_however_it_is_packed(tmp_path, method):
    from util.data.foreign import inspect_ai

    log = FOREIGN / "inspect_ai" / "sums.eval"
    with zipfile.ZipFile(log) as there, zipfile.ZipFile(tmp_path / "again.eval", "w", method) as again:
        for info in there.infolist():
            again.writestr(info.filename, inspect_ai._unpacked_zstd(log, info))
    (before,), (now,) = inspect_ai.read(log), inspect_ai.read(tmp_path / "again.eval")
    assert list(now.samples()) == list(before.samples()) and now.scores == before.scores


def test_options_of_a_log_make_a_benchmark_of_letters(tmp_path):
    log = json.loads((FOREIGN / "inspect_ai" / "letters.json").read_text())
    log["plan"]["config"] = {"temperature": 0.5}  # of the task; the model's own says nothing
    (tmp_path / "letters.json").write_text(json.dumps(log))
    assert imported(tmp_path / "letters.json", tmp_path / "warm").samples[0]["temperature"] == 0.5
    got = imported(FOREIGN / "inspect_ai" / "letters.json", tmp_path)
    assert got.info["settings"]["grade"] == "letter"
    assert got.problems[0]["choices"] == ["oxygen", "carbon dioxide", "helium"]
    assert got.problems[0]["prompt"].startswith("Answer the following")


def test_both_filters_of_lm_evaluation_harness_are_scores_of_the_same_samples(tmp_path):
    got = imported(one(FOREIGN, LOGS["lm_eval"][0]), tmp_path)
    by_metric = {}
    for line in got.theirs:
        by_metric.setdefault(line["metric"], []).append((line["index"], line["score"], line["extracted"]))
    assert by_metric == {
        "exact_match,strict-match": [(0, 1.0, "7"), (0, 1.0, "42"), (0, 0.0, "[invalid]")],
        "exact_match,flexible-extract": [(0, 1.0, "7"), (0, 1.0, "42"), (0, 1.0, "8")],
    }
    assert {sample["temperature"] for sample in got.samples} == {0.6}


def test_a_folder_gives_a_run_for_each_log_that_holds_responses(tmp_path):
    done = here(runs, "import", FOREIGN, "--result-dir", tmp_path)
    assert done.returncode == 0, done.stderr
    made = last_line(done)["runs"]
    assert sum(run["samples"] for run in made) == 6 + 4 + 4 + 6 + 1 + 4 + 3
    assert "scored by log-likelihood" in " ".join(done.stderr.split())


def test_a_folder_with_logs_of_several_models_gives_a_run_for_each_or_for_the_one_that_is_named(tmp_path):
    for model in ("a", "b"):
        shutil.copytree(FOREIGN / "evalscope" / "reviews" / "model-7b", tmp_path / "logs" / "reviews" / model)
    both = last_line(here(runs, "import", tmp_path / "logs", "--result-dir", tmp_path / "both"))["runs"]
    assert [read_run_json(Path(run["run"]))["settings"]["model"] for run in both] == ["a", "b"]
    assert imported(tmp_path / "logs", tmp_path / "one", "--model", "b").info["settings"]["model"] == "b"
    assert "did you mean" in refused(tmp_path / "logs", tmp_path / "none", "--model", "B ")


def test_two_logs_of_one_model_on_one_task_are_never_mixed(tmp_path):
    log = one(FOREIGN, LOGS["lm_eval"][0])
    for name in ("one", "two"):
        shutil.copytree(log.parent, tmp_path / name / log.parent.name)
    assert "import each into a --result-dir of its own" in refused(tmp_path, tmp_path / "runs")
    other = tmp_path / "two" / log.parent.name / log.name
    other.write_text(log.read_text().replace("It is 7.", "It is 8."))  # as long as it was
    imported(log, tmp_path / "runs")
    assert "holds other samples" in refused(other, tmp_path / "runs")


WARMUP = [json.loads(line) for line in (ROOT / "tasks" / "warmup.jsonl").read_text().splitlines()]


def asked_as(words, number=3):
    """A log of OpenCompass that asks problems of Warmup in these words."""
    return {
        str(at): {"origin_prompt": words.format(row["question"]), "prediction": f"\\boxed{{{row['answer']}}}"}
        for at, row in enumerate(WARMUP[:number])
    }


@pytest.mark.parametrize(
    "words",
    [
        "{}",
        "  {}\n",
        "Solve this.\n\n{}\n\nThink step by step.",
        f"Question: {WARMUP[5]['question']}\nAnswer: 1\n\nQuestion: {{}}\nAnswer:",
    ],
)
def test_problems_of_a_benchmark_are_found_by_their_texts(tmp_path, words):
    log = tmp_path / "warmup.json"
    log.write_text(json.dumps(asked_as(words)))
    got = imported(log, tmp_path / "runs", "--dataset", "Warmup", "--model", "m")
    assert [sample["problem_id"] for sample in got.samples] == [row["id"] for row in WARMUP[:3]]
    assert got.problems[0]["prompt"] == words.format(WARMUP[0]["question"])
    assert got.info["settings"]["task"] == "Warmup"


def test_problems_that_the_benchmark_does_not_have_are_counted_and_their_scores_kept(tmp_path):
    log = asked_as("{}") | {"7": {"origin_prompt": "What is this?", "prediction": "\\boxed{1}"}}
    (tmp_path / "predictions" / "m").mkdir(parents=True)
    (tmp_path / "results" / "m").mkdir(parents=True)
    (tmp_path / "predictions" / "m" / "w.json").write_text(json.dumps(log))
    details = {str(at): {"predictions": "1", "correct": at != 1} for at in range(4)}
    (tmp_path / "results" / "m" / "w.json").write_text(json.dumps({"accuracy": 75.0, "details": details}))
    got = imported(tmp_path / "predictions", tmp_path / "runs", "--dataset", "warmup")
    assert "1 of the 4 problems of w.json are none of Warmup's, such as 'What is this?'" in got.said
    assert (len(got.samples), got.result["samples of other problems"]) == (3, 1)
    assert [line["score"] for line in got.theirs] == [True, False, True, True]
    assert got.theirs[-1]["problem_id"].startswith("unmatched:")
    assert got.info["made_with"]["imported"]["scores"] == {"accuracy": "75.0"}
    (tmp_path / "other.json").write_text(json.dumps({"0": log["7"]}))
    assert "name another --dataset" in refused(
        tmp_path / "other.json", tmp_path / "x", "--dataset", "Warmup", "--model", "m"
    )


def test_an_example_within_a_prompt_is_not_the_question(tmp_path):
    shot = f"Question: {WARMUP[5]['question']}\nAnswer: 1\n\nQuestion: {{}}\nAnswer:"
    log = {
        str(at): {"origin_prompt": shot.format(question), "prediction": "1"}
        for at, question in enumerate(
            ["What is this?", "And that?", *(row["question"] for row in WARMUP[:3])]
        )
    }
    (tmp_path / "log.json").write_text(json.dumps(log))
    got = imported(tmp_path / "log.json", tmp_path / "runs", "--dataset", "Warmup", "--model", "m")
    assert [sample["problem_id"] for sample in got.samples] == [row["id"] for row in WARMUP[:3]]
    assert "2 of the 5 problems" in got.said


def test_problems_with_one_text_are_told_apart_by_their_options():
    from types import SimpleNamespace

    from util.data.foreign.samples import ForeignSample
    from util.generation.imports import ByText
    from util.records import Problem

    problems = [
        Problem("1", "Which is true?", "A", choices=("w", "x")),
        Problem("2", "Which is true?", "A", choices=("y", "z")),
        Problem("3", "true?", "A", choices=("p", "q")),
    ]
    asked = {
        name: ForeignSample("", prompt=f"Which is true?\nA. {first}\nB. {second}\nAnswer:")
        for name, first, second in (("b", "y", "z"), ("a", "w", "x"), ("none", "x", "w"))
    }
    found = ByText(problems).of_log(SimpleNamespace(asked=asked))
    assert (found["a"].id, found["b"].id) == ("1", "2")


def test_letters_are_judged_only_where_they_mean_the_same_options():
    from util.data.foreign.samples import ForeignSample
    from util.generation.imports import _same_options
    from util.records import Problem

    problem = Problem("1", "Which gas?", "B", choices=("oxygen", "carbon dioxide"))
    asked = "Which gas?\n{}) oxygen\n{}) carbon dioxide"
    for sample, is_same in (
        (ForeignSample("Which gas?", choices=problem.choices), True),
        (ForeignSample("Which gas?", prompt=asked.format("A", "B")), True),
        (ForeignSample("Which gas?", prompt=asked.format("B", "A")), False),
        (ForeignSample("Which gas?", prompt=asked.format("B", "A"), choices=problem.choices), False),
        (ForeignSample("Which gas?", choices=problem.choices[::-1]), False),
        (ForeignSample("Which gas?"), False),
    ):
        assert _same_options(problem, sample) == is_same, sample


def test_parts_of_a_benchmark_become_one_run(tmp_path):
    for at, row in enumerate(WARMUP[:2]):
        (tmp_path / f"part{at}x.json").write_text(
            json.dumps({"0": {"origin_prompt": row["question"], "prediction": "\\boxed{1}"}})
        )
    got = imported(tmp_path, tmp_path / "runs", "--dataset", "Warmup", "--model", "m")
    assert [sample["problem_id"] for sample in got.samples] == [row["id"] for row in WARMUP[:2]]


def test_a_folder_may_hold_results_of_the_older_layout_and_logs(tmp_path):
    row = {**WARMUP[0], "responses": {"0.7": {"content": "1", "correctness": False, "reason": ""}}}
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "m_Warmup_test.json").write_text(json.dumps({row["question"]: row}))
    (tmp_path / "logs" / "predictions.json").write_text(json.dumps(asked_as("{}")))
    flags = ("--dataset", "Warmup", "--result-dir", tmp_path / "runs", "--model", "m")
    done = here(runs, "import", tmp_path / "logs", *flags)
    assert "holds other samples" in done.stderr  # one run cannot be of both
    (tmp_path / "logs" / "predictions.json").unlink()
    assert imported(tmp_path / "logs", tmp_path / "older", *flags[:2]).samples[0]["temperature"] == 0.7


# --- rows of no suite ---

SUM = {"question": "What is 3 + 4?", "answer": "7"}
OPENR1 = {"problem": "What is 3 + 4?", "solution": "Add.", "answer": "7", "generations": ["\\boxed{7}", "8"],
          "correctness": [True, False], "finish_reasons": ["stop", "length"]}  # fmt: skip


@pytest.mark.parametrize(
    ("rows", "flags", "samples"),
    [
        ([{**SUM, "response": "7"}], (), [("7", 0, "unknown")]),
        ([{**SUM, "response": "7"}, {**SUM, "response": "8"}], (),
         [("7", 0, "unknown"), ("8", 1, "unknown")]),
        ([{**SUM, "completions": ["7", "8"]}], (), [("7", 0, "unknown"), ("8", 1, "unknown")]),
        ([OPENR1], (), [("\\boxed{7}", 0, "stop"), ("8", 1, "length")]),
        ([{"messages": [{"role": "user", "content": "1 + 1?"}, {"role": "assistant", "content": "2"}],
           "answer": "2"}], (), [("2", 0, "unknown")]),
        ([{"q": "1 + 1?", "a": "2", "said": {"text": "two"}}],
         ("--columns", "question=q", "answer=a", "response=said.text"), [("two", 0, "unknown")]),
        ([{**SUM, "response": "[1, 7]"}], (), [("[1, 7]", 0, "unknown")]),
        ([{**SUM, "id": 1, "response": "7"}, {**SUM, "id": 2, "response": "8"}], (),
         [("7", 0, "unknown"), ("8", 1, "unknown")]),
        ([{**SUM, "completion": [{"role": "assistant", "content": "7"}]}], (), [("7", 0, "unknown")]),
        ([{**SUM, "outputs": [{"text": "7"}, {"text": "8"}]}], (),
         [("7", 0, "unknown"), ("8", 1, "unknown")]),
        ([{**SUM, "response": [{"type": "reasoning", "reasoning": "Add."}, {"type": "text", "text": "7"}]}],
         (), [("7", 0, "unknown")]),
        ([{**SUM, "output": "7", "completion_tokens": 9}, {**SUM, "output": "8", "completion_tokens": 5}],
         ("--max-tokens", "9"), [("7", 0, "length"), ("8", 1, "unknown")]),
    ],
)  # fmt: skip
def test_rows_with_responses_are_imported_from_any_columns(tmp_path, rows, flags, samples):
    path = written(tmp_path / "rows.jsonl", *rows)
    got = imported(path, tmp_path / "runs", "--model", "m", *flags)
    assert [(sample["text"], sample["index"], sample["finish_reason"]) for sample in got.samples] == samples
    assert got.problems[0]["answer"] in ("7", "2")
    temperature = 0.0 if len(samples) == 1 else 1.0
    assert {sample["temperature"] for sample in got.samples} == {temperature}


def test_scores_of_rows_are_kept_and_each_model_has_a_run(tmp_path):
    (tmp_path / "rows.csv").write_text(
        "question,answer,output,score,pred,model\nWhat?,7,It is 7,1,7,a\nWhat?,7,It is 8,0,8,b\n"
    )
    done = last_line(here(runs, "import", tmp_path / "rows.csv", "--result-dir", tmp_path / "runs"))["runs"]
    theirs = [json_lines(Path(run["run"]) / "theirs.jsonl")[0] for run in done]
    assert [(line["metric"], line["score"], line["extracted"]) for line in theirs] == [
        ("score", 1.0, "7"),
        ("score", 0.0, "8"),
    ]


def test_lists_in_cells_of_csv_are_several_responses_and_a_list_of_numbers_is_one(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text('question,answer,output\nWhat?,7,"[""7"", ""8""]"\nAnd?,7,"[7, 8]"\n')
    got = imported(path, tmp_path / "runs", "--model", "m")
    assert [sample["text"] for sample in got.samples] == ["7", "8", "[7, 8]"]


def test_a_conversation_in_the_column_of_responses_is_its_answer_and_nested_lists_are_refused(tmp_path):
    talk = [{"role": "user", "content": "1 + 1?"}, {"role": "assistant", "content": "It is 2."}]
    row = {"question": "1 + 1?", "answer": "2"}
    (tmp_path / "talk.jsonl").write_text(json.dumps({**row, "response": talk}))
    done = here(runs, "import", tmp_path / "talk.jsonl", "--model", "m", "--result-dir", tmp_path / "r")
    assert done.returncode == 0, done.stderr
    (samples,) = tmp_path.glob("r/*/samples.jsonl")
    assert [line["text"] for line in json_lines(samples)] == ["It is 2."]
    (tmp_path / "deep.jsonl").write_text(json.dumps({**row, "response": [["2"], ["3"]]}))
    done = here(runs, "import", tmp_path / "deep.jsonl", "--model", "m", "--result-dir", tmp_path / "d")
    assert (
        done.returncode == 2 and "a list in a list" in done.stderr and not list(tmp_path.glob("d/*/run.json"))
    )


@pytest.mark.parametrize("scores", [[1], [1, 0, 1], 0.5, [1, 0], None])
def test_scores_that_are_not_as_many_as_the_responses_are_left_out_and_said(tmp_path, scores):
    path = written(tmp_path / "rows.jsonl", {**SUM, "responses": ["7", "8"], "scores": scores})
    got = imported(path, tmp_path / "runs", "--model", "m")
    kept = [1, 0] if scores == [1, 0] else []
    assert [one["score"] for one in got.theirs] == kept and len(got.samples) == 2
    is_said = "column scores is left out where it has another number of values" in got.said
    assert is_said == (scores not in ([1, 0], None))


@pytest.mark.parametrize(
    ("score", "kept"),
    [("0,5", 0.5), ("-0,25", -0.25), ("0,500", 0.5), ("0.5", 0.5), ("True", True), ("", None), ("NaN", None),
     ("1,000", "said"), ("good", "said"), ("1,5,0", "said")],
)  # fmt: skip
def test_a_score_is_read_as_its_language_writes_it_or_said_to_be_left_out(tmp_path, score, kept):
    path = tmp_path / "rows.tsv"
    path.write_text(f"question\tanswer\tresponse\tscore\nWhat?\t7\t7\t1\nAnd?\t7\t8\t{score}\n")
    got = imported(path, tmp_path / "runs", "--model", "m")
    assert [line["score"] for line in got.theirs][1:] == [kept] * (kept not in (None, "said"))
    told = f"column score is left out where it is no number, such as '{score}', in 1 sample"
    assert (told in got.said) == (kept == "said" or score == "NaN")


@pytest.mark.parametrize("tokens", ["50", "50.0", "50,0"])
def test_tokens_and_temperatures_in_cells_are_numbers(tmp_path, tokens):
    path = tmp_path / "ROWS.CSV"
    path.write_text(f"question;answer;response;completion_tokens;temperature\nWhat?;7;7;{tokens};0,7\n")
    (sample,) = imported(path, tmp_path / "runs", "--model", "m", "--max-tokens", 50).samples
    assert (sample["completion_tokens"], sample["finish_reason"]) == (50, "length")
    assert sample["temperature"] == 0.7


def test_a_pipe_is_no_log_and_waits_for_nobody(tmp_path):
    os.mkfifo(tmp_path / "log.csv")
    assert "log.csv is a pipe" in refused(tmp_path / "log.csv", tmp_path / "runs")


@pytest.mark.parametrize("sign", [",", ";", "\t"])
def test_columns_that_are_guessed_are_shown_whatever_parts_them(tmp_path, sign):
    path = tmp_path / "rows.csv"
    path.write_text(f"question{sign}answer{sign}output\nWhat?{sign}7{sign}It is 7\n")
    got = imported(path, tmp_path / "runs", "--model", "m")
    assert "rows.csv: response=output, question=question, answer=answer" in got.said
    named = [f"{what}={name}" for what, name in (("question", "question"), ("response", "output"))]
    again = imported(path, tmp_path / "others", "--model", "m", "--columns", *named, "answer=answer")
    assert "--columns says otherwise" not in again.said


def test_the_token_limit_of_inspect_ai_is_kept_and_tells_what_was_cut_off(tmp_path):
    log = json.loads((FOREIGN / "inspect_ai" / "letters.json").read_text())
    log["plan"]["config"] = {"max_tokens": 50}
    (sample,) = log["samples"]
    sample["output"]["choices"][0]["stop_reason"] = "unknown"
    sample["output"]["usage"] = {"output_tokens": 50}
    (tmp_path / "log.json").write_text(json.dumps(log))
    got = imported(tmp_path / "log.json", tmp_path / "runs")
    assert got.info["settings"]["max_tokens"] == 50
    assert [sample["finish_reason"] for sample in got.samples] == ["length"]


def test_own_problems_of_several_models_are_the_same_file(tmp_path):
    for model in "ab":
        path = written(tmp_path / model / "sums.jsonl", {**SUM, "response": f"{model}: 7"})
        imported(path, tmp_path / "runs", "--model", model)
    other = written(tmp_path / "c" / "sums.jsonl", {"question": "Another?", "answer": "1", "response": "1"})
    imported(other, tmp_path / "runs", "--model", "a")
    assert sorted(path.name for path in (tmp_path / "runs").glob("*.jsonl")) == ["sums-2.jsonl", "sums.jsonl"]


# --- bad input ---


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("log.jsonl", "", "has no rows"),
        ("log.csv", "", "has no rows"),
        ("log.jsonl", '{"a": 1}\n', "which column of"),
        ("log.jsonl", '{"question": "1?", "answer": "1"}\n', "--columns response=NAME"),
        ("log.jsonl", '{"question": "1?", "answer": "1", "response": "1"}\n', "give --model"),
        ("log.jsonl", '{"question": "1?", "response": "1", "output": "1", "label": true, "model": "m"}\n',
         "no answers to judge by"),
        ("log.jsonl", '{"doc_id": 0, "doc": {}, "resps": ["a"]}\n{"doc_id": 0, "doc": {}, "resps": ["b"]}\n',
         "two responses for sample 0"),
        ("log.jsonl", '{"doc": {}, "resps": []}\n{"doc": {}}\n', "sample 2 of"),
        ("log.jsonl", "[1]\n", "instead of an object"),
        ("log.jsonl", '{"a"\n{"a": 1}\n', "line 1, is not JSON"),
        ("log.parquet", "no parquet", "cannot be read"),
        ("log.eval", "no zip", "is not a whole zip file"),
        ("log.json", '{"version": 3, "eval": {}, "samples": []}', "has version 3"),
        ("log.json", '{"version": 2, "eval": {}, "samples": []}', "there is no response"),
        ("log.json", '{"version": 2, "eval": [], "samples": []}', "its header of"),
        ("log.json", '{"0": {"prediction": 1, "origin_prompt": 2}}', "there is no response"),
        ("log.txt", "something", "is no JSON, and its name says nothing else: name samples of lm-eval"),
        ("log.jsonl", '{"question": "1?"}\n'.encode("utf-16"), "line 1, is not JSON (it is UTF-16, or was"),
        ("log.json", '{"a": 1}', "no suite that is known here wrote"),
        ("log.csv", "question,answer\n1?,1\n\xe4?,1\n".encode("latin-1"), "line 3 (byte 0xe4) is not UTF-8"),
    ],
)  # fmt: skip
def test_what_is_no_log_is_refused_in_one_sentence(tmp_path, name, content, said):
    (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    assert said in refused(tmp_path / name, tmp_path / "runs")
    assert not (tmp_path / "runs").exists()


def test_a_folder_of_nothing_and_one_of_runs_are_refused(tmp_path):
    assert "there is no" in refused(tmp_path / "none", tmp_path / "runs")
    assert "holds nothing that can be imported" in refused(tmp_path, tmp_path / "runs")
    imported(written(tmp_path / "log.jsonl", {**SUM, "response": "7"}), tmp_path / "runs", "--model", "m")
    assert "holds runs of this suite" in refused(tmp_path / "runs", tmp_path / "again")


def test_a_torn_last_line_is_left_out_and_said(tmp_path):
    path = written(tmp_path / "log.jsonl", {**SUM, "response": "7"})
    path.write_text(path.read_text() + '{"question": "What')
    got = imported(path, tmp_path / "runs", "--model", "m")
    assert "line 2, is torn and left out" in got.said and len(got.samples) == 1


def without(value, path):
    """A value without what lies at a path, and with a text in its place."""
    if not path:
        yield from ("odd", None, 5, True)
        return
    first, *rest = path
    for changed in without(value[first], rest):
        if isinstance(value, dict):
            yield {**value, first: changed}
        else:
            yield [changed if at == first else one for at, one in enumerate(value)]
    if isinstance(value, dict) and not rest:
        yield {name: one for name, one in value.items() if name != first}


def paths_in(value, depth=3):
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, one in items if depth else ():
        yield [name]
        yield from ([name, *rest] for rest in paths_in(one, depth - 1))


@pytest.mark.parametrize(
    "log", ["lm_eval/*/samples_sums*", "evalscope/reviews/*/*.jsonl", "evalscope/predictions/*/*.jsonl",
            "inspect_ai/letters.json", "opencompass/*/*/sums.json"]
)  # fmt: skip
def test_a_log_with_fields_missing_or_odd_is_read_or_refused_in_a_sentence(tmp_path, log):
    from util.data.foreign.recognised import open_logs
    from util.errors import UserError
    from util.generation.imports import survey

    path = one(FOREIGN, log)
    first = json.loads(path.read_text().split("\n")[0] if path.suffix == ".jsonl" else path.read_text())
    at = tmp_path / f"log{path.suffix}"
    for place in paths_in(first):
        for changed in without(first, place):
            at.write_text(json.dumps(changed) + "\n")
            try:
                for found in open_logs(at, {}):
                    survey(found)
            except UserError as error:
                assert len(str(error)) < 1000


def test_earlier_layouts_are_read_too(tmp_path):
    import pyarrow
    import pyarrow.parquet

    review = {"gold": "7", "pred": "8", "result": 0}
    choice = {
        "message": {"role": "assistant", "content": "It is 8"},
        "review": review,
        "finish_reason": "length",
    }
    logs = {
        "evalscope": written(tmp_path / "old.jsonl", {"index": 0, "raw_input": SUM, "choices": [choice]}),
        "lm-evaluation-harness": written(
            tmp_path / "older.jsonl",
            {"doc_id": 0, "doc": SUM, "target": "7", "arguments": [["What is 3 + 4?", {"until": []}]],
             "resps": [["It is 8"]], "filtered_resps": ["8"], "exact_match": 0.0},
        ),
    }  # fmt: skip
    row = {"example": "What is 3 + 4?", "full_prompt": "Q: What is 3 + 4?", "gold": "['7']",
           "predictions": "['It is 8']", "metrics": {"quasi_exact_match": 0}}  # fmt: skip
    logs["lighteval"] = tmp_path / "details.parquet"
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist([row]), logs["lighteval"])
    for tool, path in logs.items():
        got = imported(path, tmp_path / tool, "--model", "m")
        assert (got.info["made_with"]["imported"]["from"], got.samples[0]["text"]) == (tool, "It is 8")
        assert (got.problems[0]["answer"], got.problems[0]["question"]) == ("7", "What is 3 + 4?")
        assert got.theirs[0]["score"] == 0


def test_votes_and_pass_at_k_are_no_scores_of_samples(tmp_path):
    from util.data.foreign import lighteval

    for metric in ("maj@4", "pass@k:k=4&n=8", "G-Pass@16", "pass@10"):
        assert lighteval._OF_ALL.search(metric), metric
    for metric in ("pass@k:k=1&n=8", "math_pass@1:64_samples", "avg@n:n=4", "extractive_match"):
        assert not lighteval._OF_ALL.search(metric), metric
    row = {"doc_id": 0, "doc": SUM, "target": "7", "resps": [["7", "8", "8"]], "filtered_resps": ["8"],
           "filter": "maj@3", "metrics": ["exact_match"], "exact_match": 0.0}  # fmt: skip
    got = imported(written(tmp_path / "log.jsonl", row), tmp_path / "runs", "--model", "m")
    assert len(got.samples) == 3 and got.theirs == []
