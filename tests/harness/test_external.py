"""Predictions made elsewhere: scored like a trial, audited, and in every table that asked the same."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest

from harness.datasets.simulated import simulate, write_pair
from harness.errors import BadInput
from harness.experiment import Experiment
from harness.export import AskedElsewhere, export, export_folds
from harness.external import (
    aligned,
    answers_by_fold,
    audit_files,
    named_files,
    score_task,
    score_tasks,
    score_truth,
)
from harness.pair import PairedSample
from harness.protocol import KFold, Protocol, Truth, pose, prepare
from harness.store import Store
from harness.trial import run_trial
from models.baselines.spage import SpaGE
from models.method import Run
from reports.report import scores, write_report
from tests.conftest import Spadit, tiny_pair
from tests.toys import VisibleMean


@pytest.fixture(scope="module")
def pair() -> PairedSample:
    """Enough spots that genes have 100 non-zeros, so that files can be judged."""
    return dataclasses.replace(tiny_pair(spots=400), name="here")


def posed(pair: PairedSample, fold: int) -> tuple[np.ndarray, Truth]:
    """SpaGE's answer and the truth of a fold."""
    problem, truth = pose(prepare(pair, Protocol()), KFold(), fold)
    return SpaGE().impute(problem, Run.local()), truth


def written(path: Path, values: np.ndarray, truth: Truth) -> Path:
    pd.DataFrame(values, index=[f"spot{i}" for i in truth.spots], columns=list(truth.genes)).to_csv(path)
    return path


def answered(pair: PairedSample, folder: Path, store: Store, name: str, folds: range, leak: float = 0.0) -> None:
    """Score SpaGE's answers under a name, with a share of the true entries copied into them."""
    for fold in folds:
        out = folder / f"{name}-{fold}"
        asked = export(pair, out, fold)
        values, truth = posed(pair, fold)
        copied = np.random.default_rng(fold).random(values.shape) < leak
        file = written(folder / f"{name}-{fold}.csv", np.where(copied, truth.values, values), truth)
        score_task(AskedElsewhere.read(out / "task.json"), pair, {name: file}, store)
        assert asked.id == AskedElsewhere.read(out / "task.json").id


def test_a_file_is_scored_as_that_folds_trial_would_be(pair: PairedSample, tmp_path: Path) -> None:
    store = Store(tmp_path / "S")
    answered(pair, tmp_path, store, "theirs", range(1))
    (record,) = store.records()
    experiment = Experiment("ours", {"SpaGE": SpaGE()}, ["here"], folds=[0])
    (trial,) = experiment.trials({"here": pair.id})

    ours = run_trial(trial, prepare(pair, Protocol())).record

    assert record.external
    assert record.audit is not None
    assert record.audit["verdict"] == "clean"
    assert record.means == pytest.approx(ours.means, abs=1e-6)
    assert record.n_genes == ours.n_genes
    assert (record.dataset_id, record.fold, record.method) == (pair.id, 0, "external")
    assert store.prediction(record) is not None


@pytest.mark.slow
def test_files_join_every_table_that_asked_the_same_and_the_audit_decides_where_they_stand(
    pair: PairedSample, tmp_path: Path
) -> None:
    store = Store(tmp_path / "S")
    answered(pair, tmp_path, store, "theirs", range(5))
    answered(pair, tmp_path, store, "leaky", range(5), leak=0.6)
    answered(pair, tmp_path, store, "SpaGE", range(5))
    experiment = Experiment("ours", {"SpaGE": SpaGE(), "mean": VisibleMean()}, ["here"], seeds=(3, 4))
    facts = {"here": {"dataset_id": pair.id, "title": "", "synthetic": "", "spots": 400, "cells": 60}}
    data = prepare(pair, Protocol())
    for trial in experiment.trials({"here": pair.id}):
        store.put(run_trial(trial, data))
    store.put_asked(experiment.asked(facts, "now"))

    rows = scores(store, "ours").set_index("variant")

    assert list(rows.index) == ["SpaGE", "mean", "theirs", "SpaGE (elsewhere)", "leaky"]
    assert set(rows.loc[["SpaGE", "theirs", "SpaGE (elsewhere)"], "n_variants"]) == {4}
    assert rows.loc["leaky", "group"] == "external"
    assert rows.loc["leaky", "n_variants"] == 5
    assert rows.loc["theirs", "pcc"] == pytest.approx(rows.loc["SpaGE", "pcc"], abs=1e-6)
    assert rows.loc["leaky", "pcc"] > rows.loc["SpaGE", "pcc"]
    pages = write_report(store, tmp_path / "R")
    text = (tmp_path / "R/accuracy_score.md").read_text()
    assert pages[0].name == "index.html"
    assert "Made elsewhere, not cleared by the audit" in text
    assert "the audit of its files is clean" in text


