from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray


@pytest.fixture
def sample() -> tuple[NDArray[Any], NDArray[Any]]:
    """(301 spots, 41 genes) float32: log-normalised sparse truth, dense prediction with some negative values."""
    rng = np.random.default_rng(3)
    counts = rng.poisson(rng.gamma(1.0, rng.gamma(1.0, 0.5, 41) + 0.1, (301, 41)))
    truth = np.log1p(counts / rng.gamma(5.0, 0.2, (301, 1))).astype(np.float32)
    prediction = (0.4 * truth + rng.normal(0.5, 0.3, truth.shape)).astype(np.float32)
    return truth, prediction
