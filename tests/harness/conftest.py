"""What tests of the harness share: a Ray on this machine, and a folder of data."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.cluster.connection import connected
from harness.cluster.resources import Resources
from harness.datasets.simulated import simulate, write_pair


@pytest.fixture(scope="module")
def ray_here() -> Iterator[None]:
    """One local Ray for the module: starting it takes seconds, and a run uses the Ray it finds."""
    with connected(Resources()):
        yield


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with one small simulated pair."""
    folder = tmp_path_factory.mktemp("data")
    write_pair(simulate(60, 80, 30, seed=1, name="small"), folder)
    return folder


@pytest.fixture
def own(pairs: Path, tmp_path: Path) -> Path:
    """A copy of that folder, to be spoilt."""
    shutil.copytree(pairs, tmp_path / "D")
    return tmp_path / "D"
