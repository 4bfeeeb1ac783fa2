"""What tests of the cluster files share: the files as they are parsed, and a machine of one's own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from typing import Any

import pytest
import yaml

from tests.experiments.cluster_files import text


@pytest.fixture(scope="module")
def ray_up() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(text("ray-up.yaml"))
    return loaded


@pytest.fixture(scope="module")
def kuberay() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(text("kuberay-job.yaml"))
    return loaded


INIT = """
import fcntl, os, signal, socket, struct, subprocess, sys
with socket.socket() as lo:
    fcntl.ioctl(lo, 0x8914, struct.pack("16sh22x", b"lo", 0x41))  # SIOCSIFFLAGS: up and running
job = subprocess.Popen(sys.argv[1:])
signal.signal(signal.SIGUSR1, lambda number, _: job.send_signal(number))
while (ended := os.wait())[0] != job.pid:
    pass  # the first process of all is the parent of orphans, which stay until it knows of their end
sys.exit(os.waitstatus_to_exitcode(ended[1]))
"""


@pytest.fixture(scope="module")
def alone() -> tuple[str, ...]:
    """What to put before a command so that it sees no other process and no other network than its own.

    `ray symmetric-run` starts nothing where any Ray runs, and `ray stop` ends all that it sees: here, its own. All of
    them end with the command.
    """
    for user in (("--user", "--map-root-user"), ()):
        inside = ("unshare", *user, "--net", "--pid", "--mount-proc", "--fork", "--kill-child")
        inside += (sys.executable, "-c", INIT)
        if shutil.which("unshare") and subprocess.run([*inside, "true"], capture_output=True).returncode == 0:
            return inside
    if os.environ.get("CI"):
        pytest.fail("needs namespaces (`unshare`), which this machine does not give")
    pytest.skip("needs namespaces (`unshare`), which this machine does not give")
