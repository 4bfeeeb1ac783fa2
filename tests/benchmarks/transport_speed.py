"""How fast are novoSpaRc and SpaOTsc beside the packages that compute the same, in one process and one thread?

    pip install pot novosparc
    python tests/benchmarks/transport_speed.py [--cells 1500] [--spots 1500] [--genes 60] [--repeats 3]

novoSpaRc beside novosparc itself (graphs, marker cost, plan, expression at the spots), all cells and spots in the plan
on both sides. SpaOTsc beside POT's unbalanced Sinkhorn on the cost of `scipy.stats.spearmanr`, which is what the
original calls; the original package cannot be imported under NumPy 2. Predictions are compared before anything is
timed: to 1e-6 with POT, but to 5e-3 with novosparc, whose projections end after 1,000 steps, here before they have
converged, as it warns; ours go on from where the last one ended, and do converge. Data: cells and spots at random
places of a square over which the genes vary smoothly. Each repeat times both sides next to each other; medians of CPU
seconds are printed.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import time
import warnings
from collections.abc import Callable
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import novosparc
import numpy as np
import ot
import torch
from numpy.typing import NDArray
from scipy.spatial.distance import cdist
from scipy.stats import spearmanr
from threadpoolctl import threadpool_limits

from models.baselines.novosparc import NovoSpaRc
from models.baselines.spaotsc import SpaOTsc
from models.method import Expression, Problem, Run

Array = NDArray[Any]
TARGET = 1.0


def made_up(cells: int, spots: int, genes: int) -> Problem:
    """A problem whose genes are waves over a square, with noise; an eighth of them are targets."""
    rng = np.random.default_rng(0)
    frequencies, phases = rng.uniform(0.5, 3.0, (2, genes)), rng.uniform(0, 6, genes)
    places = rng.uniform(0, 2, (cells + spots, 2))
    values = (1.5 + np.sin(places @ frequencies + phases) + rng.normal(0, 0.3, (cells + spots, genes))).clip(0.0)
    names, held = tuple(f"g{i:04d}" for i in range(genes)), max(1, genes // 8)
    x, y = np.split(values.astype(np.float32), [cells])
    spot_side = Expression(names[held:], y[:, held:])
    return Problem(spot_side, Expression(names, x), names[held:], names[:held], coordinates=places[cells:])


def original_novosparc(problem: Problem) -> Array:
    """The package's own functions, silenced."""
    x, y = (side.of(problem.visible).astype(float) for side in (problem.cells, problem.spots))
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings(action="ignore"):
        expression = problem.cells.lognorm.astype(float)
        d_c, d_s = novosparc.rc.setup_for_OT_reconstruction(expression, problem.coordinates, 5, 5)
        m = cdist(x / x.max(), y / y.max())
        p, q = map(ot.unif, m.shape)
        plan = novosparc.rc._GWadjusted.gromov_wasserstein_adjusted_norm(
            m, d_c, d_s, 0.5, p, q, "square_loss", epsilon=5e-3
        )
    return plan.T @ problem.cells.of(problem.targets) * len(q)


def pot_spaotsc(problem: Problem) -> Array:
    """Rank correlation by scipy, the plan by POT."""
    x, y = (side.of(problem.visible).astype(float) for side in (problem.cells, problem.spots))
    rho = np.nan_to_num(spearmanr(x, y, axis=1).statistic[: len(x), len(x) :])
    w, cost = np.exp(rho), np.exp(1 - rho) ** 2
    plan = ot.unbalanced.sinkhorn_unbalanced(
        w.sum(axis=1) / w.sum(), w.sum(axis=0) / w.sum(), cost, 0.1, 1.0,
        reg_type="entropy", method="sinkhorn", stopThr=1e-9,
    )  # fmt: skip
    return (plan / plan.sum(axis=0)).T @ problem.cells.of(problem.targets)


def seconds(call: Callable[[Problem], object], problem: Problem) -> float:
    """CPU time of one call."""
    start = time.process_time()
    call(problem)
    return time.process_time() - start


def main() -> None:
    """Check, time, print."""
    parser = argparse.ArgumentParser(description="Speed of novoSpaRc and SpaOTsc beside novosparc and POT.")
    for name, default in (("cells", 1500), ("spots", 1500), ("genes", 60), ("repeats", 3)):
        parser.add_argument(f"--{name}", type=int, default=default)
    given = parser.parse_args()
    problem = made_up(given.cells, given.spots, given.genes)
    pairs = {
        "novoSpaRc": (original_novosparc, lambda p: NovoSpaRc.published().impute(p, Run.local()), 5e-3),
        "SpaOTsc": (pot_spaotsc, lambda p: SpaOTsc.published().impute(p, Run.local()), 1e-6),
    }
    print(f"{given.cells} cells, {given.spots} spots, {given.genes} genes; load {os.getloadavg()[0]:.1f}")
    with threadpool_limits(1):
        torch.set_num_threads(1)
        for name, (theirs, ours, tolerance) in pairs.items():
            worst = np.abs(theirs(problem) - ours(problem)).max()
            print(f"{name}: largest difference {worst:.1e}")
            assert worst <= tolerance, f"{name} differs from its reference by {worst}."
            times = np.array([[seconds(call, problem) for call in (theirs, ours)] for _ in range(given.repeats)])
            slow, fast, ratio = (np.median(column) for column in (*times.T, times[:, 0] / times[:, 1]))
            print(f"  theirs {slow:.2f} s, ours {fast:.2f} s: {ratio:.1f}x")
    print(f"target {TARGET:.0f}x; medians of {given.repeats} repeats")


if __name__ == "__main__":
    main()
