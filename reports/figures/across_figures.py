"""Figures of ranks over datasets: the critical-difference diagram, and the chance of every rank."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from reports.figures.drawing import COLUMN, Look, short
from reports.reading.dataset_ranks import Across, Tests
from reports.statistics import rank_tests
from reports.writing.counts import count
from reports.writing.tables import number

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_LINE = 0.16
"""Height of one row, inches."""

_LONGEST = 30
"""Characters of a name that fit beside the axis."""

_BLACK, _GREY, _LANE = "#222222", "#9a9a9a", "#f2f2f2"


def critical_difference(across: Across, tests: Tests, look: Mapping[str, Look]) -> Figure:
    """Mean ranks on an axis, a line from each to its name, best on top; a bar joins those no test tells apart.

    Names stand on one side, so that long ones fit a column: stems then never cross a line.
    """
    from matplotlib.figure import Figure

    order = np.argsort(across.mean_ranks, kind="stable")
    joined = rank_tests.cliques(across.mean_ranks, tests.width)
    top = 0.6 + 0.5 * len(joined)  # of the first row: below the bars
    rows = top + np.arange(len(order) + 1)  # the last one for the ruler
    figure = Figure(figsize=(COLUMN, 0.5 + _LINE * (rows[-1] + 0.8)), layout="constrained")
    axes = figure.subplots()
    for row, v in zip(rows, order, strict=False):
        own, rank = look[across.labels[v]], across.mean_ranks[v]
        axes.plot([0, rank, rank], [row, row, 0], color=own.colour, linewidth=0.8, solid_joinstyle="miter", zorder=2)
        axes.plot(rank, row, own.marker, color=own.colour, markersize=4, zorder=4)
    rising = across.mean_ranks[order]
    for level, (first, last) in enumerate(joined):
        ends = [rising[first] - 0.04, rising[last] + 0.04]
        axes.plot(ends, [0.5 + 0.5 * level] * 2, color=_BLACK, linewidth=2.2, solid_capstyle="butt", zorder=3)
    _ruler(axes, tests.width, rows[-1] + 0.2)
    names = [f"{short(across.labels[v], _LONGEST)}  {number(across.mean_ranks[v], 2)}" for v in order]
    axes.set_yticks(rows[:-1], names)
    axes.set_ylim(rows[-1] + 0.8, 0)
    _rank_axis(axes, len(order), f"mean rank of AS over {count(len(across.blocks), 'dataset')} (1 = best)")
    axes.xaxis.tick_top()
    axes.xaxis.set_label_position("top")
    axes.spines[["left", "bottom"]].set_visible(False)
    axes.spines["top"].set_visible(True)
    return figure


def _ruler(axes: Axes, width: float, y: float) -> None:
    axes.plot([1, 1 + width], [y, y], "|-", color=_BLACK, linewidth=0.8, markersize=4)
    axes.text(1 + width, y, f"  CD {number(width, 2)}", va="center", fontsize=6.5, color=_BLACK)


def rank_chances(across: Across, look: Mapping[str, Look]) -> Figure:
    """For each variant, by expected rank, a bar per rank as high as its chance; the chance of the first in figures."""
    from matplotlib.figure import Figure

    order = np.argsort(across.expected, kind="stable")
    ranks = np.arange(1, len(order) + 1)
    figure = Figure(figsize=(COLUMN, 0.5 + 1.5 * _LINE * len(order)), layout="constrained")
    axes = figure.subplots()
    beside = axes.get_yaxis_transform()
    for row, v in enumerate(order):
        own, foot = look[across.labels[v]], row + 0.4
        axes.bar(ranks, -0.8 * across.chances[v], 0.8, bottom=foot, color=own.colour, zorder=2)
        axes.axhspan(foot - 0.8, foot, color=_LANE, linewidth=0, zorder=1)
        axes.axhline(foot, color=_GREY, linewidth=0.5, zorder=3)
        axes.text(1.02, row, _percent(across.chances[v, 0]), transform=beside, va="center", fontsize=6.5)
    axes.text(1.02, -0.7, "first", transform=beside, va="bottom", fontsize=6.5)
    axes.set_yticks(range(len(order)), [short(across.labels[v], _LONGEST) for v in order])
    axes.set_ylim(len(order) - 0.55, -0.5)
    _rank_axis(axes, len(order), f"rank over {count(len(across.blocks), 'dataset')} (1 = best)")
    axes.spines[["left", "bottom"]].set_visible(False)
    return figure


def _rank_axis(axes: Axes, variants: int, label: str) -> None:
    axes.set_xlim(0.4, variants + 0.6)
    axes.set_xticks(range(1, variants + 1))
    axes.set_xlabel(label, loc="right")  # towards the names, where there is room for it
    axes.tick_params(axis="y", length=0)


def _percent(chance: float) -> str:
    return "<1%" if 0 < chance < 0.005 else ">99%" if 0.995 < chance < 1 else f"{number(100 * chance, 0)}%"
