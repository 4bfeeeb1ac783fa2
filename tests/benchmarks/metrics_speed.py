"""How fast are the per-gene metrics beside a loop over scipy and scikit-image, in one process and one thread?

    python tests/benchmarks/metrics_speed.py [--genes 1000] [--spots 9999] [--repeats 7]

The loop makes, per gene, the calls one would write by hand: `scipy.stats.pearsonr`, `scipy.stats.zscore` on both
sides, `scipy.spatial.distance.jensenshannon` squared, and `skimage.metrics.structural_similarity` with one window over
the whole gene - which needs an odd number of spots, hence 9,999. Two comparisons, each with the same output on both
sides: the four metrics (`per_gene`), and the four with JS of a flat prediction (`score`, which also counts and gives
the bias). Values are compared to 1e-12 before anything is timed. Truth: log-normalised counts, about 70 % zeros;
prediction: dense and positive; both float32, spots-major as methods return them, and genes-major. Each repeat times
all of them next to each other, so that a busy machine slows all; medians are printed. Threads over blocks of genes were
tried: two gained 5 % spots-major and lost 20 % genes-major, so there are none.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import jensenshannon
from scipy.stats import pearsonr, zscore
from skimage.metrics import structural_similarity
from threadpoolctl import threadpool_limits

from harness.metrics import per_gene, score

Array = NDArray[Any]
TARGET = 20.0


def made_up(spots: int, genes: int) -> tuple[Array, Array]:
    """(spots, genes) float32 truth and prediction that look like a log-normalised sample and a method's answer."""
    rng = np.random.default_rng(0)
    counts = rng.poisson(rng.gamma(1.0, rng.gamma(1.0, 0.5, genes), (spots, genes)))
    truth = np.log1p(counts / rng.gamma(5.0, 0.2, (spots, 1))).astype(np.float32)
    prediction = np.abs(0.3 * truth + rng.normal(0.5, 0.3, (spots, genes))) + 1e-3
    return truth, prediction.astype(np.float32)


def loop(truth: Array, prediction: Array) -> dict[str, Array]:
    """The four metrics by one library call each, gene by gene."""
    rows = [_one_gene(truth[:, g].astype(float), prediction[:, g].astype(float)) for g in range(truth.shape[1])]
    return dict(zip(("pcc", "ssim", "rmse", "js"), np.array(rows).T, strict=True))


def flat_loop(truth: Array, prediction: Array) -> Array:
    """JS of a flat prediction by one library call per gene."""
    flat = np.ones(len(truth))
    return np.array([jensenshannon(truth[:, g].astype(float), flat) ** 2 for g in range(truth.shape[1])])


def _one_gene(x: Array, y: Array) -> tuple[float, float, float, float]:
    similarity = structural_similarity(
        x / x.max(), y / y.max(), win_size=len(x), use_sample_covariance=False, gaussian_weights=False, data_range=1.0
    )
    rmse = np.sqrt(np.mean((zscore(x) - zscore(y)) ** 2))
    return pearsonr(x, y).statistic, similarity, rmse, jensenshannon(x, y) ** 2


def seconds(call: Callable[[Array, Array], object], truth: Array, prediction: Array) -> float:
    """Wall time of one call."""
    start = time.perf_counter()
    call(truth, prediction)
    return time.perf_counter() - start


def main() -> None:
    """Check, time, print."""
    parser = argparse.ArgumentParser(description="Speed of the per-gene metrics beside scipy and scikit-image.")
    parser.add_argument("--genes", type=int, default=1000)
    parser.add_argument("--spots", type=int, default=9999, help="odd, because scikit-image's window must be")
    parser.add_argument("--repeats", type=int, default=7)
    given = parser.parse_args()
    truth, prediction = made_up(given.spots, given.genes)
    print(f"{given.genes} genes x {given.spots} spots, {np.mean(truth == 0):.0%} zeros in the truth")
    layouts = {
        "spots-major": (truth, prediction),
        "genes-major": tuple(map(np.asfortranarray, (truth, prediction))),
    }
    calls = (loop, flat_loop, per_gene, score)
    heads = ("memory order", "loop s", "four s", "ratio", "loop+flat s", "score s", "ratio")
    with threadpool_limits(1):
        check(truth, prediction)
        print("{:>14} {:>8} {:>8} {:>8}   {:>11} {:>8} {:>8}".format(*heads))
        for order, sides in layouts.items():
            times = np.array([[seconds(call, *sides) for call in calls] for _ in range(given.repeats)])
            four, flat, ours, full = times.T
            medians = [np.median(c) for c in (four, ours, four / ours, four + flat, full, (four + flat) / full)]
            print("{:>14} {:8.3f} {:8.3f} {:7.1f}x   {:11.3f} {:8.3f} {:7.1f}x".format(order, *medians))
    print(f"target {TARGET:.0f}x; medians of {given.repeats} repeats")


def check(truth: Array, prediction: Array) -> None:
    """Refuse to time what does not agree to 1e-12."""
    reference, ours = loop(truth, prediction), score(truth, prediction)
    reference["js_flat"] = flat_loop(truth, prediction)
    for name, values in {**ours.values, "js_flat": ours.js_flat}.items():
        if name in reference:
            worst = np.abs(values - reference[name]).max()
            print(f"  {name}: largest difference from the loop {worst:.1e}")
            assert worst <= 1e-12, f"{name} differs from its reference by {worst}."


if __name__ == "__main__":
    main()
