"""Sparser inputs for the robustness question (protocol section 4): nested and seeded, so that curves are paired."""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from harness.errors import BadInput
from models.component import Component

FloatArray = NDArray[np.float32]


@dataclass(frozen=True)
class Thinning(Component):
    """A way of making visible values sparser. What survives at a lower rate survives at every higher one.

    Streams are per (seed, gene name), so the order of genes changes nothing.
    """

    seed: int = 0

    @abstractmethod
    def apply(self, values: FloatArray, genes: Sequence[str], kind: str, rate: float) -> FloatArray:
        """(n_spots, n_genes) values of an assay of that kind thinned to `rate` in (0, 1]; a rate of 1 is a copy."""

    def stream(self, gene: str) -> np.random.Generator:
        """The random stream of one gene."""
        name = int.from_bytes(hashlib.sha256(gene.encode()).digest()[:8], "little")
        return np.random.default_rng(np.random.SeedSequence(self.seed, spawn_key=(name,)))


@dataclass(frozen=True)
class PerEntry(Thinning):
    """Every molecule of a count survives with probability `rate` (binomial entries); entries of non-counts drop out."""

    def apply(self, values: FloatArray, genes: Sequence[str], kind: str, rate: float) -> FloatArray:
        """See `Thinning.apply`; dropout keeps an entry whole or zeroes it, since a non-count has no molecules."""
        if not 0 < rate <= 1:
            raise BadInput(f"A sampling rate of {rate} is impossible; rates lie in (0, 1].")
        thinned = values.copy()
        if rate == 1:
            return thinned
        for column, gene in enumerate(genes):
            draw = _molecules if kind == "counts" else _dropout
            thinned[:, column] = draw(values[:, column], self.stream(gene), rate)
        return thinned


def _molecules(counts: FloatArray, rng: np.random.Generator, rate: float) -> FloatArray:
    # One uniform per molecule, compared with the rate: the same uniforms at every rate make the draws nested.
    whole = counts.astype(np.int64)
    survives = rng.random(int(whole.sum())) < rate
    ends = np.concatenate([[0], np.cumsum(survives)])[np.cumsum(whole)]
    return np.diff(ends, prepend=0).astype(np.float32)


def _dropout(values: FloatArray, rng: np.random.Generator, rate: float) -> FloatArray:
    return np.where(rng.random(len(values)) < rate, values, 0).astype(np.float32)
