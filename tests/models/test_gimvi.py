"""gimVI: what goes into scvi-tools, what comes out, and that a run of it touches nothing outside itself."""

from __future__ import annotations

import dataclasses
import logging
import os
import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from models.baselines import gimvi
from models.baselines.gimvi import GimVI, batch_size
from models.component import canonical, rebuild
from models.method import Expression, Problem, Run, Skipped, Stopped, absent_packages, refusal
from tests.models.osmfish import mean_pcc, osmfish

with_scvi = pytest.mark.skipif(absent_packages(GimVI) is not None, reason=str(absent_packages(GimVI)))


def counted(spots: int = 60, cells: int = 70, seed: int = 0) -> Problem:
    """Counts of 12 genes in three programmes; the first four are held out."""
    rng = np.random.default_rng(seed)
    programmes = rng.gamma(0.5, 4.0, (3, 12))
    names = tuple(f"g{i:02d}" for i in range(12))
    x, y = (
        rng.poisson(rng.dirichlet(np.full(3, 0.3), n) @ programmes + 0.3).astype(np.float32) for n in (cells, spots)
    )
    sizes = y[:, 4:].sum(axis=1, dtype=float) / 20.0
    spot_side = Expression(names[4:], np.log1p(y[:, 4:] / np.maximum(sizes, 1e-9)[:, None]), y[:, 4:], sizes)
    return Problem(spot_side, Expression(names, np.log1p(x), x), names[4:], names[:4])


@given(st.lists(st.integers(3, 5000), min_size=1, max_size=3), st.integers(2, 512))
def test_no_batch_is_of_a_single_row(sizes: list[int], at_most: int) -> None:
    found = batch_size(sizes, at_most)

    assert 2 <= found <= at_most
    whole_or_trained = [n for size in sizes for n in (size, int(np.ceil(0.9 * size)))]
    if any(all(n % b != 1 for n in whole_or_trained) for b in range(2, at_most + 1)):
        assert all(n % found != 1 for n in whole_or_trained)


def test_without_its_package_it_is_refused_with_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("models.method.find_spec", lambda name: None)

    reason = refusal(GimVI(), counted())

    assert reason is not None
    assert "pip install 'spadit-harness[gimvi]'" in reason


