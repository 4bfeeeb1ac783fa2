"""Tables of counts and predictions: what pandas and R write is read exactly, and nothing is guessed or repaired."""

from __future__ import annotations

import contextlib
import gzip
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.errors import BadInput
from harness.reading.tables import read_counts, read_table
from tests.harness.pair_files import COUNTS, GENES, sentence

SPOTS = [f"spot{i}" for i in range(20)]
FRAME = pd.DataFrame(COUNTS.astype(int), index=SPOTS, columns=GENES)
SEPARATORS = {".csv": ",", ".tsv": "\t", ".txt": "\t", ".csv.gz": ",", ".tsv.gz": "\t", ".txt.gz": "\t"}


def written(folder: Path, content: str | bytes, name: str = "st.csv") -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def refusal(path: Path, read: Any = read_counts) -> str:
    with pytest.raises(BadInput) as caught:
        read(path)
    assert path.name in str(caught.value)
    return sentence(caught.value)


@pytest.mark.parametrize("suffix", SEPARATORS)
def test_what_pandas_writes_is_read_back_under_every_suffix(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"st{suffix}"
    FRAME.to_csv(path, sep=SEPARATORS[suffix])
    fields = read_counts(path)
    assert (fields.names, fields.genes) == (tuple(SPOTS), tuple(GENES))
    assert fields.values.dtype == np.float32
    np.testing.assert_array_equal(fields.values.toarray(), COUNTS)


@pytest.mark.parametrize("word", ["gene", "Genes", "GENE_NAME", "symbol"])
def test_genes_lie_in_rows_where_the_first_header_cell_says_so(word: str, tmp_path: Path) -> None:
    FRAME.T.to_csv(tmp_path / "st.csv", index_label=word)
    fields = read_counts(tmp_path / "st.csv")
    assert (fields.names, fields.genes) == (tuple(SPOTS), tuple(GENES))
    np.testing.assert_array_equal(fields.values.toarray(), COUNTS)


def test_windows_line_ends_a_byte_order_mark_quotes_and_blank_lines_change_nothing(tmp_path: Path) -> None:
    text = FRAME.to_csv(quoting=2, lineterminator="\r\n") + "\r\n\r\n"
    fields = read_counts(written(tmp_path, b"\xef\xbb\xbf" + text.encode()))
    assert (fields.names, fields.genes) == (tuple(SPOTS), tuple(GENES))
    np.testing.assert_array_equal(fields.values.toarray(), COUNTS)


def test_names_may_hold_the_delimiter_and_quotes_in_quotation_marks(tmp_path: Path) -> None:
    frame = pd.DataFrame([[1, 2]], index=['a "cell", quoted'], columns=["G,1", 'G"2'])
    frame.to_csv(tmp_path / "st.csv")
    fields = read_counts(tmp_path / "st.csv")
    assert (fields.names, fields.genes) == (tuple(frame.index), tuple(frame.columns))


def test_blocks_of_rows_give_the_same_matrix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    FRAME.to_csv(tmp_path / "st.csv")
    monkeypatch.setattr("harness.reading._delimited.BLOCK", 37)
    np.testing.assert_array_equal(read_counts(tmp_path / "st.csv").values.toarray(), COUNTS)


@given(st.lists(st.floats(0, 1e30, allow_subnormal=False), min_size=1, max_size=30))
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
def test_every_decimal_is_rounded_as_python_rounds_it(tmp_path: Path, values: list[float]) -> None:
    rows = "".join(f"s{i},{value!r}\n" for i, value in enumerate(values))
    path = written(tmp_path, f",A\n{rows}")
    assert read_table(path).values[:, 0].tolist() == values
    read = read_counts(path).values.toarray()[:, 0]
    np.testing.assert_array_equal(read, np.array(values).astype(np.float32))


def test_numbers_that_mislead_fast_parsers_are_read_as_python_reads_them(tmp_path: Path) -> None:
    texts = ["0.00010018105604103768", "2037342.6874999998", "1e-4294967297", f"0.{'0' * 300}1e300", "9" * 30 + "e-29"]
    texts += ["0" * 30 + "5", "-0", "+7", " 5", "9" * 25, "9223372036854775808"]
    for rows in (texts, *([text] for text in texts)):
        path = written(tmp_path, ",A\n" + "".join(f"s{i},{text}\n" for i, text in enumerate(rows)))
        assert read_table(path).values[:, 0].tolist() == [float(text) for text in rows]
        read = read_counts(path).values.toarray()[:, 0]
        np.testing.assert_array_equal(read, np.array([float(text) for text in rows]).astype(np.float32))
    for text in ("1e2147483648", "9" * 400):
        assert "inf in row 'x'" in refusal(written(tmp_path, f",A\nx,{text}\n"), read_table)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "is empty"),
        ("\n\n", "is empty"),
        (",A,B\n", "a header and no rows"),
        ("A\nx\n", "one column"),
        (";A;B\nx;1;2\n", "semicolons in its header"),
        ("\tA\tB\nx\t1\t2\n", "so name it .tsv or write it again with commas"),
        (",A,B,A\nx,1,2,3\n", "the column 'A' 2 times"),
        (",A,\nx,1,2\n", "no name for column 2"),
        (",A,B\nx,1,2\nx,3,4\n", "the row 'x' 2 times"),
        (",A,B\n,1,2\n", "no name for row 1"),
        (",A,B\nx,1,2\ny,1\n", "2 cells in line 3 and 3 in its header"),
        (",A,B\nx,1,2,3\n", "put a name for the column of row names"),
        (",A,B\nx,1,2\ny,1,2,3\n", "correct line 3"),
        (",A,B\nx,1,\n", "no value in row 'x', column 'B'"),
        (",A\nx,1\ny,\n", "no value in row 'y', column 'A'"),
        (",A,B\nx,1,2\ny,NA,4\n", "no value in row 'y', column 'A'"),
        (",A,B\nx,1,NaN\n", "no value in row 'x', column 'B'"),
        (",A,B\nx,1,two\n", "'two' in row 'x', column 'B'"),
        (",A,B\nx,True,1\ny,False,1\n", "'True' in row 'x', column 'A'"),
        (",A,B\nx,1_0,1\n", "'1_0' in row 'x', column 'A'"),
        (",A,B\nx,inf,1\n", "'inf' in row 'x', column 'A'"),
        (',A,B\nx,"1,5",1\n', "'1,5' in row 'x', column 'A'"),
        (',A,B\nx,"1,1\n', "open quotation mark in line 2"),
        (',"A\n",B\nx,1,1\n', "open quotation mark in line 1"),
        (",A,B\nx,1,1\0\n", "is not text (line 2)"),
        (b",A,\xff\nx,1,1\n", "is not UTF-8"),
        (",A,B\nx,1,1\n".encode("utf-16"), "is not UTF-8"),
    ],
)
def test_what_a_lenient_reader_would_guess_or_repair_is_refused_by_name(
    content: str | bytes, words: str, tmp_path: Path
) -> None:
    assert words in refusal(written(tmp_path, content))


