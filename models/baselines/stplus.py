"""stPlus: reference-based transfer of genes through the hidden layer of a joint autoencoder.

Chen, Zhang, Chen, Zhang & Jiang, Bioinformatics 2021, doi:10.1093/bioinformatics/btab298. Written from the maths: one
autoencoder reads cells and spots by the genes they share, reproduces these for spots and predicts the other genes for
cells; the nearest cells of a spot in its hidden layer give the spot's genes, weighted as by SpaGE.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from ..method import Array, Method, Needs, Problem, Run
from ._neighbours import Floats, nearest, weighted_sds, weighted_sums
from .spage import neighbour_weights


@dataclass(frozen=True)
class StPlus(Method):
    """Weighted mean over the cells nearest to a spot in the hidden layer of an autoencoder of both.

    With g shared (visible) genes of D, q the share of non-zero values of the cells, and f the network with layers D ->
    hidden -> D and a ReLU after both, a mini-batch of cells and spots has the loss

        L = sum_spots |f(y, 0) - y|^2 + g / (D - g) n_spots / n_cells sum_cells |w (f(x, 0) - x)|^2

    with (., 0) a profile whose other genes are set to 0; the first norm is over shared genes and the second over the
    others, where w^2 is 1 if x > 0 and q if x = 0. Training ends when L, averaged over an epoch, changes by less than
    `tolerance` of itself. Each network of the `kept` epochs of lowest L predicts, cells then entering with all D genes
    as in the original; the answer is their mean.

    Differs from the published code, by default and in `published()`: the other genes are the most variable SC genes
    whatever is asked for, so that a gene's prediction does not depend on the other targets (the original adds the
    targets to them); if there are fewer than `other_genes`, all of them serve, and if there are none, L is its first
    term; convergence is not asked for before `kept` epochs are done, else a single network might answer; networks stay
    in memory; a spot with fewer than two neighbours at cosine distance below 1 is answered as SpaGE does here. The
    defaults differ from `published()` in `max_epochs` alone.

    other_genes: how many of the most variable SC genes beyond the visible ones the network predicts, at most.
    hidden: width of the hidden layer.
    lr: Adam's learning rate; None is the original's, 4e-3 below 10,000 cells and 8e-5 from there on.
    weight_decay: of Adam, added to the gradient.
    batch: cells and spots together.
    tolerance: relative change of the loss below which training ends.
    max_epochs: epochs at which it ends at the latest.
    kept: networks that answer.
    neighbours: nearest cells per spot, at most all of them.
    """

    needs: ClassVar[Needs] = Needs(randomness=True)
    label: ClassVar[str] = "stPlus"
    spread: ClassVar[str] = "Expression over the neighbouring single cells in all networks, with their weights."

    other_genes: int = 2000
    hidden: int = 1000
    lr: float | None = None
    weight_decay: float = 2e-4
    batch: int = 512
    tolerance: float = 0.004
    max_epochs: int = 200
    kept: int = 5
    neighbours: int = 50

    def __post_init__(self) -> None:
        for name in ("hidden", "batch", "max_epochs", "kept", "neighbours"):
            if getattr(self, name) < 1:
                raise ValueError(f"StPlus({name}={getattr(self, name)}): at least 1.")

    @classmethod
    def published(cls) -> StPlus:
        """The settings of the authors' package: up to 10,000 epochs."""
        return cls(max_epochs=10_000)

    @classmethod
    def tiny(cls) -> StPlus:
        """A small network for a fixed number of epochs."""
        return cls(hidden=64, tolerance=0.0, max_epochs=8)

    def impute(self, problem: Problem, run: Run) -> Array:
        """(n_spots, n_targets) float64."""
        return self._impute(problem, run, with_sd=False)[0]

    def impute_with_sd(self, problem: Problem, run: Run) -> tuple[Array, Array | None]:
        """`impute`, and the weighted sd over the neighbours in all networks together, (n_spots, n_targets) float64."""
        return self._impute(problem, run, with_sd=True)

    def _impute(self, problem: Problem, run: Run, with_sd: bool) -> tuple[Array, Array | None]:
        # By name, so that another order of genes changes nothing.
        shared, others = sorted(problem.visible), most_variable(problem, self.other_genes)
        cells = torch.from_numpy(problem.cells.of([*shared, *others])).to(run.device)
        spots = torch.from_numpy(problem.spots.of(shared)).to(run.device)
        encoders = self.trained(cells, spots, run)
        expression = problem.cells.of(problem.targets)
        mean, within, between = (np.zeros((len(spots), expression.shape[1])) for _ in range(3))
        for k, encoder in enumerate(encoders, start=1):
            indices, distances = nearest(encoder.embedded(spots), encoder.embedded(cells), self.neighbours)
            weights = neighbour_weights(distances)
            found = weighted_sums(indices, weights, expression)
            if with_sd:
                within += weighted_sds(indices, weights, expression) ** 2
                between += (found - mean) ** 2 * (k - 1) / k
            mean += (found - mean) / k
        return mean, np.sqrt((within + between) / len(encoders)) if with_sd else None

    def trained(self, cells: Tensor, spots: Tensor, run: Run) -> list[Encoder]:
        """The encoders of the epochs of lowest loss, lowest first; cells (n_cells, D), spots (n_spots, g)."""
        rng = torch.Generator().manual_seed(int(run.rng.integers(2**62)))  # on the processor, alike for every device
        network = Autoencoder(cells.shape[1], spots.shape[1], self.hidden, rng).to(cells.device)
        optimizer = self.optimizer(network, len(cells))
        best: list[tuple[float, int, Encoder]] = []
        last = math.inf
        for epoch in range(1, self.max_epochs + 1):
            loss = self.epoch(network, optimizer, cells, spots, rng)
            run.report(epoch, self.max_epochs)
            if epoch > self.kept and abs(last - loss) <= self.tolerance * last:
                break
            last = loss
            if len(best) < self.kept or loss < best[-1][0]:
                best = sorted([*best, (loss, epoch, network.encoder())])[: self.kept]
        run.report(self.max_epochs, self.max_epochs)
        return [encoder for _, _, encoder in best]

    def optimizer(self, network: Autoencoder, n_cells: int) -> torch.optim.Optimizer:
        """Adam at `lr`, or at the original's rate for so many cells."""
        lr = self.lr if self.lr is not None else 4e-3 if n_cells < 10_000 else 8e-5
        return torch.optim.Adam(network.parameters(), lr=lr, weight_decay=self.weight_decay, fused=True)

    def epoch(
        self, network: Autoencoder, optimizer: torch.optim.Optimizer, cells: Tensor, spots: Tensor, rng: torch.Generator
    ) -> float:
        """One pass over cells and spots in random order; the mean loss of its mini-batches."""
        density, scale = float((cells != 0).float().mean()), len(spots) / len(cells)
        losses = []
        for rows in torch.randperm(len(spots) + len(cells), generator=rng).to(cells.device).split(self.batch):
            y, x = spots[rows[rows < len(spots)]], cells[rows[rows >= len(spots)] - len(spots)]
            loss = network.loss(y, x, density, scale)
            optimizer.zero_grad(set_to_none=False)  # what only decays keeps its gradient of 0
            loss.backward()
            optimizer.step()
            losses.append(loss.detach())
        return float(torch.stack(losses).mean())


