"""Where a store may lie: every test of files and stores runs on a local folder and on an object store."""

from __future__ import annotations

import itertools
import os
import shutil
import uuid
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.harness.store.packed import SIX, compact_only, odd
from tests.reports.stores import build
from tests.s3 import serving


@pytest.fixture(scope="session")
def bucket() -> Iterator[str]:
    """URI of a bucket of an S3 on loopback."""
    if find_spec("moto") is None or find_spec("s3fs") is None:
        pytest.skip("moto or s3fs is not installed; pip install -e '.[test]' brings both")
    with serving():
        yield "s3://bucket"


@pytest.fixture(params=["local", "s3"])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A place for a store in which nothing is yet."""
    if request.param == "local":
        return str(tmp_path / "S")
    return f"{request.getfixturevalue('bucket')}/{uuid.uuid4().hex}"


@pytest.fixture
def unsynced(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a power cut would lose is not asked here; to wait for the disk takes most of the time."""
    monkeypatch.setattr(os, "fsync", lambda handle: None)


@pytest.fixture
def half(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of six trials and an odd one, of which three were packed already, in two steps."""
    root = tmp_path_factory.mktemp("half")
    store = build(root, SIX)
    odd(store)
    small = [p for p in sorted(root.glob("trials/*")) if p.stem != "f" * 16]
    compact_only(store, [small[0], small[1]])
    compact_only(store, [small[2]])
    assert len(store.packs.ids()) == 3
    return root


@pytest.fixture
def copies(half: Path, tmp_path: Path) -> Iterator[Path]:
    """As many copies of it as are asked for."""
    return (Path(shutil.copytree(half, tmp_path / str(n))) for n in itertools.count())
