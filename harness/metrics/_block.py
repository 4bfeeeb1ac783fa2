"""What the per-gene metrics share: a few genes at a time, genes-major, with moments that are computed once.

A metric's function receives a `Block` and returns one number per gene. It sees only genes whose truth and prediction
both vary over the spots; the conventions for all others (protocol section 5) are applied by the package.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Floats = NDArray[np.float64]

CONSTANT = 1e-6
"""A gene is constant when max - min <= CONSTANT * max|value|: it varies by no more than float32 rounding."""

CANCELLATION = 100.0
"""Raw second moments are used while mean^2 <= CANCELLATION * variance: they then keep 13 digits of the variance."""

TINY = 1e-200
"""Stands for zero inside a logarithm: TINY * log(TINY) vanishes beside any expression value."""

GENES, SPOTS = 32, 256
"""Genes per block, and spots per tile of its transposition: whole cache lines, few pages, and blocks within cache."""


@dataclass(frozen=True, eq=False)
class Profiles:
    """One side (truth or prediction) of a block: (g, n_spots) float64 `values`, C-contiguous, and their moments.

    Moments are population moments over spots, each (g,); `support` properties speak of the non-zero entries only.
    """

    values: Floats

    @property
    def n_spots(self) -> int:
        """Number of spots."""
        return self.values.shape[1]

    @cached_property
    def maximum(self) -> Floats:
        """(g,) largest value."""
        return self.values.max(axis=1)

    @cached_property
    def minimum(self) -> Floats:
        """(g,) smallest value."""
        return self.values.min(axis=1)

    @cached_property
    def constant(self) -> NDArray[np.bool_]:
        """(g,) whether the gene is constant over spots, up to `CONSTANT`."""
        return self.maximum - self.minimum <= CONSTANT * np.maximum(abs(self.maximum), abs(self.minimum))

    @cached_property
    def mean(self) -> Floats:
        """(g,) mean over spots."""
        return self.values @ np.full(self.n_spots, 1.0 / self.n_spots)

    @cached_property
    def raw_variance(self) -> Floats:
        """(g,) mean of squares minus square of the mean: exact enough while the mean is not large beside the sd."""
        return row_products(self.values, self.values) / self.n_spots - self.mean**2

    @cached_property
    def offset(self) -> Floats:
        """(g,) what to subtract before multiplying: the mean where it is so large that products would cancel, else 0."""
        return np.where(self.raw_variance * CANCELLATION < self.mean**2, self.mean, 0.0)

    @cached_property
    def shifted(self) -> Floats:
        """(g, n_spots) values minus `offset`; the values themselves where no gene of the block needs one."""
        return self.values - self.offset[:, None] if self.offset.any() else self.values

    @cached_property
    def variance(self) -> Floats:
        """(g,) population variance."""
        if self.shifted is self.values:
            return self.raw_variance
        return row_products(self.shifted, self.shifted) / self.n_spots - (self.mean - self.offset) ** 2

    @cached_property
    def sd(self) -> Floats:
        """(g,) population standard deviation."""
        return np.sqrt(self.variance)

    @cached_property
    def total(self) -> Floats:
        """(g,) sum of the values with negatives clipped to 0; 1 where nothing positive is left."""
        total = self.mean * self.n_spots
        negative = self.minimum < 0.0
        if negative.any():
            total[negative] = np.maximum(self.values[negative], 0.0).sum(axis=1)
        return np.where(total > 0.0, total, 1.0)

    @cached_property
    def support(self) -> NDArray[np.intp]:
        """Flat positions of the non-zero entries, gene after gene."""
        return np.flatnonzero(self.values != 0.0)

    @cached_property
    def bounds(self) -> NDArray[np.intp]:
        """(g + 1,) gene i's entries of `support` are those from bounds[i] to bounds[i + 1]."""
        return np.searchsorted(self.support, np.arange(len(self.values) + 1) * self.n_spots)

    @cached_property
    def entries(self) -> Floats:
        """The values at `support`, at least `TINY`."""
        return self.at_support(self.values)

    def at_support(self, values: Floats) -> Floats:
        """The entries of a (g, n_spots) array that stand at `support`, at least `TINY`."""
        entries = values.ravel().take(self.support)
        return np.maximum(entries, TINY, out=entries)

    def spread(self, per_gene: Floats) -> Floats:
        """(g,) numbers repeated for each entry of `support`."""
        return np.repeat(per_gene, np.diff(self.bounds))

    def sum_logs(self, entries: Floats) -> Floats:
        """(g,) sums of v ln v over positive numbers v that stand at `support`."""
        terms = np.log(entries)
        terms *= entries
        sums = np.zeros(len(self.values))
        filled = self.bounds[1:] > self.bounds[:-1]
        if filled.any():  # reduceat has no empty segments
            sums[filled] = np.add.reduceat(terms, self.bounds[:-1][filled])
        return sums

    @cached_property
    def own_logs(self) -> Floats:
        """(g,) sum of x ln x over the gene's own entries."""
        return self.sum_logs(self.entries)

    def rows(self, chosen: NDArray[np.bool_]) -> Profiles:
        """The chosen genes."""
        return Profiles(self.values[chosen])


