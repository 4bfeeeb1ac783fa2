"""Pooling genes from files, against pandas over the same rows: whatever their order, gaps and cuts between files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from reports.published import METRICS
from reports.reading import pooled
from reports.reading.pooled import FACTS, Pooled, pool

NAMES = [metric.name for metric in METRICS]
FOLDS, SEEDS = 3, 2


def rows_of(trial: str, genes: list[str], rng: np.random.Generator) -> pd.DataFrame:
    numbers = {name: rng.normal(size=len(genes)) for name in (*NAMES, *FACTS)}
    return pd.DataFrame({"trial_id": trial, "gene": rng.permutation(genes), **numbers})


def written(folder: Path, one_file: bool) -> tuple[dict[str, Path], list[dict[tuple[int, int], str]], pd.DataFrame]:
    """Two rows with seeds and one without, genes in another order in each trial, NaN for a gene of one row."""
    rng = np.random.default_rng(0)
    parts = [[f"gene{i}" for i in range(20) if i % FOLDS == fold] for fold in range(FOLDS)]
    needed: list[dict[tuple[int, int], str]] = [{}, {}, {}]
    tables = []
    for v, seeds in enumerate((SEEDS, SEEDS, 1)):
        for seed in range(seeds):
            for fold in range(FOLDS):
                table = rows_of(f"{v}{seed}{fold}", parts[fold], rng)
                table.loc[(table["gene"] == "gene4") & (v == 1), "js"] = np.nan
                table.loc[table["gene"] == "gene7", NAMES] = np.nan
                tables.append(table.assign(v=v, s=seed, f=fold))
                for serves in range(SEEDS) if seeds == 1 else [seed]:
                    needed[v][fold, serves] = f"{v}{seed}{fold}"
    everything = pd.concat(tables, ignore_index=True)
    paths = {}
    groups = everything.groupby(everything["v"].astype(str) if one_file else everything["trial_id"], sort=False)
    for name, group in groups:
        path = folder / f"{name}.parquet"
        kept = group.drop(columns=["v", "s", "f"])
        stranger = kept.iloc[:3].assign(trial_id="nobody asked")  # a file may hold other trials
        pq.write_table(pa.Table.from_pandas(pd.concat([kept, stranger]), preserve_index=False), path)
        paths |= dict.fromkeys(group["trial_id"], path)
    return paths, needed, everything


@pytest.mark.parametrize("one_file", [False, True], ids=["a file each", "several trials in a file"])
@pytest.mark.parametrize("portion", [1, 2**25], ids=["file by file", "at once"])
def test_it_is_what_pandas_makes_of_the_same_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, one_file: bool, portion: int
) -> None:
    monkeypatch.setattr(pooled, "PORTION", portion)
    paths, needed, everything = written(tmp_path, one_file)

    found = pool(paths, needed, FOLDS, SEEDS)

    kept = everything[~everything["gene"].isin(["gene4", "gene7"])]
    assert found.genes == tuple(sorted(kept["gene"].unique()))
    assert (found.constant, found.partial) == (1, 1)
    means = kept.groupby(["v", "gene"])[[*NAMES, *FACTS]].mean()
    for v in range(3):
        np.testing.assert_allclose(found.averaged[v], means.loc[v][NAMES], rtol=1e-12)
        np.testing.assert_allclose(found.facts[v], means.loc[v][list(FACTS)], rtol=1e-6)
        for seed in range(SEEDS):
            own = kept[(kept["v"] == v) & (kept["s"] == (0 if v == 2 else seed))]
            np.testing.assert_allclose(found.seed_means[seed, v], own[NAMES].mean(), rtol=1e-12)
            for fold in range(FOLDS):
                np.testing.assert_allclose(
                    found.part_means[fold, seed, v], own[own["f"] == fold][NAMES].mean(), rtol=1e-12
                )


def test_a_gene_that_is_missing_from_one_seed_of_one_row_is_left_out_for_all(tmp_path: Path) -> None:
    paths, needed, _ = written(tmp_path, one_file=False)
    path = paths["010"]
    table = pq.read_table(path)
    pq.write_table(table.filter(pa.compute.not_equal(table["gene"], "gene3")), path)

    found = pool(paths, needed, FOLDS, SEEDS)

    assert "gene3" not in found.genes
    assert found.partial == 2


def test_without_a_complete_row_there_is_no_gene() -> None:
    found: Pooled = pool({}, [], FOLDS, SEEDS)

    assert found.genes == ()
    assert found.averaged.shape == (0, 0, len(METRICS))
    assert found.part_means.shape == (FOLDS, SEEDS, 0, len(METRICS))
