"""A pair is its content: the same counts give the same pair, whatever form each half has and however it is laid out."""

from __future__ import annotations

import itertools
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from harness.datasets import listing, load, present
from harness.errors import BadInput
from harness.pair import read_pair
from tests.harness.pair_files import CELLS, COUNTS, GENES, PLACES, cells, pair, read, sentence, spots, table

FORMS = (".h5ad", ".h5", ".csv", ".tsv", ".txt", ".csv.gz", ".tsv.gz", ".txt.gz")
NAMES = {"sc": [f"cell{i}" for i in range(15)], "st": [f"spot{i}" for i in range(20)]}
COUNTED = {"sc": CELLS, "st": COUNTS}


def frame(half: str) -> pd.DataFrame:
    return pd.DataFrame(COUNTED[half].astype(int), index=NAMES[half], columns=GENES)


def write_half(path: Path, half: str) -> Path:
    """One half in the form of its suffix, without coordinates or cell types."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".h5ad":
        table(COUNTED[half], prefix="cell" if half == "sc" else "spot").write_h5ad(path)
    elif path.suffix == ".h5":
        counts = sp.csr_matrix(COUNTED[half].astype(np.int32))
        with h5py.File(path, "w") as file:
            for name in ("data", "indices", "indptr"):
                file[f"matrix/{name}"] = getattr(counts, name)
            file["matrix/shape"] = counts.shape[::-1]
            file["matrix/barcodes"] = np.array(NAMES[half], dtype="S")
            file["matrix/features/name"] = np.array(GENES, dtype="S")
            file["matrix/features/id"] = np.array([f"ENSG{i}" for i in range(12)], dtype="S")
            file["matrix/features/feature_type"] = np.array(["Gene Expression"] * 12, dtype="S")
    else:
        frame(half).to_csv(path, sep="," if ".csv" in path.name else "\t")
    return path


def write_beside(folder: Path, suffix: str = ".csv") -> None:
    """Coordinates and cell types, in another order than the matrix and with rows that are not in it."""
    mark = "," if suffix == ".csv" else "\t"
    places = pd.DataFrame(PLACES, index=NAMES["st"], columns=["x", "y"])
    places.loc["elsewhere"] = [np.inf, np.inf]
    places.iloc[::-1].to_csv(folder / f"spatial{suffix}", sep=mark, index_label="spot")
    types = pd.Series(["a", "b", "c"] * 5, index=NAMES["sc"], name="cell_type")
    types.loc["elsewhere"] = ""
    types.iloc[::-1].to_csv(folder / f"cell_types{suffix}", sep=mark, index_label="cell")


def refusal(folder: Path, sc: str = "sc.csv", st: str = "st.csv") -> str:
    with pytest.raises(BadInput) as caught:
        read_pair("sample", folder / sc, folder / st)
    return sentence(caught.value)


@pytest.mark.parametrize(("sc", "st"), list(zip(FORMS, FORMS[1:] + FORMS[:1], strict=True)))
@pytest.mark.parametrize("suffix", [".csv", ".tsv"])
def test_the_same_content_is_the_same_pair_in_every_form(sc: str, st: str, suffix: str, tmp_path: Path) -> None:
    write_half(tmp_path / f"sc{sc}", "sc"), write_half(tmp_path / f"st{st}", "st")
    write_beside(tmp_path, suffix)
    sample = read_pair("sample", tmp_path / f"sc{sc}", tmp_path / f"st{st}")
    assert sample.id == pair().id == "f4c794df914d056c"


@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_found_in_both_layouts(form: str, tmp_path: Path) -> None:
    for half, name in itertools.product(("sc", "st"), ("flat", "nested")):
        inner = f"{half}{form}" if name == "flat" else f"{half}/{name}_{half}{form}"
        write_half(tmp_path / name / inner, half)
        write_beside(tmp_path / name)
    assert {entry.name for entry in listing([tmp_path]) if entry.present} == {"flat", "nested", "pbmc_tissue"}
    assert load("flat", [tmp_path]).id == load("nested", [tmp_path]).id == pair().id


def test_the_paper_layout_may_have_its_tables_beside_the_half_itself(tmp_path: Path) -> None:
    for half in ("sc", "st"):
        write_half(tmp_path / f"mine/{half}/mine_{half}.csv", half)
    write_beside(tmp_path / "mine")
    for half, stem in (("sc", "cell_types"), ("st", "spatial")):
        (tmp_path / "mine" / f"{stem}.csv").rename(tmp_path / "mine" / half / f"{stem}.csv")
    assert load("mine", [tmp_path]).id == pair().id


def test_two_candidates_for_one_half_are_refused_naming_both(tmp_path: Path) -> None:
    for name in ("sc.h5ad", "st.csv", "st.txt.gz"):
        write_half(tmp_path / "mine" / name, name[:2])
    for ask in (lambda: listing([tmp_path]), lambda: load("mine", [tmp_path]), lambda: present("mine", [tmp_path])):
        with pytest.raises(BadInput, match=r"mine/st\.csv and .*mine/st\.txt\.gz are both there"):
            ask()
    (tmp_path / "mine" / "st.csv").unlink()
    write_half(tmp_path / "mine/sc/mine_sc.h5ad", "sc")
    with pytest.raises(BadInput, match=r"mine/sc\.h5ad and .*sc/mine_sc\.h5ad are both there"):
        listing([tmp_path])


def test_without_tables_beside_them_halves_have_neither_places_nor_types(tmp_path: Path) -> None:
    write_half(tmp_path / "sc.csv", "sc"), write_half(tmp_path / "st.h5", "st")
    sample = read_pair("sample", tmp_path / "sc.csv", tmp_path / "st.h5")
    assert sample.coordinates is None
    assert sample.cell_types is None


def test_a_third_coordinate_is_read_by_its_name_and_other_columns_are_not(tmp_path: Path) -> None:
    write_half(tmp_path / "sc.csv", "sc"), write_half(tmp_path / "st.csv", "st")
    places = pd.DataFrame({"Z": 3.0, "area": "large", "Y": PLACES[:, 1], "X": PLACES[:, 0]}, index=NAMES["st"])
    places.to_csv(tmp_path / "spatial.csv")
    sample = read_pair("sample", tmp_path / "sc.csv", tmp_path / "st.csv")
    np.testing.assert_array_equal(sample.coordinates, np.column_stack([PLACES, np.full(20, 3.0)]))


def test_a_slot_of_the_file_and_a_table_beside_it_are_ambiguous(tmp_path: Path) -> None:
    read(tmp_path)
    write_beside(tmp_path)
    assert "sc.h5ad has obs['cell_type'] and" in refusal(tmp_path, "sc.h5ad", "st.h5ad")
    (tmp_path / "cell_types.csv").unlink()
    assert "st.h5ad has obsm['spatial'] and" in refusal(tmp_path, "sc.h5ad", "st.h5ad")


def test_a_table_beside_a_half_must_name_every_row_once_with_a_value(tmp_path: Path) -> None:
    write_half(tmp_path / "sc.csv", "sc"), write_half(tmp_path / "st.csv", "st")
    places = pd.DataFrame(PLACES, index=NAMES["st"], columns=["x", "y"])
    types = pd.DataFrame({"cell_type": ["a", "b", "c"] * 5}, index=NAMES["sc"])
    for given, words in (
        (places.iloc[1:], "no row for 'spot0'"),
        (places.rename(index={"spot1": "spot0"}), "the row 'spot0' 2 times"),
        (places.rename(columns={"y": "why"}), "has the header , x, why"),
        (places.replace(places.iloc[3, 1], "far"), "'far' in row 'spot3', column 'y'"),
        (places.replace(places.iloc[3, 1], np.nan), "no value in row 'spot3', column 'y'"),
        (places.replace(places.iloc[3, 1], np.inf), "'inf' in row 'spot3', column 'y'"),
    ):
        given.to_csv(tmp_path / "spatial.csv")
        assert words in refusal(tmp_path)
    places.to_csv(tmp_path / "spatial.csv")
    for given, words in (
        (types.iloc[:-1], "no row for 'cell14'"),
        (types.rename(columns={"cell_type": "type"}), "has the header , type"),
        (types.replace("c", None), "no cell_type for 'cell2'"),
        (types.replace("c", "NA"), "no cell_type for 'cell2'"),
    ):
        given.to_csv(tmp_path / "cell_types.csv")
        assert words in refusal(tmp_path)
    types.to_csv(tmp_path / "cell_types.csv")
    types.to_csv(tmp_path / "cell_types.tsv", sep="\t")
    assert "are both there" in refusal(tmp_path)


# ---------------------------------------------------------------------------------------------------------------
# Orientation is declared, and checked against the other half


@pytest.mark.parametrize("half", ["sc", "st"])
@pytest.mark.parametrize("other", [".h5ad", ".csv", ".h5"])
def test_an_undeclared_transposed_table_is_refused_with_how_to_declare_it(
    half: str, other: str, tmp_path: Path
) -> None:
    files = {"sc": f"sc{other}", "st": f"st{other}", half: f"{half}.tsv"}
    for which, name in files.items():
        write_half(tmp_path / name, which)
    frame(half).T.to_csv(tmp_path / f"{half}.tsv", sep="\t")
    text = refusal(tmp_path, files["sc"], files["st"])
    assert f"{half}.tsv is transposed: 12 of its row names but 0 of its column names are genes" in text
    assert "name its first header cell 'gene'" in text
    frame(half).T.to_csv(tmp_path / f"{half}.tsv", sep="\t", index_label="gene")
    assert read_pair("sample", tmp_path / files["sc"], tmp_path / files["st"]).shared == tuple(sorted(GENES))


def test_a_declaration_that_is_wrong_is_refused_too(tmp_path: Path) -> None:
    write_half(tmp_path / "sc.csv", "sc")
    frame("st").to_csv(tmp_path / "st.csv", index_label="Symbol")
    text = refusal(tmp_path)
    assert "st.csv is transposed: 12 of its column names but 0 of its row names are genes" in text
    assert "as the first header cell 'Symbol' declares" in text


def test_two_transposed_tables_are_recognised(tmp_path: Path) -> None:
    for half in ("sc", "st"):
        frame(half).T.to_csv(tmp_path / f"{half}.csv")
    text = refusal(tmp_path)
    assert "both transposed: they share 12 row names and no column names" in text
    assert "name its first header cell 'gene'" in text


def test_what_is_wrong_with_the_counts_of_a_table_is_said_as_for_any_file(tmp_path: Path) -> None:
    write_half(tmp_path / "sc.csv", "sc")
    for change, words in (((-3.0), "'Gene4' has negative values"), (1e39, "'Gene4' has NaN or infinite values")):
        wrong = frame("st").astype(float)
        wrong.iloc[3, 4] = change
        wrong.to_csv(tmp_path / "st.csv")
        text = refusal(tmp_path)
        assert "st.csv: the gene" in text
        assert words in text


def test_unequal_halves_of_different_forms_still_say_what_differs(tmp_path: Path) -> None:
    cells(genes=[gene.upper() for gene in GENES]).write_h5ad(tmp_path / "sc.h5ad")
    spots().write_h5ad(tmp_path / "st.h5ad")
    write_half(tmp_path / "st.csv", "st")
    assert "agree up to upper and lower case" in refusal(tmp_path, "sc.h5ad", "st.csv")
