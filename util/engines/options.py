"""How is a model to be run, and what does every engine do?

`EngineOptions` says which model and how; `util.engines.open_engine` makes an `Engine` of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from util.engines.openai_addresses import shown_header, shown_url
from util.records import Completion, Failure, Request

if TYPE_CHECKING:
    from util.engines.adapters import Adapter

STREAM_CHOICES = ("auto", "always", "never")
BATCH_ENDPOINT, BATCH_FILES = "endpoint", "files"  # who is handed requests that are asked in batches
EMBEDDED = "embedded"  # the small model that the suite brings along for machines without a GPU


class Engine(Protocol):
    """Yields (request, Completion | Failure) as each request is finished, in any order.

    Requests are pulled lazily with a bounded window, in the thread that iterates; None among them says
    "nothing to ask right now". What cannot go on raises RunStopped; wrong input raises UserError.

    One whose empty places cost more than a request in them has `at_once(tokens) -> int` besides: how many
    requests of so many tokens it computes at a time. It is then asked ahead of verdicts.
    """

    def generate(
        self, requests: Iterable[Request | None]
    ) -> Iterator[tuple[Request, Completion | Failure]]: ...

    def close(self) -> None: ...


@dataclass(frozen=True)
class EngineOptions:
    """How a model is to be run; the same for every request of a run."""

    model: str
    engine: str | None = None  # None: openai for "openai/NAME" or an api_base, else vllm
    tp: int = 1  # tensor parallel size: GPUs that share one copy of the model
    pp: int = 1  # pipeline parallel size
    dp: int = 1  # copies of the model on this machine
    replicas: int = 1  # copies of the model on a Ray cluster
    ray_address: str | None = None  # HOST:PORT of its head; None: the cluster that this machine belongs to
    sampling: dict[str, Any] = field(default_factory=dict)  # by the names of settings.SAMPLING
    thinking: str | None = None  # "on" or "off"; None: what the chat template does by itself
    thinking_budget: int | None = None  # most tokens of thought
    adapter: Adapter | None = None  # LoRA weights that answer with the model's
    api_base: tuple[str, ...] = ()
    headers: tuple[str, ...] = ()  # "NAME=VALUE", sent with every request to an endpoint
    keys_file: Path | None = None
    concurrency: int | None = None  # requests in flight; None lets the engine find out
    rpm: float | None = None  # requests per minute at most
    tpm: float | None = None  # tokens per minute at most
    request_timeout_s: float = 7200.0
    stream: str = "auto"  # whether endpoints stream their answers: one of STREAM_CHOICES
    batch: str | None = None  # BATCH_ENDPOINT or BATCH_FILES; None: each request is asked by itself
    engine_args: dict[str, Any] = field(default_factory=dict)  # passed to the engine as they are
    log: Path | None = None  # where the engine's own messages go

    def recorded(self, name: str) -> Any:
        """One of these options as files and messages may show it: without passwords."""
        value = getattr(self, name)
        shown = {"api_base": shown_url, "headers": shown_header}.get(name)
        return value if shown is None else tuple(map(shown, value))

    @property
    def gpus(self) -> int:
        """GPUs of all copies of the model together."""
        return self.tp * self.pp * self.dp * self.replicas

    @property
    def engine_name(self) -> str:
        """Which engine runs the model."""
        if self.engine is not None:
            return self.engine
        return "openai" if self.model.startswith("openai/") or self.api_base else "vllm"
