"""What tests of the cluster and of searches share: a Ray on this machine."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from harness.cluster.connection import connected
from harness.cluster.resources import Resources


@pytest.fixture(scope="module")
def ray_here() -> Iterator[None]:
    """One local Ray for the module: starting it takes seconds, and a run uses the Ray it finds."""
    with connected(Resources()):
        yield
