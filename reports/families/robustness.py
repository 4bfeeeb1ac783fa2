"""Robustness to sparsity: what each method loses as the visible counts get thinner (the paper's Figure 2)."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from reports.family import Family, Section
from reports.figures.sparsity_figures import drawings
from reports.published import METRICS
from reports.reading.scores import Comparison, Row
from reports.reading.sparsity_curves import PCC, Curves, Overall, curves, over_datasets
from reports.reading.standings import Standing, standings
from reports.statistics.sparsity_statistics import THRESHOLD, wilson
from reports.writing.counts import count, grid, states
from reports.writing.tables import MISSING, TIED, Cell, Column, Emphasis, Footnotes, Line, Table, interval, number
from reports.writing.wording import BIASED, HEADINGS, THINNED, listed, marks, reason

FEWEST = 5
"""Of fewer genes above the threshold no share is given in a table."""

_MISSING = (
    f"no number: the row is not complete at every rate; fewer than {FEWEST} genes are above {THRESHOLD:g} at the "
    "highest (the CSV has their share); the interval of the mean PCC there is not above 0; or there is no variant."
)
_COUNTS = "Counts per spot: their mean sum over the panel before thinning; at a rate r about r times that is left."
_OUTSIDE = "the rank that the row would have had if it alone had joined the variants, of N + 1."

Cells = Callable[[Curves, int, Footnotes], list[Cell]]
"""The cells of the row at a place on the V axis."""

_TEXT = (
    "The visible spatial values are thinned at random, and nested: what survives at a rate of 0.3 survives at 0.5. The "
    "truth stays whole. Everything here is paired: a row counts if it is complete at every rate, a gene if it is "
    "scored at every rate; each table says what that leaves out.",
    "AUC is the area under the curve of the mean PCC between the lowest and the highest rate (trapezoid rule), divided "
    "by the span of the rates: a mean PCC over rates. Its 95% interval resamples genes 2,000 times, the same genes at "
    f"every rate and for all rows; bold is the best variant, {TIED} marks those whose difference from it has an "
    "interval that includes 0. A method that is poor at every rate is flat, and no better for it: so AUC is ranked, "
    "and losses are not.",
    f"RS(r), the robustness score, is the share of all scored genes whose PCC is above {THRESHOLD:g} both at rate r "
    "and at the highest rate. It rewards accuracy as much as robustness, so two shares stand beside it: of the genes "
    f"above {THRESHOLD:g} at the highest rate, those still above it at the lowest; and PCC kept, the mean PCC at the "
    "lowest rate divided by that at the highest. Genes near the threshold also cross it by chance, and only those that "
    "fall are counted. Intervals of shares of genes are Wilson's, those of PCC kept resample genes.",
    "Correlation with sparsity is Spearman's, of a row's mean metric and the share of zeros in the input, over all "
    "datasets and rates. The points of one dataset are not independent: they share its genes, and thinning moves both "
    "numbers. So the interval resamples whole datasets: it needs three, and is rough with fewer than ten. Datasets "
    "also differ in much besides their sparsity.",
)


def section(comparison: Comparison) -> Section | None:
    """The family's tables, figures and tidy frame; nothing where there is one sampling rate."""
    if len(comparison.rates) < 2:
        return None
    found = curves(comparison)
    alone = sorted({block.dataset for block in comparison.blocks} - {each.first.dataset for each in found})
    text = (*_TEXT, *([f"Asked for at one sampling rate only, so without a curve: {listed(alone)}."] if alone else ()))
    tables = [table for each in found for table in (_areas(each), _scores(each))]
    overall = over_datasets(found)
    if found:
        tables += [_overall_table(found, overall), _sparsity(comparison, found)]
    frame = as_frame(found, overall)
    return Section("Robustness to sparsity", text, frame, tuple(tables), drawings(comparison, found))


FAMILY = Family(place=40, section=section)


# ---------------------------------------------------------------------------------------------------------------
# Tables of one dataset


def _areas(found: Curves) -> Table:
    """Mean PCC at each rate, and the area under it."""
    rates = tuple(Column(f"PCC at {rate:g}", "↑") for rate in found.rates)
    columns = (*rates, Column("AUC", "↑"), Column("95% interval"), Column("rank (best = N)", "↑"))
    caption = f"Mean PCC over sampling rates on {found.first.name}, and the area under the curve"
    return _table(found, "area", caption, columns, _area_cells)


