"""Who is best when everybody is tuned alike? (SpaDiT and each baseline, every one with the same number of trials)

Command   spadit tune everyone_tuned --trials 20 --store results
          (--preset tiny for a small SpaDiT; the paper's datasets: add --data FOLDER; your own: add --dataset NAME)
"""

from experiments._roster import DATASETS, everybody
from experiments._spaces import baselines, spadit
from harness.search import Search


def at(size: str) -> Search:
    """The search with SpaDiT at a size; controls stand beside it, and so does what has no space, with its defaults."""
    spaces = {"SpaDiT": spadit(size)} | baselines()
    return Search(
        name=f"everyone_tuned-{size}",
        spaces=spaces,
        datasets=DATASETS,
        beside={label: method for label, method in everybody().items() if label not in spaces},
    )


PRESETS = {size: at(size) for size in ("tiny", "small")}
EXPERIMENT = PRESETS["small"]
