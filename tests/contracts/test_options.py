"""No dead options: each field of each method, and of each part it may have, changes what is predicted."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import pkgutil
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

import numpy as np
import pytest

import models
from models.baselines.stdiff import StDiff
from models.baselines.tangram import Cells, Tangram
from models.component import Component, canonical, walk
from models.method import Method, Run, absent_packages
from models.spadit.backbones.blind_mlp import BlindMLP
from models.spadit.backbones.mamba import Mamba
from models.spadit.backbones.unet import UNet
from models.spadit.conditions.attention import Attention
from models.spadit.conditions.mlp import MLP
from models.spadit.conditions.none import NoCondition
from models.spadit.conditions.pca import PCA
from models.spadit.diffusion import Cosine, Epsilon, Linear, Quadratic, Velocity
from models.spadit.losses import BoundWeighted, Released
from models.spadit.masking import EntryMask
from models.spadit.samplers import DDPM, DPMSolver, ProbabilityFlow, ReverseSDE
from models.spadit.sc_features import RawCells
from models.spadit.spot_space import RawSpots
from models.spadit.tokens import Alone, InBatch
from models.spadit.training import EarlyStop
from tests.contracts.problems import METHODS, QUICK, small, tiny_problem

PARTS: tuple[Mapping[str, Any], ...] = (
    {"backbone": BlindMLP(hidden=16)},
    {"backbone": Mamba(hidden=16)},
    {"backbone": UNet(hidden=16)},
    {"condition": Attention()},
    {"condition": MLP()},
    {"condition": PCA()},
    {"condition": NoCondition()},
    {"schedule": Linear(steps=100, last=0.2), "parametrisation": Epsilon()},
    {"schedule": Cosine(steps=100), "parametrisation": Velocity()},
    {"schedule": Quadratic(steps=30, last=0.7), "sampler": DDPM()},
    {"sampler": DPMSolver(steps=4)},
    {"sampler": ReverseSDE(steps=4, corrections=1)},
    {"sampler": ProbabilityFlow(steps=4)},
    {"tokens": Alone()},
    {"tokens": InBatch()},
    {"sc_features": RawCells(noise=0.5)},
    {"spot_space": RawSpots(), "masking": EntryMask()},
    {"training": dataclasses.replace(QUICK.training, loss=BoundWeighted())},
    {"spot_space": RawSpots(), "training": dataclasses.replace(QUICK.training, loss=Released(delta=0.1))},
    {"training": dataclasses.replace(QUICK.training, steps=40, lr=0.1, early_stop=EarlyStop(every=2, patience=2))},
)
"""Each part that SpaDiT may have in place of its own."""

HOSTS: tuple[Method, ...] = (
    dataclasses.replace(StDiff.tiny(), tokens=InBatch()),  # among tokens that see no other, heads do not matter
    *(small(method) for name, method in METHODS.items() if name != "spadit" and absent_packages(method) is None),
    Tangram(units=Cells(at_most=40), epochs=20),
    QUICK,
    *(dataclasses.replace(QUICK, **parts) for parts in PARTS),
)

INSTEAD: dict[tuple[str, str], Mapping[str, Any]] = {
    ("Attention", "heads"): {"heads": 2},
    ("Attention", "max_genes"): {"max_genes": 3},
    ("Attention", "readout"): {"readout": "pooled"},
    ("Cells", "at_most"): {"at_most": 30},
    ("BlindMLP", "hidden"): {"hidden": 24},
    ("CellTyping", "groups"): {"groups": 3},
    ("CellTyping", "sweeps"): {"sweeps": 0},
    ("Clusters", "k"): {"k": 4},
    ("Context", "max_genes"): {"max_genes": 3},
    ("DDPM", "variance"): {"variance": "beta"},
    ("EarlyStop", "patience"): {"patience": 1},
    ("FlashAttention", "heads"): {"heads": 2},
    ("FlashAttention", "max_genes"): {"max_genes": 3},
    ("FlashAttention", "readout"): {"readout": "pooled"},
    ("Latent", "concat"): {"concat": False, "direct": False},
    ("Linear", "last"): {"last": 0.3},
    ("LowRank", "rank"): {"rank": 3},
    ("LowRankRidge", "rank"): {"rank": 3},
    ("Mamba", "hidden"): {"hidden": 24},
    ("MLP", "readout"): {"readout": "pooled"},
    ("NearestCells", "components"): {"components": 3},
    ("NovoSpaRc", "max_cells"): {"max_cells": 20},
    ("NovoSpaRc", "max_spots"): {"max_spots": 20},
    ("NovoSpaRc", "max_steps"): {"max_steps": 2},
    ("NovoSpaRc", "tolerance"): {"tolerance": 0.1},
    ("NovoSpaRc", "variable_genes"): {"variable_genes": 3},
    ("Numerics", "precision"): {"precision": "bfloat16"},
    ("PCA", "components"): {"components": 3},
    ("PCA", "max_genes"): {"max_genes": 3},
    ("PCA", "readout"): {"readout": "pooled"},
    ("PrincipalCells", "rank"): {"rank": 3},
    ("Quadratic", "last"): {"last": 0.9},
    ("ScoreMatching", "clip"): {"clip": 0.001},
    ("ScoreMatching", "epochs"): {"epochs": 3},
    ("SpaGE", "components"): {"components": 3},
    ("SpaGE", "neighbours"): {"neighbours": 5},
    ("SpaGE", "threshold"): {"threshold": 0.99},
    ("SpaOTsc", "max_steps"): {"max_steps": 2},
    ("StDiff", "epochs"): {"epochs": 2},
    ("StDiff", "heads"): {"heads": 2},
    ("StDiff", "hidden"): {"hidden": 16},
    ("StPlus", "batch"): {"batch": 20},
    ("StPlus", "lr"): {"lr": 0.01},
    ("StPlus", "other_genes"): {"other_genes": 3},
    ("Tangram", "early_stop"): {"early_stop": None},
    ("Tangram", "epochs"): {"epochs": 10},
    ("Training", "early_stop"): {},  # a part of its own, above
    ("Training", "epochs"): {"epochs": 2},
    ("Training", "further"): {"further": 3},
    ("Transformer", "heads"): {"heads": 2},
    ("Transformer", "hidden"): {"hidden": 24},
    ("UNet", "heads"): {"heads": 2},
    ("UNet", "hidden"): {"hidden": 32},
    ("UNet", "levels"): {"levels": 1},
}
"""(class, field) -> what to set where half as much, or one more, is refused or cannot matter on the tiny problem."""

UNTYPED = {("CellTyping", "groups"), ("Clusters", "k")}
"""Fields that matter where cells have no types."""

SAME_NUMBERS = {
    ("Mamba", "scan"): "the fused kernel needs a GPU; `tests/models/spadit/test_spadit_backbones.py` compares it there",
    ("Numerics", "compiled"): "compiling costs a minute and changes nothing but rounding; its tests are the numerics'",
}


def part_classes() -> set[type[Component]]:
    """All components of `models` that can be made."""
    for info in pkgutil.walk_packages(models.__path__, "models."):
        importlib.import_module(info.name)

    def below(cls: type[Component]) -> Iterator[type[Component]]:
        for each in cls.__subclasses__():
            yield from (each, *below(each))

    found = {cls for cls in below(Component) if cls.__module__.startswith("models.")}  # type: ignore[type-abstract]
    return {cls for cls in found if not inspect.isabstract(cls) and dataclasses.fields(cls)}


def other(part: Component, name: str) -> Mapping[str, Any] | None:
    """What to set instead of a field's value; None for a field that holds a part."""
    value = getattr(part, name)
    if (type(part).__name__, name) in INSTEAD:
        return INSTEAD[type(part).__name__, name]
    if isinstance(value, Component):
        return None
    if isinstance(value, bool):
        return {name: not value}
    if isinstance(value, int):
        return {name: value + 1}
    return {name: value / 2 if value else 0.25}


