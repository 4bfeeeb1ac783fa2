"""Two halves of a pair, and a server that has them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.harness.datasets.fetching import zipped
from tests.harness.datasets.file_server import FileServer, serving
from tests.harness.pair_files import read


@pytest.fixture(scope="module")
def halves(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("halves")
    read(folder)
    return {half: (folder / f"{half}.h5ad").read_bytes() for half in ("sc", "st")}


@pytest.fixture
def server(halves: dict[str, bytes], monkeypatch: pytest.MonkeyPatch) -> Iterator[FileServer]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    files = {"/sc.h5ad": halves["sc"], "/st.h5ad": halves["st"], "/pair.zip": zipped({"mine/": halves})}
    with serving(FileServer(files)) as served:
        yield served
