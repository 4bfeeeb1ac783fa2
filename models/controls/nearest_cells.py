"""Nearest cells: the plain transfer that half the field's methods refine, as a control."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from ..baselines._neighbours import Floats, leading_directions, nearest, weighted_sds, weighted_sums, zscored_genes
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
    label: ClassVar[str] = "nearest cells"
    spread: ClassVar[str] = "Expression over the single cells that a spot's prediction averages."

    components: int = 30
    neighbours: int = 50

    def impute(self, problem: Problem, run: Run) -> Array:
        """(n_spots, n_targets) float64."""
        return weighted_sums(*self._neighbours(problem), problem.cells.of(problem.targets))

    def impute_with_sd(self, problem: Problem, run: Run) -> tuple[Array, Array]:
        """`impute`, and the sd over the neighbours, (n_spots, n_targets) float64: how much these cells differ."""
        found, expression = self._neighbours(problem), problem.cells.of(problem.targets)
        return weighted_sums(*found, expression), weighted_sds(*found, expression)

    def _neighbours(self, problem: Problem) -> tuple[NDArray[np.intp], Floats]:
        """(n_spots, count) cells that are averaged at each spot, and their weights."""
        cells = zscored_genes(problem.cells, problem.visible)
        directions = leading_directions(cells, self.components)
        neighbours = self.neighbours if len(directions) else len(cells)
        projected = cells @ directions.T
        del cells  # as large as the visible genes of the reference, in double precision
        spots = zscored_genes(problem.spots, problem.visible)
        indices, _ = nearest(spots @ directions.T, projected, neighbours)
        return indices, np.full(indices.shape, 1.0 / indices.shape[1])