def test_scoring_again_adds_nothing_and_a_new_file_takes_the_old_ones_place(pair: PairedSample, tmp_path: Path) -> None:
    store = Store(tmp_path / "S")
    answered(pair, tmp_path, store, "theirs", range(1))
    before = store.done()
    task = AskedElsewhere.read(tmp_path / "theirs-0/task.json")
    values, truth = posed(pair, 0)
    score_task(task, pair, {"theirs": tmp_path / "theirs-0.csv"}, store)
    assert store.done() == before

    score_task(task, pair, {"theirs": written(tmp_path / "new.csv", values + 1, truth)}, store)

    (asked,) = store.asked()
    (cell,) = asked.cells
    assert len(store.done()) == 2
    assert cell["trial_id"] not in before


def test_folds_are_scored_together_as_they_are_one_by_one_or_not_at_all(pair: PairedSample, tmp_path: Path) -> None:
    tasks = export_folds(pair, tmp_path / "task", split=KFold(3))
    data = prepare(pair, Protocol())
    for task in tasks:
        problem, truth = pose(data, KFold(3), task.fold)
        written(tmp_path / f"{task.fold}.csv", SpaGE().impute(problem, Run.local()), truth)
    answers = answers_by_fold({"theirs": tmp_path / "{fold}.csv"}, [0, 1, 2])
    together, one_by_one = Store(tmp_path / "T"), Store(tmp_path / "O")

    score_tasks(tasks, pair, answers, together)
    for task, files in zip(tasks, answers, strict=True):
        score_task(task, pair, files, one_by_one)
    with pytest.raises(BadInput, match=r"1\.csv lacks 8 of 8 genes"):
        score_tasks(tasks, pair, [*answers[:2], answers[1]], Store(tmp_path / "N"))

    assert together.done() == one_by_one.done()
    assert len(together.done()) == 3
    assert {cell["fold"] for asked in together.asked() for cell in asked.cells} == {0, 1, 2}
    assert not (tmp_path / "N").exists()


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"a": "0.csv"}, r"a=.*0.csv is one file, and the task has 2 folds; write \{fold\}"),
        (
            {"a": "{fold}.csv"},
            r"1.csv is not there \(1 of 2 files are not\); expected an answer to each of the folds 0, 1",
        ),
    ],
)
def test_a_fold_without_an_answer_is_refused(tmp_path: Path, files: dict[str, str], words: str) -> None:
    (tmp_path / "0.csv").write_text("")

    with pytest.raises(BadInput, match=words):
        answers_by_fold({name: tmp_path / file for name, file in files.items()}, [0, 1])


def test_all_folds_given_away_come_back_together_or_not_at_all(spadit: Spadit, tmp_path: Path) -> None:
    write_pair(simulate(250, 120, 40, seed=2, depth=3000.0, name="deep"), tmp_path / "D")
    data = ["--data", str(tmp_path / "D")]
    code, out, told = spadit("data", "export", "deep", "--out", "E", *data)
    assert code == 0
    assert out.split() == [f"E/fold{fold}" for fold in range(5)]
    (tmp_path / "answers").mkdir()
    for fold in range(5):
        spots = anndata.read_h5ad(tmp_path / f"E/fold{fold}/st_visible.h5ad")
        targets = (tmp_path / f"E/fold{fold}/targets.txt").read_text().split()
        rows = [",".join(["spot", *targets])]
        means = np.asarray(spots.X).mean(axis=1)
        rows += [
            ",".join([spot, *[str(mean)] * len(targets)]) for spot, mean in zip(spots.obs_names, means, strict=True)
        ]
        (tmp_path / f"answers/{fold}.csv").write_text("\n".join(rows))
    words = told.split("Then: spadit ")[1].replace("NAME", "mean").split()
    assert words == ["score", "--task", "E", "--prediction", "mean=answers/{fold}.csv", "--store", "results", *data]
    kept = (tmp_path / "answers/3.csv").read_text()

    for spoil, expected in (
        (lambda path: path.unlink(), "answers/3.csv is not there (1 of 5 files"),
        (
            lambda path: path.write_text(kept.replace("\nspot7,", "\nspot7000,")),
            "answers/3.csv has 250 rows and lacks 1",
        ),
    ):
        spoil(tmp_path / "answers/3.csv")
        refused, _, why = spadit(*words)
        assert refused == 2
        assert expected in why
        assert not (tmp_path / "results").exists()
    (tmp_path / "answers/3.csv").write_text(kept)
    scored, out, _ = spadit(*words, "--json")

    assert scored == 0
    assert [facts["fold"] for facts in json.loads(out)] == list(range(5))
    asked = json.loads(next((tmp_path / "results/experiments").iterdir()).read_text())
    _, out, _ = spadit("explain", f"{asked['name']}/mean/deep", "--json")
    assert len(json.loads(out)["rates"][0]["trials"]) == 5
    one, out, _ = spadit("score", "--task", "E/fold3", "--prediction", "mean=answers/3.csv", "--json", *data)
    assert (one, json.loads(out)[0]["fold"]) == (0, 3)


