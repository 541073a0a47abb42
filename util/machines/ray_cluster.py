"""How do workers run on a Ray cluster? As Ray's actors: Ray finds a place for each and says when one is gone.

Call `open_on_each_node` for one worker a node, or give a `ClusterPlace` to `Replicas` for workers that take
GPUs. An actor holds a plain class of ours with `tell(batch)` and `listen()`. The driver keeps one call of
`listen` under way at each actor, so what a worker has to say is here as soon as it is said. The suite itself
travels with the job; no shared disk is needed.
"""

from __future__ import annotations

import importlib.util
import logging
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from util.errors import RunStopped, UserError
from util.machines.replicas import Died, Event, Replicas
from util.terminal import say

ROOT = Path(__file__).resolve().parents[2]
CONNECT_S = 5.0  # until a cluster must have said that it is one; Ray's own client takes 40 s or more
PLACE_S = 30.0  # a replica without a place is mentioned after so long
LOOK_S = 5.0  # how often we look whether the cluster is there
HEAD_S = 20.0  # a head that is not there for so long is gone
THREADS = 2  # of an actor: `tell` and `listen` at a time


@dataclass(frozen=True)
class NodeWorkers:
    """A worker on each node, and how many cores they have together."""

    replicas: Replicas
    cores: int


def open_on_each_node(address: str | None, what: str, host: type, arguments: tuple) -> NodeWorkers:
    """Start `host(cores of the node, *arguments)` on each node and wait for all."""
    place = _NodePlace(Cluster(address), what, host, arguments)
    replicas = Replicas(place, len(place.nodes), wait_for_all=True)
    return NodeWorkers(replicas, sum(max(1, node.cpus) for node in place.nodes))


def wait_for_nodes(address: str, count: int, within_s: float) -> list[ClusterNode]:
    """Wait until so many nodes have joined the cluster; raises UserError when they have not in time."""
    _host_and_port(address)
    end = time.monotonic() + within_s
    cluster: Cluster | None = None
    nodes: list[ClusterNode] = []
    why = ""
    while len(nodes) < count:
        if time.monotonic() > end:
            raise UserError(why or f"{len(nodes)} of {count} nodes joined {address} within {within_s:.0f} s")
        try:
            cluster = cluster or Cluster(address)
            nodes = cluster.nodes()
        except UserError as error:  # its head may still be starting
            why = str(error)
        time.sleep(1)
    return nodes


@dataclass(frozen=True)
class Needs:
    """What one worker takes of a node, as Ray counts."""

    gpus: int
    cpus: int

    def __str__(self) -> str:
        return f"{self.gpus} GPUs" if self.gpus else f"{self.cpus} CPUs"


