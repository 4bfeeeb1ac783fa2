"""10x files of both versions, against scanpy's own reader."""

from __future__ import annotations

import contextlib
import warnings
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.errors import BadInput
from harness.reading.tenx import read_tenx
from tests.harness.pair_files import CELLS, GENES, sentence

BARCODES = [f"cell{i}" for i in range(15)]
IDS = [f"ENSG{i:05d}" for i in range(12)]


def write_v3(path: Path, symbols: list[str] = GENES, kinds: list[str] | None = None, **drop: Any) -> Path:
    with h5py.File(path, "w") as file:
        group = file.create_group("matrix")
        _matrix(group, len(symbols))
        features = group.create_group("features")
        features["name"] = np.array(symbols, dtype="S")
        features["id"] = np.array(IDS[: len(symbols)], dtype="S")
        features["feature_type"] = np.array(kinds or ["Gene Expression"] * len(symbols), dtype="S")
        features["genome"] = np.array(["GRCh38"] * len(symbols), dtype="S")
        for name in drop:
            del features[name]
    return path


def write_v2(path: Path, genomes: tuple[str, ...] = ("GRCh38",)) -> Path:
    with h5py.File(path, "w") as file:
        for genome in genomes:
            group = file.create_group(genome)
            _matrix(group, 12)
            group["gene_names"] = np.array(GENES, dtype="S")
            group["genes"] = np.array(IDS, dtype="S")
    return path


def _matrix(group: Any, genes: int) -> None:
    counts = sp.csc_matrix(CELLS.T[:genes].astype(np.int32))  # genes x barcodes, as Cell Ranger keeps it
    group["data"], group["indices"], group["indptr"] = counts.data, counts.indices.astype(np.int64), counts.indptr
    group["shape"] = np.array(counts.shape, dtype=np.int32)
    group["barcodes"] = np.array(BARCODES, dtype="S")


def refusal(path: Path) -> str:
    with pytest.raises(BadInput) as caught:
        read_tenx(path)
    assert path.name in str(caught.value)
    return sentence(caught.value)


@pytest.mark.parametrize("write", [write_v3, write_v2])
def test_both_versions_give_what_scanpy_gives(write: Any, tmp_path: Path) -> None:
    import scanpy as sc

    path = write(tmp_path / "sc.h5")
    fields, data = read_tenx(path), sc.read_10x_h5(path)
    assert fields.names == tuple(data.obs_names)
    assert fields.genes == tuple(data.var_names)
    assert fields.values.dtype == np.float32
    np.testing.assert_array_equal(fields.values.toarray(), data.X.toarray())
    np.testing.assert_array_equal(fields.values.toarray(), CELLS)


def test_only_gene_expression_is_read_as_scanpy_does(tmp_path: Path) -> None:
    import scanpy as sc

    kinds = ["Gene Expression", "Antibody Capture", "CRISPR Guide Capture"] * 4
    path = write_v3(tmp_path / "sc.h5", kinds=kinds)
    fields, data = read_tenx(path), sc.read_10x_h5(path)
    assert fields.genes == tuple(data.var_names) == tuple(GENES[::3])
    np.testing.assert_array_equal(fields.values.toarray(), data.X.toarray())


def test_a_symbol_that_several_genes_bear_gives_way_to_their_ids(tmp_path: Path) -> None:
    import scanpy as sc

    path = write_v3(tmp_path / "sc.h5", symbols=["Twice", *GENES[1:11], "Twice"])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ids = sc.read_10x_h5(path).var["gene_ids"]
    assert read_tenx(path).genes == (ids.iloc[0], *GENES[1:11], ids.iloc[11])


def test_a_symbol_is_only_counted_among_genes(tmp_path: Path) -> None:
    kinds = ["Gene Expression"] * 11 + ["Antibody Capture"]
    assert read_tenx(write_v3(tmp_path / "sc.h5", [*GENES[:11], GENES[0]], kinds)).genes == tuple(GENES[:11])


def test_without_ids_the_symbols_stay(tmp_path: Path) -> None:
    path = write_v3(tmp_path / "sc.h5", ["Twice", *GENES[1:11], "Twice"], id=None)
    assert read_tenx(path).genes == ("Twice", *GENES[1:11], "Twice")
    assert read_tenx(write_v3(tmp_path / "sc.h5", feature_type=None)).genes == tuple(GENES)


def test_what_is_no_usable_10x_file_is_named(tmp_path: Path) -> None:
    assert "2 genomes (GRCh38, mm10)" in refusal(write_v2(tmp_path / "two.h5", ("GRCh38", "mm10")))
    kinds = ["Antibody Capture"] * 12
    assert "no feature of the type 'Gene Expression' among 12" in refusal(write_v3(tmp_path / "other.h5", kinds=kinds))
    assert "damaged or cut short, features" in refusal(write_v3(tmp_path / "nameless.h5", name=None))
    with h5py.File(tmp_path / "empty.h5", "w"):
        pass
    assert "without a 10x matrix" in refusal(tmp_path / "empty.h5")
    with h5py.File(tmp_path / "anndata.h5", "w") as file:
        file.create_group("obs"), file.create_group("var")
    assert "rename it to end in .h5ad" in refusal(tmp_path / "anndata.h5")
    (tmp_path / "text.h5").write_text("no")
    assert "is no HDF5 file; expected a Cell Ranger .h5" in refusal(tmp_path / "text.h5")
    assert "does not exist" in refusal(tmp_path / "none.h5")


def test_a_shape_that_does_not_fit_the_names_is_damage(tmp_path: Path) -> None:
    path = write_v3(tmp_path / "sc.h5")
    with h5py.File(path, "r+") as file:
        file["matrix/shape"][...] = [15, 12]
    assert "its shape is [15, 12], the names are 12 x 15" in refusal(path)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, bytes]:
    folder = tmp_path_factory.mktemp("whole")
    return folder, write_v3(folder / "sc.h5").read_bytes()


@settings(max_examples=150, derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck))
@given(where=st.floats(0, 1, exclude_max=True), noise=st.binary(min_size=1, max_size=60), cut=st.booleans())
def test_a_damaged_file_is_read_or_refused_but_never_raises_anything_else(
    whole: tuple[Path, bytes], where: float, noise: bytes, cut: bool
) -> None:
    folder, content = whole
    start = int(where * len(content))
    (folder / "damaged.h5").write_bytes(content[:start] + noise + (b"" if cut else content[start + len(noise) :]))
    with contextlib.suppress(BadInput):
        read_tenx(folder / "damaged.h5")
