"""What is asked for on the command line or from Python arrives, whole, where it is acted on."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

import harness.datasets
import harness.results
import harness.search.running
from harness import Experiment, submit
from harness.cli import app
from harness.cluster.resources import Resources
from harness.datasets.simulated import write_pair
from harness.search import search
from harness.store import Store
from tests.conftest import tiny_pair
from tests.searching import asked, flat
from tests.toys import VisibleMean

RESOURCES = ["--address", "auto", "--cpus-per-trial", "2", "--gpus-per-trial", "0.5", "--max-concurrent", "3"]
RESOURCES += ["--timeout", "4", "--checkpoint-every", "5"]
WANTED = Resources("auto", 2.0, 0.5, 3, 4.0, 5.0)
KEYWORDS: dict[str, Any] = {"address": "auto", "cpus_per_trial": 2.0, "gpus_per_trial": 0.5, "max_concurrent": 3}
KEYWORDS |= {"timeout": 4.0, "checkpoint_every": 5.0}


class Arrived(Exception):  # noqa: N818 - what the tests wait for
    """Raised in place of the work, with what it was given."""

    def __init__(self, *args: Any, **keywords: Any) -> None:
        super().__init__()
        self.given = args
        self.keywords = keywords


@pytest.fixture
def stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing runs: what would run is raised."""

    def instead(*args: Any, **keywords: Any) -> None:
        raise Arrived(*args, **keywords)

    monkeypatch.setattr(harness.results, "run_plan", instead)
    monkeypatch.setattr(harness.search.running, "connected", instead)
    monkeypatch.setattr(harness.datasets, "fetch", instead)


def typed(*words: str) -> Arrived:
    """What arrives of a command."""
    found = CliRunner().invoke(app, list(words), standalone_mode=False).exception
    assert isinstance(found, Arrived), found
    return found


@pytest.mark.usefixtures("stopped")
def test_what_a_run_is_told_arrives_from_the_command_line_and_from_python(tmp_path: Path) -> None:
    ending = ["--keep-predictions", "all", "--tensorboard", "logs", "--retry-failed", "--stale"]
    by_command = typed("run", "quickstart", "--store", str(tmp_path / "S"), *RESOURCES, *ending)
    with pytest.raises(Arrived) as by_call:
        submit(
            Experiment("mine", {"mean": VisibleMean()}, ["pbmc_tissue"], title="Why?"),
            tmp_path / "S",
            **KEYWORDS,
            keep_predictions="all",
            retry_failed=True,
            stale=True,
            progress=False,
            tensorboard="logs",
            command="typed",
        )

    assert by_command.given[1:] == (WANTED, "all", True, True)
    assert by_command.keywords["tensorboard"] == "logs"
    assert by_call.value.given[0].experiment.title == "Why?"
    assert by_call.value.given[1:] == (WANTED, "all", True, True, False, "typed", "logs")


@pytest.mark.usefixtures("stopped")
def test_what_a_search_is_told_arrives_where_ray_is_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    by_command = typed("tune", "search", "--trials", "2", "--store", str(tmp_path / "S"), *RESOURCES)
    with pytest.raises(Arrived) as by_call:
        search(asked(flat(), datasets=["pbmc_tissue"]), 2, tmp_path / "S", **KEYWORDS)

    assert by_command.given == by_call.value.given == (WANTED,)


def test_what_a_search_is_told_of_its_winners_arrives_where_they_are_scored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class There:
        def __enter__(self) -> None: ...
        def __exit__(self, *_: object) -> None: ...

    given: list[Any] = []

    def searched(*args: Any) -> list[str]:
        given.append(args[-2])  # the database
        return ["a winner"]

    def run_plan(*args: Any, **keywords: Any) -> None:
        raise Arrived(*args, **keywords)

    monkeypatch.setattr(harness.search.running, "connected", lambda resources: There())
    monkeypatch.setattr(harness.search.running, "_searched", searched)
    monkeypatch.setattr(harness.search.running, "scoring", lambda asked, winners: asked)
    monkeypatch.setattr(harness.search.running, "make_plan", lambda asked, store, data, strict: ("plan", strict))
    monkeypatch.setattr(harness.search.running, "run_plan", run_plan)
    ending = ["--keep-predictions", "none", "--retry-failed", "--storage", "sqlite:///s.db", "--earlier"]

    by_command = typed("tune", "search", "--trials", "2", "--dataset", "pbmc_tissue", *ending)
    with pytest.raises(Arrived) as by_call:
        search(
            asked(flat(), datasets=["pbmc_tissue"], title="Why?"),
            2,
            tmp_path / "S",
            storage="sqlite:///s.db",
            keep_predictions="none",
            retry_failed=True,
            strict=True,
            command="typed",
        )

    assert given == ["sqlite:///s.db"] * 2
    for arrived in (by_command, by_call.value):
        assert arrived.given[0] == ("plan", True)
        assert arrived.given[2:] == ("none", True)
    assert by_call.value.keywords == {"show": True, "command": "typed"}


@pytest.mark.usefixtures("stopped")
def test_what_a_download_is_told_arrives(tmp_path: Path) -> None:
    sums = ["--url", "https://a/x_sc.h5ad", "--sha256", "0" * 64, "--url", "https://a/x_st.h5ad", "--sha256", "1" * 64]

    found = typed("data", "fetch", "mine", *sums, "--timeout", "7", "--data", str(tmp_path))

    assert found.given == ("mine", ["https://a/x_sc.h5ad", "https://a/x_st.h5ad"], tmp_path, ["0" * 64, "1" * 64])
    assert found.keywords["patience"].silence == 7


def test_a_prediction_replaces_what_is_there_only_if_told_and_says_in_how_many_folds_it_was_tried(
    tmp_path: Path,
) -> None:
    write_pair(dataclasses.replace(tiny_pair(), name="mine"), tmp_path)
    out = tmp_path / "p.h5ad"
    words = ["predict", "mine", "--method", "nearest_cells", "--genes", "Gene27", "--out", str(out)]
    words += ["--data", str(tmp_path)]

    first = CliRunner().invoke(app, [*words, "--folds", "2", "--threads", "2", "--json"])
    refused = CliRunner().invoke(app, [*words, "--folds", "0"], standalone_mode=False)
    with_expected = anndata.read_h5ad(out).var.columns
    again = CliRunner().invoke(app, [*words, "--folds", "0", "--overwrite"])

    assert first.exit_code == 0, first.output
    assert "--overwrite" in str(refused.exception)
    assert again.exit_code == 0, again.output
    assert set(with_expected) > set(anndata.read_h5ad(out).var.columns)


def test_a_table_with_genes_in_its_rows_is_read_as_such_where_that_is_said(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    names = [[f"{of}{i}" for i in range(30)] for of in ("spot", "gene")]
    truth = pd.DataFrame(rng.poisson(2.0, (30, 30)), index=names[0], columns=names[1])
    for name, values in {"truth": truth, "theirs": truth + rng.normal(0, 1, truth.shape)}.items():
        values.T.to_csv(tmp_path / f"{name}.csv")
    files = ["--truth", str(tmp_path / "truth.csv"), "--prediction", f"theirs={tmp_path / 'theirs.csv'}", "--json"]

    audited = CliRunner().invoke(app, ["audit", "predictions", *files, "--rows", "genes"])
    scored = CliRunner().invoke(app, ["score", *files, "--rows", "genes", "--store", str(tmp_path / "S")])
    store = Store(tmp_path / "S")

    assert audited.exit_code == 0, audited.output
    assert scored.exit_code == 0, scored.output
    assert set(store.genes(store.records())["gene"]) == set(names[1])
