"""Spatial autocorrelation: how much nearby spots resemble each other, gene by gene."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import ArrayLike, NDArray

BLOCK = 2**22  # values of a dense block of genes: 32 MiB as float64
SPARE = 12  # further neighbours looked at, so that ties at the last place are broken by index, not by the tree


def neighbour_weights(coordinates: ArrayLike, neighbours: int = 6) -> sp.csr_matrix:
    """(n, n) row-normalised binary weights of the nearest other spots; ties go to the lower index.

    coordinates: (n, d). With n <= neighbours every other spot is a neighbour; a single spot has none.
    """
    from scipy.spatial import cKDTree

    places = np.asarray(coordinates, dtype=np.float64)
    n = len(places)
    k = min(neighbours, n - 1)
    if k < 1:
        return sp.csr_matrix((n, n))
    distances, found = cKDTree(places).query(places, k=min(n, k + 1 + SPARE))
    # Equal distances differ in their last bits; in units of the usual distance they are made equal again.
    unit = float(np.median(distances[:, k])) or 1.0
    order = np.rint(distances / unit * 1e6)
    order[found == np.arange(n)[:, None]] = np.inf  # a spot is not its own neighbour
    nearest = np.take_along_axis(found, np.lexsort((found, order), axis=1)[:, :k], axis=1)
    pointers = np.arange(0, n * k + 1, k)
    weights = sp.csr_matrix((np.full(n * k, 1.0 / k), nearest.ravel(), pointers), shape=(n, n))
    weights.sort_indices()
    return weights


def morans_i(values: Any, coordinates: ArrayLike, neighbours: int = 6) -> NDArray[np.float64]:
    """Moran's I of every column, (g,), with row-normalised binary weights over the nearest `neighbours` spots.

    values: (n, g), dense or sparse, used as given (normalise before). A constant column has I = 0 by convention.
    Raises `ValueError` where values and coordinates differ in length.
    """
    n, g = values.shape
    if len(np.asarray(coordinates)) != n:
        raise ValueError(f"values are {values.shape}, coordinates {np.shape(coordinates)}; expected a row per spot.")
    weights = neighbour_weights(coordinates, neighbours)
    columns: Any = values.tocsc() if sp.issparse(values) else np.asarray(values)
    result = np.zeros(g)
    step = max(1, BLOCK // max(n, 1))
    for start in range(0, g, step):
        part = columns[:, start : start + step]
        block = np.asarray(part.toarray() if sp.issparse(part) else part, dtype=np.float64)
        varies = block.max(axis=0) > block.min(axis=0)
        centred = block - block.mean(axis=0)
        shared = np.einsum("ij,ij->j", centred, weights @ centred)
        total = np.einsum("ij,ij->j", centred, centred)
        np.divide(shared, total, out=result[start : start + step], where=varies & (total > 0))
    return result
