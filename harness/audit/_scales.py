"""Scales on which copies of a truth may have been written."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ._evidence import Array

CEILING = 50.0
"""Exponents are cut here: whatever is larger is no logarithm of expression."""


@dataclass(frozen=True)
class Scale:
    """`of` x and the spots' units u, its inverse `back`, and the inverse's slope."""

    name: str
    of: Callable[[Array, Array], Array]
    back: Callable[[Array, Array], Array]
    slope: Callable[[Array, Array], Array]


def raised(v: Array) -> Array:
    """exp(v) - 1, cut at `CEILING`."""
    return np.expm1(np.minimum(v, CEILING))


def _exp(v: Array) -> Array:
    return np.exp(np.minimum(v, CEILING))


PLAIN = Scale("as they are", lambda x, u: x, lambda v, u: v, lambda v, u: np.ones_like(v))
LOGGED = Scale("log1p", lambda x, u: np.log1p(x), lambda v, u: raised(v), lambda v, u: _exp(v))
SCALED = Scale("scaled per spot", lambda x, u: x * u, lambda v, u: v / u, lambda v, u: np.ones_like(v) / u)
LOGNORM = Scale("log-normalised", lambda x, u: np.log1p(x * u), lambda v, u: raised(v) / u, lambda v, u: _exp(v) / u)
TWICE = Scale(
    "log1p of log-normalised",
    lambda x, u: np.log1p(np.log1p(x * u)),
    lambda v, u: raised(raised(v)) / u,
    lambda v, u: _exp(v) * _exp(raised(v)) / u,
)


def scales(kind: str, x: Array) -> tuple[Scale, ...]:
    """Where copies of a truth of that kind (see `Measured`) are looked for."""
    if kind == "counts":
        return PLAIN, LOGGED
    if kind == "values":
        return (PLAIN, LOGGED) if x.min() > -1.0 else (PLAIN,)
    return PLAIN, LOGGED, SCALED, LOGNORM, TWICE
