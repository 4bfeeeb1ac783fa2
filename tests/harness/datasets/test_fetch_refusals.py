"""What fetching refuses: hostile and useless archives, bad halves, unusable addresses; and nothing of them stays."""

from __future__ import annotations

import io
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest

from harness.datasets._fetch import fetch
from harness.errors import BadInput
from tests.harness.datasets.fetching import both, left, refusal, zipped
from tests.harness.datasets.file_server import FileServer
from tests.harness.pair_files import sentence


def hostile_tar(kind: str) -> bytes:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as archive:
        info = tarfile.TarInfo({"absolute": "/tmp/escaped", "above": "a/../../escaped"}.get(kind, "link"))
        if kind in ("symlink", "hardlink", "device"):
            info.type = {"symlink": tarfile.SYMTYPE, "hardlink": tarfile.LNKTYPE, "device": tarfile.CHRTYPE}[kind]
            info.linkname = "/etc/passwd"
        archive.addfile(info)
    return content.getvalue()


def hostile_zip(kind: str) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        entry = zipfile.ZipInfo({"absolute": "/tmp/escaped", "above": "../escaped"}.get(kind, "link"))
        if kind == "symlink":
            entry.external_attr = 0o120777 << 16
        if kind == "backslash":
            entry.filename = "..\\escaped"
        if kind == "drive":
            entry.filename = "C:/escaped"
        archive.writestr(entry, b"/etc/passwd")
    return content.getvalue()


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        *[("a.tar", hostile_tar(kind), "may leave the folder") for kind in ("absolute", "above")],
        *[("a.tar", hostile_tar(kind), "a link or device") for kind in ("symlink", "hardlink", "device")],
        *[("a.zip", hostile_zip(kind), "may leave the folder") for kind in ("absolute", "above", "backslash", "drive")],
        ("a.zip", hostile_zip("symlink"), "a link or device"),
        ("a.zip", b"no archive", "is damaged or cannot be unpacked"),
        ("a.tgz", b"no archive", "is damaged or cannot be unpacked"),
        ("a.zip", zipped({"": {}}), "holds no pair but nothing"),
        ("a.zip", zipped({"": {"other": b"x"}}), "holds no pair but other.h5ad"),
        ("a.zip", zipped({"a/": {"sc": b"x"}, "b/": {"sc": b"x"}}), "several pairs (a, b)"),
        ("a.zip", zipped({"": {"sc": b"x"}}), "holds no st half"),
        ("a.zip", zipped({"": {"sc": b"x", "st": b"x"}}), "no pair that can be used: sc.h5ad is no HDF5 file"),
    ],
    # Bytes as ids would hold the second at which an archive was made, and two workers would collect different tests.
    ids=lambda value: f"{len(value)} bytes" if isinstance(value, bytes) else value,
)
def test_an_archive_that_is_hostile_damaged_or_no_pair_leaves_nothing(
    name: str, content: bytes, words: str, server: FileServer, tmp_path: Path
) -> None:
    server.files[f"/{name}"] = content
    assert words in refusal(server, tmp_path / "data", f"{server.address}/{name}")
    assert left(tmp_path) == {"data"}
    assert not (tmp_path / "escaped").exists()


def test_an_archive_that_unpacks_to_too_much_is_refused(server: FileServer, tmp_path: Path) -> None:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("sc.h5ad", bytes(10**7))
    server.files["/bomb.zip"] = content.getvalue()
    text = refusal(server, tmp_path, f"{server.address}/bomb.zip", largest=10**6)
    assert "unpacks to more than is allowed" in text
    assert left(tmp_path) == set()


def test_a_bad_half_is_refused_before_the_pair_appears(server: FileServer, tmp_path: Path) -> None:
    server.files["/st.h5ad"] = b"<html>please log in</html>"
    assert "no pair that can be used: st.h5ad is no HDF5 file" in refusal(server, tmp_path, both(server))
    assert left(tmp_path) == set()


def test_a_pair_that_is_there_is_not_fetched_over(server: FileServer, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    with pytest.raises(BadInput, match="mine is there already"):
        fetch("mine", both(server), tmp_path)
    assert server.asked == []


@pytest.mark.parametrize(
    ("name", "urls", "sha256", "words"),
    [
        ("../mine", ["http://h/a.zip"], (), "cannot name a dataset"),
        ("pbmc_tissue", ["http://h/a.zip"], (), "bundled"),
        ("mine", [], (), "the URLs name nothing"),
        ("mine", ["http://h/sc.h5ad"], (), "one archive"),
        ("mine", ["http://h/sc.h5ad", "http://h/data.h5ad"], (), "'data.h5ad'"),
        ("mine", ["http://h/a_sc.h5ad", "http://h/b_sc.csv"], (), "one archive"),
        ("mine", ["http://h/a.zip", "http://h/b.zip"], (), "one archive"),
        ("mine", ["ftp://me:hunter2@h/a.zip"], (), "'ftp://' cannot be fetched"),
        ("mine", ["https://me:hun/ter2@h/a.zip"], (), "'https://' cannot be fetched"),
        ("mine", ["http:///a.zip"], (), "cannot be fetched"),
        ("mine", ["http://h/a.zip"], ["0" * 63], "64 hexadecimal digits"),
        ("mine", ["http://h/a.zip"], ["0" * 64] * 2, "2 SHA-256 sums for 1 URLs"),
    ],
)
def test_what_cannot_be_fetched_is_refused_before_anything_is_asked(
    name: str, urls: list[str], sha256: Any, words: str, tmp_path: Path
) -> None:
    with pytest.raises(BadInput) as caught:
        fetch(name, urls, tmp_path, sha256)
    assert words in sentence(caught.value)
    assert "hunter2" not in str(caught.value)
    assert "ter2" not in str(caught.value)
    assert left(tmp_path) == set()


def test_a_folder_elsewhere_or_that_cannot_be_written_is_refused(server: FileServer, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="is not local"):
        fetch("mine", both(server), "memory://data")
    (tmp_path / "file").touch()
    with pytest.raises(BadInput, match="cannot be written"):
        fetch("mine", both(server), tmp_path / "file")
