"""The held-out genes of one block, pooled over folds and averaged over seeds, one row of the table at a time.

DuckDB reads the per-gene files, many at once and in the order they are given; sums are made here, in that order, so
that the same store gives the same digits. A trial's genes come in the same order as another's of the same fold, almost
always: then adding them up is adding arrays, and no name is looked at twice.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from reports.published import METRICS

Floats = NDArray[np.float64]
Answers = Mapping[tuple[int, int], str]
"""(fold, place of the seed) -> trial id, for all of them."""

FACTS = ("js_flat", "bias", "truth_sd")
"""What is read of a gene beside its metrics, in the order of the last axis of `Pooled.facts`."""

_READ = (*(metric.name for metric in METRICS), *FACTS)
_M = len(METRICS)


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


def pool(paths: Mapping[str, Path], needed: Sequence[Answers], folds: int, seeds: int) -> Pooled:
    """Read V rows from the per-gene files of their trials.

    paths: trial id -> its file. needed: of each row, its trials; a row without randomness has one trial per fold, which
    serves every seed.
    """
    panel = Panel()
    rows = [_read(paths, answers, panel, (folds, seeds)) for answers in needed]
    has = np.array([row.scored(len(panel)) for row in rows], dtype=bool).reshape(len(rows), len(panel))
    having = has.sum(axis=0)
    every, none, partial = having == len(rows), having == 0, (having > 0) & (having < len(rows))
    if partial.any():  # their values are in the sums of folds, and have to come out again
        rows = [_read(paths, answers, panel, (folds, seeds), left_out=partial) for answers in needed]
    names = panel.names
    order = pc.sort_indices(names).to_numpy()
    order = order[every[order]]
    means = np.array([row.means(order) for row in rows]).reshape(len(rows), len(order), len(_READ))
    sums = np.array([row.sums for row in rows]).reshape(len(rows), folds, seeds, _M + 1)
    sums = np.moveaxis(sums, 0, 2)  # (F, S, V, M + 1), last how many genes
    with np.errstate(invalid="ignore"):  # 0 / 0: a fold without a scored gene
        part_means = sums[..., :_M] / sums[..., _M:]
        seed_means = sums[..., :_M].sum(axis=0) / sums[..., _M:].sum(axis=0)
    averaged, facts = np.ascontiguousarray(means[..., :_M]), np.ascontiguousarray(means[..., _M:])
    kept = names.take(pa.array(order))
    return Pooled(kept, averaged, facts, part_means, seed_means, int(none.sum()), int(partial.sum()))


@dataclass(eq=False)
class Panel:
    """The genes met so far, by place; genes that come together get places side by side."""

    names: pa.StringArray = field(default_factory=lambda: pa.array([], pa.string()))
    known: dict[int, tuple[pa.StringArray, slice | NDArray[np.intp]]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.names)

    def find(self, genes: pa.StringArray, fold: int) -> slice | NDArray[np.intp]:
        """Places of the genes of a trial, by name; the same genes in the same order as last time are known at once."""
        if fold in self.known and self.known[fold][0].equals(genes):
            return self.known[fold][1]
        found = pc.index_in(genes, self.names).fill_null(-1).to_numpy().astype(np.intp)
        new = found < 0
        found[new] = len(self) + np.arange(new.sum())
        self.names = pa.concat_arrays([self.names, genes.filter(pa.array(new))])
        run = len(found) > 0 and bool((np.diff(found) == 1).all())
        places = slice(int(found[0]), int(found[-1]) + 1) if run else found
        self.known[fold] = (genes, places)
        return places


@dataclass(eq=False)
class Tally:
    """Sums over the trials of one row: of each gene over seeds, and of each fold and seed over genes.

    own: how many seeds the row has of its own. totals: (7, places) of `_READ`. counts: (2, places) entries, and those
    with every metric. sums: (F, S, M + 1) of the metrics over genes, and how many genes.
    """

    own: int
    sums: Floats
    totals: Floats = field(default_factory=lambda: np.zeros((len(_READ), 0)))
    counts: Floats = field(default_factory=lambda: np.zeros((2, 0)))

    def add(self, at: slice | NDArray[np.intp], values: Sequence[Floats], size: int, kept: NDArray[np.bool_]) -> Floats:
        """Add a trial's 7 values (g,) for genes at these of `size` places; returns (M + 1,) sums over kept genes."""
        if size > self.totals.shape[1]:
            self.totals, self.counts = (
                np.concatenate([array, np.zeros((len(array), size - array.shape[1]))], axis=1)
                for array in (self.totals, self.counts)
            )
        finite = np.logical_and.reduce([np.isfinite(column) for column in values[:_M]])
        for total, column in zip(self.totals, values, strict=True):
            total[at] += column
        self.counts[0, at] += 1
        self.counts[1, at] += finite
        used = finite & kept[at]
        return np.array([*(column[used].sum() for column in values[:_M]), used.sum()])

    def scored(self, size: int) -> NDArray[np.bool_]:
        """(size,) whether the row has every metric of a gene for every seed."""
        entries, scored = (np.pad(row, (0, size - len(row))) for row in self.counts)
        return (scored == entries) & (entries >= self.own)

    def means(self, places: NDArray[np.intp]) -> Floats:
        """(g, 7) averages over seeds of the genes at these places."""
        return (self.totals[:, places] / self.counts[0, places]).T


def _read(
    paths: Mapping[str, Path],
    answers: Answers,
    panel: Panel,
    shape: tuple[int, int],
    left_out: NDArray[np.bool_] | None = None,
) -> Tally:
    """One row's tally over (F, S) folds and seeds; genes left out stay out of the sums over genes."""
    seeds_of: dict[str, list[tuple[int, int]]] = {}
    for (fold, seed), trial in sorted(answers.items(), key=lambda each: each[0][::-1]):
        seeds_of.setdefault(trial, []).append((fold, seed))
    own = len({uses[0][1] for uses in seeds_of.values()})
    tally = Tally(own, np.zeros((*shape, _M + 1)))
    for trial, genes, values in _trials([paths[trial] for trial in seeds_of]):
        if trial not in seeds_of:  # a file may hold other trials as well
            continue
        at = panel.find(genes, seeds_of[trial][0][0])
        kept = np.ones(len(panel), dtype=bool) if left_out is None else ~left_out
        sums = tally.add(at, values, len(panel), kept)
        for fold, seed in seeds_of[trial]:
            tally.sums[fold, seed] += sums
    return tally


def _trials(paths: Sequence[Path]) -> Iterator[tuple[str, pa.StringArray, list[Floats]]]:
    """Trial id, genes (g,) and the 7 values (g,) of each trial in these files, in their order."""
    files = [_literal(str(path)) for path in dict.fromkeys(paths)]
    with duckdb.connect() as connection:
        query = f"SELECT trial_id, gene, {', '.join(_READ)} FROM read_parquet($files, union_by_name = true)"
        table = connection.sql(query, params={"files": files}).to_arrow_table()
    runs = pc.run_end_encode(table["trial_id"].combine_chunks())
    genes = table["gene"].combine_chunks()
    columns = [table[name].to_numpy() for name in _READ]
    start = 0
    for trial, stop in zip(runs.values.to_pylist(), runs.run_ends.to_pylist(), strict=True):
        yield trial, genes.slice(start, stop - start), [column[start:stop] for column in columns]
        start = stop


def _literal(path: str) -> str:
    # DuckDB takes a path as a pattern; a folder named "run[1]" must mean itself.
    return "".join(f"[{c}]" if c in "*?[" else c for c in path)