def changed(part: Component) -> Iterator[tuple[type[Component], str, Component]]:
    """(class, field, the part with that field changed) for each field of a part, and of its parts."""
    for field in dataclasses.fields(part):
        if (type(part).__name__, field.name) in SAME_NUMBERS:
            continue
        if instead := other(part, field.name):
            yield type(part), field.name, dataclasses.replace(part, **instead)
        value = getattr(part, field.name)
        if isinstance(value, Component):
            for cls, name, new in changed(value):
                yield cls, name, dataclasses.replace(part, **{field.name: new})


@cache
def answer(method: Method, typed: bool) -> np.ndarray | str:
    """What a method predicts on the tiny problem, with cell types or without; or why it does not."""
    problem = tiny_problem() if typed else dataclasses.replace(tiny_problem(), cell_types=None)
    try:
        return method.impute(problem, Run.local(0))
    except (ValueError, RuntimeError) as error:
        return str(error)


def cases() -> Iterator[Any]:
    """A case for each kind of method, class and field, in the first host that has it."""
    seen: set[tuple[type, type, str]] = set()
    for host in HOSTS:
        for cls, name, new in changed(host):
            if (key := (type(host), cls, name)) not in seen:
                seen.add(key)
                typed = (cls.__name__, name) not in UNTYPED
                yield pytest.param(host, new, typed, id=f"{type(host).__name__}-{cls.__name__}-{name}")


@pytest.mark.parametrize(("host", "new", "typed"), list(cases()))
def test_each_field_changes_what_is_predicted(host: Method, new: Method, typed: bool) -> None:
    before, after = answer(host, typed), answer(new, typed)

    assert canonical(new) != canonical(host)
    assert not isinstance(before, str), before
    assert not np.array_equal(before, after)


def test_every_component_stands_in_a_method_whose_fields_are_tried() -> None:
    tried = {type(part) for host in HOSTS for part in walk(host)}
    absent = {method for method in METHODS.values() if absent_packages(method) is not None}

    assert part_classes() - tried - absent == set()
