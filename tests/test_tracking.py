"""Do experiment trackers hear what a command does, and can none of them harm it?"""

import json
import sys
from types import SimpleNamespace

import pytest
from helpers import HANG_S, here, json_lines, paper_engine

import eval as evaluation
import inference_and_check
from util.errors import UserError
from util.generation import TRACKERS, tracking
from util.generation.tracking import Tracking, check_installed, progress_of

# One module that has as much of the interface of all three packages as is used. It writes down what it hears,
# and misbehaves as FAKE_TRACKER says: "wandb init raise", "trackio log die", "wandb finish hang", ...
FAKE = """
import json, os, sys, time

def hear(name, *given):
    with open(os.environ["HEARD"], "a") as out:
        out.write(json.dumps([__name__, name, *given], default=str) + "\\n")
    who, when, what = os.environ.get("FAKE_TRACKER", "nobody at all").split()
    print("noise of", name)
    if who != __name__:
        return
    if when == name and what == "raise":
        raise ValueError("the network is away")
    if when == name and what == "die":
        os._exit(3)
    if when == name and what == "hang":
        time.sleep(600)

class Run(dict):
    url, dir = "https://tracker.example/run", "/x/y/files"
    info = type("Info", (), {"run_id": "42"})
    def __init__(self):
        self.summary = self
    def log(self, numbers): hear("log", numbers)
    def update(self, numbers): hear("result", numbers)
    def finish(self): hear("finish")

class Settings:
    def __init__(self, **given): pass

def init(**given):
    hear("init", given)
    return Run()

def log(numbers): hear("log", numbers)
def finish(): hear("finish")
def set_experiment(name): pass
def start_run(**given): return init(**given)
def log_params(params): hear("params", dict(params))
def log_metrics(numbers, step=None): hear("log", numbers, step)
def end_run(): hear("finish")
"""


@pytest.fixture
def fake(tmp_path, monkeypatch):
    """The three packages, of paper; returns how to make them misbehave and what they heard."""
    folder = tmp_path / "packages"
    folder.mkdir()
    for name in TRACKERS:
        (folder / f"{name}.py").write_text(FAKE)
    heard = tmp_path / "heard.jsonl"
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setenv("PYTHONPATH", str(folder))
    monkeypatch.setenv("HEARD", str(heard))
    monkeypatch.setattr(tracking, "EVERY_S", 0.0)
    monkeypatch.setitem(Tracking.__init__.__kwdefaults__, "finish_s", HANG_S)  # of commands
    return SimpleNamespace(
        misbehave=lambda how: monkeypatch.setenv("FAKE_TRACKER", how),
        heard=lambda: json_lines(heard) if heard.exists() else [],
    )


def tracked(folder, *names, finish_s=HANG_S, say_so=0):
    """A command that tells its trackers of so many samples."""
    with Tracking(names, name="run", folder=folder, settings=lambda: {"seed": 0}, finish_s=finish_s) as told:
        for number in range(say_so):
            told.progress(lambda number=number: {"samples": number})
        told.result({"AIME/avg": 0.5})
    return told


@pytest.mark.parametrize("name", TRACKERS)
def test_a_tracker_hears_settings_progress_and_result(fake, tmp_path, capsys, name):
    tracked(tmp_path, name, say_so=2)
    heard = fake.heard()
    assert {line[0] for line in heard} == {name}
    numbers = [line[2] for line in heard if line[1] in ("log", "result")]
    assert numbers == [{"samples": 0}, {"samples": 1}, {"AIME/avg": 0.5}]
    assert '"seed": 0' in json.dumps(heard) and heard[-1][1] == "finish"
    link = {"wandb": "https://tracker.example/run", "trackio": "trackio show", "mlflow": "mlflow run 42"}
    assert f"{name}: {link[name]}" in capsys.readouterr().err
    assert "noise of finish" in (tmp_path / f"{name}.log").read_text()


@pytest.mark.parametrize("how", ["init raise", "log raise", "finish raise", "init die", "log die"])
def test_a_tracker_that_fails_is_one_line_and_the_others_hear_on(fake, tmp_path, capsys, how):
    fake.misbehave(f"wandb {how}")
    tracked(tmp_path, "wandb", "trackio", say_so=3)
    err = capsys.readouterr().err
    assert fake.heard()[-1][:2] == ["trackio", "finish"] and "WARNING: trackio" not in err
    assert err.count("WARNING: wandb takes nothing more (") == 1 and "the run goes on without it" in err
    assert ("ValueError: the network is away" in err) == ("raise" in how)


@pytest.mark.parametrize("how", ["init hang", "finish hang"])
def test_a_tracker_that_hangs_is_not_waited_for_longer_than_its_time(fake, tmp_path, capsys, how):
    fake.misbehave(f"wandb {how}")
    told = Tracking(["wandb"], name="run", folder=tmp_path, settings=dict, finish_s=0.5)
    process = told._trackers[0]._process
    with told:
        for _ in range(20):  # more than a pipe holds
            told.progress(lambda: {"x" * 10_000: 1.0})
    assert "wandb did not finish in time and was ended" in capsys.readouterr().err
    assert process.poll() is not None


