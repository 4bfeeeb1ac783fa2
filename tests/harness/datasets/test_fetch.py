"""Fetching a pair: whole, checked and usable under its name, or not there; from a server whose faults are arranged."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pooch
import pytest

from harness.datasets import load
from harness.datasets._fetch import fetch
from harness.errors import BadInput
from tests.harness.datasets.fetching import ONCE, QUICK, both, left, packed, refusal, sums, zipped
from tests.harness.datasets.file_server import FileServer
from tests.harness.pair_files import pair, sentence
from tests.harness.test_pair_forms import write_beside, write_half

# ---------------------------------------------------------------------------------------------------------------
# What arrives


def test_two_files_become_the_pair_and_say_where_they_came_from(server: FileServer, tmp_path: Path) -> None:
    seen: list[tuple[int, int | None]] = []
    sc, st = server.files["/sc.h5ad"], server.files["/st.h5ad"]
    secret = [url.replace("//", "//me:hunter2@") + "?key=hidden" for url in both(server)]
    done = fetch("mine", secret, tmp_path / "data", sums(sc, st), progress=lambda *at: seen.append(at))
    assert done == (tmp_path / "data" / "mine").resolve()
    assert load("mine", [tmp_path / "data"]).id == pair().id
    assert left(tmp_path / "data") == {"mine", "sc.h5ad", "st.h5ad", "source.json"}
    assert (len(sc), len(sc)) in seen
    assert seen[-1] == (len(st), len(st))
    source = (done / "source.json").read_text()
    assert [one["sha256"] for one in json.loads(source)["fetched"]] == sums(sc, st)
    assert [one["url"] for one in json.loads(source)["fetched"]] == both(server)


@pytest.mark.parametrize("name", ["pair.zip", "pair.tar", "pair.tar.gz", "pair.tgz"])
@pytest.mark.parametrize("inside", ["", "release-1/"])
@pytest.mark.parametrize("layout", ["{half}.h5ad", "{half}/{name}_{half}.h5ad"])
def test_an_archive_holds_the_pair_in_either_layout_at_its_top_or_in_a_folder(
    name: str, inside: str, layout: str, server: FileServer, halves: dict[str, bytes], tmp_path: Path
) -> None:
    called = inside.rstrip("/") or "mine"
    entries = {inside + layout.format(half=half, name=called): data for half, data in halves.items()}
    entries[f"{inside}README.md"] = b"where it is from"
    server.files[f"/{name}"] = packed(name, entries)
    fetch("mine", f"{server.address}/{name}", tmp_path, sums(server.files[f"/{name}"]))
    assert load("mine", [tmp_path]).id == pair().id
    assert (tmp_path / "mine" / "README.md").read_bytes() == b"where it is from"
    assert not (tmp_path / ".mine.fetching").exists()


def test_tables_and_what_lies_beside_them_are_fetched_by_their_names(server: FileServer, tmp_path: Path) -> None:
    write_half(tmp_path / "MG_sc.csv.gz", "sc"), write_half(tmp_path / "MG_st.tsv", "st"), write_beside(tmp_path)
    names = ("MG_sc.csv.gz", "MG_st.tsv", "spatial.csv", "cell_types.csv")
    server.files = {f"/{name}": (tmp_path / name).read_bytes() for name in names}
    server.headers = {"Content-Encoding": "identity"}
    fetch("mine", [f"{server.address}/{name}" for name in names], tmp_path / "data")
    assert load("mine", [tmp_path / "data"]).id == pair().id


def test_local_files_are_fetched_too(halves: dict[str, bytes], tmp_path: Path) -> None:
    for half, data in halves.items():
        (tmp_path / f"my {half}_{half}.h5ad").write_bytes(data)
    urls = [(tmp_path / f"my {half}_{half}.h5ad").as_uri() for half in halves]
    fetch("mine", urls, tmp_path / "data", sums(*halves.values()))
    assert load("mine", [tmp_path / "data"]).id == pair().id
    with pytest.raises(BadInput, match="is not there"):
        fetch("other", [urls[0], (tmp_path / "none_st.h5ad").as_uri()], tmp_path / "data")


def test_a_redirect_is_followed_but_not_to_a_file_of_this_machine(server: FileServer, tmp_path: Path) -> None:
    server.redirects = {"/latest_sc.h5ad": "/sc.h5ad", "/file_sc.h5ad": "file:///etc/hostname"}
    text = refusal(server, tmp_path, [f"{server.address}/file_sc.h5ad", both(server)[1]])
    assert "cannot be downloaded" in text
    fetch("mine", [f"{server.address}/latest_sc.h5ad", both(server)[1]], tmp_path)
    assert load("mine", [tmp_path]).id == pair().id


def test_a_file_that_the_server_calls_compressed_is_kept_as_it_is(server: FileServer, tmp_path: Path) -> None:
    write_half(tmp_path / "sc.csv.gz", "sc"), write_half(tmp_path / "st.csv.gz", "st")
    server.files = {f"/{half}.csv.gz": (tmp_path / f"{half}.csv.gz").read_bytes() for half in ("sc", "st")}
    server.headers = {"Content-Encoding": "gzip"}
    fetch("mine", [f"{server.address}/{half}.csv.gz" for half in ("sc", "st")], tmp_path / "data")
    server.files["/st.h5ad"] = b"compressed"
    text = refusal(server, tmp_path, [f"{server.address}/sc.csv.gz", f"{server.address}/st.h5ad"])
    assert "comes compressed" in text


# ---------------------------------------------------------------------------------------------------------------
# What goes wrong on the way


def test_a_cut_download_goes_on_where_it_was(server: FileServer, tmp_path: Path) -> None:
    whole = len(server.files["/pair.zip"])
    server.faults = ["cut:5000"]
    fetch("mine", f"{server.address}/pair.zip", tmp_path, patience=QUICK)
    assert server.asked == [("/pair.zip", None), ("/pair.zip", "bytes=4999-")]
    assert server.sent == whole + 1  # the last byte of the part is asked for again
    assert load("mine", [tmp_path]).id == pair().id


def test_the_next_call_goes_on_where_the_last_was_given_up(server: FileServer, tmp_path: Path) -> None:
    server.faults = ["cut:5000"]
    whole = len(server.files["/pair.zip"])
    text = refusal(server, tmp_path, f"{server.address}/pair.zip", ONCE)
    assert f"5000 of {whole} bytes arrived" in text
    fetch("mine", f"{server.address}/pair.zip", tmp_path, patience=ONCE)
    assert server.sent == whole + 1
    assert not (tmp_path / ".mine.fetching").exists()


def test_of_two_files_the_first_is_not_fetched_again_when_the_second_fails(server: FileServer, tmp_path: Path) -> None:
    server.faults = ["", "404"]
    refusal(server, tmp_path, both(server))
    sent = server.sent
    fetch("mine", both(server), tmp_path)
    assert server.sent == sent + 1 + len(server.files["/st.h5ad"])


def test_what_a_killed_process_left_is_no_hindrance(server: FileServer, tmp_path: Path) -> None:
    for name in ("unpacked", "pair/mine"):
        (tmp_path / ".mine.fetching" / name).mkdir(parents=True)
        (tmp_path / ".mine.fetching" / name / "st.h5ad").write_bytes(b"half of it")
    for name in ("archive.zip", "archive.zip.part", "archive.zip.part.json", "tmp1234"):
        (tmp_path / ".mine.fetching" / name).write_bytes(b"half of it")
    fetch("mine", f"{server.address}/pair.zip", tmp_path)
    assert load("mine", [tmp_path]).id == pair().id
    assert left(tmp_path) == {"mine", "sc.h5ad", "st.h5ad", "source.json"}


@pytest.mark.parametrize(
    ("etag", "if_range", "longer"), [(True, True, 0), (True, False, 0), (False, False, 1), (True, True, 1)]
)
def test_a_file_that_has_changed_is_never_glued_to_an_old_part(
    etag: bool, if_range: bool, longer: int, server: FileServer, tmp_path: Path
) -> None:
    new = server.files["/pair.zip"]
    server.etag, server.if_range = etag, if_range
    server.files["/pair.zip"] = bytes(len(new) + longer)  # of the same length, only the ETag tells them apart
    server.faults = ["cut:5000"]
    refusal(server, tmp_path, f"{server.address}/pair.zip", ONCE)
    server.files["/pair.zip"] = new
    fetch("mine", f"{server.address}/pair.zip", tmp_path, patience=ONCE)
    assert load("mine", [tmp_path]).id == pair().id
    assert (server.conditions[1] is not None) == etag


def test_a_part_longer_than_the_file_or_of_another_address_is_left(server: FileServer, tmp_path: Path) -> None:
    server.etag = False
    server.faults = ["cut:9000"]
    refusal(server, tmp_path, f"{server.address}/pair.zip", ONCE)
    short = zipped({"": {"sc": b"x"}})
    server.files["/pair.zip"], whole = short, server.files["/pair.zip"]
    assert "holds no st half" in refusal(server, tmp_path, f"{server.address}/pair.zip", ONCE)
    server.files["/pair.zip"], server.files["/other.zip"], server.faults = whole, whole, ["cut:5000"]
    refusal(server, tmp_path, f"{server.address}/pair.zip", ONCE)
    fetch("mine", f"{server.address}/other.zip", tmp_path)
    assert server.asked[-1] == ("/other.zip", None)


def test_a_server_without_ranges_starts_again(server: FileServer, tmp_path: Path) -> None:
    server.ranges = False
    server.faults = ["cut:5000"]
    fetch("mine", f"{server.address}/pair.zip", tmp_path, sums(server.files["/pair.zip"]), patience=QUICK)
    assert server.sent == len(server.files["/pair.zip"]) + 5000
    assert load("mine", [tmp_path]).id == pair().id


def test_a_server_that_does_not_say_the_length_is_believed(server: FileServer, tmp_path: Path) -> None:
    server.length = False
    seen: list[Any] = []
    fetch("mine", f"{server.address}/pair.zip", tmp_path, progress=lambda *at: seen.append(at))
    assert seen[-1] == (len(server.files["/pair.zip"]), None)


def test_a_file_that_stays_too_short_is_refused_naming_both_sizes(server: FileServer, tmp_path: Path) -> None:
    server.ranges = False
    server.faults = ["cut:5000"] * 4
    text = refusal(server, tmp_path, f"{server.address}/pair.zip")
    assert "in 4 attempts" in text
    assert "5000" in text
    assert str(len(server.files["/pair.zip"])) in text
    assert len(server.asked) == 4


def test_a_wrong_checksum_names_both_sums_and_leaves_nothing(server: FileServer, tmp_path: Path) -> None:
    right = server.files["/pair.zip"]
    server.files["/pair.zip"] = right[:100] + b"?" + right[101:]
    text = refusal(server, tmp_path, f"{server.address}/pair.zip", sha256=sums(right))
    assert sums(right)[0] in text
    assert sums(server.files["/pair.zip"])[0] in text
    assert left(tmp_path) == set()


@pytest.mark.parametrize("fault", ["silent", "stall:5000"])
def test_a_stalled_server_ends_with_an_error_and_what_came_is_kept(
    fault: str, server: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harness.datasets._download.CHUNK", 1000)  # at most a chunk is lost
    server.faults = [fault]
    began = time.monotonic()
    assert "sent nothing for 1 seconds" in refusal(server, tmp_path, f"{server.address}/pair.zip")
    assert 0.9 < time.monotonic() - began < 8
    fetch("mine", f"{server.address}/pair.zip", tmp_path)
    assert server.asked[-1][1] == (None if fault == "silent" else "bytes=4999-")


def test_what_is_not_there_is_asked_for_once_and_what_fails_inside_again(server: FileServer, tmp_path: Path) -> None:
    for fault, words in (
        ("404", "is not there (404"),
        ("403", "may not be read (403"),
        ("401", "may not be read (401"),
    ):
        server.faults, server.asked = [fault], []
        assert words in refusal(server, tmp_path, f"{server.address}/pair.zip")
        assert len(server.asked) == 1
        assert left(tmp_path) == set()
    server.faults, server.asked = ["500", "503"], []
    fetch("mine", f"{server.address}/pair.zip", tmp_path, patience=QUICK)
    assert len(server.asked) == 3


def test_where_nobody_answers_the_reason_is_said_without_the_secrets_of_the_url(tmp_path: Path) -> None:
    with pytest.raises(BadInput) as caught:
        fetch("mine", "http://me:hunter2@127.0.0.1:9/pair.zip?key=hidden", tmp_path, patience=QUICK)
    text = sentence(caught.value)
    assert "http://127.0.0.1:9/pair.zip could not be downloaded in 4 attempts (Connection refused)" in text


def test_nothing_is_logged_or_kept_that_the_url_hides(
    server: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    logged: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: logged.append(record.getMessage())  # type: ignore[method-assign]
    monkeypatch.setattr(pooch.get_logger(), "handlers", [handler])
    server.faults = ["cut:5000"]
    url = f"{server.address.replace('//', '//me:hunter2@')}/pair.zip?key=hidden"
    texts = [refusal(server, tmp_path, url, ONCE), *logged, *capfd.readouterr()]
    texts += [path.read_text(errors="replace") for path in (tmp_path / ".mine.fetching").iterdir()]
    for text in texts:
        assert "hunter2" not in text
        assert "hidden" not in text


def test_two_processes_at_once_download_once(server: FileServer, tmp_path: Path) -> None:
    code = (
        "import sys; from harness.datasets._fetch import fetch; print('ready', flush=True); sys.stdin.readline(); "
        f"print(fetch('mine', '{server.address}/pair.zip', {str(tmp_path)!r}))"
    )
    runs = [
        subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    for run in runs:
        assert run.stdout is not None
        assert run.stdout.readline() == "ready\n"
    for run in runs:
        assert run.stdin is not None
        run.stdin.write("go\n")
        run.stdin.flush()
    assert [run.communicate()[0] for run in runs] == [f"{(tmp_path / 'mine').resolve()}\n"] * 2
    assert server.asked == [("/pair.zip", None)]
