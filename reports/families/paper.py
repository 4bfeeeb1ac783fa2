"""The paper's own tables, in its own layout: rows are variants, columns are datasets, five to a half.

Table 1 comes from the presets; Tables 2 to 4 are the accuracy scores of `backbones`, `modules` and `conditions`, the
last with its tick columns. Any other experiment gets the same layout without a number.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict

from experiments.presets import TABLE_1
from reports.families.accuracy_score import wide
from reports.family import Family, Section
from reports.reading.scores import Block, Comparison
from reports.reading.standings import Standing, standings
from reports.writing.counts import alike, grid, states
from reports.writing.lineage import kind
from reports.writing.tables import MISSING, TIED, Cell, Column, Emphasis, Footnotes, Line, Table, number
from reports.writing.wording import BIASED, HEADINGS, SCORE_NOTE, THINNED, TIED_NOTE, at_rate, marks

HALF = 5
"""Datasets side by side."""

TITLES = {
    "backbones": "Table 2. Result of different network backbones",
    "modules": "Table 3. Ablation of the condition and the latent embedding module",
    "conditions": "Table 4. Result of different condition embeddings",
}
"""The paper's tables, by the name of the experiment that fills them, without its size."""

_SPADIT = "spadit"
_SETTINGS = {
    "batch": "Batch size",
    "depth": "Depth",
    "steps": "Diffusion steps",
    "epochs": "Epochs",
    "heads": "Backbone heads",
    "hidden": "Hidden size",
    "learning_rate": "Learning rate",
    "mask_zero_ratio": "Mask zero ratio",
    "mask_nonzero_ratio": "Mask non-zero ratio",
    "latent_layers": "Latent layers",
}

_TEXT = (
    "The accuracy score (eq. 30) as the paper lays its tables out: ± is the standard deviation over seeds, bold the "
    f"best variant of a dataset, {TIED} one that cannot be told from it.",
    "The numbers that the paper prints in its Tables 2 to 4 lie near 0.5 and cannot be eq. 30: that gives 1 to N, and "
    "divided by N it averages (N + 1) / 2N over the variants, 0.67 for three backbones, whatever they predict. Compare "
    "orders with the paper, not numbers.",
)


def section(comparison: Comparison) -> Section | None:
    """The tables and their wide frame; nothing where no variant has a score."""
    frame = wide(comparison)
    if frame.empty:
        return None
    settings = (_hyper_parameters(),) if _runs_spadit(comparison) and comparison.asked.name.endswith("-paper") else ()
    return Section("The paper's layout", _TEXT, frame.reset_index(), (*settings, *_score_tables(comparison)))


FAMILY = Family(place=18, section=section)


# ---------------------------------------------------------------------------------------------------------------
# Tables 2 to 4


def _score_tables(comparison: Comparison) -> list[Table]:
    """Five datasets side by side; of several sampling rates a table per dataset, with a column per rate."""
    if len(comparison.rates) > 1:
        by_dataset: dict[str, list[Block]] = {}
        for block in comparison.blocks:
            by_dataset.setdefault(block.dataset, []).append(block)
        return [_table(comparison, blocks, f"rates-{name}", True) for name, blocks in by_dataset.items()]
    starts = range(0, len(comparison.blocks), HALF)
    rate = comparison.rates[0]
    names = [f"scores-{rate:g}-{place + 1}" for place in range(len(starts))]
    return [_table(comparison, comparison.blocks[i : i + HALF], n, False) for i, n in zip(starts, names, strict=True)]


