"""Methods that tests send through the harness: honest, random, failing, skipping, slow, lethal."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from models.component import Component
from models.method import Array, Method, Needs, Problem, Run, Size, Skipped


@dataclass(frozen=True)
class VisibleMean(Method):
    """The mean visible expression of a spot, for every target; counts its calls in a side file if given one."""

    cheap: ClassVar[bool] = True
    tally: str = ""

    def impute(self, problem: Problem, run: Run) -> Array:
        note(self.tally, f"{len(problem.targets)}")
        mean = problem.spots.lognorm.mean(axis=1, keepdims=True)
        return np.repeat(mean, len(problem.targets), axis=1)


@dataclass(frozen=True)
class Numbered(VisibleMean):
    """The same, as many variants as are wanted."""

    number: int = 0


@dataclass(frozen=True)
class Alone(VisibleMean):
    """As little work, but scheduled on its own, as costly methods are."""

    cheap: ClassVar[bool] = False


@dataclass(frozen=True)
class Noise(Method):
    """Random numbers from the run's stream."""

    needs: ClassVar[Needs] = Needs(randomness=True)

    def impute(self, problem: Problem, run: Run) -> Array:
        return run.rng.random((len(problem.spots), len(problem.targets)))


@dataclass(frozen=True)
class Hungry(VisibleMean):
    """Fills so much memory, in blocks that an allocator likes to keep, and lets go of it."""

    cheap: ClassVar[bool] = False
    mib: int = 0

    def impute(self, problem: Problem, run: Run) -> Array:
        blocks = [np.ones(2**17) for _ in range(self.mib)]
        assert len(blocks) == self.mib
        return super().impute(problem, run)


@dataclass(frozen=True)
class Counting(VisibleMean):
    """Cannot do without counts."""

    needs: ClassVar[Needs] = Needs(counts=True)


@dataclass(frozen=True)
class Packaged(VisibleMean):
    """Runs on a package that nobody has."""

    needs: ClassVar[Needs] = Needs(packages="moon", modules=("moon_of_no_index",))


@dataclass(frozen=True)
class Raises(Method):
    """Fails, as methods do."""

    text: str = "singular matrix"

    def impute(self, problem: Problem, run: Run) -> Array:
        raise ArithmeticError(self.text)


@dataclass(frozen=True)
class Refuses(Method):
    """Skips every problem."""

    def impute(self, problem: Problem, run: Run) -> Array:
        raise Skipped("needs a moon that is not there.")


@dataclass(frozen=True)
class Wrong(Method):
    """Answers with something that is no answer: "shape", "nan" or "type"."""

    how: str = "shape"

    def impute(self, problem: Problem, run: Run) -> Array:
        answer = np.zeros((len(problem.spots), len(problem.targets)))
        if self.how == "shape":
            return answer[:-1]
        if self.how == "type":
            return answer.astype(int)
        answer[2, 1] = np.nan
        return answer


@dataclass(frozen=True)
class Dies(Method):
    """Kills its worker, `times` times in all (counted in a side file); then answers."""

    tally: str = ""
    times: int = 1

    def impute(self, problem: Problem, run: Run) -> Array:
        note(self.tally, "died")
        if len(Path(self.tally).read_text().splitlines()) <= self.times:
            os._exit(17)
        return np.repeat(problem.spots.lognorm.mean(axis=1, keepdims=True), len(problem.targets), axis=1)


@dataclass(frozen=True)
class Sleeps(Method):
    """Takes its time; reports now and then, or hangs without a word."""

    seconds: float = 60.0
    reports: bool = True
    tally: str = ""

    def impute(self, problem: Problem, run: Run) -> Array:
        for step in range(int(self.seconds * 20)):
            time.sleep(0.05)
            if self.reports:
                run.report(step + 1, of=int(self.seconds * 20))
        note(self.tally, "slept")
        return np.repeat(problem.spots.lognorm.mean(axis=1, keepdims=True), len(problem.targets), axis=1)


