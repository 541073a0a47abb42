"""What runs a model? Call `open_engine` with the options that say which model and how."""

from __future__ import annotations

from util.engines.options import Engine, EngineOptions
from util.errors import UserError
from util.settings import ENGINES


def open_engine(options: EngineOptions) -> Engine:
    """Start the engine; raises UserError when the model or endpoint cannot be used."""
    name = options.engine_name
    if name == "vllm":
        from util.engines.vllm_local import open_vllm_engine

        return open_vllm_engine(options)
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
