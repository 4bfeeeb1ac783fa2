"""Per-gene metrics (protocol section 5): one file per metric, found by its file name.

A metric's file defines `METRIC = Metric(...)`, whose function maps a `Block` of genes that vary on both sides to one
float64 per gene. Everything else a number may depend on is here, once for all metrics:

- a truth that is constant over the spots is not scored: NaN for every metric, whatever the prediction;
- a prediction that is constant over the spots carries no information: each metric's `constant_prediction`;
- "constant" is max - min <= 1e-6 * max|value|, that is up to float32 rounding;
- a non-finite value is refused with a `ValueError` naming the gene: nothing is repaired silently.

Metrics are identified as name@version; raise the version whenever the same input starts to give another number.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from functools import cache
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from ._block import Block, block_of, cut
from ._profiles import Array, Floats

T = TypeVar("T")

ORDER = ("pcc", "ssim", "rmse", "js")
"""The four metrics of the accuracy score, in the order of every table; any others follow by name."""


@dataclass(frozen=True)
class Metric:
    """A number per gene that says how well a prediction matches the truth.

    name: the stem of its file.
    version: raised whenever the same input starts to give another number.
    higher_is_better: its direction.
    constant_prediction: its value for a prediction that is constant over the spots.
    function: block of g genes that vary on both sides -> (g,) float64.
    """

    name: str
    version: int
    higher_is_better: bool
    constant_prediction: float
    function: Callable[[Block], Floats]

    @property
    def tag(self) -> str:
        """name@version: what a trial's identity holds."""
        return f"{self.name}@{self.version}"

    def __call__(self, truth: Array, prediction: Array) -> Floats:
        """(n_genes,) values for two (n_spots, n_genes) arrays of any real type and memory order."""
        parts = _each_block(truth, prediction, lambda block: _values([self], block)[self.name])
        return np.concatenate(parts)


@dataclass(frozen=True, eq=False)
class ScoreTable:
    """Everything the record keeps of a prediction; every array is (n_genes,), genes in column order.

    values: metric name -> float64, in the order of `metrics()`.
    js_flat: JS of a flat prediction: what a method must get below before its JS says anything. NaN like the metrics.
    bias: mean of the prediction minus mean of the truth, on the scale of the data.
    truth_nonzero: number of spots with a non-zero truth.
    constant_truth: genes that are not scored.
    constant_prediction: genes whose prediction is constant, whether or not they are scored.
    """

    values: dict[str, Floats]
    js_flat: Floats
    bias: Floats
    truth_nonzero: NDArray[np.int64]
    constant_truth: NDArray[np.bool_]
    constant_prediction: NDArray[np.bool_]

    def means(self) -> dict[str, float]:
        """Mean of each metric over the scored genes; NaN where none is scored."""
        scored = ~self.constant_truth
        return {name: float(v[scored].mean()) if scored.any() else float("nan") for name, v in self.values.items()}


@cache
def metrics() -> dict[str, Metric]:
    """The metrics of this folder: name -> metric, PCC, SSIM, RMSE, JS first, any others by name."""
    names = [info.name for info in pkgutil.iter_modules(__path__) if not info.name.startswith("_")]
    found = {name: importlib.import_module(f"{__name__}.{name}").METRIC for name in names}
    for name, metric in found.items():
        if metric.name != name:
            raise ValueError(
                f"metrics/{name}.py defines a metric named {metric.name!r}; a metric bears its file's name."
            )
    return {name: found[name] for name in (*ORDER, *sorted(set(found) - set(ORDER)))}


def per_gene(truth: Array, prediction: Array) -> dict[str, Floats]:
    """The metrics alone: name -> (n_genes,), for two (n_spots, n_genes) arrays. `score` adds what a record keeps."""
    chosen = list(metrics().values())
    parts = _each_block(truth, prediction, lambda block: _values(chosen, block))
    return {metric.name: np.concatenate([part[metric.name] for part in parts]) for metric in chosen}


def score(truth: Array, prediction: Array) -> ScoreTable:
    """Score a prediction of (n_spots, n_genes) against a truth of that shape, on the log-normalised scale.

    Both are float64 inside, whatever their type and memory order; neither is changed.
    """
    return _joined(_each_block(truth, prediction, _score_block))


def score_entries(truth: Array, prediction: Array, scored: NDArray[np.bool_]) -> ScoreTable:
    """`score`, of every gene over its own spots: those that (n_spots, n_genes) `scored` marks."""
    genes = range(np.shape(truth)[1])
    return _joined([score(truth[scored[:, g]][:, [g]], prediction[scored[:, g]][:, [g]]) for g in genes])


def _joined(parts: Sequence[ScoreTable]) -> ScoreTable:
    """Tables of consecutive genes as one."""

    def all_of(name: str) -> NDArray[np.generic]:
        return np.concatenate([getattr(part, name) for part in parts])

    return ScoreTable(
        values={name: np.concatenate([part.values[name] for part in parts]) for name in metrics()},
        **{f.name: all_of(f.name) for f in fields(ScoreTable) if f.name != "values"},  # type: ignore[arg-type]
    )


def _each_block(truth: Array, prediction: Array, of: Callable[[Block], T]) -> list[T]:
    """What `of` says of each block, in the order of the columns."""
    truth, prediction = np.asarray(truth), np.asarray(prediction)
    return [of(block_of(truth, prediction, columns)) for columns in cut(truth, prediction)]


def _score_block(block: Block) -> ScoreTable:
    from .js import js_flat  # its file imports this package

    return ScoreTable(
        values=_values(list(metrics().values()), block),
        js_flat=np.where(block.truth.constant, np.nan, js_flat(block.truth)),
        bias=block.prediction.mean - block.truth.mean,
        truth_nonzero=block.truth.nonzero,
        constant_truth=block.truth.constant,
        constant_prediction=block.prediction.constant,
    )


def _values(chosen: Sequence[Metric], block: Block) -> dict[str, Floats]:
    """Metric name -> (g,) values of one block, with the conventions for constants applied."""
    varies, varying = block.varying()
    found = {}
    for metric in chosen:
        values = np.full(len(varies), metric.constant_prediction)
        if varies.any():
            values[varies] = metric.function(varying)
        values[block.truth.constant] = np.nan
        found[metric.name] = values
    return found
