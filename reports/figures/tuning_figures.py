"""Figures of a search: how it got on, where each setting scored, and which settings go together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from reports.family import Drawing
from reports.figures.drawing import COLUMN, PAGE, short
from reports.reading.tuned import Tried, parameters, pooled
from reports.statistics.importances import Importance

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SLICES, AXES = 12, 8
"""How many settings the figure of slices and that of parallel coordinates show at most, the most important first."""

_BLUE, _ORANGE, _GREY, _PALE = "#0072B2", "#D55E00", "#767676", "#e4e4e4"


def drawings(found: Mapping[str, Sequence[Tried]], mattered: Mapping[str, Sequence[Importance]]) -> tuple[Drawing, ...]:
    """The figures of each tuned row that has two finished configurations at least."""
    made: list[Drawing] = []
    for place, (label, studies) in enumerate(found.items()):
        frame = pooled(studies)
        if len(frame) < 2:
            continue
        about = "values minus their study's mean" if len(studies) > 1 else "values"
        order = [each.parameter for each in mattered[label]]
        names = sorted(parameters(frame), key=lambda name: order.index(name) if name in order else len(order))
        varied = [name for name in names if frame[name].nunique() > 1]
        made.append(
            Drawing(
                _named("tuning_history", place),
                f"{label}: up, the objective ({studies[0].metric[0]}) of each configuration; across, the order of "
                "suggestion; line, the best until then; cross, the winner. A panel per study, a point per finished "
                f"configuration ({len(frame)} in all), means over the genes that chose. The best of many flatters.",
                partial(_history, studies),
            )
        )
        if varied:
            made.append(
                Drawing(
                    _named("tuning_slices", place),
                    f"{label}: {studies[0].metric[0]}, {about}, over each setting, a point per finished configuration "
                    f"({len(frame)}), the most important "
                    "settings first where there are importances. Settings vary together, so a trend need not be an "
                    "effect.",
                    partial(_slices, frame, varied[:SLICES]),
                )
            )
        shared = [name for name in varied if frame[name].notna().all()][:AXES]
        if len(shared) > 1:
            made.append(
                Drawing(
                    _named("tuning_parallel", place),
                    f"{label}: a line per finished configuration ({len(frame)}) through its settings to the objective "
                    f"({studies[0].metric[0]}, {about}); the better, the darker. Each axis has its own scale.",
                    partial(_parallel, frame, shared, studies[0].higher),
                )
            )
    return tuple(made)


def _named(name: str, place: int) -> str:
    return name if place == 0 else f"{name}_{place + 1}"


def _history(studies: Sequence[Tried]) -> Figure:
    from matplotlib.figure import Figure

    across = min(5, len(studies))
    down = -(-len(studies) // across)
    figure = Figure(figsize=(PAGE if across > 2 else COLUMN, 0.5 + 1.2 * down), layout="constrained")
    panels = figure.subplots(down, across, squeeze=False, sharex=True, sharey=True)
    for spare in panels.flat[len(studies) :]:
        spare.set_axis_off()
    for axes, study in zip(panels.flat, studies, strict=False):
        values = study.finished
        axes.plot(list(values), list(values.values()), "o", color=_GREY, markersize=2.5, markeredgewidth=0)
        best = study.best()
        axes.step([n for n, _ in best], [v for _, v in best], where="post", color=_BLUE)
        if study.winner in values:
            axes.plot(study.winner, values[study.winner], "x", color=_ORANGE, markersize=5, markeredgewidth=1.2)
        axes.set_title(short(study.named, 30), loc="left")
        axes.grid(axis="y", color=_PALE, linewidth=0.5)
        axes.xaxis.get_major_locator().set_params(integer=True)
    for row in panels:
        row[0].set_ylabel(studies[0].metric[0])
    figure.supxlabel("configuration", fontsize=7)
    return figure


def _slices(frame: pd.DataFrame, names: Sequence[str]) -> Figure:
    from matplotlib.figure import Figure

    across = min(4, len(names))
    down = -(-len(names) // across)
    figure = Figure(figsize=(PAGE if across > 2 else COLUMN, 0.4 + 1.35 * down), layout="constrained")
    panels = figure.subplots(down, across, squeeze=False, sharey=True)
    for spare in panels.flat[len(names) :]:
        spare.set_axis_off()
    for axes, name in zip(panels.flat, names, strict=False):
        own = frame[frame[name].notna()]
        places = _along(axes, own[name])
        axes.plot(places, own["centred"], "o", color=_BLUE, alpha=0.6, markersize=3, markeredgewidth=0)
        axes.set_title(_end(name, 26), loc="left")
        axes.grid(axis="y", color=_PALE, linewidth=0.5)
    for row in panels:
        row[0].set_ylabel("objective")
    return figure


def _end(name: str, most: int) -> str:
    """The end of a setting's name, which tells it from others."""
    name = name.removeprefix("param:")
    return name if len(name) <= most else f"…{name[1 - most :]}"


