"""What a paired sample promises: what is read, what is not, and its identity."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.errors import BadInput
from harness.pair import Assay, read_pair
from tests.harness.pair_files import CELLS, COUNTS, GENES, PLACES, cells, pair, read, spots, table


def test_a_written_pair_is_read_back_with_everything_allowed(tmp_path: Path) -> None:
    sample = read(tmp_path)
    np.testing.assert_array_equal(sample.st.values.toarray(), COUNTS)
    np.testing.assert_array_equal(sample.sc.values.toarray(), CELLS)
    np.testing.assert_array_equal(sample.coordinates, PLACES)
    assert sample.cell_types is not None
    assert sample.cell_types.tolist() == ["a", "b", "c"] * 5
    assert (sample.st.genes, sample.st.kind, sample.sc.kind) == (tuple(GENES), "counts", "counts")
    assert sample.shared == tuple(sorted(GENES))


@pytest.mark.parametrize(
    "form",
    [
        np.asarray,
        sp.csr_matrix,
        sp.csc_matrix,
        lambda x: x.astype(np.float64),
        lambda x: x.astype(np.int64),
        lambda x: x.astype(np.uint8),
        lambda x: sp.csc_matrix(x.astype(np.int32)),
        lambda x: x.astype(">f4"),
    ],
)
def test_every_form_of_storage_gives_the_same_pair(form: Any, tmp_path: Path) -> None:
    assert read(tmp_path, st=spots(form(COUNTS))).id == pair().id


def test_counts_in_a_layer_are_preferred_to_x(tmp_path: Path) -> None:
    data = spots(np.log1p(COUNTS))
    data.layers["counts"] = sp.csc_matrix(COUNTS)
    assert read(tmp_path, st=data).id == pair().id


def test_a_backed_file_of_dense_values_is_read_in_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.reading.hdf5.BLOCK", 30)
    assert read(tmp_path).id == pair().id


def test_nothing_else_of_the_spatial_file_can_change_the_pair(tmp_path: Path) -> None:
    data = spots()
    truth = COUNTS.sum(axis=1)
    data.obs["total"] = truth
    data.var["highly_variable"] = COUNTS.var(axis=0) > 1
    data.uns["truth"] = COUNTS
    data.obsm["X_pca"] = COUNTS[:, :3]
    data.layers["scaled"] = COUNTS - COUNTS.mean(axis=0)
    data.raw = spots()
    assert read(tmp_path, st=data).id == pair().id


def test_values_with_fractions_are_intensities_unless_declared_otherwise(tmp_path: Path) -> None:
    assert read(tmp_path, st=spots(COUNTS / 3)).st.kind == "intensities"
    declared = spots(COUNTS / 3)
    declared.uns["spadit_values"] = "lognorm"
    assert read(tmp_path, st=declared).st.kind == "lognorm"
    again = read_pair("sample", tmp_path / "sc.h5ad", tmp_path / "st.h5ad", st_kind="intensities")
    assert again.st.kind == "intensities"


def test_labels_of_spots_are_for_figures_and_not_part_of_the_id(tmp_path: Path) -> None:
    data = spots()
    data.obs["region"] = pd.Categorical(["in", "out"] * 9 + [None, "in"])
    sample = read(tmp_path, st=data)
    assert sample.spot_labels is not None
    assert sample.spot_labels[:2].tolist() == ["in", "out"]
    assert sample.spot_labels[18] == "unlabelled"
    assert sample.id == pair().id


def test_text_columns_of_every_encoding_are_read(tmp_path: Path) -> None:
    for column in (["a", "b", "c"] * 5, pd.Categorical(["a", "b", "c"] * 5), np.array(["a", "b", "c"] * 5, object)):
        data = cells()
        data.obs["cell_type"] = column
        assert read(tmp_path, sc=data).id == pair().id


def test_missing_coordinates_and_types_are_no_error(tmp_path: Path) -> None:
    sample = read(tmp_path, sc=table(CELLS), st=table(COUNTS))
    assert sample.coordinates is None
    assert sample.cell_types is None


def test_importing_the_module_and_reading_a_pair_imports_no_heavy_package(tmp_path: Path) -> None:
    read(tmp_path)
    code = (
        "import sys, harness.pair as p; p.read_pair('s', 'sc.h5ad', 'st.h5ad'); "
        "print([m for m in ('anndata', 'scanpy', 'torch', 'ray', 'pandas') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_text_columns_of_older_and_newer_files_are_read(tmp_path: Path) -> None:
    read(tmp_path)
    names, codes = ["a", "b", "c"], np.array([0, 1, 2] * 5, dtype=np.int8)
    with h5py.File(tmp_path / "sc.h5ad", "r+") as file:  # as AnnData 0.7 wrote categories
        del file["obs/cell_type"]
        file["obs/__categories/cell_type"] = names
        file["obs/cell_type"] = codes
        file["obs/cell_type"].attrs["categories"] = file["obs/__categories/cell_type"].ref
    assert read_pair("sample", tmp_path / "sc.h5ad", tmp_path / "st.h5ad").id == pair().id
    with h5py.File(tmp_path / "sc.h5ad", "r+") as file:  # text that may be missing
        del file["obs/cell_type"]
        file["obs/cell_type/values"] = names * 5
        file["obs/cell_type/mask"] = np.zeros(15, dtype=bool)
    assert read_pair("sample", tmp_path / "sc.h5ad", tmp_path / "st.h5ad").id == pair().id


# ---------------------------------------------------------------------------------------------------------------
# Identity


def test_the_id_is_the_same_on_every_machine() -> None:
    assert pair().id == "f4c794df914d056c"


def test_the_id_ignores_names_labels_and_storage() -> None:
    padded = sp.csr_matrix(COUNTS)
    padded.data = np.append(padded.data, 0).astype(np.float32)
    padded.indices = np.append(padded.indices, 11)
    padded.indptr = np.append(padded.indptr[:-1], padded.indptr[-1] + 1)
    stored_zero = Assay(tuple(GENES), padded, "counts")
    other = Assay(tuple(GENES), sp.coo_array(COUNTS.astype(np.float64)), "counts")
    for same in (
        pair(name="another", spot_labels=None, synthetic="invented"),
        pair(st=stored_zero),
        pair(st=other),
        pair(coordinates=PLACES.astype(">f8"), cell_types=["a", "b", "c"] * 5),
    ):
        assert same.id == pair().id


def test_the_id_changes_with_any_content() -> None:
    st_, values = pair().st, COUNTS.copy()
    values[0, 0] += 1
    variants = [
        pair(),
        pair(st=Assay(st_.genes, sp.csr_matrix(values), "counts")),
        pair(st=Assay(st_.genes, st_.values, "intensities")),
        pair(st=Assay((*GENES[:-1], "Renamed"), st_.values, "counts")),
        pair(sc=Assay(tuple(GENES), sp.csr_matrix(CELLS[::-1]), "counts")),
        pair(coordinates=None),
        pair(coordinates=PLACES + 1e-9),
        pair(cell_types=None),
        pair(cell_types=np.array(["a", "c", "b"] * 5)),
    ]
    assert len({variant.id for variant in variants}) == len(variants)


@given(st.permutations(range(12)))
@settings(max_examples=20, deadline=None)
def test_shared_genes_do_not_depend_on_their_order(order: list[int]) -> None:
    turned = Assay(tuple(GENES[i] for i in order), sp.csr_matrix(COUNTS[:, order]), "counts")
    sample = pair(st=turned)
    assert sample.shared == pair().shared
    np.testing.assert_array_equal(sample.st.values[:, sample.st.columns(GENES)].toarray(), COUNTS)


def test_a_pair_is_read_only_and_leaves_what_it_was_given_alone() -> None:
    given = sp.csr_matrix(COUNTS)
    assay = Assay(tuple(GENES), given, "counts")
    with pytest.raises(ValueError, match="read-only"):
        assay.values.data[0] = 5
    given.data[0] = 99
    assert assay.values.max() < 99
    coordinates = pair().coordinates
    assert coordinates is not None
    with pytest.raises(ValueError, match="read-only"):
        coordinates[0, 0] = 1


def test_a_pair_made_in_memory_is_validated_as_well() -> None:
    for make in (
        lambda: Assay(("A", "A"), sp.csr_matrix(np.ones((2, 2))), "counts"),
        lambda: Assay(("A",), sp.csr_matrix(np.ones((2, 2))), "counts"),
        lambda: Assay(("A", "B"), sp.csr_matrix(np.ones((2, 2))), "raw"),
        lambda: Assay(("A", "B"), sp.csr_matrix(-np.ones((2, 2))), "lognorm"),
        lambda: pair(coordinates=PLACES[:3]),
        lambda: pair(cell_types=["a"]),
        lambda: pair(spot_labels=["a"]),
        lambda: pair(st=Assay(("Else",), sp.csr_matrix(np.ones((20, 1))), "counts")),
    ):
        with pytest.raises(BadInput):
            make()
