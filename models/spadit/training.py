"""Training: Algorithm 1 with a recipe that learns from a few dozen genes, resumable to the bit.

Shapes: see `layers`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch import Tensor

from ..component import Component
from ..method import Run, Skipped
from .denoiser import Denoiser, Shown
from .diffusion import Diffusion
from .layers import copied
from .likelihood import step_term
from .losses import Batch, Loss, SquaredError
from .masking import Masking
from .numerics import Numerics

REPORT_EVERY = 20
SAVE_EVERY = 50
BOUND_SHARE = 1e-3
"""Lambda of the hybrid loss."""


@dataclass(frozen=True)
class EarlyStop(Component):
    """Keep validation genes aside, score them every `every` steps, stop after `patience` scores without a new best.

    The score is the mean PCC of the one-step prediction at t = T, by the averaged weights. The weights of the best
    score are the result. Without it (the default) every visible gene is trained on for all steps.
    """

    every: int = 25
    patience: int = 6

    def __post_init__(self) -> None:
        if self.every < 1 or self.patience < 1:
            raise ValueError(f"EarlyStop(every={self.every}, patience={self.patience}): both must be at least 1.")


@dataclass(frozen=True)
class Training(Component):
    """AdamW with warm-up, cosine decay, gradient clipping and an average of the weights.

    steps: gradient steps. epochs: passes over the training genes in their place, if given, as the paper counts.
    lr: reached after `warmup` steps; falls to a tenth along a cosine. weight_decay, beta2: AdamW's.
    batch: genes per step; beyond the number of training genes it means all of them, or, with `resample`, a draw with
        replacement.
    clip: largest norm of a gradient.
    ema: decay of the averaged weights, which are the result. It grows to this value as (1 + k) / (10 + k) over steps k,
        else short runs would average in the initial weights. 0.926 is the paper's; 0.99 scores the same.
    time_power: t = T u^(1/time_power) for uniform u; 1 is the paper's uniform t, 6 is mostly noise.
    pairs: share of training samples that are convex combinations of two genes, in both modalities.
    dropout: on Phi's SC part and inside the MLPs of backbone and condition.
    further: SC genes beyond the training genes that psi looks at in one step, drawn anew each time; at inference it
        looks at all of its scope.
    loss: what errors cost.
    """

    version: ClassVar[int] = 2

    steps: int = 300
    epochs: int | None = None
    lr: float = 1e-3
    warmup: int = 50
    weight_decay: float = 0.01
    beta2: float = 0.99
    batch: int = 64
    resample: bool = True
    clip: float = 1.0
    ema: float = 0.926
    time_power: float = 6.0
    pairs: float = 0.7
    dropout: float = 0.3
    further: int = 256
    loss: Loss = field(default_factory=SquaredError)
    early_stop: EarlyStop | None = None

    def __post_init__(self) -> None:
        valid = {
            "above 0": {name: getattr(self, name) > 0 for name in ("steps", "lr", "batch", "clip", "time_power")},
            "at least 0": {name: getattr(self, name) >= 0 for name in ("warmup", "weight_decay", "further")},
            "at least 0 and below 1": {name: 0 <= getattr(self, name) < 1 for name in ("ema", "beta2", "dropout")},
            "between 0 and 1": {"pairs": 0 <= self.pairs <= 1},
            "at least 1, or None": {"epochs": self.epochs is None or self.epochs >= 1},
        }
        for rule, names in valid.items():
            for name, holds in names.items():
                if not holds:
                    raise ValueError(f"Training({name}={getattr(self, name)}): must be {rule}.")

    def length(self, genes: int) -> int:
        """Gradient steps on so many training genes."""
        return self.steps if self.epochs is None else self.epochs * math.ceil(genes / self.batch)

    def rate(self, step: int, of: int) -> float:
        """Learning rate of the given step (from 0)."""
        rise = min(1.0, (step + 1) / max(1, self.warmup))
        return self.lr * rise * (0.55 + 0.45 * math.cos(math.pi * step / of))


@dataclass(frozen=True, eq=False)
class Genes:
    """What training sees, on its device.

    x0 (G, S), zero (G, S): training genes. scope (N, K): SC features, those of the G training genes first. noise: sd of
    what training adds to them. context: places (C,) of the genes shown as context, or None. held (V, K): SC features of
    validation genes, V = 0 without early stopping. judge: the score of samples (V, S) for these genes.
    """

    x0: Tensor
    zero: Tensor
    scope: Tensor
    noise: float
    context: Tensor | None
    held: Tensor
    judge: Callable[[Tensor], float]

    def shown(self) -> Shown | None:
        """The context as it is at inference."""
        return None if self.context is None else Shown(self.x0[self.context], self.scope[self.context])


class Trainer:
    """One training run: the model, its averaged weights, the optimizer, and a random stream."""

    def __init__(
        self,
        recipe: Training,
        model: Denoiser,
        diffusion: Diffusion,
        masking: Masking,
        genes: Genes,
        rng: torch.Generator,
        numerics: Numerics,
    ) -> None:
        if recipe.early_stop is not None and len(genes.held) == 0:
            raise Skipped("early stopping needs validation genes, and this problem names none; use early_stop=None.")
        self.recipe, self.model, self.diffusion, self.masking = recipe, model, diffusion, masking
        self.genes, self.rng, self.numerics = genes, rng, numerics
        self.weights = dict(model.named_parameters())
        self.average = copied(self.weights)
        self.optimizer = torch.optim.AdamW(
            self.weights.values(),
            lr=recipe.lr,
            betas=(0.9, recipe.beta2),
            weight_decay=recipe.weight_decay,
            fused=True,
        )
        self.steps = recipe.length(len(genes.x0))
        self.step = 0
        self.best, self.waited = -math.inf, 0
        self.best_average: dict[str, Tensor] = {}  # of early stopping, once it has looked

    def run(self, run: Run) -> None:
        """Train to the end from wherever it stands, then leave the result in the model, in evaluation mode."""
        if (state := run.restored()) is not None:
            self.load(state)
        while self.step < self.steps and not self.stopped():
            self.advance()
            score = self.validate()
            if self.step % SAVE_EVERY == 0 or self.step == self.steps:
                run.save(self.state())
            if self.step % REPORT_EVERY == 0 or score is not None or self.step == self.steps:
                run.report(self.step, of=self.steps, validation=score)
        chosen = self.best_average or self.average
        with torch.no_grad():
            for name, weight in self.weights.items():
                weight.copy_(chosen[name])
        self.model.eval()

    def stopped(self) -> bool:
        """Whether early stopping has waited long enough."""
        return self.recipe.early_stop is not None and self.waited >= self.recipe.early_stop.patience

    def advance(self) -> None:
        """One gradient step on one batch, and one step of the average."""
        self.model.train()
        self.optimizer.zero_grad()  # before the forward pass: what that keeps and last step's gradients never coexist
        self.loss().backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.recipe.clip)
        for group in self.optimizer.param_groups:
            group["lr"] = self.recipe.rate(self.step, self.steps)
        self.optimizer.step()
        self.step += 1
        decay = min(self.recipe.ema, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            torch._foreach_lerp_(list(self.average.values()), list(self.weights.values()), 1 - decay)

    def loss(self) -> Tensor:
        """The loss of one batch."""
        genes, rng = self.genes, self.rng
        scope = self.draw_scope()  # (N, K)
        pool, shown = self.roles(scope)
        first, second, share = self.draw_pairs(pool)  # (B,), (B,), (B, 1)
        kept = (share**2 + (1 - share) ** 2).sqrt()  # keeps the noise's sd, and the samples' scale
        x0 = (share * genes.x0[first] + (1 - share) * genes.x0[second]) / kept  # (B, S)
        sc = (share * scope[first] + (1 - share) * scope[second]) / kept  # (B, K)
        zero = genes.zero[first] & (genes.zero[second] | (share == 1))  # (B, S)
        t = (self.diffusion.steps * self.uniform(len(x0)) ** (1 / self.recipe.time_power)).ceil().long().clamp_(min=1)
        noised = self.masking.draw(zero, rng)  # (B, S)
        eps = self.normal(x0.shape)  # (B, S)
        x_t = torch.where(noised, self.diffusion.forward(x0, t, eps), x0)  # (B, S)
        with self.numerics.computing(x_t.device.type):
            said = self.model(x_t, t, self.model.given(sc, scope, shown)).float()  # (B, S), or (B, 2 S): the variance
        wanted = self.diffusion.target(x0, t, eps)  # (B, S)
        batch = Batch(said[:, : x0.shape[1]], wanted, noised, zero, x0, x_t, t)
        loss = self.recipe.loss.of(batch, self.diffusion)
        return loss if self.model.variance is None else loss + self.of_variance(said, batch)

    def of_variance(self, said: Tensor, batch: Batch) -> Tensor:
        """() the bound's share of the hybrid loss of Nichol & Dhariwal 2021; the mean is held fixed in it, as there."""
        guess = self.diffusion.x0(said.detach(), batch.x_t, batch.t)  # (B, S)
        log_variance = self.diffusion.learned_log_variance(said, batch.x_t, batch.t)  # (B, S)
        terms = step_term(self.diffusion, batch.x0, batch.x_t, batch.t, guess, log_variance)  # (B, S)
        return BOUND_SHARE * self.diffusion.steps * batch.mean(terms)

    def draw_scope(self) -> Tensor:
        """The training genes and a fresh draw of further genes, with fresh noise on their SC features."""
        n, whole = len(self.genes.x0), self.genes.scope
        beyond = torch.randperm(len(whole) - n, generator=self.rng, device=whole.device)[: self.recipe.further]
        scope = torch.cat([whole[:n], whole[n + beyond]])  # (N, K)
        return scope + self.genes.noise * self.normal(scope.shape) if self.genes.noise else scope  # (N, K)

    def roles(self, scope: Tensor) -> tuple[Tensor, Shown | None]:
        """Places of genes that may play targets, and the others as context where tokens have one.

        A target's clean values must not be in its context, not even through another context token; so half of the
        genes plays targets in a step, the other half context.
        """
        n, context = len(self.genes.x0), self.genes.context
        if context is None:
            return torch.arange(n, device=scope.device), None
        order = torch.randperm(n, generator=self.rng, device=scope.device)  # (G,)
        shown = order[n // 2 :][: len(context)]  # (C,)
        return order[: max(1, n // 2)], Shown(self.genes.x0[shown], scope[shown])

    def draw_pairs(self, pool: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Places of two genes (B,) from the pool, and the share (B, 1) of the first; the share is 1 where unpaired."""
        order = torch.randperm(len(pool), generator=self.rng, device=pool.device)
        if self.recipe.resample and len(pool) < self.recipe.batch:
            order = torch.randint(len(pool), (self.recipe.batch,), generator=self.rng, device=pool.device)
        first = pool[order[: self.recipe.batch]]  # (B,)
        second = pool[torch.randint(len(pool), first.shape, generator=self.rng, device=pool.device)]  # (B,)
        paired = self.uniform(len(first)) < self.recipe.pairs  # (B,)
        share = torch.where(paired, self.uniform(len(first)), 1.0)  # (B,)
        return first, second, share.unsqueeze(-1)

    def normal(self, shape: tuple[int, ...]) -> Tensor:
        """Standard normal noise from the run's stream."""
        return torch.randn(shape, generator=self.rng, device=self.genes.x0.device)

    def uniform(self, n: int) -> Tensor:
        """(n,) uniform numbers in [0, 1) from the run's stream."""
        return torch.rand(n, generator=self.rng, device=self.genes.x0.device)

    def validate(self) -> float | None:
        """The validation score, at the steps where early stopping asks for it; remembers the best weights."""
        stop = self.recipe.early_stop
        if stop is None or self.step % stop.every:
            return None
        score = self.with_average(self.one_step_pcc)
        if score > self.best:
            self.best, self.waited = score, 0
            self.best_average = copied(self.average)
        else:
            self.waited += 1
        return score

    def with_average(self, ask: Callable[[], float]) -> float:
        """What `ask` says of the model with averaged weights in it."""
        self.model.eval()
        with torch.no_grad():
            current = copied(self.weights)
            for name, weight in self.weights.items():
                weight.copy_(self.average[name])
            answer = ask()
            for name, weight in self.weights.items():
                weight.copy_(current[name])
        return answer

    def one_step_pcc(self) -> float:
        """Mean PCC, over validation genes, of the x0 predicted at t = T from the centre of the noise, x_T = 0."""
        genes = self.genes
        t = torch.tensor(self.diffusion.steps, device=genes.held.device)
        x_t = genes.x0.new_zeros(len(genes.held), genes.x0.shape[1])  # (V, S)
        with self.numerics.computing(x_t.device.type):
            said = self.model(x_t, t, self.model.given(genes.held, genes.scope, genes.shown())).float()  # (V, S)
        return genes.judge(self.diffusion.x0(said, x_t, t))

    def state(self) -> dict[str, Any]:
        """Everything a resumed run needs to go on to the bit; not copied, and training goes on in place."""
        return {
            "step": self.step,
            "weights": {name: weight.detach() for name, weight in self.weights.items()},
            "average": self.average,
            "optimizer": {name: dict(self.optimizer.state[weight]) for name, weight in self.weights.items()},
            "rng": self.rng.get_state(),
            "best": {"score": self.best, "waited": self.waited, "average": self.best_average},
        }

    def load(self, state: dict[str, Any]) -> None:
        """Go back to a saved state."""
        self.step = state["step"]
        with torch.no_grad():
            for name, weight in self.weights.items():
                weight.copy_(state["weights"][name])
                self.average[name].copy_(state["average"][name])
                if moments := state["optimizer"][name]:
                    self.optimizer.state[weight] = copied(moments, weight.device)
        self.rng.set_state(state["rng"].cpu())
        self.best, self.waited = state["best"]["score"], state["best"]["waited"]
        self.best_average = copied(state["best"]["average"], self.genes.x0.device)
