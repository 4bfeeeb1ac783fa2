"""The paper's backbone: a diffusion transformer (DiT) with adaLN-Zero blocks over gene tokens.

Deviation from print: the paper does not say which tokens attend to which; `tokens` does (see `tokens.py`). Shapes: see
`layers`.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from ..layers import Streams
from ..tokens import Memory, Tokens
from ._base import Backbone, Trunk
from ._blocks import Block


@dataclass(frozen=True)
class Transformer(Backbone):
    """`depth` DiT blocks.

    heads: attention heads; `hidden` must be a multiple of them. With `tokens=Alone()` no token sees another, a block
    has no attention and `heads` changes nothing.
    mlp_ratio: width of a block's MLP in units of `hidden`.
    """

    depth: int = 2
    heads: int = 4
    mlp_ratio: float = 2.0

    def __post_init__(self) -> None:
        if self.depth < 1 or self.heads < 1 or self.hidden % self.heads:
            raise ValueError(
                f"Transformer(depth={self.depth}, hidden={self.hidden}, heads={self.heads}): depth and heads must be "
                "at least 1, and hidden a multiple of heads."
            )

    def build(self, tokens: Tokens, rng: Streams) -> DiT:
        """The blocks."""
        return DiT(self, tokens, rng)


class DiT(Trunk):
    """The stack of blocks."""

    def __init__(self, config: Transformer, tokens: Tokens, rng: Streams) -> None:
        super().__init__()
        width, inner = config.hidden, round(config.mlp_ratio * config.hidden)
        self.blocks = nn.ModuleList(
            [Block(width, width, inner, tokens.mixer(width, config.heads, rng), rng) for _ in range(config.depth)]
        )

    def remember(self, context: Tensor, c: Tensor) -> list[Memory]:
        """Per block, the keys and values (h, C, D) of context tokens (C, H)."""
        memory = []
        *before, last = (block for block in self.blocks if isinstance(block, Block))
        for block in before:
            context, seen = block.remember(context, c)  # (C, H)
            memory.append(seen)
        return [*memory, last.show(context, c)]

    def forward(self, x: Tensor, c: Tensor, memory: list[Memory] | None) -> Tensor:
        """(..., B, H) after all blocks."""
        for i, block in enumerate(self.blocks):
            x = block(x, c, None if memory is None else memory[i])  # (..., B, H)
        return x
