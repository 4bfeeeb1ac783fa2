"""Clusters of spots: whether spots that are alike in the measured values are alike in the predictions, and only those.

The supplement's Figure 1 shows ordered heat maps of the distances between spots; here each also has its numbers.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields

import pandas as pd

from reports.family import Drawing, Family, Section
from reports.figures.drawing import looks
from reports.figures.heat_maps import Panel, heat_maps
from reports.reading.clustered_rows import KEEP, SPOTS, Clustered, clustered
from reports.reading.scores import Comparison
from reports.reading.standings import Standing, standings
from reports.statistics.spot_clusters import HALVES, NUMBERS, Compared, Likeness
from reports.statistics.spot_distances import PIXELS
from reports.writing.counts import count
from reports.writing.tables import MISSING, TIED, Cell, Column, Emphasis, Footnotes, Line, Table, interval, number
from reports.writing.wording import HEADINGS, at_rate, listed, marks, reason

_TEXT = (
    "Do spots that are alike in the measured values come out alike? The distance of two spots is Euclidean, over the "
    "held-out genes of all folds together, log-normalised as they were scored. One prediction per row is used: that "
    "of the first seed whose every fold was kept. All rows have the same spots and genes. Of more than "
    f"{SPOTS:,} spots a sample is used: of every part of the tissue its share, or at random without coordinates.",
    "Agreement is the Pearson correlation, over all pairs of spots, of the distances in the prediction with those in "
    "the measured values (Mantel's statistic). Its 95% interval is from the jackknife over spots, since pairs that "
    f"share a spot are not independent; the genes are taken as given. Bold is the best variant; {TIED} marks those "
    "whose difference from it, over the same spots, has an interval that includes 0.",
    "Own cophenetic is another thing, and no merit: the correlation of a row's distances with the heights at which its "
    "own tree joins the spots, that is how well a tree describes them at all. Where it is low for the measured values, "
    "they hold little tree to be found.",
    "ARI, AMI, NMI and homogeneity compare k Ward clusters of the prediction with k Ward clusters of the measured "
    "values, and with the labels of the spots where there are any; how well the clusters of the measured values find "
    "the labels is the ceiling. ARI and AMI are 0 by chance; NMI and homogeneity are above it, the more so the more "
    "clusters. k is the number of labels; where there are none, that of "
    f"{NUMBERS[0]} to {NUMBERS[-1]} with the highest mean silhouette in the measured values.",
    "A clustering is one answer and has no interval. How far it hangs on which spots were measured is shown by the "
    f"lowest and the highest ARI of {HALVES} random halves of the spots, each clustered anew (the same halves for all "
    "rows). With half the spots these may lie to one side of the ARI of all.",
)


def section(comparison: Comparison) -> Section | None:
    """The family's tables, figures and tidy frame at the highest sampling rate; says so where nothing was kept."""
    blocks = [block for block in comparison.blocks if block.rate == comparison.rates[0]]
    if not any(block.labels for block in blocks):
        return None
    tried = [(block, clustered(comparison, block)) for block in blocks]
    found = [each for _, each in tried if isinstance(each, Clustered)]
    absent = [f"{block.name}: {why}" for block, why in tried if isinstance(why, str)]
    text = (*(_TEXT if found else ()), *((f"Not shown. {'; '.join(absent)}.",) if absent else ()))
    tables = [table for each in found for table in _tables(comparison, each)]
    drawings = [_drawing(comparison, each, place) for place, each in enumerate(found, 1)]
    return Section("Clusters of spots", text, as_frame(found), tuple(tables), tuple(drawings))


FAMILY = Family(place=60, section=section)


def as_frame(found: Sequence[Clustered]) -> pd.DataFrame:
    """One row per dataset and variant, and one of the measured values (group "truth"); empty: no number.

    agreement_low, _high: 95%, jackknife over spots. ari_low, _high: lowest and highest of the halves. label_*: beside
    the labels of the spots instead of the truth's clusters.
    """
    names = ["dataset", "synthetic", "sampling_rate", "variant", "group", "kept"]
    rows = [_record(each, *row) for each in found for row in _rows(each)]
    return pd.DataFrame(rows, columns=None if rows else names)


