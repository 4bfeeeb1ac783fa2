"""The paper's backbone: a diffusion transformer (DiT) with adaLN-Zero blocks over gene tokens.

Deviation from print: the paper does not say which tokens attend to which; `tokens` does (see `tokens.py`). Shapes: see
`layers`.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from ..layers import Dropout, Streams, linear, zero_linear
from ..tokens import ContextMixer, Memory, Tokens
from ._base import Backbone, Trunk


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
        self.blocks = nn.ModuleList([Block(config, tokens, rng) for _ in range(config.depth)])

    def remember(self, context: Tensor, c: Tensor) -> list[Memory]:
        """Per block, the keys and values (h, C, D) of context tokens (C, H)."""
        memory = []
        for block in self.blocks:
            assert isinstance(block, Block)
            context, seen = block.remember(context, c)  # (C, H)
            memory.append(seen)
        return memory

    def forward(self, x: Tensor, c: Tensor, memory: list[Memory] | None) -> Tensor:
        """(..., B, H) after all blocks."""
        for i, block in enumerate(self.blocks):
            x = block(x, c, None if memory is None else memory[i])  # (..., B, H)
        return x


class Block(nn.Module):
    """Attention (where tokens see each other), then an MLP; both scaled, shifted and gated by the condition.

    The modulation starts as zero, so every gate is shut and a fresh block is the identity (adaLN-Zero).
    """

    def __init__(self, config: Transformer, tokens: Tokens, rng: Streams) -> None:
        super().__init__()
        width, inner = config.hidden, round(config.mlp_ratio * config.hidden)
        self.mixer = tokens.mixer(width, config.heads, rng)
        self.norm = nn.LayerNorm(width, elementwise_affine=False)
        self.mlp = nn.Sequential(
            linear(width, inner, rng), nn.GELU(approximate="tanh"), Dropout(rng), linear(inner, width, rng)
        )
        self.modulation = nn.Sequential(nn.SiLU(), zero_linear(width, 3 * width if self.mixer is None else 6 * width))

    def forward(self, x: Tensor, c: Tensor, memory: Memory | None) -> Tensor:
        """(..., B, H) from tokens x (..., B, H) and their conditions c (B, H)."""
        parts = self.modulation(c).chunk(3 if self.mixer is None else 6, -1)  # of (B, H)
        if self.mixer is not None:
            shift, scale, gate = parts[3:]  # (B, H)
            x = x + gate * self.mixer(self.norm(x) * (1 + scale) + shift, memory)  # (..., B, H)
        return self.feed(x, *parts[:3])  # (..., B, H)

    def remember(self, context: Tensor, c: Tensor) -> tuple[Tensor, Memory]:
        """The context after this block (C, H), and what targets see of it here."""
        if not isinstance(self.mixer, ContextMixer):
            raise ValueError("A context is for tokens=Context(); these tokens do not attend to one.")
        parts = self.modulation(c).chunk(6, -1)  # of (C, H)
        shift, scale, gate = parts[3:]  # (C, H)
        gathered, seen = self.mixer.remember(self.norm(context) * (1 + scale) + shift)  # (C, H)
        return self.feed(context + gate * gathered, *parts[:3]), seen  # (C, H)

    def feed(self, x: Tensor, shift: Tensor, scale: Tensor, gate: Tensor) -> Tensor:
        """(..., B, H) after the modulated MLP."""
        return x + gate * self.mlp(self.norm(x) * (1 + scale) + shift)  # (..., B, H)
