"""Phi, the latent embedding of a gene: its noised ST vector and its SC profile, concatenated (Algorithm 1, line 5)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..component import Component
from .layers import MLP, Dropout, Streams


@dataclass(frozen=True)
class Latent(Component):
    """Phi: the ST part and the SC part are embedded apart and concatenated.

    layers: linear layers of each part's embedding (Table 1: "latent layers", 2-5 there).
    concat: False removes the SC part (ablation *w/o Concat in Phi*: `Latent(concat=False, direct=False)`).
    direct: a linear path from the SC features straight to the prediction, beside the backbone. Not in the paper; with
        x0-prediction it is where a ridge regression would be found.
    """

    layers: int = 1
    concat: bool = True
    direct: bool = True

    def __post_init__(self) -> None:
        if self.layers < 1:
            raise ValueError(f"Latent(layers={self.layers}): an embedding has at least 1 layer.")
        if self.direct and not self.concat:
            raise ValueError("Latent(concat=False) has no SC part for a direct path to start from; set direct=False.")

    def build(self, spots: int, features: int, width: int, rng: Streams) -> Phi:
        """Phi for a spot space of `spots` dimensions and `features` SC features, into `width`."""
        return Phi(self, spots, features, width, rng)


class Phi(nn.Module):
    """The two embeddings; the SC one is computed once per sampling run, the ST one at every step."""

    def __init__(self, latent: Latent, spots: int, features: int, width: int, rng: Streams) -> None:
        super().__init__()
        of_sc = width // 2 if latent.concat else 0
        self.st = MLP(spots, width, width - of_sc, latent.layers, rng)
        self.sc: nn.Module | None = None
        if latent.concat:
            embed = MLP(features, width, of_sc, latent.layers, rng)
            self.sc = nn.Sequential(embed, Dropout(rng))

    def embed_sc(self, sc: Tensor) -> Tensor | None:
        """(B, H/2) the SC part of genes sc (B, K); None without it."""
        return None if self.sc is None else self.sc(sc)  # (B, H/2)

    def forward(self, x: Tensor, sc: Tensor | None) -> Tensor:
        """(..., B, H) tokens of x (..., B, S), given the SC part of the same genes."""
        st = self.st(x)  # (..., B, H/2), or (..., B, H) alone
        if sc is None:
            return st
        return torch.cat([st, sc.expand(*st.shape[:-1], sc.shape[-1])], -1)  # (..., B, H)
