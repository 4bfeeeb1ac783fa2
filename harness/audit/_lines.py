"""The line through most points, where most points may lie on none."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ._evidence import Array

SEED = 20240607
PAIRS, POINTS, FEWEST = 200, 256, 6
"""Lines tried, points they are tried on, and points below which there is no line."""


@dataclass(frozen=True)
class Line:
    """y = origin + slope v."""

    origin: float
    slope: float


def line_through(v: Array, y: Array, error: Array, seed: int) -> Line | None:
    """The rising line within `error` of most of the points (v, y), all (m,); None where no pair of points rises.

    Lines through random pairs of points are compared by the points they pass; the best is fitted to those. With a
    fifth of the points on one line, 200 pairs miss it with probability 3e-4.
    """
    rng = np.random.default_rng(np.random.SeedSequence((SEED, seed)))
    if len(v) > POINTS:
        some = rng.choice(len(v), POINTS, replace=False)
        v, y, error = v[some], y[some], error[some]
    if len(v) < FEWEST:
        return None
    first, second = rng.integers(0, len(v), (2, PAIRS))
    run, rise = v[second] - v[first], y[second] - y[first]
    rising = (rise * run > 0.0) & (np.abs(rise) > 4.0 * (error[first] + error[second]))
    if not rising.any():
        return None
    slope = rise[rising] / run[rising]
    origin = y[first[rising]] - slope * v[first[rising]]
    passed = np.abs(y - origin[:, None] - slope[:, None] * v) <= 3.0 * error
    best = int(np.argmax(passed.sum(axis=1)))
    line = Line(float(origin[best]), float(slope[best]))
    for _ in range(2):
        near = np.abs(y - line.origin - line.slope * v) <= 3.0 * error
        spread = v[near] - v[near].mean() if near.any() else np.zeros(1)
        if near.sum() < 3 or not (spread**2).sum() > 0.0:
            break
        refined = float((spread * y[near]).sum() / (spread**2).sum())
        if refined <= 0.0:
            break
        line = Line(float(y[near].mean() - refined * v[near].mean()), refined)
    return line
