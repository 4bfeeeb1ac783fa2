"""SpaDiT at the sizes its experiments run at: `tiny` and `small` for a processor, `paper` for GPUs.

An ablation is a change to whatever the size gives: `arm(base) -> SpaDiT`. One function then makes a whole experiment
at any size, and `spadit run backbones --preset paper` is the same experiment as `--preset tiny`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from experiments._roster import DATASETS
from experiments.presets import TABLE_1, Preset
from harness import ByDataset, Experiment, KFold
from harness.experiment import Variant
from models.method import Method
from models.spadit import SpaDiT
from models.spadit.backbones.transformer import Transformer
from models.spadit.diffusion import Quadratic
from models.spadit.latent import Latent
from models.spadit.masking import EntryMask
from models.spadit.samplers import DPMSolver
from models.spadit.spot_space import RawSpots
from models.spadit.training import Training

Arm = Callable[[SpaDiT], Method]
"""How an ablation changes the model that it starts from."""

SIZES = ("tiny", "small", "paper")


def at_row(row: Preset) -> SpaDiT:
    """The model at a row of Table 1: its ten numbers, and beyond them what learns (see `SpaDiT`).

    A gene is masked entirely as often as Table 1's ratios mask a share of it; ancestral sampling over all T steps is
    replaced by 50 steps of a second-order solver.
    """
    return SpaDiT(
        backbone=Transformer(hidden=row.hidden, depth=row.depth, heads=row.heads),
        latent=Latent(layers=row.latent_layers),
        schedule=Quadratic(steps=row.steps),
        sampler=DPMSolver(steps=50),
        spot_space=RawSpots(),
        masking=EntryMask(zero_ratio=row.mask_zero_ratio, nonzero_ratio=row.mask_nonzero_ratio, full_mask=0.5),
        training=Training(epochs=row.epochs, lr=row.learning_rate, batch=row.batch),
    )


def at(size: str, arm: Arm) -> Variant:
    """An arm at a size; at the paper's, each of its datasets has its own row of Table 1, and others that of MG."""
    if size == "tiny":
        return arm(SpaDiT.tiny())
    if size == "small":
        return arm(SpaDiT.small())
    rows = {dataset: arm(at_row(row)) for dataset, row in TABLE_1.items()}
    return ByDataset(rows, elsewhere=rows["MG"])


@dataclass(frozen=True)
class Sizes(Mapping[str, Experiment]):
    """Size -> the experiment of these arms, and of methods that stand beside them at every size.

    reference: the arm that the others are compared with, the first one where none is named.

    Each is made when it is asked for: counting the parameters of the paper's networks takes seconds.
    """

    name: str
    arms: Mapping[str, Arm]
    also: Mapping[str, Method]
    reference: str = ""

    def __getitem__(self, size: str) -> Experiment:
        """The experiment of that name and size."""
        if size not in SIZES:
            raise KeyError(size)
        return Experiment(
            name=f"{self.name}-{size}",
            variants={label: at(size, arm) for label, arm in self.arms.items()} | dict(self.also),
            datasets=DATASETS,
            split=KFold(5),
            seeds=range(2),
            reference=self.reference,
        )

    def __iter__(self) -> Iterator[str]:
        return iter(SIZES)

    def __len__(self) -> int:
        return len(SIZES)


def unchanged(base: SpaDiT) -> SpaDiT:
    """The full model."""
    return base


def with_parts(**parts: Any) -> Arm:
    """The model with these parts in place of its own."""
    return lambda base: replace(base, **parts)
