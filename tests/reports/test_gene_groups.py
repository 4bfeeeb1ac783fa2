"""Spearman's correlation and quartiles of genes, against scipy and brute force, and what is said where they are not."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import rankdata, spearmanr

from harness import Experiment, KFold
from harness.store import Store
from models.controls.low_rank_ridge import LowRankRidge
from models.controls.nearest_cells import NearestCells
from reports.families import gene_groups
from reports.families.gene_groups import quartile_means
from reports.family import Section
from reports.figures.drawing import saved
from reports.reading.scores import Comparison, read
from reports.statistics import rank_correlation
from reports.statistics.rank_correlation import centred_ranks, quartiles, resampled_spearman, resamples, spearman
from reports.statistics.ranking import RESAMPLING_SEED
from reports.writing import terminal
from tests.conftest import tiny_pair
from tests.reports.real_stores import fill
from tests.reports.stores import Plan, Variant, build, genes, row

# ---------------------------------------------------------------------------------------------------------------
# Pure functions


def test_spearman_is_that_of_scipy() -> None:
    rng = np.random.default_rng(0)
    properties, values = rng.normal(size=(2, 40)), rng.integers(0, 5, size=(3, 40)).astype(float)  # with ties
    found = spearman(properties, values)

    for v, p in np.ndindex(found.shape):
        assert found[v, p] == pytest.approx(spearmanr(values[v], properties[p]).statistic, abs=1e-12)


def test_what_is_the_same_for_every_gene_has_no_correlation() -> None:
    found = spearman(np.array([[1.0, 2, 3, 4], [5, 5, 5, 5]]), np.array([[0.0, 0, 0, 0], [1, 2, 4, 3]]))

    np.testing.assert_array_equal(np.isnan(found), [[True, True], [False, True]])


def test_every_resample_is_ranked_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rank_correlation, "_AT_ONCE", 2000)
    rng = np.random.default_rng(1)
    properties, values = rng.normal(size=(2, 25)), rng.normal(size=(2, 25)).round(1)
    found = resampled_spearman(properties, values)
    picks = np.random.default_rng(RESAMPLING_SEED).integers(0, 25, size=(2000, 25))

    assert found.shape == (2000, 2, 2)
    for b in range(0, 2000, 97):
        for v, p in np.ndindex(2, 2):
            expected = spearmanr(values[v, picks[b]], properties[p, picks[b]]).statistic
            assert found[b, v, p] == pytest.approx(expected, abs=1e-12)


def test_how_many_resamples_are_ranked_together_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(2)
    properties, values = rng.normal(size=(1, 11)), rng.normal(size=(1, 11))
    together = resampled_spearman(properties, values)
    monkeypatch.setattr(rank_correlation, "_AT_ONCE", 300)

    np.testing.assert_array_equal(resampled_spearman(properties, values), together)


@given(
    arrays(np.float64, 8, elements=st.sampled_from([0.0, 0.5, 1.0, 2.0])),
    arrays(np.int64, 8, elements=st.integers(0, 7)),
)
@settings(max_examples=100, deadline=None)
def test_ranks_of_a_resample_are_those_of_its_genes_written_out(values: np.ndarray, picks: np.ndarray) -> None:
    counts = np.bincount(picks, minlength=8).astype(float)[:, None]

    np.testing.assert_allclose(centred_ranks(values, counts)[picks, 0], rankdata(values[picks]) - 4.5)


def test_many_genes_are_resampled_less_often_but_200_times_at_least() -> None:
    assert [resamples(n) for n in (8, 1000, 2000, 10_000, 10**6)] == [2000, 2000, 1000, 200, 200]


@given(arrays(np.float64, st.integers(1, 40), elements=st.integers(0, 9).map(float)))
@settings(max_examples=100, deadline=None)
def test_quartiles_rise_with_the_value_and_equal_values_share_one(values: np.ndarray) -> None:
    found = quartiles(values)

    assert set(found) <= {0, 1, 2, 3}
    order = np.argsort(values, kind="stable")
    assert (np.diff(found[order]) >= 0).all()
    for value in np.unique(values):
        assert len(set(found[values == value])) == 1


@pytest.mark.parametrize("n", [8, 27, 100])
def test_distinct_values_make_quartiles_of_equal_size(n: int) -> None:
    sizes = np.bincount(quartiles(np.random.default_rng(0).permutation(n).astype(float)), minlength=4)

    assert sizes.max() - sizes.min() <= 1


def test_quartile_means_and_their_intervals_follow_the_normal_law() -> None:
    rng = np.random.default_rng(3)
    values, pcc = np.arange(1600.0), rng.normal(0.3, 0.2, size=(2, 1600))
    found = quartile_means(values, pcc)

    for place in range(4):
        own = pcc[:, 400 * place : 400 * (place + 1)]
        half = 1.96 * own.std(axis=1) / np.sqrt(400)
        np.testing.assert_allclose(found[place, :, 0], own.mean(axis=1))
        np.testing.assert_allclose(found[place, :, 1], own.mean(axis=1) - half, atol=0.1 * half.max())
        np.testing.assert_allclose(found[place, :, 2], own.mean(axis=1) + half, atol=0.1 * half.max())


def test_an_empty_quartile_has_no_mean_and_a_single_gene_no_interval() -> None:
    found = quartile_means(np.array([0.0, 0, 0, 0, 0, 0, 0, 1]), np.arange(8.0)[None])

    assert found[0, 0, 0] == 3
    assert np.isnan(found[1:3]).all()
    assert found[3, 0, 0] == 7
    assert np.isnan(found[3, 0, 1:]).all()


# ---------------------------------------------------------------------------------------------------------------
# The family

NAMES = genes(40)
DESCRIBED = pd.DataFrame(
    {
        "st_mean": np.arange(40.0),
        "st_detection": np.linspace(0.1, 0.9, 40),
        "morans_i": np.random.default_rng(4).permutation(40) / 40,
    },
    index=pd.Index(NAMES, name="gene"),
)


@dataclasses.dataclass(frozen=True)
class Described:
    """What is known of genes, in place of a store's."""

    by_dataset: Mapping[str, pd.DataFrame]

    def genes(self, dataset: str) -> pd.DataFrame:
        return self.by_dataset[dataset]


