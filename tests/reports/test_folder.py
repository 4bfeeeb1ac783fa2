"""A report's folder: what an earlier report wrote there goes with it, and nothing else ever does."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from reports.folder import MANIFEST, put

EARLIER = {"index.html": b"old", "a.csv": b"a", "figures/a.svg": b"s", "other/index.html": b"o", "other/b.md": b"b"}


def names(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir()}


def test_files_of_an_earlier_report_go_and_their_empty_folders_with_them(tmp_path: Path) -> None:
    out = tmp_path / "out"
    put(out, dict(EARLIER))

    paths = put(out, {"index.html": b"new", "c.csv": b"c"})

    assert paths == [out / "index.html", out / "c.csv"]
    assert names(out) == {"index.html", "c.csv", MANIFEST}
    assert (out / "index.html").read_bytes() == b"new"
    assert not (out / "figures").exists()
    assert not (out / "other").exists()


def test_what_no_report_wrote_stays_and_so_does_what_was_changed_since(tmp_path: Path) -> None:
    out = tmp_path / "out"
    put(out, dict(EARLIER))
    (out / "figures" / "mine.svg").write_bytes(b"mine")
    (out / "a.csv").write_bytes(b"a, with my notes")

    put(out, {"index.html": b"new"})

    assert names(out) == {"index.html", "a.csv", "figures/mine.svg", MANIFEST}


def test_a_folder_of_a_report_without_a_list_of_its_files_loses_none(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"a")

    put(tmp_path, {"index.html": b"new"})

    assert names(tmp_path) == {"index.html", "a.csv", MANIFEST}


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"files": 3}', '{"files": ["a.csv"]}', "not json", '{"files": {"a": {}}}']
)
def test_a_broken_list_removes_nothing(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.csv").write_bytes(b"a")
    (tmp_path / MANIFEST).write_text(text)

    put(tmp_path, {"index.html": b"new"})

    assert names(tmp_path) == {"index.html", "a.csv", MANIFEST}


@pytest.mark.parametrize("way", ["up", "absolute", "link", "linked folder"])
def test_a_list_that_leads_out_of_the_folder_removes_nothing(tmp_path: Path, way: str) -> None:
    out, outside = tmp_path / "out", tmp_path / "outside"
    outside.mkdir()
    (outside / "a.csv").write_bytes(b"a")
    put(out, {"index.html": b"old", "link/a.csv": b"a", "a.csv": b"a"})
    found = json.loads((out / MANIFEST).read_text())
    digest = found["files"]["a.csv"]
    if way == "link":
        (out / "a.csv").unlink()
        (out / "a.csv").symlink_to(outside / "a.csv")
    if way == "linked folder":
        (out / "link" / "a.csv").unlink()
        (out / "link").rmdir()
        (out / "link").symlink_to(outside)
    name = {"up": "../outside/a.csv", "absolute": str(outside / "a.csv")}.get(way, "a.csv")
    (out / MANIFEST).write_text(json.dumps({"files": {**found["files"], name: digest}}))

    put(out, {"index.html": b"new"})

    assert (outside / "a.csv").read_bytes() == b"a"
    assert (out / "a.csv").is_symlink() == (way == "link")
