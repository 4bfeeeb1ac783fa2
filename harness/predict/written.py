"""A prediction as an AnnData file, spots x genes."""

from __future__ import annotations

import contextlib
import os
import uuid
from pathlib import Path
from typing import Any

import numpy as np

from harness.errors import BadInput
from harness.predict.prediction import Prediction


def check_target(path: Path | str, overwrite: bool = False) -> None:
    """`BadInput` where a prediction may not be written to `path`; to be asked before the work, not after."""
    path = Path(path)
    if path.is_dir():
        raise BadInput(f"{path} is a folder; give the path of the .h5ad file to write.")
    if path.exists() and not overwrite:
        raise BadInput(f"{path} exists already; give another path, or replace it with --overwrite (overwrite=True).")
    folder = next(parent for parent in path.absolute().parents if parent.exists())
    if not folder.is_dir() or not os.access(folder, os.W_OK):
        raise BadInput(f"{path} cannot be written, since {folder} is no folder that you may write; give another path.")


def write_prediction(prediction: Prediction, path: Path | str, overwrite: bool = False) -> Path:
    """Write a prediction as AnnData, whole or not at all, and return the path; its folder is made if need be.

    X: float32, spots x genes. layers["sd"] where the method has one. obs_names: as in the ST file; obs["spot"]: the row
    there. obsm["spatial"] where there are coordinates. var: expected_pcc, expected_pcc_low,
    expected_pcc_high and similar_genes where there was a cross-validation. uns: provenance, as plain values.
    Raises `BadInput` where the file exists and is not to be overwritten, or the folder cannot be written.
    """
    path = Path(path)
    check_target(path, overwrite)
    writing = path.with_name(f".writing-{uuid.uuid4().hex[:8]}.h5ad")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _annotated(prediction).write_h5ad(writing, compression="gzip")
        with writing.open("rb") as file:
            os.fsync(file.fileno())
        writing.replace(path)
    except OSError as error:
        raise BadInput(f"{path} cannot be written ({error.strerror or error}); give a folder you may write.") from None
    finally:
        with contextlib.suppress(OSError):
            writing.unlink()
    return path


def _annotated(prediction: Prediction) -> Any:
    import anndata
    import pandas as pd

    rows = prediction.spots.astype(np.int64)
    data = anndata.AnnData(
        prediction.values,
        obs=pd.DataFrame({"spot": rows}, index=list(prediction.names)),
        var=pd.DataFrame(index=list(prediction.genes)),
        uns={name: value for name, value in prediction.provenance.items() if value is not None},
    )
    if prediction.sd is not None:
        data.layers["sd"] = prediction.sd
    if prediction.coordinates is not None:
        data.obsm["spatial"] = np.array(prediction.coordinates)
    if (expected := prediction.expected) is not None:
        data.var["expected_pcc"] = expected.pcc
        data.var["expected_pcc_low"] = expected.low
        data.var["expected_pcc_high"] = expected.high
        data.var["similar_genes"] = np.full(len(prediction.genes), expected.similar)
    return data
