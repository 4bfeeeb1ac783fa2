"""Ranks over datasets: which datasets and variants count, what is said of them, and when it cannot be said."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scikit_posthocs import posthoc_nemenyi_friedman
from scipy.stats import friedmanchisquare, kendalltau, rankdata

from reports.families.across_datasets import section
from reports.family import Section
from reports.figures import across_figures, drawing
from reports.figures.drawing import looks
from reports.reading.dataset_ranks import Across, at
from reports.reading.scores import Comparison, read
from reports.reading.standings import BAR, standings
from reports.writing import tables
from reports.writing.tables import Table
from tests.reports.stores import Plan, Values, Variant, build, genes, row

RIDGE = Variant(method=BAR, control=True, random=False)
VARIANTS = {"A": Variant(), "B": Variant(), "C": Variant(), "ridge": RIDGE}
MEAN = {"A": 0.55, "B": 0.5, "C": 0.45, "ridge": 0.5}


def noisy(mean: Mapping[str, float] = MEAN, dataset_noise: float = 0.2, gene_noise: float = 0.4) -> Values:
    """PCC around a mean per label, with noise per dataset and per gene."""

    def values(label: str, dataset: str, seed: int, gene: str) -> dict[str, float]:
        by_dataset, by_gene = (
            hashlib.sha256(f"{label} {dataset} {name}".encode()).digest()[0] / 255 - 0.5 for name in ("", gene)
        )
        return row(mean[label] + dataset_noise * by_dataset + gene_noise * by_gene)

    return values


def comparison_of(
    root: Path,
    values: Values,
    datasets: int | Mapping[str, list[str]] = 3,
    variants: Mapping[str, Variant] = VARIANTS,
    **more: object,
) -> Comparison:
    if isinstance(datasets, int):
        datasets = {f"d{i}": genes(8 + i) for i in range(datasets)}
    store = build(root, Plan(variants=variants, values=values, datasets=datasets, folds=1, **more))
    return read(store, store.asked("demo")[-1])


def across_of(*args: object, **more: object) -> Across:
    found = at(comparison_of(*args, **more), 1.0)
    assert found is not None
    return found


def said(comparison: Comparison) -> Section:
    found = section(comparison)
    assert found is not None
    return found


def table(found: Section, name: str) -> Table:
    return next(each for each in found.tables if each.name == name)


def notes(shown: Table) -> dict[str, str]:
    return dict(shown.footnotes)


def values_of(frame: pd.DataFrame, quantity: str) -> pd.DataFrame:
    return frame[frame["quantity"] == quantity]


@pytest.fixture(scope="module")
def six(tmp_path_factory: pytest.TempPathFactory) -> Comparison:
    return comparison_of(tmp_path_factory.mktemp("six"), noisy(), 6)


# ---------------------------------------------------------------------------------------------------------------
# Tests over datasets


def test_the_tests_are_those_of_scipy_and_scikit_posthocs_on_the_accuracy_scores(six: Comparison) -> None:
    scores = np.array([[s.score for s in standings(block) if s.row.group == "variant"] for block in six.blocks])
    frame = said(six).frame
    (friedman,) = values_of(frame, "friedman_chi2").itertuples()
    pairs = values_of(frame, "nemenyi")
    expected = posthoc_nemenyi_friedman(pd.DataFrame(scores, columns=["A", "B", "C"]))

    assert (friedman.value, friedman.p) == pytest.approx(tuple(friedmanchisquare(*scores.T)))
    assert len(pairs) == 3
    for pair in pairs.itertuples():
        assert pair.p == pytest.approx(expected.loc[pair.variant, pair.against], abs=1e-6)
    mean = rankdata(-scores, axis=1).mean(axis=0)
    assert values_of(frame, "mean_rank")["value"].tolist() == pytest.approx(mean.tolist())
    assert [line.cells[0].sort for line in table(said(six), "ranks-1").groups[0][1]] == pytest.approx(mean.tolist())


def test_the_table_of_tests_marks_the_best_and_what_cannot_be_told_from_it(tmp_path: Path) -> None:
    mean = {"A": 0.9, "B": 0.8, "C": 0.1, "D": 0.05, "ridge": 0.5}
    variants = {label: Variant() for label in "ABCD"} | {"ridge": RIDGE}
    found = said(comparison_of(tmp_path, noisy(mean, 0, 0), 8, variants))
    shown = table(found, "ranks-1")
    a, b, c, d = shown.groups[0][1]

    # Always 1, 2, 3, 4: 8 datasets tell ranks 1.66 apart.
    assert [line.cells[0].emphasis for line in (a, b, c, d)] == ["best", "tied", "", ""]
    assert [line.cells[0].text for line in (a, b, c, d)] == ["1.00", "2.00", "3.00", "4.00"]
    assert "F(3, 21) = ∞, p < 0.001" in notes(shown)["Friedman:"]
    assert "1.66" in notes(shown)["Nemenyi:"]


def test_where_friedman_finds_nothing_pairs_are_not_to_be_compared(tmp_path: Path) -> None:
    shown = table(said(comparison_of(tmp_path, noisy(dict.fromkeys(MEAN, 0.5), 0.1, 0), 5)), "ranks-1")

    assert notes(shown)["Friedman:"].endswith("So there is no ground to compare pairs.")


@pytest.mark.parametrize(("datasets", "labels"), [(4, "ABC"), (5, "AB")])
def test_with_too_few_datasets_or_variants_a_sentence_stands_instead_of_a_test(
    tmp_path: Path, datasets: int, labels: str
) -> None:
    found = said(comparison_of(tmp_path, noisy(), datasets, {label: Variant() for label in labels}))

    assert "at least 5 datasets and 3 variants" in notes(table(found, "first-1"))["Friedman:"]
    assert f"{datasets} datasets and {len(labels)} variants" in notes(table(found, "first-1"))["Friedman:"]
    assert [shown.name for shown in found.tables] == ["first-1", "left-out-1"]
    assert [figure.name for figure in found.drawings] == ["rank_chances"]
    assert not set(found.frame["quantity"]) & {"friedman_chi2", "iman_davenport_f", "nemenyi", "critical_difference"}


# ---------------------------------------------------------------------------------------------------------------
# What counts


def test_only_datasets_that_all_variants_finished_count_and_it_is_said_which(tmp_path: Path) -> None:
    variants = VARIANTS | {"B": Variant(ends={("d1", 0, 0): ("failed", "boom")})}
    comparison = comparison_of(tmp_path, noisy(), 4, variants, synthetic="simulated")
    found = at(comparison, 1.0)

    assert found is not None
    assert [block.dataset for block in found.blocks] == ["d0", "d2", "d3"]
    assert notes(table(said(comparison), "first-1"))["Datasets:"] == "d0 [simulated]; d2 [simulated]; d3 [simulated]."


def test_a_variant_that_finished_nothing_is_named_and_leaves_the_others_their_datasets(tmp_path: Path) -> None:
    broken = Variant(ends={(f"d{i}", f, 0): ("failed", "boom") for i in range(3) for f in (0, 1)})
    comparison = comparison_of(tmp_path, noisy(), 3, VARIANTS | {"C": broken})
    found = at(comparison, 1.0)

    assert found is not None
    assert (found.labels, len(found.blocks)) == (("A", "B"), 3)
    assert notes(table(said(comparison), "first-1"))["Not here:"] == "C, which finished no dataset."


def test_controls_change_nothing_but_the_chance_of_beating_the_bar(tmp_path: Path) -> None:
    without = {label: variant for label, variant in VARIANTS.items() if not variant.control}
    one, other = (
        said(comparison_of(tmp_path / str(i), noisy(), 5, variants)) for i, variants in enumerate((VARIANTS, without))
    )

    kept = one.frame[one.frame["quantity"] != "chance_above_bar"].reset_index(drop=True)
    pd.testing.assert_frame_equal(kept, other.frame)
    assert "chance_above_bar" in set(one.frame["quantity"])
    assert [line.cells[2].text for line in table(other, "first-1").groups[0][1]] == ["--"] * 3
    assert notes(table(other, "first-1"))["Ridge:"].startswith("--, since low-rank ridge")


def test_a_bar_that_lacks_one_of_the_datasets_is_not_compared_with(tmp_path: Path) -> None:
    ridge = Variant(method=BAR, control=True, random=False, ends={("d1", 0, 0): ("failed", "boom")})
    found = across_of(tmp_path, noisy(), 3, VARIANTS | {"ridge": ridge})

    assert len(found.blocks) == 3
    assert found.above_bar is None


def test_one_variant_has_nothing_to_be_compared_with(tmp_path: Path) -> None:
    assert section(comparison_of(tmp_path, noisy(), 3, {"A": Variant(), "ridge": RIDGE})) is None


def test_where_no_dataset_was_finished_by_all_a_sentence_says_so(tmp_path: Path) -> None:
    variants = {
        "A": Variant(ends={("d0", 0, 0): ("failed", "boom")}),
        "B": Variant(ends={("d1", 0, 0): ("failed", "boom")}),
    }
    found = said(comparison_of(tmp_path, noisy(), 2, variants))

    assert found.tables == found.drawings == ()
    assert "No dataset was finished by all" in found.text[-1]
    assert tables.csv(found.frame).startswith("sampling_rate,quantity")


def test_tuned_rows_and_flags_are_marked_in_every_table(tmp_path: Path) -> None:
    variants = VARIANTS | {"B": Variant(selection="tuned on these genes")}
    found = said(comparison_of(tmp_path, noisy(), 5, variants, flags=("one thing", "another")))

    for name in ("ranks-1", "first-1"):
        assert [line.marks for line in table(found, name).groups[0][1]] == ["", "†", ""]
        assert "†" in notes(table(found, name))
    assert {notes(shown)["Flag:"] for shown in found.tables} == {"one thing; another."}


def test_every_sampling_rate_has_its_tables_and_the_highest_its_figures(tmp_path: Path) -> None:
    found = said(comparison_of(tmp_path, noisy(), 3, rates=(1.0, 0.5)))

    assert [shown.name for shown in found.tables] == ["first", "above-ridge", "left-out-1", "left-out-0.5"]
    assert [column.heading for column in found.tables[0].columns] == ["rate 1", "rate 0.5"]
    assert set(found.frame["sampling_rate"]) == {1.0, 0.5}
    assert all("sampling rate of 1." in figure.caption for figure in found.drawings)


# ---------------------------------------------------------------------------------------------------------------
# Chances


def test_draws_average_the_scores_of_resampled_genes_over_resampled_datasets(tmp_path: Path) -> None:
    found = across_of(tmp_path, noisy(), 4)
    means, spreads = [], []
    for block in found.blocks:
        values = block.averaged[block.places("variant")]
        random = np.random.default_rng(0)  # not the harness's stream: only the distribution is to be the same
        scores = np.array(
            [slow_scores(values[:, random.integers(0, n, n)].mean(axis=1)) for n in [values.shape[1]] * 300]
        )
        means.append(scores.mean(axis=0))
        spreads.append(scores.var(axis=0))

    np.testing.assert_allclose(found.drawn.mean(axis=0), np.mean(means, axis=0), atol=0.06)
    expected = (np.var(means, axis=0) + np.mean(spreads, axis=0)) / 4
    np.testing.assert_allclose(found.drawn.var(axis=0), expected, rtol=0.2)


def slow_scores(means: np.ndarray) -> np.ndarray:
    """(V, 4) -> (V,) accuracy scores."""
    return np.mean([rankdata(column if i < 2 else -column) for i, column in enumerate(means.T)], axis=0)


def test_a_variant_that_is_best_on_every_gene_is_first_for_certain(tmp_path: Path) -> None:
    found = across_of(tmp_path, noisy({"A": 0.2, "B": 0.8, "C": 0.5, "ridge": 0.6}, 0, 0.1), 3)

    np.testing.assert_array_equal(found.chances, [[0, 0, 1], [1, 0, 0], [0, 1, 0]])
    assert found.expected.tolist() == [3, 1, 2]
    assert [ends.tolist() for ends in found.rank_interval] == [[3, 1, 2]] * 2
    assert found.above_bar is not None
    assert found.above_bar.tolist() == [0, 1, 0]


def test_twins_share_their_chances_and_a_twin_of_the_bar_is_above_it_by_half(tmp_path: Path) -> None:
    inner = noisy()
    twin = {"A": "A", "B": "A", "C": "C", "ridge": "A"}
    found = across_of(tmp_path, lambda label, *more: inner(twin[label], *more), 3)

    assert found.chances[0, 0] > 0
    np.testing.assert_array_equal(found.chances[0], found.chances[1])
    assert found.above_bar is not None
    assert found.above_bar[:2].tolist() == [0.5, 0.5]


def test_two_datasets_that_disagree_leave_it_open_who_is_first(tmp_path: Path) -> None:
    def values(label: str, dataset: str, seed: int, gene: str) -> dict[str, float]:
        return row(0.8 if (label == "A") == (dataset == "d0") else 0.2)

    found = across_of(tmp_path, values, 2, {"A": Variant(), "B": Variant()})

    # Both datasets are drawn in half of the resamples, which ties; else one is drawn twice.
    np.testing.assert_allclose(found.chances, 0.5, atol=0.03)
    assert sorted(set(found.drawn[:, 0])) == [1, 1.5, 2]


def test_of_one_dataset_chances_are_over_its_genes_and_it_is_said(tmp_path: Path) -> None:
    comparison = comparison_of(tmp_path, noisy(), 1)
    found = at(comparison, 1.0)
    shown = table(said(comparison), "first-1")

    assert found is not None
    assert len(np.unique(found.drawn, axis=0)) > 3
    assert "over genes alone" in notes(shown)["Chances:"]
    assert "needs at least 3 datasets" in notes(shown)["Leaving one out:"]
    assert "resamples of genes" in said(comparison).drawings[0].caption


def test_datasets_of_as_many_genes_are_resampled_apart(tmp_path: Path) -> None:
    inner = noisy()
    # The same values on both: the same draws of genes would give the same scores.
    values = lambda label, dataset, seed, gene: inner(label, "d0", seed, gene)  # noqa: E731
    found = across_of(tmp_path, values, {"d0": genes(12), "d1": genes(12)})

    alone = across_of(tmp_path / "alone", values, {"d0": genes(12)})
    assert found.drawn.var(axis=0).mean() < 0.7 * alone.drawn.var(axis=0).mean()  # half, where draws are apart


# ---------------------------------------------------------------------------------------------------------------
# Leaving one dataset out


def test_the_leader_and_the_order_without_each_dataset_are_those_of_the_others(six: Comparison) -> None:
    found = at(six, 1.0)
    assert found is not None
    frame, shown = said(six).frame, table(said(six), "left-out-1")
    whole = rankdata(-found.scores.mean(axis=0))

    for d, (block, line) in enumerate(zip(found.blocks, shown.groups[0][1][1:], strict=True)):
        placed = rankdata(-np.delete(found.scores, d, axis=0).mean(axis=0).round(9))
        own = values_of(frame, "left_out_rank").query("dataset == @block.name")
        assert own["value"].tolist() == placed.tolist()
        assert line.label == block.dataset
        assert line.cells[0].text == " and ".join(
            v for v, rank in zip("ABC", placed, strict=True) if rank == min(placed)
        )
        assert line.cells[1].sort == pytest.approx(kendalltau(placed, whole).statistic)


def test_a_dataset_that_decides_alone_is_seen(tmp_path: Path) -> None:
    def values(label: str, dataset: str, seed: int, gene: str) -> dict[str, float]:
        order = {"d0": "ABC", "d1": "CBA", "d2": "ACB"}[dataset]
        return row(0.8 - 0.2 * order.index(label))

    found = said(comparison_of(tmp_path, values, 3, {label: Variant() for label in "ABC"}))
    leads = {line.label: line.cells[0].text for line in table(found, "left-out-1").groups[0][1]}
    a, b, c = table(found, "first-1").groups[0][1]

    # Scores of A, B and C: 3 2 1; 1 2 3; 3 1 2.
    assert leads == {"none": "A", "d0": "C", "d1": "A", "d2": "A, B and C"}
    assert [line.cells[4].text for line in (a, b, c)] == ["1 to 2", "2 to 3", "1 to 2.5"]


# ---------------------------------------------------------------------------------------------------------------
# Files


def test_the_same_store_gives_the_same_bytes(six: Comparison) -> None:
    again = read(six.kept.store, six.asked)
    one, other = said(six), said(again)

    assert tables.csv(one.frame) == tables.csv(other.frame)
    assert tables.markdown("x", one.tables) == tables.markdown("x", other.tables)
    for a, b in zip(one.drawings, other.drawings, strict=True):
        assert drawing.saved(a.name, a.draw) == drawing.saved(b.name, b.draw)


def test_names_that_would_be_markup_are_drawn_as_they_are(tmp_path: Path) -> None:
    variants = {"<script>alert(1)</script>": Variant(), "$x_1$ & {y}": Variant(), "plain": Variant()}
    mean = dict.fromkeys(variants, 0.5)
    found = said(comparison_of(tmp_path, noisy(mean), 5, variants))

    for figure in found.drawings:
        svg = drawing.saved(figure.name, figure.draw)["svg"].decode()
        assert "&lt;script&gt;alert(1)" in svg
        assert "$x_1$ &amp; {y}" in svg


@pytest.mark.parametrize("name", ["critical_difference", "rank_chances"])
def test_long_names_and_many_variants_stay_inside_the_figure(six: Comparison, name: str) -> None:
    labels = tuple(f"{i} without the Condition, with Many components" for i in range(12))
    random = np.random.default_rng(0)
    found = Across(1.0, six.blocks, labels, (), random.normal(size=(6, 12)), random.normal(size=(50, 12)), None)
    look = dict.fromkeys(labels, looks(six)["A"])
    assert found.tests is not None
    figure = {
        "critical_difference": lambda: across_figures.critical_difference(found, found.tests, look),
        "rank_chances": lambda: across_figures.rank_chances(found, look),
    }[name]
    drawn = []

    drawing.saved(name, lambda: drawn.append(figure()) or drawn[0])

    box = drawn[0].get_tightbbox()
    assert (box.x0, box.y0) >= (0, 0)
    assert box.x1 <= drawn[0].get_figwidth()
    assert box.y1 <= drawn[0].get_figheight()
    assert drawn[0].get_figwidth() == pytest.approx(89 / 25.4)
    (axes,) = drawn[0].axes
    assert axes.get_window_extent().width > 0.3 * drawn[0].bbox.width