def test_what_a_tracker_cannot_take_is_left_out_rather_than_kept_without_end(fake, tmp_path, monkeypatch):
    fake.misbehave("wandb init hang")
    monkeypatch.setattr(tracking, "MOST_WAITING", 100_000)
    monkeypatch.setattr(tracking.os, "write", lambda *_: (_ for _ in ()).throw(BlockingIOError()))
    told = Tracking(["wandb"], name="run", folder=tmp_path, settings=dict, finish_s=0.0)
    with told:
        for _ in range(100):
            told.progress(lambda: {"x" * 10_000: 1.0})
        assert len(told._trackers[0]._waiting) < 120_000


def test_a_command_that_is_interrupted_waits_for_no_tracker(fake, tmp_path, capsys):
    fake.misbehave("wandb finish hang")
    told = Tracking(["wandb"], name="run", folder=tmp_path, settings=dict, finish_s=600.0)
    process = told._trackers[0]._process
    with pytest.raises(KeyboardInterrupt), told:
        raise KeyboardInterrupt
    assert process.poll() is None and "WARNING" not in capsys.readouterr().err
    process.kill()
    process.wait()


def test_a_tracker_that_is_not_installed_is_refused_before_anything_else(tmp_path, monkeypatch):
    (tmp_path / "wandb").mkdir()  # where wandb keeps its files is not the package
    monkeypatch.delitem(sys.modules, "wandb", raising=False)
    with (
        monkeypatch.context() as alone,
        pytest.raises(UserError, match="pip install -r requirements/log-wandb"),
    ):
        alone.setattr(sys, "path", [str(tmp_path)])
        check_installed(["wandb"])
    monkeypatch.setattr(tracking, "find_spec", lambda name: None)
    flags = ("--dataset", "Warmup", "--model", "paper", "--result-dir", tmp_path / "r", "--log", "wandb")
    done = here(inference_and_check, *flags, *paper_engine(tmp_path, {"text": "4"}))
    assert done.returncode == 2 and not (tmp_path / "r").exists()


def test_a_run_tells_its_result_and_settings_and_no_text_or_secret(fake, tmp_path, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    (tmp_path / "system.txt").write_text("Be SECRET.")
    flags = ("--dataset", "Warmup", "--model", "paper", "--limit", 6, "--temperatures", 0.7, "--n", 2)
    more = ("--result-dir", tmp_path / "results", "--log", "wandb", "mlflow", "--seed", 3)
    said = ("--system-prompt", tmp_path / "system.txt")
    done = here(
        inference_and_check, *flags, *more, *said, *paper_engine(tmp_path, {"text": r"\boxed{8} SECRET"})
    )
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout.strip().split("\n")[-1])["temperatures"]["0.7"]
    heard = fake.heard()
    for name in ("wandb", "mlflow"):
        mine = [line for line in heard if line[0] == name]
        told = next(line[2] for line in mine if "Warmup/avg" in json.dumps(line))
        assert told["Warmup/avg"] == result["avg"]["value"] and told["Warmup/pass_at_2"] >= 0
        assert told["Warmup/undecided"] == 0 and told["Warmup/samples"] == 12
        progress = [line[2] for line in mine if "tokens_per_s" in json.dumps(line)]
        assert progress[-1]["samples_asked"] == 12 and 0 < progress[-1]["samples"] <= 12
    settings = next(line[2] for line in heard if line[1] == "params")
    assert settings["seed"] == 3 and settings["model"] == "paper" and settings["system_prompt_hash"]
    everything = json.dumps(heard)
    assert not any(word in everything for word in ("SECRET", "sk-secret", "How many", "script.jsonl"))
    assert "wandb: https://tracker.example/run" in done.stderr


def test_a_tracker_that_dies_changes_nothing_of_an_evaluation(fake, tmp_path):
    fake.misbehave("trackio log die")
    flags = ("--model", "paper", "--evals", "Warmup", "--limit", 4, "--output-file", tmp_path / "out.txt")
    more = ("--result-dir", tmp_path / "results", "--log", "trackio")
    done = here(evaluation, *flags, *more, *paper_engine(tmp_path, {"text": r"\boxed{8}"}))
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("trackio takes nothing more") == 1
    assert (tmp_path / "out.txt").exists()
    assert fake.heard()[0][2]["config"]["task"] == "Warmup"


def test_spend_and_speed_are_of_all_benchmarks_together(monkeypatch):
    monkeypatch.setattr(
        tracking, "dollars", lambda model, prompt, completion, in_batches: prompt + completion
    )
    parts = [
        SimpleNamespace(
            generated=2, failed=1, prompt_tokens=5, completion_tokens=100, asked_at=10, seconds=4
        ),
        SimpleNamespace(
            generated=1, failed=0, prompt_tokens=1, completion_tokens=100, asked_at=12, seconds=8
        ),
        SimpleNamespace(generated=0, failed=0, prompt_tokens=0, completion_tokens=0, asked_at=0, seconds=0),
    ]
    gradings = {"AIME": SimpleNamespace(judged=4, correct=3), "MATH500": SimpleNamespace(judged=0, correct=0)}
    told = progress_of(parts, model="m", of=9, gradings=gradings)
    assert told["tokens_per_s"] == 20 and told["dollars"] == 206 and told["samples"] == 3
    assert told["AIME/accuracy_so_far"] == 0.75 and "MATH500/accuracy_so_far" not in told
