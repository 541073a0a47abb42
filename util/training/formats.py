"""What do a training example and a preference pair look like in each trainer's own format?

`FORMATS` and `PAIR_FORMATS` turn one into a row; an `ExampleFile` appears whole or not at all.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from util.errors import RunStopped, UserError, disk_trouble, not_writable
from util.runs.journal import Closing, sha256_of, sync_names
from util.runs.lock import hold_lock

PARQUET_ROWS = 1000
REASONING = "reasoning_content"  # the field of a message in which chat templates look for its thought
DATASET_INFO = "dataset_info.json"  # LLaMA-Factory's list of data sets, beside them
_HALF_CHARACTER = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True)
class Prompted:
    """What a row asks."""

    system: str | None
    prompt: str  # the user message as the run sent it

    def request(self) -> list[dict[str, str]]:
        message = [{"role": "system", "content": self.system}] if self.system else []
        return [*message, {"role": "user", "content": self.prompt}]


@dataclass(frozen=True)
class Example(Prompted):
    """One training example, whatever the format."""

    response: str  # as it stands in the row
    question: str
    answer: str | None  # the reference, where it is short text
    data_source: str  # the data set that the question is from
    source: str  # the part of that data set
    subject: str
    difficulty: str
    task: str
    model: str
    sample_id: str
    tokens: int  # of the response
    thought: str | None = None  # in a field of its own; None: the file has no such field
    verdict: str | None = None  # what was judged of the response; None: the row has none
    label: str | None = None  # the answer of most samples, where there is no reference; None: no such column
    agreement: str | None = None  # which share of the samples give it

    def about(self) -> dict[str, str]:
        """Where the row comes from; all as text, since readers guess a column's type from its first rows."""
        return {
            "source": self.source,
            "subject": self.subject,
            "difficulty": self.difficulty,
            "task": self.task,
            "model": self.model,
            "sample_id": self.sample_id,
            **{
                name: value
                for name in ("verdict", "label", "agreement")
                if (value := getattr(self, name)) is not None
            },
        }

    def messages(self) -> list[dict[str, str]]:
        return [*self.request(), self.reply()]

    def reply(self) -> dict[str, str]:
        return _reply(self.response, self.thought)


@dataclass(frozen=True)
class RlProblem:
    """A problem for reinforcement learning: what is asked, how an answer is judged, how the model did."""

    example: Example  # without a response
    kind: str  # of its grader: a benchmark, or "maths", "number", "letter" or "code"
    truth: str  # an answer, a letter, or tests as JSON
    index: int  # a number of its own, the same in every export
    choices: tuple[str, ...]
    time_limit_s: float  # of each test; 0.0: the data set does not say
    pass_rate: float
    n: int  # judged samples
    undecided: int  # samples without a judgement besides
    mean_tokens: float

    def facts(self) -> dict[str, Any]:
        """What a reward may need besides the reference, and how the model did."""
        return {
            **self.example.about(),
            "task": self.kind,
            "question": self.example.question,
            "choices": list(self.choices),
            "time_limit_s": self.time_limit_s,
            "pass_rate": self.pass_rate,
            "n": self.n,
            "undecided": self.undecided,
            "spread": (self.pass_rate * (1 - self.pass_rate)) ** 0.5,  # standard deviation of the reward
            "mean_tokens": self.mean_tokens,
        }


@dataclass(frozen=True)
class Pair(Prompted):
    """Two answers to one prompt, the first one preferred."""

    chosen: str
    rejected: str
    thoughts: tuple[str, str] | None = None  # of both, in a field of their own


@dataclass(frozen=True)
class Judged(Prompted):
    """An answer to a prompt, and whether it is correct."""

    response: str
    thought: str | None  # in a field of its own
    correct: bool


def _reply(text: str, thought: str | None) -> dict[str, str]:
    field = {} if thought is None else {REASONING: thought}
    return {"role": "assistant", "content": text, **field}


def sharegpt(example: Example) -> dict:
    """As LLaMA-Factory reads it with the `dataset_info.json` of the format llamafactory."""
    return {
        "system": example.system or "",
        "conversations": [
            {"from": "user", "value": example.prompt},
            {"from": "assistant", "value": example.response},
        ],
        **example.about(),
    }


