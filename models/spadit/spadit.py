"""SpaDiT: a diffusion transformer that generates a gene's spatial expression from its single-cell profile."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from ..method import Array, Method, Needs, Problem, Run, Size
from .backbones._base import Backbone
from .backbones.transformer import Transformer
from .conditions._base import Condition
from .conditions.flash_attention import FlashAttention
from .denoiser import Denoiser
from .diffusion import CleanSample, Diffusion, Epsilon, Parametrisation, Quadratic, Schedule
from .footprint import footprint
from .latent import Latent
from .layers import Streams, generator
from .masking import EntryMask, FullMask, Masking
from .numerics import Numerics
from .samplers import DDIM, DDPM, Sampler
from .sc_features import FittedFeatures, PrincipalCells, RawCells, SCFeatures
from .spot_space import FittedSpace, LowRank, RawSpots, SpotSpace
from .tokens import Context, InBatch, Tokens
from .training import Genes, Trainer, Training

TOGETHER = 128
"""Targets sampled at once; with `tokens=InBatch()` these are each other's sequence."""


@dataclass(frozen=True)
class SpaDiT(Method):
    """The paper's model, with every part a field.

    The defaults are the small preset: what learns on real pairs at CPU budgets. They differ from print (see
    `paper_literal`) in predicting x0, noising SC features, preferring large t, diffusing in a low-rank spot space, and
    giving each gene its own condition. The prediction is the mean over `draws` samples. With most training at large t,
    samples of a gene hardly differ: their spread is no uncertainty.

    A gene's prediction does not depend on which other genes are asked for, except with `tokens=InBatch()`: spot space,
    SC features and psi's scope are fitted without the targets, and a gene's noise is seeded by its name.
    """

    version: ClassVar[int] = 3
    needs: ClassVar[Needs] = Needs(randomness=True)
    chosen_on: ClassVar[Mapping[str, str]] = {
        "seqfishplus_cortex": "f83412734f102197",
        "pdac": "2a1f42901abfa47e",
        "pbmc_tissue": "19c445264938cf59",
    }
    spread: ClassVar[str] = (
        "Expression over draws from the reverse process. No calibrated uncertainty: with most training at high noise, "
        "draws of a gene hardly differ."
    )

    backbone: Backbone = field(default_factory=Transformer)
    condition: Condition = field(default_factory=FlashAttention)
    latent: Latent = field(default_factory=Latent)
    tokens: Tokens = field(default_factory=Context)
    schedule: Schedule = field(default_factory=Quadratic)
    parametrisation: Parametrisation = field(default_factory=CleanSample)
    sampler: Sampler = field(default_factory=DDIM)
    draws: int = 16
    spot_space: SpotSpace = field(default_factory=LowRank)
    sc_features: SCFeatures = field(default_factory=PrincipalCells)
    masking: Masking = field(default_factory=FullMask)
    training: Training = field(default_factory=Training)
    numerics: Numerics = field(default_factory=Numerics)

    def __post_init__(self) -> None:
        if self.draws < 1:
            raise ValueError(f"SpaDiT(draws={self.draws}): the prediction is a mean over at least 1 draw.")
        if self.masking.by_spot and not self.spot_space.by_spot:
            raise ValueError(
                f"{type(self.masking).__name__} masks spots, but {type(self.spot_space).__name__} has none; use "
                "spot_space=RawSpots(), or masking=FullMask()."
            )
        self.sampler.check(self.schedule.steps)
        self.condition.check(self.backbone.hidden)

    @classmethod
    def small(cls) -> SpaDiT:
        """The defaults: 5 to 10 seconds per fold on one CPU core."""
        return cls()

    @classmethod
    def tiny(cls) -> SpaDiT:
        """The defaults with fewer steps and draws: 2 to 4 seconds per fold on one CPU core."""
        return cls(training=Training(steps=100, warmup=10), draws=4, sampler=DDIM(steps=5))

    @classmethod
    def paper_literal(cls) -> SpaDiT:
        """The paper read literally, at a CPU budget; it scores a PCC near 0, and exists to show that.

        eps-prediction, uniform t, raw spots and cells, the pooled condition, batch-mates as tokens, Table 1's mask
        ratios of the MG preset, no fully masked genes, EMA 0.926, one draw by ancestral sampling over T = 1000.
        """
        return cls(
            backbone=Transformer(hidden=128, depth=2, heads=8),
            condition=FlashAttention(readout="pooled"),
            latent=Latent(layers=2, direct=False),
            tokens=InBatch(),
            parametrisation=Epsilon(),
            sampler=DDPM(variance="beta"),
            draws=1,
            spot_space=RawSpots(),
            sc_features=RawCells(),
            masking=EntryMask(zero_ratio=0.4, nonzero_ratio=0.3, full_mask=0.0),
            training=Training(
                steps=300, lr=3e-4, batch=512, resample=False, ema=0.926, time_power=1.0, pairs=0.0, dropout=0.0
            ),
        )

    def impute(self, problem: Problem, run: Run) -> Array:
        """(n_spots, n_targets) float32: the mean over draws, on the log-normalised scale, never negative."""
        return self._impute(problem, run, with_sd=False)[0]

    def impute_with_sd(self, problem: Problem, run: Run) -> tuple[Array, Array | None]:
        """`impute`, and the sd over draws, each decoded to expression, (n_spots, n_targets) float32.

        The prediction decodes the mean of the draws, so it is not the mean of what the sd is taken over. None with a
        single draw. See the class on why this is no calibrated uncertainty.
        """
        return self._impute(problem, run, with_sd=self.draws > 1)

    def _impute(self, problem: Problem, run: Run, with_sd: bool) -> tuple[Array, Array | None]:
        seed = int(run.rng.integers(2**62))
        task = Task.of(self, problem, run.device)
        rng = generator(_seed(seed, "training"), run.device)
        streams = Streams(generator(_seed(seed, "weights")), rng, self.training.dropout)
        diffusion = Diffusion(self.schedule, self.parametrisation, run.device)
        model = Denoiser(
            self.latent,
            self.condition,
            self.backbone,
            self.tokens,
            task.genes.x0.shape[1],
            task.genes.scope.shape[1],
            streams,
            self.sampler.learns_variance,
        ).to(run.device)
        model.psi.fit(task.genes.scope)
        self.numerics.prepare(model)
        with self.numerics.refusing():
            Trainer(self.training, model, diffusion, self.masking, task.genes, rng, self.numerics).run(run)
        columns = problem.cells.of(problem.targets)  # (n_cells, n_targets)
        x0, sds = [], []
        for start, names in _chunks(problem.targets, TOGETHER):
            own = columns[:, start : start + TOGETHER]
            with self.numerics.refusing(), self.numerics.computing(run.device):
                draws = self.generate(model, diffusion, task, own, seed, names)  # (R, B, S)
            x0.append(draws.mean(0).cpu().numpy())
            if with_sd:
                sds.append(_sd(task.space.decode(draw, own) for draw in draws.cpu().numpy()))
        mean = task.space.decode(np.concatenate(x0), columns).astype(np.float32)
        return mean, np.concatenate(sds, axis=1).astype(np.float32) if with_sd else None

    def memory(self, size: Size) -> int:
        """Of training (see `footprint`). Sampling keeps nothing for a backward pass; it takes more only where the
        network is small beside `draws` x 128 samples.
        """
        return footprint(self, size.spots, size.cells, size.visible, size.sc_genes - size.visible).total

    @torch.no_grad()
    def generate(
        self, model: Denoiser, diffusion: Diffusion, task: Task, columns: Array, seed: int, names: tuple[str, ...]
    ) -> Tensor:
        """(R, B, S) draws of the named genes, given their SC columns (n_cells, B)."""
        genes = task.genes
        sc = torch.from_numpy(task.features.encode(columns)).to(genes.x0)  # (B, K)
        given = model.given(sc, genes.scope, genes.shown())
        # A stream per gene, seeded by its name: the noise of a gene does not depend on what else is asked for.
        streams = [generator(_seed(seed, f"gene {name}")) for name in names]
        shape = (self.draws, genes.x0.shape[1])

        def noise() -> Tensor:
            return torch.stack([torch.randn(shape, generator=s) for s in streams], 1).to(genes.x0)  # (R, B, S)

        return self.sampler.sample(lambda x, t: model(x, t, given).float(), diffusion, noise)


