"""report.py budget: what a finished run would have come to with less thought."""

import json
from subprocess import CompletedProcess

import pytest
from faulty_endpoint import FaultyEndpoint, Script
from helpers import json_lines, last_line, paper_engine, script
from made_runs import make_run

import report
from util.engines.tokens import TokenCounter
from util.errors import RunStopped, UserError
from util.generation.budget import Budgets
from util.response import thought_of
from util.runs.folder import Run
from util.runs.journal import Journal
from util.runs.shards import Shard

RIGHT, WRONG = r"The answer is \boxed{42}.", r"The answer is \boxed{41}."
LONG, SHORT = " ".join(["hence"] * 100), "so it is"


def sample(name, thought, answer, *, index=0, **more):
    text = f"<think>\n{thought}\n</think>\n\n{answer}"
    return {"problem_id": name, "index": index, "text": text, "tokens": len(text.split()), **more}


@pytest.fixture
def folder(tmp_path):
    """Two long right thoughts, a long one that was cut off, a short one, and one that came apart."""
    cut_off = {"problem_id": "p3", "index": 0, "text": f"<think>\n{LONG}", "tokens": 101}
    return make_run(
        tmp_path / "run",
        [
            sample("p1", LONG, RIGHT),
            sample("p1", LONG, RIGHT, index=1),
            sample("p2", SHORT, WRONG, correct=False),
            cut_off | {"finish_reason": "length", "reason": "truncated", "correct": False, "extracted": None},
            {"problem_id": "p4", "index": 0, "text": RIGHT, "reasoning": LONG, "tokens": 105},
        ],
        settings={"model": "paper", "system_prompt": "Be brief."},
    )


@pytest.fixture
def budget(tmp_path, capsys):
    """Run the command in this process."""

    def run(folder, *flags, says=({"text": RIGHT},), at=(20, 50)):
        given = ["budget", folder, "--at", *at, "--tokenizer", "none", *paper_engine(tmp_path, *says), *flags]
        error = ""
        try:
            status = report.run(report.parse([str(flag) for flag in given]))
        except (UserError, RunStopped) as raised:
            status, error = 2 if isinstance(raised, UserError) else 1, str(raised)
        out, err = capsys.readouterr()
        return CompletedProcess(given, status, out, err + error)

    return run


def rows(done):
    return {row["thinking_budget"]: row for row in last_line(done)["budgets"]}


def test_accuracy_against_thinking_budget_and_nothing_is_asked_or_paid_twice(folder, budget):
    says = [{"contains": "p1", "text": WRONG}, {"text": RIGHT}]
    done = budget(folder, says=says)
    assert done.returncode == 0, done.stderr
    found = rows(done)
    assert set(found) == {None, 20, 50} and "the run's own counts" in done.stderr
    shares = {at: round(row["accuracy"]["value"], 4) for at, row in found.items()}
    assert shares == {None: 0.5, 20: 0.5, 50: 0.5}  # p1 is lost, p3 is won
    assert [found[at]["forced"] for at in (None, 20, 50)] == [0, 4, 4]
    assert all((row["problems"], row["samples"]) == (4, 5) for row in found.values())
    assert found[20]["mean_tokens"] < found[50]["mean_tokens"] < found[None]["mean_tokens"]
    assert "20" in done.stdout and "80.0 %" in done.stdout
    lines = json_lines(folder / "budget.jsonl")
    assert len(lines) == 8 and {line["at"] for line in lines} == {20, 50}
    again = budget(folder, says=[{"stop": "nobody is to be asked"}])
    assert again.returncode == 0 and again.stdout == done.stdout
    more = budget(folder, "--dry-run", at=(20, 30))
    assert more.returncode == 0 and last_line(more)["requests"] == 4
    assert "budget" not in (folder / "run.json").read_text()


def test_a_run_that_a_shard_writes_to_is_left_to_it(folder, budget):
    with Run(folder, settings={}, made_with={}, shard=Shard(1, 2)):
        done = budget(folder)
    assert done.returncode == 2 and "is being written by shard 1/2: process" in done.stderr


def test_what_is_sent_is_the_thought_up_to_the_budget_closed_by_its_own_mark(folder):
    words = TokenCounter("words", lambda text: len(text.split()), _ends)
    budgets = Budgets(folder, (20,), words)
    cuts = list(budgets.missing())
    assert [cut.name[0][0] for cut in cuts] == ["p1", "p1", "p3", "p4"]
    for cut in cuts:
        kept = " ".join(["hence"] * 20)
        assert cut.begun == f"<think>\n{kept}\n</think>\n\n"
        asked = budgets._request(cut, 0)
        assert [message["role"] for message in asked.messages] == ["system", "user", "assistant"]
        assert asked.max_tokens == 4096 - 20 and asked.begun == cut.begun


def _ends(text):
    ends, at = [], 0
    for word in text.split():
        at = text.index(word, at) + len(word)
        ends.append(at)
    return ends


