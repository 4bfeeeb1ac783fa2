"""Rows against a reference, gene by gene: differences, effect sizes and signed-rank tests, as functions of arrays.

Axes: K rows, G genes, M = 4 metrics in the order of `published.METRICS`. Values are averaged over seeds; a gene is
paired with itself.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata, wilcoxon

from reports.published import METRICS
from reports.statistics import ranking

Floats = NDArray[np.float64]

SIGN = np.array([1.0 if metric.higher_is_better else -1.0 for metric in METRICS])
"""(M,) what turns a difference into one of which more is better."""

EXACT = 50
"""Up to so many genes with a difference the signed-rank test is exact."""


@dataclass(frozen=True, eq=False)
class Paired:
    """K rows minus the reference; arrays are (K, M).

    mean: over genes; low, high: its 95% interval from resampling genes. effect: Cohen's d_z. better: share of genes
    on which the row is better than the reference, ties half. p: two-sided Wilcoxon signed-rank, not adjusted.
    """

    mean: Floats
    low: Floats
    high: Floats
    effect: Floats
    better: Floats
    p: Floats


def compare(rows: Floats, reference: Floats) -> Paired:
    """(K, G, M) metrics of rows and (G, M) of the reference, G >= 1."""
    # The order of a sum over seeds must not make a difference of what is equal.
    differences = np.round(rows - reference, ranking.TIE_DECIMALS)
    drawn = ranking.resampled_means(differences, ranking.resamples(differences.shape[1]))
    low, high = ranking.interval(drawn)
    by_metric = np.moveaxis(differences, 1, 2)
    return Paired(
        mean=differences.mean(axis=1),
        low=low,
        high=high,
        effect=effect_size(by_metric),
        better=share_better(by_metric * SIGN[:, None]),
        p=signed_rank(by_metric),
    )


def effect_size(differences: Floats) -> Floats:
    """Cohen's d_z of (..., G) paired differences: mean / sd.

    Without any spread it is 0 if the mean is 0 and else infinite, with the sign of the mean. NaN for one gene.
    """
    if differences.shape[-1] < 2:
        return np.full(differences.shape[:-1], np.nan)
    mean, spread = differences.mean(axis=-1), differences.std(axis=-1, ddof=1)
    spread = np.where(np.ptp(differences, axis=-1) == 0, 0.0, spread)  # the sd of equal numbers may be 1e-17
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(mean == 0, 0.0, mean / spread)


def share_better(gains: Floats) -> Floats:
    """Share of (..., G) gains above 0; a gain of exactly 0 counts half."""
    return ((gains > 0) + 0.5 * (gains == 0)).mean(axis=-1)


def signed_rank(differences: Floats) -> Floats:
    """p of the two-sided Wilcoxon signed-rank test of (..., G) differences, without the genes whose difference is 0.

    1 where none is left; exact for up to `EXACT` genes, from the normal approximation beyond.
    """
    flat = differences.reshape(-1, differences.shape[-1])
    found = np.array([_signed_rank(row[row != 0]) for row in flat], dtype=np.float64)
    return found.reshape(differences.shape[:-1])


def _signed_rank(row: Floats) -> float:
    if len(row) > EXACT:
        return float(wilcoxon(row).pvalue)
    # scipy has no exact distribution where ranks are tied. Twice the ranks are whole numbers, tied or not; of the
    # 2^n ways to give them signs, ways[w] have positive ranks that add up to w.
    ranks = np.rint(2 * rankdata(np.abs(row))).astype(np.int64)
    ways = np.zeros(ranks.sum() + 1)
    ways[0] = 1
    for rank in ranks:
        ways[rank:] += ways[:-rank].copy()
    observed = ranks[row > 0].sum()
    tail = min(ways[: observed + 1].sum(), ways[observed:].sum())
    return float(min(1.0, 2 * tail / 2.0 ** len(row)))


def holm(p: Floats) -> Floats:
    """p adjusted by Holm's step-down method over the first axis: (K, ...) -> (K, ...). Holm 1979, Scand J Stat 6:65."""
    order = np.argsort(p, axis=0, kind="stable")
    left = np.arange(len(p), 0, -1).reshape(-1, *(1,) * (p.ndim - 1))
    stepped = np.maximum.accumulate(np.minimum(np.take_along_axis(p, order, axis=0) * left, 1.0), axis=0)
    adjusted = np.empty_like(p)
    np.put_along_axis(adjusted, order, stepped, axis=0)
    return adjusted
