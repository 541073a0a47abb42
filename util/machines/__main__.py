"""Have the nodes of a Ray cluster joined? Waits for them; for recipes.

python -m util.machines --address HEAD:6379 --nodes 4
"""

from __future__ import annotations

import argparse
import sys

from util.errors import UserError
from util.machines.ray_cluster import inventory, wait_for_nodes
from util.settings import at_least
from util.terminal import say


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m util.machines", description="wait for a Ray cluster")
    parser.add_argument("--address", required=True, metavar="HOST:PORT", help="where its head listens")
    parser.add_argument("--nodes", type=at_least(1), required=True, metavar="N", help="nodes to wait for")
    parser.add_argument(
        "--within", type=float, default=600.0, metavar="SECONDS", help="longest wait in seconds (600)"
    )
    return parser.parse_args(argv)


def main() -> int:
    args = parse()
    try:
        nodes = wait_for_nodes(args.address, args.nodes, args.within)
    except UserError as error:
        say(f"error: {error}")
        return 2
    say(inventory(args.address, nodes))
    return 0


if __name__ == "__main__":
    sys.exit(main())