@dataclass(frozen=True)
class ClusterNode:
    """A machine of the cluster, when nothing runs on it."""

    name: str
    gpus: int
    cpus: int
    id: str = ""

    def holds(self, needs: Needs) -> int:
        """How many workers fit on this node when nothing else runs there."""
        fits = [have // want for have, want in ((self.gpus, needs.gpus), (self.cpus, needs.cpus)) if want]
        return min(fits, default=0)


class Cluster:
    """A connection to a Ray cluster; raises UserError when there is none, or no Ray.

    There is one per process, which ends with it: an engine and graders share it.
    """

    def __init__(self, address: str | None) -> None:
        _check_installed()
        self.address = address or os.environ.get("RAY_ADDRESS") or _address_of_this_machine()
        _check_listening(self.address)
        import ray

        self._ray = ray
        self._sigterm = _SigtermLater(signal.getsignal(signal.SIGTERM))
        if not ray.is_initialized():
            self._connect()
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, self._sigterm.received)  # Ray puts its own in place

    @property
    def version(self) -> str:
        return self._ray.__version__

    def nodes(self) -> list[ClusterNode]:
        """The nodes that are there now."""
        self.check_head()
        return [
            ClusterNode(
                node["NodeManagerHostname"],
                int(node["Resources"].get("GPU", 0)),
                int(node["Resources"].get("CPU", 0)),
                node["NodeID"],
            )
            for node in self._ray.nodes()
            if node["Alive"]
        ]

    def is_there(self) -> bool:
        """Whether its head can be reached now."""
        host, _, port = self.address.rpartition(":")
        try:
            socket.create_connection((host, int(port)), timeout=CONNECT_S).close()
        except OSError:
            return False
        return True

    def check_head(self) -> None:
        """Raise RunStopped when the head is gone, after some time in which it may come back.

        Without it Ray's own calls wait, and end this process after a minute.
        """
        end = time.monotonic() + HEAD_S
        while not self.is_there():
            if time.monotonic() > end:
                raise RunStopped(
                    f"the head of the Ray cluster at {self.address} is gone; what is finished is kept: "
                    "run the same command again on a running cluster"
                )
            time.sleep(1)

    def start(self, host: type, arguments: tuple, needs: Needs, *, node: ClusterNode | None = None) -> _Actor:
        """Ask Ray to find a place for `host(*arguments)`, or to take `node`; it may have to wait."""
        self.check_head()
        where: Any = "DEFAULT"
        if node is not None:
            where = self._ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(node.id, soft=False)
        actor: Any = self._ray.remote(host).options(
            num_gpus=needs.gpus,
            num_cpus=needs.cpus,
            max_restarts=0,  # a new actor takes its place: a handle then means one life
            max_task_retries=0,
            max_concurrency=THREADS,
            scheduling_strategy=where,
        )
        return _Actor(self, self._ray, actor.remote(*arguments))

    def wait(self, actors: Sequence[_Actor], timeout_s: float) -> Iterator[tuple[_Actor, list[Event]]]:
        """What actors have said, as `replicas.ReplicaPlace` wants it."""
        calls = {call: actor for actor in actors for call in actor.calls()}
        if not calls:
            time.sleep(timeout_s)
            return
        with self._sigterm:
            ready, rest = self._ray.wait(list(calls), num_returns=1, timeout=timeout_s)
            if ready and rest:
                ready += self._ray.wait(rest, num_returns=len(rest), timeout=0)[0]
        for call in ready:
            events = calls[call].heard(call)
            if events:
                yield calls[call], events

    def _connect(self) -> None:
        try:
            self._ray.init(
                address=self.address,
                runtime_env={"py_modules": [str(ROOT / "util"), str(ROOT / "tasks")]},
                logging_level=logging.ERROR,
                log_to_driver=False,
            )
        except (ConnectionError, RuntimeError) as error:
            said = str(error).strip().split("\n", 1)[0]
            raise UserError(
                f"the Ray cluster at {self.address} cannot be used from here: {said[:300]} (this "
                "machine must be one of its nodes, with the same Ray and Python, and with its RAY_AUTH_TOKEN "
                "if it has one)"
            ) from error


@dataclass
class ClusterPlace:
    """Workers of one kind on a cluster; for `Replicas`."""

    cluster: Cluster
    what: str
    host: type
    arguments: tuple
    needs: Needs
    looked_at: float = 0.0
    said: bool = False

    def start(self, number: int) -> _Actor | None:
        return self.cluster.start(self.host, self.arguments, self.needs)

    def wait(self, replicas: Sequence[_Actor], timeout_s: float) -> Iterator[tuple[_Actor, list[Event]]]:
        yield from self.cluster.wait(replicas, timeout_s)
        if time.monotonic() - self.looked_at > LOOK_S:
            self._look(replicas)

    def _look(self, replicas: Sequence[_Actor]) -> None:
        """Say what people should know; raises RunStopped when the cluster itself is gone."""
        self.looked_at = time.monotonic()
        self.cluster.check_head()
        waiting = sum(replica.waits_since() > PLACE_S for replica in replicas)
        if waiting and not self.said:
            self.said = True
            say(
                f"{waiting} of {len(replicas)} are waiting for a place on the cluster, {self.needs} "
                "each: they start as soon as one is free"
            )

    def lost(self) -> str:
        nodes = self.cluster.nodes()
        if any(node.holds(self.needs) for node in nodes):
            return ""
        return f"no node is left that could hold a {self.what}: {inventory(self.cluster.address, nodes)}"


class _NodePlace(ClusterPlace):
    """One worker on each node, beside whatever else runs there."""

    def __init__(self, cluster: Cluster, what: str, host: type, arguments: tuple) -> None:
        super().__init__(cluster, what, host, arguments, Needs(0, 0))
        self.nodes = cluster.nodes()

    def start(self, number: int) -> _Actor | None:
        node = self.nodes[number]
        if node.id not in {alive.id for alive in self.cluster.nodes()}:
            return None
        return self.cluster.start(self.host, (max(1, node.cpus), *self.arguments), self.needs, node=node)

    def lost(self) -> str:
        return ""  # the worker of a node that has left is not started again


def inventory(address: str, nodes: list[ClusterNode]) -> str:
    """What the nodes of a cluster have, in words."""
    names = ", ".join(f"{node.name}: {node.gpus} GPUs, {node.cpus} CPUs" for node in nodes[:8])
    more = f", and {len(nodes) - 8} more" if len(nodes) > 8 else ""
    return (
        f"the cluster at {address} has {sum(node.gpus for node in nodes)} GPUs and "
        f"{sum(node.cpus for node in nodes)} CPUs on {len(nodes)} node(s) ({names}{more})"
    )


