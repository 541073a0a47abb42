"""How do copies of a model run on a Ray cluster, each over the GPUs of one node?

Call `open_ray_engine`. On its node a copy is the same child process as on one machine.
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from util.engines.options import EngineOptions
from util.engines.vllm_local import say_if_untried
from util.errors import UserError
from util.machines.ray_cluster import Cluster, ClusterNode, ClusterPlace, Needs, inventory
from util.machines.replicas import Died, Event, Replicas
from util.records import Request
from util.terminal import Waiting

if TYPE_CHECKING:
    from util.engines.vllm_local import ModelProcess

SAY_S = 5.0  # an actor with nothing to say says so after so long


def open_ray_engine(options: EngineOptions) -> Replicas:
    """Connect to the cluster and start the replicas, each over tp x pp GPUs of one node.

    Raises UserError when the cluster cannot hold them.
    """
    if options.dp > 1:
        raise UserError(f"--dp {options.dp} is for copies on one machine: use --replicas with --engine ray")
    cluster = Cluster(options.ray_address)
    needs = model_needs(cluster.nodes(), options, cluster.address)
    place = ClusterPlace(cluster, "replica", ModelHost, (options,), needs)
    where = f" on ray {cluster.version}"
    with Waiting(f"loading {options.model} on the cluster"):
        replicas = Replicas(place, options.replicas, where=where)
    say_if_untried(replicas.version.removesuffix(where))
    return replicas


class ModelHost:
    """One copy of the model in a child process of a Ray actor: the same as on one machine."""

    def __init__(self, options: EngineOptions) -> None:
        self._options = options
        self._process: ModelProcess | None = None
        self._began = False

    def tell(self, requests: list[tuple[int, Request]]) -> None:
        assert self._process is not None, "asked before it said that it is ready"
        self._process.ask(requests)

    def listen(self) -> list[Event]:
        """Wait for answers, but not for long: whoever asked may be gone."""
        if not self._began:  # says that it has a place; loading may take minutes
            self._began = True
            return []
        from util.engines.vllm_local import start_model_process

        node = socket.gethostname()
        try:
            if self._process is None:
                self._process = start_model_process(self._options)
        except UserError as error:
            return [Died(f"node {node}: {error}", refused=True)]
        return [_on_node(event, node) for event in self._process.listen(SAY_S)]


def _on_node(event: Event, node: str) -> Event:
    return Died(f"node {node}: {event.why}", event.refused) if isinstance(event, Died) else event


def model_needs(nodes: list[ClusterNode], options: EngineOptions, address: str) -> Needs:
    """What each replica takes; raises UserError when there are more than the nodes hold.

    With GPUs, tp x pp of them. On a cluster without any, as many cores as all replicas can have.
    """
    each = options.tp * options.pp
    if any(node.gpus for node in nodes):
        needs = Needs(each, 0)
    else:
        shares = range(each, max((node.cpus for node in nodes), default=0) + 1)
        fitting = [cpus for cpus in shares if _held(nodes, Needs(0, cpus)) >= options.replicas]
        needs = Needs(0, max(fitting, default=each))
    held = _held(nodes, needs)
    if held < options.replicas:
        raise UserError(
            f"--replicas {options.replicas} of {needs} each are more than fit: "
            f"{inventory(address, nodes)} and holds {held}: "
            + ("lower --replicas or --tp" if held else "lower --tp, a replica has its GPUs on one node")
        )
    return needs


def _held(nodes: list[ClusterNode], needs: Needs) -> int:
    return sum(node.holds(needs) for node in nodes)
