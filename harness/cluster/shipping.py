"""How code reaches workers that have not installed it: ours through Ray's runtime environment, a user's by value."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from harness._house import ROOMS
from models.source import is_users

ROOT = Path(__file__).resolve().parents[2]


def job_environment() -> dict[str, Any]:
    """The runtime environment of the Ray job that this process is the driver of; empty where it is none's."""
    given = json.loads(os.environ.get("RAY_JOB_CONFIG_JSON_ENV_VAR", "{}"))
    return dict(given.get("runtime_env", {}))


def is_shipped(address: str | None) -> bool:
    """Whether workers are sent our code: not on this machine, and not where a job brings it."""
    return address is not None and "working_dir" not in job_environment()


@contextlib.contextmanager
def runtime_environment(variables: dict[str, str], address: str | None) -> Iterator[dict[str, Any]]:
    """What to start Ray with, for the body: variables for every worker, and the project's own code where it is sent.

    What the job that we run in has set stays as it is: Ray refuses to set it twice.
    """
    job = job_environment()
    environment: dict[str, Any] = {
        "env_vars": {name: value for name, value in variables.items() if name not in job.get("env_vars", {})}
    }
    if not is_shipped(address):
        yield environment
        return
    with tempfile.TemporaryDirectory(prefix="spadit-code-") as folder:
        for room in ("harness", *ROOMS):
            shutil.copytree(ROOT / room, Path(folder) / room, ignore=shutil.ignore_patterns("__pycache__"))
        yield environment | {"working_dir": folder}


def ship_by_value(everything: bool) -> None:
    """Send classes of a user's driver file by value; with `everything`, those of the modules it imports as well.

    On this machine workers find what lies beside the driver; on another node they do not.
    """
    from ray import cloudpickle

    for name, module in list(sys.modules.items()):
        if name.startswith("driver_") or (everything and name != "__main__" and is_users(module)):
            cloudpickle.register_pickle_by_value(module)
