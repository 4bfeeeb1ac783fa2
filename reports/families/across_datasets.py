"""What the ranks of variants say beyond the datasets they come from: tests, chances of ranking first, stability."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from reports.family import Drawing, Family, Section
from reports.figures import across_figures
from reports.figures.drawing import looks
from reports.reading.dataset_ranks import (
    LEAST_DATASETS,
    LEAST_TO_LEAVE_OUT,
    LEAST_VARIANTS,
    Across,
    Tests,
    as_frame,
    at,
)
from reports.reading.scores import Comparison
from reports.reading.standings import Standing
from reports.statistics import rank_tests, ranking
from reports.statistics.rank_tests import ALPHA, Floats
from reports.writing.counts import count, grid, rests_on, states
from reports.writing.tables import MISSING, TIED, Cell, Column, Emphasis, Footnotes, Line, Table, interval, number
from reports.writing.wording import at_rate, listed, marks

_VERSUS = (
    "the share of resamples in which the mean AS is higher than ridge's (ties half). It is no test; vs ridge in the "
    "accuracy-score tables says level as long as 0 lies in the 95% interval of the difference, so .98 may stand beside "
    "level; p in the tables of differences is of a metric, by a test of its own."
)

_TEXT = (
    "The datasets are those that all variants finished; ranks are of the accuracy score (AS) among the N variants, "
    "1 for the best, ties share their average. Controls stand outside.",
    "Friedman's test asks whether the variants rank alike on all datasets (corrected for ties; Iman and Davenport's F "
    "is less conservative on few datasets). Nemenyi's test then compares all pairs of mean ranks at once: those "
    "further apart than the critical difference differ at the 5% level (Demsar, 2006). The unit is the dataset: with "
    "few of them only large differences can be seen, and no difference seen is no proof of equality.",
    f"Chances are shares of {ranking.RESAMPLES:,} resamples of the datasets and, within each drawn dataset, of its "
    "genes (the same for all variants), each time averaging AS over the drawn datasets and ranking again; variants "
    "that tie for a rank share it. They say how firmly this collection of datasets and genes ranks the variants, and "
    "are good to two hundredths. The chance of being above low-rank ridge, the bar, is that of the higher mean AS when "
    "the bar alone joins the N variants; a tie counts half.",
    "Leaving one dataset out shows whether one dataset decides the order. Kendall's τ-b compares the order of all "
    "variants with that over all datasets: 1 is the same order, -1 the reverse.",
)


def section(comparison: Comparison) -> Section | None:
    """The family's tables, figures and tidy frame; None where there are no two variants to compare."""
    variants = {row.label for block in comparison.blocks for row in block.rows if row.group == "variant"}
    if len(variants) < 2:
        return None
    found = [across for rate in comparison.rates if (across := at(comparison, rate)) is not None]
    absent = [rate for rate in comparison.rates if rate not in {across.rate for across in found}]
    said = tuple(
        f"No dataset was finished by all of two variants or more{at_rate(comparison, rate)}: there is nothing to rank "
        "over datasets."
        for rate in absent
    )
    tables = tuple(_tables(comparison, found))
    return Section("Across datasets", (*_TEXT, *said), as_frame(found), tables, tuple(_drawings(comparison, found)))


FAMILY = Family(place=30, section=section)


# ---------------------------------------------------------------------------------------------------------------
# Tables


def _tables(comparison: Comparison, found: Sequence[Across]) -> Iterator[Table]:
    """Chances of one sampling rate in a table, those of several beside each other."""
    if len(found) > 1:
        yield from _over_rates(comparison, found)
    for across in found:
        if across.tests is not None:
            yield _tests_table(comparison, across, across.tests)
        if len(found) == 1:
            yield _chances_table(comparison, across)
        if across.left_out is not None:
            yield _left_out_table(comparison, across, across.left_out)


def _tests_table(comparison: Comparison, across: Across, tests: Tests) -> Table:
    notes = Footnotes()
    mean, sd = across.mean_ranks, across.ranks.std(axis=0, ddof=1)
    p = tests.p[mean.argmin()]
    lines = []
    for v, label in enumerate(across.labels):
        best = mean[v] == mean.min()
        emphasis: Emphasis = "best" if best else "tied" if p[v] >= ALPHA else ""
        cells = (
            Cell(number(mean[v], 2), mean[v], emphasis),
            Cell(number(sd[v], 2), sd[v]),
            Cell("" if best else _p(p[v]), p[v]),
        )
        lines.append(Line(label, cells, _marks(across, label, notes)))
    notes.mark("Friedman:", _verdict(across, tests))
    notes.mark(
        "Nemenyi:", f"mean ranks more than {number(tests.width, 2)} apart differ at the 5% level, over all pairs."
    )
    notes.mark(TIED, "cannot be told from the best by Nemenyi's test.")
    columns = (Column("mean rank", "↓"), Column("sd over datasets"), Column("p against the best"))
    caption = f"Ranks of the accuracy score over {_datasets(across)}{at_rate(comparison, across.rate)}"
    return _table(comparison, across, f"ranks-{across.rate:g}", caption, columns, lines, notes)


