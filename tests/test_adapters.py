"""Is a LoRA adapter looked at before a model is loaded, recorded, and never taken for another one?"""

import json
import shlex

import pytest
from helpers import json_lines, make_adapter, paper_engine
from made_runs import make_run

import inference_and_check
import report
from util.engines.adapters import read_adapter
from util.engines.options import EngineOptions
from util.errors import UserError
from util.runs.folder import read_run_json
from util.runs.repeat import repeat_command
from util.settings import NOT_RECORDED, values_of

FLAGS = ["--dataset", "Warmup", "--model", "m", "--limit", "2", "--max-tokens", "40", "--temperatures", "0.5"]


@pytest.fixture
def adapter(tmp_path):
    return make_adapter(tmp_path / "adapter")


@pytest.fixture
def ask(tmp_path):
    """Run the command in this process with a model on paper."""
    engine = paper_engine(tmp_path, {"text": "7"})

    def run(*flags, engine=engine):
        given = [*FLAGS, *engine, "--result-dir", tmp_path / "results", *flags]
        return inference_and_check.run(inference_and_check.parse([str(each) for each in given]))

    return run


def folders(tmp_path):
    return sorted(path.parent.name for path in tmp_path.glob("results/*/run.json"))


def test_an_adapter_is_a_setting_and_its_run_stands_beside_that_of_the_bare_model(tmp_path, ask, adapter):
    assert ask() == 0 and ask("--lora", f"tiny={adapter}") == 0
    with_it, without = (tmp_path / "results" / name for name in folders(tmp_path))
    assert with_it.name.startswith("m+tiny_Warmup_") and without.name.startswith("m_Warmup_")
    values = values_of(read_run_json(with_it))
    assert values["lora"] == f"tiny={adapter}"
    assert values["lora_hash"] == read_adapter(f"tiny={adapter}").digest
    assert f"--lora tiny={adapter}" in repeat_command(with_it) and "--lora" not in repeat_command(without)
    repeated = shlex.split(repeat_command(with_it).split("inference_and_check.py", 1)[1])
    assert inference_and_check.parse(repeated).lora == f"tiny={adapter}"
    older = values_of(read_run_json(without))
    assert older["lora"] is None and older["lora_hash"] is None


@pytest.mark.parametrize("changed", [{"strength": 101.0}, {"lora_alpha": 2}])
def test_another_adapter_under_the_same_name_does_not_continue_a_run(tmp_path, ask, adapter, changed):
    lora = ["--lora", f"tiny={adapter}"]
    assert ask(*lora, "--inference") == 0
    (run,) = tmp_path.glob("results/*/samples.jsonl")
    kept = run.read_bytes()
    make_adapter(adapter, **changed)
    with pytest.raises(UserError, match="lora_hash"):
        ask(*lora, "--limit", "4")
    assert run.read_bytes() == kept
    make_adapter(adapter)
    assert ask(*lora, "--limit", "4") == 0
    assert len(json_lines(run)) == 4


def test_a_run_is_checked_where_its_adapter_is_gone_but_not_continued(tmp_path, ask, adapter):
    lora = ["--lora", f"tiny={adapter}"]
    assert ask(*lora, "--inference") == 0
    adapter.rename(tmp_path / "elsewhere")
    assert ask(*lora, "--check") == 0
    (run,) = tmp_path.glob("results/*/run.json")
    assert json.loads(run.read_text())["settings"]["lora_hash"].startswith("sha256:")
    with pytest.raises(UserError, match="holds no adapter"):
        ask(*lora, "--limit", "4")


def test_an_engine_makes_room_for_the_largest_rank_of_an_adapter(adapter):
    for rank, room in [(1, 8), (8, 8), (9, 16), (200, 256), (512, 512)]:
        make_adapter(adapter, r=1, rank_pattern={"q_proj": rank})
        assert read_adapter(f"a={adapter}").rank == room


def test_vllm_is_told_of_the_adapter_and_engine_arguments_win(adapter, monkeypatch):
    from util.engines import vllm_local

    monkeypatch.setattr(vllm_local, "_model_path", lambda model: model)
    options = EngineOptions("m", adapter=read_adapter(f"a={adapter}"), engine_args={"max_lora_rank": 64})
    told = vllm_local.worker_options(options, on_cpu=False)
    assert told["adapter"] == ["a", str(adapter)]
    assert told["engine_args"]["enable_lora"] and told["engine_args"]["max_lora_rank"] == 64
    bare = vllm_local.worker_options(EngineOptions("m"), on_cpu=False)
    assert bare["adapter"] is None and "enable_lora" not in bare["engine_args"]


@pytest.mark.parametrize(
    "config, sentence",
    [
        ("{", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("[]", "not that of a LoRA adapter"),
        ('{"peft_type": "IA3", "r": 1}', "not that of a LoRA adapter"),
        ("{}", "rank None"),
        ('{"r": 0}', "rank 0"),
        ('{"r": true}', "rank True"),
        ('{"r": "8"}', "rank '8'"),
        ('{"r": 8, "rank_pattern": {"q_proj": -1}}', "rank -1"),
        ('{"r": 8, "rank_pattern": "q_proj"}', "rank 'q_proj'"),
        ('{"r": 1024}', "512 at most"),
        (b"\xff\xfe", "not JSON"),
    ],
)
def test_a_configuration_that_no_engine_could_use_is_refused_in_a_sentence(ask, adapter, config, sentence):
    content = config if isinstance(config, bytes) else config.encode()
    (adapter / "adapter_config.json").write_bytes(content)
    with pytest.raises(UserError, match=sentence) as refused:
        ask("--lora", f"tiny={adapter}")
    assert str(adapter) in str(refused.value) and "\n" not in str(refused.value)


def test_a_folder_that_holds_no_adapter_is_refused(tmp_path, ask, adapter):
    (adapter / "adapter_model.safetensors").unlink()
    for path in (adapter, tmp_path, tmp_path / "missing", adapter / "adapter_config.json"):
        with pytest.raises(UserError, match=r"has no adapter_(config|model)"):
            ask("--lora", f"tiny={path}")
    assert not folders(tmp_path)


@pytest.mark.parametrize("value", ["adapter", "=adapter", "name=", "a/b=adapter", "a b=adapter", ""])
def test_what_is_not_name_and_path_is_refused(ask, capsys, value):
    with pytest.raises(SystemExit) as ended:
        ask("--lora", value)
    assert ended.value.code == 2 and "--lora" in capsys.readouterr().err


def test_an_endpoint_is_asked_for_an_adapter_by_its_name(ask, adapter):
    with pytest.raises(UserError, match="--model openai/NAME"):
        ask("--model", "openai/m", "--lora", f"tiny={adapter}", engine=[])


def test_a_thinking_budget_is_looked_at_with_the_adapter_of_the_run(tmp_path, adapter):
    kept = {"lora": f"tiny={adapter}", "lora_hash": read_adapter(f"tiny={adapter}").digest}
    run = make_run(tmp_path / "run", [{"problem_id": "p", "index": 0}], settings=kept)
    values = values_of(read_run_json(run))
    assert report._adapter_of(values) == read_adapter(f"tiny={adapter}")
    assert report._adapter_of({**values, "lora_hash": NOT_RECORDED}) is not None
    assert report._adapter_of({**values, "lora": None}) is None
    make_adapter(adapter, strength=1.0)
    with pytest.raises(UserError, match="put it back"):
        report._adapter_of(values)
