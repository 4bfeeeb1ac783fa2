"""The sparsity of thinned inputs and what goes with it, on real trials of tiny pairs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr

from harness import Experiment, KFold
from harness.protocol import Protocol, pose, prepare
from models.controls.gene_mean import GeneMean
from models.controls.nearest_cells import NearestCells
from reports.families import robustness
from reports.family import Section
from reports.published import METRICS
from reports.reading.scores import Comparison
from tests.conftest import tiny_pair
from tests.reports.real_stores import fill

RATES = (1.0, 0.5, 0.1)


def section_of(comparison: Comparison) -> Section:
    found = robustness.section(comparison)
    assert found is not None
    return found


def picked(frame: pd.DataFrame, **values: object) -> pd.DataFrame:
    for name, value in values.items():
        frame = frame[frame[name] == value]
    return frame


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Comparison:
    """Three tiny pairs, thinned in earnest."""
    experiment = Experiment(
        "e", {"cells": NearestCells(), "flat": GeneMean()}, ["a", "b", "c"], KFold(3), sampling_rates=RATES
    )
    pairs = {name: tiny_pair(seed) for seed, name in enumerate("abc")}
    return fill(tmp_path_factory.mktemp("real"), experiment, pairs, keep=False)


def test_the_sparsity_of_the_input_is_that_of_what_methods_were_given(real: Comparison) -> None:
    frame = picked(section_of(real).frame, quantity="input_sparsity")

    assert len(frame) == 9
    for seed, name in enumerate("abc"):
        data = prepare(tiny_pair(seed), Protocol())
        for rate in RATES:
            expected = [np.mean(pose(data, KFold(3), fold, rate)[0].spots.lognorm == 0) for fold in range(3)]
            (found,) = picked(frame, dataset=name, sampling_rate=rate)["value"]
            assert found == pytest.approx(np.mean(expected))


def test_the_correlation_with_sparsity_is_scipys_over_all_datasets_and_rates(real: Comparison) -> None:
    frame = section_of(real).frame
    found = picked(frame, quantity="spearman_with_sparsity", variant="cells").set_index("metric")
    zeros = picked(frame, quantity="input_sparsity").set_index(["dataset", "sampling_rate"])["value"]

    for metric in METRICS:
        means = picked(frame, quantity="mean", variant="cells", metric=metric.name)
        means = means.set_index(["dataset", "sampling_rate"])["value"]
        row = found.loc[metric.name]
        assert row["value"] == pytest.approx(spearmanr(zeros, means[zeros.index]).statistic)
        assert row["n"] == 9
        assert row["low"] <= row["value"] <= row["high"]
    flat = picked(frame, quantity="spearman_with_sparsity", variant="flat")
    assert flat["value"].isna().all()


def test_two_datasets_have_no_interval_and_the_table_says_why(real: Comparison) -> None:
    two = replace(real, blocks=tuple(block for block in real.blocks if block.dataset != "c"))
    found = section_of(two)
    table = next(table for table in found.tables if table.name == "over-datasets")

    assert picked(found.frame, quantity="spearman_with_sparsity")["low"].isna().all()
    assert "[" not in table.groups[1][1][0].cells[1].text
    assert any("fewer than three" in sentence for _, sentence in table.footnotes)


def test_the_size_of_the_data_stands_beside_the_zeros_of_every_rate(real: Comparison) -> None:
    table = section_of(real).tables[-1]
    genes, pair = real.panels["a"], tiny_pair(0)
    panel = real.kept.store.cards()[pair.id]["panels"][real.asked.protocol_id]
    depth = real.kept.store.measured(pair.id)[panel].to_numpy().sum(axis=1).mean()

    assert [column.heading for column in table.columns][:3] == ["spots × genes", "counts per spot", "zeros at 1"]
    cells = [cell.text for cell in table.groups[0][1][0].cells]
    assert cells[:2] == [f"{len(pair.st)} × {genes}", f"{depth:,.0f}"]
