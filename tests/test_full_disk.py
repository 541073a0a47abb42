"""Does every command say in a sentence that the disk is full, with status 2, and go on once there is room?

The disk is a small tmpfs, which only root can mount: elsewhere the last lines of the tests say so.
"""

import argparse
import importlib
import os
import subprocess
from types import SimpleNamespace

import pytest
from batch_endpoint import BatchEndpoint
from helpers import here, paper_engine, script
from kill_campaign import RATING
from power import all_found, all_steps
from test_eval import small_hub
from test_labelling import small_numina

from util.engines import openai_batches
from util.errors import DO_ABOUT
from util.runs.journal import Journal

PAGE = 4096


@pytest.fixture
def disk(tmp_path):
    """A folder on a disk of its own."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(place)]
    done = subprocess.run(mount, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"NO FULL DISK IS TESTED, as no tmpfs can be mounted here: {done.stderr.strip()}")
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=True)


def fill(disk, *, but):
    """Leave so many bytes free, until the file that is returned is taken away."""
    there = os.statvfs(disk)
    filler = disk / "filler"
    filler.write_bytes(b"1" * (there.f_bavail * there.f_frsize - but))
    return filler


def done_by(step):
    if callable(step):
        run = SimpleNamespace(
            __name__="tune", parse=lambda argv: argparse.Namespace(), run=lambda _: step() or 0
        )
        return here(run)
    name, *words = map(str, step)
    return here(importlib.import_module(name.removesuffix(".py")), *words)


def test_a_full_disk_ends_each_step_with_status_2_and_the_same_command_goes_on(disk, tmp_path, monkeypatch):
    monkeypatch.setattr(openai_batches, "LISTED_AFTER_S", 0.0)
    data = tmp_path / "data"
    data.mkdir()
    small_numina(data)
    small_hub(data)
    with BatchEndpoint() as vendor:
        vendor.says = lambda prompt: "[[4]]" if "[[" in prompt else "It is \\boxed{7}."
        for name, step in all_steps(disk, data, vendor.url).items():
            for free in (0, PAGE):  # it cannot begin, and it has begun
                filler = fill(disk, but=free)
                done = done_by(step)
                assert done.returncode == 2, (name, free, done.stderr)
                assert "make room on the disk" in done.stderr and "Traceback" not in done.stderr
                filler.unlink()
            done = done_by(step)
            assert done.returncode == 0, (name, done.stderr)
        assert set(vendor.asked.values()) <= {1}
    assert all_found(disk, vendor)["records"]


def test_what_a_run_had_finished_when_the_disk_was_full_is_kept_and_not_asked_again(disk, tmp_path):
    flags = ["--dataset", "Warmup", "--model", "m", "--limit", 12, "--result-dir", disk / "r", "--inference"]
    engine = paper_engine(tmp_path, {"text": "I think about it. " * 120})
    filler = fill(disk, but=6 * PAGE)
    done = script("inference_and_check.py", *flags, *engine)
    assert (
        done.returncode == 2 and "m_Warmup_test_all_0_-1 is full; everything finished is kept" in done.stderr
    )
    samples = disk / "r" / "m_Warmup_test_all_0_-1" / "samples.jsonl"
    kept = samples.read_bytes()
    assert kept.endswith(b"}\n") and kept.count(b"\n") > 2
    filler.unlink()
    assert script("inference_and_check.py", *flags, *engine).returncode == 0
    assert samples.read_bytes().startswith(kept) and samples.read_bytes().count(b"\n") == 12


def test_one_benchmark_of_several_that_finds_the_disk_full_makes_it_status_2(disk, tmp_path):
    small_hub(tmp_path)
    flags = ["--model", "org/fake", "--evals", "math500,gsm8k", "--data-dir", tmp_path / "hub"]
    flags += ["--result-dir", disk / "evals", "--output_file", tmp_path / "results.txt"]
    flags += paper_engine(tmp_path, RATING, {"text": "It is \\boxed{1}. " * 200})
    statuses = []
    while 0 not in statuses:
        filler = fill(disk, but=3 * PAGE * len(statuses))
        done = script("eval.py", *flags)
        assert "Traceback" not in done.stderr
        statuses.append(done.returncode)
        filler.unlink()
    assert {*statuses[:-1]} == {2} and len(statuses) > 2


@pytest.mark.parametrize("number", sorted(DO_ABOUT))
def test_whatever_a_disk_refuses_in_the_middle_of_a_run_is_status_2(tmp_path, monkeypatch, number):
    append, written = Journal.append_encoded, []

    def refuse(journal, data):
        written.append(data)
        if len(written) > 5:
            monkeypatch.setattr(os, "write", lambda *_: refuse_by_the_system())
        return append(journal, data)

    def refuse_by_the_system():
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(Journal, "append_encoded", refuse)
    engine = paper_engine(tmp_path, {"text": "It is 7."})
    done = script(
        "inference_and_check.py", "--dataset", "Warmup", "--model", "m", "--result-dir", tmp_path, *engine
    )
    assert done.returncode == 2, done.stderr
    assert DO_ABOUT[number] in " ".join(done.stderr.split())
