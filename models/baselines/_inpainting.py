"""In-painting of expression vectors by diffusion: the network, its training on whole cells, and the denoiser.

Shapes: B cells or spots of a batch, d genes, H hidden width, T diffusion steps; `...` is nothing in training, and the
draws in sampling.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ..method import Run
from ..spadit.backbones.transformer import Transformer
from ..spadit.diffusion import Diffusion
from ..spadit.layers import Streams, TimeEmbedding, copied, generator, linear, zero_linear
from ..spadit.samplers import Denoise
from ..spadit.tokens import Tokens

REPORT_EVERY = 20
SAVE_EVERY = 200
CHECK_EVERY = 50
FEWEST_CHECKED = 256
"""Held cells are seen as often as it takes to see so many, each time under other noise."""


def in_painting(network: Network, diffusion: Diffusion, x0: Tensor, known: Tensor) -> Denoise:
    """A denoiser of samples (..., B, d) whose known genes are x0 (B, d): it predicts x0, clamped, and exactly there.

    Known genes are overwritten before the network looks, which is after each of the sampler's steps; no step mixes
    genes, so what a sampler makes of them in between reaches nothing. The last step of a sampler ends at the predicted
    x0: known genes leave as they came.
    """
    given = condition(x0, known)

    def denoise(x: Tensor, t: Tensor) -> Tensor:
        x = torch.where(known, x0, x)  # (..., B, d)
        found = diffusion.x0(network(x, t, given), x, t).clamp(-1, 1)
        return torch.where(known, x0, found)

    return denoise


def condition(x0: Tensor, known: Tensor) -> Tensor:
    """(B, d) samples with what is not known at -1, as if it were not expressed."""
    return torch.where(known, x0, -1.0)


def scaled(values: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
    """Samples (B, d) on [-1, 1] from log-normalised values (B, d), and the rows' largest known value (B, 1).

    A value that exceeds it, of a gene that is not known, is cut to 1. A row in which nothing is known is -1.
    """
    top = (values * known).amax(-1, keepdim=True)  # (B, 1)
    return (values / top.where(top > 0, torch.inf)).clamp(max=1) * 2 - 1, top


class Network(nn.Module):
    """Samples to tokens, one per cell; DiT blocks modulated by the time and the condition; back to genes."""

    def __init__(self, blocks: Transformer, tokens: Tokens, genes: int, weights: torch.Generator) -> None:
        super().__init__()
        rng, width = Streams(weights, weights, rate=0.0), blocks.hidden
        self.enter, self.condition = linear(genes, width, rng), linear(genes, width, rng)
        self.time = TimeEmbedding(width, rng, waves=256)
        self.trunk = blocks.build(tokens, rng)
        self.norm = nn.LayerNorm(width, elementwise_affine=False)
        self.modulation = nn.Sequential(nn.SiLU(), zero_linear(width, 2 * width))
        self.head = zero_linear(width, genes)

    def forward(self, x: Tensor, t: Tensor, given: Tensor) -> Tensor:
        """(..., B, d) the prediction at x (..., B, d) and t, () or (B,), under the condition (B, d)."""
        c = self.time(t) + self.condition(given)  # (B, H)
        h = self.trunk(self.enter(x), c, None)  # (..., B, H)
        shift, scale = self.modulation(c).chunk(2, -1)  # (B, H)
        return self.head(self.norm(h) * (1 + scale) + shift)  # (..., B, d)


@dataclass(frozen=True)
class Recipe:
    """AdamW for `steps` steps on `batch` cells each; the rate falls along a cosine from `lr` to `lr` times `decay`.

    clip: largest norm of a gradient.
    """

    steps: int
    batch: int
    lr: float
    decay: float
    clip: float

    def rate(self, step: int) -> float:
        """Learning rate of the given step (from 0)."""
        return self.lr * (self.decay + (1 - self.decay) * (0.5 + 0.5 * math.cos(math.pi * step / self.steps)))


class Trainer:
    """One training run on cells (n, d), of which a sample knows what a random row of `known` (n_spots, d) knows.

    Where cells are held (h, d), h > 0, the weights with the smallest loss on them are the result, else the last ones.
    """

    def __init__(
        self,
        recipe: Recipe,
        network: Network,
        diffusion: Diffusion,
        cells: Tensor,
        held: Tensor,
        known: Tensor,
        rng: torch.Generator,
    ) -> None:
        self.recipe, self.network, self.diffusion = recipe, network, diffusion
        self.cells, self.known, self.rng = cells, known, rng
        self.held = held.repeat(-(-FEWEST_CHECKED // len(held)), 1) if len(held) else held
        self.weights = dict(network.named_parameters())
        self.optimizer = torch.optim.AdamW(self.weights.values(), lr=recipe.lr, weight_decay=0.0, fused=True)
        self.step = 0
        self.best, self.best_weights = math.inf, dict[str, Tensor]()

    def run(self, run: Run) -> None:
        """Train to the end from wherever it stands."""
        if (state := run.restored()) is not None:
            self.load(state)
        while self.step < self.recipe.steps:
            self.advance()
            if len(self.held) and (self.step % CHECK_EVERY == 0 or self.step == self.recipe.steps):
                self.check()
            if self.step % SAVE_EVERY == 0 or self.step == self.recipe.steps:
                run.save(self.state())
            if self.step % REPORT_EVERY == 0 or self.step == self.recipe.steps:
                run.report(self.step, of=self.recipe.steps)
        with torch.no_grad():
            for name, weight in self.best_weights.items():
                self.weights[name].copy_(weight)
        self.network.eval()

    def advance(self) -> None:
        """One gradient step on one batch."""
        rows = torch.randperm(len(self.cells), generator=self.rng, device=self.cells.device)[: self.recipe.batch]
        self.optimizer.zero_grad()
        self.loss(self.cells[rows], self.rng).backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), self.recipe.clip)
        for group in self.optimizer.param_groups:
            group["lr"] = self.recipe.rate(self.step)
        self.optimizer.step()
        self.step += 1

    @torch.no_grad()
    def check(self) -> None:
        """Remember the weights if none before did better on the held cells, under noise that is always the same."""
        loss = float(self.loss(self.held, generator(0, str(self.held.device))))
        if loss < self.best:
            self.best, self.best_weights = loss, copied(self.weights)

    def loss(self, cells: Tensor, rng: torch.Generator) -> Tensor:
        """Mean squared error on what is not known of cells (B, d)."""
        n, device = len(cells), cells.device
        known = self.known[torch.randint(len(self.known), (n,), generator=rng, device=device)]  # (B, d)
        x0, top = scaled(cells, known)
        t = torch.randint(1, self.diffusion.steps + 1, (n,), generator=rng, device=device)
        eps = torch.randn(x0.shape, generator=rng, device=device)
        x_t = torch.where(known, x0, self.diffusion.forward(x0, t, eps))
        scored = ~known & (top > 0)  # a cell of which nothing is known has no scale
        error = self.network(x_t, t, condition(x0, known)) - self.diffusion.target(x0, t, eps)
        return (error.square() * scored).sum() / scored.sum().clamp(min=1)

    def state(self) -> dict[str, Any]:
        """Everything a resumed run needs to go on to the bit; not copied, and training goes on in place."""
        return {
            "step": self.step,
            "weights": {name: weight.detach() for name, weight in self.weights.items()},
            "optimizer": {name: dict(self.optimizer.state[weight]) for name, weight in self.weights.items()},
            "rng": self.rng.get_state(),
            "best": {"loss": self.best, "weights": self.best_weights},
        }

    def load(self, state: dict[str, Any]) -> None:
        """Go back to a saved state."""
        self.step = state["step"]
        with torch.no_grad():
            for name, weight in self.weights.items():
                weight.copy_(state["weights"][name])
                self.optimizer.state[weight] = copied(state["optimizer"][name], weight.device)
        self.rng.set_state(state["rng"].cpu())
        self.best, self.best_weights = state["best"]["loss"], copied(state["best"]["weights"], self.cells.device)
