"""What is given away is the problem and nothing else: it can be solved from the files, the truth cannot be had."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import anndata
import numpy as np
import pytest

from harness.errors import BadInput
from harness.export import FILES, AskedElsewhere, export, export_folds, read_tasks
from harness.pair import Assay
from harness.protocol import KFold, Protocol, pose, prepare
from tests.conftest import tiny_pair


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("export") / "task"
    export(tiny_pair(), out, fold=2, sampling_rate=0.5)
    return out


def test_the_files_hold_the_problem(folder: Path) -> None:
    problem, truth = pose(prepare(tiny_pair(), Protocol()), KFold(), 2, 0.5)

    st, sc = anndata.read_h5ad(folder / "st_visible.h5ad"), anndata.read_h5ad(folder / "sc.h5ad")

    assert tuple(st.var_names) == problem.visible
    assert tuple(sc.var_names) == problem.cells.genes
    assert list(st.obs_names) == [f"spot{i}" for i in truth.spots]
    assert (problem.spots.lognorm == st.X).all()
    assert (st.layers["counts"] == problem.spots.counts).all()
    assert (st.obsm["spatial"] == problem.coordinates).all()
    np.testing.assert_allclose(st.obs["size_factor"], problem.spots.size_factors)
    assert (problem.cells.lognorm == sc.X).all()
    assert sc.obs["cell_type"].tolist() == problem.cell_types.tolist()  # type: ignore[union-attr]
    assert set(st.var_names[st.var["validation"]]) == set(problem.validation)
    assert (folder / "targets.txt").read_text().split() == list(problem.targets)


def test_no_file_changes_with_the_held_out_truth(folder: Path, tmp_path: Path) -> None:
    pair = tiny_pair()
    targets = (folder / "targets.txt").read_text().split()
    values = pair.st.values.toarray()
    columns = pair.st.columns(targets)
    values[:, columns] = np.where(values[:, columns] > 0, values[:, columns] * 7 + 1, 0)
    other = dataclasses.replace(pair, st=Assay(pair.st.genes, values, "counts"))

    export(other, tmp_path / "task", fold=2, sampling_rate=0.5)

    for name in ("st_visible.h5ad", "sc.h5ad"):
        one, two = (anndata.read_h5ad(place / name) for place in (folder, tmp_path / "task"))
        assert (one.X == two.X).all()
        assert one.obs.equals(two.obs)
        assert one.var.equals(two.var)
        assert set(one.uns) == set(two.uns) == set()
    described = [json.loads((place / "task.json").read_text()) for place in (folder, tmp_path / "task")]
    differing = {key for key in described[0] if described[0][key] != described[1][key]}
    assert differing == {"dataset_id", "task_id"}  # which name the content that the answer is scored against


def test_a_task_comes_back_as_it_was_given_away(folder: Path) -> None:
    asked = AskedElsewhere.read(folder / "task.json")

    assert (asked.dataset, asked.dataset_id, asked.fold, asked.sampling_rate) == ("tiny", tiny_pair().id, 2, 0.5)
    assert (asked.protocol, asked.split) == (Protocol(), KFold())
    assert asked.id == json.loads((folder / "task.json").read_text())["task_id"]
    assert dataclasses.replace(asked, dataset="renamed").id == asked.id
    assert dataclasses.replace(asked, fold=1).id != asked.id


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda task: task | {"fold": 1}, "was changed since it was exported"),
        (lambda task: {"fold": 1}, "no task of"),
        (lambda task: [], "no task of"),
        (lambda task: task | {"protocol": task["protocol"] | {"version": 99}}, "asks for what is not here"),
    ],
)
def test_a_task_that_was_tampered_with_is_refused(folder: Path, tmp_path: Path, change, words: str) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "task.json"
    path.write_text(json.dumps(change(json.loads((folder / "task.json").read_text()))))

    with pytest.raises(BadInput, match=words):
        AskedElsewhere.read(path)


def test_what_cannot_be_exported_is_refused_and_nothing_is_left(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="exists already"):
        export(tiny_pair(), folder)
    with pytest.raises(BadInput, match="no fold 9"):
        export(tiny_pair(), tmp_path / "out", fold=9)
    with pytest.raises(BadInput, match="rates lie in"):
        export(tiny_pair(), tmp_path / "out", sampling_rate=0.0)
    (tmp_path / "file").write_text("")
    with pytest.raises(BadInput, match="cannot be written"):
        export(tiny_pair(), tmp_path / "file" / "out")

    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.fixture(scope="module")
def folds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("folds") / "task"
    export_folds(tiny_pair(), out, sampling_rate=0.5, protocol=Protocol(), split=KFold(3))
    return out


def test_all_folds_at_once_are_the_folds_one_by_one(folds: Path, tmp_path: Path) -> None:
    assert sorted(path.name for path in folds.iterdir()) == ["fold0", "fold1", "fold2"]
    for fold in range(3):
        export(tiny_pair(), tmp_path / str(fold), fold, 0.5, Protocol(), KFold(3))
        one, other = tmp_path / str(fold), folds / f"fold{fold}"
        assert sorted(path.name for path in other.iterdir()) == sorted(FILES)
        assert (one / "task.json").read_text() == (other / "task.json").read_text()
        assert (one / "targets.txt").read_text() == (other / "targets.txt").read_text()
        for name in ("st_visible.h5ad", "sc.h5ad"):
            assert (anndata.read_h5ad(one / name).X == anndata.read_h5ad(other / name).X).all()


def test_the_folds_of_a_folder_come_back_in_order(folds: Path) -> None:
    assert [asked.fold for asked in read_tasks(folds)] == [0, 1, 2]
    assert read_tasks(folds / "fold1") == read_tasks(folds / "fold1/task.json") == read_tasks(folds)[1:2]


def test_a_folder_with_no_task_or_with_tasks_of_several_questions_is_refused(folds: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"holds no task\.json"):
        read_tasks(tmp_path)
    for name, rate, fold in (("a", 0.5, 0), ("b", 0.25, 1), ("c", 0.5, 0)):
        export(tiny_pair(), tmp_path / "mixed" / name, fold, rate)
    with pytest.raises(BadInput, match=r"more than one question \(folds 0, 0, 1\)"):
        read_tasks(tmp_path / "mixed")


def test_folds_that_cannot_be_exported_leave_nothing(folds: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="exists already"):
        export_folds(tiny_pair(), folds)
    with pytest.raises(BadInput, match="rates lie in"):
        export_folds(tiny_pair(), tmp_path / "new" / "out", sampling_rate=0.0)

    assert list(tmp_path.iterdir()) == []
