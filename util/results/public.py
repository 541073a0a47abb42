"""What of a run.json may leave this machine?

Call `public_info` for all of it and `public_settings` for what repeats the run, by name: without paths,
addresses of endpoints, headers and keys.
"""

from __future__ import annotations

import re
from typing import Any

from util.grading.judged import LABEL
from util.settings import SETTINGS, short_name, values_of

HIDDEN = "***"
LEAST_IN_ENGINE = ("engine", "tp", "pp", "dp", "replicas")  # what of the engine's settings is no address
_SECRET = re.compile(r"key|token$|secret|password|auth|header", re.IGNORECASE)
_PATH = re.compile(r"(?<![\w.:/])~?/(?:\S*/)?")  # all of an absolute path but its last name
_URL = re.compile(r"\b[a-z][a-z0-9+]*://\S+", re.IGNORECASE)


def without_places(value: Any) -> Any:
    """A value of a setting without paths, addresses and secrets: of a path its last name is left."""
    if isinstance(value, dict):
        return {name: HIDDEN if _SECRET.search(name) else without_places(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [without_places(one) for one in value]
    if not isinstance(value, str):
        return value
    is_path = value.startswith(("/", "~", "./", "../"))
    return short_name(value) if is_path else _PATH.sub("", _URL.sub(_open_url, value))


def _open_url(found: re.Match[str]) -> str:
    return found[0] if found[0].startswith("hf://datasets/") else HIDDEN


def public_info(info: dict[str, Any]) -> dict[str, Any]:
    """What a run.json says of how to repeat the run, without what is of this machine or secret."""
    settings, asked, prompt = {**info["settings"]}, {**info.get("asked", {})}, {**info.get("prompt", {})}
    places = {"model", "lora", "model_args", "chat_template_kwargs"}
    settings |= {name: without_places(settings[name]) for name in places & settings.keys()}
    engine = asked.get("engine") or {}
    answers = {*settings.get("model_args", {}), "chat_template_kwargs"}
    args = {name: value for name, value in (engine.get("engine_args") or {}).items() if name in answers}
    asked["engine"] = {name: engine[name] for name in LEAST_IN_ENGINE if name in engine}
    asked["engine"]["engine_args"] = without_places(args)
    asked |= {"data_dir": None, "system_prompt_from": without_places(asked.get("system_prompt_from"))}
    if "name" in prompt:
        prompt["name"] = without_places(prompt["name"])
    parts: dict[str, Any] = {
        name: without_places(info[name]) for name in ("dataset", "grading") if name in info
    }
    return {**info, **parts, "settings": settings, "asked": asked, "prompt": prompt}


def public_settings(info: dict[str, Any]) -> dict[str, Any]:
    """All settings of a run, with what else decides its answers."""
    info = public_info(info)
    values = values_of(info)
    return {
        **{setting.name: values[setting.name] for setting in SETTINGS if setting.place != "engine"},
        **info["asked"]["engine"],
        "prompt_hash": info["prompt"].get("hash"),
        "left_out": info["made_with"].get("left_out"),
        "isolation": info.get("grading", {}).get("isolation", {}).get("tier"),
        **({"judge_note": LABEL} if values["judge"] else {}),
    }
