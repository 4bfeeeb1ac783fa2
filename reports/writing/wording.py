"""What reports say in words: marks, reasons, notes and the sentences at the top."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping

from harness.record import Record
from reports.reading.scores import Block, Comparison, Group
from reports.reading.standings import BAR, Standing, overall, standings
from reports.writing.budgets import budget
from reports.writing.counts import all_states, count, seeds_of
from reports.writing.tables import TIED, Footnotes, interval, number

HEADINGS: dict[Group, str] = {
    "variant": "",
    "control": "Controls (outside N)",
    "external": "Made elsewhere, not cleared by the audit (outside N)",
}
"""What stands at the rule above each group of rows."""

BIASED = (
    "biased: the mean |bias| over genes exceeds the mean standard deviation of the truth. SSIM and JS change with such "
    "an offset, whatever the pattern; PCC and RMSE do not."
)
THINNED = (
    " At a sampling rate below 1 that is to be expected: what methods see is thinned and the truth is not, so whatever "
    "keeps the level of its input predicts too little."
)
"""What the mark ‡ means, and what it means where the input was thinned."""

SCORE_NOTE = "accuracy score, the mean of a variant's ranks in PCC, SSIM, RMSE and JS: 1 to N, higher is better."
"""What a score is, where a table stands alone."""

TIED_NOTE = (
    "cannot be told from the best: the 95% interval of the difference of their AS, over the same resamples, includes 0 "
    "(so a row with a lower AS may have it, and one with a higher AS not)."
)

VERSUS_TEXT = (
    "Three columns compare rows, and may seem to disagree. vs ridge (accuracy score) is "
    "a verdict per dataset on AS: level means that 0 lies in the 95% interval over its genes. chance above ridge "
    "(across datasets) is the share of resamples of datasets and their genes in which the mean AS is higher than "
    "ridge's, a tie counting half: over one dataset level ends at about .975, or up to .99 where AS ties, so a chance "
    "of .98 can stand beside level. Neither is a test, and nothing is adjusted for how many rows there are. p "
    "(differences) is one: a signed-rank test over genes per row, dataset and metric, adjusted by Holm within the "
    "variants and within the controls. It asks after a metric such as PCC, not after AS, and of every row against the "
    "reference, not against ridge."
)
"""How the ways to compare with the bar relate."""

AS_TEXT = (
    "Accuracy score (AS): on each dataset the held-out genes of all folds are pooled, each metric is averaged over "
    "seeds and then over genes, the N variants are ranked on each of PCC, SSIM, RMSE and JS (best = N, ties share "
    "their average rank), and AS is the mean of the four ranks: from 1 to N, higher is better. AS says which of "
    "these variants is better, not how good any is: it changes when the roster does, so the raw means stand beside "
    "it. RMSE here follows from PCC, so AS weighs correlation twice; AS(PCC, SSIM) is the mean of those two ranks.",
    "The 95% interval resamples genes 2,000 times, the same for all variants; ± is the standard deviation over "
    f"seeds of the AS per seed, where a variant has several. Bold is the best variant; {TIED} marks those that cannot "
    "be told from it: the interval of the difference of their AS over the same resamples includes 0.",
    "Controls, and predictions in whose files the audit found the truth, stand outside N; in brackets is the AS each "
    "would have had if it alone had joined the N variants, out of N + 1. vs ridge compares the AS of a variant and of "
    "the low-rank ridge control, the bar, over the same resamples: above where the 95% interval of the difference lies "
    "above 0, below where it lies below, level where it holds 0. JS < flat is the share of genes whose JS is better "
    "than that of a flat prediction.",
    VERSUS_TEXT,
    "Over datasets, AS/N is averaged with each dataset weighing the same and ± is the standard deviation between "
    "datasets: once over the datasets that all variants finished, once over all of them with a failed variant ranked "
    "last (rank 1) on every metric; what a variant skips is never held against it.",
)
"""What the accuracy score means, a paragraph each."""


def at_rate(comparison: Comparison, rate: float) -> str:
    """The words ", sampling rate 0.5" where an experiment has several rates or one that is not 1; else nothing."""
    return "" if comparison.rates == (1.0,) else f", sampling rate {rate:g}"


def marks(standing: Standing, notes: Footnotes) -> str:
    """Footnote marks behind a row's label; their sentences go to the notes."""
    found = ""
    if standing.row.selection == "tuned on these genes":
        found += notes.mark("†", "tuned on these genes: the score is flattered and is not evidence.")
    if standing.row.group == "external":
        found += notes.mark("¶", "made elsewhere; the audit found the truth in its file, or never saw it.")
    elif standing.row.external:
        found += notes.mark("§", "made elsewhere; the audit of its files is clean.")
    if standing.biased:
        found += notes.mark(
            "‡",
            BIASED + (THINNED if standing.thinned else ""),
        )
    return found


