"""Data at a URI: read as if it were local, and every way of not reaching it is one sentence without a secret."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import fsspec
import pytest

from harness.datasets import listing, load, present
from harness.errors import BadInput
from harness.pair import read_pair
from harness.reading.tables import read_table
from harness.reading.uri import located, opened, several, shown, without_secrets
from tests.harness.pair_files import pair, read, sentence
from tests.harness.test_pair_forms import frame, write_beside, write_half


@pytest.fixture
def memory() -> Iterator[Any]:
    files = fsspec.filesystem("memory")
    yield files
    files.store.clear()
    files.pseudo_dirs[:] = [""]


@pytest.fixture
def web(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a server of `tmp_path`."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(SimpleHTTPRequestHandler, directory=str(tmp_path)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def refusal(given: Any, *args: Any) -> str:
    with pytest.raises(BadInput) as caught:
        given(*args)
    return sentence(caught.value)


def test_local_paths_stay_plain_paths() -> None:
    for given in ("a/b.csv", "/a/b.csv", Path("/a/b.csv")):
        assert type(located(given)) is type(Path())
        assert located(given) == Path(given)
    assert located("file:///a%20b/c") == located("file://localhost/a%20b/c") == Path("/a b/c")
    assert type(located("file:///a/b")) is type(Path())


def test_a_local_pair_needs_no_package_for_uris(tmp_path: Path) -> None:
    read(tmp_path)
    code = (
        "import sys, harness.pair as p; p.read_pair('s', 'sc.h5ad', 'st.h5ad'); import harness.datasets as d; "
        "d.listing(); print([m for m in ('upath', 'fsspec', 'pandas', 'requests', 'pooch') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_pair_in_memory_is_the_pair_on_disk(tmp_path: Path, memory: Any) -> None:
    read(tmp_path)
    memory.put(str(tmp_path) + "/", "/bucket/data/mine/", recursive=True)
    sample = read_pair("sample", "memory://bucket/data/mine/sc.h5ad", "memory://bucket/data/mine/st.h5ad")
    assert sample.id == pair().id
    folder = located("memory://bucket/data")
    assert load("mine", [folder]).id == load("mine", [folder / "mine"]).id == pair().id
    assert present("mine", [folder]).where == "memory://bucket/data/mine"


@pytest.mark.parametrize("layout", ["{half}{form}", "{half}/mine_{half}{form}"])
@pytest.mark.parametrize("form", [".h5", ".csv.gz", ".tsv"])
def test_every_form_and_layout_is_found_and_read_at_a_uri(layout: str, form: str, tmp_path: Path, memory: Any) -> None:
    for half in ("sc", "st"):
        write_half(tmp_path / "mine" / layout.format(half=half, form=form), half)
    write_beside(tmp_path / "mine")
    memory.put(f"{tmp_path}/mine/", "/bucket/mine/", recursive=True)
    folder = located("memory://bucket/")
    assert [entry.name for entry in listing([folder]) if entry.present] == ["pbmc_tissue", "mine"]
    assert load("mine", [folder]).id == pair().id


def test_a_stores_marker_of_a_folder_is_no_file_in_it(
    tmp_path: Path, memory: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    read(tmp_path)
    memory.put(str(tmp_path) + "/", "/bucket/mine/", recursive=True)
    plain = type(memory).ls

    def marked(self: Any, path: str, **more: Any) -> list[dict[str, Any]]:
        return [{"name": f"{path.rstrip('/')}/", "type": "file", "size": 0}, *plain(self, path, **more)]

    monkeypatch.setattr(type(memory), "ls", marked)
    assert load("mine", [located("memory://bucket")]).id == pair().id


def test_predictions_are_read_from_a_uri(tmp_path: Path, memory: Any) -> None:
    frame("st").astype(float).to_parquet(tmp_path / "p.parquet")
    memory.put(str(tmp_path / "p.parquet"), "/p.parquet")
    assert read_table("memory://p.parquet").columns == read_table(tmp_path / "p.parquet").columns


def test_what_is_missing_damaged_or_ambiguous_at_a_uri_is_named(tmp_path: Path, memory: Any) -> None:
    read(tmp_path)
    memory.put(str(tmp_path) + "/", "/mine/", recursive=True)
    memory.pipe("/bad.h5ad", b"no HDF5 at all")
    memory.pipe("/cut.h5ad", (tmp_path / "st.h5ad").read_bytes()[:9000])
    memory.pipe("/half/sc.csv", b",A\nx,1\n")
    sc = "memory://mine/sc.h5ad"
    assert "memory://none.h5ad does not exist" in refusal(read_pair, "s", sc, "memory://none.h5ad")
    assert "memory://none.csv does not exist" in refusal(read_pair, "s", sc, "memory://none.csv")
    assert "memory://bad.h5ad is no HDF5 file" in refusal(read_pair, "s", sc, "memory://bad.h5ad")
    assert "memory://cut.h5ad is damaged or cut short" in refusal(read_pair, "s", sc, "memory://cut.h5ad")
    assert "memory://none does not exist" in refusal(listing, [located("memory://none")])
    assert "memory://bad.h5ad is a file" in refusal(listing, [located("memory://bad.h5ad")])
    assert "memory://half has no st.h5ad" in refusal(load, "half", [located("memory://")])


def test_an_unknown_protocol_and_a_missing_package_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "the unknown protocol 'nowhere'" in refusal(located, "nowhere://x/sc.h5ad")
    monkeypatch.setitem(sys.modules, "gcsfs", None)
    assert "expected gcsfs, so run pip install gcsfs" in refusal(read_pair, "s", "gs://bucket/sc.h5ad", "st.h5ad")


def test_a_file_over_http_is_read_or_its_package_is_named(tmp_path: Path, web: str) -> None:
    read(tmp_path)
    addresses = (f"{web}/sc.h5ad", f"{web}/st.h5ad?version=1")
    if importlib.util.find_spec("aiohttp") is None:
        assert "expected aiohttp, so run pip install aiohttp" in refusal(read_pair, "s", *addresses)
    else:
        assert read_pair("s", *addresses).id == pair().id
        assert "none.h5ad does not exist" in refusal(read_pair, "s", f"{web}/none.h5ad", addresses[1])
        assert "which cannot be listed" in refusal(listing, [located(web)])


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (PermissionError("denied"), "may not be read by you"),
        (ConnectionError("no route"), r"cannot be reached (ConnectionError: no route)"),
        (RuntimeError("token=abc at https://u:p@host/x?sig=abc. Then more."), "cannot be reached (RuntimeError: "),
    ],
)
def test_whatever_a_protocol_raises_is_one_sentence(
    error: Exception, words: str, memory: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory.pipe("/a/st.h5ad", b"x" * 10)
    place = located("memory://a/st.h5ad")
    for method in ("open", "info", "ls"):
        monkeypatch.setattr(type(memory), method, lambda *args, **kwargs: (_ for _ in ()).throw(error))
    for text in (refusal(read_pair, "s", place, place), refusal(listing, [place.parent])):
        assert words in text
        assert "u:p@" not in text
        assert "sig=" not in text


def test_a_connection_lost_while_reading_is_not_taken_for_damage(
    tmp_path: Path, memory: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    read(tmp_path)
    memory.put(str(tmp_path) + "/", "/a/", recursive=True)
    left = iter(range(3))

    def broken(self: Any, *args: Any) -> bytes:
        if next(left, None) is None:
            raise ConnectionResetError("connection reset")
        return plain(self, *args)

    kind = type(memory.open("/a/st.h5ad"))
    plain = kind.__mro__[1].read
    monkeypatch.setattr(kind, "read", broken, raising=False)
    monkeypatch.setattr("harness.reading.uri.BUFFER", 512)
    text = refusal(read_pair, "s", "memory://a/sc.h5ad", "memory://a/st.h5ad")
    assert "cannot be reached (ConnectionResetError: connection reset)" in text


def test_messages_lose_what_a_uri_may_hide() -> None:
    assert without_secrets("at 'https://u:p@ss@h/x?sig=1' and s3://k:s@b/y") == "at 'https://h/x' and s3://b/y"
    assert shown("https://files.org/@me/x") == "https://files.org/@me/x"


def test_lists_of_folders_are_split_at_separators_only() -> None:
    text = os.pathsep.join(["/a", "s3://bucket/x", "memory://y", "b"])
    assert several(text) == ["/a", "s3://bucket/x", "memory://y", "b"]
    assert several("") == []


def test_an_open_file_at_a_uri_can_be_sought(memory: Any) -> None:
    memory.pipe("/x.csv", b"0123456789")
    with opened(located("memory://x.csv"), "table") as file:
        assert file.seek(-3, 2) == 7
        assert file.read() == b"789"
        assert file.seek(2) == 2
        assert file.read(2) == b"23"
