"""What reading a pair refuses: always one sentence that names the file, never another exception."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import anndata
import h5py
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.errors import BadInput
from harness.pair import read_pair
from tests.harness.pair_files import CELLS, COUNTS, GENES, cells, read, refusal, sentence, spots, table


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    cells().write_h5ad(tmp_path / "sc.h5ad")
    with pytest.raises(BadInput, match=r"st\.h5ad does not exist"):
        read_pair("sample", tmp_path / "sc.h5ad", tmp_path / "st.h5ad")


def test_what_is_no_anndata_file_is_named(tmp_path: Path) -> None:
    read(tmp_path)
    bad = tmp_path / "bad.h5ad"
    for write, words in (
        (lambda: bad.write_text("gene,count\nSox2,3\n"), "no HDF5 file"),
        (lambda: bad.write_bytes(b""), "no HDF5 file"),
        (lambda: bad.write_bytes((tmp_path / "st.h5ad").read_bytes()[:9000]), "damaged or cut short"),
        (lambda: (bad.unlink(), h5py.File(bad, "w").close()), "without obs and var"),
        (lambda: (bad.unlink(), bad.mkdir()), "is a folder"),
    ):
        write()
        with pytest.raises(BadInput, match=words) as caught:
            read_pair("sample", tmp_path / "sc.h5ad", bad)
        assert str(bad) in sentence(caught.value)


def test_a_file_without_a_matrix_is_named(tmp_path: Path) -> None:
    assert "holds no X" in refusal(tmp_path, st=anndata.AnnData(obs=spots().obs, var=spots().var))


def test_genes_that_differ_only_in_spelling_are_recognised(tmp_path: Path) -> None:
    assert "upper and lower case" in refusal(tmp_path, st=spots(genes=[gene.upper() for gene in GENES]))
    ids = [f"ENSMUSG{i:011d}" for i in range(12)]
    assert "Ensembl IDs" in refusal(tmp_path, st=spots(genes=ids))
    versions = [f"{name}.3" for name in ids]
    assert "version suffix" in refusal(tmp_path, sc=cells(genes=versions), st=spots(genes=ids))
    assert "share no gene" in refusal(tmp_path, st=spots(genes=[f"Other{i}" for i in range(12)]))


def test_a_duplicate_gene_is_named(tmp_path: Path) -> None:
    text = refusal(tmp_path, st=spots(genes=[*GENES[:10], "Sox2", "Sox2"]))
    assert "st.h5ad" in text
    assert "'Sox2' is there 2 times" in text


@pytest.mark.parametrize(("value", "words"), [(np.nan, "NaN"), (np.inf, "infinite"), (-2.0, "negative")])
def test_unusable_values_name_the_gene(value: float, words: str, tmp_path: Path) -> None:
    broken = COUNTS.copy()
    broken[3, 4] = value
    for data in (spots(broken), spots(sp.csr_matrix(broken))):
        text = refusal(tmp_path, st=data)
        assert words in text
        assert "'Gene4'" in text
        assert "st.h5ad" in text


def test_empty_matrices_are_refused(tmp_path: Path) -> None:
    assert "empty" in refusal(tmp_path, st=spots()[:0].copy())
    assert "empty" in refusal(tmp_path, st=spots()[:, :0].copy())
    assert "every value is zero" in refusal(tmp_path, st=spots(COUNTS * 0))


def test_a_transposed_matrix_is_recognised_whichever_it_is(tmp_path: Path) -> None:
    assert "sc.h5ad is transposed" in refusal(tmp_path, sc=table(CELLS).T.copy())
    assert "st.h5ad is transposed" in refusal(tmp_path, st=table(COUNTS).T.copy())
    assert "both transposed" in refusal(tmp_path, sc=table(CELLS).T.copy(), st=table(COUNTS, prefix="other").T.copy())


def test_rows_without_names_are_not_mistaken_for_a_transposed_matrix(tmp_path: Path) -> None:
    assert "share no gene" in refusal(tmp_path, sc=table(CELLS, prefix=""), st=table(COUNTS, "ABCDEFGHIJKL", prefix=""))


@pytest.mark.parametrize(
    ("places", "words"),
    [
        (np.zeros((20, 4)), "(20, 2) or (20, 3)"),
        (np.zeros((20, 1)), "(20, 2) or (20, 3)"),
        (np.full((20, 2), np.nan), "spot 0 is not finite"),
    ],
)
def test_unusable_coordinates_are_refused(places: Any, words: str, tmp_path: Path) -> None:
    data = spots()
    data.obsm["spatial"] = places
    text = refusal(tmp_path, st=data)
    assert words in text
    assert "st.h5ad" in text


def test_a_cell_without_a_type_is_refused(tmp_path: Path) -> None:
    for hole in (None, np.nan, "nan", ""):
        data = cells()
        data.obs["cell_type"] = pd.Categorical(["a", "b", hole] + ["a", "b", "c"] * 4)
        text = refusal(tmp_path, sc=data)
        assert "missing for 1 of 15 cells" in text
        assert "sc.h5ad" in text


def test_a_declared_kind_must_exist_and_fit(tmp_path: Path) -> None:
    unknown, wrong = spots(), spots(COUNTS / 3)
    unknown.uns["spadit_values"] = "raw"
    wrong.uns["spadit_values"] = "counts"
    assert "expected one of counts, intensities, lognorm" in refusal(tmp_path, st=unknown)
    assert "where counts are declared" in refusal(tmp_path, st=wrong)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, bytes]:
    folder = tmp_path_factory.mktemp("whole")
    read(folder)
    return folder, (folder / "st.h5ad").read_bytes()


@settings(max_examples=100, derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck))
@given(where=st.floats(0, 1, exclude_max=True), noise=st.binary(min_size=1, max_size=60), cut=st.booleans())
def test_a_damaged_file_is_read_or_refused_but_never_raises_anything_else(
    whole: tuple[Path, bytes], where: float, noise: bytes, cut: bool
) -> None:
    folder, content = whole
    start = int(where * len(content))
    rest = b"" if cut else content[start + len(noise) :]
    (folder / "damaged.h5ad").write_bytes(content[:start] + noise + rest)
    with contextlib.suppress(BadInput):
        read_pair("sample", folder / "sc.h5ad", folder / "damaged.h5ad")
