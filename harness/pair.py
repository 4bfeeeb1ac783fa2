"""A paired sample: a spatial (ST) and a single-cell (SC) matrix aligned by gene name, validated when made.

`read_pair` is the only way from files into the harness. Of the ST file it takes the matrix, the gene names, the
coordinates and one column of labels for figures; nothing else of it is read.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from .errors import BadInput
from .reading.alignment import check_halves, check_names, check_orientation, half_alike, missing, no_shared, symbols_in
from .reading.h5ad import Fields
from .reading.half import read_half
from .reading.uri import located, shown
from .reading.values import KINDS, kind_of

CELL_TYPE = ("cell_type",)
SPOT_LABELS = ("cell_type", "label", "cluster", "region", "domain", "celltype", "annotation", "leiden", "louvain")


@dataclass(frozen=True, eq=False)
class Assay:
    """One measured matrix, validated; its arrays are read-only.

    genes: g unique names, in file order.
    values: (n, g) float32 CSR in canonical form (sorted, no stored zeros), finite and non-negative.
    kind: "counts" (integers), "intensities" (non-negative reals: log1p'ed, without size factors) or "lognorm"
        (declared: taken as it is).
    Raises `BadInput` for anything else.
    """

    genes: tuple[str, ...]
    values: sp.csr_matrix
    kind: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "genes", tuple(self.genes))
        check_names(self.genes)
        if self.kind not in KINDS:
            raise BadInput(f"values are declared {self.kind!r}; expected one of {', '.join(KINDS)}.")
        values = _canonical(self.values)
        if values.shape[1] != len(self.genes):
            raise BadInput(
                f"the matrix is {values.shape} for {len(self.genes)} gene names; expected a column per gene."
            )
        if 0 in values.shape:
            raise BadInput(f"the matrix is empty {values.shape}; expected at least one row and one gene.")
        _check_values(values, self.genes, self.kind)
        for part in (values.data, values.indices, values.indptr):
            part.flags.writeable = False
        object.__setattr__(self, "values", values)

    def __len__(self) -> int:
        return int(self.values.shape[0])

    def columns(self, genes: Sequence[str]) -> NDArray[np.intp]:
        """Column indices of the named genes, in the order asked; KeyError names a gene that is not here."""
        place = {gene: i for i, gene in enumerate(self.genes)}
        return np.array([place[gene] for gene in genes], dtype=np.intp)


@dataclass(frozen=True, eq=False)
class PairedSample:
    """SC and ST aligned by gene name, validated when made; raises `BadInput`.

    coordinates: (n_spots, 2 or 3) float64, or None. cell_types: (n_cells,) str, of the SC cells, or None.
    spot_labels: (n_spots,) str array, or None: for figures and the scorer, never for a method.
    synthetic: "" for real data, else what was invented; shown wherever the dataset is shown.
    spot_names: (n_spots,) what the ST file calls its rows; no part of the id. Empty where there was no file.
    remarks: what its files leave open, a sentence each; shown before anything runs, and kept beside its scores.
    """

    name: str
    st: Assay
    sc: Assay
    coordinates: NDArray[np.float64] | None = None
    cell_types: NDArray[Any] | None = None
    spot_labels: Any = None
    synthetic: str = ""
    remarks: tuple[str, ...] = ()
    spot_names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.shared:
            raise BadInput(no_shared(self.name, self.st.genes, self.sc.genes))
        if self.coordinates is not None:
            object.__setattr__(self, "coordinates", _checked_coordinates(self.coordinates, len(self.st)))
        if self.cell_types is not None:
            object.__setattr__(self, "cell_types", _checked_types(self.cell_types, len(self.sc)))
        if self.spot_labels is not None:
            labels = ["unlabelled" if missing(label) else str(label) for label in self.spot_labels]
            if len(labels) != len(self.st):
                raise BadInput(f"there are {len(labels)} spot labels for {len(self.st)} spots; give one per spot.")
            object.__setattr__(self, "spot_labels", _frozen(np.array(labels, dtype=np.str_)))

    @functools.cached_property
    def shared(self) -> tuple[str, ...]:
        """Genes measured in both, sorted by name."""
        return tuple(sorted(set(self.st.genes) & set(self.sc.genes)))

    @functools.cached_property
    def id(self) -> str:
        """16 hex digits over the content: genes, values, kinds, coordinates, cell types.

        The name, the files and the spot labels are not part of it, nor is how the matrices happen to be stored.
        """
        digest = hashlib.sha256(b"pair@1\0")
        for part in _content(self):
            digest.update(len(part).to_bytes(8, "little"))
            digest.update(part)
        return digest.hexdigest()[:16]


def read_pair(
    name: str,
    sc_path: Path | str,
    st_path: Path | str,
    *,
    sc_kind: str | None = None,
    st_kind: str | None = None,
    synthetic: str = "",
) -> PairedSample:
    """Read a pair of files, each an AnnData `.h5ad`, a 10x `.h5`, or a table of counts (.csv, .tsv, .txt, or .gz).

    sc_path, st_path: local paths or URIs. The suffix says what a file is; any other is read as AnnData.
    AnnData gives `layers["counts"]` if present, else `X`; SC `obs["cell_type"]`, ST `obsm["spatial"]`, and for figures
    the first ST obs column of `SPOT_LABELS` that exists. What a file does not hold comes from `cell_types.csv` (cell,
    cell_type) and `spatial.csv` (spot, x, y and perhaps z), or .tsv, in the pair's folder.
    Values are counts if all are integers, else intensities, with a remark; `sc_kind` and `st_kind`, or the text
    `uns["spadit_values"]` in the file ("counts", "intensities", "lognorm"), declare what they are.
    Raises `BadInput`, one sentence naming the file, for whatever cannot be used.
    """
    sc_path, st_path = located(sc_path), located(st_path)
    sc, st = read_half(sc_path, "sc", CELL_TYPE), read_half(st_path, "st", SPOT_LABELS)
    check_halves(sc_path, sc, st_path, st)
    check_orientation(sc_path, sc, st_path, st)
    (st_assay, st_remark), (sc_assay, sc_remark) = _assay(st_path, st, st_kind), _assay(sc_path, sc, sc_kind)
    if not set(st.genes) & set(sc.genes):
        where = f"{shown(st_path)} and {shown(sc_path)}"
        raise BadInput(symbols_in(sc_path, sc, st_path, st) or no_shared(where, st.genes, sc.genes))
    coordinates = _named(st_path, _checked_coordinates, st.coordinates, len(st.names))
    cell_types = _named(sc_path, _checked_types, sc.column, len(sc.names))
    said = {"ST": (st_remark, st.hint), "SC": (sc_remark, sc.hint), "genes": (half_alike(st.genes, sc.genes),)}
    remarks = tuple(f"{half}: {remark}" for half, each in said.items() for remark in each if remark)
    synthetic = synthetic or sc.synthetic
    return PairedSample(
        name, st_assay, sc_assay, coordinates, cell_types, st.column, synthetic, remarks, spot_names=st.names
    )


def _named(path: Path, check: Any, *given: Any) -> Any:
    """`check(*given)`, its refusal naming the file; None where nothing was given."""
    if given[0] is None:
        return None
    try:
        return check(*given)
    except BadInput as error:
        raise BadInput(f"{shown(path)}: {error}") from None


def _assay(path: Path, fields: Fields, kind: str | None) -> tuple[Assay, str]:
    """The matrix, and a remark on its values where there is one."""
    found, remark = kind_of(path, fields, kind)
    assay: Assay = _named(path, Assay, fields.genes, fields.values, found)
    if assay.values.nnz == 0:
        raise BadInput(f"{shown(path)}: every value is zero; expected measured counts, so check what was written.")
    return assay, remark


def _canonical(values: Any) -> sp.csr_matrix:
    with np.errstate(over="ignore"):
        matrix = sp.csr_matrix(values, dtype=np.float32, copy=True)
    matrix.sum_duplicates()
    matrix.eliminate_zeros()
    return matrix


def _check_values(values: sp.csr_matrix, genes: Sequence[str], kind: str) -> None:
    data = values.data

    def gene(bad: NDArray[np.bool_]) -> str:
        return repr(genes[values.indices[int(np.argmax(bad))]])

    if (bad := ~np.isfinite(data)).any():
        raise BadInput(
            f"the gene {gene(bad)} has NaN or infinite values; expected finite ones, so remove or fill them."
        )
    if (bad := data < 0).any():
        raise BadInput(
            f"the gene {gene(bad)} has negative values ({data.min():g}); expected raw counts or intensities, "
            "so give unscaled ones (in AnnData, in layers['counts'])."
        )
    if kind == "counts" and (bad := data != np.rint(data)).any():
        raise BadInput(
            f"the gene {gene(bad)} has fractions ({data[bad][0]:g}) where counts are declared; expected integers, so "
            "declare intensities or give the raw counts."
        )


def _checked_coordinates(given: Any, spots: int) -> NDArray[np.float64]:
    coordinates = np.array(given, dtype=np.float64) + 0.0  # + 0.0: minus zero and zero are one place
    if coordinates.ndim != 2 or coordinates.shape[0] != spots or coordinates.shape[1] not in (2, 3):
        raise BadInput(
            f"obsm['spatial'] is {coordinates.shape}; expected ({spots}, 2) or ({spots}, 3), a row of numbers per spot."
        )
    if not np.isfinite(coordinates).all():
        spot = int(np.argmax(~np.isfinite(coordinates).all(axis=1)))
        raise BadInput(
            f"obsm['spatial'] of spot {spot} is not finite; expected numbers for every spot, so drop the spots without."
        )
    return _frozen(coordinates)


def _checked_types(given: Any, cells: int) -> NDArray[Any]:
    if len(given) != cells:
        raise BadInput(f"there are {len(given)} cell types for {cells} cells; expected one per cell.")
    gone = sum(missing(label) for label in given)
    if gone:
        raise BadInput(
            f"obs['cell_type'] is missing for {gone} of {cells} cells; expected a label for every cell, "
            "so drop those cells or name them (for example 'unknown')."
        )
    return _frozen(np.array([str(label) for label in given], dtype=np.str_))


def _frozen(array: NDArray[Any]) -> NDArray[Any]:
    array.flags.writeable = False
    return array


def _content(pair: PairedSample) -> Iterator[bytes]:
    for assay in (pair.st, pair.sc):
        yield assay.kind.encode()
        yield from _texts(assay.genes)
        yield np.array(assay.values.shape, dtype="<i8").tobytes()
        yield assay.values.indptr.astype("<i8").tobytes()
        yield assay.values.indices.astype("<i8").tobytes()
        yield assay.values.data.astype("<f4").tobytes()
    if pair.coordinates is None:
        yield b"no coordinates"
    else:
        yield np.array(pair.coordinates.shape, dtype="<i8").tobytes()
        yield np.ascontiguousarray(pair.coordinates).astype("<f8").tobytes()
    yield from _texts(() if pair.cell_types is None else pair.cell_types)


def _texts(texts: Sequence[str] | NDArray[Any]) -> Iterator[bytes]:
    yield len(texts).to_bytes(8, "little")
    for text in texts:
        yield str(text).encode("utf-8", "surrogatepass")
