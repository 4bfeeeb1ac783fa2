"""Spaces: what they draw is in them, what is in them can be drawn, and what is no space is refused when it is made."""

from __future__ import annotations

import dataclasses
from typing import Any

import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.errors import BadInput
from harness.search import Choice, Float, Int, Space
from harness.search.space import Infeasible, Outside
from models.spadit import SpaDiT
from models.spadit.backbones.mamba import Mamba
from models.spadit.backbones.transformer import Transformer
from models.spadit.masking import EntryMask, FullMask
from models.spadit.spot_space import LowRank, RawSpots
from tests.toys import Even, Peaked, Tunable

optuna.logging.set_verbosity(optuna.logging.ERROR)

NESTED = Space(
    SpaDiT.tiny(),
    {
        "backbone": Choice(
            {
                "transformer": Space(Transformer(), {"depth": Int(1, 3), "heads": Choice((2, 4))}),
                "mamba": Space(Mamba(), {"states": Int(8, 32, step=8)}),
            }
        ),
        "training.lr": Float(1e-4, 1e-2, log=True),
        "training.dropout": Float(0.0, 0.4, step=0.1),
        ("spot_space", "masking"): Choice(
            {
                "genes": (LowRank(), FullMask()),
                "entries": (RawSpots(), Space(EntryMask(), {"zero_ratio": Float(0.1, 0.4)})),
            }
        ),
    },
)
LONG, SHORT = SpaDiT().training, SpaDiT.tiny().training
TOY = Space(
    Tunable(),
    {
        "shape": Choice(
            [
                Space(Even(), {"power": Float(0.0, 2.0)}),
                Space(Peaked(), {"place": Float(0.0, 1.0), "width": Float(0.05, 1.0)}),
            ]
        ),
        "shift": Int(0, 3),
    },
)


def drawn(space: Space, seed: int) -> tuple[Any, dict[str, Any]]:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed))
    trial = study.ask()
    return space.draw(trial), dict(trial.params)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**31 - 1))
def test_the_place_of_what_was_drawn_is_how_it_was_drawn(seed: int) -> None:
    method, params = drawn(NESTED, seed)

    assert NESTED.place(method) == params
    assert NESTED.draw(optuna.trial.FixedTrial(params)) == method
    assert NESTED.contains(method)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**31 - 1))
def test_only_the_chosen_option_has_its_fields_drawn_and_all_else_is_as_in_the_base(seed: int) -> None:
    method, params = drawn(NESTED, seed)

    assert isinstance(method.backbone, Mamba if params["backbone"] == "mamba" else Transformer)
    assert ("backbone.mamba.states" in params) == (params["backbone"] == "mamba")
    assert ("backbone.transformer.depth" in params) == (params["backbone"] == "transformer")
    entries = params["spot_space+masking"] == "entries"
    assert ("spot_space+masking.entries.masking.zero_ratio" in params) == entries == method.masking.by_spot
    base = SpaDiT.tiny()
    varied = {"backbone": base.backbone, "spot_space": base.spot_space, "masking": base.masking}
    trained = dataclasses.replace(method.training, lr=base.training.lr, dropout=base.training.dropout)
    assert dataclasses.replace(method, training=trained, **varied) == base


def test_what_is_not_in_a_space_has_no_place_in_it_and_the_reason_names_the_field() -> None:
    base = SpaDiT.tiny()

    for method, why in (
        (dataclasses.replace(base, draws=5), "leaves alone"),
        (dataclasses.replace(base, training=dataclasses.replace(base.training, lr=1.0)), "training.lr is 1.0"),
        (dataclasses.replace(base, training=dataclasses.replace(base.training, dropout=0.25)), "steps of 0.1"),
        (dataclasses.replace(base, backbone=Transformer(heads=8)), "backbone is"),
        (Tunable(), "it is a Tunable"),
    ):
        with pytest.raises(Outside, match=why):
            NESTED.place(method)


