"""Does tuning SpaDiT help, on genes that did not choose? (nested: one search inside each fold of each dataset)

Command   spadit tune search --trials 8 --preset tiny --store results
          (the sizes are tiny, small and paper; the paper's datasets: add --data FOLDER; your own: add --dataset NAME)
"""

from experiments._roster import DATASETS
from experiments._spaces import spadit
from harness import KFold
from harness.search import Nested, Search
from models.controls.low_rank_ridge import LowRankRidge


def at(size: str) -> Search:
    """The search at a size."""
    return Search(
        name=f"search-{size}",
        spaces={"SpaDiT": spadit(size)},
        datasets=DATASETS,
        selection=Nested(KFold(3)),
        beside={"low-rank ridge": LowRankRidge()},
    )


PRESETS = {size: at(size) for size in ("tiny", "small", "paper")}
EXPERIMENT = PRESETS["small"]
