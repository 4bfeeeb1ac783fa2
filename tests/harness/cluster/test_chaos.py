"""Chaos: workers, nodes and the driver are killed at random times, and nothing shows in what is stored.

Sixty trials on three nodes with an S3 on loopback for a store; a third of them, and fewer kills, in the short form.
"""

from __future__ import annotations

import os
import random
import secrets
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import psutil
import pytest

from harness.datasets import load
from harness.datasets.simulated import simulate, write_pair
from harness.experiment import load_experiment
from harness.protocol import prepare
from harness.store import Store
from harness.store.claims import claims
from harness.store.damage import verified
from harness.trial import run_trial
from tests.s3 import serving

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.timeout(1500)]

SHORT = bool(os.environ.get("SPADIT_SHORT"))
SEED = int(os.environ.get("SPADIT_CHAOS_SEED", "7"))
VARIANTS = 8 if SHORT else 22
"""Each with three folds; and as many cheap trials as a third of them."""

KILLS = ("worker", "driver", "node", "worker") * (1 if SHORT else 3)
EVERY = (3.0, 8.0)
"""Seconds between two kills, drawn from this range."""

DRIVER = """
from harness import Experiment, KFold
from tests.toys import Counted, CountedCheap

EXPERIMENT = Experiment(
    "chaos",
    {f"s{i}": Counted(steps=10 + i % 7, tally="TALLY", number=i) for i in range(VARIANTS)}
    | {f"c{i}": CountedCheap(tally="TALLY", number=i) for i in range(VARIANTS // 3)},
    ["small"],
    split=KFold(3),
)
"""


class Nodes:
    """`tests.many_nodes` as a process of its own: three nodes of one processor, which outlive every driver."""

    def __init__(self, environment: dict[str, str]) -> None:
        words = [sys.executable, "-m", "tests.many_nodes", "3", "1"]
        self.process = subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment
        )
        self.address = self._answer("address").split()[1]

    def ask(self, words: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(words + "\n")
        self.process.stdin.flush()
        if words != "end":
            self._answer("nodes")

    def _answer(self, begin: str) -> str:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.startswith(begin):
                return line
        raise AssertionError("the nodes have ended")

    def workers(self) -> list[psutil.Process]:
        """Processes in which trials run."""
        found = []
        for process in psutil.Process(self.process.pid).children(recursive=True):
            try:
                if process.name().startswith("ray::ImplicitFunc"):
                    found.append(process)
            except psutil.Error:
                continue
        return found

    def end(self) -> None:
        try:
            self.ask("end")
            self.process.wait(timeout=30)
        except (OSError, subprocess.TimeoutExpired):
            self.process.kill()


class Chaos(threading.Thread):
    """Kills what is on the list at random times; a node that was killed is replaced, a driver is the test's affair."""

    def __init__(self, nodes: Nodes, rng: random.Random) -> None:
        super().__init__(daemon=True)
        self.nodes, self.rng = nodes, rng
        self.driver: subprocess.Popen[bytes] | None = None
        self.killed: Counter[str] = Counter()
        self.over = threading.Event()

    def run(self) -> None:
        left = list(KILLS)
        while left and not self.over.wait(self.rng.uniform(*EVERY)):
            if self._kill(left[0]):
                self.killed[left.pop(0)] += 1

    def _kill(self, what: str) -> bool:
        workers = self.nodes.workers()
        if not workers:  # nothing runs yet: a kill now would disturb nothing
            return False
        if what == "worker":
            try:
                self.rng.choice(workers).kill()
            except psutil.NoSuchProcess:
                return False
        elif what == "node":
            self.nodes.ask(f"remove {self.rng.randrange(3)}")
            self.nodes.ask("add")
        elif self.driver is not None:
            self.driver.send_signal(signal.SIGKILL)
        return True


def test_whatever_is_killed_every_trial_ends_in_the_store_with_the_numbers_of_a_quiet_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_pair(simulate(60, 80, 30, seed=1, name="small"), tmp_path / "D")
    tally, driver = tmp_path / "tally", tmp_path / "chaos.py"
    driver.write_text(DRIVER.replace("TALLY", str(tally)).replace("VARIANTS", str(VARIANTS)))
    token = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    start = time.monotonic()
    with serving() as reach:
        environment = {**os.environ, **reach, **token}
        nodes = Nodes(environment)
        try:
            chaos = Chaos(nodes, random.Random(SEED))
            words = [sys.executable, "-m", "harness.cli", "run", str(driver), "--data", str(tmp_path / "D")]
            words += ["--store", "s3://bucket/S", "--address", nodes.address, "--checkpoint-every", "0"]
            chaos.start()
            drivers = 0
            while drivers < 12:
                drivers += 1
                with (tmp_path / f"driver{drivers}.log").open("wb") as log:
                    chaos.driver = subprocess.Popen(words, stdout=log, stderr=log, env=environment)
                    if chaos.driver.wait() != -signal.SIGKILL:
                        break
            chaos.over.set()
            chaos.join(timeout=60)
        finally:
            nodes.end()
        said = (tmp_path / f"driver{drivers}.log").read_text()
        store = Store("s3://bucket/S")
        trials = load_experiment(str(driver)).trials({"small": load("small", [tmp_path / "D"]).id})
        computed = Counter(tally.read_text().split())
        print(f"{len(trials)} trials, killed {dict(chaos.killed)}, {drivers} drivers")
        print(f"{sum(computed.values())} computations, {time.monotonic() - start:.0f} s")

        for record in store.unfinished():
            print(record.reason, record.earlier, record.traceback)
        assert chaos.driver is not None
        assert chaos.driver.returncode == 0, said
        records, wrong = verified(store, store.done())
        assert wrong == {}
        assert set(records) == {trial.id for trial in trials}
        assert sum(computed.values()) <= 1.3 * len(trials)
        assert not [claim for claim in claims(store.files).values() if claim.driver.pid == chaos.driver.pid]
        monkeypatch.setattr(time, "sleep", lambda _: None)  # the quiet run need not take its time
        data = prepare(load("small", [tmp_path / "D"]), trials[0].protocol)
        for trial in trials:
            quiet = run_trial(trial, data).record
            found = records[trial.id]
            assert (found.prediction_sha256, found.means) == (quiet.prediction_sha256, quiet.means)
        assert len(store.genes(list(records.values()))) == sum(r.n_genes["asked"] for r in records.values())