def _verdict(across: Across, tests: Tests) -> str:
    found = tests.friedman
    datasets, variants = across.ranks.shape
    degrees = f"{variants - 1}, {(variants - 1) * (datasets - 1)}"
    said = (
        f"χ²({variants - 1}) = {number(found.chi2, 2)}, p {_p(found.p, '= ')}; Iman and Davenport's F({degrees}) = "
        f"{'∞' if math.isinf(found.f) else number(found.f, 2)}, p {_p(found.f_p, '= ')}."
    )
    return said if found.f_p < ALPHA else f"{said} So there is no ground to compare pairs."


def _chances_table(comparison: Comparison, across: Across) -> Table:
    notes = Footnotes()
    low, high = across.rank_interval
    first, expected, placed = across.chances[:, 0], across.expected, across.overall_ranks
    lines = []
    for v, label in enumerate(across.labels):
        cells = [
            Cell(number(first[v], 2), first[v], "best" if first[v] == first.max() else ""),
            Cell(f"{number(expected[v], 2)} {interval(low[v], high[v], 1)}", expected[v]),
            Cell(MISSING) if across.above_bar is None else Cell(number(across.above_bar[v], 2), across.above_bar[v]),
            Cell(f"{placed[v]:g}", placed[v]),
            Cell(MISSING),
        ]
        if across.left_out is not None:
            top, bottom = across.left_out[:, v].min(), across.left_out[:, v].max()
            cells[-1] = Cell(f"{top:g}" if top == bottom else f"{top:g} to {bottom:g}", top)
        lines.append(Line(label, tuple(cells), _marks(across, label, notes)))
    for mark, sentence in _unsaid(across):
        notes.mark(mark, sentence)
    if across.above_bar is not None:
        notes.mark("Chance above ridge:", _VERSUS)
    columns = (
        Column("chance of first", "↑"),
        Column("expected rank [95% interval]", "↓"),
        Column("chance above ridge", "↑"),
        Column("rank", "↓"),
        Column("rank leaving one out"),
    )
    caption = f"Chance of ranking first over {_datasets(across)}{at_rate(comparison, across.rate)}"
    return _table(comparison, across, f"first-{across.rate:g}", caption, columns, lines, notes)


def _over_rates(comparison: Comparison, found: Sequence[Across]) -> tuple[Table, ...]:
    """The two chances with a column per sampling rate; ranks and their intervals are in the CSV."""
    firsts = [dict(zip(each.labels, each.chances[:, 0].tolist(), strict=True)) for each in found]
    above = [dict(zip(e.labels, () if e.above_bar is None else e.above_bar.tolist(), strict=False)) for e in found]
    made = [_by_rate(comparison, found, ("first", "Chance of ranking first"), firsts, Footnotes())]
    if any(above):
        notes = Footnotes()
        notes.mark("Chance above ridge:", _VERSUS)
        made.append(_by_rate(comparison, found, ("above-ridge", "Chance above ridge"), above, notes))
    return tuple(made)


def _by_rate(
    comparison: Comparison,
    found: Sequence[Across],
    named: tuple[str, str],
    chances: Sequence[Mapping[str, float]],
    notes: Footnotes,
) -> Table:
    lines = []
    labels = {label for each in found for label in each.labels}
    for label in (label for label in comparison.asked.variants if label in labels):
        values = [own.get(label) for own in chances]
        cells = tuple(Cell(MISSING) if value is None else Cell(number(value, 2), value) for value in values)
        lines.append(Line(label, cells, "".join(dict.fromkeys("".join(_marks(a, label, notes) for a in found)))))
    if any(cell.text == MISSING for line in lines for cell in line.cells):
        notes.mark(MISSING, "no number: the row, or low-rank ridge, has not finished all datasets at that rate.")
    ranked = {f"At {e.rate:g}:": f"{listed(list(e.labels))} on {', '.join(b.name for b in e.blocks)}." for e in found}
    if len(set(ranked.values())) == 1:
        ranked = {"At every rate:": next(iter(ranked.values()))}
    untested = {said for each in found for mark, said in _unsaid(each) if mark == "Friedman:"}
    for mark, sentence in (*ranked.items(), *(("Friedman:", said) for said in untested if len(untested) == 1)):
        notes.mark(mark, sentence)
    if all(len(each.blocks) == 1 for each in found):
        notes.mark("Chances:", "over genes alone, since there is one dataset; of other datasets they say nothing.")
    notes.mark("In the CSV:", "expected ranks with their intervals, and every other rank's chance.")
    notes.flags(list(dict.fromkeys(flag for across in found for block in across.blocks for flag in block.flags)))
    columns = tuple(Column(f"rate {each.rate:g}", "↑") for each in found)
    return Table(
        named[0],
        f"{named[1]}, by sampling rate",
        "Variant",
        columns,
        (("", tuple(lines)),),
        notes.listed(),
        _size(found),
    )


