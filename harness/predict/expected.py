"""How well a gene may be expected to be predicted: as well as measured genes that relate to the visible ones alike.

A method maps what cells say of a gene to space through the genes measured in both; a gene that follows none of them
cannot be reached. Two numbers of a gene's SC profile say how far that holds, with no look at ST: the mean of its ten
highest correlations with visible genes, and the root mean square of all of them. Level, spread and detection rate in
SC were tried beside these and made it worse (see `tests/benchmarks/expected_pcc.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.method import Array, Expression

Floats = NDArray[np.float64]

CLOSEST = 10
"""How many of a gene's highest correlations are averaged."""

SIMILAR = 30
"""On how many measured genes an expectation rests; on a third of them where fewer than three times as many are."""

COVERAGE = 0.8
"""Share of genes whose PCC an interval is meant to hold."""

BLOCK = 512
"""Genes whose SC profiles are made dense at once."""


@dataclass(frozen=True, eq=False)
class Expected:
    """The PCC to expect of g genes, and how that fares on n measured genes, each judged by the others.

    pcc, low, high: (g,) mean of the achieved PCC of `similar` measured genes, and the ends of their 80 % interval.
    achieved: (n,) PCC of measured genes in cross-validation. left_out: (n,) what would have been expected of each.
    covered: share of measured genes whose PCC lies in the interval that the others give it.
    """

    pcc: Floats
    low: Floats
    high: Floats
    similar: int
    achieved: Floats
    left_out: Floats
    covered: float

    @property
    def mean(self) -> float:
        """The method's cross-validated mean PCC over measured genes, those of the panel and beyond."""
        return float(self.achieved.mean())

    @property
    def correlation(self) -> float:
        """Pearson correlation over measured genes of expected with achieved PCC; 0 where either does not vary."""
        a, b = self.achieved - self.achieved.mean(), self.left_out - self.left_out.mean()
        norm = float(np.sqrt((a**2).sum() * (b**2).sum()))
        return float((a * b).sum()) / norm if norm > 0 else 0.0


def expected_pcc(
    cells: Expression, achieved: Mapping[str, float], genes: Sequence[str], visible: Sequence[str]
) -> Expected:
    """What to expect of `genes` from the PCC `achieved` by measured genes that were held out; all are in `cells`.

    Similar are the measured genes nearest in the two numbers, each in units of its standard deviation over these.
    visible: the panel, whose genes the two numbers are correlations with.
    """
    measured = sorted(achieved)
    pcc = np.array([achieved[gene] for gene in measured])
    known, asked = relatedness(cells, measured, visible), relatedness(cells, genes, visible)
    scale = known.std(axis=0)
    scale = np.where(scale > 0, scale, 1.0)
    similar = max(1, min(SIMILAR, len(measured) // 3))
    mean, low, high = _of_similar(asked / scale, known / scale, pcc, similar)
    left_out, least, most = _of_similar(known / scale, known / scale, pcc, similar, alone=True)
    covered = float(np.mean((least <= pcc) & (pcc <= most)))
    return Expected(mean, low, high, similar, pcc, left_out, covered)


def relatedness(cells: Expression, genes: Sequence[str], visible: Sequence[str]) -> Floats:
    """(g, 2) mean of the `CLOSEST` highest, and root mean square, of a gene's SC correlations with visible genes.

    A gene is not compared with itself, so that visible genes are judged as genes that are not visible.
    """
    reference = _standardised(cells.of(visible))
    blocks = [list(genes[start : start + BLOCK]) for start in range(0, len(genes), BLOCK)]
    return np.concatenate([_related(cells, block, visible, reference) for block in blocks])


def _related(cells: Expression, genes: Sequence[str], visible: Sequence[str], reference: Array) -> Floats:
    correlations = (_standardised(cells.of(genes)).T @ reference).astype(np.float64)  # (g, v)
    own = np.equal.outer(np.array(genes), np.array(visible))
    squares = np.where(own, 0.0, correlations**2).sum(axis=1) / np.maximum((~own).sum(axis=1), 1)
    ranked = np.sort(np.where(own, -np.inf, correlations), axis=1)[:, ::-1]
    closest = ranked[:, : max(1, min(CLOSEST, len(visible) - 1))].mean(axis=1)
    return np.column_stack([closest, np.sqrt(squares)])


def _of_similar(asked: Floats, known: Floats, pcc: Floats, similar: int, alone: bool = False) -> tuple[Floats, ...]:
    """(g,) mean, low and high of the PCC of the nearest rows of `known`; alone: a gene is none of its own."""
    squares = [np.subtract.outer(of_asked, of_known) ** 2 for of_asked, of_known in zip(asked.T, known.T, strict=True)]
    distances = np.sum(squares, axis=0)
    if alone:
        np.fill_diagonal(distances, np.inf)
    nearest = np.argsort(distances, axis=1, kind="stable")[:, :similar]
    found = pcc[nearest]  # (g, similar)
    # Weibull's positions: a new draw of the same kind falls between the ends with the stated probability.
    low, high = np.quantile(found, [(1 - COVERAGE) / 2, (1 + COVERAGE) / 2], axis=1, method="weibull")
    return found.mean(axis=1), low, high


def _standardised(values: Array) -> Array:
    """(n, g) float32 columns of mean 0 and length 1; a column that does not vary becomes 0."""
    centred = values - values.mean(axis=0, dtype=np.float64)
    length = np.sqrt((centred**2).sum(axis=0))
    flat = length <= 1e-6 * np.sqrt(len(values)) * np.abs(values).max(axis=0, initial=0.0)
    return np.where(flat, 0.0, centred / np.where(flat, 1.0, length)).astype(np.float32)
