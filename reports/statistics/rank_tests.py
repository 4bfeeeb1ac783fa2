"""Ranks over datasets, as pure functions of arrays: tests, chances of each rank, and what leaving one out changes.

Axes: D datasets, V variants, B resamples. Scores are better when higher; ranks are 1 for the best, ties share their
average.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from reports.statistics.ranking import RESAMPLING_SEED, TIE_DECIMALS

Floats = NDArray[np.float64]
Places = NDArray[np.intp]

ALPHA = 0.05
"""Level of the critical difference."""


def ranks(scores: Floats) -> Floats:
    """(..., V) scores -> (..., V) ranks: best 1, worst V, ties share their average."""
    return np.asarray(stats.rankdata(_falling(scores), axis=-1), dtype=np.float64)


def _falling(scores: Floats) -> Floats:
    return -np.round(scores, TIE_DECIMALS)


# ---------------------------------------------------------------------------------------------------------------
# Friedman and Nemenyi


@dataclass(frozen=True)
class Friedman:
    """Whether V variants rank alike on D datasets. chi2: Friedman's statistic, corrected for ties; p from chi2(V - 1).

    f: Iman and Davenport's F, less conservative on few datasets; f_p from F(V - 1, (V - 1)(D - 1)).
    """

    chi2: float
    p: float
    f: float
    f_p: float


def friedman(placed: Floats) -> Friedman:
    """(D, V) ranks within each dataset, D > 1 and V > 1 -> Friedman's test and Iman and Davenport's (1980)."""
    datasets, variants = placed.shape
    middle = (variants + 1) / 2
    spread = float(((placed - middle) ** 2).sum())
    if spread == 0:  # all tie everywhere: nothing differs
        return Friedman(0.0, 1.0, 0.0, 1.0)
    between = float(((placed.sum(axis=0) - datasets * middle) ** 2).sum())
    most = datasets * (variants - 1)
    chi2 = (variants - 1) * between / spread
    p = float(stats.chi2.sf(chi2, variants - 1))
    if math.isclose(chi2, most):  # all datasets agree: F is infinite and its p value exact (Conover, 1999, 5.8)
        return Friedman(chi2, p, math.inf, float(_orders(placed[0])) ** (1 - datasets))
    f = (datasets - 1) * chi2 / (most - chi2)
    return Friedman(chi2, p, f, float(stats.f.sf(f, variants - 1, (variants - 1) * (datasets - 1))))


def _orders(placed: Floats) -> int:
    # In how many ways V variants can take these ranks.
    _, sharing = np.unique(placed, return_counts=True)
    return math.factorial(len(placed)) // math.prod(math.factorial(int(n)) for n in sharing)


def _scale(variants: int, datasets: int) -> float:
    # Of a difference of mean ranks, in units of the studentized range: without ties, so with them it is cautious.
    return math.sqrt(variants * (variants + 1) / (12 * datasets))


def critical_difference(variants: int, datasets: int, alpha: float = ALPHA) -> float:
    """Nemenyi's: mean ranks further apart than this differ, at level alpha over all pairs (Demsar, 2006, 3.2.2)."""
    return float(stats.studentized_range.ppf(1 - alpha, variants, np.inf)) * _scale(variants, datasets)


def nemenyi(mean_ranks: Floats, datasets: int) -> Floats:
    """(V,) mean ranks -> (V, V) p values of all pairs, adjusted for there being so many; 1 on the diagonal."""
    variants = len(mean_ranks)
    apart = np.abs(mean_ranks[:, None] - mean_ranks[None, :])
    different, where = np.unique(np.round(apart, TIE_DECIMALS), return_inverse=True)
    p = stats.studentized_range.sf(different / _scale(variants, datasets), variants, np.inf)
    return np.clip(np.where(different == 0, 1.0, p)[where.reshape(apart.shape)], 0.0, 1.0)


def cliques(mean_ranks: Floats, width: float) -> list[tuple[int, int]]:
    """(first, last) places, in rising order of mean rank, of the longest runs of two or more no wider than `width`."""
    rising = np.sort(mean_ranks)
    found: list[tuple[int, int]] = []
    for first, low in enumerate(rising):
        last = int(np.searchsorted(rising, low + width, side="right")) - 1
        if last > first and (not found or last > found[-1][1]):
            found.append((first, last))
    return found


# ---------------------------------------------------------------------------------------------------------------
# Chances of each rank


def draws(datasets: int, resamples: int, seed: int = RESAMPLING_SEED) -> tuple[Places, Places]:
    """Which datasets, and which resample of each one's genes, make up each resample of all: two (B, D) arrays.

    Datasets are drawn with replacement; one that is drawn twice has its genes resampled anew each time. Of a single
    dataset every resample of its genes is used once.
    """
    random = np.random.default_rng(seed)
    drawn = random.integers(0, datasets, size=(resamples, datasets))
    genes = random.permuted(np.tile(np.arange(resamples), (datasets, 1)), axis=1).T
    return drawn, genes


def over_datasets(scores: Floats, drawn: tuple[Places, Places]) -> Floats:
    """(D, B, V) scores per dataset and resample of its genes -> (B, V) means over the drawn datasets."""
    return np.asarray(scores[drawn].mean(axis=1))


def rank_chances(scores: Floats) -> Floats:
    """(B, V) scores -> (V, V): the share of resamples in which a variant (row) takes a rank (column, 1 to V).

    Variants that tie over several ranks share each of them equally, so rows and columns sum to 1.
    """
    first, last = (stats.rankdata(_falling(scores), method=end, axis=-1)[..., None] for end in ("min", "max"))
    rank = np.arange(1, scores.shape[1] + 1)
    return np.asarray((((first <= rank) & (rank <= last)) / (last - first + 1)).mean(axis=0))


def chance_above_0(differences: Floats) -> Floats:
    """(B, ...) differences -> (...): the share of resamples above 0, those at 0 counting half."""
    rounded = np.round(differences, TIE_DECIMALS)
    return np.asarray(((rounded > 0) + 0.5 * (rounded == 0)).mean(axis=0))


# ---------------------------------------------------------------------------------------------------------------
# Leaving one dataset out


def left_out_ranks(scores: Floats) -> Floats:
    """(D, V) scores, D > 1 -> (D, V) ranks of the mean score over all datasets but one."""
    return ranks((scores.sum(axis=0) - scores) / (len(scores) - 1))


def agreement(one: Floats, other: Floats) -> float:
    """Kendall's tau-b of two rankings, (V,) each; NaN where one of them ties all."""
    return float(stats.kendalltau(one, other).statistic)
