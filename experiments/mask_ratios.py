"""Does it matter which share of a training gene is masked? (the axes of the paper's Table 1)

Command   spadit run mask_ratios --preset tiny --store results
          (the sizes are tiny, small and paper; the paper's datasets: add --data FOLDER; your own: add --dataset NAME)
Cost      about 8 minutes for the bundled pair on two cores: 26 variants, in the space of the spots
Expect    genes that are masked entirely to matter, since a held-out gene has nothing to show: the paper's training,
          full_mask 0, never sees that situation. At `tiny` on the bundled pair full_mask 0 gives PCC .235 to .285, 0.5
          gives .286 to .295, and masking every gene entirely .297.
"""

from dataclasses import replace

from experiments._spadit import Arm, Sizes
from models.controls.low_rank_ridge import LowRankRidge
from models.spadit import SpaDiT
from models.spadit.masking import EntryMask
from models.spadit.spot_space import RawSpots

ZERO_RATIOS = (0.1, 0.2, 0.3, 0.4)
NONZERO_RATIOS = (0.1, 0.2, 0.3)
FULL_MASKS = (0.0, 0.5)
EVERYTHING = "every gene masked entirely"


def masking(zero: float, nonzero: float, full: float) -> Arm:
    """Entries are spots, so genes are diffused in the space of the spots themselves."""

    def arm(base: SpaDiT) -> SpaDiT:
        return replace(base, spot_space=RawSpots(), masking=EntryMask(zero, nonzero, full))

    return arm


ARMS: dict[str, Arm] = {
    f"zero {zero}, non-zero {nonzero}, full {full}": masking(zero, nonzero, full)
    for full in FULL_MASKS
    for zero in ZERO_RATIOS
    for nonzero in NONZERO_RATIOS
}
ARMS[EVERYTHING] = masking(0.1, 0.1, 1.0)

PRESETS = Sizes("mask_ratios", ARMS, {"low-rank ridge": LowRankRidge()}, reference=EVERYTHING)
EXPERIMENT = PRESETS["small"]
