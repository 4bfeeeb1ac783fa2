"""The denoiser: Phi (latent), psi (condition), the timestep and the backbone put together.

One contract for training and sampling: `given(...)` computes everything conditional, once per training step or once per
sampling run, and `forward(x_t, t, given)` predicts what the parametrisation asks for. Shapes: see `layers`.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from .backbones._base import Backbone
from .conditions._base import Condition
from .conditions.none import Zero
from .latent import Latent
from .layers import Streams, TimeEmbedding, modulated, zero_linear
from .tokens import Memory, Tokens


@dataclass(frozen=True)
class Shown:
    """Visible genes shown as context: clean samples x0 (C, S) and their SC features (C, K)."""

    x0: Tensor
    sc: Tensor


@dataclass(frozen=True)
class Given:
    """What does not depend on x_t and t: Phi's SC part (B, H/2), psi (B or 1, H), the direct path (B, S), context."""

    sc: Tensor | None
    psi: Tensor
    direct: Tensor | None
    memory: list[Memory] | None


class Denoiser(nn.Module):
    """Predicts x0, eps or v of genes from their noised ST vectors and the SC matrix.

    The head, the direct linear path from the SC part to the output, and all modulations start as zero: a fresh
    denoiser predicts 0.
    """

    def __init__(
        self,
        latent: Latent,
        condition: Condition,
        backbone: Backbone,
        tokens: Tokens,
        spots: int,
        features: int,
        rng: Streams,
        learns_variance: bool = False,
    ) -> None:
        super().__init__()
        width = backbone.hidden
        self.phi = latent.build(spots, features, width, rng)
        self.direct = zero_linear(features, spots) if latent.direct else None
        self.psi = condition.build(features, width, rng) if backbone.conditioned else Zero(width)
        self.time = TimeEmbedding(width, rng)
        self.flag = nn.Parameter(torch.zeros(width)) if tokens.context_size() else None
        self.trunk = backbone.build(tokens, rng)
        self.norm = nn.LayerNorm(width, elementwise_affine=False)
        self.modulation = nn.Sequential(nn.SiLU(), zero_linear(width, 2 * width)) if backbone.conditioned else None
        self.head = zero_linear(width, spots)
        self.variance = zero_linear(width, spots) if learns_variance else None

    def given(self, sc: Tensor, scope: Tensor, shown: Shown | None) -> Given:
        """What is known of target genes sc (B, K), given the scope (N, K) and the context."""
        direct = None if self.direct is None else self.direct(sc)  # (B, S)
        memory = None if shown is None else self.remember(shown, scope)
        return Given(self.phi.embed_sc(sc), self.psi(sc, scope), direct, memory)

    def remember(self, shown: Shown, scope: Tensor) -> list[Memory]:
        """The context tokens, at t = 0 since they are clean, as the backbone keeps them."""
        tokens = self.phi(shown.x0, self.phi.embed_sc(shown.sc))  # (C, H)
        if self.flag is not None:
            tokens = tokens + self.flag  # (C, H)
        start = torch.zeros((), device=tokens.device)
        return self.trunk.remember(tokens, self.time(start) + self.psi(shown.sc, scope))

    def forward(self, x: Tensor, t: Tensor, given: Given) -> Tensor:
        """(..., B, S) the prediction at x_t (..., B, S) and t, () or (B,); (..., B, 2 S) if it learns the variance."""
        c = self.time(t) + given.psi  # (B, H)
        h = self.trunk(self.phi(x, given.sc), c, given.memory)  # (..., B, H)
        h = self.norm(h)  # (..., B, H)
        if self.modulation is not None:
            shift, scale = self.modulation(c).chunk(2, -1)  # (B, H)
            h = modulated(h, shift, scale)  # (..., B, H)
        out = self.head(h)  # (..., B, S)
        if given.direct is not None:
            out = out + given.direct  # (..., B, S)
        return out if self.variance is None else torch.cat([out, self.variance(h)], -1)
