"""Masking: which entries of a training gene are noised and scored, and which are shown clean.

A held-out gene has nothing to show, so at inference everything is noised.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ..component import Component


@dataclass(frozen=True)
class Masking(Component):
    """A rule that draws, for each training gene, the entries to be noised and scored.

    by_spot: whether entries must be spots (a low-rank spot space has none).
    """

    by_spot: ClassVar[bool] = False

    @abstractmethod
    def draw(self, zero: Tensor, rng: torch.Generator) -> Tensor:
        """(B, S) bool, True = noised and scored, given zero (B, S): where the gene's expression is zero."""


@dataclass(frozen=True)
class FullMask(Masking):
    """Every entry is noised and scored: the situation at inference."""

    def draw(self, zero: Tensor, rng: torch.Generator) -> Tensor:
        """All True."""
        return torch.ones_like(zero)


@dataclass(frozen=True)
class EntryMask(Masking):
    """Table 1's ratios: that share of a gene's zero and of its non-zero entries is noised, the rest shown clean.

    zero_ratio, nonzero_ratio: shares, rounded to whole entries per gene.
    full_mask: share of training genes that are masked entirely, as held-out genes are; the paper has none (0).
    """

    by_spot: ClassVar[bool] = True
    zero_ratio: float = 0.3
    nonzero_ratio: float = 0.3
    full_mask: float = 0.5

    def __post_init__(self) -> None:
        for name in ("zero_ratio", "nonzero_ratio", "full_mask"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"EntryMask({name}={getattr(self, name)}): a share must lie in [0, 1].")
        if self.full_mask == 0 and self.zero_ratio == self.nonzero_ratio == 0:
            raise ValueError("EntryMask with all shares 0 would train on nothing; set one above 0, or use FullMask().")

    def draw(self, zero: Tensor, rng: torch.Generator) -> Tensor:
        """Exactly round(ratio x number) entries of either kind per gene; all of them in fully masked genes."""
        score = torch.rand(zero.shape, generator=rng, device=zero.device) + (~zero)  # (B, S), zeros come first
        places = torch.arange(zero.shape[-1], device=zero.device).expand_as(zero)  # (B, S)
        rank = torch.empty_like(places).scatter_(-1, score.argsort(-1), places)  # (B, S), place in that order
        n_zero = zero.sum(-1, keepdim=True)  # (B, 1)
        n_nonzero = zero.shape[-1] - n_zero  # (B, 1)
        of_zeros = rank < (self.zero_ratio * n_zero).round()  # (B, S)
        of_others = rank < n_zero + (self.nonzero_ratio * n_nonzero).round()  # (B, S), where rank >= n_zero
        fully = torch.rand((len(zero), 1), generator=rng, device=zero.device) < self.full_mask  # (B, 1)
        return torch.where(zero, of_zeros, of_others) | fully  # (B, S)
