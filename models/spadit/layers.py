"""Small layers that draw from a stream they are given, never from the global one.

Shape legend of this package: B genes of a batch, C context genes, N genes in psi's scope, G genes trained on, M spots,
S dimensions of the spot space, K SC features, H hidden width, R draws, T diffusion steps. `...` is nothing in training
and R in sampling.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Streams:
    """The random streams of a network: `weights` (on the CPU) initialises it, `dropout` (on its device) drops.

    rate: the share that dropout drops, wherever the network has some.
    """

    weights: torch.Generator
    dropout: torch.Generator
    rate: float


def generator(seed: int, device: str = "cpu") -> torch.Generator:
    """A fresh random stream on a device."""
    return torch.Generator(device=device).manual_seed(seed)


def linear(n_in: int, n_out: int, rng: Streams) -> nn.Linear:
    """A linear layer, weights uniform in +-1/sqrt(n_in), bias 0."""
    layer = zero_linear(n_in, n_out)
    bound = 1.0 / math.sqrt(n_in)
    uniform(layer.weight, -bound, bound, rng)
    return layer


def zero_linear(n_in: int, n_out: int) -> nn.Linear:
    """A linear layer that starts as zero: a gate that is shut, a head that predicts nothing yet."""
    layer = nn.utils.skip_init(nn.Linear, n_in, n_out, device=torch.get_default_device())
    with torch.no_grad():
        layer.weight.zero_()
        layer.bias.zero_()
    return layer


@torch.no_grad()
def uniform(weight: Tensor, low: float, high: float, rng: Streams) -> Tensor:
    """Draw a weight, in place, uniform from `low` to `high`; a network that is only measured has nothing to draw."""
    return weight if weight.is_meta else weight.uniform_(low, high, generator=rng.weights)


def modulated(x: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    """(..., B, W) x (1 + scale) + shift, in one pass over x; shift and scale are (B, W) or (1, W)."""
    return torch.addcmul(shift, x, 1 + scale)


class Dropout(nn.Module):
    """Dropout drawn from the network's own stream: `torch.nn.Dropout` can only use the global one."""

    def __init__(self, rng: Streams) -> None:
        super().__init__()
        self.rate = rng.rate
        self.stream = rng.dropout

    def forward(self, x: Tensor) -> Tensor:
        """Zero a share `rate` of the entries of x (any shape) and rescale the rest; the identity in evaluation."""
        if not self.training or self.rate == 0:
            return x
        kept = torch.rand(x.shape, generator=self.stream, device=x.device, dtype=x.dtype) >= self.rate
        return x * kept / (1 - self.rate)


class MLP(nn.Sequential):
    """`layers` linear layers with SiLU between them; one layer is a plain linear map."""

    def __init__(self, n_in: int, hidden: int, n_out: int, layers: int, rng: Streams) -> None:
        sizes = [n_in] + [hidden] * (layers - 1) + [n_out]
        parts: list[nn.Module] = []
        for i in range(layers):
            parts.append(linear(sizes[i], sizes[i + 1], rng))
            if i < layers - 1:
                parts.append(nn.SiLU())
        super().__init__(*parts)


class TimeEmbedding(nn.Module):
    """Sinusoids of the timestep, then a two-layer MLP."""

    def __init__(self, width: int, rng: Streams, waves: int = 64) -> None:
        super().__init__()
        half = waves // 2
        self.register_buffer("rates", torch.exp(-math.log(10_000.0) * torch.arange(half) / half), persistent=False)
        self.net = MLP(waves, width, width, layers=2, rng=rng)

    def forward(self, t: Tensor) -> Tensor:
        """t: () or (B,) timesteps 0..T. Returns (1, H) or (B, H)."""
        rates: Tensor = self.rates  # type: ignore[assignment]  # a registered buffer is a tensor
        angles = t.reshape(-1, 1).to(rates.dtype) * rates  # (B, waves/2)
        return self.net(torch.cat([angles.cos(), angles.sin()], -1))  # (B, H)


def copied(tensors: Mapping[str, Tensor], device: torch.device | None = None) -> dict[str, Tensor]:
    """Copies that training will not change, on the given device or where they are."""
    return {name: tensor.detach().to(device or tensor.device, copy=True) for name, tensor in tensors.items()}
