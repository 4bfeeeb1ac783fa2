"""The protocol: what is asked, of which genes, on what scale; from a pair to `(Problem, Truth)`.

Two steps. `prepare` does once per pair what no fold changes (panel, SC reference); its result is read-only and
shared between trials. `pose` makes one fold's `Problem`, which holds no value of a held-out gene, and its `Truth`,
which goes to the scorer only.

What other files call "protocol section N":

1. The task. Given spots with the visible genes and cells with all of them, return the held-out genes at every spot, on
   the log-normalised scale; or, where single entries are hidden, those entries, which alone are scored.
2. What may be seen. The visible genes, all of the single cells, their types, and the places of the spots; of the
   spatial file nothing else, and nothing that was computed from a held-out value, were it only a total or a zero.
3. Which genes. A panel that is fixed before the split and is part of the task; every panel gene held out once; folds by
   name. What chose a setting is never scored for it: settings are chosen elsewhere, or within each fold, or the row
   says "tuned on these genes".
4. Sparsity. The visible counts are thinned, seeded and nested; the truth stays as it was measured.
5. Metrics. PCC, SSIM, RMSE and JS of each gene over the spots; a prediction that is flat scores as one that says
   nothing; nothing that is not finite is repaired. Metrics have versions.
6. The accuracy score. Over the genes of all folds, the mean of each metric; among the variants that have every fold,
   the rank of each mean; of the four ranks, the mean. Controls and what the audit did not clear stand outside.
7. Uncertainty. The gene is the unit on a dataset, and the dataset across them; everything is paired over the same
   genes, folds and seeds, and adjusted (Holm) for how much is compared.
8. Controls and ceiling. Every comparison carries the gene mean, the spot total, the nearest cells and a closed-form
   ridge, the bar; the ceiling is what one half of the truth's counts scores against the other.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from harness.errors import BadInput
from harness.pair import PairedSample
from models.component import Component, short_hash
from models.method import Expression, Problem, Size

from .panel import Panel, dense
from .preprocessing import Preprocessing
from .splits import Fold, Holdout, KFold, Split, Within
from .task import HeldOutGenes, MaskedEntries, Task
from .thinning import PerEntry, PerSpot, Thinning

__all__ = [
    "Fold", "Frame", "HeldOutGenes", "Holdout", "KFold", "MaskedEntries", "Panel", "PerEntry", "PerSpot", "Prepared",
    "Preprocessing", "Protocol", "Split", "Task", "Thinning", "Truth", "Within", "frame", "pose", "prepare",
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
class Frame:
    """What a comparison is about, fixed from all of a pair before any split: part of the task, not of any method.

    panel: the panel's genes, sorted by name.
    spots: (n_spots,) indices into the ST file of the spots that the preprocessing keeps.
    """

    panel: tuple[str, ...]
    spots: NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class Prepared:
    """A pair under a protocol, ready for any fold. Shared between trials, so read-only.

    frame: panel and spots. spots: (n_spots, n_panel) float32 raw ST values of these. kind: what they are (see
    `Assay.kind`). cells: SC reference. cell_types: (n_cells,) or None. coordinates: (n_spots, 2 or 3) or None.
    """

    dataset: str
    dataset_id: str
    protocol: Protocol
    frame: Frame
    spots: NDArray[np.float32]
    kind: str
    cells: Expression
    coordinates: NDArray[np.float64] | None
    cell_types: NDArray[np.str_] | None

    @property
    def panel(self) -> tuple[str, ...]:
        """The panel's genes, sorted by name."""
        return self.frame.panel

    def size(self, split: Split) -> Size:
        """What a fold of that split shows."""
        first = split.fold(self.panel, 0)
        visible = len(first.training) + len(first.validation)
        return Size(len(self.spots), len(self.cells), visible, len(self.cells.genes))


@dataclass(frozen=True, eq=False)
class Truth:
    """The hidden values of one fold, for the scorer only.

    genes: the targets. values: (n_spots, n_targets) float32, log-normalised with full-depth size factors of what is
    shown. spots: (n_spots,) indices of the scored spots in the ST file.
    scored: (n_spots, n_targets) bool, the entries that were hidden and are scored; None where all are.
    counts: (n_spots, n_targets) raw counts, or None; size_factors: (n_spots,) or None.
    """

    genes: tuple[str, ...]
    values: NDArray[np.float32]
    spots: NDArray[np.intp]
    scored: NDArray[np.bool_] | None
    counts: NDArray[np.float32] | None
    size_factors: NDArray[np.float64] | None


