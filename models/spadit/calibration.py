"""Calibration: the mean and the standard deviation of an unmeasured gene over spots, from its SC statistics.

A standardised pattern says where a gene is expressed; how much, a ridge regression on visible genes says.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..component import Component
from ..method import Array

FLOOR = 1e-3
"""Means and sds are floored here before their logarithm, so that genes that never vary stay finite."""


@dataclass(frozen=True)
class Calibration(Component):
    """log ST mean and log ST sd by ridge regression on SC log mean, log sd and detection over visible genes.

    factor: the predicted sd is multiplied by it; a pattern of correlation r deserves r times the sd, and 0.7 trades a
    little SSIM for JS on real pairs.
    penalty: ridge constant on standardised regressors.
    """

    factor: float = 0.7
    penalty: float = 1.0

    def __post_init__(self) -> None:
        if self.factor <= 0 or self.penalty < 0:
            raise ValueError(f"Calibration(factor={self.factor}, penalty={self.penalty}): factor > 0, penalty >= 0.")

    def fit(self, spots: Array, cells: Array) -> Callable[[Array], tuple[Array, Array]]:
        """Fit on visible genes: spots (M, G), cells (n_cells, G), both log-normalised.

        Returns a function from the SC columns (n_cells, B) of genes to their expected mean and sd (B,) over spots.
        Genes that do not vary over spots say nothing about an sd and are left out, unless fewer than 3 vary.
        """
        mean, sd = spots.mean(0, dtype=np.float64), spots.std(0, dtype=np.float64)
        used = sd > FLOOR if (sd > FLOOR).sum() >= 3 else np.ones(len(sd), dtype=bool)
        wanted = np.log(np.maximum(np.stack([mean, sd], 1)[used], FLOOR))  # (G, 2)
        known = _statistics(cells[:, used])  # (G, 3)
        centre, spread = known.mean(0), np.maximum(known.std(0), 1e-6)
        X, offset = (known - centre) / spread, wanted.mean(0)
        slopes = np.linalg.solve(X.T @ X + self.penalty * np.eye(3), X.T @ (wanted - offset))  # (3, 2)
        # Held within what was seen of visible genes: a straight line in logarithms goes far when it goes astray.
        low, high = wanted.min(0), wanted.max(0)

        def expected(columns: Array) -> tuple[Array, Array]:
            found = np.clip(offset + (_statistics(columns) - centre) / spread @ slopes, low, high)  # (B, 2)
            return np.exp(found[:, 0]), self.factor * np.exp(found[:, 1])

        return expected


def _statistics(cells: Array) -> Array:
    """(G, 3) log mean, log sd and detection rate of SC columns (n_cells, G)."""
    mean, sd = cells.mean(0, dtype=np.float64), cells.std(0, dtype=np.float64)
    return np.stack([np.log(np.maximum(mean, FLOOR)), np.log(np.maximum(sd, FLOOR)), (cells > 0).mean(0)], 1)
