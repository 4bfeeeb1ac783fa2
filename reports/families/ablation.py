"""Every row minus the reference, gene by gene: what an ablation or a rival costs or gains, and how sure that is."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from reports.family import Drawing, Family, Section
from reports.figures.drawing import drawn_looks, label_lines, panels, short
from reports.published import METRICS, Published
from reports.reading.contrasts import Contrast, Overall, as_frame, contrasts, over_datasets
from reports.reading.scores import Block, Comparison
from reports.reading.standings import BAR, Standing, standings
from reports.statistics.paired import EXACT, SIGN
from reports.writing.counts import count, rests_on, size
from reports.writing.tables import MISSING, Cell, Column, Footnotes, Line, Table, interval, number
from reports.writing.wording import HEADINGS, at_highest, at_rate, listed, marks, reason

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SHOWN = tuple(i for i, metric in enumerate(METRICS) if metric.name != "rmse")
"""The metrics of the tables: RMSE follows from PCC."""

_SHORT = 20
"""Characters of the reference's name that fit into a heading."""

_IDENTICAL = "°"

_DELTA = "the row's value minus that of {0}, gene by gene; where ↑ stands more than 0 is better than {0}, where ↓ less."
_COLUMNS = {
    "d:": "Cohen's d_z, the mean of the differences over their standard deviation.",
    "better:": "share of genes on which the row is better than {0}, ties half.",
    "p:": "two-sided Wilcoxon signed-rank test over genes, Holm-adjusted over the variants of this table (controls "
    "among themselves), each metric by itself.",
}
"""What stands under the tables; {0}: the reference."""


def section(comparison: Comparison) -> Section | None:
    """The family's tables, figure and tidy frame; nothing where there is no second row."""
    if len({row.label for block in comparison.blocks for row in block.rows}) < 2:
        return None
    found = contrasts(comparison)
    order = [label for group in HEADINGS for label in _labels(comparison, group)]
    overall = {rate: over_datasets([c for c in found if c.block.rate == rate], order) for rate in comparison.rates}
    tables: list[Table] = []
    for rate in comparison.rates:
        tables += [_overall_table(comparison, rate, overall[rate])] if overall[rate] else []
        tables += [_table(comparison, contrast) for contrast in found if contrast.block.rate == rate]
    title = f"Differences from {comparison.reference}"
    frame = as_frame(comparison.reference, found, overall)
    return Section(title, _text(comparison, found), frame, tuple(tables), _drawings(comparison, found))


FAMILY = Family(place=20, section=section)


def _labels(comparison: Comparison, group: str) -> list[str]:
    """The labels of a group but the reference, in the order that was asked for."""
    groups = {row.label: row.group for block in comparison.blocks for row in block.rows}
    own = [label for label in comparison.asked.variants if groups.get(label) == group]
    return [label for label in own if label != comparison.reference]


# ---------------------------------------------------------------------------------------------------------------
# In words


def _text(comparison: Comparison, found: Sequence[Contrast]) -> tuple[str, ...]:
    name = comparison.reference
    said = [
        f"Each row minus {name}: metrics are averaged over seeds, and each gene is paired with itself on the same "
        f"dataset and fold. For PCC and SSIM (↑) a positive difference is better than {name}, for JS (↓) a negative "
        "one. RMSE follows from PCC; its differences are in the CSV.",
        "In brackets: the 95% interval from resampling genes 2,000 times, the same for all rows. d: Cohen's d_z, the "
        "mean of the differences over their standard deviation. better: share of genes on which the row is better "
        f"than {name}, ties half. p: two-sided Wilcoxon signed-rank test over the genes with a difference (exact up "
        f"to {EXACT} genes), Holm-adjusted over the variants compared on that dataset and metric; controls are "
        "adjusted among themselves, so that none changes a variant's p. Genes of one dataset share spots and cells, "
        "and the test takes them as independent: p and interval speak of genes like these on this dataset, not of "
        "other tissues.",
    ]
    if any(c.block.rate == d.block.rate for i, c in enumerate(found) for d in found[:i]):
        said.append(
            "Over datasets, the mean difference of each dataset weighs the same and ± is the standard deviation "
            f"between datasets; better and worse count those whose whole interval lies on that side of {name}."
        )
    return (*said, *_absent(comparison, found), *_unchanged(comparison, found))


def _absent(comparison: Comparison, found: Sequence[Contrast]) -> list[str]:
    """The blocks without differences, and why."""
    compared, name = {id(contrast.block) for contrast in found}, comparison.reference
    why: dict[str, list[Block]] = {}
    for block in comparison.blocks:
        if id(block) not in compared:
            status = next((row.status for row in block.rows if row.label == name), "not asked for")
            because = "no gene is scored for all rows" if status == "complete" else f"there {name} is {status}"
            why.setdefault(because, []).append(block)
    return [f"No differences on {_where(comparison, blocks)}: {because}." for because, blocks in why.items()]


