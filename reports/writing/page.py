"""One page per experiment: a single file that needs nothing from anywhere, readable by eye, keyboard and ear."""

from __future__ import annotations

import math
import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import jinja2
import numpy as np
import pandas as pd
from markupsafe import Markup

from reports.family import Section
from reports.figures.drawing import inline
from reports.reading.scores import Comparison
from reports.writing import latex
from reports.writing.tables import Cell, Column, Line, Table
from reports.writing.wording import count, headline, listed, notes, spelled

ROWS = 50_000
"""The most rows of a table that can be searched on the page; the CSV has all."""

DECIMALS = 4

_HEADINGS = {
    "dataset": "Dataset",
    "sampling_rate": "Rate",
    "gene": "Gene",
    "variant": "Variant",
    "pcc": "PCC ↑",
    "ssim": "SSIM ↑",
    "rmse": "RMSE ↓",
    "js": "JS ↓",
    "js_flat": "JS of flat",
    "bias": "bias",
    "truth_sd": "truth sd",
}


def render(
    comparison: Comparison,
    sections: Mapping[str, Section],
    drawings: Mapping[str, bytes],
    files: Mapping[str, Sequence[str]],
) -> str:
    """The page of a comparison. drawings: figure name -> SVG. files: section name -> what was written beside it."""
    asked = comparison.asked
    return _template("page.html.j2").render(
        name=asked.name,
        title=asked.title,
        headline=headline(comparison),
        notes=notes(comparison),
        sections=[
            {
                "name": name,
                "title": section.title,
                "text": section.text,
                "tables": section.tables,
                "figures": [
                    {"name": d.name, "caption": d.caption, "svg": Markup(inline(d.name, drawings[d.name]))}
                    for d in section.drawings
                ],
                "browse": _browse(section.frame, section.browse),
                "files": files[name],
            }
            for name, section in sections.items()
        ],
        unfinished=_unfinished(comparison),
        protocol=_protocol(comparison),
        origin=_origin(comparison),
        commands=_commands(comparison),
        explain=_explain(comparison),
        variants=_variants(comparison),
    )


def render_overview(store: str, entries: Sequence[Mapping[str, object]], empty: Sequence[str]) -> str:
    """The page that leads to several. entries: name, folder, title, headline. empty: names without a finished trial."""
    return _template("overview.html.j2").render(store=store, entries=entries, empty=empty)


def _template(name: str) -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("reports"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
    )
    environment.filters["latex"] = lambda table: latex.fragment([table])
    return environment.get_template(name)


def _browse(frame: pd.DataFrame, names: tuple[str, ...]) -> dict[str, Any] | None:
    """A frame's columns, compact: words as places in a list, numbers rounded; an equal share for each dataset."""
    if not names:
        return None
    datasets = frame["dataset"].nunique()
    kept = frame.groupby("dataset", sort=False).head(max(1, ROWS // datasets))
    words: list[list[str] | None] = []
    columns: list[list[object]] = []
    for name in names:
        if pd.api.types.is_numeric_dtype(kept[name]):
            words.append(None)
            values = np.round(kept[name].to_numpy(np.float64), DECIMALS)
            columns.append([None if math.isnan(value) else float(value) for value in values])
        else:
            codes, found = pd.factorize(kept[name])
            words.append([str(word) for word in found])
            columns.append([int(code) for code in codes])
    return {
        "headings": [_HEADINGS.get(name, name) for name in names],
        "choices": [
            {"heading": _HEADINGS[name], "column": i, "options": words[i]}
            for i, name in enumerate(names)
            if name in ("dataset", "variant") and len(words[i] or ()) > 1
        ],
        "rows": len(kept),
        "total": len(frame),
        "data": {"words": words, "decimals": DECIMALS, "rows": list(map(list, zip(*columns, strict=True)))},
    }


def _unfinished(comparison: Comparison) -> Table | None:
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


def _protocol(comparison: Comparison) -> list[tuple[str, str]]:
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


def _origin(comparison: Comparison) -> list[tuple[str, str]]:
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


def _commands(comparison: Comparison) -> list[str]:
    report = f"spadit report --store {shlex.quote(comparison.store)} --out report --experiment {comparison.asked.name}"
    return [command for command in (*comparison.asked.commands, report) if command]


def _explain(comparison: Comparison) -> str:
    """The command that leads from a cell of a table to its trials, for the reference row of the first dataset."""
    cell = f"{comparison.asked.name}/{comparison.reference}/{comparison.blocks[0].dataset}"
    return f"spadit explain {shlex.quote(cell)} --store {shlex.quote(comparison.store)}"


def _variants(comparison: Comparison) -> list[dict[str, str]]:
    codes: dict[str, set[str]] = {}
    for cell in comparison.asked.cells:
        if (record := comparison.records.get(cell["trial_id"])) is not None:
            codes.setdefault(cell["label"], set()).add(record.code)
    return [
        {
            "label": label,
            "id": str(facts.get("variant_id", "")),
            "code": ", ".join(sorted(codes.get(label, ()))),
            "settings": spelled(facts.get("component", {})),
        }
        for label, facts in comparison.asked.variants.items()
    ]
