"""From a prediction and its truth to per-gene rows and means: the same for every trial, whoever made the prediction."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from harness.metrics import score, score_entries
from harness.protocol import Truth
from harness.record import GENE_COLUMNS


def score_table(columns: Mapping[str, Any], prediction: NDArray[Any], truth: Truth) -> tuple[pa.Table, dict[str, Any]]:
    """One row per target gene, and the record's `means` and `n_genes`.

    columns: what every row says of the trial. prediction: (n_spots, n_targets), columns as `truth.genes`.
    """
    if truth.scored is None:
        scores = score(truth.values, prediction)
        spread = truth.values.std(axis=0, dtype=np.float64)
        n_spots = np.full(len(truth.genes), len(truth.values))
    else:
        scores = score_entries(truth.values, prediction, truth.scored)
        spread = np.array([v[m].std(dtype=np.float64) for v, m in zip(truth.values.T, truth.scored.T, strict=True)])
        n_spots = truth.scored.sum(axis=0)
    per_gene: dict[str, Any] = {
        "gene": list(truth.genes),
        **scores.values,
        "js_flat": scores.js_flat,
        "bias": scores.bias,
        "truth_sd": spread,
        "n_spots": n_spots,
        "truth_nonzero": scores.truth_nonzero,
    }
    names = list(GENE_COLUMNS) + [name for name in scores.values if name not in GENE_COLUMNS]
    table = {
        name: pa.array(
            per_gene[name] if name in per_gene else [columns[name]] * len(truth.genes),
            type=GENE_COLUMNS.get(name, pa.float64()),
        )
        for name in names
    }
    kept = ~scores.constant_truth
    means = {name: float(np.mean(v[kept])) if kept.any() else None for name, v in scores.values.items()}
    counted = {
        "asked": len(truth.genes),
        "scored": int(kept.sum()),
        "constant_truth": int((~kept).sum()),
        "constant_prediction": int(scores.constant_prediction.sum()),
    }
    return pa.table(table), {"means": means, "n_genes": counted}
