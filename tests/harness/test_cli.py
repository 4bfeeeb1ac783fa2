"""The command line: bad input is one sentence and exit code 2 with nothing written; results go to stdout."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable
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


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with one small simulated pair."""
    folder = tmp_path_factory.mktemp("data")
    write_pair(simulate(60, 80, 30, seed=1, name="small"), folder)
    return folder


@pytest.fixture
def own(pairs: Path, tmp_path: Path) -> Path:
    """A copy of that folder, to be spoilt."""
    shutil.copytree(pairs, tmp_path / "D")
    return tmp_path / "D"


def rewrite(path: Path, change: Callable[[ad.AnnData], ad.AnnData | None]) -> None:
    data = ad.read_h5ad(path)
    changed = change(data)
    (data if changed is None else changed).write_h5ad(path)


def set_entry(value: float) -> Callable[[ad.AnnData], None]:
    def change(data: ad.AnnData) -> None:
        dense = np.asarray(data.X.todense() if hasattr(data.X, "todense") else data.X, dtype=np.float32)
        dense[0, 0] = value
        data.X = dense
        data.layers.clear()

    return change


def duplicate_gene(data: ad.AnnData) -> None:
    data.var_names = [data.var_names[1], *data.var_names[1:]]


def other_genes(data: ad.AnnData) -> None:
    data.var_names = [f"OTHER{i}" for i in range(data.n_vars)]


BROKEN: dict[str, tuple[Callable[[Path], None], str]] = {
    "a missing file": (lambda d: (d / "small/st.h5ad").unlink(), "st.h5ad"),
    "a truncated file": (
        lambda d: (d / "small/st.h5ad").write_bytes((d / "small/st.h5ad").read_bytes()[:3000]),
        "st.h5ad",
    ),
    "not an AnnData": (lambda d: (d / "small/sc.h5ad").write_text("gene,count\n"), "sc.h5ad"),
    "no shared genes": (lambda d: rewrite(d / "small/sc.h5ad", other_genes), "share"),
    "duplicate gene names": (lambda d: rewrite(d / "small/st.h5ad", duplicate_gene), "st.h5ad"),
    "NaN": (lambda d: rewrite(d / "small/st.h5ad", set_entry(float("nan"))), "st.h5ad"),
    "negative counts": (lambda d: rewrite(d / "small/sc.h5ad", set_entry(-1.0)), "sc.h5ad"),
    "a transposed matrix": (lambda d: rewrite(d / "small/st.h5ad", lambda a: a.T), "transposed"),
    "a folder without pairs": (lambda d: shutil.rmtree(d / "small"), "D"),
}


