"""Objectives against slow references: means over genes, and ranks as tables give them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import rankdata

from harness.errors import BadInput
from harness.pair import PairedSample
from harness.protocol import KFold, Protocol, prepare
from harness.record import Outcome
from harness.search.objectives import accuracy_score, objective, pooled, rank, seconds
from harness.trial import Trial, run_trial
from models.controls.gene_mean import GeneMean
from models.controls.spot_total import SpotTotal
from models.method import Method
from tests.conftest import tiny_pair
from tests.toys import Peaked, Tunable

SPLIT = KFold(5)  # 24 genes: folds of 5 and 4

numbers = st.floats(-1, 1, allow_nan=False).map(lambda x: round(x, 3))


def outcomes(method: Method, *pairs: PairedSample) -> list[Outcome]:
    return [
        run_trial(Trial(method, pair.name, pair.id, SPLIT, fold, 0), prepare(pair, Protocol()))
        for pair in pairs
        for fold in range(5)
    ]


def test_a_metric_is_the_mean_over_all_genes_of_a_dataset_then_over_datasets() -> None:
    one, other = tiny_pair(), tiny_pair(1, genes=13)

    found = pooled([outcome.record for outcome in outcomes(Tunable(Peaked()), one, other)])

    for name in ("pcc", "ssim", "rmse", "js"):
        each = [
            np.concatenate([o.genes[name].to_numpy() for o in outcomes(Tunable(Peaked()), pair) if o.genes is not None])
            for pair in (one, other)
        ]
        assert found[name] == pytest.approx(np.mean([np.nanmean(values) for values in each]), abs=1e-12)


@given(st.lists(numbers, min_size=1, max_size=6), numbers, st.booleans())
def test_a_rank_is_that_of_tables_for_a_value_level_with_one_of_the_field(
    field: list[float], value: float, higher: bool
) -> None:
    for level in field:
        signed = np.array([*field, level]) * (1 if higher else -1)
        assert rank(level, field, higher) == pytest.approx(rankdata(signed)[-1])
    assert 1 <= rank(value, field, higher) <= len(field) + 1


@given(st.lists(numbers, min_size=1, max_size=6), numbers, numbers, st.booleans())
def test_a_better_value_never_has_a_lower_rank_and_a_clearly_better_one_a_higher(
    field: list[float], one: float, other: float, higher: bool
) -> None:
    better, worse = (max(one, other), min(one, other)) if higher else (min(one, other), max(one, other))

    assert rank(better, field, higher) >= rank(worse, field, higher)
    if better != worse:
        assert rank(better, field, higher) > rank(worse, field, higher)


def test_the_accuracy_score_of_a_control_among_the_controls_is_its_share_of_the_best_rank() -> None:
    pair = tiny_pair()
    field = [[o.record for o in outcomes(method, pair)] for method in (GeneMean(), SpotTotal(), Tunable(Peaked()))]

    for own in field:
        ranks = []
        for name, sign in (("pcc", 1), ("ssim", 1), ("rmse", -1), ("js", -1)):
            ranks.append(rankdata([sign * pooled(each)[name] for each in [*field, own]])[-1])
        assert accuracy_score(own, field) == pytest.approx(np.mean(ranks) / 4)


def test_what_a_configuration_costs_is_the_sum_of_its_seconds_and_the_most_of_its_memory() -> None:
    records = [outcome.record for outcome in outcomes(Tunable(pause=0.01), tiny_pair())]

    took = objective("seconds").of(records, [])
    assert took == sum(seconds(record) for record in records) >= 5 * 0.01
    assert objective("memory").of(records, []) == max(record.peak_memory_mib or 0 for record in records)
    assert not objective("seconds").higher_is_better
    assert [objective(name).higher_is_better for name in ("pcc", "ssim", "rmse", "js", "as")] == [1, 1, 0, 0, 1]


@pytest.mark.parametrize("name", ["test_pcc", "pcc_test", "test/pcc", "Test"])
def test_a_test_metric_is_no_objective(name: str) -> None:
    with pytest.raises(BadInput, match="test genes are scored once, for its winners"):
        objective(name)


def test_an_unknown_objective_names_the_nearest() -> None:
    with pytest.raises(BadInput, match="did you mean ssim"):
        objective("sim")