def _unchanged(comparison: Comparison, found: Sequence[Contrast]) -> list[str]:
    """The rows that predicted what the reference predicted, and where."""
    where: dict[str, list[Block]] = {}
    for contrast in found:
        for row, identical in zip(contrast.rows, contrast.identical, strict=True):
            if identical:
                where.setdefault(row.label, []).append(contrast.block)
    name = comparison.reference
    return [
        f"{label} predicted exactly what {name} predicted, in every trial, on {_where(comparison, blocks)}: its "
        "switch changed nothing there."
        for label, blocks in where.items()
    ]


def _where(comparison: Comparison, blocks: Sequence[Block]) -> str:
    """The datasets of these blocks, with the sampling rates where the experiment has several."""
    rates: dict[str, list[str]] = {}
    for block in blocks:
        rates.setdefault(block.name, []).append(f"{block.rate:g}")
    if comparison.rates == (1.0,):
        return listed(list(rates))
    return listed([f"{name} (sampling rate {listed(own)})" for name, own in rates.items()])


# ---------------------------------------------------------------------------------------------------------------
# Tables


def _table(comparison: Comparison, contrast: Contrast) -> Table:
    block, name, notes = contrast.block, comparison.reference, Footnotes()
    columns: list[Column] = []
    for metric in (METRICS[m] for m in SHOWN):
        columns += [_difference(metric, name), *(Column(f"{metric.label} {x}") for x in ("d", "better", "p"))]
    standing = {s.row.label: s for s in standings(block)}
    groups = []
    for group, heading in HEADINGS.items():
        own = [s for s in standing.values() if s.row.group == group and s.row.label != name]
        groups.append((heading, tuple(_line(contrast, each, len(columns), notes) for each in own)))
    if len(block.labels) < len(block.rows):
        notes.mark(MISSING, "no number: the row lacks a fold or a seed of this dataset.")
    if any(contrast.identical):
        notes.mark(
            _IDENTICAL, f"predictions identical to those of {name} in every trial: its switch changed nothing here."
        )
    means = [f"{METRICS[m].label} {number(standing[name].means[m], METRICS[m].decimals)}" for m in SHOWN]
    notes.mark("Reference:", f"{name}, with {listed(means)}.")
    notes.mark("Δ:", f"{_DELTA.format(name)} In brackets: the 95% interval from resampling genes 2,000 times.")
    for mark, sentence in _COLUMNS.items():
        notes.mark(mark, sentence.format(name))
    notes.flags(block.flags)
    where = f"{block.name}{at_rate(comparison, block.rate)}"
    caption = f"Each row minus {name} on {where}: mean difference over genes [95% interval]"
    file = f"{block.dataset}-{block.rate:g}"
    return Table(file, caption, "Variant", tuple(columns), tuple(groups), notes.listed(), size(block))


def _difference(metric: Published, reference: str) -> Column:
    """What is subtracted from what, and which way is better."""
    return Column(f"Δ{metric.label}: row − {short(reference, _SHORT)}", metric.arrow)


def _line(contrast: Contrast, standing: Standing, width: int, notes: Footnotes) -> Line:
    row, paired = standing.row, contrast.paired
    if row not in contrast.rows:
        return Line(row.label, (Cell(reason(standing, notes)), *(Cell(MISSING),) * (width - 1)), marks(standing, notes))
    k = contrast.rows.index(row)
    cells = []
    for m in SHOWN:
        mean, share, p = float(paired.mean[k, m]), float(paired.better[k, m]), float(contrast.adjusted[k, m])
        decimals = METRICS[m].decimals
        bracket = interval(float(paired.low[k, m]), float(paired.high[k, m]), decimals)
        effect = float(paired.effect[k, m])
        cells += [
            Cell(f"{number(mean, decimals, signed=True)} {bracket}", mean),
            Cell(number(effect, 2, signed=True), effect),
            Cell(f"{number(100 * share, 0)}%", share),
            Cell("<0.001" if p < 0.001 else number(p, 3), p),
        ]
    return Line(row.label, tuple(cells), marks(standing, notes) + _IDENTICAL * contrast.identical[k])


