"""k-means on directions: groups of cells where no cell types are given."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..method import Array
from ._neighbours import leading_directions, zscored


def cell_groups(expression: Array, k: int, rng: np.random.Generator, components: int = 30) -> NDArray[np.intp]:
    """(n_cells,) labels of at most k groups of cells, by (n_cells, g) log-normalised expression.

    k-means on the directions of the cells in the leading principal components of the genes' z-scores: where cosine
    distance decides who is near, as for nearest cells. Labels mean nothing beyond being equal or not.
    """
    from sklearn.cluster import KMeans  # here, since it takes longest of all to import

    scores = zscored(expression)
    if not scores.any():
        return np.zeros(len(scores), dtype=np.intp)
    scores = scores @ leading_directions(scores, components).T
    lengths = np.linalg.norm(scores, axis=1, keepdims=True)
    points = scores / np.where(lengths > 0.0, lengths, 1.0)
    distinct = len(np.unique(points, axis=0))
    seed = int(rng.integers(2**32))
    return KMeans(min(k, distinct), n_init=1, random_state=seed).fit_predict(points).astype(np.intp)
