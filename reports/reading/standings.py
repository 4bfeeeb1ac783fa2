"""Where every row stands: the accuracy score of one block, and over datasets (protocol section 6).

N is the number of variants that finished the block: every fold and every seed. Controls and external rows stand
outside N; each has the numbers it would have had if it alone had been added to the N (none where N is 0).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from reports.published import METRICS
from reports.reading.pooled import FACTS
from reports.reading.scores import Block, Comparison, Row
from reports.statistics import ranking

BAR = "low_rank_ridge"
"""The control that a variant has to beat: a linear map, fitted in under a second."""

Versus = Literal["", "above", "level", "below"]
Scope = Literal["finished by all", "failures at rank 1"]
Four = tuple[float, ...]

_NOTHING: Four = (math.nan,) * len(METRICS)


@dataclass(frozen=True)
class Standing:
    """One row of one block; NaN where there is no number.

    n: among how many it is ranked: N, or N + 1 for a control or external row. score, low, high: AS and its 95%
    interval over genes. seed_sd: sd over seeds of the AS per seed, for a row with several seeds.
    ranks, means, means_low, means_high: per published metric.
    beats_flat: share of genes whose JS is below that of a flat prediction. biased: the mean over genes of |bias|
    exceeds the mean over genes of the truth's sd. thinned: whether the block's sampling rate is below 1.
    versus_bar: whether the interval of AS(row) - AS(bar), among the N variants and the bar, lies above or below 0.
    """

    row: Row
    n: int = 0
    score: float = math.nan
    low: float = math.nan
    high: float = math.nan
    seed_sd: float = math.nan
    pair_score: float = math.nan
    ranks: Four = _NOTHING
    means: Four = _NOTHING
    means_low: Four = _NOTHING
    means_high: Four = _NOTHING
    beats_flat: float = math.nan
    biased: bool = False
    thinned: bool = False
    best: bool = False
    tied: bool = False
    versus_bar: Versus = ""

    @property
    def share(self) -> float:
        """AS/N (for a row outside N: over N + 1)."""
        return self.score / self.n if self.n else math.nan


@functools.lru_cache(maxsize=64)
def standings(block: Block) -> tuple[Standing, ...]:
    """Where the rows of a block stand, in the block's order."""
    if not block.n_genes:
        return tuple(Standing(row) for row in block.rows)
    picks = ranking.resamples(block.n_genes)
    means = block.averaged.mean(axis=1)
    drawn = ranking.resampled_means(block.averaged, picks)
    inside, outside = block.places("variant"), block.places("control", "external")
    joined = {
        place: ranking.join(means[inside], drawn[:, inside], means[place], drawn[:, place])
        for place in (outside if inside else ())
    }
    ranked = ranking.rank_variants(means[inside], drawn[:, inside]) if inside else None
    versus = _versus_bar(block, joined)
    sd = _seed_sd(block, inside)
    low, high = ranking.interval(drawn)
    found = {}
    for row in block.rows:
        if row.status != "complete":
            found[row.label] = Standing(row)
            continue
        place = block.labels.index(row.label)
        facts = _facts(block, place) | {
            "means": _four(means[place]),
            "means_low": _four(low[place]),
            "means_high": _four(high[place]),
        }
        if ranked is not None and place in inside:
            own = inside.index(place)
            facts |= _inside(ranked, own) | {"seed_sd": sd[own] if row.seeds > 1 else math.nan}
            facts |= {"n": len(inside), "versus_bar": versus.get(own, "")}
        elif (other := joined.get(place)) is not None:
            facts |= {"n": len(inside) + 1, "score": other.score, "low": other.low, "high": other.high}
            facts |= {"pair_score": other.pair_score, "ranks": _four(other.ranks)}
        found[row.label] = Standing(row, **facts)  # type: ignore[arg-type]
    return tuple(found[row.label] for row in block.rows)


def _inside(ranked: ranking.Ranking, own: int) -> dict[str, object]:
    return {
        "score": float(ranked.score[own]),
        "low": float(ranked.low[own]),
        "high": float(ranked.high[own]),
        "pair_score": float(ranked.pair_score[own]),
        "ranks": _four(ranked.ranks[own]),
        "best": bool(ranked.best[own]),
        "tied": bool(ranked.tied[own]),
    }


