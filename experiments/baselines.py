"""Which method predicts unmeasured genes best? (the paper's main comparison, at settings for a processor)

Command   spadit run baselines --store results --data FOLDER
          (the paper's datasets; your own: add --dataset NAME, as often as you like)
Cost      every method x dataset x 5 folds; methods with randomness twice. On two cores without a GPU about an hour for
          four tissues of 300 to 6,500 spots, and some six minutes for the bundled pair
Expect    no clear winner, and low-rank ridge hard to beat: differences between methods are often smaller than those
          between folds. gimVI needs counts and `pip install 'spadit-harness[gimvi]'`; what cannot run is skipped, and
          the tables say so. Settings are the methods' defaults; their docstrings list how these differ from the
          published ones, which `baselines_published` runs.
"""

from experiments._roster import DATASETS, everybody
from harness import Experiment, KFold

EXPERIMENT = Experiment(
    name="baselines",
    variants=everybody(),
    datasets=DATASETS,
    split=KFold(5),
    seeds=range(2),
    reference="SpaDiT",
)
