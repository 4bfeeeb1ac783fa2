"""The command line: results go to stdout, what is said meanwhile to stderr, and the same command twice does it once."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import anndata as ad
import numpy as np
import pytest

from harness.datasets.simulated import simulate, write_pair
from harness.drivers import load_experiment
from harness.pair import Assay
from harness.record import Record
from harness.store import Store
from tests.conftest import Spadit
from tests.harness.pair_files import rewrite

DRIVER = """
\"\"\"Is a mean any good?\"\"\"
from harness import Experiment, KFold
from models.controls.gene_mean import GeneMean
from models.controls.spot_total import SpotTotal
from tests.toys import Raises, VisibleMean

EXPERIMENT = Experiment(
    "mine", {"total": SpotTotal(), "mean": GeneMean(), "own": VisibleMean()}, ["small"], split=KFold(2)
)
"""


@pytest.mark.parametrize(
    "words",
    [["methods"], ["data", "list"], ["data", "check", "small"], ["plan", "quickstart", "--dataset", "small"]],
)
def test_every_listing_speaks_json_and_text(spadit: Spadit, pairs: Path, words: list[str]) -> None:
    data = [] if words == ["methods"] else ["--data", str(pairs)]

    code, out, _ = spadit(*words, *data, "--json")
    plain_code, plain, _ = spadit(*words, *data)

    assert code == plain_code == 0
    assert json.loads(out)
    assert plain.strip()


def test_a_plan_writes_nothing_and_counts_what_is_to_run(spadit: Spadit, pairs: Path, tmp_path: Path) -> None:
    _, out, _ = spadit("plan", "quickstart", "--data", pairs, "--dataset", "small", "--json")

    facts = json.loads(out)
    seeds = len(load_experiment("quickstart").seeds)
    assert facts["to_run"] == facts["trials"] == 5 * (5 + seeds)
    assert list(tmp_path.iterdir()) == []


def test_a_dataset_of_the_experiment_that_is_absent_is_left_out_with_the_reason(
    spadit: Spadit, pairs: Path, tmp_path: Path
) -> None:
    (tmp_path / "mine.py").write_text(DRIVER.replace('["small"]', '["small", "MG"]'))

    code, out, _ = spadit("plan", "mine.py", "--data", pairs, "--json")

    assert code == 0
    (excluded,) = json.loads(out)["excluded"]
    assert excluded["dataset"] == "MG"
    assert excluded["reason"]


@pytest.mark.ray
@pytest.mark.usefixtures("ray_here")
def test_what_files_leave_open_is_said_before_a_run_and_kept_beside_its_scores(
    spadit: Spadit, own: Path, tmp_path: Path
) -> None:
    rewrite(own / "small" / "st.h5ad", scaled)
    at = ("--data", own, "--dataset", "small", "--store", tmp_path / "S")

    assert "ST: values have fractions" in " ".join(spadit("data", "check", "small", "--data", own)[1].split())
    assert "small: ST: values have fractions" in spadit("plan", "quickstart", *at)[1]
    code, _, said = spadit("run", "quickstart", "--variant", "gene mean", "--variant", "low-rank ridge", *at)

    assert code == 0, said
    assert "small: ST: values have fractions" in said
    (remark,) = Store(tmp_path / "S").asked("quickstart")[-1].datasets["small"]["remarks"]
    assert remark.startswith("ST: values have fractions")
    where = ("--data", own, "--genes", "all", "--folds", "0", "--out", tmp_path / "p.h5ad")
    assert "ST: values have fractions" in spadit("predict", "small", "--method", "LowRankRidge", *where)[1]


def scaled(data: ad.AnnData) -> ad.AnnData:
    """As ambient RNA is taken out of counts, with genes left that only the single cells have."""
    data.X = data.X * np.float32(0.93)
    data.layers.clear()
    data.uns.clear()
    return data[:, :-3].copy()


@pytest.mark.ray
@pytest.mark.usefixtures("ray_here")
def test_a_run_prints_a_table_then_does_nothing_then_reports(spadit: Spadit, pairs: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(DRIVER)

    code, out, err = spadit("run", "mine.py", "--data", pairs, "--store", "S")
    assert code == 0
    assert "own" in out
    assert "total" in out
    assert "6/6 finished" in err

    before = {path: path.read_bytes() for path in (tmp_path / "S").rglob("*") if path.is_file()}
    again, _, told = spadit("run", "mine.py", "--data", pairs, "--store", "S")
    assert again == 0
    assert "Nothing to run" in told
    assert {path: path.read_bytes() for path in (tmp_path / "S").rglob("*") if path.is_file()} == before

    state, shown, _ = spadit("status", "--store", "S", "--json")
    assert state == 0
    assert json.loads(shown)["experiments"][0]["ok"] == 6

    assert spadit("report", "--store", "S", "--out", "R")[0] == 0
    assert {"accuracy_score.csv", "accuracy_score.md", "accuracy_score.tex", "index.html"} <= {
        path.name for path in (tmp_path / "R").iterdir()
    }


@pytest.mark.ray
@pytest.mark.usefixtures("ray_here")
def test_what_other_code_computed_runs_again_only_with_stale(spadit: Spadit, pairs: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(DRIVER)
    words = ["run", "mine.py", "--data", pairs, "--store", "S", "--json"]
    _, out, _ = spadit(*words, "--keep-predictions", "none")
    assert json.loads(out) == {"computed": 6, "trials": 6, "ok": 6, "failed": 0, "skipped": 0, "store": "S"}
    assert not (tmp_path / "S/predictions").exists()
    path = sorted((tmp_path / "S/trials").iterdir())[0]
    path.write_bytes(dataclasses.replace(Record.from_json(path.read_bytes()), code="of old").to_json())

    computed = [
        json.loads(spadit(*words, *more)[1])["computed"] for more in ([], ["--stale", "--keep-predictions", "all"], [])
    ]

    assert computed == [0, 1, 0]
    assert [p.name for p in (tmp_path / "S/superseded").iterdir()] == [f"{path.stem}-of old.json"]
    assert [p.stem for p in (tmp_path / "S/predictions").iterdir()] == [path.stem]


@pytest.mark.ray
@pytest.mark.usefixtures("ray_here")
def test_a_failing_method_gives_exit_code_one_and_a_command_that_reruns_it(
    spadit: Spadit, pairs: Path, tmp_path: Path
) -> None:
    (tmp_path / "mine.py").write_text(DRIVER.replace("GeneMean()", "Raises()"))

    code, _, err = spadit("run", "mine.py", "--data", pairs, "--store", "S")
    _, out, _ = spadit("status", "--store", "S", "--json")
    again, _, told = spadit("run", "mine.py", "--data", pairs, "--store", "S")

    assert code == again == 1
    assert "2 of 6 trials failed" in err
    problem = json.loads(out)["experiments"][0]["problems"][0]
    assert problem["reason"] == "ArithmeticError: singular matrix"
    assert "--retry-failed" in problem["rerun"]
    assert "Nothing to run" in told


def test_a_simulated_pair_is_a_pair(spadit: Spadit, tmp_path: Path) -> None:
    code, _, _ = spadit(
        "data", "simulate", "--spots", "50", "--cells", "60", "--genes", "20", "--out", tmp_path / "D/sim"
    )
    _, out, _ = spadit("data", "check", "sim", "--data", tmp_path / "D", "--json")
    refused, _, err = spadit("data", "simulate", "--out", tmp_path / "D/sim")

    assert code == 0
    assert json.loads(out)["dataset"] == "sim"
    assert refused == 2
    assert "exists already" in err


def test_a_problem_given_away_comes_back_into_the_table(spadit: Spadit, tmp_path: Path) -> None:
    write_pair(simulate(250, 120, 40, seed=2, depth=3000.0, name="deep"), tmp_path / "D")
    data = ["--data", str(tmp_path / "D")]
    code, out, _ = spadit("data", "export", "deep", "--out", "E", "--fold", "0", "--json", *data)
    assert code == 0
    assert {Path(file).name for file in json.loads(out)["files"]} == {path.name for path in (tmp_path / "E").iterdir()}
    spots = ad.read_h5ad(tmp_path / "E/st_visible.h5ad")
    targets = (tmp_path / "E/targets.txt").read_text().split()
    answer = ad.AnnData(np.repeat(np.asarray(spots.X).mean(axis=1, keepdims=True), len(targets), axis=1))
    answer.obs_names, answer.var_names = spots.obs_names, targets
    answer.write_h5ad(tmp_path / "mean.h5ad")

    scored, out, _ = spadit("score", "--task", "E/task.json", "--prediction", "mean=mean.h5ad", "--json", *data)

    assert scored == 0
    (facts,) = json.loads(out)
    assert facts["verdict"] == "clean"
    asked = json.loads(next((tmp_path / "results/experiments").iterdir()).read_text())
    shown, out, _ = spadit("explain", f"{asked['name']}/mean/deep", "--json")
    assert shown == 0
    assert json.loads(out)["rates"][0]["trials"][0]["external"] is True
    assert "mean" in spadit("score", "--task", "E/task.json", "--prediction", "mean=mean.h5ad", *data)[1]


def test_an_audit_of_files_says_which_holds_the_truth_and_exits_with_one(spadit: Spadit, tmp_path: Path) -> None:
    pair = simulate(400, 100, 20, seed=3, depth=400.0)
    truth = pair.st.values.toarray()
    rng = np.random.default_rng(0)
    files = {
        "truth": truth,
        "copy": np.where(rng.random(truth.shape) < 0.5, truth, 0.0),
        "noise": rng.random(truth.shape),
    }
    for name, values in files.items():
        lines = [
            ",".join(["spot", *pair.st.genes]),
            *(f"s{i}," + ",".join(map(str, row)) for i, row in enumerate(values)),
        ]
        (tmp_path / f"{name}.csv").write_text("\n".join(lines) + "\n")
    words = ["audit", "predictions", "--truth", "truth.csv", "--prediction", "noise=noise.csv"]

    honest, out, _ = spadit(*words, "--json")
    leaky, _, _ = spadit(*words, "--prediction", "copy=copy.csv", "--json")
    plain, shown, _ = spadit(*words, "--prediction", "copy=copy.csv")

    assert (honest, leaky, plain) == (0, 1, 1)
    (facts,) = json.loads(out)
    assert (facts["name"], facts["verdict"]) == ("noise", "clean")
    assert {test["name"] for test in facts["tests"]} >= {"zero-pattern", "exact-copies"}
    assert "copy: leak" in shown


def test_unmeasured_genes_are_predicted_into_a_file(spadit: Spadit, tmp_path: Path) -> None:
    pair = simulate(60, 80, 40, seed=4, name="part")
    kept = list(pair.st.genes[:-3])
    st = Assay(tuple(kept), pair.st.values[:, pair.st.columns(kept)], "counts")
    write_pair(dataclasses.replace(pair, st=st), tmp_path / "D")
    words = ["predict", "part", "--method", "nearest_cells", "--genes", ",".join(pair.st.genes[-3:])]

    code, out, _ = spadit(*words, "--out", "P.h5ad", "--data", tmp_path / "D", "--json")
    again, _, err = spadit(*words, "--out", "P.h5ad", "--data", tmp_path / "D")

    assert code == 0
    assert len(json.loads(out)["genes"]) == 3
    data = ad.read_h5ad(tmp_path / "P.h5ad")
    assert list(data.var_names) == list(pair.st.genes[-3:])
    assert data.layers["sd"].shape == data.shape
    assert np.isfinite(data.var["expected_pcc"]).all()
    assert again == 2
    assert "exists already" in err


def test_a_leak_is_exit_code_one_with_the_stage_that_differs(spadit: Spadit, pairs: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        DRIVER.replace(
            "split=KFold(2)", 'split=KFold(2), protocol=Protocol(preprocessing=Preprocessing("all-genes"))'
        ).replace("import Experiment, KFold", "import Experiment, KFold, Preprocessing, Protocol")
    )

    code, out, _ = spadit("audit", "method", "mine.py:own", "--data", pairs, "--json")

    assert code == 1
    facts = json.loads(out)
    assert facts["verdict"] == "leak"
    assert facts["dataset"] == "small"
    assert facts["checks"][1]["stage"] == "size factors of the spots"
