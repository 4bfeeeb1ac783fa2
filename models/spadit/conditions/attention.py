"""psi by attention over the genes of the SC matrix, its weights written out."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from ._attention import GeneAttending


@dataclass(frozen=True)
class Attention(GeneAttending):
    """The same function as Flash-Attention, computed by its definition: all weights exist at once, (h, B, N).

    Given equal parameters the two agree to float precision, so what a comparison of them shows is seed noise. It runs
    everywhere, in the precision of its inputs.
    """

    def attend(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """(1, h, B, D) softmax(q k' / sqrt(D)) v."""
        weights = (q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5).softmax(-1)  # (1, h, B, N)
        return weights @ v
