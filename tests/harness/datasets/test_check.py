"""The summary of a pair, against numbers worked out by hand, and on the real pairs."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp

from harness.datasets import load
from harness.datasets.check import check
from harness.datasets.simulated import simulate
from harness.pair import Assay, PairedSample

SPATIAL = np.array([[4, 0, 0], [2, 2, 0], [0, 0, 0], [0, 4, 4]])
SINGLE = np.array([[1, 0, 0, 7], [0, 3, 0, 0]])

REAL = {  # spots, ST genes, cells, SC genes, shared, detected, ST values, cell types, spot labels (data/README.md)
    "osmfish_ssp": (3405, 33, 5613, 33, 33, 27, "counts", False, False),
    "hippocampus_visium": (313, 276, 510, 307, 124, 124, "counts", True, False),
    "merfish_preoptic": (6509, 155, 1308, 134, 134, 93, "intensities", True, True),
    "seqfishplus_cortex": (913, 10000, 550, 19972, 10000, 7666, "counts", True, True),
    "pdac": (428, 25753, 1926, 7000, 5413, 1744, "counts", True, False),
}


def small(**changes: Any) -> PairedSample:
    st = Assay(("A", "B", "C"), sp.csr_matrix(SPATIAL), "counts")
    sc = Assay(("A", "B", "C", "D"), sp.csr_matrix(SINGLE), "counts")
    return PairedSample(**{"name": "small", "st": st, "sc": sc, **changes})


def test_the_numbers_are_those_of_the_shared_genes() -> None:
    summary = check(small(cell_types=["x", "x"]))
    assert (summary["spots"], summary["cells"]) == (4, 2)
    assert (summary["st_genes"], summary["sc_genes"], summary["shared_genes"]) == (3, 4, 3)
    assert summary["st_zeros"] == pytest.approx(7 / 12)
    assert summary["sc_zeros"] == pytest.approx(4 / 6)
    assert summary["st_median_total"] == 4
    assert summary["sc_median_total"] == 2
    assert summary["detected_genes"] == 2
    assert summary["empty_spots"] == 1
    assert summary["cell_types"] == 1


def test_what_a_pair_lacks_is_none() -> None:
    summary = check(small())
    assert summary["coordinates"] is None
    assert summary["cell_types"] is None
    assert summary["moran_median"] is None


def test_it_is_plain_json_and_says_what_is_invented() -> None:
    summary = check(simulate(40, 40, 20))
    assert json.loads(json.dumps(summary)) == summary
    assert summary["synthetic"].startswith("simulated")
    assert len(summary["moran_top"]) == 5
    assert list(summary["moran_top"].values()) == sorted(summary["moran_top"].values(), reverse=True)


@pytest.mark.real
@pytest.mark.parametrize("name", REAL)
def test_the_real_pairs_have_the_documented_sizes_and_kinds(name: str) -> None:
    folder = os.environ.get("SPADIT_DATA")
    if not folder:
        pytest.skip("SPADIT_DATA is not set: the real tissue pairs are not part of the project")
    pair = load(name, [Path(folder)])
    spots, st_genes, cells, sc_genes, shared, detected, values, types, labels = REAL[name]
    assert (pair.st.values.shape, pair.sc.values.shape) == ((spots, st_genes), (cells, sc_genes))
    assert (len(pair.shared), pair.st.kind, pair.sc.kind) == (shared, values, "counts")
    assert ((pair.cell_types is not None), (pair.spot_labels is not None)) == (types, labels)
    assert pair.coordinates is not None
    assert pair.coordinates.shape == (spots, 2)
    assert pair.synthetic == ""
    summary = check(pair)
    assert summary["detected_genes"] == detected
    assert summary["moran_top"][next(iter(summary["moran_top"]))] > 0.3
