"""What is kept of a trial: one record, one row per held-out gene, and where asked the prediction itself.

And of what stands beside trials: the question that they answer, and the audit of a method.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from harness.sealed import SCHEMA, sealed, unsealed
from models.component import Json, short_hash

Status = Literal["ok", "failed", "skipped"]
Cause = Literal["", "method", "infrastructure", "memory", "timeout", "skipped", "packages"]


@dataclass(frozen=True)
class Record:
    """One trial's outcome: its whole identity, its numbers, and what produced them.

    `trial` is the canonical identity that `trial_id` hashes. `means` are over scored genes. `timings` are seconds.
    `n_spots`: {measured, scored}; the others show nothing of the visible genes.
    `files`: {name: {sha256, bytes, rows}}. `resources`: {cpus, gpus} that the trial was given.
    `earlier`: {cause, reason} of each attempt before this one.
    A record of a failed or skipped trial carries its `reason` and `cause` instead of numbers, and is never averaged; a
    skip with the cause "packages" is for want of packages that were not installed, and holds until they are.
    """

    trial_id: str
    status: Status
    trial: dict[str, Any]
    dataset: str
    dataset_id: str
    method: str
    variant_id: str
    fold: int
    seed: int
    sampling_rate: float
    means: dict[str, float | None] = field(default_factory=dict)
    n_genes: dict[str, int] = field(default_factory=dict)
    n_spots: dict[str, int] = field(default_factory=dict)
    prediction_sha256: str | None = None
    input_sparsity: float | None = None
    timings: dict[str, float | None] = field(default_factory=dict)
    peak_memory_mib: float | None = None
    device: str = "cpu"
    threads: int = 1
    node: str = ""
    versions: dict[str, str] = field(default_factory=dict)
    code: str = ""
    git: dict[str, Any] = field(default_factory=dict)
    selection: str = "untuned"
    flags: tuple[str, ...] = ()
    audit: dict[str, Any] | None = None
    external: bool = False
    attempts: int = 1
    earlier: tuple[dict[str, str], ...] = ()
    resources: dict[str, float] = field(default_factory=dict)
    started_at: str = ""
    files: dict[str, dict[str, Any]] = field(default_factory=dict)
    reason: str = ""
    cause: Cause = ""
    traceback: str = ""
    schema: int = SCHEMA

    def to_json(self) -> bytes:
        """The record as UTF-8 JSON, keys in the order of the fields, with a checksum."""
        return sealed({f.name: getattr(self, f.name) for f in dataclasses.fields(self)})

    @classmethod
    def from_json(cls, data: bytes) -> Record:
        """Inverse of `to_json`; `Damaged` if a byte has changed, ValueError for what another version wrote."""
        values = unsealed(data)
        for name in ("flags", "earlier"):
            values[name] = tuple(values[name])
        return cls(**values)


GENE_COLUMNS: dict[str, pa.DataType] = {
    "trial_id": pa.string(),
    "dataset": pa.string(),
    "dataset_id": pa.string(),
    "method": pa.string(),
    "variant_id": pa.string(),
    "task": pa.string(),
    "split": pa.string(),
    "protocol_id": pa.string(),
    "fold": pa.int32(),
    "seed": pa.int32(),
    "sampling_rate": pa.float64(),
    "gene": pa.string(),
    "pcc": pa.float64(),
    "ssim": pa.float64(),
    "rmse": pa.float64(),
    "js": pa.float64(),
    "js_flat": pa.float64(),
    "bias": pa.float64(),
    "truth_sd": pa.float64(),
    "n_spots": pa.int32(),
    "truth_nonzero": pa.int32(),
}
"""Columns of `genes/<trial_id>.parquet`; metrics added as files come after these, as float64."""


@dataclass(frozen=True, eq=False)
class Outcome:
    """A record with its tables: genes (one row per held-out gene) and the prediction (n_spots, n_targets)."""

    record: Record
    genes: pa.Table | None = None
    prediction: NDArray[np.float32] | None = None
    targets: tuple[str, ...] = ()
    spots: NDArray[np.intp] | None = None


@dataclass(frozen=True, eq=False)
class Asked:
    """What an experiment asked for: its variants and datasets, and which trial answers which cell.

    variants: label -> {variant_id, method (file stem), control (bool), component (canonical JSON)}, in table order; and
        by_dataset (dataset -> component) where settings differ by dataset, by_fold (dataset -> fold -> component) where
        they differ by fold, tuned where a search chose them.
    datasets: name -> {dataset_id, title, synthetic ("" for real data), remarks, spots, cells, shared (genes)}; the
        panel is in the store's card of the dataset, under `protocol_id`.
    commands: what was typed, in order of asking.
    cells: one dict per cell: label, dataset, fold, seed, sampling_rate, trial_id.
    excluded: what was named but not run: {dataset or label, reason}.
    folds: how many folds the split has. flags: what the protocol demands to be said beside every number.
    definition: 8 hex digits over all that gives cells their meaning; files that share it are merged.
    external: whether all of it was predicted elsewhere; such answers join every experiment that asked the same.
    reference: the label that the others are compared with.
    """

    name: str
    definition: str
    asked_at: str
    title: str
    commands: tuple[str, ...]
    variants: dict[str, dict[str, Any]]
    datasets: dict[str, dict[str, Any]]
    task: dict[str, Any]
    protocol: dict[str, Any]
    protocol_id: str
    split: dict[str, Any]
    folds: int
    flags: tuple[str, ...]
    cells: tuple[dict[str, Any], ...]
    excluded: tuple[dict[str, str], ...] = ()
    external: bool = False
    reference: str = ""
    schema: int = SCHEMA

    @property
    def trial_ids(self) -> tuple[str, ...]:
        """The distinct trials that answer the cells, sorted."""
        return tuple(sorted({cell["trial_id"] for cell in self.cells}))

    def variant_on(self, label: str, dataset: str, fold: int = 0) -> dict[str, Any]:
        """What is known of a variant, with the settings that it has on a dataset or fold where these differ."""
        known = self.variants[label]
        own = known.get("by_dataset", {}).get(dataset) or known.get("by_fold", {}).get(dataset, {}).get(str(fold))
        return known if own is None else known | {"component": own, "variant_id": short_hash(own, 8)}

    def to_json(self) -> bytes:
        """UTF-8 JSON, keys in the order of the fields, with a checksum."""
        return sealed(dataclasses.asdict(self))

    @classmethod
    def from_json(cls, data: bytes) -> Asked:
        """Inverse of `to_json`; `Damaged` if a byte has changed, ValueError for what another version wrote."""
        values = unsealed(data)
        for name in ("commands", "flags", "cells", "excluded"):
            values[name] = tuple(values[name])
        return cls(**values)

    def selection(self, label: str, dataset: str, recorded: str) -> str:
        """How a variant's settings were chosen, seen from a dataset: as recorded, or as the experiment knows better."""
        known = self.variants[label]
        if dataset in known.get("chosen_on", ()):
            return "tuned on these genes"
        if "tuned" in known and recorded != "tuned on these genes":
            return str(known["tuned"]["selection"])
        return recorded

    def joined(self, elsewhere: Asked) -> Asked:
        """With the answers from elsewhere that were given to the same task, protocol and split on the same data."""
        if any(getattr(self, name) != getattr(elsewhere, name) for name in ("task", "protocol", "split")):
            return self
        ids = {name: facts["dataset_id"] for name, facts in self.datasets.items()}
        names = {facts["dataset_id"]: name for name, facts in self.datasets.items()}
        labels = {v: f"{v} (elsewhere)" if v in self.variants else v for v in elsewhere.variants}
        seeds = sorted({cell["seed"] for cell in self.cells})
        rates = {(cell["dataset"], cell["sampling_rate"]) for cell in self.cells}
        cells = []
        for cell in elsewhere.cells:
            name = names.get(elsewhere.datasets[cell["dataset"]]["dataset_id"])
            if name in ids and (name, cell["sampling_rate"]) in rates:
                # A file answers once, and its answer serves every seed, like that of a method without randomness.
                cells += [cell | {"label": labels[cell["label"]], "dataset": name, "seed": seed} for seed in seeds]
        added = {cell["label"] for cell in cells}
        variants = {labels[v]: facts for v, facts in elsewhere.variants.items() if labels[v] in added}
        return dataclasses.replace(self, variants=self.variants | variants, cells=(*self.cells, *cells))

    def merged(self, later: Asked) -> Asked:
        """Both questions as one: the later one's title, and all cells, datasets and commands."""
        cells = {(c["label"], c["dataset"], c["fold"], c["seed"], c["sampling_rate"]): c for c in self.cells}
        cells |= {(c["label"], c["dataset"], c["fold"], c["seed"], c["sampling_rate"]): c for c in later.cells}
        excluded = {tuple(sorted(e.items())): e for e in self.excluded + later.excluded}
        kept = [e for e in excluded.values() if e.get("dataset") not in self.datasets | later.datasets]
        return dataclasses.replace(
            later,
            commands=tuple(dict.fromkeys(self.commands + later.commands)),
            variants=self.variants | later.variants,
            datasets=self.datasets | later.datasets,
            cells=tuple(cells.values()),
            excluded=tuple(kept),
        )

    @property
    def posed(self) -> str:
        """8 hex digits over task, protocol and split: what a method is asked, whichever method that is."""
        return posed(self.task, self.protocol, self.split)


