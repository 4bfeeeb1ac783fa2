"""A small pair, in memory and on disk, for the tests of reading and refusing."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from harness.errors import BadInput
from harness.pair import Assay, PairedSample, read_pair

GENES = [f"Gene{i}" for i in range(12)]
COUNTS = np.random.default_rng(0).poisson(1.0, (20, 12)).astype(np.float32)
CELLS = np.random.default_rng(1).poisson(1.0, (15, 12)).astype(np.float32)
PLACES = np.random.default_rng(2).random((20, 2))


def table(values: Any, genes: Any = GENES, prefix: str = "row", **slots: Any) -> anndata.AnnData:
    obs = pd.DataFrame(index=[f"{prefix}{i}" for i in range(values.shape[0])])
    return anndata.AnnData(values, obs=obs, var=pd.DataFrame(index=list(genes)), **slots)


def cells(values: Any = CELLS, genes: Any = GENES) -> anndata.AnnData:
    data = table(values, genes, "cell")
    data.obs["cell_type"] = pd.Categorical(["a", "b", "c"] * 5)
    return data


def spots(values: Any = COUNTS, genes: Any = GENES) -> anndata.AnnData:
    return table(values, genes, "spot", obsm={"spatial": PLACES.copy()})


def read(folder: Path, sc: anndata.AnnData | None = None, st: anndata.AnnData | None = None) -> PairedSample:
    (sc if sc is not None else cells()).write_h5ad(folder / "sc.h5ad")
    (st if st is not None else spots()).write_h5ad(folder / "st.h5ad")
    return read_pair("sample", folder / "sc.h5ad", folder / "st.h5ad")


def refusal(folder: Path, sc: anndata.AnnData | None = None, st: anndata.AnnData | None = None) -> str:
    with pytest.raises(BadInput) as caught:
        read(folder, sc, st)
    return sentence(caught.value)


def sentence(error: BadInput) -> str:
    """The message, after making sure that it is one sentence without a chained traceback."""
    text = str(error)
    assert error.__suppress_context__ or error.__context__ is None
    assert text.endswith(".")
    assert "\n" not in text
    assert not re.search(r"\w{3}\. [A-Z]", text), text
    return text


def pair(**changes: Any) -> PairedSample:
    fields = {
        "name": "sample",
        "st": Assay(tuple(GENES), sp.csr_matrix(COUNTS), "counts"),
        "sc": Assay(tuple(GENES), sp.csr_matrix(CELLS), "counts"),
        "coordinates": PLACES,
        "cell_types": np.array(["a", "b", "c"] * 5),
        "spot_labels": np.array(["x", "y"] * 10),
    }
    return PairedSample(**{**fields, **changes})


def rewrite(path: Path, change: Callable[[anndata.AnnData], anndata.AnnData | None]) -> None:
    """Change a file in place."""
    data = anndata.read_h5ad(path)
    changed = change(data)
    (data if changed is None else changed).write_h5ad(path)
