"""Does tuning SpaDiT help, on genes that did not choose? (nested: one search inside each fold of each dataset)

Command   spadit tune search --trials 8 --preset tiny --store results
          (the sizes are tiny, small and paper; the paper's datasets: add --data FOLDER; your own: add --dataset NAME)
Cost      about 5 minutes for one pair of 27 genes on two cores: 120 trials, and 35 that score the winners
Expect    more promised than kept. On a real pair of 27 genes the winners promise .043 of PCC over the default by an
          inner split of the visible genes, and lose .033 [-.058, -.011] on the test genes of their folds: what is best
          with the 14 genes that an inner fold trains on is not what is best with 21, and the best of 8 flatters. All
          winners mask entries; the default, which masks genes entirely, is ahead in all five folds.
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
