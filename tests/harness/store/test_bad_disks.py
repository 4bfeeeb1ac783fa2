"""A disk that is full, read-only or gone is a failure of the store, in one sentence and with nothing half written."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from harness.store import files_at
from harness.store.files import StoreFailed

ROOT = Path(__file__).parents[3]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of one megabyte."""
    folder = tmp_path / "disk"
    folder.mkdir()
    try:
        made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)], capture_output=True)
    except FileNotFoundError:
        pytest.skip("there is no mount here")
    if made.returncode:
        pytest.skip("a file system cannot be mounted here")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_full_disk_is_one_sentence_and_leaves_what_was_there(small_disk: Path) -> None:
    files = files_at(small_disk)
    files.write("a/x", b"before")

    with pytest.raises(StoreFailed, match="there is no room left"):
        files.write("a/x", bytes(2**21))

    assert files.read("a/x") == b"before"
    assert [path.name for path in (small_disk / "a").iterdir()] == ["x"]


def test_a_read_only_file_system_is_one_sentence(small_disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    files = files_at(small_disk)

    for act in (lambda: files.write("x", b""), lambda: files.create("x", b""), lambda: files.write("a/x", b"")):
        with pytest.raises(StoreFailed, match="read-only"):
            act()


def test_what_cannot_be_created_on_a_full_disk_is_not_there(small_disk: Path) -> None:
    files = files_at(small_disk)
    with suppress(OSError):
        (small_disk / "all of it").write_bytes(bytes(2**21))

    with pytest.raises(StoreFailed, match="there is no room left"):
        files.create("x.json", b"1" * 2**12)

    assert not files.exists("x.json")


def test_a_full_temporary_folder_is_a_failure_of_the_store_and_not_of_the_trial(
    small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(small_disk))

    with pytest.raises(StoreFailed, match="there is no room left"), files_at("memory://host/S").writing("a") as file:
        file.write(bytes(2**21))

    assert list(small_disk.iterdir()) == []


def test_a_folder_that_goes_while_it_is_written_to_is_a_failure_of_the_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = files_at(tmp_path / "S")
    monkeypatch.setattr(Path, "mkdir", lambda *_, **__: None)  # what it had made has gone again

    for act in (lambda: files.write("a/x", b""), lambda: files.create("a/x", b"")):
        with pytest.raises(StoreFailed, match="cannot be written"):
            act()


def test_a_folder_that_its_system_cannot_sync_is_written_to_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.fsync

    def fsync(handle: int) -> None:
        if stat.S_ISDIR(os.fstat(handle).st_mode):
            raise OSError(errno.EINVAL, "Invalid argument")
        real(handle)

    monkeypatch.setattr(os, "fsync", fsync)
    files_at(tmp_path).write("a/x", b"1")

    assert files_at(tmp_path).read("a/x") == b"1"
