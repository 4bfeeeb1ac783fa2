"""The family: its numbers from real trials, what it says where there is nothing to cluster, and its figures."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest
from scipy.cluster.hierarchy import cophenet, fcluster, linkage
from scipy.spatial.distance import pdist
from scipy.stats import pearsonr
from sklearn import metrics

from harness import Experiment, KFold
from harness.protocol.task import MaskedEntries
from models.baselines.spage import SpaGE
from models.controls.gene_mean import GeneMean
from models.controls.nearest_cells import NearestCells
from reports.families import clustering
from reports.family import Section
from reports.figures.drawing import saved
from reports.reading import clustered_rows
from reports.reading.kept import Kept
from reports.reading.scores import Comparison, read
from reports.writing import terminal
from reports.writing.tables import csv
from tests.conftest import tiny_pair
from tests.reports.real_stores import fill
from tests.reports.stores import Plan, Variant, build, genes, qualities

PAIR = tiny_pair()
LABELS = np.array(["left", "right"])[(PAIR.coordinates[:, 0] > 0.5).astype(int)]  # type: ignore[index]
LABELLED = dataclasses.replace(PAIR, spot_labels=LABELS)
ROWS = {"cells": NearestCells(), "<b>SpaGE_$x$": SpaGE(), "SpaGE 2": SpaGE(components=2), "flat": GeneMean()}


def filled(root: Path, pair: object = LABELLED, **settings: object) -> Comparison:
    keep = bool(settings.pop("keep", True))
    return fill(root, Experiment("e", ROWS, ["a"], KFold(3), **settings), {"a": pair}, keep)  # type: ignore[arg-type]


def section_of(comparison: Comparison) -> Section:
    found = clustering.section(comparison)
    assert found is not None
    return found


def without(comparison: Comparison, label: str) -> Comparison:
    """As if no prediction of this row had been kept."""
    kept = comparison.kept
    gone = {cell["trial_id"] for cell in kept.asked.cells if cell["label"] == label}
    records = {trial: record for trial, record in kept.records.items() if trial not in gone}
    return dataclasses.replace(comparison, kept=Kept(kept.store, kept.asked, records))


@pytest.fixture(scope="module")
def comparison(tmp_path_factory: pytest.TempPathFactory) -> Comparison:
    return filled(tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="module")
def section(comparison: Comparison) -> Section:
    return section_of(comparison)


def test_the_numbers_are_those_of_scipy_and_scikit_learn_on_what_was_kept(
    comparison: Comparison, section: Section
) -> None:
    row = section.frame.set_index("variant").loc["cells"]
    truth, guess = (get("cells", "a", 1.0) for get in (comparison.kept.truth, comparison.kept.prediction))
    assert truth is not None
    assert guess is not None
    trees = [linkage(frame.to_numpy(np.float64), "ward") for frame in (truth, guess)]
    ours, theirs = (fcluster(tree, 2, "maxclust") for tree in trees)

    assert (row["k"], row["k_from"], row["spots"], row["genes"]) == (2, "labels", 48, truth.shape[1])
    assert row["agreement"] == pytest.approx(pearsonr(pdist(truth), pdist(guess))[0], abs=1e-9)
    assert row["own_cophenetic"] == pytest.approx(cophenet(trees[1], pdist(guess))[0], abs=1e-9)
    for prefix, wanted in (("", ours), ("label_", LABELS[guess.index])):
        assert row[f"{prefix}ari"] == pytest.approx(metrics.adjusted_rand_score(wanted, theirs))
        assert row[f"{prefix}ami"] == pytest.approx(metrics.adjusted_mutual_info_score(wanted, theirs))
        assert row[f"{prefix}nmi"] == pytest.approx(metrics.normalized_mutual_info_score(wanted, theirs))
        assert row[f"{prefix}homogeneity"] == pytest.approx(metrics.homogeneity_score(wanted, theirs))


def test_the_measured_values_agree_with_themselves_and_are_the_ceiling_of_the_labels(
    comparison: Comparison, section: Section
) -> None:
    row = section.frame.set_index("group").loc["truth"]
    truth = comparison.kept.truth("cells", "a", 1.0)
    assert truth is not None
    own = fcluster(linkage(truth.to_numpy(np.float64), "ward"), 2, "maxclust")

    assert (row["agreement"], row["ari"]) == pytest.approx((1, 1))
    assert row["label_ari"] == pytest.approx(metrics.adjusted_rand_score(LABELS[truth.index], own))


def test_a_flat_prediction_has_no_agreement_and_says_why(section: Section) -> None:
    row = section.frame.set_index("variant").loc["flat"]
    (line,) = [line for _, lines in section.tables[0].groups for line in lines if line.label == "flat"]

    assert math.isnan(row["agreement"])
    assert row["ari"] == pytest.approx(0)
    assert line.cells[0].text == "--"
    assert dict(section.tables[0].footnotes)[line.marks[-1]].startswith("all spots are predicted alike")


def test_tables_fit_a_terminal_and_say_of_what_they_are(section: Section) -> None:
    text = terminal.text(section.tables)

    assert max(map(len, text.splitlines())) <= terminal.WIDTH
    assert [table.name for table in section.tables] == ["a-1-measured", "a-1-labels"]
    assert "all 48 spots" in section.tables[0].size
    assert "k = 2 (as many as labels)" in section.tables[0].size


def test_without_labels_the_silhouette_chooses_and_there_is_no_table_of_labels(tmp_path: Path) -> None:
    found = section_of(filled(tmp_path, PAIR))

    assert [table.name for table in found.tables] == ["a-1-measured"]
    assert set(found.frame["k_from"]) == {"silhouette"}
    assert found.frame["k"].between(4, 15).all()
    assert found.frame["label_ari"].isna().all()


@pytest.mark.parametrize("labels", [["x"] * 48, [f"own{i}" for i in range(48)], ["x", "y"] * 12 + ["nan"] * 24])
def test_labels_that_divide_nothing_or_are_mostly_missing_are_not_used(tmp_path: Path, labels: list[str]) -> None:
    found = section_of(filled(tmp_path, dataclasses.replace(PAIR, spot_labels=np.array(labels))))

    assert set(found.frame["k_from"]) == {"silhouette"}


def test_a_row_that_was_not_kept_says_so_in_the_table_the_caption_and_the_frame(comparison: Comparison) -> None:
    found = section_of(without(comparison, "cells"))
    (line,) = [line for _, lines in found.tables[0].groups for line in lines if line.label == "cells"]

    assert line.cells[0].text == "not kept"
    assert "--keep-predictions" in dict(found.tables[0].footnotes)["not kept"]
    assert found.drawings[0].caption.endswith("Not shown: cells (not kept).")
    assert found.frame.set_index("variant").loc["cells", "kept"] == False  # noqa: E712
    others = section_of(comparison).frame.set_index("variant").loc["<b>SpaGE_$x$"]
    assert found.frame.set_index("variant").loc["<b>SpaGE_$x$"].equals(others)


@pytest.mark.parametrize("settings", [{"keep": False}, {"task": MaskedEntries(0.7)}], ids=["unkept", "masked"])
def test_where_nothing_was_kept_one_sentence_says_so(tmp_path: Path, settings: dict[str, object]) -> None:
    found = section_of(filled(tmp_path, **settings))

    assert found.text == (
        "Not shown. a: no predictions of held-out genes were kept (`--keep-predictions first-seed` keeps them).",
    )
    assert not found.tables
    assert not found.drawings
    assert found.frame.empty


def test_few_spots_are_not_clustered(tmp_path: Path) -> None:
    found = section_of(filled(tmp_path, tiny_pair(spots=12)))

    assert found.text == ("Not shown. a: it has too few spots to cluster (12).",)


def test_where_nothing_is_complete_there_is_no_section(tmp_path: Path) -> None:
    gone = {("MG", fold, 0): ("missing", "") for fold in (0, 1)}
    plan = Plan(variants={"A": Variant(ends=gone)}, values=qualities({"A": 0.5}), datasets={"MG": genes(4)})
    store = build(tmp_path, plan)

    assert clustering.section(read(store, store.asked("demo")[-1])) is None


def test_a_sample_says_its_size_everywhere(comparison: Comparison, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clustered_rows, "SPOTS", 30)
    found = section_of(comparison)

    assert "a sample of 30 of 48 spots" in found.tables[0].size
    assert "a sample of 30 of 48 spots" in found.drawings[0].caption
    assert set(zip(found.frame["spots"], found.frame["of_spots"], strict=True)) == {(30, 48)}


def test_the_best_variant_is_bold_and_controls_never_are(section: Section) -> None:
    variants = section.frame[section.frame["group"] == "variant"]
    marked = {line.label: line.cells[0].emphasis for _, lines in section.tables[0].groups for line in lines}

    assert len(variants) == 2
    assert [label for label, mark in marked.items() if mark == "best"] == [
        variants["variant"][variants["agreement"].idxmax()]
    ]
    assert {marked[label] for label in ("cells", "flat", "measured values")} == {""}


def test_the_figure_shows_the_truth_first_and_names_as_they_are(section: Section) -> None:
    (drawing,) = section.drawings
    texts = [text.get_text() for text in drawing.draw().axes[0].texts]

    assert texts[0] == "measured\n2 clusters"
    assert [text.split("\n")[0] for text in texts if "agreement" in text] == list(section.frame["variant"][:-1])
    assert {"<b>SpaGE_$x$", "flat"} < {text.split("\n")[0] for text in texts}
    assert sum("all distances" in text for text in texts) == 1


@pytest.mark.parametrize("rows", [1, 13])
def test_any_number_of_rows_stays_within_the_page(section: Section, rows: int) -> None:
    from reports.figures.heat_maps import Panel, heat_maps

    panels = [Panel("a label that is much too long for its place", "x", "black", np.eye(4, dtype=np.float32))] * rows
    figure = heat_maps(panels, np.array([1, 1, 2, 2]))
    wide, high = figure.get_size_inches()

    assert all(len(text.get_text().split("\n")[0]) < 25 for text in figure.axes[0].texts)
    assert wide <= 183 / 25.4 + 1e-9
    for image in figure.axes[0].images:
        left, right, bottom, top = image.get_extent()
        assert 0 <= left < right <= wide
        assert 0 < bottom < top < high


def test_the_same_store_gives_the_same_bytes(comparison: Comparison, section: Section) -> None:
    again = section_of(comparison)

    assert csv(again.frame) == csv(section.frame)
    for one, other in zip(section.drawings, again.drawings, strict=True):
        assert saved(one.name, one.draw) == saved(other.name, other.draw)
