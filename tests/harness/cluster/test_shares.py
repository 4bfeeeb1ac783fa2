"""What a trial is given: shares of a card by memory, more once it was too little, and never what no node has."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.cluster.resources import Resources, Share, gpus
from harness.cluster.shares import MARGIN, share_of_card, shares, smallest_share
from harness.errors import BadInput
from harness.protocol import KFold
from harness.trial import Trial
from models.method import Size
from tests.toys import Noise, VisibleMean

CARD = 16 * 2**30
SIZES = {"x" * 16: Size(1000, 2000, 100, 500)}


@dataclass(frozen=True)
class Takes(Noise):
    """Says what it takes of a card."""

    gib: float = 1.0

    def memory(self, size: Size) -> int:
        return int(self.gib * 2**30)


def trial(method: Noise | VisibleMean) -> Trial:
    return Trial(method, "x", "x" * 16, KFold(5), 0, 0)


@given(memory=st.integers(1, 2**36), card=st.integers(2**32, 2**37))
def test_as_many_trials_as_share_a_card_fit_it_with_a_margin(memory: int, card: int) -> None:
    share = share_of_card(memory, card)

    together = int(1 / share + 1e-9)
    assert 0 < share <= 1
    assert together == 1 or together * memory * MARGIN <= card


def test_several_small_trials_share_a_card_and_a_large_one_has_it_to_itself() -> None:
    share = shares(Resources(gpus_per_trial="auto"), SIZES, [CARD, 2 * CARD], {"CPU": 8})

    assert share(trial(Takes(gib=1)), False).gpus == pytest.approx(0.15)  # (1.25 + 0.5) of 16 GiB, the smaller card
    assert share(trial(Takes(gib=14)), False).gpus == 1.0


def test_a_method_that_does_not_say_what_it_takes_has_a_card_to_itself() -> None:
    assert shares(Resources(gpus_per_trial="auto"), SIZES, [CARD], {})(trial(Noise()), False).gpus == 1.0


def test_a_cheap_method_is_given_no_card_automatically() -> None:
    share = shares(Resources(gpus_per_trial="auto"), SIZES, [CARD], {})

    assert share(trial(VisibleMean()), False) == Share(1.0, 0.0)
    assert smallest_share([trial(VisibleMean()), trial(Takes())], share) == 0.0


def test_what_ran_out_of_memory_is_given_a_card_or_a_node_to_itself() -> None:
    on_card = shares(Resources(gpus_per_trial=0.25), SIZES, [], {"CPU": 8})
    on_node = shares(Resources(), SIZES, [], {"CPU": 8})

    assert on_card(trial(Noise()), True) == Share(1.0, 1.0)
    assert on_node(trial(Noise()), True) == Share(8.0, 0.0)


def test_automatic_shares_need_a_card_to_measure() -> None:
    with pytest.raises(BadInput, match="no card was found"):
        shares(Resources(gpus_per_trial="auto"), SIZES, [], {})


def test_a_trial_does_not_spread_over_nodes() -> None:
    nodes = [{"CPU": 4.0}, {"CPU": 4.0, "GPU": 1.0}]

    assert Resources(cpus_per_trial=2).slots(nodes) == 4
    assert Resources(cpus_per_trial=3).slots(nodes) == 2
    with pytest.raises(BadInput, match="no node with more than 4 processors"):
        Resources(cpus_per_trial=5).slots(nodes)


def test_processors_and_cards_must_be_on_the_same_node() -> None:
    with pytest.raises(BadInput, match="No node of this Ray has both"):
        Resources(cpus_per_trial=8, gpus_per_trial=1).slots([{"CPU": 8.0}, {"CPU": 4.0, "GPU": 1.0}])


@pytest.mark.parametrize(("share", "cards", "fit"), [(0.5, 2, 4), (0.4, 2, 4), (0.3, 1, 3), (0.2, 1, 5), (1, 3, 3)])
def test_shares_are_of_single_cards(share: float, cards: int, fit: int) -> None:
    assert Resources(gpus_per_trial=share).slots([{"CPU": 64.0, "GPU": float(cards)}]) == fit


def test_at_most_so_many_at_once() -> None:
    assert Resources(max_concurrent=3).slots([{"CPU": 8.0}]) == 3


@pytest.mark.parametrize(("text", "value"), [("auto", "auto"), ("0.25", 0.25), ("2", 2.0)])
def test_gpus_are_a_number_or_automatic(text: str, value: object) -> None:
    assert gpus(text) == value


def test_other_words_for_gpus_are_refused() -> None:
    with pytest.raises(BadInput, match="neither a number nor 'auto'"):
        gpus("all")
    with pytest.raises(BadInput, match="one and a half"):
        Resources(gpus_per_trial=1.5)