def _facts(block: Block, place: int) -> dict[str, object]:
    flat, bias, truth_sd = (block.facts[place, :, FACTS.index(name)] for name in ("js_flat", "bias", "truth_sd"))
    js = block.averaged[place, :, [metric.name for metric in METRICS].index("js")]
    return {
        "beats_flat": float(np.mean(js < flat)),
        "biased": bool(np.abs(bias).mean() > truth_sd.mean()),
        "thinned": block.rate < 1,
    }


def _seed_sd(block: Block, inside: list[int]) -> NDArray[np.float64]:
    if block.seeds < 2 or not inside:
        return np.full(len(inside), math.nan)
    return ranking.accuracy_score(block.seed_means[:, inside]).std(axis=0, ddof=1)


def _versus_bar(block: Block, joined: Mapping[int, ranking.Joined]) -> dict[int, Versus]:
    method = {row.label: row.method for row in block.rows if row.group == "control"}
    for place, bar in joined.items():
        if method.get(block.labels[place]) == BAR:
            words: dict[int, Versus] = {1: "above", 0: "level", -1: "below"}
            return {i: words[int(sign)] for i, sign in enumerate(bar.above)}
    return {}


def _four(values: NDArray[np.float64]) -> Four:
    return tuple(float(value) for value in values)


# ---------------------------------------------------------------------------------------------------------------
# Over datasets


@dataclass(frozen=True)
class OverallRow:
    """One row over datasets: mean AS/N over `datasets` of them, sd between them, lowest, highest, on how many best.

    word: what stands in place of a number.
    """

    row: Row
    datasets: int = 0
    share: float = math.nan
    sd: float = math.nan
    lowest: float = math.nan
    highest: float = math.nan
    best_on: int = 0
    word: str = ""


@dataclass(frozen=True)
class Overall:
    """The overall table of one sampling rate under one scope, over these datasets."""

    scope: Scope
    rate: float
    datasets: tuple[str, ...]
    rows: tuple[OverallRow, ...]


def overall(comparison: Comparison, rate: float, scope: Scope) -> Overall:
    """AS/N averaged over datasets: over those all variants finished, or over all with failures at rank 1.

    Data that are not real do not count beside data that are.

    "All variants" are those that finished any dataset: one that finished none would leave nothing to average. Under
    "failures at rank 1" a failed variant counts in N and is last on every metric; a skipped or incomplete one has no
    number on that dataset, and its mean is over the others.
    """
    blocks = comparison.counted(rate)
    finishers = {block.labels[i] for block in blocks for i in block.places("variant")}
    if scope == "finished by all":
        blocks = [b for b in blocks if finishers and finishers <= {b.labels[i] for i in b.places("variant")}]
    rows = {row.label: row for block in comparison.blocks for row in block.rows if block.rate == rate}
    shares: dict[str, list[tuple[float, bool]]] = {label: [] for label in rows}
    used = []
    for block in blocks:
        placed = _shares(block, scope)
        if placed:
            used.append(block.name)
        for label, share in placed.items():
            shares[label].append(share)
    order = {"variant": 0, "control": 1, "external": 2}
    ordered = sorted(
        rows.values(), key=lambda row: (order[row.group], list(comparison.asked.variants).index(row.label))
    )
    whole = scope == "finished by all"
    return Overall(
        scope, rate, tuple(used), tuple(_overall_row(row, shares[row.label], len(used), whole) for row in ordered)
    )


def _shares(block: Block, scope: Scope) -> dict[str, tuple[float, bool]]:
    """label -> (AS/N, whether it is the best) of the rows that have a number under this scope."""
    found = standings(block)
    failed = [s.row for s in found if s.row.status == "failed" and s.row.group == "variant"]
    extra = len(failed) if scope == "failures at rank 1" else 0
    scored = {s.row.label: ((s.score + extra) / (s.n + extra), s.best) for s in found if not math.isnan(s.score)}
    if not extra:
        return scored
    n = len(block.places("variant")) + extra
    return scored | {row.label: (1 / n, False) for row in failed}


def _overall_row(row: Row, shares: list[tuple[float, bool]], datasets: int, whole: bool) -> OverallRow:
    if not shares or (whole and len(shares) < datasets):
        return OverallRow(row, word=row.word or "--")
    values = np.array([share for share, _ in shares])
    return OverallRow(
        row=row,
        datasets=len(values),
        share=float(values.mean()),
        sd=float(values.std(ddof=1)) if len(values) > 1 else math.nan,
        lowest=float(values.min()),
        highest=float(values.max()),
        best_on=sum(best for _, best in shares),
    )
