"""Spot spaces: the coordinates of a gene's ST vector in which it is diffused, and the way back to expression."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from ..component import Component
from ..method import Array
from .calibration import Calibration


@dataclass(frozen=True, eq=False)
class FittedSpace:
    """A spot space fitted to training genes.

    x0: (G, S) float32 the training genes, scaled to suit unit noise.
    zero: (G, S) bool where a coordinate is a spot without expression (all False where coordinates are no spots).
    decode: from samples (B, S) and the SC columns (n_cells, B) of their genes to expression (M, B).
    """

    x0: Array
    zero: Array
    decode: Callable[[Array, Array], Array]


@dataclass(frozen=True)
class SpotSpace(Component):
    """A choice of coordinates for genes' ST vectors. `by_spot`: whether a coordinate is a spot."""

    @property
    @abstractmethod
    def by_spot(self) -> bool:
        """Whether coordinates are spots, so that entries of a gene can be masked."""

    @abstractmethod
    def size(self, spots: int, genes: int) -> int:
        """S, the number of coordinates, for M spots and G training genes of full rank."""

    @abstractmethod
    def fit(self, spots: Array, cells: Array) -> FittedSpace:
        """Fit to training genes: spots (M, G) and cells (n_cells, G), log-normalised."""


@dataclass(frozen=True)
class RawSpots(SpotSpace):
    """The spots themselves, as in the paper: x0 = expression divided by one factor, the root mean square.

    The inverse is applied after sampling, and negative expression becomes 0; nothing is clamped to [-1, 1], as the
    released code does.
    """

    @property
    def by_spot(self) -> bool:
        """True."""
        return True

    def size(self, spots: int, genes: int) -> int:
        """M."""
        return spots

    def fit(self, spots: Array, cells: Array) -> FittedSpace:
        """S = M; the SC columns are not used."""
        scale = _positive(np.sqrt(np.mean(spots.astype(np.float64) ** 2)))
        x0 = (spots.T / scale).astype(np.float32)  # (G, M)
        return FittedSpace(x0, x0 == 0, lambda samples, columns: np.maximum(samples.T * scale, 0.0))


@dataclass(frozen=True)
class LowRank(SpotSpace):
    """The top `rank` left singular vectors of the standardised training genes.

    Genes are standardised as (y - mean) / sqrt(sd), between covariance and correlation, projected, and scaled to unit
    mean square. The way back gives a pattern; `calibration` gives it a mean and an sd, and negatives become 0. Not in
    the paper: noise in a thousand spots drowns a pattern that a few dozen genes share.
    """

    rank: int = 16
    calibration: Calibration = field(default_factory=Calibration)

    def __post_init__(self) -> None:
        if self.rank < 1:
            raise ValueError(f"LowRank(rank={self.rank}): needs at least 1; use RawSpots() for the spots themselves.")

    @property
    def by_spot(self) -> bool:
        """False."""
        return False

    def size(self, spots: int, genes: int) -> int:
        """The rank asked for, or what there is."""
        return min(self.rank, spots, genes)

    def fit(self, spots: Array, cells: Array) -> FittedSpace:
        """S = min(rank, what the training genes span)."""
        y = spots.astype(np.float64)
        sd = y.std(0)
        u = (y - y.mean(0)) / np.sqrt(np.where(sd > 0, sd, 1.0))  # (M, G)
        basis, weights, _ = np.linalg.svd(u, full_matrices=False)
        kept = max(1, min(self.rank, int((weights > 1e-8 * _positive(weights[0])).sum())))
        basis = basis[:, :kept]  # (M, S)
        coordinates = u.T @ basis  # (G, S)
        x0 = coordinates / _positive(np.sqrt(np.mean(coordinates**2)))
        expected = self.calibration.fit(spots, cells)

        def decode(samples: Array, columns: Array) -> Array:
            pattern = basis @ samples.T.astype(np.float64)  # (M, B)
            pattern = pattern - pattern.mean(0)
            spread = pattern.std(0)
            mean, sd = expected(columns)  # (B,)
            # A sample that is zero everywhere has no pattern to scale, and is predicted flat.
            return np.maximum(mean + sd * pattern / np.where(spread > 0, spread, 1.0), 0.0)

        return FittedSpace(x0.astype(np.float32), np.zeros(x0.shape, dtype=bool), decode)


def _positive(value: float) -> float:
    return float(value) if value > 0 else 1.0
