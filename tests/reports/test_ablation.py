"""Differences from the reference: pairing, adjustment, what changed nothing, and what cannot be said."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from harness import Experiment, KFold
from harness.record import Record
from harness.store import Store
from models.controls.gene_mean import GeneMean
from reports.families import ablation, accuracy_score, metrics
from reports.family import Section
from reports.figures.drawing import saved
from reports.reading.contrasts import contrasts
from reports.reading.scores import Comparison, read
from reports.writing.tables import csv, markdown
from tests.conftest import tiny_pair
from tests.reports.real_stores import fill
from tests.reports.stores import Plan, Variant, build, genes, qualities, row
from tests.reports.test_paired import by_closed_testing
from tests.toys import VisibleMean

MEAN = {"full": 0.5, "w/o gate": 0.48, "w/o fusion": 0.3, "low-rank ridge": 0.47, "flat": 0.0}
VARIANTS = {
    "full": Variant(),
    "w/o gate": Variant(),
    "w/o fusion": Variant(random=False),
    "low-rank ridge": Variant(method="low_rank_ridge", control=True, random=False),
    "flat": Variant(method="gene_mean", control=True, random=False),
}
PLAN = Plan(
    variants=VARIANTS,
    values=qualities(MEAN, spread=0.3),
    datasets={"MG": genes(40), "small": genes(12)},
    seeds=(0, 1),
)


def read_back(root: Path, plan: Plan) -> Comparison:
    store = build(root, plan)
    return read(store, store.asked(plan.name)[-1])


def said_of(comparison: Comparison) -> Section:
    found = ablation.section(comparison)
    assert found is not None
    return found


def with_records(comparison: Comparison, change: Callable[[Record], Record]) -> Comparison:
    return dataclasses.replace(comparison, records={name: change(r) for name, r in comparison.records.items()})


@pytest.fixture(scope="module")
def comparison(tmp_path_factory: pytest.TempPathFactory) -> Comparison:
    return read_back(tmp_path_factory.mktemp("ablation"), PLAN)


@pytest.fixture(scope="module")
def section(comparison: Comparison) -> Section:
    return said_of(comparison)


def of(frame: pd.DataFrame, scope: str = "dataset", **where: object) -> pd.DataFrame:
    kept = frame[frame["scope"] == scope]
    for name, value in where.items():
        kept = kept[kept[name] == value]
    return kept


def test_the_difference_is_the_mean_over_genes_of_variant_minus_reference_after_averaging_seeds(
    section: Section,
) -> None:
    def averaged(label: str, gene: str) -> float:
        seeds = PLAN.seeds if VARIANTS[label].random else (0,)
        return float(np.mean([PLAN.values(label, "MG", seed, gene)["js"] for seed in seeds]))

    for label in list(VARIANTS)[1:]:
        (found,) = of(section.frame, dataset="MG", variant=label, metric="js")["difference"]
        by_hand = np.mean([averaged(label, gene) - averaged("full", gene) for gene in genes(40)])
        assert found == pytest.approx(by_hand)


def test_every_difference_lies_in_its_interval_and_names_its_genes_and_direction(section: Section) -> None:
    frame = of(section.frame)

    assert (frame["low"] <= frame["difference"]).all()
    assert (frame["difference"] <= frame["high"]).all()
    assert dict(frame.groupby("dataset")["genes"].first()) == {"MG": 40, "small": 12}
    assert set(frame.loc[frame["better"] == "lower", "metric"]) == {"rmse", "js"}
    assert set(frame["reference"]) == {"full"}


@pytest.mark.parametrize("group", ["variant", "control"])
def test_p_is_adjusted_by_holm_within_the_variants_and_within_the_controls(section: Section, group: str) -> None:
    for _, own in of(section.frame, group=group).groupby(["dataset", "metric"]):
        assert len(own) == 2
        np.testing.assert_allclose(own["p_holm"], by_closed_testing(list(own["p"])))


def test_an_added_control_changes_nothing_of_a_variant(tmp_path: Path, section: Section) -> None:
    fewer = {label: v for label, v in VARIANTS.items() if label != "flat"}
    without = said_of(read_back(tmp_path, dataclasses.replace(PLAN, variants=fewer)))

    both = [of(each.frame, group="variant").reset_index(drop=True) for each in (section, without)]
    pd.testing.assert_frame_equal(*both)


def test_the_reference_is_the_named_one_and_stands_in_no_line(comparison: Comparison) -> None:
    named = dataclasses.replace(comparison, asked=dataclasses.replace(comparison.asked, reference="w/o fusion"))
    found = said_of(named)

    assert found.title == "Differences from w/o fusion"
    shown = {line.label for table in found.tables for _, lines in table.groups for line in lines}
    assert shown == set(found.frame["variant"]) == set(VARIANTS) - {"w/o fusion"}


def test_rmse_is_in_the_frame_and_not_in_the_tables(section: Section) -> None:
    assert "rmse" in set(section.frame["metric"])
    assert not any("RMSE" in column.heading for table in section.tables for column in table.columns)


def test_a_switch_that_changes_nothing_is_called_out(tmp_path: Path) -> None:
    variants = {"full": VisibleMean(), "w/o tally": VisibleMean(tally=str(tmp_path / "n")), "other": GeneMean()}
    found = said_of(fill(tmp_path / "s", Experiment("e", variants, ["a"], KFold(3)), {"a": tiny_pair()}))
    (table,) = found.tables

    assert {line.label: line.marks for _, lines in table.groups for line in lines} == {"w/o tally": "°", "other": ""}
    assert any(mark == "°" and "changed nothing" in sentence for mark, sentence in table.footnotes)
    assert "w/o tally predicted exactly what full predicted, in every trial, on a" in found.text[-1]
    assert set(of(found.frame, variant="w/o tally")["p"]) == {1}
    assert dict(found.frame.groupby("variant")["identical"].all()) == {"other": False, "w/o tally": True}


def test_a_row_that_differs_in_one_trial_is_not_identical(comparison: Comparison) -> None:
    same = with_records(comparison, lambda record: dataclasses.replace(record, prediction_sha256=f"{record.fold}"))
    cell = next(c for c in same.asked.cells if c["label"] == "w/o gate" and c["dataset"] == "MG" and c["seed"] == 1)
    other = dataclasses.replace(same.records[cell["trial_id"]], prediction_sha256="other")
    changed = dataclasses.replace(same, records={**same.records, cell["trial_id"]: other})

    assert [c.identical for c in contrasts(same)] == [(True,) * 4] * 2
    assert [c.identical for c in contrasts(changed)] == [(False, True, True, True), (True,) * 4]


def test_a_row_without_randomness_that_was_asked_for_once_is_held_against_every_seed(comparison: Comparison) -> None:
    once = tuple(c for c in comparison.asked.cells if c["label"] != "w/o fusion" or c["seed"] == 0)
    asked = dataclasses.replace(comparison.asked, cells=once)
    by_fold, by_seed = (
        with_records(
            dataclasses.replace(comparison, asked=asked),
            lambda record, of=of: dataclasses.replace(record, prediction_sha256=str(getattr(record, of))),
        )
        for of in ("fold", "seed")
    )

    assert contrasts(by_fold)[0].identical == (True, True, True, True)
    assert contrasts(by_seed)[0].identical == (True, False, False, False)


def test_what_was_not_hashed_is_not_taken_for_identical(comparison: Comparison) -> None:
    assert not any(identical for contrast in contrasts(comparison) for identical in contrast.identical)


def test_where_the_reference_is_incomplete_the_text_says_so_and_there_is_no_table(tmp_path: Path) -> None:
    variants = VARIANTS | {"full": Variant(ends={("small", 0, 1): ("missing", "")})}
    found = said_of(read_back(tmp_path, dataclasses.replace(PLAN, variants=variants)))

    assert [table.name for table in found.tables] == ["MG-1"]
    assert found.text[-1] == "No differences on small: there full is incomplete."
    assert set(found.frame["dataset"]) == {"MG"}


def test_where_the_reference_finished_nothing_the_section_still_says_why(tmp_path: Path) -> None:
    ends = {(d, f, s): ("failed", "boom") for d in PLAN.datasets for f in (0, 1) for s in (0, 1)}
    found = said_of(read_back(tmp_path, dataclasses.replace(PLAN, variants=VARIANTS | {"full": Variant(ends=ends)})))

    assert "No differences on MG and small: there full is failed." in found.text
    assert found.tables == found.drawings == ()
    assert found.frame.empty


def test_a_row_without_numbers_says_why_in_its_line(tmp_path: Path) -> None:
    variants = VARIANTS | {"w/o gate": Variant(ends={("MG", 0, 0): ("failed", "ValueError: too small")})}
    tables = said_of(read_back(tmp_path, dataclasses.replace(PLAN, variants=variants))).tables
    of_mg = next(table for table in tables if table.name == "MG-1")
    line = next(line for _, lines in of_mg.groups for line in lines if line.label == "w/o gate")

    assert {cell.text for cell in line.cells} == {"failed", "--"}
    assert any("too small" in sentence for _, sentence in of_mg.footnotes)


def test_a_single_row_has_nothing_to_be_compared_with(tmp_path: Path) -> None:
    assert ablation.section(read_back(tmp_path, dataclasses.replace(PLAN, variants={"full": Variant()}))) is None


def test_over_datasets_each_weighs_the_same_and_intervals_are_counted_by_side(section: Section) -> None:
    for label in list(VARIANTS)[1:]:
        each = of(section.frame, variant=label, metric="js")
        (overall,) = of(section.frame, "over datasets", variant=label, metric="js").to_dict("records")
        assert overall["difference"] == pytest.approx(each["difference"].sum() / 2)
        assert overall["dataset_sd"] == pytest.approx(abs(each["difference"].diff().iloc[1]) / 2**0.5)
        assert overall["datasets_above"] == sum(each["low"] > 0)
        assert overall["datasets_below"] == sum(each["high"] < 0)


def test_the_overall_table_counts_a_lower_js_as_better(tmp_path: Path) -> None:
    plan = Plan(
        variants={"full": Variant(), "A": Variant()},
        values=lambda label, dataset, seed, gene: row(0.5, js=0.1 if label == "A" else 0.2),
        datasets={"one": genes(8), "two": genes(8)},
    )
    table = said_of(read_back(tmp_path, plan)).tables[0]
    ((_, (line,)), *_) = table.groups

    shown = {column.heading: cell.text for column, cell in zip(table.columns, line.cells, strict=True)}
    assert (shown["JS better"], shown["JS worse"], shown["PCC better"], shown["datasets"]) == ("2", "0", "0", "2")
    assert shown["ΔJS: row − full"] == "-0.1000 ±0.0000"


def test_one_dataset_has_no_overall_table(tmp_path: Path) -> None:
    found = said_of(read_back(tmp_path, dataclasses.replace(PLAN, datasets={"MG": genes(8)})))

    assert [table.name for table in found.tables] == ["MG-1"]
    assert set(found.frame["scope"]) == {"dataset"}


def test_the_figure_shows_variants_and_the_bar_and_names_what_it_leaves_out(section: Section) -> None:
    (drawing,) = section.drawings
    svg = saved(drawing.name, drawing.draw)["svg"].decode()

    assert all(f">{label}</text>" in svg for label in ("w/o gate", "w/o fusion", "low-rank ridge"))
    assert ">flat</text>" not in svg
    assert ">full</text>" not in svg
    assert "scale: flat." in drawing.caption


def test_the_figure_draws_the_numbers_of_the_frame(section: Section) -> None:
    drawn = section.drawings[0].draw().axes[0].lines
    at = {tuple(np.round(line.get_xdata(), 9)) for line in drawn}

    for found in of(section.frame, dataset="MG", metric="pcc", group="variant").to_dict("records"):
        assert tuple(np.round([found["low"], found["high"]], 9)) in at
        assert (np.round(found["difference"], 9),) in at


def test_every_sampling_rate_is_compared_for_itself(tmp_path: Path) -> None:
    found = said_of(read_back(tmp_path, dataclasses.replace(PLAN, rates=(1.0, 0.1))))

    assert [t.name for t in found.tables] == ["overall-1", "MG-1", "small-1", "overall-0.1", "MG-0.1", "small-0.1"]
    assert set(of(found.frame, "over datasets")["datasets"]) == {2}
    assert found.drawings[0].caption.endswith("At the sampling rate of 1.")


def test_the_same_store_says_the_same(golden: Store) -> None:
    asked = golden.asked("demo")[-1]
    one, other = (said_of(read(golden, asked)) for _ in range(2))

    assert csv(one.frame) == csv(other.frame)
    assert one.tables == other.tables
    assert one.text == other.text
    assert saved("x", one.drawings[0].draw) == saved("x", other.drawings[0].draw)


def test_headings_say_what_is_subtracted_from_what_and_every_column_is_explained_below(tmp_path: Path) -> None:
    plan = Plan({"full": Variant(), "A": Variant()}, qualities({"full": 0.6, "A": 0.5}), {"one": genes(8)})
    (table,) = said_of(read_back(tmp_path, plan)).tables

    assert [c.shown for c in table.columns if "Δ" in c.heading] == [
        f"Δ{metric}: row − full {arrow}" for metric, arrow in (("PCC", "↑"), ("SSIM", "↑"), ("JS", "↓"))
    ]
    assert {"Δ:", "d:", "better:", "p:"} <= {mark for mark, _ in table.footnotes}
    assert table.caption.startswith("Each row minus full on one")


def test_rows_whose_js_is_a_few_thousandths_can_be_told_apart(tmp_path: Path) -> None:
    js = {"full": 0.0051, "A": 0.0054}
    plan = Plan(
        variants={label: Variant() for label in js},
        values=lambda label, dataset, seed, gene: row(0.5, js=js[label]),
        datasets={"one": genes(8)},
    )
    comparison = read_back(tmp_path, plan)
    (differences,) = said_of(comparison).tables
    (scores,) = accuracy_score.tables(comparison)
    raw = metrics.section(comparison).tables[0]

    assert "+0.0003 [0.0003, 0.0003]" in markdown("", [differences]).replace("\\", "")
    for table in (scores, raw):
        text = markdown("", [table])
        assert "0.0051" in text
        assert "0.0054" in text
