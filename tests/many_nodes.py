"""A real Ray of several nodes on this machine, for tests: one head without processors, and nodes that can be killed.

As a program it keeps such a cluster for another process, which may then be killed itself:

    python -m tests.many_nodes 3 2    # three nodes of two processors; prints the address, then obeys lines on stdin

"add" starts a node, "remove I" kills the I-th of those that live, "end" ends all; each answers with a line.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

STORE = 2**27
"""Bytes of a node's object store."""


class Nodes:
    """A head and its nodes. Authentication by token, set explicitly, as on any cluster of more than one machine."""

    def __init__(self, cpus: float = 1, gpus: int = 0, store: int = STORE, **system: Any) -> None:
        os.environ["RAY_AUTH_MODE"] = "token"
        os.environ.setdefault("RAY_AUTH_TOKEN", token())
        os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
        from ray._raylet import Config
        from ray.cluster_utils import Cluster

        Config.initialize("")  # who has loaded Ray's command line in this process has settled that there are no tokens

        self.each = {"num_cpus": cpus, "num_gpus": gpus, "object_store_memory": store}
        head = {"num_cpus": 0, "object_store_memory": store, "_system_config": system}
        self.cluster = Cluster(initialize_head=True, head_node_args=head)
        self.alive: list[Any] = []
        self.added = 0

    @property
    def address(self) -> str:
        """HOST:PORT of the head."""
        return str(self.cluster.address)

    def add(self, **different: Any) -> Any:
        """One more node; they join one after the other.

        Each unpacks code that it is sent into a folder of its own, as on machines of their own: Ray takes the folder
        away before it unpacks, from under a worker of another node that imports from it.
        """
        self.added += 1
        own = {"runtime_env_dir_name": f"runtime_resources_{self.added}"}
        node = self.cluster.add_node(wait=True, **{**self.each, **own, **different})
        self.alive.append(node)
        return node

    def remove(self, i: int) -> None:
        """Kill a node with all that runs on it, at once: as when a machine goes, none of it lives on for a while."""
        import psutil

        node = self.alive.pop(i % len(self.alive))
        started = [psutil.Process(info.process.pid) for kind in node.all_processes.values() for info in kind]
        for process in [p for each in started for p in [*each.children(recursive=True), each]]:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        self.cluster.remove_node(node, allow_graceful=False)

    def end(self) -> None:
        """Stop everything."""
        self.cluster.shutdown()


def token() -> str:
    """The token of this machine's own Rays where there is one, for a process keeps the first that it has used."""
    file = Path.home() / ".ray/auth_token"
    return file.read_text().strip() if file.exists() else secrets.token_hex(32)


@contextmanager
def many_nodes(count: int, **each: Any) -> Iterator[Nodes]:
    """So many nodes for the body."""
    nodes = Nodes(**each)
    try:
        for _ in range(count):
            nodes.add()
        yield nodes
    finally:
        nodes.end()


def main() -> None:
    """Keep a cluster until told to end it."""
    with many_nodes(int(sys.argv[1]), cpus=float(sys.argv[2])) as nodes:
        print(f"address {nodes.address}", flush=True)
        for line in sys.stdin:
            verb, _, which = line.strip().partition(" ")
            if verb == "end":
                break
            nodes.add() if verb == "add" else nodes.remove(int(which))
            print(f"nodes {len(nodes.alive)}", flush=True)


if __name__ == "__main__":
    main()
