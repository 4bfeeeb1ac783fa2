"""Score model of single cells by denoising score matching, and annealed Langevin sampling with a likelihood.

Shapes: B samples, G genes, K cell types, H hidden width. x is (B, G), log-normalised expression minus its type's mean;
the score of x noised with sd sigma is s(x, sigma) = grad log p_sigma(x), and eps = -sigma s the expected noise.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..component import Component
from ..spadit.layers import MLP, Streams, generator, linear, zero_linear

Report = Callable[[], None]
"""Told of every gradient step and of every noise level that is done; may end the run by raising."""


@dataclass(frozen=True)
class NoiseLevels(Component):
    """`count` sds of the noise, geometric from `high` to `low`."""

    high: float = 10.0
    low: float = 0.01
    count: int = 40

    def __post_init__(self) -> None:
        if not (self.high > self.low > 0.0 and self.count >= 2):
            raise ValueError(f"{self}: expected high above low, low above 0, and a count of at least 2.")

    def sigmas(self) -> Tensor:
        """(count,) descending."""
        return torch.logspace(math.log10(self.high), math.log10(self.low), self.count, dtype=torch.float64).float()


@dataclass(frozen=True)
class ScoreMatching(Component):
    """Denoising score matching with the L1 loss |sigma s + eps| of the paper: Adam, clipped gradients, EMA weights.

    hidden, blocks: width H of the network and its residual blocks.
    epochs: passes over the cells in batches of `batch`; most_steps: gradient steps at most, None for no limit.
    lr: Adam's. clip: largest norm of a gradient.
    ema: decay of the averaged weights, which are the result; it grows to this as (1 + k) / (10 + k) over steps k.
    """

    hidden: int = 128
    blocks: int = 3
    epochs: int = 3000
    most_steps: int | None = 1000
    batch: int = 256
    lr: float = 1e-3
    clip: float = 1.0
    ema: float = 0.999

    def __post_init__(self) -> None:
        counts = (self.hidden, self.blocks, self.epochs, self.batch, self.most_steps or 1)
        if min(counts) < 1 or min(self.lr, self.clip) <= 0.0 or not 0.0 <= self.ema < 1.0:
            raise ValueError(f"{self}: counts are at least 1, lr and clip above 0, ema from 0 to below 1.")

    def steps(self, n: int) -> int:
        """Gradient steps on n cells."""
        steps = self.epochs * math.ceil(n / self.batch)
        return steps if self.most_steps is None else min(steps, self.most_steps)

    def fit(self, x: Tensor, types: Tensor, means: Tensor, levels: NoiseLevels, seed: int, report: Report) -> ScoreNet:
        """The network trained on x (n, G) of the given types (n,), whose means are (K, G)."""
        device = x.device
        net = ScoreNet(x.std(0, correction=0), means, self.hidden, self.blocks, generator(seed)).to(device)
        weights: list[Tensor] = list(net.parameters())
        average = [weight.detach().clone() for weight in weights]
        optimizer = torch.optim.Adam(weights, lr=self.lr)
        sigmas, rng = levels.sigmas().to(device), generator(seed + 1, str(device))
        for step in range(self.steps(len(x))):
            cells = torch.randint(len(x), (self.batch,), generator=rng, device=device)
            sigma = sigmas[torch.randint(len(sigmas), (self.batch, 1), generator=rng, device=device)]  # (B, 1)
            eps = torch.randn(self.batch, x.shape[1], generator=rng, device=device)
            expected = net.noise(x[cells] + sigma * eps, sigma, net.given(types[cells], sigma))
            optimizer.zero_grad()
            (expected - eps).abs().mean().backward()
            nn.utils.clip_grad_norm_(weights, self.clip)
            optimizer.step()
            with torch.no_grad():
                torch._foreach_lerp_(average, weights, 1 - min(self.ema, (2 + step) / (11 + step)))
            report()
        with torch.no_grad():
            for weight, mean in zip(weights, average, strict=True):
                weight.copy_(mean)
        return net.requires_grad_(False)


class ScoreNet(nn.Module):
    """Residual MLP over genes, modulated (FiLM) by the type's mean and log sigma.

    With v the (G,) variances of x over all cells, eps = sigma x / (sigma^2 + v) + sd / sqrt(sigma^2 + v) f: the exact
    answer for independent Gaussian genes plus a residual f of order 1 at every sigma, as preconditioned by Karras et
    al. 2022; f starts as 0.
    """

    def __init__(self, sd: Tensor, means: Tensor, hidden: int, blocks: int, weights: torch.Generator) -> None:
        super().__init__()
        genes, rng = len(sd), Streams(weights, weights, 0.0)
        self.sd = nn.Buffer(sd, persistent=False)
        self.means = nn.Buffer((means - means.mean(0)) / means.std().clamp(min=1e-6), persistent=False)  # (K, G)
        self.condition = MLP(genes + 1, hidden, hidden, 2, rng)
        self.film = zero_linear(hidden, 2 * hidden * (blocks + 1))
        self.enter = linear(genes, hidden, rng)
        self.inner = nn.ModuleList(linear(hidden, hidden, rng) for _ in range(blocks))
        self.outer = nn.ModuleList(linear(hidden, hidden, rng) for _ in range(blocks))
        self.leave = zero_linear(hidden, genes)

    def given(self, types: Tensor, sigma: Tensor) -> Tensor:
        """(B, .) scales and shifts of all blocks, of types (B,) at sigma (B, 1)."""
        return self.film(F.silu(self.condition(torch.cat([self.means[types], sigma.log()], -1))))

    def noise(self, x: Tensor, sigma: Tensor, given: Tensor) -> Tensor:
        """eps (B, G) expected in x (B, G), noised with sd sigma (B, 1) or ()."""
        total = (sigma**2 + self.sd**2).sqrt()  # (B, G) or (G,)
        modulation = given.chunk(2 * (len(self.inner) + 1), -1)
        h = self.enter(x / total)
        for i, (inner, outer) in enumerate(zip(self.inner, self.outer, strict=True)):
            h = h + outer(F.silu(torch.addcmul(modulation[2 * i], inner(h), 1 + modulation[2 * i + 1])))
        h = torch.addcmul(modulation[-2], h, 1 + modulation[-1])
        return (sigma * x / total + self.sd * self.leave(h)) / total


class Likelihood(Protocol):
    """What the data say of x."""

    def gradient(self, x: Tensor, sigma: float) -> Tensor:
        """(B, G) gradient of the log-likelihood with respect to x (B, G), as it counts at noise level sigma."""


@dataclass(frozen=True, eq=False)
class ClippedLikelihood:
    """-sigma^-1 clip(clip(e^(x + mu) - 1 - y, 1) e^(x + mu), 2) on the first v genes, 0 on the others.

    The gradient of -(e^(x + mu) - 1 - y)^2 / 2, clipped and weighed as in the paper. y: (B, v) expression on the linear
    scale of the single cells. mean: (B, v) mu of the spots' types. shown: (B, v) 1 where y is known, 0 elsewhere.
    """

    y: Tensor
    mean: Tensor
    shown: Tensor

    def gradient(self, x: Tensor, sigma: float) -> Tensor:
        """(B, G)."""
        visible = self.y.shape[1]
        e = (x[:, :visible] + self.mean).clamp(max=50.0).exp()
        pull = (((e - 1 - self.y).clamp(-1, 1) * e).clamp(-2, 2)) * self.shown
        return F.pad(pull / -sigma, (0, x.shape[1] - visible))


@dataclass(frozen=True)
class Langevin(Component):
    """Annealed Langevin dynamics: x += eta (score + likelihood gradient) + sqrt(2 eta) xi, level by level.

    Exact in the limit of many steps; with few, what was drawn at high noise is not forgotten and samples are too wide.
    In the linear-Gaussian case of the tests variances are 11 to 18 % too large at the defaults, 5 to 12 % as published.

    steps: per level. rate: eta = rate (sigma / lowest sigma)^2, the paper's `step_lr`.
    """

    steps: int = 5
    rate: float = 3e-5

    def __post_init__(self) -> None:
        if self.steps < 1 or self.rate <= 0.0:
            raise ValueError(f"{self}: at least 1 step, and a rate above 0.")

    def sample(
        self,
        x: Tensor,
        sigmas: Tensor,
        score: Callable[[float], Callable[[Tensor], Tensor]],
        likelihood: Likelihood,
        rng: torch.Generator,
        report: Report = lambda: None,
    ) -> Tensor:
        """Samples (B, G) from the start x (B, G); score(sigma) is the function x -> s(x, sigma).

        Ends with a denoising step x + sigma^2 s at the lowest level.
        """
        levels = [float(sigma) for sigma in sigmas]
        for sigma in levels:
            at_level = score(sigma)
            eta = self.rate * (sigma / levels[-1]) ** 2
            for _ in range(self.steps):
                xi = torch.randn(x.shape, generator=rng, device=x.device)
                x = x + eta * (at_level(x) + likelihood.gradient(x, sigma)) + math.sqrt(2 * eta) * xi
            report()
        return x + levels[-1] ** 2 * score(levels[-1])(x)
