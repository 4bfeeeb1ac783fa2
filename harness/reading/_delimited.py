"""Delimited text, line by line. What a CSV reader would guess, rename, fill or cut is refused here by line and name.

The form is declared by the file's suffix: commas in `.csv`, tabs in `.tsv` and `.txt`, each also gzipped (`.gz`).
"""

from __future__ import annotations

import csv
import gzip
import io
import re
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.errors import BadInput

from .uri import file_name, opened, shown

SUFFIXES = (".csv", ".tsv", ".txt", ".csv.gz", ".tsv.gz", ".txt.gz")
BLOCK = 2**22  # values held as text and as float64 at once
GONE = frozenset({"", "na", "n/a", "nan", "null", "none", "<na>", "#n/a"})
"""What programs write where they have no value, in lower case."""

_MARKS = {",": "commas", "\t": "tabs", ";": "semicolons"}
_INTEGERS = b"0123456789+- \n"
_DECIMALS = b".eE"
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)


@dataclass(frozen=True)
class Lines:
    """An open delimited file after its header. `header` has a name for every column, the first included."""

    path: Path
    header: tuple[str, ...]
    mark: str
    rest: Iterator[tuple[int, str]]

    def rows(self) -> Iterator[tuple[int, list[str]]]:
        """Every further row with its line number; `BadInput` for one that is longer or shorter than the header."""
        for number, line in self.rest:
            fields = self.fields(number, line)
            if len(fields) != len(self.header):
                raise self.ragged(number, len(fields))
            yield number, fields

    def fields(self, number: int, line: str) -> list[str]:
        """The cells of one line."""
        if '"' not in line:
            return line.split(self.mark)
        try:
            return next(csv.reader([line], delimiter=self.mark, strict=True))
        except csv.Error:
            raise BadInput(
                f"{shown(self.path)} has an open quotation mark in line {number}; expected every row on one line, "
                "with its quotes closed, so correct that line."
            ) from None

    def ragged(self, number: int, width: int) -> BadInput:
        """The refusal of a row that does not fit the header."""
        if number == 2 and width == len(self.header) + 1:  # as R's write.table writes it
            remedy = "put a name for the column of row names in front of the header"
        else:
            remedy = f"correct line {number}"
        return BadInput(
            f"{shown(self.path)} has {width} cells in line {number} and {len(self.header)} in its header; "
            f"expected as many in every line, so {remedy}."
        )


def is_delimited(name: str) -> bool:
    """Whether a file name has one of the suffixes."""
    return name.lower().endswith(SUFFIXES)


@contextmanager
def delimited(path: Path) -> Iterator[Lines]:
    """The lines of a delimited file, after its header.

    Raises `BadInput` where it is missing or empty, is not UTF-8, is damaged, or has another delimiter than its suffix
    says, also while its lines are read.
    """
    try:
        with opened(path, "table (.csv, .tsv or .txt)") as file:
            raw: Any = gzip.GzipFile(fileobj=file) if file_name(path).lower().endswith(".gz") else file
            with io.TextIOWrapper(raw, encoding="utf-8-sig") as text:
                yield _begun(path, _lines(path, text))
    except UnicodeDecodeError:
        raise BadInput(f"{shown(path)} is not UTF-8 text; expected a plain table, so save it as UTF-8.") from None
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise BadInput(
            f"{shown(path)} is damaged or cut short ({error}); expected a whole gzip file, so copy or write it again."
        ) from None


def _begun(path: Path, rest: Iterator[tuple[int, str]]) -> Lines:
    place, first = next(rest, (0, ""))
    if place == 0:
        raise BadInput(f"{shown(path)} is empty; expected a header and a row per line, so write it again.")
    mark = "," if ".csv" in file_name(path).lower()[-7:] else "\t"
    header = Lines(path, (), mark, rest).fields(place, first)
    return Lines(path, tuple(_header(path, mark, header)), mark, rest)


def _lines(path: Path, text: Any) -> Iterator[tuple[int, str]]:
    """Every line that is not blank, without its end, whichever that is, and its number from 1."""
    for number, line in enumerate(text, start=1):
        if "\0" in line:
            raise BadInput(f"{shown(path)} is not text (line {number}); expected a plain table, so write it again.")
        if content := line.rstrip("\n"):
            yield number, content


