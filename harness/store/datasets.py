"""What a store keeps of datasets for figures: written by the driver, read by reports, never by workers."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import pandas as pd
import pyarrow as pa

from harness.store.files import Files
from harness.store.trials import parquet_bytes


class Datasets:
    """The part of a store under datasets/."""

    files: Files

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
        found = {}
        for dataset_id in self.files.folders("datasets"):
            with suppress(FileNotFoundError):  # its tables are being written
                found[dataset_id] = json.loads(self.files.read(f"datasets/{dataset_id}/card.json"))
        return found
