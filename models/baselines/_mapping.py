"""A soft mapping of cells onto spots, fitted by gradient descent: what Tangram minimises, and how."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

CPU_BLOCK = 2 * 2**20
"""Bytes of the mapping that are updated at once on a processor: they stay in its cache from one pass to the next."""

DEVICE_BLOCK = 256 * 2**20
"""The same on an accelerator, where few large steps cost less than many small ones."""

SHORTEST = 1e-8
"""Length below which a vector counts as this long, so that its cosine is finite."""


@dataclass(frozen=True)
class Weights:
    """Of the terms of the objective: cosine over genes, cosine over spots, density, and entropy."""

    genes: float = 1.0
    spots: float = 0.0
    density: float = 1.0
    entropy: float = 0.0


class Mapping:
    """A = softmax(M) over spots, (u, s), between u units (cells, or groups of them) and s spots.

    Minimises - genes mean_k cos((A'S)_k, G_k) - spots mean_j cos((A'S)^j, G^j) + density KL(d || A'w)
    - entropy sum A ln A by Adam. The gradient is written out: everything beyond the image A'S is linear in A, so one
    pass over blocks of units makes their gradient, takes the step and renews A, while M, A and Adam's two moments are
    all that exists of size (u, s): 16 bytes per entry.

    start: (u, s) float32 M to start from; it is changed in place. expression: (u, g) S. shares: (u,) w, sums to 1.
    truth: (s, g) G. density: (s,) d, sums to 1.
    """

    def __init__(
        self,
        start: Tensor,
        expression: Tensor,
        shares: Tensor,
        truth: Tensor,
        density: Tensor,
        weights: Weights,
        lr: float,
    ) -> None:
        self.weights, self.truth, self.density = weights, truth, density
        # The last column makes A'w the last column of the image.
        self.sources = torch.cat([expression, shares[:, None]], dim=1)  # (u, g + 1)
        rows = max(1, (CPU_BLOCK if start.device.type == "cpu" else DEVICE_BLOCK) // (4 * start.shape[1]))
        self.blocks = [torch.nn.Parameter(block) for block in start.split(rows)]
        self.optimizers = [torch.optim.Adam([block], lr=lr, fused=True) for block in self.blocks]
        self.gradient = torch.empty_like(start[:rows])
        self.assigned = start.softmax(dim=1)  # A

    @torch.no_grad()
    def image(self, sources: Tensor) -> Tensor:
        """(s, h) of (u, h): the sum over units of what each has, times how much of it is at the spot."""
        return self.assigned.T @ sources

    @torch.no_grad()
    def objective(self) -> float:
        """What is minimised, at the mapping as it is."""
        image = self.image(self.sources)
        expression, mass = image[:, :-1], image[:, -1]
        value = self.weights.density * torch.xlogy(self.density, self.density / _positive(mass)).sum()
        for weight, dim in ((self.weights.genes, 0), (self.weights.spots, 1)):
            value -= weight * mean_cosine(expression, _unit(self.truth, dim), dim)[0]
        if self.weights.entropy:
            value += self.weights.entropy * torch.special.entr(self.assigned).sum()
        return float(value)

    @torch.no_grad()
    def step(self) -> None:
        """One step of Adam on all of M."""
        slopes = self.slopes().T  # (g + 1, s)
        first = 0
        for block, optimizer in zip(self.blocks, self.optimizers, strict=True):
            part = slice(first, first := first + len(block))
            assigned, gradient = self.assigned[part], self.gradient[: len(block)]
            torch.mm(self.sources[part], slopes, out=gradient)
            if self.weights.entropy:
                gradient.sub_(_positive(assigned).log_().add_(1.0), alpha=self.weights.entropy)
            # Back through the softmax.
            gradient.mul_(assigned)
            gradient.addcmul_(assigned, gradient.sum(dim=1, keepdim=True), value=-1.0)
            block.grad = gradient
            optimizer.step()
            torch.softmax(block, dim=1, out=assigned)

    def slopes(self) -> Tensor:
        """(s, g + 1): the objective's gradient in the image of the sources, entropy aside."""
        image = self.image(self.sources)
        slopes = torch.zeros_like(image)
        for weight, dim in ((self.weights.genes, 0), (self.weights.spots, 1)):
            if weight:
                slopes[:, :-1].sub_(mean_cosine(image[:, :-1], _unit(self.truth, dim), dim)[1], alpha=weight)
        slopes[:, -1] = -self.weights.density * self.density / _positive(image[:, -1])
        return slopes


def mean_cosine(image: Tensor, unit: Tensor, dim: int) -> tuple[Tensor, Tensor]:
    """Mean cosine of the columns (dim 0) or rows (dim 1) of two matrices, the second's of length 1, and its gradient.

    A vector of zeros in the second has cosine 0 with everything.
    """
    length = image.norm(dim=dim, keepdim=True).clamp_(min=SHORTEST)
    cosine = (image * unit).sum(dim=dim, keepdim=True) / length
    count = cosine.numel()
    return cosine.mean(), torch.addcmul(unit / (count * length), image, cosine / (count * length**2), value=-1.0)


def _unit(vectors: Tensor, dim: int) -> Tensor:
    return vectors / vectors.norm(dim=dim, keepdim=True).clamp_(min=SHORTEST)


def _positive(values: Tensor) -> Tensor:
    return values.clamp(min=torch.finfo(values.dtype).tiny)
