"""A Ray to run on: one of our own on this machine, or a cluster that is there."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

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


@contextmanager
def connected(address: str | None, threads: int) -> Iterator[dict[str, float]]:
    """A Ray for the body: the one that is connected already, the cluster at `address`, or a local one of our own.

    Yields its resources ({"CPU": .., "GPU": ..}). A Ray that was started here is stopped at the end, no other.
    Raises `BadInput` when there is none to be had.
    """
    with _environment(QUIET if address is not None else {**QUIET, **LOOPBACK}):
        import ray

        if ray.is_initialized():
            yield ray.cluster_resources()
            return
        _start(address, threads)
        try:
            yield ray.cluster_resources()
        finally:
            ray.shutdown()


def _start(address: str | None, threads: int) -> None:
    import ray
    from ray._private import ray_constants
    from ray.exceptions import RayError

    environment = {**QUIET, **ALLOCATOR, "OMP_NUM_THREADS": str(threads)}
    quiet: dict[str, Any] = {"logging_level": "ERROR", "log_to_driver": False, "runtime_env": {"env_vars": environment}}
    enabled = ray_constants.ENABLE_RAY_CLUSTER
    try:
        if address is None:
            # Ray reads LOOPBACK when it is imported, which may have been before us.
            ray_constants.ENABLE_RAY_CLUSTER = False
            ray.init(address="local", num_cpus=processors(), include_dashboard=False, **quiet)
        else:
            _require_answer(address)
            ray.init(address=address, **quiet)
    except BadInput:
        raise
    except (ConnectionError, RayError, ValueError) as error:
        where = "a local Ray" if address is None else f"the Ray cluster at {address}"
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise BadInput(f"Could not connect to {where}: {reason}") from None
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = enabled


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
