"""Samplers: from noise to a gene, given only a denoise function. None of them knows a model.

The contract: `denoise(x_t, t)` returns the network's prediction (..., S) for x_t (..., S) at timestep t, a () integer;
`noise()` returns fresh N(0, I) of the shape of x_t. What it is conditioned on is inside `denoise`, prepared once.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from ..component import Component
from .diffusion import Diffusion
from .layers import check_one_of

Denoise = Callable[[Tensor, Tensor], Tensor]
Noise = Callable[[], Tensor]


@dataclass(frozen=True)
class Sampler(Component):
    """A way to run the reverse process."""

    def check(self, steps: int) -> None:
        """Refuse, in one sentence, a schedule of `steps` timesteps that this sampler cannot run on."""

    @abstractmethod
    def sample(self, denoise: Denoise, diffusion: Diffusion, noise: Noise) -> Tensor:
        """A sample x0 of the shape that `noise` returns."""


@dataclass(frozen=True)
class DDPM(Sampler):
    """Ancestral sampling, Algorithm 2: every timestep, a draw from q(x_{t-1} | x_t, x0) with the predicted x0.

    variance: "beta_tilde" (eq. 15) or "beta" (as Algorithm 2 prints). No noise is added at t = 1, where the algorithm
    prints some: the last step is the answer. The mean is eq. 15's, which equals eq. 16's for the eps that goes with x0.
    """

    variance: Literal["beta_tilde", "beta"] = "beta_tilde"

    def __post_init__(self) -> None:
        check_one_of("DDPM", "variance", self.variance, ("beta_tilde", "beta"))

    def sample(self, denoise: Denoise, diffusion: Diffusion, noise: Noise) -> Tensor:
        """T denoising steps from N(0, I)."""
        x = noise()
        times = torch.arange(diffusion.steps + 1, device=x.device)  # (T + 1,), made once: no copies between devices
        for step in range(diffusion.steps, 0, -1):
            t = times[step]  # ()
            x0 = diffusion.x0(denoise(x, t), x, t)
            x, variance = diffusion.posterior(x0, x, t)
            if self.variance == "beta":
                variance = diffusion.betas[step].to(x.dtype)
            if step > 1:
                x = x + variance.sqrt() * noise()
        return x


@dataclass(frozen=True)
class DDIM(Sampler):
    """Denoising diffusion implicit models (Song et al. 2021): few, large steps.

    steps: how many of the T timesteps are visited, evenly spaced, T among them.
    eta: 0 is deterministic given x_T; 1 has the variance of ancestral sampling.
    """

    steps: int = 10
    eta: float = 0.0

    def __post_init__(self) -> None:
        if self.steps < 1 or not 0 <= self.eta <= 1:
            raise ValueError(f"DDIM(steps={self.steps}, eta={self.eta}): steps must be >= 1 and eta in [0, 1].")

    def check(self, steps: int) -> None:
        """Cannot visit more timesteps than there are."""
        if self.steps > steps:
            raise ValueError(f"DDIM(steps={self.steps}) visits more timesteps than the schedule's {steps}.")

    def sample(self, denoise: Denoise, diffusion: Diffusion, noise: Noise) -> Tensor:
        """`steps` denoising steps from N(0, I), eq. 12 of the DDIM paper."""
        x = noise()
        visited = [round(diffusion.steps * (self.steps - i) / self.steps) for i in range(self.steps)]
        times = torch.tensor(visited, device=x.device)  # (steps,)
        bars = diffusion.bars[[*visited, 0]].tolist()  # steps + 1 numbers, abar_0 = 1 the last
        for t, bar, after in zip(times, bars[:-1], bars[1:], strict=True):
            x0 = diffusion.x0(denoise(x, t), x, t)
            eps = diffusion.eps(x0, x, t)
            sigma = self.eta * ((1 - after) / (1 - bar) * (1 - bar / after)) ** 0.5
            x = after**0.5 * x0 + max(1 - after - sigma**2, 0.0) ** 0.5 * eps
            if sigma > 0:
                x = x + sigma * noise()
        return x
