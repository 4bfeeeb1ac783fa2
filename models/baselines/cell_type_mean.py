"""Cell-type mean: the mean expression of the cell type that a spot is called; what SpatialScope adds to goes beyond it.

The cheap relative of SpatialScope (Wan et al., Nature Communications 2023, doi:10.1038/s41467-023-43629-w): its first
stage, in the reduced form of `_cell_typing`, and nothing after it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from ..method import Array, Method, Needs, Problem, Run
from ._cell_typing import CellTyping, type_means


@dataclass(frozen=True)
class CellTypeMean(Method):
    """Predicts mu_k, the mean log-normalised expression of the single cells of the type k that a spot is called.

    Deterministic: where no cell types are given, k-means starts alike for every seed. Needs coordinates for the Potts
    prior of the calls. The prediction has as many distinct rows as there are types.

    typing: how spots are called.
    """

    needs: ClassVar[Needs] = Needs(coordinates=True)
    cheap: ClassVar[bool] = True
    control: ClassVar[bool] = True
    label: ClassVar[str] = "cell-type mean"

    typing: CellTyping = field(default_factory=CellTyping)

    def impute(self, problem: Problem, run: Run) -> Array:
        """(n_spots, n_targets) float64."""
        types = self.typing.types(problem, np.random.default_rng(0))
        return type_means(problem.cells.of(problem.targets), types.cells)[types.spots]