# ---------------------------------------------------------------- an actor, and SIGTERM while Ray waits


class _SigtermLater:
    """Passes SIGTERM on to `handler`, but not while Ray waits: it would make another exit status of ours."""

    def __init__(self, handler: Any) -> None:
        self._handler = handler
        self._waiting = self._came = False

    def received(self, number: int, frame: Any) -> None:
        if self._waiting:
            self._came = True
        elif callable(self._handler):
            self._handler(number, frame)
        else:
            sys.exit(128 + number)

    def __enter__(self) -> None:
        self._waiting = threading.current_thread() is threading.main_thread()

    def __exit__(self, *_: object) -> None:
        if threading.current_thread() is threading.main_thread():
            self._waiting = False
            if self._came:
                self._came = False
                self.received(signal.SIGTERM, None)


class _Actor:
    """One worker on the cluster, from the request for a place to its end."""

    def __init__(self, cluster: Cluster, ray: Any, handle: Any) -> None:
        self._cluster = cluster
        self._ray = ray
        self._handle = handle
        self._listening = handle.listen.remote()
        self._telling: list[Any] = []
        self._asked_at = time.monotonic()
        self.has_place = False

    def ask(self, requests: list[tuple[int, Any]]) -> None:
        self._telling.append(self._handle.tell.remote(requests))

    def calls(self) -> list[Any]:
        """The calls that it has not answered yet."""
        return [self._listening, *self._telling]

    def heard(self, call: Any) -> list[Event]:
        try:
            events = self._ray.get(call)
        except self._ray.exceptions.RayError as error:
            return [Died(f"it is gone ({_in_short(error)})")]
        self.has_place = True
        if call is not self._listening:
            self._telling.remove(call)
            return []
        self._listening = self._handle.listen.remote()
        return events

    def waits_since(self) -> float:
        """Seconds for which it has had no place yet."""
        return 0.0 if self.has_place else time.monotonic() - self._asked_at

    def close(self) -> None:
        if self._cluster.is_there():  # else it ends by itself, and Ray would wait
            self._ray.kill(self._handle)


# ---------------------------------------------------------------- reaching a cluster


def _check_installed() -> None:
    if importlib.util.find_spec("ray") is None:
        raise UserError(
            "Ray is not installed: `pip install -r requirements/ray.txt` here and on each machine of the "
            "cluster"
        )


def _address_of_this_machine() -> str:
    """The head of the cluster that this machine joined last, where `ray start` writes it down.

    `ray.init(address="auto")` looks there too, but waits minutes for a cluster that is gone.
    """
    written = Path(os.environ.get("RAY_TMPDIR") or "/tmp") / "ray" / "ray_current_cluster"
    try:
        return written.read_text(encoding="utf-8").strip()
    except FileNotFoundError as error:
        raise UserError(
            "this machine belongs to no Ray cluster: start one with `ray start --head`, join one with "
            "`ray start --address HEAD:6379`, or give --ray-address"
        ) from error


def _host_and_port(address: str) -> tuple[str, int]:
    host, colon, port = address.rpartition(":")
    if (
        not colon
        or not host
        or not (port.isascii() and port.isdigit())
        or int(port) > 65535
        or "//" in address
    ):
        raise UserError(f"{address!r} is no address of a Ray cluster: write HOST:PORT, such as node1:6379")
    return host, int(port)


def _check_listening(address: str) -> None:
    """Raise UserError unless something at HOST:PORT greets as gRPC does, with HTTP/2 settings (RFC 9113,
    section 6.5): with anything else, Ray itself tries for minutes."""
    host, port = _host_and_port(address)
    try:
        with socket.create_connection((host, port), timeout=CONNECT_S) as connection:
            greeting = connection.recv(9)
    except OSError as error:
        raise UserError(
            f"no Ray cluster at {address} ({error.strerror or error}): start one there with "
            f"`ray start --head --port {port}`, or ask a node of it for the address with `ray status`"
        ) from error
    if greeting[3:4] != b"\4":
        raise UserError(
            f"what listens at {address} is not a Ray cluster: give the address of its head, HOST:6379"
        )


def _in_short(error: Exception) -> str:
    """What happened, without Ray's advice about it."""
    last = str(error).strip().rsplit("\n", 1)[-1].strip()
    return last.split(". ")[0].rstrip(".")[:200]