def messages(example: Example) -> dict:
    return {"messages": example.messages(), **example.about()}


def alpaca(example: Example) -> dict:
    return {
        "instruction": example.prompt,
        "input": "",
        "output": example.response,
        "system": example.system or "",
        **example.about(),
    }


def trl_sft(example: Example) -> dict:
    """TRL's conversational prompt and completion: the loss is on the completion alone."""
    return {
        "prompt": example.request(),
        "completion": [example.reply()],
        **example.about(),
    }


def verl(problem: RlProblem) -> dict:
    """verl's columns for reinforcement learning; rewards.py at the top level has its reward function."""
    return {
        "data_source": problem.example.data_source,
        "prompt": problem.example.request(),
        "ability": problem.example.task,
        "reward_model": {"style": "rule", "ground_truth": problem.truth},
        "extra_info": {"split": "train", "index": problem.index, **problem.facts()},
    }


def trl_grpo(problem: RlProblem) -> dict:
    """TRL's conversational prompt; its reward functions get the other columns by name."""
    return {
        "prompt": problem.example.request(),
        "ground_truth": problem.truth,
        "data_source": problem.example.data_source,
        **problem.facts(),
    }


def rl_jsonl(problem: RlProblem) -> dict:
    """Prompt, answer and all else in one field, as verifiers reads it."""
    return {
        "prompt": problem.example.request(),
        "answer": problem.truth,
        "info": {"data_source": problem.example.data_source, **problem.facts()},
    }


def sharegpt_dpo(pair: Pair) -> dict:
    """The same roles as in the rows of `sharegpt`."""
    return {
        "system": pair.system or "",
        "conversations": [{"from": "user", "value": pair.prompt}],
        "chosen": {"from": "assistant", "value": pair.chosen},
        "rejected": {"from": "assistant", "value": pair.rejected},
    }


def trl_dpo(pair: Pair) -> dict:
    """TRL's conversational preference rows with an explicit prompt."""
    thoughts = pair.thoughts or (None, None)
    return {
        "prompt": pair.request(),
        "chosen": [_reply(pair.chosen, thoughts[0])],
        "rejected": [_reply(pair.rejected, thoughts[1])],
    }


def axolotl_dpo(pair: Pair) -> dict:
    """As axolotl's `chat_template.default` reads it with `rl: dpo`."""
    return {
        "messages": pair.request(),
        "chosen": _reply(pair.chosen, None),
        "rejected": _reply(pair.rejected, None),
    }


def swift_dpo(pair: Pair) -> dict:
    """ms-swift's standard messages with the answer that is not preferred beside them."""
    return {
        "messages": [*pair.request(), _reply(pair.chosen, None)],
        "rejected_response": pair.rejected,
    }


def trl_kto(answer: Judged) -> dict:
    """TRL's conversational unpaired preference rows."""
    return {
        "prompt": answer.request(),
        "completion": [_reply(answer.response, answer.thought)],
        "label": answer.correct,
    }


def swift_kto(answer: Judged) -> dict:
    """ms-swift's standard messages with a label."""
    return {"messages": [*answer.request(), _reply(answer.response, None)], "label": answer.correct}


FORMATS: dict[str, Callable[[Example], dict]] = {
    "sharegpt": sharegpt,
    "messages": messages,
    "alpaca": alpaca,
    "trl-sft": trl_sft,
    "llamafactory": sharegpt,  # the same rows, and an entry in dataset_info.json
    "verl-sft": messages,  # as verl's supervised trainer reads it
}
RL_FORMATS: dict[str, Callable[[RlProblem], dict]] = {
    "verl-parquet": verl,
    "trl-grpo": trl_grpo,
    "rl-jsonl": rl_jsonl,
}
PAIR_FORMATS: dict[str, Callable[[Pair], dict]] = {
    "sharegpt-dpo": sharegpt_dpo,
    "trl-dpo": trl_dpo,
    "llamafactory-dpo": sharegpt_dpo,  # the same rows, and entries in dataset_info.json
    "axolotl-dpo": axolotl_dpo,
    "swift-dpo": swift_dpo,
}
JUDGED_FORMATS: dict[str, Callable[[Judged], dict]] = {"trl-kto": trl_kto, "swift-kto": swift_kto}

