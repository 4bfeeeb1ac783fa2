"""Access to HDF5 files that refuses what would crash the library underneath, and names a file that is damaged.

Used by every reader of a format that is HDF5 inside; h5py itself is imported when a file is opened.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import DTypeLike, NDArray

from harness.errors import BadInput

from .uri import check_file, opened, remote, shown, unreadable

BLOCK = 2**24  # values of a dense matrix held at once: 64 MiB as float32

# What h5py, numpy and scipy raise while reading a damaged file; MemoryError stands for a damaged size.
_DAMAGE = (OSError, LookupError, ValueError, TypeError, RuntimeError, AttributeError, ArithmeticError, MemoryError)
_SIGNATURE = b"\x89HDF\r\n\x1a\n"


@dataclass(frozen=True)
class Form:
    """A format inside HDF5, as messages say it: "AnnData .h5ad", and what writes one."""

    name: str
    written: str

    @property
    def article(self) -> str:
        """The name with its article."""
        return f"{'an' if self.name[0] in 'AEIOU' else 'a'} {self.name}"


@contextmanager
def file(path: Path, form: Form) -> Iterator[Any]:
    """An h5py.File open for reading, of a local path or (from an open file object) a remote one.

    Raises `BadInput` where the file is missing, may not be read, cannot be reached, is not HDF5, or is damaged.
    """
    import h5py

    no_hdf5 = BadInput(f"{shown(path)} is no HDF5 file; expected {form.article}, so {form.written}.")
    with damage(path, "the file", form):
        if remote(path):
            with opened(path, form.name) as handle:
                if not _signed(handle):
                    raise no_hdf5
                with h5py.File(handle, "r") as content:
                    yield content
            return
        check_file(path, form.name)
        path.open("rb").close()  # says permission where HDF5 would only say no
        if not h5py.is_hdf5(path):
            raise no_hdf5
        with h5py.File(path, "r", locking=False) as content:
            yield content


def _signed(handle: Any) -> bool:
    """Whether the signature is where HDF5 has it: at the start, or after a block of 512, 1024, 2048 ... bytes."""
    size, place = handle.seek(0, 2), 0
    while place < size:
        handle.seek(place)
        if handle.read(len(_SIGNATURE)) == _SIGNATURE:
            return True
        place = max(512, 2 * place)
    return False


@contextmanager
def damage(path: Path, what: str, form: Form) -> Iterator[None]:
    """Turn what reading a damaged file raises into a `BadInput` that names the file and what could not be read."""
    try:
        yield
    except BadInput:
        raise
    except PermissionError:
        raise unreadable(path) from None
    except _DAMAGE as error:
        reason = " ".join(str(error).split())[:120].rstrip(". ") or type(error).__name__
        raise BadInput(
            f"{shown(path)} is damaged or cut short, {what} cannot be read ({reason}); expected a whole {form.name}, "
            "so copy or write it again."
        ) from None


def is_dataset(element: Any) -> bool:
    """Whether it is an array rather than a group."""
    return not hasattr(element, "keys")


def read(dataset: Any) -> Any:
    """A whole dataset, text decoded."""
    import h5py

    check_type(dataset.dtype)
    if dataset.nbytes > 2**32 and dataset.nbytes > 2000 * dataset.file.id.get_filesize():
        raise ValueError(f"a size of {dataset.shape} does not fit the file")  # no compression is that good
    return dataset.asstr()[()] if h5py.check_string_dtype(dataset.dtype) else dataset[()]


def attribute(element: Any, name: str) -> Any:
    """An attribute, text decoded."""
    check_type(element.attrs.get_id(name).dtype)
    value = element.attrs[name]
    return value.decode() if isinstance(value, bytes) else value


def check_type(dtype: Any) -> None:
    """Raise ValueError for a type that is neither text nor number: reading one can crash the process."""
    import h5py

    if dtype.kind == "O" and h5py.check_string_dtype(dtype) is None:
        raise ValueError("its type is neither text nor number")


def texts(values: Any) -> list[str | None]:
    """An array as text; NaN as None."""
    array = np.asarray(values)
    if array.dtype.kind == "f":
        return [None if np.isnan(value) else str(value) for value in array]
    return [value.decode() if isinstance(value, bytes) else str(value) for value in array]


def dense(dataset: Any, dtype: DTypeLike) -> sp.csr_matrix:
    """(n, g) of a dense matrix, read in blocks of rows, never whole."""
    check_type(dataset.dtype)
    rows, columns = dataset.shape
    step = max(1, BLOCK // max(columns, 1))
    blocks = [sp.csr_matrix(real(dataset[start : start + step], dtype)) for start in range(0, rows, step)]
    return sp.vstack(blocks, format="csr") if blocks else sp.csr_matrix((rows, columns), dtype=dtype)


def compressed(group: Any, form: Any, shape: Sequence[Any], dtype: DTypeLike) -> sp.csr_matrix:
    """(n, g) of a group with data, indices and indptr; form: scipy's csr_matrix or csc_matrix."""
    parts = (real(read(group["data"]), dtype), read(group["indices"]), read(group["indptr"]))
    matrix = form(parts, shape=tuple(int(size) for size in shape))
    matrix.check_format(full_check=True)
    return matrix.tocsr()


def real(values: Any, dtype: DTypeLike = np.float32) -> NDArray[Any]:
    """Numbers as that type; ValueError for what is not a number."""
    if values.dtype.kind not in "biuf":
        raise ValueError(f"its values are of type {values.dtype}, not numbers")
    with np.errstate(over="ignore"):  # what is too large becomes infinite, and that is refused by name
        return np.asarray(values, dtype=dtype)
