"""Do whole commands ask in batches as they ask live, at half the price?"""

import json
import shlex

import pytest
from batch_endpoint import BatchEndpoint, quick_clients
from helpers import here, json_lines, last_line
from pair_runs import make_run
from test_chain import THOUGHT, raw_run
from test_labelling import small_numina
from test_pairs import CUTS, JUDGE, LONG, UNCLEAR, symbolic_stays_as_it_was

import convert_format
import eval as evaluation
import inference_and_check
import label_math_difficulty
import report
import response_rewrite
from util.engines import openai_batches, prices
from util.generation import batches
from util.response import join_parts
from util.runs import __main__ as runs
from util.runs.journal import Journal

pytest.importorskip("openai", reason="the batch interface is spoken by its package")

stays = symbolic_stays_as_it_was
quick = pytest.fixture(autouse=True)(quick_clients)
NAME = "test-model_Warmup_test_all_0_-1"
QUICK = '{"poll_s": 0.001}'
NOWHERE = "http://127.0.0.1:1/v1"
ANSWER = {
    "choices": [{"message": {"role": "assistant", "content": "be it"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 4, "completion_tokens": 2},
}


def flags(folder, url, *more):
    same = ["--dataset", "Warmup", "--model", "openai/test-model", "--limit", 3, "--temperatures", 0.7]
    same += ["--inference", "--result-dir", folder, "--api-base", url, "--max-tokens", 100]
    return [*same, "--engine-args", QUICK, *more]


def left_waiting(endpoint, command, words):
    """Ctrl-C while batches wait, as they do while `endpoint.stuck` holds; returns what the command said."""

    def interrupted(_):
        raise KeyboardInterrupt

    endpoint.stuck = True
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(batches.BatchEngine, "_wait", interrupted)
        left = here(command, *words)
    assert left.returncode == 130
    return left


def test_a_run_in_batches_is_the_same_run(tmp_path):
    with BatchEndpoint("half_expired") as endpoint:
        done = here(inference_and_check, *flags(tmp_path, endpoint.url, "--batch", "--n", 2))
    assert done.returncode == 0, done.stderr
    samples = json_lines(tmp_path / NAME / "samples.jsonl")
    assert len(samples) == 6 == len({(line["problem_id"], line["index"]) for line in samples})
    assert last_line(done)["missing"] == 0 and set(endpoint.asked.values()) == {1}
    with BatchEndpoint() as live:  # is asked nothing: everything is there
        again = here(inference_and_check, *flags(tmp_path, live.url, "--n", 2))
    assert again.returncode == 0 and not live.calls


def test_while_a_batch_is_under_way_its_run_is_neither_asked_live_nor_changed(tmp_path):
    with BatchEndpoint() as endpoint:
        left = left_waiting(endpoint, inference_and_check, flags(tmp_path, endpoint.url, "--batch"))
        assert "the same command fetches their answers" in left.stderr
        live = here(inference_and_check, *flags(tmp_path, endpoint.url))
        assert live.returncode == 2 and "asking for them now would pay twice" in live.stderr
        for command in (["--batch"], []):
            changed = here(inference_and_check, *flags(tmp_path, endpoint.url, *command, "--top-p", 0.5))
            assert changed.returncode == 2 and "was made with top_p = 1.0" in changed.stderr
        endpoint.stuck = False
        assert here(inference_and_check, *flags(tmp_path, endpoint.url, "--batch")).returncode == 0
        assert len(endpoint.ours) == 1
        more = here(inference_and_check, *flags(tmp_path, endpoint.url, "--batch", "--n", 2))
    assert more.returncode == 0 and [batch["metadata"]["part"] for batch in endpoint.ours] == ["1", "2"]


@pytest.fixture
def under_way(tmp_path):
    """A run of six requests that a batch was asked, and its endpoint, which has not answered yet."""
    with BatchEndpoint() as endpoint:
        left_waiting(endpoint, inference_and_check, flags(tmp_path, endpoint.url, "--batch", "--n", 2))
        yield tmp_path / NAME, endpoint


def test_what_a_run_without_samples_is_told_to_do_fetches_its_batches(tmp_path, under_way):
    run, endpoint = under_way
    page = here(report, run, "-o", tmp_path / "page.html")
    assert page.returncode == 2 and "no samples yet, but batches" in page.stderr
    [named] = [line for line in page.stderr.split("\n") if line.startswith("  python ")]
    assert inference_and_check.parse(shlex.split(named)[2:]).batch == "endpoint"
    words = [word for word in flags(tmp_path, endpoint.url, "--n", 2) if word != "--inference"]
    graded = here(inference_and_check, *words, "--check")
    assert graded.returncode == 2 and "with --inference --batch" in graded.stderr
    exported = here(convert_format, "--input_dir", tmp_path, "--no-llm")
    assert exported.returncode == 2 and "fetch those of its batches" in exported.stderr
    job = here(inference_and_check, *words, "--shard", "1/2")
    assert job.returncode == 2 and "give --batch instead of --shard" in " ".join(job.stderr.split())


def test_a_dry_run_counts_no_request_that_a_batch_was_asked_already(tmp_path, under_way):
    run, endpoint = under_way
    for n, requests in ((2, 0), (4, 6)):
        dry = here(inference_and_check, *flags(tmp_path, endpoint.url, "--batch", "--n", n, "--dry-run"))
        assert last_line(dry)["requests"] == requests and "6 are asked in batches" in dry.stderr
    live = here(inference_and_check, *flags(tmp_path, endpoint.url, "--n", 2, "--dry-run"))
    assert live.returncode == 2 and "asking for them now would pay twice" in live.stderr


def test_runs_with_a_batch_under_way_are_not_merged(tmp_path, under_way):
    run, endpoint = under_way
    with BatchEndpoint() as other:
        done = here(inference_and_check, *flags(tmp_path / "other", other.url, "--batch"))
        assert done.returncode == 0
    merging = ["merge", tmp_path / "other" / NAME, run, "-o", tmp_path / "merged" / NAME]
    merged = here(runs, *merging)
    assert merged.returncode == 2 and f"{run} has batches whose answers are not fetched" in merged.stderr
    endpoint.stuck = False
    assert here(inference_and_check, *flags(tmp_path, endpoint.url, "--batch", "--n", 2)).returncode == 0
    assert here(runs, *merging).returncode == 0


@pytest.mark.parametrize("faults", [(), ("no_metadata", "files:500")], ids=["marked", "unmarked"])
@pytest.mark.parametrize("gone", [["uploaded"], ["created"], ["uploaded", "created"]])
def test_a_batch_of_which_lines_were_set_aside_is_not_paid_for_again(tmp_path, faults, gone):
    with BatchEndpoint(*faults) as endpoint:
        command = flags(tmp_path, endpoint.url, "--n", 2)
        left_waiting(endpoint, inference_and_check, [*command, "--batch"])
        without_lines(tmp_path / NAME, *gone)
        live = here(inference_and_check, *command)
        assert live.returncode == 2 and "asking for them now would pay twice" in live.stderr
        endpoint.stuck = False
        done = here(inference_and_check, *command, "--batch")
        assert done.returncode == 0 and set(endpoint.asked.values()) == {1} and len(endpoint.ours) == 1


@pytest.mark.parametrize("fault", ["full", "full_at_create"])
def test_a_part_whose_line_that_it_was_withdrawn_was_set_aside_stays_withdrawn(tmp_path, fault):
    with BatchEndpoint(fault) as endpoint:
        command = flags(tmp_path, endpoint.url, "--batch", "--n", 2)
        left_waiting(endpoint, inference_and_check, command)  # before it is asked otherwise
        without_lines(tmp_path / NAME, "withdrawn")
        endpoint.stuck = False
        done = here(inference_and_check, *command)
        assert done.returncode == 0 and set(endpoint.asked.values()) == {1}, done.stderr
        without_lines(tmp_path / NAME, "withdrawn", "taken")
        live = here(inference_and_check, *flags(tmp_path, NOWHERE, "--n", 2))
        assert live.returncode == 0, live.stderr


def test_a_part_without_any_line_keeps_its_requests_and_results(tmp_path, under_way):
    run, endpoint = under_way
    (run / "batches.jsonl").unlink()  # the person pays again
    requests = (run / "batches" / "0001.jsonl").read_bytes()
    (run / "batches" / "0001.results.jsonl").write_text("answers\n")
    endpoint.stuck = False
    done = here(inference_and_check, *flags(tmp_path, endpoint.url, "--batch", "--n", 2))
    assert done.returncode == 0 and (run / "batches" / "0002.results.jsonl").exists()
    assert (run / "batches" / "0001.jsonl").read_bytes() == requests
    assert (run / "batches" / "0001.results.jsonl").read_text() == "answers\n"


def without_lines(run, *states):
    """Set the lines of batches.jsonl aside that say these states."""
    lines = (run / "batches.jsonl").read_text().splitlines(keepends=True)
    kept = [line for line in lines if json.loads(line)["state"] not in states]
    (run / "batches.jsonl").write_text("".join(kept))


def test_a_command_at_another_place_does_not_say_that_batches_there_go_on(tmp_path):
    with BatchEndpoint() as endpoint:
        here(inference_and_check, *flags(tmp_path, endpoint.url, "--batch", "files"))
        other = here(inference_and_check, *flags(tmp_path, endpoint.url, "--batch"))
    assert other.returncode == 2 and "has a batch under way at files" in other.stderr
    assert "go on without this command" not in other.stderr


@pytest.mark.parametrize(
    ("name", "damage", "says"),
    [
        ("batches.jsonl", lambda text: text.partition("\n")[2], "line 1 is about part 1, and no line before"),
        ("batches.jsonl", lambda text: text.replace('"nonce"', '"other"'), "line 1 says no nonce"),
        ("batches.jsonl", lambda text: text.replace('"created"', '"made"'), "has the state 'made'"),
        ("batches/0001.jsonl", lambda text: text[:-50], "has 5 of 6 requests"),
        ("batches/0001.jsonl", lambda text: text.partition("\n")[2], "has 5 of 6 requests"),
        ("batches/0001.jsonl", lambda text: "", "has 0 of 6 requests"),
        ("batches/0001.jsonl", lambda text: '{"custom_id": 5}\n' + text, "has 0 of 6 requests"),
    ],
)
def test_what_does_not_say_any_more_what_batches_were_asked_is_refused(
    tmp_path, under_way, name, damage, says
):
    run, endpoint = under_way
    (run / name).write_text(damage((run / name).read_text()))
    done = here(inference_and_check, *flags(tmp_path, endpoint.url, "--batch", "--n", 2))
    assert done.returncode == 2 and says in done.stderr and len(endpoint.ours) == 1, done.stderr


def partly_taken(folder, endpoint):
    """The results of a batch of three samples of each problem, of which a command took two."""
    left_waiting(endpoint, inference_and_check, flags(folder, endpoint.url, "--batch", "--n", 3))
    endpoint.stuck = False
    assert here(inference_and_check, *flags(folder, endpoint.url, "--batch", "--n", 2)).returncode == 0
    return folder / NAME / "batches" / "0001.results.jsonl"


@pytest.mark.parametrize("knows", ["the batch alone", "nothing"])
def test_results_that_the_endpoint_lost_are_taken_as_far_as_they_lie_here(tmp_path, knows):
    with BatchEndpoint() as endpoint:
        results = partly_taken(tmp_path, endpoint)
        lines = results.read_text().splitlines(keepends=True)
        answered = {
            (line["problem_id"], line["index"]) for line in json_lines(results.parents[1] / "samples.jsonl")
        }
        new = [line for line in lines if line.strip() and json.loads(line)["custom_id"].endswith("/2")]
        results.write_text("".join(line for line in lines if line != new[0]))
        del endpoint.files[endpoint.ours[0]["output_file_id"]]
        if knows == "nothing":
            endpoint.batches.clear()
        done = here(inference_and_check, *flags(tmp_path, endpoint.url, "--batch", "--n", 3))
        assert done.returncode == 1 and len(endpoint.asked) == 9 and set(endpoint.asked.values()) == {1}
    assert len(answered) == 6 and len(json_lines(results.parents[1] / "samples.jsonl")) == 8


@pytest.mark.parametrize("kept", [0, 100, 0.5])
def test_results_that_were_cut_on_the_disk_are_fetched_again(tmp_path, kept):
    with BatchEndpoint() as endpoint:
        results = partly_taken(tmp_path, endpoint)
        whole = results.read_bytes()
        half = b"".join(whole.splitlines(keepends=True)[: len(whole.splitlines()) // 2])
        results.write_bytes(half if kept == 0.5 else whole[:kept])
        done = here(inference_and_check, *flags(tmp_path, endpoint.url, "--batch", "--n", 3))
        assert done.returncode == 0 and set(endpoint.asked.values()) == {1} and len(endpoint.ours) == 1
    assert len(json_lines(tmp_path / NAME / "samples.jsonl")) == 9


def evaluating(folder, url, *more):
    """Two benchmarks of two problems each."""
    own = folder / "mine.jsonl"
    if not own.exists():
        rows = [{"question": f"What is {number}?", "answer": str(number)} for number in (1, 2)]
        own.write_text("".join(json.dumps(row) + "\n" for row in rows))
    same = ["--model", "openai/test-model", "--evals", f"Warmup,{own}", "--limit", 2, "--temperatures", 0.7]
    same += ["--output-file", folder / "results.txt", "--result-dir", folder, "--api-base", url]
    return [*same, "--max-tokens", 100, "--engine-args", QUICK, *more]


def test_an_evaluation_hands_in_the_batches_of_all_benchmarks_before_it_waits_for_one(tmp_path):
    with BatchEndpoint() as endpoint:
        left = left_waiting(endpoint, evaluation, evaluating(tmp_path, endpoint.url, "--batch"))
        assert "(batch_3, batch_4)" in left.stderr
        live = here(evaluation, *evaluating(tmp_path, endpoint.url))
        assert live.returncode == 1 and live.stderr.count("asking for them now would pay twice") == 2
        endpoint.stuck = False
        done = here(evaluation, *evaluating(tmp_path, endpoint.url, "--batch"))
        assert done.returncode == 0, done.stderr
        assert last_line(done).keys() == {"Warmup", "mine.jsonl"} and None not in last_line(done).values()
        assert len(endpoint.ours) == 2 and sum(endpoint.asked.values()) == 4
        one = here(inference_and_check, *flags(tmp_path, endpoint.url, "--batch", "--limit", 2))
        assert one.returncode == 0 and len(endpoint.ours) == 2  # its runs are those of the other script


def test_an_evaluation_shows_both_prices_and_says_once_how_files_are_answered(tmp_path, monkeypatch):
    table = tmp_path / "prices.txt"
    table.write_text("test-model 0 1000 0.2\n")
    monkeypatch.setitem(prices.price_of.__kwdefaults__, "table", table)
    dry = here(evaluation, *evaluating(tmp_path, NOWHERE, "--dry-run"))
    assert "$0.10 at the prices in prices.txt, $0.02 with --batch" in dry.stderr
    said = here(evaluation, *evaluating(tmp_path, NOWHERE, "--batch", "files"))
    assert said.returncode == 1 and said.stderr.count("run_batch -i ") == 2
    for path in tmp_path.glob("*/batches/0001.jsonl"):
        lines = [
            json.dumps({"custom_id": one["custom_id"], "response": {"status_code": 200, "body": ANSWER}})
            for one in json_lines(path)
        ]
        path.with_suffix(".results.jsonl").write_text("\n".join(lines))
    done = here(evaluation, *evaluating(tmp_path, NOWHERE, "--batch", "files"))
    assert done.returncode == 0, done.stderr


def test_adaptive_sampling_goes_round_by_round_in_batches(tmp_path):
    with BatchEndpoint() as endpoint:
        adaptive = ["--batch", "--n", 4, "--until-correct", 1, "--give-up-after", 2]
        command = [word for word in flags(tmp_path, endpoint.url, *adaptive) if word != "--inference"]
        done = here(inference_and_check, *command)
    assert done.returncode == 0, done.stderr
    assert sum(endpoint.asked.values()) == 6 and set(endpoint.asked.values()) == {1}


def test_limits_of_what_a_command_spends_hold_at_the_price_of_batches(tmp_path, monkeypatch):
    table = tmp_path / "prices.txt"
    table.write_text("test-model 0 1000 0.25\n")
    monkeypatch.setitem(prices.price_of.__kwdefaults__, "table", table)
    with BatchEndpoint() as endpoint:
        dry = here(inference_and_check, *flags(tmp_path, endpoint.url, "--dry-run", "--n", 2))
        told = "with --batch $0.04 expected, $0.15 at most, if a batch costs 0.25 of that, as that file"
        assert told in dry.stderr
        assert last_line(dry)["batch_dollars"] == last_line(dry)["dollars"] / 4
        # An answer may have 100 tokens, which are 0.025 dollars in a batch; it has 3.
        command = flags(tmp_path, endpoint.url, "--batch", "--n", 2, "--max-cost", 0.051)
        done = here(inference_and_check, *command)
    assert done.returncode == 0, done.stderr
    assert "$0.0045 at the prices" in done.stderr
    assert {len(endpoint.files[batch["input_file_id"]].splitlines()) for batch in endpoint.ours} <= {1, 2}


@pytest.mark.parametrize(
    "cut",
    [
        lambda text: text[: text.index("\n") + 1],
        lambda text: text[text.index("\n") + 1 :],
        lambda text: text[:-9],
        lambda text: text[:20] + text[40:],
        lambda text: text[:9],
        lambda text: "",
    ],
    ids=["at a line end", "at its begin", "in mid-line", "in the middle", "in the first line", "all"],
)
def test_requests_for_vllm_are_files_and_of_their_results_what_is_there_becomes_samples(
    tmp_path, monkeypatch, cut
):
    monkeypatch.setattr(batches, "GROWS_IN_S", 0.0)
    command = flags(tmp_path, NOWHERE, "--batch", "files", "--prefill", "So ")
    for _ in range(2):
        said = here(inference_and_check, *command)
        assert said.returncode == 1 and "run_batch -i " in said.stderr
    [path] = (tmp_path / NAME / "batches").iterdir()
    asked = json_lines(path)
    assert len(asked) == 3 and asked[0]["body"]["continue_final_message"] and asked[0]["body"]["top_k"] == -1
    lines = [
        json.dumps({"custom_id": one["custom_id"], "response": {"status_code": 200, "body": ANSWER}})
        for one in asked
    ]
    results = path.with_suffix(".results.jsonl")
    results.write_text(text := cut("\n".join([*lines, ""])))
    rest = here(inference_and_check, *command)
    there = json_lines(tmp_path / NAME / "samples.jsonl")
    said = " ".join(rest.stderr.split())
    if not there:  # it may have been made empty to be written
        assert rest.returncode == 1 and "has 0 of 3 lines and may still be written" in said
        assert not path.with_name("0002.jsonl").exists()
        results.write_text("\n".join(lines))
    else:
        assert rest.returncode == 1 and f"lacks {3 - len(there)} of 3 lines" in said
        assert "run_batch -i " in rest.stderr and results.read_text() == text
        again = path.with_name("0002.jsonl")
        have = {f"{line['problem_id']}/{line['temperature']:g}/{line['index']}" for line in there}
        missing = [one["custom_id"] for one in asked if one["custom_id"] not in have]
        assert [one["custom_id"] for one in json_lines(again)] == missing and len(missing) == 3 - len(there)
        again.with_suffix(".results.jsonl").write_text(
            "\n".join(line for line in lines if json.loads(line)["custom_id"] in missing)
        )
    done = here(inference_and_check, *command)
    assert done.returncode == 0, done.stderr
    assert [line["text"] for line in json_lines(tmp_path / NAME / "samples.jsonl")] == ["So be it"] * 3


@pytest.mark.parametrize("answered", [3, 2])
def test_what_was_read_of_files_of_results_is_not_asked_again_once_they_are_gone(tmp_path, answered):
    command = flags(tmp_path, NOWHERE, "--batch", "files")
    here(inference_and_check, *command)
    run = tmp_path / NAME
    asked = json_lines(run / "batches" / "0001.jsonl")
    answer_file(run / "batches" / "0001.jsonl", asked[:answered])
    here(inference_and_check, *command)
    without_lines(run, "taken")  # as if it was killed before it said so
    for path in (run / "batches").glob("000[12].[r]*"):
        path.unlink()
    said = here(inference_and_check, *command, "--n", 2)
    assert said.returncode == 1 and "0001.jsonl -o" not in said.stderr
    waiting = [one for path in (run / "batches").iterdir() for one in json_lines(path) if "custom_id" in one]
    names = [one["custom_id"] for one in waiting]
    assert sorted(set(names) - {one["custom_id"] for one in asked[:answered]}) == sorted(
        {one["custom_id"] for one in asked[answered:]} | {f"{one['custom_id'][:-1]}1" for one in asked}
    )
    for path in sorted((run / "batches").iterdir())[1:]:
        answer_file(path, [one for one in json_lines(path) if "custom_id" in one])
    assert here(inference_and_check, *command, "--n", 2).returncode == 0
    assert len(json_lines(run / "samples.jsonl")) == 6


def answer_file(path, asked):
    """Write the results of a file of requests."""
    lines = [
        json.dumps({"custom_id": one["custom_id"], "response": {"status_code": 200, "body": ANSWER}})
        for one in asked
    ]
    path.with_suffix(".results.jsonl").write_text("\n".join(lines))


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        (["--thinking-budget", 5], "leave --thinking-budget out"),
        (["--stream", "always", "--rpm", 3], "leave --rpm, --stream always out"),
        (["--api-base", "http://a/v1", "http://b/v1"], "leave several --api-base out"),
        (["--model", "some/model", "--engine", "vllm"], "name the model openai/NAME"),
        (["--prefill", "So "], "does not say that it goes on with a begun answer"),
    ],
)
def test_what_needs_a_conversation_is_refused_in_one_sentence(tmp_path, more, sentence):
    with BatchEndpoint() as endpoint:
        refused = here(inference_and_check, *flags(tmp_path, endpoint.url, "--batch", *more))
    assert refused.returncode == 2 and sentence in refused.stderr and not endpoint.ours


def test_without_its_package_a_batch_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setattr(openai_batches, "PACKAGE", "openai_that_nobody_has")
    refused = here(inference_and_check, *flags(tmp_path, NOWHERE, "--batch", "--dry-run"))
    assert refused.returncode == 2 and "pip install -r requirements/batch.txt" in refused.stderr


class Killed(BaseException):
    """The process ends here: nobody can catch it."""


def rating(folder, url, *more):
    """The labels of eleven problems of two sources."""
    same = ["--source", "math", "olympiads", "--data-dir", folder.parent / "mirror", "--output-dir", folder]
    return [
        *same,
        "--model",
        "openai/test-model",
        "--api-base",
        url,
        "--batch",
        "--engine-args",
        QUICK,
        *more,
    ]


def rates(prompt):
    """No number where it is first asked about some problems, and none at all for one of them."""
    is_first = "could not be used" not in prompt
    return "easy" if "Problem 1:" in prompt or (is_first and "Other" in prompt) else "[[3]]"


@pytest.mark.parametrize("moment", [None, *range(10, 60, 16)])
def test_labels_in_batches_survive_a_kill_and_no_question_is_paid_for_twice(tmp_path, monkeypatch, moment):
    small_numina(tmp_path)
    folder = tmp_path / "labels"
    with BatchEndpoint() as endpoint:
        endpoint.says = rates
        if moment is not None:
            with monkeypatch.context() as patch, pytest.raises(Killed):
                kill_at(patch, moment)
                here(label_math_difficulty, *rating(folder, endpoint.url))
        done = here(label_math_difficulty, *rating(folder, endpoint.url))
        assert done.returncode == 0, done.stderr
        told = last_line(done)
        assert [(one["problems"], one["labelled"]) for one in told["slices"]] == [(6, 5), (5, 5)]
        # 11 problems, of which 6 are asked again and one of these a third time; each source has its batches.
        assert set(endpoint.asked.values()) == {1} and sum(endpoint.asked.values()) == 18
        assert {batch["metadata"]["run"] for batch in endpoint.ours} == {"math_0_-1", "olympiads_0_-1"}
        calls = endpoint.calls.total()
        live = [word for word in rating(folder, endpoint.url) if word != "--batch"]
        again = here(label_math_difficulty, *live)  # nothing waits any more, and nothing is asked
        assert again.returncode == 0 and endpoint.calls.total() == calls


def kill_at(patch, moment):
    """End the command at a moment, before a line of a journal is written or behind it."""
    seen = [0]

    def append(self, line):
        for work in (None, usual):
            seen[0] += 1
            if seen[0] == moment:
                raise Killed
            offset = work and work(self, line)
        return offset

    usual = Journal.append
    patch.setattr(Journal, "append", append)


def test_while_labels_are_asked_in_batches_they_are_asked_neither_live_nor_of_another_model(tmp_path):
    small_numina(tmp_path)
    folder = tmp_path / "labels"
    with BatchEndpoint() as endpoint:
        left = left_waiting(endpoint, label_math_difficulty, rating(folder, endpoint.url))
        assert "batch_3, batch_4" in left.stderr
        live = [word for word in rating(folder, endpoint.url) if word != "--batch"]
        refused = here(label_math_difficulty, *live)
        assert refused.returncode == 2 and "would pay twice" in refused.stderr
        other = here(label_math_difficulty, *rating(folder, endpoint.url, "--model", "openai/other"))
        assert other.returncode == 2 and "ask test-model until its results" in other.stderr
        assert len(endpoint.ours) == 2


def test_a_dry_run_of_labels_counts_no_question_that_a_batch_was_asked_already(tmp_path):
    small_numina(tmp_path)
    folder = tmp_path / "labels"
    with BatchEndpoint() as endpoint:
        asked = rating(folder, endpoint.url, "--source", "math")
        left_waiting(endpoint, label_math_difficulty, asked)
        alone = here(label_math_difficulty, *asked, "--dry-run")
        both = here(label_math_difficulty, *rating(folder, endpoint.url, "--dry-run"))
        live = here(label_math_difficulty, *[word for word in asked if word != "--batch"], "--dry-run")
    assert last_line(alone) == {"problems": 6, "missing": 6, "in_batches": 6, "prompt_tokens": 0}
    assert "6 to rate (6 asked in batches already)" in alone.stderr
    assert [one["in_batches"] for one in last_line(both)["slices"]] == [6, 0]
    assert live.returncode == 2 and "would pay twice" in live.stderr


def test_a_retry_of_labels_in_batches_goes_on_with_its_own_batches(tmp_path):
    small_numina(tmp_path)
    folder = tmp_path / "labels"
    with BatchEndpoint() as endpoint:
        endpoint.says = rates
        assert here(label_math_difficulty, *rating(folder, endpoint.url)).returncode == 0
        left_waiting(endpoint, label_math_difficulty, rating(folder, endpoint.url, "--retry"))
        made = len(endpoint.ours)
        endpoint.stuck, endpoint.says = False, lambda _: "[[3]]"
        done = here(label_math_difficulty, *rating(folder, endpoint.url, "--retry"))
        assert done.returncode == 0 and len(endpoint.ours) == made
    assert [one["labelled"] for one in last_line(done)["slices"]] == [6, 5]


def rewrites(prompt):
    """Well at the second try alone; one sample never."""
    if "An earlier attempt" not in prompt or "Question 2?" in prompt:
        return "Sure!"
    return join_parts(THOUGHT, "So it is \\boxed{7}.")


@pytest.mark.parametrize("moment", [None, 9, 16, 30])
def test_rewrites_in_batches_survive_a_kill_and_none_is_paid_for_twice(tmp_path, monkeypatch, moment):
    folders = [raw_run(tmp_path / name) for name in "ab"]
    with BatchEndpoint() as endpoint:
        endpoint.says = rewrites
        command = ["--input_dir", tmp_path, "--model", "openai/test-model", "--api-base", endpoint.url]
        command += ["--engine-args", QUICK]
        if moment is not None:
            with monkeypatch.context() as patch, pytest.raises(Killed):
                kill_at(patch, moment)
                here(convert_format, *command, "--batch")
        if moment == 9:
            live = here(convert_format, *command)
            assert live.returncode == 2 and "would pay twice" in live.stderr
        done = here(convert_format, *command, "--batch")
        assert done.returncode == 0, done.stderr
        for folder in folders:
            lines = [
                line for name in ("formatted", "unformatted") for line in json_lines(folder / f"{name}.jsonl")
            ]
            assert sorted((line["problem_id"], line["text"] is None) for line in lines) == [
                ("0", False), ("1", False), ("2", True)
            ]  # fmt: skip
        # In both runs three samples are asked about twice, under the same names.
        assert set(endpoint.asked.values()) == {2} and len(endpoint.asked) == 6
        calls = endpoint.calls.total()
        assert here(convert_format, *command).returncode == 0 and endpoint.calls.total() == calls


def test_a_dry_run_of_rewrites_counts_no_question_that_a_batch_was_asked_already(tmp_path):
    raw_run(tmp_path / "a")
    with BatchEndpoint() as endpoint:
        command = ["--input_dir", tmp_path, "--model", "openai/test-model", "--api-base", endpoint.url]
        command += ["--engine-args", QUICK]
        fresh = here(convert_format, *command, "--batch", "--dry-run")
        left_waiting(endpoint, convert_format, [*command, "--batch"])
        dry = here(convert_format, *command, "--batch", "--dry-run")
        live = here(convert_format, *command, "--dry-run")
    assert (last_line(fresh)["for_model"], last_line(fresh)["in_batches"]) == (3, 0)
    assert (last_line(dry)["for_model"], last_line(dry)["in_batches"]) == (3, 3)
    assert "3 asked in batches already): about 0 prompt" in dry.stderr
    assert live.returncode == 2 and "would pay twice" in live.stderr


def test_a_retry_of_rewrites_in_batches_goes_on_with_its_own_batches(tmp_path):
    raw_run(tmp_path / "a")
    with BatchEndpoint() as endpoint:
        endpoint.says = rewrites
        command = ["--input_dir", tmp_path, "--model", "openai/test-model", "--api-base", endpoint.url]
        command += ["--engine-args", QUICK, "--batch"]
        assert here(convert_format, *command).returncode == 0
        left_waiting(endpoint, convert_format, [*command, "--retry"])
        made = len(endpoint.ours)
        endpoint.stuck = False
        endpoint.says = lambda _: join_parts(THOUGHT, "So it is \\boxed{7}.")
        done = here(convert_format, *command, "--retry")
        assert len(endpoint.ours) == made and last_line(done)["rewritten"] == 1


@pytest.mark.parametrize("moment", [None, 3, 9, 16, 23])
def test_pairs_are_asked_about_in_batches_once_whatever_kills_the_command(tmp_path, monkeypatch, moment):
    make_run(tmp_path / "run", {"p": [(LONG, True), (UNCLEAR, True)]})
    command = ["--dataset", tmp_path / "run", "--result-dir", tmp_path / "out", "--target-model", "m"]
    command += ["--tokenizer", "none", "--thought", "markers"]
    with BatchEndpoint() as endpoint:
        endpoint.says = lambda prompt: next(
            one["text"] for one in (CUTS, *JUDGE) if one["contains"] in prompt
        )
        asking = ["--rewrite-model", "openai/test-model", "--api-base", endpoint.url, "--engine-args", QUICK]
        command += [*asking, "--batch"]
        if moment is not None:
            with monkeypatch.context() as patch, pytest.raises(Killed):
                kill_at(patch, moment)
                here(response_rewrite, *command)
        done = here(response_rewrite, *command)
        assert done.returncode == 0, done.stderr
        assert last_line(done)["pairs"]["fcs"] == 1
        assert set(endpoint.asked.values()) == {1} and len(endpoint.asked) == 3
    nobody = here(response_rewrite, *command[:10], "--batch")
    assert nobody.returncode == 2 and "no model is: leave --batch out" in nobody.stderr


def test_a_dry_run_of_pairs_counts_no_question_that_a_batch_was_asked_already(tmp_path):
    make_run(tmp_path / "run", {"p": [(LONG, True), (UNCLEAR, True)]})
    command = ["--dataset", tmp_path / "run", "--result-dir", tmp_path / "out", "--target-model", "m"]
    command += ["--tokenizer", "none", "--thought", "markers"]
    with BatchEndpoint() as endpoint:
        asking = ["--rewrite-model", "openai/test-model", "--api-base", endpoint.url, "--engine-args", QUICK]
        fresh = last_line(here(response_rewrite, *command, *asking, "--batch", "--dry-run"))
        left_waiting(endpoint, response_rewrite, [*command, *asking, "--batch"])
        dry = here(response_rewrite, *command, *asking, "--batch", "--dry-run")
        live = here(response_rewrite, *command, *asking, "--dry-run")
        asked = sum(len(endpoint.files[one["input_file_id"]].splitlines()) for one in endpoint.ours)
    told = last_line(dry)
    assert told["in_batches"] == asked == fresh["to_cut"] and fresh["in_batches"] == told["to_cut"] == 0
    assert told["to_judge"] == fresh["to_judge"] and told["prompt_tokens"] < fresh["prompt_tokens"]
    assert live.returncode == 2 and "would pay twice" in live.stderr
