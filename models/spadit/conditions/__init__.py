"""Condition encoders psi: what the SC matrix says about a gene. One file is one encoder; adding a file is enough."""

from __future__ import annotations

from ...component import discover
from ._base import Condition, Psi

__all__ = ["Condition", "Psi"]


def __getattr__(name: str) -> type[Condition]:
    """`from models.spadit.conditions import FlashAttention` finds the class in whichever file defines it."""
    for cls in discover(__name__, Condition).values():
        if cls.__name__ == name:
            return cls
    raise AttributeError(f"There is no condition encoder {name!r} in {__name__}.")
