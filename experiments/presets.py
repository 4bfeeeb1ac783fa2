"""The paper's hyper-parameters of SpaDiT, dataset by dataset: its supplementary Table 1, value for value.

A fact sheet rather than a question: `spadit data list` shows it, reports print it as Table 1, and SpaDiT's presets are
made from it. Read literally, hidden 2048 with depth 32 does not train on the 24 GB card the paper names.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Preset:
    """One row of Table 1; steps is the number T of diffusion steps."""

    batch: int
    depth: int
    steps: int
    epochs: int
    heads: int
    hidden: int
    learning_rate: float
    mask_zero_ratio: float
    mask_nonzero_ratio: float
    latent_layers: int

    def short(self) -> str:
        """The size of the network and T, for listings."""
        return f"depth {self.depth}, hidden {self.hidden}, {self.heads} heads, T {self.steps}"

    def to_json(self) -> dict[str, float]:
        """Plain JSON values."""
        return asdict(self)


_LARGE = Preset(1024, 64, 2000, 4000, 64, 1024, 3e-6, 0.3, 0.2, 4)
_WIDE = Preset(256, 8, 1000, 2000, 32, 2048, 2e-5, 0.2, 0.3, 5)

TABLE_1: dict[str, Preset] = {
    "MG": Preset(512, 32, 1000, 3000, 32, 1024, 3e-4, 0.4, 0.3, 3),
    "MH": Preset(512, 32, 1000, 4000, 16, 2048, 2e-6, 0.3, 0.1, 2),
    "MHPR": Preset(1024, 16, 2000, 3000, 8, 1024, 1e-4, 0.1, 0.2, 3),
    "MVC": _LARGE,
    "MHM": _LARGE,
    "HBC": _LARGE,
    "ME": _WIDE,
    "MPMC": _WIDE,
    "MC": _WIDE,
    "ML": _WIDE,
}
