"""`spadit compact`: small files of finished trials into packs. Readers cannot tell."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from contextlib import suppress

import pyarrow as pa

from harness.errors import BadInput
from harness.record import Record
from harness.store import Store
from harness.store.claims import now
from harness.store.damage import verified
from harness.store.packs import Pack, by_trial, matches, parsed

FULL = 10_000
"""Trials in a file of records; a full one is not merged again."""

FORGOTTEN = 3600.0
"""Seconds after which a file of genes that no file of records names is left over, not about to be named."""


def compact(store: Store) -> int:
    """Merge small files of finished trials into packs; returns how many trials. May be interrupted at any point.

    Raises `BadInput`, and changes nothing, if something is damaged.
    """
    small = set(store.files.names("trials", ".json"))
    records, wrong = verified(store, small)
    if broken := [*wrong.values(), *(f"{name} does not match its checksum" for name in store.packs.damaged())]:
        raise BadInput(f"{store.where}/{broken[0]}; run the experiment again, which sets it aside.")
    packed, unnamed = store.packs.ids(), store.packs.without_records()
    new = {i: record for i, record in records.items() if i not in packed}
    merged = _packed_up(store, new)
    for pack in merged:
        store.files.delete(pack.name)
    _tidy(store, small, unnamed)
    return len(new)


def _packed_up(store: Store, new: Mapping[str, Record]) -> list[Pack]:
    """Write packs of these trials and of those in packs that are not full; returns the packs that are in them now."""
    open_ = [pack for pack in store.packs.all() if len(pack.records) < FULL]
    full = {i for pack in store.packs.all() if len(pack.records) >= FULL for i in pack.records}
    if not new and len(open_) <= 1 and not any(full & pack.records.keys() for pack in open_):
        return []
    data = {i: each for pack in open_ for i, each in pack.records.items() if i not in full} | store.record_bytes(new)
    sources = {i: name for pack in open_ for i, name in pack.genes.items()}
    genes: dict[str, str] = {}
    for ids in _blocks(data):
        tables = _rows(store, [new[i] for i in ids if i in new], {sources[i] for i in ids if i in sources})
        for alike in _alike({i: tables[i] for i in ids}):
            genes |= dict.fromkeys(alike, store.packs.write_genes(pa.concat_tables(alike.values()).combine_chunks()))
    ids = sorted(data)
    parts = [ids[start : start + FULL] for start in range(0, len(ids), FULL)]
    written = {store.packs.write_records({i: data[i] for i in part}, genes) for part in parts}
    return [pack for pack in open_ if pack.name not in written]


def _blocks(records: Mapping[str, bytes]) -> list[list[str]]:
    """Ids of the trials of a dataset at a sampling rate, which tables read together, by variant, seed and fold."""
    found: dict[tuple[str, float], list[tuple[str, int, int, str]]] = {}
    for trial_id, data in records.items():
        r = Record.from_json(data)
        found.setdefault((r.dataset_id, r.sampling_rate), []).append((r.variant_id, r.seed, r.fold, trial_id))
    return [[each[-1] for each in sorted(found[block])] for block in sorted(found)]


def _alike(tables: Mapping[str, pa.Table]) -> list[dict[str, pa.Table]]:
    """These tables in groups with the same columns: a trial gets none that it did not have."""
    found: dict[tuple[pa.Field, ...], dict[str, pa.Table]] = {}
    for trial_id, table in tables.items():
        found.setdefault(tuple(table.schema), {})[trial_id] = table
    return list(found.values())


def _rows(store: Store, small: list[Record], packs: set[str]) -> dict[str, pa.Table]:
    """Verified rows by trial: those of these records, which lie in small files, and all in these packs."""
    rows: dict[str, pa.Table] = {}
    for name in sorted(packs):
        data = b""
        with suppress(FileNotFoundError):
            data = store.files.read(name)
        if not matches(name, data):
            raise BadInput(
                f"{store.where}/{name} is missing or does not match its checksum; run the experiment again, which sets "
                "it aside."
            )
        rows |= by_trial(parsed(data))
    return rows | {record.trial_id: table for record, table in zip(small, store.rows(small), strict=True)}


def _tidy(store: Store, small: set[str], unnamed: list[str]) -> None:
    """Delete the small files of trials that are in packs, and what an earlier merging, long done, has left."""
    rows = set(store.files.names("genes", ".parquet"))
    packed = store.packs.ids()
    for trial_id in sorted(small & packed):
        store.files.delete(f"trials/{trial_id}.json")
    for trial_id in sorted(rows & packed):
        store.files.delete(f"genes/{trial_id}.parquet")
    unnamed = sorted(set(unnamed) & set(store.packs.without_records()))
    if unnamed:
        clock = f"compact-{uuid.uuid4().hex[:8]}"  # of its own: two may run at once
        time = now(store.files, clock)
        for name in unnamed:
            with suppress(FileNotFoundError):  # the other has deleted it
                if time - store.files.changed(name) > FORGOTTEN:
                    store.files.delete(name)
        store.files.delete(f"claims/{clock}.clock")
