"""Tasks: what is hidden is asked for and scored, what is shown is not; a mask that knows of values says so."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.errors import BadInput
from harness.metrics import score, score_entries
from harness.pair import PairedSample
from harness.protocol import Fold, KFold, MaskedEntries, Prepared, Protocol, pose, prepare
from harness.trial import Trial, run_trial
from models.baselines.spage import SpaGE
from models.method import Problem
from tests.conftest import tiny_pair

SPLIT = KFold(3)
NOBODY = Fold((), (), ())
PANEL = ("a", "b", "c")


@pytest.fixture(scope="module")
def data() -> Prepared:
    return prepare(tiny_pair(spots=400), Protocol())


def hidden(task: MaskedEntries, values: np.ndarray, fold: int = 0) -> np.ndarray:
    found = task.hide(PANEL, values, NOBODY, fold).hidden
    assert found is not None
    return found


@settings(deadline=None, max_examples=25)
@given(share=st.floats(0.15, 0.6), seed=st.integers(0, 5), fold=st.integers(0, 2), rate=st.sampled_from([1.0, 0.4]))
def test_scored_and_shown_entries_are_disjoint_and_nothing_hidden_is_shown(
    data: Prepared, share: float, seed: int, fold: int, rate: float
) -> None:
    problem, truth = pose(data, SPLIT, fold, rate, MaskedEntries(share=share, seed=seed))

    assert problem.hidden is not None
    assert truth.scored is not None
    assert problem.visible == data.panel
    columns = [problem.visible.index(gene) for gene in problem.targets]
    assert (problem.hidden[:, columns] == truth.scored).all()
    assert not problem.spots.lognorm[problem.hidden].any()
    assert not problem.spots.counts[problem.hidden].any()  # type: ignore[index]
    assert (truth.scored.sum(axis=0) >= 30).all()


def test_held_out_genes_are_hidden_at_every_spot_and_no_visible_entry_is(data: Prepared) -> None:
    problem, truth = pose(data, SPLIT, 1)

    assert problem.hidden is None
    assert truth.scored is None
    assert not set(problem.visible) & set(truth.genes)


def test_a_mask_by_share_does_not_change_with_the_values(data: Prepared) -> None:
    rng = np.random.default_rng(0)
    one, two = rng.poisson(1.0, (500, 3)), rng.poisson(5.0, (500, 3))

    assert (hidden(MaskedEntries(), one) == hidden(MaskedEntries(), two)).all()
    assert hidden(MaskedEntries(), one).mean() == pytest.approx(0.1, abs=0.03)
    assert MaskedEntries().flags == ()


def test_the_papers_mask_takes_other_shares_of_zeros_and_non_zeros_and_says_so() -> None:
    values = np.random.default_rng(0).poisson(1.0, (20000, 3))
    task = MaskedEntries(zeros=0.1, nonzeros=0.3)

    mask = hidden(task, values)

    assert mask[values == 0].mean() == pytest.approx(0.1, abs=0.01)
    assert mask[values > 0].mean() == pytest.approx(0.3, abs=0.01)
    assert task.flags == ("mask depends on truth",)


def test_folds_hide_disjoint_entries_and_together_all_of_them() -> None:
    values = np.ones((3000, 3))

    masks = [hidden(MaskedEntries(share=0.2), values, fold) for fold in range(5)]

    assert (np.sum(masks, axis=0) == 1).all()


def test_the_order_of_genes_and_another_seed(data: Prepared) -> None:
    values = np.ones((500, 3))
    straight = hidden(MaskedEntries(), values)
    turned = MaskedEntries().hide(PANEL[::-1], values, NOBODY, 0).hidden

    assert (straight == turned[:, ::-1]).all()  # type: ignore[index]
    assert (straight != hidden(MaskedEntries(seed=1), values)).any()


def test_size_factors_come_from_what_is_shown(data: Prepared) -> None:
    problem, truth = pose(data, SPLIT, 0, task=MaskedEntries(share=0.3))

    shown = problem.spots.counts.sum(axis=1)  # type: ignore[union-attr]
    np.testing.assert_allclose(truth.size_factors, shown / np.median(shown))
    np.testing.assert_allclose(truth.values, np.log1p(truth.counts / truth.size_factors[:, None]), rtol=1e-5)  # type: ignore[index,operator]


def test_a_gene_is_scored_over_its_hidden_entries_alone(data: Prepared) -> None:
    trial = Trial(SpaGE(), data.dataset, data.dataset_id, SPLIT, 0, 0, task=MaskedEntries(share=0.3))
    problem, truth = pose(data, SPLIT, 0, task=trial.task)

    outcome = run_trial(trial, data)

    assert outcome.genes is not None
    assert outcome.prediction is not None
    table = outcome.genes.to_pandas().set_index("gene")
    assert truth.scored is not None
    for column, gene in enumerate(problem.targets):
        at = truth.scored[:, column]
        x, y = truth.values[at, column], outcome.prediction[at, column]
        assert table.loc[gene, "pcc"] == pytest.approx(np.corrcoef(x, y)[0, 1], abs=1e-6)
        assert table.loc[gene, "n_spots"] == at.sum()
    assert set(table["task"]) == {"MaskedEntries"}


def test_scoring_all_entries_is_scoring() -> None:
    rng = np.random.default_rng(0)
    truth, prediction = rng.gamma(1.0, 1.0, (60, 4)), rng.gamma(1.0, 1.0, (60, 4))

    whole, by_gene = score(truth, prediction), score_entries(truth, prediction, np.ones((60, 4), dtype=bool))

    for name in whole.values:
        np.testing.assert_allclose(by_gene.values[name], whole.values[name], atol=1e-12)
    assert (whole.truth_nonzero == by_gene.truth_nonzero).all()


def test_a_share_that_hides_too_few_entries_to_score_is_refused(tiny: PairedSample) -> None:
    with pytest.raises(BadInput, match="30 are needed"):
        pose(prepare(tiny, Protocol()), SPLIT, 0, task=MaskedEntries(share=0.05))


@pytest.mark.parametrize(
    "given_",
    [
        {"share": 0.1, "zeros": 0.1},
        {"share": 0.1, "zeros": 0.1, "nonzeros": 0.1},
        {"zeros": 0.1},
        {"share": 1.0},
        {"share": -0.1},
        {"share": 0.0},
        {"zeros": 0.0, "nonzeros": 0.0},
    ],
)
def test_impossible_masks_are_refused(given_: dict[str, float]) -> None:
    with pytest.raises(BadInput):
        MaskedEntries(**given_)


def test_a_problem_refuses_a_gene_that_is_seen_whole_and_asked_for(data: Prepared) -> None:
    problem, _ = pose(data, SPLIT, 0, task=MaskedEntries(share=0.3))
    fields = {name: getattr(problem, name) for name in ("spots", "cells", "visible", "targets")}

    with pytest.raises(ValueError, match="both visible and targets"):
        Problem(**fields)
    with pytest.raises(ValueError, match="must be 0"):
        Problem(**fields, hidden=~problem.hidden)  # type: ignore[operator]
