"""Random streams of single genes: one per (seed, name, purpose), so that the order of genes changes nothing."""

from __future__ import annotations

import hashlib

import numpy as np

MASK = 1
"""Purpose of the stream that draws hidden entries; thinning's has no number of its own."""


def gene_stream(seed: int, gene: str, *purpose: int) -> np.random.Generator:
    """The random stream of one gene for one purpose."""
    name = int.from_bytes(hashlib.sha256(gene.encode()).digest()[:8], "little")
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(name, *purpose)))
