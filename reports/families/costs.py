"""What every row costs: seconds and memory per trial, and what its numbers cost in all."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd

from harness.record import Record
from reports.family import Drawing, Family, Section
from reports.figures.drawing import Look, drawn_blocks, drawn_looks, legend_below, panels, short
from reports.reading.scores import Block, Comparison, Row
from reports.reading.standings import Standing, standings
from reports.writing.counts import count, rests_on
from reports.writing.tables import MISSING, Cell, Column, Footnotes, Line, Table
from reports.writing.wording import HEADINGS, at_highest, group_of, reason

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

SHORTEST = 1e-4
"""Seconds; records are rounded to it, and a logarithmic axis has no 0."""

_COLUMNS = (
    Column("Device", text=True),
    Column("Trials"),
    Column("Seconds"),
    Column("Seconds range"),
    Column("MiB"),
    Column("MiB range"),
    Column("Seconds in all"),
)
_OVERALL = (
    Column("Device", text=True),
    Column("Datasets"),
    Column("Trials"),
    Column("highest MiB"),
    Column("Seconds in all"),
)

_TEXT = (
    "Seconds are the method's own, by the clock on the wall: fitting and predicting one fold, without loading data and "
    "scoring; where a trial went on from a checkpoint, the time before it counts too. Other trials may have run on the "
    "same machine at the same time, so this is what the numbers cost and no benchmark of speed.",
    "MiB is the peak resident memory of the whole process during the trial: Python, its packages, the dataset, and "
    "what earlier trials of the same process have not given back (cheap trials share one). The memory of a graphics "
    "card is not in it. Where the system cannot start that mark anew (it can on Linux), it is of the process's whole "
    "life.",
    "Both are medians over the finished trials of a row, with the lowest and the highest: every fold, seed and "
    "sampling rate is a trial, and one that serves all seeds counts once. What failed and skipped trials cost is not "
    "in them.",
)


def section(comparison: Comparison) -> Section | None:
    """The family's tables, figure and tidy frame; nothing where no trial says what it cost."""
    spent = trials(comparison)
    if not spent["seconds"].notna().any():
        return None
    blocks: dict[str, list[Block]] = {}
    for block in comparison.blocks:
        blocks.setdefault(block.dataset, []).append(block)
    tables = [_table(own, spent[spent["dataset"] == name]) for name, own in blocks.items()]
    if len(blocks) > 1:
        tables.insert(0, _overall_table(comparison, spent))
    return Section(
        "Cost", (*_TEXT, *_machines(comparison)), as_frame(spent), tuple(tables), _drawings(comparison, spent)
    )


FAMILY = Family(place=70, section=section)


# ---------------------------------------------------------------------------------------------------------------
# Numbers


def trials(comparison: Comparison) -> pd.DataFrame:
    """The finished trials of every row, each once: what it ran on, its seconds and its peak memory (MiB)."""
    groups, order = group_of(comparison), list(comparison.asked.variants)
    places = {(block.rate, block.dataset): i for i, block in enumerate(comparison.blocks)}
    rows = {}
    for cell in comparison.asked.cells:
        if (record := comparison.records.get(cell["trial_id"])) is not None:
            label, dataset, rate = cell["label"], cell["dataset"], float(cell["sampling_rate"])
            memory = math.nan if record.peak_memory_mib is None else record.peak_memory_mib
            place = (places[rate, dataset], order.index(label), _device(record), cell["trial_id"])
            rows[place] = (dataset, rate, label, groups[label], _device(record), _seconds(record), memory)
    names = ["dataset", "sampling_rate", "variant", "group", "device", "seconds", "mib"]
    return pd.DataFrame([rows[place] for place in sorted(rows)], columns=names)


def _seconds(record: Record) -> float:
    """Fitting and predicting; NaN where neither was timed."""
    known = [value for name in ("fit", "impute") if (value := record.timings.get(name)) is not None]
    return sum(known) if known else math.nan


def _device(record: Record) -> str:
    """The device and how many threads it was given; empty for what was not run here."""
    return "" if record.external else f"{record.device}, {count(record.threads, 'thread')}"


def summaries(spent: pd.DataFrame, keys: Sequence[str]) -> pd.DataFrame:
    """One row per value of the keys, in the order in which they come: medians, extremes, sums."""
    grouped = spent.groupby(list(keys), sort=False)
    seconds, mib = grouped["seconds"], grouped["mib"]
    found = {
        "datasets": grouped["dataset"].nunique(),
        "trials": grouped.size(),
        "seconds": seconds.median(),
        "seconds_low": seconds.min(),
        "seconds_high": seconds.max(),
        "seconds_total": seconds.sum(min_count=1),
        "mib": mib.median(),
        "mib_low": mib.min(),
        "mib_high": mib.max(),
    }
    return pd.DataFrame(found).reset_index()


