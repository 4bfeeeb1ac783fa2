"""Are few sampling steps as good as a thousand? Equivalence of samplers on validation genes, paired, over seeds.

    python tests/benchmarks/few_steps.py [--data FOLDER] [--dataset NAME ...] [--seeds 5] [--margin 0.01]

For each seed the model is trained on the training genes of fold 0 and asked for its validation genes; no test gene is
seen. A run's weights and its noise depend on the seed alone, so every sampler starts from the same network and the same
x_T, and averages the same number of draws. Per gene, the PCC of a sampler minus that of 1000-step ancestral sampling is
averaged over seeds; its mean over genes has a 90 % bootstrap interval. A sampler is called equivalent if that lies
within the margin.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from harness.datasets import load
from harness.protocol import KFold, Protocol, pose, prepare
from models.method import Expression, Problem, Run
from models.spadit import SpaDiT
from models.spadit.samplers import DDIM, DDPM, DPMSolver, ProbabilityFlow, Sampler

ANCESTRAL = "ancestral, 1000 steps"
SAMPLERS: dict[str, Sampler] = {
    ANCESTRAL: DDPM(),
    "DDIM, 10 steps": DDIM(steps=10),
    "DPM-Solver++, 10 steps": DPMSolver(steps=10),
    "DPM-Solver++, 50 steps": DPMSolver(steps=50),
    "probability flow, 25 steps": ProbabilityFlow(steps=25),
}


def on_validation_genes(problem: Problem) -> tuple[Problem, NDArray[np.float32]]:
    """The problem of predicting its validation genes from its training genes, and the truth (n_spots, V)."""
    known = problem.training
    spots = Expression(known, problem.spots.of(known))
    asked = replace(problem, spots=spots, visible=known, targets=problem.validation, validation=())
    return asked, problem.spots.of(problem.validation)


def pcc(prediction: NDArray[np.float32], truth: NDArray[np.float32]) -> NDArray[np.float64]:
    """(V,) Pearson correlations over spots; 0 where either is constant."""
    a, b = (each - each.mean(0, dtype=np.float64) for each in (prediction, truth))
    norms = np.linalg.norm(a, axis=0) * np.linalg.norm(b, axis=0)
    return (a * b).sum(0) / np.where(norms > 0, norms, np.inf)


def compare(problem: Problem, seeds: int, margin: float) -> None:
    """Print a line per sampler."""
    asked, truth = on_validation_genes(problem)
    scores, seconds = {}, {}
    for name, sampler in SAMPLERS.items():
        method = replace(SpaDiT.small(), sampler=sampler)
        start = time.perf_counter()
        scores[name] = np.mean([pcc(method.impute(asked, Run.local(seed)), truth) for seed in range(seeds)], axis=0)
        seconds[name] = (time.perf_counter() - start) / seeds
    rng = np.random.default_rng(0)
    draws = rng.integers(len(asked.targets), size=(4000, len(asked.targets)))
    print(f"  {len(asked.visible)} training genes, {len(asked.targets)} validation genes, {seeds} seeds")
    for name in SAMPLERS:
        apart = scores[name] - scores[ANCESTRAL]
        low, high = np.percentile(apart[draws].mean(1), [5, 95])
        verdict = "" if name == ANCESTRAL else "equivalent" if -margin < low and high < margin else "NOT equivalent"
        print(
            f"  {name:27} PCC {scores[name].mean():.4f}  difference {apart.mean():+.4f} [{low:+.4f}, {high:+.4f}]"
            f"  {seconds[name]:5.1f} s a run  {verdict}",
            flush=True,
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, action="append", default=[])
    parser.add_argument("--dataset", action="append")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--margin", type=float, default=0.01)
    asked_for = parser.parse_args()
    for dataset in asked_for.dataset or ["pbmc_tissue"]:
        print(dataset)
        data = prepare(load(dataset, asked_for.data), Protocol())
        compare(pose(data, KFold(5), 0)[0], asked_for.seeds, asked_for.margin)
