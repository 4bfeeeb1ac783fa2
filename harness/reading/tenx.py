"""Reading 10x Genomics `.h5` files: what Cell Ranger and Space Ranger write, version 3 and later and version 2.

Version 3 has one group `matrix` with `features/{id,name,feature_type}`; version 2 one group per genome with `genes`
and `gene_names`. Only features of the type "Gene Expression" are read.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp

from harness.errors import BadInput

from . import hdf5
from .h5ad import Axes, Fields
from .hdf5 import damage, is_dataset, read, texts
from .uri import shown

TENX = hdf5.Form("Cell Ranger .h5", "give filtered_feature_bc_matrix.h5 or, for AnnData, a name that ends in .h5ad")
AXES = Axes("barcodes", "features", "features in the rows of the compressed matrix", "write it again with Cell Ranger")
GENES = "Gene Expression"


def read_tenx(path: Path) -> Fields:
    """The counts (n barcodes, g genes) of a 10x file, with symbols as gene names.

    A symbol that several features bear cannot be matched by name: those features are named by their ids, which are
    unique. Where a file has no ids the symbols stay, and a repeated one is refused as in any other file.
    Raises `BadInput` naming the file where it is missing, is no 10x file, holds several genomes, or is damaged.
    """
    with hdf5.file(path, TENX) as file:
        with damage(path, "the list of its groups", TENX):
            group = _group(path, file)
        with damage(path, "barcodes", TENX):
            barcodes = _names(group["barcodes"])
        with damage(path, "features", TENX):
            genes, kept = _genes(path, group)
        with damage(path, "the matrix", TENX):
            shape = [int(size) for size in read(group["shape"])]
            if shape != [len(kept), len(barcodes)]:
                raise ValueError(f"its shape is {shape}, the names are {len(kept)} x {len(barcodes)}")
            # Columns compressed by barcode, genes x barcodes: the same three arrays are rows, barcodes x genes.
            values = hdf5.compressed(group, sp.csr_matrix, shape[::-1], np.float32)
        return Fields(genes, barcodes, values if kept.all() else values[:, np.flatnonzero(kept)], axes=AXES)


def _group(path: Path, file: Any) -> Any:
    if "matrix" in file:
        return file["matrix"]
    if "obs" in file and "var" in file:
        raise BadInput(f"{shown(path)} is an AnnData file; expected a {TENX.name}, so rename it to end in .h5ad.")
    genomes = [name for name in file if not is_dataset(file[name]) and "gene_names" in file[name]]
    if len(genomes) > 1:
        raise BadInput(
            f"{shown(path)} holds {len(genomes)} genomes ({', '.join(genomes[:4])}); expected one, so write the one "
            "you study into a file of its own."
        )
    if not genomes:
        raise BadInput(
            f"{shown(path)} is an HDF5 file without a 10x matrix; expected {TENX.article}, so {TENX.written}."
        )
    return file[genomes[0]]


def _genes(path: Path, group: Any) -> tuple[tuple[str, ...], Any]:
    """The names of the genes, and (features,) which features they are."""
    recent = "features" in group
    features = group["features"] if recent else group
    symbols = _names(features["name" if recent else "gene_names"])
    ids = _names(features["id" if recent else "genes"]) if ("id" if recent else "genes") in features else symbols
    kinds = _names(features["feature_type"]) if recent and "feature_type" in features else (GENES,) * len(symbols)
    if not len(symbols) == len(ids) == len(kinds):
        raise ValueError(f"there are {len(symbols)} names, {len(ids)} ids and {len(kinds)} types of features")
    kept = np.array([kind == GENES for kind in kinds], dtype=bool)
    if not kept.any():
        raise BadInput(
            f"{shown(path)} has no feature of the type {GENES!r} among {len(kinds)}; expected genes, so give the file "
            "that holds them."
        )
    borne = Counter(symbol for symbol, keep in zip(symbols, kept, strict=True) if keep)
    named = [
        symbol if borne[symbol] == 1 else feature
        for symbol, feature, keep in zip(symbols, ids, kept, strict=True)
        if keep
    ]
    return tuple(named), kept


def _names(dataset: Any) -> tuple[str, ...]:
    return tuple(str(name) for name in texts(read(dataset)))