def _unsaid(across: Across) -> Iterator[tuple[str, str]]:
    """(mark, sentence) for everything that cannot be said of so few datasets, variants or rows."""
    d, v = len(across.blocks), len(across.labels)
    if across.tests is None:
        yield (
            "Friedman:",
            f"not tested: the tests of Friedman and Nemenyi need at least {LEAST_DATASETS} datasets and "
            f"{LEAST_VARIANTS} variants that finished them all; here are {count(d, 'dataset')} and "
            f"{count(v, 'variant')}.",
        )
    if d == 1:
        yield "Chances:", "over genes alone, since there is one dataset; of other datasets they say nothing."
    elif d < LEAST_DATASETS:
        yield "Chances:", f"resampling {count(d, 'dataset')} says little of others."
    if across.left_out is None:
        yield "Leaving one out:", f"{MISSING}, since it needs at least {LEAST_TO_LEAVE_OUT} datasets."
    if across.above_bar is None:
        yield "Ridge:", f"{MISSING}, since low-rank ridge, the bar, has not finished all of these datasets."


def _left_out_table(comparison: Comparison, across: Across, left_out: Floats) -> Table:
    whole = across.overall_ranks
    columns = (Column("leads", text=True), Column("Kendall's τ", "↑"))
    lines = [Line("none", (Cell(_leaders(across, whole)), Cell("")))]
    for block, placed in zip(across.blocks, left_out, strict=True):
        tau = rank_tests.agreement(placed, whole)
        lines.append(Line(block.short, (Cell(_leaders(across, placed)), Cell(number(tau, 2), tau))))
    notes = Footnotes()
    caption = f"Who leads when one dataset is left out{at_rate(comparison, across.rate)}"
    return _table(comparison, across, f"left-out-{across.rate:g}", caption, columns, lines, notes, "Left out")


def _leaders(across: Across, placed: Floats) -> str:
    return listed([across.labels[v] for v in np.flatnonzero(placed == placed.min())])


def _table(
    comparison: Comparison,
    across: Across,
    name: str,
    caption: str,
    columns: tuple[Column, ...],
    lines: Sequence[Line],
    notes: Footnotes,
    corner: str = "Variant",
) -> Table:
    """A table with what all of this family say below it."""
    if across.without:
        notes.mark("Not here:", f"{listed(list(across.without))}, which finished no dataset.")
    notes.flags(list(dict.fromkeys(flag for block in across.blocks for flag in block.flags)))
    notes.mark("Datasets:", "; ".join(block.name for block in across.blocks) + ".")
    return Table(name, caption, corner, columns, (("", tuple(lines)),), notes.listed(), _size([across]))


def _size(found: Sequence[Across]) -> str:
    blocks = [block for across in found for block in across.blocks]
    ranked = dict.fromkeys(count(len(across.labels), "variant") for across in found)
    return f"{' or '.join(ranked)} ranked; {grid(blocks)}; {states([row for b in blocks for row in b.rows])}."


def _marks(across: Across, label: str, notes: Footnotes) -> str:
    rows = [row for block in across.blocks for row in block.rows if row.label == label]
    return "".join(dict.fromkeys("".join(marks(Standing(row), notes) for row in rows)))


def _datasets(across: Across) -> str:
    return count(len(across.blocks), "dataset")


def _p(value: float, equal: str = "") -> str:
    return "< 0.001" if value < 0.001 else f"{equal}{number(value, 3)}"


# ---------------------------------------------------------------------------------------------------------------
# Figures


def _drawings(comparison: Comparison, found: Sequence[Across]) -> Iterator[Drawing]:
    """At the highest sampling rate at which there is something to compare."""
    if not found:
        return
    first, look = found[0], looks(comparison)
    rate = f" At the sampling rate of {first.rate:g}." if len(comparison.rates) > 1 else ""
    if (tests := first.tests) is not None:
        yield Drawing(
            "critical_difference",
            f"Mean rank of the accuracy score over {_datasets(first)}, best on top. A bar joins variants that "
            "Nemenyi's test cannot tell apart at the 5% level. CD: the critical difference of mean ranks. Axis: mean "
            f"rank, 1 is best. {rests_on(first.blocks)}{rate}",
            lambda: across_figures.critical_difference(first, tests, look),
        )
    drawn = "genes" if len(first.blocks) == 1 else "datasets and genes"
    yield Drawing(
        "rank_chances",
        f"Chance of each rank of the mean accuracy score over {_datasets(first)}, from {ranking.RESAMPLES:,} resamples "
        f"of {drawn}. Across: rank, 1 is best; a bar as high as the grey behind it is a certainty. Right: the chance "
        f"of ranking first. {rests_on(first.blocks)}{rate}",
        lambda: across_figures.rank_chances(first, look),
    )
