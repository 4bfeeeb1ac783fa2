"""Losses of a training step: what the difference between prediction and target costs, on the entries that were noised.

Shapes: see `layers`.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass

from torch import Tensor, nn

from ..component import Component
from .diffusion import Diffusion
from .likelihood import weight_of_eps


@dataclass(frozen=True)
class Batch:
    """What a loss may look at. noised, zero: (B, S) which entries count, and which are zero in expression.

    said, wanted: (B, S) prediction and target. x0, x_t: (B, S). t: (B,).
    """

    said: Tensor
    wanted: Tensor
    noised: Tensor
    zero: Tensor
    x0: Tensor
    x_t: Tensor
    t: Tensor

    def mean(self, cost: Tensor) -> Tensor:
        """() mean of (B, S) over the noised entries."""
        return (cost * self.noised).sum() / self.noised.sum().clamp(min=1)


@dataclass(frozen=True)
class Loss(Component):
    """A rule of what errors cost."""

    @abstractmethod
    def of(self, batch: Batch, diffusion: Diffusion) -> Tensor:
        """() the loss of a batch."""


@dataclass(frozen=True)
class SquaredError(Loss):
    """Eq. 8, in the chosen parametrisation: the same weight for every timestep."""

    def of(self, batch: Batch, diffusion: Diffusion) -> Tensor:
        """() mean squared error."""
        return batch.mean((batch.said - batch.wanted).square())


@dataclass(frozen=True)
class BoundWeighted(Loss):
    """The terms of the variational bound, eq. 22: the squared error of eps, weighted, with the variance beta_t."""

    def of(self, batch: Batch, diffusion: Diffusion) -> Tensor:
        """() mean weighted squared error."""
        guess = diffusion.x0(batch.said, batch.x_t, batch.t)
        apart = diffusion.eps(batch.x0, batch.x_t, batch.t) - diffusion.eps(guess, batch.x_t, batch.t)  # (B, S)
        weight = weight_of_eps(diffusion, batch.t, diffusion.betas[batch.t]).to(apart.dtype)  # (B,)
        return batch.mean(weight.unsqueeze(-1) * apart.square())


@dataclass(frozen=True)
class Released(Loss):
    """The released code's: squared error where the gene is expressed, plus Huber's loss where it is not.

    Either is a sum over its entries divided by all entries, as there. delta: where Huber's loss turns linear.
    """

    delta: float = 1.0

    def __post_init__(self) -> None:
        if self.delta <= 0:
            raise ValueError(f"Released(delta={self.delta}): must be above 0.")

    def of(self, batch: Batch, diffusion: Diffusion) -> Tensor:
        """() both together."""
        squared = (batch.said - batch.wanted).square()
        huber = nn.functional.huber_loss(batch.said, batch.wanted, reduction="none", delta=self.delta)
        return ((squared * ~batch.zero + huber * batch.zero) * batch.noised).mean()
