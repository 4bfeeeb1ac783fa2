"""Who is best when everybody is tuned alike? (SpaDiT and each baseline, every one with the same number of trials)

Command   spadit tune everyone_tuned --trials 20 --store results
          (--preset tiny for a small SpaDiT; the paper's datasets: add --data FOLDER; your own: add --dataset NAME)
"""

from experiments._roster import DATASETS, everybody
from experiments._spaces import baselines, spadit
from harness.search import Search

CONTROLS = {label: method for label, method in everybody().items() if method.control}


def at(size: str) -> Search:
    """The search with SpaDiT at a size."""
    return Search(
        name=f"everyone_tuned-{size}",
        spaces={"SpaDiT": spadit(size)} | baselines(),
        datasets=DATASETS,
        beside=CONTROLS,
    )


PRESETS = {size: at(size) for size in ("tiny", "small")}
EXPERIMENT = PRESETS["small"]
