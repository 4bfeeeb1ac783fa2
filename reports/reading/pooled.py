"""The held-out genes of one block, pooled over folds and averaged over seeds, one row of the table at a time.

DuckDB reads the per-gene files, many at once and in the order they are given; sums are made here, in that order, so
that the same store gives the same digits. A trial's genes come in the same order as another's of the same fold, almost
always: then adding them up is adding arrays, and no name is looked at twice.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
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

PORTION = 2**25
"""Bytes of files that are read at once."""

FACTS = ("js_flat", "bias", "truth_sd")
"""What is read of a gene beside its metrics, in the order of the last axis of `Pooled.facts`."""

_READ = (*(metric.name for metric in METRICS), *FACTS)
_M = len(METRICS)


@dataclass(frozen=True, eq=False)
class Pooled:
    """What V rows score on the G genes that all of them have, sorted by name.

    averaged: (V, G, M) over seeds. facts: (V, G, 3) likewise, in single precision. part_means: (F, S, V, M) over the
    genes of each fold, NaN for a fold without. seed_means: (S, V, M) over all genes. constant: genes that no row could
    score (constant truth). partial: genes that only some rows have; left out for all.
    """

    names: pa.StringArray
    averaged: Floats
    facts: NDArray[np.float32]
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
    rows = _tallies(paths, needed, panel, (folds, seeds))
    pa.default_memory_pool().release_unused()  # what was read for this block is not kept for the next
    has = np.array([row.scored(len(panel)) for row in rows], dtype=bool).reshape(len(rows), len(panel))
    having = has.sum(axis=0)
    every, none, partial = having == len(rows), having == 0, (having > 0) & (having < len(rows))
    if partial.any():  # their values are in the sums of folds, and have to come out again
        rows = _tallies(paths, needed, panel, (folds, seeds), left_out=partial)
    order = pc.sort_indices(panel.names).to_numpy()
    order = order[every[order]]
    averaged = np.empty((len(rows), len(order), _M))
    facts = np.empty((len(rows), len(order), len(FACTS)), dtype=np.float32)
    for v, row in enumerate(rows):
        row.average(order, averaged[v], facts[v])
    sums = np.array([row.sums for row in rows]).reshape(len(rows), folds, seeds, _M + 1)
    sums = np.moveaxis(sums, 0, 2)  # (F, S, V, M + 1), last how many genes
    with np.errstate(invalid="ignore"):  # 0 / 0: a fold without a scored gene
        part_means = sums[..., :_M] / sums[..., _M:]
        seed_means = sums[..., :_M].sum(axis=0) / sums[..., _M:].sum(axis=0)
    names = panel.names.take(pa.array(order))
    return Pooled(names, averaged, facts, part_means, seed_means, int(none.sum()), int(partial.sum()))


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
        met = pc.index_in(self.names, genes)  # where among these each known gene is; so round the smaller set is hashed
        found = np.full(len(genes), -1)
        found[met.drop_null().to_numpy()] = np.flatnonzero(met.is_valid())
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
    totals: Floats
    counts: Floats

    def add(self, at: slice | NDArray[np.intp], values: Sequence[Floats], size: int, kept: NDArray[np.bool_]) -> Floats:
        """Add a trial's 7 values (g,) for genes at these of `size` places; returns (M + 1,) sums over kept genes."""
        room = self.totals.shape[1]
        if size > room:
            room = max(size, len(values[0]) * len(self.sums)) - room  # as if every fold were as large
            self.totals, self.counts = (np.pad(array, ((0, 0), (0, room))) for array in (self.totals, self.counts))
        finite = np.logical_and.reduce([np.isfinite(column) for column in values[:_M]])
        for total, column in zip(self.totals, values, strict=True):
            total[at] += column
        self.counts[0, at] += 1
        self.counts[1, at] += finite
        used = finite & kept[at]
        whole = bool(used.all())  # almost always; then nothing is copied
        return np.array([*((column if whole else column[used]).sum() for column in values[:_M]), used.sum()])

    def scored(self, size: int) -> NDArray[np.bool_]:
        """(size,) whether the row has every metric of a gene for every seed."""
        entries, scored = np.pad(self.counts, ((0, 0), (0, max(0, size - self.counts.shape[1]))))[:, :size]
        return (scored == entries) & (entries >= self.own)

    def average(self, places: NDArray[np.intp], metrics: Floats, facts: NDArray[np.float32]) -> None:
        """Fill in the averages over seeds, (g, M) and (g, 3), of the genes at these places."""
        entries = self.counts[0, places]
        for i, total in enumerate(self.totals):
            into = metrics[:, i] if i < _M else facts[:, i - _M]
            into[:] = total[places] / entries


