"""What in a store is not as it was written: found by checksums, set aside, and missing from then on."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from contextlib import suppress

from harness.record import Record
from harness.sealed import Damaged
from harness.store import Store
from harness.store.files import LocalFiles
from harness.store.packs import matches
from harness.store.trials import beside, sha256

FOLDERS = {"trials": ".json", "genes": ".parquet", "predictions": ".parquet"}


def verified(store: Store, trial_ids: Iterable[str]) -> tuple[dict[str, Record], dict[str, str]]:
    """Records of those of these trials that are finished and whole; and of the damaged ones, what is wrong.

    Records and per-gene tables are compared with their checksums, kept predictions by their sizes, and so are tables
    under a URI, whose storage has checksums of its own: what is read later is compared with its checksum then.
    """
    records, wrong = {}, {}
    for trial_id, data in sorted(store.record_bytes(trial_ids).items()):
        try:
            records[trial_id] = Record.from_json(data)
        except Damaged as error:
            wrong[trial_id] = f"trials/{trial_id}.json is damaged: {error}"
        except (ValueError, TypeError) as error:
            raise store.unreadable(f"trials/{trial_id}.json", error) from None
    wrong |= _damaged_tables(store, records)
    return {i: record for i, record in records.items() if i not in wrong}, wrong


def _damaged_tables(store: Store, records: Mapping[str, Record]) -> dict[str, str]:
    packed = {i: pack.genes[i] for pack in store.packs.all() for i in pack.records if i in records}
    broken = {name for name in set(packed.values()) if not _pack_is_whole(store, name)}
    sizes = {folder: store.files.sizes(folder, end) for folder, end in FOLDERS.items() if folder != "trials"}

    def problem(record: Record) -> str:
        for name, described in record.files.items():
            folder, _, rest = name.partition("/")
            if folder == "genes" and record.trial_id in packed:
                if packed[record.trial_id] in broken:
                    return f"{packed[record.trial_id]} is missing or does not match its checksum"
                continue
            if sizes[folder].get(rest.removesuffix(FOLDERS[folder])) != described["bytes"]:
                return f"{name} is missing or not as long as it was"
            hashed = folder == "genes" and isinstance(store.files, LocalFiles)
            if hashed and sha256(store.files.read(name)) != described["sha256"]:
                return f"{name} does not match its checksum"
        return ""

    return {i: said for i, said in zip(records, beside(problem, records.values()), strict=True) if said}


def _pack_is_whole(store: Store, name: str) -> bool:
    try:
        return matches(name, store.files.read(name))
    except FileNotFoundError:
        return False


def state(store: Store, record: Record, name: str) -> str:
    """Whether a file of a record, wherever it lies now, is "whole", "damaged" or "missing"."""
    pack = next((p for p in store.packs.all() if record.trial_id in p.records and name.startswith("genes/")), None)
    where = name if pack is None else pack.genes[record.trial_id]
    try:
        data = store.files.read(where)
    except FileNotFoundError:
        return "missing"
    same = sha256(data) == record.files[name]["sha256"] if pack is None else matches(where, data)
    return "whole" if same else "damaged"


def set_aside(store: Store, trial_ids: Iterable[str]) -> None:
    """Move records and tables of damaged trials to damaged/: the trials are missing from then on.

    A file of packs/ that is not whole goes as well, with all it holds.
    """
    ids = set(trial_ids)
    broken = set(store.packs.damaged())
    for pack in store.packs.all():
        broken |= {name for i, name in pack.genes.items() if i in ids and not _pack_is_whole(store, name)}
    store.packs.drop(ids)
    for name in sorted(broken):
        _move(store, name)
    for trial_id in sorted(ids):
        for folder, end in FOLDERS.items():
            _move(store, f"{folder}/{trial_id}{end}")


def _move(store: Store, name: str) -> None:
    taken, flat = set(damaged_names(store)), name.replace("/", "-")
    new = next(n for n in itertools.chain([flat], (f"{k}-{flat}" for k in itertools.count(2))) if n not in taken)
    with suppress(FileNotFoundError):
        store.files.move(name, f"damaged/{new}")


def damaged_names(store: Store) -> list[str]:
    """Names of the files that were set aside."""
    return sorted(n + end for end in (".json", ".parquet") for n in store.files.sizes("damaged", end))
