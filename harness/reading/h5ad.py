"""Reading AnnData files: the allowed fields, each by its own name, and nothing else of the file.

What is not asked for is not even read, so nothing that was computed from held-out genes can come along. Where something
is missing, `elsewhere` looks for its other names, for the sentence that says so and for nothing else. The format is
read with h5py alone: that takes milliseconds where importing anndata takes seconds, in every worker.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import DTypeLike, NDArray

from harness.errors import BadInput

from . import elsewhere, hdf5
from .elsewhere import integers
from .hdf5 import attribute, damage, is_dataset, read, texts
from .uri import shown

DECLARED_KIND = "spadit_values"
"""Key in `uns` that says what the values are ("counts", "intensities", "lognorm") where detection would be wrong."""
DECLARED_SYNTHETIC = "spadit_synthetic"
"""Key in `uns` of the SC file that marks invented data; shown wherever the dataset is shown."""

ANNDATA = hdf5.Form("AnnData .h5ad", "write it with AnnData.write_h5ad")


@dataclass(frozen=True)
class Axes:
    """How a format calls its two axes, and what a transposed file of it needs, for messages about orientation.

    expected: what lies where. turn: what to do with a file that has it the other way round.
    """

    rows: str = "obs_names"
    genes: str = "var_names"
    expected: str = "cells or spots in rows and genes in columns"
    turn: str = "write its transpose (AnnData.T)"


@dataclass(frozen=True, eq=False)
class Fields:
    """What was read of one file, not yet validated.

    genes: var_names. names: obs_names. values: (n, g). kind: as declared in `uns`, or None.
    column: (n,) the first of the asked obs columns that exists, missing values as None; None where there is none.
    coordinates: obsm["spatial"] or None. synthetic: the note of invented data, else "".
    placed: whether the file has places of its rows, read or not.
    counts_in: where the file keeps integers, if the values read have fractions and nothing says what they are; else "".
    hint: where what is missing, places or cell types, may be meant by another name; else "".
    """

    genes: tuple[str, ...]
    names: tuple[str, ...]
    values: sp.csr_matrix
    kind: str | None = None
    column: list[str | None] | None = None
    coordinates: NDArray[np.float64] | None = None
    synthetic: str = ""
    axes: Axes = Axes()
    placed: bool = False
    counts_in: str = ""
    hint: str = ""


def read_fields(path: Path, columns: Sequence[str], spatial: bool, raw: bool = False) -> Fields:
    """Read the names, the matrix, the first existing obs column of `columns` and, if `spatial`, the coordinates.

    The matrix is layers["counts"] if present, else X; with `raw` it is that of `raw`, with the genes of `raw`.
    Raises `BadInput` naming the file where it is missing, is no AnnData file, or is damaged.
    """
    with _opened(path) as file:
        return _fields(path, file, columns, spatial, raw)


def naming(path: Path, genes: Collection[str]) -> str | None:
    """The column of var with the most of those genes, where the file is AnnData and a column has any."""
    with _opened(path) as file, damage(path, "var", ANNDATA):
        return elsewhere.naming(file, genes)


def read_x(path: Path, dtype: DTypeLike = np.float64) -> Fields:
    """Read the names and X, whatever else the file holds. Raises `BadInput` as `read_fields` does."""
    with _opened(path) as file:
        if "X" not in file:
            raise BadInput(f"{shown(path)} holds no X; expected the values there, so set AnnData.X.")
        with damage(path, "names", ANNDATA):
            genes, names = _index(file["var"]), _index(file["obs"])
        with damage(path, "X", ANNDATA):
            return Fields(genes, names, _fitting(_matrix(file["X"], dtype), names, genes))


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    with hdf5.file(path, ANNDATA) as file:
        if "obs" not in file or "var" not in file:
            raise BadInput(
                f"{shown(path)} is an HDF5 file without obs and var; expected an AnnData .h5ad, "
                "so write it with AnnData.write_h5ad."
            )
        yield file


def _fields(path: Path, file: Any, columns: Sequence[str], spatial: bool, raw: bool) -> Fields:
    before = "raw." if "raw.X" in file else "raw/"  # the former in files before 0.7
    with damage(path, "var_names", ANNDATA):
        genes = _index(file[f"{before}var" if raw else "var"])
    with damage(path, "obs_names", ANNDATA):
        names = _index(file["obs"])
    where = next((key for key in ((f"{before}X",) if raw else ("layers/counts", "X")) if key in file), None)
    if where is None:
        raise BadInput(
            f"{shown(path)} holds no {'raw' if raw else 'X'} and no layers['counts']; put the raw counts there."
        )
    with damage(path, where, ANNDATA):
        values = _fitting(_matrix(file[where], np.float32), names, genes)
    with damage(path, "obs", ANNDATA):
        labels = _column(file, columns)
        if labels is not None and len(labels) != len(names):
            raise ValueError(f"a column has {len(labels)} values for {len(names)} names")
    with damage(path, "uns", ANNDATA):
        kind, synthetic = _text(file, DECLARED_KIND), _text(file, DECLARED_SYNTHETIC)
    coordinates = None
    if spatial and "obsm/spatial" in file:
        with damage(path, "obsm['spatial']", ANNDATA):
            coordinates = _coordinates(file["obsm/spatial"])
    with damage(path, "its other fields", ANNDATA):
        counts_in = "" if kind or raw or integers(values.data) else elsewhere.counts(file, where)
        hint = elsewhere.places(file) if spatial else elsewhere.cell_types(file)
    return Fields(
        genes,
        names,
        values,
        kind or None,
        labels,
        coordinates,
        synthetic,
        placed="obsm/spatial" in file,
        counts_in=counts_in,
        hint=hint if (coordinates if spatial else labels) is None else "",
    )


def _index(frame: Any) -> tuple[str, ...]:
    """Names of the rows of a data frame: the column its attributes name, or the first field of a file before 0.7."""
    if is_dataset(frame):
        fields = frame.dtype.names
        return tuple(str(name) for name in texts(read(frame)["index" if "index" in fields else fields[0]]))
    return tuple(str(name) for name in _series(frame[attribute(frame, "_index")]))


def _column(file: Any, columns: Sequence[str]) -> list[str | None] | None:
    obs = file["obs"]
    name = next((c for c in columns if c in (obs.dtype.names if is_dataset(obs) else obs)), None)
    if name is None:
        return None
    if not is_dataset(obs):
        return _series(obs[name])
    values = read(obs)[name]
    if f"uns/{name}_categories" in file:  # files before 0.7 keep the names of categories in uns
        return _categories(values, file[f"uns/{name}_categories"])
    return texts(values)


def _series(element: Any) -> list[str | None]:
    """A column as text, whatever its encoding; missing values are None."""
    if is_dataset(element):
        if "categories" in element.attrs:  # files of 0.7: a reference to the categories
            return _categories(read(element), element.file[element.attrs["categories"]])
        return texts(read(element))
    if "codes" in element:
        return _categories(read(element["codes"]), element["categories"])
    if "mask" in element:
        pairs = zip(texts(read(element["values"])), read(element["mask"]), strict=True)
        return [None if gone else value for value, gone in pairs]
    raise ValueError(f"the encoding {attribute(element, 'encoding-type')!r} of a column is not known")


def _categories(codes: Any, categories: Any) -> list[str | None]:
    names = [*_series(categories), None]  # code -1, missing, is the last
    return [names[code] for code in np.asarray(codes).astype(int)]


def _text(file: Any, key: str) -> str:
    """A short text in uns; "" where there is none."""
    value = read(file[f"uns/{key}"]) if f"uns/{key}" in file else ""
    return value.decode() if isinstance(value, bytes) else str(value)


def _coordinates(element: Any) -> NDArray[np.float64]:
    if is_dataset(element):
        return np.asarray(read(element), dtype=np.float64)
    order = [str(column) for column in attribute(element, "column-order")]  # a data frame
    return np.column_stack([np.asarray(read(element[column]), dtype=np.float64) for column in order])


def _matrix(element: Any, dtype: DTypeLike) -> sp.csr_matrix:
    """(n, g) of a CSR, CSC or dense matrix."""
    if is_dataset(element):
        return hdf5.dense(element, dtype)
    encoding = attribute(element, "encoding-type" if "encoding-type" in element.attrs else "h5sparse_format")
    shape = attribute(element, "shape" if "shape" in element.attrs else "h5sparse_shape")
    form = {"csr": sp.csr_matrix, "csc": sp.csc_matrix}.get(str(encoding).removesuffix("_matrix"))
    if form is None:
        raise ValueError(f"the encoding {encoding!r} of a matrix is not known")
    return hdf5.compressed(element, form, shape, dtype)


def _fitting(values: sp.csr_matrix, names: Sequence[str], genes: Sequence[str]) -> sp.csr_matrix:
    if values.shape != (len(names), len(genes)):
        raise ValueError(f"its shape is {values.shape}, the names are {len(names)} x {len(genes)}")
    return values
