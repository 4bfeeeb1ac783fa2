"""How variants rank over the datasets that all finished: the numbers behind `across_datasets`, and their frame."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from reports.reading.scores import Block, Comparison
from reports.reading.standings import BAR, Standing, overall, standings
from reports.statistics import rank_tests, ranking
from reports.statistics.rank_tests import Floats

LEAST_DATASETS, LEAST_VARIANTS = 5, 3
"""How many a test over datasets needs."""

LEAST_TO_LEAVE_OUT = 3
"""How many datasets it needs to leave one out: of two, one would decide alone."""


@dataclass(frozen=True, eq=False)
class Tests:
    """Friedman's test, Nemenyi's (V, V) p values of pairs, and the critical difference of mean ranks."""

    friedman: rank_tests.Friedman
    p: Floats
    width: float


@dataclass(frozen=True, eq=False)
class Across:
    """What V >= 2 variants score on the D >= 1 datasets that all of them finished at one sampling rate.

    scores: (D, V) AS. without: variants that finished no dataset. drawn: (B, V) mean AS over resamples of datasets
    and genes. above_bar: (V,) chance of a higher mean AS than the bar, where it alone joins; None where it cannot.
    """

    rate: float
    blocks: tuple[Block, ...]
    labels: tuple[str, ...]
    without: tuple[str, ...]
    scores: Floats
    drawn: Floats
    above_bar: Floats | None

    @cached_property
    def ranks(self) -> Floats:
        """(D, V) ranks within each dataset."""
        return rank_tests.ranks(self.scores)

    @cached_property
    def mean_ranks(self) -> Floats:
        """(V,) ranks averaged over datasets."""
        return np.asarray(self.ranks.mean(axis=0))

    @cached_property
    def overall_ranks(self) -> Floats:
        """(V,) ranks of the mean AS over datasets."""
        return rank_tests.ranks(self.scores.mean(axis=0))

    @cached_property
    def chances(self) -> Floats:
        """(V, V) chance of each rank."""
        return rank_tests.rank_chances(self.drawn)

    @cached_property
    def expected(self) -> Floats:
        """(V,) expected ranks."""
        return self.chances @ np.arange(1.0, len(self.labels) + 1)

    @cached_property
    def rank_interval(self) -> tuple[Floats, Floats]:
        """(V,) low and (V,) high end of the 95% interval of the rank."""
        return ranking.interval(rank_tests.ranks(self.drawn))

    @cached_property
    def left_out(self) -> Floats | None:
        """(D, V) overall ranks without each dataset, given enough of them."""
        return rank_tests.left_out_ranks(self.scores) if len(self.blocks) >= LEAST_TO_LEAVE_OUT else None

    @cached_property
    def tests(self) -> Tests | None:
        """The tests over datasets, given enough datasets and variants."""
        datasets, variants = self.ranks.shape
        if datasets < LEAST_DATASETS or variants < LEAST_VARIANTS:
            return None
        width = rank_tests.critical_difference(variants, datasets)
        return Tests(rank_tests.friedman(self.ranks), rank_tests.nemenyi(self.mean_ranks, datasets), width)


def at(comparison: Comparison, rate: float) -> Across | None:
    """What can be compared over datasets at one sampling rate; None without a dataset or without two variants."""
    whole = overall(comparison, rate, "finished by all")
    blocks = tuple(block for block in comparison.blocks if block.rate == rate and block.name in whole.datasets)
    inside = [row for row in whole.rows if row.row.group == "variant"]
    labels = tuple(row.row.label for row in inside if row.datasets)
    if not blocks or len(labels) < 2:
        return None
    scores = np.array([[_standing(block, label).score for label in labels] for block in blocks])
    picked = rank_tests.draws(len(blocks), ranking.RESAMPLES)
    by_block = [_drawn(block, labels, place) for place, block in enumerate(blocks)]
    ahead = [each for _, each in by_block if each is not None]
    above_bar = None
    if len(ahead) == len(blocks):
        above_bar = rank_tests.chance_above_0(rank_tests.over_datasets(np.stack(ahead), picked))
    drawn = rank_tests.over_datasets(np.stack([own for own, _ in by_block]), picked)
    without = tuple(row.row.label for row in inside if not row.datasets)
    return Across(rate, blocks, labels, without, scores, drawn, above_bar)


def _standing(block: Block, label: str) -> Standing:
    return next(standing for standing in standings(block) if standing.row.label == label)


def _drawn(block: Block, labels: Sequence[str], place: int) -> tuple[Floats, Floats | None]:
    """(B, V) AS over resamples of a block's genes, and AS(variant) - AS(bar) where the bar alone joins.

    place: of the block, so that no two draw alike.
    """
    bars = [row.label for row in block.rows if row.method == BAR and row.group == "control"]
    rows = [block.labels.index(label) for label in (*labels, *bars[:1]) if label in block.labels]
    picks = ranking.resamples(block.n_genes, seed=ranking.RESAMPLING_SEED + 1 + place)
    means = ranking.resampled_means(block.averaged[rows], picks)
    own = ranking.accuracy_score(means[:, : len(labels)])
    if len(rows) == len(labels):
        return own, None
    joined = ranking.accuracy_score(means)
    return own, joined[:, :-1] - joined[:, -1:]


# ---------------------------------------------------------------------------------------------------------------
# The tidy frame

_COLUMNS = ("sampling_rate", "quantity", "variant", "against", "dataset", "rank", "value", "low", "high", "p")


def as_frame(found: Sequence[Across]) -> pd.DataFrame:
    """One row per number, named by `quantity`; empty where a column says nothing of it.

    rank: within one dataset, of AS. mean_rank; friedman_chi2, iman_davenport_f, critical_difference and, per pair,
    nemenyi (value: difference of mean ranks): only where there may be tests. overall_rank: of the mean AS.
    chance_of_rank: per rank. expected_rank: low, high its 95% interval. chance_above_bar. left_out_rank: overall,
    without `dataset`. left_out_tau: Kendall's, with the overall ranks.
    """
    rows = [
        {"sampling_rate": each.rate, **row, "variants": len(each.labels), "datasets": len(each.blocks)}
        for each in found
        for part in (_rank_rows, _test_rows, _chance_rows, _left_out_rows)
        for row in part(each)
    ]
    return pd.DataFrame(rows, columns=[*_COLUMNS, "variants", "datasets"])


def _rank_rows(across: Across) -> Iterator[dict[str, object]]:
    for block, placed in zip(across.blocks, across.ranks, strict=True):
        for label, rank in zip(across.labels, placed, strict=True):
            yield {"quantity": "rank", "variant": label, "dataset": block.name, "value": rank}
    for quantity, values in (("mean_rank", across.mean_ranks), ("overall_rank", across.overall_ranks)):
        for label, value in zip(across.labels, values, strict=True):
            yield {"quantity": quantity, "variant": label, "value": value}


def _test_rows(across: Across) -> Iterator[dict[str, object]]:
    if (tests := across.tests) is None:
        return
    yield {"quantity": "friedman_chi2", "value": tests.friedman.chi2, "p": tests.friedman.p}
    yield {"quantity": "iman_davenport_f", "value": tests.friedman.f, "p": tests.friedman.f_p}
    yield {"quantity": "critical_difference", "value": tests.width}
    for i, j in zip(*np.triu_indices(len(across.labels), 1), strict=True):
        apart = across.mean_ranks[i] - across.mean_ranks[j]
        pair = {"variant": across.labels[i], "against": across.labels[j]}
        yield {"quantity": "nemenyi", **pair, "value": apart, "p": tests.p[i, j]}


def _chance_rows(across: Across) -> Iterator[dict[str, object]]:
    for v, label in enumerate(across.labels):
        for rank, chance in enumerate(across.chances[v], start=1):
            yield {"quantity": "chance_of_rank", "variant": label, "rank": rank, "value": chance}
        low, high = across.rank_interval[0][v], across.rank_interval[1][v]
        yield {"quantity": "expected_rank", "variant": label, "value": across.expected[v], "low": low, "high": high}
        if across.above_bar is not None:
            yield {"quantity": "chance_above_bar", "variant": label, "against": BAR, "value": across.above_bar[v]}


def _left_out_rows(across: Across) -> Iterator[dict[str, object]]:
    if (left_out := across.left_out) is None:
        return
    for block, placed in zip(across.blocks, left_out, strict=True):
        for label, rank in zip(across.labels, placed, strict=True):
            yield {"quantity": "left_out_rank", "variant": label, "dataset": block.name, "value": rank}
        tau = rank_tests.agreement(placed, across.overall_ranks)
        yield {"quantity": "left_out_tau", "dataset": block.name, "value": tau}
