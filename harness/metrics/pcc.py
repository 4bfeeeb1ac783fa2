"""PCC: Pearson correlation of truth and prediction over spots (eq. 24)."""

from __future__ import annotations

from . import Metric
from ._block import Block
from ._profiles import Floats


def pcc(block: Block) -> Floats:
    """cov(x, y) / (sd(x) sd(y)), within [-1, 1]; blind to the prediction's scale and offset."""
    return block.correlation


METRIC = Metric("pcc", version=1, higher_is_better=True, constant_prediction=0.0, function=pcc)
