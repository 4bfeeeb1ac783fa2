"""Measured and predicted expression of a few genes over the tissue: what a PCC looks like."""

from __future__ import annotations

import functools
import math
import re
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from reports.family import Drawing, Family, Section
from reports.figures.drawing import PAGE
from reports.figures.spot_map import BRIGHTEST, brightness, choose, painted, pcc, spot_map
from reports.reading.scores import Block, Comparison
from reports.reading.standings import BAR, standings
from reports.writing.counts import count
from reports.writing.tables import number
from reports.writing.wording import at_rate, listed

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ROOM = 8
"""The most rows of the table that one figure has room for, beside what was measured."""

PIXELS = 128
"""Width of one picture in a figure."""

_FULL = "no room"

_COLOURS = "viridis"

_FIRST = (
    "First come the reference and low-rank ridge, then the variants by falling accuracy score, then the others in the "
    "order of the tables."
)

_COLUMNS = ("dataset", "synthetic", "sampling_rate", "gene", "choice", "chosen_by", "variant", "group", "pcc", "spots")

_TEXT = (
    "What a PCC looks like: measured and predicted values of the same genes over the spots. A figure of the best genes "
    "alone would flatter every method, so each figure shows the genes with the highest, the median and the lowest PCC "
    "of one row. These are chosen by its own score, which flatters it beside the others. Each picture has a colour "
    f"scale of its own, from 0 to its {BRIGHTEST}th percentile: like PCC, it does not say whether the predicted level "
    "is right, and a flat prediction is bright all over. The PCC is that of the first seed whose predictions were "
    "kept.",
)


@dataclass(frozen=True, eq=False)
class Pattern:
    """What the figure of one dataset shows: K genes of R rows over n spots.

    chosen_by: the row whose PCC chose the genes. choices: why each gene is shown. places: (n, 2).
    values: (1 + R, K, n), what was measured first. pcc: (R, K). left_out: other rows by reason, in words.
    depth: whether the spots have a z, which is not shown.
    """

    block: Block
    chosen_by: str
    genes: tuple[str, ...]
    choices: tuple[str, ...]
    rows: tuple[str, ...]
    places: NDArray[np.float64]
    values: NDArray[np.float64]
    pcc: NDArray[np.float64]
    left_out: tuple[str, ...]
    depth: bool

    @functools.cached_property
    def map(self) -> NDArray[np.intp]:
        """Which spot each pixel of a picture shows."""
        return spot_map(self.places, PIXELS)


def section(comparison: Comparison) -> Section | None:
    """A figure per dataset at the highest sampling rate, or why there is none."""
    blocks = [block for block in comparison.blocks if block.rate == comparison.rates[0]]
    if not any(block.n_genes for block in blocks):
        return None
    tried = [_pattern(comparison, block) for block in blocks]
    found = [pattern for pattern in tried if isinstance(pattern, Pattern)]
    reasons: dict[str, list[str]] = {}
    for block, reason in zip(blocks, tried, strict=True):
        if isinstance(reason, str):
            reasons.setdefault(reason, []).append(block.name)
    said = (f"No figure for {listed(names)}: {reason}." for reason, names in reasons.items())
    drawings = tuple(_drawing(comparison, pattern, place) for place, pattern in enumerate(found, start=1))
    return Section("Spatial patterns", (*(_TEXT if found else ()), *said), as_frame(found), drawings=drawings)


FAMILY = Family(place=65, section=section)


def as_frame(patterns: Sequence[Pattern]) -> pd.DataFrame:
    """One row per dataset, gene shown and row shown. pcc: of the kept seed, over `spots` spots."""
    group = {row.label: row.group for pattern in patterns for row in pattern.block.rows}
    rows = [
        (p.block.dataset, p.block.synthetic, p.block.rate, gene, choice, p.chosen_by, label, group[label], value, n)
        for p in patterns
        for n in (len(p.places),)
        for gene, choice, values in zip(p.genes, p.choices, p.pcc.T, strict=True)
        for label, value in zip(p.rows, values, strict=True)
    ]
    return pd.DataFrame(rows, columns=list(_COLUMNS))


# ---------------------------------------------------------------------------------------------------------------
# From what was kept to what is shown


