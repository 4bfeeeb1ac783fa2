"""Tables: the counts of one half of a pair, and predictions made elsewhere.

A table of counts or predictions has cells or spots in rows and genes in columns, row names in its first column. It has
genes in rows where its first header cell says so: gene, genes, gene_name or symbol. Nothing is guessed from the names;
`check_orientation` compares what was declared with the other half of the pair.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from harness.errors import BadInput

from ._delimited import SUFFIXES, blocks, delimited, is_delimited, unique
from .h5ad import Axes, Fields, read_x
from .uri import file_name, located, opened, shown

GENE_WORDS = ("gene", "genes", "gene_name", "symbol")
"""First header cells that declare genes in rows, whatever their case."""
ROW_COLUMN = "spot"
"""The column of a Parquet file that holds the names of its rows, where its index does not."""

AS_USUAL = Axes("row names", "column names", turn="name its first header cell 'gene' to declare genes in rows")


@dataclass(frozen=True, eq=False)
class Table:
    """A table of predictions, whole and finite.

    rows: n unique names of spots; "0", "1", ... where a Parquet file names none. columns: g unique names of genes.
    values: (n, g) float64, of any sign.
    """

    rows: tuple[str, ...]
    columns: tuple[str, ...]
    values: NDArray[np.float64]


def read_counts(path: Path) -> Fields:
    """The values (n, g) float32 of one half of a pair in a delimited table, read in blocks of rows.

    Raises `BadInput` naming the file, and the row and column where there is one: for a missing or repeated name, a row
    that is longer or shorter, a cell that is empty or no number.
    """
    with delimited(path) as lines:
        names: list[str] = []
        parts = []
        unique(path, lines.header[1:], "column")
        for rows, values in blocks(lines):
            names += rows
            with np.errstate(over="ignore"):  # what is too large becomes infinite, and that is refused by name
                parts.append(sp.csr_matrix(values.astype(np.float32)))
        _check_rows(path, names)
        matrix = sp.vstack(parts, format="csr")
        columns, word = lines.header[1:], lines.header[0].strip()
    if word.lower() not in GENE_WORDS:
        return Fields(columns, tuple(names), matrix, axes=AS_USUAL)
    declared = Axes(
        "column names",
        "row names",
        f"genes in rows, as the first header cell {word!r} declares",
        "name that cell 'cell' or 'spot' if its rows are those",
    )
    return Fields(tuple(names), columns, matrix.T.tocsr(), axes=declared)


def read_table(path: Path | str, rows: Literal["spots", "genes"] | None = None) -> Table:
    """Predictions from .csv, .tsv, .txt (each also .gz), .parquet or .h5ad (its X), a path or a URI.

    rows: what the rows of the file are; None: spots, unless the first header cell (in Parquet the name of the column
    or index of row names) is one of `GENE_WORDS`. The result has spots in rows in any case.
    Raises `BadInput` naming the file for what `read_counts` refuses, and for a value that is not finite.
    """
    place = located(path)
    name = file_name(place).lower()
    if is_delimited(name):
        table, word = _delimited_table(place)
    elif name.endswith(".parquet"):
        table, word = _parquet_table(place)
    elif name.endswith(".h5ad"):
        fields = read_x(place)
        table, word = Table(fields.names, fields.genes, fields.values.toarray()), ""
    else:
        raise BadInput(
            f"{shown(place)} is no table that is known; expected {', '.join(SUFFIXES[:3])} (or these with .gz), "
            ".parquet or .h5ad, so write it as one of them."
        )
    return _checked(place, table, rows == "genes" or (rows is None and word.strip().lower() in GENE_WORDS))


def _checked(place: Path, table: Table, turned: bool) -> Table:
    _check_rows(place, table.rows)
    unique(place, table.columns, "column")
    if 0 in table.values.shape:
        raise BadInput(f"{shown(place)} is empty {table.values.shape}; expected at least one spot and one gene.")
    if not np.isfinite(table.values).all():
        row, column = np.argwhere(~np.isfinite(table.values))[0]
        raise BadInput(
            f"{shown(place)} has {table.values[row, column]:g} in row {table.rows[row]!r}, column "
            f"{table.columns[column]!r}; expected a finite number in every cell, so leave out what was not predicted."
        )
    if not turned:
        return table
    return Table(table.columns, table.rows, np.ascontiguousarray(table.values.T))


def _check_rows(path: Path, names: Sequence[str]) -> None:
    if not names:
        raise BadInput(f"{shown(path)} has a header and no rows; expected a row per cell, spot or gene.")
    unique(path, names, "row")


def _delimited_table(path: Path) -> tuple[Table, str]:
    with delimited(path) as lines:
        read = list(blocks(lines))
        names = tuple(name for part, _ in read for name in part)
        _check_rows(path, names)
        return Table(names, lines.header[1:], np.concatenate([values for _, values in read])), lines.header[0]


def _parquet_table(path: Path) -> tuple[Table, str]:
    """A column per gene; row names from the column `spot` (or one of `GENE_WORDS`) or from the pandas index."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with opened(path, "Parquet table") as file:
            return _columns(path, pq.read_table(file))
    except BadInput:
        raise
    except (pa.ArrowException, OSError, ValueError, LookupError, TypeError, AttributeError, MemoryError) as error:
        reason = " ".join(str(error).split())[:120].rstrip(". ")
        raise BadInput(
            f"{shown(path)} is damaged or no Parquet file ({reason}); expected a whole one, so write it again."
        ) from None


def _columns(path: Path, content: Any) -> tuple[Table, str]:
    import pyarrow as pa

    unique(path, content.column_names, "column")
    word = _row_column(content)
    names = tuple(str(i) for i in range(content.num_rows))
    if word is not None:
        names = tuple("" if name is None else str(name) for name in content.column(word).to_pylist())
        content = content.drop_columns([word])
    columns = []
    for gene in content.column_names:
        column = content.column(gene)
        if not (pa.types.is_floating(column.type) or pa.types.is_integer(column.type)):
            raise BadInput(
                f"{shown(path)} has the column {gene!r} of type {column.type}; expected a number per spot for every "
                f"gene, so drop it (or name it {ROW_COLUMN!r} if it holds the names of spots)."
            )
        columns.append(column.to_numpy().astype(np.float64))
    values = np.column_stack(columns) if columns else np.empty((content.num_rows, 0))
    return Table(names, tuple(content.column_names), values), word or ""


def _row_column(content: Any) -> str | None:
    """The column that names the rows: one so called, else the index that pandas wrote; None where there is neither."""
    named = next((c for c in content.column_names if c.lower() in (ROW_COLUMN, *GENE_WORDS)), None)
    if named is not None:
        return str(named)
    indices = (content.schema.pandas_metadata or {}).get("index_columns", [])
    return next((i for i in indices if isinstance(i, str) and i in content.column_names), None)
