"""Ranks per gene and accuracy scores over datasets, against brute force, and what is said where there are too few."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from harness.store import Store
from reports.families import rank_figures
from reports.families.rank_figures import first, gene_ranks
from reports.figures.drawing import saved
from reports.reading.scores import Comparison, read
from reports.reading.standings import standings
from tests.reports.stores import Plan, Variant, build, genes, qualities, row

MEAN = {"A": 0.50, "B": 0.48, "C": 0.3, "ridge": 0.45}
VARIANTS = {
    "A": Variant(),
    "B": Variant(),
    "C": Variant(),
    "ridge": Variant(method="low_rank_ridge", control=True, random=False),
}


def comparison_of(root: Path, plan: Plan) -> Comparison:
    store = build(root, plan)
    return read(store, store.asked(plan.name)[-1])


@pytest.fixture(scope="module")
def six(tmp_path_factory: pytest.TempPathFactory) -> Comparison:
    datasets = {f"set{i}": genes(12 + i) for i in range(6)}  # enough for a box
    plan = Plan(variants=VARIANTS, values=qualities(MEAN, spread=0.3), datasets=datasets, rates=(1.0, 0.5))
    return comparison_of(tmp_path_factory.mktemp("six"), plan)


few_values = arrays(
    np.float64, st.tuples(st.integers(1, 5), st.integers(1, 7)), elements=st.sampled_from([-0.5, 0.0, 0.25, 0.5])
)


@given(few_values)
@settings(max_examples=60, deadline=None)
def test_a_rank_is_the_number_of_variants_beaten_with_half_for_a_tie(pcc: np.ndarray) -> None:
    ranks = gene_ranks(pcc)

    for v in range(len(pcc)):
        for g in range(pcc.shape[1]):
            beaten, level = (pcc[:, g] < pcc[v, g]).sum(), (pcc[:, g] == pcc[v, g]).sum()
            assert ranks[v, g] == beaten + (level + 1) / 2


@given(few_values)
@settings(max_examples=60, deadline=None)
def test_the_first_place_of_a_gene_is_shared_by_those_that_tie_for_it(pcc: np.ndarray) -> None:
    shares = first(gene_ranks(pcc))

    np.testing.assert_allclose(shares.sum(axis=0), 1)
    for g in range(pcc.shape[1]):
        winners = pcc[:, g] == pcc[:, g].max()
        np.testing.assert_allclose(shares[:, g], winners / winners.sum())


def test_a_difference_below_the_precision_of_a_sum_is_a_tie() -> None:
    np.testing.assert_array_equal(gene_ranks(np.array([[0.3], [0.1 + 0.2]])), [[1.5], [1.5]])


def test_the_frame_counts_genes_as_brute_force_does(six: Comparison) -> None:
    frame = rank_figures.as_frame(six)

    assert len(frame) == 6 * 2 * 3 * 2  # datasets, rates, variants inside N, statistics
    for block in six.blocks:
        pcc = block.averaged[block.places("variant"), :, 0]
        own = frame[(frame["dataset"] == block.dataset) & (frame["sampling_rate"] == block.rate)]
        shares = own[own["statistic"] == "share first"]
        assert list(shares["variant"]) == ["A", "B", "C"]
        np.testing.assert_allclose(shares["value"], np.bincount(pcc.argmax(axis=0), minlength=3) / pcc.shape[1])
        assert own[own["statistic"] == "mean rank"]["value"].mean() == pytest.approx(2)  # (N + 1) / 2
        assert set(own["genes"]) == {len(block.genes)}
    assert (frame["low"] <= frame["value"]).all()
    assert (frame["value"] <= frame["high"]).all()


def test_the_interval_of_a_share_is_that_of_a_binomial_over_n(tmp_path: Path) -> None:
    plan = Plan(
        variants={"A": Variant(), "B": Variant()},
        values=lambda label, dataset, seed, gene: row(0.5 if (label == "A") == (gene < "gene030") else 0.4),
        datasets={"MG": genes(100)},
    )
    frame = rank_figures.as_frame(comparison_of(tmp_path, plan))
    share = frame[(frame["variant"] == "A") & (frame["statistic"] == "share first")].iloc[0]

    assert share["value"] == pytest.approx(0.3)
    # Resampling 100 genes draws Binomial(100, 0.3) / 100: its 2.5% and 97.5% quantiles are 0.21 and 0.39.
    assert share["low"] == pytest.approx(0.21, abs=0.011)
    assert share["high"] == pytest.approx(0.39, abs=0.011)


def test_first_on_most_genes_is_said_not_to_be_the_accuracy_score(tmp_path: Path) -> None:
    def values(label: str, dataset: str, seed: int, gene: str) -> dict[str, float]:
        often, rarely = (0.51, 0.1) if label == "often" else (0.5, 0.9)
        return row(often if gene < "gene008" else rarely)

    plan = Plan(variants={"often": Variant(), "rarely": Variant()}, values=values, datasets={"MG": genes(10)})
    comparison = comparison_of(tmp_path, plan)
    section = rank_figures.section(comparison)
    score = {standing.row.label: standing.score for standing in standings(comparison.blocks[0])}

    assert section is not None
    assert section.frame.set_index(["variant", "statistic"]).loc[("often", "share first"), "value"] == 0.8
    assert score == {"often": 1, "rarely": 2}
    assert "is not the accuracy score" in section.text[1]
    assert "is not the accuracy score" in section.drawings[-1].caption


def test_points_of_the_box_plot_are_the_standings(six: Comparison) -> None:
    from matplotlib.colors import same_color

    section = rank_figures.section(six)
    assert section is not None
    figure = section.drawings[0].draw()
    (axes,) = figure.axes
    rows = [line for line in axes.lines if line.get_marker() not in ("None", None, "")]

    blocks = [block for block in six.blocks if block.rate == 1.0]
    for y, (label, line) in enumerate(zip(["A", "B", "C", "ridge"], rows, strict=True)):
        expected = [next(s.share for s in standings(block) if s.row.label == label) for block in blocks]
        np.testing.assert_allclose(line.get_xdata(), expected)
        assert len(set(line.get_ydata())) == 6
        assert all(abs(value - y) < 0.5 for value in line.get_ydata())
        box = axes.patches[y]
        ends = [box.get_x(), box.get_x() + box.get_width()]
        np.testing.assert_allclose(ends, np.percentile(expected, [25, 75]), atol=1e-12)
    assert same_color(rows[-1].get_markerfacecolor(), "white")  # a control


def test_few_datasets_have_points_and_no_box(tmp_path: Path) -> None:
    plan = Plan(variants=VARIANTS, values=qualities(MEAN), datasets={"one": genes(6), "two": genes(6)})
    section = rank_figures.section(comparison_of(tmp_path, plan))

    assert section is not None
    assert "so there is none" in section.drawings[0].caption
    assert not section.drawings[0].draw().axes[0].patches


def test_one_dataset_has_a_sentence_in_place_of_a_box_plot(tmp_path: Path) -> None:
    plan = Plan(variants=VARIANTS, values=qualities(MEAN), datasets={"one": genes(6)})
    section = rank_figures.section(comparison_of(tmp_path, plan))

    assert section is not None
    assert [drawing.name for drawing in section.drawings] == ["gene_ranks"]
    assert "needs two datasets" in section.text[0]


def test_one_variant_has_no_ranks_and_none_has_no_section(tmp_path: Path) -> None:
    one = {"A": Variant(), "ridge": VARIANTS["ridge"]}
    alone = rank_figures.section(
        comparison_of(tmp_path / "1", Plan(variants=one, values=qualities(MEAN), datasets={"MG": genes(6)}))
    )
    controls = {"ridge": VARIANTS["ridge"]}
    none = rank_figures.section(
        comparison_of(tmp_path / "2", Plan(variants=controls, values=qualities(MEAN), datasets={"MG": genes(6)}))
    )

    assert alone is not None
    assert "two variants" in alone.text[1]
    assert not alone.drawings
    assert alone.frame.empty
    assert none is None


def test_the_heat_map_has_a_cell_per_variant_and_gene_sorted_by_mean_pcc(six: Comparison) -> None:
    section = rank_figures.section(six)
    assert section is not None
    figure = section.drawings[1].draw()
    block = six.blocks[0]
    pcc = block.averaged[block.places("variant"), :, 0]
    cells = figure.axes[0].images[0].get_array()
    order = np.argsort(-pcc.mean(axis=0))

    assert cells.shape == (3, len(block.genes))
    for place, gene in enumerate(order):
        assert list(np.asarray(cells)[:, place]) == list(np.argsort(np.argsort(pcc[:, gene])) / 2)


def test_more_genes_than_fit_are_thinned_and_said_to_be(six: Comparison, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rank_figures, "MOST", 5)
    section = rank_figures.section(six)

    assert section is not None
    assert "set0 (12 genes)" in section.drawings[1].caption
    assert section.drawings[1].draw().axes[0].images[0].get_array().shape == (3, 5)


def test_a_variant_that_did_not_finish_has_its_reason_and_no_cells(golden: Store) -> None:
    section = rank_figures.section(read(golden, golden.asked("demo")[-1]))
    assert section is not None
    svg = saved("gene_ranks", section.drawings[1].draw)["svg"].decode()

    assert ">n/a<" in svg
    assert ">failed<" in svg
    assert "w/ &lt;script" in svg
    assert len(re.findall(r">\d+%<", svg)) == section.frame["statistic"].eq("share first").sum()


def test_figures_are_the_same_twice(tmp_path: Path) -> None:
    plan = Plan(variants=VARIANTS, values=qualities(MEAN), datasets={"one": genes(6), "two": genes(6)})
    section = rank_figures.section(comparison_of(tmp_path, plan))

    assert section is not None
    for drawing in section.drawings:
        assert saved(drawing.name, drawing.draw) == saved(drawing.name, drawing.draw)
