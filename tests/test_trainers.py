"""Do the trainers themselves load our sets for reinforcement learning, and take our rewards?

They are installed nowhere by default: `pip install trl`, `pip install verl`, `pip install "verifiers<0.4"`.
"""

import asyncio
import importlib.util
import subprocess
import sys
from dataclasses import replace

import pytest
from helpers import ROOT
from test_rl_sets import PROBLEM

from util.training.formats import ExampleFile

pytestmark = pytest.mark.filterwarnings("ignore")  # what trainers say of their own libraries
CHAT = "{% for message in messages %}{{ message['role'] }} {{ message['content'] }} {% endfor %}assistant "


def written(folder, format_name, suffix):
    path = folder / f"rl{suffix}"
    with ExampleFile(path, format_name) as file:
        for truth in ("7", "8", "9", "10"):
            file.write(replace(PROBLEM, truth=truth))
        file.finish()
        file.commit()
    return path


def loaded_rewards():
    """As a trainer's script loads the file."""
    spec = importlib.util.spec_from_file_location("reward_file", ROOT / "rewards.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def tokenizer():
    """One that knows a few words."""
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    from tokenizers import Tokenizer, models, pre_tokenizers

    names = "<pad> <end> ? system user assistant S P so it is 7 8 9 10 \\boxed{7}".split()
    inner = Tokenizer(models.WordLevel({name: at for at, name in enumerate(names)}, unk_token="?"))
    inner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    made = transformers.PreTrainedTokenizerFast(
        tokenizer_object=inner, pad_token="<pad>", eos_token="<end>", unk_token="?"
    )
    made.chat_template = CHAT
    return made


@pytest.mark.engine
def test_trl_trains_a_step_on_our_rows_with_our_reward(tmp_path):
    trl = pytest.importorskip("trl", reason="TRL is not installed: pip install trl")
    import datasets
    import transformers

    words = tokenizer()
    shape = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = transformers.LlamaConfig(vocab_size=len(words), pad_token_id=0, eos_token_id=1, **shape)
    rows = datasets.load_dataset(
        "json",
        data_files=str(written(tmp_path, "trl-grpo", ".jsonl")),
        split="train",
        cache_dir=str(tmp_path),
    )
    asked = []
    rewards = loaded_rewards()

    def grpo_reward(**columns):
        asked.append(rewards.grpo_reward(**columns, workers=1))
        return asked[-1]

    trainer = trl.GRPOTrainer(
        transformers.LlamaForCausalLM(config),
        reward_funcs=grpo_reward,
        train_dataset=rows,
        processing_class=words,
        args=trl.GRPOConfig(
            output_dir=str(tmp_path / "out"),
            per_device_train_batch_size=2,
            num_generations=2,
            max_completion_length=4,
            max_steps=1,
            use_cpu=True,
            report_to=[],
        ),
    )
    trainer.train()
    assert asked and all(value in (0.0, 1.0, None) for values in asked for value in values)
    texts = [r"\boxed{7}", [{"role": "assistant", "content": r"\boxed{7}"}]]
    columns = {name: [rows[0][name], rows[1][name]] for name in rows.column_names if name != "prompt"}
    assert grpo_reward(prompts=texts, completions=texts, **columns) == [1.0, 0.0]


@pytest.mark.engine
def test_verl_loads_our_rows_and_our_reward(tmp_path):
    pytest.importorskip("verl", reason="verl is not installed: pip install verl")
    import torch
    from omegaconf import OmegaConf
    from verl import DataProto
    from verl.trainer.ppo.reward import get_custom_reward_fn
    from verl.utils.dataset.rl_dataset import RLHFDataset
    from verl.workers.reward_manager.naive import NaiveRewardManager

    words = tokenizer()
    config = OmegaConf.create({"cache_dir": str(tmp_path), "filter_overlong_prompts_workers": 1})
    rows = RLHFDataset(str(written(tmp_path, "verl-parquet", ".parquet")), words, config)
    first = [rows[at] for at in range(4)]
    assert len(rows) == 4 and {row["data_source"] for row in first} == {"AI-MO/NuminaMath-CoT"}
    assert first[0]["raw_prompt"][-1] == {"role": "user", "content": "P"}
    named = {"path": str(ROOT / "rewards.py"), "name": "compute_score", "reward_kwargs": {"workers": 1}}
    score = get_custom_reward_fn(OmegaConf.create({"reward": {"custom_reward_function": named}}))
    said = words("so it is \\boxed{7}", return_tensors="pt")["input_ids"].repeat(4, 1)
    prompts = torch.full((4, 2), words.pad_token_id)
    batch = DataProto.from_dict(
        tensors={
            "prompts": prompts,
            "responses": said,
            "attention_mask": torch.cat([torch.ones_like(prompts), torch.ones_like(said)], dim=1),
        },
        non_tensors={
            name: [row[name] for row in first] for name in ("data_source", "reward_model", "extra_info")
        },
    )
    found = NaiveRewardManager(words, num_examine=0, compute_score=score)(batch, return_dict=True)
    assert found["reward_tensor"].sum(dim=1).tolist() == [1.0, 0.0, 0.0, 0.0]
    assert set(found["reward_extra_info"]["grader"]) == {found["reward_extra_info"]["grader"][0]}


def test_a_rubric_of_verifiers_gives_our_rewards():
    verifiers = pytest.importorskip(
        "verifiers", reason='verifiers is not installed: pip install "verifiers<0.4"'
    )
    if not hasattr(verifiers, "Rubric"):
        pytest.skip('verifiers has no rubrics from 0.4 on: pip install "verifiers<0.4"')
    rubric = loaded_rewards().rubric(workers=1)
    reply = [{"role": "assistant", "content": r"\boxed{7}"}]
    state = {"prompt": [], "completion": reply, "answer": "7", "info": {"task": "NUMINA"}, "task": "default"}
    state["timing"] = {"scoring_ms": 0.0, "total_ms": 0.0}
    asyncio.run(rubric.score_rollout(state))
    assert state["reward"] == 1.0


@pytest.mark.engine
def test_the_reward_function_travels_to_the_workers_of_ray(tmp_path):
    travelling = pytest.importorskip("ray.cloudpickle", reason="Ray is not installed")
    (tmp_path / "function").write_bytes(travelling.dumps(loaded_rewards().compute_score))
    program = (
        "import pickle; score = pickle.load(open('function', 'rb'))\n"
        "print(score('maths', '1, then \\\\boxed{2}', '2', workers=1)['score'])"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True)
    assert done.stdout == "1.0\n", done.stderr
