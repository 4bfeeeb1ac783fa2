"""`spadit report --summary FILE`: one Markdown page on all that a store holds, with what it supports and what not.

Every sentence and number is made from records; nothing is typed. The same store gives the same bytes.
"""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path

from harness.errors import BadInput
from harness.store import Store
from harness.store.files import LocalFiles
from reports.family import families
from reports.reading.scores import Comparison
from reports.report import comparisons
from reports.writing import lineage
from reports.writing.budgets import budgeted
from reports.writing.counts import count
from reports.writing.findings import RULE, findings
from reports.writing.tables import Table, markdown_lines, markdown_shared, markdown_text, shared
from reports.writing.wording import headline, notes

FIRST = ("baselines", "backbones", "modules", "conditions", "mask_ratios", "sparsity")
"""Experiments in the order of the paper; any other follows by name."""


def write_summary(store: Store, path: Path) -> Path:
    """Write the page; `BadInput` if the store has nothing to tell, or the path is a folder."""
    if path.is_dir():
        raise BadInput(f"{path} is a folder; give a file for the summary, such as {path / 'RESULTS.md'}.")
    LocalFiles(path.absolute().parent).write(path.name, summary(store).encode())
    return path


def summary(store: Store) -> str:
    """The page as text."""
    found = sorted(comparisons(store), key=lambda c: (_place(c), c.asked.name))
    parts = ["# Results", "", *_origin(store, found)]
    parts += [markdown_text(RULE), ""]
    for title, opening, bullets in findings(found):
        parts += [f"## {title}", "", opening, "", *(f"- {bullet}" for bullet in bullets)]
        parts += [""] if bullets else []
    for comparison in found:
        parts += _experiment(comparison)
    return "\n".join(parts).rstrip() + "\n"


def _place(comparison: Comparison) -> int:
    kind = lineage.kind(comparison)
    return FIRST.index(kind) if kind in FIRST else len(FIRST)


def _origin(store: Store, found: Sequence[Comparison]) -> list[str]:
    """How the page came about, and a fingerprint of all that it rests on."""
    records = {i: record for comparison in found for i, record in comparison.records.items()}
    unfinished = {i: record for comparison in found for i, record in comparison.unfinished.items()}
    rests_on = [f"{i} {record.prediction_sha256}" for i, record in sorted(records.items())]
    digest = hashlib.sha256("\n".join(rests_on).encode()).hexdigest()[:16]
    failed = sum(record.status == "failed" for record in unfinished.values())
    command = f"spadit report --store {shlex.quote(store.files.name)} --summary RESULTS.md"
    return [
        f"Written by `{command}` from {count(len(records), 'finished trial')} (fingerprint of their predictions: "
        f"{digest}), {failed} failed and {len(unfinished) - failed} skipped ones; nothing here is typed. The same "
        "trials, run again by the commands under each heading, give the same numbers; seconds differ.",
        "",
        "Nothing that a method is scored on was visible to it: see README.md, section *What the numbers mean*.",
        "",
    ]


def _experiment(comparison: Comparison) -> list[str]:
    asked = comparison.asked
    parts = [f"## {markdown_text(asked.name)}: {markdown_text(asked.title)}", ""]
    parts += ["```sh", *lineage.typed(comparison), "```", ""]
    parts += [*(f"- {markdown_text(said)}" for said in headline(comparison)), ""]
    once, apart = shared(list(_tables(comparison)))
    for table in apart:
        parts += _folded(table.caption, markdown_lines(table))
    parts += markdown_shared(once)
    known = [f"- {markdown_text(note)}" for note in notes(comparison)]
    known += [f"- {markdown_text(f'{term}: {said}')}" for term, said in _told(comparison)]
    return [*parts, *_folded("What must be known about these numbers, and where they come from", [*known, ""])]


def _folded(title: str, lines: Sequence[str]) -> list[str]:
    """Lines under a heading that opens them."""
    return ["<details>", f"<summary>{markdown_text(title)}</summary>", "", *lines, "</details>", ""]


def _told(comparison: Comparison) -> Iterator[tuple[str, str]]:
    """What was asked and what ran, but for what the page says anyway."""
    yield from lineage.protocol(comparison)
    yield from ((term, said) for term, said in lineage.origin(comparison) if term != "Store")


def _tables(comparison: Comparison) -> Iterator[Table]:
    """The tables of a comparison that answer its question; `spadit report` has all of them, and the figures."""
    chosen = ("robustness", "ablation") if len(comparison.rates) > 1 else ("paper", "accuracy_score", "ablation")
    for name, family in families().items():
        if name not in (*chosen, "costs", "audits"):
            continue
        section = family.section(comparison)
        for table in section.tables if section is not None else ():
            if _wanted(name, table, comparison):
                yield budgeted(table, comparison.asked)
    if (unfinished := lineage.unfinished(comparison)) is not None:
        yield unfinished


def _wanted(family: str, table: Table, comparison: Comparison) -> bool:
    if family == "costs":
        return table.name == "overall"
    if family == "ablation" and len(comparison.rates) > 1:  # the rate that the claims are about
        return table.name.endswith(f"-{comparison.rates[-1]:g}")
    if family == "paper":
        return lineage.kind(comparison) in ("backbones", "modules", "conditions") and table.name.startswith("scores")
    return True
