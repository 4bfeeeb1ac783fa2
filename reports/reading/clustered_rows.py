"""The kept predictions of one block beside its measured values: what is known of their clusters of spots."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from reports.reading.scores import Block, Comparison
from reports.statistics.spot_clusters import Compared, compared, measured
from reports.statistics.spot_distances import Floats, Ints, sample

SPOTS = 3000
"""So many spots at most are clustered, under a second a row. On osmFISH and MERFISH samples of 1,000 gave the agreement
of 3,000 to about .03; ARI moved by .1 from sample to sample, of 3,000 spots as well."""

FEWEST = 20
"""Of fewer spots no clusters are sought."""

LABELLED = 0.75
"""Share of spots that must have a label for the labels to be used."""

KEEP = "`--keep-predictions first-seed` keeps them"
"""What to do about predictions that were not kept."""

_UNLABELLED = "unlabelled"  # as `harness.pair` names spots without a label


@dataclass(frozen=True, eq=False)
class Clustered:
    """One block. spots of `of` were clustered, over so many genes, into k clusters.

    truth: the measured values beside themselves. rows: label -> the row beside the truth, of those that were kept.
    strip: (spots,) the truth's cluster of each spot in the order of the heat maps.
    """

    block: Block
    spots: int
    of: int
    genes: int
    k: int
    truth: Compared
    rows: Mapping[str, Compared]
    strip: Ints

    @property
    def unkept(self) -> tuple[str, ...]:
        """Labels without a kept prediction."""
        return tuple(row.label for row in self.block.rows if row.label not in self.rows)


def clustered(comparison: Comparison, block: Block) -> Clustered | str:
    """The rows with kept predictions beside the truth, or why there is nothing to cluster."""
    kept, where = comparison.kept, (block.dataset, block.rate)
    read = {row.label: kept.prediction(row.label, *where) for row in block.rows}
    guesses = {label: guess for label, guess in read.items() if guess is not None}
    if not guesses:
        return f"no predictions of held-out genes were kept ({KEEP})"
    truth = kept.truth(comparison.reference if comparison.reference in guesses else next(iter(guesses)), *where)
    if truth is None:
        return "the store has no measured values of it"
    # Another seed may have left other spots out.
    spots = functools.reduce(lambda both, guess: both.intersection(guess.index), guesses.values(), truth.index)
    if len(spots) < FEWEST:
        return f"it has too few spots to cluster ({len(spots)})"
    about = kept.spots(block.dataset).reindex(spots)
    picked = sample(about[[axis for axis in "xyz" if axis in about]].to_numpy(np.float64), SPOTS)
    chosen, genes = spots[picked], list(truth.columns)

    def values(frame: pd.DataFrame) -> Floats:
        return frame.loc[chosen, genes].to_numpy(np.float64)

    ideal = measured(values(truth), _labels(about.iloc[picked]))
    if not ideal.apart.any():
        return "its measured values are the same at all spots"
    return Clustered(
        block=block,
        spots=len(chosen),
        of=len(spots),
        genes=len(genes),
        k=ideal.k,
        truth=compared(ideal, values(truth)),
        rows={label: compared(ideal, values(guess)) for label, guess in guesses.items()},
        strip=ideal.clusters[0][ideal.order],
    )


def _labels(about: pd.DataFrame) -> Ints | None:
    """(n,) labels as numbers, below 0 where a spot has none; None where too few have one, or they divide nothing."""
    if "label" not in about:
        return None
    names = about["label"].where(about["label"] != _UNLABELLED)
    codes, found = pd.factorize(names, sort=True)
    serves = 1 < len(found) < len(about) / 2 and np.mean(codes >= 0) >= LABELLED
    return codes.astype(np.intp) if serves else None
