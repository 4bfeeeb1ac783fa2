"""Does SpaDiT predict unmeasured genes better than SpaGE, and does either beat the controls?

Command   spadit run quickstart --store results
          (your own pairs: add --data FOLDER --dataset NAME, as often as you like)
Cost      about two minutes on two cores without a GPU for the bundled pair
Expect    SpaDiT above SpaGE and nearest cells, near low-rank ridge; spot total far below; gene mean at the bottom by
          construction. The bundled pair is semi-synthetic (real cells, invented positions): it shows that everything
          runs, not which method is better on tissue.
"""

from harness import Experiment, KFold
from models.baselines.spage import SpaGE
from models.controls.gene_mean import GeneMean
from models.controls.low_rank_ridge import LowRankRidge
from models.controls.nearest_cells import NearestCells
from models.controls.spot_total import SpotTotal
from models.spadit import SpaDiT

EXPERIMENT = Experiment(
    name="quickstart",
    variants={
        "SpaDiT": SpaDiT(),
        "SpaGE": SpaGE(),
        "low-rank ridge": LowRankRidge(),
        "nearest cells": NearestCells(),
        "spot total": SpotTotal(),
        "gene mean": GeneMean(),
    },
    datasets=["pbmc_tissue"],
    split=KFold(5),
    seeds=range(2),
)