def values(label: str, dataset: str, seed: int, gene: str) -> dict[str, float]:
    place = int(gene[-3:])
    return row({"rises": 0.01 * place, "falls": 0.5 - 0.01 * place, "ridge": 0.02 * place, "flat": 0.0}[label])


VARIANTS = {
    "rises": Variant(selection="tuned on these genes"),
    "falls": Variant(),
    "ridge": Variant(method="low_rank_ridge", control=True, random=False),
    "flat": Variant(method="gene_mean", control=True, random=False),
}


def described(root: Path, known: Mapping[str, pd.DataFrame], **more: Any) -> Comparison:
    plan = Plan(variants=more.pop("variants", VARIANTS), values=values, datasets=dict.fromkeys(known, NAMES), **more)
    store = build(root, plan)
    comparison = read(store, store.asked(plan.name)[-1])
    return dataclasses.replace(comparison, kept=Described(known))  # type: ignore[arg-type]


def section_of(comparison: Comparison) -> Section:
    found = gene_groups.section(comparison)
    assert found is not None
    return found


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Comparison:
    known = {"whole": DESCRIBED, "no places": DESCRIBED.drop(columns="morans_i")}
    return described(tmp_path_factory.mktemp("both"), known, rates=(1.0, 0.5))


def test_pcc_that_rises_with_expression_has_correlation_one(both: Comparison) -> None:
    frame = section_of(both).frame
    own = frame[(frame["dataset"] == "whole") & (frame["statistic"] == "spearman")]
    found = own.set_index(["variant", "property"])

    assert found.loc[("rises", "expression"), ["value", "low", "high", "genes"]].tolist() == [1, 1, 1, 40]
    assert found.loc[("falls", "expression"), "value"] == -1
    assert found.loc[("rises", "sparsity"), "value"] == -1  # sparsity is one minus detection
    assert np.isnan(found.loc[("flat", "expression"), ["value", "low", "high"]].astype(float)).all()
    moran = found.loc[("rises", "morans_i")]
    assert moran["value"] == pytest.approx(spearmanr(np.arange(40), DESCRIBED["morans_i"]).statistic)
    assert moran["low"] < moran["value"] < moran["high"]


def test_quartiles_in_the_frame_are_ten_genes_each_with_their_range(both: Comparison) -> None:
    frame = section_of(both).frame
    own = frame[(frame["dataset"] == "whole") & (frame["variant"] == "rises") & (frame["property"] == "expression")]
    bins = own[own["statistic"] == "mean pcc"]

    assert bins[["quartile", "from", "to", "genes"]].to_numpy().tolist() == [
        [1, 0, 9, 10],
        [2, 10, 19, 10],
        [3, 20, 29, 10],
        [4, 30, 39, 10],
    ]
    np.testing.assert_allclose(bins["value"].astype(float), [0.045, 0.145, 0.245, 0.345])


def test_everything_is_at_the_highest_sampling_rate(both: Comparison) -> None:
    section = section_of(both)

    assert set(section.frame["sampling_rate"]) == {1.0}
    assert [table.name for table in section.tables] == ["whole-1", "no places-1"]


