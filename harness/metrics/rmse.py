"""RMSE: root mean squared difference of the z-scores of truth and prediction over spots (eq. 26)."""

from __future__ import annotations

import math

import numpy as np

from . import Metric
from ._block import Block
from ._profiles import Floats

NEAR = 1e-6
"""Below this, 2 (1 - PCC) has lost the digits that its root needs, and the difference is taken directly."""


def rmse(block: Block) -> Floats:
    """sqrt(2 (1 - PCC)), in [0, 2]: the identity for z-scores with population moments, so it ranks as PCC does."""
    squared = 2.0 * (1.0 - block.correlation)
    near = squared < NEAR
    if near.any():
        z, w = (p.centred(near) / p.sd[near, None] for p in (block.truth, block.prediction))
        squared[near] = ((z - w) ** 2).mean(axis=1)
    return np.sqrt(squared)


METRIC = Metric("rmse", version=1, higher_is_better=False, constant_prediction=math.sqrt(2.0), function=rmse)