def test_other_data_than_were_exported_are_refused(pair: PairedSample, tmp_path: Path) -> None:
    export(pair, tmp_path / "task")
    values, truth = posed(pair, 0)
    file = written(tmp_path / "a.csv", values, truth)

    with pytest.raises(BadInput, match="holds other data"):
        score_task(AskedElsewhere.read(tmp_path / "task/task.json"), tiny_pair(1), {"a": file}, Store(tmp_path / "S"))
    assert not (tmp_path / "S").exists()


def test_a_truth_from_a_file_gives_a_table_of_its_own(pair: PairedSample, tmp_path: Path) -> None:
    values, truth = posed(pair, 0)
    files = {
        "honest": written(tmp_path / "h.csv", values, truth),
        "copy": written(tmp_path / "c.csv", truth.values, truth),
    }
    store = Store(tmp_path / "S")

    found = score_truth(written(tmp_path / "truth.csv", truth.values, truth), files, store)

    assert {scored.name: scored.audit.verdict for scored in found} == {"honest": "clean", "copy": "leak"}
    rows = scores(store, "scored-truth").set_index("variant")
    assert rows.loc["copy", "group"] == "external"
    assert rows.loc["honest", "group"] == "variant"
    expected = np.mean([np.corrcoef(a, b)[0, 1] for a, b in zip(values.T, truth.values.T, strict=True)])
    assert rows.loc["honest", "pcc"] == pytest.approx(expected, abs=1e-6)
    write_report(store, tmp_path / "R")
    assert "nothing is known of what the predictions were made from" in (tmp_path / "R/accuracy_score.md").read_text()


def test_rows_and_columns_are_matched_by_name_and_further_genes_left_out(tmp_path: Path) -> None:
    frame = pd.DataFrame(np.arange(12.0).reshape(3, 4), index=["spot2", "spot0", "spot1"], columns=list("wxyz"))
    frame.to_csv(tmp_path / "a.csv")
    frame.T.to_csv(tmp_path / "t.csv", index_label="gene")
    frame.reset_index(drop=True).to_csv(tmp_path / "n.csv")

    for name in ("a.csv", "t.csv"):
        found = aligned(tmp_path / name, ["z", "x"], ["spot0", "spot1", "spot2"])
        assert found.tolist() == [[7.0, 5.0], [11.0, 9.0], [3.0, 1.0]]
    assert aligned(tmp_path / "n.csv", ["w"], ["any", "three", "names"]).tolist() == [[0.0], [4.0], [8.0]]


@pytest.mark.parametrize(
    ("genes", "spots", "words"),
    [
        (["x", "q"], ["spot0"], "lacks 1 of 2 genes, 'q' for one"),
        (["x"], ["spot0", "spot9"], "lacks 1 of 2 spots, 'spot9' for one"),
        (["spot0", "spot1"], ["x", "y"], "say --rows genes"),
    ],
)
def test_a_file_that_does_not_answer_is_refused(tmp_path: Path, genes: list[str], spots: list[str], words: str) -> None:
    pd.DataFrame(np.eye(2), index=["spot0", "spot1"], columns=["x", "y"]).to_csv(tmp_path / "a.csv")

    with pytest.raises(BadInput, match=words):
        aligned(tmp_path / "a.csv", genes, spots)


def test_audits_of_files_match_names_too(pair: PairedSample, tmp_path: Path) -> None:
    values, truth = posed(pair, 0)
    whole = written(tmp_path / "truth.csv", truth.values, truth)
    order = np.random.default_rng(0).permutation(len(values))
    frame = pd.read_csv(whole, index_col=0).iloc[order, ::-1]
    frame.to_csv(tmp_path / "copy.csv")

    found = audit_files(whole, {"copy": tmp_path / "copy.csv", "honest": written(tmp_path / "h.csv", values, truth)})

    assert {name: audit.verdict for name, audit in found.items()} == {"copy": "leak", "honest": "clean"}


@pytest.mark.parametrize(("given", "words"), [(["a.csv"], "is not NAME=FILE"), (["a=1", "a=2"], "names 'a' twice")])
def test_words_that_name_no_file_are_refused(given: list[str], words: str) -> None:
    with pytest.raises(BadInput, match=words):
        named_files(given)
