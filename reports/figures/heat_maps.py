"""Heat maps of distances between the same spots in the same order, as small multiples on one page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from reports.figures.drawing import PAGE
from reports.statistics.spot_distances import Ints

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage

ACROSS = 5
"""Heat maps in a line."""

COLOURS = 64
"""Steps of the colour scale: the eye sees no difference, and files are a quarter smaller."""

# Inches: a picture's side, where it begins, the bar of clusters and what parts it from the picture, room above for two
# lines, room below for the scale.
_SIDE, _LEFT, _BAR, _APART, _ABOVE, _BELOW = 1.24, 0.12, 0.05, 0.03, 0.36, 0.40

_LONGEST = 24  # letters of a name above a picture


@dataclass(frozen=True, eq=False)
class Panel:
    """One heat map. image: (pixels, pixels) distances, 1 at their 99th percentile; None: there is nothing to see."""

    name: str
    said: str
    colour: str
    image: NDArray[np.float32] | None


def heat_maps(panels: Sequence[Panel], clusters: Ints) -> Figure:
    """clusters: of each spot, in the order of the heat maps; where one ends the bar changes its colour.

    Laid out in inches, since every picture has the same size.
    """
    from matplotlib import colormaps
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle

    step = PAGE / ACROSS
    wide, high = step * min(ACROSS, len(panels)), (_ABOVE + _SIDE) * -(-len(panels) // ACROSS) + _BELOW
    figure = Figure(figsize=(wide, high))
    axes = figure.add_axes((0, 0, 1, 1))
    colours = colormaps["viridis"].resampled(COLOURS)
    turns = np.cumsum(np.diff(clusters, prepend=clusters[0]) != 0) % 2
    for place, panel in enumerate(panels):
        row, column = divmod(place, ACROSS)
        x, y = step * column + _LEFT, high - (_ABOVE + _SIDE) * (row + 1)
        bar, square = (x - _BAR - _APART, x - _APART, y, y + _SIDE), (x, x + _SIDE, y, y + _SIDE)
        axes.imshow(turns[:, None], "gray", extent=bar, vmin=0, vmax=1.5, interpolation="none")
        if panel.image is None:
            axes.add_patch(Rectangle((x, y), _SIDE, _SIDE, fill=False, edgecolor="#9a9a9a", linewidth=0.6))
            axes.text(x + _SIDE / 2, y + _SIDE / 2, "all distances\nare 0", ha="center", va="center", color="#767676")
        else:
            shown = axes.imshow(panel.image, colours, extent=square, vmin=0, vmax=1, interpolation="none")
        name = panel.name if len(panel.name) <= _LONGEST else f"{panel.name[: _LONGEST - 1]}…"
        axes.text(x, y + _SIDE + 0.03, f"{name}\n{panel.said}", color=panel.colour, va="bottom", linespacing=1.15)
    axes.set(xlim=(0, wide), ylim=(0, high), aspect="auto")
    axes.set_axis_off()
    _scale(figure, shown)
    return figure


def _scale(figure: Figure, shown: AxesImage) -> None:
    wide, high = figure.get_size_inches()
    axes = figure.add_axes((_LEFT / wide, 0.22 / high, _SIDE / 2 / wide, 0.06 / high))
    bar = figure.colorbar(shown, cax=axes, orientation="horizontal", ticks=[0, 1])
    axes.tick_params(length=0, pad=2)
    said = "distance of two spots / its 99th percentile in the panel"
    axes.text(1.12, 0.5, said, transform=axes.transAxes, va="center", fontsize=6.5)
    bar.outline.set_visible(False)
