"""How much a table rests on: rows, datasets, folds, seeds and trials; a product stands only where it is the number."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from reports.reading.scores import Block, Comparison, Group, Row

_NAMES: dict[Group, str] = {"variant": "variant", "control": "control", "external": "external row"}


def count(n: int, thing: str) -> str:
    """A number of things: 1 fold, 5 folds."""
    return f"{n} {thing}" if n == 1 else f"{n} {thing}s"


def size(block: Block) -> str:
    """Rows x folds x seeds of one block, and what became of its genes and trials."""
    n = len(block.places("variant"))
    genes = f"{block.n_genes} genes scored"
    if block.pooled.constant:
        genes += f" ({block.pooled.constant} constant in the truth, not scored)"
    if block.pooled.partial:
        genes += f" ({block.pooled.partial} left out because some rows lack them)"
    return f"{grid([block])}; N = {count(n, 'variant')} finished; {genes}; {states(block.rows)}."


def grid(blocks: Sequence[Block]) -> str:
    """Rows, datasets, sampling rates, folds and seeds of blocks, and how many trials that makes.

    A control or a method without randomness has one seed, and what is partly asked for is no grid: then the number of
    trials is no product, none is given, and the seeds of the rows are said in words.
    """
    rows = [row for block in blocks for row in block.rows]
    labels = {row.label: row for row in rows}
    datasets, rates = (len({getattr(block, name) for block in blocks}) for name in ("dataset", "rate"))
    folds, seeds, trials = blocks[0].folds, max(block.seeds for block in blocks), sum(row.asked for row in rows)
    sides = [_rows(list(labels.values())), count(datasets, "dataset")]
    sides += [count(rates, "sampling rate")] if rates > 1 else []
    said = " × ".join([*sides, count(folds, "fold")])
    if len(rows) < len(labels) * datasets * rates:
        said += " (not every row is asked for on all of them)"
    elif trials == len(rows) * folds * seeds:
        return f"{said} × {count(seeds, 'seed')} = {count(trials, 'trial')}"
    return f"{said}; {seeds_of(blocks)}"


def _rows(rows: Sequence[Row]) -> str:
    groups = Counter(row.group for row in rows)
    return f"{count(len(rows), 'row')} ({', '.join(count(groups[g], name) for g, name in _NAMES.items() if groups[g])})"


def seeds_of(blocks: Sequence[Block]) -> str:
    """How many seeds the rows have: in one number, or in words where they differ."""
    most = max(block.seeds for block in blocks)
    own: dict[str, int] = {}
    for row in (row for block in blocks for row in block.rows):
        own[row.label] = max(row.seeds, own.get(row.label, 1))
    found = Counter(own.values())
    if set(found) == {most}:
        return count(most, "seed")
    parts = [f"{count(rows, 'row')} with {count(n, 'seed')}" for n, rows in sorted(found.items(), reverse=True)]
    return f"{', '.join(parts)}{' that serves for all' if 1 in found and most > 1 else ''}"


def alike(numbers: Mapping[str, int]) -> str:
    """Numbers by name; one alone where they are all the same."""
    if len(set(numbers.values())) == 1:
        return f"{next(iter(numbers.values()))}"
    return ", ".join(f"{name}: {n}" for name, n in numbers.items())


def rests_on(blocks: Sequence[Block]) -> str:
    """What a figure of these blocks rests on, for its caption: genes, folds and seeds."""
    genes = ", ".join(f"{block.short} {block.n_genes}" for block in {block.dataset: block for block in blocks}.values())
    return f"Genes: {genes}; {count(blocks[0].folds, 'fold')}, {seeds_of(blocks)}."


def states(rows: Sequence[Row]) -> str:
    """How many of the trials of these rows finished, failed, were skipped or not run."""
    trials, done, failed, skipped = (sum(getattr(r, n) for r in rows) for n in ("asked", "done", "failed", "skipped"))
    left = trials - done - failed - skipped
    return f"{done} of {count(trials, 'trial')} finished, {failed} failed, {skipped} skipped, {left} not run"


def all_states(comparison: Comparison) -> str:
    """The same of an experiment, where a trial that serves several rows counts once."""
    found, trials = comparison.trials(), len(comparison.asked.trial_ids)
    once = _shares(comparison)
    return (
        f"{found['finished']} of {count(trials, 'trial')} finished, {found['failed']} failed, {found['skipped']} "
        f"skipped, {found['not run']} not run" + (" (a trial that serves several rows counts once)" if once else "")
    )


def _shares(comparison: Comparison) -> bool:
    """Whether a trial serves several rows, as one does that is asked for under two labels."""
    labels: dict[str, set[str]] = {}
    for cell in comparison.asked.cells:
        labels.setdefault(cell["trial_id"], set()).add(cell["label"])
    return any(len(own) > 1 for own in labels.values())
