"""Self-attention over the genes of the SC matrix, with the attention itself left open.

Rows are genes. The genes in scope attend to each other; a gene that is generated asks with its own row, so it needs not
be in scope, and what it is told does not depend on which other genes are asked for. Shapes: see `layers`; h heads.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from torch import Tensor, nn

from ..layers import Dropout, Streams, linear, zero_linear
from ._base import Condition, Psi

Attend = Callable[[Tensor, Tensor, Tensor], Tensor]
"""What `GeneAttending.attend` is."""

Readout = Literal["gene", "pooled"]


@dataclass(frozen=True)
class GeneAttending(Condition):
    """An encoder by attention, whichever way that is computed.

    layers, heads: of the encoder. readout: "gene" gives each gene its own attended row; "pooled" is the paper's mean
    over genes, one constant vector. max_genes: SC genes in scope beyond the visible ones, highest variance first.
    """

    layers: int = 1
    heads: int = 4
    readout: Readout = "gene"
    max_genes: int = 2048

    def __post_init__(self) -> None:
        name = type(self).__name__
        if self.layers < 1 or self.heads < 1 or self.max_genes < 0:
            raise ValueError(
                f"{name}(layers={self.layers}, heads={self.heads}, max_genes={self.max_genes}): layers and heads must "
                "be at least 1, max_genes at least 0."
            )

    @abstractmethod
    def attend(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Softmax attention of queries (1, h, B, D) over keys and values (1, h, N, D), giving (1, h, B, D)."""

    def further_genes(self) -> int:
        """`max_genes`."""
        return self.max_genes

    def check(self, width: int) -> None:
        """The heads have to divide the width."""
        if width % self.heads:
            raise ValueError(
                f"{type(self).__name__}(heads={self.heads}): does not divide the backbone's hidden={width}; give the "
                "condition a divisor of it."
            )

    def build(self, features: int, width: int, rng: Streams) -> GeneAttention:
        """The encoder."""
        self.check(width)
        return GeneAttention(features, width, self.layers, self.heads, self.readout, self.attend, rng)


class GeneAttention(Psi):
    """`layers` pre-norm attention layers over gene rows, read out at the gene itself or pooled over the scope."""

    def __init__(
        self, features: int, width: int, layers: int, heads: int, readout: Readout, attend: Attend, rng: Streams
    ) -> None:
        super().__init__()
        self.readout = readout
        self.embed = linear(features, width, rng)
        self.layers = nn.ModuleList([Layer(width, heads, attend, rng) for _ in range(layers)])
        self.out = zero_linear(width, width)  # what psi says grows from nothing: it overfits when it starts loud

    def forward(self, genes: Tensor, scope: Tensor) -> Tensor:
        """(B, H): the attended row of each gene; (1, H): the mean attended row of the scope, for every gene."""
        x, rows = self.embed(genes), self.embed(scope)  # (B, H), (N, H)
        pooled = self.readout == "pooled"
        for i, layer in enumerate(self.layers):
            if not pooled:
                x = layer(x, rows)  # (B, H)
            if pooled or i < len(self.layers) - 1:  # nobody reads the scope after the last layer
                rows = layer(rows, rows)  # (N, H)
        if pooled:
            return self.out(rows.mean(0, keepdim=True))  # (1, H)
        return self.out(x)  # (B, H)


class Layer(nn.Module):
    """Attention, then an MLP, each on a residual stream."""

    def __init__(self, width: int, heads: int, attend: Attend, rng: Streams) -> None:
        super().__init__()
        self.heads, self.attend = heads, attend
        self.norm = nn.LayerNorm(width)
        self.ask = linear(width, width, rng)
        self.tell = linear(width, 2 * width, rng)
        self.out = linear(width, width, rng)
        self.mlp = nn.Sequential(
            nn.LayerNorm(width), linear(width, 2 * width, rng), nn.SiLU(), Dropout(rng), linear(2 * width, width, rng)
        )

    def forward(self, x: Tensor, rows: Tensor) -> Tensor:
        """(B, H) from queries x (B, H) over rows (N, H)."""
        q = self.heads_of(self.ask(self.norm(x)))  # (1, h, B, D)
        k, v = (self.heads_of(part) for part in self.tell(self.norm(rows)).chunk(2, -1))  # (1, h, N, D)
        told = self.attend(q, k, v).squeeze(0).transpose(0, 1).flatten(1)  # (B, H)
        x = x + self.out(told)  # (B, H)
        return x + self.mlp(x)  # (B, H)

    def heads_of(self, x: Tensor) -> Tensor:
        """(1, h, N, D) from (N, H)."""
        return x.unflatten(-1, (self.heads, -1)).transpose(0, 1).unsqueeze(0)  # (1, h, N, D)
