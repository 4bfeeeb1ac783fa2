"""Which settings should SpaDiT have where nobody asks for others? (the search that its defaults were chosen with)

Command   spadit run spadit_defaults --store results --data FOLDER
Cost      some 45 minutes on two cores: 29 variants on the three pairs that settings may be chosen on
Expect    what decides are five things: predicting x0 (eps loses .094 of PCC, v .013), t that prefers noise (uniform
          .020), a low-rank spot space (.011), noise on SC features (.007), samples averaged (.001). All else moves the
          mean by less than .005. Six changes of the defaults and their combinations gain .002 to .004, no more
          together than alone, and none gains on all three pairs: what fewer SC features, a smaller rank, no dropout, a
          narrower network, no context or a pooled condition win on the semi-synthetic pair (.006 to .013) they lose on
          seqfishplus_cortex (.001 to .005). A change was to be made if it gained on each; so none was.
"""

from dataclasses import replace
from typing import Any

from experiments._spadit import Arm, with_parts
from harness import Experiment, KFold
from models.controls.low_rank_ridge import LowRankRidge
from models.spadit import SpaDiT
from models.spadit.backbones.transformer import Transformer
from models.spadit.conditions.flash_attention import FlashAttention
from models.spadit.diffusion import Epsilon, Velocity
from models.spadit.latent import Latent
from models.spadit.samplers import DDIM, DPMSolver
from models.spadit.sc_features import PrincipalCells
from models.spadit.spot_space import LowRank, RawSpots
from models.spadit.tokens import Alone


def trained(**settings: Any) -> Arm:
    """The model with other settings of its training."""
    return lambda base: replace(base, training=replace(base.training, **settings))


def all_of(*arms: Arm) -> Arm:
    """One change after another."""

    def arm(base: SpaDiT) -> SpaDiT:
        for each in arms:
            changed = each(base)
            assert isinstance(changed, SpaDiT)
            base = changed
        return base

    return arm


SMALL_RANK = with_parts(spot_space=LowRank(rank=8))
FEW_FEATURES = with_parts(sc_features=PrincipalCells(rank=50))
NARROW = with_parts(backbone=Transformer(hidden=64))
UNDROPPED = trained(dropout=0.0)

ONE_AT_A_TIME: dict[str, Arm] = {
    "predicts eps": with_parts(parametrisation=Epsilon()),
    "predicts v": with_parts(parametrisation=Velocity()),
    "raw spots": with_parts(spot_space=RawSpots()),
    "rank 8": SMALL_RANK,
    "rank 32": with_parts(spot_space=LowRank(rank=32)),
    "50 SC features": FEW_FEATURES,
    "no SC noise": with_parts(sc_features=PrincipalCells(noise=0.0)),
    "twice the SC noise": with_parts(sc_features=PrincipalCells(noise=2.0)),
    "uniform t": trained(time_power=1.0),
    "t cubed": trained(time_power=3.0),
    "no pairs": trained(pairs=0.0),
    "no dropout": UNDROPPED,
    "EMA .99": trained(ema=0.99),
    "150 steps": trained(steps=150),
    "600 steps": trained(steps=600),
    "hidden 64": NARROW,
    "hidden 256": with_parts(backbone=Transformer(hidden=256)),
    "depth 4": with_parts(backbone=Transformer(depth=4)),
    "no direct path": with_parts(latent=Latent(direct=False)),
    "no context": with_parts(tokens=Alone()),
    "pooled condition": with_parts(condition=FlashAttention(readout="pooled")),
    "1 draw": with_parts(draws=1),
    "DDIM 50": with_parts(sampler=DDIM(steps=50)),
    "DPM-Solver++ 10": with_parts(sampler=DPMSolver(steps=10)),
}

TOGETHER: dict[str, Arm] = {
    "rank 8, 50 SC features": all_of(SMALL_RANK, FEW_FEATURES),
    "rank 8, 50 SC features, no dropout": all_of(SMALL_RANK, FEW_FEATURES, UNDROPPED),
    "rank 8, 50 SC features, no dropout, hidden 64": all_of(SMALL_RANK, FEW_FEATURES, UNDROPPED, NARROW),
}

EXPERIMENT = Experiment(
    name="spadit_defaults",
    variants={"SpaDiT": SpaDiT.small()}
    | {label: arm(SpaDiT.small()) for label, arm in (ONE_AT_A_TIME | TOGETHER).items()}
    | {"low-rank ridge": LowRankRidge()},
    datasets=("pbmc_tissue", "pdac", "seqfishplus_cortex"),
    split=KFold(5),
    seeds=range(1),
)
