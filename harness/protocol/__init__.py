"""The protocol: what is asked, of which genes, on what scale; from a pair to `(Problem, Truth)`.

Two steps. `prepare` does once per pair what no fold changes (panel, SC reference); its result is read-only and
shared between trials. `pose` makes one fold's `Problem`, which holds no value of a held-out gene, and its `Truth`,
which goes to the scorer only.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from harness.errors import BadInput
from harness.pair import PairedSample
from models.component import Component, short_hash
from models.method import Expression, Problem

from .panel import Panel, dense
from .preprocessing import Preprocessing
from .splits import Fold, Holdout, KFold, Split
from .task import HeldOutGenes
from .thinning import PerEntry, Thinning

__all__ = [
    "Fold", "HeldOutGenes", "Holdout", "KFold", "Panel", "PerEntry", "Prepared", "Preprocessing", "Protocol", "Split",
    "Thinning", "Truth", "pose", "prepare",
]  # fmt: skip


@dataclass(frozen=True)
class Protocol(Component):
    """Everything about the evaluation that is neither the split nor the method."""

    panel: Panel = field(default_factory=Panel)
    preprocessing: Preprocessing = field(default_factory=Preprocessing)
    thinning: Thinning = field(default_factory=PerEntry)

    @property
    def id(self) -> str:
        """8 hex digits over the protocol's canonical form."""
        return short_hash(self, 8)

    @property
    def flags(self) -> tuple[str, ...]:
        """What a table must say about results under this protocol."""
        return self.preprocessing.flags


@dataclass(frozen=True, eq=False)
class Prepared:
    """A pair under a protocol, ready for any fold. Shared between trials, so read-only.

    panel: the panel's genes, sorted by name.
    spots: (n_spots, n_panel) float32 raw ST values. kind: what they are (see `Assay.kind`).
    cells: SC reference. cell_types: (n_cells,) or None. coordinates: (n_spots, 2 or 3) or None.
    """

    dataset: str
    dataset_id: str
    protocol: Protocol
    panel: tuple[str, ...]
    spots: NDArray[np.float32]
    kind: str
    cells: Expression
    coordinates: NDArray[np.float64] | None
    cell_types: NDArray[np.str_] | None


@dataclass(frozen=True, eq=False)
class Truth:
    """The held-out values of one fold, for the scorer only.

    genes: the targets. values: (n_spots, n_targets) float32, log-normalised with full-depth visible size factors.
    spots: (n_spots,) indices of the scored spots in the ST file.
    counts: (n_spots, n_targets) raw counts, or None; size_factors: (n_spots,) or None.
    """

    genes: tuple[str, ...]
    values: NDArray[np.float32]
    spots: NDArray[np.intp]
    counts: NDArray[np.float32] | None
    size_factors: NDArray[np.float64] | None


def prepare(pair: PairedSample, protocol: Protocol) -> Prepared:
    """Fix the panel and the SC reference of a pair; `BadInput` when the protocol leaves too little."""
    panel = protocol.panel.genes(pair)
    cells, kept = protocol.preprocessing.reference(pair, panel)
    return Prepared(
        dataset=pair.name,
        dataset_id=pair.id,
        protocol=protocol,
        panel=panel,
        spots=dense(pair.st, panel),
        kind=pair.st.kind,
        cells=cells,
        coordinates=pair.coordinates,
        cell_types=None if pair.cell_types is None else pair.cell_types[kept],
    )


def pose(data: Prepared, split: Split, fold: int, sampling_rate: float = 1.0) -> tuple[Problem, Truth]:
    """One fold as `(Problem, Truth)`.

    Spots without any visible count at full depth leave the task. Truth uses the size factors of the unthinned
    visible counts at every rate, so it is one array per fold; inputs use the factors of what the method is given.
    """
    parts = split.fold(data.panel, fold)
    place = {gene: i for i, gene in enumerate(data.panel)}
    visible = tuple(sorted(parts.training + parts.validation))
    shown = data.spots[:, [place[gene] for gene in visible]]
    hidden = data.spots[:, [place[gene] for gene in parts.test]]
    kept = np.flatnonzero(shown.sum(axis=1) > 0)
    if len(kept) == 0:
        raise BadInput(f"{data.dataset}, fold {fold}: no spot has a visible count; the panel is too small to split.")
    shown, hidden = shown[kept], hidden[kept]

    method = data.protocol.preprocessing
    whole_total = hidden.sum(axis=1, dtype=np.float64) if method.normalisation == "all-genes" else 0.0
    given = data.protocol.thinning.apply(shown, visible, data.kind, sampling_rate)
    full_factors = given_factors = None
    if data.kind == "counts":
        full_factors = method.size_factors(shown.sum(axis=1, dtype=np.float64) + whole_total)
        given_factors = method.size_factors(given.sum(axis=1, dtype=np.float64) + whole_total)
    spots = Expression(
        genes=visible,
        lognorm=method.lognorm(given, data.kind, given_factors),
        counts=given if data.kind == "counts" else None,
        size_factors=given_factors,
    )
    problem = Problem(
        spots=spots,
        cells=data.cells,
        visible=visible,
        targets=parts.test,
        validation=parts.validation,
        coordinates=None if data.coordinates is None else data.coordinates[kept],
        cell_types=data.cell_types,
    )
    truth = Truth(
        genes=parts.test,
        values=method.lognorm(hidden, data.kind, full_factors),
        spots=kept,
        counts=hidden if data.kind == "counts" else None,
        size_factors=full_factors,
    )
    return problem, truth
