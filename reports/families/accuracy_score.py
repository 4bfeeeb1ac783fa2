"""The accuracy score (AS): which variant predicts held-out genes best, dataset by dataset and over all of them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pandas as pd

from harness.errors import BadInput
from reports.family import Drawing, Family, Section
from reports.figures.drawing import drawn_blocks, drawn_looks, label_lines, panels
from reports.published import METRICS
from reports.reading.scores import Block, Comparison
from reports.reading.standings import Overall, OverallRow, Scope, Standing, overall, standings
from reports.writing import terminal
from reports.writing.counts import count, grid, rests_on, size, states
from reports.writing.tables import MISSING, TIED, Cell, Column, Emphasis, Footnotes, Line, Table, interval, number
from reports.writing.wording import AS_TEXT, HEADINGS, TIED_NOTE, at_highest, at_rate, marks, reason

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SCOPES: tuple[Scope, ...] = ("finished by all", "failures at rank 1")

_COLUMNS = (
    Column("AS", "↑"),
    Column("95% interval"),
    Column("AS/N"),
    Column("AS(PCC, SSIM)", "↑"),
    *(Column(metric.label, metric.arrow) for metric in METRICS),
    Column("JS < flat"),
    Column("vs ridge", text=True),
)

NOT_CLEARED = "(not cleared by the audit)"

_OUTSIDE = "what the row would have had if it alone had joined the variants, out of N + 1."


def section(comparison: Comparison) -> Section:
    """The family's tables, figure and tidy frame."""
    drawings: tuple[Drawing, ...] = ()
    if any(block.n_genes for block in comparison.blocks):
        drawings = (
            Drawing(
                "accuracy_score",
                "Accuracy score (AS; from 1 to N, no unit, higher is better), one panel per dataset. Marker: AS of the "
                "means over genes and seeds; line: its 95% interval from resampling genes 2,000 times. Open grey "
                "markers are controls and predictions made elsewhere: what each would have had if it alone had "
                f"joined, out of N + 1. {rests_on(drawn_blocks(comparison))}{at_highest(comparison)}",
                lambda: _figure(comparison),
            ),
        )
    return Section("Accuracy score", AS_TEXT, as_frame(comparison), tables(comparison), drawings)


FAMILY = Family(place=10, section=section)


def text(comparison: Comparison, width: int = terminal.WIDTH) -> str:
    """All tables as plain text."""
    return terminal.text(tables(comparison), width)


def tables(comparison: Comparison) -> tuple[Table, ...]:
    """The overall tables where there are several datasets, then one table per dataset; all again for each rate."""
    found: list[Table] = []
    for rate in comparison.rates:
        blocks = [block for block in comparison.blocks if block.rate == rate]
        if len(comparison.counted(rate)) > 1:
            both = [overall(comparison, rate, scope) for scope in SCOPES]
            # Where nothing failed and nothing is missing the second table would repeat the first.
            distinct = both[:1] if both[0].rows == both[1].rows else both
            found += [_overall_table(comparison, each) for each in distinct]
        found += [_block_table(comparison, block) for block in blocks]
    return tuple(found)


# ---------------------------------------------------------------------------------------------------------------
# One dataset


def _block_table(comparison: Comparison, block: Block) -> Table:
    found = standings(block)
    notes = Footnotes()
    inside = [s for s in found if s.row.group == "variant" and s.row.status == "complete"]
    best = [_best([s.means[i] for s in inside], metric.higher_is_better) for i, metric in enumerate(METRICS)]
    groups = []
    for group, heading in HEADINGS.items():
        lines = [_line(standing, best, notes) for standing in found if standing.row.group == group]
        groups.append((heading, tuple(lines)))
    if any(math.isnan(s.score) for s in found):
        notes.mark(
            MISSING,
            "no number: the row lacks a fold or a seed of this dataset, or there is no variant to rank it among.",
        )
    if any(s.tied for s in found):
        notes.mark(TIED, TIED_NOTE)
    if any(s.row.group != "variant" and s.n for s in found):
        notes.mark("( )", _OUTSIDE)
    notes.flags(block.flags)
    caption = f"Accuracy score on {block.name}{at_rate(comparison, block.rate)}"
    return Table(
        f"{block.dataset}-{block.rate:g}", caption, "Variant", _COLUMNS, tuple(groups), notes.listed(), size(block)
    )


