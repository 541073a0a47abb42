"""Does a run on a Ray cluster of two nodes keep everything, whatever is killed, and is bad input named?"""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest
from helpers import HANG_S, ROOT, free_port, json_lines, last_line, own_process, paper_engine, wait_until

ray = pytest.importorskip("ray", reason="Ray is not installed: pip install -r requirements/ray.txt")

START_S = 180  # 5 s on a quiet machine; `ray start` was once seen to hang for good
STARTS = 3


class RayNode:
    """A node of a cluster on this machine, with so many CPUs; the first one is its head."""

    def __init__(self, folder, cpus, head=None):
        self._head = head
        self._log = folder / f"node-{head is not None}.log"
        self._flags = [f"--num-cpus={cpus}", "--num-gpus=0", "--object-store-memory=100000000"]
        # Else workers have 10002 to 19999, and Ray does not start where `free_port` is one of these.
        self._flags += ["--min-worker-port=0", "--max-worker-port=0"]
        self._env = {**os.environ, "RAY_TMPDIR": str(folder)}
        self._start()

    def _start(self):
        if self._head:
            self.address = self._head.address
            where = ["--address", self.address]
        else:
            port = free_port()
            self.address = f"127.0.0.1:{port}"
            where = ["--head", f"--port={port}", f"--ray-client-server-port={free_port()}"]
            where += ["--include-dashboard=false"]
        command = [sys.executable, "-m", "ray.scripts.scripts", "start", *where, *self._flags]
        command += ["--block", "--disable-usage-stats"]
        with open(self._log, "w") as log:
            self.process = subprocess.Popen(
                command, stdout=log, stderr=log, start_new_session=True, env=self._env
            )

    def wait_until_ready(self):
        """Wait for Ray to say that it runs; begin again where it hangs or ends instead, a few times."""
        for left in reversed(range(STARTS)):
            deadline = time.monotonic() + START_S
            while time.monotonic() < deadline and self.process.poll() is None:
                if "Ray runtime started" in self._log.read_text():
                    return
                time.sleep(0.2)
            print(f"a node did not start, {left} tries left:", self._log.read_text(), file=sys.stderr)
            self.kill()
            if left:
                self._start()
        raise AssertionError(f"the node did not start: {self._log.read_text()}")

    def kill(self):
        """End the node as a power cut does: all its processes at once."""
        if self.process.poll() is not None:
            return
        for pid in [*below(self.process.pid), self.process.pid]:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.process.wait()


def below(pid):
    """Pids of all processes that `pid` started, directly or not."""
    import psutil

    return [child.pid for child in psutil.Process(pid).children(recursive=True)]


def named(pids, name):
    import psutil

    found = []
    for pid in pids:
        with suppress(psutil.NoSuchProcess):  # it has ended since
            found += [pid] * (name in " ".join(psutil.Process(pid).cmdline()))
    return found


@pytest.fixture(scope="module")
def cluster():
    """Two nodes with a CPU each."""
    folder = Path(tempfile.mkdtemp(prefix="ray-"))  # the names of Ray's sockets must be short
    nodes = []
    try:
        nodes.append(RayNode(folder, 1))
        nodes[0].wait_until_ready()
        nodes.append(RayNode(folder, 1, head=nodes[0]))
        nodes[1].wait_until_ready()
        yield nodes
    finally:
        for node in nodes:
            node.kill()
        shutil.rmtree(folder, ignore_errors=True)


def test_more_replicas_than_the_cluster_holds_are_refused_with_what_it_has(tmp_path, cluster):
    flags = ["--dataset", "Warmup", "--model", "embedded", "--engine", "ray", "--result-dir", tmp_path]
    done = own_process("inference_and_check.py", *flags, "--ray-address", cluster[0].address, "--replicas", 3)
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert "0 GPUs and 2 CPUs on 2 node(s)" in done.stderr and "holds 2: lower --replicas" in done.stderr


def test_without_a_cluster_at_the_address_it_is_said_at_once(tmp_path):
    flags = ["--dataset", "Warmup", "--model", "embedded", "--engine", "ray", "--result-dir", tmp_path]
    with socket.create_server(("127.0.0.1", 0)) as other:
        nobody = f"127.0.0.1:{free_port()}"
        for address, found in (
            (nobody, "no Ray cluster at"),
            ("nonsense", "is no address of a Ray cluster"),
            (f"127.0.0.1:{other.getsockname()[1]}", "no Ray cluster at"),  # listens and says nothing
        ):
            done = own_process("inference_and_check.py", *flags, "--ray-address", address)
            assert done.returncode == 2 and found in done.stderr and "Traceback" not in done.stderr
    done = own_process("inference_and_check.py", *flags, RAY_TMPDIR=str(tmp_path), RAY_ADDRESS="")
    assert done.returncode == 2 and "belongs to no Ray cluster" in done.stderr


