"""A field holds what its annotation says, or the component is not made and the field is named."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.component import Component, ComponentError, canonical
from models.spadit import SpaDiT
from models.spadit.backbones.transformer import Transformer
from models.spadit.conditions.flash_attention import FlashAttention
from models.spadit.conditions.mlp import MLP
from models.spadit.latent import Latent
from models.spadit.training import Training


@dataclass(frozen=True)
class Part(Component):
    """Every kind of field."""

    whole: int = 1
    number: float = 1.0
    yes: bool = True
    word: Literal["a", "b"] = "a"
    many: tuple[int, ...] = (1,)
    inner: Latent | None = None

    def __post_init__(self) -> None:
        if self.whole < 0:
            raise ValueError("below 0")


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Part(whole=2.0), r"Part.whole is 2.0; expected a whole number"),
        (lambda: Part(whole=True), r"Part.whole is True; expected a whole number"),
        (lambda: Part(whole="2"), r"Part.whole is '2'; expected a whole number"),
        (lambda: Part(number="1e-3"), r"Part.number is '1e-3'; expected a number"),
        (lambda: Part(yes="no"), r"Part.yes is 'no'; expected True or False"),
        (lambda: Part(yes=0), r"Part.yes is 0; expected True or False"),
        (lambda: Part(word="c"), r"Part.word is 'c'; expected 'a' or 'b'"),
        (lambda: Part(many=(1, 2.0)), r"Part.many is \(1, 2.0\); expected a tuple, of a whole number each"),
        (lambda: Part(inner=Training()), r"Part.inner is a Training; expected a Latent or None"),
        (
            lambda: SpaDiT(condition=MLP),
            r"is the class MLP \(an instance has parentheses: MLP\(\)\); expected a Condition",
        ),
        (lambda: SpaDiT(backbone="mlp"), r"SpaDiT.backbone is 'mlp'; expected a Backbone"),
        (lambda: replace(SpaDiT(), draws="4"), r"SpaDiT.draws is '4'; expected a whole number"),
        (lambda: Training(early_stop=3), r"expected an EarlyStop or None"),
    ],
)
def test_a_slip_is_named_with_what_was_given_and_what_is_expected(make: Callable[[], Component], words: str) -> None:
    with pytest.raises(ComponentError, match=words):
        make()


def test_a_components_own_checks_come_after_those_of_the_types() -> None:
    with pytest.raises(ValueError, match="below 0"):
        Part(whole=-1)
    with pytest.raises(ComponentError, match="'-1'"):
        Part(whole="-1")  # type: ignore[arg-type]


def test_heads_that_do_not_divide_the_width_are_named_with_whose_they_are() -> None:
    with pytest.raises(ValueError, match=r"FlashAttention\(heads=3\): does not divide the backbone's hidden=128"):
        SpaDiT(backbone=Transformer(hidden=128), condition=FlashAttention(heads=3))


@given(st.integers(0, 2**53), st.one_of(st.integers(-(2**53), 2**53), st.floats(allow_nan=False, allow_infinity=False)))
def test_whatever_can_be_made_has_an_identity_and_equal_identities_are_equal_components(
    whole: int, number: float
) -> None:
    one, other = Part(whole=whole, number=number), Part(whole=whole, number=float(number))

    assert (canonical(one) == canonical(other)) == (one == other)
