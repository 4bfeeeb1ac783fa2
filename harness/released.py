"""What the released protocol is worth to a model that knows nothing of space.

The released SpaDiT sampler draws a mask of 30 % of the *true* non-zero values of the test genes, and after every
reverse step writes the truth back wherever that mask is 0: every zero and 70 % of the rest are the answer. Here the
model is the hopeless control, one value per gene, so that whatever it scores beyond that control's own row is the
protocol's doing.
"""

from __future__ import annotations

from functools import partial

import numpy as np
from numpy.typing import NDArray

from harness.experiment import Experiment
from harness.export import AskedElsewhere
from harness.external import Scored, score_leak
from harness.pair import PairedSample
from harness.store import Store
from models.method import Problem

LABEL = "gene mean, truth written back as released"
MASKED = 0.3
"""Share of the true non-zero values that the released script leaves to the model; of the zeros it leaves none."""

Floats = NDArray[np.float64]


def written_back(problem: Problem, truth: Floats, rng: np.random.Generator) -> Floats:
    """(n_spots, n_genes) the gene's mean over single cells where the released mask is 1, the truth everywhere else."""
    masked = (truth != 0) & (rng.random(truth.shape) < MASKED)
    mean = problem.cells.of(problem.targets).mean(axis=0, dtype=np.float64)
    return np.where(masked, mean, truth)


def score_released(pair: PairedSample, like: Experiment, store: Store) -> list[Scored]:
    """Score it on every fold and sampling rate of an experiment, as a row of its own there: marked, and outside N."""
    found = []
    for rate in like.sampling_rates:
        for fold in range(like.split.folds):
            asked = AskedElsewhere(pair.name, pair.id, like.protocol, like.split, like.task, fold, float(rate))
            # The truth is the same at every sampling rate, and so is its mask.
            rng = np.random.default_rng(np.random.SeedSequence(0, spawn_key=(fold,)))
            found.append(score_leak(asked, pair, LABEL, partial(written_back, rng=rng), store))
    return found
