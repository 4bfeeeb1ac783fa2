"""Ranks as pictures: accuracy scores over datasets, and which variant is first on which gene."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from reports.family import Drawing, Family, Section
from reports.figures.drawing import COLUMN, Look, drawn_blocks, drawn_looks, label_lines, panels, short
from reports.reading.scores import Block, Comparison
from reports.reading.standings import standings
from reports.statistics import ranking
from reports.statistics.ranking import Floats
from reports.writing.counts import count, rests_on
from reports.writing.tables import number
from reports.writing.wording import at_highest, listed

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage

FEWEST = 5
"""Datasets from which a box is drawn; fewer are points with their median."""

MOST = 2000
"""Genes that one heat map shows; of more, so many at equal distances in their order."""

_AS_TEXT = (
    "How AS/N varies from dataset to dataset: the accuracy score of a row on each dataset, divided by the number of "
    "variants ranked there. A dataset that a variant did not finish is not among its points, even if it failed there; "
    "the overall tables count failures."
)

_GENE_TEXT = (
    "Which variant is best on which gene: on every gene the N variants are ranked by their PCC, averaged over seeds "
    "(best = N, ties share their average rank). This is not the accuracy score, which ranks means over genes and never "
    "single genes: a variant can be first on most genes by a little and lose on the mean. If all N variants were "
    "equally good, each would be first on 1/N of the genes."
)

_COLUMNS = ("dataset", "synthetic", "sampling_rate", "variant", "statistic", "value", "low", "high", "n_variants")


def section(comparison: Comparison) -> Section | None:
    """Both figures at the highest sampling rate, or why one is not here; the frame has every rate."""
    if not any(block.places("variant") for block in drawn_blocks(comparison)):
        return None
    parts = (_over_datasets(comparison), _over_genes(comparison))
    text = tuple(sentence for sentence, _ in parts)
    drawings = tuple(drawing for _, drawing in parts if drawing is not None)
    return Section("Ranks over genes and datasets", text, as_frame(comparison), drawings=drawings)


def _over_datasets(comparison: Comparison) -> tuple[str, Drawing | None]:
    if len(_datasets(_shares(comparison))) < 2:
        return "No box plot of AS/N over datasets: it needs two datasets on which variants are ranked.", None
    return _AS_TEXT, Drawing("as_over_datasets", _as_caption(comparison), lambda: _as_figure(comparison))


def _over_genes(comparison: Comparison) -> tuple[str, Drawing | None]:
    ranked = [block for block in drawn_blocks(comparison) if len(block.places("variant")) > 1]
    if not ranked:
        return "No ranks per gene: on no dataset are there two variants to rank.", None
    return _GENE_TEXT, Drawing(
        "gene_ranks", _gene_caption(comparison, ranked), lambda: _gene_figure(comparison, ranked)
    )


FAMILY = Family(place=15, section=section)


# ---------------------------------------------------------------------------------------------------------------
# Ranks


def gene_ranks(pcc: Floats) -> Floats:
    """(V, G) PCC -> (V, G) rank of each variant on each gene: best = V, worst = 1, ties share their average."""
    ranks: Floats = rankdata(np.round(pcc, ranking.TIE_DECIMALS), axis=0)
    return ranks


def first(ranks: Floats) -> Floats:
    """(V, G) ranks -> (V, G) share of the first place: 1 where a variant alone is best, 1/k where k tie, else 0."""
    best = ranks == ranks.max(axis=0)
    return best / best.sum(axis=0)


def as_frame(comparison: Comparison) -> pd.DataFrame:
    """One row per block, variant and statistic: share of genes on which it is first, and its mean rank per gene.

    low, high: 95% interval from resampling genes. Only blocks with at least two complete variants.
    """
    rows = [row for block in comparison.blocks if block.n_genes for row in _rows(block)]
    return pd.DataFrame(rows, columns=[*_COLUMNS, "genes"])


def _rows(block: Block) -> Iterator[tuple[object, ...]]:
    inside = block.places("variant")
    if len(inside) < 2:
        return
    ranks = gene_ranks(block.averaged[inside, :, 0])
    both = np.stack([first(ranks), ranks], axis=-1)
    low, high = ranking.interval(ranking.resampled_means(both, ranking.resamples(block.n_genes)))
    for v, place in enumerate(inside):
        for i, name in enumerate(("share first", "mean rank")):
            row = (block.dataset, block.synthetic, block.rate, block.labels[place], name)
            yield (*row, both[v, :, i].mean(), low[v, i], high[v, i], len(inside), block.n_genes)


# ---------------------------------------------------------------------------------------------------------------
# AS/N over datasets


Shares = dict[str, dict[str, float]]
"""Label -> dataset -> AS/N."""


def _shares(comparison: Comparison) -> Shares:
    """At the highest sampling rate, where at least two variants are ranked; controls as if each alone had joined."""
    found: Shares = {label: {} for label in drawn_looks(comparison)}
    for block in drawn_blocks(comparison):
        if len(block.places("variant")) > 1:
            for standing in standings(block):
                if not math.isnan(standing.share):
                    found[standing.row.label][block.name] = standing.share
    return {label: shares for label, shares in found.items() if shares}


def _datasets(shares: Shares) -> list[str]:
    return list(dict.fromkeys(name for of_row in shares.values() for name in of_row))


def _as_caption(comparison: Comparison) -> str:
    datasets = _datasets(_shares(comparison))
    drawn = "" if len(datasets) >= FEWEST else f" A box needs {FEWEST} datasets, so there is none."
    return (
        f"AS/N (accuracy score over number of variants, at most 1, no unit) over {count(len(datasets), 'dataset')}: "
        f"a point per dataset, in each row from top to bottom {listed(datasets)}; thick line: median of the datasets; "
        f"box: their first to third quartile.{drawn} n: datasets with a score. "
        "Grey: controls and predictions made elsewhere, what each would have had if it alone had joined, over N + 1. "
        f"{rests_on(drawn_blocks(comparison))}{at_highest(comparison)}"
    )


def _as_figure(comparison: Comparison) -> Figure:
    from matplotlib.figure import Figure

    over, look = _shares(comparison), drawn_looks(comparison)
    datasets = _datasets(over)
    spread = dict(zip(datasets, np.linspace(-0.3, 0.3, len(datasets)), strict=True))
    tall = max(0.22, 0.04 * len(datasets))
    figure = Figure(figsize=(1.4 * COLUMN, 0.55 + tall * len(over)), layout="constrained")
    axes = figure.subplots()
    for y, (label, shares) in enumerate(over.items()):
        _as_row(axes, y, look[label], shares, spread)
    inside = sum(not look[label].is_open for label in over)
    if 0 < inside < len(over):
        axes.axhline(inside - 0.5, color="#9a9a9a", linewidth=0.5)
    axes.set_ylim(len(over) - 0.5, -0.5)
    axes.set_yticks(range(len(over)), [short(label) for label in over])
    axes.tick_params(axis="y", length=0)
    axes.set_xlim(0, 1.03)
    axes.grid(axis="x", color="#e4e4e4", linewidth=0.5)
    axes.set_axisbelow(True)
    axes.set_xlabel("AS/N, higher is better")
    return figure


def _as_row(axes: Axes, y: int, own: Look, shares: Mapping[str, float], spread: Mapping[str, float]) -> None:
    values = np.array(list(shares.values()))
    low, median, high = np.percentile(values, [25, 50, 75])
    if len(values) >= FEWEST:
        axes.barh(y, high - low, 0.8, low, facecolor="white", edgecolor=own.colour, linewidth=0.9, zorder=2)
    axes.plot([median, median], [y - 0.4, y + 0.4], color=own.colour, linewidth=1.8, zorder=3)
    heights = [y + spread[name] for name in shares]
    axes.plot(values, heights, own.marker, color=own.colour, markerfacecolor=own.face, markersize=2.6, zorder=4)
    axes.text(1.01, y, f"n={len(values)}", transform=axes.get_yaxis_transform(), va="center", fontsize=6)


# ---------------------------------------------------------------------------------------------------------------
# Ranks per gene


def _gene_caption(comparison: Comparison, ranked: list[Block]) -> str:
    said = (
        "Rank of each variant in PCC on every gene, from last (dark) to first (bright), genes sorted by their mean PCC "
        "over the variants; at the right the share of genes on which it is first (ties share). This shows how often a "
        "variant is first on a gene and is not the accuracy score, which never ranks single genes. PCC of a gene is "
        f"averaged over seeds. Across: genes; down: variants. {rests_on(ranked)}"
    )
    many = [f"{block.name} ({block.n_genes} genes)" for block in ranked if block.n_genes > MOST]
    if many:
        said += f" Of {listed(many)}, {MOST} at equal distances in that order are drawn; the shares are of all genes."
    alone = [block.name for block in drawn_blocks(comparison) if len(block.places("variant")) < 2]
    if alone:
        said += f" Not shown, with fewer than two variants: {listed(alone)}."
    return said + at_highest(comparison)


def _gene_figure(comparison: Comparison, ranked: list[Block]) -> Figure:
    variants = {
        label: look
        for label, look in drawn_looks(comparison).items()
        if any(label in (block.labels[place] for place in block.places("variant")) for block in ranked)
    }
    figure, axes_of = panels(ranked, len(variants), one_scale=False)
    drawn = []
    for block, axes in axes_of:
        label_lines(axes, block, variants)
        drawn.append(axes)
        image = _heat(axes, block, list(variants))
    bar = figure.colorbar(image, ax=drawn, location="bottom", shrink=0.3, aspect=30, pad=0.02, ticks=[0, 1])
    bar.ax.set_xticklabels(["last (rank 1)", "first (rank N)"])
    bar.ax.tick_params(length=0)
    bar.outline.set_visible(False)
    return figure


def _heat(axes: Axes, block: Block, labels: list[str]) -> AxesImage:
    inside = block.places("variant")
    pcc = block.averaged[inside, :, 0]
    ranks = gene_ranks(pcc)
    order = np.argsort(-pcc.mean(axis=0), kind="stable")
    if len(order) > MOST:
        order = order[np.linspace(0, len(order) - 1, MOST).round().astype(int)]
    cells = np.full((len(labels), len(order)), math.nan)
    for v, place in enumerate(inside):
        y = labels.index(block.labels[place])
        cells[y] = (ranks[v, order] - 1) / (len(inside) - 1)
        share = f"{number(100 * first(ranks)[v].mean(), 0)}%"
        axes.text(1.01, y, share, transform=axes.get_yaxis_transform(), va="center", fontsize=6)
    extent = (0, block.n_genes, len(labels) - 0.5, -0.5)
    image = axes.imshow(cells, "cividis", vmin=0, vmax=1, aspect="auto", interpolation="none", extent=extent, zorder=3)
    axes.set_xlabel(f"{block.n_genes} genes by falling PCC, N = {len(inside)}")
    axes.set_xticks([])
    return image
