"""psi by attention over the genes of the SC matrix, its weights written out."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from ..layers import Streams
from ._attention import GeneAttention, Readout, check_encoder
from ._base import Condition


@dataclass(frozen=True)
class Attention(Condition):
    """The same function as Flash-Attention, computed by its definition: all weights exist at once, (h, B, N).

    Given equal parameters the two agree to float precision, so what a comparison of them shows is seed noise. It runs
    everywhere, in the precision of its inputs. Fields: see `FlashAttention`.
    """

    layers: int = 1
    heads: int = 4
    readout: Readout = "gene"
    max_genes: int = 2048

    def __post_init__(self) -> None:
        check_encoder(self, self.layers, self.heads, self.readout, self.max_genes)

    def further_genes(self) -> int:
        """`max_genes`."""
        return self.max_genes

    def build(self, features: int, width: int, rng: Streams) -> GeneAttention:
        """The encoder."""
        return GeneAttention(features, width, self.layers, self.heads, self.readout, explicit, rng)


def explicit(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """(1, h, B, D) softmax(q k' / sqrt(D)) v."""
    weights = (q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5).softmax(-1)  # (1, h, B, N)
    return weights @ v