def _pattern(comparison: Comparison, block: Block) -> Pattern | str:
    """What to show of a dataset, or why nothing can be shown."""
    if not block.n_genes:
        return "no row has finished every fold and seed"
    spots = comparison.kept.spots(block.dataset)
    if not {"x", "y"} <= set(spots.columns):
        return "the store has no coordinates of its spots"
    kept = _kept(comparison, block)
    first, guess = next(kept, ("", None))
    measured = comparison.kept.truth(first, block.dataset, block.rate) if first else None
    if guess is None or measured is None:
        return "the store has of no row the predictions of all held-out genes of one seed"
    choices = _choices(block, measured, guess)
    genes = list(choices)
    measured = measured[genes]
    shown = {first: guess[genes]}
    shown |= {label: other[genes] for label, other in kept}
    order = [label for label in block.labels if label in shown]
    values = [measured, *(shown[label].reindex(measured.index) for label in order)]
    return Pattern(
        block=block,
        chosen_by=first,
        genes=tuple(genes),
        choices=tuple(choices.values()),
        rows=tuple(order),
        places=spots.loc[measured.index, ["x", "y"]].to_numpy(np.float64),
        values=np.stack([frame.to_numpy(np.float64).T for frame in values]),
        pcc=np.stack([_pcc_of(measured, shown[label]) for label in order]),
        left_out=_left_out(block, order, _wanted(comparison, block)),
        depth="z" in spots.columns,
    )


def _choices(block: Block, measured: pd.DataFrame, guess: pd.DataFrame) -> dict[str, str]:
    """Gene -> why it is shown, by falling PCC of this row."""
    scored = [gene for gene in block.genes if gene in measured.columns]
    return {scored[place]: why for place, why in choose(_pcc_of(measured[scored], guess[scored])).items()}


def _kept(comparison: Comparison, block: Block) -> Iterator[tuple[str, pd.DataFrame]]:
    """The complete rows whose predictions were kept, the most wanted first, as many as there is room for."""
    found = 0
    for label in _wanted(comparison, block):
        guess = comparison.kept.prediction(label, block.dataset, block.rate) if found < ROOM else None
        if guess is not None:
            found += 1
            yield label, guess


def _wanted(comparison: Comparison, block: Block) -> list[str]:
    """Complete rows: the reference, the bar, the variants by falling AS, then the others as in the table."""

    def place(label: str) -> tuple[bool, bool, bool, float]:
        own = found[label]
        bar = own.row.group == "control" and own.row.method == BAR
        score = 0.0 if own.row.group != "variant" or math.isnan(own.score) else own.score
        return label != comparison.reference, not bar, own.row.group != "variant", -score

    found = {standing.row.label: standing for standing in standings(block)}
    return sorted(block.labels, key=place)


def _left_out(block: Block, shown: Sequence[str], wanted: Sequence[str]) -> tuple[str, ...]:
    """The other rows by reason: no numbers, not kept, or too late for the room there is."""
    last = max(wanted.index(label) for label in shown)
    reasons: dict[str, list[str]] = {}
    for row in block.rows:
        if row.label not in shown:
            late = len(shown) == ROOM and row.label in wanted and wanted.index(row.label) > last
            unfinished = f"not complete: {row.word}" if row.word else ""
            reasons.setdefault(unfinished or (_FULL if late else "predictions not kept"), []).append(row.label)
    return tuple(f"{listed(labels)} ({reason})" for reason, labels in reasons.items())


def _pcc_of(measured: pd.DataFrame, guess: pd.DataFrame) -> NDArray[np.float64]:
    """(G,) over the spots that both have: of another seed some may have been left out."""
    both = measured.index.intersection(guess.index)
    return pcc(measured.loc[both].to_numpy(), guess.loc[both].to_numpy())


# ---------------------------------------------------------------------------------------------------------------
# The figure


def _drawing(comparison: Comparison, pattern: Pattern, place: int) -> Drawing:
    name = re.sub(r"[^A-Za-z0-9_-]", "_", pattern.block.dataset)  # names come from a store that others may have written
    return Drawing(f"patterns-{place}-{name}", _caption(comparison, pattern), lambda: _figure(pattern))


