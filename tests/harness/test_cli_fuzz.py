"""Whatever pair a folder holds, the command line answers with a result or with one sentence, never a traceback."""

from __future__ import annotations

import contextlib
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.cli import main

# One defect at a time finds more than ten at once: what is sound is drawn far more often.
VALUES = st.sampled_from(["counts"] * 30 + ["fractions", "nan", "inf", "negative", "zero", "huge", "bool"])
NAMES = st.sampled_from(["plain"] * 30 + ["twice", "empty", "digits", "odd", "odd", "other", "lower"])
ROWS, GENES = st.sampled_from([60] * 20 + [0, 1, 5]), st.sampled_from([24] * 20 + [0, 1, 12])
FORMS: dict[str, Any] = {"dense": np.asarray, "csr": sp.csr_matrix, "csc": sp.csc_matrix, "f64": np.float64}
ODD = ["<script>", "a/b", "..", "Ünï", "[red]x[/red]", "a,b", "gene name", "-1", "nan", "\N{SNOWMAN}", "'", '"']


@st.composite
def matrices(draw: st.DrawFn, rows: int, genes: int) -> np.ndarray:
    rng = np.random.default_rng(draw(st.integers(0, 3)))
    values = rng.poisson(draw(st.sampled_from([0.2, 2.0, 40.0])), (rows, genes)).astype(np.float32)
    kind = draw(VALUES)
    if kind == "fractions":
        values = values * np.float32(0.37)
    elif kind == "zero":
        values = values * 0
    elif kind == "huge":
        values = values * np.float32(1e30)
    elif kind == "bool":
        values = values > 0
    elif values.size and kind != "counts":
        values.flat[draw(st.integers(0, values.size - 1))] = {"nan": np.nan, "inf": np.inf, "negative": -1.0}[kind]
    form = draw(st.sampled_from(sorted(FORMS)))
    return values.astype(np.float64) if form == "f64" else FORMS[form](values)


@st.composite
def names(draw: st.DrawFn, genes: int) -> list[str]:
    kind = draw(NAMES)
    plain = [f"Gene{i}" for i in range(genes)]
    if kind == "twice" and genes > 1:
        return [plain[1], *plain[1:]]
    if kind == "empty" and genes:
        return ["", *plain[1:]]
    if kind == "odd":
        return (ODD + plain)[:genes]
    return {"digits": [str(i) for i in range(genes)], "other": [f"X{i}" for i in range(genes)]}.get(
        kind, [name.lower() for name in plain] if kind == "lower" else plain
    )


@st.composite
def halves(draw: st.DrawFn, half: str) -> anndata.AnnData:
    rows, genes = draw(ROWS), draw(GENES)
    obs = pd.DataFrame(index=[f"{half}{i}" for i in range(rows)])
    if draw(st.integers(0, 3)) == 0:
        kinds = {
            "text": ["a", "b"] * rows,
            "whole": [1, 2] * rows,
            "lost": [np.nan, "b"] * rows,
            "real": [0.5, np.nan] * rows,
        }
        labels = pd.Series(kinds[draw(st.sampled_from(sorted(kinds)))][:rows], index=obs.index)
        obs["cell_type"] = labels.astype("category") if draw(st.booleans()) else labels
    data = anndata.AnnData(draw(matrices(rows, genes)), obs=obs, var=pd.DataFrame(index=draw(names(genes))))
    if draw(st.booleans()):
        data.layers["counts"] = draw(matrices(rows, genes))
    if half == "spot" and draw(st.integers(0, 3)):
        places = np.random.default_rng(0).random((rows, draw(st.sampled_from([2] * 9 + [1, 3, 4]))))
        if rows and draw(st.integers(0, 15)) == 0:
            places[0, 0] = np.nan
        data.obsm["spatial"] = places
    if draw(st.integers(0, 15)) == 0:
        data.uns["spadit_values"] = draw(st.sampled_from(["counts", "lognorm", "intensities", "nonsense", 3, "[red]"]))
    return data.T.copy() if draw(st.integers(0, 20)) == 0 else data


COMMANDS = (
    ["data", "check", "fuzzed"],
    ["data", "check", "fuzzed", "--json"],
    ["plan", "quickstart", "--dataset", "fuzzed"],
    ["data", "export", "fuzzed", "--out", "E"],
)


def said(words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    monkeypatch.setattr(sys, "argv", ["spadit", *words])
    capsys.readouterr()
    code = 0
    try:
        main()
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else 1
    captured = capsys.readouterr()
    return code, captured.out, captured.err


@settings(
    deadline=None,
    max_examples=60,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(sc=halves("cell"), spots=halves("spot"), command=st.sampled_from(COMMANDS))
def test_a_fuzzed_pair_gives_a_result_or_one_sentence(
    sc: anndata.AnnData,
    spots: anndata.AnnData,
    command: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with tempfile.TemporaryDirectory() as scratch, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        folder = Path(scratch) / "fuzzed"
        folder.mkdir()
        sc.write_h5ad(folder / "sc.h5ad")
        spots.write_h5ad(folder / "st.h5ad")

        with contextlib.chdir(scratch):
            code, out, err = said([*command, "--data", scratch], monkeypatch, capsys)

        left = sorted(path.name for path in Path(scratch).iterdir())
    assert code in (0, 2)
    assert "Traceback" not in err
    if code == 2:
        assert out == ""
        assert err.startswith("spadit: ")
        assert err.count("\n") == 1
        assert left == ["fuzzed"]
    else:
        assert out.strip()
