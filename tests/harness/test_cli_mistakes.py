"""The command line, given what it cannot use: one sentence, exit code 2 and nothing written."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import anndata as ad
import numpy as np
import pytest

from tests.conftest import Spadit
from tests.harness.pair_files import rewrite


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
