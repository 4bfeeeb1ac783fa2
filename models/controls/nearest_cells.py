"""Nearest cells: the plain transfer that half the field's methods refine, as a control."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ..baselines._neighbours import leading_directions, nearest, weighted_sums, zscored
from ..method import Array, Method, Problem, Run


@dataclass(frozen=True)
class NearestCells(Method):
    """Mean expression of the single cells nearest to a spot (protocol section 8).

    Visible genes are z-scored over cells and over spots separately; both are projected on the leading right singular
    vectors of the cells' z-scores; nearest is by cosine there. If the cells are all alike, a spot gets their mean.

    components: singular vectors, at most as many as the cells' rank.
    neighbours: cells averaged with equal weight, at most all of them.
    """

    cheap: ClassVar[bool] = True
    control: ClassVar[bool] = True

    components: int = 30
    neighbours: int = 50

    def impute(self, problem: Problem, run: Run) -> Array:
        """(n_spots, n_targets) float64."""
        cells = zscored(problem.cells.of(problem.visible))
        spots = zscored(problem.spots.of(problem.visible))
        directions = leading_directions(cells, self.components)
        neighbours = self.neighbours if len(directions) else len(cells)
        indices, _ = nearest(spots @ directions.T, cells @ directions.T, neighbours)
        weights = np.full(indices.shape, 1.0 / indices.shape[1])
        return weighted_sums(indices, weights, problem.cells.of(problem.targets))