def test_an_unknown_property_is_named_and_has_no_column(both: Comparison) -> None:
    whole, without = section_of(both).tables

    assert [column.heading for column in whole.columns] == ["Expression", "Sparsity", "Moran's I"]
    assert [column.heading for column in without.columns] == ["Expression", "Sparsity"]
    assert ("Moran's I:", "the store does not have it for this dataset.") in without.footnotes
    assert not any(mark == "Moran's I:" for mark, _ in whole.footnotes)


def test_the_table_prints_intervals_marks_and_the_number_of_genes(both: Comparison) -> None:
    text = terminal.text(section_of(both).tables[:1])

    assert "rises†" in text
    assert "+1.00 [1.00, 1.00]" in text
    assert "n = 40 genes" in text
    assert "flat no correlation: the row has the same PCC on every gene" in text


def test_only_the_rows_inside_n_and_the_bar_are_drawn(both: Comparison) -> None:
    (drawing,) = section_of(both).drawings
    first, again = (saved(drawing.name, drawing.draw) for _ in range(2))
    svg = first["svg"].decode()

    assert first == again
    assert all(f">{label}<" in svg for label in ("rises", "falls", "ridge"))
    assert ">flat<" not in svg
    assert svg.count(">n=10<") == 5 * 4
    assert "Moran's I is not known" in svg


def test_five_datasets_are_two_figures(tmp_path: Path) -> None:
    known = {f"set{i}": DESCRIBED for i in range(5)}
    found = section_of(described(tmp_path, known))

    assert [drawing.name for drawing in found.drawings] == ["gene_groups-1", "gene_groups-2"]
    assert "set3" in found.drawings[0].caption
    assert "set4" in found.drawings[1].caption


def test_genes_without_a_known_property_are_left_out_and_counted(tmp_path: Path) -> None:
    holes = DESCRIBED.copy()
    holes.loc[NAMES[:3], "morans_i"] = np.nan
    found = section_of(described(tmp_path, {"MG": holes.drop(index=NAMES[-1])}))

    assert set(found.frame[found.frame["statistic"] == "spearman"]["genes"]) == {36}
    assert "n = 36 genes" in found.tables[0].size


def test_undescribed_and_few_genes_say_so(tmp_path: Path, golden: Store) -> None:
    few = section_of(described(tmp_path, {"MG": DESCRIBED.iloc[:7]}))
    nothing = section_of(read(golden, golden.asked("demo")[-1]))

    assert few.text == ("Not here, since fewer than 8 genes cannot be cut into quartiles: MG.",)
    assert nothing.text[0].endswith("the store does not describe their genes: MG [simulated] and sim_a [simulated].")
    for found in (few, nothing):
        assert (len(found.frame), found.tables, found.drawings) == (0, (), ())


def test_a_row_that_did_not_finish_has_its_reason_in_place_of_numbers(tmp_path: Path) -> None:
    variants = VARIANTS | {"falls": Variant(ends={("MG", 0, 0): ("failed", "boom")})}
    (table,) = section_of(described(tmp_path, {"MG": DESCRIBED}, variants=variants)).tables
    lines = {line.label: line for _, lines in table.groups for line in lines}

    assert [cell.text for cell in lines["falls"].cells] == ["failed", "--", "--"]
    assert any("boom" in sentence for _, sentence in table.footnotes)


def test_other_controls_alone_have_a_table_and_no_figure(tmp_path: Path) -> None:
    found = section_of(described(tmp_path, {"MG": DESCRIBED}, variants={"flat": VARIANTS["flat"]}))

    assert len(found.tables) == 1
    assert not found.drawings
    assert found.text[-1].startswith("No figure")


def test_a_real_store_has_all_three_properties(tmp_path: Path) -> None:
    methods = {"cells": NearestCells(), "ridge": LowRankRidge()}
    comparison = fill(tmp_path, Experiment("e", methods, ["a"], KFold(2)), {"a": tiny_pair()})
    frame = section_of(comparison).frame
    found = frame[frame["statistic"] == "spearman"].set_index(["variant", "property"])["value"]
    (block,) = comparison.blocks
    known = comparison.kept.genes("a").loc[list(block.genes)]

    for label, pcc in zip(block.labels, block.averaged[..., 0], strict=True):
        assert found[label, "expression"] == pytest.approx(spearmanr(pcc, known["st_mean"]).statistic)
        assert found[label, "sparsity"] == pytest.approx(spearmanr(pcc, 1 - known["st_detection"]).statistic)
        assert found[label, "morans_i"] == pytest.approx(spearmanr(pcc, known["morans_i"]).statistic)
