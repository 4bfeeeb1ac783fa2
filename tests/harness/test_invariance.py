"""Permuting genes, spots or cells permutes results and changes nothing else; names and machines change no id."""

from __future__ import annotations

import dataclasses
import os
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import anndata
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.datasets import load
from harness.datasets.simulated import write_pair
from harness.pair import Assay, PairedSample
from harness.protocol import KFold, MaskedEntries, Protocol, pose, prepare
from harness.record import Outcome
from harness.trial import Trial, run_trial
from models.baselines.spage import SpaGE
from models.controls.low_rank_ridge import LowRankRidge
from models.controls.nearest_cells import NearestCells
from models.method import Method, Problem
from tests.conftest import tiny_pair

SPLIT = KFold(3)
METHODS: list[Method] = [SpaGE(), NearestCells(), LowRankRidge()]


def permuted(pair: PairedSample, genes: list[int], spots: list[int], cells: list[int]) -> PairedSample:
    """The pair with the columns of both matrices and the rows of each in another order."""
    sc_genes = [*genes, *range(len(genes), len(pair.sc.genes))][::-1]

    def assay(of: Assay, rows: list[int], columns: list[int]) -> Assay:
        return Assay(tuple(of.genes[i] for i in columns), of.values.toarray()[np.ix_(rows, columns)], of.kind)

    assert pair.coordinates is not None
    assert pair.cell_types is not None
    return dataclasses.replace(
        pair,
        st=assay(pair.st, spots, genes),
        sc=assay(pair.sc, cells, sc_genes),
        coordinates=pair.coordinates[spots],
        cell_types=pair.cell_types[cells],
    )


@cache
def outcome(method: Method) -> Outcome:
    return answer(method, tiny_pair())


def answer(method: Method, pair: PairedSample) -> Outcome:
    return run_trial(Trial(method, pair.name, pair.id, SPLIT, 1, 0), prepare(pair, Protocol()))


@pytest.mark.parametrize("method", METHODS, ids=lambda method: type(method).__name__)
@settings(deadline=None, max_examples=8)
@given(genes=st.permutations(range(24)), spots=st.permutations(range(48)), cells=st.permutations(range(60)))
def test_permuting_genes_spots_and_cells_permutes_the_answer_and_no_number(
    method: Method, genes: list[int], spots: list[int], cells: list[int]
) -> None:
    before, after = outcome(method), answer(method, permuted(tiny_pair(), genes, spots, cells))

    assert before.targets == after.targets
    np.testing.assert_allclose(after.prediction, before.prediction[spots], atol=2e-4)  # type: ignore[index]
    for name in ("pcc", "ssim", "rmse", "js"):
        assert after.record.means[name] == pytest.approx(before.record.means[name], abs=1e-4)
    one, two = (o.genes.to_pandas().set_index("gene")["pcc"] for o in (before, after))  # type: ignore[union-attr]
    np.testing.assert_allclose(one, two, atol=1e-3)


def test_permuting_genes_alone_changes_no_bit() -> None:
    order = list(np.random.default_rng(0).permutation(24))
    same = permuted(tiny_pair(), order, list(range(48)), list(range(60)))

    for method in METHODS:
        assert (answer(method, same).prediction == outcome(method).prediction).all()


def test_renaming_files_and_folders_changes_no_id(tmp_path: Path) -> None:
    write_pair(dataclasses.replace(tiny_pair(), name="one"), tmp_path)
    archive = tmp_path / "two"
    for half in ("sc", "st"):
        (archive / half).mkdir(parents=True)
        shutil.copy(tmp_path / "one" / f"{half}.h5ad", archive / half / f"two_{half}.h5ad")

    ids = [Trial(SpaGE(), n, load(n, [tmp_path]).id, SPLIT, 0, 0).id for n in ("one", "two")]

    assert ids[0] == ids[1]


IDENTITY = """
from harness.protocol import KFold, MaskedEntries, Panel, Preprocessing, Protocol
from harness.trial import Trial
from models.spadit import SpaDiT
from tests.conftest import tiny_pair
protocol = Protocol(Panel(max_genes=20), Preprocessing.paper())
print(Trial(SpaDiT.tiny(), "any", tiny_pair().id, KFold(3), 2, 7, 0.3, protocol, MaskedEntries(share=0.2)).id)
"""


def test_the_same_trial_has_one_id_under_every_hash_seed_and_on_every_machine() -> None:
    root = Path(__file__).resolve().parents[2]
    printed = [
        subprocess.run(
            [sys.executable, "-c", IDENTITY],
            env=dict(os.environ, PYTHONHASHSEED=seed, LC_ALL=where, TZ=where),
            capture_output=True,
            text=True,
            check=True,
            cwd=root,
        ).stdout.strip()
        for seed, where in (("0", "C"), ("4242", "C.UTF-8"))
    ]

    assert printed[0] == printed[1]
    assert len(printed[0]) == 16


def filled(path: Path) -> None:
    """Every slot of the ST file that is not allowed, filled with the truth and with what follows from it."""
    data = anndata.read_h5ad(path)
    x = np.asarray(data.X.todense(), dtype=np.float64)
    data.obs["total_counts"] = x.sum(axis=1)
    data.obs["size_factors"] = x.sum(axis=1) / np.median(x.sum(axis=1))
    for i, gene in enumerate(data.var_names):
        data.obs[gene] = x[:, i]
    data.var["means"], data.var["highly_variable"] = x.mean(axis=0), x.var(axis=0) > np.median(x.var(axis=0))
    data.varm["loadings"] = x.T @ x[:, :5]
    data.obsm["X_pca"], data.obsm["X_umap"] = x[:, :10], x[:, :2]
    data.obsp["distances"], data.varp["correlation"] = x @ x.T, x.T @ x
    data.uns["truth"], data.uns["log1p"] = x, {"base": 2.0}
    data.layers["spliced"], data.layers["normalised"] = x, np.log1p(x)
    data.raw = data.copy()
    data.write_h5ad(path)


def parts(problem: Problem) -> list[object]:
    spots, cells = problem.spots, problem.cells
    arrays = [spots.lognorm, spots.counts, spots.size_factors, cells.lognorm, problem.coordinates, problem.hidden]
    return [problem.visible, problem.targets, problem.validation, *(None if a is None else a.tobytes() for a in arrays)]


@pytest.mark.parametrize("task", [None, MaskedEntries(share=0.7)])
@pytest.mark.parametrize("rate", [1.0, 0.4])
def test_filling_every_disallowed_slot_with_the_truth_changes_no_problem(tmp_path: Path, task, rate: float) -> None:  # type: ignore[no-untyped-def]
    write_pair(dataclasses.replace(tiny_pair(), name="p"), tmp_path)
    before = load("p", [tmp_path])
    filled(tmp_path / "p/st.h5ad")
    after = load("p", [tmp_path])

    assert before.id == after.id
    for fold in range(3):
        one, two = (pose(prepare(pair, Protocol()), SPLIT, fold, rate, task)[0] for pair in (before, after))
        assert parts(one) == parts(two)
