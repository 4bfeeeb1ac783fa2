"""What is left of predictions as the visible counts get thinner: curves over sampling rates, one dataset at a time.

Axes: R sampling rates, falling; V rows; G genes; M = 4 metrics in the order of `published.METRICS`; B resamples. The
curves are paired: a row is in them if it is complete at every rate, a gene if it is scored at every rate.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from reports.published import METRICS
from reports.reading.scores import Block, Comparison, Row
from reports.statistics import ranking
from reports.statistics.sparsity_statistics import clustered, passing, retained, trapezoid

Floats = NDArray[np.float64]

PCC = [metric.name for metric in METRICS].index("pcc")

_GROUPS = ("variant", "control", "external")


@dataclass(frozen=True, eq=False)
class Estimates:
    """What the curves of one dataset come to.

    means: (R, V, M) over genes. areas, areas_low, areas_high: (V, M) under them, with the 95% interval over genes.
    ranks: (V, M) of the areas, best = N; for a row outside N as if it alone had joined; NaN where N is 0.
    best, tied: (V,) by the area of PCC. passing, retained, retained_low, retained_high: (R, V), see the functions.
    """

    means: Floats
    areas: Floats
    areas_low: Floats
    areas_high: Floats
    ranks: Floats
    best: NDArray[np.bool_]
    tied: NDArray[np.bool_]
    passing: NDArray[np.int64]
    retained: Floats
    retained_low: Floats
    retained_high: Floats


@dataclass(frozen=True, eq=False)
class Curves:
    """One dataset over its sampling rates.

    blocks: (R,) by falling rate. rows: every row asked for at any rate, as it stands at the highest, or at the first at
    which it is not complete. words: why a row is not in the curves, by label.
    labels: the V rows that are; inside: places of the N variants among them. genes: the G genes that are.
    left_out: how many genes are scored at some rates only. values: (R, V, G, M), averaged over seeds.
    spread: (R, V, M) sd over folds and seeds of the mean of a fold's genes, all that are scored at that rate.
    sparsity: (R,) share of zeros in what the methods saw, mean over folds; NaN where no trial says.
    """

    blocks: tuple[Block, ...]
    rows: tuple[Row, ...]
    words: Mapping[str, str]
    labels: tuple[str, ...]
    inside: list[int]
    genes: tuple[str, ...]
    left_out: int
    values: Floats
    spread: Floats
    sparsity: Floats

    @property
    def first(self) -> Block:
        """The block of the highest rate."""
        return self.blocks[0]

    @property
    def rates(self) -> list[float]:
        """Sampling rates, falling."""
        return [block.rate for block in self.blocks]

    @functools.cached_property
    def estimates(self) -> Estimates:
        """What they come to; only where there is a row."""
        weights = trapezoid(self.rates)
        by_gene = sum(weight * each for weight, each in zip(weights, self.values, strict=True))
        pcc = self.values[..., PCC]
        joined = np.concatenate([by_gene, pcc.transpose(1, 2, 0)], axis=-1)  # (V, G, M + R)
        drawn = ranking.resampled_means(joined, ranking.resamples(len(self.genes)))
        drawn_areas, drawn_pcc = drawn[..., : len(METRICS)], drawn[..., len(METRICS) :]
        means, areas = self.values.mean(axis=2), joined[..., : len(METRICS)].mean(axis=1)
        low, high = ranking.interval(drawn_areas)
        best, tied = _best(areas[:, PCC], drawn_areas[..., PCC], self.inside)
        kept, kept_low, kept_high = retained(means[..., PCC], drawn_pcc)
        return Estimates(
            means=means,
            areas=areas,
            areas_low=low,
            areas_high=high,
            ranks=_ranks(areas, self.inside),
            best=best,
            tied=tied,
            passing=passing(pcc),
            retained=kept,
            retained_low=kept_low,
            retained_high=kept_high,
        )


def _ranks(areas: Floats, inside: list[int]) -> Floats:
    found = np.full(areas.shape, math.nan)
    if inside:
        found[inside] = ranking.ranks(areas[inside])
        for place in sorted(set(range(len(areas))) - set(inside)):
            found[place] = ranking.ranks(areas[[*inside, place]])[-1]
    return found


def _best(areas: Floats, drawn: Floats, inside: list[int]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """(V,) the highest area inside N, and those whose difference from it has an interval that includes 0."""
    best, tied = np.zeros((2, len(areas)), dtype=bool)
    rounded = np.round(areas, ranking.TIE_DECIMALS)
    for place in inside:
        best[place] = rounded[place] == rounded[inside].max()
    for top in np.flatnonzero(best):
        low, high = ranking.interval(drawn[:, [top]] - drawn[:, inside])
        tied[inside] |= (low <= 0) & (high >= 0)
    return best, tied & ~best


def curves(comparison: Comparison) -> tuple[Curves, ...]:
    """The curves of every dataset that was asked for at several rates."""
    by_dataset: dict[str, list[Block]] = {}
    for block in comparison.blocks:
        by_dataset.setdefault(block.dataset, []).append(block)
    zeros = _input_sparsity(comparison)
    order = {label: place for place, label in enumerate(comparison.asked.variants)}
    return tuple(_curves(tuple(blocks), zeros, order) for blocks in by_dataset.values() if len(blocks) > 1)


def _curves(blocks: tuple[Block, ...], zeros: Mapping[tuple[str, float], float], order: Mapping[str, int]) -> Curves:
    every_row = [row for block in reversed(blocks) for row in block.rows]
    rows = {row.label: row for row in sorted(every_row, key=lambda row: bool(row.word))}  # the one that says why, last
    ordered = sorted(rows.values(), key=lambda row: (_GROUPS.index(row.group), order[row.label]))
    common = set.intersection(*(set(block.genes) for block in blocks))
    every = set.union(*(set(block.genes) for block in blocks))
    words = {row.label: _word(blocks, row.label) or ("" if common else "no gene scored") for row in ordered}
    kept = [row for row in ordered if not words[row.label]]
    labels, genes = tuple(row.label for row in kept), tuple(sorted(common))
    values, spread = [], []
    for block in blocks:
        v = [block.labels.index(label) for label in labels]
        place = {gene: g for g, gene in enumerate(block.genes)}
        values.append(block.averaged[v][:, np.array([place[gene] for gene in genes], dtype=np.intp)])
        spread.append(_spread(block.part_means[:, :, v]))
    return Curves(
        blocks=blocks,
        rows=tuple(ordered),
        words={label: word for label, word in words.items() if word},
        labels=labels,
        inside=[place for place, row in enumerate(kept) if row.group == "variant"],
        genes=genes,
        left_out=len(every - common),
        values=np.stack(values),
        spread=np.stack(spread),
        sparsity=np.array([zeros.get((block.dataset, block.rate), math.nan) for block in blocks]),
    )


def _word(blocks: Sequence[Block], label: str) -> str:
    """Why a row is not complete at every rate; empty where it is."""
    for block in blocks:
        row = next((row for row in block.rows if row.label == label), None)
        if row is None or row.word:
            return f"{'not asked for' if row is None else row.word} at {block.rate:g}"
    return ""


def _spread(parts: Floats) -> Floats:
    """(F, S, V, M) -> (V, M) population sd over the parts: a run that serves every seed weighs the same as one run."""
    return np.nanstd(parts, axis=(0, 1)) if parts.size else np.empty(parts.shape[2:])


def _input_sparsity(comparison: Comparison) -> dict[tuple[str, float], float]:
    """(dataset, rate) -> share of zeros in what the methods saw: mean over the trials of a fold, then over folds."""
    rows = [
        (
            cell["dataset"],
            float(cell["sampling_rate"]),
            cell["fold"],
            comparison.records[cell["trial_id"]].input_sparsity,
        )
        for cell in comparison.asked.cells
        if cell["trial_id"] in comparison.records
    ]
    frame = pd.DataFrame(rows, columns=["dataset", "rate", "fold", "zeros"]).astype({"zeros": "float64"})
    means = frame.groupby(["dataset", "rate", "fold"])["zeros"].mean().groupby(["dataset", "rate"]).mean()
    return {(str(dataset), float(rate)): float(value) for (dataset, rate), value in means.items()}


# ---------------------------------------------------------------------------------------------------------------
# Over datasets


@dataclass(frozen=True)
class Overall:
    """One row over the datasets on which it is complete at every rate.

    row: the row. points: datasets x rates with a known sparsity of the input. correlations: per published metric,
    Spearman's correlation of its mean with that sparsity, and the 95% interval. areas: of PCC, one per dataset.
    """

    row: Row
    points: int
    correlations: tuple[tuple[float, float, float], ...]
    areas: tuple[float, ...]


def over_datasets(found: Sequence[Curves]) -> tuple[Overall, ...]:
    """The rows in the order of the tables."""
    rows = {row.label: row for each in found for row in each.rows}
    ordered = [row for group in _GROUPS for row in rows.values() if row.group == group]
    return tuple(_overall(row, [each for each in found if row.label in each.labels]) for row in ordered)


def _overall(row: Row, found: Sequence[Curves]) -> Overall:
    if not found:
        return Overall(row, 0, ((math.nan,) * 3,) * len(METRICS), ())
    means = np.concatenate([each.estimates.means[:, each.labels.index(row.label)] for each in found])
    zeros = np.concatenate([each.sparsity for each in found])
    known = ~np.isnan(zeros)
    places = np.repeat(np.arange(len(found)), [len(each.rates) for each in found])
    _, cluster = np.unique(places[known], return_inverse=True)
    related = tuple(clustered(zeros[known], mean[known], cluster) for mean in means.T)
    areas = tuple(float(each.estimates.areas[each.labels.index(row.label), PCC]) for each in found)
    return Overall(row, int(known.sum()), related, areas)
