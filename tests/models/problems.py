"""Made-up problems for tests of single methods."""

from __future__ import annotations

import numpy as np

from models.method import Expression, Problem


def synthetic(
    seed: int = 0, cells: int = 70, spots: int = 50, genes: int = 24, targets: int = 4, sc_only: int = 0
) -> Problem:
    """Log counts of cells and spots that mix the same five programmes; the first genes are the targets.

    sc_only: genes after these that neither side is asked about: only the cells have them.
    """
    rng = np.random.default_rng(seed)
    programme = rng.gamma(0.6, 1.0, (5, genes))
    names = tuple(f"g{i:02d}" for i in range(genes))
    x = np.log1p(rng.poisson(5 * rng.dirichlet(np.full(5, 0.2), cells) @ programme)).astype(np.float32)
    y = np.log1p(rng.poisson(5 * rng.dirichlet(np.full(5, 0.5), spots) @ programme)).astype(np.float32)
    seen = targets + sc_only
    return Problem(Expression(names[seen:], y[:, seen:]), Expression(names, x), names[seen:], names[:targets])
