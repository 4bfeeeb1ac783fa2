"""No condition: the ablation *w/o Condition*."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from ..layers import Streams
from ._base import Condition, Psi


@dataclass(frozen=True)
class NoCondition(Condition):
    """psi is zero for every gene; only the timestep modulates the backbone."""

    def build(self, features: int, width: int, rng: Streams) -> Zero:
        """An encoder without parameters."""
        return Zero(width)


class Zero(Psi):
    """Zeros."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width

    def forward(self, genes: Tensor, scope: Tensor) -> Tensor:
        """(1, H) zeros."""
        return genes.new_zeros(1, self.width)  # (1, H)
