"""Figures of robustness to sparsity: means over sampling rates, and gene by gene what thinning does.

Many datasets make several figures, all on the same scales.
"""

from __future__ import annotations

import itertools
import math
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from reports.family import Drawing
from reports.figures.drawing import COLUMN, PAGE, Look, looks
from reports.published import METRICS
from reports.reading.scores import Comparison
from reports.reading.sparsity_curves import PCC, Curves
from reports.statistics.sparsity_statistics import THRESHOLD
from reports.writing.counts import count, seeds_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DATASETS, METHODS = 5, 6
"""How many datasets, and in the figure of genes how many methods, a figure has at most."""

_METRICS = tuple(i for i, metric in enumerate(METRICS) if metric.name != "rmse")
_PALE, _GREY, _DARK = "#e4e4e4", "#9a9a9a", "#767676"


def drawings(comparison: Comparison, found: Sequence[Curves]) -> tuple[Drawing, ...]:
    """The figures of curves, then those of genes."""
    drawn = [each for each in found if each.labels]
    look = looks(comparison)
    return (*_curve_drawings(drawn, look), *_gene_drawings(drawn, look))


def _runs(n: int, most: int) -> list[range]:
    """The places 0 to n - 1 in as few runs as have at most `most`, as even as can be."""
    runs = -(-n // most)
    edges = [round(i * n / runs) for i in range(runs + 1)] if runs else []
    return [range(first, last) for first, last in itertools.pairwise(edges)]


def _named(name: str, place: int) -> str:
    return name if place == 0 else f"{name}_{place + 1}"


# ---------------------------------------------------------------------------------------------------------------
# Curves


def _curve_drawings(found: Sequence[Curves], look: Mapping[str, Look]) -> list[Drawing]:
    flat = any(not _informative(each, v) for each in found for v in range(len(each.labels)))
    caption = (
        "Across: sampling rate, the share of the visible counts that is kept. Up: mean PCC, SSIM and JS (no unit) over "
        "the genes scored at every rate, for rows complete at every rate; every panel has its own scale. Bands, for "
        "the variants: ± one standard deviation, over folds and seeds, of the mean of a fold's genes. They show how "
        "far folds differ, which rows have in common; they are no intervals of the mean. RMSE follows from PCC. Grey "
        f"and open: controls and predictions made elsewhere. {_rests_on(found)}"
        + (" Rows that predict the same everywhere (PCC 0 for every gene) are not drawn." if flat else "")
    )
    return [
        Drawing(_named("robustness", place), caption, partial(_curve_figure, found[run.start : run.stop], look))
        for place, run in enumerate(_runs(len(found), DATASETS))
    ]


def _rests_on(found: Sequence[Curves]) -> str:
    """Genes that are scored at every rate, folds and seeds."""
    genes = ", ".join(f"{each.first.short} {len(each.genes)}" for each in found)
    blocks = [block for each in found for block in each.blocks]
    return f"Genes: {genes}; {count(blocks[0].folds, 'fold')}, {seeds_of(blocks)}." if blocks else ""


def _informative(found: Curves, v: int) -> bool:
    """Whether a row's predictions carry any information, at any rate."""
    return bool((found.values[:, v, :, PCC] != 0).any())


def _curve_figure(found: Sequence[Curves], look: Mapping[str, Look]) -> Figure:
    from matplotlib.figure import Figure

    drawn = {label for each in found for v, label in enumerate(each.labels) if _informative(each, v)}
    labels = [label for label in look if label in drawn]
    across = 4 if len(found) > 2 else 3
    lines = -(-len(labels) // across)
    width = PAGE if len(found) > 2 else 1.4 * COLUMN
    figure = Figure(figsize=(width, 4.4 + 0.15 * lines), layout="constrained")
    panels = figure.subplots(len(_METRICS), len(found), squeeze=False, sharex="col")
    for row, metric in zip(panels, _METRICS, strict=True):
        for axes, each in zip(row, found, strict=True):
            _curves_of(axes, each, metric, look)
        row[0].set_ylabel(f"mean {METRICS[metric].label} {METRICS[metric].arrow}")
    for axes, each in zip(panels[0], found, strict=True):
        name = "\n".join(textwrap.wrap(each.first.short, 20, break_on_hyphens=False))
        axes.set_title(f"{name}\n{len(each.genes)} genes", loc="left")
    for axes in panels[-1]:
        axes.set_xlabel("sampling rate")
    figure.align_ylabels(panels[:, 0])
    _legend(figure, labels, look, across)
    return figure


def _curves_of(axes: Axes, found: Curves, metric: int, look: Mapping[str, Look]) -> None:
    from matplotlib.collections import PolyCollection

    rates = np.array(found.rates)
    drawn = [v for v in range(len(found.labels)) if _informative(found, v)]
    for v in drawn:
        own, mean = look[found.labels[v]], found.estimates.means[:, v, metric]
        width, layer = (0.7, 2) if own.is_open else (1.1, 3)
        style: dict[str, Any] = {
            "color": own.colour,
            "markerfacecolor": own.face,
            "markersize": 3,
            "markeredgewidth": 0.7,
        }
        axes.plot(rates, mean, own.marker, linestyle="-", linewidth=width, zorder=layer, **style)
    bands, colours = [], []
    for v in (v for v in drawn if v in found.inside):
        mean, sd = found.estimates.means[:, v, metric], found.spread[:, v, metric]
        edge = np.concatenate([mean - sd, (mean + sd)[::-1]])
        bands.append(np.column_stack([np.concatenate([rates, rates[::-1]]), edge]))
        colours.append(look[found.labels[v]].colour)
    axes.add_collection(PolyCollection(bands, facecolors=colours, alpha=0.1, linewidths=0, zorder=1), autolim=True)
    axes.autoscale_view()
    axes.grid(color=_PALE, linewidth=0.5)
    axes.set_axisbelow(True)


def _legend(figure: Figure, labels: Sequence[str], look: Mapping[str, Look], across: int) -> None:
    from matplotlib.lines import Line2D

    lines = [
        Line2D(
            [],
            [],
            color=look[label].colour,
            marker=look[label].marker,
            markerfacecolor=look[label].face,
            markersize=3.5,
        )
        for label in labels
    ]
    shown = [label if len(label) <= 26 else f"{label[:25]}…" for label in labels]
    figure.legend(lines, shown, loc="outside lower left", ncols=across, frameon=False, fontsize=6.5)


# ---------------------------------------------------------------------------------------------------------------
# Genes


@dataclass(frozen=True, eq=False)
class Grid:
    """A grid of square panels in one pair of axes, which is much faster than axes of their own.

    low: of the scale of every panel, up to 1.
    """

    low: float

    @property
    def pitch(self) -> float:
        """From one panel to the next."""
        return 1.14 * (1 - self.low)

    def at(self, x: ArrayLike, y: ArrayLike, column: int, row: int) -> NDArray[np.float64]:
        """(n, 2) where points of a panel lie."""
        return np.column_stack([np.asarray(x) + column * self.pitch, np.asarray(y) - row * self.pitch])

    def lines(self, columns: int, rows: int) -> list[NDArray[np.float64]]:
        """The frames, the diagonals and the thresholds of all panels, a path each."""
        low, t = self.low, THRESHOLD
        paths = [
            ([low, 1, 1, low, low], [low, low, 1, 1, low]),
            ([low, 1], [low, 1]),
            ([t, t], [low, 1]),
            ([low, 1], [t, t]),
        ]
        return [self.at(x, y, c, r) for c in range(columns) for r in range(rows) for x, y in paths]


def _gene_drawings(found: Sequence[Curves], look: Mapping[str, Look]) -> list[Drawing]:
    labels = [label for label in look if any(label in each.labels for each in found) and not look[label].is_open]
    if not labels:
        return []
    low = min(float(each.values[[0, -1]][:, each.inside, :, PCC].min(initial=0)) for each in found)
    grid = Grid(math.floor(10 * low) / 10)
    caption = (
        "A point per gene, its PCC averaged over seeds: across, at the highest sampling rate; up, at the lowest. One "
        f"panel per variant inside N and dataset. {_rests_on(found)} "
        f"Below the diagonal: worse when thinned. Lines at the threshold of {THRESHOLD:g}; the percentage is the "
        "robustness score, the share of genes in the upper right corner. Other rates and the rows outside N are in "
        "genes.csv."
    )
    parts = [
        (found[d.start : d.stop], labels[m.start : m.stop])
        for d in _runs(len(found), DATASETS)
        for m in _runs(len(labels), METHODS)
    ]
    return [
        Drawing(_named("robustness_genes", place), caption, partial(_gene_figure, grid, *part, look))
        for place, part in enumerate(parts)
    ]


def _gene_figure(grid: Grid, found: Sequence[Curves], labels: Sequence[str], look: Mapping[str, Look]) -> Figure:
    from matplotlib.collections import LineCollection
    from matplotlib.figure import Figure

    panel = min(1.3, (PAGE - 0.75) / len(labels))
    figure = Figure(figsize=(0.75 + panel * len(labels), 0.75 + panel * len(found)), layout="constrained")
    axes = figure.subplots()
    axes.add_collection(LineCollection(grid.lines(len(labels), len(found)), colors=_PALE, linewidths=0.6, zorder=1))
    for column, label in enumerate(labels):
        points = [np.empty((0, 2))]
        for row, each in enumerate(found):
            word = each.words.get(label, "not asked for")
            if label in each.labels:
                v = each.labels.index(label)
                points.append(grid.at(each.values[0, v, :, PCC], each.values[-1, v, :, PCC], column, row))
                word = f"{100 * each.estimates.passing[-1, v] / len(each.genes):.0f}%"
            x, y = grid.at(grid.low + 0.05, 0.97, column, row)[0]
            axes.text(x, y, word, va="top", fontsize=6, color=_DARK)
        x, y = np.concatenate(points).T
        axes.scatter(x, y, s=4, color=look[label].colour, alpha=0.45, linewidths=0, rasterized=True, zorder=2)
    _frame(axes, grid, found, labels)
    return figure


def _frame(axes: Axes, grid: Grid, found: Sequence[Curves], labels: Sequence[str]) -> None:
    """Methods above, datasets on the right, a scale for every column and row of panels."""
    axes.set_aspect("equal")
    axes.set_xlim(grid.low, (len(labels) - 1) * grid.pitch + 1)
    axes.set_ylim(grid.low - (len(found) - 1) * grid.pitch, 1)
    for spine in axes.spines.values():
        spine.set_visible(False)
    ticks = np.array([0.0, 0.5, 1.0])
    across = (ticks + grid.pitch * np.arange(len(labels))[:, None]).ravel()
    down = (ticks - grid.pitch * np.arange(len(found))[:, None]).ravel()
    axes.set_xticks(across, ["0", "0.5", "1"] * len(labels))
    axes.set_yticks(down, ["0", "0.5", "1"] * len(found))
    axes.tick_params(length=2, color=_GREY)
    middle = (1 + grid.low) / 2
    for column, label in enumerate(labels):
        shown = "\n".join(textwrap.wrap(label, 20, max_lines=2, placeholder="…"))
        x, y = grid.at(middle, 1.06, column, 0)[0]
        axes.text(x, y, shown, ha="center", va="bottom")
    for row, each in enumerate(found):
        shown = "\n".join(textwrap.wrap(each.first.short, 22, max_lines=3, placeholder="…", break_on_hyphens=False))
        x, y = grid.at(1.06, middle, len(labels) - 1, row)[0]
        axes.text(x, y, shown, rotation=270, ha="left", va="center", linespacing=1)
    top, low = (sorted({f"{each.rates[i]:g}" for each in found}) for i in (0, -1))
    axes.set_xlabel(f"PCC at the sampling rate {' or '.join(top)}")
    axes.set_ylabel(f"PCC at the sampling rate {' or '.join(low)}")