def _rows(found: Clustered) -> Iterator[tuple[str, str, Compared | None]]:
    yield from ((row.label, row.group, found.rows.get(row.label)) for row in found.block.rows)
    yield "measured values", "truth", found.truth


def _record(found: Clustered, label: str, group: str, row: Compared | None) -> dict[str, object]:
    low, high = row.agreement.interval if row else (math.nan, math.nan)
    return {
        "dataset": found.block.dataset,
        "synthetic": found.block.synthetic,
        "sampling_rate": found.block.rate,
        "variant": label,
        "group": group,
        "kept": row is not None,
        "agreement": row.agreement.value if row else math.nan,
        "agreement_low": low,
        "agreement_high": high,
        "own_cophenetic": row.cophenetic if row else math.nan,
        **_numbers("", row.clusters if row else None),
        **_numbers("label_", row.labels if row else None),
        "k": found.k,
        "k_from": "silhouette" if found.truth.labels is None else "labels",
        "spots": found.spots,
        "of_spots": found.of,
        "genes": found.genes,
    }


def _numbers(prefix: str, like: Likeness | None) -> dict[str, float]:
    return {prefix + each.name: math.nan if like is None else getattr(like, each.name) for each in fields(Likeness)}


# ---------------------------------------------------------------------------------------------------------------
# Tables

_LIKE = (
    Column("ARI", "↑"),
    Column("ARI of halves"),
    Column("AMI", "↑"),
    Column("NMI", "↑"),
    Column("homogeneity", "↑"),
)
_COLUMNS = (Column("agreement [95%]", "↑"), Column("own cophenetic"), *_LIKE)

Cells = Callable[[str], tuple[Cell, ...]]
"""Label of a kept row -> its cells."""


def _tables(comparison: Comparison, found: Clustered) -> Iterator[Table]:
    """Beside the measured values, and beside the labels where there are some."""
    where = f"on {found.block.name}{at_rate(comparison, found.block.rate)}"
    bold = _emphasis(found)

    def beside_measured(label: str) -> tuple[Cell, ...]:
        row = found.rows[label]
        close, own = row.agreement.value, row.cophenetic
        text = f"{number(close, 3)} {interval(*row.agreement.interval, 3)}" if math.isfinite(close) else MISSING
        return (Cell(text, close, bold.get(label, "")), Cell(number(own, 3), own), *_like_cells(row.clusters))

    # Beside themselves everything is 1, and says nothing.
    own = Cell(number(found.truth.cophenetic, 3), found.truth.cophenetic)
    truth = (Cell(""), own, *(Cell(""),) * len(_LIKE))
    caption = f"Clusters of spots {where}, predicted beside measured"
    yield _table(found, "measured", caption, _COLUMNS, beside_measured, truth)
    if found.truth.labels is not None:
        caption = f"Clusters of spots {where}, beside the labels of the spots"
        cells = _like_cells(found.truth.labels)
        yield _table(found, "labels", caption, _LIKE, lambda label: _like_cells(found.rows[label].labels), cells)


def _emphasis(found: Clustered) -> dict[str, Emphasis]:
    """The variant with the highest agreement, and those that are tied with it."""
    inside = [found.block.labels[i] for i in found.block.places("variant")]
    own = {label: found.rows[label].agreement for label in inside if label in found.rows}
    own = {label: each for label, each in own.items() if math.isfinite(each.value)}
    if not own:
        return {}
    best = max(own.values(), key=lambda each: each.value)
    tied: dict[str, Emphasis] = {label: "tied" for label, each in own.items() if each.tied(best)}
    return tied | {label: "best" for label, each in own.items() if each.value == best.value}


def _like_cells(like: Likeness | None) -> tuple[Cell, ...]:
    if like is None:
        return (Cell(MISSING),) * len(_LIKE)
    ari, *others = (Cell(number(value, 3), value) for value in (like.ari, like.ami, like.nmi, like.homogeneity))
    return (ari, Cell(f"{number(like.ari_low, 2)} to {number(like.ari_high, 2)}", like.ari_low), *others)