@dataclass(frozen=True, eq=False)
class Block:
    """Truth and prediction of the same g genes at the same spots."""

    truth: Profiles
    prediction: Profiles

    @cached_property
    def covariance(self) -> Floats:
        """(g,) population covariance of truth and prediction."""
        x, y = self.truth, self.prediction
        return row_products(x.shifted, y.shifted) / x.n_spots - (x.mean - x.offset) * (y.mean - y.offset)

    @cached_property
    def correlation(self) -> Floats:
        """(g,) Pearson correlation, within [-1, 1]."""
        return np.clip(self.covariance / (self.truth.sd * self.prediction.sd), -1.0, 1.0)

    def varying(self) -> tuple[NDArray[np.bool_], Block]:
        """(g,) mask of the genes that vary on both sides, and the block of those."""
        mask = ~(self.truth.constant | self.prediction.constant)
        return mask, self if mask.all() else Block(self.truth.rows(mask), self.prediction.rows(mask))


def row_products(a: Floats, b: Floats) -> Floats:
    """(g,) inner products of the rows of two (g, n) arrays."""
    return np.matmul(a[:, None, :], b[:, :, None])[:, 0, 0]


def blocks(truth: Array, prediction: Array) -> Iterator[tuple[slice, Block]]:
    """Cut two (n_spots, n_genes) arrays into blocks of genes: (columns, block).

    Raises `ValueError` for arrays that do not match, have no spot, or hold a non-finite value (naming the gene).
    """
    if truth.ndim != 2 or truth.shape != prediction.shape or len(truth) == 0:
        raise ValueError(
            f"truth is {truth.shape} and prediction {prediction.shape}; expected two equal (n_spots, n_genes) shapes "
            "with at least one spot."
        )
    for start in range(0, truth.shape[1], GENES):
        columns = slice(start, min(start + GENES, truth.shape[1]))
        block = Block(Profiles(_genes_major(truth[:, columns])), Profiles(_genes_major(prediction[:, columns])))
        _require_finite("truth", block.truth, start)
        _require_finite("prediction", block.prediction, start)
        yield columns, block


def _genes_major(columns: Array) -> Floats:
    """(g, n) float64 copy of (n, g) columns, tile by tile: a plain strided copy misses the cache at every value."""
    n, g = columns.shape
    values = np.empty((g, n))
    for spot in range(0, n, SPOTS):
        values[:, spot : spot + SPOTS] = columns[spot : spot + SPOTS].T
    return values


def _require_finite(side: str, profiles: Profiles, first_gene: int) -> None:
    finite = np.isfinite(profiles.minimum) & np.isfinite(profiles.maximum)
    if not finite.all():
        raise ValueError(f"The {side} of gene {first_gene + int(np.argmin(finite))} is not finite at every spot.")