def reason(standing: Standing, notes: Footnotes) -> str:
    """The word in place of a number; why goes to the notes."""
    row = standing.row
    if row.status in ("failed", "skipped"):
        trials = count(row.failed or row.skipped, "trial")
        notes.mark(f"{row.label}:", f"{row.word} ({trials} of {row.asked}). {row.reason}")
    return row.word


def at_highest(comparison: Comparison) -> str:
    """Which sampling rate a figure shows, where there are several."""
    return f" At the sampling rate of {comparison.rates[0]:g}." if len(comparison.rates) > 1 else ""


# ---------------------------------------------------------------------------------------------------------------
# The top of a report


def headline(comparison: Comparison) -> list[str]:
    """What was compared, and what came out, a sentence or two per dataset at the highest sampling rate."""
    blocks = [block for block in comparison.blocks if block.rate == comparison.rates[0]]
    groups = Counter(group_of(comparison).values())
    folds = [count(comparison.asked.folds, "fold")]
    if (asked := len({cell["fold"] for cell in comparison.asked.cells})) < comparison.asked.folds:
        folds = [f"{asked} of {folds[0]}"]
    if len(comparison.rates) > 1:
        folds.append(count(len(comparison.rates), "sampling rate"))
    said = [
        f"{count(groups['variant'], 'variant')} and {count(groups['control'], 'control')} compared on "
        f"{listed([block.name for block in blocks])}, {', '.join(folds)}, {seeds_of(comparison.blocks)}: "
        f"{all_states(comparison)}."
    ]
    if len(comparison.counted(comparison.rates[0])) > 1:
        said.append(_over_datasets(comparison))
    return said + [_verdict(comparison, block) for block in blocks]


def _over_datasets(comparison: Comparison) -> str:
    found = overall(comparison, comparison.rates[0], "finished by all")
    inside = [row for row in found.rows if row.row.group == "variant" and row.datasets]
    if not inside:
        return "No dataset was finished by all variants, so there is no mean over datasets to compare."
    top = max(row.share for row in inside)
    best = listed([row.row.label for row in inside if row.share == top])
    return (
        f"Over the {count(len(found.datasets), 'dataset')} that all variants finished, the highest mean AS/N is "
        f"that of {best}: {number(top, 2)}."
    )


def _verdict(comparison: Comparison, block: Block) -> str:
    where = f"{block.name}{at_rate(comparison, block.rate)}"
    inside = [s for s in standings(block) if s.row.group == "variant" and s.row.status == "complete"]
    if not inside:
        return f"{where}: no variant has finished every fold and seed, so none is ranked."
    best = [s for s in inside if s.best]
    tied = [s.row.label for s in inside if s.tied]
    if len(inside) == 1:
        said = f"{where}: only {best[0].row.label} has finished, so there is nothing to rank it against"
    else:
        said = (
            f"{where}: {listed([s.row.label for s in best])} {'leads' if len(best) == 1 else 'lead'} with an accuracy "
            f"score of {number(best[0].score, 2)} of {best[0].n} "
            f"(95% interval {interval(best[0].low, best[0].high, 2)} over {block.n_genes} genes); "
            + (f"not to be told from it: {listed(tied)}" if tied else "no other variant is tied with it")
        )
    above, level = ([s.row.label for s in inside if s.versus_bar == word] for word in ("above", "level"))
    if not any(s.versus_bar for s in inside):
        return said + "."
    bar = f"Better than low-rank ridge, the control to beat: {listed(above)}"
    if not above:
        bar = "No variant beats low-rank ridge, the control to beat"
    return f"{said}. {bar}{f'; level with it: {listed(level)}' if level else ''}."


def notes(comparison: Comparison) -> list[str]:
    """What a reader must know before believing the numbers; empty when there is nothing to say."""
    return [*_of_data(comparison), *_of_rows(comparison), *_of_runs(comparison), *_of_gaps(comparison)]


def _of_data(comparison: Comparison) -> Iterator[str]:
    """What the numbers are flagged for, and what is not as it should be with the data."""
    asked, each = comparison.asked, _each_dataset(comparison)
    for flag in dict.fromkeys([*asked.flags, *(flag for block in comparison.blocks for flag in block.flags)]):
        yield f"These numbers are flagged: {flag}."
    apart = "" if all(block.synthetic for block in each) else " Means over datasets are of the others."
    for block in each:
        if block.synthetic:
            yield f"{block.dataset} is not real data: {block.synthetic}.{apart}"
    for name, facts in asked.datasets.items():
        yield from (f"{name}: {remark}" for remark in facts.get("remarks", ()))


