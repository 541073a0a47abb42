"""Have the nodes of a Ray cluster joined? Waits for them; for recipes.

python -m util.machines --address HEAD:6379 --nodes 4
"""

from __future__ import annotations

if __name__ == "__main__":
    from util import hold_signals

    hold_signals()

import argparse
from collections.abc import Sequence

from util import cli
from util.machines.ray_cluster import inventory, wait_for_nodes
from util.settings import above, at_least
from util.terminal import say


def parse(argv: Sequence[str]) -> argparse.Namespace:
    parser = cli.Parser(__doc__)
    parser.add_argument("--address", required=True, metavar="HOST:PORT", help="where its head listens")
    parser.add_argument("--nodes", type=at_least(1), required=True, metavar="N", help="nodes to wait for")
    parser.add_argument(
        "--within", type=above(0), default=600.0, metavar="SECONDS", help="longest wait in seconds (600)"
    )
    return parser.parse_args(argv)


def run(args: argparse.Namespace) -> int:
    nodes = wait_for_nodes(args.address, args.nodes, args.within)
    say(inventory(args.address, nodes))
    return 0


if __name__ == "__main__":
    cli.main(parse, run)
