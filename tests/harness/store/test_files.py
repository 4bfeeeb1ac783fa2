"""Whole files or none, exclusive creation, one clock: the same on a folder and on an object store."""

from __future__ import annotations

import pickle
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from harness.errors import BadInput
from harness.store import Store, files_at
from harness.store.files import StoreFailed
from tests.object_store import SECRET


def test_what_is_written_is_read_listed_and_deleted(where: str) -> None:
    files = files_at(where)

    files.write("a/x.json", b"12345")
    files.write("a/y.json", b"1")
    files.write("a/z.parquet", b"")
    files.write("b/c/card.json", b"{}")

    assert files.sizes("a", ".json") == {"x": 5, "y": 1}
    assert files.sizes("none", ".json") == {}
    assert files.folders("b") == ["c"]
    assert files.folders("none") == []
    assert (files.read("a/x.json"), files.exists("a/x.json")) == (b"12345", True)
    files.delete("a/x.json")
    files.delete("a/x.json")
    assert not files.exists("a/x.json")
    assert files.name == where.rpartition("/")[2]


def test_a_missing_file_is_not_found(where: str) -> None:
    files = files_at(where)

    for act in (files.read, files.changed):
        with pytest.raises(FileNotFoundError):
            act("a/none.json")
    with pytest.raises(FileNotFoundError), files.opened("a/none.json"):
        pass


def test_what_another_writes_is_seen_at_once(where: str) -> None:
    mine, other = files_at(where), files_at(where)
    assert mine.sizes("a", ".json") == {}

    other.write("a/x.json", b"1")
    assert mine.sizes("a", ".json") == {"x": 1}
    other.write("a/x.json", b"22")

    assert mine.read("a/x.json") == b"22"
    other.delete("a/x.json")
    assert not mine.exists("a/x.json")


def test_of_many_who_create_a_file_one_does(where: str) -> None:
    several = [files_at(where) for _ in range(8)]

    with ThreadPoolExecutor(8) as threads:
        made = list(threads.map(lambda i: several[i].create("claims/t.json", str(i).encode()), range(8)))

    assert made.count(True) == 1
    assert several[0].read("claims/t.json") == str(made.index(True)).encode()


def test_a_file_that_is_not_written_to_the_end_is_not_there(where: str) -> None:
    files = files_at(where)
    files.write("c/old.pt", b"before")

    def interrupted(name: str) -> None:
        with files.writing(name) as file:
            file.write(b"half of it")
            raise ZeroDivisionError

    for name in ("c/new.pt", "c/old.pt"):
        with pytest.raises(ZeroDivisionError):
            interrupted(name)

    assert files.sizes("c", ".pt") == {"old": 6}
    assert files.read("c/old.pt") == b"before"


def test_a_file_may_be_written_in_parts_and_read_at_any_place(where: str) -> None:
    files = files_at(where)
    with files.writing("c/x.pt") as file:
        file.write(b"abc")
        file.write(b"def")

    with files.opened("c/x.pt") as file:
        file.seek(4)
        assert file.read() == b"ef"


def test_a_moved_file_is_there_once(where: str) -> None:
    files = files_at(where)
    files.write("a/x.json", b"1")

    files.move("a/x.json", "b/y.json")

    assert not files.exists("a/x.json")
    assert files.read("b/y.json") == b"1"


def test_a_file_of_the_store_can_be_given_to_what_reads_local_files_only(where: str) -> None:
    files = files_at(where)
    files.write("genes/x.parquet", b"rows")

    assert files.local("genes/x.parquet", files.read("genes/x.parquet")).read_bytes() == b"rows"


def test_a_later_write_has_a_later_time_by_the_stores_own_clock(where: str) -> None:
    files = files_at(where)
    files.write("a", b"")
    first = files.changed("a")
    files.write("b", b"")

    assert 0 <= files.changed("b") - first < 60


@pytest.mark.parametrize("name", ["../x", "/etc/x", "a/../../x", "", "a\\..\\x"])
def test_no_name_leaves_the_root(where: str, name: str) -> None:
    files = files_at(where)

    for act in (files.read, files.delete, lambda n: files.write(n, b""), lambda n: files.create(n, b"")):
        with pytest.raises(BadInput, match="inside the store"):
            act(name)


def test_a_store_travels_to_a_worker_without_its_secrets(where: str) -> None:
    store = Store(where)
    store.files.write("trials/x.json", b"{}")

    sent = pickle.dumps(store)

    assert SECRET.encode() not in sent
    assert pickle.loads(sent).done() == {"x"}


def test_a_uris_password_and_signature_are_in_no_name_and_no_message() -> None:
    store = Store("memory://me:hidden-password@host/S?sig=hidden-signature")

    assert "hidden" not in store.where
    with pytest.raises(BadInput) as refused:
        store.record("x" * 16)
    assert "hidden" not in str(refused.value)


def test_a_bucket_that_is_not_there_cannot_be_written(bucket: str) -> None:
    with pytest.raises(StoreFailed, match=r"cannot be written .*bucket"):
        files_at("s3://no-such-bucket/S").write("a", b"1")


def test_an_unknown_protocol_is_refused_in_one_sentence() -> None:
    with pytest.raises(BadInput, match="unknown protocol 'nowhere'"):
        Store("nowhere://bucket/S")


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
