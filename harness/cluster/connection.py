"""A Ray to run on: one of our own on this machine, or a cluster that is there."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from harness.cluster.nodes import Node, nodes
from harness.cluster.resources import AUTO, Resources
from harness.cluster.shipping import runtime_environment
from harness.drivers import DRIVER_FOLDERS
from harness.errors import BadInput

QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",  # nothing is sent anywhere
    "RAY_AIR_NEW_OUTPUT": "0",  # with verbose=0: progress is ours alone
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # the store is the ledger; Tune need not keep a second one
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # Ctrl-C reaches us, and ends with the resume command
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",  # relative paths mean the same in driver and workers
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # a CPU trial does not hide the machine's GPUs from itself
}

ANSWER_WITHIN = 10.0
"""Seconds a cluster's head has to accept a connection."""

LOOPBACK = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
"""What keeps a Ray that we start ourselves on the loopback interface; an address argument alone does not."""

ALLOCATOR = {
    # Training reuses buffers of the same sizes at every step; giving them back to the system each time costs a
    # tenth of the CPU time in page faults. Between trials it is given back (`harness.trial.release_memory`).
    "MALLOC_MMAP_THRESHOLD_": "4294967296",
    "MALLOC_TRIM_THRESHOLD_": "17179869184",
    "MALLOC_TOP_PAD_": "67108864",
    # Tune gives every trial a thread of its own, and by default threads allocate from up to 8 arenas per processor,
    # each of which would keep what its largest trial took.
    "MALLOC_ARENA_MAX": "1",
}


@dataclass(frozen=True)
class Connection:
    """A Ray that is there. dashboard: its address, if it has one. remarks: what a person should know of it."""

    nodes: tuple[Node, ...]
    dashboard: str | None = None
    remarks: tuple[str, ...] = ()

    @property
    def resources(self) -> list[Mapping[str, float]]:
        """What each node has ({"CPU": .., "GPU": ..})."""
        return [node.resources for node in self.nodes]

    @property
    def working(self) -> int:
        """How many nodes have processors to give; a head often has none."""
        return sum(node.resources.get("CPU", 0.0) > 0 for node in self.nodes)

    @property
    def cards(self) -> list[int]:
        """Bytes of each card that was measured."""
        return [card for node in self.nodes for card in node.cards]


@contextmanager
def connected(resources: Resources) -> Iterator[Connection]:
    """A Ray for the body: the one that is connected already, the cluster at the address, or a local one of our own.

    A Ray that was started here is stopped at the end, no other. Raises `BadInput` when there is none to be had, and
    when a node of a cluster does not run what this driver runs.
    """
    address, measure = resources.address, resources.gpus_per_trial == AUTO
    with _environment(QUIET if address is not None else {**QUIET, **LOOPBACK}):
        import ray

        if ray.is_initialized():
            yield Connection(tuple(nodes(measure, compare=False)))
            return
        try:
            dashboard = _start(address, resources.threads)
            remarks = () if address is None else _remarks()
            yield Connection(tuple(nodes(measure, compare=address is not None)), dashboard, remarks)
        finally:
            ray.shutdown()


def _start(address: str | None, threads: int) -> str | None:
    """Start or join a Ray; returns where its dashboard is."""
    variables = {**QUIET, **ALLOCATOR, "OMP_NUM_THREADS": str(threads)}
    if address is None and DRIVER_FOLDERS:  # on other nodes modules travel by value, see `shipping`
        variables["PYTHONPATH"] = os.pathsep.join([*filter(None, [os.environ.get("PYTHONPATH")]), *DRIVER_FOLDERS])
    with runtime_environment(variables, address) as environment:
        return _started(address, environment)


def _started(address: str | None, environment: dict[str, Any]) -> str | None:
    import ray
    from ray._private import ray_constants

    quiet: dict[str, Any] = {"logging_level": "CRITICAL", "log_to_driver": False, "runtime_env": environment}
    _hush()
    enabled = ray_constants.ENABLE_RAY_CLUSTER
    try:
        if address is None:
            # Ray reads LOOPBACK when it is imported, which may have been before us.
            ray_constants.ENABLE_RAY_CLUSTER = False
            ray.init(address="local", num_cpus=processors(), include_dashboard=False, **quiet)
            return None
        _require_answer(address)
        context = ray.init(address=address, **quiet)
        url = getattr(context, "dashboard_url", None)
        return f"http://{url}" if url else None
    except BadInput:
        raise
    except Exception as error:  # Ray raises just that where a busy machine does not start a node in time
        where = "a local Ray" if address is None else f"the Ray cluster at {address}"
        said = " ".join(str(error).partition("Traceback")[0].split())
        busy = " This machine may be too busy; run the same again." if "timed out" in said else ""
        raise BadInput(f"Could not connect to {where}: {said[:400] or type(error).__name__}{busy}") from None
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = enabled


def _remarks() -> tuple[str, ...]:
    """Ray runs whatever code it is sent, so one that others can reach should ask who they are."""
    import ray
    from ray._private.authentication.authentication_utils import is_token_auth_enabled

    addresses = {node["NodeManagerAddress"] for node in ray.nodes()}
    if is_token_auth_enabled() or all(address.startswith("127.") for address in addresses):
        return ()
    return (
        "This Ray asks for no token: whoever reaches it can run code on it. Start each of its processes, and this one, "
        "with RAY_AUTH_MODE=token.",
    )


def _hush() -> None:
    """Keep what Ray prints when a worker or a node is lost, with twenty lines of its log, off stdout: results go there.

    That it is lost is said by the run itself, in one line.
    """
    from ray._private import worker

    if hasattr(worker, "print_to_stdstream"):
        worker.print_to_stdstream = lambda *_, **__: None


def _require_answer(address: str) -> None:
    """Refuse at once an address where nobody listens; Ray itself would wait for minutes."""
    from ray._private.utils import read_ray_address

    found = address
    if address == "auto":
        found = os.environ.get("RAY_ADDRESS") or read_ray_address() or ""
    host, colon, port = found.rpartition(":")
    if not colon or not port.isdigit():
        return  # Ray says best what is wrong with it
    try:
        socket.create_connection((host, int(port)), timeout=ANSWER_WITHIN).close()
    except OSError:
        raise BadInput(
            f"Nothing answers at {found} (--address {address}); start the Ray cluster first, or leave --address out to "
            "run on this machine."
        ) from None


@contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    """These variables for the body; afterwards the environment is as it was."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def processors() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)
