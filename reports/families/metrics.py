"""The raw metrics behind the ranks: means over genes with intervals, and how they spread over genes."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from reports.family import Drawing, Family, Section
from reports.figures.drawing import drawn_blocks, drawn_looks, label_lines, panels
from reports.published import METRICS
from reports.reading.pooled import FACTS
from reports.reading.scores import Block, Comparison
from reports.reading.standings import Standing, standings
from reports.writing.counts import rests_on, size
from reports.writing.tables import MISSING, Cell, Column, Footnotes, Line, Table, interval, number
from reports.writing.wording import HEADINGS, at_highest, at_rate, marks, reason

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_JS = next(metric for metric in METRICS if metric.name == "js")

_COLUMNS = (
    *(Column(metric.label, metric.arrow) for metric in METRICS),
    Column("JS of flat"),
    Column("JS < flat"),
    Column("mean |bias|"),
    Column("truth sd"),
)

_TEXT = (
    "Means over the held-out genes, each averaged over seeds first, with the 95% interval from resampling genes. "
    + " ".join(f"{metric.label} {metric.arrow}: {metric.meaning}." for metric in METRICS),
    "A prediction that is constant over spots counts as carrying no information (PCC 0, SSIM 0, RMSE √2, JS ln 2). "
    "SSIM and JS depend on a prediction's offset: adding a constant lowers JS. So JS stands beside that of a flat "
    "prediction, and the mean |bias| (predicted minus measured mean of a gene) beside the standard deviation of the "
    "truth.",
)


def section(comparison: Comparison) -> Section:
    """The family's tables, figure and tidy frame."""
    drawings: tuple[Drawing, ...] = ()
    if any(block.n_genes for block in comparison.blocks):
        drawings = (
            Drawing(
                "pcc_over_genes",
                "PCC of the held-out genes, each averaged over seeds (no unit, from -1 to 1, higher is better), one "
                "panel per dataset. Over genes: box from the first to the third quartile, thick line at the median, "
                "whiskers from the 5th to the 95th percentile, marker at the mean. Grey: controls and predictions made "
                f"elsewhere. {rests_on(drawn_blocks(comparison))}{at_highest(comparison)}",
                lambda: _figure(comparison),
            ),
        )
    tables = tuple(_table(comparison, block) for block in comparison.blocks)
    return Section("Raw metrics", _TEXT, as_frame(comparison), tables, drawings)


FAMILY = Family(place=12, section=section)


def as_frame(comparison: Comparison) -> pd.DataFrame:
    """One row per block, variant and metric: mean over genes with its 95% interval."""
    rows = [
        {
            "dataset": block.dataset,
            "synthetic": block.synthetic,
            "sampling_rate": block.rate,
            "variant": standing.row.label,
            "group": standing.row.group,
            "metric": metric.name,
            "better": "higher" if metric.higher_is_better else "lower",
            "mean": standing.means[i],
            "low": standing.means_low[i],
            "high": standing.means_high[i],
            "genes": block.n_genes,
            "folds": block.folds,
            "seeds": standing.row.seeds,
        }
        for block in comparison.blocks
        for standing in standings(block)
        if standing.row.status == "complete"
        for i, metric in enumerate(METRICS)
    ]
    names = ["dataset", "synthetic", "sampling_rate", "variant", "group", "metric", "better", "mean", "low", "high"]
    return pd.DataFrame(rows, columns=[*names, "genes", "folds", "seeds"])


def _table(comparison: Comparison, block: Block) -> Table:
    notes = Footnotes()
    groups = []
    for group, heading in HEADINGS.items():
        lines = [_line(block, standing, notes) for standing in standings(block) if standing.row.group == group]
        groups.append((heading, tuple(lines)))
    if len(block.labels) < len(block.rows):
        notes.mark(MISSING, "no number: the row lacks a fold or a seed of this dataset.")
    notes.flags(block.flags)
    caption = f"Raw metrics on {block.name}{at_rate(comparison, block.rate)}: mean [95% interval]"
    name = f"{block.dataset}-{block.rate:g}"
    return Table(name, caption, "Variant", _COLUMNS, tuple(groups), notes.listed(), size(block))


def _line(block: Block, standing: Standing, notes: Footnotes) -> Line:
    row = standing.row
    if row.status != "complete" or math.isnan(standing.means[0]):
        empty = (Cell(MISSING),) * (len(_COLUMNS) - 1)
        return Line(row.label, (Cell(reason(standing, notes) or MISSING), *empty), marks(standing, notes))
    cells = [
        Cell(f"{number(mean, metric.decimals)} {interval(low, high, metric.decimals)}", mean)
        for metric, mean, low, high in zip(
            METRICS, standing.means, standing.means_low, standing.means_high, strict=True
        )
    ]
    facts = block.facts[block.labels.index(row.label)]
    flat, bias, truth_sd = (facts[:, FACTS.index(name)] for name in FACTS)
    cells.append(Cell(number(float(flat.mean()), _JS.decimals), float(flat.mean())))
    cells.append(Cell(f"{number(100 * standing.beats_flat, 0)}%", standing.beats_flat))
    cells += [Cell(number(value, 3), value) for value in (float(np.abs(bias).mean()), float(truth_sd.mean()))]
    return Line(row.label, tuple(cells), marks(standing, notes))


def _figure(comparison: Comparison) -> Figure:
    look = drawn_looks(comparison)
    labels = list(look)
    blocks = drawn_blocks(comparison)
    figure, axes_of = panels(blocks, len(labels), one_scale=True)
    for block, axes in axes_of:
        label_lines(axes, block, look)
        for place, label in enumerate(block.labels):
            own, y = look[label], labels.index(label)
            pcc = block.averaged[place, :, 0]
            low, first, median, third, high = np.percentile(pcc, [5, 25, 50, 75, 95])
            axes.plot([low, high], [y, y], color=own.colour, linewidth=0.9, zorder=2)
            axes.barh(y, third - first, 0.56, first, facecolor="white", edgecolor=own.colour, linewidth=0.9, zorder=3)
            axes.plot([median, median], [y - 0.28, y + 0.28], color=own.colour, linewidth=1.6, zorder=4)
            axes.plot(
                float(pcc.mean()), y, own.marker, color=own.colour, markerfacecolor=own.face, markersize=3.5, zorder=5
            )
        axes.axvline(0, color="#9a9a9a", linewidth=0.6, zorder=1)
        axes.set_xlabel(f"PCC, {block.n_genes} genes")
    return figure