@pytest.mark.parametrize("what", BROKEN)
def test_bad_data_are_one_sentence_and_nothing_is_written(spadit: Spadit, own: Path, tmp_path: Path, what: str) -> None:
    spoil, word = BROKEN[what]
    spoil(own)

    code, out, err = spadit("run", "quickstart", "--data", own, "--dataset", "small", "--store", "S")

    assert code == 2
    assert out == ""
    assert err.count("\n") == 1
    assert err.startswith("spadit: ")
    assert word in err
    assert "Traceback" not in err
    assert not (tmp_path / "S").exists()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["run", "quikstart"], "did you mean quickstart"),
        (["run", "nothing.py"], "There is no file nothing.py"),
        (["run", "quickstart", "--dataset", "smalll"], "did you mean small"),
        (["run", "quickstart", "--dataset", "MG"], "MG"),
        (["run", "quickstart", "--variant", "SpaDITT"], "did you mean SpaDiT"),
        (["run", "quickstart", "--fold", "9"], "folds 0 to 4"),
        (["run", "quickstart", "--keep-predictions", "some"], "first-seed"),
        (["run", "quickstart", "--cpus-per-trial", "0"], "cpus_per_trial"),
        (["run", "quickstart", "--address", "ray://head:10001"], "ray job submit"),
        (["run", "quickstart", "--dataset", "small", "--address", "127.0.0.1:9"], "Nothing answers at 127.0.0.1:9"),
        pytest.param(
            ["run", "quickstart", "--dataset", "small", "--cpus-per-trial", "1000"],
            "ask for less",
            marks=pytest.mark.slow,
        ),
        (["run", "quickstart", "--data", "nowhere"], "nowhere"),
        (["plan", "quikstart"], "did you mean quickstart"),
        (["status", "--store", "nowhere"], "There is no store nowhere"),
        (["report", "--store", "nowhere"], "There is no store nowhere"),
        (["data", "check", "smalll"], "did you mean small"),
        (["data", "export", "smalll", "--out", "E"], "did you mean small"),
        (["data", "export", "small", "--out", "E", "--fold", "9"], "no fold 9"),
        (["data", "export", "small", "--out", "E", "--sampling-rate", "2"], "rates lie in (0, 1]"),
        (["data", "fetch", "small", "--url", "ftp://somewhere/a.zip"], "ftp"),
        (["data", "fetch", "../up", "--url", "http://127.0.0.1:9/a.zip"], "../up"),
        (["audit", "method", "spagee"], "did you mean spage"),
        (["audit", "method", "mine.py:x"], "There is no file mine.py"),
        (["audit", "method", "spage", "--dataset", "smalll"], "did you mean small"),
        (["audit", "method", "spage", "--dataset", "small", "--fold", "7"], "no fold 7"),
        (["audit", "predictions", "--truth", "t.csv", "--prediction", "a.csv"], "is not NAME=FILE"),
        (["audit", "predictions", "--truth", "t.csv", "--prediction", "a=a.csv"], "t.csv"),
        (["score", "--prediction", "a=a.csv"], "Give either --task"),
        (["score", "--prediction", "a=a.csv", "--task", "task.json"], "task.json cannot be read"),
        (["score", "--prediction", "a=a.csv", "--truth", "t.csv"], "t.csv"),
        (["explain", "a/b/c", "--store", "nowhere"], "There is no store nowhere"),
        (["predict", "small", "--method", "spagee", "--genes", "A", "--out", "P.h5ad"], "did you mean spage"),
        (["predict", "small", "--method", "spage", "--genes", "Gene01", "--out", "P.h5ad"], "ST measured Gene01"),
        (["predict", "small", "--method", "spage", "--genes", "Nope", "--out", "P.h5ad"], "SC has no Nope"),
    ],
)
def test_a_mistake_is_one_sentence_with_what_would_do(
    spadit: Spadit, pairs: Path, tmp_path: Path, words: list[str], expected: str
) -> None:
    no_data = words[0] in ("status", "report", "explain") or words[:2] == ["audit", "predictions"]
    data = [] if "--data" in words or no_data else ["--data", str(pairs)]

    code, out, err = spadit(*words, *data)

    assert code == 2
    assert out == ""
    assert expected in err
    said = [line for line in err.splitlines() if line.startswith("spadit: ")]
    assert len(said) == 1
    assert err.splitlines()[-1] == said[0]
    assert "Traceback" not in err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("source", "expected"),
    [("x = 1\n", "defines no EXPERIMENT"), ("def f(:\n", "line 1"), ("EXPERIMENT = None\n", "defines no EXPERIMENT")],
)
def test_a_driver_file_without_a_usable_experiment_is_refused(
    spadit: Spadit, tmp_path: Path, source: str, expected: str
) -> None:
    (tmp_path / "mine.py").write_text(source)

    code, _, err = spadit("run", "mine.py", "--store", "S")

    assert code == 2
    assert expected in err
    assert not (tmp_path / "S").exists()


@pytest.mark.parametrize("words", [["run", "quickstart", "--store", "F/S"], ["data", "simulate", "--out", "F/D/sim"]])
def test_a_place_that_cannot_be_written_is_one_sentence(
    spadit: Spadit, pairs: Path, tmp_path: Path, words: list[str]
) -> None:
    (tmp_path / "F").write_text("a file, not a folder")
    data = ["--data", str(pairs), "--dataset", "small"] if words[0] == "run" else []

    code, out, err = spadit(*words, *data)

    assert code == 2
    assert out == ""
    assert err.count("\n") == 1
    assert "F" in err


def test_an_empty_store_cannot_be_reported(spadit: Spadit, tmp_path: Path) -> None:
    (tmp_path / "S").mkdir()

    code, _, err = spadit("report", "--store", "S", "--out", "R")

    assert code == 2
    assert err.count("\n") == 1
    assert not (tmp_path / "R").exists()


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
