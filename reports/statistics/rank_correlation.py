"""Spearman's correlation over resampled genes, and bins of genes by a property. Pure functions of arrays.

Axes: G genes, V rows, P properties, B resamples.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from reports.statistics.ranking import RESAMPLES, RESAMPLING_SEED, TIE_DECIMALS

Floats = NDArray[np.float64]

BINS = 4
"""Quartiles."""

MANY = 1000
"""Genes beyond which fewer resamples are ranked."""

_AT_ONCE = 200  # resamples ranked together: they stay in the processor's cache


def quartiles(values: Floats) -> NDArray[np.intp]:
    """(G,) -> (G,) bin of each value, 0 (lowest) to 3; equal values share a bin, so that bins may differ in size."""
    inner = np.quantile(values, np.arange(1, BINS) / BINS)
    return np.searchsorted(inner, values, side="left")


def spearman(properties: Floats, values: Floats) -> Floats:
    """(P, G) and (V, G) -> (V, P) Pearson correlation of mid-ranks over genes (Spearman 1904).

    NaN where a property or a row has the same value for every gene.
    """
    return _spearman(properties, values, np.ones((values.shape[1], 1)))[0]


def resampled_spearman(properties: Floats, values: Floats) -> Floats:
    """(P, G) and (V, G) -> (B, V, P): the same over resampled genes, each resample ranked anew.

    B = `resamples(G)`; all rows and properties share the resamples.
    """
    n_genes = values.shape[1]
    rng, left, parts = np.random.default_rng(RESAMPLING_SEED), resamples(n_genes), []
    while left > 0:
        picks = rng.integers(0, n_genes, size=(min(left, _AT_ONCE), n_genes))
        parts.append(_spearman(properties, values, _multiplicities(picks)))
        left -= len(picks)
    return np.concatenate(parts)


def resamples(n_genes: int) -> int:
    """How often: 2,000 times up to `MANY` genes, beyond them as often as takes the same time, 200 times at least."""
    return max(RESAMPLES // 10, min(RESAMPLES, RESAMPLES * MANY // n_genes))


def _spearman(properties: Floats, values: Floats, counts: Floats) -> Floats:
    """counts: (G, B) how often each gene is in each resample, G in all -> (B, V, P)."""
    known = [centred_ranks(each, counts) for each in properties]
    weighted = [counts * ranks for ranks in known]
    own = np.stack([np.einsum("gb,gb->b", *pair) for pair in zip(weighted, known, strict=True)], axis=-1)
    found = np.empty((counts.shape[1], len(values), len(properties)))
    for v, each in enumerate(values):
        ranks = centred_ranks(each, counts)
        shared = np.stack([np.einsum("gb,gb->b", of_property, ranks) for of_property in weighted], axis=-1)
        scale = np.sqrt(own * np.einsum("gb,gb,gb->b", counts, ranks, ranks)[:, None])
        found[:, v] = np.divide(shared, scale, out=np.full_like(shared, np.nan), where=scale > 0)
    return found


def centred_ranks(values: Floats, counts: Floats) -> Floats:
    """(G,) values and (G, B) counts -> (G, B) mid-rank of each gene in each resample, less their mean, (G + 1) / 2.

    A gene that is drawn c times stands in c adjacent places and has the mean of them, like genes of equal value.
    """
    _, group = np.unique(np.round(values, TIE_DECIMALS), return_inverse=True)
    order = np.argsort(group, kind="stable")
    starts = np.flatnonzero(np.diff(group[order], prepend=-1))
    sizes = counts[order]
    if len(starts) < len(order):
        sizes = np.add.reduceat(sizes, starts, axis=0)
    upto = np.cumsum(sizes, axis=0)
    return (upto - (sizes + len(values)) / 2)[group]


def _multiplicities(picks: NDArray[np.intp]) -> Floats:
    """(B, G) picked genes -> (G, B) how often each was picked."""
    n, n_genes = picks.shape
    flat = (picks + np.arange(n)[:, None] * n_genes).ravel()
    return np.ascontiguousarray(np.bincount(flat, minlength=n * n_genes).reshape(n, n_genes).T, dtype=np.float64)
