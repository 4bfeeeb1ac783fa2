"""A real pair as the figures of the original codes were made on it: arrays, outside the protocol."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from models.method import Expression, Problem

Array = NDArray[Any]


def osmfish(raw: bool = False) -> tuple[Problem, Array]:
    """Problem and log-normalised truth of the 1,500 x 1,500 subset for which the original codes were run.

    raw: the counts stand in for the log-normalised values of both sides, as in those runs that took counts.
    """
    import anndata

    folder = os.environ.get("SPADIT_DATA")
    if not folder:
        pytest.skip("SPADIT_DATA is not set; it names the folder of the real tissue pairs.")
    sides = [anndata.read_h5ad(Path(folder) / "osmfish_ssp" / f"{side}.h5ad") for side in ("sc", "st")]
    genes = list(sides[1].var_names)
    sc, st = (np.asarray(side[:, genes].to_df(), dtype=float) for side in sides)
    coordinates = np.asarray(sides[1].obsm["spatial"], dtype=float)
    rng = np.random.default_rng(0)
    held = sorted(rng.permutation(33)[:6])
    assert {genes[i] for i in held} == {"Crhbp", "Vip", "Rorb", "Syt6", "Ctps", "Hexb"}
    kept = [i for i in range(33) if i not in held]
    coordinates = coordinates[st[:, kept].sum(axis=1) > 0]
    sc, st = (side[side[:, kept].sum(axis=1) > 0] for side in (sc, st))
    rows = [np.sort(rng.choice(len(side), 1500, replace=False)) for side in (sc, st)]
    counts = [side[chosen].astype(np.float32) for side, chosen in zip((sc, st), rows, strict=True)]
    sc, st = (np.log1p(1e4 * side / side.sum(axis=1, keepdims=True, dtype=float)).astype(np.float32) for side in counts)
    visible = tuple(genes[i] for i in kept)
    targets = tuple(genes[i] for i in held)
    values = counts if raw else (sc, st)
    spots = Expression(visible, values[1][:, kept], counts[1][:, kept])
    cells = Expression(tuple(genes), values[0], counts[0])
    return Problem(spots, cells, visible, targets, coordinates=coordinates[rows[1]]), st[:, held]


def part(problem: Problem, cells: int, spots: int) -> Problem:
    """The problem of the first cells and spots only."""
    few = [
        Expression(side.genes, side.lognorm[:n], None if side.counts is None else side.counts[:n])
        for side, n in ((problem.spots, spots), (problem.cells, cells))
    ]
    places = None if problem.coordinates is None else problem.coordinates[:spots]
    return Problem(*few, problem.visible, problem.targets, coordinates=places)


def mean_pcc(truth: Array, found: Array) -> float:
    """Mean over genes of Pearson's correlation over spots."""
    return float(np.mean([np.corrcoef(x, y)[0, 1] for x, y in zip(truth.T, found.T, strict=True)]))
