"""`predict` at its ends: names of genes come in, an AnnData file goes out, whole or not at all."""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pytest

from harness.datasets.simulated import simulate
from harness.errors import BadInput
from harness.pair import Assay, PairedSample
from harness.predict import Prediction, check_target, predict, read_genes, unmeasured, write_prediction
from harness.protocol import Protocol
from harness.views.predict import MOST, predict_facts, print_predict
from models.baselines.spage import SpaGE
from models.component import canonical, code_hash
from models.controls.low_rank_ridge import LowRankRidge
from tests.conftest import tiny_pair

ONLY_SC = ("Gene27", "Gene24", "Gene25")


@pytest.fixture(scope="module")
def prediction() -> Prediction:
    """With everything: sd, expected PCC, coordinates, and a spot that left."""
    pair = tiny_pair()
    values = pair.st.values.tolil(copy=True)
    values[5] = 0
    return predict(dataclasses.replace(pair, st=Assay(pair.st.genes, values.tocsr(), "counts")), SpaGE(), ONLY_SC)


# ---------------------------------------------------------------------------------------------------------------
# Names


def test_all_are_the_genes_that_a_cell_has_and_the_assay_did_not_measure() -> None:
    pair = tiny_pair()
    assert unmeasured(pair) == tuple(g for g in pair.sc.genes if g not in pair.st.genes and cells_with(pair, g))
    with pytest.raises(BadInput, match="none to predict"):
        unmeasured(dataclasses.replace(pair, st=pair.sc, coordinates=None, spot_labels=None))


def cells_with(pair: PairedSample, gene: str) -> int:
    return int((pair.sc.values[:, pair.sc.columns([gene])] > 0).sum())


def test_spots_keep_the_names_that_their_file_gives_them(tmp_path: Path) -> None:
    pair = tiny_pair()
    named = dataclasses.replace(pair, spot_names=tuple(f"AAC{i}-1" for i in range(len(pair.st))))
    for given, first in ((named, "AAC0-1"), (pair, "0"), (dataclasses.replace(pair, spot_names=("x",) * 48), "0")):
        found = predict(given, LowRankRidge(), ONLY_SC, folds=0)
        path = write_prediction(found, tmp_path / f"{first}.h5ad", overwrite=True)
        back = anndata.read_h5ad(path)
        assert back.obs_names[0] == first
        assert back.obs["spot"].tolist() == found.spots.tolist()


@pytest.mark.parametrize(
    ("given", "genes"),
    [("A,B,C", "A B C"), (" A , B,", "A B"), ("B,A,B", "B A"), ("HLA-A", "HLA-A"), ("RP11-34.1", "RP11-34.1")],
)
def test_names_with_commas_between_are_genes(given: str, genes: str) -> None:
    assert read_genes(given) == tuple(genes.split())


@pytest.mark.parametrize("text", ["A\nB\nC\n", "A\r\nB\r\n\r\nC", "\ufeffA\n  B \n\nC\nA\n"])
@pytest.mark.parametrize("mark", ["", "@"])
def test_a_file_has_one_name_per_line(tmp_path: Path, text: str, mark: str) -> None:
    path = tmp_path / "genes"
    path.write_bytes(text.encode())

    assert read_genes(f"{mark}{path}") == ("A", "B", "C")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("", "names no gene"),
        (" , ", "names no gene"),
        ("@nowhere", "nowhere cannot be read"),
        ("gens.txt", "no file gens.txt"),
        ("@empty", "names no gene"),
        ("@binary", "not UTF-8"),
        ("@.", "cannot be read"),
    ],
)
def test_what_names_no_gene_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: str, said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("empty").write_text("\n\n")
    Path("binary").write_bytes(b"\xff\xfe\x00A")

    with pytest.raises(BadInput, match=said) as refused:
        read_genes(given)

    assert "\n" not in str(refused.value)


# ---------------------------------------------------------------------------------------------------------------
# The file


def test_the_file_reads_back_as_what_was_predicted(prediction: Prediction, tmp_path: Path) -> None:
    path = write_prediction(prediction, tmp_path / "made" / "P.h5ad")

    data = anndata.read_h5ad(path)
    expected = prediction.expected
    assert expected is not None
    assert data.X.dtype == np.float32
    assert np.array_equal(data.X, prediction.values)
    assert np.array_equal(data.layers["sd"], prediction.sd)
    assert np.array_equal(data.obsm["spatial"], prediction.coordinates)
    assert list(data.var_names) == list(ONLY_SC)
    assert data.obs["spot"].tolist() == prediction.spots.tolist()
    assert data.obs_names.tolist() == [str(spot) for spot in prediction.spots]
    assert np.array_equal(data.var["expected_pcc"], expected.pcc)
    assert np.array_equal(data.var["expected_pcc_low"], expected.low)
    assert np.array_equal(data.var["expected_pcc_high"], expected.high)
    assert set(data.var["similar_genes"]) == {expected.similar}
    assert np.isfinite(data.X).all()
    assert data.var.notna().all(axis=None)


