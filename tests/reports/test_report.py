"""The whole report: what it writes, that it writes it twice alike, and that it says what must be said."""

from __future__ import annotations

import hashlib
import io
import re
from dataclasses import replace
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from harness.errors import BadInput
from harness.record import Record
from harness.store import Store
from reports.families import accuracy_score, metrics
from reports.family import Section, families
from reports.figures import drawing
from reports.folder import MANIFEST
from reports.reading.scores import Comparison, read
from reports.report import print_table, scores, write_report
from reports.writing.wording import headline, notes
from tests.contracts.problems import METHODS
from tests.reports import golden_tables
from tests.reports.stores import Plan, Variant, build, genes, qualities, row

TWO = Plan(
    variants={"A": Variant(), "B": Variant(), "Ridge": Variant(method="low_rank_ridge", control=True)},
    values=qualities({"A": 0.6, "B": 0.3, "Ridge": 0.4}),
    datasets={"MG": genes(12)},
)


@pytest.fixture
def _no_drawing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures take most of a report's time; what is drawn does not matter to every test."""
    kinds = dict.fromkeys(("pdf", "png", "svg"), b"<svg></svg>")
    monkeypatch.setattr(drawing, "saved", lambda name, draw: kinds)


def expected(comparison: Comparison) -> set[str]:
    """The files of a report: the page, and what each family that has something to say writes."""
    found = {"index.html", MANIFEST}
    for name, family in families().items():
        if (section := family.section(comparison)) is not None:
            ends = (".csv", ".md", ".tex", "_standalone.tex") if section.tables else (".csv",)
            found |= {f"{name}{end}" for end in ends}
            found |= {f"figures/{each.name}.{kind}" for each in section.drawings for kind in ("pdf", "png", "svg")}
    return found