@dataclass(frozen=True)
class Steps(Method):
    """Adds up random numbers, step by step, keeping a checkpoint at each; notes every step that it makes."""

    needs: ClassVar[Needs] = Needs(randomness=True)
    steps: int = 40
    seconds: float = 0.1
    tally: str = ""

    def impute(self, problem: Problem, run: Run) -> Array:
        saved = run.restored() or {"step": 0, "total": 0.0}
        numbers = run.rng.random(self.steps)
        step, total = saved["step"], saved["total"]
        while step < self.steps:
            total += float(numbers[step])
            step += 1
            note(self.tally, f"{os.getpid()} {step}")
            time.sleep(self.seconds)
            run.save({"step": step, "total": total})
            run.report(step, self.steps, validation=total)
        return np.full((len(problem.spots), len(problem.targets)), total) * problem.spots.lognorm.mean(axis=1)[:, None]


@dataclass(frozen=True)
class Needy(VisibleMean):
    """Runs out of memory, `times` times in all (counted in a side file); then answers."""

    cheap: ClassVar[bool] = False
    times: int = 1

    def impute(self, problem: Problem, run: Run) -> Array:
        note(self.tally, "tried")
        if len(Path(self.tally).read_text().splitlines()) <= self.times:
            raise MemoryError("Unable to allocate 1. TiB for an array")
        return np.repeat(problem.spots.lognorm.mean(axis=1, keepdims=True), len(problem.targets), axis=1)


@dataclass(frozen=True)
class Spans(Method):
    """Sleeps, and notes from when to when, and on which card."""

    seconds: float = 1.0
    tally: str = ""

    def impute(self, problem: Problem, run: Run) -> Array:
        start = time.time()
        time.sleep(self.seconds)
        note(self.tally, f"{start} {time.time()} {os.environ.get('CUDA_VISIBLE_DEVICES', '-')}")
        return np.repeat(problem.spots.lognorm.mean(axis=1, keepdims=True), len(problem.targets), axis=1)


LEAKED: list[Array] = []


@dataclass(frozen=True)
class Leaks(VisibleMean):
    """Keeps what it took, and notes in which process."""

    cheap: ClassVar[bool] = False
    mib: int = 0

    def impute(self, problem: Problem, run: Run) -> Array:
        LEAKED.append(np.ones(2**17 * self.mib))
        note(self.tally, str(os.getpid()))
        return np.repeat(problem.spots.lognorm.mean(axis=1, keepdims=True), len(problem.targets), axis=1)


def note(tally: str, text: str) -> None:
    """Append a line to a side file; O_APPEND keeps lines of several workers whole."""
    if tally:
        with Path(tally).open("a") as file:
            file.write(text + "\n")


@dataclass(frozen=True)
class Even(Component):
    """All visible genes weigh the same, but for a power."""

    power: float = 1.0

    def weights(self, genes: int) -> Array:
        return np.arange(1, genes + 1) ** (self.power - 1.0)


@dataclass(frozen=True)
class Peaked(Component):
    """The visible genes near a place weigh most; refuses to be both wide and at the edge."""

    place: float = 0.5
    width: float = 0.3

    def __post_init__(self) -> None:
        if self.width > 0.5 and not 0.2 <= self.place <= 0.8:
            raise ValueError(f"Peaked({self.place}, {self.width}): a wide peak does not fit at the edge.")

    def weights(self, genes: int) -> Array:
        return np.exp(-((np.linspace(0, 1, genes) - self.place) ** 2) / self.width**2)


@dataclass(frozen=True)
class Tunable(Method):
    """A weighted mean of the visible genes, for every target: settings matter, and nothing is random.

    tally: a side file that gets a line per call. pause: seconds that a call takes. mib: what it says that it takes.
    """

    shape: Even | Peaked = Even()
    shift: int = 0
    tally: str = ""
    pause: float = 0.0
    mib: int | None = None

    def impute(self, problem: Problem, run: Run) -> Array:
        note(self.tally, f"{self.shape} {self.shift}")
        time.sleep(self.pause)
        weights = np.roll(self.shape.weights(len(problem.visible)), self.shift)
        mean = problem.spots.lognorm @ weights[:, None] / weights.sum()
        return np.repeat(mean, len(problem.targets), axis=1)

    def memory(self, size: Size) -> int | None:
        return None if self.mib is None else self.mib * 2**20
