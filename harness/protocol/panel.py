"""The panel: which shared genes a comparison is about, fixed before any split (protocol section 3)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from harness.errors import BadInput
from harness.pair import Assay, PairedSample
from harness.spatial import morans_i
from models.component import Component

FEWEST_GENES = 10
"""A panel below this size cannot be split and scored; it is refused."""


@dataclass(frozen=True)
class Panel(Component):
    """Shared genes detected in at least `min_spots` of the spots and `min_cells` of the cells, at most `max_genes`.

    Above `max_genes` those with the highest Moran's I (`choose="moran"`, 6 nearest neighbours, log-normalised values)
    or the highest variance (`choose="variance"`) in ST are kept. The choice looks at all shared genes, before the
    split: it is part of the task, stored and printed.
    """

    max_genes: int = 1000
    min_spots: float = 0.05
    min_cells: float = 0.02
    choose: Literal["moran", "variance"] = "moran"

    def __post_init__(self) -> None:
        if self.max_genes < FEWEST_GENES:
            raise BadInput(f"Panel(max_genes={self.max_genes}) is below {FEWEST_GENES}, the fewest genes to split.")
        for name in ("min_spots", "min_cells"):
            if not 0 <= getattr(self, name) <= 1:
                raise BadInput(f"Panel({name}={getattr(self, name)}) is a share; it must lie between 0 and 1.")
        if self.choose not in ("moran", "variance"):
            raise BadInput(f"Panel(choose={self.choose!r}) is unknown; use 'moran' or 'variance'.")

    def genes(self, pair: PairedSample, candidates: tuple[str, ...] | None = None) -> tuple[str, ...]:
        """The panel of a pair, sorted by name; `BadInput` if fewer than 10 genes remain.

        candidates: the shared genes that it is chosen from; all of them if None.
        """
        shared = pair.shared if candidates is None else candidates
        in_spots = detection(pair.st, shared)
        in_cells = detection(pair.sc, shared)
        kept = [
            gene
            for gene, spots, cells in zip(shared, in_spots, in_cells, strict=True)
            if spots >= self.min_spots and cells >= self.min_cells and spots > 0 and cells > 0
        ]
        if len(kept) < FEWEST_GENES:
            raise BadInput(
                f"{pair.name}: of {len(shared)} shared genes, {int((in_spots < self.min_spots).sum())} are found in "
                f"fewer than {self.min_spots:.0%} of the spots and {int((in_cells < self.min_cells).sum())} in fewer "
                f"than {self.min_cells:.0%} of the cells, leaving {len(kept)}; {FEWEST_GENES} are needed at least, "
                "so lower Panel(min_spots=, min_cells=) or bring a pair that shares more genes."
            )
        if len(kept) > self.max_genes:
            score = self._score(pair, kept)
            # Ties are broken by name, so that the panel never depends on the order of genes in a file.
            best = sorted(range(len(kept)), key=lambda i: (-score[i], kept[i]))[: self.max_genes]
            kept = sorted(kept[i] for i in best)
        return tuple(kept)

    def _score(self, pair: PairedSample, genes: list[str]) -> NDArray[np.float64]:
        if self.choose == "moran" and pair.coordinates is None:
            raise BadInput(
                f"{pair.name} has {len(genes)} candidate genes and no coordinates to rank them by Moran's I; use "
                'Panel(choose="variance") or raise max_genes.'
            )
        values: NDArray[np.floating] = dense(pair.st, genes)
        if pair.st.kind == "counts":
            total = values.sum(axis=1, keepdims=True)
            values = values / np.where(total > 0, total / np.median(total[total > 0]), 1)
        if pair.st.kind != "lognorm":
            values = np.log1p(values)
        if self.choose == "variance" or pair.coordinates is None:
            return values.var(axis=0, dtype=np.float64)
        return morans_i(values, pair.coordinates)


def detection(assay: Assay, genes: tuple[str, ...]) -> NDArray[np.float64]:
    """(len(genes),) share of an assay's rows in which each gene is above zero."""
    columns = _columns(assay, genes)
    return np.asarray((columns > 0).sum(axis=0)).ravel() / columns.shape[0]


def dense(assay: Assay, genes: list[str] | tuple[str, ...]) -> NDArray[np.float32]:
    """(n, len(genes)) float32 raw values of the named genes."""
    return _columns(assay, tuple(genes)).toarray().astype(np.float32, copy=False)


def _columns(assay: Assay, genes: tuple[str, ...]) -> csr_matrix:
    place = {gene: i for i, gene in enumerate(assay.genes)}
    return csr_matrix(assay.values)[:, [place[gene] for gene in genes]]
