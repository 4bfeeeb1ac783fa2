"""How hard each tuned row was tuned: a sentence that stands under every table in which it does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from harness.record import Asked
from reports.published import METRICS
from reports.writing.tables import Table

MARK = "Tuned:"


def budgeted(table: Table, asked: Asked) -> Table:
    """The table with the tuning budget of its rows as a footnote; as it is where none was tuned."""
    labels = [line.label for _, lines in table.groups for line in lines]
    said = [
        budget(label, asked.variants[label]["tuned"]) for label in labels if "tuned" in asked.variants.get(label, {})
    ]
    if not said:
        return table
    text = f"{'; '.join(dict.fromkeys(said))}. No other row was tuned here."
    return replace(table, footnotes=(*table.footnotes, (MARK, text)))


def budget(label: str, tuned: Mapping[str, Any]) -> str:
    """How many configurations were tried for a row, and by which genes its settings were chosen."""
    studies = tuned["studies"]
    tried, distinct = (sum(int(study[name]) for study in studies) for name in ("tried", "distinct"))
    most = max(int(study["tried"]) for study in studies)
    names = {metric.name: metric.label for metric in METRICS} | {"as": "AS among the controls"}
    by = " and ".join(names.get(name, name) for name in tuned["metric"])
    where = (
        f"nested, {most} configurations in each of {len(studies)} folds ({tried} in all, {distinct} different), by "
        f"{by} on genes that are visible there"
        if tuned["selection"] == "nested"
        else f"elsewhere, {tried} configurations ({distinct} different), by {by} on other datasets"
    )
    return f"{label}: {where}"