def _line(standing: Standing, best: list[float], notes: Footnotes) -> Line:
    row = standing.row
    if row.status != "complete":
        empty = (Cell(MISSING),) * (len(_COLUMNS) - 1)
        return Line(row.label, (Cell(reason(standing, notes)), *empty), marks(standing, notes))
    inside = row.group == "variant"
    score = number(standing.score, 2)
    if not math.isnan(standing.seed_sd):
        score += f" ±{number(standing.seed_sd, 2)}"
    emphasis: Emphasis = "best" if standing.best else "tied" if standing.tied else ""
    cells = [
        Cell(_bracketed(score, inside), standing.score, emphasis),
        Cell(interval(standing.low, standing.high, 2), standing.low),
        Cell(_bracketed(number(standing.share, 2), inside), standing.share),
        Cell(_bracketed(number(standing.pair_score, 2), inside), standing.pair_score),
    ]
    for metric, mean, top in zip(METRICS, standing.means, best, strict=True):
        cells.append(Cell(number(mean, metric.decimals), mean, "best" if inside and mean == top else ""))
    cells.append(Cell(f"{number(100 * standing.beats_flat, 0)}%", standing.beats_flat))
    cells.append(Cell(standing.versus_bar, standing.versus_bar))
    return Line(row.label, tuple(cells), marks(standing, notes))


def _bracketed(text: str, inside: bool) -> str:
    return text if inside or text == MISSING else f"({text})"


def _best(means: list[float], higher: bool) -> float:
    return (max if higher else min)(means, default=math.nan)


# ---------------------------------------------------------------------------------------------------------------
# Over datasets


def _overall_table(comparison: Comparison, found: Overall) -> Table:
    notes = Footnotes()
    inside = [r for r in found.rows if r.row.group == "variant" and r.datasets == len(found.datasets)]
    top = max((r.share for r in inside), default=math.nan)
    groups = []
    for group, heading in HEADINGS.items():
        lines = [
            _overall_line(row, len(found.datasets), top, _overall_marks(comparison, row, notes))
            for row in found.rows
            if row.row.group == group
        ]
        groups.append((heading, tuple(lines)))
    if any(not r.datasets for r in found.rows):
        notes.mark(MISSING, "no number: the row did not finish what this table averages.")
    notes.flags(comparison.asked.flags)
    if any(r.row.group != "variant" and r.datasets for r in found.rows):
        notes.mark("( )", _OUTSIDE)
    if found.datasets:
        notes.mark("Datasets:", "; ".join(found.datasets) + ".")
    notes.mark("Unit:", "the dataset; no ties are marked, since few datasets cannot tell means of ranks apart.")
    total = len(comparison.counted(found.rate))
    covers = {
        "finished by all": f"over the datasets that all variants finished ({len(found.datasets)} of {total})",
        "failures at rank 1": f"over {count(len(found.datasets), 'dataset')}, failures at rank 1",
    }[found.scope]
    columns = (Column("AS/N", "↑"), Column("lowest"), Column("highest"), Column("best on"), Column("datasets"))
    caption = f"Overall accuracy score, {covers}{at_rate(comparison, found.rate)}"
    name = f"overall-{found.rate:g}-{SCOPES.index(found.scope) + 1}"
    blocks = comparison.counted(found.rate)
    summary = f"{grid(blocks)}; {states([row for block in blocks for row in block.rows])}."
    return Table(name, caption, "Variant", columns, tuple(groups), notes.listed(), summary)


def _overall_marks(comparison: Comparison, found: OverallRow, notes: Footnotes) -> str:
    rows = [row for block in comparison.blocks for row in block.rows if row.label == found.row.label]
    if all(row.selection != "tuned on these genes" for row in rows):
        return ""
    return notes.mark("†", "tuned on genes of some of these datasets: the scores there are flattered.")


def _overall_line(found: OverallRow, datasets: int, top: float, marks: str) -> Line:
    if not found.datasets:
        return Line(found.row.label, (Cell(found.word), *(Cell(MISSING),) * 4), marks)
    inside = found.row.group == "variant"
    share = number(found.share, 2)
    if not math.isnan(found.sd):
        share += f" ±{number(found.sd, 2)}"
    best = inside and found.datasets == datasets and found.share == top
    return Line(
        found.row.label,
        (
            Cell(_bracketed(share, inside), found.share, "best" if best else ""),
            Cell(number(found.lowest, 2), found.lowest),
            Cell(number(found.highest, 2), found.highest),
            Cell(str(found.best_on) if inside else "", found.best_on if inside else None),
            Cell(f"{found.datasets} of {datasets}", found.datasets),
        ),
        marks,
    )


# ---------------------------------------------------------------------------------------------------------------
# Tidy frame and figure


