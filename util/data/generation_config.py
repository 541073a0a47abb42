"""How does a model's card say that it should be sampled?

Call `recommended_sampling` for the values of its generation_config.json, fetched where it is not here;
`known_sampling` asks nobody.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from util.errors import UserError
from util.settings import SAMPLING

FILE = "generation_config.json"
NAMES = tuple(setting.name for setting in SAMPLING)  # of what it may say besides the temperature


def recommended_sampling(model: str) -> dict[str, Any]:
    """What the model's file says: temperature (0 where it says not to sample, 1 where it says nothing) and
    names of `SAMPLING`.

    Raises UserError where there is no such file, or none that can be read.
    """
    path = _local(model) or _fetched(model)
    found = _read(path)
    if found is None:
        raise UserError(f"{path} cannot be read as JSON: give the values as flags, without --sampling model")
    return {"temperature": 1.0, **found}


def known_sampling(model: str) -> dict[str, Any] | None:
    """As much of that as a file says that is already here; None where there is none."""
    folder = os.path.expanduser(model)
    path = Path(folder, FILE) if os.path.isdir(folder) else _cached(model)
    return None if path is None else _read(path)


def _read(path: Path) -> dict[str, Any] | None:
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    if not isinstance(said, dict):
        return None
    numbers = {
        name: value
        for name in ("temperature", *NAMES)
        if isinstance(value := said.get(name), int | float) and not isinstance(value, bool)
    }
    return numbers | ({"temperature": 0.0} if said.get("do_sample") is False else {})


def _local(model: str) -> Path | None:
    folder = os.path.expanduser(model)
    if not os.path.isdir(folder):
        return None
    if not os.path.isfile(os.path.join(folder, FILE)):
        raise UserError(f"{folder} holds no {FILE}: give the values as flags, without --sampling model")
    return Path(folder, FILE)


def _cached(model: str) -> Path | None:
    if model.count("/") != 1:
        return None
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        found = try_to_load_from_cache(model, FILE)
    except HFValidationError:  # a name that the hub cannot have: whoever loads the model says so
        return None
    return Path(found) if isinstance(found, str) else None


def _fetched(model: str) -> Path:
    if model.count("/") != 1:
        raise UserError(
            f"--sampling model needs the {FILE} of {model!r}, which is no ORG/NAME of the hub and no folder: "
            "give the values as flags"
        )
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import HfHubHTTPError, HTTPError, LocalEntryNotFoundError

    try:
        return Path(hf_hub_download(model, FILE))
    except (HTTPError, HfHubHTTPError, LocalEntryNotFoundError, OSError, ValueError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0][:200]
        raise UserError(
            f"--sampling model needs the {FILE} of {model}, and the hub gives none ({reason}): "
            "give the values as flags"
        ) from error
