"""SpatialScope (reduced): a score model of single cells, sampled given the visible genes of a spot.

Wan, Xiao, Tam, Cai, Xu, Zhang, Yang & Wang, Nature Communications 2023, doi:10.1038/s41467-023-43629-w. Written from
the paper's three stages: a cell type per spot; a model of the score of single cells around their type's mean, by
denoising score matching; Langevin dynamics in which the visible genes follow the spot and the others are free.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from ..method import Array, Method, Needs, Problem, Run
from ..spadit.layers import generator
from ._cell_typing import CellTyping, Labels, type_means
from ._neighbours import Floats
from ._score_model import ClippedLikelihood, Langevin, Likelihood, NoiseLevels, ScoreMatching, ScoreNet

ROWS = 1024
"""Spots sampled at once."""

REPORT_EVERY = 20
"""Of gradient steps and of noise levels of a block."""


@dataclass(frozen=True)
class SpatialScopeReduced(Method):
    """Mean over samples of a cell of the spot's type, given the spot's visible genes; a reduced form of SpatialScope.

    Reduced, also by `published()`:
    - every spot is one cell, as in the original for data of single-cell resolution; no deconvolution, no nuclei;
    - spots are called by a multinomial likelihood divided by the data's dispersion, in place of RCTD's tables of
      Poisson-log-normal likelihoods; platform factors are of visible genes only;
    - without cell types, k-means groups of the single cells stand in for them;
    - the network is a residual MLP that is told the noise level, in place of a convolutional U-Net over the genes'
      order, of 56 million parameters, that is not;
    - a sample is kept between 0 and the gene's highest value in any single cell.
    The defaults differ from `published()` further: 40 noise levels from 10 in place of 232 from 100, with three times
    the step, since there are fewer; at most 1,000 gradient steps at 1e-3 in place of 3,000 epochs at 1e-4. They were
    chosen on simulated pairs.

    The likelihood is one of squares on the linear scale, so any expression on a linear scale will do: counts are not
    needed. Entries that are hidden carry no likelihood. Spots are rescaled to the single cells' mean total of visible
    genes for sampling, and back for the prediction, in which a target's platform factor counts as 1.

    typing: how spots get their type.
    levels: sds of the noise, in training and in sampling.
    training: of the score model.
    sampler: Langevin dynamics.
    replicates: samples per spot, whose mean on the linear scale is the prediction.
    """

    needs: ClassVar[Needs] = Needs(coordinates=True, randomness=True)
    joint: ClassVar[bool] = True
    label: ClassVar[str] = "SpatialScope (reduced)"
    spread: ClassVar[str] = "Expression over the few samples that a prediction averages, given one type per spot."

    typing: CellTyping = field(default_factory=CellTyping)
    levels: NoiseLevels = field(default_factory=NoiseLevels)
    training: ScoreMatching = field(default_factory=ScoreMatching)
    sampler: Langevin = field(default_factory=Langevin)
    replicates: int = 3

    def __post_init__(self) -> None:
        if self.replicates < 1:
            raise ValueError(f"SpatialScopeReduced(replicates={self.replicates}): the prediction averages at least 1.")

    @classmethod
    def published(cls) -> SpatialScopeReduced:
        """The reduced form at the original's numbers; the class says what remains different.

        They are of noise levels, Langevin steps, replicates, epochs (its least), batch, learning rate and clipping.
        Network width and the averaging of weights are ours.
        """
        return cls(
            levels=NoiseLevels(high=100.0, low=0.01, count=232),
            training=ScoreMatching(epochs=3000, most_steps=None, batch=256, lr=1e-4, clip=1.0, ema=0.999),
            sampler=Langevin(steps=5, rate=1e-5),
            replicates=3,
        )

    @classmethod
    def tiny(cls) -> SpatialScopeReduced:
        """A small network, few steps: a fraction of a second on 48 spots."""
        return cls(
            levels=NoiseLevels(count=15),
            training=ScoreMatching(hidden=32, blocks=2, most_steps=60),
            sampler=Langevin(steps=3, rate=3e-5),
        )

    def impute(self, problem: Problem, run: Run) -> Array:
        """(n_spots, n_targets) float32, never negative."""
        return self._impute(problem, run)[0]

    def impute_with_sd(self, problem: Problem, run: Run) -> tuple[Array, Array | None]:
        """`impute`, and the sample sd over replicates on the log-normalised scale, (n_spots, n_targets) float32.

        None with a single replicate.
        """
        mean, samples = self._impute(problem, run)
        return mean, samples.std(axis=0, ddof=1) if self.replicates > 1 else None

    def _impute(self, problem: Problem, run: Run) -> tuple[Array, Array]:
        """(n_spots, n_targets) prediction, and the (replicates, n_spots, n_targets) samples; both log-normalised."""
        seed = int(run.rng.integers(2**62))
        types = self.typing.types(problem, run.rng)
        seen = set(problem.visible)
        genes = problem.visible + tuple(gene for gene in problem.targets if gene not in seen)
        cells = problem.cells.of(genes)  # (n_cells, G)
        means = type_means(cells, types.cells).astype(np.float32)  # (K, G)
        blocks = [slice(start, start + ROWS) for start in range(0, len(problem.spots), ROWS)]
        done, of = 0, self.training.steps(len(cells)) + self.replicates * len(blocks) * self.levels.count

        def report() -> None:
            nonlocal done
            done += 1
            if done % REPORT_EVERY == 0 or done == of:
                run.report(done, of)

        x, k, mu = (torch.from_numpy(part).to(run.device) for part in (cells - means[types.cells], types.cells, means))
        net = self.training.fit(x, k, mu, self.levels, seed, report)
        observed = Observed.of(problem, types.platform)
        columns = np.array([genes.index(gene) for gene in problem.targets])
        highest = cells[:, columns].max(axis=0)
        samples = np.empty((self.replicates, len(problem.spots), len(columns)), dtype=np.float32)
        rng = generator(seed + 2, run.device)
        for replicate in samples:
            for rows in blocks:
                own = types.spots[rows]
                x = self._sample(net, own, observed.likelihood(rows, means[own], run.device), rng, report)
                expression = (x.cpu().numpy() + means[own])[:, columns]
                replicate[rows] = observed.back(np.clip(expression, 0.0, highest), rows)
        return np.log1p(np.expm1(samples).mean(axis=0)), samples

    def _sample(
        self, net: ScoreNet, types: Labels, likelihood: Likelihood, rng: torch.Generator, report: Callable[[], None]
    ) -> Tensor:
        """(B, G) samples of x for spots of the given types (B,)."""
        device = net.sd.device
        kinds, own = torch.arange(len(net.means), device=device), torch.from_numpy(types).to(device)

        def score(sigma: float) -> Callable[[Tensor], Tensor]:
            level = torch.tensor(sigma, device=device)
            given = net.given(kinds, level.expand(len(kinds), 1))[own]
            return lambda x: net.noise(x, level, given) / -sigma

        start = torch.randn(len(types), len(net.sd), generator=rng, device=device)
        return self.sampler.sample(start, self.levels.sigmas(), score, likelihood, rng, report)


@dataclass(frozen=True, eq=False)
class Observed:
    """The spots' visible genes on the linear scale of the single cells.

    y: (n_spots, v) c_s e_sg / gamma_g with e = expm1(lognorm), 0 where hidden; c_s gives the spot the cells' mean total
    of the genes it shows. factors: (n_spots, n_targets) from the cells' scale back to the spots', gamma_g / c_s.
    shown: (n_spots, v) 1 where a value is known, else 0.
    """

    y: Floats
    factors: Floats
    shown: Floats

    @classmethod
    def of(cls, problem: Problem, platform: Floats) -> Observed:
        """platform: (v,) gamma of the visible genes; 1 for any other gene. An empty spot has the median spot's c."""
        e = np.expm1(problem.spots.lognorm, dtype=np.float64) / platform
        shown = np.ones(e.shape) if problem.hidden is None else (~problem.hidden).astype(np.float64)
        wanted = shown @ np.expm1(problem.cells.of(problem.visible)).mean(axis=0, dtype=np.float64)
        totals = e.sum(axis=1)
        full = (totals > 0.0) & (wanted > 0.0)
        c = np.divide(wanted, totals, out=np.ones(len(e)), where=full)
        c[~full] = np.median(c[full]) if full.any() else 1.0
        known = dict(zip(problem.visible, platform, strict=True))
        gamma = np.array([known.get(gene, 1.0) for gene in problem.targets])
        return cls(e * c[:, None], gamma / c[:, None], shown)

    def likelihood(self, rows: slice, means: Array, device: str) -> ClippedLikelihood:
        """Of some spots, whose types have the (B, G) means."""
        y, shown = self.y[rows].astype(np.float32), self.shown[rows].astype(np.float32)
        return ClippedLikelihood(*(torch.from_numpy(a).to(device) for a in (y, means[:, : y.shape[1]].copy(), shown)))

    def back(self, expression: Array, rows: slice) -> Array:
        """(B, n_targets) log-normalised expression of some spots, from that on the cells' scale."""
        return np.log1p(np.expm1(expression) * self.factors[rows])
