"""Samplers: from noise to a gene, given only a denoise function. None of them knows a model.

The contract: `denoise(x_t, t)` returns the network's prediction (..., S) for x_t (..., S) at timestep t, a () integer,
or (..., 2 S) where the sampler `learns_variance`; `noise()` returns fresh N(0, I) of the shape of x_t. What it is
conditioned on is inside `denoise`, prepared once.
"""

from __future__ import annotations

import itertools
import math
from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from ..component import Component
from .diffusion import Diffusion

Denoise = Callable[[Tensor, Tensor], Tensor]
Noise = Callable[[], Tensor]


@dataclass(frozen=True)
class Sampler(Component):
    """A way to run the reverse process."""

    @property
    def learns_variance(self) -> bool:
        """Whether the network must also predict the variance: 2 S columns, the second half for it."""
        return False

    def check(self, steps: int) -> None:
        """Refuse, in one sentence, a schedule of `steps` timesteps that this sampler cannot run on."""

    @abstractmethod
    def sample(self, denoise: Denoise, diffusion: Diffusion, noise: Noise) -> Tensor:
        """A sample x0 of the shape that `noise` returns."""


@dataclass(frozen=True)
class DDPM(Sampler):
    """Ancestral sampling, Algorithm 2: every timestep, a draw from q(x_{t-1} | x_t, x0) with the predicted x0.

    variance: "beta_tilde" (eq. 15), "beta" (as Algorithm 2 prints), or "learned": a network that also predicts it,
    trained with the hybrid loss of Nichol & Dhariwal 2021. No noise is added at t = 1, where the algorithm prints some:
    the last step is the answer. The mean is eq. 15's, which equals eq. 16's for the eps that goes with x0.
    """

    variance: Literal["beta_tilde", "beta", "learned"] = "beta_tilde"

    @property
    def learns_variance(self) -> bool:
        """Only where `variance` says so."""
        return self.variance == "learned"

    def sample(self, denoise: Denoise, diffusion: Diffusion, noise: Noise) -> Tensor:
        """T denoising steps from N(0, I)."""
        x = noise()
        times = torch.arange(diffusion.steps + 1, device=x.device)  # (T + 1,), made once: no copies between devices
        for step in range(diffusion.steps, 0, -1):
            t = times[step]  # ()
            said = denoise(x, t)
            mean, variance = diffusion.posterior(diffusion.x0(said, x, t), x, t)
            if self.variance == "beta":
                variance = diffusion.betas[step].to(x.dtype)
            elif self.variance == "learned":
                variance = diffusion.learned_log_variance(said, x, t).exp()
            x = mean if step == 1 else mean + variance.sqrt() * noise()
        return x


@dataclass(frozen=True)
class FewSteps(Sampler):
    """A sampler that visits `steps` of the T timesteps, evenly spaced, T among them."""

    steps: int = 10

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise ValueError(f"{type(self).__name__}(steps={self.steps}): steps must be at least 1.")

    def check(self, steps: int) -> None:
        """Cannot visit more timesteps than there are."""
        if self.steps > steps:
            raise ValueError(
                f"{type(self).__name__}(steps={self.steps}) visits more timesteps than the schedule's {steps}."
            )

    def visits(self, diffusion: Diffusion, like: Tensor) -> tuple[Tensor, list[float]]:
        """The timesteps (steps,), falling, beside x; and their abar with abar_0 = 1 behind, steps + 1 numbers."""
        visited = [round(diffusion.steps * (self.steps - i) / self.steps) for i in range(self.steps)]
        return torch.tensor(visited, device=like.device), diffusion.bars[[*visited, 0]].tolist()


@dataclass(frozen=True)
class DDIM(FewSteps):
    """Denoising diffusion implicit models (Song, Meng & Ermon 2021): few, large steps, eq. 12 there.

    eta: 0 is deterministic given x_T; 1 has the variance of ancestral sampling.
    """

    eta: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.eta <= 1:
            raise ValueError(f"DDIM(eta={self.eta}): eta must be in [0, 1].")

    def sample(self, denoise: Denoise, diffusion: Diffusion, noise: Noise) -> Tensor:
        """`steps` denoising steps from N(0, I)."""
        x = noise()
        times, bars = self.visits(diffusion, x)
        for t, bar, after in zip(times, bars[:-1], bars[1:], strict=True):
            x0 = diffusion.x0(denoise(x, t), x, t)
            sigma = self.eta * ((1 - after) / (1 - bar) * (1 - bar / after)) ** 0.5
            # eps = (x - sqrt(abar) x0) / sqrt(1 - abar), multiplied out: two passes over a sample instead of six.
            of_x = max((1 - after - sigma**2) / (1 - bar), 0.0) ** 0.5
            x = torch.add(of_x * x, x0, alpha=after**0.5 - of_x * bar**0.5)
            if sigma > 0:
                x = x + sigma * noise()
        return x


