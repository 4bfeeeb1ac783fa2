"""Finished trials and their tables, failed and skipped ones: the part of a store that grows."""

from __future__ import annotations

import dataclasses
import hashlib
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from harness.errors import BadInput
from harness.record import Outcome, Record
from harness.sealed import Damaged
from harness.store.files import Files
from harness.store.packs import Packs, by_trial, matches, parsed

THREADS = 16
"""Files read beside each other: a disk answers in microseconds, an object store in tens of milliseconds."""

Each = TypeVar("Each")
Found = TypeVar("Found")


class Trials:
    """The part of a store under trials/, genes/, predictions/, packs/, unfinished/ and superseded/."""

    files: Files
    packs: Packs
    where: str

    def done(self) -> set[str]:
        """Ids of all finished trials."""
        return set(self.files.names("trials", ".json")) | self.packs.ids()

    def has(self, trial_id: str) -> bool:
        """Whether a trial is finished."""
        return self.files.exists(f"trials/{trial_id}.json") or self.packs.hold(trial_id)

    def unfinished_ids(self) -> set[str]:
        """Ids of all failed and skipped trials, from one listing."""
        return set(self.files.names("unfinished", ".json"))

    def put(self, outcome: Outcome, keep_prediction: bool = False) -> Record:
        """Store an outcome: tables first, the record last. An ok record that is there already is left as it is."""
        record = outcome.record
        if record.status != "ok":
            self.put_unfinished(record)
            return record
        if self.has(record.trial_id):
            return self.record(record.trial_id)
        if outcome.genes is None:
            raise ValueError(f"The outcome of trial {record.trial_id} is ok but has no table of genes.")
        tables = {f"genes/{record.trial_id}.parquet": outcome.genes}
        if keep_prediction and outcome.prediction is not None:
            tables[f"predictions/{record.trial_id}.parquet"] = pa.table(
                {gene: outcome.prediction[:, i] for i, gene in enumerate(outcome.targets)}
            ).append_column("spot", pa.array(outcome.spots, pa.int32()))
        described = {}
        for name, table in tables.items():
            data = parquet_bytes(table)
            self.files.write(name, data)
            described[name] = {"sha256": sha256(data), "bytes": len(data), "rows": table.num_rows}
        record = dataclasses.replace(record, files=described)
        self.files.write(f"trials/{record.trial_id}.json", record.to_json())
        self.files.delete(f"unfinished/{record.trial_id}.json")
        return record

    def put_unfinished(self, record: Record) -> None:
        """Store the record of a trial that failed or was skipped."""
        self.files.write(f"unfinished/{record.trial_id}.json", record.to_json())

    def forget_unfinished(self, trial_ids: Iterable[str]) -> None:
        """Remove the records of trials that failed or were skipped: they are tried again."""
        for trial_id in sorted(self.unfinished_ids() & set(trial_ids)):
            self.files.delete(f"unfinished/{trial_id}.json")

    def supersede(self, trial_ids: Iterable[str]) -> None:
        """Set finished trials' records aside, to be run again; their numbers stay readable under their code."""
        records = self.records(trial_ids)
        for record in records:
            self.files.write(f"superseded/{record.trial_id}-{record.code}.json", record.to_json())
        self.packs.drop(record.trial_id for record in records)
        for record in records:
            self.files.delete(f"trials/{record.trial_id}.json")

    # -- reading ------------------------------------------------------------------------------------------------------

    def record(self, trial_id: str) -> Record:
        """The record of a finished trial; `BadInput` if it is not there or not whole."""
        for record in self.records([trial_id]):
            return record
        raise BadInput(f"{self.where} has no record {trial_id}; `spadit status` lists what it has.")

    def records(self, trial_ids: Iterable[str] | None = None) -> list[Record]:
        """Records of finished trials (of all, or of those ids that are finished), by id; `BadInput` if one is damaged.

        So is a pack whose trials are not known any more, where it may have held one of these.
        """
        wanted = None if trial_ids is None else set(trial_ids)
        found = self.record_bytes(wanted)
        if (wanted is None or len(found) < len(wanted)) and (broken := self.packs.damaged()):
            raise self.unreadable(broken[0], Damaged("its checksum does not match its content"))
        records = []
        for trial_id in sorted(found):
            try:
                records.append(Record.from_json(found[trial_id]))
            except (ValueError, TypeError) as error:
                raise self.unreadable(f"trials/{trial_id}.json", error) from None
        return records

    def record_bytes(self, trial_ids: Iterable[str] | None = None) -> dict[str, bytes]:
        """Records of finished trials as they were written, by id, of all or of those ids that are finished."""
        wanted = None if trial_ids is None else set(trial_ids)
        one = next(iter(wanted)) if wanted is not None and len(wanted) == 1 else None
        there = [one] if one is not None else self.files.names("trials", ".json")
        names = [i for i in there if wanted is None or i in wanted]
        small = beside(lambda i: self._read(f"trials/{i}.json"), names)
        found = {i: data for i, data in zip(names, small, strict=True) if data is not None}
        # Packs are read after the small files: what a compaction moves meanwhile is in one of the two.
        if wanted is None or len(found) < len(wanted):
            for pack in self.packs.all():
                ids = pack.records.keys() if wanted is None else pack.records.keys() & wanted
                found |= {i: pack.records[i] for i in ids if i not in found}
        return found

    def _read(self, name: str) -> bytes | None:
        try:
            return self.files.read(name)
        except FileNotFoundError:
            return None

    def unfinished(self, trial_ids: Iterable[str] | None = None) -> list[Record]:
        """Records of failed and skipped trials, by id; a trial that has succeeded since is not among them."""
        there = self.unfinished_ids() - self.done()
        ids = sorted(there if trial_ids is None else there & set(trial_ids))
        names = [f"unfinished/{trial_id}.json" for trial_id in ids]
        found = []
        for name, data in zip(names, beside(self._read, names), strict=True):
            if data is None:  # it has succeeded meanwhile, or is tried again
                continue
            try:
                found.append(Record.from_json(data))
            except Damaged:  # it was never a result; without it, the trial is missing, and so it is run again
                continue
            except (ValueError, TypeError) as error:
                raise self.unreadable(name, error) from None
        return found

    def unreadable(self, name: str, error: Exception) -> BadInput:
        """What to say of a file that is not as it was written, or that another version wrote."""
        if isinstance(error, Damaged):
            return BadInput(f"{self.where}/{name} is damaged: {error}; run the experiment again, which sets it aside.")
        return BadInput(f"{self.where}/{name} cannot be read: {error}; use a store of this version.")

    def genes_paths(self, records: Sequence[Record]) -> list[Path]:
        """Local Parquet files with the per-gene rows of these records, one each, verified against their checksums.

        One file may serve several records, and hold rows of others, a trial's rows together.
        """
        return self._from_tables(records, self.files.local)

    def _from_tables(self, records: Sequence[Record], made: Callable[[str, bytes], Found]) -> list[Found]:
        """For each record, what is made of the name and content of the file with its rows."""
        while True:
            named = self._tables(records)
            expected = {named[r.trial_id]: r.files.get(named[r.trial_id], {}).get("sha256") for r in records}
            try:
                found = self._each_table(expected, made)
            except FileNotFoundError as error:
                if self._tables(records) != named:  # a compaction has moved them meanwhile
                    continue
                raise BadInput(
                    f"{self.where}/{error.args[-1]} is missing though its record is there; run the experiment again, "
                    "which sets the record aside."
                ) from None
            return [found[named[r.trial_id]] for r in records]

    def _each_table(self, expected: Mapping[str, str | None], made: Callable[[str, bytes], Found]) -> dict[str, Found]:
        all_ = beside(lambda name: made(name, self._table(name, expected[name])), expected)
        return dict(zip(expected, all_, strict=True))

    def _tables(self, records: Sequence[Record]) -> dict[str, str]:
        """The name of the file with the rows of each record, by trial id."""
        packed = {i: name for pack in self.packs.all() for i, name in pack.genes.items()}
        return {r.trial_id: packed.get(r.trial_id, f"genes/{r.trial_id}.parquet") for r in records}

    def _table(self, name: str, expected: str | None) -> bytes:
        try:
            data = self.files.read(name)
        except FileNotFoundError:
            raise FileNotFoundError(name) from None
        if not (matches(name, data) if expected is None else sha256(data) == expected):
            raise BadInput(
                f"{self.where}/{name} does not match its checksum; delete it and run the experiment again, which "
                "computes anew what it held."
            )
        return data

    def genes(self, records: Sequence[Record]) -> pd.DataFrame:
        """Per-gene rows of these records, one row per trial and gene."""
        tables = self.rows(records)
        return pa.concat_tables(tables, promote_options="default").to_pandas() if tables else pd.DataFrame()

    def rows(self, records: Sequence[Record]) -> list[pa.Table]:
        """Per-gene rows of each of these records."""
        split = self._from_tables(records, lambda _, data: by_trial(parsed(data)))
        return [rows[record.trial_id] for record, rows in zip(records, split, strict=True)]

    def prediction(self, record: Record) -> pd.DataFrame | None:
        """The kept prediction of a trial, spots (index: row in the ST file) x genes, or None if it was not kept."""
        name = f"predictions/{record.trial_id}.parquet"
        if name not in record.files:
            return None
        data = self._read(name)
        if data is None or sha256(data) != record.files[name]["sha256"]:
            what = "is missing; " if data is None else "does not match its checksum; delete it and "
            raise BadInput(f"{self.where}/{name} {what}run the experiment again, which computes its trial anew.")
        return pd.read_parquet(io.BytesIO(data)).set_index("spot")


def beside(work: Callable[[Each], Found], all_: Iterable[Each]) -> list[Found]:
    """The results of reading each of them, several at once, in order."""
    with ThreadPoolExecutor(THREADS) as threads:
        return list(threads.map(work, all_))


def sha256(data: bytes) -> str:
    """The checksum of a file, as records note it."""
    return hashlib.sha256(data).hexdigest()


def parquet_bytes(table: pa.Table) -> bytes:
    """A table as Parquet: zstd, no pandas metadata, the same bytes for the same table."""
    sink = pa.BufferOutputStream()
    pq.write_table(table.replace_schema_metadata(None), sink, compression="zstd")
    return sink.getvalue().to_pybytes()