MESSAGE_FORMATS = (
    "messages",
    "trl-sft",
    "verl-sft",
    "trl-dpo",
    "trl-kto",
)  # rows with messages as chat templates read


def check_thought_field(format_name: str) -> None:
    """Raise UserError when rows of this format have no room for a thought in a field of its own."""
    if format_name not in MESSAGE_FORMATS:
        fitting = ", ".join(name for name in MESSAGE_FORMATS if (name in FORMATS) == (format_name in FORMATS))
        raise UserError(
            f"--thought field: rows of --format {format_name} have no messages with such a field; choose "
            f"{fitting}, or --thought think"
        )


def check_output(format_name: str, path: Path) -> None:
    """Raise UserError when no file of this format can have this name."""
    if path.is_dir():
        raise UserError(f"{path} is a folder: name the file to write with --output")
    if path.name == DATASET_INFO:
        raise UserError(f"{path} is where LLaMA-Factory looks up data sets: choose another --output")
    fitting = (".parquet",) if format_name.startswith("verl-") else (".json", ".jsonl")
    if path.suffix not in fitting:
        raise UserError(f"--format {format_name} writes {' or '.join(fitting)} files: rename --output {path}")


class ExampleFile(Closing):
    """A training file that appears whole or not at all; the old one stays until `commit`."""

    def __init__(self, path: Path, format_name: str, *, extra_columns: bool = True) -> None:
        self.path = path
        self._extra_columns = extra_columns
        self.rows = 0
        rows: dict[str, Callable[[Any], dict]] = {**FORMATS, **RL_FORMATS}
        self._as_row = rows[format_name]
        self._part = path.with_name(f".{path.name}.part")
        self._lock_path = path.with_name(f".{path.name}.lock")
        try:
            self._lock = hold_lock(self._lock_path, str(path))
            self._file = open(self._part, "wb")
        except OSError as error:
            raise not_writable(path, error, "--output") from error
        self._rows: list[dict] = []  # of a parquet file, until there are enough
        self._table: Any = None  # pyarrow's writer, once there are rows

    def encode(self, example: Example | RlProblem) -> bytes:
        """The example as `write_encoded` takes it; may be called in another process."""
        row = self._as_row(example)
        if not self._extra_columns and isinstance(example, Example):
            row = {name: value for name, value in row.items() if name not in example.about()}
        text = json.dumps(row, ensure_ascii=False)
        try:
            return text.encode()
        except UnicodeEncodeError:  # half a character, which no reader of the file would take
            return _HALF_CHARACTER.sub("\ufffd", text).encode()

    def write(self, example: Example | RlProblem) -> None:
        self.write_encoded(self.encode(example))

    def write_encoded(self, row: bytes) -> None:
        try:
            if self.path.suffix == ".parquet":
                self._rows.append(json.loads(row))
                if len(self._rows) == PARQUET_ROWS:
                    self._write_table()
            else:
                self._file.write(self._separator() + row)
        except OSError as error:
            raise disk_trouble(self.path, error) from error
        self.rows += 1

    def finish(self) -> str:
        """Take no more rows and bring the file to the disk; returns its SHA-256."""
        try:
            if self.path.suffix == ".parquet":
                self._write_table()
                self._table.close()
            else:
                self._file.write(b"\n]\n" if self.path.suffix == ".json" else b"\n")
            self._file.flush()
            os.fsync(self._file.fileno())
            return sha256_of(self._part)
        except OSError as error:
            raise disk_trouble(self.path, error) from error

    def commit(self) -> None:
        """Move the finished file into place."""
        try:
            os.replace(self._part, self.path)
            sync_names(self.path.parent)
        except OSError as error:
            raise disk_trouble(self.path, error) from error

    def close(self) -> None:
        """Without a commit before it, nothing stays."""
        self._part.unlink(missing_ok=True)
        self._lock_path.unlink(missing_ok=True)
        self._lock.close()
        try:
            self._file.close()
        except OSError as error:  # what is buffered does not fit either
            raise disk_trouble(self.path, error) from error

    def _separator(self) -> bytes:
        if self.path.suffix == ".json":
            return b",\n" if self.rows else b"[\n"
        return b"\n" if self.rows else b""

    def _write_table(self) -> None:
        import pyarrow
        import pyarrow.parquet

        if self._table is None:
            guessed = pyarrow.Table.from_pylist(self._rows).schema
            schema = pyarrow.schema([field.with_type(_with_texts(field.type)) for field in guessed])
            self._table = pyarrow.parquet.ParquetWriter(self._file, schema)
        self._table.write_table(pyarrow.Table.from_pylist(self._rows, schema=self._table.schema))
        self._rows = []


