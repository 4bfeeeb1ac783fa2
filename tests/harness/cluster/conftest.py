"""What tests of the cluster share: the tiny pair as trials get it."""

from __future__ import annotations

import pytest

from harness.pair import PairedSample
from harness.protocol import Prepared, Protocol, prepare


@pytest.fixture(scope="module")
def data(tiny: PairedSample) -> Prepared:
    """The tiny pair under the protocol."""
    return prepare(tiny, Protocol())