def as_frame(spent: pd.DataFrame) -> pd.DataFrame:
    """Per row and device: by dataset and sampling rate, by dataset, and over all (no medians: datasets differ)."""
    own = ["variant", "group", "device"]
    scopes = {
        "sampling rate": summaries(spent, ["dataset", "sampling_rate", *own]),
        "dataset": summaries(spent, ["dataset", *own]),
        "all": summaries(spent, own).drop(columns=["seconds", "mib"]),
    }
    whole = pd.concat([found.assign(scope=scope) for scope, found in scopes.items()], ignore_index=True)
    first = ["scope", "dataset", "sampling_rate", *own]
    return whole[[*first, *(name for name in whole.columns if name not in first)]]


# ---------------------------------------------------------------------------------------------------------------
# Tables


def _table(blocks: Sequence[Block], spent: pd.DataFrame) -> Table:
    """One dataset, all its sampling rates."""
    notes = Footnotes()
    asked: dict[str, int] = {}
    for row in (row for block in blocks for row in block.rows):
        asked[row.label] = asked.get(row.label, 0) + row.asked
    costs = summaries(spent, ["variant", "device"]).to_dict("records")
    groups = []
    for group, heading in HEADINGS.items():
        lines: list[Line] = []
        for row in (row for row in blocks[0].rows if row.group == group):
            own = [cost for cost in costs if cost["variant"] == row.label]
            lines += [_line(row.label, cost, asked[row.label]) for cost in own] or [_none(row, asked[row.label], notes)]
        groups.append((heading, tuple(lines)))
    _explain(groups, notes)
    summary = f"{len(spent)} of {count(sum(asked.values()), 'trial')} finished."
    caption = f"Cost of a trial on {blocks[0].name}: median, lowest and highest"
    return Table(blocks[0].dataset, caption, "Variant", _COLUMNS, tuple(groups), notes.listed(), summary)


def _explain(groups: Sequence[tuple[str, tuple[Line, ...]]], notes: Footnotes) -> None:
    if any(cell.text == MISSING for _, lines in groups for line in lines for cell in line.cells):
        notes.mark(MISSING, "not known: no trial has finished, or it ran elsewhere.")


def _none(row: Row, asked: int, notes: Footnotes) -> Line:
    """A row without a finished trial on the dataset."""
    word = reason(Standing(row), notes) if row.status in ("failed", "skipped") else MISSING
    return Line(row.label, (Cell(word), Cell(f"0 of {asked}", 0), *(Cell(MISSING),) * (len(_COLUMNS) - 2)))


def _line(label: str, found: Mapping[str, Any], asked: int) -> Line:
    n = found["trials"]
    cells = [Cell(found["device"] or MISSING), Cell(str(n) if n == asked else f"{n} of {asked}", n)]
    for name, shown in (("seconds", _time), ("mib", _mib)):
        value, low, high = (found[key] for key in (name, f"{name}_low", f"{name}_high"))
        spread = MISSING if math.isnan(low) else f"{shown(low)} – {shown(high)}"
        cells += [Cell(shown(value), value), Cell(spread, high)]
    return Line(label, (*cells, Cell(_time(found["seconds_total"]), found["seconds_total"])))


def _overall_table(comparison: Comparison, spent: pd.DataFrame) -> Table:
    """All datasets and sampling rates."""
    notes = Footnotes()
    order = list(comparison.asked.variants)
    costs = summaries(spent, ["variant", "group", "device"]).to_dict("records")
    costs.sort(key=lambda cost: order.index(cost["variant"]))
    groups = [
        (heading, tuple(_overall_line(cost) for cost in costs if cost["group"] == group))
        for group, heading in HEADINGS.items()
    ]
    _explain(groups, notes)
    once = sum(value for record in comparison.records.values() if not math.isnan(value := _seconds(record)))
    summary = (
        f"{len(comparison.records)} of {count(len(comparison.asked.trial_ids), 'trial')} finished; each counted once, "
        f"they took {_time(once)} s in all ({_time(once / 3600)} h)."
    )
    caption = "Cost over all datasets and sampling rates"
    return Table("overall", caption, "Variant", _OVERALL, tuple(groups), notes.listed(), summary)


def _overall_line(found: Mapping[str, Any]) -> Line:
    cells = [Cell(found["device"] or MISSING), *(Cell(str(found[n]), found[n]) for n in ("datasets", "trials"))]
    cells += [Cell(_mib(found["mib_high"]), found["mib_high"])]
    return Line(found["variant"], (*cells, Cell(_time(found["seconds_total"]), found["seconds_total"])))


