"""Do the recipes for clusters start nodes, run the command and end everything? With stand-ins for tools."""

import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest
import yaml
from helpers import HANG_S, ROOT, wait_until

import inference_and_check
from util.cli import asking_options

# Each says what it was asked, and stays until it is told to end where the real one does: it listens for that
# before it says anything.
LISTEN = (
    'trap \'echo end $NAME >>"$LOG"; until [ -z "$LINGERS" ] || [ -e "$LINGERS" ]; do sleep 0.02; done; '
    "exit 143' TERM"
)
STAY = "while :; do sleep 0.05; done"
TOOLS = {
    "ray": f'NAME="ray $2"; {LISTEN}; echo "ray $* $RAY_AUTH_TOKEN" >>"$LOG"; {STAY}',
    "python": f"""
        case "$1" in
        -c) echo a-word; exit 0;;
        -m) until [ "$(grep -c "^ray start" "$LOG")" -ge "${{@: -1}}" ]; do sleep 0.02; done
            echo "wait ${{@:3}}" >>"$LOG"
            while [ -n "$HELD" ] && [ ! -e "$HELD" ]; do sleep 0.02; done; exit 0;;
        esac
        NAME=command; {LISTEN}; echo "command $*" >>"$LOG"
        if [ -n "$QUICK" ]; then exit "$QUICK"; fi
        {STAY}""",
    "srun": """
        while [[ $1 == --* ]]; do
            at="$at $1"
            [[ $1 == --ntasks=* ]] && tasks=${1#*=}
            shift
        done
        trap 'ended=1; kill $(jobs -p)' TERM
        echo "srun$at" >>"$LOG"
        for ((task = 0; task < tasks; task++)); do "$@" & done
        [ -z "$ended" ] || kill $(jobs -p)
        wait
        wait""",
    "scontrol": 'echo "scontrol $*" >>"$LOG"; if [ "$1" = show ]; then printf "n1\\nn2\\nn3\\n"; fi',
    "ssh": 'echo "ssh $1" >>"$LOG"; exec bash -c "$2"',
}


@pytest.fixture
def recipe(tmp_path):
    """Start a recipe; returns the process and what its tools have said so far."""
    for name, text in TOOLS.items():
        (tmp_path / name).write_text(f"#!/bin/bash\n{text}\n")
        (tmp_path / name).chmod(0o755)
    (tmp_path / "hosts.txt").write_text("# the others\nuser@one\n\ntwo\n")
    log = tmp_path / "log"
    log.touch()
    started = []

    def start(name, *arguments, quick=""):
        environment = {
            **os.environ,
            "PATH": f"{tmp_path}:{os.environ['PATH']}",
            **{"LOG": str(log), "QUICK": quick, "SLURM_SUBMIT_DIR": str(ROOT), "SLURM_JOB_ID": "7"},
            **{
                "SLURM_JOB_NODELIST": "n[1-3]",
                "HEAD": "n1",
                "RAY_PORT": "7000",
                "SSH": str(tmp_path / "ssh"),
            },
        }
        command = ["bash", str(ROOT / "recipes" / name), *arguments]
        process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, start_new_session=True)
        started.append(process)
        return process

    yield start, lambda: log.read_text().split("\n")[:-1], tmp_path / "hosts.txt"
    for process in started:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def wait_for(said, line, process):
    wait_until(lambda: any(found.startswith(line) for found in said()), process)


COMMAND = ["inference_and_check.py", "--dataset", "AIME", "--replicas", "3"]
ASKED = "command inference_and_check.py --dataset AIME --replicas 3 --engine ray --ray-address n1:7000"