@dataclass(frozen=True, eq=False)
class Task:
    """A problem as the model sees it: fitted spot space and SC features, and the genes as tensors."""

    space: FittedSpace
    features: FittedFeatures
    genes: Genes

    @classmethod
    def of(cls, method: SpaDiT, problem: Problem, device: str) -> Task:
        """Everything is fitted to the genes trained on: all visible ones, or without validation genes to stop early."""
        stopping = method.training.early_stop is not None
        names = problem.training if stopping else problem.visible
        held = problem.validation if stopping else ()
        spots, cells = problem.spots.of(names), problem.cells.of(names)  # (M, G), (n_cells, G)
        space = method.spot_space.fit(spots, cells)
        features = method.sc_features.fit(cells, space.x0)
        further = _most_variable(problem, names, method.condition.further_genes())
        scope = np.concatenate([features.encode(cells), features.encode(problem.cells.of(further))])  # (N, K)
        shown = np.argsort(-cells.var(0), kind="stable")[: method.tokens.context_size()]  # (C,)
        genes = Genes(
            x0=torch.from_numpy(space.x0).to(device),
            zero=torch.from_numpy(space.zero).to(device),
            scope=torch.from_numpy(scope).to(device),
            noise=features.noise,
            context=torch.from_numpy(shown).to(device) if len(shown) else None,
            held=torch.from_numpy(features.encode(problem.cells.of(held))).to(device),
            judge=lambda samples: _mean_pcc(
                space.decode(samples.cpu().numpy(), problem.cells.of(held)), problem.spots.of(held)
            ),
        )
        return cls(space, features, genes)


