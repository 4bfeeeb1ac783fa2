"""The bundled pair: real counts, invented positions, the same everywhere."""

from __future__ import annotations

import importlib.machinery
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp

from harness.datasets import load, pbmc_tissue, present
from harness.datasets.check import check
from harness.errors import BadInput
from harness.pair import PairedSample
from harness.reading.h5ad import read_fields


@pytest.fixture(scope="module")
def tissue() -> PairedSample:
    return load("pbmc_tissue")


def test_recovered_counts_are_integers_that_give_back_the_logarithms() -> None:
    path = pbmc_tissue.packaged()
    assert path is not None
    logged = read_fields(path, (), spatial=False, raw=True).values
    counts = pbmc_tissue.recovered_counts(logged, "file")
    assert counts.shape == (700, 765)
    assert np.array_equal(counts.data, np.rint(counts.data))
    for row in range(counts.shape[0]):
        cell, log = counts[row].data, logged[row].data.astype(np.float64)
        unit = np.expm1(log) @ cell / (cell @ cell)
        assert cell.min() == 1
        np.testing.assert_allclose(np.log1p(cell * unit), log, atol=1e-3)  # the file keeps three decimals


def test_values_that_are_no_scaled_counts_are_refused() -> None:
    with pytest.raises(BadInput, match="does not hold scaled counts"):
        pbmc_tissue.recovered_counts(sp.csr_matrix(np.array([[0.3, 0.5, 0.0, 1.1]])), "file")


def test_half_of_every_type_is_reference_and_half_is_tissue(tissue: PairedSample) -> None:
    assert (len(tissue.sc), len(tissue.st), len(tissue.shared)) == (353, 347, 765)
    assert tissue.cell_types is not None
    names, numbers = np.unique(tissue.cell_types, return_counts=True)
    assert dict(zip(names.tolist(), numbers.tolist(), strict=True))["Dendritic"] == 120
    assert len(names) == 10
    rows = {row.tobytes() for row in tissue.sc.values.toarray()}
    assert not rows & {row.tobytes() for row in tissue.st.values.toarray()}


def test_it_is_the_same_tissue_on_every_machine(tissue: PairedSample) -> None:
    assert tissue.id == "19c445264938cf59"


def test_the_layout_gives_genes_a_spatial_pattern(tissue: PairedSample) -> None:
    summary = check(tissue)
    assert min(summary["moran_top"].values()) > 0.2
    assert summary["moran_median"] > 0.01


def test_every_layer_is_enriched_in_some_types_and_borders_are_mixed() -> None:
    types = np.repeat(["a", "b", "c", "d"], 100)
    places, layers, order = pbmc_tissue.tissue(types, np.random.default_rng(0))
    assert sorted(order.tolist()) == list(range(400))
    assert len({tuple(place) for place in places.tolist()}) == 400
    for layer, kind in zip(np.unique(layers), "abcd", strict=True):
        share = np.mean(types[order][layers == layer] == kind)
        assert 0.4 < share < 0.98


def test_it_says_wherever_it_is_shown_that_it_is_semi_synthetic(tissue: PairedSample) -> None:
    assert tissue.synthetic == "semi-synthetic: real cells, invented positions"
    assert present("pbmc_tissue").synthetic == tissue.synthetic


def test_without_the_packaged_file_it_is_absent_with_advice(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    elsewhere = importlib.machinery.ModuleSpec("scanpy", None, is_package=True)
    elsewhere.submodule_search_locations = [str(tmp_path)]
    for spec in (None, elsewhere):
        monkeypatch.setattr("importlib.util.find_spec", lambda _, spec=spec: spec)
        entry = present("pbmc_tissue")
        assert not entry.present
        assert "install scanpy" in entry.reason
        with pytest.raises(BadInput, match="install scanpy"):
            load("pbmc_tissue")


def test_loading_it_imports_neither_scanpy_nor_anndata() -> None:
    code = (
        "import sys; from harness.datasets import load; load('pbmc_tissue'); "
        "print([m for m in ('anndata', 'scanpy', 'torch', 'ray') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
