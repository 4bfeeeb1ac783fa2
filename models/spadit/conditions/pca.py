"""psi by principal components of the SC matrix: a fixed projection, then one learned linear map."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..layers import Streams, zero_linear
from ._attention import Readout
from ._base import Condition, Psi


@dataclass(frozen=True)
class PCA(Condition):
    """A gene's scores on the leading principal components of the SC rows in scope.

    The components are those of all genes in scope as they are at inference, found once, before training.

    components: at most so many. readout: "gene" gives each gene its own scores; "pooled" their mean over the scope.
    max_genes: SC genes in scope beyond the visible ones, highest variance first.
    """

    components: int = 50
    readout: Readout = "gene"
    max_genes: int = 2048

    def __post_init__(self) -> None:
        if self.components < 1 or self.max_genes < 0:
            raise ValueError(
                f"PCA(components={self.components}, max_genes={self.max_genes}): at least 1 and at least 0."
            )

    def further_genes(self) -> int:
        """`max_genes`."""
        return self.max_genes

    def build(self, features: int, width: int, rng: Streams) -> Scores:
        """The encoder."""
        return Scores(features, width, self.components, self.readout)


class Scores(Psi):
    """Centred rows times fixed directions, then a linear map that starts as zero."""

    centre: Tensor
    directions: Tensor

    def __init__(self, features: int, width: int, components: int, readout: Readout) -> None:
        super().__init__()
        self.readout = readout
        self.register_buffer("centre", torch.zeros(features))
        self.register_buffer("directions", torch.zeros(features, min(components, features)))
        self.out = zero_linear(min(components, features), width)

    def fit(self, scope: Tensor) -> None:
        """The leading directions of the rows (N, K), scaled so that scores have unit mean square."""
        centre = scope.mean(0)  # (K,)
        _, strengths, directions = torch.linalg.svd(scope - centre, full_matrices=False)
        kept = directions[: self.directions.shape[1]].T  # (K, p)
        scale = (strengths[0] / len(scope) ** 0.5).clamp(min=1e-12)
        self.centre.copy_(centre)
        self.directions.zero_()[:, : kept.shape[1]] = kept / scale

    def forward(self, genes: Tensor, scope: Tensor) -> Tensor:
        """(B, H): each gene's scores, mapped; (1, H): those of the scope's mean."""
        rows = genes if self.readout == "gene" else scope.mean(0, keepdim=True)  # (B, K), or (1, K)
        return self.out((rows - self.centre) @ self.directions)  # (B, H)
