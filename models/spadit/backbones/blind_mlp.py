"""An MLP that knows neither the timestep nor the condition.

This is what the released code's forward pass computes: its blocks are commented out, and what remains is an MLP of
falling and rising widths over the two embeddings. An honest arm of the backbone comparison. Shapes: see `layers`.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from ..layers import Dropout, Streams, linear
from ..tokens import Memory, Tokens
from ._base import Backbone, Trunk


@dataclass(frozen=True)
class BlindMLP(Backbone):
    """Widths H, H/2, H/4, H/4, H/2, H, as released, times `widening`. Genes never see each other.

    widening: factor on the inner widths, so that the arm can have as many parameters as the others.
    """

    conditioned: ClassVar[bool] = False

    widening: float = 1.0

    def __post_init__(self) -> None:
        if self.hidden < 4 or self.widening <= 0:
            raise ValueError(f"BlindMLP(hidden={self.hidden}, widening={self.widening}): at least 4, and above 0.")

    def build(self, tokens: Tokens, rng: Streams) -> Blind:
        """The MLP."""
        return Blind(self, rng)


class Blind(Trunk):
    """Linear maps with SiLU between them."""

    def __init__(self, config: BlindMLP, rng: Streams) -> None:
        super().__init__()
        inner = [max(1, round(config.widening * config.hidden / share)) for share in (2, 4, 4, 2)]
        sizes = [config.hidden, *inner, config.hidden]
        steps: list[nn.Module] = []
        for n_in, n_out in itertools.pairwise(sizes):
            steps += [linear(n_in, n_out, rng), nn.SiLU(), Dropout(rng)]
        self.net = nn.Sequential(*steps[:-2])

    def remember(self, context: Tensor, c: Tensor) -> list[Memory]:
        """Nothing."""
        return []

    def forward(self, x: Tensor, c: Tensor, memory: list[Memory] | None) -> Tensor:
        """(..., B, H) of x alone."""
        return self.net(x)
