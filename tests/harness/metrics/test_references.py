"""The four metrics against scipy, scikit-image and plain formulas, none of which shares code with ours."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.spatial.distance import jensenshannon
from scipy.stats import pearsonr, zscore
from skimage.metrics import structural_similarity

from harness.metrics import metrics, score

Array = NDArray[Any]
EXACT = {"rtol": 0.0, "atol": 1e-12}


def by_gene(function: Callable[[Array, Array], float], truth: Array, prediction: Array) -> Array:
    pairs = zip(truth.T.astype(float), prediction.T.astype(float), strict=True)
    return np.array([function(x, y) for x, y in pairs])


def rmse_of_zscores(x: Array, y: Array) -> float:
    return float(np.sqrt(np.mean((zscore(x) - zscore(y)) ** 2)))


def global_ssim(x: Array, y: Array) -> float:
    x, y = x / x.max(), y / y.max()
    covariance = np.cov(x, y, ddof=0)
    structure = (2 * covariance[0, 1] + 0.0009) / (covariance[0, 0] + covariance[1, 1] + 0.0009)
    return float((2 * x.mean() * y.mean() + 0.0001) / (x.mean() ** 2 + y.mean() ** 2 + 0.0001) * structure)


def one_window_ssim(x: Array, y: Array) -> float:
    settings = {"use_sample_covariance": False, "gaussian_weights": False, "data_range": 1, "K1": 0.01, "K2": 0.03}
    return float(structural_similarity(x / x.max(), y / y.max(), win_size=len(x), **settings))


def clipped_js(x: Array, y: Array) -> float:
    return float(jensenshannon(np.maximum(x, 0), np.maximum(y, 0)) ** 2)


REFERENCES = {
    "pcc": lambda x, y: pearsonr(x, y).statistic,
    "rmse": rmse_of_zscores,
    "ssim": global_ssim,
    "js": clipped_js,
}


@pytest.mark.parametrize("name", REFERENCES)
@pytest.mark.parametrize("spots", [301, 300])
def test_each_metric_equals_its_library_call_to_twelve_digits(name: str, spots: int, sample: tuple) -> None:
    truth, prediction = (side[:spots] for side in sample)
    np.testing.assert_allclose(
        metrics()[name](truth, prediction), by_gene(REFERENCES[name], truth, prediction), **EXACT
    )


def test_ssim_equals_scikit_image_with_one_window_over_the_whole_gene(sample: tuple) -> None:
    np.testing.assert_allclose(metrics()["ssim"](*sample), by_gene(one_window_ssim, *sample), **EXACT)


@pytest.mark.parametrize("name", REFERENCES)
def test_a_mean_far_above_the_spread_costs_no_digits(name: str, sample: tuple) -> None:
    truth, prediction = (side.astype(float) for side in sample)
    truth, prediction = 40.0 + 0.05 * truth, 70.0 + 0.001 * prediction
    np.testing.assert_allclose(
        metrics()[name](truth, prediction), by_gene(REFERENCES[name], truth, prediction), rtol=0, atol=1e-10
    )


@pytest.mark.parametrize("noise", [0.0, 1e-9, 1e-6, 1e-3])
def test_rmse_keeps_its_digits_when_the_prediction_is_nearly_perfect(noise: float, sample: tuple) -> None:
    truth = sample[0].astype(float)
    prediction = 3.0 * truth + noise * np.random.default_rng(0).normal(size=truth.shape) + 1.0
    np.testing.assert_allclose(
        metrics()["rmse"](truth, prediction), by_gene(rmse_of_zscores, truth, prediction), **EXACT
    )


def test_rmse_is_the_root_of_twice_one_minus_pcc(sample: tuple) -> None:
    values = score(*sample).values
    np.testing.assert_allclose(values["rmse"], np.sqrt(2.0 * (1.0 - values["pcc"])), **EXACT)


def test_js_flat_equals_the_library_call_on_a_flat_prediction(sample: tuple) -> None:
    flat = by_gene(clipped_js, sample[0], np.ones_like(sample[0]))
    np.testing.assert_allclose(score(*sample).js_flat, flat, **EXACT)


def test_bias_and_counts_say_what_their_names_say(sample: tuple) -> None:
    truth, prediction = sample
    table = score(truth, prediction)
    np.testing.assert_allclose(table.bias, prediction.astype(float).mean(0) - truth.astype(float).mean(0), atol=1e-12)
    np.testing.assert_array_equal(table.truth_nonzero, (truth != 0).sum(0))
