"""The contract of a condition encoder psi."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass

from torch import Tensor, nn

from ...component import Component
from ..layers import Streams


@dataclass(frozen=True)
class Condition(Component):
    """psi: embeds the SC matrix as the prior condition that enters the backbone through adaLN."""

    def further_genes(self) -> int:
        """How many SC genes beyond the visible ones psi looks at, at most (highest variance first)."""
        return 0

    def check(self, width: int) -> None:
        """Raise ValueError where it cannot be built for a backbone of hidden width H = `width`."""

    @abstractmethod
    def build(self, features: int, width: int, rng: Streams) -> Psi:
        """The encoder of K = `features` SC features into H = `width`, freshly initialised from `rng`."""


class Psi(nn.Module):
    """A built encoder."""

    def fit(self, scope: Tensor) -> None:
        """Learn what is found in closed form from the SC rows in scope (N, K), before training; nothing by default."""

    @abstractmethod
    def forward(self, genes: Tensor, scope: Tensor) -> Tensor:
        """(B, H) the condition of genes (B, K), given the SC rows of all genes in scope (N, K).

        (1, H) where it is the same for every gene: the backbone then computes its modulation once.
        """
