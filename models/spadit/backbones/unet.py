"""A U-Net over a gene's features: ever narrower levels, and back up with skips.

The paper's arm *w/ U-Net*; it gives no layout. A gene is one token without neighbours on a grid, so what shrinks on the
way down is the width of the token, level by level, and attention between genes sits at the narrowest level, as at the
lowest resolution of the U-Net of Ho et al. 2020. Timestep and condition modulate every level. Shapes: see `layers`.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..layers import Streams, linear
from ..tokens import Memory, Mixer, Tokens
from ._base import Backbone, Trunk
from ._blocks import Block


@dataclass(frozen=True)
class UNet(Backbone):
    """Levels of width H, H/2, H/4 ..., with blocks on each on the way down and as many on the way up.

    levels: below the first. depth: blocks per level and way. heads: of the attention at the narrowest level; `hidden`
    must be a multiple of heads times 2 to the power of `levels`. mlp_ratio: width of a block's MLP in units of its
    level's.
    """

    levels: int = 2
    depth: int = 1
    heads: int = 4
    mlp_ratio: float = 4.0

    def __post_init__(self) -> None:
        counts = (self.levels, self.depth, self.heads)
        if min(counts) < 1 or self.hidden % (self.heads * 2**self.levels) or self.mlp_ratio <= 0:
            raise ValueError(
                f"UNet(levels={self.levels}, depth={self.depth}, hidden={self.hidden}, heads={self.heads}): levels, "
                "depth and heads must be at least 1, and hidden a multiple of heads x 2^levels."
            )

    def build(self, tokens: Tokens, rng: Streams) -> Levels:
        """The levels."""
        return Levels(self, tokens, rng)


class Levels(Trunk):
    """Down, across, and up."""

    def __init__(self, config: UNet, tokens: Tokens, rng: Streams) -> None:
        super().__init__()
        widths = [config.hidden // 2**level for level in range(config.levels + 1)]

        def block(width: int, mixer: Mixer | None = None) -> Block:
            inner = max(1, round(config.mlp_ratio * width))
            return Block(width, config.hidden, inner, mixer, rng)

        def blocks(width: int) -> nn.ModuleList:
            return nn.ModuleList([block(width) for _ in range(config.depth)])

        steps = list(itertools.pairwise(widths))  # wide, narrow
        self.descent = nn.ModuleList([blocks(wide) for wide, _ in steps])
        self.narrow = nn.ModuleList([linear(wide, slim, rng) for wide, slim in steps])
        self.bottom = block(widths[-1], tokens.mixer(widths[-1], config.heads, rng))
        self.widen = nn.ModuleList([linear(slim, wide, rng) for wide, slim in reversed(steps)])
        self.join = nn.ModuleList([linear(2 * wide, wide, rng) for wide, _ in reversed(steps)])
        self.ascent = nn.ModuleList([blocks(wide) for wide, _ in reversed(steps)])

    def down(self, x: Tensor, c: Tensor) -> tuple[Tensor, list[Tensor]]:
        """The narrowest tokens, and those of every level above, widest first."""
        skips = []
        for blocks, narrow in zip(self.descent, self.narrow, strict=True):
            x = _through(blocks, x, c)  # (..., B, W)
            skips.append(x)
            x = narrow(x)  # (..., B, W/2)
        return x, skips

    def remember(self, context: Tensor, c: Tensor) -> list[Memory]:
        """The keys and values of the context at the narrowest level; targets see the context nowhere else."""
        return [self.bottom.show(self.down(context, c)[0], c)]

    def forward(self, x: Tensor, c: Tensor, memory: list[Memory] | None) -> Tensor:
        """(..., B, H) after the way down and up."""
        x, skips = self.down(x, c)
        x = self.bottom(x, c, None if memory is None else memory[0])
        for widen, join, blocks in zip(self.widen, self.join, self.ascent, strict=True):
            x = _through(blocks, join(torch.cat([widen(x), skips.pop()], -1)), c)  # (..., B, W)
        return x


def _through(blocks: nn.Module, x: Tensor, c: Tensor) -> Tensor:
    """(..., B, W) after the blocks of one level and way."""
    for block in blocks.children():
        x = block(x, c, None)  # (..., B, W)
    return x