@dataclass(frozen=True, eq=False)
class Encoder:
    """The first layer of a network, to stay: weight (hidden, D), bias (hidden,)."""

    weight: Tensor
    bias: Tensor

    def embedded(self, rows: Tensor) -> Floats:
        """(n, hidden) float64 of (n, D), or of (n, g) shared genes where the others are 0."""
        hidden = torch.relu(rows @ self.weight[:, : rows.shape[1]].T + self.bias)
        return hidden.cpu().numpy().astype(np.float64)


class Autoencoder(nn.Module):
    """Two layers with ReLUs, each in two parts: shared genes, and the others.

    No loss ever looks at what the first layer makes of the others, so that part only decays; it is kept because cells
    are embedded with all their genes.
    """

    def __init__(self, genes: int, shared: int, hidden: int, rng: torch.Generator) -> None:
        super().__init__()

        def drawn(*shape: int, inputs: int) -> nn.Parameter:
            return nn.Parameter((2.0 * torch.rand(shape, generator=rng) - 1.0) / math.sqrt(inputs))

        self.in_shared = drawn(hidden, shared, inputs=genes)
        self.in_others = drawn(hidden, genes - shared, inputs=genes)
        self.in_bias = drawn(hidden, inputs=genes)
        self.out_shared = drawn(shared, hidden, inputs=hidden)
        self.out_others = drawn(genes - shared, hidden, inputs=hidden)
        self.out_bias = drawn(genes, inputs=hidden)
        self.in_others.grad = torch.zeros_like(self.in_others)

    def loss(self, spots: Tensor, cells: Tensor, density: float, scale: float) -> Tensor:
        """() L of a mini-batch: spots (b, g), cells (c, D); density: q; scale: n_spots / n_cells."""
        g, others = len(self.out_shared), len(self.out_others)
        error = self.decoded(spots, self.out_shared, self.out_bias[:g]) - spots
        loss = error.square().sum()
        if others:
            wanted = cells[:, g:]
            error = self.decoded(cells[:, :g], self.out_others, self.out_bias[g:]) - wanted
            error = torch.where(wanted == 0, density * error.square(), error.square())
            loss = loss + error.sum() * (g / others * scale)
        return loss

    def decoded(self, shared: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        """(n, h) genes of the given part of the second layer, from (n, g) shared genes."""
        hidden = torch.relu(torch.addmm(self.in_bias, shared, self.in_shared.T))
        return torch.relu(torch.addmm(bias, hidden, weight.T))

    def encoder(self) -> Encoder:
        """A copy of the first layer as it is."""
        weight = torch.cat([self.in_shared, self.in_others], dim=1)
        return Encoder(weight.detach().clone(), self.in_bias.detach().clone())


def most_variable(problem: Problem, count: int) -> list[str]:
    """Names, sorted, of the SC genes beyond the visible ones with the largest variance; of equal ones the first."""
    others = sorted(set(problem.cells.genes) - set(problem.visible))
    variance = problem.cells.of(others).var(axis=0, dtype=np.float64)
    return sorted(others[i] for i in np.argsort(-variance, kind="stable")[:count])
