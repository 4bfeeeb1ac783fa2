"""Where a comparison's numbers come from: what was asked, what ran, by which code, and what gave no number."""

from __future__ import annotations

import re
import shlex
from collections import Counter
from typing import Any

from reports.reading.scores import Comparison
from reports.writing.counts import count
from reports.writing.tables import Cell, Column, Line, Table
from reports.writing.wording import listed, spelled


def kind(comparison: Comparison) -> str:
    """The experiment's name without its size: `backbones` of `backbones-tiny`."""
    return comparison.asked.name.rpartition("-")[0] or comparison.asked.name


def unfinished(comparison: Comparison) -> Table | None:
    """Failed and skipped trials, those with one reason together."""
    seen: dict[str, dict[str, Any]] = {}
    for cell in comparison.asked.cells:
        seen.setdefault(cell["trial_id"], cell)
    counts: Counter[tuple[str, ...]] = Counter()
    for trial_id, record in comparison.unfinished.items():
        cell = seen[trial_id]
        why = record.cause if record.status == "failed" else ""
        status = f"{record.status} ({why})" if why else record.status
        counts[cell["label"], cell["dataset"], f"{cell['sampling_rate']:g}", status, record.reason] += 1
    if not counts:
        return None
    lines = tuple(
        Line(label, (Cell(dataset), Cell(rate, float(rate)), Cell(status), Cell(str(n), n), Cell(reason)))
        for (label, dataset, rate, status, reason), n in sorted(counts.items())
    )
    columns = ("Dataset", "Rate", "Status", "Trials", "Reason")
    return Table(
        "unfinished",
        "Trials that gave no number: shown and counted, never averaged",
        "Variant",
        tuple(Column(heading, text=heading not in ("Rate", "Trials")) for heading in columns),
        (("", lines),),
    )


def protocol(comparison: Comparison) -> list[tuple[str, str]]:
    """(term, definition) of what was asked: task, protocol, split, metrics, and each dataset."""
    asked = comparison.asked
    said = [
        ("Task", spelled(asked.task)),
        ("Protocol", spelled(asked.protocol)),
        ("Split", f"{spelled(asked.split)}: {count(asked.folds, 'fold')}"),
        ("Sampling rates of the visible counts", ", ".join(f"{rate:g}" for rate in comparison.rates)),
        ("Flags", "; ".join(asked.flags) or "none"),
        ("Metrics", ", ".join(sorted({m for r in comparison.records.values() for m in r.trial.get("metrics", ())}))),
    ]
    for dataset, facts in asked.datasets.items():
        parts = [facts["title"]] if facts.get("title") else []
        parts += [f"{facts[key]} {key}" for key in ("spots", "cells") if facts.get(key) is not None]
        if dataset in comparison.panels:
            parts.append(f"{comparison.panels[dataset]} genes in the panel")
        parts += [f"content {facts.get('dataset_id', 'unknown')}", facts.get("synthetic") or "real data"]
        said.append((f"Dataset {dataset}", ", ".join(parts)))
    return [(term, definition) for term, definition in said if definition]


def origin(comparison: Comparison) -> list[tuple[str, str]]:
    """(term, definition) of what ran: store, versions, commit, devices, trials by state."""
    records = comparison.records.values()
    versions: dict[str, set[str]] = {}
    for record in records:
        for package, version in record.versions.items():
            versions.setdefault(package, set()).add(version)
    commits = {
        f"{r.git['commit'][:12]}{' with changes' if r.git.get('dirty') else ''}" for r in records if r.git.get("commit")
    }
    return [
        ("Store", comparison.store),
        ("Definition of the experiment", comparison.asked.definition),
        ("Versions", ", ".join(f"{package} {'/'.join(sorted(found))}" for package, found in sorted(versions.items()))),
        ("Commit", ", ".join(sorted(commits)) or "not recorded"),
        ("Devices", listed(sorted({record.device for record in records}))),
        ("Trials", ", ".join(f"{n} {state}" for state, n in comparison.trials().items())),
    ]


def typed(comparison: Comparison) -> list[str]:
    """The commands that asked for this, each once; without the Ray that computed it, which is not the reader's."""
    return list(dict.fromkeys(re.sub(r" --address[ =]\S+", "", command) for command in comparison.asked.commands))


def commands(comparison: Comparison) -> list[str]:
    """What was typed, and what makes this experiment's report of it."""
    report = f"spadit report --store {shlex.quote(comparison.store)} --out report --experiment {comparison.asked.name}"
    return [command for command in (*typed(comparison), report) if command]


def explain(comparison: Comparison) -> str:
    """The command that leads from a cell of a table to its trials, for the reference row of the first dataset."""
    cell = f"{comparison.asked.name}/{comparison.reference}/{comparison.blocks[0].dataset}"
    return f"spadit explain {shlex.quote(cell)} --store {shlex.quote(comparison.store)}"