def _time(seconds: float) -> str:
    """Three digits or all whole seconds."""
    if math.isnan(seconds):
        return MISSING
    if seconds < 0.001:
        return "<0.001"
    decimals = 3 if seconds < 1 else 2 if seconds < 10 else 1 if seconds < 100 else 0
    return f"{seconds:,.{decimals}f}"


def _mib(value: float) -> str:
    return MISSING if math.isnan(value) else f"{value:,.0f}"


def _machines(comparison: Comparison) -> list[str]:
    nodes = {record.node for record in comparison.records.values() if not record.external}
    if len(nodes) < 2:
        return []
    return [f"The trials ran on {len(nodes)} machines (by their names), which may differ in speed."]


# ---------------------------------------------------------------------------------------------------------------
# Figure


def _drawings(comparison: Comparison, spent: pd.DataFrame) -> tuple[Drawing, ...]:
    if not drawn_blocks(comparison):
        return ()
    caption = (
        "What correlation costs, one panel per dataset. Up: mean PCC over genes (no unit), the line its 95% interval "
        "from resampling genes. Across: seconds of fitting and predicting one fold, the median over the trials (folds "
        "and seeds) of a row, the line from the lowest to the highest, on a logarithmic axis. Grey and open: controls "
        f"and predictions made elsewhere. {rests_on(drawn_blocks(comparison))}{at_highest(comparison)}"
    )
    return (Drawing("costs", caption, lambda: _figure(comparison, spent)),)


def _figure(comparison: Comparison, spent: pd.DataFrame) -> Figure:
    look, blocks = drawn_looks(comparison), drawn_blocks(comparison)
    costs = {block.dataset: _costs(block, spent) for block in blocks}
    shown = [label for label in look if any(label == cost["variant"] for own in costs.values() for cost in own)]
    names = [short(label) for label in shown]
    figure, axes_of = panels(blocks, 8, one_scale=True, legend=names)
    handles: dict[str, Line2D] = {}
    for block, axes in axes_of:
        standing = {s.row.label: s for s in standings(block)}
        for cost in costs[block.dataset]:
            handles[cost["variant"]] = _point(axes, look[cost["variant"]], cost, standing[cost["variant"]])
        axes.grid(color="#e4e4e4", linewidth=0.5)
        axes.set_axisbelow(True)
        axes.set_title("\n".join(textwrap.wrap(block.short, 38)), loc="left")
        axes.set_xlabel("seconds per trial")
        axes.tick_params(axis="x", labelbottom=True)
        if (place := axes.get_subplotspec()) is not None and place.is_first_col():
            axes.set_ylabel("mean PCC")
    _decades(figure.axes[0], spent["seconds"].clip(lower=SHORTEST))
    legend_below(figure, [handles[label] for label in shown], names)
    return figure


def _costs(block: Block, spent: pd.DataFrame) -> list[dict[str, Any]]:
    """What the complete rows of a block cost, a summary per row and device."""
    own = spent[(spent["dataset"] == block.dataset) & (spent["sampling_rate"] == block.rate)]
    found = summaries(own.dropna(subset="seconds"), ["variant", "device"]).to_dict("records")
    return [{str(name): value for name, value in cost.items()} for cost in found if cost["variant"] in block.labels]


def _point(axes: Axes, look: Look, cost: Mapping[str, Any], standing: Standing) -> Line2D:
    """Median seconds and mean PCC of a row, with the range of the one and the interval of the other."""
    x, low, high = (max(cost[name], SHORTEST) for name in ("seconds", "seconds_low", "seconds_high"))
    y = standing.means[0]
    axes.plot([low, high], [y, y], color=look.colour, linewidth=0.8, zorder=2)
    axes.plot([x, x], [standing.means_low[0], standing.means_high[0]], color=look.colour, linewidth=0.8, zorder=2)
    (drawn,) = axes.plot(x, y, look.marker, color=look.colour, markerfacecolor=look.face, markersize=4.5, zorder=3)
    return drawn


def _decades(axes: Axes, seconds: pd.Series[float]) -> None:
    """A logarithmic axis of seconds over whole decades, labelled without mathematics."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    axes.set_xscale("log")
    axes.set_xlim(10.0 ** math.floor(math.log10(seconds.min())), 10.0 ** math.ceil(math.log10(seconds.max()) + 1e-9))
    axes.xaxis.set_major_locator(LogLocator(numticks=5))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_locator(NullLocator())
