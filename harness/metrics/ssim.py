"""SSIM: structural similarity of truth and prediction (eq. 25), as every published benchmark computes it.

One window over all spots (there is no spatial structure in it), each gene divided by its own maximum on either side,
dynamic range L = 1, population moments, both constants squared.
"""

from __future__ import annotations

import numpy as np

from . import Metric
from ._block import Block
from ._profiles import Floats

C1 = 0.01**2
C2 = 0.03**2


def ssim(block: Block) -> Floats:
    """(2 mx my + C1)(2 cov + C2) / ((mx^2 + my^2 + C1)(vx + vy + C2)), at most 1.

    0 where a maximum is not positive, on either side: there is nothing to divide by. A log-normalised truth that
    varies has a positive maximum; one declared with negative values may not, and then no method gains from that gene.
    """
    x, y = block.truth, block.prediction
    scalable = (x.maximum > 0.0) & (y.maximum > 0.0)
    x_max = np.where(scalable, x.maximum, 1.0)
    y_max = np.where(scalable, y.maximum, 1.0)
    x_mean, y_mean = x.mean / x_max, y.mean / y_max
    luminance = (2.0 * x_mean * y_mean + C1) / (x_mean**2 + y_mean**2 + C1)
    variances = x.variance / x_max**2 + y.variance / y_max**2
    structure = (2.0 * block.covariance / (x_max * y_max) + C2) / (variances + C2)
    return np.where(scalable, luminance * structure, 0.0)


METRIC = Metric("ssim", version=1, higher_is_better=True, constant_prediction=0.0, function=ssim)
