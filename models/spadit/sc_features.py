"""SC features: what of a gene's single-cell profile the network sees, and how much noise it is trained to withstand.

Gaussian noise on inputs acts as a ridge penalty: noise of variance s^2 on N training genes is a constant N s^2. The
ridge constant that predicts left-out genes best is known in closed form, so the noise needs no search.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..component import Component
from ..method import Array

RIDGES = np.logspace(-4, 2, 37)
"""Ridge constants tried, in units of a gene's squared norm."""


@dataclass(frozen=True, eq=False)
class FittedFeatures:
    """SC features fitted to training genes.

    encode: from SC columns (n_cells, B) to features (B, K) float32.
    noise: sd of the Gaussian noise that training adds to every feature.
    """

    encode: Callable[[Array], Array]
    noise: float


@dataclass(frozen=True)
class SCFeatures(Component):
    """A choice of features, scaled to a root mean square of 1 over training genes.

    noise: multiple of the noise variance that equals the closed-form ridge constant; 0 trains without noise.
    """

    noise: float = 1.0

    def __post_init__(self) -> None:
        if self.noise < 0:
            raise ValueError(f"{type(self).__name__}(noise={self.noise}): a multiple of a variance is at least 0.")

    @abstractmethod
    def axes(self, cells: Array) -> Array | None:
        """(n_cells, K) directions in cell space, from the training genes' SC columns; None for the cells themselves."""

    @abstractmethod
    def size(self, cells: int, genes: int) -> int:
        """K, the number of features, for n_cells cells and G training genes of full rank."""

    def fit(self, cells: Array, x0: Array) -> FittedFeatures:
        """Fit to training genes: their SC columns (n_cells, G), log-normalised, and their samples x0 (G, S)."""
        axes = self.axes(cells)

        def project(columns: Array) -> Array:
            return columns.T if axes is None else columns.T @ axes  # (B, K)

        rms = float(np.sqrt(np.mean(project(cells).astype(np.float64) ** 2))) or 1.0
        features = project(cells) / rms  # (G, K)
        unit = float(np.median(np.linalg.norm(features, axis=1)))
        ridge = leave_one_out_ridge(features / (unit or 1.0), x0) if self.noise else 0.0
        sd = unit * float(np.sqrt(self.noise * ridge / len(features)))
        return FittedFeatures(lambda columns: (project(columns) / rms).astype(np.float32), sd)


@dataclass(frozen=True)
class PrincipalCells(SCFeatures):
    """Scores on the first `rank` singular vectors of the training genes' SC profiles, neither centred nor whitened.

    The vectors come from training genes alone, so that a gene's features do not depend on which others are asked for.
    """

    rank: int = 200

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.rank < 1:
            raise ValueError(f"PrincipalCells(rank={self.rank}): needs at least 1; use RawCells() for the cells.")

    def axes(self, cells: Array) -> Array:
        """(n_cells, min(rank, G)) left singular vectors, through the G x G Gram matrix."""
        gram = cells.T.astype(np.float64) @ cells  # (G, G)
        values, vectors = np.linalg.eigh(gram)
        kept = np.flatnonzero(values > 1e-10 * max(values[-1], 1e-300))[::-1][: self.rank]
        if len(kept) == 0:
            return np.zeros((len(cells), 1))
        return cells @ (vectors[:, kept] / np.sqrt(values[kept]))  # (n_cells, K)

    def size(self, cells: int, genes: int) -> int:
        """The rank asked for, or what there is."""
        return min(self.rank, cells, genes)


@dataclass(frozen=True)
class RawCells(SCFeatures):
    """The cells themselves, as in the paper: K = n_cells."""

    noise: float = 0.0

    def axes(self, cells: Array) -> None:
        """None: no projection."""
        return

    def size(self, cells: int, genes: int) -> int:
        """n_cells."""
        return cells


def leave_one_out_ridge(features: Array, x0: Array) -> float:
    """The ridge constant whose leave-one-gene-out predictions of x0 (G, S) from features (G, K) err least.

    With the hat matrix H = F (F'F + c I)^-1 F', the left-out residual of gene i is (x0 - H x0)_i / (1 - H_ii).
    """
    vectors, weights, _ = np.linalg.svd(features.astype(np.float64), full_matrices=False)
    seen = vectors.T @ x0.astype(np.float64)  # (K, S)
    errors = []
    for constant in RIDGES:
        shrink = weights**2 / (weights**2 + constant)  # (K,)
        residual = x0 - vectors @ (shrink[:, None] * seen)  # (G, S)
        own = (vectors**2) @ shrink  # (G,)
        errors.append(np.mean((residual / np.maximum(1 - own, 1e-9)[:, None]) ** 2))
    return float(RIDGES[int(np.argmin(errors))])
