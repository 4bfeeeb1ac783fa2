"""From the store to arrays: every number that a report prints starts here.

A *block* is one dataset at one sampling rate. Within it the held-out genes of all folds are pooled, each gene once
per seed; DuckDB reads the verified per-gene files of one block at a time, so memory does not grow with the store.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import duckdb
import numpy as np
from numpy.typing import NDArray

from harness.record import Asked, MethodAudit, Record
from harness.store import Store
from reports.reading.kept import Kept
from reports.reading.pooled import Pooled, pool

Group = Literal["variant", "control", "external"]
Status = Literal["complete", "failed", "skipped", "incomplete"]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Row:
    """How one variant stands in one block.

    done of asked: its distinct trials that are finished, of those a whole row needs (folds x its seeds).
    seeds: how many of its own; 1 for a method without randomness, whose numbers then serve every seed.
    reason: of the first failed or skipped trial. failed, skipped: how many trials.
    selection: how its settings were chosen, see the record. external: whether it was predicted elsewhere.
    whole: how many of the `folds` have a finished trial for every seed.
    """

    label: str
    group: Group
    method: str
    status: Status
    done: int
    asked: int
    seeds: int
    reason: str = ""
    failed: int = 0
    skipped: int = 0
    selection: str = "untuned"
    external: bool = False
    whole: int = 0
    folds: int = 0

    @property
    def word(self) -> str:
        """What stands in place of a number; empty for a complete row."""
        words = {"complete": "", "failed": "failed", "skipped": "n/a"}
        return words.get(self.status, f"{self.whole} of {self.folds} folds")


@dataclass(frozen=True, eq=False)
class Block:
    """One dataset at one sampling rate.

    rows: every variant asked for here, variants first, then controls and external rows, each in the table's order.
    labels: the V complete rows, in that order. pooled: what these score, its properties this block's. folds, seeds: how
    many.
    flags: what the protocol, the task and the kind of data demand to be said beside every number.
    """

    dataset: str
    synthetic: str
    rate: float
    folds: int
    seeds: int
    rows: tuple[Row, ...]
    labels: tuple[str, ...]
    pooled: Pooled
    flags: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The dataset's name as it is always shown: what is not real data says so."""
        return f"{self.dataset} [{self.synthetic}]" if self.synthetic else self.dataset

    @property
    def short(self) -> str:
        """The name where there is little room: the kind of invention without its particulars."""
        return f"{self.dataset} [{self.synthetic.partition(':')[0]}]" if self.synthetic else self.dataset

    @property
    def genes(self) -> tuple[str, ...]:
        """The G genes scored for all complete rows, sorted."""
        return self.pooled.genes

    @property
    def n_genes(self) -> int:
        """G."""
        return self.averaged.shape[1]

    @property
    def averaged(self) -> Floats:
        """(V, G, M) metrics averaged over seeds: the unit of every statistic is the gene."""
        return self.pooled.averaged

    @property
    def facts(self) -> NDArray[np.float32]:
        """(V, G, 3) averages over seeds of `pooled.FACTS`."""
        return self.pooled.facts

    @property
    def seed_means(self) -> Floats:
        """(S, V, M) means over genes, seed by seed."""
        return self.pooled.seed_means

    @property
    def part_means(self) -> Floats:
        """(F, S, V, M) means over the genes of a fold, seed by seed."""
        return self.pooled.part_means

    def places(self, *groups: Group) -> list[int]:
        """Places on the V axis of the complete rows of these groups."""
        group = {row.label: row.group for row in self.rows}
        return [i for i, label in enumerate(self.labels) if group[label] in groups]


