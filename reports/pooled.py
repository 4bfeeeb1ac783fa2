"""The held-out genes of one block, pooled over folds and averaged over seeds by DuckDB, where the per-gene files are.

Sums are of whole numbers, which are exact: the order in which threads meet rows does not change a digit. A value is
thereby cut to 12 decimals, as it is for ranks.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from reports.published import METRICS

Floats = NDArray[np.float64]

FACTS = ("js_flat", "bias", "truth_sd")
"""What is read of a gene beside its metrics, in the order of the last axis of `Pooled.facts`."""

_METRICS = tuple(metric.name for metric in METRICS)
_READ = (*_METRICS, *FACTS)
_M = len(_METRICS)

UNIT = 10**12
"""Values are summed in these parts of 1."""

Columns = Mapping[str, NDArray[Any]]


@dataclass(frozen=True, eq=False)
class Pooled:
    """What V rows score on the G genes that all of them have, sorted by name.

    averaged: (V, G, M) over seeds. facts: (V, G, 3), likewise. part_means: (F, S, V, M) over the genes of each fold,
    NaN for a fold without. seed_means: (S, V, M) over all genes. constant: genes that no row could score (constant
    truth). partial: genes that only some rows have; left out for all.
    """

    names: pa.StringArray
    averaged: Floats
    facts: Floats
    part_means: Floats
    seed_means: Floats
    constant: int = 0
    partial: int = 0

    @functools.cached_property
    def genes(self) -> tuple[str, ...]:
        """The genes' names; made when asked for, since a table of scores needs only their number."""
        return tuple(str(name) for name in self.names.to_pylist())

    @classmethod
    def nothing(cls, folds: int, seeds: int) -> Pooled:
        """No row, and so no gene."""
        means = np.empty((folds, seeds, 0, _M))
        return cls(pa.array([], pa.string()), np.empty((0, 0, _M)), np.empty((0, 0, len(FACTS))), means, means[0])


def pool(paths: Sequence[Path], needed: Sequence[Mapping[tuple[int, int], str]], folds: int, seeds: int) -> Pooled:
    """Read V rows from the per-gene files of their trials.

    needed: of each row, (fold, place of the seed) -> trial id, for all of them; a row without randomness has one trial
    per fold, which serves every seed.
    """
    if not needed:
        return Pooled.nothing(folds, seeds)
    uses = pd.DataFrame(
        [(trial, v, s, fold) for v, trials in enumerate(needed) for (fold, s), trial in sorted(trials.items())],
        columns=["trial_id", "v", "s", "f"],
    ).drop_duplicates(["trial_id", "v"])
    own = uses.groupby("v")["s"].nunique().to_numpy()  # (V,) seeds of each row
    with duckdb.connect() as connection:
        connection.register("uses", uses)
        connection.execute(_SUMS, [[_literal(str(path)) for path in paths]])
        found = connection.sql("SELECT DISTINCT gene FROM sums WHERE gene IS NOT NULL ORDER BY gene").to_arrow_table()
        names = found["gene"].combine_chunks()
        connection.register("names", pa.table({"gene": names, "g": np.arange(len(names))}))
        table = connection.execute("SELECT * EXCLUDE (gene, s, f) FROM sums JOIN names USING (gene)").fetchnumpy()
        scored, averaged = _by_gene(table, own, len(names))
        every, none = scored.all(axis=0), ~scored.any(axis=0)
        partial = ~every & ~none
        if partial.any():
            connection.register("left_out", pa.table({"gene": names.filter(pa.array(partial))}))
            connection.execute(_SUMS_WITHOUT, [[_literal(str(path)) for path in paths]])
        table = connection.execute("SELECT * EXCLUDE (gene) FROM sums WHERE gene IS NULL").fetchnumpy()
        sums, counts = _by_part(table, own, folds, seeds)
    values, facts = np.split(averaged[:, every], [_M], axis=-1)
    with np.errstate(invalid="ignore"):  # 0 / 0: a fold without a scored gene
        part_means, seed_means = sums / counts, sums.sum(axis=0) / counts.sum(axis=0)
    values, facts = np.ascontiguousarray(values), np.ascontiguousarray(facts)
    genes = names.filter(pa.array(every))
    return Pooled(genes, values, facts, part_means, seed_means, int(none.sum()), int(partial.sum()))


def _query(where: str) -> str:
    """Sums by row and gene, and by row, seed and fold, in one pass; what is not finite is NULL, and not in them."""
    whole = ", ".join(
        f"CASE WHEN isfinite({name}) THEN CAST({name} * {UNIT} AS BIGINT) END AS {name}" for name in _READ
    )
    scored = " AND ".join(f"{name} IS NOT NULL" for name in _METRICS)
    sums = ", ".join(f"CAST(sum({name}) AS DOUBLE) AS {name}" for name in _READ)
    return (
        "CREATE OR REPLACE TEMP TABLE sums AS "
        f"SELECT v, gene, s, f, count(*) AS n, count_if({scored}) AS scored, {sums} "
        f"FROM (SELECT v, s, f, gene, {whole} FROM read_parquet(?, union_by_name = true) JOIN uses USING (trial_id) "
        f"{where}) GROUP BY GROUPING SETS ((v, gene), (v, s, f))"
    )


_SUMS = _query("")
_SUMS_WITHOUT = _query("WHERE gene NOT IN (SELECT gene FROM left_out)")


def _by_gene(table: Columns, own: NDArray[np.int64], genes: int) -> tuple[NDArray[np.bool_], Floats]:
    """(V, G) whether a row has every metric for every seed, and (V, G, M + 3) averages over seeds."""
    at = table["v"].astype(np.int64) * genes + table["g"]
    rows, scored = (np.zeros(len(own) * genes) for _ in range(2))
    rows[at], scored[at] = table["n"], table["scored"]
    averaged = np.full((len(_READ), len(rows)), np.nan)
    for i, name in enumerate(_READ):
        averaged[i, at] = np.ma.filled(table[name], np.nan) / (UNIT * table["n"])
    per_seed = (rows.reshape(len(own), genes) / own[:, None]).round(9)  # above 1 where several folds ask for a gene
    whole = (scored > 0) & (scored == rows) & (per_seed == per_seed.max(axis=0, initial=0.0)).ravel()
    return whole.reshape(len(own), genes), np.moveaxis(averaged.reshape(-1, len(own), genes), 0, -1)


def _by_part(table: Columns, own: NDArray[np.int64], folds: int, seeds: int) -> tuple[Floats, Floats]:
    """(F, S, V, M) sums of the metrics over scored genes, and (F, S, V, 1) how many these are."""
    sums, counts = np.zeros((folds, seeds, len(own), _M)), np.zeros((folds, seeds, len(own), 1))
    at = table["f"], table["s"], table["v"]
    counts[(*at, 0)] = table["scored"]
    for i, name in enumerate(_METRICS):
        sums[(*at, i)] = np.ma.filled(table[name], 0.0) / UNIT
    for array in (sums, counts):
        array[:, :, own == 1] = array[:, :1, own == 1]
    return sums, counts


def _literal(path: str) -> str:
    # DuckDB takes a path as a pattern; a folder named "run[1]" must mean itself.
    return "".join(f"[{c}]" if c in "*?[" else c for c in path)
