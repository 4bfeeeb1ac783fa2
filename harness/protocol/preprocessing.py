"""From raw values to the log-normalised scale, without a look at held-out genes (protocol sections 2 and 3)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, diags

from harness.errors import BadInput
from harness.pair import Assay, PairedSample
from models.component import Component
from models.method import Expression

FloatArray = NDArray[np.float32]


@dataclass(frozen=True)
class Preprocessing(Component):
    """Normalise and log1p; cells are kept if they have a count; SC keeps the panel plus its most variable genes.

    normalisation: "visible" - a spot's size factor comes from its visible genes only. "all-genes" is the field's
        habit, in which totals carry held-out values; it is flagged wherever it is shown.
    target: None - size factors are relative to the median total. A number (the paper's is 1e4) divides by that.
    sc_genes: how many genes beyond the panel SC keeps, highest variance of log-normalised expression first.
    """

    normalisation: Literal["visible", "all-genes"] = "visible"
    target: float | None = None
    sc_genes: int = 5000

    def __post_init__(self) -> None:
        if self.normalisation not in ("visible", "all-genes"):
            raise BadInput(f"Preprocessing(normalisation={self.normalisation!r}): use 'visible' or 'all-genes'.")
        if self.target is not None and self.target <= 0:
            raise BadInput(f"Preprocessing(target={self.target}): the target total must be positive.")

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

    def reference(self, pair: PairedSample, panel: tuple[str, ...]) -> tuple[Expression, NDArray[np.bool_]]:
        """SC as every method gets it (panel first, then variable genes, each by name), and which cells were kept."""
        totals = np.asarray(pair.sc.values.sum(axis=1), dtype=np.float64).ravel()
        kept = totals > 0
        values = csr_matrix(pair.sc.values)[kept]
        is_counts = pair.sc.kind == "counts"
        factors = self.size_factors(totals[kept]) if is_counts else None
        logged = values if factors is None else csr_matrix(diags(1 / factors) @ values)
        if pair.sc.kind != "lognorm":
            logged = logged.log1p()
        genes = panel + _most_variable(pair.sc, logged, set(panel), self.sc_genes)
        place = {gene: i for i, gene in enumerate(pair.sc.genes)}
        columns = [place[gene] for gene in genes]
        expression = Expression(
            genes=genes,
            lognorm=logged[:, columns].toarray().astype(np.float32),
            counts=values[:, columns].toarray().astype(np.float32) if is_counts else None,
            size_factors=factors,
        )
        return expression, kept


def _most_variable(assay: Assay, logged: csr_matrix, beyond: set[str], most: int) -> tuple[str, ...]:
    mean = np.asarray(logged.mean(axis=0)).ravel()
    variance = np.asarray(logged.multiply(logged).mean(axis=0)).ravel() - mean**2
    others = [i for i, gene in enumerate(assay.genes) if gene not in beyond and variance[i] > 0]
    best = sorted(others, key=lambda i: (-variance[i], assay.genes[i]))[:most]
    return tuple(sorted(assay.genes[i] for i in best))
