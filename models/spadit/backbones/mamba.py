"""Mamba: a selective state space model over the sequence of genes.

Gu & Dao 2023, arXiv:2312.00752. The paper's arm *w/ Mamba*; it does not say what the sequence is. Here it is the
context, in its order, then the target: the state after the context is computed once, and each target takes one step
from it, so targets never see each other. With `tokens=InBatch()` the genes of a batch are one sequence in the order in
which they are asked for. Timestep and condition modulate every block as in the transformer. Shapes: see `layers`; E
inner channels, N states.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from ..layers import Streams, linear, modulated, uniform, zero_linear
from ..tokens import Context, InBatch, Memory, Tokens
from ._base import Backbone, Trunk
from ._fused_scan import fused_scan
from ._scan import factors, read_of, scan


@dataclass(frozen=True)
class Mamba(Backbone):
    """`depth` blocks of a gated selective state space layer.

    states: N, per channel. expand: E in units of `hidden`. reach: genes that the causal convolution before the scan
    covers, the gene itself among them. scan: "torch" runs everywhere; "fused" is the same function by the kernel of the
    package mamba-ssm, on a GPU, and refuses where that is not.
    """

    depth: int = 2
    states: int = 16
    expand: float = 2.0
    reach: int = 4
    scan: Literal["torch", "fused"] = "torch"

    def __post_init__(self) -> None:
        if min(self.depth, self.states, self.reach) < 1 or round(self.expand * self.hidden) < 1:
            raise ValueError(
                f"Mamba(depth={self.depth}, states={self.states}, expand={self.expand}, reach={self.reach}): depth, "
                "states and reach must be at least 1, and expand x hidden at least 1."
            )

    def build(self, tokens: Tokens, rng: Streams) -> Sequence:
        """The blocks."""
        return Sequence(self, tokens, rng)


class Sequence(Trunk):
    """The stack of blocks, over one of three kinds of sequence."""

    def __init__(self, config: Mamba, tokens: Tokens, rng: Streams) -> None:
        super().__init__()
        self.together = isinstance(tokens, InBatch)
        self.shown = isinstance(tokens, Context)
        self.blocks = nn.ModuleList([Block(config, rng) for _ in range(config.depth)])

    def remember(self, context: Tensor, c: Tensor) -> list[Memory]:
        """Per block, what the context leaves behind: the last inputs of the convolution, and the state."""
        if not self.shown:
            raise ValueError("A context is for tokens=Context(); these tokens do not look at one.")
        memory = []
        for block in self.blocks:
            assert isinstance(block, Block)
            context, left = block.along(context, c)  # (C, H)
            memory.append(left)
        return memory

    def forward(self, x: Tensor, c: Tensor, memory: list[Memory] | None) -> Tensor:
        """(..., B, H) after all blocks."""
        if self.shown and memory is None:
            raise ValueError("Context tokens need a context; give the denoiser one.")
        for i, block in enumerate(self.blocks):
            assert isinstance(block, Block)
            if self.together:
                of_genes = c.view(len(c), *[1] * (x.ndim - 2), -1)  # (B, ..., H)
                x = block.along(x.movedim(-2, 0), of_genes)[0].movedim(0, -2)  # (..., B, H)
            else:
                x = block.after(x, c, None if memory is None else memory[i])  # (..., B, H)
        return x


class Block(nn.Module):
    """Modulated norm, convolution over the last genes, selective scan, gate; on a residual stream that starts shut."""

    def __init__(self, config: Mamba, rng: Streams) -> None:
        super().__init__()
        width, inner = config.hidden, round(config.expand * config.hidden)
        self.scan = fused_scan if config.scan == "fused" else scan
        self.states, self.reach, self.rank = config.states, config.reach, max(1, math.ceil(width / 16))
        self.norm = nn.LayerNorm(width, elementwise_affine=False)
        self.modulation = nn.Sequential(nn.SiLU(), zero_linear(width, 3 * width))
        self.into = linear(width, 2 * inner, rng)
        bound = 1.0 / math.sqrt(config.reach)
        self.kernel = nn.Parameter(uniform(torch.empty(config.reach, inner), -bound, bound, rng))
        self.offset = nn.Parameter(torch.zeros(inner))
        self.select = linear(inner, self.rank + 2 * config.states, rng)
        self.widen = linear(self.rank, inner, rng)
        # As published: A starts as -1 ... -N in every channel, and steps delta log-uniform between 0.001 and 0.1.
        self.log_a = nn.Parameter(torch.arange(1, config.states + 1).float().log().repeat(inner, 1))  # (E, N)
        delta = torch.exp(uniform(torch.empty(inner), math.log(1e-3), math.log(0.1), rng))
        with torch.no_grad():
            self.widen.bias.copy_(delta + torch.log(-torch.expm1(-delta)))  # the inverse of softplus
        self.skip = nn.Parameter(torch.ones(inner))
        self.out = linear(inner, width, rng)

    def along(self, x: Tensor, c: Tensor) -> tuple[Tensor, Memory]:
        """One sequence: tokens x (L, ..., H) with conditions c (L, ..., H) -> tokens after it, and what it leaves.

        What is left: the last reach - 1 inputs of the convolution (reach - 1, ..., E), and the state (..., E, N).
        """
        gate, u, z = self.enter(x, c)  # (L, ..., E)
        before = u.new_zeros(self.reach - 1, *u.shape[1:])
        padded = torch.cat([before, u])  # (reach - 1 + L, ..., E)
        windows = padded.unfold(0, self.reach, 1)  # (L, ..., E, reach)
        v = self.convolved(windows.movedim(-1, 0))  # (L, ..., E)
        delta, write, read = self.selected(v)
        y, state = self.scan(delta, self.log_a, v, write, read)  # (L, ..., E), (..., E, N)
        last = padded[len(padded) - self.reach + 1 :]  # (reach - 1, ..., E)
        return x + gate * self.leave(y, v, z), (last, state)

    def after(self, x: Tensor, c: Tensor, left: Memory | None) -> Tensor:
        """One step for each token x (..., B, H), every one from what the same sequence left; from nothing if None."""
        gate, u, z = self.enter(x, c)  # (..., B, E)
        if left is None:
            left = u.new_zeros(self.reach - 1, u.shape[-1]), u.new_zeros(u.shape[-1], self.states)
        last, h = left
        window = torch.cat(
            [last.view(self.reach - 1, *[1] * (u.ndim - 1), u.shape[-1]).expand(-1, *u.shape), u.unsqueeze(0)]
        )
        v = self.convolved(window)  # (..., B, E)
        delta, write, read = self.selected(v)
        # The state a h + delta v write, read without being made: at B genes it is what takes the memory.
        kept = read_of(factors(delta, self.log_a) * h, read)  # (..., B, E)
        y = kept + delta * v * (write * read).sum(-1, keepdim=True)  # (..., B, E)
        return x + gate * self.leave(y, v, z)  # (..., B, H)

    def enter(self, x: Tensor, c: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The gate of the residual (..., H), and the two inner streams (..., E): to be scanned, and to gate that."""
        shift, scale, gate = self.modulation(c).chunk(3, -1)
        u, z = self.into(modulated(self.norm(x), shift, scale)).chunk(2, -1)
        return gate, u, z

    def convolved(self, window: Tensor) -> Tensor:
        """(..., E) of (reach, ..., E), the oldest first."""
        return nn.functional.silu(torch.einsum("k...e,ke->...e", window, self.kernel) + self.offset)

    def selected(self, v: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """What v (..., E) chooses: step lengths delta (..., E), and how the state is written and read (..., N) each."""
        step, write, read = self.select(v).split([self.rank, self.states, self.states], -1)
        return nn.functional.softplus(self.widen(step)), write, read

    def leave(self, y: Tensor, v: Tensor, z: Tensor) -> Tensor:
        """(..., H) from what was read of the state (..., E), with the path past it, gated."""
        return self.out((y + self.skip * v) * nn.functional.silu(z))
