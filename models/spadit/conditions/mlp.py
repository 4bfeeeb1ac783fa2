"""psi by an MLP: the ablation *w/o Flash-Attention*. Each gene is embedded without seeing any other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from .. import layers as parts
from ..layers import Streams
from ._attention import Readout
from ._base import Condition, Psi


@dataclass(frozen=True)
class MLP(Condition):
    """`layers` linear layers on each gene's SC row.

    readout: "gene" gives each gene its own embedding; "pooled" embeds the mean row over the genes in scope (the visible
    genes and 2048 further ones), the same for every gene, as the released code does.
    """

    version: ClassVar[int] = 2

    layers: int = 2
    readout: Readout = "gene"

    def __post_init__(self) -> None:
        if self.layers < 1:
            raise ValueError(f"MLP(layers={self.layers}): needs at least 1 layer.")

    def further_genes(self) -> int:
        """The pooled mean runs over further genes; a gene's own embedding needs none."""
        return 2048 if self.readout == "pooled" else 0

    def build(self, features: int, width: int, rng: Streams) -> RowMLP:
        """The encoder."""
        return RowMLP(parts.MLP(features, width, width, self.layers, rng), self.readout)


class RowMLP(Psi):
    """An MLP on gene rows, read out at the gene or pooled."""

    def __init__(self, net: parts.MLP, readout: Readout) -> None:
        super().__init__()
        self.net, self.readout = net, readout

    def forward(self, genes: Tensor, scope: Tensor) -> Tensor:
        """(B, H): each gene's embedding; (1, H): that of the scope's mean."""
        if self.readout == "gene":
            return self.net(genes)  # (B, H)
        return self.net(scope.mean(0, keepdim=True))  # (1, H)
