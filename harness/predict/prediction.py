"""A prediction of unmeasured genes as a value, and where it came from."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.pair import PairedSample
from harness.predict.expected import CLOSEST, COVERAGE, Expected
from harness.trial import Setting, Trial, device_name, selection, versions
from models.component import canonical_text, code_hash, stem
from models.method import Problem

SCALES = {
    "counts": "log1p of counts over size factors, those from the panel's genes",
    "intensities": "log1p of intensities",
    "lognorm": "that of the ST values",
}
"""What the predicted values are, by what the ST values are."""


@dataclass(frozen=True, eq=False)
class Prediction:
    """Predicted expression of genes that the spatial assay did not measure.

    genes: as asked for. spots: (n_spots,) rows in the ST file; spots without a visible count are not among them.
    names: what the ST file calls those rows; their numbers, as text, where it does not tell them apart.
    values: (n_spots, n_genes) float32, log-normalised as in the benchmark. sd: the same shape, or None where the method
    has none; `provenance["sd"]` says what it is the spread of. coordinates: (n_spots, 2 or 3) or None.
    expected: the PCC to expect of each gene; None where no cross-validation was asked for.
    provenance: plain values that say from what, by what and when this was made.
    """

    genes: tuple[str, ...]
    spots: NDArray[np.intp]
    values: NDArray[np.float32]
    sd: NDArray[np.float32] | None
    coordinates: NDArray[np.float64] | None
    expected: Expected | None
    provenance: dict[str, Any]
    names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if len(set(self.names)) != len(self.spots):
            object.__setattr__(self, "names", tuple(map(str, self.spots)))


def provenance(pair: PairedSample, whole: Trial, problem: Problem, setting: Setting, folds: int) -> dict[str, Any]:
    """What a prediction was made from and by: text, numbers, and lists and dicts of them.

    `dataset_id` and `method_id` are the names that other benchmarks look for.
    """
    from harness.results import git_state

    return {
        "dataset": pair.name,
        "dataset_id": pair.id,
        "synthetic": pair.synthetic,
        "remarks": " ".join(pair.remarks),
        "method_id": stem(type(whole.method)),
        "method": canonical_text(whole.method),
        "variant_id": whole.variant_id,
        "code": code_hash(whole.method),
        "git": git_state(),
        "versions": versions(),
        "device": device_name(setting.device),
        "seed": whole.seed,
        "protocol_id": whole.protocol.id,
        "protocol": canonical_text(whole.protocol),
        "flags": "; ".join(whole.flags(pair.st.kind)),
        "selection": selection(whole.method, pair.id),
        "scale": SCALES[pair.st.kind],
        "panel": len(problem.visible),
        "cells": len(problem.cells),
        "made_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "folds": folds,
    }


def of_expected(expected: Expected) -> dict[str, Any]:
    """What must be known of expected PCCs: what they rest on, and how they fare on the panel's own genes."""
    return {
        "cv_mean_pcc": expected.mean,
        "cv_genes": len(expected.achieved),
        "cv_correlation": expected.correlation,
        "cv_covered": expected.covered,
        "expected_pcc": (
            f"Mean PCC, in cross-validation, of the similar_genes measured genes (of the panel and beyond, as they "
            f"are measured) whose SC profiles correlate with the panel's alike (mean of the {CLOSEST} highest, root "
            f"mean square of all); low and high hold the PCC of {COVERAGE:.0%} of such genes. A gene that varies over "
            "space as the panel's do, which most measured genes do not, may do better."
        ),
    }
