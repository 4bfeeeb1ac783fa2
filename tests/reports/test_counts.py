"""What a table rests on: a product stands only where it is the number of trials."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from reports.reading.scores import Comparison, read
from reports.writing.counts import alike, all_states, grid, states
from reports.writing.wording import headline
from tests.reports.stores import Plan, Variant, build, genes, qualities

ROWS = {"A": Variant(), "B": Variant(), "flat": Variant(control=True)}
PLAN = Plan(ROWS, qualities(dict.fromkeys(ROWS, 0.4)), {"a": genes(6), "b": genes(6)}, folds=3, seeds=(0, 1))


def read_back(root: Path, **changes: object) -> Comparison:
    store = build(root, replace(PLAN, **changes))  # type: ignore[arg-type]
    return read(store, store.asked(PLAN.name)[-1])


def test_a_whole_grid_is_a_product_and_the_product_is_its_trials(tmp_path: Path) -> None:
    comparison = read_back(tmp_path)

    said = grid(comparison.blocks)

    assert said == "3 rows (2 variants, 1 control) × 2 datasets × 3 folds × 2 seeds = 36 trials"
    assert len(comparison.asked.trial_ids) == 3 * 2 * 3 * 2


def test_rows_without_randomness_have_one_seed_which_is_said_in_words(tmp_path: Path) -> None:
    comparison = read_back(tmp_path, variants=ROWS | {"flat": Variant(control=True, random=False)})

    said = grid(comparison.blocks)

    assert said == (
        "3 rows (2 variants, 1 control) × 2 datasets × 3 folds; 2 rows with 2 seeds, 1 row with 1 seed that serves for "
        "all"
    )
    rows = [row for block in comparison.blocks for row in block.rows]
    assert states(rows) == "30 of 30 trials finished, 0 failed, 0 skipped, 0 not run"
    assert len(comparison.asked.trial_ids) == 30


@pytest.mark.parametrize("random", [True, False])
def test_what_a_row_that_was_asked_for_in_part_lacks_is_counted_once_per_trial(tmp_path: Path, random: bool) -> None:
    comparison = read_back(tmp_path, variants={"A": Variant(random=random)}, datasets={"a": genes(6)})
    cells = tuple(cell for cell in comparison.asked.cells if cell["fold"] == 0)
    part = read(comparison.kept.store, replace(comparison.asked, cells=cells))

    (row,) = part.blocks[0].rows

    assert (row.done, row.asked) == ((2, 6) if random else (1, 3))
    assert ", 1 of 3 folds, " in headline(part)[0]


def test_a_trial_that_serves_two_rows_counts_once_and_that_is_said(tmp_path: Path) -> None:
    comparison = read_back(tmp_path)
    twice = [cell | {"label": "B"} for cell in comparison.asked.cells if cell["label"] == "A"]
    cells = [cell for cell in comparison.asked.cells if cell["label"] != "B"]
    same = read(comparison.kept.store, replace(comparison.asked, cells=(*cells, *twice)))

    assert all_states(comparison) == "36 of 36 trials finished, 0 failed, 0 skipped, 0 not run"
    assert all_states(same).startswith("24 of 24 trials finished")
    assert all_states(same).endswith("(a trial that serves several rows counts once)")


def test_numbers_that_are_all_the_same_are_one_number() -> None:
    assert alike({"a": 3, "b": 3}) == "3"
    assert alike({"a": 3, "b": 4}) == "a: 3, b: 4"
