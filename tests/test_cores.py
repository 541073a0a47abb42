"""Are no more cores used than the machine lets this process use?"""

import os

import pytest

from util.machines.cores import usable_cores

HERE = len(os.sched_getaffinity(0))


def machine(folder, group, **files):
    """A /proc and /sys in which this process belongs to `group`; names of files stand with "__" for "/"."""
    (folder / "proc/self").mkdir(parents=True)
    (folder / "proc/self/cgroup").write_text(group)
    for name, text in files.items():
        path = folder / "sys/fs/cgroup" / name.replace("__", "/").replace("_dot_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


@pytest.fixture
def many_cores(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(64)))


def test_a_process_bound_to_some_cores_counts_those(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {3, 5})
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    assert usable_cores(tmp_path) == 2


def test_the_quota_of_a_container_is_kept(tmp_path, many_cores):
    assert usable_cores(machine(tmp_path, "0::/\n", cpu_dot_max="250000 100000\n")) == 3


def test_the_tightest_quota_on_the_way_to_the_root_is_kept(tmp_path, many_cores):
    quotas = {"a__b__cpu_dot_max": "max 100000\n", "a__cpu_dot_max": "400000 100000\n"}
    assert usable_cores(machine(tmp_path, "0::/a/b\n", **quotas)) == 4


def test_the_quota_of_older_control_groups_is_kept(tmp_path, many_cores):
    files = {"cpu__cpu_dot_cfs_quota_us": "600000\n", "cpu__cpu_dot_cfs_period_us": "100000\n"}
    group = "9:memory:/docker/1f\n4:cpu,cpuacct:/docker/1f\n0::/\n"
    assert usable_cores(machine(tmp_path, group, **files)) == 6


@pytest.mark.parametrize("quota", ["max 100000\n", "10000 100000\n"])
def test_no_quota_and_a_very_small_one(tmp_path, many_cores, quota):
    assert usable_cores(machine(tmp_path, "0::/\n", cpu_dot_max=quota)) == (64 if "max" in quota else 1)


def test_this_machine_can_be_asked():
    assert 1 <= usable_cores() <= HERE
