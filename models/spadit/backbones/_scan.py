"""The selective scan h_l = a_l h_{l-1} + b_l, for all positions at once.

Gu & Dao 2023 (Mamba), eq. 2, discretised as there: a = exp(delta A), b = delta B x. The recurrence is linear, so that
steps compose: first (a, b), then (a', b') is (a' a, a' b + b'). Doubling (Hillis & Steele 1986) composes all prefixes
in log2 L passes, each in parallel over positions; nothing is divided, so small a do no harm.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def scan(delta: Tensor, log_a: Tensor, v: Tensor, write: Tensor, read: Tensor) -> tuple[Tensor, Tensor]:
    """What is read of the state after every step (L, ..., E), and the last state (..., E, N), from an empty one.

    delta, v: (L, ..., E). log_a: (E, N), A = -exp(log_a). write, read: (L, ..., N).
    """
    h = selective_scan(factors(delta, log_a), (delta * v).unsqueeze(-1) * write.unsqueeze(-2))  # (L, ..., E, N)
    return read_of(h, read), h[-1]


def factors(delta: Tensor, log_a: Tensor) -> Tensor:
    """(..., E, N) what a step of length delta (..., E) leaves of a state."""
    return torch.exp(delta.unsqueeze(-1) * -log_a.exp())


def read_of(h: Tensor, read: Tensor) -> Tensor:
    """(..., E) of states (..., E, N)."""
    return (h @ read.unsqueeze(-1)).squeeze(-1)


def selective_scan(a: Tensor, b: Tensor) -> Tensor:
    """(L, ...) the states h_1 ... h_L from h_0 = 0; a and b: (L, ...) factors and additions."""
    return Scan.apply(a, b)


class Scan(torch.autograd.Function):
    """The scan, and its gradient by a scan backwards: only factors and states are kept, not the log2 L passes.

    With g_l what the loss says of h_l in all: g_l = dL/dh_l + a_{l+1} g_{l+1}, dL/db_l = g_l, dL/da_l = g_l h_{l-1}.
    """

    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor) -> Tensor:
        """See `selective_scan`."""
        h = _prefixes(a, b)
        ctx.save_for_backward(a, h)
        return h

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor]:
        """The gradients of a and b, from that of h (L, ...)."""
        a, h = ctx.saved_tensors
        ahead = torch.cat([a[1:], torch.zeros_like(a[:1])]).flip(0)  # a_{l+1}, last position first
        of_b = _prefixes(ahead, grad.flip(0)).flip(0)  # (L, ...)
        return of_b * torch.cat([torch.zeros_like(h[:1]), h[:-1]]), of_b


def _prefixes(a: Tensor, b: Tensor) -> Tensor:
    reach = 1
    while reach < len(a):
        # Position l has composed its last `reach` steps; the steps before those are composed at position l - reach.
        b = torch.cat([b[:reach], b[reach:] + a[reach:] * b[:-reach]])
        a = torch.cat([a[:reach], a[reach:] * a[:-reach]])
        reach *= 2
    return b
