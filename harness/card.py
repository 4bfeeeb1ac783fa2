"""What the store keeps of a dataset for figures: written by the driver, read by reports, never by workers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from harness.ceiling import ceiling
from harness.pair import PairedSample
from harness.protocol import Prepared
from harness.protocol.panel import dense, detection
from harness.spatial import morans_i
from harness.store import Store

CEILING_STREAM = 1
"""Purpose of the random stream that splits the truth's counts; 0 is the methods' (see `harness.trial`)."""


def put_card(store: Store, pair: PairedSample, data: Prepared) -> None:
    """Store a dataset's card, its spots, its panel genes and their measured values, once per content and panel."""
    if data.protocol.id in store.cards().get(pair.id, {}).get("panels", {}):
        return
    measured = pd.DataFrame(dense(pair.st, data.panel), columns=list(data.panel))  # also of spots a filter removes
    store.put_dataset(pair.id, _card(pair, data), _spots(pair), _genes(pair, data), measured)


def facts_of(pair: PairedSample, title: str = "") -> dict[str, Any]:
    """What the store keeps of a dataset beside a question that is asked of it; title: one clause on it."""
    return {
        "dataset_id": pair.id,
        "title": title,
        "synthetic": pair.synthetic,
        "remarks": list(pair.remarks),
        "spots": len(pair.st),
        "cells": len(pair.sc),
        "shared": len(pair.shared),
    }


def _card(pair: PairedSample, data: Prepared) -> dict[str, Any]:
    return {
        "name": pair.name,
        "dataset_id": pair.id,
        "synthetic": pair.synthetic,
        "spots": len(pair.st),
        "cells": len(pair.sc),
        "st_genes": len(pair.st.genes),
        "sc_genes": len(pair.sc.genes),
        "shared": len(pair.shared),
        "panels": {data.protocol.id: list(data.panel)},
        "st_kind": pair.st.kind,
        "sc_kind": pair.sc.kind,
        "coordinates": None if pair.coordinates is None else int(pair.coordinates.shape[1]),
        "cell_types": None if pair.cell_types is None else len(np.unique(pair.cell_types)),
        "spot_labels": None if pair.spot_labels is None else len(np.unique(pair.spot_labels)),
    }


def _spots(pair: PairedSample) -> pd.DataFrame:
    columns: dict[str, Any] = {"spot": np.arange(len(pair.st), dtype=np.int32)}
    if pair.coordinates is not None:
        columns |= {axis: pair.coordinates[:, i] for i, axis in enumerate("xyz"[: pair.coordinates.shape[1]])}
    if pair.spot_labels is not None:
        columns["label"] = pair.spot_labels.astype(str)
    return pd.DataFrame(columns)


def _genes(pair: PairedSample, data: Prepared) -> pd.DataFrame:
    logged = data.spots if data.kind == "lognorm" else np.log1p(data.spots)
    columns: dict[str, Any] = {
        "gene": list(data.panel),
        "st_mean": data.spots.mean(axis=0, dtype=np.float64),
        "st_detection": detection(pair.st, data.panel),
        "sc_mean": data.cells.of(data.panel).mean(axis=0, dtype=np.float64),
        "sc_detection": detection(pair.sc, data.panel),
    }
    if data.coordinates is not None:
        columns["morans_i"] = morans_i(logged, data.coordinates)
    if data.kind == "counts":
        columns["ceiling_pcc"] = _ceiling(data)
    return pd.DataFrame(columns)


def _ceiling(data: Prepared) -> NDArray[np.float64]:
    """(n_panel,) PCC of one half of each gene's counts with the other half, under size factors of the whole panel."""
    totals = data.spots.sum(axis=1, dtype=np.float64)
    kept = totals > 0
    factors = data.protocol.preprocessing.size_factors(totals)
    rng = np.random.default_rng(np.random.SeedSequence(0, spawn_key=(0, CEILING_STREAM)))
    return ceiling(data.spots[kept], factors[kept], rng).values["pcc"]