def _along(axes: Axes, values: pd.Series[Any]) -> list[float]:
    """Where the values stand on the x axis: words side by side, numbers on a log scale where they span a decade."""
    if not pd.api.types.is_numeric_dtype(values) or pd.api.types.is_bool_dtype(values):
        words = sorted(values.astype(str).unique())
        axes.set_xticks(range(len(words)), [short(word, 14) for word in words], rotation=25, ha="right")
        axes.set_xlim(-0.5, len(words) - 0.5)
        return [words.index(str(value)) for value in values]
    if values.min() > 0 and values.max() / values.min() >= 10:
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter("{x:g}")
        axes.xaxis.set_minor_formatter("")
    return [float(value) for value in values]


def _parallel(frame: pd.DataFrame, names: Sequence[str], higher: bool) -> Figure:
    from matplotlib.collections import LineCollection
    from matplotlib.figure import Figure

    figure = Figure(figsize=(PAGE, 2.6), layout="constrained")
    axes = figure.subplots()
    columns = [*(_scaled(frame[name]) for name in names), _scaled(frame["centred"])]
    heights = np.array([heights for heights, _ in columns]).T  # (n, axes)
    better = frame["centred"].rank(pct=True) if higher else 1 - frame["centred"].rank(pct=True)
    order = np.argsort(better.to_numpy(), kind="stable")
    lines = LineCollection(
        [np.column_stack([range(len(columns)), heights[i]]) for i in order],
        colors=[(0.0, 0.447, 0.698, 0.12 + 0.78 * float(better.iloc[i]) ** 2) for i in order],
        linewidths=0.8,
    )
    axes.add_collection(lines)
    for place, (_, ticks) in enumerate(columns):
        axes.axvline(place, color=_GREY, linewidth=0.6)
        for height, text in ticks:
            box = {"facecolor": "white", "alpha": 0.7, "linewidth": 0, "pad": 0.6}
            axes.text(place + 0.02, height, short(text, 16), va="center", fontsize=5.5, color="black", bbox=box)
    titles = [*(_end(name, 22) for name in names), "objective"]
    axes.set_xticks(range(len(columns)), titles, rotation=15, ha="right")
    axes.set_xlim(-0.1, len(columns) - 1 + 0.35)
    axes.set_ylim(-0.05, 1.05)
    axes.set_yticks([])
    for side in ("left", "bottom"):
        axes.spines[side].set_visible(False)
    axes.tick_params(axis="x", length=0)
    return figure


def _scaled(values: pd.Series[Any]) -> tuple[list[float], list[tuple[float, str]]]:
    """Heights from 0 to 1, and what stands at some of them."""
    if not pd.api.types.is_numeric_dtype(values) or pd.api.types.is_bool_dtype(values):
        words = sorted(values.astype(str).unique())
        of = {word: i / max(1, len(words) - 1) for i, word in enumerate(words)}
        return [of[str(value)] for value in values], [(height, word) for word, height in of.items()]
    numbers = values.to_numpy(dtype=float)
    on_log = numbers.min() > 0 and numbers.max() / numbers.min() >= 10
    at = np.log(numbers) if on_log else numbers
    low, span = float(at.min()), float(at.max() - at.min()) or 1.0
    ends = [(0.0, f"{numbers.min():.3g}"), (1.0, f"{numbers.max():.3g}")]
    return [(value - low) / span for value in at.tolist()], ends