@dataclass(frozen=True, eq=False)
class Comparison:
    """An experiment with what the store has of it.

    blocks: by falling sampling rate, then in the order the datasets were asked for.
    records: finished trials by id; unfinished: failed and skipped ones. older: earlier definitions of this name.
    panels: how many genes the panel of each dataset has, where the store describes it.
    ceilings: mean PCC over the panel of one half of the truth's counts with the other half; counts only.
    kept: measured and predicted values, for figures. audits: of methods, under this task, protocol and split.
    """

    asked: Asked
    store: str
    kept: Kept
    blocks: tuple[Block, ...]
    records: Mapping[str, Record]
    unfinished: Mapping[str, Record]
    older: tuple[str, ...] = ()
    panels: Mapping[str, int] = field(default_factory=dict)
    ceilings: Mapping[str, float] = field(default_factory=dict)
    audits: tuple[MethodAudit, ...] = ()

    @property
    def reference(self) -> str:
        """The label that the others are compared with; the first row's where what was named is not here."""
        labels = [row.label for block in self.blocks for row in block.rows]
        return self.asked.reference if self.asked.reference in labels or not labels else labels[0]

    @property
    def rates(self) -> tuple[float, ...]:
        """Sampling rates, falling."""
        return tuple(dict.fromkeys(block.rate for block in self.blocks))

    def counted(self, rate: float) -> list[Block]:
        """The blocks of a sampling rate that means over datasets are of: those of real data, all where none is real."""
        blocks = [block for block in self.blocks if block.rate == rate]
        return [block for block in blocks if not block.synthetic] or blocks

    def trials(self) -> Counter[str]:
        """How many of the asked-for trials are finished, failed, skipped or not run."""
        states = Counter({"finished": len(self.records), "failed": 0, "skipped": 0})
        states.update(record.status for record in self.unfinished.values())
        states["not run"] = len(self.asked.trial_ids) - len(self.records) - len(self.unfinished)
        return states


def read(store: Store, asked: Asked, older: tuple[str, ...] = ()) -> Comparison:
    """What the store has of an experiment."""
    records = {record.trial_id: record for record in store.records(asked.trial_ids)}
    unfinished = {record.trial_id: record for record in store.unfinished(asked.trial_ids)}
    by_block: dict[tuple[float, str], dict[str, dict[tuple[int, int], str]]] = {}
    for cell in asked.cells:
        block = by_block.setdefault((float(cell["sampling_rate"]), cell["dataset"]), {})
        block.setdefault(cell["label"], {})[cell["fold"], cell["seed"]] = cell["trial_id"]
    order = list(asked.datasets)
    keys = sorted(by_block, key=lambda key: (-key[0], order.index(key[1])))
    blocks = tuple(_block(store, asked, key, by_block[key], {**records, **unfinished}) for key in keys)
    cards = store.cards()
    panels = {
        name: len(cards[facts["dataset_id"]]["panels"][asked.protocol_id])
        for name, facts in asked.datasets.items()
        if asked.protocol_id in cards.get(facts["dataset_id"], {}).get("panels", {})
    }
    kept = Kept(store, asked, records)
    return Comparison(
        asked,
        store.files.name,
        kept,
        blocks,
        records,
        unfinished,
        older,
        panels,
        _ceilings(store, asked),
        tuple(audit for audit in store.audits() if audit.posed == asked.posed),
    )


def _ceilings(store: Store, asked: Asked) -> dict[str, float]:
    found = {}
    for name, facts in asked.datasets.items():
        genes = store.dataset_genes(facts["dataset_id"])
        if "ceiling_pcc" in genes and genes["ceiling_pcc"].notna().any():
            found[name] = float(genes["ceiling_pcc"].mean())
    return found


def _block(
    store: Store,
    asked: Asked,
    key: tuple[float, str],
    cells: Mapping[str, Mapping[tuple[int, int], str]],
    found: Mapping[str, Record],
) -> Block:
    rate, dataset = key
    seeds = sorted({seed for trials in cells.values() for _, seed in trials})
    rows, needed = [], {}
    for label in (label for label in asked.variants if label in cells):
        trials = _whole(cells[label], asked.folds, seeds)
        row = _row(label, asked.variants[label], trials, found)
        rows.append(replace(row, selection=asked.selection(label, dataset, row.selection)))
        if row.status == "complete":
            needed[label] = trials
    rows.sort(key=lambda row: ("variant", "control", "external").index(row.group))
    labels = tuple(row.label for row in rows if row.status == "complete")
    facts_of = asked.datasets.get(dataset, {})
    ran = {trial for trials in needed.values() for trial in trials.values() if trial is not None}
    flags = dict.fromkeys([*asked.flags, *(flag for trial in sorted(ran) for flag in found[trial].flags)])
    return Block(
        dataset=dataset,
        synthetic=facts_of.get("synthetic", ""),
        rate=rate,
        folds=asked.folds,
        seeds=len(seeds),
        rows=tuple(rows),
        labels=labels,
        pooled=_pooled(store, [needed[label] for label in labels], seeds, found, asked.folds),
        flags=tuple(flags),
    )


