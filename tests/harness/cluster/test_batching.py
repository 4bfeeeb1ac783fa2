"""Batches: every trial in exactly one; costly ones alone; cheap ones together, one dataset at a time."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from harness.cluster.batching import MOST, batches
from harness.cluster.resources import Share
from harness.protocol import KFold
from harness.trial import Trial
from tests.toys import Noise, VisibleMean


@given(cheap=st.lists(st.sampled_from("xy"), max_size=80), costly=st.integers(0, 5), slots=st.integers(1, 8))
def test_every_trial_is_in_one_batch_of_its_kind(cheap: list[str], costly: int, slots: int) -> None:
    todo = [Trial(VisibleMean(tally=str(i)), d, d * 16, KFold(5), 0, 0) for i, d in enumerate(cheap)]
    todo += [Trial(Noise(), "x", "x" * 16, KFold(5), 0, seed) for seed in range(costly)]

    grouped = batches(todo, slots, lambda _: Share())

    assert sorted(t.id for group in grouped for t in group.trials) == sorted(t.id for t in todo)
    for group in grouped:
        assert len({t.dataset_id for t in group.trials}) == 1
        assert len(group.trials) <= MOST
        assert len(group.trials) == 1 or all(t.method.cheap for t in group.trials)


def test_cheap_trials_keep_every_slot_busy() -> None:
    todo = [Trial(VisibleMean(tally=str(i)), "x", "x" * 16, KFold(5), 0, 0) for i in range(40)]

    assert len(batches(todo, 4, lambda _: Share())) >= 4
