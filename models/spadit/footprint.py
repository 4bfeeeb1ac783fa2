"""What a SpaDiT of a given size takes: parameters and memory, from its own network, without making it.

The network is built on torch's meta device, where tensors have shapes and no values, and one training step is traced
there: what it would keep for the backward pass is counted, not estimated. Counted in float32, whatever `numerics` says.
What an operation needs only while it runs is not counted: little, but for a Mamba, which took up to two thirds more on
a CPU. Shapes: see `layers`.
"""

from __future__ import annotations

import functools
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from .backbones._base import Backbone
from .denoiser import Denoiser, Shown
from .layers import Streams, generator
from .tokens import Tokens

if TYPE_CHECKING:
    from .spadit import SpaDiT

REAL = 4
"""Bytes of a float32."""


@dataclass(frozen=True)
class Footprint:
    """Parameters of a network, and the bytes that its training takes at most, on one device.

    weights: the parameters. training: gradients, AdamW's two moments and the averaged weights; and once more the
    gradients of weights that context and targets both pass, where the first waits for the second. activations: what
    one step keeps for the backward pass. data: the genes as the network sees them.
    """

    parameters: int
    weights: int
    training: int
    activations: int
    data: int

    @property
    def total(self) -> int:
        """Bytes in all."""
        return self.weights + self.training + self.activations + self.data


def footprint(method: SpaDiT, spots: int, cells: int, genes: int, further: int = 0) -> Footprint:
    """Of a SpaDiT on a problem of so many spots, cells, and genes to train on.

    further: SC genes beyond these that psi may look at; as many as its `max_genes` count.
    """
    size = method.spot_space.size(spots, genes)  # S
    features = method.sc_features.size(cells, genes)  # K
    batch = method.training.batch if method.training.resample else min(genes, method.training.batch)
    scope = genes + min(further, method.condition.further_genes(), method.training.further)
    with torch.device("meta"):
        model = Denoiser(
            method.latent,
            method.condition,
            method.backbone,
            method.tokens,
            size,
            features,
            Streams(generator(0), generator(0), rate=0.0),
            method.sampler.learns_variance,
        )
        kept, twice = _kept_for_backward(model, method, size, features, batch, scope)
    weights = REAL * sum(weight.numel() for weight in model.parameters())
    data = REAL * (genes * size + (genes + min(further, method.condition.further_genes())) * features)
    return Footprint(weights // REAL, weights, 4 * weights + twice, kept, data)


def parameters_of(backbone: Backbone, tokens: Tokens) -> int:
    """How many parameters a backbone has, whatever is around it."""
    with torch.device("meta"):
        trunk = backbone.build(tokens, Streams(generator(0), generator(0), rate=0.0))
    return sum(weight.numel() for weight in trunk.parameters())


@functools.cache
def sized_like(other: Backbone, tokens: Tokens, candidate: Backbone, field: str) -> Backbone:
    """The candidate with the value of one field, a real number, at which it has as many parameters as the other.

    Found by the secant method, in which a count that is linear in the field takes two steps; to a thousandth where
    rounding allows. ValueError where it does not come within 3 %.
    """
    wanted = parameters_of(other, tokens)

    def made(value: float) -> Backbone:
        changed: dict[str, Any] = {field: value}
        return replace(candidate, **changed)

    def excess(value: float) -> int:
        return parameters_of(made(value), tokens) - wanted

    last, value = 1.0, 2.0
    before, now = excess(last), excess(value)
    for _ in range(20):
        if abs(now) < 1e-3 * wanted or now == before:
            break
        step = -now * (value - last) / (now - before)
        last, before = value, now
        value = round(max(value + step, value / 4), 4)
        now = excess(value)
    if abs(now) > 0.03 * wanted:
        raise ValueError(f"No {field} gives {candidate} the {wanted:,} parameters of {other}; the nearest was {value}.")
    return made(value)


def _kept_for_backward(
    model: Denoiser, method: SpaDiT, size: int, features: int, batch: int, scope: int
) -> tuple[int, int]:
    """Bytes that one step keeps for its backward pass, parameters aside, and bytes of the parameters it uses twice."""
    own = {weight.untyped_storage()._cdata: weight.untyped_storage().nbytes() for weight in model.parameters()}
    uses: Counter[int] = Counter()
    kept: dict[int, tuple[int, Tensor]] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata in own:
            uses[storage._cdata] += 1
        else:
            kept[storage._cdata] = storage.nbytes(), tensor  # the tensor too, so that no other gets its address
        return tensor

    context = min(method.tokens.context_size(), scope)
    shown = Shown(torch.zeros(context, size), torch.zeros(context, features)) if context else None
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        given = model.given(torch.zeros(batch, features), torch.zeros(scope, features), shown)
        model(torch.zeros(batch, size), torch.ones(batch, dtype=torch.long), given).square().mean()
    return sum(size for size, _ in kept.values()), sum(own[weight] for weight, n in uses.items() if n > 1)
