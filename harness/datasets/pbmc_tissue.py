"""`pbmc_tissue`: a pair that is always there, made of 700 real blood cells that come with scanpy. No download.

Half of the cells are the single-cell reference, the other half are laid out as a tissue: counts are real, positions
are invented. Both halves were measured in one experiment, so it is easier than any real pair: good for trying out,
never for a claim.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from harness.errors import BadInput
from harness.pair import Assay, PairedSample
from harness.reading.h5ad import read_fields

from ._base import Dataset, Facts

SEED = 68
DOMAINS = 4
MIXING = 0.35
"""How far a cell may stray from where its type belongs, as a share of the tissue."""
ROUNDING = 1e-3
"""The file keeps its log values to three decimals; what is recovered must agree with it within this."""


@dataclass(frozen=True)
class PbmcTissue(Dataset):
    """The packaged blood cells, half as reference, half as tissue."""

    def present(self, folders: Sequence[Path]) -> str | None:
        """The file inside the scanpy package, or None where scanpy is not installed or has it no more."""
        path = packaged()
        return None if path is None else f"bundled (scanpy's {path.name})"

    def absence(self, folders: Sequence[Path]) -> str:
        """What to do where it is absent."""
        return (
            "expected datasets/10x_pbmc68k_reduced.h5ad inside the installed scanpy package, "
            "so install scanpy (pip install 'scanpy>=1.10')"
        )

    def places(self) -> tuple[Path, ...]:
        """The packaged file."""
        path = packaged()
        return () if path is None else (path,)

    def load(self, folders: Sequence[Path]) -> PairedSample:
        """Recover the counts and lay half of the cells out; the same pair on every machine."""
        path = packaged()
        if path is None:
            raise self.missing(folders)
        fields = read_fields(path, ("bulk_labels",), spatial=False, raw=True)
        if fields.column is None:
            raise BadInput(f"{path} has no obs['bulk_labels']; expected scanpy's own file, so install scanpy again.")
        types = np.array(fields.column, dtype=np.str_)
        counts = recovered_counts(fields.values, str(path))
        rng = np.random.default_rng(SEED)
        cells, spots = halves(types, rng)
        places, domains, order = tissue(types[spots], rng)
        return PairedSample(
            name=self.name,
            st=Assay(fields.genes, counts[spots[order]], "counts"),
            sc=Assay(fields.genes, counts[cells], "counts"),
            coordinates=places,
            cell_types=types[cells],
            spot_labels=domains,
            synthetic=self.synthetic,
        )


def packaged() -> Path | None:
    """Scanpy's packaged file, found without importing scanpy (which takes seconds); None where it is absent."""
    spec = importlib.util.find_spec("scanpy")
    for folder in (spec.submodule_search_locations or []) if spec is not None else []:
        path = Path(folder) / "datasets" / "10x_pbmc68k_reduced.h5ad"
        if path.is_file():
            return path
    return None


def recovered_counts(logged: sp.csr_matrix, where: str) -> sp.csr_matrix:
    """The integers behind log1p of scaled counts, (n, g): in each cell, multiples of the smallest value.

    Raises `BadInput` where they do not give back the logarithms within `ROUNDING`.
    """
    values = sp.csr_matrix(logged, dtype=np.float64, copy=True)
    rows = np.repeat(np.arange(values.shape[0]), np.diff(values.indptr))
    scaled = np.expm1(values.data)
    smallest = np.full(values.shape[0], np.inf)
    np.minimum.at(smallest, rows, scaled)
    counts = np.rint(scaled / smallest[rows])
    # Least squares over the whole cell gives its scale far better than one rounded value does.
    unit = np.bincount(rows, scaled * counts) / np.bincount(rows, counts * counts)
    worst = float(np.abs(np.log1p(counts * unit[rows]) - values.data).max())
    if worst > ROUNDING:
        raise BadInput(
            f"{where} does not hold scaled counts (they miss its values by {worst:.2g}); expected the file that comes "
            "with scanpy, so install scanpy again."
        )
    return sp.csr_matrix((counts, values.indices, values.indptr), shape=values.shape)


def halves(types: NDArray[Any], rng: np.random.Generator) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Indices of two halves, each with half the cells of every type; of an odd number the first has one more."""
    shuffled = np.argsort(rng.random(len(types)), kind="stable")
    by_type = shuffled[np.argsort(types[shuffled], kind="stable")]
    place = np.concatenate([np.arange(count) for count in np.unique(types, return_counts=True)[1]])
    return np.sort(by_type[place % 2 == 0]), np.sort(by_type[place % 2 == 1])


def tissue(types: NDArray[Any], rng: np.random.Generator) -> tuple[NDArray[np.float64], NDArray[Any], NDArray[np.intp]]:
    """A layout of n cells: coordinates (n, 2), domain of each spot (n,), and which cell lies at which spot (n,).

    Spots are a jittered grid; depth into the tissue makes curved layers. Cells are sorted by where their type belongs,
    give or take `MIXING`, and lie down in order of depth: every layer is enriched in some types, borders are mixed.
    Only uniform numbers, sums and products are used, so that every machine lays out the same tissue.
    """
    n = len(types)
    side = int(np.ceil(np.sqrt(n)))
    grid = np.stack(np.divmod(np.arange(n), side), axis=1).astype(np.float64)
    places = np.round(grid + 0.6 * (rng.random((n, 2)) - 0.5), 6)
    depth = (places[:, 0] ** 2 + 0.6 * places[:, 1] ** 2).round(6)
    names, kind = np.unique(types, return_inverse=True)
    belongs = (kind + 0.5) / len(names)
    spread = rng.random((n, 3)).mean(axis=1) - 0.5
    deep = np.argsort(depth, kind="stable")
    order = np.empty(n, dtype=np.intp)
    order[deep] = np.argsort((belongs + 2 * MIXING * spread).round(9), kind="stable")
    layer = np.empty(n, dtype=np.intp)
    layer[deep] = np.arange(n) * DOMAINS // n
    return places, np.array([f"layer {i + 1}" for i in layer], dtype=np.str_), order


DATASETS = (
    PbmcTissue(
        name="pbmc_tissue",
        title="human blood cells, half of them laid out as an invented tissue (bundled, for trying out)",
        facts=Facts(
            technology="10x Chromium on both sides",
            tissue="peripheral blood",
            organism="human",
            source="10x Genomics PBMC 68k (Zheng et al., Nature Communications 2017), reduced by scanpy",
            size="700 cells, half of them as spots; 765 genes",
        ),
        synthetic="semi-synthetic: real cells, invented positions",
    ),
)
