"""Which genes are predicted: PCC by what a gene is like, in quartiles of genes and as a rank correlation."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from reports.family import Drawing, Family, Section
from reports.figures.drawing import PAGE, Look, columns, drawn_blocks, looks, short
from reports.reading.scores import Block, Comparison
from reports.reading.standings import BAR, Standing, standings
from reports.statistics import ranking
from reports.statistics.rank_correlation import BINS, MANY, Floats, quartiles, resampled_spearman, spearman
from reports.writing.counts import count, seeds_of, size
from reports.writing.tables import MISSING, Cell, Column, Footnotes, Line, Table, interval, number
from reports.writing.wording import HEADINGS, at_highest, at_rate, listed, marks, reason

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Property:
    """What is known of a gene. column: of `Kept.genes`; complement: one minus it."""

    name: str
    label: str
    column: str
    complement: bool = False

    def of(self, genes: pd.DataFrame) -> Floats:
        """(G,) values, NaN where unknown."""
        if self.column not in genes:
            return np.full(len(genes), math.nan)
        values = genes[self.column].to_numpy(np.float64)
        return 1 - values if self.complement else values


PROPERTIES = (
    Property("expression", "Expression", "st_mean"),
    Property("sparsity", "Sparsity", "st_detection", complement=True),
    Property("morans_i", "Moran's I", "morans_i"),
)

FEWEST = 2 * BINS
"""Genes that a dataset needs, so that a quartile can have two."""

PER_FIGURE = 4
"""Datasets in one figure."""

UNDEFINED = "flat"
"""What stands where there is a row but no correlation."""

_TEXT = (
    "PCC of the held-out genes by what the measured gene is like: its expression (mean over spots), its sparsity "
    "(share of spots in which it was not detected) and its Moran's I (how much neighbouring spots resemble each other: "
    "the spatial structure there is to predict). Genes are cut into quartiles of each property; equal values share a "
    "quartile. Spearman's correlation over genes says whether PCC rises (+) or falls (-) with the property.",
    "Low PCC on sparse genes says as much about the noise of the measurement as about the method, and the three "
    "properties go together, so none of these is a cause. 95% intervals resample genes, the same for all rows: within "
    "the quartile for means, over all genes and ranked anew each time for correlations: 2,000 times, correlations of "
    f"more than {MANY:,} genes less often (200 times at least).",
)

_COLUMNS = ("dataset", "synthetic", "sampling_rate", "variant", "group", "property", "statistic", "quartile")
_NUMBERS = ("from", "to", "value", "low", "high", "genes")


@dataclass(frozen=True, eq=False)
class Groups:
    """The PCC of a block's V rows by the P properties that are known of its G genes.

    properties: (P, G). pcc: (V, G). correlation: (V, P); low, high: its 95% interval.
    means: per property (BINS, V, 3), the mean PCC of each quartile with its interval; NaN where a quartile is empty.
    unknown: properties that the store does not have.
    """

    block: Block
    known: tuple[Property, ...]
    unknown: tuple[Property, ...]
    properties: Floats
    pcc: Floats
    correlation: Floats
    low: Floats
    high: Floats
    means: tuple[Floats, ...]

    @property
    def n(self) -> int:
        """How many genes have a PCC and every known property."""
        return self.pcc.shape[1]


def section(comparison: Comparison) -> Section | None:
    """Everything at the highest sampling rate, or why a dataset is not here."""
    found = [_groups(comparison, block) for block in drawn_blocks(comparison)]
    if not found:
        return None
    shown = [groups for groups in found if groups.means]
    drawings = tuple(_drawings(comparison, shown))
    undrawn = ("No figure: neither a variant nor the low-rank ridge has finished.",) if shown and not drawings else ()
    text = (*(_TEXT if shown else ()), *_missing(found), *undrawn)
    tables = tuple(_table(comparison, groups) for groups in shown)
    return Section("Which genes are predicted", text, as_frame(shown), tables, drawings)


FAMILY = Family(place=80, section=section)


def _missing(found: Sequence[Groups]) -> Iterator[str]:
    """Why some datasets are not here."""
    nothing = list(dict.fromkeys(groups.block.name for groups in found if not groups.known))
    few = list(dict.fromkeys(groups.block.name for groups in found if groups.known and groups.n < FEWEST))
    if nothing:
        yield f"Not here, since the store does not describe their genes: {listed(nothing)}."
    if few:
        yield f"Not here, since fewer than {FEWEST} genes cannot be cut into quartiles: {listed(few)}."


def _groups(comparison: Comparison, block: Block) -> Groups:
    described = comparison.kept.genes(block.dataset).reindex(list(block.genes))
    values = np.array([each.of(described) for each in PROPERTIES])
    is_known = np.isfinite(values).any(axis=1)
    whole = np.isfinite(values[is_known]).all(axis=0)
    known = tuple(each for each, has in zip(PROPERTIES, is_known, strict=True) if has)
    unknown = tuple(each for each in PROPERTIES if each not in known)
    properties, pcc = values[is_known][:, whole], block.averaged[:, whole, 0]
    observed = low = high = np.full((len(pcc), len(known)), math.nan)
    means: tuple[Floats, ...] = ()
    if known and pcc.shape[1] >= FEWEST:
        observed = spearman(properties, pcc)
        low, high = _interval(observed, resampled_spearman(properties, pcc))
        means = tuple(quartile_means(each, pcc) for each in properties)
    return Groups(block, known, unknown, properties, pcc, observed, low, high, means)


def _interval(observed: Floats, drawn: Floats) -> tuple[Floats, Floats]:
    # A resample of few genes may have one value only; it has no correlation and does not count.
    defined = np.isfinite(observed)
    ends = np.full((2, *observed.shape), math.nan)
    ends[:, defined] = np.nanpercentile(drawn[:, defined], [2.5, 97.5], axis=0)
    return ends[0], ends[1]


def quartile_means(values: Floats, pcc: Floats) -> Floats:
    """(G,) property and (V, G) PCC -> (BINS, V, 3): mean of each quartile, low and high end of its 95% interval.

    NaN for an empty quartile; a single gene has no interval.
    """
    found = np.full((BINS, len(pcc), 3), math.nan)
    quartile = quartiles(values)
    for place in range(BINS):
        own = pcc[:, quartile == place]
        if n := own.shape[1]:
            found[place, :, 0] = own.mean(axis=1)
        if n > 1:
            drawn = ranking.resampled_means(own[..., None], ranking.resamples(n))[..., 0]
            found[place, :, 1:] = np.stack(ranking.interval(drawn), axis=-1)
    return found


# ---------------------------------------------------------------------------------------------------------------
# Frame and tables


def as_frame(found: Sequence[Groups]) -> pd.DataFrame:
    """One row per block, row, property and statistic: Spearman's correlation, and the mean PCC of each quartile.

    from, to: the lowest and highest value of the property among these genes. low, high: 95% interval over genes.
    """
    rows = [row for groups in found for row in _rows(groups)]
    return pd.DataFrame(rows, columns=[*_COLUMNS, *_NUMBERS])


def _rows(groups: Groups) -> Iterator[tuple[object, ...]]:
    block = groups.block
    group = {row.label: row.group for row in block.rows}
    for v, label in enumerate(block.labels):
        row = (block.dataset, block.synthetic, block.rate, label, group[label])
        for p, (known, values) in enumerate(zip(groups.known, groups.properties, strict=True)):
            numbers = (groups.correlation[v, p], groups.low[v, p], groups.high[v, p])
            yield (*row, known.name, "spearman", "all", values.min(), values.max(), *numbers, groups.n)
            for place in range(BINS):
                own = values[quartiles(values) == place]
                ends = (own.min(), own.max()) if len(own) else (math.nan, math.nan)
                yield (*row, known.name, "mean pcc", place + 1, *ends, *groups.means[p][place, v], len(own))


def _table(comparison: Comparison, groups: Groups) -> Table:
    block, notes = groups.block, Footnotes()
    parts = []
    for group, heading in HEADINGS.items():
        lines = [_line(groups, standing, notes) for standing in standings(block) if standing.row.group == group]
        parts.append((heading, tuple(lines)))
    for each in groups.unknown:
        notes.mark(f"{each.label}:", "the store does not have it for this dataset.")
    if len(block.labels) < len(block.rows):
        notes.mark(MISSING, "no number: the row lacks a fold or a seed of this dataset.")
    if np.isnan(groups.correlation).any():
        notes.mark(UNDEFINED, "no correlation: the row has the same PCC on every gene, or the property one value only.")
    notes.flags(block.flags)
    caption = f"Spearman correlation of PCC with gene properties on {block.name}{at_rate(comparison, block.rate)}"
    columns = tuple(Column(each.label) for each in groups.known)
    said = f"n = {count(groups.n, 'gene')}. {size(block)}"
    return Table(f"{block.dataset}-{block.rate:g}", caption, "Variant", columns, tuple(parts), notes.listed(), said)


def _line(groups: Groups, standing: Standing, notes: Footnotes) -> Line:
    label = standing.row.label
    if label not in groups.block.labels:
        empty = (Cell(MISSING),) * (len(groups.known) - 1)
        return Line(label, (Cell(reason(standing, notes)), *empty), marks(standing, notes))
    v = groups.block.labels.index(label)
    cells = []
    for value, low, high in zip(groups.correlation[v], groups.low[v], groups.high[v], strict=True):
        text = UNDEFINED if math.isnan(value) else f"{number(value, 2, signed=True)} {interval(low, high, 2)}"
        cells.append(Cell(text, None if math.isnan(value) else float(value)))
    return Line(label, tuple(cells), marks(standing, notes))


# ---------------------------------------------------------------------------------------------------------------
# Figures


def _drawings(comparison: Comparison, shown: Sequence[Groups]) -> Iterator[Drawing]:
    for start in range(0, len(shown), PER_FIGURE):
        part = shown[start : start + PER_FIGURE]
        if not _lines(comparison, part):
            continue
        yield Drawing(
            f"gene_groups-{start // PER_FIGURE + 1}",
            f"Mean PCC of the genes in each quartile of a property, on {listed([each.block.name for each in part])}: "
            "the variants, and the low-rank ridge control in grey. Up: mean PCC (no unit), each gene averaged over "
            "seeds; across: quartiles of the measured genes' expression (mean over spots), sparsity (share of "
            "spots without it) and Moran's I. Bars: 95% interval from resampling the genes of the quartile; "
            f"n: their number. {count(part[0].block.folds, 'fold')}, {seeds_of([g.block for g in part])}."
            f"{at_highest(comparison)}",
            lambda part=part: _figure(comparison, part),  # type: ignore[misc]
        )


def _lines(comparison: Comparison, shown: Sequence[Groups]) -> dict[str, Look]:
    """The rows inside N and the bar, so that lines can be told apart."""
    wanted = {
        row.label
        for groups in shown
        for row in groups.block.rows
        if not row.word and (row.group == "variant" or (row.group == "control" and row.method == BAR))
    }
    return {label: look for label, look in looks(comparison).items() if label in wanted}


def _figure(comparison: Comparison, shown: Sequence[Groups]) -> Figure:
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    look = _lines(comparison, shown)
    names = [short(label) for label in look]
    across = columns(names, PAGE)
    lines = -(-len(look) // across)
    figure = Figure(figsize=(PAGE, 1.75 * len(shown) + 0.16 * lines + 0.15), layout="constrained")
    grid = figure.subplots(len(shown), len(PROPERTIES), squeeze=False, sharey="row")
    for groups, line in zip(shown, grid, strict=True):
        for each, axes in zip(PROPERTIES, line, strict=True):
            _panel(axes, groups, each, look)
        line[0].set_ylabel("mean PCC")
        line[0].set_title(groups.block.short, loc="left")
    handles = [
        Line2D([], [], color=own.colour, marker=own.marker, markerfacecolor=own.face, markersize=4)
        for own in look.values()
    ]
    figure.legend(handles, names, loc="outside upper center", ncols=across, frameon=False)
    return figure


def _panel(axes: Axes, groups: Groups, wanted: Property, look: dict[str, Look]) -> None:
    axes.set_xlim(-0.5, BINS - 0.5)
    if wanted not in groups.known:
        axes.text(0.5, 0.5, f"{wanted.label} is not known", transform=axes.transAxes, ha="center", color="#767676")
        axes.set_xticks([])
        return
    place = groups.known.index(wanted)
    n = np.bincount(quartiles(groups.properties[place]), minlength=BINS)
    labels = [label for label in look if label in groups.block.labels]
    for turn, label in enumerate(labels):
        own = look[label]
        mean, low, high = groups.means[place][:, groups.block.labels.index(label)].T
        x = np.arange(BINS) + (turn - (len(labels) - 1) / 2) * min(0.09, 0.6 / len(labels))
        axes.vlines(x, low, high, color=own.colour, linewidth=0.8)
        axes.plot(x, mean, color=own.colour, marker=own.marker, markerfacecolor=own.face, markersize=3, linewidth=0.8)
    axes.axhline(0, color="#9a9a9a", linewidth=0.6, zorder=0)
    axes.set_xticks(
        range(BINS), [f"{name}\nn={k}" for name, k in zip(("lowest", "2nd", "3rd", "highest"), n, strict=True)]
    )
    axes.set_xlabel(f"quartile of {wanted.label if wanted.name == 'morans_i' else wanted.label.lower()}")
