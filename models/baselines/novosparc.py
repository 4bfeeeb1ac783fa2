"""novoSpaRc: placing cells so that neighbours in expression become neighbours in space.

Nitzan, Karaiskos, Friedman & Rajewsky, Nature 2019, doi:10.1038/s41586-019-1773-3; Moriel, Senel, Friedman,
Rajewsky, Karaiskos & Nitzan, Nature Protocols 2021, doi:10.1038/s41596-021-00573-7. Written from the maths: graph
distances of either side, a cost of markers, entropic fused Gromov-Wasserstein by projected gradient. Deterministic.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from ..method import Array, Expression, Method, Needs, Problem, Run
from ._graphs import BLOCK_BYTES, Floats, evenly, on_a_grid, path_lengths

SINKHORN_STEPS, SINKHORN_TOLERANCE = 1000, 1e-9
"""Steps of one projection at most, and the l2 error of the spots' marginal at which it is done."""

SAFE = 1e-100
"""Scalings stay between this and its inverse, and column sums of the kernel above it; else the log domain is used."""


@dataclass(frozen=True)
class NovoSpaRc(Method):
    """Mean expression of the cells that fused Gromov-Wasserstein transport places at a spot.

    D_c and D_s are shortest-path lengths in graphs of nearest neighbours, of cells by the log-normalised expression of
    variable genes and of spots by position; pairs without a path take the longest length; each is divided by its
    maximum and centred. M is the Euclidean distance of cells and spots over the visible genes, either side divided by
    its maximum, then by the maximum of M. From T = p q' (p, q uniform), T becomes the Sinkhorn projection of
    (1 - alpha) (-D_c T D_s) + alpha M with entropy weight epsilon until it stays: a stationary point of fused
    Gromov-Wasserstein. A spot's prediction is the mean of the cells' expression under its column of T.

    Differs from the published code in the size of the plan. Beyond `max_cells`, evenly spaced cells take part. Beyond
    `max_spots`, one spot per occupied square of a grid does; D_s then holds their distances along the graph of all
    spots, and the other spots get the column that the same cost and the cells' potentials give them. Also: a
    projection starts from the last one's potentials and goes over to the log domain where the kernel underflows, so
    epsilon is never raised; neighbours at the same distance are taken in file order.

    alpha: weight of the markers against structure, from 0 to 1.
    epsilon: weight of the entropy.
    neighbours: nearest neighbours in either graph, the point itself among them.
    variable_genes: genes of the cells' graph, highest in variance / mean of the counts (of the values where the data
        are no counts), over all genes of the cells.
    max_cells: cells that take part at most; None is all.
    max_spots: spots in the plan at most; None is all. Time grows with the cube of these two, memory with the square: on
        one core, 2,000 of each take some 15 seconds, and 5,600 cells with 3,400 spots some 2 minutes.
    tolerance: Frobenius norm of the last change of T, looked at every tenth step.
    max_steps: steps after which T is taken as it is, as the published code does.
    """

    needs: ClassVar[Needs] = Needs(coordinates=True)
    label: ClassVar[str] = "novoSpaRc"
    spread: ClassVar[str] = "Expression over the single cells placed at a spot, with the weights of the prediction."

    alpha: float = 0.5
    epsilon: float = 5e-3
    neighbours: int = 5
    variable_genes: int = 2000
    max_cells: int | None = 2000
    max_spots: int | None = 2000
    tolerance: float = 1e-9
    max_steps: int = 1000

    def __post_init__(self) -> None:
        if not 0.0 <= self.alpha <= 1.0 or min(self.epsilon, self.tolerance) <= 0.0:
            raise ValueError("NovoSpaRc: alpha lies between 0 and 1, and epsilon and tolerance are positive.")
        counts = (self.neighbours, self.variable_genes, self.max_cells, self.max_spots, self.max_steps)
        if any(count is not None and count < 1 for count in counts):
            raise ValueError("NovoSpaRc: neighbours, variable_genes, max_cells, max_spots, max_steps are at least 1.")

    @classmethod
    def published(cls) -> NovoSpaRc:
        """The settings of the benchmark of Li et al. 2022: all cells and spots in the plan."""
        return cls(max_cells=None, max_spots=None)

    def impute(self, problem: Problem, run: Run) -> Array:
        """(n_spots, n_targets) float64."""
        return self._impute(problem, run, with_sd=False)[0]

    def impute_with_sd(self, problem: Problem, run: Run) -> tuple[Array, Array | None]:
        """`impute`, and the sd under a spot's column of the plan, (n_spots, n_targets) float64."""
        return self._impute(problem, run, with_sd=True)

    def _impute(self, problem: Problem, run: Run, with_sd: bool) -> tuple[Array, Array | None]:
        assert problem.coordinates is not None  # declared as a need
        chosen = evenly(len(problem.cells), self.max_cells)
        landmarks = on_a_grid(problem.coordinates, self.max_spots)
        genes = sorted(problem.visible)
        markers = marker_cost(problem.cells.of(genes)[chosen], problem.spots.of(genes))
        profiles = problem.cells.of(variable(problem.cells, self.variable_genes))[chosen]
        between_cells = path_lengths(profiles, self.neighbours, np.arange(len(chosen)))
        between_spots = path_lengths(problem.coordinates, self.neighbours, landmarks)

        m, d_c, d_s = (torch.from_numpy(x).to(run.device) for x in (markers, between_cells, between_spots))
        # Where all spots are in the plan, these are views: at full size a copy is 0.7 GB.
        there = slice(None) if len(landmarks) == len(problem.spots) else torch.from_numpy(landmarks).to(run.device)
        plan, potential = self.plan(m[:, there], d_c, d_s[:, there], run)
        expression = torch.from_numpy(problem.cells.of(problem.targets)[chosen].astype(np.float64)).to(run.device)
        mean, sd = self._read_out(m, d_c @ plan, d_s, potential, expression, with_sd)
        return mean.cpu().numpy(), None if sd is None else sd.cpu().numpy()

    def plan(self, m: Tensor, d_c: Tensor, d_s: Tensor, run: Run) -> tuple[Tensor, Tensor]:
        """The plan T (c, s), and the cells' potentials (c,) over epsilon, from M (c, s), D_c (c, c) and D_s (s, s)."""
        p, q = (torch.full((n,), 1.0 / n, dtype=m.dtype, device=m.device) for n in m.shape)
        plan, f, g = torch.outer(p, q), torch.zeros_like(p), torch.zeros_like(q)
        first, percent = 0.0, 0

        def beat() -> None:
            run.report(percent, 100)

        for step in range(self.max_steps):
            beat()
            before = plan
            cost = self._cost(m, d_c @ plan, d_s).div_(self.epsilon)
            plan, f, g = sinkhorn(cost, p, q, g, beat)
            if step % 10 == 0:
                change = float(torch.linalg.norm(before.sub_(plan)))
                if change <= self.tolerance:
                    break
                first = first or change
                percent = max(percent, int(99 * math.log(change / first) / math.log(self.tolerance / first)))
        run.report(100, 100)
        return plan, f

    def _cost(self, m: Tensor, moved: Tensor, d_s: Tensor) -> Tensor:
        """(1 - alpha) (-D_c T D_s) + alpha M, from `moved` = D_c T (c, s) and columns of D_s and of M."""
        return torch.addmm(m, moved, d_s, beta=self.alpha, alpha=self.alpha - 1.0)

    def _read_out(
        self, m: Tensor, moved: Tensor, d_s: Tensor, f: Tensor, expression: Tensor, with_sd: bool
    ) -> tuple[Tensor, Tensor | None]:
        """(n_spots, h) mean and sd of (c, h) `expression` under the column exp(f - cost / epsilon) of every spot."""
        shift = expression.mean(dim=0)  # so that the difference of squares loses few digits
        shifted = expression - shift
        squares = shifted**2
        n_spots = m.shape[1]
        mean = torch.empty((n_spots, expression.shape[1]), dtype=m.dtype, device=m.device)
        sd = torch.empty_like(mean) if with_sd else None
        width = max(1, BLOCK_BYTES // (8 * len(m)))
        for start in range(0, n_spots, width):
            block = slice(start, start + width)
            cost = self._cost(m[:, block], moved, d_s[:, block])
            weights = torch.softmax(f[:, None] - cost / self.epsilon, dim=0).T
            mean[block] = weights @ shifted
            if sd is not None:
                sd[block] = (weights @ squares - mean[block] ** 2).clamp_min_(0.0).sqrt_()
        # A mean lies between the values it averages; rounding must not take it below the lowest.
        return torch.maximum(mean + shift, expression.amin(dim=0)), sd


def sinkhorn(
    cost: Tensor, p: Tensor, q: Tensor, g: Tensor, beat: Callable[[], None] = lambda: None
) -> tuple[Tensor, Tensor, Tensor]:
    """The plan exp(f + g - cost) with marginals p (c,) and q (s,), and f and g; `cost` (c, s) is overwritten.

    Everything is in units of epsilon; g (s,) is where to start. Scalings of a kernel, as long as neither they nor its
    column sums leave the range of the numbers; a step in the log domain, which also makes the kernel anew, where so.
    """
    log_plan = cost.neg_().add_(g)
    f = _balance(log_plan, p, dim=1)
    kernel = log_plan.exp()
    u, v = torch.ones_like(p), torch.ones_like(q)
    for step in range(SINKHORN_STEPS):
        received = u @ kernel
        if torch.linalg.norm(v * received - q) < SINKHORN_TOLERANCE:
            break
        new = q / received
        if step % 50 == 49:
            beat()
        if received.min() < SAFE or _extreme(new) or _extreme(u):
            f, g = f + u.log(), g + v.log()
            log_plan.add_(u.log()[:, None]).add_(v.log())
            g = g + _balance(log_plan, q, dim=0)
            f = f + _balance(log_plan, p, dim=1)
            torch.exp(log_plan, out=kernel)
            u, v = torch.ones_like(p), torch.ones_like(q)
        else:
            v = new
            u = p / (kernel @ v)
    return kernel.mul_(u[:, None]).mul_(v), f + u.log(), g + v.log()


def _balance(log_plan: Tensor, marginal: Tensor, dim: int) -> Tensor:
    """Give the sums of exp(`log_plan`) over `dim` the values of `marginal`, in place; returns what was added."""
    added = marginal.log() - torch.logsumexp(log_plan, dim=dim)
    log_plan.add_(added.unsqueeze(dim))
    return added


def _extreme(scaling: Tensor) -> bool:
    return bool((scaling.min() < SAFE) | (scaling.max() > 1.0 / SAFE))


def variable(cells: Expression, count: int) -> list[str]:
    """The names of the `count` genes of highest variance / mean, in alphabetical order, so that file order is moot."""
    values = cells.lognorm if cells.counts is None else cells.counts
    mean, variance = (of(values, axis=0, dtype=np.float64) for of in (np.mean, np.var))
    ratio = np.divide(variance, mean, out=np.zeros_like(mean), where=mean > 0.0)
    by_ratio = sorted(range(len(ratio)), key=lambda i: (-ratio[i], cells.genes[i]))
    return sorted(cells.genes[i] for i in by_ratio[:count])


def marker_cost(cells: Array, spots: Array) -> Floats:
    """(c, s) Euclidean distances of (c, g) cells and (s, g) spots, either divided by its maximum, then by theirs."""
    x, y = (side / np.float64(max(side.max(), 1e-300)) for side in (cells, spots))
    cost = np.matmul(-2.0 * x, y.T)
    cost += (x**2).sum(axis=1)[:, None]
    cost += (y**2).sum(axis=1)
    np.sqrt(np.maximum(cost, 0.0, out=cost), out=cost)
    cost /= cost.max() or 1.0
    return cost
