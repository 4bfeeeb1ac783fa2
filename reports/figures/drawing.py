"""What all figures share: one look, one colour per method, and files that are the same bytes for the same store."""

from __future__ import annotations

import io
import itertools
import re
import textwrap
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from reports.reading.scores import Block, Comparison

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

COLUMN, PAGE = 89 / 25.4, 183 / 25.4
"""Widths of a journal's column and page, inches."""

# Okabe and Ito's colours, told apart by all common forms of colour blindness; shapes tell the next rounds apart.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")
_SHAPES = ("o", "s", "^", "D", "v", "P")
_GREY = "#767676"

_LEGEND_LINE = 0.17
"""Height of a line of a legend, inches."""

METHODS = ("spadit", "tangram", "gimvi", "spage", "stplus", "spaotsc", "novosparc", "spatialscope", "stdiff")
"""The methods that have a look of their own, by file: the paper's, in its order."""

CONTROLS = ("low_rank_ridge", "nearest_cells", "spot_total", "gene_mean", "cell_type_mean")
"""The controls that have one."""

STYLE: dict[Any, Any] = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans", "Verdana", "sans-serif"],
    "font.size": 7,
    "axes.titlesize": 7,
    "axes.labelsize": 7,
    "xtick.labelsize": 6.5,
    "ytick.labelsize": 6.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "axes.unicode_minus": False,
    "lines.linewidth": 1.0,
    "pdf.fonttype": 42,
    "svg.fonttype": "none",
    "text.parse_math": False,
    "text.usetex": False,
}


@dataclass(frozen=True)
class Look:
    """Colour and marker of a row in every figure; controls are grey and open."""

    colour: str
    marker: str
    is_open: bool

    @property
    def face(self) -> str:
        """The colour that fills the marker."""
        return "white" if self.is_open else self.colour


def looks(comparison: Comparison) -> dict[str, Look]:
    """Label -> look in the order of the table, the same in every figure.

    A known method has a look of its own in every report: where it is the only row of its kind, and where it is the
    reference. Other rows take the looks that are left, in order.
    """
    rows = {row.label: row for block in comparison.blocks for row in block.rows}
    order = list(comparison.asked.variants)
    found: dict[str, Look] = {}
    for outside, known in ((False, METHODS), (True, CONTROLS)):
        labels = sorted((label for label in rows if (rows[label].group != "variant") == outside), key=order.index)
        slots = _slots({label: rows[label].method for label in labels}, known, comparison.reference)
        for label, slot in slots.items():
            turn, place = divmod(slot, len(_COLOURS))
            shape = _SHAPES[place] if outside else _SHAPES[turn % len(_SHAPES)]
            found[label] = Look(_GREY if outside else _COLOURS[place], shape, outside)
    return found


def _slots(methods: Mapping[str, str], known: Sequence[str], reference: str) -> dict[str, int]:
    """Label -> place among the looks, given the method of each label."""
    alike = Counter(methods.values())
    own = {
        label: known.index(method)
        for label, method in methods.items()
        if method in known and (alike[method] == 1 or label == reference)
    }
    free = (slot for slot in itertools.count() if slot not in own.values())
    return {label: own[label] if label in own else next(free) for label in methods}


def drawn_looks(comparison: Comparison) -> dict[str, Look]:
    """The looks of the rows that have numbers in any drawn block."""
    drawn = {label for block in drawn_blocks(comparison) for label in block.labels}
    return {label: look for label, look in looks(comparison).items() if label in drawn}


def drawn_blocks(comparison: Comparison) -> list[Block]:
    """The blocks a figure of many panels shows: those with scored genes at the highest sampling rate."""
    return [b for b in comparison.blocks if b.n_genes and b.rate == comparison.rates[0]]


