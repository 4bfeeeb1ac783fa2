"""The diffusion process of one gene: schedules, forward, posterior, reverse, score, and what a network predicts.

A sample is a gene: x0 (..., B, S), its ST expression in the spot space. Equations are those of the paper's supplement;
it is misprinted in places (a root, a bar, a square or an index is missing), and each docstring says how it is read.
Timesteps t run from 1 to T, as () or (B,) integers; coefficients are kept in float64 and cast to the data's type.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from ..component import Component

LEAST_NOISE = 1e-3
"""Largest abar_T of a usable schedule: sampling starts from N(0, I), so x_T must hold (almost) nothing of x0."""


@dataclass(frozen=True)
class Schedule(Component):
    """How noise grows over the `steps` (T) of the forward process. Refuses to exist if x_T would still show x0."""

    steps: int = 1000

    def __post_init__(self) -> None:
        if self.steps < 2:
            raise ValueError(f"{type(self).__name__}(steps={self.steps}): a schedule needs at least 2 steps.")
        left = float(torch.prod(1 - self.betas()))
        if left > LEAST_NOISE:
            raise ValueError(
                f"{type(self).__name__}(steps={self.steps}) ends at abar_T = {left:.2g} > {LEAST_NOISE}, but sampling "
                "starts from pure noise; use larger betas."
            )

    @abstractmethod
    def betas(self) -> Tensor:
        """(T,) float64 noise variances beta_1 ... beta_T in (0, 1)."""


@dataclass(frozen=True)
class Quadratic(Schedule):
    """Eq. 31, the paper's schedule: sqrt(beta_t) grows linearly.

    The paper gives no beta_1 and beta_T. `first` and `last` hold for T = 1000 and are multiplied by 1000/T otherwise,
    capped at 0.999, so that the total noise hardly depends on T.
    """

    first: float = 1e-4
    last: float = 0.02

    def betas(self) -> Tensor:
        """(T,) float64, eq. 31 with scaled end points."""
        scale = 1000.0 / self.steps
        ends = [min(beta * scale, 0.999) ** 0.5 for beta in (self.first, self.last)]
        return torch.linspace(ends[0], ends[1], self.steps, dtype=torch.float64) ** 2  # (T,)


@dataclass(frozen=True)
class Linear(Schedule):
    """beta_t grows linearly (Ho, Jain & Abbeel 2020). `first` and `last` hold for T = 1000 and scale as `Quadratic`'s.

    With the same end points it adds more noise than the quadratic schedule at every step between them.
    """

    first: float = 1e-4
    last: float = 0.02

    def betas(self) -> Tensor:
        """(T,) float64."""
        scale = 1000.0 / self.steps
        ends = [min(beta * scale, 0.999) for beta in (self.first, self.last)]
        return torch.linspace(ends[0], ends[1], self.steps, dtype=torch.float64)  # (T,)


@dataclass(frozen=True)
class Cosine(Schedule):
    """abar_t = f(t) / f(0) with f(t) = cos^2((t/T + offset) / (1 + offset) pi/2) (Nichol & Dhariwal 2021, eq. 17).

    Little noise is added at either end. beta_t = 1 - abar_t / abar_{t-1} is capped at 0.999, as in that paper.
    """

    offset: float = 0.008

    def betas(self) -> Tensor:
        """(T,) float64."""
        t = torch.arange(self.steps + 1, dtype=torch.float64)
        left = torch.cos((t / self.steps + self.offset) / (1 + self.offset) * (math.pi / 2)) ** 2  # (T + 1,)
        return (1 - left[1:] / left[:-1]).clamp(max=0.999)


@dataclass(frozen=True)
class Parametrisation(Component):
    """What the network predicts. Training asks for `target`, sampling for `x0`: one object serves both."""

    @abstractmethod
    def target(self, x0: Tensor, eps: Tensor, signal: Tensor, noise: Tensor) -> Tensor:
        """(..., B, S) what the network should say; `signal` = sqrt(abar_t), `noise` = sqrt(1 - abar_t)."""

    @abstractmethod
    def x0(self, prediction: Tensor, x_t: Tensor, signal: Tensor, noise: Tensor) -> Tensor:
        """(..., B, S) the clean sample that a prediction at x_t implies."""


@dataclass(frozen=True)
class Epsilon(Parametrisation):
    """The network predicts the noise (eq. 8), as the paper does."""

    def target(self, x0: Tensor, eps: Tensor, signal: Tensor, noise: Tensor) -> Tensor:
        """The noise itself."""
        return eps

    def x0(self, prediction: Tensor, x_t: Tensor, signal: Tensor, noise: Tensor) -> Tensor:
        """Eq. 10 solved for x0."""
        return (x_t - noise * prediction) / signal


@dataclass(frozen=True)
class CleanSample(Parametrisation):
    """The network predicts x0. On small real pairs this decides whether anything is learnt at all (the default)."""

    def target(self, x0: Tensor, eps: Tensor, signal: Tensor, noise: Tensor) -> Tensor:
        """The clean sample itself."""
        return x0

    def x0(self, prediction: Tensor, x_t: Tensor, signal: Tensor, noise: Tensor) -> Tensor:
        """The prediction itself."""
        return prediction


@dataclass(frozen=True)
class Velocity(Parametrisation):
    """The network predicts v = sqrt(abar) eps - sqrt(1 - abar) x0 (Salimans & Ho 2022)."""

    def target(self, x0: Tensor, eps: Tensor, signal: Tensor, noise: Tensor) -> Tensor:
        """The velocity."""
        return signal * eps - noise * x0

    def x0(self, prediction: Tensor, x_t: Tensor, signal: Tensor, noise: Tensor) -> Tensor:
        """Rotate (x_t, v) back."""
        return signal * x_t - noise * prediction


class Diffusion:
    """A schedule and a parametrisation as tensors: everything training and samplers compute with."""

    def __init__(self, schedule: Schedule, parametrisation: Parametrisation, device: str = "cpu") -> None:
        self.steps = schedule.steps
        self.parametrisation = parametrisation
        betas = schedule.betas()
        bars = torch.cat([torch.ones(1, dtype=torch.float64), torch.cumprod(1 - betas, 0)])
        self.betas = torch.cat([torch.zeros(1, dtype=torch.float64), betas]).to(device)  # (T + 1,), beta_0 = 0
        self.bars = bars.to(device)  # (T + 1,), abar_0 = 1

    def bar(self, t: Tensor, like: Tensor) -> Tensor:
        """abar_t as () or (B, 1), in float64."""
        return _column(self.bars[t], like)

    def amplitudes(self, t: Tensor, like: Tensor) -> tuple[Tensor, Tensor]:
        """sqrt(abar_t) and sqrt(1 - abar_t), each () or (B, 1), in the data's type."""
        bar = self.bar(t, like)
        return bar.sqrt().to(like.dtype), (1 - bar).sqrt().to(like.dtype)

    def forward(self, x0: Tensor, t: Tensor, eps: Tensor) -> Tensor:
        """(..., B, S) x_t = sqrt(abar_t) x0 + sqrt(1 - abar_t) eps, eq. 10 (the root is missing in eq. 3 and 8)."""
        signal, noise = self.amplitudes(t, x0)
        return signal * x0 + noise * eps

    def target(self, x0: Tensor, t: Tensor, eps: Tensor) -> Tensor:
        """(..., B, S) what the network should predict at x_t."""
        return self.parametrisation.target(x0, eps, *self.amplitudes(t, x0))

    def x0(self, prediction: Tensor, x_t: Tensor, t: Tensor) -> Tensor:
        """(..., B, S) the clean sample that a prediction implies; what it says of the variance is left out."""
        return self.parametrisation.x0(prediction[..., : x_t.shape[-1]], x_t, *self.amplitudes(t, x_t))

    def learned_log_variance(self, prediction: Tensor, x_t: Tensor, t: Tensor) -> Tensor:
        """(..., B, S) log variance of p(x_{t-1} | x_t) that a prediction of 2 S columns says in its second half.

        v log beta_t + (1 - v) log beta~_t with v = (1 + said) / 2, eq. 15 of Nichol & Dhariwal 2021; beta~_1, which is
        0, counts as beta~_2, as there.
        """
        v = (1 + prediction[..., x_t.shape[-1] :]) / 2
        later = t.clamp(min=2)
        tilde = (1 - self.bar(later - 1, x_t)) / (1 - self.bar(later, x_t)) * _column(self.betas[later], x_t)
        high, low = _column(self.betas[t], x_t).log().to(x_t.dtype), tilde.log().to(x_t.dtype)
        return v * high + (1 - v) * low

    def eps(self, x0: Tensor, x_t: Tensor, t: Tensor) -> Tensor:
        """(..., B, S) the noise between x0 and x_t: eq. 10 solved for eps (eq. 6)."""
        signal, noise = self.amplitudes(t, x_t)
        return (x_t - signal * x0) / noise

    def posterior(self, x0: Tensor, x_t: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        """Mean (..., B, S) and variance () or (B, 1) of q(x_{t-1} | x_t, x0), eq. 13-15.

        Read as mu~ = [sqrt(alpha_t) (1 - abar_{t-1}) x_t + sqrt(abar_{t-1}) beta_t x0] / (1 - abar_t); in print the
        roots of eq. 15 cover (1 - abar_{t-1}) and beta_t as well. The variance is beta~_t.
        """
        bar, before, beta = self.bar(t, x_t), self.bar(t - 1, x_t), _column(self.betas[t], x_t)
        of_x_t = (1 - beta).sqrt() * (1 - before) / (1 - bar)
        of_x0 = before.sqrt() * beta / (1 - bar)
        variance = (1 - before) / (1 - bar) * beta
        return of_x_t.to(x_t.dtype) * x_t + of_x0.to(x_t.dtype) * x0, variance.to(x_t.dtype)

    def reverse_mean(self, eps: Tensor, x_t: Tensor, t: Tensor) -> Tensor:
        """(..., B, S) mean of p(x_{t-1} | x_t): (x_t - beta_t / sqrt(1 - abar_t) eps) / sqrt(alpha_t), eq. 16.

        Eq. 16 prints abar_t where alpha_t is meant (eq. 3 and Algorithm 2 have it).
        """
        beta, bar = _column(self.betas[t], x_t), self.bar(t, x_t)
        of_eps = (beta / (1 - bar).sqrt()).to(x_t.dtype)
        return (x_t - of_eps * eps) / (1 - beta).sqrt().to(x_t.dtype)

    def score(self, eps: Tensor, t: Tensor) -> Tensor:
        """(..., B, S) the gradient of log q(x_t): -eps / sqrt(1 - abar_t), eq. 6 and 23 (printed without the bar)."""
        return -eps / self.amplitudes(t, eps)[1]


def _column(values: Tensor, like: Tensor) -> Tensor:
    """() stays (); (B,) becomes (B, 1), to go with (..., B, S)."""
    return values.to(like.device).unsqueeze(-1) if values.ndim else values.to(like.device)