@dataclass(frozen=True)
class DPMSolver(FewSteps):
    """DPM-Solver++(2M) (Lu, Zhou, Bao, Chen, Li & Zhu 2022, arXiv:2211.01095, algorithm 2): second order, one
    evaluation a step, deterministic given x_T.

    In lambda_t = log(signal / noise), x_s = (noise_s / noise_t) x_t - signal_s (exp(-h) - 1) D with h = lambda_s -
    lambda_t and D the predicted x0, extrapolated from the last two predictions. The step to t = 0 is of first order,
    where it is the predicted x0 itself.
    """

    def sample(self, denoise: Denoise, diffusion: Diffusion, noise: Noise) -> Tensor:
        """`steps` denoising steps from N(0, I)."""
        x = noise()
        times, bars = self.visits(diffusion, x)
        before: Tensor | None = None
        last_h = math.nan
        for t, bar, after in zip(times, bars[:-1], bars[1:], strict=True):
            x0 = diffusion.x0(denoise(x, t), x, t)
            if after == 1:
                return x0
            h = _log_snr(after) - _log_snr(bar)
            ahead = x0 if before is None else x0 + h / (2 * last_h) * (x0 - before)
            x = ((1 - after) / (1 - bar)) ** 0.5 * x - after**0.5 * math.expm1(-h) * ahead
            before, last_h = x0, h
        raise AssertionError("the last visit leads to t = 0")


@dataclass(frozen=True)
class ReverseSDE(FewSteps):
    """Eq. 5, the reverse of the variance-preserving SDE dx = -beta x / 2 dt + sqrt(beta) dw, by Euler-Maruyama.

    Between two timesteps the integral of beta is log(abar_s / abar_t). The last step takes the predicted x0.

    corrections: Langevin steps (eq. 11) at every timestep that is reached, as the corrector of Song et al. 2021.
    snr: their signal-to-noise ratio r. Their step size is delta = 2 (r |z| / |score|)^2, in norms over a batch; here it
        is 2 r^2 (1 - abar_t), what that amounts to, so that a sample does not depend on its batch-mates.
    """

    steps: int = 250
    corrections: int = 0
    snr: float = 0.16

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.corrections < 0 or self.snr <= 0:
            raise ValueError(
                f"ReverseSDE(corrections={self.corrections}, snr={self.snr}): corrections must be at least 0, snr "
                "must be above 0."
            )

    def sample(self, denoise: Denoise, diffusion: Diffusion, noise: Noise) -> Tensor:
        """`steps` denoising steps from N(0, I), and as many corrections after each but the last."""
        x = noise()
        times, bars = self.visits(diffusion, x)
        for i, (bar, after) in enumerate(itertools.pairwise(bars)):
            x0 = diffusion.x0(denoise(x, times[i]), x, times[i])
            if after == 1:
                return x0
            beta = math.log(after / bar)
            x = x + beta * (x / 2 + _score(diffusion, x0, x, times[i])) + beta**0.5 * noise()
            for _ in range(self.corrections):
                x = self.corrected(x, times[i + 1], denoise, diffusion, noise())
        raise AssertionError("the last visit leads to t = 0")

    def corrected(self, x: Tensor, t: Tensor, denoise: Denoise, diffusion: Diffusion, z: Tensor) -> Tensor:
        """Eq. 11 at timestep t, with noise z of the shape of x."""
        delta = 2 * self.snr**2 * (1 - diffusion.bar(t, x)).to(x.dtype)  # ()
        return x + delta / 2 * _score(diffusion, diffusion.x0(denoise(x, t), x, t), x, t) + delta.sqrt() * z


@dataclass(frozen=True)
class ProbabilityFlow(FewSteps):
    """The ODE with the marginals of the SDE (Song et al. 2021, eq. 13), by Heun's method: two evaluations a step.

    Deterministic given x_T. The last step takes the predicted x0.
    """

    steps: int = 25

    def sample(self, denoise: Denoise, diffusion: Diffusion, noise: Noise) -> Tensor:
        """`steps` steps from N(0, I), 2 x steps - 1 evaluations."""
        x = noise()
        times, bars = self.visits(diffusion, x)

        def slope(x: Tensor, t: Tensor) -> Tensor:
            return (x + _score(diffusion, diffusion.x0(denoise(x, t), x, t), x, t)) / 2

        for i, (bar, after) in enumerate(itertools.pairwise(bars)):
            if after == 1:
                return diffusion.x0(denoise(x, times[i]), x, times[i])
            beta = math.log(after / bar)
            here = slope(x, times[i])
            x = x + beta / 2 * (here + slope(x + beta * here, times[i + 1]))
        raise AssertionError("the last visit leads to t = 0")


def _score(diffusion: Diffusion, x0: Tensor, x: Tensor, t: Tensor) -> Tensor:
    return diffusion.score(diffusion.eps(x0, x, t), t)


def _log_snr(bar: float) -> float:
    return 0.5 * math.log(bar / (1 - bar))
