"""The five real tissue pairs under the default protocol: panels, problems, and controls in the order nature demands."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from harness.datasets import load
from harness.protocol import KFold, Prepared, Protocol, pose, prepare
from harness.trial import Trial, run_trial
from models.baselines.spage import SpaGE
from models.controls.gene_mean import GeneMean
from models.controls.low_rank_ridge import LowRankRidge
from models.method import Method

pytestmark = pytest.mark.real

PANELS = {
    "osmfish_ssp": 27,
    "hippocampus_visium": 124,
    "merfish_preoptic": 93,
    "seqfishplus_cortex": 1000,
    "pdac": 1000,
}


LARGE = ("pdac", "seqfishplus_cortex")
"""Of a thousand genes: for the slow suite."""


@pytest.fixture(
    scope="module",
    params=[pytest.param(name, marks=[pytest.mark.slow] if name in LARGE else []) for name in PANELS],
)
def data(request: pytest.FixtureRequest, real_data: Path) -> Prepared:
    return prepare(load(request.param, [real_data]), Protocol())


def test_the_panel_has_the_size_its_thresholds_give(data: Prepared) -> None:
    assert len(data.panel) == PANELS[data.dataset]


def test_every_fold_poses_a_problem_of_finite_arrays_without_its_targets(data: Prepared) -> None:
    for fold in range(5):
        problem, truth = pose(data, KFold(5), fold)

        assert not set(problem.spots.genes) & set(problem.targets)
        assert set(problem.targets) <= set(problem.cells.genes)
        assert problem.spots.lognorm.shape == (len(truth.spots), len(problem.visible))
        for array in (problem.spots.lognorm, problem.cells.lognorm, truth.values):
            assert np.isfinite(array).all()
            assert array.min() >= 0
            assert array.max() < 20
        assert (problem.spots.counts is None) == (data.dataset == "merfish_preoptic")


def test_median_normalisation_leaves_half_of_the_spots_with_a_factor_below_one(data: Prepared) -> None:
    problem, _ = pose(data, KFold(5), 0)

    if problem.spots.size_factors is not None:
        assert np.median(problem.spots.size_factors) == pytest.approx(1.0)


@pytest.mark.timeout(300)
def test_ridge_is_above_spage_and_spage_above_the_gene_mean(data: Prepared) -> None:
    def mean_pcc(method: Method) -> float:
        outcomes = [run_trial(Trial(method, data.dataset, data.dataset_id, KFold(5), f, 0), data) for f in range(5)]
        return float(np.mean([outcome.record.means["pcc"] for outcome in outcomes]))

    ridge, spage, flat = mean_pcc(LowRankRidge()), mean_pcc(SpaGE()), mean_pcc(GeneMean())

    assert ridge > spage > flat == 0
