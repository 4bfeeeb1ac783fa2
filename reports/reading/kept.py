"""Measured and predicted values as the store keeps them, spots x genes, on the scale on which they were compared.

A fold's truth is log-normalised with size factors of the genes that were visible in it, at full depth (protocol section
3); so the truth of held-out genes is put together fold by fold, over the spots that every fold kept.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from harness.record import Asked, Record
from harness.store import Store


@dataclass(frozen=True, eq=False)
class Kept:
    """What the store has of an experiment beyond metrics. records: the finished trials, by id."""

    store: Store
    asked: Asked
    records: Mapping[str, Record]

    def spots(self, dataset: str) -> pd.DataFrame:
        """Index: row in the ST file. Columns: x, y, z as far as there are coordinates, and label where there is one."""
        found = self.store.dataset_spots(self.asked.datasets[dataset]["dataset_id"])
        return found.set_index("spot") if len(found) else found

    def genes(self, dataset: str) -> pd.DataFrame:
        """What is known of the panel's genes: index gene; st_mean, st_detection, sc_mean, morans_i and so on."""
        found = self.store.dataset_genes(self.asked.datasets[dataset]["dataset_id"])
        return found.set_index("gene") if len(found) else found

    def depth(self, dataset: str) -> float:
        """The mean over spots of the sum of their counts of the panel's genes; NaN where these are no counts."""
        card = self.store.cards().get(self.asked.datasets.get(dataset, {}).get("dataset_id", ""))
        if card is None or card["st_kind"] != "counts" or self.asked.protocol_id not in card["panels"]:
            return math.nan
        measured = self.store.measured(card["dataset_id"])[card["panels"][self.asked.protocol_id]]
        return float(measured.to_numpy(np.float64).sum(axis=1).mean())

    @functools.lru_cache(maxsize=2)  # noqa: B019  # a comparison lives as long as its report
    def prediction(self, label: str, dataset: str, rate: float) -> pd.DataFrame | None:
        """(spots, genes) of the first seed whose every fold was kept: all held-out genes, the spots of all folds.

        Spots by their row in the ST file, genes by name. None where no seed was kept whole, or where genes are not
        held out as a whole.
        """
        folds = self._folds(label, dataset, rate)
        return None if folds is None else _joined(folds)

    @functools.lru_cache(maxsize=2)  # noqa: B019
    def truth(self, label: str, dataset: str, rate: float) -> pd.DataFrame | None:
        """What `prediction` should have been, of the same shape; None where that is None or nothing is known."""
        folds = self._folds(label, dataset, rate)
        card = self.store.cards().get(self.asked.datasets[dataset]["dataset_id"])
        if folds is None or card is None or self.asked.protocol_id not in card["panels"]:
            return None
        measured = self.store.measured(card["dataset_id"])[card["panels"][self.asked.protocol_id]]
        settings = self.asked.protocol["preprocessing"]
        return _joined([_on_scale(measured.loc[f.index], list(f.columns), card["st_kind"], settings) for f in folds])

    def _folds(self, label: str, dataset: str, rate: float) -> list[pd.DataFrame] | None:
        if not str(self.asked.task.get("component", "")).endswith(":HeldOutGenes"):
            return None
        trials: dict[int, dict[int, str]] = {}
        for cell in self.asked.cells:
            if (cell["label"], cell["dataset"], cell["sampling_rate"]) == (label, dataset, rate):
                trials.setdefault(cell["seed"], {})[cell["fold"]] = cell["trial_id"]
        for seed in sorted(trials):
            found = [self.records.get(trials[seed].get(fold, "")) for fold in range(self.asked.folds)]
            kept = [None if record is None else self.store.prediction(record) for record in found]
            if all(frame is not None for frame in kept):
                return [frame for frame in kept if frame is not None]
        return None


def _joined(folds: list[pd.DataFrame]) -> pd.DataFrame:
    whole = pd.concat(folds, axis=1, join="inner")
    return whole[sorted(whole.columns)].sort_index()


def _on_scale(measured: pd.DataFrame, targets: list[str], kind: str, settings: Mapping[str, Any]) -> pd.DataFrame:
    """Held-out genes of one fold, log-normalised as they were scored, given raw values of the panel on its spots."""
    values = measured[targets].to_numpy(np.float32)
    if kind == "counts":
        seen = measured if settings["normalisation"] == "all-genes" else measured.drop(columns=targets)
        totals = seen.to_numpy(np.float64).sum(axis=1)
        relative = settings["target"] if settings["target"] is not None else np.median(totals[totals > 0])
        factors = np.where(totals > 0, totals / relative, 1.0).astype(np.float32)
        values = np.log1p(values / factors[:, None])
    elif kind != "lognorm":
        values = np.log1p(values)
    return pd.DataFrame(values, index=measured.index, columns=targets)
