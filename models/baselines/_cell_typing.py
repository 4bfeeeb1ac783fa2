"""Which cell type a spot is: stage 1 of SpatialScope in reduced form, shared with the mean of that type.

Shapes: n_s spots, n_c cells, v visible genes, K cell types.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.spatial import cKDTree

from ..component import Component
from ..method import Array, Problem
from ._clusters import cell_groups
from ._neighbours import Floats

Labels = NDArray[np.intp]

PLATFORM = 1e3
"""Largest platform factor and, inverted, the smallest: a gene that one side never shows has no better estimate."""


@dataclass(frozen=True, eq=False)
class SpotTypes:
    """What `CellTyping` finds. cells: (n_c,) and spots: (n_s,) types in 0 .. K-1; platform: (v,) gene factors."""

    cells: Labels
    spots: Labels
    platform: Floats


@dataclass(frozen=True)
class CellTyping(Component):
    """One cell type per spot: argmax of a multinomial likelihood of the visible genes, smoothed by a Potts prior.

    A spot of type k is a draw of visible genes with probabilities proportional to p_kg gamma_g: the type's mean
    expression in the single cells and the gene's platform factor (see `platform_factors`). Its log-likelihood is
    divided by the data's dispersion, which stands in for the log-normal noise of the original, and makes values per
    volume or intensities as good as counts. Then iterated conditional modes on -loglik + smoothness x (share of
    neighbours of another type), spot by spot in file order.

    groups: k-means groups of cells, where no cell types are given.
    smoothness: the Potts constant, nu of the paper.
    neighbours: nearest spots in which a spot sees its neighbourhood.
    sweeps: over all spots, at most.
    """

    groups: int = 12
    smoothness: float = 10.0
    neighbours: int = 10
    sweeps: int = 8

    def __post_init__(self) -> None:
        if min(self.groups, self.neighbours) < 1 or min(self.smoothness, self.sweeps) < 0:
            raise ValueError(f"{self}: groups and neighbours are at least 1, smoothness and sweeps at least 0.")

    def types(self, problem: Problem, rng: np.random.Generator) -> SpotTypes:
        """Types of cells and spots, from the visible genes only; `rng` starts k-means where no types are given."""
        cells = self.cell_types(problem, rng)
        profiles = mean_profiles(np.expm1(problem.cells.of(problem.visible)), cells)
        spots = problem.spots
        values = (np.expm1(spots.lognorm) if spots.counts is None else spots.counts).astype(np.float64)
        shown = np.ones(values.shape) if problem.hidden is None else (~problem.hidden).astype(np.float64)
        platform = platform_factors(values.sum(axis=0) / np.maximum(shown.sum(axis=0), 1.0), profiles, cells)
        expected = profiles * platform
        loglik = log_likelihoods(values, shown, expected)
        calls = loglik.argmax(axis=1)
        cost = -loglik / dispersion(values, shown, expected[calls])
        near = nearest_spots(problem.coordinates, self.neighbours)
        return SpotTypes(cells, smoothed(calls, cost, near, self.smoothness, self.sweeps), platform)

    def cell_types(self, problem: Problem, rng: np.random.Generator) -> Labels:
        """(n_c,) types in 0 .. K-1: the given ones in the order of their names, else k-means on the visible genes."""
        if problem.cell_types is None:
            labels = cell_groups(problem.cells.of(problem.visible), self.groups, rng)
        else:
            labels = problem.cell_types.astype(str)
        return np.unique(labels, return_inverse=True)[1].astype(np.intp)


def type_means(values: Array, labels: Labels) -> Floats:
    """(K, g) mean of (n_c, g) values per type."""
    members = np.equal.outer(np.arange(labels.max() + 1), labels).astype(values.dtype)  # (K, n_c)
    return (members @ values / members.sum(axis=1, keepdims=True)).astype(np.float64)


def mean_profiles(linear: Array, labels: Labels) -> Floats:
    """(K, v) mean linear expression per type, one average cell added to each: no type excludes a gene others have."""
    count = np.bincount(labels)[:, None]
    overall = linear.mean(axis=0, dtype=np.float64)
    mean = (count * type_means(linear, labels) + overall) / (count + 1)
    return np.maximum(mean, 1e-9 * max(mean.max(), 1e-30))


def platform_factors(bulk: Floats, profiles: Floats, labels: Labels) -> Floats:
    """(v,) gamma_g: a gene's (v,) bulk in the spots over that in the mixture of types that fits it best.

    The mixture w >= 0 of the (K, v) profiles minimises the variance over genes of log bulk_g - log sum_k w_k p_kg, as
    RCTD's does (Cable et al. 2022): factors are log-normal, so a strong gene tells no more of w than a weak one. Starts
    from the types' frequencies among the cells. The geometric mean of gamma is 1.
    """
    counted = bulk > 0.0
    if counted.sum() < 2:
        return np.ones(len(bulk))
    p, wanted = profiles[:, counted], np.log(bulk[counted])

    def weights(theta: Floats) -> Floats:
        w = np.exp(theta - theta.max())
        return w / w.sum()

    def loss(theta: Floats) -> tuple[float, Floats]:
        w = weights(theta)
        mixed = w @ p
        residual = wanted - np.log(mixed)
        residual -= residual.mean()
        slope = -p @ (residual / mixed)
        return 0.5 * float(residual @ residual), w * (slope - w @ slope)

    start = np.log(np.bincount(labels) / len(labels))
    w = weights(minimize(loss, start, jac=True, method="L-BFGS-B").x)
    log_gamma = wanted - np.log(w @ p)
    gamma = np.full(len(bulk), 1.0 / PLATFORM)
    gamma[counted] = np.clip(np.exp(log_gamma - log_gamma.mean()), 1.0 / PLATFORM, PLATFORM)
    return gamma


def log_likelihoods(values: Floats, shown: Floats, expected: Floats) -> Floats:
    """(n_s, K) sum_g n_sg log q_sg, q_s the type's (K, v) expected values over their sum at the shown entries."""
    return values @ np.log(expected).T - values.sum(axis=1, keepdims=True) * np.log(shown @ expected.T + 1e-300)