def _area_cells(found: Curves, v: int, notes: Footnotes) -> list[Cell]:
    own, inside = found.estimates, v in found.inside
    emphasis: Emphasis = "best" if own.best[v] else "tied" if own.tied[v] else ""
    area, low, high, rank = (float(each[v, PCC]) for each in (own.areas, own.areas_low, own.areas_high, own.ranks))
    n = len(found.inside) + (not inside)
    shown = MISSING if math.isnan(rank) else f"{rank:g} of {n}" if inside else f"({rank:g} of {n})"
    if shown.startswith("("):
        notes.mark("( )", _OUTSIDE)
    return [
        *(Cell(number(mean, 3), mean) for mean in own.means[:, v, PCC].tolist()),
        Cell(number(area, 3), area, emphasis),
        Cell(interval(low, high, 3), low),
        Cell(shown, rank),
    ]


def _scores(found: Curves) -> Table:
    """Robustness scores, and what is left at the lowest rate."""
    top, low = found.rates[0], found.rates[-1]
    columns = (
        Column(f"PCC > {THRESHOLD:g} at {top:g}"),
        *(Column(f"RS({rate:g})", "↑") for rate in found.rates[1:]),
        Column(f"still > {THRESHOLD:g} at {low:g}", "↑"),
        Column(f"PCC kept at {low:g}", "↑"),
    )
    caption = f"Robustness score on {found.first.name}, and what is left of the sampling rate {top:g} at {low:g}"
    return _table(found, "robustness", caption, columns, _score_cells)


def _score_cells(found: Curves, v: int, _: Footnotes) -> list[Cell]:
    own, genes = found.estimates, len(found.genes)
    passing = own.passing[:, v]
    share, low, high = (float(each[-1, v]) for each in (own.retained, own.retained_low, own.retained_high))
    few = passing[0] < FEWEST
    return [
        Cell(str(passing[0]), int(passing[0])),
        *(_share(int(hits), genes) for hits in passing[1:]),
        Cell(MISSING) if few else _share(int(passing[-1]), int(passing[0])),
        Cell(MISSING if math.isnan(share) else f"{number(share, 2)} {interval(low, high, 2)}", share),
    ]


def _share(hits: int, of: int) -> Cell:
    """A share of genes in percent with its interval."""
    low, high = (100 * float(end[0]) for end in wilson(np.array([hits]), np.array([of])))
    return Cell(f"{number(100 * hits / of, 0)}% {interval(low, high, 0)}", hits / of)


def _table(found: Curves, name: str, caption: str, columns: tuple[Column, ...], cells_of: Cells) -> Table:
    notes = Footnotes()
    groups = [
        (heading, tuple(_line(found, row, len(columns), cells_of, notes) for row in found.rows if row.group == group))
        for group, heading in HEADINGS.items()
    ]
    if any(cell.text == MISSING for _, lines in groups for line in lines for cell in line.cells):
        notes.mark(MISSING, _MISSING)
    notes.flags(list(dict.fromkeys(flag for block in found.blocks for flag in block.flags)))
    return Table(
        f"{name}-{found.first.dataset}", caption, "Variant", columns, tuple(groups), notes.listed(), _size(found)
    )


def _line(found: Curves, row: Row, width: int, cells_of: Cells, notes: Footnotes) -> Line:
    if row.label in found.words:
        reason(Standing(row), notes)
        return Line(row.label, (Cell(found.words[row.label]), *(Cell(MISSING),) * (width - 1)))
    return Line(row.label, tuple(cells_of(found, found.labels.index(row.label), notes)), _marks(found, row, notes))


def _marks(found: Curves, row: Row, notes: Footnotes) -> str:
    """A row's marks, over all rates: how it was chosen is the same at each, whether it is biased is not."""
    own = [next(each for each in standings(block) if each.row.label == row.label) for block in found.blocks]
    shown = marks(replace(own[0], biased=False), notes)
    return shown + (notes.mark("‡", _biased(found)) if any(each.biased for each in own) else "")


