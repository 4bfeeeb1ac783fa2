from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from models.method import Expression, Run, Skipped, Stopped
from models.spadit.tokens import Context
from models.spadit.training import EarlyStop, Training
from tests.models.spadit.spadit_problems import quick, simulated


class Interrupted(Run):
    """Stops at a step, once."""

    def __init__(self, at: int, seed: int = 0, saved: Any = None) -> None:
        super().__init__(np.random.default_rng(seed))
        self.at, self._saved = at, saved

    def report(self, step: int, of: int, validation: float | None = None) -> None:
        if step >= self.at:
            raise Stopped(f"stopped at {step} of {of}")


class Listening(Run):
    """Remembers its reports."""

    def __init__(self) -> None:
        super().__init__(np.random.default_rng(0))
        self.heard: list[tuple[int, int, float | None]] = []

    def report(self, step: int, of: int, validation: float | None = None) -> None:
        self.heard.append((step, of, validation))


def test_equal_seeds_give_equal_bits_and_other_seeds_other_ones() -> None:
    problem, _ = simulated()

    first, again, other = (quick().impute(problem, Run.local(seed)) for seed in (0, 0, 1))

    assert np.array_equal(first, again)
    assert not np.allclose(first, other)


def test_the_global_random_stream_is_neither_used_nor_moved() -> None:
    problem, _ = simulated()
    torch.manual_seed(1)
    first = quick().impute(problem, Run.local(0))
    torch.manual_seed(2)
    before = torch.get_rng_state()

    assert np.array_equal(quick().impute(problem, Run.local(0)), first)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("early_stop", [None, EarlyStop(every=3)], ids=["refit", "early stop"])
@pytest.mark.parametrize("at", [11, 24])
def test_a_resumed_run_ends_in_the_same_bits_as_one_that_was_never_stopped(
    at: int, early_stop: EarlyStop | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("models.spadit.training.SAVE_EVERY", 8)
    monkeypatch.setattr("models.spadit.training.REPORT_EVERY", 1)
    problem, _ = simulated()
    method = quick(training=Training(steps=24, batch=16, lr=1e-2, early_stop=early_stop), tokens=Context())
    whole = method.impute(problem, Run.local(0))
    stopped = Interrupted(at)
    with pytest.raises(Stopped):
        method.impute(problem, stopped)
    assert stopped.restored() is not None

    resumed = method.impute(problem, Interrupted(at=10**9, saved=stopped.restored()))

    assert np.array_equal(resumed, whole)


def test_a_resumed_run_does_not_train_the_saved_steps_again() -> None:
    problem, _ = simulated()
    first = Interrupted(60)
    with pytest.raises(Stopped):
        quick(steps=65).impute(problem, first)
    second = Listening()
    second._saved = first.restored()

    quick(steps=65).impute(problem, second)

    assert [step for step, _, _ in second.heard] == [60, 65]  # the checkpoint is of step 50


def test_a_checkpoint_is_a_nested_dict_of_tensors_and_numbers() -> None:
    problem, _ = simulated()
    run = Run.local(0)
    quick().impute(problem, run)

    def check(value: Any) -> None:
        assert isinstance(value, dict | torch.Tensor | int | float)
        for key, part in value.items() if isinstance(value, dict) else ():
            assert isinstance(key, str)
            check(part)

    check(run.restored())


def test_progress_is_reported_up_to_the_last_step() -> None:
    problem, _ = simulated()
    run = Listening()

    quick(steps=50).impute(problem, run)

    assert run.heard == [(20, 50, None), (40, 50, None), (50, 50, None)]


def test_early_stopping_reports_validation_scores_and_stops_when_they_stall() -> None:
    problem, _ = simulated()
    run = Listening()
    stop = EarlyStop(every=5, patience=3)

    quick(training=Training(steps=400, warmup=5, lr=5e-3, batch=16, early_stop=stop)).impute(problem, run)

    scores = [score for _, _, score in run.heard if score is not None]
    assert len(scores) == run.heard[-1][0] // 5 < 80
    assert int(np.argmax(scores)) == len(scores) - 4  # the best, then three in vain


def test_early_stopping_does_not_train_on_validation_genes() -> None:
    problem, _ = simulated()
    spots = problem.spots.lognorm.copy()
    held = problem.spots.columns(problem.validation)
    spots[:, held] = spots[:, held][::-1]
    changed = replace(problem, spots=Expression(problem.visible, spots))
    steady = Training(steps=10, early_stop=EarlyStop(every=10))
    refit = Training(steps=10)

    def moved(training: Training) -> float:
        one, other = (quick(training=training).impute(p, Run.local(0)) for p in (problem, changed))
        return float(np.abs(one - other).max())

    assert moved(steady) == 0
    assert moved(refit) > 0


def test_early_stopping_without_validation_genes_is_skipped_with_the_reason() -> None:
    problem, _ = simulated()

    with pytest.raises(Skipped, match="validation genes"):
        quick(training=Training(early_stop=EarlyStop())).impute(replace(problem, validation=()), Run.local(0))