def dispersion(values: Floats, shown: Floats, expected: Floats) -> float:
    """Variance in units of the multinomial's, phi = sum (n - N q)^2 / sum N q (1 - q) over all entries; 1 for counts.

    expected: (n_s, v), q up to a factor per spot. N: a spot's total. The ratio of sums, since a mean of ratios belongs
    to the entries that expect next to nothing.
    """
    q = shown * expected
    q /= np.maximum(q.sum(axis=1, keepdims=True), 1e-300)
    totals = values.sum(axis=1, keepdims=True)
    variance = (totals * q * (1.0 - q)).sum()
    return max(float(((values - totals * q) ** 2).sum() / variance), 1e-12) if variance > 0.0 else 1.0


def nearest_spots(coordinates: Array | None, count: int) -> Labels:
    """(n_s, count) other spots nearest to each, all of them if there are fewer; (0, 0) without coordinates."""
    if coordinates is None:
        return np.zeros((0, 0), dtype=np.intp)
    places = np.asarray(coordinates, dtype=np.float64)
    count = min(count, len(places) - 1)
    found = cKDTree(places).query(places, count + 1)[1].reshape(len(places), count + 1)
    # Where several spots share a place, a spot need not be the first of its own neighbours.
    others = found != np.arange(len(places))[:, None]
    others[others.all(axis=1), -1] = False
    return found[others].reshape(len(places), count).astype(np.intp)


def smoothed(calls: Labels, cost: Floats, near: Labels, smoothness: float, sweeps: int) -> Labels:
    """(n_s,) types after iterated conditional modes: argmin_k of (n_s, K) cost + smoothness x share of others."""
    calls = calls.copy()
    if near.size == 0 or smoothness == 0.0:
        return calls
    kinds, weight = cost.shape[1], smoothness / near.shape[1]
    for _ in range(sweeps):
        before = calls.copy()
        for spot, around in enumerate(near):
            alike = np.bincount(calls[around], minlength=kinds)
            calls[spot] = np.argmin(cost[spot] - weight * alike)
        if (calls == before).all():
            break
    return calls