def test_without_ray_it_is_said_what_to_install(tmp_path):
    blocked = "import sys, importlib.util as u\nfound = u.find_spec\n"
    blocked += "u.find_spec = lambda name, *rest: None if name == 'ray' else found(name, *rest)\n"
    (tmp_path / "sitecustomize.py").write_text(blocked)
    for flags in (["--engine", "ray"], ["--grade-on-cluster", "--engine", "scripted"]):
        done = own_process(
            "inference_and_check.py",
            *("--dataset", "Warmup", "--model", "embedded", "--result-dir", tmp_path, *flags),
            PYTHONPATH=str(tmp_path),
        )
        assert done.returncode == 2 and "pip install -r requirements/ray.txt" in done.stderr


def test_programs_are_graded_in_the_sandbox_of_the_nodes(tmp_path, cluster):
    right = "```python\nprint(sum(map(int, input().split())))\n```"
    wrong = "```python\nprint(0)\n```"
    tests = json.dumps({"inputs": ["1 2\n", "3 4\n"], "outputs": ["3\n", "7\n"]})
    mirror = tmp_path / "mirror" / "codeparrot" / "apps" / "test.jsonl"
    mirror.parent.mkdir(parents=True)
    fixed = {"input_output": tests, "starter_code": "", "difficulty": "interview", "url": "", "solutions": ""}
    rows = [{"id": number, "question": f"Sum {number}.", **fixed} for number in range(6)]
    mirror.write_text("".join(json.dumps(row) + "\n" for row in rows))
    done = own_process(
        "inference_and_check.py",
        *("--dataset", "APPS", "--model", "org/paper", "--temperatures", "0.7", "--n", "4"),
        *("--data-dir", tmp_path / "mirror", "--result-dir", tmp_path / "results"),
        *("--grade-on-cluster", "--ray-address", cluster[0].address, "--require-isolation", "weak"),
        *paper_engine(tmp_path, {"index": 0, "text": wrong}, {"text": right}),
    )
    assert done.returncode == 0, done.stderr
    numbers = last_line(done)["temperatures"]["0.7"]
    assert (numbers["judged"], numbers["correct"]) == (24, 18)
    assert "grading on 2 cores of 2 nodes" in done.stderr
    (run,) = (tmp_path / "results").iterdir()
    grading = json.loads((run / "run.json").read_text())["grading"]
    assert len(grading["nodes"]) == 2 and all("isolation" in node for node in grading["nodes"])


def test_killed_replicas_and_nodes_lose_no_sample(tmp_path, cluster):
    head, other = cluster
    flags = ["--dataset", "Warmup", "--model", "embedded", "--temperatures", "0.7", "--max-tokens", "24"]
    flags += ["--limit", "16", "--n", "8", "--result-dir", tmp_path]
    on_cluster = ["--engine", "ray", "--ray-address", head.address, "--replicas", "2", "--grade-on-cluster"]
    on_cluster += ["--engine-args", '{"max_num_seqs": 8}']  # so that it is busy for a while
    messages = tmp_path / "messages"
    with open(messages, "w") as errors:
        driver = subprocess.Popen(
            [sys.executable, ROOT / "inference_and_check.py", *map(str, [*flags, *on_cluster])],
            stdout=subprocess.DEVNULL,
            stderr=errors,
        )
    try:
        wait_until(lambda: count_samples(tmp_path) >= 2, driver)
        replicas = partial(named, name="ray::ModelHost")
        wait_until(lambda: replicas(below(head.process.pid)), driver)  # the other one may have been faster
        (replica,) = replicas(below(head.process.pid))
        os.kill(replica, signal.SIGKILL)
        wait_until(lambda: "; restarting it" in messages.read_text(), driver)
        other.kill()
        at_kill = count_samples(tmp_path)
        wait_until(lambda: count_samples(tmp_path) >= at_kill + 20, driver)
        wait_until(lambda: "of 2: it is gone" in messages.read_text(), driver)
        head.kill()
        driver.wait(timeout=HANG_S)
    finally:
        driver.kill()
        driver.wait()
    said = messages.read_text()
    assert driver.returncode == 1 and "Traceback" not in said, said
    assert "the head of the Ray cluster" in said and "same command again" in said, said
    kept = samples_file(tmp_path).read_bytes()
    done = own_process("inference_and_check.py", *flags, OMP_NUM_THREADS="1")
    assert done.returncode == 0, done.stderr
    assert samples_file(tmp_path).read_bytes().startswith(kept)
    keys = [(line["problem_id"], line["index"]) for line in json_lines(samples_file(tmp_path))]
    assert len(keys) == len(set(keys)) == 128
    assert last_line(done)["temperatures"]["0.7"]["judged"] == 128


def samples_file(folder):
    (found,) = folder.glob("*/samples.jsonl")
    return found


def count_samples(folder):
    return sum(path.read_bytes().count(b"\n") for path in folder.glob("*/samples.jsonl"))