def panels(
    blocks: list[Block], rows: int, one_scale: bool, legend: Sequence[str] = ()
) -> tuple[Figure, Iterator[tuple[Block, Axes]]]:
    """A figure with one panel per block, each with room for `rows` lines; one_scale: all share their x axis.

    legend: names that `legend_below` will put below the panels; the figure is higher by what they need.
    """
    from matplotlib.figure import Figure

    across = min(3, len(blocks))
    down = -(-len(blocks) // across)
    width = PAGE if across > 1 else 1.4 * COLUMN if legend else COLUMN
    lines = -(-len(legend) // columns(legend, width)) if legend else 0
    figure = Figure(figsize=(width, down * (0.75 + 0.17 * rows) + _LEGEND_LINE * lines), layout="constrained")
    axes = figure.subplots(down, across, squeeze=False, sharex=one_scale)
    for spare in axes.flat[len(blocks) :]:
        spare.set_axis_off()
    return figure, zip(blocks, axes.flat, strict=False)


def columns(names: Sequence[str], width: float) -> int:
    """How many names fit beside each other in a legend below a figure of that width, inches."""
    each = 0.55 + 0.058 * max(map(len, names), default=0)  # a handle, and letters of 7 points
    return max(1, min(len(names), int(width / each)))


def legend_below(figure: Figure, handles: Sequence[Line2D], names: Sequence[str]) -> None:
    """A legend below the panels, in as many columns as fit."""
    fitting = columns(names, figure.get_figwidth())
    figure.legend(handles, names, loc="outside lower center", ncols=fitting, frameon=False)


def short(label: str, most: int = 34) -> str:
    """A label cut to `most` characters."""
    return label if len(label) <= most else f"{label[: most - 1].rstrip()}…"


def label_lines(axes: Axes, block: Block, look: Mapping[str, Look]) -> None:
    """One line per label from top to bottom: names in the leftmost panels, a rule before what is outside N.

    Above stands the dataset; a row without numbers says why.
    """
    labels = list(look)
    first = axes.get_subplotspec()
    leftmost = first is None or first.is_first_col()
    axes.set_ylim(len(labels) - 0.4, -0.6)
    axes.set_yticks(range(len(labels)), [short(label) for label in labels])
    axes.tick_params(axis="y", length=0, labelleft=leftmost)
    axes.tick_params(axis="x", labelbottom=True)
    axes.set_title("\n".join(textwrap.wrap(block.short, 38)), loc="left")
    axes.grid(axis="x", color="#e4e4e4", linewidth=0.5)
    axes.set_axisbelow(True)
    inside = sum(not own.is_open for own in look.values())
    if 0 < inside < len(labels):
        axes.axhline(inside - 0.5, color="#9a9a9a", linewidth=0.5)
    words = {row.label: row.word for row in block.rows}
    for y, label in enumerate(labels):
        word = words.get(label, "not asked for")
        axes.text(0.02, y, word, transform=axes.get_yaxis_transform(), va="center", color=_GREY, fontsize=6)


def saved(name: str, draw: Callable[[], Figure]) -> dict[str, bytes]:
    """A figure as svg, pdf and png; no date and no random id in any of them."""
    from matplotlib import style
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    found = {}
    with style.context(["default", {**STYLE, "svg.hashsalt": name}]):
        figure = draw()
        FigureCanvasAgg(figure)
        if (layout := figure.get_layout_engine()) is not None:
            layout.execute(figure)  # once for all kinds of file: it takes longer than drawing
            figure.set_layout_engine("none")
        nothing: dict[str, dict[str, str | None]] = {
            "svg": {"Date": None, "Creator": None, "Format": None, "Type": None},
            "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
            "png": {"Software": None},
        }
        for kind, metadata in nothing.items():
            out = io.BytesIO()
            figure.savefig(out, format=kind, dpi=200, metadata=metadata)
            found[kind] = out.getvalue()
    return found


def inline(name: str, svg: bytes) -> str:
    """The <svg> element alone, its ids made unique by the figure's name, for a page that holds several."""
    text = svg.decode()
    text = text[text.index("<svg") :]
    text = re.sub(r'\bid="([^"]+)"', rf'id="{name}-\1"', text)
    return re.sub(r'(url\(#|href="#)', rf"\g<1>{name}-", text)
