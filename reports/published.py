"""The four published metrics as tables show them: the accuracy score is made of these and no others."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Published:
    """name: its column in the per-gene rows. label: in tables. higher_is_better: its direction. meaning: one line.

    decimals: in every table. JS of a good prediction is a few thousandths, so with three all rows would look alike.
    """

    name: str
    label: str
    higher_is_better: bool
    meaning: str
    decimals: int = 3

    @property
    def arrow(self) -> str:
        """The direction of better."""
        return "↑" if self.higher_is_better else "↓"


METRICS = (
    Published("pcc", "PCC", True, "correlation over spots of a gene's predicted and measured expression, -1 to 1"),
    Published("ssim", "SSIM", True, "structural similarity of the two, each divided by its maximum, at most 1"),
    Published(
        "rmse", "RMSE", False, "root mean square difference of z-scores; it equals sqrt(2 (1 - PCC)) and says no more"
    ),
    Published("js", "JS", False, "Jensen-Shannon divergence of the two as distributions over spots, 0 to ln 2", 4),
)
"""In the order of every table and of the last axis of every array of metrics, M = 4."""
