"""What does each module of SpaDiT contribute? (the paper's Table 3)

Command   spadit run modules --preset tiny --store results
          (the sizes are tiny, small and paper; the paper's datasets: add --data FOLDER; your own: add --dataset NAME)
Cost      about 5 minutes for the bundled pair on two cores; half of it is shared with `conditions`, `backbones`
Expect    little from the condition: on the bundled pair, PCC without it is .328 at `small`, with it .317. Phi's SC part
          carries the same information and carries it further: without it .283 (at `tiny`, with a third of the steps,
          .220 against .320); without both .063. The paper read literally scores a PCC near 0 at what a processor can
          afford.
"""

from dataclasses import replace

from experiments._spadit import Arm, Sizes, unchanged, with_parts
from models.controls.low_rank_ridge import LowRankRidge
from models.spadit import SpaDiT
from models.spadit.conditions.flash_attention import FlashAttention
from models.spadit.conditions.mlp import MLP
from models.spadit.conditions.none import NoCondition


def without_concat(base: SpaDiT) -> SpaDiT:
    """Phi without its SC part, and so without the direct path that starts from it."""
    return replace(base, latent=replace(base.latent, concat=False, direct=False))


def without_any(base: SpaDiT) -> SpaDiT:
    """Neither Phi's SC part nor a condition: nothing says which gene is generated."""
    return replace(without_concat(base), condition=NoCondition())


ARMS: dict[str, Arm] = {
    "SpaDiT": unchanged,
    "w/o Flash-Attention": with_parts(condition=MLP()),
    "w/o Condition": with_parts(condition=NoCondition()),
    "w/ Common Gene": with_parts(condition=FlashAttention(max_genes=0)),
    "w/o Concat in Phi": without_concat,
    "w/o Condition and Concat": without_any,
}

PRESETS = Sizes("modules", ARMS, {"the paper, literally": SpaDiT.paper_literal(), "low-rank ridge": LowRankRidge()})
EXPERIMENT = PRESETS["small"]
