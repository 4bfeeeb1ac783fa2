"""The rows of a comparison against its reference: block by block, and over datasets (protocol section 7).

Within a block the unit is the gene, averaged over seeds and paired with itself; over datasets it is the dataset.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from reports.published import METRICS
from reports.reading.scores import Block, Comparison, Group, Row
from reports.statistics.paired import Floats, Paired, compare, holm

GROUPS: tuple[Group, ...] = ("variant", "control", "external")
"""p is adjusted within each, so that an added control changes no variant's."""

Hashes = Mapping[tuple[int, int], str | None]
"""(fold, seed) -> the hash of what was predicted."""


@dataclass(frozen=True, eq=False)
class Contrast:
    """The K other complete rows of a block minus the reference, in the block's order.

    adjusted: (K, M) p, Holm-adjusted within each group. identical: which rows predicted what the reference
    predicted, to the last bit, in every trial.
    """

    block: Block
    rows: tuple[Row, ...]
    paired: Paired
    adjusted: Floats
    identical: tuple[bool, ...]


def contrasts(comparison: Comparison) -> tuple[Contrast, ...]:
    """One per block that has the reference complete and genes scored."""
    hashes = _hashes(comparison)
    usable = [block for block in comparison.blocks if comparison.reference in block.labels and block.genes]
    return tuple(_contrast(block, comparison.reference, hashes[block.rate, block.dataset]) for block in usable)


def _contrast(block: Block, reference: str, hashes: Mapping[str, Hashes]) -> Contrast:
    place = block.labels.index(reference)
    others = [i for i in range(len(block.labels)) if i != place]
    paired = compare(block.averaged[others], block.averaged[place])
    adjusted = np.empty_like(paired.p)
    for group in GROUPS:
        own = [others.index(i) for i in block.places(group) if i != place]
        adjusted[own] = holm(paired.p[own])
    rows = {row.label: row for row in block.rows}
    labels = [block.labels[i] for i in others]
    identical = tuple(_identical(hashes[label], hashes[reference]) for label in labels)
    return Contrast(block, tuple(rows[label] for label in labels), paired, adjusted, identical)


def _hashes(comparison: Comparison) -> dict[tuple[float, str], dict[str, dict[tuple[int, int], str | None]]]:
    """(rate, dataset) -> label -> hashes."""
    found: dict[tuple[float, str], dict[str, dict[tuple[int, int], str | None]]] = {}
    for cell in comparison.asked.cells:
        record = comparison.records.get(cell["trial_id"])
        block = found.setdefault((float(cell["sampling_rate"]), cell["dataset"]), {})
        row = block.setdefault(cell["label"], {})
        row[cell["fold"], cell["seed"]] = None if record is None else record.prediction_sha256
    return found


def _identical(one: Hashes, other: Hashes) -> bool:
    # A row without randomness may have been asked for with the seed 0 alone; it then serves every seed.
    each = [[hashes.get((f, s), hashes.get((f, 0))) for hashes in (one, other)] for f, s in {**one, **other}]
    return all(a is not None and a == b for a, b in each)


@dataclass(frozen=True, eq=False)
class Overall:
    """One row over the datasets on which it and the reference are complete; arrays are (M,).

    mean, sd: of the datasets' mean differences, each dataset weighing the same; sd is NaN for one dataset.
    above, below: on how many of them the 95% interval lies above or below 0.
    """

    row: Row
    datasets: int
    mean: Floats
    sd: Floats
    above: Floats
    below: Floats


def over_datasets(found: Sequence[Contrast], order: Sequence[str]) -> tuple[Overall, ...]:
    """The rows over the contrasts of one sampling rate, in the order of these labels; none for fewer than two.

    Data that are not real do not count beside data that are.
    """
    found = [contrast for contrast in found if not contrast.block.synthetic] or found
    if len(found) < 2:
        return ()
    places: dict[str, list[tuple[Contrast, int]]] = {}
    for contrast in found:
        for i, row in enumerate(contrast.rows):
            places.setdefault(row.label, []).append((contrast, i))
    return tuple(_overall(places[label]) for label in order if label in places)


def _overall(places: Sequence[tuple[Contrast, int]]) -> Overall:
    mean = np.array([contrast.paired.mean[i] for contrast, i in places])
    low = np.array([contrast.paired.low[i] for contrast, i in places])
    high = np.array([contrast.paired.high[i] for contrast, i in places])
    first, i = places[0]
    return Overall(
        row=first.rows[i],
        datasets=len(places),
        mean=mean.mean(axis=0),
        sd=mean.std(axis=0, ddof=1) if len(places) > 1 else np.full(len(METRICS), np.nan),
        above=(low > 0).sum(axis=0),
        below=(high < 0).sum(axis=0),
    )


# ---------------------------------------------------------------------------------------------------------------
# As a frame


def as_frame(reference: str, found: Sequence[Contrast], overall: Mapping[float, Sequence[Overall]]) -> pd.DataFrame:
    """One row per block, row and metric, then one per sampling rate, row and metric over datasets."""
    rows = [record for contrast in found for record in _records(contrast)]
    rows += [record for rate, each in overall.items() for one in each for record in _overall_records(rate, one)]
    names = [
        *("scope", "dataset", "synthetic", "sampling_rate", "variant", "group", "metric", "better", "difference"),
        *("low", "high", "d_z", "share_better", "p", "p_holm", "identical", "genes", "folds", "seeds"),
        *("dataset_sd", "datasets", "datasets_above", "datasets_below"),
    ]
    frame = pd.DataFrame(rows, columns=names)
    frame.insert(names.index("variant"), "reference", reference)
    return frame


def _records(contrast: Contrast) -> list[dict[str, object]]:
    block, paired = contrast.block, contrast.paired
    return [
        {
            "scope": "dataset",
            "dataset": block.dataset,
            "synthetic": block.synthetic,
            "sampling_rate": block.rate,
            "variant": row.label,
            "group": row.group,
            "metric": metric.name,
            "better": "higher" if metric.higher_is_better else "lower",
            "difference": paired.mean[k, m],
            "low": paired.low[k, m],
            "high": paired.high[k, m],
            "d_z": paired.effect[k, m],
            "share_better": paired.better[k, m],
            "p": paired.p[k, m],
            "p_holm": contrast.adjusted[k, m],
            "identical": contrast.identical[k],
            "genes": block.n_genes,
            "folds": block.folds,
            "seeds": row.seeds,
        }
        for k, row in enumerate(contrast.rows)
        for m, metric in enumerate(METRICS)
    ]


def _overall_records(rate: float, found: Overall) -> list[dict[str, object]]:
    return [
        {
            "scope": "over datasets",
            "sampling_rate": rate,
            "variant": found.row.label,
            "group": found.row.group,
            "metric": metric.name,
            "better": "higher" if metric.higher_is_better else "lower",
            "difference": found.mean[m],
            "dataset_sd": found.sd[m],
            "datasets": found.datasets,
            "datasets_above": found.above[m],
            "datasets_below": found.below[m],
        }
        for m, metric in enumerate(METRICS)
    ]
