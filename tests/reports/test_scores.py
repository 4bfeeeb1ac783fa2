"""Reading the store: what is complete, what is averaged, and which genes count."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from harness.record import Record
from harness.store import Store
from harness.store.compaction import compact
from reports.reading.scores import Block, Comparison, read
from reports.reading.standings import standings
from reports.report import scores
from reports.writing.wording import notes
from tests.reports.stores import NOT_SCORED, Plan, Variant, build, genes, qualities, row


def comparison_of(root: Path, plan: Plan) -> Comparison:
    store = build(root, plan)
    return read(store, store.asked(plan.name)[-1])


def block_of(root: Path, plan: Plan) -> Block:
    (block,) = comparison_of(root, plan).blocks
    return block


def simple(**changes: object) -> Plan:
    plan = Plan(
        variants={"A": Variant(), "B": Variant()},
        values=lambda label, dataset, seed, gene: row({"A": 0.6, "B": 0.4}[label] + 0.01 * seed),
        datasets={"MG": genes(10)},
        seeds=(0, 1, 2),
    )
    return replace(plan, **changes)  # type: ignore[arg-type]


def test_genes_of_all_folds_are_pooled_each_once_per_seed(tmp_path: Path) -> None:
    block = block_of(tmp_path, simple(folds=3))

    assert block.genes == tuple(genes(10))
    assert block.averaged.shape == (2, 10, 4)
    assert (block.seed_means.shape, block.part_means.shape) == ((3, 2, 4), (3, 3, 2, 4))


def test_metrics_are_averaged_over_seeds_first(tmp_path: Path) -> None:
    block = block_of(tmp_path, simple())

    np.testing.assert_allclose(block.averaged[0, :, 0], 0.61)


def test_a_method_without_randomness_serves_every_seed(tmp_path: Path) -> None:
    block = block_of(tmp_path, simple(variants={"A": Variant(), "B": Variant(random=False)}))
    a, b = block.rows

    assert b.status == "complete"
    assert (a.seeds, b.seeds) == (3, 1)
    assert (a.asked, b.asked) == (6, 2)
    np.testing.assert_allclose(block.averaged[1, :, 0], 0.4)
    np.testing.assert_allclose(block.part_means[:, :, 1, 0], 0.4)


def test_only_a_variant_with_several_seeds_has_a_spread_over_seeds(tmp_path: Path) -> None:
    swaps = {("A", 0): 0.9, ("A", 1): 0.1, ("A", 2): 0.9}
    plan = simple(
        variants={"A": Variant(), "B": Variant(random=False)},
        values=lambda label, dataset, seed, gene: row(swaps.get((label, seed), 0.5)),
    )
    a, b = standings(block_of(tmp_path, plan))

    assert a.seed_sd == pytest.approx(np.std([2, 1, 2], ddof=1))
    assert np.isnan(b.seed_sd)


def test_a_gene_of_constant_truth_is_scored_for_nobody(tmp_path: Path) -> None:
    plan = simple(values=lambda label, dataset, seed, gene: NOT_SCORED if gene == "gene004" else row(0.5))
    block = block_of(tmp_path, plan)

    assert "gene004" not in block.genes
    assert (len(block.genes), block.pooled.constant, block.pooled.partial) == (9, 1, 0)


def test_a_gene_that_one_row_lacks_is_left_out_for_all_and_counted(tmp_path: Path) -> None:
    def values(label: str, dataset: str, seed: int, gene: str) -> dict[str, float]:
        return NOT_SCORED if (label, gene) == ("A", "gene004") else row(0.5)

    block = block_of(tmp_path, simple(values=values))

    assert (len(block.genes), block.pooled.constant, block.pooled.partial) == (9, 0, 1)


@pytest.mark.parametrize(
    ("end", "status", "word"),
    [
        (("failed", "it broke"), "failed", "failed"),
        (("skipped", "needs counts"), "skipped", "n/a"),
        (("missing", ""), "incomplete", "1 of 2 folds"),
    ],
)
def test_a_row_that_lacks_one_trial_gets_no_number_and_leaves_n(
    tmp_path: Path, end: tuple[str, str], status: str, word: str
) -> None:
    plan = simple(variants={"A": Variant(), "B": Variant(ends={("MG", 1, 2): end}), "C": Variant()})
    plan = replace(plan, values=lambda label, dataset, seed, gene: row({"A": 0.6, "B": 0.4, "C": 0.2}[label]))
    found = {s.row.label: s for s in standings(block_of(tmp_path, plan))}

    assert (found["B"].row.status, found["B"].row.word, found["B"].row.reason) == (status, word, end[1])
    assert np.isnan(found["B"].score)
    assert (found["A"].n, found["A"].score, found["C"].score) == (2, 2, 1)


def test_an_experiment_asked_for_some_folds_only_ranks_nobody(tmp_path: Path) -> None:
    store = build(tmp_path, simple())
    asked = store.asked("demo")[-1]
    part = replace(asked, cells=tuple(cell for cell in asked.cells if cell["fold"] == 0))
    (block,) = read(store, part).blocks

    assert [r.word for r in block.rows] == ["1 of 2 folds"] * 2
    assert block.labels == ()
    assert any("Only 1 of 2 folds was asked for" in note for note in notes(read(store, part)))


def test_every_sampling_rate_is_a_block_of_its_own(tmp_path: Path) -> None:
    comparison = comparison_of(tmp_path, simple(rates=(0.3, 1.0)))

    assert [block.rate for block in comparison.blocks] == [1.0, 0.3]


def test_two_labels_that_share_their_trials_both_get_the_numbers(tmp_path: Path) -> None:
    store = build(tmp_path, simple())
    asked = store.asked("demo")[-1]
    twins = tuple(cell | {"label": "A again"} for cell in asked.cells if cell["label"] == "A")
    both = replace(asked, variants=asked.variants | {"A again": asked.variants["A"]}, cells=asked.cells + twins)
    a, b, again = standings(read(store, both).blocks[0])

    assert (a.score, again.score, b.score) == (2.5, 2.5, 1)
    assert a.best
    assert again.best


def test_a_folder_with_pattern_characters_in_its_name_is_read(tmp_path: Path) -> None:
    assert len(block_of(tmp_path / "run[1]*?", simple()).genes) == 10


def test_a_dataset_that_is_not_real_says_so_in_its_name(tmp_path: Path) -> None:
    assert block_of(tmp_path, simple(synthetic="simulated")).name == "MG [simulated]"


def test_a_compaction_between_listing_and_reading_shows_in_no_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = Plan({"A": Variant(), "B": Variant()}, qualities({"A": 0.5, "B": 0.3}), {"one": genes(9)}, seeds=(0, 1))
    before, store = scores(build(tmp_path / "quiet", plan), "demo"), build(tmp_path / "S", plan)
    paths, compacted = Store.genes_paths, []

    def meanwhile(self: Store, records: Sequence[Record]) -> list[Path]:
        found = paths(self, records)
        if not compacted:
            compacted.append(compact(Store(tmp_path / "S")))
        return found

    monkeypatch.setattr(Store, "genes_paths", meanwhile)

    pd.testing.assert_frame_equal(scores(store, "demo"), before)
    assert compacted == [8]
