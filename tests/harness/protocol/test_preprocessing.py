"""Filters: the paper's thresholds are what its steps say, and one that leaves too little names itself."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import scanpy
import scipy.sparse as sp
from anndata import AnnData

from harness.datasets import load
from harness.datasets.simulated import simulate
from harness.errors import BadInput
from harness.pair import Assay, PairedSample
from harness.protocol import KFold, Panel, Preprocessing, Protocol, frame, pose, prepare

PAPER = Preprocessing.paper()
EASY = Panel(min_spots=0.0, min_cells=0.0)


@pytest.fixture(scope="module")
def pair() -> PairedSample:
    """600 genes, of which cells see about 250; the last third of the cells is shallow."""
    made = simulate(200, 240, 600, seed=3)
    counts = made.sc.values.toarray()
    counts[160:] = np.random.default_rng(0).binomial(counts[160:].astype(int), 0.3)
    return dataclasses.replace(made, sc=Assay(made.sc.genes, sp.csr_matrix(counts), "counts"))


def by_scanpy(assay: Assay, row_genes: int) -> tuple[set[str], np.ndarray]:
    """The released script's steps, in scanpy."""
    data = AnnData(assay.values.toarray())
    data.var_names = list(assay.genes)
    data.obs_names = [str(i) for i in range(data.n_obs)]
    rows = data.n_obs
    scanpy.pp.normalize_total(data, target_sum=1e4)
    scanpy.pp.log1p(data)
    scanpy.pp.filter_genes(data, min_cells=int(np.ceil(0.1 * rows)))
    scanpy.pp.filter_cells(data, min_genes=row_genes)
    scanpy.pp.highly_variable_genes(data, n_top_genes=int(0.25 * data.n_vars))
    return set(data.var_names[data.var["highly_variable"]]), data.obs_names.astype(int).to_numpy()


def test_the_papers_filters_are_the_scripts_steps(pair: PairedSample) -> None:
    sc_genes, cells = by_scanpy(pair.sc, 200)
    st_genes, _ = by_scanpy(pair.st, 1)

    data = prepare(pair, Protocol(panel=EASY, preprocessing=PAPER))

    assert 50 <= len(cells) < len(pair.sc)
    assert set(data.panel) == sc_genes & st_genes
    assert set(data.cells.genes) == sc_genes
    assert len(data.cells) == len(cells)
    raw = pair.sc.values.toarray()[cells]
    expected = np.log1p(raw / raw.sum(axis=1, keepdims=True) * 1e4)[:, pair.sc.columns(data.cells.genes)]
    np.testing.assert_allclose(data.cells.lognorm, expected, rtol=1e-5)


def test_the_papers_total_of_ten_thousand_is_that_of_the_visible_genes(pair: PairedSample) -> None:
    problem, _ = pose(prepare(pair, Protocol(panel=EASY, preprocessing=PAPER)), KFold(4), 0)

    np.testing.assert_allclose(np.expm1(problem.spots.lognorm).sum(axis=1), 1e4, rtol=1e-4)


def test_spots_without_any_remaining_gene_are_filtered_and_the_truth_says_which_remain(pair: PairedSample) -> None:
    counts = pair.st.values.toarray()
    counts[[3, 7]] = 0
    sparse = dataclasses.replace(pair, st=Assay(pair.st.genes, sp.csr_matrix(counts), "counts"))
    protocol = Protocol(preprocessing=Preprocessing(spot_genes=1))

    kept = frame(sparse, protocol).spots
    problem, truth = pose(prepare(sparse, protocol), KFold(4), 0)

    assert set(range(200)) - set(kept.tolist()) == {3, 7}
    assert len(problem.spots) == len(truth.spots)
    assert not {3, 7} & set(truth.spots.tolist())
    assert (problem.coordinates == sparse.coordinates[truth.spots]).all()  # type: ignore[index]


@pytest.mark.parametrize(
    ("filters", "words"),
    [
        ({"cell_genes": 500}, "cells with at least 500 of the remaining genes"),
        ({"spot_genes": 500}, "spots with at least 500 of the remaining genes"),
        ({"gene_cells": 1.0}, "genes in at least 100% of the cells"),
        ({"gene_spots": 1.0}, "genes in at least 100% of the spots"),
        ({"variable": 0.01}, "all gene filters together"),
    ],
)
def test_a_filter_that_leaves_too_little_is_named_with_what_it_removed(
    pair: PairedSample, filters: dict[str, float], words: str
) -> None:
    with pytest.raises(BadInput, match=f"{words}.*removes [0-9]+ of [0-9]+") as caught:
        prepare(pair, Protocol(preprocessing=Preprocessing(**filters)))  # type: ignore[arg-type]
    assert str(caught.value).count(". ") == 0


def test_no_filter_is_no_filter(pair: PairedSample) -> None:
    found = frame(pair, Protocol(panel=EASY))

    assert len(found.spots) == len(pair.st)
    seen = [set(np.array(a.genes)[a.values.toarray().any(axis=0)]) for a in (pair.st, pair.sc)]
    assert set(found.panel) == seen[0] & seen[1]


@pytest.mark.real
def test_the_papers_thresholds_remove_every_cell_of_a_panel_of_33_genes(real_data: Path) -> None:
    osmfish = load("osmfish_ssp", [real_data])

    with pytest.raises(BadInput, match="at least 200 of the remaining genes' removes 5613 of 5613 cells"):
        prepare(osmfish, Protocol(preprocessing=PAPER))