def _table(comparison: Comparison, blocks: Sequence[Block], name: str, over_rates: bool) -> Table:
    notes = Footnotes()
    ticks = _encoders(comparison) if kind(comparison) == "conditions" else {}
    found = {block: {s.row.label: s for s in standings(block)} for block in blocks}
    groups = []
    for group, heading in HEADINGS.items():
        labels = dict.fromkeys(row.label for block in blocks for row in block.rows if row.group == group)
        groups.append((heading, tuple(_line(label, found, ticks, group == "control", notes) for label in labels)))
    if any(cell.text == MISSING for _, lines in groups for line in lines for cell in line.cells):
        notes.mark(MISSING, "no number: failed, skipped, not run whole, or no variant to be ranked among.")
    if any(cell.emphasis == "tied" for _, lines in groups for line in lines for cell in line.cells):
        notes.mark(TIED, TIED_NOTE)
    if "‡" in notes.found and any(block.rate < 1 for block in blocks):
        notes.found["‡"] = BIASED + THINNED  # whichever rate the first of them is of
    if any(block.places("control", "external") for block in blocks):
        notes.mark("( )", "outside N: what the row would have had if it alone had joined, out of N + 1.")
    heads = {block: f"rate {block.rate:g}" if over_rates else block.short for block in blocks}
    variants = alike({head: len(block.places("variant")) for block, head in heads.items()})
    genes = alike({head: block.n_genes for block, head in heads.items()})
    notes.mark("Numbers:", f"{SCORE_NOTE} Experiment {comparison.asked.name}; intervals: its accuracy-score tables.")
    notes.mark("N:", f"{variants}. Genes: {genes}.")
    title = TITLES.get(kind(comparison), f"Accuracy score of {comparison.asked.name}")
    more = f" ({name.rpartition('-')[2]})" if not over_rates and len(comparison.blocks) > HALF else ""
    where = f" on {blocks[0].name}, by sampling rate" if over_rates else f"{more}{at_rate(comparison, blocks[0].rate)}"
    columns = (*(Column(label, text=True) for label in ticks), *(Column(head, "↑") for head in heads.values()))
    size = f"{grid(blocks)}; {states([row for block in blocks for row in block.rows])}."
    return Table(name, f"{title}{where}", "Variant", columns, tuple(groups), notes.listed(), size)


def _line(
    label: str, found: dict[Block, dict[str, Standing]], ticks: dict[str, str], control: bool, notes: Footnotes
) -> Line:
    cells = [Cell("" if control else "✓" if label == tick else "✗") for tick in ticks]
    return Line(label, (*cells, *(_score(standings_of.get(label), notes) for standings_of in found.values())))


def _score(standing: Standing | None, notes: Footnotes) -> Cell:
    """The score with the marks that it has on its dataset; a word where there is no number."""
    if standing is None or math.isnan(standing.score):
        return Cell(MISSING if standing is None or not standing.row.word else standing.row.word)
    text = number(standing.score, 2)
    if not math.isnan(standing.seed_sd):
        text += f" ±{number(standing.seed_sd, 2)}"
    emphasis: Emphasis = "best" if standing.best else "tied" if standing.tied else ""
    shown = text if standing.row.group == "variant" else f"({text})"
    return Cell(shown + marks(standing, notes), standing.score, emphasis)


def _encoders(comparison: Comparison) -> dict[str, str]:
    """Labels of the variants whose condition encoder has a tick column, each with its encoder's class."""
    found = {}
    for label, facts in comparison.asked.variants.items():
        encoder = facts.get("component", {}).get("condition", {}).get("component", "").rpartition(":")[2]
        if encoder and encoder != "NoCondition":
            found[label] = encoder
    return found


# ---------------------------------------------------------------------------------------------------------------
# Table 1


def _runs_spadit(comparison: Comparison) -> bool:
    return any(facts.get("method") == _SPADIT for facts in comparison.asked.variants.values())


def _hyper_parameters() -> Table:
    lines = tuple(
        Line(dataset, tuple(Cell(f"{value:g}", float(value)) for value in asdict(preset).values()))
        for dataset, preset in TABLE_1.items()
    )
    notes = (("", "As the paper prints them. What this experiment ran with stands with each variant under Origin."),)
    columns = tuple(Column(_SETTINGS[name]) for name in asdict(next(iter(TABLE_1.values()))))
    caption = "Table 1. Hyper-parameters of SpaDiT (presets of the experiments at the size paper)"
    return Table("hyper-parameters", caption, "Dataset", columns, (("", lines),), notes)
