"""SpaOTsc: spatially optimal transport for single cells, as a transfer of genes.

Cang & Nie, Nature Communications 2020, doi:10.1038/s41467-020-15968-5. Written from the maths of the benchmark of Li
et al., Nature Methods 2022, doi:10.1038/s41592-022-01480-9, which uses no spatial term: a rank-correlation cost
between cells and spots, entropic unbalanced optimal transport, barycentric projection. Deterministic.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from ..method import Array, Method, Problem, Run

Floats = NDArray[np.float64]

TILE_BYTES = 2**20
"""Size of the row blocks of the kernel: small enough that one is still in cache when it is read a second time."""


@dataclass(frozen=True)
class SpaOTsc(Method):
    """Mean expression of the cells that unbalanced optimal transport couples to a spot.

    With r the Spearman correlation of a cell and a spot over the visible genes (0 where either is constant), the cost
    is C = exp(1 - r)^2 and the weights a, b of cells and spots are the row and column sums of exp(r), each summing to
    1. The plan T minimises <C, T> + epsilon sum T (log T - 1) + rho (KL(T 1 | a) + KL(T' 1 | b)); a spot's prediction
    is the mean of the cells' expression under its column of T. Only the order of the visible genes within a cell and
    within a spot matters.

    Differs from the published code in running to convergence rather than for 50 over-relaxed steps, which end at the
    same plan. The kernel exp(-C / epsilon) exists once, (n_cells, n_spots) in float64, and nothing else of that size.

    epsilon: weight of the entropy; a smaller one couples a spot to fewer cells. At 0.1, weights within a column span
        up to 230 orders of magnitude; much below, the kernel underflows, which is an error.
    rho: weight of the marginals; a larger one keeps closer to a and b.
    tolerance: largest relative change of a scaling in the last step. The steps contract at the rate
        (rho / (rho + epsilon))^2, so their number is known beforehand: about 120 at epsilon 0.1.
    max_steps: steps after which not having converged is an error.
    """

    cheap: ClassVar[bool] = True
    spread: ClassVar[str] = "Expression over the single cells coupled to a spot, with the weights of the prediction."

    epsilon: float = 0.1
    rho: float = 1.0
    tolerance: float = 1e-9
    max_steps: int = 5000

    def __post_init__(self) -> None:
        if min(self.epsilon, self.rho, self.tolerance) <= 0.0:
            raise ValueError("SpaOTsc: epsilon, rho and tolerance are positive numbers.")

    @classmethod
    def published(cls) -> SpaOTsc:
        """The settings behind the benchmark's published scores: epsilon 0.1, rho 1.

        The benchmark's script says epsilon 1 instead, but does not run as released; its notebook made the scores.
        """
        return cls(epsilon=0.1, rho=1.0)

    def impute(self, problem: Problem, run: Run) -> Array:
        """(n_spots, n_targets) float64."""
        return self._impute(problem, run, with_sd=False)[0]

    def impute_with_sd(self, problem: Problem, run: Run) -> tuple[Array, Array | None]:
        """`impute`, and the sd under a spot's column of the plan, (n_spots, n_targets) float64."""
        return self._impute(problem, run, with_sd=True)

    def _impute(self, problem: Problem, run: Run, with_sd: bool) -> tuple[Array, Array | None]:
        cells = rank_profiles(problem.cells.of(problem.visible))
        spots = rank_profiles(problem.spots.of(problem.visible))
        kernel, a, b = gibbs_kernel(cells, spots, self.epsilon)
        scaling, _ = self.scalings(kernel, a, b, run)
        return projected(kernel, scaling, problem.cells.of(problem.targets), with_sd)

    def scalings(self, kernel: Floats, a: Floats, b: Floats, run: Run) -> tuple[Floats, Floats]:
        """u (n_cells,) and v (n_spots,) of the plan T = diag(u) K diag(v), from K and the weights a and b.

        u <- (a / K v)^power and v <- (b / K' u)^power in turn, from v = 1, with power = rho / (rho + epsilon). Both in
        one pass over K: a block of rows adds to K' u as soon as its part of u is known.
        """
        power = self.rho / (self.rho + self.epsilon)
        u, v = np.empty(len(a)), np.ones(len(b))
        expected = math.ceil(-math.log(self.tolerance) / (2.0 * math.log1p(self.epsilon / self.rho))) + 10
        for step in range(1, self.max_steps + 1):
            received = np.zeros(len(b))
            with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
                for rows in _tiles(kernel):
                    u[rows] = (a[rows] / (kernel[rows] @ v)) ** power
                    received += u[rows] @ kernel[rows]
                new = (b / received) ** power
                change = float(np.abs(new / v - 1.0).max())
            if not (math.isfinite(change) and np.isfinite(u).all()):
                raise ValueError(
                    f"SpaOTsc: exp(-C / epsilon) underflows at epsilon {self.epsilon:g}; use a larger one."
                )
            v = new
            # u follows from v, and moves by no larger a factor: the map between them does not expand.
            if change < self.tolerance:
                run.report(step, step)
                return u, v
            run.report(step, max(expected, step + 1))
        raise RuntimeError(
            f"SpaOTsc: the scalings still change by {change:.1e} after {self.max_steps} steps, tolerance is "
            f"{self.tolerance:g}; raise max_steps or epsilon."
        )


def rank_profiles(values: Array) -> Floats:
    """(n, g) ranks of each row, ties by their mean, centred and of length 1: products are Spearman correlations.

    A row without variance becomes 0, so that it correlates with nothing.
    """
    n, g = values.shape
    order = np.argsort(values, axis=1)
    ordered = np.take_along_axis(values, order, axis=1)
    place = np.broadcast_to(np.arange(g), (n, g))
    starts = np.ones((n, g), dtype=bool)
    starts[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
    first = np.maximum.accumulate(np.where(starts, place, 0), axis=1)
    ends = np.ones((n, g), dtype=bool)
    ends[:, :-1] = starts[:, 1:]
    last = np.minimum.accumulate(np.where(ends, place, g)[:, ::-1], axis=1)[:, ::-1]
    ranks = np.empty((n, g))
    np.put_along_axis(ranks, order, (first + last - (g - 1)) / 2.0, axis=1)
    lengths = np.linalg.norm(ranks, axis=1, keepdims=True)
    return ranks / np.where(lengths > 0.0, lengths, 1.0)


def gibbs_kernel(cells: Floats, spots: Floats, epsilon: float) -> tuple[Floats, Floats, Floats]:
    """exp(-C / epsilon) (n_cells, n_spots), and the weights a (n_cells,) and b (n_spots,), from rank profiles."""
    kernel = np.empty((len(cells), len(spots)))
    a, b = np.empty(len(cells)), np.zeros(len(spots))
    for rows in _tiles(kernel):
        tile = kernel[rows]
        np.matmul(cells[rows], spots.T, out=tile)
        np.exp(tile, out=tile)
        a[rows] = tile.sum(axis=1)
        b += tile.sum(axis=0)
        np.square(tile, out=tile)
        np.divide(-math.exp(2.0) / epsilon, tile, out=tile)  # -C / epsilon, since C = e^2 / exp(r)^2
        np.exp(tile, out=tile)
    return kernel, a / a.sum(), b / b.sum()


def projected(kernel: Floats, u: Floats, expression: Array, with_sd: bool) -> tuple[Floats, Floats | None]:
    """(n_spots, h) mean of (n_cells, h) expression under the columns of diag(u) K, and its sd where asked for.

    The spots' scalings cancel when a column is divided by its sum.
    """
    shift = expression.mean(axis=0, dtype=np.float64)  # so that the difference of squares loses few digits
    total = (u @ kernel)[:, None]
    shifted = expression - shift
    mean = kernel.T @ (u[:, None] * shifted) / total
    sd = None
    if with_sd:
        square = kernel.T @ (u[:, None] * shifted**2) / total
        sd = np.sqrt(np.maximum(square - mean**2, 0.0))
    # A mean lies between the values it averages; rounding must not take it below the lowest.
    return np.maximum(mean + shift, expression.min(axis=0)), sd


def _tiles(matrix: Floats) -> Iterator[slice]:
    rows = max(1, TILE_BYTES // (8 * matrix.shape[1]))
    return (slice(start, start + rows) for start in range(0, len(matrix), rows))
