"""False alarms and detections of the audit of prediction files, on files made for the purpose.

    python tests/benchmarks/file_audit_calibration.py [--files 1000] [--seed 0] [--data FOLDER]

Honest files: three real methods (nearest cells, SpaGE, low-rank ridge) on tissues drawn from models, transfers in
counts, one binomial half of the counts against the other, and predictors that imitate counts (zeros set at random or
by a cut, Poisson draws, rounded means). Leaking files: the same with a share of the non-zero truths written in.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.stats import beta

from harness.audit.predictions import FEWEST_NONZEROS, audit_file
from harness.ceiling import halves
from harness.datasets import load
from harness.datasets.simulated import simulate
from harness.pair import Assay, PairedSample
from harness.protocol import KFold, Panel, Protocol, pose, prepare
from models.baselines.spage import SpaGE
from models.controls.low_rank_ridge import LowRankRidge
from models.controls.nearest_cells import NearestCells
from models.method import Run

Array = NDArray[Any]

TISSUES = ("simulated", "one rate", "poisson", "negative binomial", "on or off")
METHODS = (NearestCells(), SpaGE(), LowRankRidge())
SCALES = ("raw", "scaled per file", "scaled per gene", "log1p", "log-normalised", "rounded", "normalised")
WHOLE = ("none", "three decimals", "z-scored", "min-max")
TELLING = 1000
"""Judged non-zero entries below which a fifth of copies cannot be told from chance on a base of integers."""


@dataclass(frozen=True, eq=False)
class Scene:
    """One fold of one pair: held-out counts, visible size factors (n, 1), and what the methods predicted."""

    tissue: str
    counts: Array
    factors: Array
    genes: tuple[str, ...]
    predicted: dict[str, Array]


@dataclass(frozen=True, eq=False)
class File:
    """A truth and a prediction. base: how it was predicted. copies: "" or the scale of what was copied."""

    tissue: str
    base: str
    truth_kind: str
    whole: str
    genes: tuple[str, ...]
    truth: Array
    prediction: Array
    copies: str = ""
    share: float = 0.0

    @property
    def disguised(self) -> bool:
        """Whether copies lost both scales: divided by factors a raw truth does not tell, then rescaled per gene."""
        by_spot = self.truth_kind == "raw" and self.copies in ("log-normalised", "rounded", "normalised")
        return by_spot and self.whole in ("z-scored", "min-max")

    @property
    def telling(self) -> int:
        """Non-zero truths of genes that can be judged."""
        nonzero = (self.truth != 0).sum(axis=0)
        return int(nonzero[nonzero >= FEWEST_NONZEROS].sum())


def tissue(kind: str, spots: int, genes: int, mean: float, rng: np.random.Generator) -> PairedSample:
    """A pair of about `mean` counts per entry: types with profiles, spots that mix them, log-normal depths."""
    cells, types = 150, 6
    if kind == "simulated":
        return simulate(spots, cells, genes, int(rng.integers(2**31)), depth=mean * genes)
    level = rng.lognormal(0.0, 0.7, genes)
    if kind == "one rate":
        profiles = np.tile(level, (types, 1))
    elif kind == "on or off":
        profiles = np.where(rng.random((types, genes)) < 0.4, 1.0, 0.02) * level
    else:
        profiles = level * rng.gamma(1.0, 1.0, (types, genes))
    profiles *= mean / profiles.mean()
    concentration = 0.02 if kind == "on or off" else 0.3
    mixed, of_type = rng.dirichlet(np.full(types, concentration), spots), np.eye(types)[rng.integers(0, types, cells)]
    depth = 0.0 if kind == "one rate" else 0.35

    def counted(weights: Array, platform: Array) -> sp.csr_matrix:
        rate = (weights @ profiles) * platform * rng.lognormal(0.0, depth, (len(weights), 1))
        if kind == "negative binomial":
            rate = rate * rng.gamma(0.7, 1 / 0.7, rate.shape)
        return sp.csr_matrix(rng.poisson(rate).astype(np.float32))

    names = tuple(f"G{i:04d}" for i in range(genes))
    return PairedSample(
        kind,
        Assay(names, counted(mixed, np.ones(genes)), "counts"),
        Assay(names, counted(of_type, rng.lognormal(0.0, 0.3, genes)), "counts"),
        rng.random((spots, 2)),
    )


def scene(
    rng: np.random.Generator, kind: str | None = None, spots: int | None = None, targets: int | None = None
) -> Scene:
    """A tissue of random size, depth and kind, and the methods' predictions of a fifth of its genes."""
    kind = kind or str(rng.choice(TISSUES))
    spots = spots or int(np.exp(rng.uniform(np.log(150), np.log(1500))))
    targets = targets or int(np.exp(rng.uniform(np.log(5), np.log(40))))
    mean = float(np.exp(rng.uniform(np.log(0.3), np.log(8.0))))
    data = prepare(tissue(kind, spots, 5 * targets, mean, rng), Protocol(panel=Panel(min_spots=0.0, min_cells=0.0)))
    problem, truth = pose(data, KFold(5), 0)
    predicted = {type(m).__name__: np.asarray(m.impute(problem, Run.local(0)), np.float64) for m in METHODS}
    assert truth.counts is not None
    assert truth.size_factors is not None
    return Scene(kind, truth.counts.astype(np.float64), truth.size_factors[:, None], truth.genes, predicted)


