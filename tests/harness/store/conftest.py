"""Where a store may lie: every test of files and stores runs on a local folder and on an object store."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

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