@pytest.mark.parametrize("side", ["spots", "cells"])
def test_values_that_are_no_counts_are_refused(side: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("models.method.find_spec", lambda name: name)
    problem = counted()
    bare = dataclasses.replace(getattr(problem, side), counts=None, size_factors=None)

    reason = refusal(GimVI(), dataclasses.replace(problem, **{side: bare}))

    assert reason is not None
    assert "not counts" in reason


def test_few_spots_with_counts_are_too_few() -> None:
    problem = counted()
    counts = np.where(np.arange(60)[:, None] < 9, problem.spots.counts, 0)
    few = dataclasses.replace(problem, spots=dataclasses.replace(problem.spots, counts=counts))

    with pytest.raises(Skipped, match="there are 70 and 9"):
        GimVI().impute(few, Run.local())


def test_the_published_settings_are_the_defaults_and_survive_their_json() -> None:
    assert GimVI.published() == GimVI() == rebuild(canonical(GimVI()))
    with pytest.raises(ValueError, match="batch at least 2"):
        GimVI(batch=1)


@contextmanager
def watched() -> Iterator[None]:
    """Everything global that training draws from or writes to is afterwards as it was."""
    before = random.getstate(), str(np.random.get_state()), torch.get_rng_state()  # noqa: NPY002
    levels = [logging.getLogger(name).level for name in ("scvi", "lightning.pytorch")]
    files = set(Path.cwd().iterdir())
    yield
    after = random.getstate(), str(np.random.get_state()), torch.get_rng_state()  # noqa: NPY002
    assert before[:2] == after[:2]
    assert torch.equal(before[2], after[2])
    assert levels == [logging.getLogger(name).level for name in ("scvi", "lightning.pytorch")]
    assert files == set(Path.cwd().iterdir())


@with_scvi
def test_training_leaves_every_global_state_and_the_folder_as_they_were(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    GimVI.tiny().impute(counted(), Run.local())  # imports what it imports
    capfd.readouterr()

    with watched():
        GimVI.tiny().impute(counted(), Run.local())

    assert capfd.readouterr() == ("", "")


@with_scvi
def test_a_stopped_run_ends_within_an_epoch_and_leaves_global_states_alone() -> None:
    class Impatient(Run):
        def report(self, step: int, of: int, validation: float | None = None) -> None:
            assert of == 5
            if step == 2:
                raise Stopped("time is up")

    with watched(), pytest.raises(Stopped):
        GimVI.tiny().impute(counted(), Impatient(np.random.default_rng(0)))


@with_scvi
@pytest.mark.parametrize(("spots", "cells"), [(33, 65), (37, 72), (10, 10)])
def test_sets_that_would_leave_a_last_batch_of_one_are_answered(spots: int, cells: int) -> None:
    found = GimVI.tiny().impute(counted(spots, cells), Run.local())

    assert found.shape == (spots, 4)
    assert np.isfinite(found).all()


@with_scvi
def test_a_spot_without_counts_gets_the_mean_of_the_others_and_changes_none_of_them() -> None:
    problem = counted()
    rows = [*range(60), 0]
    counts = problem.spots.counts[rows]  # type: ignore[index]
    counts[60] = 0
    sizes = np.append(problem.spots.size_factors, 1.0)  # type: ignore[arg-type]
    spots = Expression(problem.visible, np.where(counts > 0, problem.spots.lognorm[rows], 0), counts, sizes)

    found = GimVI.tiny().impute(dataclasses.replace(problem, spots=spots), Run.local())

    assert (found[:60] == GimVI.tiny().impute(problem, Run.local())).all()
    np.testing.assert_allclose(found[60], found[:60].mean(axis=0))


@with_scvi
def test_its_network_forgets_the_problem_when_it_has_answered() -> None:
    from scvi.external import GIMVI

    before = len(GIMVI._setup_adata_manager_store), len(GIMVI._per_instance_manager_store)
    for _ in range(2):
        GimVI.tiny().impute(counted(), Run.local())

    assert len(GIMVI._setup_adata_manager_store) == before[0]
    assert sum(len(kept) for kept in GIMVI._per_instance_manager_store.values()) == 0


@with_scvi
def test_predictions_are_shares_of_the_visible_total_over_the_size_factor(monkeypatch: pytest.MonkeyPatch) -> None:
    problem = counted()
    share = np.random.default_rng(1).dirichlet(np.ones(12), 60)
    seen = {}

    def shares(self: GimVI, cells, spots, run: Run) -> np.ndarray:  # type: ignore[no-untyped-def]
        seen["genes"], seen["visible"], seen["spots"] = list(cells.var_names), list(spots.var_names), spots.X
        return share

    monkeypatch.setattr(GimVI, "shares", shares)
    found = GimVI().impute(problem, Run.local())

    assert seen["genes"] == sorted((*problem.visible, *problem.targets))
    assert seen["visible"] == sorted(problem.visible)
    place = [int(np.flatnonzero((seen["spots"] == row).all(axis=1))[0]) for row in problem.spots.counts]  # type: ignore[union-attr]
    np.testing.assert_allclose(found, np.log1p(20.0 * share[place][:, :4]))


@with_scvi
@pytest.mark.real
@pytest.mark.slow
def test_it_scores_what_the_original_scores_on_real_tissue() -> None:
    problem, truth = osmfish()
    totals = problem.spots.counts.sum(axis=1, dtype=float)  # type: ignore[union-attr]
    problem = dataclasses.replace(problem, spots=dataclasses.replace(problem.spots, size_factors=totals / 1e4))

    seeds = range(1 if os.environ.get("SPADIT_SHORT") else 3)
    scores = [mean_pcc(truth, GimVI.published().impute(problem, Run.local(seed))) for seed in seeds]

    print(f"ours {np.round(scores, 3)}, published [0.134 0.174 0.17 ] in counts, 0.117 as shares")
    assert np.mean(scores) == pytest.approx(np.mean([0.134, 0.174, 0.170]), abs=0.06)


def test_the_room_apart_closes_after_an_error_too() -> None:
    pytest.importorskip("scvi", exc_type=ModuleNotFoundError)

    def fail() -> None:
        with gimvi.apart(0):
            np.random.random()  # noqa: NPY002
            raise RuntimeError

    with watched(), pytest.raises(RuntimeError):
        fail()