def test_the_base_is_tried_first_where_it_is_in_the_space_and_else_what_is_named() -> None:
    inside = Space(Tunable(shift=1), {"shift": Int(0, 3)})
    outside = Space(Tunable(shift=9), {"shift": Int(0, 3)})
    named = Space(Tunable(), {"shift": Int(0, 3)}, first=[Tunable(shift=3), Tunable(shift=2)])

    assert [space.first for space in (inside, outside, named)] == [
        (Tunable(shift=1),),
        (),
        (Tunable(shift=3), Tunable(shift=2)),
    ]
    with pytest.raises(BadInput, match="cannot be tried first, since it is not in the space: shift is 7"):
        Space(Tunable(), {"shift": Int(0, 3)}, first=[Tunable(shift=7)])


@pytest.mark.parametrize(("log", "low", "high"), [(False, 400, 600), (True, 20, 50)])
def test_half_of_the_draws_lie_below_the_middle_of_the_scale(log: bool, low: int, high: int) -> None:
    space = Space(Tunable(), {"shift": Int(1, 1000, log=log)})
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))

    drawn = sorted(space.draw(study.ask()).shift for _ in range(401))

    assert low < drawn[200] < high  # the square root of 1,000 is 32


def test_parts_that_do_not_go_together_are_no_draw() -> None:
    with pytest.raises(Infeasible, match="a wide peak does not fit at the edge"):
        TOY.draw(
            optuna.trial.FixedTrial(
                {"shape": "Peaked", "shape.Peaked.place": 0.0, "shape.Peaked.width": 1.0, "shift": 0}
            )
        )


def test_equal_spaces_are_described_alike_and_others_are_not() -> None:
    def space(high: float, **base: Any) -> Space:
        return Space(Tunable(**base), {"shape": Choice([Space(Even(), {"power": Float(0.0, high)}), Peaked()])})

    assert space(1.0).described() == space(1.0).described()
    assert len({str(each.described()) for each in (space(1.0), space(2.0), space(1.0, shift=1))}) == 3


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda: Float(1.0, 1.0), "is no range; give low < high"),
        (lambda: Float(0.0, 1.0, log=True), "log scale needs low > 0"),
        (lambda: Float(0.0, 1.0, step=0.3), "does not end at 1.0; give a step that divides it"),
        (lambda: Int(0, 4, step=0), "a step of 0; give a step above 0"),
        (lambda: Int(0.5, 4), "is a range of whole numbers; use Float"),
        (lambda: Choice([1]), "leaves no choice; give at least two options"),
        (lambda: Choice([Even(), Even(2.0)]), "Two options of a Choice are called 'Even'; give labels"),
        (lambda: Choice([(1, 2), (3, 4)]), "need labels"),
        (lambda: Space(Tunable(), {}), "varies nothing; give at least one field"),
        (lambda: Space(Tunable(), {"shif": Int(0, 3)}), "has no field 'shif' .*did you mean shift"),
        (lambda: Space(Tunable(), {"shift": Float(0.0, 3.0)}), "shift cannot be 0.0; Tunable.shift is declared as int"),
        (lambda: Space(Tunable(), {"shape": Choice([1, 2])}), "shape cannot be 1; Tunable.shape is declared as"),
        (lambda: Space(SpaDiT(), {"backbone": Choice([Mamba(), Even()])}), "backbone cannot be Even"),
        (
            lambda: Space(SpaDiT(), {"training": Choice({"a": LONG, "b": SHORT}), "training.lr": Float(0.1, 1.0)}),
            "varies 'training' and 'training.lr', one within the other",
        ),
        (lambda: Space(SpaDiT(), {("draws", "masking"): Choice({"a": 1, "b": 2})}), "a tuple of 2"),
    ],
)  # fmt: skip
def test_what_is_no_space_is_refused_with_what_would_be_one(make: Any, why: str) -> None:
    with pytest.raises(BadInput, match=why):
        make()
