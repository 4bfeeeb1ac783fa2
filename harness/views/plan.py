"""`spadit plan`: what an experiment comes to, before it runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from rich.markup import escape

from harness.protocol import prepare
from harness.results import Plan
from harness.trial import Trial
from harness.views.console import console, listing
from models.component import code_hash
from models.devices import memory_of


def plan_facts(plan: Plan, retry_failed: bool = False, stale: bool = False) -> dict[str, Any]:
    """Counts per variant and dataset, what is stored and by which code, exclusions, and the cost of what is missing.

    Cost is the median seconds of stored trials of the same variant (else of the same method) on that dataset; where
    there are none it is None, and said to be unknown. Memory is what a method says that a trial takes on its device.
    """
    missing = {trial.id for trial in plan.missing(retry_failed, stale)}
    seconds = _measured(plan)
    experiment = plan.experiment
    sizes = {n: prepare(pair, experiment.protocol).size(experiment.split) for n, pair in plan.pairs.items()}
    trials_of: dict[tuple[str, str], dict[str, Trial]] = {}
    for cell, trial in experiment.cells({name: pair.id for name, pair in plan.pairs.items()}):
        trials_of.setdefault((cell["label"], cell["dataset"]), {})[trial.id] = trial
    rows = []
    for label in experiment.variants:
        for dataset, pair in plan.pairs.items():
            trials = list(trials_of[label, dataset].values())
            method = trials[0].method
            left = [t for t in trials if t.id in missing]
            each = seconds.get((trials[0].variant_id, pair.id)) if trials else None
            rows.append(
                {
                    "variant": label,
                    "dataset": dataset,
                    "trials": len(trials),
                    "stored": sum(t.id in plan.done for t in trials),
                    "stale": sum(t.id in plan.stale for t in trials),
                    "unfinished": sum(t.id in plan.settled for t in trials),
                    "to_run": len(left),
                    "seconds_each": each,
                    "memory_mib": _mib(method.memory(sizes[dataset])),
                    "code": code_hash(method),
                }
            )
    return {
        "experiment": plan.experiment.name,
        "title": plan.experiment.title,
        "store": plan.store.where,
        "trials": len(plan.trials),
        "to_run": len(missing),
        "seconds_to_run": _total(rows),
        "rows": rows,
        "memory_mib": {device: _mib(memory_of(device)) for device in ("cpu", "cuda")},
        "datasets": {name: {"spots": len(p.st), "cells": len(p.sc), "id": p.id} for name, p in plan.pairs.items()},
        "damaged": dict(plan.damaged),
        "excluded": [dict(e) for e in plan.excluded],
        "remarks": [f"{name}: {remark}" for name, pair in plan.pairs.items() for remark in pair.remarks],
        "flags": list(plan.experiment.protocol.flags + plan.experiment.task.flags),
    }


def print_plan(facts: dict[str, Any]) -> None:
    """The facts for a person."""
    out = console()
    out.print(f"[bold]{escape(facts['experiment'])}[/bold]  {escape(facts['title'])}")
    table = listing(
        "variant", "dataset", "trials", "stored", "stale", "unfinished", "to run", "s each", "MiB", "code",
        right=("trials", "stored", "stale", "unfinished", "to run", "s each", "MiB"),
    )  # fmt: skip
    for row in facts["rows"]:
        counts = [str(row[key]) for key in ("trials", "stored", "stale", "unfinished", "to_run")]
        each = "?" if row["seconds_each"] is None else f"{row['seconds_each']:.1f}"
        memory = "?" if row["memory_mib"] is None else f"{row['memory_mib']:,}"
        table.add_row(escape(row["variant"]), escape(row["dataset"]), *counts, each, memory, row["code"][:8])
    out.print(table)
    for line in left_out(facts["excluded"]):
        out.print(line, markup=False, soft_wrap=True)
    for said in facts["damaged"].values():
        out.print(f"damaged, to be set aside and run again: {said}", markup=False, soft_wrap=True)
    for remark in facts["remarks"]:
        out.print(remark, markup=False, soft_wrap=True)
    for flag in facts["flags"]:
        out.print(f"note: {escape(flag)}")
    for line in _what_fits(facts):
        out.print(line, markup=False, soft_wrap=True)
    cost = facts["seconds_to_run"]
    known = "" if not cost else f", about {cost / 60:.0f} processor minutes by what is stored"
    out.print(f"{facts['trials']} trials, {facts['to_run']} to run{known}.")


def left_out(excluded: Sequence[Mapping[str, str]]) -> list[str]:
    """Lines that say which datasets do not take part and why; many of them in one, since the reason is the same."""
    if len(excluded) <= 2:
        return [f"left out: {each['dataset']}: {each['reason']}" for each in excluded]
    names = ", ".join(each["dataset"] for each in excluded)
    return [f"left out: {names}: they are in no data folder; `spadit data list` says where each comes from and goes."]


def _what_fits(facts: Mapping[str, Any]) -> list[str]:
    """One line per device that is here: whether every trial fits it, else which do not."""
    lines = []
    for device, there in facts["memory_mib"].items():
        if there is None:
            continue
        large = [f"{row['variant']} on {row['dataset']}" for row in facts["rows"] if (row["memory_mib"] or 0) > there]
        said = "every trial that says what it takes fits" if not large else f"too large: {'; '.join(large)}"
        lines.append(f"{device}, {there:,} MiB: {said}")
    return lines


def _mib(memory: int | None) -> int | None:
    return None if memory is None else -(-memory // 2**20)


def _measured(plan: Plan) -> dict[tuple[str, str], float]:
    """Median seconds of stored trials by (variant id, dataset id)."""
    found: dict[tuple[str, str], list[float]] = {}
    for record in plan.store.records(plan.done):
        spent = sum(value or 0.0 for value in record.timings.values())
        found.setdefault((record.variant_id, record.dataset_id), []).append(spent)
    return {key: median(values) for key, values in found.items()}


def _total(rows: Sequence[dict[str, Any]]) -> float | None:
    needed = [row for row in rows if row["to_run"]]
    if any(row["seconds_each"] is None for row in needed):
        return None
    return float(sum(row["to_run"] * row["seconds_each"] for row in needed))
