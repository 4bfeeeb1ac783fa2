"""stDiff: a diffusion model of a cell's expression vector, in-painted at the spots.

K. Li, J. Li, Tao & Wang, Briefings in Bioinformatics 2024, doi:10.1093/bib/bbae171. Written from the maths: diffuse the
held-out genes of single cells given their visible ones, then let the reverse process fill in the held-out genes of
spots. Blocks, schedules and samplers are SpaDiT's.

Shapes: B cells or spots of a batch, d visible and target genes (by name), H hidden width, R draws, T diffusion steps.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from ..method import Array, Method, Needs, Problem, Run
from ..spadit.backbones.transformer import Transformer
from ..spadit.diffusion import CleanSample, Cosine, Diffusion, Epsilon, Parametrisation, Schedule
from ..spadit.layers import generator
from ..spadit.samplers import DDIM, DDPM, Sampler
from ..spadit.tokens import Alone, InBatch, Tokens
from ._inpainting import Network, Recipe, Trainer, in_painting, scaled


@dataclass(frozen=True)
class StDiff(Method):
    """A diffusion transformer over whole cells, trained on cells alone, that in-paints the held-out genes of spots.

    Every cell and every spot is divided by its largest value among its known genes and put on [-1, 1], where samples
    are clamped; the answer is the mean over draws, multiplied by the spot's largest value again. A spot that shows
    nothing gets 0. On masked entries a training cell hides what a random spot hides.

    Deviations of every setting from the original: a row's maximum (and its total) is over known genes, on either side,
    where the original's looks at the held-out ones; the answer is on the log-normalised scale, where the original
    scores rows divided by their maximum; batches are drawn afresh at every step; t runs from 1 to T. The defaults
    further: T = 200, a smaller network that predicts x0, no attention between the spots of a batch, a fixed number of
    steps with a falling learning rate, the weights that do best on held cells, DDIM, the mean of several draws. With
    many more targets than the network is wide, draws of a spot hardly differ.

    hidden, batch: width of the network; cells per step, and spots sampled together. None follows the original's advice
        for so many genes: 512 and 2048 below 512 genes, then 1024 and 512, from 1024 genes on 2048 and 512.
    depth, heads, mlp_ratio: of the blocks (heads matter only where tokens see each other).
    tokens: whether the cells of a batch see each other: `Alone()`, or `InBatch()` as published, where a prediction
        depends on which spots share its batch.
    draws: samples per spot.
    steps: of training; epochs: passes over the cells instead, where given.
    lr: learning rate of AdamW; it falls along a cosine to its share `decay`; 1 keeps it. clip: of a gradient's norm.
    augment: counts added to every entry of a second copy of the cells; 0 makes none. Cells without counts have none.
    held: share of the cells kept aside: the weights that do best on them are used, 0 uses the last ones.
    """

    label: ClassVar[str] = "stDiff"
    needs: ClassVar[Needs] = Needs(randomness=True)
    chosen_on: ClassVar[Mapping[str, str]] = {
        "seqfishplus_cortex": "f83412734f102197",
        "pdac": "2a1f42901abfa47e",
        "osmfish_ssp": "cdfc23af7ff07dfc",
    }
    joint: ClassVar[bool] = True
    spread: ClassVar[str] = (
        "Expression over draws from the reverse process, given a spot's visible genes; few steps understate it, and so "
        "do many targets."
    )

    hidden: int | None = 128
    depth: int = 2
    heads: int = 4
    mlp_ratio: float = 2.0
    tokens: Tokens = field(default_factory=Alone)
    schedule: Schedule = field(default_factory=lambda: Cosine(steps=200))
    parametrisation: Parametrisation = field(default_factory=CleanSample)
    sampler: Sampler = field(default_factory=lambda: DDIM(steps=10))
    draws: int = 8
    steps: int = 1000
    epochs: int | None = None
    batch: int | None = 128
    lr: float = 1e-3
    decay: float = 0.0
    clip: float = 1.0
    augment: float = 10.0
    held: float = 0.1

    def __post_init__(self) -> None:
        for name in ("hidden", "draws", "steps", "epochs", "batch", "lr", "clip"):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise ValueError(f"StDiff({name}={value}): must be above 0.")
        if not 0 <= self.decay <= 1 or not 0 <= self.held < 1:
            raise ValueError(f"StDiff(decay={self.decay}, held={self.held}): shares are in [0, 1], and held below 1.")
        if self.augment < 0:
            raise ValueError(f"StDiff(augment={self.augment}): counts can be added, not taken away.")
        if self.tokens.context_size():
            raise ValueError("StDiff has no genes to show as context; use tokens=Alone() or tokens=InBatch().")
        self.sampler.check(self.schedule.steps)
        self.blocks(1)

    @classmethod
    def published(cls) -> StDiff:
        """The original's: T = 1500, 900 passes, attention over the batch, one ancestral draw. Hours on a CPU."""
        return cls(
            hidden=None,
            depth=6,
            heads=16,
            mlp_ratio=4.0,
            tokens=InBatch(),
            schedule=Cosine(steps=1500),
            parametrisation=Epsilon(),
            sampler=DDPM(),
            draws=1,
            epochs=900,
            batch=None,
            lr=1.6047e-4,
            decay=1.0,
            held=0.0,
        )

    @classmethod
    def tiny(cls) -> StDiff:
        """The defaults with a small network and few steps: a fraction of a second."""
        return cls(hidden=32, steps=60, batch=64, sampler=DDIM(steps=5))

    def blocks(self, genes: int) -> Transformer:
        """The configuration of the network's blocks for d genes."""
        hidden = self.hidden or (512 if genes < 512 else 1024 if genes < 1024 else 2048)
        return Transformer(hidden, self.depth, self.heads, self.mlp_ratio)

    def together(self, genes: int) -> int:
        """Cells per step, and spots sampled together."""
        return self.batch or (2048 if genes < 512 else 512)

    def recipe(self, cells: int, batch: int) -> Recipe:
        """How training goes on so many cells."""
        steps = self.steps if self.epochs is None else self.epochs * math.ceil(cells / batch)
        return Recipe(steps, batch, self.lr, self.decay, self.clip)

    def impute(self, problem: Problem, run: Run) -> Array:
        """(n_spots, n_targets) float32: the mean over draws, on the log-normalised scale, never negative."""
        return self._impute(problem, run)[0]

    def impute_with_sd(self, problem: Problem, run: Run) -> tuple[Array, Array | None]:
        """`impute`, and the sample sd over draws, (n_spots, n_targets) float32; None with a single draw."""
        return self._impute(problem, run)

    def _impute(self, problem: Problem, run: Run) -> tuple[Array, Array | None]:
        genes = tuple(sorted({*problem.visible, *problem.targets}))
        device = run.device
        spots, known = (torch.from_numpy(part).to(device) for part in spots_of(problem, genes))
        order = run.rng.permutation(len(problem.cells))
        aside = round(self.held * len(order))
        held, cells = (
            torch.from_numpy(cells_of(problem, genes, np.sort(part), more)).to(device)
            for part, more in ((order[:aside], 0.0), (order[aside:], self.augment))
        )
        rows = self.together(len(genes))
        starts = range(0, len(spots), rows)
        weights, training, *sampling = (int(seed) for seed in run.rng.integers(2**62, size=2 + len(starts)))
        network = Network(self.blocks(len(genes)), self.tokens, len(genes), generator(weights)).to(device)
        diffusion = Diffusion(self.schedule, self.parametrisation, device)
        recipe = self.recipe(len(cells), rows)
        Trainer(recipe, network, diffusion, cells, held, known, generator(training, device)).run(run)
        asked = [genes.index(gene) for gene in problem.targets]
        means, sds = [], []
        for start, seed in zip(starts, sampling, strict=True):
            block = slice(start, start + rows)
            draws = self.generate(network, diffusion, spots[block], known[block], seed)[..., asked]  # (R, B, n_targets)
            means.append(draws.mean(0).cpu().numpy())
            if self.draws > 1:
                sds.append(draws.std(0).cpu().numpy())
        return np.concatenate(means), np.concatenate(sds) if sds else None

    @torch.no_grad()
    def generate(self, network: Network, diffusion: Diffusion, spots: Tensor, known: Tensor, seed: int) -> Tensor:
        """(R, B, d) draws on the log-normalised scale, given spots (B, d) where they are known."""
        x0, top = scaled(spots, known)
        stream = generator(seed)
        shape = (self.draws, *x0.shape)
        # What the sampler gets is already x0, so its diffusion must take a prediction at its word.
        x = self.sampler.sample(
            in_painting(network, diffusion, x0, known),
            Diffusion(self.schedule, CleanSample(), str(spots.device)),
            lambda: torch.randn(shape, generator=stream).to(x0),
        )
        return (x + 1) / 2 * top


def spots_of(problem: Problem, genes: tuple[str, ...]) -> tuple[Array, Array]:
    """(n_spots, d) log-normalised values, 0 where nothing is known, and (n_spots, d) bool where something is."""
    shape = (len(problem.spots), len(genes))
    values, known = np.zeros(shape, np.float32), np.zeros(shape, bool)
    columns = [genes.index(gene) for gene in problem.visible]
    values[:, columns] = problem.spots.lognorm
    known[:, columns] = True if problem.hidden is None else ~problem.hidden
    return values, known


def cells_of(problem: Problem, genes: tuple[str, ...], rows: Array, augment: float) -> Array:
    """(n, d) log-normalised cells, those of the given rows, and as many again with `augment` counts more of every gene.

    These are normalised to the totals that the cells had over these genes.
    """
    values = problem.cells.of(genes)[rows]
    if not augment or problem.cells.counts is None:
        return values
    more = problem.cells.counts_of(genes)[rows] + np.float32(augment)
    totals = np.expm1(values).sum(1, keepdims=True, dtype=np.float64)  # of normalised counts, as before
    added = np.log1p(more * (totals / more.sum(1, keepdims=True, dtype=np.float64)))
    return np.concatenate([values, added.astype(np.float32)])
