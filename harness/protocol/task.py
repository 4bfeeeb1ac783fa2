"""What is asked of a method (protocol section 1)."""

from __future__ import annotations

from dataclasses import dataclass

from models.component import Component


@dataclass(frozen=True)
class HeldOutGenes(Component):
    """Predict genes the assay did not measure: every value of a held-out gene is hidden, at every spot."""
