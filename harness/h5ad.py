"""Reading AnnData files: the allowed fields, each by its own name, and nothing else of the file.

What is not asked for is not even read, so nothing that was computed from held-out genes can come along. The format is
read with h5py alone: that takes milliseconds where importing anndata takes seconds, in every worker.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from .errors import BadInput

DECLARED_KIND = "spadit_values"
"""Key in `uns` that says what the values are ("counts", "intensities", "lognorm") where detection would be wrong."""
DECLARED_SYNTHETIC = "spadit_synthetic"
"""Key in `uns` of the SC file that marks invented data; shown wherever the dataset is shown."""

BLOCK = 2**24  # values of a dense matrix held at once: 64 MiB as float32

# What h5py, numpy and scipy raise while reading a damaged file; MemoryError stands for a damaged size.
_DAMAGE = (OSError, LookupError, ValueError, TypeError, RuntimeError, AttributeError, ArithmeticError, MemoryError)


@dataclass(frozen=True, eq=False)
class Fields:
    """What was read of one file, not yet validated.

    genes: var_names. names: obs_names. values: (n, g). kind: as declared in `uns`, or None.
    column: (n,) the first of the asked obs columns that exists, missing values as None; None where there is none.
    coordinates: obsm["spatial"] or None. synthetic: the note of invented data, else "".
    """

    genes: tuple[str, ...]
    names: tuple[str, ...]
    values: sp.csr_matrix
    kind: str | None
    column: list[str | None] | None
    coordinates: NDArray[np.float64] | None
    synthetic: str


def read_fields(path: Path, columns: Sequence[str], spatial: bool, raw: bool = False) -> Fields:
    """Read the names, the matrix, the first existing obs column of `columns` and, if `spatial`, the coordinates.

    The matrix is layers["counts"] if present, else X; with `raw` it is that of `raw`, with the genes of `raw`.
    Raises `BadInput` naming the file where it is missing, is no AnnData file, or is damaged.
    """
    if path.is_dir():
        raise BadInput(f"{path} is a folder; expected one AnnData .h5ad file, so give the path of the file itself.")
    if not path.exists():
        raise BadInput(f"{path} does not exist; expected an AnnData .h5ad file, so check the path.")
    import h5py

    with _damage(path, "the file"):
        path.open("rb").close()  # says permission where HDF5 would only say no
        if not h5py.is_hdf5(path):
            raise BadInput(f"{path} is no HDF5 file; expected an AnnData .h5ad, so write it with AnnData.write_h5ad.")
        with h5py.File(path, "r", locking=False) as file:
            if "obs" not in file or "var" not in file:
                raise BadInput(
                    f"{path} is an HDF5 file without obs and var; expected an AnnData .h5ad, "
                    "so write it with AnnData.write_h5ad."
                )
            return _fields(path, file, columns, spatial, raw)


def _fields(path: Path, file: Any, columns: Sequence[str], spatial: bool, raw: bool) -> Fields:
    before = "raw." if "raw.X" in file else "raw/"  # the former in files before 0.7
    with _damage(path, "var_names"):
        genes = _index(file[f"{before}var" if raw else "var"])
    with _damage(path, "obs_names"):
        names = _index(file["obs"])
    where = next((key for key in ((f"{before}X",) if raw else ("layers/counts", "X")) if key in file), None)
    if where is None:
        raise BadInput(f"{path} holds no {'raw' if raw else 'X'} and no layers['counts']; put the raw counts there.")
    with _damage(path, where):
        values = _matrix(file[where])
        if values.shape != (len(names), len(genes)):
            raise ValueError(f"its shape is {values.shape}, the names are {len(names)} x {len(genes)}")
    with _damage(path, "obs"):
        labels = _column(file, columns)
        if labels is not None and len(labels) != len(names):
            raise ValueError(f"a column has {len(labels)} values for {len(names)} names")
    with _damage(path, "uns"):
        kind, synthetic = _text(file, DECLARED_KIND), _text(file, DECLARED_SYNTHETIC)
    coordinates = None
    if spatial and "obsm/spatial" in file:
        with _damage(path, "obsm['spatial']"):
            coordinates = _coordinates(file["obsm/spatial"])
    return Fields(genes, names, values, kind or None, labels, coordinates, synthetic)


@contextmanager
def _damage(path: Path, what: str) -> Iterator[None]:
    try:
        yield
    except BadInput:
        raise
    except PermissionError:
        raise BadInput(f"{path} may not be read by you; expected a readable file, so change its permissions.") from None
    except _DAMAGE as error:
        reason = " ".join(str(error).split())[:120].rstrip(". ") or type(error).__name__
        raise BadInput(
            f"{path} is damaged or cut short, {what} cannot be read ({reason}); expected a whole AnnData .h5ad, "
            "so copy or write it again."
        ) from None


def _index(frame: Any) -> tuple[str, ...]:
    """Names of the rows of a data frame: the column its attributes name, or the first field of a file before 0.7."""
    if _is_dataset(frame):
        fields = frame.dtype.names
        return tuple(str(name) for name in _strings(_read(frame)["index" if "index" in fields else fields[0]]))
    return tuple(str(name) for name in _series(frame[_attribute(frame, "_index")]))


def _column(file: Any, columns: Sequence[str]) -> list[str | None] | None:
    obs = file["obs"]
    name = next((c for c in columns if c in (obs.dtype.names if _is_dataset(obs) else obs)), None)
    if name is None:
        return None
    if not _is_dataset(obs):
        return _series(obs[name])
    values = _read(obs)[name]
    if f"uns/{name}_categories" in file:  # files before 0.7 keep the names of categories in uns
        return _categories(values, file[f"uns/{name}_categories"])
    return _strings(values)


def _series(element: Any) -> list[str | None]:
    """A column as text, whatever its encoding; missing values are None."""
    if _is_dataset(element):
        if "categories" in element.attrs:  # files of 0.7: a reference to the categories
            return _categories(_read(element), element.file[element.attrs["categories"]])
        return _strings(_read(element))
    if "codes" in element:
        return _categories(_read(element["codes"]), element["categories"])
    if "mask" in element:
        pairs = zip(_strings(_read(element["values"])), _read(element["mask"]), strict=True)
        return [None if gone else value for value, gone in pairs]
    raise ValueError(f"the encoding {_attribute(element, 'encoding-type')!r} of a column is not known")


def _categories(codes: Any, categories: Any) -> list[str | None]:
    names = [*_series(categories), None]  # code -1, missing, is the last
    return [names[code] for code in np.asarray(codes).astype(int)]


def _strings(values: Any) -> list[str | None]:
    array = np.asarray(values)
    if array.dtype.kind == "f":
        return [None if np.isnan(value) else str(value) for value in array]
    return [value.decode() if isinstance(value, bytes) else str(value) for value in array]


def _text(file: Any, key: str) -> str:
    """A short text in uns; "" where there is none."""
    value = _read(file[f"uns/{key}"]) if f"uns/{key}" in file else ""
    return value.decode() if isinstance(value, bytes) else str(value)


def _coordinates(element: Any) -> NDArray[np.float64]:
    if _is_dataset(element):
        return np.asarray(_read(element), dtype=np.float64)
    order = [str(column) for column in _attribute(element, "column-order")]  # a data frame
    return np.column_stack([np.asarray(_read(element[column]), dtype=np.float64) for column in order])


def _matrix(element: Any) -> sp.csr_matrix:
    """(n, g) float32 of a CSR, CSC or dense matrix; a dense one is read in blocks of rows, never whole."""
    if not _is_dataset(element):
        encoding = _attribute(element, "encoding-type" if "encoding-type" in element.attrs else "h5sparse_format")
        shape = _attribute(element, "shape" if "shape" in element.attrs else "h5sparse_shape")
        forms = {"csr": sp.csr_matrix, "csc": sp.csc_matrix}
        form = forms.get(str(encoding).removesuffix("_matrix"))
        if form is None:
            raise ValueError(f"the encoding {encoding!r} of a matrix is not known")
        parts = (_real(_read(element["data"])), _read(element["indices"]), _read(element["indptr"]))
        matrix = form(parts, shape=tuple(int(size) for size in shape))
        matrix.check_format(full_check=True)
        return matrix.tocsr()
    _check_type(element.dtype)
    rows, columns = element.shape
    step = max(1, BLOCK // max(columns, 1))
    blocks = [sp.csr_matrix(_real(element[start : start + step])) for start in range(0, rows, step)]
    return sp.vstack(blocks, format="csr") if blocks else sp.csr_matrix((rows, columns), dtype=np.float32)


def _real(values: Any) -> NDArray[np.float32]:
    if values.dtype.kind not in "biuf":
        raise ValueError(f"its values are of type {values.dtype}, not numbers")
    with np.errstate(over="ignore"):  # what is too large becomes infinite, and that is refused by name
        return np.asarray(values, dtype=np.float32)


# ---------------------------------------------------------------------------------------------------------------
# Access to HDF5 that refuses what would crash the library underneath: damaged types and sizes


def _is_dataset(element: Any) -> bool:
    return not hasattr(element, "keys")


def _read(dataset: Any) -> Any:
    """A whole dataset, text decoded."""
    import h5py

    _check_type(dataset.dtype)
    if dataset.nbytes > 2**32 and dataset.nbytes > 2000 * Path(dataset.file.filename).stat().st_size:
        raise ValueError(f"a size of {dataset.shape} does not fit the file")  # no compression is that good
    return dataset.asstr()[()] if h5py.check_string_dtype(dataset.dtype) else dataset[()]


def _attribute(element: Any, name: str) -> Any:
    _check_type(element.attrs.get_id(name).dtype)
    value = element.attrs[name]
    return value.decode() if isinstance(value, bytes) else value


def _check_type(dtype: Any) -> None:
    import h5py

    if dtype.kind == "O" and h5py.check_string_dtype(dtype) is None:
        raise ValueError("its type is neither text nor number")
