"""Controls, the bar, bias, and scores over several datasets."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import rankdata

from harness.store import Store
from reports.families import ablation, accuracy_score
from reports.reading.scores import Comparison, read
from reports.reading.standings import Standing, overall, standings
from reports.writing.wording import notes
from tests.reports.stores import Plan, Variant, build, genes, qualities, row


def comparison_of(root: Path, plan: Plan) -> Comparison:
    store = build(root, plan)
    return read(store, store.asked(plan.name)[-1])


def by_label(comparison: Comparison, place: int = 0) -> dict[str, Standing]:
    return {s.row.label: s for s in standings(comparison.blocks[place])}


MEAN = {"A": 0.6, "B": 0.5, "C": 0.4, "ridge": 0.45, "flat": 0.0, "theirs": 0.7}
VARIANTS = {
    "ridge": Variant(method="low_rank_ridge", control=True, random=False),
    "A": Variant(),
    "B": Variant(),
    "C": Variant(),
    "flat": Variant(method="gene_mean", control=True, random=False),
    "theirs": Variant(external=True),
}


def brute_force(means: Mapping[str, tuple[float, ...]], label: str, variants: list[str]) -> float:
    """The AS of a row among the variants and itself."""
    rows = np.array([means[name] for name in dict.fromkeys([*variants, label])])
    placed = [rankdata(column if i < 2 else -column) for i, column in enumerate(rows.T)]
    return float(np.mean(placed, axis=0)[list(dict.fromkeys([*variants, label])).index(label)])


def test_controls_and_outside_predictions_stand_outside_n_with_what_they_would_have_had(tmp_path: Path) -> None:
    plan = Plan(variants=VARIANTS, values=qualities(MEAN, spread=1.0), datasets={"MG": genes(20)})
    found = by_label(comparison_of(tmp_path, plan))
    means = {label: s.means for label, s in found.items()}

    assert list(found) == ["A", "B", "C", "ridge", "flat", "theirs"]
    for label, standing in found.items():
        assert standing.n == (3 if label in "ABC" else 4)
        assert standing.score == brute_force(means, label, ["A", "B", "C"])


def test_adding_a_control_changes_no_variants_score(tmp_path: Path) -> None:
    without = {label: v for label, v in VARIANTS.items() if not v.control}
    plans = [
        Plan(variants=v, values=qualities(MEAN, spread=1.0), datasets={"MG": genes(20)}) for v in (VARIANTS, without)
    ]
    a, b = (by_label(comparison_of(tmp_path / str(i), plan)) for i, plan in enumerate(plans))

    for label in "ABC":
        assert (a[label].score, a[label].low, a[label].high) == (b[label].score, b[label].low, b[label].high)


def test_a_variant_is_above_level_or_below_the_low_rank_ridge(tmp_path: Path) -> None:
    mean = MEAN | {"A": 0.8, "B": 0.45, "C": 0.1}
    plan = Plan(variants=VARIANTS, values=qualities(mean, spread=0.3), datasets={"MG": genes(40)})
    found = by_label(comparison_of(tmp_path, plan))

    assert [found[label].versus_bar for label in "ABC"] == ["above", "level", "below"]


def test_a_variant_whose_bias_exceeds_the_truths_spread_is_marked(tmp_path: Path) -> None:
    bias = {"A": -0.51, "B": 0.49}  # the truth's sd is 0.5
    plan = Plan(
        variants={"A": Variant(), "B": Variant()},
        values=lambda label, dataset, seed, gene: row(0.5, bias=bias[label]),
        datasets={"MG": genes(6)},
    )
    found = by_label(comparison_of(tmp_path, plan))

    assert found["A"].biased
    assert not found["B"].biased


def test_the_share_of_genes_whose_js_beats_flat_is_counted(tmp_path: Path) -> None:
    plan = Plan(
        variants={"A": Variant()},
        values=lambda label, dataset, seed, gene: row(0.5, js=0.1 if gene < "gene003" else 0.3),  # flat: 0.2
        datasets={"MG": genes(10)},
    )

    assert by_label(comparison_of(tmp_path, plan))["A"].beats_flat == pytest.approx(0.3)


def test_controls_alone_have_their_means_and_no_score(tmp_path: Path) -> None:
    variants = VARIANTS | {label: Variant(ends={("MG", 0, 0): ("missing", "")}) for label in ("A", "B", "C")}
    plan = Plan(variants=variants, values=qualities(MEAN), datasets={"MG": genes(8)})
    comparison = comparison_of(tmp_path, plan)
    found = by_label(comparison)

    assert math.isnan(found["ridge"].score)
    assert found["ridge"].means[0] == pytest.approx(0.45, abs=0.2)
    (shown,) = accuracy_score.tables(comparison)
    assert [cell.text for cell in shown.groups[1][1][0].cells[:4]] == ["--"] * 4


@pytest.fixture
def three_datasets(tmp_path: Path) -> Comparison:
    variants = {
        "A": Variant(),
        "B": Variant(ends={("two", 0, 0): ("failed", "boom")}),
        "C": Variant(ends={("three", f, 0): ("skipped", "no coordinates") for f in (0, 1)}),
        "flat": Variant(method="gene_mean", control=True),
    }
    plan = Plan(
        variants=variants,
        values=lambda label, dataset, seed, gene: row(MEAN[label]),
        datasets={"one": genes(8), "two": genes(8), "three": genes(8)},
    )
    return comparison_of(tmp_path, plan)


def test_the_headline_averages_the_datasets_that_all_variants_finished(three_datasets: Comparison) -> None:
    found = overall(three_datasets, 1.0, "finished by all")

    assert found.datasets == ("one",)
    assert {r.row.label: r.share for r in found.rows} == {"A": 1, "B": 2 / 3, "C": 1 / 3, "flat": 1 / 4}


def test_failures_count_as_rank_1_over_all_datasets_and_skips_do_not_count(three_datasets: Comparison) -> None:
    found = overall(three_datasets, 1.0, "failures at rank 1")
    rows = {r.row.label: r for r in found.rows}

    assert len(found.datasets) == 3
    # one: A 3/3, B 2/3, C 1/3; two: B failed, so A 3/3, C 2/3, B 1/3; three: C skipped, so A 2/2, B 1/2.
    assert rows["A"].share == pytest.approx(1)
    assert rows["B"].share == pytest.approx((2 / 3 + 1 / 3 + 1 / 2) / 3)
    assert rows["C"].share == pytest.approx((1 / 3 + 2 / 3) / 2)
    assert [rows[label].datasets for label in "ABC"] == [3, 3, 2]
    assert rows["A"].best_on == 3


def test_a_variant_that_finished_nothing_does_not_empty_the_headline(tmp_path: Path) -> None:
    ends = {(d, f, 0): ("failed", "boom") for d in ("one", "two") for f in (0, 1)}
    plan = Plan(
        variants={"A": Variant(), "B": Variant(), "broken": Variant(ends=ends)},
        values=lambda label, dataset, seed, gene: row(MEAN[label]),
        datasets={"one": genes(8), "two": genes(8)},
    )
    found = overall(comparison_of(tmp_path, plan), 1.0, "finished by all")

    assert found.datasets == ("one", "two")
    assert [(r.row.label, r.word) for r in found.rows if math.isnan(r.share)] == [("broken", "failed")]


def test_the_golden_store_stands_as_it_should(golden: Store) -> None:
    first = by_label(read(golden, golden.asked("demo")[-1]))

    assert [s.row.word for s in first.values()] == ["", "", "", "failed", "n/a", "", ""]
    assert [s.biased for s in first.values()] == [False, False, True, False, False, False, False]


@pytest.mark.parametrize("invented", [("d0",), ("d0", "d1"), ("d0", "d1", "d2")])
def test_data_that_are_not_real_count_over_datasets_only_where_none_are(
    tmp_path: Path, invented: tuple[str, ...]
) -> None:
    datasets = {f"d{i}": genes(10 + i) for i in range(3)}
    plan = Plan(
        variants=VARIANTS,
        values=qualities(MEAN, spread=0.3),
        datasets=datasets,
        synthetic=dict.fromkeys(invented, "made up: by hand"),
        remarks={"d1": ["ST: values have fractions."]},
    )
    comparison = comparison_of(tmp_path, plan)
    real = [name for name in datasets if name not in invented]

    found = overall(comparison, 1.0, "finished by all")

    assert list(found.datasets) == (real or [f"{name} [made up: by hand]" for name in datasets])
    captions = [table.caption for table in accuracy_score.tables(comparison)]
    assert any("Overall" in caption for caption in captions) == (len(real) != 1)
    pooled = ablation.section(comparison)
    assert pooled is not None
    assert any("over datasets" in table.caption.lower() for table in pooled.tables) == (len(real) != 1)
    said = notes(comparison)
    assert any(note.endswith("Means over datasets are of the others.") for note in said) == bool(real)
    assert "d1: ST: values have fractions." in said
