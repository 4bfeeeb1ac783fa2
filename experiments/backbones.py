"""Which backbone serves SpaDiT best, at equal numbers of parameters? (the paper's Table 2)

Command   spadit run backbones --preset tiny --store results
          (the sizes are tiny, small and paper; the paper's datasets: add --data FOLDER; your own: add --dataset NAME)
Cost      about 6 minutes for the bundled pair on two cores, more than half of it the Mamba and the U-Net
Expect    no clear order once trained: on the bundled pair all four lie within .011 of PCC at `small`, Mamba first; at
          `tiny`, with a third of the steps, the blind MLP is .025 behind. It is what the released code's forward pass
          computes, without timestep and condition.
"""

from dataclasses import replace

from experiments._spadit import Arm, Sizes, unchanged
from models.controls.low_rank_ridge import LowRankRidge
from models.spadit import SpaDiT
from models.spadit.backbones import Backbone
from models.spadit.backbones.blind_mlp import BlindMLP
from models.spadit.backbones.mamba import Mamba
from models.spadit.backbones.transformer import Transformer
from models.spadit.backbones.unet import UNet
from models.spadit.footprint import sized_like


def in_place_of_the_transformer(candidate: type[Backbone], field: str) -> Arm:
    """The model with another backbone, whose `field` gives it the transformer's number of parameters."""

    def arm(base: SpaDiT) -> SpaDiT:
        assert isinstance(base.backbone, Transformer)
        width, depth = base.backbone.hidden, base.backbone.depth
        fields = {UNet: {"depth": max(1, depth // 2)}, Mamba: {"depth": depth}}.get(candidate, {})
        return replace(base, backbone=sized_like(base.backbone, base.tokens, candidate(hidden=width, **fields), field))

    return arm


ARMS: dict[str, Arm] = {
    "w/ Transformer": unchanged,
    "w/ U-Net": in_place_of_the_transformer(UNet, "mlp_ratio"),
    "w/ Mamba": in_place_of_the_transformer(Mamba, "expand"),
    "w/ blind MLP": in_place_of_the_transformer(BlindMLP, "widening"),
}

PRESETS = Sizes("backbones", ARMS, {"the paper, literally": SpaDiT.paper_literal(), "low-rank ridge": LowRankRidge()})
EXPERIMENT = PRESETS["small"]