def _table(
    found: Clustered, name: str, caption: str, columns: tuple[Column, ...], cells: Cells, truth: tuple[Cell, ...]
) -> Table:
    notes = Footnotes()

    def line(standing: Standing) -> Line:
        label = standing.row.label
        if label in found.rows:
            return Line(label, cells(label), marks(standing, notes) + _flat(found.rows[label], notes))
        word = reason(standing, notes) or notes.mark("not kept", f"no predictions kept; {KEEP}.")
        return Line(label, (Cell(word), *(Cell(MISSING),) * (len(columns) - 1)), marks(standing, notes))

    groups = []
    for group, heading in HEADINGS.items():
        groups.append((heading, tuple(line(each) for each in standings(found.block) if each.row.group == group)))
    groups.append(("Clusters of the measured values", (Line("measured values", truth),)))
    if found.unkept:
        notes.mark(MISSING, "no number: there is no prediction to cluster.")
    notes.flags(found.block.flags)
    title = f"{found.block.dataset}-{found.block.rate:g}-{name}"
    return Table(title, caption, "Variant", columns, tuple(groups), notes.listed(), _size(found))


def _flat(row: Compared, notes: Footnotes) -> str:
    if math.isfinite(row.agreement.value):
        return ""
    return notes.mark(
        "◦", f"all spots are predicted alike: correlations are undefined ({MISSING}), and there is one cluster."
    )


def _size(found: Clustered) -> str:
    block, inside = found.block, [row for row in found.block.rows if row.group == "variant"]
    why = "highest mean silhouette" if found.truth.labels is None else "as many as labels"
    kept = sum(row.label in found.rows for row in inside)
    return (
        f"{count(len(inside), 'variant')} ({kept} with kept predictions) × 1 dataset × {count(block.folds, 'fold')} × "
        f"1 seed; {_spots(found)}, {count(found.genes, 'gene')}; k = {found.k} ({why})."
    )


def _spots(found: Clustered) -> str:
    if found.spots == found.of:
        return f"all {count(found.of, 'spot')}"
    return f"a sample of {found.spots:,} of {found.of:,} spots"


# ---------------------------------------------------------------------------------------------------------------
# Figures


def _drawing(comparison: Comparison, found: Clustered, place: int) -> Drawing:
    block = found.block
    absent = [f"{row.label} ({row.word or 'not kept'})" for row in block.rows if row.label in found.unkept]
    caption = (
        f"{block.name}{at_rate(comparison, block.rate)}: Euclidean distances between spots ({_spots(found)}) over "
        f"the log-normalised values of {count(found.genes, 'gene')}; predictions are those of the first seed that was "
        "kept. Both axes of a panel are spots, the same in all panels and in the order of the tree of the "
        f"measured values; the bar on the left of each shows its {count(found.k, 'cluster')}, grey and black in turn. "
        "Each panel is relative to its own 99th percentile, so that colours compare patterns and not sizes. With each "
        "name stands the agreement; grey names: controls and predictions made elsewhere."
        + (f" Pixels are means of several pairs of spots ({PIXELS} × {PIXELS})." if found.spots > PIXELS else "")
        + (f" Not shown: {listed(absent)}." if absent else "")
    )
    # Names come from a store that others may have written.
    name = f"clusters-{place}-{re.sub(r'[^A-Za-z0-9_-]', '_', block.dataset)}"
    colours = {label: look.colour if look.is_open else "black" for label, look in looks(comparison).items()}
    panels = [Panel("measured", count(found.k, "cluster"), "black", found.truth.image)]
    for row in block.rows:
        if (own := found.rows.get(row.label)) is not None:
            said = f"agreement {number(own.agreement.value, 2)}"
            panels.append(Panel(row.label, said, colours[row.label], own.image))
    return Drawing(name, caption, lambda: heat_maps(panels, found.strip))
