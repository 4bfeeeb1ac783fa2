"""Methods that leak, each in a way of its own; loaded as a driver file by the audit's tests, never imported.

TRUTH_FOLDER and COPY_OF_THE_TRUTH are replaced by a test where a method knows a path by heart.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from harness import Experiment, KFold, Preprocessing, Protocol
from harness.reading.h5ad import read_fields
from models.baselines.spage import SpaGE
from models.method import Array, Method, Needs, Problem, Run

KNOWN_BY_HEART = Path("TRUTH_FOLDER")
COPY = Path("COPY_OF_THE_TRUTH")
SEEN: dict[int, dict[str, Array]] = {}


def measured(folder: Path, problem: Problem) -> Array:
    """(n_spots, n_targets) log1p of what the first pair of a data folder measured."""
    st = read_fields(next(folder.glob("*/st.h5ad")), (), spatial=False)
    return np.log1p(st.values.toarray()[:, [st.genes.index(gene) for gene in problem.targets]].astype(np.float64))


def data_folder() -> Path:
    """Where the harness looks for pairs."""
    return Path(os.environ["SPADIT_DATA"])


def smooth(problem: Problem) -> Array:
    """An honest, poor prediction: the spot's mean visible expression for every target."""
    return np.repeat(problem.spots.lognorm.mean(axis=1, keepdims=True), len(problem.targets), axis=1).astype(float)


@dataclass(frozen=True)
class ReleasedSampler(Method):
    """After every reverse step the truth is written back where the mask is 0, as in the released code."""

    needs: ClassVar[Needs] = Needs(randomness=True)

    def impute(self, problem: Problem, run: Run) -> Array:
        truth = measured(data_folder(), problem)
        mask = (truth != 0) & (run.rng.random(truth.shape) < 0.3)
        x = run.rng.normal(size=truth.shape)
        for _ in range(3):
            x = 0.5 * x
            x = x * mask + (1 - mask) * truth
        return x


@dataclass(frozen=True)
class OpensTheDataFolder(Method):
    """Knows where the data lie and takes from there how much there is of each target."""

    def impute(self, problem: Problem, run: Run) -> Array:
        return smooth(problem) * measured(KNOWN_BY_HEART, problem).mean(axis=0)


@dataclass(frozen=True)
class Remembers(Method):
    """Keeps the visible genes of every problem in a global, under the dataset's number of spots."""

    def impute(self, problem: Problem, run: Run) -> Array:
        known = SEEN.setdefault(len(problem.spots), {})
        known.update(zip(problem.visible, problem.spots.lognorm.T, strict=True))
        answer = smooth(problem)
        for column, gene in enumerate(problem.targets):
            if gene in known:
                answer[:, column] = known[gene]
        return answer


TRUTH: dict[str, Array] = {}
for found in data_folder().glob("*/st.h5ad") if "SPADIT_DATA" in os.environ else ():
    whole = read_fields(found, (), spatial=False)
    TRUTH.update(zip(whole.genes, whole.values.toarray().T, strict=True))


@dataclass(frozen=True)
class StopsEarlyOnTestGenes(Method):
    """Sharpens its prediction for as long as that helps on the test genes, which a global tells it since loading."""

    def impute(self, problem: Problem, run: Run) -> Array:
        truth = np.stack([TRUTH[gene] for gene in problem.targets], axis=1)
        best, best_error = smooth(problem), np.inf
        for step in range(40):
            guess = smooth(problem) * (0.25 * step)
            error = float(((np.expm1(guess) - truth) ** 2).mean())
            if error > best_error:
                break
            best, best_error = guess, error
            run.report(step, 40, -error)
        return best


@dataclass(frozen=True)
class Unsteady(Method):
    """Draws from a stream that nobody seeded."""

    def impute(self, problem: Problem, run: Run) -> Array:
        return np.random.default_rng().random((len(problem.spots), len(problem.targets)))


@dataclass(frozen=True)
class Notes(Method):
    """Leaves what it saw on disk for the next run to find."""

    def impute(self, problem: Problem, run: Run) -> Array:
        (KNOWN_BY_HEART / "notes").write_text("seen")
        return smooth(problem)


@dataclass(frozen=True)
class KeepsACopy(Method):
    """Has the truth from where no barrier is: values of its own making, kept since the sample was whole."""

    def impute(self, problem: Problem, run: Run) -> Array:
        return np.load(COPY)[:, [int(gene.removeprefix("Gene")) for gene in problem.targets]]


@dataclass(frozen=True)
class Honest(Method):
    """Knows nothing that it should not."""

    needs: ClassVar[Needs] = Needs(randomness=True)

    def impute(self, problem: Problem, run: Run) -> Array:
        return smooth(problem) + run.rng.random()


EXPERIMENT = Experiment(
    "leaks",
    {
        "released sampler": ReleasedSampler(),
        "opens the data folder": OpensTheDataFolder(),
        "remembers": Remembers(),
        "stops early on test genes": StopsEarlyOnTestGenes(),
        "unsteady": Unsteady(),
        "notes": Notes(),
        "keeps a copy": KeepsACopy(),
        "honest": Honest(),
        "spage": SpaGE(),
    },
    ["leaky"],
    split=KFold(3),
    protocol=Protocol(preprocessing=Preprocessing(normalisation="visible")),
)
