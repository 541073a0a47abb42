"""What runs a model, and how is one opened?

An engine has `generate(requests)`, which yields (request, Completion | Failure) as each request is
finished, in any
order, and `close()`. Requests are pulled lazily with a bounded window, in the thread that iterates. The
iterator may
yield None for "nothing to ask right now". What cannot go on raises RunStopped; wrong input raises UserError.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from util.errors import UserError
from util.models import ENGINES
from util.records import Completion, Failure, Request


class Engine(Protocol):
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
    top_p: float = 1.0
    top_k: int = -1  # -1: all tokens
    min_p: float = 0.0
    stop: tuple[str, ...] = ()
    api_base: tuple[str, ...] = ()
    keys_file: Path | None = None
    concurrency: int | None = None  # requests in flight; None lets the engine find out
    rpm: float | None = None  # requests per minute at most
    tpm: float | None = None  # tokens per minute at most
    request_timeout_s: float = 7200.0
    engine_args: dict = field(default_factory=dict)  # passed to the engine as they are
    log: Path | None = None  # where the engine's own messages go

    @property
    def gpus(self) -> int:
        """GPUs of all copies of the model together."""
        return self.tp * self.pp * self.dp * self.replicas


def engine_name(options: EngineOptions) -> str:
    """Which engine `options` mean."""
    if options.engine is not None:
        return options.engine
    return "openai" if options.model.startswith("openai/") or options.api_base else "vllm"


def open_engine(options: EngineOptions) -> Engine:
    """Start the engine; raises UserError when the model or endpoint cannot be used."""
    name = engine_name(options)
    if name == "vllm":
        from util.engines.vllm_local import VLLMEngine

        return VLLMEngine(options)
    if name == "ray":
        from util.engines.ray_models import open_ray_engine

        return open_ray_engine(options)
    if name == "openai":
        from util.engines.openai_api import open_openai_engine

        return open_openai_engine(options)
    if name == "scripted":
        from util.engines.scripted import ScriptedEngine

        return ScriptedEngine(options)
    raise UserError(f"unknown engine {name!r}: use one of {', '.join(ENGINES)}")
