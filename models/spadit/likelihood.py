"""The variational bound on -log p(x0), eq. 17-22: its terms, entry by entry, and the weight that eq. 22 gives eps.

Values are nats per entry, (..., B, S). The paper's L_0 is a discrete decoder; expression is continuous here, so L_0 is
the density of N(mu(x_1), Sigma_1) at x0. Shapes: see `layers`.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from .diffusion import Diffusion
from .samplers import Denoise


def step_term(diffusion: Diffusion, x0: Tensor, x_t: Tensor, t: Tensor, guess: Tensor, log_variance: Tensor) -> Tensor:
    """(..., B, S) L_{t-1} of eq. 20 for a guess at x0: KL of q(x_{t-1} | x_t, x0) to p(x_{t-1} | x_t); L_0 at t = 1.

    log_variance: of p, anything that broadcasts to x0.
    """
    true_mean, true_variance = diffusion.posterior(x0, x_t, t)
    mean, _ = diffusion.posterior(guess, x_t, t)
    apart = (true_mean - mean) ** 2 * torch.exp(-log_variance)  # (..., B, S)
    divergence = 0.5 * (log_variance - _log(true_variance) + torch.exp(_log(true_variance) - log_variance) - 1 + apart)
    density = 0.5 * (math.log(2 * math.pi) + log_variance + (x0 - mean) ** 2 * torch.exp(-log_variance))
    first = (t == 1).unsqueeze(-1) if t.ndim else t == 1
    return torch.where(first, density, divergence)


def prior_term(diffusion: Diffusion, x0: Tensor) -> Tensor:
    """(..., B, S) L_T of eq. 20: KL of q(x_T | x0) to N(0, I); nothing to learn, and near 0 for a usable schedule."""
    bar = float(diffusion.bars[-1])
    return 0.5 * (bar * x0**2 - bar - math.log1p(-bar))


@torch.no_grad()
def bound(denoise: Denoise, diffusion: Diffusion, x0: Tensor, noise: Callable[[], Tensor]) -> Tensor:
    """(T + 1, ..., B) L_0 ... L_T of eq. 19, summed over the entries of x0 (..., B, S), with one draw of x_t for each.

    Their sum over the first axis is, in expectation, an upper bound on -log p(x0). The variance is beta_t.
    """
    terms = []
    for step in range(1, diffusion.steps + 1):
        t = torch.tensor(step, device=x0.device)
        x_t = diffusion.forward(x0, t, noise())
        guess = diffusion.x0(denoise(x_t, t), x_t, t)
        log_variance = diffusion.betas[step].log().to(x0.dtype)
        terms.append(step_term(diffusion, x0, x_t, t, guess, log_variance).sum(-1))
    return torch.stack([*terms, prior_term(diffusion, x0).sum(-1)])


def weight_of_eps(diffusion: Diffusion, t: Tensor, variance: Tensor) -> Tensor:
    """() or (B,) the weight of |eps - eps_theta|^2 in L_{t-1}: beta_t^2 / (2 Sigma alpha_t (1 - abar_t)), eq. 22.

    In print beta_t^2 is missing, alpha_t stands for abar_t, and the variance is squared.
    """
    beta, bar = diffusion.betas[t], diffusion.bars[t]
    return beta**2 / (2 * variance * (1 - beta) * (1 - bar))


def _log(variance: Tensor) -> Tensor:
    return variance.clamp(min=1e-20).log()
