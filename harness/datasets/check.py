"""What a newcomer wants to know of a pair before running anything on it."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp

from harness.pair import Assay, PairedSample
from harness.spatial import morans_i


def check(pair: PairedSample) -> dict[str, Any]:
    """A summary of numbers and text only (JSON), all over the shared genes where a share or a total is meant.

    `detected_genes` are the shared genes seen in at least 5 % of spots and 2 % of cells. Moran's I is over the 6
    nearest neighbours, of log1p values, counts divided by the spot's shared total; None without coordinates.
    """
    st, sc = _shared(pair.st, pair.shared), _shared(pair.sc, pair.shared)
    seen = (_detected(st) >= 0.05) & (_detected(sc) >= 0.02)
    types = None if pair.cell_types is None else len(set(pair.cell_types.tolist()))
    return {
        "name": pair.name,
        "id": pair.id,
        "synthetic": pair.synthetic,
        "remarks": list(pair.remarks),
        "spots": len(pair.st),
        "cells": len(pair.sc),
        "st_genes": len(pair.st.genes),
        "sc_genes": len(pair.sc.genes),
        "shared_genes": len(pair.shared),
        "detected_genes": int(seen.sum()),
        "st_values": pair.st.kind,
        "sc_values": pair.sc.kind,
        "st_zeros": 1.0 - st.nnz / (st.shape[0] * st.shape[1]),
        "sc_zeros": 1.0 - sc.nnz / (sc.shape[0] * sc.shape[1]),
        "st_median_total": _median_total(st),
        "sc_median_total": _median_total(sc),
        "empty_spots": int((np.diff(st.indptr) == 0).sum()),
        "coordinates": None if pair.coordinates is None else f"{pair.coordinates.shape[1]}-D",
        "cell_types": types,
        "spot_labels": None if pair.spot_labels is None else len(set(pair.spot_labels.tolist())),
        **_spatial(pair, st),
    }


def _spatial(pair: PairedSample, st: sp.csr_matrix) -> dict[str, Any]:
    if pair.coordinates is None:
        return {"moran_median": None, "moran_top": None}
    moran = morans_i(_logged(st, pair.st.kind), pair.coordinates)
    top = np.lexsort((np.arange(len(moran)), -moran))[:5]
    return {
        "moran_median": float(np.median(moran)),
        "moran_top": {pair.shared[i]: float(moran[i]) for i in top},
    }


def _shared(assay: Assay, genes: tuple[str, ...]) -> sp.csr_matrix:
    return assay.values[:, assay.columns(genes)]


def _median_total(values: sp.csr_matrix) -> float:
    return float(np.median(np.asarray(values.sum(axis=1)).ravel()))


def _detected(values: sp.csr_matrix) -> Any:
    """(g,) the share of rows in which a gene is not zero."""
    return np.bincount(values.indices, minlength=values.shape[1]) / values.shape[0]


def _logged(values: sp.csr_matrix, kind: str) -> sp.csr_matrix:
    if kind == "lognorm":
        return values
    if kind == "counts":
        totals = np.asarray(values.sum(axis=1), dtype=np.float64).ravel()
        usual = float(np.median(totals[totals > 0])) if (totals > 0).any() else 1.0
        values = sp.diags_array(usual / np.where(totals > 0, totals, usual)) @ values
    return sp.csr_matrix(values).log1p()
