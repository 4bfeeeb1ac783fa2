"""Whole files or none, exclusive creation, one clock: the same on a folder and on an object store."""

from __future__ import annotations

import errno
import os
import pickle
import re
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import cloudpickle
import pytest

from harness.errors import BadInput
from harness.store import Store, files_at, remote_files
from harness.store.files import Files, LocalFiles, StoreFailed
from tests.harness.store.test_trials import asked
from tests.s3 import SECRET

ROOT = Path(__file__).parents[3]


def test_what_is_written_is_read_listed_and_deleted(where: str) -> None:
    files = files_at(where)

    files.write("a/x.json", b"12345")
    files.write("a/y.json", b"1")
    files.write("a/z.parquet", b"")
    files.write("b/c/card.json", b"{}")

    assert files.sizes("a", ".json") == {"x": 5, "y": 1}
    assert files.sizes("none", ".json") == {}
    assert files.names("a", ".json") == ["x", "y"]
    assert files.names("none", ".json") == []
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


def test_of_many_threads_that_create_a_file_one_does(where: str) -> None:
    several = [files_at(where) for _ in range(4)] * 2

    with ThreadPoolExecutor(8) as threads:
        for name in [f"claims/{i}.json" for i in range(8)]:
            made = list(threads.map(lambda i, name=name: several[i].create(name, str(i).encode()), range(8)))

            assert made.count(True) == 1
            assert several[0].read(name) == str(made.index(True)).encode()


CREATES = """
import sys, time
from harness.store import files_at
files = files_at(sys.argv[1])
files.create(f"ready/{sys.argv[2]}", b"")
while not files.exists("go"):
    time.sleep(0.001)
print(*[int(files.create(f"claims/{i}", sys.argv[2].encode())) for i in range(20)])
"""


@pytest.mark.parametrize("count", [2, pytest.param(8, marks=pytest.mark.slow)])
def test_of_many_processes_that_create_a_file_one_does(where: str, count: int) -> None:
    words = [sys.executable, "-c", CREATES, where]
    several = [subprocess.Popen([*words, str(i)], stdout=subprocess.PIPE, cwd=ROOT) for i in range(count)]
    files = files_at(where)
    while len(files.sizes("ready", "")) < count:
        assert all(each.poll() is None for each in several)
        time.sleep(0.01)

    files.write("go", b"")

    made = [[int(word) for word in each.communicate()[0].split()] for each in several]
    assert [sum(each) for each in zip(*made, strict=True)] == [1] * 20