def _most_variable(problem: Problem, visible: tuple[str, ...], most: int) -> tuple[str, ...]:
    """At most `most` SC genes that are not trained on, highest variance first, in a fixed order."""
    kept = set(visible)
    others = [gene for gene in problem.cells.genes if gene not in kept]
    if not most or not others:
        return ()
    variance = problem.cells.of(others).var(0)
    return tuple(others[i] for i in np.argsort(-variance, kind="stable")[:most])


def _mean_pcc(guess: Array, truth: Array) -> float:
    """Mean over genes of the PCC between columns of (M, V) arrays; a constant column counts as 0."""
    a, b = guess - guess.mean(0), truth - truth.mean(0)
    norms = np.linalg.norm(a, axis=0) * np.linalg.norm(b, axis=0)
    return float(np.mean((a * b).sum(0) / np.where(norms > 0, norms, 1.0)))


def _sd(draws: Iterator[Array]) -> Array:
    """The sample sd, entry by entry, of at least two arrays that are seen one at a time (Welford's recurrence)."""
    count, mean = 1, next(draws).astype(np.float64)
    squares = np.zeros_like(mean)
    for draw in draws:
        count, step = count + 1, draw - mean
        mean = mean + step / count
        squares = squares + step * (draw - mean)
    return np.sqrt(squares / (count - 1))


def _chunks(names: tuple[str, ...], size: int) -> list[tuple[int, tuple[str, ...]]]:
    return [(start, names[start : start + size]) for start in range(0, len(names), size)]


def _seed(run: int, purpose: str) -> int:
    """63 bits for one purpose of one run, the same on every machine."""
    return int.from_bytes(hashlib.sha256(f"{run} {purpose}".encode()).digest()[:8], "big") >> 1
