"""What is asked of a method (protocol section 1): which values are hidden, and which hidden values are scored."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.errors import BadInput
from models.component import Component

from ._streams import MASK, gene_stream
from .splits import Fold

FEWEST_ENTRIES = 30
"""A gene with fewer hidden entries is not scored: its correlation would be noise."""


@dataclass(frozen=True, eq=False)
class Hiding:
    """What one fold of a task hides.

    visible: genes a method sees. targets: genes it has to predict. Both sorted by name.
    hidden: (n_spots, n_panel) bool over the whole panel, True where a value of a visible gene is hidden as well; None
        where visible genes are seen whole.
    """

    visible: tuple[str, ...]
    targets: tuple[str, ...]
    hidden: NDArray[np.bool_] | None = None


@dataclass(frozen=True)
class Task(Component):
    """A way of hiding values of a panel; what is hidden is asked for, and nothing else is scored."""

    @property
    def flags(self) -> tuple[str, ...]:
        """What a table must say about results of this task."""
        return ()

    @abstractmethod
    def hide(self, panel: Sequence[str], values: NDArray[Any], parts: Fold, fold: int) -> Hiding:
        """What fold `fold` hides of (n_spots, n_panel) raw values; parts: how the split divides the panel there."""


@dataclass(frozen=True)
class HeldOutGenes(Task):
    """Predict genes the assay did not measure: every value of a held-out gene is hidden, at every spot."""

    def hide(self, panel: Sequence[str], values: NDArray[Any], parts: Fold, fold: int) -> Hiding:
        """The test genes of the fold."""
        return Hiding(tuple(sorted(parts.training + parts.validation)), parts.test)


@dataclass(frozen=True)
class MaskedEntries(Task):
    """Predict hidden entries of genes the assay did measure; shown entries are never scored.

    Every gene of the panel is visible except for its hidden entries, which a method sees as 0 (`Problem.hidden` says
    which they are). Of each gene a share is hidden, drawn by a stream of (seed, gene name); folds hide different
    entries, disjoint ones as long as folds x share <= 1. Genes with at least 30 hidden entries are asked for.

    share: of all entries, independent of their value; 0.1 where nothing is given.
    zeros, nonzeros: instead of `share`, separate shares of the zero and of the non-zero entries, as in the paper. Then
        the mask tells zeros from others, and every table says so.
    """

    share: float | None = None
    zeros: float | None = None
    nonzeros: float | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        given = tuple(getattr(self, name) is not None for name in ("share", "zeros", "nonzeros"))
        if not any(given):
            object.__setattr__(self, "share", 0.1)
        elif given not in ((True, False, False), (False, True, True)):
            raise BadInput(
                f"MaskedEntries(share={self.share}, zeros={self.zeros}, nonzeros={self.nonzeros}): give share, or both "
                "zeros and nonzeros."
            )
        for name in ("share", "zeros", "nonzeros"):
            value = getattr(self, name)
            if value is not None and not 0 <= value < 1:
                raise BadInput(f"MaskedEntries({name}={value}) is a share of entries; it lies from 0 to below 1.")
        if not max(self.share or 0.0, self.zeros or 0.0, self.nonzeros or 0.0):
            raise BadInput("MaskedEntries hides nothing with shares of 0; give a share above 0.")

    @property
    def flags(self) -> tuple[str, ...]:
        """Drawing by value is said wherever it is shown."""
        return () if self.share is not None else ("mask depends on truth",)

    def hide(self, panel: Sequence[str], values: NDArray[Any], parts: Fold, fold: int) -> Hiding:
        """The entries of every gene whose uniform number falls into the fold's interval."""
        hidden = np.zeros(values.shape, dtype=bool)
        for column, gene in enumerate(panel):
            shares = self._shares(values[:, column])
            uniforms = gene_stream(self.seed, gene, MASK).random(len(values))
            hidden[:, column] = (uniforms - fold * shares) % 1.0 < shares
        enough = hidden.sum(axis=0) >= FEWEST_ENTRIES
        targets = tuple(gene for gene, kept in zip(panel, enough, strict=True) if kept)
        if not targets:
            raise BadInput(
                f"{type(self).__name__} hides at most {int(hidden.sum(axis=0).max())} entries of a gene; "
                f"{FEWEST_ENTRIES} are needed to score one, so hide a larger share."
            )
        return Hiding(tuple(panel), targets, hidden)

    def _shares(self, values: NDArray[Any]) -> NDArray[np.float64]:
        """(n_spots,) with what probability each entry of a gene is hidden."""
        zeros, nonzeros = (self.share, self.share) if self.share is not None else (self.zeros, self.nonzeros)
        return np.where(values > 0, np.float64(nonzeros or 0.0), np.float64(zeros or 0.0))
