"""The DiT block that several backbones are made of. Shapes: see `layers`; W the width of a block's tokens."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..layers import Dropout, Streams, linear, modulated, zero_linear
from ..tokens import ContextMixer, Memory, Mixer


class Block(nn.Module):
    """Attention (where tokens see each other), then an MLP; both scaled, shifted and gated by the condition.

    The modulation starts as zero, so every gate is shut and a fresh block is the identity (adaLN-Zero, Peebles & Xie
    2023).

    width: W. condition: H, the width of c. inner: width of the MLP. mixer: the attention, if there is one.
    """

    def __init__(self, width: int, condition: int, inner: int, mixer: Mixer | None, rng: Streams) -> None:
        super().__init__()
        self.mixer = mixer
        self.norm = nn.LayerNorm(width, elementwise_affine=False)
        self.mlp = nn.Sequential(
            linear(width, inner, rng), nn.GELU(approximate="tanh"), Dropout(rng), linear(inner, width, rng)
        )
        self.modulation = nn.Sequential(nn.SiLU(), zero_linear(condition, width * (3 if mixer is None else 6)))

    def forward(self, x: Tensor, c: Tensor, memory: Memory | None) -> Tensor:
        """(..., B, W) from tokens x (..., B, W) and their conditions c (B, H)."""
        parts = self.modulation(c).chunk(3 if self.mixer is None else 6, -1)  # of (B, W)
        if self.mixer is not None:
            shift, scale, gate = parts[3:]  # (B, W)
            x = torch.addcmul(x, gate, self.mixer(modulated(self.norm(x), shift, scale), memory))  # (..., B, W)
        return self.feed(x, *parts[:3])  # (..., B, W)

    def remember(self, context: Tensor, c: Tensor) -> tuple[Tensor, Memory]:
        """The context after this block (C, W), and what targets see of it here."""
        parts = self.modulation(c).chunk(6, -1)  # of (C, W)
        shift, scale, gate = parts[3:]  # (C, W)
        gathered, seen = self.mixer_of_context.remember(modulated(self.norm(context), shift, scale))  # (C, W)
        return self.feed(context + gate * gathered, *parts[:3]), seen  # (C, W)

    def show(self, context: Tensor, c: Tensor) -> Memory:
        """What targets see of the context here, where nobody needs the context after this block."""
        shift, scale, _ = self.modulation(c).chunk(6, -1)[3:]  # (C, W)
        return self.mixer_of_context.show(modulated(self.norm(context), shift, scale))

    @property
    def mixer_of_context(self) -> ContextMixer:
        """The attention, where it is one to a context."""
        if not isinstance(self.mixer, ContextMixer):
            raise ValueError("A context is for tokens=Context(); these tokens do not attend to one.")
        return self.mixer

    def feed(self, x: Tensor, shift: Tensor, scale: Tensor, gate: Tensor) -> Tensor:
        """(..., B, W) after the modulated MLP."""
        return torch.addcmul(x, gate, self.mlp(modulated(self.norm(x), shift, scale)))  # (..., B, W)
