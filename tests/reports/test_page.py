"""The page: safe whatever the names, whole in one file, usable by eye, ear and keyboard."""

from __future__ import annotations

import json
import re
import shlex
from html import unescape
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from harness.store import Store
from reports.page import ROWS, _browse
from tests.conftest import Spadit


@pytest.fixture(scope="module")
def html(written: Path) -> str:
    return (written / "index.html").read_text()


class Tags(HTMLParser):
    """Start tags with attributes, and whether every tag is closed in order."""

    EMPTY = frozenset({"meta", "input", "br", "link", "img"})

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag not in self.EMPTY:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.fixture(scope="module")
def tags(html: str) -> Tags:
    parser = Tags()
    parser.feed(html)
    parser.close()
    return parser


def test_no_name_becomes_markup_anywhere_on_the_page(html: str, tags: Tags) -> None:
    assert "alert(1)" in html
    assert "<script>alert" not in html
    assert "<b>too" not in html
    assert sum(tag == "script" for tag, _ in tags.found) == 2
    assert tags.open == []


def test_no_name_becomes_markup_in_the_figures(written: Path) -> None:
    for path in written.glob("figures/*.svg"):
        assert "<script" not in path.read_text()
    assert "&lt;script&gt;" in (written / "figures" / "accuracy_score.svg").read_text()


def test_the_page_asks_nothing_of_anybody(html: str, tags: Tags) -> None:
    for tag, attributes in tags.found:
        assert tag not in {"link", "img", "iframe", "base"}
        assert "src" not in attributes
        for name in ("href", "xlink:href"):
            target = attributes.get(name)
            own = target is None or target.startswith("data:image/png;base64,")
            assert own or not re.match(r"\w+:|//", str(target))
    assert "@import" not in html
    assert "url(http" not in html


def test_every_local_link_of_the_page_leads_somewhere(html: str, tags: Tags, written: Path) -> None:
    ids = {attributes["id"] for _, attributes in tags.found if "id" in attributes}
    for tag, attributes in tags.found:
        if tag != "a":
            continue
        target = attributes["href"] or ""
        assert target[1:] in ids if target.startswith("#") else (written / target).exists(), target


def test_ids_of_the_page_are_unique(tags: Tags) -> None:
    ids = [attributes["id"] for _, attributes in tags.found if "id" in attributes]

    assert sorted(set(ids)) == sorted(ids)


def test_the_page_can_be_used_by_ear_and_keyboard(html: str, tags: Tags) -> None:
    found = [tag for tag, _ in tags.found]
    attributes = dict(tags.found)

    assert attributes["html"]["lang"] == "en"
    assert found.count("main") == 1
    assert found.count("table") == found.count("caption")
    assert all(attrs.get("scope") for tag, attrs in tags.found if tag == "th")
    assert '<a class="skip" href="#main">' in html
    assert 'name="viewport"' in html
    assert "prefers-color-scheme: dark" in html
    assert "aria-sort" in html
    assert html.count('role="img" aria-label=') >= 2


def test_the_page_says_what_must_be_known_before_its_numbers_are_believed(html: str) -> None:
    for said in (
        "size factors include held-out genes",
        "MG [simulated]",
        "tuned on these genes",
        "different devices",
        "uncommitted changes",
        "ValueError: &lt;b&gt;too&lt;/b&gt; small &amp; flat",
        "needs coordinates",
        "spadit run demo --store results",
        "Better than low-rank ridge, the control to beat",
        "KFold(k=2)",
    ):
        assert said in html


def test_the_page_holds_no_date_and_no_path_of_this_machine(html: str, golden: Store) -> None:
    assert not re.search(r"\b20\d\d-\d\d-\d\d", html)
    assert str(golden.files.root.parent) not in html


def test_genes_on_the_page_are_the_numbers_of_the_frame(golden: Store, html: str, written: Path) -> None:
    found = re.search(r'id="genes-data">(.*?)</script>', html, re.DOTALL)
    assert found is not None
    data = json.loads(found.group(1))
    frame = pd.read_csv(written / "genes.csv")

    assert len(data["rows"]) == len(frame)
    shown = np.array([r[3] for r in data["rows"]])
    np.testing.assert_allclose(shown, frame["pcc"], atol=6e-5)
    assert [data["words"][1][r[1]] for r in data["rows"]] == frame["gene"].tolist()


def test_a_table_that_is_too_long_for_the_page_is_cut_alike_for_each_dataset() -> None:
    n = ROWS
    frame = pd.DataFrame({"dataset": ["a"] * n + ["b"] * n, "gene": ["g"] * 2 * n, "pcc": np.zeros(2 * n)})

    found = _browse(frame, ("dataset", "gene", "pcc"))

    assert found is not None
    assert (found["rows"], found["total"]) == (ROWS, 2 * ROWS)
    assert [r[0] for r in found["data"]["rows"]].count(1) == ROWS // 2


def test_the_page_says_how_to_get_from_a_number_to_its_trials_and_the_command_finds_them(
    html: str, golden: Store, spadit: Spadit
) -> None:
    line = next(line for line in unescape(html).splitlines() if "spadit explain" in line)
    words = shlex.split(re.sub(r"</?(pre|code)[^>]*>", "", line))
    assert words[:2] == ["spadit", "explain"]
    assert words[3:] == ["--store", golden.files.root.name]

    code, out, _ = spadit(*words[1:4], str(golden.files.root), "--json")

    assert code == 0
    found = json.loads(out)
    assert (found["experiment"], found["variant"], found["dataset"]) == ("demo", "w/ <script>alert(1)</script>", "MG")
