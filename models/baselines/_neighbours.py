"""Nearest single cells of every spot: what nearest-cell transfer and SpaGE share."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from ..method import Array, Expression

Floats = NDArray[np.float64]

BLOCK_BYTES = 64 * 2**20
"""Size of the blocks in which the (n_spots, n_cells) similarities are made: they never exist as a whole."""

SORTED_ROWS = 64
"""Rows of a block that are searched at once: the search takes as much again as what it searches."""

GENES_AT_ONCE = 16
"""Columns that are standardised at once, for the same reason."""


def zscored(values: Array) -> Floats:
    """(n, g) columns minus mean, over population sd; a column without variance becomes 0, as it tells nothing."""
    centred = values - values.mean(axis=0, dtype=np.float64)
    sd = np.sqrt((centred**2).mean(axis=0))
    flat = sd <= 1e-6 * np.abs(values).max(axis=0, initial=0.0)
    return np.where(flat, 0.0, centred / np.where(flat, 1.0, sd))


def zscored_genes(expression: Expression, genes: Sequence[str]) -> Floats:
    """(n, len(genes)) `zscored` expression of these genes, with no other copy of them in memory."""
    values = np.empty((len(expression), len(genes)))
    for start in range(0, len(genes), GENES_AT_ONCE):
        part = slice(start, start + GENES_AT_ONCE)
        values[:, part] = zscored(expression.of(genes[part]))
    return values


def leading_directions(values: Floats, count: int) -> Floats:
    """(k, g) orthonormal right singular vectors of (n, g) `values`, strongest first; k = min(count, rank).

    From the (g, g) Gram matrix, because n is often far larger than g; directions whose squared singular value is
    below 1e-10 of the largest are rounding and not counted in the rank.
    """
    strengths, vectors = np.linalg.eigh(values.T @ values)
    rank = int(np.sum(strengths > 1e-10 * strengths[-1])) if strengths[-1] > 0.0 else 0
    return vectors[:, ::-1][:, : min(count, rank)].T


def nearest(queries: Floats, references: Floats, count: int) -> tuple[NDArray[np.intp], Floats]:
    """The `count` references nearest to each query by cosine distance d = 1 - cos, all of them if there are fewer.

    queries (n, k), references (m, k) -> indices (n, count) and distances (n, count) in [0, 2], in no order.
    A vector of length 0 is at distance 1 from everything.
    """
    count = min(count, len(references))
    q, r = _unit(queries), _unit(references)
    indices = np.empty((len(q), count), dtype=np.intp)
    distances = np.empty((len(q), count))
    rows = max(1, BLOCK_BYTES // (8 * len(r)))
    similarities = np.empty((min(rows, len(q)), len(r)))  # one block, used again: two at a time would take as much more
    for start in range(0, len(q), rows):
        block = slice(start, start + rows)
        d = np.matmul(q[block], r.T, out=similarities[: len(q[block])])
        np.clip(np.subtract(1.0, d, out=d), 0.0, 2.0, out=d)
        for first in range(0, len(d), SORTED_ROWS):
            few, at = d[first : first + SORTED_ROWS], start + first
            indices[at : at + len(few)] = np.argpartition(few, count - 1, axis=1)[:, :count]
        distances[block] = np.take_along_axis(d, indices[block], axis=1)
    return indices, distances


def weighted_sums(indices: NDArray[np.intp], weights: Floats, values: Array) -> Floats:
    """(n, h) sums of the rows of (m, h) `values` named by (n, count) `indices`, times their weights."""
    n, count = indices.shape
    mixing = csr_array((weights.ravel(), indices.ravel(), np.arange(n + 1) * count), shape=(n, len(values)))
    return mixing @ values.astype(np.float64)


def weighted_sds(indices: NDArray[np.intp], weights: Floats, values: Array) -> Floats:
    """(n, h) sd of the rows of (m, h) `values` named by (n, count) `indices`, under weights whose rows sum to 1."""
    shifted = values - values.mean(axis=0, dtype=np.float64)  # so that the difference of squares loses few digits
    mean = weighted_sums(indices, weights, shifted)
    return np.sqrt(np.maximum(weighted_sums(indices, weights, shifted**2) - mean**2, 0.0))


def _unit(vectors: Floats) -> Floats:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.where(lengths > 0.0, lengths, 1.0)