def test_the_suffix_declares_the_delimiter(tmp_path: Path) -> None:
    for name in ("st.txt", "st.tsv"):
        assert "so name it .csv or write it again with tabs" in refusal(written(tmp_path, ",A,B\nx,1,2\n", name))


def test_a_damaged_gzip_file_a_folder_and_no_file_are_named(tmp_path: Path) -> None:
    whole = gzip.compress(FRAME.to_csv().encode())
    assert "damaged or cut short" in refusal(written(tmp_path, whole[:-20], "st.csv.gz"))
    assert "damaged or cut short" in refusal(written(tmp_path, FRAME.to_csv(), "st.csv.gz"))
    assert "does not exist" in refusal(tmp_path / "none.csv")
    (tmp_path / "folder.csv").mkdir()
    assert "is a folder" in refusal(tmp_path / "folder.csv")


# ---------------------------------------------------------------------------------------------------------------
# Predictions


def predictions() -> pd.DataFrame:
    values = np.random.default_rng(3).normal(size=(5, 4))
    return pd.DataFrame(values, index=[f"s{i}" for i in range(5)], columns=list("ABCD"))


def write(frame: pd.DataFrame, path: Path) -> Path:
    if path.suffix == ".parquet":
        frame.to_parquet(path)
    elif path.suffix == ".h5ad":
        anndata.AnnData(frame).write_h5ad(path)
    else:
        frame.to_csv(path, sep="," if ".csv" in path.name else "\t")
    return path