def frame(pair: PairedSample, protocol: Protocol) -> Frame:
    """Panel and spots of a pair; `BadInput` when the protocol leaves too little."""
    kept = protocol.preprocessing.kept(pair)
    return Frame(protocol.panel.genes(pair, kept.genes), np.flatnonzero(kept.spots))


def prepare(pair: PairedSample, protocol: Protocol, fixed: Frame | None = None) -> Prepared:
    """Fix panel, spots and SC reference of a pair; `BadInput` when the protocol leaves too little.

    fixed: panel and spots that were fixed before, for a pair whose held-out values were changed since.
    """
    fixed = fixed or frame(pair, protocol)
    cells, kept = protocol.preprocessing.reference(pair, fixed.panel)
    return Prepared(
        dataset=pair.name,
        dataset_id=pair.id,
        protocol=protocol,
        frame=fixed,
        spots=dense(pair.st, fixed.panel)[fixed.spots],
        kind=pair.st.kind,
        cells=cells,
        coordinates=None if pair.coordinates is None else pair.coordinates[fixed.spots],
        cell_types=None if pair.cell_types is None else pair.cell_types[kept],
    )


def pose(
    data: Prepared, split: Split, fold: int, sampling_rate: float = 1.0, task: Task | None = None
) -> tuple[Problem, Truth]:
    """One fold of a task (held-out genes by default) as `(Problem, Truth)`.

    Spots where nothing is shown at full depth leave the task. Truth uses the size factors of the unthinned shown
    values at every rate, so it is one array per fold; inputs use the factors of what the method is given.
    """
    parts = split.fold(data.panel, fold)
    hiding = (task or HeldOutGenes()).hide(data.panel, data.spots, parts, fold)
    place = {gene: i for i, gene in enumerate(data.panel)}
    visible, asked = ([place[gene] for gene in genes] for genes in (hiding.visible, hiding.targets))
    shown, values = data.spots[:, visible], data.spots[:, asked]
    if hiding.hidden is not None:
        shown = np.where(hiding.hidden[:, visible], np.float32(0), shown)
    kept = np.flatnonzero(shown.sum(axis=1) > 0)
    if len(kept) == 0:
        raise BadInput(f"{data.dataset}, fold {fold}: no spot has a visible count; the panel is too small to split.")
    hidden, scored = (
        (None, None) if hiding.hidden is None else (hiding.hidden[kept][:, visible], hiding.hidden[kept][:, asked])
    )
    divided = {place[gene] for gene in (*parts.training, *parts.validation, *parts.test)}
    played = sorted(divided | set(visible))  # a fold within a fold leaves genes out, which have no say in its totals
    beyond = data.spots[:, played].sum(axis=1, dtype=np.float64) - shown.sum(axis=1, dtype=np.float64)
    spots, full_factors = _given(data, shown[kept], hiding.visible, sampling_rate, beyond[kept])
    problem = Problem(
        spots=spots,
        cells=data.cells,
        visible=hiding.visible,
        targets=hiding.targets,
        validation=parts.validation,
        coordinates=None if data.coordinates is None else data.coordinates[kept],
        cell_types=data.cell_types,
        hidden=hidden,
    )
    truth = Truth(
        genes=hiding.targets,
        values=data.protocol.preprocessing.lognorm(values[kept], data.kind, full_factors),
        spots=data.frame.spots[kept],
        scored=scored,
        counts=values[kept] if data.kind == "counts" else None,
        size_factors=full_factors,
    )
    return problem, truth


def _given(
    data: Prepared, shown: NDArray[np.float32], genes: tuple[str, ...], rate: float, beyond: NDArray[np.float64]
) -> tuple[Expression, NDArray[np.float64] | None]:
    """What a method is given of (n_spots, n_visible) shown values, and the size factors of the unthinned ones.

    beyond: (n_spots,) what the panel holds beside what is shown; it counts in the flagged variant "all-genes" only.
    """
    method = data.protocol.preprocessing
    thinned = data.protocol.thinning.apply(shown, genes, data.kind, rate)
    if data.kind != "counts":
        return Expression(genes, method.lognorm(thinned, data.kind, None)), None
    further = beyond if method.normalisation == "all-genes" else 0.0
    full, given = (method.size_factors(x.sum(axis=1, dtype=np.float64) + further) for x in (shown, thinned))
    return Expression(genes, method.lognorm(thinned, data.kind, given), thinned, given), full
