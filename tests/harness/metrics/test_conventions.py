"""What no formula decides: constants, clipping, refusals, and that memory layout changes nothing."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from harness.metrics import Metric, metrics, score

Array = NDArray[Any]
EACH = pytest.mark.parametrize("metric", metrics().values(), ids=list(metrics()))


@pytest.fixture(autouse=True)
def _no_warning_is_emitted() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


@EACH
@pytest.mark.parametrize("constant", [0.0, 1.0, -3.0, 1e-30, 0.1])
def test_a_constant_prediction_gets_the_stated_value_whatever_the_constant(
    metric: Metric, constant: float, sample: tuple
) -> None:
    truth = sample[0]
    assert set(metric(truth, np.full(truth.shape, constant, np.float32))) == {metric.constant_prediction}


def test_the_stated_values_are_those_of_the_protocol() -> None:
    stated = {name: metric.constant_prediction for name, metric in metrics().items()}
    wanted = {"pcc": 0.0, "ssim": 0.0, "rmse": math.sqrt(2.0), "js": math.log(2.0)}
    assert {name: stated[name] for name in wanted} == wanted


def test_a_prediction_that_varies_by_float32_rounding_only_is_constant(sample: tuple) -> None:
    truth = sample[0]
    wobble = np.float32(0.7) * (1 + np.float32(6e-8) * (np.arange(len(truth)) % 5))[:, None]
    assert score(truth, np.broadcast_to(wobble, truth.shape)).constant_prediction.all()
    assert not score(truth, truth * 1e-9).constant_prediction.any()


@EACH
def test_a_constant_truth_is_not_scored_even_if_predicted_exactly(metric: Metric, sample: tuple) -> None:
    truth = sample[0].copy()
    truth[:, [2, 40]] = 0.0, 1.5
    for prediction in (truth, sample[1], np.zeros_like(truth)):
        np.testing.assert_array_equal(np.isnan(metric(truth, prediction)), np.isin(np.arange(41), [2, 40]))


def test_a_constant_gene_leaves_the_others_unchanged_and_is_reported(sample: tuple) -> None:
    truth, prediction = (side.copy() for side in sample)
    before = score(truth, prediction)
    truth[:, 5], prediction[:, 7] = 2.0, 3.0
    after = score(truth, prediction)
    others = ~np.isin(np.arange(41), [5, 7])
    for name in metrics():
        np.testing.assert_allclose(after.values[name][others], before.values[name][others], rtol=0, atol=1e-14)
    assert list(np.flatnonzero(after.constant_truth)) == [5]
    assert list(np.flatnonzero(after.constant_prediction)) == [7]
    assert np.isnan(after.js_flat[5])
    assert after.means()["pcc"] == pytest.approx(np.nanmean(after.values["pcc"]))


def test_the_mean_over_no_scored_gene_is_nan() -> None:
    assert math.isnan(score(np.ones((5, 2)), np.ones((5, 2))).means()["pcc"])


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("side", [0, 1])
def test_a_non_finite_value_is_refused_by_the_index_of_its_gene(bad: float, side: int, sample: tuple) -> None:
    sides = [array.copy() for array in sample]
    sides[side][17, 38] = bad
    with pytest.raises(ValueError, match=r"(truth|prediction) of gene 38 is not finite"):
        score(*sides)


@EACH
def test_a_prediction_of_nothing_but_nan_is_refused(metric: Metric, sample: tuple) -> None:
    with pytest.raises(ValueError, match="prediction of gene 0"):
        metric(sample[0], np.full_like(sample[0], np.nan))


@EACH
def test_shapes_that_do_not_match_are_refused(metric: Metric, sample: tuple) -> None:
    with pytest.raises(ValueError, match="expected two equal"):
        metric(sample[0], sample[1].T)
    with pytest.raises(ValueError, match="at least one spot"):
        score(np.zeros((0, 3)), np.zeros((0, 3)))


def test_scoring_no_gene_at_all_is_refused() -> None:
    with pytest.raises(ValueError, match="no gene"):
        score(np.zeros((5, 0)), np.zeros((5, 0)))


def test_ssim_is_zero_where_a_side_has_no_positive_value(sample: tuple) -> None:
    truth, prediction = (np.abs(side) for side in sample)
    ssim = metrics()["ssim"]
    assert not ssim(truth, -prediction).any()
    assert not ssim(-truth, prediction).any()


def test_js_is_ln_2_where_nothing_positive_is_left_of_a_side(sample: tuple) -> None:
    truth, prediction = (np.abs(side) for side in sample)
    for sides in ((truth, -prediction), (-truth, prediction), (-truth, -prediction)):
        np.testing.assert_allclose(metrics()["js"](*sides), math.log(2.0), rtol=0, atol=1e-15)


def test_js_of_disjoint_supports_is_ln_2() -> None:
    x = np.array([[1.0], [2.0], [0.0], [0.0]])
    assert metrics()["js"](x, x[::-1])[0] == pytest.approx(math.log(2.0), abs=1e-15)


@pytest.mark.parametrize("kind", [np.float16, np.float64, np.int64])
def test_number_type_and_memory_order_change_nothing(kind: type, sample: tuple) -> None:
    truth, prediction = (np.round(np.abs(side) * 4).astype(kind) for side in sample)
    plain = score(truth.astype(float), prediction.astype(float)).values
    strided = np.repeat(truth, 2, axis=0)[::2]
    for sides in ((np.asfortranarray(truth), prediction), (strided, np.asfortranarray(prediction))):
        for name, values in score(*sides).values.items():
            np.testing.assert_array_equal(values, plain[name])


def test_a_gene_scores_the_same_alone_as_among_others(sample: tuple) -> None:
    together = score(*sample).values
    for gene in (0, 31, 32, 40):
        alone = score(sample[0][:, [gene]], sample[1][:, [gene]]).values
        for name in metrics():
            assert alone[name][0] == pytest.approx(together[name][gene], abs=1e-14)


def test_inputs_are_left_as_they_were(sample: tuple) -> None:
    copies = [side.copy() for side in sample]
    score(*sample)
    for side, copy in zip(sample, copies, strict=True):
        np.testing.assert_array_equal(side, copy)
