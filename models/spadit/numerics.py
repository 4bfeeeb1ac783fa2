"""How a network is computed: in which precision, and compiled or not. Neither is on unless asked for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn

from ..component import Component
from ..method import Skipped


@dataclass(frozen=True)
class Numerics(Component):
    """What changes rounding and time, and nothing else.

    precision: "bfloat16" multiplies matrices in bfloat16 (autocast), in training and sampling; weights, optimizer,
        losses and samples stay in float32. In a sampling run the weights are cast once.
    compiled: the denoiser's forward pass goes through torch.compile, which takes half a minute to minutes to begin.

    What either gains or loses is measured by `tests/benchmarks/spadit_speed.py`.
    """

    precision: Literal["float32", "bfloat16"] = "float32"
    compiled: bool = False

    def computing(self, device: str) -> AbstractContextManager[None]:
        """The precision, for what is computed inside."""
        kind = torch.device(device).type
        return torch.autocast(kind, torch.bfloat16, enabled=self.precision == "bfloat16")

    def prepare(self, model: nn.Module) -> None:
        """Compile the module's forward pass, in place, if asked for."""
        if self.compiled:
            model.compile()

    @contextmanager
    def refusing(self) -> Iterator[None]:
        """`Skipped`, in one sentence, where torch.compile cannot compile what runs inside on this machine.

        On a CPU, torch 2.13 generates C++ that no compiler takes for some networks in bfloat16.
        """
        try:
            yield
        except RuntimeError as error:
            from torch._dynamo.exc import TorchDynamoException

            if not isinstance(error, TorchDynamoException):
                raise
            raise Skipped(
                f"torch.compile cannot compile this network in {self.precision} here ({type(error).__name__}); use "
                "Numerics(compiled=False)."
            ) from error