def _overall_table(comparison: Comparison, rate: float, found: Sequence[Overall]) -> Table:
    name, notes = comparison.reference, Footnotes()
    columns: list[Column] = []
    for metric in (METRICS[m] for m in SHOWN):
        columns += [_difference(metric, name), *(Column(f"{metric.label} {x}") for x in ("better", "worse"))]
    by_label = {each.row.label: each for each in found}
    groups = []
    for group, heading in HEADINGS.items():
        lines = [_overall_line(label, by_label.get(label), len(columns)) for label in _labels(comparison, group)]
        groups.append((heading, tuple(lines)))
    if len(by_label) < sum(len(lines) for _, lines in groups):
        notes.mark(MISSING, f"no number: the row finished no dataset that {name} finished.")
    notes.flags(comparison.asked.flags)
    blocks = [block for block in comparison.blocks if block.rate == rate]
    used = [block.name for block in blocks if name in block.labels and block.genes]
    notes.mark("Datasets:", f"{'; '.join(used)}.")
    notes.mark("Δ:", f"{_DELTA.format(name)} The mean of the datasets' means; ±: standard deviation between datasets.")
    notes.mark("better, worse:", f"on how many datasets the whole 95% interval over genes lies on that side of {name}.")
    if len({each.datasets for each in found}) > 1:
        notes.mark("Unequal:", "rows with different datasets behind them cannot be compared with each other.")
    caption = f"Each row minus {name}, mean difference over datasets{at_rate(comparison, rate)}"
    summary = f"{count(len(used), 'dataset')} of {len(blocks)}, {count(comparison.asked.folds, 'fold')} each."
    shown = (*columns, Column("datasets"))
    return Table(f"overall-{rate:g}", caption, "Variant", shown, tuple(groups), notes.listed(), summary)


def _overall_line(label: str, found: Overall | None, width: int) -> Line:
    if found is None:
        return Line(label, (*(Cell(MISSING),) * width, Cell("0", 0)))
    cells = []
    for m in SHOWN:
        better, worse = (found.above[m], found.below[m]) if SIGN[m] > 0 else (found.below[m], found.above[m])
        mean, sd = float(found.mean[m]), float(found.sd[m])
        decimals = METRICS[m].decimals
        spread = f" ±{number(sd, decimals)}" if found.datasets > 1 else ""
        cells += [Cell(number(mean, decimals, signed=True) + spread, mean)]
        cells += [Cell(str(int(n)), int(n)) for n in (better, worse)]
    return Line(label, (*cells, Cell(str(found.datasets), found.datasets)))


# ---------------------------------------------------------------------------------------------------------------
# Figure


def _drawings(comparison: Comparison, found: Sequence[Contrast]) -> tuple[Drawing, ...]:
    drawn = [contrast for contrast in found if contrast.rows and contrast.block.rate == comparison.rates[0]]
    if not drawn:
        return ()
    # Other controls are so far off that nothing else could be read beside them.
    rows = {row.label: row for contrast in drawn for row in contrast.rows}
    near = {label for label, row in rows.items() if row.group != "control" or row.method == BAR} or set(rows)
    hidden = [label for label in _labels(comparison, "control") if label in rows and label not in near]
    name = comparison.reference
    caption = (
        f"PCC of each row minus that of {name} (no unit), one panel per dataset, each with a scale of its own. Marker: "
        "mean over genes of the difference, metrics averaged over seeds; line: its 95% interval from resampling genes "
        f"2,000 times. Right of the line at 0 is better than {name}. {rests_on([each.block for each in drawn])}"
        + (f" Not drawn, since they would set the scale: {listed(hidden)}." if hidden else "")
        + at_highest(comparison)
    )
    return (Drawing("differences", caption, lambda: _figure(comparison, drawn, near)),)


def _figure(comparison: Comparison, drawn: Sequence[Contrast], near: Collection[str]) -> Figure:
    from matplotlib.ticker import MaxNLocator

    look = {label: own for label, own in drawn_looks(comparison).items() if label in near}
    lines = {label: y for y, label in enumerate(look)}
    figure, axes_of = panels([contrast.block for contrast in drawn], len(look), one_scale=False)
    for contrast, (block, axes) in zip(drawn, axes_of, strict=True):
        label_lines(axes, block, look)
        axes.axvline(0, color="#5a5a5a", linewidth=0.7, zorder=1)
        for k, row in enumerate(contrast.rows):
            if (y := lines.get(row.label)) is not None:
                own, low, high = look[row.label], contrast.paired.low[k, 0], contrast.paired.high[k, 0]
                axes.plot([low, high], [y, y], color=own.colour, linewidth=1.4, zorder=2)
                mean = contrast.paired.mean[k, 0]
                axes.plot(mean, y, own.marker, color=own.colour, markerfacecolor=own.face, markersize=4.5, zorder=3)
        axes.xaxis.set_major_locator(MaxNLocator(5))
        axes.set_xlabel(f"PCC minus that of {short(comparison.reference, 24)}, {block.n_genes} genes")
    return figure
