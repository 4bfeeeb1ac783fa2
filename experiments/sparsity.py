"""How much does each method lose when the spatial data are sparser? (the paper's Figure 2)

Command   spadit run sparsity --store results
          (the paper's datasets: add --data FOLDER; your own: add --dataset NAME)
Cost      every method x dataset x 6 sampling rates x 5 folds; methods with randomness twice: six times what
          `baselines` takes
Expect    visible counts are thinned at random, nested: what survives at 0.3 survives at 0.5, and the truth stays
          whole, so that curves are paired. Every method falls with the rate, and ridge and SpaDiT lie close together.
          Data that are no counts drop out entry by entry, and the tables say so.
"""

from experiments._roster import DATASETS, everybody
from harness import Experiment, KFold

EXPERIMENT = Experiment(
    name="sparsity",
    variants=everybody(),
    datasets=DATASETS,
    split=KFold(5),
    seeds=range(2),
    reference="SpaDiT",
    sampling_rates=(1.0, 0.9, 0.7, 0.5, 0.3, 0.1),
)
