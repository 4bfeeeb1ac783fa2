"""Small simulated problems with a known answer, a quick SpaDiT to run on them, and every backbone, narrow."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from models.component import discover
from models.method import Array, Expression, Problem
from models.spadit import SpaDiT
from models.spadit.backbones import Backbone
from models.spadit.layers import Streams, generator
from models.spadit.samplers import DDIM
from models.spadit.training import Training


def narrow(backbone: type[Backbone]) -> Backbone:
    """A backbone with defaults but for its width: the least of a few that it accepts."""
    for width in (16, 32, 64):
        try:
            return backbone(hidden=width)
        except ValueError:
            continue
    return backbone()


BACKBONES = {cls.__name__: narrow(cls) for cls in discover("models.spadit.backbones", Backbone).values()}
"""Every backbone on disk, by the name of its class."""


def streams(seed: int = 0) -> Streams:
    """Of initialisation and of dropout, which is off."""
    return Streams(generator(seed), generator(seed + 1), 0.0)


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    """Standard normal numbers."""
    return torch.randn(shape, generator=generator(seed))


def loud(module: torch.nn.Module) -> torch.nn.Module:
    """With every parameter moved: what starts as zero hides what is behind it."""
    stream = generator(5)
    with torch.no_grad():
        for weight in module.parameters():
            weight += 0.3 * torch.randn(weight.shape, generator=stream)
    return module.eval()


def simulated(
    n_genes: int = 48, n_spots: int = 60, n_cells: int = 90, n_targets: int = 8, extra: int = 0
) -> tuple[Problem, Array]:
    """A low-rank pair: a gene's loadings on six programmes shape its SC profile and its ST pattern alike.

    Returns the problem, and the truth (n_spots, n_targets). `extra` SC genes are beyond the panel.
    """
    rng, rank = np.random.default_rng(0), 6
    loadings = rng.gamma(0.3, 2.0, (n_genes + extra, rank))
    cells = np.log1p(rng.poisson(3 * rng.gamma(0.5, 1.0, (n_cells, rank)) @ loadings.T)).astype(np.float32)
    spots = np.log1p(rng.poisson(3 * rng.gamma(0.5, 1.0, (n_spots, rank)) @ loadings.T)).astype(np.float32)
    names = tuple(f"g{i:03d}" for i in range(n_genes + extra))
    visible, targets = names[: n_genes - n_targets], names[n_genes - n_targets : n_genes]
    problem = Problem(
        spots=Expression(visible, spots[:, : len(visible)]),
        cells=Expression(names, cells),
        visible=visible,
        targets=targets,
        validation=visible[::5],
    )
    return problem, spots[:, len(visible) : n_genes]


def quick(steps: int = 15, **fields: object) -> SpaDiT:
    """A SpaDiT that runs in a fraction of a second; `fields` replace others."""
    method = SpaDiT(training=Training(steps=steps, warmup=5, batch=32), draws=3, sampler=DDIM(steps=3))
    return replace(method, **fields)


def pcc(prediction: Array, truth: Array) -> float:
    """Mean over genes of the Pearson correlation over spots."""
    return float(np.mean([np.corrcoef(a, b)[0, 1] for a, b in zip(prediction.T, truth.T, strict=True)]))
