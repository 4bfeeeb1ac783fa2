"""One side of a block of genes, truth or prediction, genes-major, with the moments that metrics share.

Truths are mostly zeros and predictions are not, so a truth's moments, and every logarithm, are taken over the truth's
non-zero entries alone.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
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


@dataclass(frozen=True, eq=False)
class Profiles(ABC):
    """(g, n_spots) `values` of one side, C-contiguous, and their population moments over spots, each (g,) float64."""

    values: Array

    @property
    def n_spots(self) -> int:
        """Number of spots."""
        return self.values.shape[1]

    @property
    @abstractmethod
    def maximum(self) -> Floats:
        """(g,) largest value."""

    @property
    @abstractmethod
    def minimum(self) -> Floats:
        """(g,) smallest value."""

    @property
    @abstractmethod
    def mean(self) -> Floats:
        """(g,) mean."""

    @property
    @abstractmethod
    def mean_square(self) -> Floats:
        """(g,) mean of the squares."""

    @cached_property
    def constant(self) -> NDArray[np.bool_]:
        """(g,) whether the gene is constant over spots, up to `CONSTANT`."""
        return self.maximum - self.minimum <= CONSTANT * np.maximum(abs(self.maximum), abs(self.minimum))

    @cached_property
    def cancels(self) -> NDArray[np.bool_]:
        """(g,) whether the mean is so large beside the sd that moments of raw values lose digits."""
        return (self.mean_square - self.mean**2) * CANCELLATION < self.mean**2

    @cached_property
    def variance(self) -> Floats:
        """(g,) population variance."""
        variance = self.mean_square - self.mean**2
        if self.cancels.any():
            variance[self.cancels] = (self.centred(self.cancels) ** 2).mean(axis=1)
        return variance

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
            total[negative] = np.maximum(self.values[negative], 0.0).sum(axis=1, dtype=np.float64)
        return np.where(total > 0.0, total, 1.0)

    def centred(self, chosen: NDArray[np.bool_]) -> Floats:
        """(chosen, n_spots) values of the chosen genes minus their means."""
        return self.values[chosen] - self.mean[chosen, None]


class Prediction(Profiles):
    """The dense side: float64 values."""

    @cached_property
    def maximum(self) -> Floats:
        return self.values.max(axis=1)

    @cached_property
    def minimum(self) -> Floats:
        return self.values.min(axis=1)

    @cached_property
    def mean(self) -> Floats:
        return self.values @ np.full(self.n_spots, 1.0 / self.n_spots)

    @cached_property
    def mean_square(self) -> Floats:
        return row_products(self.values, self.values) / self.n_spots


class Truth(Profiles):
    """The sparse side: float32 or float64 values, worked on through its non-zero entries (its support)."""

    @cached_property
    def support(self) -> NDArray[np.intp]:
        """Flat positions of the non-zero entries, gene after gene."""
        return np.flatnonzero(self.values != 0)

    @cached_property
    def bounds(self) -> NDArray[np.intp]:
        """(g + 1,) gene i's entries of `support` are those from bounds[i] to bounds[i + 1]."""
        return np.searchsorted(self.support, np.arange(len(self.values) + 1) * self.n_spots)

    @cached_property
    def nonzero(self) -> NDArray[np.int64]:
        """(g,) number of spots with a non-zero value."""
        return np.diff(self.bounds)

    @cached_property
    def entries(self) -> Floats:
        """The values at the support."""
        return self.at_support(self.values)

    @cached_property
    def positive(self) -> Floats:
        """The values at the support, at least `TINY`."""
        return np.maximum(self.entries, TINY) if (self.minimum < 0.0).any() else self.entries

    @cached_property
    def maximum(self) -> Floats:
        largest = self.reduced(np.maximum, self.entries)
        return np.where(self.nonzero < self.n_spots, np.maximum(largest, 0.0), largest)

    @cached_property
    def minimum(self) -> Floats:
        smallest = self.reduced(np.minimum, self.entries)
        return np.where(self.nonzero < self.n_spots, np.minimum(smallest, 0.0), smallest)

    @cached_property
    def mean(self) -> Floats:
        return self.reduced(np.add, self.entries) / self.n_spots

    @cached_property
    def mean_square(self) -> Floats:
        return self.reduced(np.add, self.entries**2) / self.n_spots

    def at_support(self, values: Array) -> Floats:
        """The entries of a (g, n_spots) array that stand at the support, as float64."""
        return values.ravel().take(self.support).astype(np.float64, copy=False)

    def spread(self, per_gene: Floats) -> Floats:
        """(g,) numbers repeated for each entry of the support."""
        return np.repeat(per_gene, self.nonzero)

    def reduced(self, operation: np.ufunc, entries: Floats) -> Floats:
        """(g,) reductions of numbers that stand at the support; 0 for a gene without any."""
        found = np.zeros(len(self.values))
        filled = self.nonzero > 0
        if filled.any():  # reduceat has no empty segments
            found[filled] = operation.reduceat(entries, self.bounds[:-1][filled])
        return found


def row_products(a: Floats, b: Floats) -> Floats:
    """(g,) inner products of the rows of two (g, n) arrays."""
    return np.matmul(a[:, None, :], b[:, :, None])[:, 0, 0]