def posed(task: Json, protocol: Json, split: Json) -> str:
    """8 hex digits over the canonical JSON of these three."""
    return short_hash([task, protocol, split], 8)


@dataclass(frozen=True)
class Check:
    """One comparison with the undisturbed run. stage: the first that differs, "" where none does."""

    name: str
    verdict: str
    stage: str = ""
    detail: str = ""


@dataclass(frozen=True)
class MethodAudit:
    """verdict: "clean", "leak", or "not reproducible" for a method that differs from itself.

    fold: whose held-out values, `entries` of them in `genes` genes, were changed. variant_id, dataset_id, code, posed:
    which trials it speaks of, see `Record` and `Asked`.
    """

    method: str
    dataset: str
    fold: int
    genes: int
    entries: int
    seed: int
    verdict: str
    checks: tuple[Check, ...]
    sampling_rate: float
    variant_id: str
    dataset_id: str
    code: str
    posed: str
    audited_at: str
    schema: int = SCHEMA

    @property
    def id(self) -> str:
        """16 hex digits over what was audited, where; an audit of newer code takes the place of an older one's."""
        at = [self.fold, self.seed, self.sampling_rate]
        return short_hash([self.variant_id, self.dataset_id, self.posed, *at], 16)

    def to_json(self) -> bytes:
        """UTF-8 JSON, keys in the order of the fields, with a checksum."""
        return sealed(dataclasses.asdict(self))

    @classmethod
    def from_json(cls, data: bytes) -> MethodAudit:
        """Inverse of `to_json`; `Damaged` if a byte has changed, ValueError for what another version wrote."""
        values = unsealed(data)
        return cls(**values | {"checks": tuple(Check(**check) for check in values["checks"])})