def test_a_storage_that_heeds_no_conditions_is_refused_before_anything_is_claimed(
    bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import s3fs

    put = s3fs.S3FileSystem._pipe_file

    async def heedless(self: s3fs.S3FileSystem, path: str, data: bytes, **more: object) -> object:
        return await put(self, path, data, **{**more, "mode": "overwrite"})  # as s3fs before 2024.12

    monkeypatch.setattr(s3fs.S3FileSystem, "_pipe_file", heedless)
    files = files_at(f"{bucket}/heedless")
    files.write("claims/there.json", b"another's")

    for name in ("t", "there", "there"):
        with pytest.raises(BadInput, match=r"s3://bucket/heedless writes over a file though told not to"):
            files.create(f"claims/{name}.json", b"mine")
    assert files.sizes("claims", "") == {"there.json": 9}
    assert files.read("claims/there.json") == b"another's"


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

    for sent in (pickle.dumps(store), cloudpickle.dumps(store)):  # by the standard library, and as Ray does
        assert SECRET.encode() not in sent
        assert pickle.loads(sent).done() == {"x"}
        assert pickle.loads(sent).where == store.where


@pytest.mark.parametrize(
    "uri",
    [
        "memory://me:hidden-password@host/S",
        "memory://host/S?sig=hidden-signature",
        "s3://key:hidden-secret@bucket/S",  # s3fs takes all of it for the bucket's name, and says it
    ],
)
def test_a_uri_with_a_password_or_a_signature_is_refused_without_a_word_of_it(uri: str) -> None:
    with pytest.raises(BadInput, match="the login where its library looks for it") as refused:
        Store(uri)

    assert "hidden" not in str(refused.value)


def test_a_user_in_a_uri_is_in_no_name_and_no_message() -> None:
    store = Store("memory://hidden-user@host/S")

    assert "hidden" not in store.where
    with pytest.raises(BadInput) as refused:
        store.record("x" * 16)
    assert "hidden" not in str(refused.value)


def test_a_web_address_is_refused() -> None:
    with pytest.raises(BadInput, match="is a web address, where nothing can be written"):
        Store("https://host/S")


def test_a_bucket_that_is_not_there_cannot_be_written(bucket: str) -> None:
    files = files_at("s3://no-such-bucket/S")

    for act in (lambda: files.write("a", b"1"), lambda: files.create("a", b"1"), lambda: parts(files, b"1")):
        with pytest.raises(StoreFailed, match=r"^The store cannot be written \(s3://no-such-bucket/S/a\): .*\.$"):
            act()


def parts(files: Files, data: bytes) -> None:
    with files.writing("a") as file:
        file.write(data)


def test_a_server_that_has_stopped_is_one_sentence_and_no_reason_to_delete_anything(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pytest.importorskip("s3fs")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    for name, value in {"ENDPOINT_URL": f"http://127.0.0.1:{port}", "ACCESS_KEY_ID": "k", "SECRET_ACCESS_KEY": SECRET,
                        "DEFAULT_REGION": "us-east-1", "MAX_ATTEMPTS": "1"}.items():  # fmt: skip
        monkeypatch.setenv(f"AWS_{name}", value)
    monkeypatch.setattr(remote_files, "TRIES", 1)
    store = Store("s3://bucket/S")

    with pytest.raises(StoreFailed, match=r"^The store cannot be written \(s3://bucket/S/a\): .*\.$") as failed:
        store.files.write("a", b"1")
    said = [str(failed.value)]
    reads = (store.done, lambda: store.record("x"), lambda: store.files.changed("a"), store.asked, store.unfinished)
    for read in (*reads, lambda: store.put_asked(asked())):
        with pytest.raises(BadInput, match=r"s3://bucket/S.* cannot be reached") as unreached:
            read()
        said.append(str(unreached.value))
    for text in said:
        assert SECRET not in text
        assert not re.search("delete|this version|damaged", text)


def test_a_server_that_words_its_refusal_differently_has_still_refused(bucket: str) -> None:
    files = files_at(f"{bucket}/worded")
    files.create("a", b"1")
    refusal = pytest.importorskip("botocore.exceptions").ClientError({"Error": {"Code": "PreconditionFailed"}}, "Put")

    def put(*_: object, **__: object) -> None:
        raise OSError(errno.EINVAL, "no") from refusal

    files._fs.pipe_file = put  # type: ignore[attr-defined]

    assert files.create("a", b"2") is False
    assert files.read("a") == b"1"


def test_an_unknown_protocol_is_refused_in_one_sentence() -> None:
    with pytest.raises(BadInput, match="unknown protocol 'nowhere'"):
        Store("nowhere://bucket/S")


def test_a_part_that_a_killed_process_has_left_is_no_file(tmp_path: Path) -> None:
    code = (
        "import os, sys\nfrom harness.store import files_at\n"
        "with files_at(sys.argv[1]).writing('trials/x.json') as file:\n"
        "    file.write(b'{}')\n    file.flush()\n    os.kill(os.getpid(), 9)\n"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False, cwd=ROOT)

    assert len(list((tmp_path / "trials").iterdir())) == 1
    assert Store(tmp_path).done() == set()


def test_what_goes_while_it_is_listed_hides_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = files_at(tmp_path)
    for name in "abc":
        files.write(f"trials/{name}.json", b"1")
    real = os.scandir

    @contextmanager
    def scandir(path: Path) -> Iterator[list[os.DirEntry[str]]]:
        with real(path) as entries:
            listed = list(entries)
        (tmp_path / "trials/b.json").unlink()
        yield listed

    monkeypatch.setattr(os, "scandir", scandir)

    assert files.sizes("trials", ".json") == {"a": 1, "c": 1}


def test_others_may_do_with_a_file_what_the_umask_allows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def asked_for(mask: int) -> int:
        raise AssertionError("asking for it sets it, for all threads, and two that do so at once leave it changed")

    files, before = files_at(tmp_path), os.umask(0o002)
    try:
        with monkeypatch.context() as patch:
            patch.setattr(os, "umask", asked_for)
            files.write("a/written", b"")
            files.create("a/created", b"")
    finally:
        os.umask(before)

    assert {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "a").iterdir()} == {0o664}


def test_a_folder_is_no_file_of_a_listing_and_a_file_no_folder(where: str) -> None:
    files = files_at(where)
    files.write("a/x.json/y", b"")
    files.write("a/z.json", b"")

    assert files.sizes("a", ".json") == {"z": 0}
    assert files.folders("a") == ["x.json"]


def test_what_is_moved_and_not_there_is_not_found(where: str) -> None:
    with pytest.raises(FileNotFoundError):
        files_at(where).move("a/none", "b/none")


class Deleted:
    """An entry of a listing whose file has gone since it was listed."""

    def __init__(self, entry: os.DirEntry[str]) -> None:
        self.name, self.is_file = entry.name, entry.is_file

    def stat(self) -> os.stat_result:
        raise FileNotFoundError(self.name)


def test_names_are_those_of_one_moment_and_sizes_of_what_is_still_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = LocalFiles(tmp_path)
    files.write("packs/old.parquet", b"old")
    scandir = os.scandir

    @contextmanager
    def listed(path: Path) -> Iterator[list[Deleted]]:
        with scandir(path) as entries:
            yield [Deleted(entry) for entry in entries]

    monkeypatch.setattr(os, "scandir", listed)

    # A reader that lost it here would see neither it nor what a compaction has put in its place.
    assert files.names("packs", ".parquet") == ["old"]
    assert files.sizes("packs", ".parquet") == {}
