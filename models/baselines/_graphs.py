"""Graphs of nearest neighbours, path lengths in them, and samples of cells and of places that stand for all."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import dijkstra

from ..method import Array

Floats = NDArray[np.float64]
Indices = NDArray[np.intp]

BLOCK_BYTES = 64 * 2**20
"""Size of the blocks in which what is larger than an answer is made: it never exists as a whole."""


def path_lengths(points: Array, neighbours: int, sources: Indices) -> Floats:
    """(s, n) path lengths from the (s,) sources to all (n, d) points in their graph of neighbours, scaled and centred.

    Edges count 1 and go both ways.
    """
    n = len(points)
    nearest = nearest_points(points.astype(np.float64), min(neighbours, n))
    graph = csr_array((np.ones(nearest.size), nearest.ravel(), np.arange(n + 1) * nearest.shape[1]), shape=(n, n))
    lengths = dijkstra(graph, directed=False, indices=sources, unweighted=True)
    longest = float(np.max(lengths, where=np.isfinite(lengths), initial=0.0))
    np.minimum(lengths, longest, out=lengths)
    lengths /= longest or 1.0
    lengths -= lengths.mean()
    return lengths


def nearest_points(points: Floats, count: int) -> Indices:
    """(n, count) indices of the points nearest to each, itself among them; of equally near ones the first in order."""
    points = points - points.mean(axis=0)
    squares = (points**2).sum(axis=1)
    rounding = 1e-12 * float(squares.max()) or 1.0
    found = np.empty((len(points), count), dtype=np.intp)
    rows = max(1, BLOCK_BYTES // (8 * len(points)))
    for start in range(0, len(points), rows):
        block = slice(start, start + rows)
        distances = squares[block, None] + squares - 2.0 * points[block] @ points.T
        # Equal up to rounding is equal, so that not the order of the sums decides which neighbour is taken.
        np.round(distances / rounding, out=distances)
        furthest = np.partition(distances, count - 1, axis=1)[:, count - 1 : count]
        nearer, level = distances < furthest, distances == furthest
        room = count - nearer.sum(axis=1, keepdims=True)
        found[block] = np.nonzero(nearer | (level & (level.cumsum(axis=1) <= room)))[1].reshape(-1, count)
    return found


def evenly(n: int, at_most: int | None) -> Indices:
    """Indices of `at_most` of n things, evenly spaced in file order; all where there are no more."""
    count = n if at_most is None else min(n, at_most)
    return np.arange(count) * n // count


def on_a_grid(coordinates: Array, at_most: int | None) -> Indices:
    """Indices of at most `at_most` of the (n, 2 or 3) places, in order; all where there are no more.

    In each occupied square of a grid, the place nearest its middle; the squares are the smallest that are few enough.
    """
    n = len(coordinates)
    if at_most is None or n <= at_most:
        return np.arange(n)
    places = coordinates - coordinates.min(axis=0)
    too_small, enough = 0.0, 1.01 * float(places.max()) or 1.0
    for _ in range(40):
        side = (too_small + enough) / 2
        count = len(np.unique((places // side).astype(np.int64), axis=0))
        too_small, enough = (too_small, side) if count <= at_most else (side, enough)
    squares = (places // enough).astype(np.int64)
    off = (((places / enough) - squares - 0.5) ** 2).sum(axis=1)
    ordered = np.argsort(off, kind="stable")
    first = np.unique(squares[ordered], axis=0, return_index=True)[1]
    return np.sort(ordered[first])
