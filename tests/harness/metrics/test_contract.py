"""Conformance of whatever metric lies in the folder: a new file must pass this file untouched."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import harness.metrics as package
from harness.metrics import Metric, metrics, score

Array = NDArray[Any]
EACH = pytest.mark.parametrize("metric", metrics().values(), ids=list(metrics()))


def pair(seed: int, spots: int, zeros: float = 0.5) -> tuple[Array, Array]:
    """A non-negative truth and prediction of (spots, 3), in which no gene is constant."""
    rng = np.random.default_rng(seed)
    truth, prediction = rng.gamma(1.0, 1.0, (2, spots, 3))
    truth[rng.random(truth.shape) < zeros] = 0.0
    truth[0], truth[1] = 0.0, 1.0
    return truth, prediction


PAIRS = st.builds(pair, st.integers(0, 10**6), st.integers(3, 60), st.floats(0.0, 0.9))


def test_metrics_are_the_files_of_the_folder_and_the_four_of_the_accuracy_score_come_first() -> None:
    files = {path.stem for path in Path(package.__file__).parent.glob("*.py") if not path.stem.startswith("_")}
    assert set(metrics()) == files
    assert list(metrics())[:4] == ["pcc", "ssim", "rmse", "js"]
    assert list(metrics())[4:] == sorted(list(metrics())[4:])


@EACH
def test_a_metric_states_its_name_version_direction_and_meaning(metric: Metric) -> None:
    assert metrics()[metric.name] is metric
    assert isinstance(metric.version, int)
    assert metric.version >= 1
    assert metric.tag == f"{metric.name}@{metric.version}"
    assert isinstance(metric.higher_is_better, bool)
    assert metric.function.__doc__


@EACH
def test_a_metric_alone_gives_what_it_gives_in_the_score(metric: Metric) -> None:
    truth, prediction = pair(0, 50)
    np.testing.assert_array_equal(metric(truth, prediction), score(truth, prediction).values[metric.name])


@EACH
@settings(max_examples=25, deadline=None)
@given(sides=PAIRS)
def test_no_prediction_beats_the_truth_itself_and_none_is_unfinite(metric: Metric, sides: tuple) -> None:
    truth, prediction = sides
    sign = 1.0 if metric.higher_is_better else -1.0
    found = metric(truth, prediction)
    assert found.dtype == np.float64
    assert np.isfinite(found).all()
    assert (sign * metric(truth, truth) >= sign * found - 1e-12).all()


@EACH
@settings(max_examples=25, deadline=None)
@given(sides=PAIRS, seed=st.integers(0, 99))
def test_the_order_of_the_spots_changes_nothing(metric: Metric, sides: tuple, seed: int) -> None:
    order = np.random.default_rng(seed).permutation(len(sides[0]))
    np.testing.assert_allclose(metric(*(side[order] for side in sides)), metric(*sides), rtol=0, atol=1e-11)


@settings(max_examples=40, deadline=None)
@given(sides=PAIRS, slope=st.floats(0.01, 100.0), offset=st.floats(-10.0, 10.0))
def test_pcc_and_rmse_ignore_the_predictions_scale_and_offset(sides: tuple, slope: float, offset: float) -> None:
    truth, prediction = sides
    for name in ("pcc", "rmse"):
        metric = metrics()[name]
        np.testing.assert_allclose(metric(truth, slope * prediction + offset), metric(truth, prediction), atol=1e-6)


@settings(max_examples=40, deadline=None)
@given(sides=PAIRS, scale=st.floats(1e-3, 1e3))
def test_js_ignores_scale_and_which_side_is_which(sides: tuple, scale: float) -> None:
    js = metrics()["js"]
    np.testing.assert_allclose(js(sides[0], scale * sides[1]), js(*sides), rtol=0, atol=1e-12)
    np.testing.assert_allclose(js(sides[1], sides[0]), js(*sides), rtol=0, atol=1e-12)


@settings(max_examples=40, deadline=None)
@given(sides=PAIRS, shift=st.floats(-2.0, 2.0))
def test_values_stay_within_their_bounds(sides: tuple, shift: float) -> None:
    values = score(sides[0], sides[1] + shift).values
    for name, (low, high) in {"pcc": (-1, 1), "ssim": (-1.001, 1), "rmse": (0, 2), "js": (0, np.log(2))}.items():
        assert (values[name] >= low - 1e-12).all()
        assert (values[name] <= high + 1e-12).all()


def test_a_non_finite_gene_is_named_beyond_the_first_block_too() -> None:
    truth, prediction = np.ones((5, 70)), np.ones((5, 70))
    prediction[3, 66] = np.nan

    with pytest.raises(ValueError, match="gene 66"):
        score(truth, prediction)
