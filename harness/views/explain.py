"""`spadit explain`: from a table's cell back to trials, seeds, folds, genes, code, and the command that reruns it.

The means are computed here from the per-gene files, and stand beside what the report prints: two ways to one number.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

from harness.errors import BadInput
from harness.metrics import metrics
from harness.record import Asked
from harness.store import Store
from harness.views._explained import print_explain
from harness.views._gene_facts import averaged_genes, extremes, gene_facts, plain
from harness.views._rerun import rerun, runs_by_name, searched
from harness.views._target import Target, cells_of, resolve
from harness.views._trial_facts import code_today, trial_facts

__all__ = ["explain_facts", "print_explain"]


def explain_facts(store: Store, target: str) -> dict[str, Any]:
    """What stands behind `EXPERIMENT/VARIANT/DATASET[/GENE]`, as plain JSON (numbers that are not there are None).

    rates: per sampling rate, falling: `table` (what the report prints of this row), `means` (computed from the per-gene
    files: seeds first, then genes), `trials` (one per distinct trial, whatever its state; of a gene only those that
    hold it out), and `genes` (the best and the worst) or, where a gene is named, `gene`. rerun: the command that
    computes the whole cell anew in a store of its own; None where no `spadit run` asked for it.
    Raises `BadInput` with the nearest names for what the store does not hold.
    """
    found = resolve(store, target)
    asked = found.asked
    variant = asked.variant_on(found.label, found.dataset)
    code, why = code_today(variant["component"])
    by_command = runs_by_name(asked) or searched(asked) is not None
    rates = sorted({float(cell["sampling_rate"]) for cell in found.cells}, reverse=True)
    return {
        "target": target,
        "store": store.where,
        "experiment": asked.name,
        "title": asked.title,
        "definition": asked.definition,
        "definitions": [_definition(each, found) for each in found.versions],
        "variant": found.label,
        "method": variant["method"],
        "variant_id": variant["variant_id"],
        "control": variant["control"],
        "component": variant["component"],
        "code_today": code,
        "code_unknown_because": why,
        "dataset": found.dataset,
        "dataset_id": asked.datasets[found.dataset]["dataset_id"],
        "synthetic": asked.datasets[found.dataset].get("synthetic", ""),
        "protocol_id": asked.protocol_id,
        "split": asked.split,
        "flags": list(asked.flags),
        "gene": found.gene or None,
        "rates": [_rate(store, found, rate) for rate in rates],
        "tuned": variant.get("tuned"),
        "rerun": rerun(asked, _last_seed(found), f"{store.where}-again", fold=False) if by_command else None,
        "asked_by": list(asked.commands),
    }


def _last_seed(found: Target) -> Mapping[str, Any]:
    """The cell of the highest seed: a command that reaches it reaches all."""
    return max(found.cells, key=lambda cell: int(cell["seed"]))


def _definition(asked: Asked, found: Target) -> dict[str, Any]:
    return {
        "definition": asked.definition,
        "asked_at": asked.asked_at,
        "variants": len(asked.variants),
        "holds_the_cell": bool(cells_of(asked, found.label, found.dataset)),
        "explained": asked is found.asked,
        "reported": asked is found.versions[-1],
    }


def _rate(store: Store, found: Target, rate: float) -> dict[str, Any]:
    asked = found.asked
    folds = {int(cell["fold"]) for cell in found.cells}  # whose settings, and so whose code, may differ
    codes = {f: code_today(asked.variant_on(found.label, found.dataset, f)["component"])[0] for f in folds}
    cells = [cell for cell in found.cells if float(cell["sampling_rate"]) == rate]
    ids = list(dict.fromkeys(cell["trial_id"] for cell in cells))
    records = {record.trial_id: record for record in [*store.records(ids), *store.unfinished(ids)]}
    of = {i: [cell for cell in cells if cell["trial_id"] == i] for i in ids}
    trials = [trial_facts(store, found, of[i], records.get(i), codes[int(of[i][0]["fold"])]) for i in ids]
    whole = [trial["trial_id"] for trial in trials if trial["status"] == "ok" and _readable(trial)]
    rows = store.genes([records[trial_id] for trial_id in whole])
    table, genes = _table(store, found, rate)
    names = [name for name in metrics() if name in rows or not len(rows)]
    averaged = averaged_genes(rows, names)
    used = averaged if genes is None else averaged[averaged.index.isin(genes)]
    means = {name: plain(used[name].mean()) for name in names}
    facts = {
        "sampling_rate": rate,
        "table": table,
        "means": means,
        "genes_averaged": len(used),
        "agrees": _agrees(means, table),
        "trials": trials,
        "complete": len(whole) == len(ids),
    }
    if not found.gene:
        return facts | {"genes": extremes(store, averaged, rows)}
    gene = gene_facts(store, found, rows, averaged, names)
    return facts | {"gene": gene, "trials": [t for t in trials if not gene["folds"] or t["fold"] in gene["folds"]]}


def _readable(trial: Mapping[str, Any]) -> bool:
    """Whether the per-gene file is what the record says it is."""
    return all(file["state"] == "whole" for file in trial["files"] if file["name"].startswith("genes/"))


def _table(store: Store, found: Target, rate: float) -> tuple[dict[str, Any], set[str] | None]:
    """What the report prints of the row, and the genes that it averages: those that all finished rows have."""
    from reports.published import METRICS
    from reports.reading.scores import read
    from reports.reading.standings import standings

    asked = found.asked
    part = dataclasses.replace(asked, cells=tuple(c for c in asked.cells if c["dataset"] == found.dataset))
    try:
        (block,) = (block for block in read(store, part).blocks if block.rate == rate)
    except BadInput as error:
        return {"status": "unreadable", "reason": str(error)}, None
    (standing,) = (standing for standing in standings(block) if standing.row.label == found.label)
    names = [metric.name for metric in METRICS]
    row = standing.row
    return {
        "status": row.status,
        "reason": row.word and (row.reason or row.word),
        "accuracy_score": plain(standing.score),
        "low": plain(standing.low),
        "high": plain(standing.high),
        "seed_sd": plain(standing.seed_sd),
        "among": standing.n,
        "ranks": dict(zip(names, map(plain, standing.ranks), strict=True)),
        "means": dict(zip(names, map(plain, standing.means), strict=True)),
        "genes": len(block.genes),
        "genes_left_out": {"constant": block.pooled.constant, "not of every row": block.pooled.partial},
        "seeds": row.seeds,
        "folds": block.folds,
    }, set(block.genes) if row.status == "complete" else None


def _agrees(means: Mapping[str, float | None], table: Mapping[str, Any]) -> bool | None:
    """Whether both ways gave the same numbers; None where the table has none."""
    pairs = [(means.get(name), value) for name, value in table.get("means", {}).items() if value is not None]
    if not pairs:
        return None
    return all(own is not None and math.isclose(own, value, rel_tol=0.0, abs_tol=1e-12) for own, value in pairs)
