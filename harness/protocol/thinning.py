"""Sparser inputs for the robustness question (protocol section 4): nested and seeded, so that curves are paired."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from harness.errors import BadInput
from models.component import Component

from ._streams import gene_stream

FloatArray = NDArray[np.float32]


@dataclass(frozen=True)
class Thinning(Component):
    """A way of making visible values sparser. What survives at a lower rate survives at every higher one.

    Streams are per (seed, gene name), so the order of genes changes nothing.
    """

    seed: int = 0

    def apply(self, values: FloatArray, genes: Sequence[str], kind: str, rate: float) -> FloatArray:
        """(n_spots, n_genes) values of an assay of that kind thinned to `rate` in (0, 1]; a rate of 1 is a copy."""
        if not 0 < rate <= 1:
            raise BadInput(f"A sampling rate of {rate} is impossible; rates lie in (0, 1].")
        return values.copy() if rate == 1 else self.thin(values, genes, kind, rate)

    def flags(self, kind: str, rate: float) -> tuple[str, ...]:
        """What must be said beside numbers of values of that kind at that rate."""
        return ("inputs that are no counts drop out entry by entry",) if rate < 1 and kind != "counts" else ()

    @abstractmethod
    def thin(self, values: FloatArray, genes: Sequence[str], kind: str, rate: float) -> FloatArray:
        """`apply` at a rate below 1."""


@dataclass(frozen=True)
class PerEntry(Thinning):
    """Every molecule of a count survives with probability `rate` (binomial entries); entries of non-counts drop out."""

    def thin(self, values: FloatArray, genes: Sequence[str], kind: str, rate: float) -> FloatArray:
        """See `Thinning.apply`; dropout keeps an entry whole or zeroes it, since a non-count has no molecules."""
        draw = _molecules if kind == "counts" else _dropout
        columns = [draw(values[:, i], gene_stream(self.seed, gene), rate) for i, gene in enumerate(genes)]
        return np.stack(columns, axis=1)


@dataclass(frozen=True)
class PerSpot(Thinning):
    """Every spot keeps floor(rate x total) of its molecules, drawn without replacement (Li et al. 2022).

    Entries are multivariate hypergeometric given the spot's total; only visible genes are in the total. Non-counts
    have no molecules and are refused.
    """

    def thin(self, values: FloatArray, genes: Sequence[str], kind: str, rate: float) -> FloatArray:
        """See `Thinning.apply`; `BadInput` for non-counts."""
        if kind != "counts":
            raise BadInput(
                f"PerSpot thinning draws molecules, and these values are {kind}, not counts; use PerEntry(), which "
                "drops entries out."
            )
        whole = values.astype(np.int64)
        # A row per molecule, gene by gene: its entry in the matrix, its spot, and a uniform number that orders it.
        entry = np.repeat(np.arange(whole.size).reshape(whole.shape).T.ravel(), whole.T.ravel())
        spot = entry // len(genes)
        key = np.concatenate(
            [gene_stream(self.seed, g).random(n) for g, n in zip(genes, whole.sum(axis=0), strict=True)]
        )
        # The molecules of a spot stand in one order at every rate, and a rate takes the first of them: nested.
        order = np.lexsort((key, spot))
        totals = whole.sum(axis=1)
        rank = np.arange(len(spot)) - np.repeat(np.cumsum(totals) - totals, totals)
        kept = rank < np.floor(totals * rate + 1e-9)[spot[order]]
        counts = np.bincount(entry[order[kept]], minlength=whole.size)
        return counts.reshape(whole.shape).astype(np.float32)


def _molecules(counts: FloatArray, rng: np.random.Generator, rate: float) -> FloatArray:
    # One uniform per molecule, compared with the rate: the same uniforms at every rate make the draws nested.
    whole = counts.astype(np.int64)
    survives = rng.random(int(whole.sum())) < rate
    ends = np.concatenate([[0], np.cumsum(survives)])[np.cumsum(whole)]
    return np.diff(ends, prepend=0).astype(np.float32)


def _dropout(values: FloatArray, rng: np.random.Generator, rate: float) -> FloatArray:
    return np.where(rng.random(len(values)) < rate, values, 0).astype(np.float32)
