"""What the truth itself would score: one half of its counts as a prediction of the other half.

The ceiling is no method (protocol section 8): it sees held-out counts, so it lives with the scorer and takes no part
in a ranking. It says how far the sampling noise of the truth leaves any method from a perfect score.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.errors import BadInput
from harness.metrics import ScoreTable, score

Array = NDArray[Any]


def halves(counts: Array, rng: np.random.Generator) -> tuple[Array, Array]:
    """Split (n_spots, n_genes) counts c into disjoint halves a ~ Binomial(c, 1/2) and c - a, both int64.

    Every molecule falls into one half, so given the tissue's expression the two are independent draws of half depth.
    Raises `BadInput` for anything but finite, non-negative whole numbers.
    """
    whole = np.asarray(counts)
    if not (np.isfinite(whole).all() and (whole >= 0).all() and (whole == np.rint(whole)).all()):
        raise BadInput("The ceiling thins counts, and these values are not counts; leave it out for this dataset.")
    whole = whole.astype(np.int64)
    first = rng.binomial(whole, 0.5)
    return first, whole - first


def ceiling(counts: Array, size_factors: Array, rng: np.random.Generator) -> ScoreTable:
    """Score half the truth's counts against the other half.

    counts: (n_spots, n_genes) the held-out genes' counts of the scored spots.
    size_factors: (n_spots,) positive factors f by which the truth log1p(c / f) was normalised, unchanged.
    rng: the stream that splits the counts.

    Both halves become log1p(h / (f / 2)): a half of c has half its expectation, so dividing by half the factor keeps
    both on the truth's scale. The first half is the prediction and the second the truth; a gene whose second half is
    constant (a gene of one count, say) is not scored. Both sides carry the noise of half depth, so this is below what
    a noise-free prediction would reach against the full truth: a cautious ceiling, which a smooth method may pass.
    """
    factors = np.asarray(size_factors, dtype=np.float64)
    if factors.shape != (len(counts),) or not (np.isfinite(factors).all() and (factors > 0.0).all()):
        raise BadInput(f"size_factors are {factors.shape}; expected {(len(counts),)} positive numbers, one per spot.")
    first, second = (np.log1p(half / (factors[:, None] / 2.0)) for half in halves(counts, rng))
    return score(second, first)
