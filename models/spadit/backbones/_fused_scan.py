"""The selective scan by the fused kernel of the package `mamba-ssm`, on a GPU. Shapes: see `mamba`."""

from __future__ import annotations

from importlib.util import find_spec

import torch
from torch import Tensor

from ...method import Skipped


def fused_scan(delta: Tensor, log_a: Tensor, v: Tensor, write: Tensor, read: Tensor) -> tuple[Tensor, Tensor]:
    """The same function as `_scan.scan`, to float precision.

    The kernel returns no last state that gradients flow through. So N steps are added that change nothing (delta = 0),
    each of which reads one state.
    """
    refuse_elsewhere(v.device)
    from mamba_ssm.ops.selective_scan_interface import selective_scan_fn

    length, states = len(v), log_a.shape[-1]
    states_read = torch.eye(states, device=v.device, dtype=read.dtype)
    states_read = states_read.view(states, *[1] * (read.ndim - 2), states).expand(states, *read.shape[1:])

    def laid_out(x: Tensor, then: Tensor | None = None) -> Tensor:
        """(n, channels, L + N), as the kernel reads it, from (L, ..., channels), zeros or `then` behind."""
        rest = x.new_zeros(states, *x.shape[1:]) if then is None else then
        flat = torch.cat([x, rest]).float().flatten(1, -2) if x.ndim > 2 else torch.cat([x, rest]).float().unsqueeze(1)
        return flat.permute(1, 2, 0).contiguous()

    said = selective_scan_fn(
        laid_out(v), laid_out(delta), -log_a.float().exp(), laid_out(write), laid_out(read, then=states_read)
    )  # (n, E, L + N)
    y = said.permute(2, 0, 1).reshape(length + states, *v.shape[1:]).to(v.dtype)  # (L + N, ..., E)
    return y[:length], y[length:].movedim(0, -1)


def refuse_elsewhere(device: torch.device) -> None:
    """`Skipped`, with what to do, where the kernel cannot run."""
    if device.type != "cuda" or find_spec("mamba_ssm") is None:
        raise Skipped(
            f"the fused scan runs on a GPU (this is {device.type}) with the package mamba-ssm; use "
            "Mamba(scan='torch'), or pip install 'spadit-harness[mamba]' on such a machine."
        )
