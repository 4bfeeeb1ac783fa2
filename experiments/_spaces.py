"""Spaces that methods are searched in: SpaDiT's round a size of it and Table 1, the baselines' round their settings."""

from __future__ import annotations

from experiments._spadit import at_row
from experiments.presets import TABLE_1
from harness.search import Choice, Float, Int, Space
from harness.search.space import Domain, Paths
from models.baselines.gimvi import GimVI
from models.baselines.novosparc import NovoSpaRc
from models.baselines.spage import SpaGE
from models.baselines.spaotsc import SpaOTsc
from models.baselines.spatialscope import SpatialScopeReduced
from models.baselines.stdiff import StDiff
from models.baselines.stplus import StPlus
from models.baselines.tangram import Tangram
from models.component import Component
from models.spadit import SpaDiT
from models.spadit.backbones.mamba import Mamba
from models.spadit.backbones.unet import UNet
from models.spadit.conditions.attention import Attention
from models.spadit.conditions.flash_attention import FlashAttention
from models.spadit.conditions.mlp import MLP
from models.spadit.conditions.none import NoCondition
from models.spadit.conditions.pca import PCA
from models.spadit.diffusion import Cosine, Linear, Quadratic
from models.spadit.masking import EntryMask, FullMask
from models.spadit.spot_space import LowRank, RawSpots

ENTRIES = Space(
    EntryMask(),
    {"zero_ratio": Float(0.1, 0.4), "nonzero_ratio": Float(0.1, 0.3), "full_mask": Float(0.0, 1.0)},
)
"""Table 1's mask ratios, from its lowest to its highest, and how many genes are masked entirely."""

CONDITIONS = Choice([FlashAttention(), Attention(), MLP(), PCA(), NoCondition()])


def spadit(size: str) -> Space:
    """SpaDiT at a size (tiny, small, paper) and round it; entries are masked where spots are diffused as such."""
    if size == "paper":
        row = TABLE_1["MG"]
        return Space(
            at_row(row),
            _parts(
                backbones(at_row(row).backbone, hidden=(1024, 2048), heads=(8, 16, 32), depth=Int(8, 32, step=8)),
                lr=Float(2e-6, 3e-4, log=True),
                steps=(1000, 2000),
                sampler=Int(10, 50, log=True),
            )
            | {f"masking.{paths[0]}": domain for paths, domain in ENTRIES.vary.items()},
        )
    base = {"tiny": SpaDiT.tiny(), "small": SpaDiT.small()}[size]
    parts = _parts(
        backbones(base.backbone, hidden=(64, 128, 256), heads=(2, 4, 8), depth=Int(1, 4)),
        lr=Float(1e-4, 1e-2, log=True),
        steps=(500, 1000, 2000),
        sampler=Int(3, 20, log=True),
    )
    masks = Choice({"whole genes": (LowRank(), FullMask()), "entries": (RawSpots(), ENTRIES)})
    return Space(base, parts | {("spot_space", "masking"): masks})


def backbones(base: Component, hidden: tuple[int, ...], heads: tuple[int, ...], depth: Int) -> Choice:
    """The three backbones of the paper, each with its own width and depth, the transformer with heads."""
    of = {"hidden": Choice(hidden)}
    return Choice(
        {
            "transformer": Space(base, {**of, "depth": depth, "heads": Choice(heads)}),
            "unet": Space(UNet(), {**of, "depth": Int(1, 2)}),
            "mamba": Space(Mamba(), {**of, "depth": depth}),
        }
    )


def baselines() -> dict[str, Space]:
    """Label -> space of each baseline: what its authors leave to the user, round their settings; no more than three
    fields each, so that a small budget says something.
    """
    spaces = (
        Space(GimVI(), {"epochs": Int(50, 400, step=50), "latent": Int(5, 20), "kappa": Float(1.0, 10.0)}),
        Space(
            NovoSpaRc(),
            {"alpha": Float(0.0, 1.0), "epsilon": Float(5e-4, 5e-2, log=True), "neighbours": Int(3, 15)},
        ),
        Space(SpaGE(), {"neighbours": Int(10, 100, log=True), "threshold": Float(0.0, 0.6)}),
        Space(SpaOTsc(), {"epsilon": Float(0.02, 0.5, log=True), "rho": Float(0.1, 10.0, log=True)}),
        Space(
            SpatialScopeReduced(),
            {"typing.smoothness": Float(1.0, 100.0, log=True), "training.lr": Float(1e-4, 5e-3, log=True)},
        ),
        Space(StDiff(), {"depth": Int(1, 4), "lr": Float(1e-4, 5e-3, log=True), "augment": Float(1.0, 30.0, log=True)}),
        Space(
            StPlus(),
            {
                "hidden": Choice((250, 500, 1000)),
                "neighbours": Int(10, 100, log=True),
                "weight_decay": Float(1e-5, 1e-2, log=True),
            },
        ),
        Space(
            Tangram(),
            {"lr": Float(0.01, 0.3, log=True), "lambda_d": Float(0.0, 2.0), "lambda_g2": Float(0.0, 1.0)},
        ),
    )
    return {type(space.base).label or type(space.base).__name__: space for space in spaces}  # type: ignore[attr-defined]


def _parts(backbone: Choice, lr: Float, steps: tuple[int, ...], sampler: Int) -> dict[str | Paths, Domain]:
    def schedule(kind: type[Component]) -> Space:
        return Space(kind(steps=steps[0]), {"steps": Choice(steps)})  # type: ignore[call-arg]

    return {
        "backbone": backbone,
        "condition": CONDITIONS,
        "schedule": Choice({"quadratic": schedule(Quadratic), "linear": schedule(Linear), "cosine": schedule(Cosine)}),
        "training.lr": lr,
        "latent.layers": Int(1, 4),
        "sampler.steps": sampler,
    }