def _header(path: Path, mark: str, header: list[str]) -> list[str]:
    if len(header) > 1:
        return header
    other = next((m for m in _MARKS if m != mark and m in header[0]), None)
    if other is None:
        raise BadInput(
            f"{shown(path)} has one column; expected row names and then a column of values or more, "
            f"separated by {_MARKS[mark]}."
        )
    suffix = {",": "name it .csv or ", "\t": "name it .tsv or ", ";": ""}[other]
    raise BadInput(
        f"{shown(path)} has {_MARKS[other]} in its header; expected {_MARKS[mark]}, as its suffix says, so "
        f"{suffix}write it again with {_MARKS[mark]}."
    )


def unique(path: Path, names: Sequence[str], what: str) -> None:
    """Raise `BadInput` for a name that is empty or there twice. what: "row" or "column"."""
    seen: set[str] = set()
    for place, name in enumerate(names, start=1):
        if not name.strip():
            raise BadInput(f"{shown(path)} has no name for {what} {place}; expected one for each, so name it.")
        if name in seen:
            raise BadInput(
                f"{shown(path)} has the {what} {name!r} {list(names).count(name)} times; expected unique names, so add "
                f"up, rename or drop the repeated {what}s."
            )
        seen.add(name)


def blocks(lines: Lines) -> Iterator[tuple[list[str], NDArray[np.float64]]]:
    """Row names and values (rows, columns) of blocks of rows, every decimal rounded correctly, never a missing value.

    Raises `BadInput` for a cell that is empty or no number, naming row and column.
    """
    width = len(lines.header) - 1
    size = max(1, BLOCK // width)
    names: list[str] = []
    cells: list[str] = []
    for place, line in lines.rest:
        name, row = _split(lines, place, line, width)
        names.append(name)
        cells.append(row)
        if len(names) == size:
            yield names, _numbers(lines, names, cells)
            names, cells = [], []
    if names:
        yield names, _numbers(lines, names, cells)


def _split(lines: Lines, place: int, line: str, width: int) -> tuple[str, str]:
    """The name of a row, and its values as text with the mark between them."""
    if '"' not in line:
        name, _, rest = line.partition(lines.mark)
        cells = line.count(lines.mark) + 1
        if cells != width + 1:
            raise lines.ragged(place, cells)
        return name, rest
    name, *values = lines.fields(place, line)
    if len(values) != width:
        raise lines.ragged(place, len(values) + 1)
    for value, column in zip(values, lines.header[1:], strict=True):
        if lines.mark in value.strip():  # a quoted decimal comma must not become two cells
            number(lines.path, value, name, column)
    return name, lines.mark.join(value.strip() for value in values)


def _numbers(lines: Lines, names: list[str], rows: list[str]) -> NDArray[np.float64]:
    import pandas as pd

    shape = (len(names), len(lines.header) - 1)
    text = "\n".join(rows)
    left = text.encode("utf-8", "replace").translate(None, _INTEGERS + lines.mark.encode())
    # Letters are looked at one by one: pandas takes a column of True and False for 1 and 0. Its own parser of decimals
    # is fast but not exact, and a large exponent crashes it; integers are exact.
    if not left.translate(None, _DECIMALS) and all(rows):
        how: Any = {"dtype": np.int64} if not left else {"dtype": np.float64, "float_precision": "round_trip"}
        with suppress(ValueError, OverflowError):  # said below, with the cell's name
            read = pd.read_csv(
                io.StringIO(text), sep=lines.mark, header=None, na_filter=False, quoting=csv.QUOTE_NONE,
                low_memory=False, **how,
            ).to_numpy()  # fmt: skip
            if read.shape == shape:
                return read.astype(np.float64)
    values = np.empty(shape)
    for i, row in enumerate(rows):
        for j, cell in enumerate(row.split(lines.mark)):
            values[i, j] = number(lines.path, cell, names[i], lines.header[j + 1])
    return values


def number(path: Path, cell: str, row: str, column: str) -> float:
    """The number of a cell, infinite if too large; `BadInput` naming row and column where it is missing or none."""
    if _NUMBER.fullmatch(cell.strip()):
        return float(cell)
    where = f"in row {row!r}, column {column!r}"
    if cell.strip().lower() in GONE:
        raise BadInput(
            f"{shown(path)} has no value {where}; expected a number in every cell, so fill or drop what is missing."
        )
    raise BadInput(f"{shown(path)} has {cell[:40]!r} {where}; expected a finite number, so correct it.")
