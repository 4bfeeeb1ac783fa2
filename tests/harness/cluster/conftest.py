"""What tests of the cluster share: a Ray on this machine, and the tiny pair as trials get it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from harness.cluster.connection import connected
from harness.cluster.resources import Resources
from harness.pair import PairedSample
from harness.protocol import Prepared, Protocol, prepare


@pytest.fixture(scope="module")
def ray_here() -> Iterator[None]:
    """One local Ray for the module: starting it takes seconds, and a run uses the Ray it finds."""
    with connected(Resources()):
        yield


@pytest.fixture(scope="module")
def data(tiny: PairedSample) -> Prepared:
    """The tiny pair under the protocol."""
    return prepare(tiny, Protocol())