def _whole(trials: Mapping[tuple[int, int], str], folds: int, seeds: list[int]) -> dict[tuple[int, int], str | None]:
    """(fold, seed) -> trial for every fold and every seed of the block; None where nothing was asked for.

    A method without randomness has one trial per fold, which serves every seed.
    """
    own = {seed for _, seed in trials}
    by_fold = {fold: {t for (f, _), t in trials.items() if f == fold} for fold in range(folds)}
    if own == {0} or (len(own) > 1 and all(len(ids) <= 1 for ids in by_fold.values())):
        return {(fold, seed): next(iter(by_fold[fold]), None) for fold in range(folds) for seed in seeds}
    return {(fold, seed): trials.get((fold, seed)) for fold in range(folds) for seed in seeds}


def _row(
    label: str, facts: Mapping[str, Any], trials: Mapping[tuple[int, int], str | None], found: Mapping[str, Record]
) -> Row:
    distinct = {trial for trial in trials.values() if trial is not None}
    first = {fold for fold, _ in trials}
    own = max(len({trials[f, s] for f, s in trials if f == fold} - {None}) for fold in first) or 1
    records = [found[trial] for trial in sorted(distinct) if trial in found]
    failed = [r for r in records if r.status == "failed"]
    skipped = [r for r in records if r.status == "skipped"]
    done = [r for r in records if r.status == "ok"]
    alike = all(len({trial for (f, _), trial in trials.items() if f == fold}) == 1 for fold in first)
    missing = len({(f, 0 if alike else s) for (f, s), trial in trials.items() if trial is None})
    asked = len(distinct) + missing
    status: Status = (
        "failed" if failed else "skipped" if skipped else "complete" if len(done) == asked else "incomplete"
    )
    finished = {r.trial_id for r in done}
    folds = sorted({fold for fold, _ in trials})
    whole = sum(all(trial in finished for (at, _), trial in trials.items() if at == fold) for fold in folds)
    # What was predicted elsewhere competes like any other, unless the audit of its file found the truth in it.
    external = any(r.external for r in records)
    suspect = any(r.external and (r.audit or {}).get("verdict") != "clean" for r in records)
    group: Group = "control" if facts.get("control") else "external" if suspect else "variant"
    chosen = sorted({r.selection for r in done}, key=lambda s: (s != "tuned on these genes", s))
    return Row(
        label=label,
        group=group,
        method=str(facts.get("method", "")),
        status=status,
        done=len(done),
        asked=asked,
        seeds=own,
        reason=(failed + skipped)[0].reason if failed or skipped else "",
        failed=len(failed),
        skipped=len(skipped),
        selection=chosen[0] if chosen else "untuned",
        external=external,
        whole=whole,
        folds=len(folds),
    )


def _pooled(
    store: Store,
    needed: Sequence[Mapping[tuple[int, int], str | None]],
    seeds: list[int],
    found: Mapping[str, Record],
    folds: int,
) -> Pooled:
    answers = [{(fold, seeds.index(seed)): str(trial) for (fold, seed), trial in each.items()} for each in needed]
    used = sorted({trial for each in answers for trial in each.values()})

    def read() -> Pooled:
        paths = store.genes_paths([found[trial] for trial in used])
        return pool(dict(zip(used, paths, strict=True)), answers, folds, len(seeds))

    try:
        return read()
    except (FileNotFoundError, duckdb.IOException):  # a compaction has moved files; they are in its packs now
        return read()
