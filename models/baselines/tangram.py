"""Tangram: a probabilistic mapping of single cells onto spots, by gradient descent.

Biancalani, Scalia, Buffoni, Avasthi, Lu, Sanger et al., Nature Methods 2021, doi:10.1038/s41592-021-01264-7. Written
from the objective. Units are cells, or groups of cells represented by the sum of their cells. With S (u, g) their
expression, G (s, g) that of the spots, w (u,) the share of all cells that is in a unit, and d (s,) a spot's share of
all expression, the mapping A = softmax(M) over spots, M (u, s), minimises

    - lambda_g1 mean_k cos((A'S)_k, G_k) - lambda_g2 mean_j cos((A'S)^j, G^j)
    + lambda_d KL(d | A'w) - lambda_r sum A ln A

over genes k and spots j, by Adam from standard normal M. A gene Z (u,) that the spots lack is predicted as A'Z.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping as NamedIds
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array
from torch import Tensor

from ..component import Component
from ..method import Array, Method, Needs, Problem, Run, Skipped
from ._clusters import cell_groups
from ._mapping import Mapping, Weights


@dataclass(frozen=True)
class Units(Component):
    """What is mapped onto the spots."""

    @abstractmethod
    def gathers(self, problem: Problem, rng: np.random.Generator) -> csr_array:
        """(u, n_cells) of 0 and 1: the cells that make up each unit. Does not depend on `problem.targets`."""


@dataclass(frozen=True)
class Cells(Units):
    """Every single cell by itself.

    at_most: how many cells are mapped, drawn at random where there are more; None maps all.
    """

    at_most: int | None = None

    def __post_init__(self) -> None:
        if self.at_most is not None and self.at_most < 1:
            raise ValueError(f"Cells(at_most={self.at_most}): at least 1 cell, or None for all.")

    def gathers(self, problem: Problem, rng: np.random.Generator) -> csr_array:
        """(u, n_cells), a one per row."""
        n, most = len(problem.cells), self.at_most
        kept = np.arange(n) if most is None or most >= n else np.sort(rng.choice(n, most, replace=False))
        return _indicator(np.arange(len(kept)), kept, n)


@dataclass(frozen=True)
class Clusters(Units):
    """Groups of cells: the given cell types, or clusters by the visible genes where there are none.

    The field's benchmark clusters by the Leiden algorithm; `k` groups of k-means stand in for that here.
    """

    k: int = 20

    def __post_init__(self) -> None:
        if self.k < 1:
            raise ValueError(f"Clusters(k={self.k}): at least 1.")

    def gathers(self, problem: Problem, rng: np.random.Generator) -> csr_array:
        """(u, n_cells), a one per column."""
        if problem.cell_types is not None:
            labels = problem.cell_types.astype(str)
        else:
            labels = cell_groups(problem.cells.of(sorted(problem.visible)), self.k, rng)
        return _indicator(np.unique(labels, return_inverse=True)[1], np.arange(len(labels)), len(labels))


@dataclass(frozen=True)
class EarlyStop(Component):
    """How many epochs to run, found by a first fit without the validation genes.

    Every `every` epochs the mean PCC of that fit's prediction of them is taken; the fit ends when `patience` in a row
    were no better than the best. As many epochs as that took are then run anew, from the same start, on all visible
    genes. Where a problem names no validation genes, a fifth of the visible ones, drawn at random, serve.
    """

    every: int = 5
    patience: int = 8

    def __post_init__(self) -> None:
        if self.every < 1 or self.patience < 1:
            raise ValueError(f"EarlyStop(every={self.every}, patience={self.patience}): both must be at least 1.")


@dataclass(frozen=True)
class Tangram(Method):
    """A soft assignment of cells to spots under which the visible genes look as they were measured.

    The original's A'Z is on an arbitrary scale. It is multiplied by n_spots / n_cells here, so that a gene's mean over
    spots is its mean over the mapped cells: one constant for all genes and spots, which leaves PCC, SSIM, RMSE on
    z-scores and JS as they are. Genes without a count on either side are not fitted, as in the original.

    The defaults differ from the published in two ways: `units`, as in the benchmark of Li et al. 2022, since every
    cell for 1,000 epochs takes minutes to hours on a processor; and `early_stop`, since that overfits small panels.

    units: what is mapped.
    epochs: steps of Adam, at most.
    early_stop: how to find a smaller number; None runs all epochs.
    lr: Adam's learning rate.
    lambda_g1, lambda_g2: weights of the mean cosine over genes, and over spots.
    lambda_d: weight of the density term; d is the sum of a spot's log-normalised values over the visible genes, which
        the original calls rna_count_based.
    lambda_r: weight of the entropy; above 0 it makes a unit's mapping narrow.
    """

    needs: ClassVar[Needs] = Needs(randomness=True)
    # The space in which cells are clustered was chosen by the scores on held-out genes of this pair.
    chosen_on: ClassVar[NamedIds[str, str]] = {"osmfish_ssp": "cdfc23af7ff07dfc"}
    spread: ClassVar[str] = (
        "Expression over the single cells mapped to a spot, weighted by how much of each is there, times the spot's "
        "number of cells over the mean number."
    )

    units: Units = field(default_factory=Clusters)
    epochs: int = 1000
    early_stop: EarlyStop | None = field(default_factory=EarlyStop)
    lr: float = 0.1
    lambda_g1: float = 1.0
    lambda_g2: float = 0.0
    lambda_d: float = 1.0
    lambda_r: float = 0.0

    def __post_init__(self) -> None:
        if self.epochs < 1 or self.lr <= 0:
            raise ValueError(f"Tangram(epochs={self.epochs}, lr={self.lr}): at least 1 epoch, and lr above 0.")
        if min(self.lambda_g1, self.lambda_g2, self.lambda_d) < 0 or self.lambda_g1 + self.lambda_g2 == 0:
            raise ValueError("Tangram: lambda_g1, lambda_g2 and lambda_d are at least 0, one of the first two above.")

    @classmethod
    def published(cls) -> Tangram:
        """The defaults of the authors' package: every cell, 1,000 epochs, no early stopping."""
        return cls(units=Cells(), epochs=1000, early_stop=None)

    def impute(self, problem: Problem, run: Run) -> Array:
        """(n_spots, n_targets) float32."""
        return self._impute(problem, run, with_sd=False)[0]

    def impute_with_sd(self, problem: Problem, run: Run) -> tuple[Array, Array | None]:
        """`impute`, and the weighted sd over the cells mapped to a spot, (n_spots, n_targets) float32."""
        return self._impute(problem, run, with_sd=True)

    def _impute(self, problem: Problem, run: Run, with_sd: bool) -> tuple[Array, Array | None]:
        gathers = self.units.gathers(problem, run.rng)
        fit = self.fitted(problem, gathers, run)
        z = problem.cells.of(problem.targets)

        def at_spots(values: Array) -> Array:
            return np.asarray(fit.image(_on(run.device, gathers @ values)).cpu())

        cells_per_spot = np.float32(gathers.sum() / len(problem.spots))
        mean = at_spots(z) / cells_per_spot
        if not with_sd:
            return mean, None
        # Moments about the gene's mean over all cells, so that the difference of squares loses few digits.
        shifted = z - z.mean(axis=0, dtype=np.float64).astype(np.float32)
        cells = np.maximum(at_spots(np.ones((len(z), 1), np.float32)), np.finfo(np.float32).tiny)  # (n_spots, 1)
        first, second = (at_spots(shifted**power) / cells for power in (1, 2))
        return mean, np.sqrt(np.maximum(second - first**2, 0.0)) * (cells / cells_per_spot)

    def fitted(self, problem: Problem, gathers: csr_array, run: Run) -> Mapping:
        """The mapping by all visible genes, after `epochs` or as many epochs as early stopping says."""
        seed = int(run.rng.integers(2**62))
        epochs, of = self.epochs, self.epochs
        if self.early_stop is not None:
            held = problem.validation or _a_fifth(problem.visible, run.rng)
            epochs, of = self.best_epochs(self.early_stop, problem, gathers, held, seed, run), 2 * self.epochs
        fit = self.begin(problem, gathers, problem.visible, seed, run.device)
        for epoch in range(1, epochs + 1):
            fit.step()
            run.report(of - epochs + epoch, of)
        return fit

    def best_epochs(
        self, stop: EarlyStop, problem: Problem, gathers: csr_array, held: Sequence[str], seed: int, run: Run
    ) -> int:
        """After how many epochs a fit to the other visible genes predicts the genes `held` best."""
        others = [gene for gene in problem.visible if gene not in set(held)]
        if not others:
            raise Skipped("early stopping keeps visible genes aside and none would be left; use early_stop=None.")
        fit = self.begin(problem, gathers, others, seed, run.device)
        sources = _on(run.device, gathers @ problem.cells.of(held))
        truth = _on(run.device, problem.spots.of(held))
        best, chosen = -math.inf, 0
        for epoch in range(1, self.epochs + 1):
            fit.step()
            score = None
            if epoch % stop.every == 0 or epoch == self.epochs:
                score = _mean_pcc(fit.image(sources), truth)
                if score > best:
                    best, chosen = score, epoch
            run.report(epoch, 2 * self.epochs, validation=score)
            if epoch - chosen >= stop.every * stop.patience:
                break
        return chosen

    def begin(self, problem: Problem, gathers: csr_array, genes: Sequence[str], seed: int, device: str) -> Mapping:
        """A fresh mapping that is to reproduce the given visible genes."""
        expression, truth = gathers @ problem.cells.of(genes), problem.spots.of(genes)
        told = expression.any(axis=0) & truth.any(axis=0)
        if not told.any():
            raise Skipped("no visible gene is found both in the cells and in the spots; Tangram needs one at least.")
        sizes = gathers.sum(axis=1, dtype=np.float64)
        density = problem.spots.lognorm.sum(axis=1, dtype=np.float64)
        rng = torch.Generator().manual_seed(seed)  # on the processor, so that every device starts alike
        start = torch.randn(len(expression), len(truth), generator=rng).to(device)
        return Mapping(
            start,
            _on(device, expression[:, told]),
            _on(device, sizes / sizes.sum()),
            _on(device, truth[:, told]),
            _on(device, density / density.sum()),
            Weights(self.lambda_g1, self.lambda_g2, self.lambda_d, self.lambda_r),
            self.lr,
        )


def _on(device: str, array: Array) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(array, dtype=np.float32)).to(device)


def _a_fifth(genes: Sequence[str], rng: np.random.Generator) -> list[str]:
    """A fifth of the genes and at least one, whatever their order."""
    return [str(gene) for gene in rng.choice(sorted(genes), max(1, len(genes) // 5), replace=False)]


def _mean_pcc(found: Tensor, truth: Tensor) -> float:
    """Mean over columns of Pearson's correlation; a column that is constant on either side counts 0."""
    a, b = (side - side.mean(dim=0) for side in (found, truth))
    lengths = a.norm(dim=0) * b.norm(dim=0)
    return float(torch.where(lengths > 0, (a * b).sum(dim=0) / lengths, 0.0).mean())


def _indicator(rows: NDArray[np.intp], columns: NDArray[np.intp], width: int) -> csr_array:
    """A matrix with a 1 at each (row, column) and as many rows as are named."""
    return csr_array((np.ones(len(rows), np.float32), (rows, columns)), shape=(int(rows.max()) + 1, width))
