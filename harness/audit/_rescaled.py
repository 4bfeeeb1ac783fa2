"""The one factor by which a file of log-normalised values was multiplied: another base of the logarithm, say."""

from __future__ import annotations

import numpy as np

from ._evidence import Array

NARROWEST, WIDEST = 0.02, 50.0
"""Factors looked for."""
PAIRS, HALVINGS = 20_000, 50
"""Pairs of entries that are asked, and steps to each one's answer."""
BINS = (1e-3, 1e-2)
"""How near answers must be to agree: exact values first, then rounded ones."""
FEWEST_AGREEING, CLEAR = 8, 6.0
"""Pairs that must agree, and by how many standard errors more than their neighbours would have it."""


def file_factor(x: Array, y: Array, usable: Array) -> float | None:
    """The s for which y = s log1p(x / f) with an unknown f per spot; None where no s suggests itself.

    x: (n, g) counts. y: (n, g) predictions. usable: (n, g) entries to be looked at, with x > 0 and y > 0.
    Two entries of a spot that were both copied leave one answer: expm1(y_i / s) / expm1(y_j / s) = x_i / x_j, which
    falls from infinity to y_i / y_j as s grows. Copies agree on it all over the file, other pairs on nothing.
    """
    larger, smaller, ratio = _pairs(x, y, usable)
    if len(ratio) < FEWEST_AGREEING:
        return None
    low, high = np.full(len(ratio), np.log(NARROWEST)), np.full(len(ratio), np.log(WIDEST))
    for _ in range(HALVINGS):
        middle = 0.5 * (low + high)
        above = _log_expm1(larger * np.exp(-middle)) - _log_expm1(smaller * np.exp(-middle)) > np.log(ratio)
        low, high = np.where(above, middle, low), np.where(above, high, middle)
    inside = (low > np.log(NARROWEST) + BINS[-1]) & (high < np.log(WIDEST) - BINS[-1])
    answers = np.sort(low[inside])
    agreed = (_agreed(answers, width) for width in BINS if len(answers) >= FEWEST_AGREEING)
    return next((float(np.exp(answer)) for answer in agreed if answer is not None), None)


def _agreed(answers: Array, width: float) -> float | None:
    """Where sorted answers (m,) crowd within `width` as their density around does not explain; None if nowhere."""
    near, around = (
        np.searchsorted(answers, answers + half) - np.searchsorted(answers, answers - half)
        for half in (0.5 * width, 10.0 * width)
    )
    expected = (around - near) / 19.0
    clear = (near - expected) / np.sqrt(expected + 1.0)
    best = int(np.argmax(clear))
    if near[best] < FEWEST_AGREEING or clear[best] < CLEAR:
        return None
    return float(np.median(answers[np.abs(answers - answers[best]) <= 0.5 * width]))


def _pairs(x: Array, y: Array, usable: Array) -> tuple[Array, Array, Array]:
    """(m,) larger and smaller prediction of two genes of a spot, and the ratio of their counts, where it is larger."""
    found = []
    for step in range(1, min(4, x.shape[1])):
        x_j, y_j, there = (np.roll(part, -step, axis=1) for part in (x, y, usable))
        both = usable & there & ((x - x_j) * (y - y_j) > 0)
        i, j = np.stack([x[both], y[both]]), np.stack([x_j[both], y_j[both]])
        first = i[1] > j[1]
        found.append(np.concatenate([np.where(first, i, j), np.where(first, j, i)]))
    pairs = np.concatenate(found, axis=1)
    pairs = pairs[:, pairs[0] * pairs[3] > pairs[2] * pairs[1] * (1.0 + 1e-6)]  # else no s solves it
    pairs = pairs[:, :: max(1, pairs.shape[1] // PAIRS)]
    return pairs[1], pairs[3], pairs[0] / pairs[2]


def _log_expm1(v: Array) -> Array:
    """log(exp(v) - 1) for v > 0, without overflow."""
    return v + np.log(-np.expm1(-v))