def _of_rows(comparison: Comparison) -> Iterator[str]:
    """What the rows are compared with, and which of them were tuned."""
    variants = comparison.asked.variants
    controls = [label for label, group in group_of(comparison).items() if group == "control"]
    if not any(variants[label].get("method") == BAR for label in controls):
        yield "Low-rank ridge, the control to beat, is not among the rows; a table without it flatters everybody."
    tuned: dict[str, list[str]] = {}
    for block in _each_dataset(comparison):
        for row in block.rows:
            if row.selection.startswith("tuned"):
                tuned.setdefault(row.label, []).append(block.dataset)
    for label in sorted(tuned):
        yield f"{label} was tuned on genes that it is scored on (†): those of {listed(tuned[label])}."
    for label, facts in variants.items():
        if "tuned" in facts:
            yield f"Tuning budget of {budget(label, facts['tuned'])}."


def _of_runs(comparison: Comparison) -> Iterator[str]:
    """Where rows were computed by different devices or code, or by code that nobody can look up."""
    devices = _by(comparison, lambda record: record.device)
    if len(devices) > 1:
        listing = "; ".join(f"{device}: {listed(labels)}" for device, labels in devices.items())
        yield f"Rows come from different devices, whose numbers may differ in the last digits ({listing})."
    codes = _by(comparison, lambda record: f"{record.variant_id} {record.code}")  # settings may differ between folds
    for label in group_of(comparison):
        own = [each.partition(" ") for each, labels in codes.items() if label in labels]
        mixed = sorted({code for variant, _, code in own if sum(variant == other for other, _, _ in own) > 1})
        if mixed:
            yield f"Trials of {label} were run by different code ({', '.join(mixed)}); run them again with --stale."
    if any(record.git.get("dirty") for record in comparison.records.values()):
        yield "Some trials were run from a working tree with uncommitted changes."


def _of_gaps(comparison: Comparison) -> Iterator[str]:
    """What was not asked for, left out, or is not shown here; and how noisy what was scored is."""
    asked = comparison.asked
    folds = {cell["fold"] for cell in asked.cells}
    if len(folds) < asked.folds:
        yield (
            f"Only {len(folds)} of {asked.folds} folds {'was' if len(folds) == 1 else 'were'} asked for, and no row is "
            "ranked before it has them all; the numbers of single genes are in `results.genes()`."
        )
    for block in comparison.blocks:
        where = f"{block.dataset}{at_rate(comparison, block.rate)}"
        if block.pooled.partial:
            yield f"{where}: {count(block.pooled.partial, 'gene')} left out for all because some rows lack them."
    for out in asked.excluded:
        what = out.get("dataset") or out.get("label") or "something"
        yield f"{what} was asked for but left out: {out.get('reason', '')}"
    if comparison.ceilings:
        listing = ", ".join(f"{dataset} {value:.3f}" for dataset, value in comparison.ceilings.items())
        yield (
            f"How noisy the truth is: one half of its counts has this mean PCC with the other half: {listing}. Both "
            "halves carry the noise of half depth, so a smooth method may pass it."
        )
    if comparison.older:
        yield (
            f"The store holds {count(len(comparison.older), 'earlier version')} of this experiment with another "
            f"definition ({', '.join(comparison.older)}), not shown here."
        )


def group_of(comparison: Comparison) -> Mapping[str, Group]:
    """Label -> group, over all blocks."""
    return {row.label: row.group for block in comparison.blocks for row in block.rows}


def listed(names: list[str]) -> str:
    """Names in a sentence: a; a and b; a, b and c."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}" if names else "none"


def spelled(described: object) -> str:
    """A component's canonical JSON as it would be written in Python: KFold(k=5, validation=0.2)."""
    if isinstance(described, Mapping) and "component" in described:
        name = str(described["component"]).rpartition(":")[2]
        fields = ", ".join(
            f"{key}={spelled(value)}"
            for key, value in described.items()
            if key not in ("component", "version", "source")
        )
        return f"{name}({fields})"
    if isinstance(described, list | tuple):
        return f"({', '.join(spelled(item) for item in described)})"
    return repr(described)


def _each_dataset(comparison: Comparison) -> list[Block]:
    return list({block.dataset: block for block in comparison.blocks}.values())


def _by(comparison: Comparison, value_of: Callable[[Record], str]) -> dict[str, list[str]]:
    """Value of a record -> labels of the rows with finished trials of that value, both in order."""
    found: dict[str, dict[str, None]] = {}
    for cell in comparison.asked.cells:
        if (record := comparison.records.get(cell["trial_id"])) is not None:
            found.setdefault(value_of(record), {})[cell["label"]] = None
    return {value: list(labels) for value, labels in sorted(found.items())}
