"""SpaGE: spatial gene enhancement by domain adaptation.

Abdelaal, Mourragui, Mahfouz & Reinders, Nucleic Acids Research 2020, doi:10.1093/nar/gkaa740. Written from the
paper's five steps: z-scores, PCA on either side, principal vectors between the two, cosine neighbours on the cells'
principal vectors, weighted mean of their expression. Deterministic.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from ..method import Array, Method, Problem, Run
from ._neighbours import Floats, leading_directions, nearest, weighted_sds, weighted_sums, zscored


@dataclass(frozen=True)
class SpaGE(Method):
    """Weighted mean over the cells nearest to a spot in the directions that cells and spots share.

    Expects log-normalised values, which is what every problem brings. Where the paper is undefined: a gene without
    variance has z-score 0; a spot none of whose neighbours has d < 1 takes the plain mean of all its neighbours, and
    one with a single such neighbour takes that; if no direction is shared, every spot takes the mean of all cells.

    components: principal components per side; None is half the visible genes, as in the field's benchmark. At most
        the rank of either side.
    neighbours: nearest cells per spot, at most all of them.
    threshold: cosine above which a pair of principal vectors counts as shared.
    """

    cheap: ClassVar[bool] = True
    spread: ClassVar[str] = "Expression over the neighbouring single cells, with the weights of the prediction."

    components: int | None = None
    neighbours: int = 50
    threshold: float = 0.3

    @classmethod
    def published(cls) -> SpaGE:
        """The settings of the benchmark of Li et al. 2022: half the visible genes, 50 neighbours, threshold 0.3."""
        return cls(components=None, neighbours=50, threshold=0.3)

    def impute(self, problem: Problem, run: Run) -> Array:
        """(n_spots, n_targets) float64."""
        return self._impute(problem, with_sd=False)[0]

    def impute_with_sd(self, problem: Problem, run: Run) -> tuple[Array, Array | None]:
        """`impute`, and the weighted sd over the neighbours, (n_spots, n_targets) float64: how much they differ."""
        return self._impute(problem, with_sd=True)

    def _impute(self, problem: Problem, with_sd: bool) -> tuple[Array, Array | None]:
        cells = zscored(problem.cells.of(problem.visible))
        spots = zscored(problem.spots.of(problem.visible))
        expression = problem.cells.of(problem.targets)
        wanted = max(1, len(problem.visible) // 2) if self.components is None else self.components
        vectors = shared_vectors(cells, spots, wanted, self.threshold)
        if len(vectors) == 0:
            # Every spot takes all cells: their mean, and how much they differ.
            mean, sd = (of(expression, axis=0, dtype=np.float64) for of in (np.mean, np.std))
            return np.tile(mean, (len(spots), 1)), np.tile(sd, (len(spots), 1)) if with_sd else None
        indices, distances = nearest(spots @ vectors.T, cells @ vectors.T, self.neighbours)
        weights = neighbour_weights(distances)
        sd = weighted_sds(indices, weights, expression) if with_sd else None
        return weighted_sums(indices, weights, expression), sd


def shared_vectors(cells: Floats, spots: Floats, components: int, threshold: float) -> Floats:
    """(k', g) principal vectors of the cells whose cosine with their partner among the spots exceeds the threshold.

    cells (n_cells, g) and spots (n_spots, g) are z-scores. With the loadings P_s, P_t (k, g) of the two PCAs and
    P_s P_t' = U diag(cosines) V', the cells' principal vectors are U' P_s.
    """
    loadings = leading_directions(cells, components), leading_directions(spots, components)
    k = min(map(len, loadings))
    p_s, p_t = (side[:k] for side in loadings)
    rotation, cosines, _ = np.linalg.svd(p_s @ p_t.T)
    return (rotation.T @ p_s)[cosines > threshold]


def neighbour_weights(distances: Floats) -> Floats:
    """(n, neighbours) weights with rows summing to 1: (1 - d / sum d) / (count - 1) over the neighbours with d < 1."""
    near: NDArray[np.bool_] = distances < 1.0
    near |= ~near.any(axis=1, keepdims=True)
    count = near.sum(axis=1, keepdims=True)
    kept = np.where(near, distances, 0.0)
    total = kept.sum(axis=1, keepdims=True)
    weights = (1.0 - kept / np.where(total > 0.0, total, 1.0)) / np.maximum(count - 1, 1)
    uniform = (count == 1) | (total == 0.0) | (kept >= 1.0).any(axis=1, keepdims=True)
    return np.where(near, np.where(uniform, 1.0 / count, weights), 0.0)