def _biased(found: Curves) -> str:
    """At which rates which rows are biased."""
    rates: dict[str, list[str]] = {}
    for block in found.blocks:
        for standing in standings(block):
            if standing.biased and standing.row.label in found.labels:
                rates.setdefault(standing.row.label, []).append(f"{block.rate:g}")
    rows: dict[tuple[str, ...], list[str]] = {}
    for label in (label for label in found.labels if label in rates):
        rows.setdefault(tuple(rates[label]), []).append(label)
    where = [
        f"{'at every rate' if len(at) == len(found.rates) else f'at {listed(list(at))}'}: {listed(labels)}"
        for at, labels in rows.items()
    ]
    return f"{BIASED}{THINNED} Here {'; '.join(where)}."


def _size(found: Curves) -> str:
    genes = f"{count(len(found.genes), 'gene')} scored at every rate"
    if found.left_out:
        genes += f" ({found.left_out} scored at some rates only and left out)"
    rows = [row for block in found.blocks for row in block.rows]
    return f"{grid(found.blocks)}; N = {len(found.inside)} complete at every rate; {genes}; {states(rows)}."


# ---------------------------------------------------------------------------------------------------------------
# Tables over datasets


def _overall_table(found: Sequence[Curves], rows: Sequence[Overall]) -> Table:
    """The area averaged over datasets, and the correlation of the metrics with the sparsity of the input."""
    notes = Footnotes()
    columns = (
        Column("mean AUC", "↑"),
        *(Column(f"{metric.label} and sparsity") for metric in METRICS),
        Column("points"),
        Column("datasets"),
    )
    groups = [
        (heading, tuple(_overall_line(each, len(found), notes) for each in rows if each.row.group == group))
        for group, heading in HEADINGS.items()
    ]
    notes.mark(
        MISSING,
        "no number: a mean AUC needs every dataset of this table, a correlation three points and a metric that varies.",
    )
    notes.mark("[ ]", "the 95% interval from resampling datasets; there is none for fewer than three of them.")
    notes.mark("±", "the standard deviation between datasets.")
    caption = "Over datasets: mean AUC, and Spearman's correlation of each metric with the share of zeros in the input"
    blocks = [block for each in found for block in each.blocks]
    size = f"{grid(blocks)}; a point is a dataset at a rate."
    return Table("over-datasets", caption, "Variant", columns, tuple(groups), notes.listed(), size)


def _overall_line(own: Overall, datasets: int, notes: Footnotes) -> Line:
    if len(own.areas) == datasets:
        mean = float(np.mean(own.areas))
        sd = f" ±{number(float(np.std(own.areas, ddof=1)), 3)}" if datasets > 1 else ""
        area = Cell(f"{number(mean, 3)}{sd}", mean)
    else:
        area = Cell(MISSING)
    related = [
        Cell(number(value, 2) if math.isnan(low) else f"{number(value, 2)} {interval(low, high, 2)}", value)
        for value, low, high in own.correlations
    ]
    counts = (Cell(str(own.points), own.points), Cell(f"{len(own.areas)} of {datasets}", len(own.areas)))
    return Line(own.row.label, (area, *related, *counts))


def _sparsity(comparison: Comparison, found: Sequence[Curves]) -> Table:
    """How large the spatial data are, and the share of zeros in what the methods saw."""
    lines = []
    for each in found:
        zeros = dict(zip(each.rates, each.sparsity.tolist(), strict=True))
        values = [zeros.get(rate, math.nan) for rate in comparison.rates]
        shown = [MISSING if math.isnan(value) else f"{number(100 * value, 1)}%" for value in values]
        cells = [Cell(text, v) for text, v in zip(shown, values, strict=True)]
        lines.append(Line(each.first.name, (*_extent(comparison, each.first.dataset), *cells)))
    columns = (
        *(Column("spots × genes"), Column("counts per spot")),
        *(Column(f"zeros at {rate:g}") for rate in comparison.rates),
    )
    notes = [
        ("Zeros:", f"among values of visible genes after thinning, mean over {count(found[0].first.folds, 'fold')}.")
    ]
    notes += [("Genes:", "the panel, of which each fold shows its share. " + _COUNTS)]
    if any(cell.text == MISSING for line in lines for cell in line.cells):
        notes.append((MISSING, "no number: nothing was asked for, no finished trial says, or values are no counts."))
    caption = "The spatial data: their size, and the share of zeros that methods saw at each sampling rate"
    return Table("sparsity", caption, "Dataset", columns, (("", tuple(lines)),), tuple(notes))


