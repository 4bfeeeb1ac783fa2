"""The contract of a backbone."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from ...component import Component
from ..layers import Streams
from ..tokens import Memory, Tokens


@dataclass(frozen=True)
class Backbone(Component):
    """A network over gene tokens, modulated by a condition. `hidden` is H, the width of everything around it.

    conditioned: whether timestep and condition reach it; where they do not, they do not reach the head either.
    """

    conditioned: ClassVar[bool] = True

    hidden: int = 128

    @abstractmethod
    def build(self, tokens: Tokens, rng: Streams) -> Trunk:
        """The network, freshly initialised from `rng`."""


class Trunk(nn.Module):
    """A built backbone. What is shown as context is taken in once (`remember`) and used at every step (`forward`)."""

    @abstractmethod
    def remember(self, context: Tensor, c: Tensor) -> list[Memory]:
        """What targets will see of context tokens (C, H) with their conditions (C, H), layer by layer."""

    @abstractmethod
    def forward(self, x: Tensor, c: Tensor, memory: list[Memory] | None) -> Tensor:
        """(..., B, H) from tokens x (..., B, H), conditions c (B, H), and the context if there is one."""
