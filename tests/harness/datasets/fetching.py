"""Archives of a pair, and what the tests of fetching ask again and again."""

from __future__ import annotations

import hashlib
import io
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest

from harness.datasets._download import Patience
from harness.datasets._fetch import fetch
from harness.errors import BadInput
from tests.harness.datasets.file_server import FileServer
from tests.harness.pair_files import sentence

QUICK = Patience(silence=1.0, retries=3, pause=0.01)
ONCE = Patience(silence=1.0, retries=0)


def zipped(folders: dict[str, dict[str, bytes]]) -> bytes:
    """A zip of sc.h5ad and st.h5ad in each folder."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for folder, halves in folders.items():
            for half, data in halves.items():
                archive.writestr(f"{folder}{half}.h5ad", data)
    return content.getvalue()


def sums(*contents: bytes) -> list[str]:
    return [hashlib.sha256(content).hexdigest() for content in contents]


def both(server: FileServer) -> list[str]:
    return [f"{server.address}/sc.h5ad", f"{server.address}/st.h5ad"]


def left(folder: Path) -> set[str]:
    """What lies in a folder but the lock, which stays."""
    return {path.name for path in folder.rglob("*")} - {".mine.lock"} if folder.exists() else set()


def refusal(server: FileServer, folder: Path, urls: Any, patience: Patience = QUICK, **more: Any) -> str:
    with pytest.raises(BadInput) as caught:
        fetch("mine", urls, folder, patience=patience, **more)
    assert not (folder / "mine").exists()
    return sentence(caught.value)


def packed(name: str, entries: dict[str, bytes]) -> bytes:
    content = io.BytesIO()
    if name.endswith(".zip"):
        with zipfile.ZipFile(content, "w") as archive:
            for entry, data in entries.items():
                archive.writestr(entry, data)
    else:
        with tarfile.open(fileobj=content, mode="w" if name.endswith(".tar") else "w:gz") as archive_:
            for entry, data in entries.items():
                info = tarfile.TarInfo(f"./{entry}")
                info.size = len(data)
                archive_.addfile(info, io.BytesIO(data))
    return content.getvalue()