def test_on_slurm_the_command_runs_on_all_nodes_and_everything_ends_with_it(recipe):
    start, said, _ = recipe
    process = start("slurm.sh", *COMMAND, quick="0")
    assert process.wait(timeout=HANG_S) == 0
    lines = said()
    assert "srun --nodes=1 --ntasks=1 --nodelist=n1" in lines
    assert "srun --nodes=2 --ntasks=2 --nodelist=n2,n3" in lines
    assert any(line.startswith("ray start --head --port 7000") and line.endswith(" a-word") for line in lines)
    assert lines.index("wait --address n1:7000 --nodes 3") < lines.index(ASKED)
    assert sum(line.startswith("end ray") for line in lines) == 3
    assert not any("requeue" in line for line in lines)


def test_on_slurm_a_job_that_runs_out_of_time_stops_cleanly_and_is_queued_again(recipe):
    start, said, _ = recipe
    process = start("slurm.sh", *COMMAND)
    wait_for(said, ASKED, process)
    process.send_signal(signal.SIGUSR1)
    assert process.wait(timeout=HANG_S) == 143
    lines = said()
    assert lines.index("end command") < lines.index("scontrol requeue 7")
    assert sum(line.startswith("end ray") for line in lines) == 3


@pytest.mark.parametrize(
    ("status", "left_s", "is_queued"), [(1, 100, True), (1, 5000, False), (2, 100, False), (0, 100, False)]
)
def test_on_slurm_a_command_that_stops_as_its_time_ends_is_queued_again(
    recipe, monkeypatch, status, left_s, is_queued
):
    start, said, _ = recipe
    monkeypatch.setenv("SLURM_JOB_START_TIME", str(int(time.time()) - 1000))
    monkeypatch.setenv("SLURM_JOB_END_TIME", str(int(time.time()) + left_s))
    process = start("slurm.sh", *COMMAND, quick=str(status))
    assert process.wait(timeout=HANG_S) == status
    assert any("requeue" in line for line in said()) == is_queued


@pytest.mark.parametrize(("number", "is_queued"), [(signal.SIGUSR1, True), (signal.SIGTERM, False)])
def test_on_slurm_no_command_begins_after_a_signal_that_came_while_nodes_started(
    recipe, tmp_path, monkeypatch, number, is_queued
):
    start, said, _ = recipe
    monkeypatch.setenv("HELD", str(tmp_path / "go on"))
    process = start("slurm.sh", *COMMAND)
    wait_for(said, "wait", process)
    process.send_signal(number)
    (tmp_path / "go on").touch()
    assert process.wait(timeout=HANG_S) == 143
    assert not any(line.startswith("command") for line in said())
    assert any("requeue" in line for line in said()) == is_queued


def test_on_slurm_a_cancelled_job_is_not_queued_again_though_its_time_ends(recipe, tmp_path, monkeypatch):
    start, said, _ = recipe
    monkeypatch.setenv("LINGERS", str(tmp_path / "enough"))
    process = start("slurm.sh", *COMMAND)
    wait_for(said, ASKED, process)
    process.send_signal(signal.SIGTERM)
    wait_for(said, "end command", process)
    process.send_signal(signal.SIGUSR1)
    (tmp_path / "enough").touch()
    assert process.wait(timeout=HANG_S) == 143
    assert "end command" in said() and not any("requeue" in line for line in said())


@pytest.mark.parametrize("status", [0, 2])
def test_in_a_slurm_array_each_task_is_a_shard_without_ray(recipe, monkeypatch, status):
    start, said, _ = recipe
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "3")
    process = start("slurm.sh", *COMMAND, quick=str(status))
    assert process.wait(timeout=HANG_S) == status
    assert said() == ["command inference_and_check.py --dataset AIME --replicas 3 --shard auto"]


def test_in_a_slurm_array_a_script_that_knows_no_shards_is_refused(recipe, monkeypatch):
    start, said, _ = recipe
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "3")
    process = start("slurm.sh", "eval.py", "--evals", "AIME")
    assert process.wait(timeout=HANG_S) == 2 and not any(said())
    assert "submit eval.py without --array" in process.stderr.read().decode()


