"""Simulated pairs of any size, to try things out and to measure speed: `simulate`, and `write_pair` to keep one."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from harness.errors import BadInput
from harness.pair import Assay, PairedSample
from harness.reading.h5ad import DECLARED_KIND, DECLARED_SYNTHETIC

from ._folders import SAFE

BLOCK = 2**21  # values drawn at once: 16 MiB as float64
SYNTHETIC = "simulated: invented cells, spots and genes"
DISPERSION = 5.0
"""Shape of the gamma behind the negative binomial: the variance is mean + mean^2 / DISPERSION."""


def simulate(
    spots: int, cells: int, genes: int, seed: int = 0, types: int = 8, depth: float = 500.0, name: str = "simulated"
) -> PairedSample:
    """A pair drawn from a model: cell types with programs of genes, and a tissue of domains that mix the types.

    A gene's mean over types is log-normal, and each type multiplies a third of the genes by a gamma factor. Cells and
    spots are negative binomial with log-normal depths, about `depth` counts over the `genes` genes, all in both
    matrices. Each type is dense around a few places of the tissue; a spot mixes the types by their densities there.
    ST differs from SC by a log-normal factor per gene. Time and memory grow with the counts, not with genes x spots.
    Raises `BadInput` for sizes that make no pair.
    """
    for label, value, least in (("spots", spots, 2), ("cells", cells, 2), ("genes", genes, 1), ("types", types, 1)):
        if value < least:
            raise BadInput(f"--{label} is {value}; expected at least {least}, so ask for more.")
    if not (np.isfinite(depth) and depth > 0):
        raise BadInput(f"--depth is {depth}; expected a positive number of counts per cell and spot.")
    if types > cells:
        raise BadInput(f"--types is {types} for {cells} cells; expected no more types than cells, so ask for fewer.")
    rng = np.random.default_rng(seed)
    profiles = _profiles(genes, types, rng)
    kind = np.concatenate([np.arange(types), rng.choice(types, cells - types, p=rng.dirichlet(np.full(types, 4.0)))])
    coordinates = _places(spots, rng)
    mixture = _mixture(coordinates, types, rng)
    platform = rng.lognormal(0.0, 0.5, genes)
    platform *= profiles.mean(axis=0).sum() / (profiles.mean(axis=0) * platform).sum()
    names = tuple(f"Gene{i:0{len(str(genes))}d}" for i in range(1, genes + 1))
    of_type = np.eye(types)[kind]
    return PairedSample(
        name=name,
        st=Assay(names, _counts(mixture, profiles * platform, depth, rng), "counts"),
        sc=Assay(names, _counts(of_type, profiles, depth, rng), "counts"),
        coordinates=coordinates,
        cell_types=np.array([f"type {i + 1}" for i in kind]),
        spot_labels=np.array([f"domain {i + 1}" for i in mixture.argmax(axis=1)]),
        synthetic=SYNTHETIC,
    )


def write_pair(pair: PairedSample, folder: Path | str) -> Path:
    """Write a pair as `folder/NAME/{sc,st}.h5ad`, whole or not at all, and return `folder/NAME`.

    `read_pair` gives back a pair of the same id. Raises `BadInput` for a name that cannot name a folder, or where
    that folder is there already.
    """
    if not SAFE.fullmatch(pair.name):
        raise BadInput(f"{pair.name!r} cannot name a dataset; expected letters, digits, '.', '_' and '-' only.")
    target = Path(folder) / pair.name
    if target.exists():
        raise BadInput(f"{target} exists already; expected a new name, so choose another or remove that folder.")
    writing = Path(folder) / f".{pair.name}-{uuid.uuid4().hex[:8]}"
    try:
        writing.mkdir(parents=True)
        _write(pair.sc, "cell", pair.cell_types, None, pair.synthetic, writing / "sc.h5ad")
        _write(pair.st, "spot", pair.spot_labels, pair.coordinates, pair.synthetic, writing / "st.h5ad")
        writing.rename(target)
    except OSError as error:
        raise BadInput(
            f"{target} cannot be written ({error.strerror or error}); give a folder you may write."
        ) from None
    finally:
        shutil.rmtree(writing, ignore_errors=True)
    return target


def _write(assay: Assay, row: str, labels: Any, coordinates: Any, synthetic: str, path: Path) -> None:
    import anndata
    import pandas as pd

    obs = pd.DataFrame(index=[f"{row}{i}" for i in range(1, len(assay) + 1)])
    if labels is not None:
        obs["cell_type" if row == "cell" else "label"] = pd.Categorical(labels.tolist())
    # Copies: anndata may sort or convert in place, and a pair's arrays are read-only.
    data = anndata.AnnData(assay.values.copy(), obs=obs, var=pd.DataFrame(index=list(assay.genes)))
    if coordinates is not None:
        data.obsm["spatial"] = np.array(coordinates)
    data.uns[DECLARED_KIND] = assay.kind
    if synthetic:
        data.uns[DECLARED_SYNTHETIC] = synthetic
    data.write_h5ad(path, compression="gzip")
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _profiles(genes: int, types: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """(types, genes) mean shares; rows sum to 1."""
    base = rng.lognormal(0.0, 1.2, genes)
    program = np.where(rng.random((types, genes)) < 1 / 3, rng.gamma(0.4, 4.0, (types, genes)), 1.0)
    means = base * np.maximum(program, 0.02)
    shares: NDArray[np.float64] = means / means.sum(axis=1, keepdims=True)
    return shares


def _places(spots: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """(spots, 2) a jittered grid of unit spacing."""
    side = int(np.ceil(np.sqrt(spots)))
    grid = np.stack(np.divmod(np.arange(spots), side), axis=1)
    places: NDArray[np.float64] = np.round(grid + 0.6 * (rng.random((spots, 2)) - 0.5), 6)
    return places


def _mixture(coordinates: NDArray[np.float64], types: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """(spots, types) shares of the types at each spot: smooth densities around three places per type, plus noise."""
    extent = coordinates.max() + 1.0
    density = np.full((len(coordinates), types), 0.02)
    for index in range(types):
        for centre in rng.random((3, 2)) * extent:
            distance = ((coordinates - centre) ** 2).sum(axis=1) / (0.15 * extent) ** 2
            density[:, index] += np.exp(-0.5 * distance)
    density *= rng.gamma(4.0, 0.25, density.shape)  # spots are few cells: mixtures vary between neighbours
    shares: NDArray[np.float64] = density / density.sum(axis=1, keepdims=True)
    return shares


def _counts(weights: Any, profiles: Any, depth: float, rng: np.random.Generator) -> sp.csr_matrix:
    """(n, g) float32 negative binomial counts with means `depth` x weights @ profiles, drawn in blocks of rows."""

    def blocks() -> Iterator[sp.csr_matrix]:
        step = max(1, BLOCK // profiles.shape[1])
        for start in range(0, len(weights), step):
            part = weights[start : start + step]
            means = (part * (depth * rng.lognormal(0.0, 0.4, (len(part), 1)))) @ profiles
            means *= rng.standard_gamma(DISPERSION, means.shape) / DISPERSION
            yield sp.csr_matrix(rng.poisson(means).astype(np.float32))

    return sp.vstack(list(blocks()), format="csr")
