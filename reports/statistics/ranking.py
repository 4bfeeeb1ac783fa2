"""The accuracy score (eq. 30) and its uncertainty, as pure functions of arrays.

Axes: V variants, G genes, M = 4 metrics in the order of `published.METRICS`, B resamples. Ranks compare variants
within one dataset: never genes within one method, never one fold.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from reports.published import METRICS

Floats = NDArray[np.float64]

RESAMPLES = 2000
"""How often genes are resampled."""

RESAMPLING_SEED = 20
"""Seed of the gene resamples: the same store gives the same intervals."""

GROUPS = 3000
"""The most units that are resampled."""

TIE_DECIMALS = 12
"""Numbers that agree to so many decimals are ties: the order of a sum must not decide a rank."""

MEAN_DECIMALS = 6
"""The same for the means that are ranked: predictions are in single precision, and what two ways to compute one
function differ by must not decide a rank."""

PAIR = tuple(i for i, metric in enumerate(METRICS) if metric.name in ("pcc", "ssim"))
"""The metrics of AS(PCC, SSIM)."""

_SIGN = np.array([1.0 if metric.higher_is_better else -1.0 for metric in METRICS])


def ranks(means: Floats) -> Floats:
    """(..., V, M) means -> (..., V, M) ranks of the variants: best = V, worst = 1, ties share their average.

    ValueError for a value that is not finite: what was not computed cannot be ranked.
    """
    if not np.isfinite(means).all():
        raise ValueError("A mean that is not finite cannot be ranked; leave its variant out.")
    signed = np.round(means * _SIGN, MEAN_DECIMALS)
    found = np.full(signed.shape, 0.5)
    for other in range(signed.shape[-2]):
        rival = signed[..., other : other + 1, :]
        found += (signed > rival) + 0.5 * (signed == rival)
    return found


def accuracy_score(means: Floats) -> Floats:
    """(..., V, M) means -> (..., V) accuracy scores: the mean of a variant's ranks, in [1, V]."""
    return ranks(means).mean(axis=-1)


@dataclass(frozen=True, eq=False)
class Resamples:
    """Which of K units are drawn, with replacement, in B resamples: picks (B, K)."""

    picks: NDArray[np.int32]

    @functools.cached_property
    def counts(self) -> Floats:
        """(B, K) how often each unit is drawn."""
        n, units = self.picks.shape
        places = self.picks + np.arange(n)[:, None] * units
        return np.bincount(places.ravel(), minlength=n * units).reshape(n, units).astype(np.float64)


@functools.lru_cache(maxsize=3)
def resamples(n_genes: int, n: int = RESAMPLES, seed: int = RESAMPLING_SEED) -> Resamples:
    """n resamples of the genes of a dataset; every variant of it uses the same ones.

    Beyond `GROUPS` genes the units are as many groups of genes (see `resampled_means`).
    """
    units = min(n_genes, GROUPS)
    return Resamples(np.random.default_rng(seed).integers(0, units, size=(n, units), dtype=np.int32))


def resampled_means(values: Floats, drawn: Resamples) -> Floats:
    """Means over resampled genes: (V, G, M) values -> (B, V, M).

    Units that are groups are put together at random, of equal size but for one gene: a mean over groups varies as one
    over genes does, and takes B x K numbers however many genes there are.
    """
    n, units = drawn.counts.shape
    order, starts = _grouped(values.shape[1], units)
    sizes = np.diff([*starts, values.shape[1]]).astype(np.float64)
    means = np.empty((n, values.shape[0], values.shape[2]))
    for variant in range(values.shape[0]):
        for metric in range(values.shape[2]):
            # One product per column, so that equal variants get equal means to the last bit and stay tied.
            means[:, variant, metric] = drawn.counts @ np.add.reduceat(values[variant, order, metric], starts)
    return means / (drawn.counts @ sizes)[:, None, None]


def _grouped(n_genes: int, groups: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """(G,) an order of genes and (K,) where in it each group starts; the genes' own order where K = G."""
    order = np.arange(n_genes)
    if groups < n_genes:
        order = np.random.default_rng(RESAMPLING_SEED).permutation(n_genes)
    return order, np.arange(groups) * n_genes // groups


def interval(draws: Floats) -> tuple[Floats, Floats]:
    """The 95% percentile interval over the first axis: (B, ...) -> two arrays (...)."""
    low, high = np.percentile(draws, [2.5, 97.5], axis=0)
    return low, high


@dataclass(frozen=True, eq=False)
class Ranking:
    """How V variants compare on one dataset; arrays are (V,) unless said otherwise.

    ranks: (V, M). score: the accuracy score; low, high: its 95% interval. pair_score: mean rank over PCC and SSIM.
    best: highest score (several if they tie exactly).
    tied: the interval of AS(best) - AS(variant) over the same resamples includes 0; the best are not marked.
    """

    ranks: Floats
    score: Floats
    low: Floats
    high: Floats
    pair_score: Floats
    best: NDArray[np.bool_]
    tied: NDArray[np.bool_]


def rank_variants(means: Floats, drawn: Floats) -> Ranking:
    """Compare V >= 1 variants: (V, M) means over genes, and (B, V, M) means over the same resampled genes."""
    placed = ranks(means)
    score = placed.mean(axis=-1)
    scores = accuracy_score(drawn)
    low, high = interval(scores)
    best = score == score.max()
    tied = np.zeros(len(score), dtype=bool)
    for index in np.flatnonzero(best):
        below, above = interval(scores[:, [index]] - scores)
        tied |= (below <= 0) & (above >= 0)
    return Ranking(placed, score, low, high, placed[:, PAIR].mean(axis=-1), best, tied & ~best)


@dataclass(frozen=True, eq=False)
class Joined:
    """A row outside the comparison, as if it alone had joined the V variants: its own numbers among V + 1.

    ranks: (M,). above: (V,) 1 where the interval of AS(variant) - AS(this row) lies above 0, -1 where it lies
    below, else 0.
    """

    ranks: Floats
    score: float
    low: float
    high: float
    pair_score: float
    above: NDArray[np.int64]


def join(means: Floats, drawn: Floats, outside: Floats, outside_drawn: Floats) -> Joined:
    """Rank an outside row, (M,) means and (B, M) resampled, among V >= 0 variants, (V, M) and (B, V, M)."""
    placed = ranks(np.concatenate([means, outside[None]]))[-1]
    scores = accuracy_score(np.concatenate([drawn, outside_drawn[:, None]], axis=1))
    low, high = interval(scores[:, -1])
    below, over = interval(scores[:, :-1] - scores[:, -1:])
    above = (below > 0).astype(np.int64) - (over < 0).astype(np.int64)
    return Joined(placed, float(placed.mean()), float(low), float(high), float(placed[list(PAIR)].mean()), above)
