"""One half of a pair, whatever the form of its file, with the places or cell types that may lie beside it."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from harness.errors import BadInput

from ._delimited import GONE, SUFFIXES, Lines, delimited, is_delimited, number, unique
from .h5ad import Fields, read_fields
from .tables import read_counts
from .tenx import read_tenx
from .uri import file_name, is_file, over_http, shown

FORMS = (".h5ad", ".h5", *SUFFIXES)
"""Suffixes of the files that can be a half."""


def read_half(path: Path, half: str, columns: Sequence[str]) -> Fields:
    """What is read of one half; half: "sc" or "st". The suffix says which form it has; any other is read as AnnData.

    columns: the obs columns of which an AnnData file gives the first that exists. Cell types (sc) or coordinates (st)
    that the file does not hold come from `cell_types` or `spatial` (.csv or .tsv) in the pair's folder.
    Raises `BadInput` naming the file for what cannot be used, and where both hold them.
    """
    name = file_name(path).lower()
    if is_delimited(name):
        fields = read_counts(path)
    elif name.endswith(".h5"):
        fields = read_tenx(path)
    else:
        fields = read_fields(path, columns, spatial=half == "st")
    beside = _beside(path, half, "cell_types" if half == "sc" else "spatial")
    if beside is None:
        return fields
    slot, held = ("obs['cell_type']", fields.column) if half == "sc" else ("obsm['spatial']", fields.coordinates)
    if held is not None:
        raise BadInput(
            f"{shown(path)} has {slot} and {shown(beside)} lies beside it; expected one of the two, so remove that "
            "file or that slot."
        )
    if half == "sc":
        return dataclasses.replace(fields, column=_types(beside, fields.names), hint="")
    return dataclasses.replace(fields, coordinates=_places(beside, fields.names), hint="")


def _beside(path: Path, half: str, stem: str) -> Path | None:
    """`stem`.csv or .tsv in the pair's folder; None where there is none. half: "sc" or "st".

    Raises `BadInput` for several. A web address lies in no folder, so nothing lies beside it.
    """
    if over_http(path):
        return None
    # In the paper's layout, NAME/st/NAME_st.csv, the pair's folder is the one above.
    nested = path.parent.name == half and path.name.startswith(f"{path.parent.parent.name}_{half}.")
    folders = (path.parent, path.parent.parent) if nested else (path.parent,)
    candidates = [folder / f"{stem}{suffix}" for folder in folders for suffix in (".csv", ".tsv")]
    found = [file for file in candidates if is_file(file)]
    if len(found) > 1:
        raise BadInput(f"{shown(found[0])} and {shown(found[1])} are both there; expected one, so remove the other.")
    return found[0] if found else None


def _places(path: Path, spots: Sequence[str]) -> NDArray[np.float64]:
    """(n, 2 or 3) the columns x, y and, if there, z of the named spots, matched by the first column."""
    with delimited(path) as lines:
        axes = [axis for axis in ("x", "y", "z") if _place(lines, axis) is not None]
        if axes[:2] != ["x", "y"]:
            raise BadInput(
                f"{shown(path)} has the header {', '.join(lines.header[:5])}; expected the name of the spot, x, y and "
                "perhaps z, so put such a header first."
            )
        given = _matched(lines, spots, axes)
    return np.array([[number(path, cell, spot, axis) for cell, axis in zip(row, axes, strict=True)]
                     for spot, row in zip(spots, given, strict=True)])  # fmt: skip


def _types(path: Path, cells: Sequence[str]) -> list[str | None]:
    """(n,) the column cell_type of the named cells, matched by the first column."""
    with delimited(path) as lines:
        if _place(lines, "cell_type") is None:
            raise BadInput(
                f"{shown(path)} has the header {', '.join(lines.header[:5])}; expected the name of the cell and "
                "cell_type, so put such a header first."
            )
        given = [row[0] for row in _matched(lines, cells, ["cell_type"])]
    gone = next((cell for cell, label in zip(cells, given, strict=True) if label.strip().lower() in GONE), None)
    if gone is not None:
        raise BadInput(
            f"{shown(path)} has no cell_type for {gone!r}; expected a label for every cell, so name it (for example "
            "'unknown')."
        )
    return [*given]


def _place(lines: Lines, column: str) -> int | None:
    """Where a column is, after the first, whatever its case."""
    return next((i for i, name in enumerate(lines.header) if i > 0 and name.strip().lower() == column), None)


def _matched(lines: Lines, names: Sequence[str], columns: Sequence[str]) -> list[list[str]]:
    """The cells of those columns for every name; rows of other names are left out."""
    rows = [row for _, row in lines.rows()]
    unique(lines.path, [row[0] for row in rows], "row")
    by_name = {row[0]: row for row in rows}
    missing = next((name for name in names if name not in by_name), None)
    if missing is not None:
        raise BadInput(
            f"{shown(lines.path)} has no row for {missing!r}; expected one for each of the {len(names)} names of the "
            "matrix, so add it, spelt the same."
        )
    places = [_place(lines, column) for column in columns]
    return [[by_name[name][place] for place in places if place is not None] for name in names]
