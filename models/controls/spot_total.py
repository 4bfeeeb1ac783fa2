"""Spot total: the control that knows only how much was counted at a spot, and nothing about any gene."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ..method import Array, Method, Problem, Run


@dataclass(frozen=True)
class SpotTotal(Method):
    """Predicts log1p(t / mean t) for every gene, t the spot's sum over visible genes (protocol section 8).

    t sums counts where the data are counts, else the log-normalised values, for which nothing else is known. Truths
    are divided by visible totals, so what this control still finds is what normalisation left of them. The level of a
    gene is not predicted: only metrics blind to scale mean anything for it.
    """

    cheap: ClassVar[bool] = True
    control: ClassVar[bool] = True
    label: ClassVar[str] = "spot total"

    def impute(self, problem: Problem, run: Run) -> Array:
        """(n_spots, n_targets) float64 with equal columns; all 0 where nothing was counted anywhere."""
        spots = problem.spots
        values = spots.lognorm if spots.counts is None else spots.counts
        totals = np.maximum(values.sum(axis=1, dtype=np.float64), 0.0)
        mean = totals.mean()
        relative = totals / mean if mean > 0.0 else totals
        return np.tile(np.log1p(relative)[:, None], (1, len(problem.targets)))
