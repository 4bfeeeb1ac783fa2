"""Robustness to sparsity: paired curves, what is left out and said so, and what the numbers are."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial, reduce

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from scipy.stats import rankdata

from reports.families import robustness
from reports.family import Section
from reports.figures import drawing
from reports.published import METRICS
from reports.reading.scores import Block, Comparison, read
from reports.reading.sparsity_curves import curves
from reports.statistics.ranking import resamples
from reports.writing.tables import MISSING, csv, markdown
from tests.reports.stores import Plan, Variant, build, genes, qualities

RATES = (1.0, 0.5, 0.1)
LOSS = {"A": 0.1, "B <b>$x$": 0.6, "C": 0.3, "flat": 0.0}
MEAN = {"A": 0.45, "B <b>$x$": 0.6, "C": 0.5, "flat": 0.0}
VARIANTS = {
    label: Variant(control=label == "flat", method="gene_mean" if label == "flat" else "some") for label in LOSS
}

Change = Callable[[Block], Block]


def thinned(block: Block) -> Block:
    """Every gene of a row loses the same share of its PCC; the flat control has none."""
    kept = np.array([(1 - LOSS[label] * (1 - block.rate)) * (label != "flat") for label in block.labels])
    pcc = block.averaged[..., 0] * kept[:, None]
    averaged = np.stack([pcc, 0.8 * pcc, np.sqrt(2 * (1 - pcc)), 0.3 * (1 - pcc)], axis=-1)
    parts = np.stack([averaged[:, fold :: block.folds].mean(axis=1) for fold in range(block.folds)])
    return replace(
        block,
        pooled=replace(block.pooled, averaged=averaged, part_means=np.repeat(parts[:, None], block.seeds, axis=1)),
    )


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Comparison:
    """Four rows on one dataset, which score the same at every rate."""
    plan = Plan(VARIANTS, qualities(MEAN), {"MG": genes(30)}, rates=RATES)
    store = build(tmp_path_factory.mktemp("store"), plan)
    return read(store, store.asked(plan.name)[-1])


@pytest.fixture(scope="module")
def whole(stored: Comparison) -> Comparison:
    """The same with what rows lose."""
    return changed(stored, thinned)


def changed(comparison: Comparison, change: Change) -> Comparison:
    return replace(comparison, blocks=tuple(change(block) for block in comparison.blocks))


def copied(comparison: Comparison, *names: str) -> Comparison:
    """The dataset under several names."""
    return replace(comparison, blocks=tuple(replace(b, dataset=name) for b in comparison.blocks for name in names))


def section_of(comparison: Comparison) -> Section:
    found = robustness.section(comparison)
    assert found is not None
    return found


def picked(frame: pd.DataFrame, **values: object) -> pd.DataFrame:
    for name, value in values.items():
        frame = frame[frame[name] == value]
    return frame


def without_gene(block: Block, gene: str) -> Block:
    kept = [name != gene for name in block.genes]
    pooled = block.pooled
    names = pooled.names.filter(pa.array(kept))
    return replace(
        block, pooled=replace(pooled, names=names, averaged=pooled.averaged[:, kept], facts=pooled.facts[:, kept])
    )


def without_row(block: Block, label: str) -> Block:
    """The row failed in this block."""
    rows = tuple(
        replace(row, status="failed", done=1, failed=1, reason="boom") if row.label == label else row
        for row in block.rows
    )
    kept = [name != label for name in block.labels]
    pooled = replace(
        block.pooled,
        averaged=block.averaged[kept],
        facts=block.facts[kept],
        part_means=block.part_means[:, :, kept],
        seed_means=block.seed_means[:, kept],
    )
    return replace(block, rows=rows, labels=tuple(name for name in block.labels if name != label), pooled=pooled)


def test_one_sampling_rate_has_nothing_to_say(whole: Comparison) -> None:
    assert robustness.section(replace(whole, blocks=whole.blocks[:1])) is None


def test_the_area_is_the_mean_pcc_over_rates_with_the_interval_of_resampled_genes(whole: Comparison) -> None:
    found = picked(section_of(whole).frame, quantity="area", metric="pcc").set_index("variant")

    for v, label in enumerate(whole.blocks[0].labels):
        pcc = np.stack([block.averaged[v, :, 0] for block in whole.blocks])
        draws = [np.trapezoid(pcc[::-1, pick].mean(axis=1), RATES[::-1]) / 0.9 for pick in resamples(30).picks]
        expected = [np.trapezoid(pcc.mean(axis=1)[::-1], RATES[::-1]) / 0.9, *np.percentile(draws, [2.5, 97.5])]
        np.testing.assert_allclose(found.loc[label, ["value", "low", "high"]].astype(float), expected, atol=1e-12)


def test_areas_are_ranked_in_the_direction_of_better_and_controls_stand_outside(whole: Comparison) -> None:
    frame = picked(section_of(whole).frame, quantity="area")

    for metric in METRICS:
        found = picked(frame, metric=metric.name).set_index("variant")
        signed = found["value"] * (1 if metric.higher_is_better else -1)
        inside = ["A", "B <b>$x$", "C"]
        assert found.loc[inside, "rank"].tolist() == rankdata(signed[inside]).tolist()
        assert found.loc["flat", ["rank", "ranked_among"]].tolist() == [1, 4]


def test_the_best_area_is_bold_and_what_cannot_be_told_from_it_is_tied(stored: Comparison) -> None:
    def twins(block: Block, ahead: float) -> Block:
        averaged = block.averaged.copy()
        averaged[1] = averaged[0] + 0.01 * (-1.0) ** np.arange(30)[:, None]  # better on every other gene
        averaged[2] = averaged[0] - 0.05
        averaged[0] += ahead
        return replace(block, pooled=replace(block.pooled, averaged=averaged))

    level, ahead = (curves(changed(stored, partial(twins, ahead=each)))[0].estimates for each in (0.0, 1e-4))

    assert (level.best.tolist(), level.tied.tolist()) == ([True, True, False, False], [False] * 4)
    assert (ahead.best.tolist(), ahead.tied.tolist()) == ([True, False, False, False], [False, True, False, False])


def test_the_robustness_score_is_the_share_of_all_genes_above_the_threshold_at_both_rates(whole: Comparison) -> None:
    frame = section_of(whole).frame
    first = whole.blocks[0].averaged[..., 0] > 0.5

    for block in whole.blocks:
        both = first & (block.averaged[..., 0] > 0.5)
        score = picked(frame, quantity="robustness_score", sampling_rate=block.rate)
        still = picked(frame, quantity="still_above", sampling_rate=block.rate)
        np.testing.assert_allclose(score["value"], both.mean(axis=1))
        assert still["n"].tolist() == first.sum(axis=1).tolist()
        np.testing.assert_allclose(still["value"][:3], both.sum(axis=1)[:3] / first.sum(axis=1)[:3])
        assert math.isnan(still["value"].iloc[3])


def test_the_share_kept_of_the_pcc_is_what_each_row_was_made_to_keep(whole: Comparison) -> None:
    frame = picked(section_of(whole).frame, quantity="pcc_kept", sampling_rate=0.1)

    kept = frame.set_index("variant")["value"]
    np.testing.assert_allclose(kept[["A", "B <b>$x$", "C"]], [0.91, 0.46, 0.73])
    assert math.isnan(kept["flat"])


def test_a_share_of_few_genes_is_not_in_the_table_but_in_the_frame(stored: Comparison) -> None:
    def few(block: Block) -> Block:
        averaged = thinned(block).averaged.copy()
        averaged[..., 0] = np.where(np.arange(30) < 4, 0.6, 0.2)
        return replace(block, pooled=replace(block.pooled, averaged=averaged))

    found = section_of(changed(stored, few))

    table = next(table for table in found.tables if table.name.startswith("robustness"))
    assert [line.cells[3].text for line in table.groups[0][1]] == [MISSING] * 3
    assert picked(found.frame, quantity="still_above", variant="A")["value"].tolist() == [1, 1, 1]


def test_the_band_is_the_sd_of_the_parts_however_often_a_run_serves(whole: Comparison) -> None:
    once = section_of(whole).frame
    twice = section_of(changed(whole, _repeated)).frame

    block = whole.blocks[0]
    expected = block.part_means.reshape(-1, 4, 4).std(axis=0).ravel()
    found = picked(once, quantity="mean", sampling_rate=1.0)
    np.testing.assert_allclose(found["high"] - found["value"], expected)
    np.testing.assert_allclose(found["value"] - found["low"], expected)
    pd.testing.assert_frame_equal(once, twice)


def _repeated(block: Block) -> Block:
    return replace(block, pooled=replace(block.pooled, part_means=np.repeat(block.part_means, 3, axis=1)))


def test_a_gene_that_is_not_scored_at_every_rate_is_left_out_of_all_and_that_is_said(whole: Comparison) -> None:
    comparison = replace(whole, blocks=tuple(without_gene(b, "gene007") if b.rate == 0.5 else b for b in whole.blocks))
    (found,) = curves(comparison)

    assert found.genes == tuple(name for name in genes(30) if name != "gene007")
    kept = [name != "gene007" for name in genes(30)]
    np.testing.assert_array_equal(found.values[0], whole.blocks[0].averaged[:, kept])
    np.testing.assert_array_equal(found.values[1], comparison.blocks[1].averaged)
    assert (
        "29 genes scored at every rate (1 scored at some rates only and left out)"
        in section_of(comparison).tables[0].size
    )


def test_a_row_that_failed_at_one_rate_has_no_number_and_its_reason(whole: Comparison) -> None:
    comparison = changed(whole, lambda b: without_row(b, "A") if b.rate == 0.1 else b)
    found = section_of(comparison)

    assert "A" not in set(found.frame["variant"][found.frame["quantity"] != "spearman_with_sparsity"])
    for table in found.tables[:2]:
        line = next(line for line in table.groups[0][1] if line.label == "A")
        assert [cell.text for cell in line.cells] == ["failed at 0.1", *[MISSING] * (len(table.columns) - 1)]
        assert ("A:", "failed (1 trial of 2). boom") in table.footnotes
        assert "N = 2 complete at every rate" in table.size


def test_where_no_row_is_complete_the_tables_say_so_and_nothing_is_drawn(stored: Comparison) -> None:
    def none(block: Block) -> Block:
        return without_genes(reduce(without_row, LOSS, block)) if block.rate == 1 else block

    def without_genes(block: Block) -> Block:
        pooled = block.pooled
        return replace(
            block,
            pooled=replace(pooled, names=pooled.names[:0], averaged=pooled.averaged[:, :0], facts=pooled.facts[:, :0]),
        )

    found = section_of(changed(stored, none))

    assert found.drawings == ()
    assert {line.cells[0].text for _, lines in found.tables[0].groups for line in lines} == {"failed at 1"}


def test_a_dataset_with_one_rate_is_named_and_has_no_curve(whole: Comparison) -> None:
    two = copied(whole, "MG", "<script>")
    comparison = replace(two, blocks=tuple(b for b in two.blocks if b.dataset == "MG" or b.rate == 1))
    found = section_of(comparison)

    assert "one sampling rate only, so without a curve: <script>." in found.text[-1]
    assert set(found.frame["dataset"].dropna()) == {"MG"}


def test_names_are_plain_text_in_tables_and_figures(whole: Comparison) -> None:
    found = section_of(copied(whole, "MG", "<script>"))

    assert "<b>" not in markdown("x", found.tables)
    for each in found.drawings:
        svg = drawing.saved(each.name, each.draw)["svg"].decode()
        assert "B &lt;b&gt;$x$" in svg
        assert "&lt;script&gt;" in svg


def test_the_same_comparison_gives_the_same_bytes(stored: Comparison) -> None:
    first, second = (section_of(changed(stored, thinned)) for _ in range(2))

    assert csv(first.frame) == csv(second.frame)
    assert markdown("x", first.tables) == markdown("x", second.tables)
    for a, b in zip(first.drawings, second.drawings, strict=True):
        assert drawing.saved(a.name, a.draw) == drawing.saved(b.name, b.draw)


def test_many_datasets_make_several_figures_with_names_of_their_own(whole: Comparison) -> None:
    found = section_of(copied(whole, *"abcdef"))

    assert [each.name for each in found.drawings] == [
        "robustness", "robustness_2", "robustness_genes", "robustness_genes_2",
    ]  # fmt: skip


def test_controls_alone_have_curves_without_a_rank(whole: Comparison) -> None:
    def controls(block: Block) -> Block:
        alone = reduce(without_row, ("A", "B <b>$x$", "C"), block)
        return replace(alone, rows=tuple(row for row in alone.rows if row.group == "control"))

    found = section_of(changed(whole, controls))

    assert found.tables[0].groups[1][1][0].cells[-1].text == MISSING
    assert [each.name for each in found.drawings] == ["robustness"]
    assert drawing.saved("robustness", found.drawings[0].draw)["png"]


def test_a_row_is_marked_biased_if_it_is_at_any_rate_and_it_is_said_at_which(stored: Comparison) -> None:
    def lowered(block: Block) -> Block:
        facts = block.facts.copy()
        facts[:, :, 1] = 0.0
        facts[block.labels.index("A"), :, 1] = -2.0 if block.rate < 1 else 0.0
        facts[block.labels.index("C"), :, 1] = -2.0
        return replace(block, pooled=replace(block.pooled, facts=facts))

    for table in section_of(changed(stored, lowered)).tables[:2]:
        marked = {line.label for _, lines in table.groups for line in lines if "‡" in line.marks}
        assert marked == {"A", "C"}
        said = dict(table.footnotes)["‡"]
        assert "what methods see is thinned and the truth is not" in said
        assert said.endswith("Here at 0.5 and 0.1: A; at every rate: C.")
