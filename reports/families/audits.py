"""Which rows were audited for leaks, on which dataset, and what came of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pandas as pd

from harness.record import MethodAudit
from reports.family import Family, Section
from reports.reading.scores import Comparison, Row
from reports.writing.counts import count
from reports.writing.tables import MISSING, Cell, Column, Footnotes, Line, Table
from reports.writing.wording import HEADINGS

_TEXT = (
    "A method is audited on one fold of a dataset: the held-out values are replaced by noise, then permuted over "
    "spots, in copies that a new process loads and from which the original cannot be read; another process answers "
    "another fold before. Clean means: the same answer, bit for bit, each time. It says that this code does not see "
    "that fold's truth; it does not say that the method is any good.",
    "What was predicted elsewhere cannot be run again. There the file is tested for the truth's zeros, its values, and "
    "less noise than any honest predictor could have.",
)

_OLDER = "°"


@dataclass(frozen=True)
class Verdict:
    """What is known of one row on one dataset. stages: the first stage that differed, of each check that failed."""

    row: Row
    dataset: str
    word: str
    stages: tuple[str, ...] = ()
    other_code: bool = False
    audit: MethodAudit | None = None


def verdicts(comparison: Comparison) -> list[Verdict]:
    """One per row and dataset that has any; the worst where a row was audited on several folds."""
    found = []
    for dataset, rows in _rows(comparison).items():
        for row in rows:
            own = [*_of_files(comparison, row, dataset), *_of_methods(comparison, row, dataset)]
            if own:
                found.append(min(own, key=lambda v: (v.word == "clean", v.other_code)))
    return found


def _rows(comparison: Comparison) -> dict[str, tuple[Row, ...]]:
    """Dataset -> its rows, at the highest sampling rate: the audit is of code and data, not of a rate."""
    return {block.dataset: block.rows for block in reversed(comparison.blocks)}


def _of_files(comparison: Comparison, row: Row, dataset: str) -> Iterator[Verdict]:
    for cell in comparison.asked.cells:
        record = comparison.records.get(cell["trial_id"])
        if record is not None and record.audit and cell["label"] == row.label and cell["dataset"] == dataset:
            tests = tuple(test["name"] for test in record.audit["tests"] if test["verdict"] == "leak")
            yield Verdict(row, dataset, record.audit["verdict"], tests)


def _of_methods(comparison: Comparison, row: Row, dataset: str) -> Iterator[Verdict]:
    asked = comparison.asked
    codes = {
        comparison.records[cell["trial_id"]].code
        for cell in asked.cells
        if (cell["label"], cell["dataset"]) == (row.label, dataset) and cell["trial_id"] in comparison.records
    }
    for audit in comparison.audits:
        variant = asked.variant_on(row.label, dataset, audit.fold)
        same = (variant["variant_id"], asked.datasets[dataset]["dataset_id"]) == (audit.variant_id, audit.dataset_id)
        if same:
            stages = tuple(check.stage for check in audit.checks if check.verdict != "clean")
            yield Verdict(row, dataset, audit.verdict, stages, bool(codes) and codes != {audit.code}, audit)


def section(comparison: Comparison) -> Section | None:
    """The table of verdicts; nothing where no row has one."""
    found = verdicts(comparison)
    if not found:
        return None
    return Section("Leakage audits", _TEXT, as_frame(found), (_table(comparison, found),))


FAMILY = Family(place=75, section=section)


def _table(comparison: Comparison, found: Sequence[Verdict]) -> Table:
    notes = Footnotes()
    rows = _rows(comparison)
    at = {(verdict.row.label, verdict.dataset): verdict for verdict in found}
    labels = {row.label: row for own in rows.values() for row in own}
    order = [labels[label] for label in comparison.asked.variants if label in labels]
    groups = []
    for group, heading in HEADINGS.items():
        own = [row for row in order if row.group == group]
        groups.append((heading, tuple(_line(row, list(rows), at, notes) for row in own)))
    if len(at) < len(order) * len(rows):
        notes.mark(MISSING, f"not audited; `spadit audit experiment {comparison.asked.name}` does it.")
    columns = tuple(Column(dataset, text=True) for dataset in rows)
    summary = f"{len(found)} of {count(len(order) * len(rows), 'row')} audited, rows counted on each dataset."
    caption = "Does a row see what it must not? Verdicts of the leakage audits"
    return Table("audits", caption, "Variant", columns, tuple(groups), notes.listed(), summary)


def _line(row: Row, datasets: Sequence[str], at: dict[tuple[str, str], Verdict], notes: Footnotes) -> Line:
    cells = []
    for dataset in datasets:
        verdict = at.get((row.label, dataset))
        if verdict is None:
            cells.append(Cell(MISSING))
            continue
        mark = notes.mark(_OLDER, "of other code than the trials were run by.") if verdict.other_code else ""
        seen = f" ({', '.join(dict.fromkeys(verdict.stages))})" if verdict.stages else ""
        cells.append(Cell(f"{verdict.word}{mark}{seen}", verdict.word))
    return Line(row.label, tuple(cells))


def as_frame(found: Sequence[Verdict]) -> pd.DataFrame:
    """One row per verdict; fold and what follows are empty for files that were made elsewhere."""
    rows = []
    for verdict in found:
        audit = verdict.audit
        rows.append(
            {
                "variant": verdict.row.label,
                "group": verdict.row.group,
                "dataset": verdict.dataset,
                "verdict": verdict.word,
                "stages": "; ".join(dict.fromkeys(verdict.stages)),
                "fold": audit.fold if audit else "",
                "hidden_values": audit.entries if audit else "",
                "code": audit.code if audit else "",
                "other_code": verdict.other_code,
                "audited_at": audit.audited_at if audit else "",
            }
        )
    return pd.DataFrame(rows)