def test_the_file_says_where_it_comes_from_in_plain_values(prediction: Prediction, tmp_path: Path) -> None:
    uns = anndata.read_h5ad(write_prediction(prediction, tmp_path / "P.h5ad")).uns

    assert (uns["dataset"], uns["method_id"]) == ("tiny", "spage")
    assert len(uns["dataset_id"]) == 16
    assert json.loads(uns["method"]) == canonical(SpaGE())
    assert uns["code"] == code_hash(SpaGE())
    assert uns["versions"]["numpy"] == np.__version__
    assert uns["protocol_id"] == Protocol().id
    assert json.loads(uns["protocol"]) == canonical(Protocol())
    assert (uns["panel"], uns["seed"], uns["folds"]) == (24, 0, 5)
    assert prediction.expected is not None
    assert uns["cv_mean_pcc"] == pytest.approx(prediction.expected.mean)
    assert uns["sd"] == SpaGE.spread
    assert "80%" in uns["expected_pcc"]
    assert uns["made_at"].startswith("20")


def test_what_is_not_there_is_left_out_of_the_file(tmp_path: Path) -> None:
    bare = dataclasses.replace(tiny_pair(), coordinates=None, cell_types=None)

    data = anndata.read_h5ad(write_prediction(predict(bare, LowRankRidge(), ONLY_SC, folds=0), tmp_path / "P.h5ad"))

    assert "sd" not in data.layers
    assert "spatial" not in data.obsm
    assert list(data.var.columns) == []
    assert not {"sd", "expected_pcc", "cv_mean_pcc"} & set(data.uns)


def test_invented_data_say_so_in_the_file(tmp_path: Path) -> None:
    pair = simulate(40, 50, 20, seed=1)
    st = Assay(pair.st.genes[:18], pair.st.values[:, :18], "counts")

    found = predict(dataclasses.replace(pair, st=st), LowRankRidge(), pair.sc.genes[18:], folds=0)

    assert anndata.read_h5ad(write_prediction(found, tmp_path / "P.h5ad")).uns["synthetic"] == pair.synthetic


def test_a_file_that_is_there_is_kept_unless_said_otherwise(prediction: Prediction, tmp_path: Path) -> None:
    path = tmp_path / "P.h5ad"
    path.write_text("precious")

    with pytest.raises(BadInput, match="exists already"):
        write_prediction(prediction, path)
    assert path.read_text() == "precious"

    write_prediction(prediction, path, overwrite=True)
    assert anndata.read_h5ad(path).n_vars == 3
    assert os.listdir(tmp_path) == ["P.h5ad"]  # noqa: PTH208 - hidden files count


@pytest.mark.parametrize("there", [True, False])
def test_a_write_that_fails_leaves_what_was_there_and_nothing_else(
    prediction: Prediction, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, there: bool
) -> None:
    path = tmp_path / "P.h5ad"
    if there:
        path.write_text("precious")

    def half(_: Any, target: Path, **__: Any) -> None:
        Path(target).write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(anndata.AnnData, "write_h5ad", half)

    with pytest.raises(BadInput, match="No space left"):
        write_prediction(prediction, path, overwrite=True)
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == ([("P.h5ad", "precious")] if there else [])


def test_a_place_that_cannot_be_written_is_refused_before_the_work(tmp_path: Path) -> None:
    (tmp_path / "there.h5ad").write_text("")

    check_target(tmp_path / "new.h5ad")
    check_target(tmp_path / "there.h5ad", overwrite=True)
    for place, said in ((tmp_path, "is a folder"), (tmp_path / "there.h5ad", "exists already")):
        with pytest.raises(BadInput, match=said):
            check_target(place)


def test_a_file_in_place_of_the_folder_is_one_sentence(prediction: Prediction, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(BadInput, match="cannot be written"):
        write_prediction(prediction, tmp_path / "file" / "P.h5ad")


# ---------------------------------------------------------------------------------------------------------------
# What a person sees


def test_the_facts_are_plain_and_the_best_expected_gene_is_first(prediction: Prediction) -> None:
    facts = predict_facts(prediction, "P.h5ad")

    assert json.loads(json.dumps(facts, allow_nan=False)) == facts
    assert prediction.expected is not None
    best = prediction.genes[int(np.argmax(prediction.expected.pcc))]
    assert facts["genes"][0]["gene"] == best
    assert facts["genes"][0]["mean"] == pytest.approx(prediction.values[:, prediction.genes.index(best)].mean())


def test_what_is_printed_says_what_to_expect_and_what_the_sd_is(
    prediction: Prediction, capsys: pytest.CaptureFixture[str]
) -> None:
    print_predict(predict_facts(prediction, "P.h5ad"))
    printed = capsys.readouterr().out

    assert all(gene in printed for gene in prediction.genes)
    assert prediction.expected is not None
    assert f"{prediction.expected.mean:.3f}" in printed
    assert SpaGE.spread in printed


def test_without_folds_it_is_said_that_nothing_is_expected(
    tiny: PairedSample, capsys: pytest.CaptureFixture[str]
) -> None:
    print_predict(predict_facts(predict(tiny, LowRankRidge(), ONLY_SC, folds=0), "P.h5ad"))

    assert "No PCC is expected" in capsys.readouterr().out


def test_of_many_genes_some_are_printed_and_the_rest_is_counted(capsys: pytest.CaptureFixture[str]) -> None:
    pair = tiny_pair(extra=MOST + 4)
    genes = tuple(gene for gene in pair.sc.genes if gene not in set(pair.st.genes))

    print_predict(predict_facts(predict(pair, LowRankRidge(), genes, folds=0), "P.h5ad"))

    assert "and 4 more" in capsys.readouterr().out
