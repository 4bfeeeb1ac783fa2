"""Splits: every gene held out once, no gene on two sides, nothing depends on order."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import BadInput
from harness.protocol import Holdout, KFold

names = st.lists(st.text(min_size=1, max_size=8), min_size=12, max_size=60, unique=True)


@given(panel=names, k=st.integers(2, 8), validation=st.floats(0, 0.9))
def test_every_gene_is_held_out_in_exactly_one_fold(panel: list[str], k: int, validation: float) -> None:
    split = KFold(k, validation)

    folds = [split.fold(panel, i) for i in range(k)]

    assert sorted(gene for fold in folds for gene in fold.test) == sorted(panel)
    sizes = [len(fold.test) for fold in folds]
    assert max(sizes) - min(sizes) <= 1


@given(panel=names, k=st.integers(2, 8))
def test_the_three_parts_of_a_fold_are_disjoint_and_complete(panel: list[str], k: int) -> None:
    for i in range(k):
        fold = KFold(k).fold(panel, i)

        together = [*fold.training, *fold.validation, *fold.test]

        assert sorted(together) == sorted(panel)


@given(panel=names, data=st.data())
def test_the_order_of_genes_changes_no_fold(panel: list[str], data: st.DataObject) -> None:
    shuffled = data.draw(st.permutations(panel))

    assert [KFold(3).fold(panel, i) for i in range(3)] == [KFold(3).fold(shuffled, i) for i in range(3)]
    assert Holdout().fold(panel, 0) == Holdout().fold(shuffled, 0)


def test_a_fifth_of_the_visible_genes_validate() -> None:
    panel = [f"g{i}" for i in range(100)]

    fold = KFold(5, validation=0.2).fold(panel, 0)

    assert (len(fold.test), len(fold.validation), len(fold.training)) == (20, 16, 64)


def test_another_seed_gives_another_split() -> None:
    panel = [f"g{i}" for i in range(100)]

    assert KFold(5, seed=0).fold(panel, 0) != KFold(5, seed=1).fold(panel, 0)


def test_the_papers_holdout_is_seventy_twenty_ten() -> None:
    panel = [f"g{i}" for i in range(350)]

    fold = Holdout().fold(panel, 0)

    assert (len(fold.training), len(fold.validation), len(fold.test)) == (245, 70, 35)


@pytest.mark.parametrize("make", [lambda: KFold(1), lambda: KFold(5, validation=1.0), lambda: Holdout(0.5, 0.2, 0.1)])
def test_impossible_splits_are_refused(make) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(BadInput):
        make()


def test_a_fold_that_is_not_there_is_refused() -> None:
    with pytest.raises(BadInput, match="folds 0 to 4"):
        KFold(5).fold([f"g{i}" for i in range(20)], 5)
