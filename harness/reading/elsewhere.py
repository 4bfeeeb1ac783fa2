"""Where an AnnData file may keep, under another name, what is looked for: counts, places, cell types, gene symbols.

Nothing found here is used by itself; it goes into the sentence that says what to do.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any

import numpy as np

from .hdf5 import is_dataset, texts

_ENOUGH = 100_000
"""So many values of a matrix tell whether it holds integers."""
_COUNTS = re.compile("count|raw|umi", re.IGNORECASE)
_PLACES = (
    ("x", "y"),
    ("x_centroid", "y_centroid"),
    ("center_x", "center_y"),
    ("coord_x", "coord_y"),
    ("x_coord", "y_coord"),
    ("pxl_col_in_fullres", "pxl_row_in_fullres"),
    ("imagecol", "imagerow"),
    ("array_col", "array_row"),
)
_CELL_TYPES = ("celltype", "celltypes", "cellclass", "annotation", "subclass", "class", "cluster", "leiden")


def integers(values: Any) -> bool:
    """Whether all are."""
    return np.array_equal(values, np.rint(values))


def counts(file: Any, read: str) -> str:
    """The matrix of integers that is not the one read, as a user writes it; "" where there is none."""
    candidates = {"raw.X": "adata.raw.X", "raw/X": "adata.raw.X"}
    layers = [name for name in _members(file, "layers") if _COUNTS.search(name)]
    candidates |= {f"layers/{name}": f"layers[{name!r}]" for name in layers}
    return next((said for key, said in candidates.items() if key != read and key in file and _counted(file[key])), "")


def places(file: Any) -> str:
    """A sentence on what may be the coordinates; "" where nothing looks like them."""
    obsm = [name for name in _members(file, "obsm") if "spatial" in name.lower() and name != "spatial"]
    if obsm:
        return f"obsm has {obsm[0]!r}: if those are the places of the spots, name it obsm['spatial']."
    own = {name.lower(): name for name in _members(file, "obs")}
    found = next(((own[x], own[y]) for x, y in _PLACES if x in own and y in own), None)
    if found is None:
        return ""
    return f"obs has {found[0]!r} and {found[1]!r}: if those are the places of the spots, put them in obsm['spatial']."


def cell_types(file: Any) -> str:
    """A sentence on which column may be the cell types; "" where none looks like it."""
    own = {re.sub("[^a-z]", "", name.lower()): name for name in _members(file, "obs")}
    found = next((own[name] for name in _CELL_TYPES if name in own), None)
    return "" if found is None else f"obs has {found!r}: if those are the cell types, name it obs['cell_type']."


def naming(file: Any, genes: Collection[str]) -> str | None:
    """The column of var that names the most of those genes, if it names any."""
    var, found = file["var"], {}
    for column in () if is_dataset(var) else var:
        if is_dataset(var[column]) and var[column].dtype.kind in "OSU" and var[column].ndim == 1:
            found[column] = len(set(genes).intersection(map(str, texts(var[column][()]))))
    best = max(found, key=lambda column: found[column], default=None)
    return best if best is not None and found[best] else None


def _counted(matrix: Any) -> bool:
    values = matrix[: max(1, _ENOUGH // max(1, matrix.shape[-1]))] if is_dataset(matrix) else matrix["data"][:_ENOUGH]
    return bool(values.size) and integers(values)


def _members(file: Any, slot: str) -> tuple[str, ...]:
    """What a slot holds, by name; before 0.7, AnnData wrote data frames and obsm as one compound dataset each."""
    found = file.get(slot, {})
    return (found.dtype.names or ()) if is_dataset(found) else tuple(found)
