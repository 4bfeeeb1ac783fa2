"""What the per-gene metrics share: a few genes at a time, with everything two metrics need computed once.

A metric's function receives a `Block` and returns one number per gene. It sees only genes whose truth and prediction
both vary over the spots; the conventions for all others (protocol section 5) are applied by the package.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ._profiles import Array, Floats, Prediction, Profiles, Truth

GENES, SPOTS = 32, 512
"""Genes per block, and spots per tile of its transposition: whole cache lines, few pages, and blocks within cache."""


@dataclass(frozen=True, eq=False)
class Block:
    """Truth and prediction of the same g genes at the same spots."""

    truth: Truth
    prediction: Prediction

    @cached_property
    def at_support(self) -> Floats:
        """The prediction at the truth's support."""
        return self.truth.at_support(self.prediction.values)

    @cached_property
    def covariance(self) -> Floats:
        """(g,) population covariance of truth and prediction."""
        x, y = self.truth, self.prediction
        covariance = x.reduced(np.add, x.entries * self.at_support) / x.n_spots - x.mean * y.mean
        cancels = x.cancels | y.cancels
        if cancels.any():
            covariance[cancels] = (x.centred(cancels) * y.centred(cancels)).mean(axis=1)
        return covariance

    @cached_property
    def correlation(self) -> Floats:
        """(g,) Pearson correlation, within [-1, 1]."""
        return np.clip(self.covariance / (self.truth.sd * self.prediction.sd), -1.0, 1.0)

    def varying(self) -> tuple[NDArray[np.bool_], Block]:
        """(g,) mask of the genes that vary on both sides, and the block of those."""
        mask = ~(self.truth.constant | self.prediction.constant)
        if mask.all():
            return mask, self
        return mask, Block(Truth(self.truth.values[mask]), Prediction(self.prediction.values[mask]))


def cut(truth: Array, prediction: Array) -> list[slice]:
    """The columns of each block of two (n_spots, n_genes) arrays.

    Raises `ValueError` for arrays that do not match or have no spot or no gene.
    """
    if truth.ndim != 2 or truth.shape != prediction.shape or len(truth) == 0:
        raise ValueError(
            f"truth is {truth.shape} and prediction {prediction.shape}; expected two equal (n_spots, n_genes) shapes "
            "with at least one spot."
        )
    n_genes = truth.shape[1]
    if n_genes == 0:
        raise ValueError("There is no gene to score.")
    return [slice(start, min(start + GENES, n_genes)) for start in range(0, n_genes, GENES)]


def block_of(truth: Array, prediction: Array, columns: slice) -> Block:
    """The block of those columns; raises `ValueError` naming a gene with a non-finite value."""
    single = np.float32 if truth.dtype == np.float32 else np.float64
    block = Block(
        Truth(_genes_major(truth[:, columns], single)), Prediction(_genes_major(prediction[:, columns], np.float64))
    )
    _require_finite("truth", block.truth, columns.start)
    _require_finite("prediction", block.prediction, columns.start)
    return block


def _genes_major(columns: Array, kind: type[np.floating]) -> Array:
    """(g, n) copy of (n, g) columns, tile by tile: a plain strided copy misses the cache at every value."""
    n, g = columns.shape
    values = np.empty((g, n), dtype=kind)
    for spot in range(0, n, SPOTS):
        values[:, spot : spot + SPOTS] = columns[spot : spot + SPOTS].T
    return values


def _require_finite(side: str, profiles: Profiles, first_gene: int) -> None:
    finite = np.isfinite(profiles.minimum) & np.isfinite(profiles.maximum)
    if not finite.all():
        raise ValueError(f"The {side} of gene {first_gene + int(np.argmin(finite))} is not finite at every spot.")
