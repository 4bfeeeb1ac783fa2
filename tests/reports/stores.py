"""A store built from records and tables, as the harness writes it, whose numbers a test chooses."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa

from harness.record import GENE_COLUMNS, Asked, Outcome, Record
from harness.store import Store

Values = Callable[[str, str, int, str], Mapping[str, float]]
"""(label, dataset, seed, gene) -> metrics and facts of one row."""


@dataclass(frozen=True)
class Variant:
    """One row of the experiment; `ends` maps (dataset, fold, seed) to a status other than ok, with a reason."""

    method: str = "some_method"
    random: bool = True
    control: bool = False
    external: bool = False
    selection: str = "untuned"
    device: str = "cpu"
    code: str = "c0de"
    ends: Mapping[tuple[str, int, int], tuple[str, str]] = field(default_factory=dict)


@dataclass(frozen=True)
class Plan:
    """What to put into a store."""

    variants: Mapping[str, Variant]
    values: Values
    datasets: Mapping[str, Sequence[str]]
    synthetic: str | Mapping[str, str] = ""
    remarks: Mapping[str, Sequence[str]] = field(default_factory=dict)
    folds: int = 2
    seeds: Sequence[int] = (0,)
    rates: Sequence[float] = (1.0,)
    flags: tuple[str, ...] = ()
    name: str = "demo"
    definition: str = "d0d0d0d0"
    asked_at: str = "2026-01-01"
    dirty: bool = False


def row(pcc: float, *, ssim: float | None = None, js: float | None = None, bias: float = 0.0) -> dict[str, float]:
    """A gene's metrics that follow from its PCC unless said otherwise."""
    return {
        "pcc": pcc,
        "ssim": 0.8 * pcc if ssim is None else ssim,
        "rmse": float(np.sqrt(2 * (1 - pcc))),
        "js": 0.3 * (1 - pcc) if js is None else js,
        "js_flat": 0.2,
        "bias": bias,
        "truth_sd": 0.5,
    }


NOT_SCORED = {name: float("nan") for name in ("pcc", "ssim", "rmse", "js", "js_flat")} | {"bias": 0.0, "truth_sd": 0.0}


def build(root: Path, plan: Plan) -> Store:
    """The store of a plan. A plan that maps a trial to the status "missing" leaves it out."""
    store = Store(root)
    cells = []
    for dataset, genes in plan.datasets.items():
        for label, variant in plan.variants.items():
            for rate in plan.rates:
                for seed in plan.seeds:
                    for fold in range(plan.folds):
                        own = seed if variant.random else 0
                        record = _record(plan, label, dataset, fold, own, rate)
                        cells.append(
                            {"label": label, "dataset": dataset, "fold": fold, "seed": seed}
                            | {"sampling_rate": rate, "trial_id": record.trial_id}
                        )
                        held_out = list(genes)[fold :: plan.folds]
                        if record.status == "ok":
                            store.put(Outcome(record, _table(plan, record, label, held_out)))
                        elif record.status != "missing":
                            store.put(Outcome(record))
    store.put_asked(_asked(plan, cells))
    return store


def _record(plan: Plan, label: str, dataset: str, fold: int, seed: int, rate: float) -> Record:
    variant = plan.variants[label]
    status, reason = variant.ends.get((dataset, fold, seed), ("ok", ""))
    text = f"{plan.definition} {label} {dataset} {fold} {seed} {rate}"
    return Record(
        trial_id=hashlib.sha256(text.encode()).hexdigest()[:16],
        status=status,
        trial={"metrics": ["pcc@1", "ssim@1", "rmse@1", "js@1"]},
        dataset=dataset,
        dataset_id="0" * 16,
        method=variant.method,
        variant_id="1" * 8,
        fold=fold,
        seed=seed,
        sampling_rate=rate,
        timings={"load": 0.1, "fit": None, "impute": 1.0 + fold, "score": 0.1},
        peak_memory_mib=500.0,
        device=variant.device,
        versions={"numpy": "2.0"},
        code=variant.code,
        git={"commit": "abcdef0123456789", "dirty": plan.dirty},
        selection=variant.selection,
        external=variant.external,
        reason=reason,
        cause={"failed": "method", "skipped": "skipped"}.get(status, ""),
    )


def _table(plan: Plan, record: Record, label: str, genes: Sequence[str]) -> pa.Table:
    rows = [plan.values(label, record.dataset, record.seed, gene) for gene in genes]
    same = {
        "trial_id": record.trial_id,
        "dataset": record.dataset,
        "dataset_id": record.dataset_id,
        "method": record.method,
        "variant_id": record.variant_id,
        "task": "HeldOutGenes",
        "split": "{}",
        "protocol_id": "2" * 8,
        "fold": record.fold,
        "seed": record.seed,
        "sampling_rate": record.sampling_rate,
        "n_spots": 50,
        "truth_nonzero": 20,
    }
    columns = {
        name: list(genes) if name == "gene" else [same[name] if name in same else r[name] for r in rows]
        for name in GENE_COLUMNS
    }
    return pa.table({name: pa.array(columns[name], type=kind) for name, kind in GENE_COLUMNS.items()})


def _asked(plan: Plan, cells: list[dict[str, object]]) -> Asked:
    return Asked(
        name=plan.name,
        definition=plan.definition,
        asked_at=plan.asked_at,
        title="Which of these is better?",
        commands=(f"spadit run {plan.name} --store results",),
        protocol_id="00000000",
        variants={
            label: {
                "variant_id": "1" * 8,
                "method": variant.method,
                "control": variant.control,
                "component": {"component": "models.some:Some", "version": 1, "depth": 3},
            }
            for label, variant in plan.variants.items()
        },
        datasets={
            name: {
                "dataset_id": "0" * 16,
                "synthetic": plan.synthetic if isinstance(plan.synthetic, str) else plan.synthetic.get(name, ""),
                "remarks": list(plan.remarks.get(name, ())),
                "spots": 50,
                "cells": 80,
            }
            for name in plan.datasets
        },
        task={"component": "harness.protocol.task:HeldOutGenes", "version": 1},
        protocol={"component": "harness.protocol:Protocol", "version": 1},
        split={"component": "harness.protocol.splits:KFold", "version": 1, "k": plan.folds},
        folds=plan.folds,
        flags=plan.flags,
        cells=tuple(cells),
    )


def genes(n: int) -> list[str]:
    """Names of n genes."""
    return [f"gene{i:03d}" for i in range(n)]


def qualities(mean: Mapping[str, float], spread: float = 0.08) -> Values:
    """Values around a mean PCC per label: gene difficulty shared by all, a little noise per label, gene and seed."""

    def values(label: str, dataset: str, seed: int, gene: str) -> dict[str, float]:
        digest = hashlib.sha256(f"{dataset} {gene}".encode()).digest()
        own = hashlib.sha256(f"{label} {dataset} {seed} {gene}".encode()).digest()
        difficulty = digest[0] / 255 - 0.5
        noise = own[0] / 255 - 0.5
        return row(float(np.clip(mean[label] + 0.3 * difficulty + spread * noise, -0.9, 0.95)), bias=0.1 * noise)

    return values