def _with_texts(kind: Any) -> Any:
    """A type of pyarrow's in which lists that were empty so far are lists of texts."""
    import pyarrow

    if pyarrow.types.is_null(kind):
        return pyarrow.string()
    if pyarrow.types.is_list(kind):
        return pyarrow.list_(_with_texts(kind.value_type))
    if pyarrow.types.is_struct(kind):
        return pyarrow.struct([field.with_type(_with_texts(field.type)) for field in kind])
    return kind


def dataset_info(paths: Sequence[Path], *, pairs: bool = False, with_system: bool = True) -> tuple[Path, str]:
    """The list of data sets beside ShareGPT files with the entries that LLaMA-Factory wants: path and text.

    Raises UserError when the file that is there holds no such entries.
    """
    info_path = paths[0].with_name(DATASET_INFO)
    try:
        info = json.loads(info_path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        info = {}
    except (ValueError, OSError, RecursionError) as error:
        raise UserError(f"{info_path} is not JSON ({error}): correct it or move it away") from error
    if not isinstance(info, dict):
        raise UserError(f"{info_path} is not a JSON object: correct it or move it away")
    columns = {"messages": "conversations"}
    columns |= {"chosen": "chosen", "rejected": "rejected"} if pairs else {}
    columns |= {"system": "system"} if with_system else {}
    for path in paths:
        info[path.stem] = {
            "file_name": path.name,
            "formatting": "sharegpt",
            **({"ranking": True} if pairs else {}),
            "columns": columns,
            "tags": {
                "role_tag": "from",
                "content_tag": "value",
                "user_tag": "user",
                "assistant_tag": "assistant",
            },
        }
    return info_path, json.dumps(info, ensure_ascii=False, indent=2) + "\n"


def check_repository(repository: str) -> None:
    """Raise UserError when the hub has no data sets of such a name."""
    from huggingface_hub.utils import HFValidationError, validate_repo_id

    try:
        validate_repo_id(repository)
    except HFValidationError as error:
        raise UserError(f"--push-to-hub {repository!r}: write ORG/NAME ({error})") from error


def publish(
    repository: str, data: Path, card: Path, others: list[Path], *, reserved: Sequence[str] = ()
) -> str:
    """Upload a training file with its card, all in one commit, to a data set that is made if need be.

    `reserved` are the benchmarks of its rows that nobody may publish: UserError where the set is public.
    """
    from huggingface_hub import CommitOperationAdd, HfApi
    from huggingface_hub.errors import HTTPError

    # Without this the hub's viewer and `load_dataset` would take every file beside it for data.
    front = f"---\nconfigs:\n- config_name: default\n  data_files: {json.dumps(data.name)}\n---\n\n"
    contents: dict[str, bytes | str] = {path.name: str(path) for path in (data, *others)}
    contents["README.md"] = front.encode() + card.read_bytes()
    adding = [
        CommitOperationAdd(path_in_repo=name, path_or_fileobj=content) for name, content in contents.items()
    ]
    api = HfApi()
    try:
        api.create_repo(repository, repo_type="dataset", private=True, exist_ok=True)
        if reserved and not api.dataset_info(repository).private:
            raise UserError(
                f"{repository} is public, and the authors of {', '.join(reserved)} ask that its "
                "questions are not published: push to a private data set, or export without these rows; "
                "the files are all here"
            )
        api.create_commit(
            repository, adding, commit_message=f"Add {data.name} and its card", repo_type="dataset"
        )
    except (HTTPError, OSError) as error:
        raise RunStopped(
            f"{repository} could not be filled ({str(error).splitlines()[0]}): the files are all here; "
            "log in with `hf auth login` and run the same command with --force"
        ) from error
    return f"{api.endpoint}/datasets/{repository}"
