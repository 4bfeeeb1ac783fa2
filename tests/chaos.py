"""What a chaos run is made of: methods that note their computations, nodes that outlive drivers, and who kills."""

from __future__ import annotations

import contextlib
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import psutil

from models.method import Array, Method, Needs, Problem, Run
from tests.toys import Steps, note


def traced(tally: str, word: str, number: int, problem: Problem) -> None:
    """Note "WORD NUMBER GENE": what of which computation; the first gene that is asked for tells folds apart."""
    note(tally, f"{word} {number} {problem.targets[0]}")


@dataclass(frozen=True)
class Traced(Steps):
    """The same steps; notes when it begins, goes on, and ends."""

    steps: int = 10
    seconds: float = 0.2
    number: int = 0

    def impute(self, problem: Problem, run: Run) -> Array:
        traced(self.tally, "start", self.number, problem)
        prediction = Steps(self.steps, self.seconds).impute(problem, run)
        traced(self.tally, "end", self.number, problem)
        return prediction


@dataclass(frozen=True)
class TracedCheap(Method):
    """As little work as there is, of which many go together; notes when it begins and ends."""

    needs: ClassVar[Needs] = Needs(randomness=True)
    cheap: ClassVar[bool] = True
    tally: str = ""
    number: int = 0

    def impute(self, problem: Problem, run: Run) -> Array:
        traced(self.tally, "start", self.number, problem)
        prediction = problem.spots.lognorm.mean(axis=1)[:, None] * run.rng.random(len(problem.targets))
        traced(self.tally, "end", self.number, problem)
        return prediction


@dataclass(frozen=True)
class Noted:
    """A line of a tally."""

    word: str
    trial: str


def noted(tally: Path) -> list[Noted]:
    """The whole lines of a tally, in order."""
    lines = tally.read_text().split("\n")[:-1] if tally.exists() else []
    return [Noted(word, f"{number} {gene}") for word, number, gene in map(str.split, lines)]


def computations(lines: list[Noted]) -> Counter[str]:
    """How often each trial was begun or gone on with."""
    return Counter(line.trial for line in lines if line.word == "start")


class NodesApart:
    """`tests.many_nodes` as a process of its own, whose nodes outlive every driver."""

    def __init__(self, count: int, cpus: int, environment: dict[str, str], log: Path) -> None:
        words = [sys.executable, "-m", "tests.many_nodes", str(count), str(cpus)]
        with log.open("wb") as said:
            self.process = subprocess.Popen(
                words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=said, text=True, env=environment
            )
        self.log, self.count = log, count
        self.address = ""

    def __enter__(self) -> NodesApart:
        try:
            self.address = self._answer("address").split()[1]
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exception: object) -> None:
        family = psutil.Process(self.process.pid).children(recursive=True) if self.process.poll() is None else []
        try:
            self.process.communicate("end\n", timeout=30)
        except (OSError, ValueError, subprocess.TimeoutExpired):
            self.process.kill()
            self.process.wait()
        for each in family:  # what has outlived its parent; psutil knows a process from a later one of its number
            with contextlib.suppress(psutil.NoSuchProcess):
                each.kill()

    def ask(self, words: str) -> None:
        """Have a node killed or added."""
        assert self.process.stdin is not None
        self.process.stdin.write(words + "\n")
        self.process.stdin.flush()
        self._answer("nodes")

    def _answer(self, begin: str) -> str:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.startswith(begin):
                return line
        raise AssertionError(f"the nodes have ended: {self.log.read_text()[-2000:]}")

    def busy(self) -> list[psutil.Process]:
        """The processes in which trials run, as Ray names them while they do."""
        found = []
        for process in psutil.Process(self.process.pid).children(recursive=True):
            try:
                if process.name() == "ray::ImplicitFunc.train":
                    found.append(process)
            except psutil.Error:
                continue
        return sorted(found, key=lambda process: process.pid)


@dataclass(frozen=True)
class Kill:
    """What is to be killed, and when: at so many finished computations, after so many seconds more."""

    at: int
    after: float
    what: str


def plan(rng: random.Random, counts: dict[str, int], trials: int) -> list[Kill]:
    """Kills at random times, in the order in which they come due; early enough that work is left after the last.

    A time is a number of finished computations, so that a slow machine is disturbed as often as a fast one.
    """
    whats = [what for what, count in counts.items() for _ in range(count)]
    rng.shuffle(whats)
    times = sorted(rng.uniform(0.02, 0.6) * trials for _ in whats)
    return [Kill(int(at), rng.uniform(0.0, 1.5), what) for at, what in zip(times, whats, strict=True)]


class Killer(threading.Thread):
    """Carries out the kills of a plan, on processes that this test started and no others.

    A node that was killed is replaced a while later; a driver that was killed is the test's affair (`driver`).
    """

    def __init__(self, nodes: NodesApart, plan: list[Kill], ended: Callable[[], int], rng: random.Random) -> None:
        super().__init__(name="killer", daemon=True)
        self.nodes, self.plan, self.ended, self.rng = nodes, plan, ended, rng
        self.driver: subprocess.Popen[bytes] | None = None
        self.killed: list[str] = []
        self.over = threading.Event()
        self.failed: BaseException | None = None
        self._begun = time.monotonic()

    def run(self) -> None:
        try:
            self._run()
        except BaseException as error:  # a thread has nobody to tell
            self.failed = error

    def _run(self) -> None:
        for kill in self.plan:
            while self.ended() < kill.at:
                if self.over.wait(0.1):
                    return
            self.over.wait(kill.after)
            while not self._kill(kill.what):
                if self.over.wait(0.1):
                    return

    def count(self) -> Counter[str]:
        """How many of what were killed."""
        return Counter(said.split()[0] for said in self.killed)

    def _kill(self, what: str) -> bool:
        busy = self.nodes.busy()
        if not busy:  # nothing runs: a kill now would disturb nothing
            return False
        if what == "worker":
            chosen = self.rng.choice(busy)
            try:
                chosen.kill()
            except psutil.NoSuchProcess:
                return False
            self._note(f"worker {chosen.pid}")
        elif what == "node":
            i = self.rng.randrange(self.nodes.count)
            self.nodes.ask(f"remove {i}")
            self._note(f"node {i}")
            self.over.wait(self.rng.uniform(2.0, 6.0))
            self.nodes.ask("add")
        else:
            if self.driver is None or self.driver.poll() is not None:
                return False
            self.driver.send_signal(signal.SIGKILL)
            self._note(f"driver {self.driver.pid}")
            self.driver.wait()
        return True

    def _note(self, said: str) -> None:
        self.killed.append(f"{said} at {time.monotonic() - self._begun:.0f} s, {self.ended()} computed")
