"""Agreement beyond the ceiling: residuals smaller than the counting noise that no predictor can know."""

from __future__ import annotations

import numpy as np

from ._evidence import FOLDS, Array, Evidence, Scores, folds_of, weighed
from ._measured import Measured

BINS, PER_BIN = 40, 25
"""Most bins of predicted values per gene, and the spots that one should hold."""


def beyond_ceiling(target: Measured, y: Array) -> Evidence:
    """Evidence that E[(x - h)^2] < E[x] for predictions h of counts x.

    Given anything but x itself, Var(x) >= E[x] for a Poisson mixture, and missing the mean only adds to it. h is the
    mean of x per unit of exposure in bins of a gene's predictions, taken from other folds; the score of an entry is
    (x - (x - h)^2) / (h + 1/2), of expectation <= 0. Bins are the groups: where a file copies in part, some bins
    have no residuals at all while others are ordinary. The share is that of the counting noise which is missing.
    """
    spots, genes = y.shape
    cell, bins = binned(y)
    exposure = np.where(target.judged, 1.0 / target.unit[:, None], 0.0)
    x = np.where(target.judged, target.x, 0.0)
    fold = np.broadcast_to(folds_of(spots)[:, None], y.shape)
    place = (fold * genes + np.arange(genes)) * bins + cell
    counted, exposed = (
        np.bincount(place.ravel(), part.ravel(), FOLDS * genes * bins).reshape(FOLDS, -1) for part in (x, exposure)
    )
    counted, exposed = (part.sum(axis=0) - part for part in (counted, exposed))
    known = (exposed > 0).reshape(-1)[place] & target.judged
    rate = counted / np.where(exposed > 0, exposed, 1.0)
    h = rate.reshape(-1)[place] * exposure
    spot, gene = np.nonzero(known & (h > 0))
    x, h, cell = x[spot, gene], h[spot, gene], cell[spot, gene]
    value, mass = (x - (x - h) ** 2) / (h + 0.5), x / (h + 0.5)
    group = gene * bins + cell
    masses = np.bincount(folds_of(spots)[spot] * genes * bins + group, mass, FOLDS * genes * bins)
    return weighed(Scores(value, value**2, spot, group, masses.reshape(FOLDS, -1)), spots)


def binned(y: Array) -> tuple[Array, int]:
    """(n, g) which bin of its gene each prediction falls into, equal values together, and how many bins there are."""
    bins = int(np.clip(len(y) // PER_BIN, 1, BINS))
    edges = np.quantile(y, np.arange(1, bins) / bins, axis=0)
    cell = np.zeros(y.shape, dtype=np.intp)
    for edge in edges:
        cell += y > edge
    return cell, bins