@pytest.mark.parametrize("name", ["p.csv", "p.tsv", "p.txt", "p.csv.gz", "p.parquet", "p.h5ad"])
def test_predictions_of_every_form_and_sign_are_read_exactly_either_way_round(name: str, tmp_path: Path) -> None:
    frame = predictions()
    for given_, rows in ((frame, None), (frame, "spots"), (frame.T, "genes")):
        table = read_table(write(given_, tmp_path / name), rows)  # type: ignore[arg-type]
        assert (table.rows, table.columns) == (tuple(frame.index), tuple(frame.columns))
        assert table.values.dtype == np.float64
        np.testing.assert_array_equal(table.values, frame.to_numpy())


def test_predictions_declare_genes_in_rows_as_counts_do(tmp_path: Path) -> None:
    turned = predictions().T.rename_axis("gene")
    for name in ("p.csv", "p.parquet"):
        assert read_table(write(turned, tmp_path / name)).columns == tuple("ABCD")
    turned.reset_index().to_parquet(tmp_path / "p.parquet", index=False)
    assert read_table(tmp_path / "p.parquet").columns == tuple("ABCD")
    assert read_table(write(turned, tmp_path / "p.csv"), "spots").rows == tuple("ABCD")


def test_a_parquet_file_names_its_rows_in_a_column_or_by_default(tmp_path: Path) -> None:
    frame = predictions()
    frame.rename_axis("spot").reset_index().to_parquet(tmp_path / "p.parquet", index=False)
    assert read_table(tmp_path / "p.parquet").rows == tuple(frame.index)
    frame.to_parquet(tmp_path / "p.parquet", index=False)
    assert read_table(tmp_path / "p.parquet").rows == ("0", "1", "2", "3", "4")


def test_sparse_x_of_a_prediction_is_read_whatever_layers_lie_beside_it(tmp_path: Path) -> None:
    data = anndata.AnnData(predictions())
    data.layers["counts"] = np.ones((5, 4))
    data.X = sp.csc_matrix(data.X)
    data.write_h5ad(tmp_path / "p.h5ad")
    np.testing.assert_array_equal(read_table(tmp_path / "p.h5ad").values, predictions().to_numpy())


def test_unusable_predictions_are_refused_by_name(tmp_path: Path) -> None:
    holes = predictions()
    holes.iloc[2, 1] = np.nan
    for name in ("p.csv", "p.parquet", "p.h5ad"):
        text = refusal(write(holes, tmp_path / name), read_table)
        assert "'s2'" in text
        assert "'B'" in text
    twice = predictions().rename(index={"s1": "s0"})
    for name in ("p.csv", "p.parquet"):
        assert "the row 's0' 2 times" in refusal(write(twice, tmp_path / name), read_table)
    labels = predictions().assign(E="text")
    assert "column 'E' of type" in refusal(write(labels, tmp_path / "p.parquet"), read_table)
    assert "no Parquet file" in refusal(written(tmp_path, "no", "p.parquet"), read_table)
    assert "no HDF5 file" in refusal(written(tmp_path, "no", "p.h5ad"), read_table)
    assert "no table that is known" in refusal(written(tmp_path, "no", "p.xlsx"), read_table)
    anndata.AnnData(obs=predictions(), var=pd.DataFrame(index=["A"])).write_h5ad(tmp_path / "p.h5ad")
    assert "holds no X" in refusal(tmp_path / "p.h5ad", read_table)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("whole")
    names = ("p.csv", "p.csv.gz", "p.parquet", "p.h5ad")
    return {name: write(predictions(), folder / name).read_bytes() for name in names}


@settings(max_examples=200, derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    name=st.sampled_from(["p.csv", "p.csv.gz", "p.parquet", "p.h5ad"]),
    where=st.floats(0, 1, exclude_max=True),
    noise=st.binary(min_size=1, max_size=40),
    cut=st.booleans(),
)
def test_a_damaged_table_is_read_or_refused_but_never_raises_anything_else(
    whole: dict[str, bytes], tmp_path: Path, name: str, where: float, noise: bytes, cut: bool
) -> None:
    content = whole[name]
    start = int(where * len(content))
    written(tmp_path, content[:start] + noise + (b"" if cut else content[start + len(noise) :]), name)
    for read in (read_table, read_counts) if ".csv" in name else (read_table,):
        with contextlib.suppress(BadInput):
            read(tmp_path / name)
