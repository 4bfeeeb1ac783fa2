"""Many finished trials in few files: what `spadit compact` makes of a store, and how it is read again.

packs/records-<hash>.parquet holds records as they were written, byte for byte, and names for each the
packs/genes-<hash>.parquet that holds its rows. A file's name is the hash of its content, so it is never rewritten;
writing a file of records, after its genes, is the commit, and the small files go only then. A trial that is in a pack
and still lies there as a small file is the same trial twice.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq

from harness.store.files import Files

SCHEMA = pa.schema({"trial_id": pa.string(), "genes": pa.string(), "record": pa.binary()})


@dataclass(frozen=True, eq=False)
class Pack:
    """One file of records. records: trial id -> its bytes; genes: trial id -> name of the file of its rows."""

    name: str
    records: Mapping[str, bytes]
    genes: Mapping[str, str]


class Packs:
    """The packs of a store. What was read of them is remembered, for their content never changes."""

    def __init__(self, files: Files) -> None:
        self.files = files
        self._read: dict[str, Pack] = {}

    def __reduce__(self) -> tuple[type[Packs], tuple[Files]]:
        return Packs, (self.files,)

    def all(self) -> list[Pack]:
        """The whole packs that are there now, by name; one listing, and reading what is new."""
        return [pack for pack in self._there().values() if pack is not None]

    def damaged(self) -> list[str]:
        """Names of the files of records whose content does not match their name."""
        return [name for name, pack in self._there().items() if pack is None]

    def ids(self) -> set[str]:
        """Ids of all trials in packs."""
        return {trial_id for pack in self.all() for trial_id in pack.records}

    def hold(self, trial_id: str) -> bool:
        """Whether a trial is in one of them."""
        return any(trial_id in pack.records for pack in self.all())

    def _there(self) -> dict[str, Pack | None]:
        names = self._names("records")
        while True:
            try:
                return {name: self._pack(name) for name in names}
            except FileNotFoundError:  # merged into another since it was listed
                before, names = names, self._names("records")
                if names == before:
                    raise

    def _names(self, kind: str) -> list[str]:
        return [f"packs/{n}.parquet" for n in self.files.names("packs", ".parquet") if n.startswith(f"{kind}-")]

    def _pack(self, name: str) -> Pack | None:
        if name not in self._read:
            data = self.files.read(name)
            if not matches(name, data):
                return None  # and not remembered: once it is set aside, the same may be written anew
            self._read[name] = _unpacked(name, data)
        return self._read[name]

    def write_genes(self, table: pa.Table) -> str:
        """Write the rows of some trials; returns the file's name."""
        return self._write("genes", table)

    def write_records(self, records: Mapping[str, bytes], genes: Mapping[str, str]) -> str:
        """Write records, by trial id, whose rows are written already; returns the file's name."""
        ids = sorted(records)
        columns = [ids, [genes[i] for i in ids], [records[i] for i in ids]]
        return self._write("records", pa.table(columns, schema=SCHEMA))

    def _write(self, kind: str, table: pa.Table) -> str:
        sink = io.BytesIO()
        pq.write_table(table.replace_schema_metadata(None), sink, compression="zstd", row_group_size=2**17)
        data = sink.getvalue()
        name = f"packs/{kind}-{hashlib.sha256(data).hexdigest()[:32]}.parquet"
        self.files.write(name, data)
        return name

    def drop(self, trial_ids: Iterable[str], remove: Callable[[str], None] | None = None) -> None:
        """Take trials out of the packs they are in: what is left of each is written anew, then the old file goes."""
        gone, remove = set(trial_ids), remove or self.files.delete
        for pack in self.all():
            if gone & set(pack.records):
                kept = {i: data for i, data in pack.records.items() if i not in gone}
                if kept:
                    self.write_records(kept, pack.genes)
                remove(pack.name)

    def without_records(self) -> list[str]:
        """Files of genes that no pack names: merged into others, left by `drop`, or about to be named."""
        named = {name for pack in self.all() for name in pack.genes.values()}
        return [name for name in self._names("genes") if name not in named]


def matches(name: str, data: bytes) -> bool:
    """Whether the content of a pack's file is what its name says."""
    return name.rpartition("-")[2] == f"{hashlib.sha256(data).hexdigest()[:32]}.parquet"


def parsed(data: bytes) -> pa.Table:
    """The table of a Parquet file. `pq.read_table` takes twice as long over a small one."""
    return pq.ParquetFile(pa.BufferReader(data)).read(use_threads=len(data) > 2**20)


def _unpacked(name: str, data: bytes) -> Pack:
    table = parsed(data)
    ids = table["trial_id"].to_pylist()
    records = dict(zip(ids, table["record"].to_pylist(), strict=True))
    return Pack(name, records, dict(zip(ids, table["genes"].to_pylist(), strict=True)))


def by_trial(table: pa.Table) -> dict[str, pa.Table]:
    """The rows of each trial of a table in which they lie together."""
    ids = table["trial_id"].combine_chunks().to_pylist()
    starts = [i for i, trial_id in enumerate(ids) if i == 0 or ids[i - 1] != trial_id]
    ends = [*starts[1:], len(ids)]
    return {ids[start]: table.slice(start, end - start) for start, end in zip(starts, ends, strict=True)}
