"""From raw values to the log-normalised scale, without a look at held-out genes (protocol sections 2 and 3)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, diags

from harness.errors import BadInput
from harness.pair import Assay, PairedSample
from models.component import Component
from models.method import Expression

FloatArray = NDArray[np.float32]


FEWEST = {"genes": 10, "cells": 50, "spots": 50}
"""A filter that would leave fewer is refused: nothing could be compared on what remains."""


@dataclass(frozen=True, eq=False)
class Kept:
    """What filters leave of a pair. genes: shared genes, sorted. spots: (n_spots,) bool over the ST file."""

    genes: tuple[str, ...]
    spots: NDArray[np.bool_]


@dataclass(frozen=True)
class Preprocessing(Component):
    """Normalise and log1p; cells are kept if they have a count; SC keeps the panel plus its most variable genes.

    normalisation: "visible" - a spot's size factor comes from its visible genes only. "all-genes" is the field's
        habit, in which totals carry held-out values; it is flagged wherever it is shown.
    target: None - size factors are relative to the median total. A number (the paper's is 1e4) divides by that.
    sc_genes: how many genes beyond the panel SC keeps, highest variance of log-normalised expression first.

    The other fields are filters, off by default. They look at whole matrices before the split, as the panel does, and
    like the panel they are part of the task. A filter that leaves fewer than 10 genes, 50 cells or 50 spots is refused.

    gene_cells, gene_spots: SC (ST) genes found in a smaller share of the cells (spots) leave.
    cell_genes, spot_genes: cells (spots) with fewer detected genes leave; every cell has a count in any case.
    variable: share of the remaining SC and of the remaining ST genes that is kept, most variable first, by the
        dispersion that scanpy normalises within bins of mean expression (its default flavour).
    """

    version: ClassVar[int] = 2

    normalisation: Literal["visible", "all-genes"] = "visible"
    target: float | None = None
    sc_genes: int = 5000
    gene_cells: float = 0.0
    cell_genes: int = 1
    gene_spots: float = 0.0
    spot_genes: int = 0
    variable: float = 1.0

    def __post_init__(self) -> None:
        if self.normalisation not in ("visible", "all-genes"):
            raise BadInput(f"Preprocessing(normalisation={self.normalisation!r}): use 'visible' or 'all-genes'.")
        if self.target is not None and self.target <= 0:
            raise BadInput(f"Preprocessing(target={self.target}): the target total must be positive.")
        for name in ("gene_cells", "gene_spots", "variable"):
            if not 0 <= getattr(self, name) <= 1:
                raise BadInput(f"Preprocessing({name}={getattr(self, name)}) is a share; it lies between 0 and 1.")

    @classmethod
    def paper(cls) -> Preprocessing:
        """The paper's frozen thresholds.

        Totals of 1e4; genes in at least 10 % of the cells (spots); cells with at least 200 genes, spots with one; then
        the top 25 % most variable genes of either side. The released script takes for ST a quarter of the number of
        SC genes that it had already cut to a quarter; here it is a quarter of the ST genes.
        """
        return cls(target=1e4, gene_cells=0.10, cell_genes=200, gene_spots=0.10, spot_genes=1, variable=0.25)

    @property
    def flags(self) -> tuple[str, ...]:
        """What a table must say about results under this preprocessing."""
        return ("size factors include held-out genes",) if self.normalisation == "all-genes" else ()

    def size_factors(self, totals: NDArray[np.float64]) -> NDArray[np.float64]:
        """Totals (n,) relative to the target, or to the median over those above zero; 1 where a total is zero."""
        positive = totals > 0
        reference = self.target if self.target is not None else (np.median(totals[positive]) if positive.any() else 1.0)
        return np.where(positive, totals / reference, 1.0)

    def lognorm(self, values: FloatArray, kind: str, factors: NDArray[np.float64] | None) -> FloatArray:
        """(n, g) float32 on the log-normalised scale; "lognorm" data pass as declared."""
        if kind == "lognorm":
            return values
        scaled = values if factors is None else values / factors[:, None].astype(np.float32)
        return np.log1p(scaled, dtype=np.float32)

    def kept(self, pair: PairedSample) -> Kept:
        """The shared genes and the spots that pass the filters; `BadInput` naming the filter that leaves too few."""
        sc_genes, _ = self._filtered(pair.name, pair.sc, "cells", self.gene_cells, self.cell_genes)
        st_genes, spots = self._filtered(pair.name, pair.st, "spots", self.gene_spots, self.spot_genes)
        shared = set(sc_genes) & set(st_genes)
        self._enough(pair.name, "genes", len(shared), len(pair.shared), "all gene filters together")
        return Kept(tuple(gene for gene in pair.shared if gene in shared), spots)

    def reference(self, pair: PairedSample, panel: tuple[str, ...]) -> tuple[Expression, NDArray[np.bool_]]:
        """SC as every method gets it (panel first, then variable genes, each by name), and which cells were kept."""
        passed, kept = self._filtered(pair.name, pair.sc, "cells", self.gene_cells, self.cell_genes)
        values = csr_matrix(pair.sc.values)[kept]
        is_counts = pair.sc.kind == "counts"
        factors = self.size_factors(np.asarray(values.sum(axis=1), dtype=np.float64).ravel()) if is_counts else None
        logged = _logged(values, pair.sc.kind, factors)
        genes = panel + _most_variable(pair.sc, logged, set(passed) - set(panel), self.sc_genes)
        columns = pair.sc.columns(genes)
        expression = Expression(
            genes=genes,
            lognorm=logged[:, columns].toarray().astype(np.float32),
            counts=values[:, columns].toarray().astype(np.float32) if is_counts else None,
            size_factors=factors,
        )
        return expression, kept

    def _filtered(
        self, name: str, assay: Assay, rows: str, gene_rows: float, row_genes: int
    ) -> tuple[tuple[str, ...], NDArray[np.bool_]]:
        """Genes of one matrix that pass, and (n,) bool of the rows that do; genes are filtered first."""
        present = np.asarray((assay.values > 0).sum(axis=0)).ravel() / len(assay)
        genes = np.flatnonzero(present >= gene_rows)
        if gene_rows:
            self._enough(
                name, "genes", len(genes), len(assay.genes), f"genes in at least {gene_rows:.0%} of the {rows}"
            )
        values = csr_matrix(assay.values)[:, genes]
        kept: NDArray[np.bool_] = np.diff(values.indptr) >= row_genes
        self._enough(
            name, rows, int(kept.sum()), len(assay), f"{rows} with at least {row_genes} of the remaining genes"
        )
        if self.variable < 1:
            totals = np.asarray(assay.values.sum(axis=1), dtype=np.float64).ravel()[kept]
            factors = self.size_factors(totals) if assay.kind == "counts" else None
            genes = genes[_dispersed(_logged(values[kept], assay.kind, factors), int(self.variable * len(genes)))]
        return tuple(assay.genes[i] for i in genes), kept

    def _enough(self, name: str, what: str, left: int, of: int, which: str) -> None:
        if left < of and left < FEWEST[what]:
            raise BadInput(
                f"{name}: the filter {which!r} removes {of - left} of {of} {what} and leaves {left}; at least "
                f"{FEWEST[what]} are needed, so loosen it (see Preprocessing) or use Preprocessing()."
            )


def _logged(values: csr_matrix, kind: str, factors: NDArray[np.float64] | None) -> csr_matrix:
    scaled = values if factors is None else csr_matrix(diags(1 / factors) @ values)
    return scaled if kind == "lognorm" else scaled.log1p()


def _most_variable(assay: Assay, logged: csr_matrix, among: set[str], most: int) -> tuple[str, ...]:
    mean = np.asarray(logged.mean(axis=0)).ravel()
    variance = np.asarray(logged.multiply(logged).mean(axis=0)).ravel() - mean**2
    others = [i for i, gene in enumerate(assay.genes) if gene in among and variance[i] > 0]
    best = sorted(others, key=lambda i: (-variance[i], assay.genes[i]))[:most]
    return tuple(sorted(assay.genes[i] for i in best))


def _dispersed(logged: csr_matrix, most: int) -> NDArray[np.intp]:
    """Indices of the `most` columns of highest normalised dispersion, ascending."""
    # Scanpy's own function, as in the paper; it takes seconds to import, and only this filter needs it.
    import anndata
    import scanpy

    found = scanpy.pp.highly_variable_genes(anndata.AnnData(logged), n_top_genes=max(1, most), inplace=False)
    return np.flatnonzero(found["highly_variable"].to_numpy())