def _tallies(
    paths: Mapping[str, Path],
    needed: Sequence[Answers],
    panel: Panel,
    shape: tuple[int, int],
    left_out: NDArray[np.bool_] | None = None,
) -> list[Tally]:
    """Each row's tally over (F, S) folds and seeds; genes left out stay out of the sums over genes."""
    serves: dict[str, dict[int, list[tuple[int, int]]]] = {}  # trial -> row -> its (fold, seed)s
    for v, answers in enumerate(needed):
        for place, trial in sorted(answers.items(), key=lambda each: each[0][::-1]):
            serves.setdefault(trial, {}).setdefault(v, []).append(place)
    size = len(panel)
    own = [len({rows[v][0][1] for rows in serves.values() if v in rows}) for v in range(len(needed))]
    tallies = [Tally(n, np.zeros((*shape, _M + 1)), np.zeros((len(_READ), size)), np.zeros((2, size))) for n in own]
    for trial, genes, values in _trials({trial: paths[trial] for trial in serves}):
        for v, places in serves[trial].items():
            at = panel.find(genes, places[0][0])
            kept = np.ones(len(panel), dtype=bool) if left_out is None else ~left_out
            sums = tallies[v].add(at, values, len(panel), kept)
            for fold, seed in places:
                tallies[v].sums[fold, seed] += sums
    return tallies


def _trials(paths: Mapping[str, Path]) -> Iterator[tuple[str, pa.StringArray, list[Floats]]]:
    """Trial id, genes (g,) and the 7 values (g,) of each of these trials, file by file."""
    if not paths:
        return
    portions: list[list[str]] = [[]]
    size = 0
    for path in dict.fromkeys(paths.values()):
        size += path.stat().st_size
        if size > PORTION and portions[-1]:
            portions.append([])
            size = path.stat().st_size
        portions[-1].append(_literal(str(path)))
    with duckdb.connect() as connection, ThreadPoolExecutor(1) as ahead:
        hashes = "SELECT id, hash(id) FROM (SELECT unnest($ids) AS id)"
        known = {number: trial for trial, number in connection.execute(hashes, {"ids": list(paths)}).fetchall()}
        reading = [ahead.submit(_columns, connection, portions[0])]
        for portion in [*portions[1:], None]:
            numbers, genes, columns = reading.pop().result()
            if portion is not None:
                reading.append(ahead.submit(_columns, connection, portion))
            starts = np.flatnonzero(numbers[1:] != numbers[:-1]) + 1
            for start, stop in itertools.pairwise([0, *starts.tolist(), len(numbers)]):
                if start < stop and (trial := known.get(int(numbers[start]))) is not None:  # files may hold others, too
                    yield trial, genes.slice(start, stop - start), [column[start:stop] for column in columns]


def _columns(
    connection: duckdb.DuckDBPyConnection, files: Sequence[str]
) -> tuple[NDArray[np.uint64], pa.StringArray, list[Floats]]:
    """Hash of the trial id, gene, and the 7 values of every entry of these files, in their order."""
    # Ids are compared by their hashes: a number per row is read in half the time of a word.
    query = f"SELECT hash(trial_id) AS trial, gene, {', '.join(_READ)} FROM read_parquet($files)"
    table = connection.sql(query, params={"files": files}).to_arrow_table()
    columns = [table[name].to_numpy() for name in _READ]
    return table["trial"].to_numpy(), table["gene"].combine_chunks(), columns


def _literal(path: str) -> str:
    # DuckDB takes a path as a pattern; a folder named "run[1]" must mean itself.
    return "".join(f"[{c}]" if c in "*?[" else c for c in path)
