"""Backbones: what turns tokens into what the head reads. One file is one backbone; adding a file is all it takes."""

from __future__ import annotations

from ...component import discover
from ._base import Backbone, Trunk

__all__ = ["Backbone", "Trunk"]


def __getattr__(name: str) -> type[Backbone]:
    """`from models.spadit.backbones import Transformer` finds the class in whichever file defines it."""
    for cls in discover(__name__, Backbone).values():
        if cls.__name__ == name:
            return cls
    raise AttributeError(f"There is no backbone {name!r} in {__name__}.")
