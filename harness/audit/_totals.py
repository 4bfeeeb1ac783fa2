"""Counts divided by the totals of their spots: w = k M / N with whole totals N and one M for the file."""

from __future__ import annotations

import numpy as np

from ._evidence import Array

LARGEST_TOTAL = 20_000
"""M is looked for among the halves of whole numbers up to this: a median of totals, or a target such as 1e4."""
SAMPLE, BLOCK = 200, 2_000
"""Values that M is looked for with, and how many M are tried at once."""
FEWEST_FITS, CLEAR = 8, 6.0
"""Values that must fit an M, and by how many standard errors more than chance."""
ALMOST = 0.55
"""See `common_scale`."""
LARGEST_COUNT, SHARP = 30, 0.05
"""Counts looked for, and the error of a total above which it cannot be called whole."""


def numerators(w: Array, error: Array) -> Array | None:
    """(n, g) the k of w = k M / N in lowest terms, NaN where there is none; None where no M suggests itself.

    w: (n, g) values, of which those > 0 count. error: (n, g) their absolute error. Only the prediction is looked at.
    """
    inverse = np.where(w > 0.0, 1.0 / np.where(w > 0.0, w, 1.0), np.nan)
    wrong = error * inverse**2
    scale = common_scale(inverse, wrong)
    if scale is None:
        return None
    found = np.full(w.shape, np.nan)
    for k in range(LARGEST_COUNT, 0, -1):
        total, within = k * scale * inverse, k * scale * wrong
        whole = (np.abs(total - np.rint(total)) <= within) & (within <= SHARP) & (total > 0.5)
        found[whole] = k
    return found


def common_scale(inverse: Array, wrong: Array) -> float | None:
    """The smallest M for which M / w is whole far more often than chance explains.

    Multiples of the right M fit k = 2, 3, ... as well, half of it fits half as much; so the smallest that does
    `ALMOST` as well as the best.
    """
    known = np.isfinite(inverse)
    values, wrong = inverse[known], wrong[known]
    some = np.linspace(0, len(values) - 1, min(SAMPLE, len(values))).astype(np.intp)
    values, wrong = values[some], wrong[some]
    beyond = []
    for start in range(2, 2 * LARGEST_TOTAL, BLOCK):
        scales = np.arange(start, start + BLOCK)[:, None] / 2.0
        total, within = scales * values, scales * wrong
        sharp = (within <= SHARP) & (total > 0.5)
        fits = (sharp & (np.abs(total - np.rint(total)) <= within)).sum(axis=1)
        chance = np.where(sharp, 2.0 * within, 0.0).sum(axis=1)
        beyond.append(np.where(fits >= FEWEST_FITS, (fits - chance) / np.sqrt(chance + 1.0), 0.0))
    every = np.concatenate(beyond)
    return float(1 + np.argmax(every >= ALMOST * every.max()) / 2.0) if every.max() > CLEAR else None
