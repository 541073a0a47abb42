"""Is what a command reported as finished there after a power cut? `make campaign` asks far more often."""

import os

import pytest
from power import Disk, campaign, watched

from util.runs.journal import Journal, make_folders, write_whole


def test_a_step_that_has_ended_is_on_the_disk_and_one_that_was_cut_goes_on(tmp_path):
    found = campaign(tmp_path, cuts=25, seed=1)
    assert found["differ"] == []
    assert found["cuts"] >= 20


@pytest.mark.parametrize("is_careful", [True, False])
def test_the_disk_loses_what_was_not_synced(tmp_path, is_careful):
    """The campaign would find a file whose contents or whose name was not brought to the disk."""
    top = tmp_path / "top"
    top.mkdir()
    disk = Disk(top)
    with watched(disk):
        if is_careful:
            make_folders(top / "run" / "inner")
            with Journal(top / "run" / "inner" / "a.jsonl") as journal:
                journal.append({"a": 1})
            write_whole(top / "run" / "b.json", "{}")
        else:
            (top / "run" / "inner").mkdir(parents=True)
            with open(top / "run" / "inner" / "a.jsonl", "w") as file:
                file.write('{"a": 1}\n')
                file.flush()
                os.fsync(file.fileno())
            (top / "run" / "b.json").write_text("{}")
    assert disk.is_whole() == is_careful
