"""The paper's layout: five datasets to a half, Table 1 from the presets, a tick for each condition encoder."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from experiments.presets import TABLE_1
from harness.errors import BadInput
from reports.families.accuracy_score import wide
from reports.families.paper import section
from reports.reading.scores import Comparison, read
from reports.reading.standings import standings
from reports.writing import latex
from reports.writing.tables import MISSING, Table
from tests.reports.stores import Plan, Variant, build, genes, qualities

MEAN = {"full": 0.6, "close": 0.599, "far": 0.2, "bar": 0.4}
TEN = [f"D{i}" for i in range(7)]


def compared(root: Path, datasets: list[str] = TEN, encoders: bool = False, **changes: object) -> Comparison:
    variants = {label: Variant(control=label == "bar", random=label != "bar") for label in MEAN}
    plan = Plan(variants, qualities(MEAN), {name: genes(30) for name in datasets}, seeds=(0, 1))
    store = build(root, dataclasses.replace(plan, **changes))  # type: ignore[arg-type]
    (asked,) = store.asked()
    if encoders:
        classes = dict(zip(MEAN, ("FlashAttention", "MLP", "NoCondition", ""), strict=True))
        for label, name in classes.items():
            encoder = {"condition": {"component": f"models.spadit.conditions.some:{name}"}} if name else {}
            asked.variants[label] |= {"method": "spadit" if name else "bar", "component": encoder}
    return read(store, asked)


def tables(comparison: Comparison) -> list[Table]:
    found = section(comparison)
    assert found is not None
    return list(found.tables)


def shown(table: Table, label: str) -> list[str]:
    (line,) = (line for _, lines in table.groups for line in lines if line.label == label)
    return [cell.plain for cell in line.cells]


def test_datasets_stand_five_to_a_half_each_once(tmp_path: Path) -> None:
    first, second = tables(compared(tmp_path))

    assert [column.heading for column in first.columns + second.columns] == TEN
    assert (len(first.columns), len(second.columns)) == (5, 2)
    assert first.caption.endswith("(1)")


def test_cells_are_the_accuracy_scores_with_the_best_in_bold_and_ties_marked(tmp_path: Path) -> None:
    comparison = compared(tmp_path, ["D0"])
    (table,) = tables(comparison)
    by_label = {standing.row.label: standing for standing in standings(comparison.blocks[0])}

    for label, standing in by_label.items():
        (text,) = shown(table, label)
        assert f"{standing.score:.2f}" in text
        assert ("≈" in text) == standing.tied
        assert ("±" in text) == np.isfinite(standing.seed_sd)
    best = [cell for _, lines in table.groups for line in lines for cell in line.cells if cell.emphasis == "best"]
    assert [cell.sort for cell in best] == [max(s.score for s in by_label.values() if s.row.group == "variant")]
    assert shown(table, "bar")[0].startswith("(")


def test_a_variant_without_a_number_says_why(tmp_path: Path) -> None:
    ends = {("D0", 0, 0): ("failed", "ValueError: no")}
    variants = {"full": Variant(), "far": Variant(ends=ends), "close": Variant()}
    (table,) = tables(compared(tmp_path, ["D0", "D1"], variants=variants))

    assert shown(table, "far")[0] == "failed"
    assert shown(table, "far")[1] not in ("failed", MISSING)


@pytest.mark.parametrize(("name", "number"), [("backbones-tiny", "2"), ("modules-paper", "3"), ("conditions", "4")])
def test_the_papers_experiments_have_the_papers_numbers_at_any_size(tmp_path: Path, name: str, number: str) -> None:
    *_, table = tables(compared(tmp_path, ["D0"], name=name))

    assert table.caption.startswith(f"Table {number}.")


def test_each_row_of_table_4_ticks_its_own_encoder_and_one_without_ticks_none(tmp_path: Path) -> None:
    *_, table = tables(compared(tmp_path, ["D0"], name="conditions-tiny", encoders=True))

    assert [column.heading for column in table.columns] == ["full", "close", "D0"]
    assert shown(table, "full")[:2] == ["✓", "✗"]
    assert shown(table, "close")[:2] == ["✗", "✓"]
    assert shown(table, "far")[:2] == ["✗", "✗"]


def test_table_1_is_the_presets_number_for_number_where_spadit_runs_at_the_papers_size(tmp_path: Path) -> None:
    table, *_ = tables(compared(tmp_path / "1", ["D0"], encoders=True, name="backbones-paper"))
    others = tables(compared(tmp_path / "2", ["D0"], encoders=True, name="backbones-tiny"))
    others += tables(compared(tmp_path / "3", ["D0"], name="baselines-paper"))

    assert table.caption.startswith("Table 1.")
    for name, preset in TABLE_1.items():
        assert [float(text) for text in shown(table, name)] == list(dataclasses.asdict(preset).values())
    assert len(others) == 2
    assert not any(other.caption.startswith("Table 1.") for other in others)


def test_a_table_says_what_its_numbers_are_and_latex_numbers_it_itself(tmp_path: Path) -> None:
    (table,) = tables(compared(tmp_path / "1", ["D0"], name="backbones-tiny"))
    text = latex.fragment([table], "mine")

    assert "1 to N, higher is better. Experiment backbones-tiny" in dict(table.footnotes)["Numbers:"]
    assert table.caption.startswith("Table 2. Result")
    assert r"\caption{Result of different network backbones}" in text
    assert r"\label{tab:mine-scores-1-1}" in text


def test_a_control_has_no_tick_and_no_cross_among_the_encoders(tmp_path: Path) -> None:
    *_, table = tables(compared(tmp_path / "1", ["D0"], encoders=True, name="conditions-tiny"))

    *ticks, _ = shown(table, "bar")
    assert ticks == [""] * len(ticks) != []


def test_the_wide_frame_has_a_row_per_variant_and_a_column_per_dataset_and_rate(tmp_path: Path) -> None:
    one = compared(tmp_path / "1", ["D0", "D1"])
    two = compared(tmp_path / "2", ["D0"], rates=(1.0, 0.5))

    assert list(wide(one).index) == list(MEAN)
    assert list(wide(one).columns) == ["D0", "D1"]
    assert list(wide(two).columns) == [("D0", 1.0), ("D0", 0.5)]
    for block in one.blocks:
        for standing in standings(block):
            assert wide(one, "as_over_n").loc[standing.row.label, block.dataset] == standing.share


def test_a_column_that_there_is_not_is_refused_with_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"no column 'psnr'; it has .*accuracy_score.*pcc"):
        wide(compared(tmp_path, ["D0"]), "psnr")


def test_a_score_carries_the_marks_of_its_own_dataset_and_of_no_other(tmp_path: Path) -> None:
    comparison = compared(tmp_path, ["D0", "D1"])
    first, second = comparison.blocks
    rows = tuple(
        dataclasses.replace(row, selection="tuned on these genes") if row.label == "full" else row for row in first.rows
    )
    changed = dataclasses.replace(comparison, blocks=(dataclasses.replace(first, rows=rows), second))
    (table,) = tables(changed)

    own, other = shown(table, "full")
    assert "†" in own
    assert "†" not in other
    assert any(mark == "†" for mark, _ in table.footnotes)


def test_several_sampling_rates_stand_beside_each_other_one_table_per_dataset(tmp_path: Path) -> None:
    comparison = compared(tmp_path, ["D0", "D1"], rates=(1.0, 0.5, 0.1))
    first, second = tables(comparison)

    assert [column.heading for column in first.columns] == ["rate 1", "rate 0.5", "rate 0.1"]
    assert (first.caption, second.caption) == tuple(
        f"Accuracy score of demo on {name}, by sampling rate" for name in ("D0", "D1")
    )
    at = {
        block.rate: {s.row.label: s for s in standings(block)} for block in comparison.blocks if block.dataset == "D0"
    }
    assert [cell.partition(" ")[0] for cell in shown(first, "far")] == [
        f"{own['far'].score:.2f}" for own in at.values()
    ]
    assert dict(first.footnotes)["N:"] == "3. Genes: 30."
