"""Which condition encoder serves SpaDiT best? (the paper's Table 4)

Command   spadit run conditions --preset tiny --store results
          (the sizes are tiny, small and paper; the paper's datasets: add --data FOLDER; your own: add --dataset NAME)
Cost      about 2 minutes for the bundled pair on two cores
Expect    no difference that an interval would let stand: Phi carries the same information as the condition.
          Flash-Attention and Attention are one function computed in two ways, so their paired interval must include 0;
          the paper's table has different numbers for them.
"""

from experiments._spadit import Arm, Sizes, unchanged, with_parts
from models.controls.low_rank_ridge import LowRankRidge
from models.spadit.conditions.attention import Attention
from models.spadit.conditions.mlp import MLP
from models.spadit.conditions.none import NoCondition
from models.spadit.conditions.pca import PCA

ARMS: dict[str, Arm] = {
    "Flash-Attention": unchanged,
    "Attention": with_parts(condition=Attention()),
    "MLP": with_parts(condition=MLP()),
    "PCA": with_parts(condition=PCA()),
    "none": with_parts(condition=NoCondition()),
}

PRESETS = Sizes("conditions", ARMS, {"low-rank ridge": LowRankRidge()})
EXPERIMENT = PRESETS["small"]
