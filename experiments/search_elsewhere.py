"""Do SpaDiT's settings carry over? (searched on two dataset pairs, scored on two others)

Command   spadit tune search_elsewhere --trials 8 --preset tiny --store results --data FOLDER
          (FOLDER holds the four pairs; your own: add --dataset NAME, to score on it instead)
Cost      about 6 minutes on two cores: 80 trials on the two pairs that decide, and 70 that score
Expect    little promised, and what is kept to depend on the tissue. Of 8 configurations the best promises .002 of PCC
          over the default by 10 folds on two pairs; on two others it keeps -.012 [-.026, .001] and .009 [.002, .016].
"""

from experiments._spaces import spadit
from harness.search import Elsewhere, Search
from models.controls.low_rank_ridge import LowRankRidge


def at(size: str) -> Search:
    """The search at a size."""
    return Search(
        name=f"search_elsewhere-{size}",
        spaces={"SpaDiT": spadit(size)},
        datasets=("osmfish_ssp", "hippocampus_visium"),
        selection=Elsewhere(("seqfishplus_cortex", "pdac")),
        beside={"low-rank ridge": LowRankRidge()},
    )


PRESETS = {size: at(size) for size in ("tiny", "small", "paper")}
EXPERIMENT = PRESETS["small"]
