"""Gene mean: the hopeless control. Whatever scores no better than this has learned nothing about space."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ..method import Array, Method, Problem, Run


@dataclass(frozen=True)
class GeneMean(Method):
    """Predicts each gene's mean over the single cells, the same at every spot (protocol section 8)."""

    cheap: ClassVar[bool] = True
    control: ClassVar[bool] = True
    label: ClassVar[str] = "gene mean"

    def impute(self, problem: Problem, run: Run) -> Array:
        """(n_spots, n_targets) float64 with constant columns."""
        means = problem.cells.of(problem.targets).mean(axis=0, dtype=np.float64)
        return np.tile(means, (len(problem.spots), 1))
