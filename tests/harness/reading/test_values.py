"""What nobody declared: values with fractions, exchanged files, and things that go by another name."""

from __future__ import annotations

from pathlib import Path

import anndata
import h5py
import numpy as np
import pandas as pd
import pytest

from harness.pair import read_pair
from tests.harness.pair_files import CELLS, COUNTS, GENES, PLACES, cells, read, refusal, spots, table


def log_normalised(counts: np.ndarray, total: float) -> np.ndarray:
    return np.log1p(counts / counts.sum(axis=1, keepdims=True) * total).astype(np.float32)


def test_counts_and_declared_values_need_no_remark(tmp_path: Path) -> None:
    assert read(tmp_path).remarks == ()
    declared = spots(COUNTS * 0.93)
    declared.uns["spadit_values"] = "intensities"
    assert read(tmp_path, st=declared).remarks == ()
    spots(COUNTS * 0.93).write_h5ad(tmp_path / "st.h5ad")
    assert read_pair("sample", tmp_path / "sc.h5ad", tmp_path / "st.h5ad", st_kind="intensities").remarks == ()


@pytest.mark.parametrize("half", ["ST", "SC"])
def test_fractions_that_nobody_declared_are_remarked_on_by_half(half: str, tmp_path: Path) -> None:
    scaled = {"st": spots(COUNTS * 0.93)} if half == "ST" else {"sc": cells(CELLS * 0.93)}

    found = read(tmp_path, **scaled)

    (remark,) = found.remarks
    assert remark.startswith(f"{half}: values have fractions")
    assert getattr(found, half.lower()).kind == "intensities"


@pytest.mark.parametrize("total", [1e4, 1e6, float(np.median(CELLS.sum(axis=1)))])
def test_log_normalised_values_are_refused_with_the_total_of_their_rows(total: float, tmp_path: Path) -> None:
    said = refusal(tmp_path, sc=cells(log_normalised(CELLS, total)))

    assert f"adds up to {total:,.0f}" in said
    assert "= 'lognorm'" in said


def test_logs_of_intensities_are_not_taken_for_log_normalised_counts(tmp_path: Path) -> None:
    assert read(tmp_path, st=spots(np.log1p(COUNTS))).st.kind == "intensities"


def test_counts_kept_in_raw_or_in_another_layer_are_named_in_the_refusal(tmp_path: Path) -> None:
    for keep, where in (("raw", "adata.raw.X"), ("layer", "layers['raw_counts']")):
        st = spots(COUNTS)
        if keep == "raw":
            st.raw = st.copy()
        else:
            st.layers["raw_counts"] = COUNTS
        st.X = COUNTS * 0.93
        assert where in refusal(tmp_path, st=st)
        st.uns["spadit_values"] = "intensities"
        assert read(tmp_path, st=st).st.kind == "intensities"


def test_a_layer_of_integers_that_is_not_called_counts_is_not_proposed(tmp_path: Path) -> None:
    st = spots(COUNTS * 0.93)
    st.layers["clusters"] = COUNTS
    assert read(tmp_path, st=st).st.kind == "intensities"


def test_single_cells_with_places_beside_a_spatial_file_without_are_exchanged_files(tmp_path: Path) -> None:
    sc = cells()
    sc.obsm["spatial"] = np.zeros((15, 2))

    assert "exchange the two names" in refusal(tmp_path, sc=sc, st=table(COUNTS, prefix="spot"))
    assert read(tmp_path, sc=sc).coordinates is not None  # both have them: nothing to tell


def placed(**columns: object) -> anndata.AnnData:
    st = table(COUNTS, prefix="spot")
    return anndata.AnnData(st.X, obs=pd.DataFrame(columns, index=st.obs_names), var=st.var)


def test_places_under_another_name_are_pointed_at_and_not_used(tmp_path: Path) -> None:
    elsewhere = placed()
    elsewhere.obsm["X_spatial"] = PLACES
    for st, named in (
        (elsewhere, "obsm has 'X_spatial'"),
        (placed(X=PLACES[:, 0], Y=PLACES[:, 1]), "obs has 'X' and 'Y'"),
        (placed(x_centroid=PLACES[:, 0], y_centroid=PLACES[:, 1]), "obs has 'x_centroid' and 'y_centroid'"),
    ):
        found = read(tmp_path, st=st)
        assert found.coordinates is None
        assert any(remark.startswith(f"ST: {named}") for remark in found.remarks)
    assert read(tmp_path, st=placed(x=PLACES[:, 0])).remarks == ()


def test_files_from_before_anndata_07_are_looked_through_as_well(tmp_path: Path) -> None:
    """Their obs and obsm are a compound dataset each, not groups."""
    table(COUNTS, prefix="spot").write_h5ad(tmp_path / "st.h5ad")
    cells().write_h5ad(tmp_path / "sc.h5ad")
    with h5py.File(tmp_path / "st.h5ad", "r+") as file:
        del file["obs"], file["obsm"]
        rows = [(f"spot{i}".encode(), x, y) for i, (x, y) in enumerate(PLACES)]
        file["obs"] = np.array(rows, dtype=[("index", "S8"), ("x", "f8"), ("y", "f8")])
        file["obsm"] = np.array([((1.0, 2.0),)] * 20, dtype=[("X_pca", "f8", (2,))])

    found = read_pair("sample", tmp_path / "sc.h5ad", tmp_path / "st.h5ad")

    assert found.remarks == (
        "ST: obs has 'x' and 'y': if those are the places of the spots, put them in obsm['spatial'].",
    )


@pytest.mark.parametrize("column", ["celltype", "CellType", "cell.type", "annotation", "subclass"])
def test_cell_types_under_another_name_are_pointed_at_and_not_used(column: str, tmp_path: Path) -> None:
    sc = cells()
    sc.obs[column] = sc.obs.pop("cell_type")

    found = read(tmp_path, sc=sc)

    assert found.cell_types is None
    assert found.remarks == (f"SC: obs has {column!r}: if those are the cell types, name it obs['cell_type'].",)


def test_what_lies_beside_the_file_answers_the_hint(tmp_path: Path) -> None:
    sc = cells()
    sc.obs["celltype"] = sc.obs.pop("cell_type")
    (tmp_path / "cell_types.csv").write_text("cell,cell_type\n" + "".join(f"cell{i},a\n" for i in range(15)))
    assert read(tmp_path, sc=sc).remarks == ()


def test_a_column_of_var_with_the_other_files_names_is_named(tmp_path: Path) -> None:
    sc = cells()
    sc.var["n_cells"] = 3
    sc.var["gene_name"] = GENES
    sc.var_names = [f"ENSG{i:011}" for i in range(12)]

    assert "sc.h5ad has them in var['gene_name']" in refusal(tmp_path, sc=sc)


def test_names_that_agree_only_in_part_up_to_case_are_remarked_on(tmp_path: Path) -> None:
    sc = cells(genes=[gene if i < 3 else gene.upper() for i, gene in enumerate(GENES)])

    (remark,) = read(tmp_path, sc=sc).remarks

    assert remark.startswith("genes: 3 names are the same in ST and SC and 12 are up to upper and lower case")