def bases(at: Scene, rng: np.random.Generator) -> dict[str, tuple[Array, Array]]:
    """Honest predictors by name: (true counts, prediction)."""
    x, f, ridge = at.counts, at.factors, at.predicted["LowRankRidge"]
    mean = np.expm1(np.minimum(ridge, 10.0)) * f
    if rng.random() < 0.5:  # the predicted level may be off; this one has the right mean per gene
        mean = mean * x.mean(axis=0) / np.maximum(mean.mean(axis=0), 1e-9)
    drawn = rng.poisson(np.minimum(mean, 1e6)).astype(np.float64)
    first, second = (part.astype(np.float64) for part in halves(x, rng))
    sparsity = (x == 0).mean(axis=0)
    cut = np.array([np.quantile(column, share) for column, share in zip(ridge.T, sparsity, strict=True)])
    found = {name: (x, prediction) for name, prediction in at.predicted.items()}
    found["nearest cells in counts"] = (x, np.expm1(at.predicted["NearestCells"]) * f)
    found["half against half"] = (first, second)
    found["half against half, log-normalised"] = (first, np.log1p(second / f))
    found["ridge, zeros at random"] = (x, ridge * (rng.random(x.shape) >= sparsity))
    found["ridge, zeros by a cut"] = (x, np.where(ridge > cut, ridge, 0.0))
    found["poisson draws"] = (x, drawn)
    found["poisson draws, log-normalised"] = (x, np.log1p(drawn / f))
    found["rounded means"] = (x, np.rint(mean))
    return found


def written(x: Array, f: Array, scale: str, rng: np.random.Generator) -> Array:
    """True counts (n, g) on a scale of `SCALES`."""
    if scale == "scaled per file":
        return x * rng.uniform(0.05, 3.0)
    if scale == "scaled per gene":
        return x * rng.uniform(0.05, 3.0, x.shape[1])
    lognorm = np.log1p(x / f)
    return {
        "raw": x,
        "log1p": np.log1p(x),
        "log-normalised": lognorm,
        "rounded": np.round(lognorm, 3),
        "normalised": x / f,
    }[scale]


def rescaled(y: Array, whole: str) -> Array:
    """A whole prediction rounded, z-scored or min-max scaled."""
    if whole == "three decimals":
        return np.round(y, 3)
    spread = {"z-scored": y.std(axis=0), "min-max": np.ptp(y, axis=0)}.get(whole)
    if spread is None:
        return y
    origin = y.mean(axis=0) if whole == "z-scored" else y.min(axis=0)
    return (y - origin) / np.where(spread > 0, spread, 1.0)


def stored(x: Array, f: Array, kind: str) -> Array:
    """The truth as a file holds it: raw counts, or float32 log-normalised ones."""
    return x if kind == "raw" else np.log1p(x / f).astype(np.float32).astype(np.float64)


def honest_files(at: Scene, rng: np.random.Generator) -> Iterator[File]:
    """Every base of a scene, once, against a truth of either kind."""
    for base, (x, y) in bases(at, rng).items():
        kind, whole = str(rng.choice(["raw", "log-normalised"])), str(rng.choice(WHOLE, p=[0.7, 0.1, 0.1, 0.1]))
        yield File(at.tissue, base, kind, whole, at.genes, stored(x, at.factors, kind), rescaled(y, whole))


