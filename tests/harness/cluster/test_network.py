"""Three hosts on one machine, each in a network of its own: the cable of one is cut while it computes."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from harness.datasets import load
from harness.datasets.simulated import simulate, write_pair
from harness.drivers import load_experiment
from harness.protocol import prepare
from harness.store import Store
from harness.store.damage import verified
from harness.trial import run_trial
from tests.submitted import until

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.alone, pytest.mark.timeout(600)]

TRIALS = 6 if os.environ.get("SPADIT_SHORT") else 12
DRIVER = """
from harness import Experiment, KFold
from tests.toys import Steps

EXPERIMENT = Experiment(
    "cut", {f"s{i}": Steps(steps=30 + i, seconds=0.2, tally="TALLY") for i in range(TRIALS // 3)}, ["small"],
    split=KFold(3),
)
"""

NOTICED = {
    "RAY_health_check_initial_delay_ms": "1000",
    "RAY_health_check_period_ms": "1000",
    "RAY_health_check_timeout_ms": "2000",
    "RAY_health_check_failure_threshold": "3",
}
"""So that a node whose cable is cut is given up after seconds; Ray's own settings take half a minute."""

DISK = ["sh", "-c", 'mkdir -p /tmp/ray && mount -t tmpfs tmpfs /tmp/ray && exec "$@"', "sh"]
"""What comes before a command that is to have Ray's folder to itself, as on a machine of its own."""


class Hosts:
    """Namespaces joined by a bridge in one more; nothing leads outside."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.name = folder, f"spadit{os.getpid()}"
        self.environment = {
            **os.environ, **NOTICED, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32),
            "RAY_USAGE_STATS_ENABLED": "0", "OMP_NUM_THREADS": "1",
        }  # fmt: skip
        self.running: list[subprocess.Popen[bytes]] = []

    def connect(self) -> None:
        """Make the namespaces, their cables and addresses."""
        ip(f"netns add {self.name}s")
        ip(f"-n {self.name}s link add bridge type bridge")
        ip(f"-n {self.name}s link set bridge up")
        for i in (1, 2, 3):
            ip(f"netns add {self.name}h{i}")
            ip(f"link add cable netns {self.name}h{i} type veth peer name port{i} netns {self.name}s")
            ip(f"-n {self.name}s link set port{i} master bridge up")
            ip(f"-n {self.name}h{i} addr add 10.213.0.{i}/24 dev cable")
            ip(f"-n {self.name}h{i} link set cable up")
            ip(f"-n {self.name}h{i} link set lo up")

    def cut(self, i: int) -> None:
        """Take a host's cable out."""
        ip(f"-n {self.name}s link set port{i} down")

    def start(self, i: int, *words: str) -> subprocess.Popen[bytes]:
        """Run a command on a host."""
        log = (self.folder / f"{len(self.running)}.log").open("wb")
        command = ["ip", "netns", "exec", f"{self.name}h{i}", *words]
        self.running.append(subprocess.Popen(command, stdout=log, stderr=log, env=self.environment))
        return self.running[-1]

    def log(self, process: subprocess.Popen[bytes]) -> Path:
        """What it has said."""
        return self.folder / f"{self.running.index(process)}.log"

    def started(self, node: subprocess.Popen[bytes]) -> None:
        """Wait until a node of Ray has come up."""
        until(lambda: "Ray runtime started" in self.log(node).read_text() or node.poll() is not None)
        assert node.poll() is None, self.log(node).read_text()

    def end(self) -> None:
        """End all that was started, and remove the namespaces."""
        for process in self.running:
            try:
                family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
            except psutil.NoSuchProcess:
                continue
            for each in family:
                try:
                    each.kill()
                except psutil.NoSuchProcess:
                    continue
        for name in ("s", "h1", "h2", "h3"):
            for pid in ip(f"netns pids {self.name}{name}", fails=True).split():
                try:
                    psutil.Process(int(pid)).kill()  # what has outlived its parent
                except psutil.NoSuchProcess:
                    continue
            ip(f"netns del {self.name}{name}", fails=True)


def ip(words: str, fails: bool = False) -> str:
    ran = subprocess.run(["ip", *words.split()], capture_output=True, text=True)
    assert fails or ran.returncode == 0, f"ip {words}: {ran.stderr}"
    return ran.stdout


@pytest.fixture
def hosts(tmp_path: Path) -> Iterator[Hosts]:
    if shutil.which("ip") is None:
        pytest.skip("there is no `ip` here (package iproute2)")
    probe = f"spaditprobe{os.getpid()}"
    if subprocess.run(["ip", "netns", "add", probe], capture_output=True).returncode:
        pytest.skip("network namespaces cannot be made here")
    ip(f"netns del {probe}")
    made = Hosts(tmp_path)
    try:
        made.connect()
        yield made
    finally:
        made.end()


def test_trials_of_a_host_whose_cable_is_cut_are_computed_elsewhere(
    tmp_path: Path, hosts: Hosts, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_pair(simulate(60, 80, 30, seed=1, name="small"), tmp_path / "D")
    tally, driver = tmp_path / "tally", tmp_path / "cut.py"
    driver.write_text(DRIVER.replace("TALLY", str(tally)).replace("TRIALS", str(TRIALS)))
    ray = [sys.executable, "-m", "ray.scripts.scripts", "start", "--block", "--num-cpus", "1"]
    head = ["--head", "--node-ip-address", "10.213.0.1", "--port", "6379", "--include-dashboard", "false"]
    hosts.started(hosts.start(1, *ray, *head))
    for i in (2, 3):  # one after the other: joining at once, one is lost
        joins = ["--node-ip-address", f"10.213.0.{i}", "--address", "10.213.0.1:6379"]
        hosts.started(hosts.start(i, *DISK, *ray, *joins))
    words = [sys.executable, "-m", "harness.cli", "run", str(driver), "--data", str(tmp_path / "D")]
    words += ["--store", str(tmp_path / "S"), "--address", "10.213.0.1:6379", "--checkpoint-every", "0"]
    running = hosts.start(1, *words)

    def at_work() -> set[int]:
        """Processes that have made steps."""
        return {int(line.split()[0]) for line in tally.read_text().splitlines()} if tally.exists() else set()

    until(lambda: len(at_work()) == 3 or running.poll() is not None, within=120)
    hosts.cut(3)
    running.wait(timeout=300)

    said = hosts.log(running).read_text()
    assert running.returncode == 0, said
    assert "on 3 nodes" in said
    assert "lost: " in said
    store = Store(tmp_path / "S")
    records, wrong = verified(store, store.done())
    assert (len(records), wrong) == (TRIALS, {})
    assert any(record.attempts > 1 for record in records.values())
    # The worker that was cut off still reached the disk, and may have gone on: what is stored is the same.
    monkeypatch.setattr(time, "sleep", lambda _: None)
    data = prepare(load("small", [tmp_path / "D"]), load_experiment(str(driver)).protocol)
    for trial in load_experiment(str(driver)).trials({"small": data.dataset_id}):
        assert records[trial.id].prediction_sha256 == run_trial(trial, data).record.prediction_sha256
