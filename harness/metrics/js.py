"""JS: Jensen-Shannon divergence of truth and prediction as distributions over spots (eq. 27-29).

Natural logarithm, in [0, ln 2]; the divergence, not its square root. Negatives are clipped to 0 on either side; where
nothing positive is left the divergence is ln 2, as from any distribution with other support.
"""

from __future__ import annotations

import math

import numpy as np

from . import Metric
from ._block import Block
from ._profiles import TINY, Floats, Truth


def js(block: Block) -> Floats:
    """KL(p || m) / 2 + KL(q || m) / 2 with p = x / sum x, q = y / sum y, m = (p + q) / 2."""
    x = block.truth
    y = block.at_support * x.spread(x.total / block.prediction.total)
    np.maximum(y, TINY, out=y)
    return _divergence(x, y)


def js_flat(x: Truth) -> Floats:
    """(g,) JS between each gene's truth and a prediction that is the same at every spot."""
    return _divergence(x, x.spread(x.total / x.n_spots))


def _divergence(x: Truth, y: Floats) -> Floats:
    """JS from y at the truth's support, rescaled to the truth's total S and at least `TINY`.

    It is ln 2 + sum over spots of (x ln x + y ln y - (x + y) ln(x + y)) / 2S, and the term of a spot where x or y is 0
    vanishes: logarithms are needed only on the truth's support. With r = y / x the term is y ln r - (x + y) ln(1 + r),
    which takes two of them.
    """
    ratio = y / x.positive
    terms = np.log(ratio)
    terms *= y
    ratio += 1.0
    np.log(ratio, out=ratio)
    ratio *= y + x.positive
    terms -= ratio
    return np.clip(math.log(2.0) + x.reduced(np.add, terms) / (2.0 * x.total), 0.0, math.log(2.0))


METRIC = Metric("js", version=1, higher_is_better=False, constant_prediction=math.log(2.0), function=js)
