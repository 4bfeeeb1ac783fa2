"""SpaDiT, the paper's model: `SpaDiT()` is the CPU preset, every part of it a field."""

from .spadit import SpaDiT

__all__ = ["SpaDiT"]
