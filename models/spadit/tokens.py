"""Tokens: which genes see each other while one of them is generated.

In the released code the genes of a mini-batch are each other's sequence, so a prediction depends on its batch-mates
(`InBatch`). Here *context* tokens are visible genes with their clean values, and a *target* token attends to the
context and to itself, never to another target (`Context`): a prediction does not depend on what else is asked for.
Shapes: see `layers`; h heads, D = H / h.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..component import Component
from .layers import Streams, linear

Memory = tuple[Tensor, Tensor]
"""Keys and values (h, C, D) of the context, at one layer of a network."""


@dataclass(frozen=True)
class Tokens(Component):
    """A rule of which gene tokens see which, and the attention that obeys it."""

    def context_size(self) -> int:
        """How many visible genes are shown as context tokens, at most."""
        return 0

    @abstractmethod
    def mixer(self, width: int, heads: int, rng: Streams) -> Mixer | None:
        """The attention of one block; None where tokens do not see each other."""


@dataclass(frozen=True)
class Alone(Tokens):
    """Every gene is generated from its own SC profile alone; a block then has no attention."""

    def mixer(self, width: int, heads: int, rng: Streams) -> None:
        """None."""
        return


@dataclass(frozen=True)
class Context(Tokens):
    """Targets attend to visible genes (clean values) and to themselves.

    max_genes: cap on the context. Beyond it the visible genes whose SC profile varies most are taken: a choice by
    similarity to the targets would make a prediction depend on which other genes are asked for.
    """

    max_genes: int = 64

    def __post_init__(self) -> None:
        if self.max_genes < 1:
            raise ValueError(f"Context(max_genes={self.max_genes}): needs at least 1; use Alone() for no context.")

    def context_size(self) -> int:
        """The cap."""
        return self.max_genes

    def mixer(self, width: int, heads: int, rng: Streams) -> ContextMixer:
        """Attention to the context and to oneself."""
        return ContextMixer(width, heads, rng)


@dataclass(frozen=True)
class InBatch(Tokens):
    """The genes generated together are each other's sequence, as in the released code.

    A prediction then depends on which genes are asked for together: an arm for comparison, not a recommendation.
    """

    def mixer(self, width: int, heads: int, rng: Streams) -> BatchMixer:
        """Attention among all tokens of a batch."""
        return BatchMixer(width, heads, rng)


class Mixer(nn.Module):
    """Multi-head attention between gene tokens."""

    def __init__(self, width: int, heads: int, rng: Streams) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = linear(width, 3 * width, rng)
        self.out = linear(width, width, rng)

    @abstractmethod
    def forward(self, x: Tensor, memory: Memory | None) -> Tensor:
        """(..., B, H) what each token gathers, given tokens x (..., B, H) and the layer's context."""

    def split(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values (..., h, B, D) of tokens x (..., B, H)."""
        parts = self.qkv(x).unflatten(-1, (3, self.heads, -1))  # (..., B, 3, h, D)
        q, k, v = parts.movedim(-3, 0).transpose(-3, -2)  # (3, ..., h, B, D)
        return q, k, v

    def merge(self, x: Tensor) -> Tensor:
        """(..., B, H) from heads (..., h, B, D)."""
        return self.out(x.transpose(-3, -2).flatten(-2))  # (..., B, H)


class BatchMixer(Mixer):
    """All tokens of a batch attend to each other."""

    def forward(self, x: Tensor, memory: Memory | None) -> Tensor:
        """(..., B, H); there is no context."""
        return self.merge(attended(*self.split(x)))  # (..., B, H)


class ContextMixer(Mixer):
    """Targets attend to the context and to themselves; context tokens attend to each other."""

    def remember(self, context: Tensor) -> tuple[Tensor, Memory]:
        """What context tokens (C, H) gather from each other (C, H), and the keys and values targets will see."""
        q, k, v = self.split(context)  # (h, C, D)
        return self.merge(attended(q, k, v)), (k, v)  # (C, H)

    def show(self, context: Tensor) -> Memory:
        """The keys and values alone."""
        width = context.shape[-1]
        told = nn.functional.linear(context, self.qkv.weight[width:], self.qkv.bias[width:])  # (C, 2 H)
        k, v = told.unflatten(-1, (2, self.heads, -1)).movedim(-3, 0).transpose(-3, -2)  # (2, h, C, D)
        return k, v

    def forward(self, x: Tensor, memory: Memory | None) -> Tensor:
        """(..., B, H): softmax over the C context logits and the token's own, with no B x B mask."""
        q, k, v = self.split(x)  # (..., h, B, D)
        if memory is None:
            raise ValueError("Context tokens need a context; give the denoiser one.")
        keys, values = memory  # (h, C, D)
        scale = q.shape[-1] ** -0.5
        shown = q @ keys.transpose(-1, -2) * scale  # (..., h, B, C)
        own = (q * k).sum(-1, keepdim=True) * scale  # (..., h, B, 1)
        weights = torch.cat([shown, own], -1).softmax(-1)  # (..., h, B, C + 1)
        return self.merge(weights[..., :-1] @ values + weights[..., -1:] * v)  # (..., B, H)


def attended(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """(..., h, B, D) what queries gather; torch has fused kernels for four dimensions, not for three."""
    if q.ndim == 3:
        q, k, v = q[None], k[None], v[None]
        return nn.functional.scaled_dot_product_attention(q, k, v)[0]
    return nn.functional.scaled_dot_product_attention(q, k, v)
