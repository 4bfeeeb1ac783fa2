"""What in a store is not as it was written: found by checksums, set aside, and missing from then on."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from contextlib import suppress

from harness.record import Record
from harness.sealed import Damaged
from harness.store import Store
from harness.store.files import LocalFiles
from harness.store.packs import by_trial, matches, parsed
from harness.store.trials import beside, sha256

FOLDERS = {"trials": ".json", "genes": ".parquet", "predictions": ".parquet"}


def verified(store: Store, trial_ids: Iterable[str]) -> tuple[dict[str, Record], dict[str, str]]:
    """Records of those of these trials that are finished and whole; and of the damaged ones, what is wrong.

    Records and per-gene tables are compared with their checksums, kept predictions by their sizes, and so are tables
    under a URI, whose storage has checksums of its own: what is read later is compared with its checksum then.
    """
    ids, records = set(trial_ids), {}
    wrong = {i: said for i, said in _lost(store).items() if i in ids}
    for trial_id, data in sorted(store.record_bytes(ids).items()):
        try:
            records[trial_id] = Record.from_json(data)
        except Damaged as error:
            wrong[trial_id] = f"trials/{trial_id}.json is damaged: {error}"
        except (ValueError, TypeError) as error:
            raise store.unreadable(f"trials/{trial_id}.json", error) from None
    tables = _damaged_tables(store, records)
    # A compaction may have moved some meanwhile; then these are in a pack by now.
    while tables and (again := _damaged_tables(store, {i: records[i] for i in tables})) != tables:
        tables = again
    wrong |= tables
    return {i: record for i, record in records.items() if i not in wrong}, wrong


def _lost(store: Store) -> dict[str, str]:
    """Trials whose records lay in a file of packs/ that is damaged, as their rows tell, which lie in other files."""
    broken = store.packs.damaged()
    ids: set[str] = set()
    for name in store.packs.without_records() if broken else ():
        with suppress(FileNotFoundError):  # a compaction has deleted it meanwhile
            if matches(name, data := store.files.read(name)):
                ids |= set(by_trial(parsed(data)))
    said = f"{' or '.join(broken)}, which held its record, does not match its checksum"
    return dict.fromkeys(ids - store.done(), said) if ids else {}


def _damaged_tables(store: Store, records: Mapping[str, Record]) -> dict[str, str]:
    # Listed before packs are, as a compaction deletes what it has packed.
    sizes = {folder: store.files.sizes(folder, end) for folder, end in FOLDERS.items() if folder != "trials"}
    packed = {i: pack.genes[i] for pack in store.packs.all() for i in pack.records if i in records}
    broken = {name for name in set(packed.values()) if not _is_whole(store, name)}

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
            if hashed and not _is_whole(store, name, described["sha256"]):
                return f"{name} does not match its checksum"
        return ""

    return {i: said for i, said in zip(records, beside(problem, records.values()), strict=True) if said}


def _is_whole(store: Store, name: str, expected: str | None = None) -> bool:
    """Whether a file is there and has this checksum; that of a pack is in its name."""
    try:
        data = store.files.read(name)
    except FileNotFoundError:
        return False
    return matches(name, data) if expected is None else sha256(data) == expected


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
    """Move records and tables of those of these trials that are damaged to damaged/: they are missing from then on.

    A file of packs/ that is not whole goes as well, with all it holds; so does one that holds such a trial's record,
    once the others are written anew.
    """
    wanted = set(trial_ids)
    ids = set(verified(store, wanted)[1]) if wanted else wanted  # another driver may have been here before
    broken = store.packs.damaged()
    rows = {name for pack in store.packs.all() for i, name in pack.genes.items() if i in ids}
    broken += [name for name in sorted(rows) if not _is_whole(store, name)]
    if not ids and not broken:
        return
    taken = set(damaged_names(store))

    def move(name: str) -> None:
        flat = name.replace("/", "-")
        new = next(n for n in itertools.chain([flat], (f"{k}-{flat}" for k in itertools.count(2))) if n not in taken)
        taken.add(new)
        with suppress(FileNotFoundError):
            store.files.move(name, f"damaged/{new}")

    store.packs.drop(ids, move)
    for name in broken:
        move(name)
    for folder, end in FOLDERS.items():
        for trial_id in sorted(ids & set(store.files.names(folder, end))):
            move(f"{folder}/{trial_id}{end}")


def damaged_names(store: Store) -> list[str]:
    """Names of the files that were set aside."""
    return sorted(n + end for end in (".json", ".parquet") for n in store.files.names("damaged", end))