def as_frame(comparison: Comparison) -> pd.DataFrame:
    """One row per sampling rate, dataset and variant, and the overall rows; empty where there is no number.

    scope: "dataset", or how the overall rows average. accuracy_score, as_over_n, ranks: for a control or external
    row what it would have had if it alone had joined (then n_variants is N + 1). low, high: 95% over genes.
    """
    rows: list[dict[str, object]] = []
    for rate in comparison.rates:
        blocks = [block for block in comparison.blocks if block.rate == rate]
        for block in blocks:
            rows += [_record(block, standing) for standing in standings(block)]
        for scope in SCOPES if len(blocks) > 1 else ():
            found = overall(comparison, rate, scope)
            rows += [_overall_record(found, row) for row in found.rows]
    return pd.DataFrame(rows)


def wide(comparison: Comparison, value: str = "accuracy_score") -> pd.DataFrame:
    """One column of `as_frame` as variants x datasets, or x (dataset, rate) where there are several sampling rates.

    Rows that the audit of their files did not clear say so in their label. Empty where no row has a value; `BadInput`
    for a column that there is not.
    """
    tidy = as_frame(comparison)
    if value not in tidy:
        raise BadInput(f"The accuracy-score table has no column {value!r}; it has {', '.join(tidy)}.")
    several = len(comparison.rates) > 1
    columns = {
        (dataset, rate) if several else dataset: rows.set_index("variant")[value]
        for (dataset, rate), rows in tidy[tidy["scope"] == "dataset"].groupby(["dataset", "sampling_rate"], sort=False)
    }
    frame = pd.DataFrame(columns).rename_axis(index="variant")
    frame = frame.loc[[label for label in comparison.asked.variants if label in frame.index]]
    outside = {row.label for block in comparison.blocks for row in block.rows if row.group == "external"}
    frame = frame.rename(index={label: f"{label} {NOT_CLEARED}" for label in outside})
    return frame if frame.notna().any(axis=None) else frame.iloc[:0]


def _record(block: Block, standing: Standing) -> dict[str, object]:
    row = standing.row
    found: dict[str, object] = {
        "scope": "dataset",
        "dataset": block.dataset,
        "synthetic": block.synthetic,
        "sampling_rate": block.rate,
        "variant": row.label,
        "group": row.group,
        "status": row.status,
        "accuracy_score": standing.score,
        "low": standing.low,
        "high": standing.high,
        "seed_sd": standing.seed_sd,
        "n_variants": standing.n,
        "as_over_n": standing.share,
        "as_pcc_ssim": standing.pair_score,
        "best": standing.best,
        "tied_with_best": standing.tied,
        "versus_ridge": standing.versus_bar,
    }
    for i, metric in enumerate(METRICS):
        found[f"rank_{metric.name}"] = standing.ranks[i]
    for i, metric in enumerate(METRICS):
        found[metric.name] = standing.means[i]
        found[f"{metric.name}_low"] = standing.means_low[i]
        found[f"{metric.name}_high"] = standing.means_high[i]
    return found | {
        "js_beats_flat": standing.beats_flat,
        "biased": standing.biased,
        "genes": block.n_genes,
        "folds": block.folds,
        "seeds": row.seeds,
        **{f"trials_{name}": getattr(row, name) for name in ("done", "asked", "failed", "skipped")},
        "selection": row.selection,
        "reason": row.reason,
    }


def _overall_record(found: Overall, row: OverallRow) -> dict[str, object]:
    return {
        "scope": found.scope,
        "sampling_rate": found.rate,
        "variant": row.row.label,
        "group": row.row.group,
        "status": row.word or "complete",
        "as_over_n": row.share,
        "dataset_sd": row.sd,
        "datasets": row.datasets,
        "best_on": row.best_on,
    }


def _figure(comparison: Comparison) -> Figure:
    from matplotlib.ticker import MaxNLocator

    look = drawn_looks(comparison)
    labels = list(look)
    figure, axes_of = panels(drawn_blocks(comparison), len(labels), one_scale=False)
    for block, axes in axes_of:
        label_lines(axes, block, look)
        for standing in standings(block):
            if math.isnan(standing.score):
                continue
            own, y = look[standing.row.label], labels.index(standing.row.label)
            axes.plot([standing.low, standing.high], [y, y], color=own.colour, linewidth=1.4, solid_capstyle="round")
            axes.plot(standing.score, y, own.marker, color=own.colour, markerfacecolor=own.face, markersize=4.5)
        n = len(block.places("variant"))
        top = n + 1 if len(block.labels) > n else max(n, 2)
        axes.set_xlim(1 - 0.05 * top, top + 0.05 * top)
        axes.set_xlabel(f"accuracy score, 1 to N = {n}")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    return figure
