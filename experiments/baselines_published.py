"""What do the baselines score at the settings that were published?

Command   spadit run baselines_published --store results --data FOLDER --gpus-per-trial 1
          (one fold of a pair first: add --dataset NAME --fold 0)
Cost      hours to days without a GPU. One fold of a pair of 313 spots and 510 cells takes one core seconds per method,
          but SpatialScope minutes and stDiff more than an hour; on larger pairs novoSpaRc and Tangram take minutes to
          hours as well
Expect    more time and rarely more accuracy than `baselines`: Tangram's 1,000 epochs overfit small panels. A label
          says "(published)" where these settings are not the method's defaults here; where they are, the trials are
          the same ones. SpatialScope is a reduced form either way.
"""

from experiments._roster import DATASETS, published
from harness import Experiment, KFold

EXPERIMENT = Experiment(
    name="baselines_published",
    variants=published(),
    datasets=DATASETS,
    split=KFold(5),
    seeds=range(2),
    reference="low-rank ridge",
)