def digest(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_a_report_is_the_page_and_what_its_families_write_and_no_other_file(golden: Store, written: Path) -> None:
    found = set(digest(written))

    assert found == expected(read(golden, golden.asked("demo")[-1]))
    assert {"accuracy_score.tex", "metrics.md", "genes.csv", "figures/accuracy_score.svg"} <= found
    assert [path.name for path in written.parent.iterdir()] == ["out"]


def test_the_same_store_gives_the_same_bytes(golden: Store, written: Path, tmp_path: Path) -> None:
    write_report(golden, tmp_path / "again", "demo")

    assert digest(tmp_path / "again") == digest(written)


def test_the_golden_store_gives_the_golden_tables_byte_for_byte(written: Path) -> None:
    found, wanted = golden_tables.tables(written), golden_tables.tables(golden_tables.FOLDER)

    assert set(found) == set(wanted)
    changed = [name for name in wanted if found[name] != wanted[name]]
    assert changed == [], "if this change is wanted: python -m tests.reports.golden_tables"


@pytest.mark.usefixtures("_no_drawing")
def test_writing_over_a_report_replaces_it_and_leaves_other_files_alone(tmp_path: Path) -> None:
    store, out = build(tmp_path / "store", TWO), tmp_path / "out"
    out.mkdir()
    (out / "mine.txt").write_text("mine")
    (out / "index.html").write_text("old")

    paths = write_report(store, out)

    assert (out / "mine.txt").read_text() == "mine"
    assert set(digest(out)) == expected(read(store, store.asked("demo")[-1])) | {"mine.txt"}
    assert paths[0] == out / "index.html"
    assert (out / "index.html").read_text() != "old"


def test_a_report_that_cannot_be_made_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = build(tmp_path / "store", TWO)

    def broken(name: str, draw: object) -> dict[str, bytes]:
        raise RuntimeError("no ink")

    monkeypatch.setattr(drawing, "saved", broken)
    with pytest.raises(RuntimeError, match="no ink"):
        write_report(store, tmp_path / "out")

    assert [path.name for path in tmp_path.iterdir()] == ["store"]


@pytest.mark.usefixtures("_no_drawing")
def test_several_experiments_get_a_folder_each_and_a_page_that_leads_to_them(tmp_path: Path) -> None:
    store = build(tmp_path / "store", TWO)
    build(tmp_path / "store", replace(TWO, name="other", definition="0the0the"))
    ends = {("MG", f, 0): ("missing", "") for f in (0, 1)}
    build(tmp_path / "store", replace(TWO, name="later", definition="1a1e1a1e", variants={"A": Variant(ends=ends)}))

    paths = write_report(store, tmp_path / "out")

    index = (tmp_path / "out" / "index.html").read_text()
    assert paths[0] == tmp_path / "out" / "index.html"
    own = {name: expected(read(store, store.asked(name)[-1])) - {MANIFEST} for name in ("demo", "other")}
    files = {f"{name}/{file}" for name, each in own.items() for file in each}
    assert set(digest(tmp_path / "out")) == {"index.html", MANIFEST} | files
    assert 'href="other/index.html"' in index
    assert "No trial has finished yet of: later." in index


@pytest.mark.parametrize("experiment", [None, "demo"])
def test_a_store_without_a_finished_trial_is_bad_input_and_writes_nothing(
    tmp_path: Path, experiment: str | None
) -> None:
    ends = {("MG", fold, 0): ("failed", "boom") for fold in (0, 1)}
    store = build(tmp_path / "store", replace(TWO, variants={"A": Variant(ends=ends)}))

    with pytest.raises(BadInput, match=r"no finished trial of demo"):
        write_report(store, tmp_path / "out", experiment)
    with pytest.raises(BadInput, match=r"no finished trial of demo"):
        scores(store, "demo")

    assert not (tmp_path / "out").exists()


def test_an_empty_store_an_unknown_name_and_a_file_as_folder_are_bad_input(golden: Store, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(BadInput, match="holds no experiment"):
        write_report(Store(tmp_path / "nothing"), tmp_path / "out")
    with pytest.raises(BadInput, match="demo"):
        write_report(golden, tmp_path / "out", "demmo")
    with pytest.raises(BadInput, match="is a file"):
        write_report(golden, tmp_path / "file")


@pytest.mark.usefixtures("_no_drawing")
def test_the_latest_definition_is_reported_and_older_ones_are_named(tmp_path: Path) -> None:
    store = build(tmp_path / "store", TWO)
    newer = {label: v for label, v in TWO.variants.items() if label != "B"}
    build(tmp_path / "store", replace(TWO, definition="e1e1e1e1", asked_at="2026-02-02", variants=newer))

    assert set(scores(store, "demo")["variant"]) == {"A", "Ridge"}
    write_report(store, tmp_path / "out")
    assert "another definition (d0d0d0d0)" in (tmp_path / "out" / "index.html").read_text()


def test_the_frame_is_tidy_and_the_csv_holds_it(golden: Store, written: Path) -> None:
    frame = scores(golden, "demo")
    rows = frame[frame["scope"] == "dataset"].set_index(["dataset", "variant"])

    assert rows.index.is_unique
    assert rows.loc[("MG", "fails"), "status"] == "failed"
    assert np.isnan(rows.loc[("MG", "fails"), "accuracy_score"])
    assert rows.loc[("MG", "a_b & 50%"), "accuracy_score"] == 2
    back = pd.read_csv(written / "accuracy_score.csv")
    assert back["variant"].tolist() == frame["variant"].tolist()
    np.testing.assert_allclose(back["pcc"], frame["pcc"], rtol=1e-8)


def test_the_metrics_frame_has_an_interval_around_every_mean(golden: Store) -> None:
    frame = metrics.as_frame(read(golden, golden.asked("demo")[-1]))

    assert ((frame["low"] <= frame["mean"]) & (frame["mean"] <= frame["high"])).all()
    assert len(frame) == 4 * (5 + 7)


def test_the_printed_table_is_plain_text_of_100_columns_with_its_size_below(golden: Store) -> None:
    out = io.StringIO()
    print_table(golden, "demo", Console(file=out, width=100))
    text = out.getvalue()

    assert "\x1b" not in text
    assert max(map(len, text.splitlines())) <= 100
    assert "3.00 ±0.00" in text
    whole = " ".join(text.split())
    said = "7 rows (5 variants, 2 controls) × 1 dataset × 2 folds; 4 rows with 2 seeds, 3 rows with 1 seed that serves"
    assert f"{said} for all; N = 3 variants finished" in whole
    assert whole.count("biased: the mean") == 1  # what both datasets' tables have below them is said once
    assert whole.count("Flag: size factors include held-out genes.") == 4  # but for what stands beside every number
    assert "Note: Some trials were run from a working tree with uncommitted changes." in text


def test_every_number_of_a_table_at_100_columns_is_whole(golden: Store) -> None:
    text = accuracy_score.text(read(golden, golden.asked("demo")[-1]))

    assert "…" not in text
    for number in ("[3.00, 3.00]", "0.517", "0.413", "above", "below", "(2.00)"):
        assert number in text


def test_each_sampling_rate_has_its_own_table_and_says_so(tmp_path: Path) -> None:
    store = build(tmp_path, replace(TWO, rates=(1.0, 0.3)))
    captions = [shown.caption for shown in accuracy_score.tables(read(store, store.asked("demo")[-1]))]

    assert captions == [f"Accuracy score on MG, sampling rate {rate}" for rate in ("1", "0.3")]


def test_the_second_overall_table_is_left_out_where_it_would_repeat_the_first(tmp_path: Path, golden: Store) -> None:
    store = build(tmp_path, replace(TWO, datasets={"one": genes(12), "two": genes(12)}))
    whole, failing = (accuracy_score.tables(read(each, each.asked("demo")[-1])) for each in (store, golden))

    assert sum(shown.caption.startswith("Overall") for shown in whole) == 1
    assert sum(shown.caption.startswith("Overall") for shown in failing) == 2
    assert set(scores(store, "demo")["scope"]) == {"dataset", "finished by all", "failures at rank 1"}


def test_a_comparison_without_the_bar_says_so(tmp_path: Path) -> None:
    plan = replace(TWO, variants={"A": Variant(), "B": Variant()})
    store = build(tmp_path, plan)
    comparison = read(store, store.asked("demo")[-1])

    assert any("Low-rank ridge, the control to beat, is not among the rows" in note for note in notes(comparison))


def test_trials_of_one_variant_by_different_code_are_noted(tmp_path: Path) -> None:
    store = build(tmp_path, TWO)
    path = next(tmp_path.glob("trials/*.json"))
    path.write_bytes(replace(Record.from_json(path.read_bytes()), code="0ther").to_json())
    comparison = read(store, store.asked("demo")[-1])

    assert any("were run by different code (0ther, c0de)" in note for note in notes(comparison))


def test_the_headline_names_the_best_the_tied_and_who_beats_the_bar(tmp_path: Path) -> None:
    mean = {"A": 0.8, "B": 0.8, "C": 0.1, "Ridge": 0.4}
    variants = {label: Variant() for label in "ABC"} | {"Ridge": TWO.variants["Ridge"]}
    store = build(tmp_path, replace(TWO, variants=variants, values=qualities(mean, spread=0.3)))
    said = " ".join(headline(read(store, store.asked("demo")[-1])))

    assert re.search(r"MG: [AB] leads with an accuracy score of [\d.]+ of 3", said)
    assert re.search(r"not to be told from it: [AB]\.", said)
    assert "Better than low-rank ridge, the control to beat: A and B." in said


def test_a_single_variant_is_not_ranked_against_itself(tmp_path: Path) -> None:
    store = build(tmp_path, replace(TWO, variants={"A": Variant()}, values=lambda *_: row(0.5)))

    assert "nothing to rank it against" in headline(read(store, store.asked("demo")[-1]))[1]


def test_every_family_is_found_by_its_file_and_says_what_its_numbers_mean(golden: Store) -> None:
    comparison = read(golden, golden.asked("demo")[-1])

    assert list(families())[:2] == ["accuracy_score", "metrics"]
    assert list(families())[-1] == "genes"
    silent = {name for name, family in families().items() if family.section(comparison) is None}
    assert silent == {"robustness", "tuning", "audits"}  # one sampling rate, no search, and no audit
    for name in set(families()) - silent:
        section = families()[name].section(comparison)
        assert isinstance(section, Section), name
        assert section.text
        # This store holds no predictions and does not describe its genes; who needs them says so.
        assert section.frame.empty == (name in {"clustering", "patterns", "gene_groups"}), name
        assert len({shown.name for shown in section.tables}) == len(section.tables)


def test_a_method_has_one_look_in_every_figure_and_controls_are_grey(golden: Store) -> None:
    found = drawing.looks(read(golden, golden.asked("demo")[-1]))
    variants = [look for look in found.values() if not look.is_open]

    assert len({(look.colour, look.marker) for look in variants}) == len(variants) == 5
    assert {look.colour for look in found.values() if look.is_open} == {"#767676"}


def test_text_in_vector_figures_stays_text(written: Path) -> None:
    svg = (written / "figures" / "accuracy_score.svg").read_text()
    pdf = (written / "figures" / "accuracy_score.pdf").read_bytes()

    assert ">a_b &amp; 50%</text>" in svg
    assert b"/Type3" not in pdf
    assert b"CreationDate" not in pdf


def test_a_known_method_looks_the_same_in_every_report_whatever_stands_beside_it(tmp_path: Path) -> None:
    def look(name: str, rows: dict[str, str]) -> dict[str, drawing.Look]:
        variants = {label: Variant(method=method) for label, method in rows.items()}
        plan = replace(TWO, variants=variants, values=lambda *_: row(0.5))
        store = build(tmp_path / name, plan)
        return drawing.looks(read(store, store.asked("demo")[-1]))

    alone = look("1", {"SpaGE": "spage"})
    among = look("2", {"Tangram": "tangram", "mine": "my_method", "SpaDiT": "spadit", "SpaGE": "spage"})
    ablation = look("3", {"full": "spadit", "w/o this": "spadit", "w/o that": "spadit"})

    assert alone["SpaGE"] == among["SpaGE"]
    assert ablation["full"] == among["SpaDiT"]  # the reference of an ablation is the method itself
    for looks in (among, ablation):
        assert len({(each.colour, each.marker) for each in looks.values()}) == len(looks)


def test_there_is_a_look_for_every_method_and_control_of_the_house() -> None:
    families_of = {name: cls.control for name, cls in METHODS.items()}

    assert set(drawing.METHODS) == {name for name, control in families_of.items() if not control}
    assert set(drawing.CONTROLS) == {name for name, control in families_of.items() if control}


@pytest.mark.parametrize("width", [drawing.COLUMN, drawing.PAGE])
@pytest.mark.parametrize("names", [["SpaDiT", "low-rank ridge", "gene mean"] * 2, ["x" * 34] * 12, ["method 10"] * 12])
def test_a_legend_is_no_wider_than_its_figure(names: list[str], width: float) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    with plt.rc_context(drawing.STYLE):
        figure = Figure(figsize=(width, 2))
        ncols = drawing.columns(names, width)
        handles = [Line2D([], [], marker="o") for _ in names]
        legend = figure.legend(handles, names, loc="lower center", ncols=ncols, frameon=False)
        extent = legend.get_window_extent(FigureCanvasAgg(figure).get_renderer())

    assert extent.width <= figure.bbox.width