def _extent(comparison: Comparison, dataset: str) -> tuple[Cell, Cell]:
    """Spots and genes of a dataset, and the mean counts of a spot over these genes."""
    facts, genes = comparison.asked.datasets.get(dataset, {}), comparison.panels.get(dataset)
    spots, depth = facts.get("spots"), comparison.kept.depth(dataset)
    size = Cell(MISSING) if spots is None or genes is None else Cell(f"{spots:,} × {genes:,}", float(spots))
    return size, Cell(MISSING if math.isnan(depth) else f"{depth:,.0f}", None if math.isnan(depth) else depth)


# ---------------------------------------------------------------------------------------------------------------
# Tidy frame

_FRAME = (
    "quantity", "dataset", "synthetic", "sampling_rate", "variant", "group", "metric", "value", "low", "high",
    "interval", "n", "unit", "rank", "ranked_among",
)  # fmt: skip


def as_frame(found: Sequence[Curves], overall: Sequence[Overall]) -> pd.DataFrame:
    """One row per number.

    quantity: mean (low, high: one sd over folds and seeds to either side), area, robustness_score, still_above,
    pcc_kept, input_sparsity, or spearman_with_sparsity. interval: what low and high are. n, unit: how many of what.
    """
    rows: list[dict[str, object]] = []
    for each in found:
        block = each.first
        dataset = {"dataset": block.dataset, "synthetic": block.synthetic}
        for rate, value in zip(each.rates, each.sparsity.tolist(), strict=True):
            zeros = {"quantity": "input_sparsity", "sampling_rate": rate, "value": value}
            rows.append(dataset | zeros | {"n": block.folds, "unit": "folds"})
        group = {row.label: row.group for row in each.rows}
        for v, label in enumerate(each.labels):
            same = dataset | {"variant": label, "group": group[label], "n": len(each.genes), "unit": "genes"}
            rows += [same | own for own in (*_means(each, v), *_area_records(each, v), *_left(each, v))]
    for own in overall:
        same = {"quantity": "spearman_with_sparsity", "variant": own.row.label, "group": own.row.group}
        for metric, (value, low, high) in zip(METRICS, own.correlations, strict=True):
            numbers = {"metric": metric.name, "value": value, "low": low, "high": high, "interval": "95% over datasets"}
            rows.append(same | numbers | {"n": own.points, "unit": "datasets x rates"})
    return pd.DataFrame(rows, columns=list(_FRAME))


def _means(found: Curves, v: int) -> Iterator[dict[str, object]]:
    for r, rate in enumerate(found.rates):
        for m, metric in enumerate(METRICS):
            mean, sd = float(found.estimates.means[r, v, m]), float(found.spread[r, v, m])
            same = {"quantity": "mean", "sampling_rate": rate, "metric": metric.name, "value": mean}
            yield same | {"low": mean - sd, "high": mean + sd, "interval": "sd over folds and seeds"}


def _area_records(found: Curves, v: int) -> Iterator[dict[str, object]]:
    own = found.estimates
    among = len(found.inside) + (v not in found.inside)
    for m, metric in enumerate(METRICS):
        numbers = {"value": own.areas[v, m], "low": own.areas_low[v, m], "high": own.areas_high[v, m]}
        rank = {"rank": own.ranks[v, m], "ranked_among": among if found.inside else math.nan}
        yield {"quantity": "area", "metric": metric.name, **numbers, "interval": "95% over genes", **rank}


def _left(found: Curves, v: int) -> Iterator[dict[str, object]]:
    own, genes = found.estimates, len(found.genes)
    hits = own.passing[:, v]
    shares = {"robustness_score": np.full(len(hits), genes), "still_above": np.full(len(hits), hits[0])}
    for quantity, of in shares.items():
        low, high = wilson(hits, of)
        for r, rate in enumerate(found.rates):
            value = hits[r] / of[r] if of[r] else math.nan
            same = {"quantity": quantity, "sampling_rate": rate, "metric": "pcc", "value": value, "n": int(of[r])}
            yield same | {"low": low[r], "high": high[r], "interval": "95% Wilson"}
    for r, rate in enumerate(found.rates):
        numbers = (float(each[r, v]) for each in (own.retained, own.retained_low, own.retained_high))
        same = {"quantity": "pcc_kept", "sampling_rate": rate, "metric": "pcc", "interval": "95% over genes"}
        yield same | dict(zip(("value", "low", "high"), numbers, strict=True))
