"""The truth as the audit reads it: counts where they can be recovered, else values as given."""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace

import numpy as np

from ._evidence import Array
from ._lattices import FEWEST_ROWS, STORED, Lattices, others_divisor, recovered, tolerance
from ._mixtures import widening
from ._scales import raised

ALIKE = 0.7
"""Share of spots whose unit must stay the same when the prediction's values join the truth's."""
FEW, USUAL = 3, 1.4
"""Other non-zero values below which a spot's unit may not exceed this multiple of the usual one."""


@dataclass(frozen=True, eq=False)
class Measured:
    """What is held against the prediction.

    x: (n, g) counts, or the truth as given where `kind` is "values".
    judged: (n, g) whether an entry can be judged. unit: (n,) the truth's linear value of one count at a spot.
    kind: "counts" (raw), "logged counts" (log1p(x unit)), "scaled counts" (x unit) or "values".
    """

    x: Array
    judged: Array
    unit: Array
    kind: str

    @functools.cached_property
    def broken(self) -> Array:
        """How far these counts themselves break the bound of Poisson mixtures (see `widening`)."""
        return widening(self.x, self.judged)

    def only(self, genes: Array) -> Measured:
        """The same, but none of the genes for which `genes` (g,) is False is judged."""
        return replace(self, judged=self.judged & genes)


def measured(truth: Array, prediction: Array) -> Measured:
    """Raw counts, counts recovered spot by spot, or values; (n, g) both.

    The unit of a spot must not be read off the entry it is used for: that entry would then be known to be a multiple
    of it. So an entry is judged only if the other entries of its spot give the same unit, that is, if their counts
    have no common divisor. Where the prediction lies on the truth's own lattice (another measurement, normalised by
    the same factors), its values help to find the unit: a function of the prediction is always allowed.
    """
    if truth.min() >= 0.0:
        if (truth == np.rint(truth)).all():
            return Measured(truth, np.ones(truth.shape, dtype=bool), np.ones(len(truth)), "counts")
        for kind in ("logged counts", "scaled counts"):
            values, error = linear(truth, kind)
            own = recovered(values, error)
            both = _together(values, error, own, *linear(np.maximum(prediction, 0.0), kind))
            if both is not None:
                genes = truth.shape[1]
                judged = (others_divisor(both.counts)[:, :genes] == 1) & both.found[:, None]
                return Measured(both.counts[:, :genes], judged, both.unit, kind)
            if own is not None:
                return Measured(own.counts, _told_apart(own), own.unit, kind)
    return Measured(truth, np.ones(truth.shape, dtype=bool), np.ones(len(truth)), "values")


def linear(values: Array, kind: str, stored: float = STORED) -> tuple[Array, Array]:
    """Values (n, g) before the logarithm, if `kind` has one, and how exactly they are known."""
    error = tolerance(values, stored)
    if kind != "logged counts":
        return values, error
    return raised(values), error * (raised(values) + 1.0)


def _together(values: Array, error: Array, own: Lattices | None, guess: Array, guess_error: Array) -> Lattices | None:
    """The lattices of truth and prediction together, or None where the two do not share them."""
    telling = (values > 0).sum(axis=1) >= 2
    if own is None and telling.sum() >= FEWEST_ROWS:
        return None  # the truth lies on none
    both = recovered(np.hstack([values, guess]), np.hstack([error, guess_error]))
    if both is None or own is None:
        return both
    telling &= own.sure & both.found
    same = np.isclose(own.unit[telling], both.unit[telling], rtol=1e-3)
    return both if len(same) and same.mean() >= ALIKE else None


def _told_apart(own: Lattices) -> Array:
    """(n, g) entries whose unit the other entries of the spot tell.

    Few others may all be multiples of 2, say, and their unit then comes out twice too large; so it must not be larger
    than usual, the usual one being the median in which a spot with many values counts more.
    """
    positive = own.counts > 0
    others = positive.sum(axis=1, keepdims=True) - positive
    order = np.argsort(own.unit, kind="stable")
    weight = np.cumsum((np.where(own.found, positive.sum(axis=1), 0.0) ** 2)[order])
    usual = own.unit[order][np.searchsorted(weight, 0.5 * weight[-1])]
    told = (others >= FEW) | (own.unit <= USUAL * usual)[:, None]
    return told & own.found[:, None] & (others_divisor(own.counts) == 1)