def test_a_thought_is_cut_at_whole_tokens_whichever_way_they_are_counted():
    words = TokenCounter("words", lambda text: len(text.split()), _ends)
    assert words.beginnings("a bb ccc", [1, 2, 3, 9]) == ["a", "a bb", "a bb ccc", "a bb ccc"]
    assert TokenCounter("a guess").beginnings("x" * 100, [5, 30], 0.25) == ["x" * 20, "x" * 100]


def test_a_command_that_stopped_resumes_and_says_what_is_missing(folder, budget):
    cut = budget(folder, says=[{"contains": "p1", "text": RIGHT}, {"stop": "the engine died"}])
    assert cut.returncode == 1 and "the engine died" in cut.stderr
    before = (folder / "budget.jsonl").read_bytes()
    assert before.count(b"\n") == 4
    (folder / "budget.jsonl").write_bytes(before + b'{"problem_id": "p3", "temp')  # a kill tears a line
    failed = budget(folder, says=[{"contains": "p3", "fail": "no"}, {"text": RIGHT}])
    assert failed.returncode == 1 and "2 forced answers are missing" in failed.stderr
    assert rows(failed)[20]["samples"] == 4
    assert (folder / "budget.jsonl").read_bytes().startswith(before)
    whole = budget(folder)
    assert whole.returncode == 0 and rows(whole)[20]["samples"] == 5
    names = [(line["problem_id"], line["index"], line["at"]) for line in json_lines(folder / "budget.jsonl")]
    assert len(names) == len(set(names)) == 8


def test_a_dry_run_prices_it_and_writes_nothing(folder, budget):
    done = budget(folder, "--dry-run")
    assert done.returncode == 0 and last_line(done)["requests"] == 8
    assert last_line(done)["prompt_tokens"] > 8 * 20 and not (folder / "budget.jsonl").exists()
    limited = budget(folder, "--max-tokens", "50", "--max-tokens-total", "600")
    assert limited.returncode == 1 and "--max-tokens-total are spent" in limited.stderr


def test_a_run_without_longer_thoughts_is_told_so_and_nobody_is_asked(folder, budget):
    done = budget(folder, says=[{"stop": "nobody is to be asked"}], at=(500,))
    assert done.returncode == 0 and "no thought of" in done.stderr and rows(done)[500]["forced"] == 0


def test_a_run_without_verdicts_is_told_what_to_do(tmp_path, budget):
    run = make_run(tmp_path / "run", [sample("p1", LONG, RIGHT)], graded=False)
    done = budget(run)
    assert done.returncode == 2 and "grade them with" in done.stderr


def test_an_endpoint_is_asked_to_go_on_and_one_that_cannot_is_refused(folder):
    info = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    for owner, status in (("vllm", 0), ("someone", 2)):
        with FaultyEndpoint(Script(owned_by=owner)) as endpoint:
            info["settings"]["model"] = "openai/test-model"
            info["asked"]["engine"] = {"api_base": [endpoint.url]}  # the engine of the run is asked again
            (folder / "run.json").write_text(json.dumps(info), encoding="utf-8")
            done = script("report.py", "budget", folder, "--at", "20", "--tokenizer", "none")
        assert done.returncode == status, done.stderr
        assert (folder / "budget.jsonl").exists() == ("answering" in done.stderr) == (status == 0)
        (folder / "budget.jsonl").unlink(missing_ok=True)
        assert all(body["continue_final_message"] for body in endpoint.requests)
        assert len(endpoint.requests) == (4 if status == 0 else 0)


def test_answers_of_another_cut_are_not_taken(folder):
    counter = TokenCounter("words", lambda text: len(text.split()), _ends)
    cut = next(Budgets(folder, (20,), counter).missing())
    name = {"problem_id": "p1", "temperature": 0.7, "index": 0, "at": 20}
    line = {**name, "begun": "0" * 16, "text": RIGHT, "finish_reason": "stop"}
    journal = Journal(folder / "budget.jsonl")
    journal.append({**line, "prompt_tokens": 1, "completion_tokens": 1})
    journal.close()
    assert cut in list(Budgets(folder, (20,), counter).missing())


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("no thought at all", None),
        ("<think>\na\n</think>\nb", ("<think>", "\na\n", "</think>")),
        ("a b</think>c", ("<think>\n", "a b", "</think>")),
        ("<think>a</think>b<think>c</think>d", ("<think>", "a</think>b<think>c", "</think>")),
        ("<think>open", ("<think>", "open", "</think>")),
        ("[THINK]a[/THINK]b", ("[THINK]", "a", "[/THINK]")),
        ("◁think▷a◁/think▷b", ("◁think▷", "a", "◁/think▷")),
        (
            "<|begin_of_thought|>a<|end_of_thought|><|begin_of_solution|>b<|end_of_solution|>",
            ("<|begin_of_thought|>", "a", "<|end_of_thought|>"),
        ),
        (
            "<|channel|>analysis<|message|>a<|end|><|start|>assistant<|channel|>final<|message|>b",
            (
                "<|channel|>analysis<|message|>",
                "a<|end|>",
                "<|start|>assistant<|channel|>final<|message|>",
            ),
        ),
    ],
)
def test_a_thought_is_found_with_the_marks_around_it(text, found):
    thought = thought_of(text)
    assert (thought and (thought.opening, thought.text, thought.mark)) == found
