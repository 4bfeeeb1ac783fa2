"""The one sentence for somebody new: who leads, whether the bar is beaten, and how sure that is."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from harness.store import Store
from reports.report import comparisons, print_table, write_report
from reports.writing.in_short import in_short
from tests.reports.stores import Plan, Variant, build, genes, qualities

MEAN = {"A": 0.7, "B": 0.3, "Ridge": 0.5}
VARIANTS = {"A": Variant(), "B": Variant(), "Ridge": Variant(method="low_rank_ridge", control=True, random=False)}


def store_of(root: Path, mean: dict[str, float], datasets: int = 1, **variants: Variant) -> Store:
    known = {label: own for label, own in {**VARIANTS, **variants}.items() if label in mean}
    return build(root, Plan(known, qualities(mean, 0.1), {f"d{i}": genes(40) for i in range(datasets)}))


def said(store: Store) -> str:
    (comparison,) = comparisons(store)
    return in_short(comparison)


@pytest.mark.parametrize(
    ("ridge", "verdict"),
    [(0.5, "it beats low-rank ridge"), (0.7, "it cannot be told from low-rank ridge"), (0.9, "it loses to low-rank")],
)
def test_it_names_the_leader_and_how_it_stands_to_the_bar(tmp_path: Path, ridge: float, verdict: str) -> None:
    text = said(store_of(tmp_path, MEAN | {"Ridge": ridge}))

    assert text.startswith("In short: on d0, A leads among 2 variants, and no other comes within its noise; ")
    assert verdict in text
    assert "95% intervals over 40 genes of this dataset" in text
    assert text.count(".") - text.count(". ") == 1  # one sentence


def test_what_cannot_be_told_from_the_leader_is_named_and_of_many_counted(tmp_path: Path) -> None:
    few = {"A": 0.5, "B": 0.5, "Ridge": 0.2}
    many = few | {f"C{i}": 0.5 for i in range(4)}

    assert "but" in said(store_of(tmp_path / "few", few))
    text = said(store_of(tmp_path / "many", many, **{f"C{i}": Variant() for i in range(4)}))
    assert "others cannot be told from it" in text


def test_over_several_datasets_it_counts_them(tmp_path: Path) -> None:
    text = said(store_of(tmp_path, MEAN, datasets=3))

    assert "over 3 datasets, A leads with the highest mean AS/N, 1.00 (ahead of every other variant on 3)" in text
    assert "against low-rank ridge, the simple method to beat: better on 3" in text
    assert "nothing of other tissues" in text


def test_a_leader_that_was_tuned_on_these_genes_is_said_to_be_flattered(tmp_path: Path) -> None:
    text = said(store_of(tmp_path, MEAN, A=Variant(selection="tuned on these genes")))

    assert "its settings were chosen by some of these genes (†), which flatters it" in text


def test_without_the_bar_without_a_rival_and_without_a_finished_row_it_says_so(tmp_path: Path) -> None:
    unfinished = {label: Variant(ends={("d0", 0, 0): ("missing", "")}) for label in "AB"}

    assert "is not there to compare it with" in said(store_of(tmp_path / "bar", {"A": 0.5, "B": 0.2}))
    assert "A alone has finished" in said(store_of(tmp_path / "alone", {"A": 0.5, "Ridge": 0.2}))
    assert "none can be said to lead" in said(store_of(tmp_path / "none", MEAN, **unfinished))


def test_it_is_the_last_line_of_the_terminal_and_the_first_of_the_page(tmp_path: Path) -> None:
    store, out = store_of(tmp_path / "S", MEAN), io.StringIO()
    print_table(store, "demo", Console(file=out, width=1000))
    write_report(store, tmp_path / "out")
    page = (tmp_path / "out" / "index.html").read_text()

    assert out.getvalue().splitlines()[-1] == said(store)
    summary = page[page.index('id="summary"') :]
    assert summary.index("In short: on d0, A leads") < summary.index("compared on d0")
