"""psi by Flash-Attention over the genes of the SC matrix: the paper's condition encoder."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from ...method import Skipped
from ._attention import GeneAttending


@dataclass(frozen=True)
class FlashAttention(GeneAttending):
    """Attention over genes computed by the flash kernel, and by no other.

    Flash-Attention computes ordinary softmax attention without storing the weights: the same function as explicit
    attention, to float precision. Where the kernel does not exist the method is skipped with the reason; it never
    falls back. On a GPU the kernel exists in half precision only, so queries, keys and values are rounded to bfloat16.
    """

    def attend(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """(1, h, B, D) softmax(q k' / sqrt(D)) v by the flash kernel; `Skipped` where there is none."""
        kind = q.dtype
        if q.is_cuda:
            q, k, v = q.bfloat16(), k.bfloat16(), v.bfloat16()
        try:
            with sdpa_kernel(SDPBackend.FLASH_ATTENTION):
                return nn.functional.scaled_dot_product_attention(q, k, v).to(kind)
        except RuntimeError as error:
            if "No available kernel" not in str(error):
                raise
            raise Skipped(
                f"there is no flash-attention kernel for shape {tuple(q.shape)}, {q.dtype} on {q.device.type}; use "
                "another condition encoder of models.spadit.conditions there."
            ) from None
