"""Simulated pairs: what they look like, and that writing one is all or nothing."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.datasets import load
from harness.datasets.check import check
from harness.datasets.simulated import simulate, write_pair
from harness.errors import BadInput


def test_a_seed_gives_one_pair_and_another_seed_another() -> None:
    assert simulate(30, 40, 20, seed=3).id == simulate(30, 40, 20, seed=3).id
    assert simulate(30, 40, 20, seed=3).id != simulate(30, 40, 20, seed=4).id


def test_it_has_the_sizes_asked_for_and_says_that_it_is_invented() -> None:
    pair = simulate(50, 60, 33, types=5)
    assert (len(pair.st), len(pair.sc), len(pair.shared)) == (50, 60, 33)
    assert pair.cell_types is not None
    assert len(set(pair.cell_types.tolist())) == 5
    assert pair.synthetic.startswith("simulated")
    assert pair.st.kind == pair.sc.kind == "counts"


def test_genes_vary_over_space_and_more_than_poisson() -> None:
    pair = simulate(900, 600, 80)
    summary = check(pair)
    assert min(summary["moran_top"].values()) > 0.15
    assert 250 < summary["st_median_total"] < 900
    cells = pair.sc.values.toarray()
    assert np.median(cells.var(axis=0) / cells.mean(axis=0)) > 1.5


def test_single_cells_inform_the_tissue() -> None:
    pair = simulate(400, 400, 60)
    st, sc = pair.st.values.toarray().mean(axis=0), pair.sc.values.toarray().mean(axis=0)
    assert np.corrcoef(np.log1p(st), np.log1p(sc))[0, 1] > 0.5


def test_the_size_of_a_real_dataset_takes_seconds() -> None:
    start = time.monotonic()
    assert simulate(8425, 10000, 350).st.values.shape == (8425, 350)
    assert time.monotonic() - start < 20


@pytest.mark.parametrize(
    "sizes", [{"spots": 1}, {"cells": 0}, {"genes": 0}, {"types": 0}, {"depth": 0.0}, {"depth": np.nan}, {"types": 99}]
)
def test_sizes_that_make_no_pair_are_refused(sizes: dict[str, Any]) -> None:
    with pytest.raises(BadInput, match="expected"):
        simulate(**{"spots": 20, "cells": 20, "genes": 20, **sizes})


def test_a_written_pair_is_the_same_pair_when_loaded(tmp_path: Path) -> None:
    pair = simulate(30, 40, 20, name="toy")
    assert write_pair(pair, tmp_path / "data") == tmp_path / "data" / "toy"
    again = load("toy", [tmp_path / "data"])
    assert again.id == pair.id
    assert again.synthetic == pair.synthetic
    assert pair.spot_labels is not None
    assert again.spot_labels is not None
    assert again.spot_labels.tolist() == pair.spot_labels.tolist()
    assert sorted(path.name for path in (tmp_path / "data").rglob("*.h5ad")) == ["sc.h5ad", "st.h5ad"]


def test_the_bundled_pair_can_be_written_and_read_back_under_another_name(tmp_path: Path) -> None:
    pair = load("pbmc_tissue")
    write_pair(pair, tmp_path)
    (tmp_path / "pbmc_tissue").rename(tmp_path / "copy")
    assert load("copy", [tmp_path]).id == pair.id


def test_an_existing_pair_is_never_overwritten(tmp_path: Path) -> None:
    pair = simulate(30, 40, 20)
    write_pair(pair, tmp_path)
    with pytest.raises(BadInput, match="exists already"):
        write_pair(pair, tmp_path)


def test_a_write_that_fails_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(BadInput, match="No space left"):
        write_pair(simulate(30, 40, 20), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_an_unsafe_name_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="cannot name a dataset"):
        write_pair(simulate(30, 40, 20, name="../escape"), tmp_path)
    assert list(tmp_path.iterdir()) == []