def test_in_a_slurm_array_a_task_that_runs_out_of_time_is_queued_again(recipe, monkeypatch):
    start, said, _ = recipe
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "3")
    process = start("slurm.sh", *COMMAND)
    wait_for(said, "command", process)
    process.send_signal(signal.SIGUSR1)
    assert process.wait(timeout=HANG_S) == 143
    assert said()[-2:] == ["end command", "scontrol requeue 7"]


def shards_of(text, monkeypatch, names):
    """What --shard is in a recipe's command as the shell and the script read it, for each node."""
    words = re.sub(
        r"\\\n\s*", " ", text[text.index("inference_and_check.py") :].split(" ||")[0].split(" > ")[0]
    )
    for environment in names:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        read = subprocess.run(
            ["sh", "-c", f"printf '%s\\n' {words}"], capture_output=True, text=True, check=True
        )
        args = inference_and_check.parse(read.stdout.split("\n")[1:-1])
        asking_options(args)  # raises where flags do not go together
        yield str(args.shard)


def test_the_recipe_for_skypilot_makes_a_shard_of_each_node_and_tries_status_2_once(tmp_path, monkeypatch):
    recipe = yaml.safe_load((ROOT / "recipes" / "skypilot.yaml").read_text())
    nodes = [
        {"SKYPILOT_NODE_RANK": f"{rank}", "SKYPILOT_NUM_NODES": "4"} for rank in range(recipe["num_nodes"])
    ]
    assert list(shards_of(recipe["run"], monkeypatch, nodes)) == ["1/4", "2/4", "3/4", "4/4"]
    assert set(recipe["volumes"]) == {"/results"} and "--result-dir /results" in recipe["run"]
    for status, tries in ((0, 1), (1, 3), (2, 1), (143, 1)):
        counted = tmp_path / f"{status}"
        (tmp_path / "python").write_text(f"#!/bin/sh\necho >>{counted}\nexit {status}\n")
        (tmp_path / "python").chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
        assert subprocess.run(["bash", "-c", recipe["run"]]).returncode == status
        assert counted.read_text() == tries * "\n"


def test_the_recipe_for_kubernetes_makes_a_shard_of_each_pod_and_tries_status_2_once(monkeypatch):
    job = yaml.safe_load((ROOT / "recipes" / "kubernetes.yaml").read_text())["spec"]
    (pod,) = job["template"]["spec"]["containers"]
    pods = [{"JOB_COMPLETION_INDEX": f"{index}"} for index in range(job["completions"])]
    shards = list(shards_of(pod["command"][-1], monkeypatch, pods))
    assert shards == [f"{number}/8" for number in range(1, 9)] and job["parallelism"] == 8
    refused = [rule for rule in job["podFailurePolicy"]["rules"] if rule["action"] == "FailIndex"]
    assert [rule["onExitCodes"]["values"] for rule in refused] == [[2]]
    named = {volume["name"] for volume in job["template"]["spec"]["volumes"]}
    assert {mount["name"] for mount in pod["volumeMounts"]} == named


def test_over_ssh_the_nodes_end_with_the_command_even_if_the_recipe_is_killed(recipe):
    start, said, hosts = recipe
    process = start("ssh_cluster.sh", str(hosts), *COMMAND, quick="1")
    assert process.wait(timeout=HANG_S) == 1
    lines = said()
    assert "ssh user@one" in lines and "ssh two" in lines and ASKED in lines
    joined = [line for line in lines if line.startswith("ray start --address n1:7000")]
    assert len(joined) == 2 and all(line.endswith(" a-word") for line in joined)
    assert sum(line.startswith("end ray") for line in lines) == 3

    process = start("ssh_cluster.sh", str(hosts), *COMMAND)
    wait_until(lambda: said().count(ASKED) == 2, process)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=HANG_S) == 143
    assert sum(line.startswith("end ray") for line in said()) == 6


@pytest.mark.parametrize(
    "recipe_file", sorted(Path(ROOT / "recipes").glob("*.sh")), ids=lambda path: path.name
)
def test_a_recipe_is_understood_by_the_shell(recipe_file):
    assert subprocess.run(["bash", "-n", str(recipe_file)]).returncode == 0
