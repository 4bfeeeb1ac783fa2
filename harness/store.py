"""The store: the only state there is. A trial is done when its record exists, whole, under its content id.

Resume, retry, sharing between experiments and "run only what is missing" are one set difference on one listing.
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from harness.errors import BadInput
from harness.files import LocalFiles
from harness.record import Asked, Outcome, Record
from models.component import nearest


class Store:
    """A store in a local folder; it is created by the first write, never by looking.

    trials/ holds ok records (written last: presence is the commit), genes/ and predictions/ their tables,
    unfinished/ the failed and skipped, datasets/ what figures need of a dataset, experiments/ what was asked,
    superseded/ records that `--stale` replaced.
    """

    def __init__(self, where: str | Path) -> None:
        if "://" in str(where):
            raise BadInput(f"The store {where} is not a local folder; give a path.")
        root = Path(where).expanduser().absolute()  # workers may stand elsewhere
        if root.exists() and not root.is_dir():
            raise BadInput(f"The store {where} is a file; give a folder (it may not exist yet).")
        self.files = LocalFiles(root)
        self.where = str(where)

    # -- trials ---------------------------------------------------------------------------------------------------

    def done(self) -> set[str]:
        """Ids of all finished trials, from one listing."""
        return set(self.files.names("trials", ".json"))

    def unfinished_ids(self) -> set[str]:
        """Ids of all failed and skipped trials, from one listing."""
        return set(self.files.names("unfinished", ".json"))

    def put(self, outcome: Outcome, keep_prediction: bool = False) -> Record:
        """Store an outcome: tables first, the record last. An ok record that is there already is left as it is."""
        record = outcome.record
        if record.status != "ok":
            self.files.write(f"unfinished/{record.trial_id}.json", record.to_json())
            return record
        if self.files.exists(f"trials/{record.trial_id}.json"):
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
            described[name] = {"sha256": hashlib.sha256(data).hexdigest(), "rows": table.num_rows}
        record = dataclasses.replace(record, files=described)
        self.files.write(f"trials/{record.trial_id}.json", record.to_json())
        self.files.delete(f"unfinished/{record.trial_id}.json")
        return record

    def record(self, trial_id: str) -> Record:
        """The record of a finished trial; `BadInput` if it is not there or not whole."""
        return self._read_record(f"trials/{trial_id}.json")

    def records(self, trial_ids: Iterable[str] | None = None) -> list[Record]:
        """Records of finished trials (of all, or of those ids that are finished), by id."""
        done = self.done()
        wanted = sorted(done if trial_ids is None else done & set(trial_ids))
        return [self.record(trial_id) for trial_id in wanted]

    def unfinished(self, trial_ids: Iterable[str] | None = None) -> list[Record]:
        """Records of failed and skipped trials, by id; a trial that has succeeded since is not among them."""
        there = self.unfinished_ids() - self.done()
        wanted = sorted(there if trial_ids is None else there & set(trial_ids))
        return [self._read_record(f"unfinished/{trial_id}.json") for trial_id in wanted]

    def supersede(self, trial_id: str) -> None:
        """Set a finished trial's record aside, so that it is run again; its numbers stay readable under its code."""
        record = self.record(trial_id)
        self.files.move(f"trials/{trial_id}.json", f"superseded/{trial_id}-{record.code}.json")

    def genes_paths(self, records: Sequence[Record]) -> list[Path]:
        """The Parquet files that hold the per-gene rows of these records, each verified against its checksum."""
        named = [(r, name) for r in records for name in r.files if name.startswith("genes/")]
        with ThreadPoolExecutor() as threads:  # reading and hashing both run beside each other
            sums = threads.map(lambda each: hashlib.sha256(self._read(each[1])).hexdigest(), named)
            for (record, name), found in zip(named, sums, strict=True):
                if found != record.files[name]["sha256"]:
                    raise BadInput(
                        f"{self.where}/{name} does not match the checksum in its record; delete "
                        f"{self.where}/trials/{record.trial_id}.json and run the experiment again."
                    )
        return [self.files.path(name) for _, name in named]

    def genes(self, records: Sequence[Record]) -> pd.DataFrame:
        """Per-gene rows of these records, one row per trial and gene."""
        paths = self.genes_paths(records)
        if not paths:
            return pd.DataFrame()
        return pa.concat_tables([pq.read_table(path) for path in paths], promote_options="default").to_pandas()

    def prediction(self, record: Record) -> pd.DataFrame | None:
        """The kept prediction of a trial, spots (index: row in the ST file) x genes, or None if it was not kept."""
        name = f"predictions/{record.trial_id}.parquet"
        if name not in record.files:
            return None
        return pd.read_parquet(io.BytesIO(self._read(name))).set_index("spot")

    def _read_record(self, name: str) -> Record:
        try:
            return Record.from_json(self.files.read(name))
        except FileNotFoundError:
            raise BadInput(f"There is no record {self.where}/{name}; `spadit status` lists those there are.") from None
        except (ValueError, TypeError, KeyError):
            raise BadInput(
                f"{self.where}/{name} is not a whole record (damaged, or written by another version); delete it and "
                "run the experiment again."
            ) from None

    def _read(self, name: str) -> bytes:
        try:
            return self.files.read(name)
        except FileNotFoundError:
            raise BadInput(
                f"{self.where}/{name} is missing though its record is there; delete the record and run again."
            ) from None

    # -- what was asked ---------------------------------------------------------------------------------------------

    def put_asked(self, asked: Asked) -> str:
        """Store what was asked as `<name>-<8 hex of content>`; asking the same again writes nothing new."""
        content = dataclasses.asdict(asked) | {"asked_at": "", "commands": ()}
        key = f"{asked.name}-{hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:8]}"
        if not self.files.exists(f"experiments/{key}.json"):
            self.files.write(f"experiments/{key}.json", asked.to_json())
        return key

    def asked(self, name: str | None = None) -> list[Asked]:
        """What was asked under that name (or under every name), in order of asking.

        The same experiment asked in parts (some datasets first, others later) is one, with all its cells; the same
        name with another definition is another version.
        """
        found: list[Asked] = []
        for key in self.files.names("experiments", ".json"):
            try:
                found.append(Asked.from_json(self.files.read(f"experiments/{key}.json")))
            except (ValueError, TypeError, KeyError):
                raise BadInput(
                    f"{self.where}/experiments/{key}.json is not a whole experiment (damaged, or written by another "
                    "version); delete it and run the experiment again."
                ) from None
        merged: dict[tuple[str, str], Asked] = {}
        for asked in sorted(found, key=lambda a: (a.asked_at, a.name)):
            key_ = (asked.name, asked.definition)
            merged[key_] = merged.pop(key_).merged(asked) if key_ in merged else asked
        names = sorted({asked.name for asked in merged.values()})
        if name is not None and name not in names:
            raise BadInput(f"{self.where} holds no experiment named {name!r}; {nearest(name, names)}")
        return [asked for asked in merged.values() if name in (None, asked.name)]

    def answered(self, asked: Asked) -> Asked:
        """The experiment as tables show it: with the answers from elsewhere that were given to the same question."""
        for other in self.asked() if not asked.external else ():
            if other.external:
                asked = asked.joined(other)
        return asked

    # -- datasets -----------------------------------------------------------------------------------------------------

    def described_genes(self, dataset_id: str) -> tuple[str, ...]:
        """The genes of a dataset whose description is stored; empty if the dataset is not."""
        try:
            card = json.loads(self.files.read(f"datasets/{dataset_id}/card.json"))
        except FileNotFoundError:
            return ()
        return tuple(sorted({gene for panel in card["panels"].values() for gene in panel}))

    def put_dataset(
        self,
        dataset_id: str,
        card: Mapping[str, Any],
        spots: pd.DataFrame,
        genes: pd.DataFrame,
        measured: pd.DataFrame,
    ) -> None:
        """Store what figures need of a dataset: written by the driver, never read by workers.

        card["panels"]: protocol id -> panel. measured: (n_spots, n_genes) raw ST values, a column per panel gene.
        What is known under other panels stays: the values of a gene are the same under each.
        """
        known = set(genes["gene"])
        earlier = [gene for gene in self.described_genes(dataset_id) if gene not in known]
        if self.files.exists(f"datasets/{dataset_id}/card.json"):
            panels = json.loads(self.files.read(f"datasets/{dataset_id}/card.json"))["panels"]
            card = {**card, "panels": {**panels, **card["panels"]}}
        if earlier:
            folder = f"datasets/{dataset_id}"
            old = pd.read_parquet(io.BytesIO(self.files.read(f"{folder}/genes.parquet")))
            genes = pd.concat([genes, old[old["gene"].isin(earlier)]], ignore_index=True)
            kept = pd.read_parquet(io.BytesIO(self.files.read(f"{folder}/truth.parquet")), columns=earlier)
            measured = pd.concat([measured, kept], axis=1)
        for part, table in {"spots": spots, "genes": genes, "truth": measured}.items():
            data = parquet_bytes(pa.Table.from_pandas(table, preserve_index=False))
            self.files.write(f"datasets/{dataset_id}/{part}.parquet", data)
        self.files.write(f"datasets/{dataset_id}/card.json", (json.dumps(card, indent=1) + "\n").encode())

    def dataset_genes(self, dataset_id: str) -> pd.DataFrame:
        """What is stored of a dataset's panel genes, one row per gene; empty if the dataset is not described."""
        return self._described(dataset_id, "genes")

    def dataset_spots(self, dataset_id: str) -> pd.DataFrame:
        """Row in the ST file, coordinates and label of each spot; empty if the dataset is not described."""
        return self._described(dataset_id, "spots")

    def measured(self, dataset_id: str) -> pd.DataFrame:
        """(n_spots, n_genes) raw ST values of every spot of the file; empty if the dataset is not described."""
        return self._described(dataset_id, "truth")

    def _described(self, dataset_id: str, part: str) -> pd.DataFrame:
        try:
            return pd.read_parquet(io.BytesIO(self.files.read(f"datasets/{dataset_id}/{part}.parquet")))
        except FileNotFoundError:
            return pd.DataFrame()

    def cards(self) -> dict[str, dict[str, Any]]:
        """Dataset cards by dataset id."""
        root = self.files.path("datasets")
        ids = sorted(p.name for p in root.iterdir() if (p / "card.json").exists()) if root.exists() else []
        return {i: json.loads(self.files.read(f"datasets/{i}/card.json")) for i in ids}


def parquet_bytes(table: pa.Table) -> bytes:
    """A table as Parquet: zstd, no pandas metadata, the same bytes for the same table."""
    sink = pa.BufferOutputStream()
    pq.write_table(table.replace_schema_metadata(None), sink, compression="zstd")
    return sink.getvalue().to_pybytes()