def _caption(comparison: Comparison, pattern: Pattern) -> str:
    block, n = pattern.block, len(pattern.places)
    kinds = [f"{pattern.choices.count(kind)} with the {kind}" for kind in dict.fromkeys(pattern.choices)]
    visible = len(np.unique(pattern.map[pattern.map >= 0]))
    said = [
        f"{block.name}{at_rate(comparison, block.rate)}: measured values, and predicted ones of "
        f"{count(len(pattern.rows), 'row')}, over {count(n, 'spot')}; both on the log scale on which they were "
        "scored; axes are the spots' x and y, in the unit of the file. Genes: "
        f"{listed(kinds)} PCC of {pattern.chosen_by} among {block.n_genes}, a choice that flatters that row.",
        "Below each picture stands its PCC in the first seed that was kept; each has its own colour scale, from 0 to "
        f"its {BRIGHTEST}th percentile (its maximum where that is 0), since PCC does not see scale.",
    ]
    if visible < n:
        said.append(f"{visible} spots are visible; the others lie behind one that is nearer to the pixel's centre.")
    if pattern.depth:
        said.append("Spots have a third coordinate; they are shown from above (x and y).")
    if pattern.left_out:
        left_out = f"Not shown: {'; '.join(pattern.left_out)}."
        full = any(each.endswith(f"({_FULL})") for each in pattern.left_out)
        said.append(f"{left_out} A figure has room for {len(pattern.rows)} rows. {_FIRST}" if full else left_out)
    return " ".join(said)


@dataclass(frozen=True)
class Layout:
    """Where everything stands, in inches from below left: all pictures have one size. aspect: height over width."""

    across: int
    down: int
    aspect: float
    left: float = 0.85
    top: float = 0.42
    bottom: float = 0.36
    below: float = 0.17
    gap: float = 0.05

    @property
    def wide(self) -> float:
        """Width of a picture."""
        return min(1.1, (PAGE - self.left) / self.across) - self.gap

    @property
    def size(self) -> tuple[float, float]:
        """Width and height of the figure."""
        high = self.top + self.bottom + (self.wide * self.aspect + self.below) * self.down
        return self.left + (self.wide + self.gap) * self.across, high

    def box(self, column: int, line: int) -> tuple[float, float, float, float]:
        """Left, right, lower and upper end of a picture; the first line is the uppermost."""
        x = self.left + column * (self.wide + self.gap)
        upper = self.size[1] - self.top - line * (self.wide * self.aspect + self.below)
        return x, x + self.wide, upper - self.wide * self.aspect, upper


def _figure(pattern: Pattern) -> Figure:
    """One line per gene, one column per row of the table, what was measured first."""
    from matplotlib.figure import Figure

    layout = Layout(len(pattern.values), len(pattern.genes), pattern.map.shape[0] / pattern.map.shape[1])
    wide, high = layout.size
    figure = Figure(figsize=layout.size)
    axes = figure.add_axes((0, 0, 1, 1))
    for c, title in enumerate(("measured", *pattern.rows)):
        x, right, _, y = layout.box(c, 0)
        lines = textwrap.wrap(title, max(8, int(layout.wide * 18)), max_lines=3, placeholder="…")
        axes.text((x + right) / 2, y + 0.07, "\n".join(lines), ha="center", va="baseline", linespacing=1.0)
        for k, values in enumerate(pattern.values[c]):
            score = f"PCC {number(float(pattern.pcc[c - 1, k]), 2)}" if c else ""
            _picture(axes, layout.box(c, k), painted(brightness(values), pattern.map), score)
    for k, (gene, choice) in enumerate(zip(pattern.genes, pattern.choices, strict=True)):
        y = sum(layout.box(0, k)[2:]) / 2
        axes.text(0.05, y + 0.01, gene if len(gene) <= 16 else f"{gene[:15]}…", va="bottom")
        axes.text(0.05, y - 0.01, f"{choice} PCC", va="top", fontsize=6, color="#555555")
    axes.set(xlim=(0, wide), ylim=(0, high), aspect="auto")
    axes.set_axis_off()
    _scale(figure.add_axes((layout.left / wide, 0.24 / high, 1.1 / wide, 0.06 / high)))
    return figure


def _picture(axes: Axes, box: tuple[float, float, float, float], picture: NDArray[np.float64], below: str) -> None:
    axes.imshow(picture, _COLOURS, extent=box, vmin=0, vmax=1, interpolation="none")
    axes.text((box[0] + box[1]) / 2, box[2] - 0.02, below, ha="center", va="top", fontsize=6)


def _scale(axes: Axes) -> None:
    axes.imshow(np.linspace(0, 1, 256)[None], _COLOURS, aspect="auto", extent=(0, 1, 0, 1))
    axes.set_xticks([0, 1], ["0", f"{BRIGHTEST}th percentile"], fontsize=6)
    axes.set_yticks([])
    axes.tick_params(length=0, pad=2)
    axes.set_frame_on(False)