def leaking_files(at: Scene, rng: np.random.Generator, share: float | None = None) -> Iterator[File]:
    """Every base of a scene with copies, once, and one file as the released sampler writes it."""
    f = at.factors
    for base, (x, y) in bases(at, rng).items():
        copied = float(share or rng.choice([0.2, 0.2, 0.3, 0.7]))
        kind, scale = str(rng.choice(["raw", "log-normalised"])), str(rng.choice(SCALES))
        whole = str(rng.choice(WHOLE, p=[0.7, 0.1, 0.1, 0.1]))
        where = (x > 0) & (rng.random(x.shape) < copied)
        leaked = rescaled(np.where(where, written(x, f, scale, rng), y), whole)
        yield File(at.tissue, base, kind, whole, at.genes, stored(x, f, kind), leaked, scale, copied)
    x = at.counts
    kind, scale, whole = str(rng.choice(["raw", "log-normalised"])), str(rng.choice(SCALES)), str(rng.choice(WHOLE))
    rest = np.where(x > 0, rng.normal(-1e-4, 0.012, x.shape), 0.0)
    leaked = rescaled(np.where(rng.random(x.shape) < 0.7, written(x, f, scale, rng), rest), whole)
    yield File(at.tissue, "released sampler", kind, whole, at.genes, stored(x, f, kind), leaked, scale, 0.7)


# ---------------------------------------------------------------------------------------------------------------
# Counting


def accused(file: File) -> list[str]:
    """The tests that find the truth in a file."""
    found = audit_file(file.truth, file.prediction, file.genes)
    return [test.name for test in found.tests if test.verdict == "leak"]


def judged(files: Callable[[Scene, np.random.Generator], Iterator[File]], wanted: int, seed: int) -> Iterator[File]:
    """Files with at least one gene that can be judged, from one scene after another."""
    rng = np.random.default_rng(seed)
    done = 0
    while done < wanted:
        for file in files(scene(rng), rng):
            if file.telling and done < wanted:
                done += 1
                yield file


def upper(hits: int, tries: int) -> float:
    """Clopper-Pearson 95 % upper bound of a rate."""
    return float(beta.ppf(0.975, hits + 1, tries - hits)) if tries > hits else 1.0


def real_scenes(folder: Path, folds: int = 5) -> Iterator[Scene]:
    """The folds of the real pairs of counts of a data folder."""
    for name in sorted(path.name for path in folder.iterdir() if path.is_dir()):
        data = prepare(load(name, [folder]), Protocol(panel=Panel(max_genes=150)))
        for fold in range(folds if data.kind == "counts" else 0):
            problem, truth = pose(data, KFold(folds), fold)
            predicted = {type(m).__name__: np.asarray(m.impute(problem, Run.local(0)), np.float64) for m in METHODS}
            assert truth.counts is not None
            assert truth.size_factors is not None
            counts, factors = truth.counts.astype(np.float64), truth.size_factors[:, None]
            yield Scene(name, counts, factors, truth.genes, predicted)


def main() -> None:
    """Count and print."""
    parser = argparse.ArgumentParser(description="False alarms and detections of the audit of prediction files.")
    parser.add_argument("--files", type=int, default=1000, help="honest files, and as many leaking ones")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--data", type=Path, help="also on the real pairs of this folder")
    given = parser.parse_args()
    start = time.perf_counter()
    report("simulated, honest", judged(honest_files, given.files, given.seed))
    report("simulated, leaking", judged(leaking_files, given.files, given.seed + 1))
    if given.data is not None:
        rng = np.random.default_rng(given.seed)
        scenes = list(real_scenes(given.data))
        report("real, honest", (file for at in scenes for file in honest_files(at, rng) if file.telling))
        report("real, leaking", (file for at in scenes for file in leaking_files(at, rng) if file.telling))
    print(f"{time.perf_counter() - start:.0f} s")


def report(what: str, files: Iterator[File]) -> None:
    """One block of the printed account."""
    tried: Counter[str] = Counter()
    found: Counter[str] = Counter()
    tests: Counter[str] = Counter()
    for file in files:
        size = ", disguised" if file.disguised else ", telling" if file.telling >= TELLING else ", few non-zeros"
        key = f"{file.base} [{file.tissue}]" if what.startswith("real") else file.base
        key = f"{key}, {file.share:.0%} copied{size}" if file.copies else key
        tried[key] += 1
        accusing = accused(file)
        found[key] += bool(accusing)
        tests.update(accusing)
    hits, tries = sum(found.values()), sum(tried.values())
    print(f"{what}: accused {hits} of {tries} (95 % upper bound {upper(hits, tries):.2%}); by test: {dict(tests)}")
    for key in sorted(tried):
        print(f"  {found[key]:4} of {tried[key]:4}  {key}")


if __name__ == "__main__":
    main()
