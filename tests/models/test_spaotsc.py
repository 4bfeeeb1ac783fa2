"""SpaOTsc against the optimality conditions of its plan, a reference in the log domain, POT, and published figures."""

from __future__ import annotations

import tracemalloc
import warnings
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import logsumexp
from scipy.stats import spearmanr

from models.baselines import spaotsc
from models.baselines.spaotsc import SpaOTsc, gibbs_kernel, rank_profiles
from models.component import canonical, rebuild
from models.method import Expression, Problem, Run
from tests.models.osmfish import mean_pcc, osmfish, part
from tests.models.problems import synthetic

Array = NDArray[Any]


def correlations(problem: Problem) -> Array:
    """(n_cells, n_spots) by scipy."""
    cells, spots = (side.of(problem.visible) for side in (problem.cells, problem.spots))
    with warnings.catch_warnings(action="ignore"):  # of what is constant
        rho = spearmanr(cells, spots, axis=1).statistic
    return np.nan_to_num(rho[: len(cells), len(cells) :])


def marginals(rho: Array) -> tuple[Array, Array]:
    w = np.exp(rho)
    return w.sum(axis=1) / w.sum(), w.sum(axis=0) / w.sum()


def reference_plan(rho: Array, epsilon: float, weight: float = 1.0) -> Array:
    """The dual's two updates in the log domain, far past convergence."""
    cost = np.exp(1 - rho) ** 2
    a, b = marginals(rho)
    f, g, damped = np.zeros(len(a)), np.zeros(len(b)), weight / (weight + epsilon)
    for _ in range(600):
        f = damped * epsilon * (np.log(a) - logsumexp((g - cost) / epsilon, axis=1))
        g = damped * epsilon * (np.log(b) - logsumexp((f[:, None] - cost) / epsilon, axis=0))
    return np.exp((f[:, None] + g - cost) / epsilon)


def our_plan(problem: Problem, method: SpaOTsc) -> Array:
    profiles = (rank_profiles(side.of(problem.visible)) for side in (problem.cells, problem.spots))
    kernel, a, b = gibbs_kernel(*profiles, method.epsilon)
    u, v = method.scalings(kernel, a, b, Run.local())
    return u[:, None] * kernel * v


def test_products_of_rank_profiles_are_spearman_correlations_with_ties_and_0_for_what_is_constant() -> None:
    rng = np.random.default_rng(0)
    values = rng.integers(0, 4, (12, 9)).astype(np.float32)
    values[3] = 2.0
    profiles = rank_profiles(values)

    found = profiles @ profiles.T

    wanted = [[spearmanr(x, y).statistic if np.ptp(x) * np.ptp(y) > 0 else 0.0 for y in values] for x in values]
    np.testing.assert_allclose(found, wanted, atol=1e-14)


@pytest.mark.parametrize("epsilon", [1.0, 0.1])
def test_its_plan_meets_the_optimality_conditions_of_unbalanced_transport(epsilon: float) -> None:
    problem = synthetic()
    rho = correlations(problem)
    a, b = marginals(rho)

    plan = our_plan(problem, SpaOTsc(epsilon=epsilon, rho=0.7))

    rows, columns = np.log(plan.sum(axis=1) / a), np.log(plan.sum(axis=0) / b)
    gradient = np.exp(1 - rho) ** 2 + epsilon * np.log(plan) + 0.7 * (rows[:, None] + columns)
    np.testing.assert_allclose(gradient, 0.0, atol=1e-7)


@pytest.mark.parametrize("epsilon", [1.0, 0.1])
@pytest.mark.parametrize("seed", [0, 1])
def test_it_equals_the_reference_in_the_log_domain(epsilon: float, seed: int) -> None:
    problem = synthetic(seed)
    plan = reference_plan(correlations(problem), epsilon)
    weights = plan / plan.sum(axis=0)
    expression = problem.cells.of(problem.targets).astype(float)

    mean, sd = SpaOTsc(epsilon=epsilon).impute_with_sd(problem, Run.local())

    np.testing.assert_allclose(mean, weights.T @ expression, atol=1e-7)
    assert sd is not None
    for spot in (0, 17):
        off = (expression - mean[spot]) ** 2
        np.testing.assert_allclose(sd[spot] ** 2, weights[:, spot] @ off, atol=1e-7)


def test_only_the_order_of_the_genes_within_a_spot_and_within_a_cell_matters() -> None:
    problem = synthetic()
    depth = np.random.default_rng(1).gamma(2.0, 1.0, (50, 1))
    bent = Expression(problem.visible, np.expm1(problem.spots.lognorm * depth))
    other = Problem(bent, problem.cells, problem.visible, problem.targets)

    found, wanted = (SpaOTsc().impute(p, Run.local()) for p in (other, problem))

    np.testing.assert_allclose(found, wanted, atol=1e-12)


def test_a_spot_that_prefers_no_cell_gets_a_prediction_between_the_cells_lowest_and_highest() -> None:
    problem = synthetic()
    spots = problem.spots.lognorm.copy()
    spots[7] = 0.0
    problem = Problem(Expression(problem.visible, spots), problem.cells, problem.visible, problem.targets)
    expression = problem.cells.of(problem.targets)

    found = SpaOTsc().impute(problem, Run.local())

    assert (found >= expression.min(axis=0)).all()
    assert (found <= expression.max(axis=0) + 1e-9).all()


def test_the_size_of_the_tiles_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    problem = synthetic()
    whole = SpaOTsc().impute(problem, Run.local())
    monkeypatch.setattr(spaotsc, "TILE_BYTES", 1_500)
    np.testing.assert_allclose(SpaOTsc().impute(problem, Run.local()), whole, atol=1e-12)


def test_solving_allocates_next_to_nothing_beside_the_kernel() -> None:
    rng = np.random.default_rng(0)
    kernel, a, b = gibbs_kernel(*(rank_profiles(rng.random((n, 9))) for n in (900, 700)), 0.1)
    tracemalloc.start()
    SpaOTsc().scalings(kernel, a, b, Run.local())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 0.05 * kernel.nbytes


def test_too_few_steps_are_an_error_that_says_so() -> None:
    with pytest.raises(RuntimeError, match="after 20 steps"):
        SpaOTsc(max_steps=20).impute(synthetic(), Run.local())


def test_a_kernel_that_underflows_is_an_error_that_says_so() -> None:
    problem = synthetic()
    opposed = Expression(problem.visible, np.tile(np.arange(20, dtype=np.float32), (50, 1)))
    cells = np.zeros((70, 24), dtype=np.float32)
    cells[:, 4:] = -np.arange(20)
    problem = Problem(opposed, Expression(problem.cells.genes, cells), problem.visible, problem.targets)
    with pytest.raises(ValueError, match=r"underflows at epsilon 0\.05"):
        SpaOTsc(epsilon=0.05).impute(problem, Run.local())


def test_weights_that_are_not_positive_are_refused() -> None:
    with pytest.raises(ValueError, match="positive"):
        SpaOTsc(epsilon=0.0)


def test_it_reports_its_steps_and_ends_at_the_whole() -> None:
    seen: list[float] = []

    class Watched(Run):
        def report(self, step: int, of: int, validation: float | None = None) -> None:
            seen.append(step / of)

    SpaOTsc().impute(synthetic(), Watched(np.random.default_rng(0)))

    assert seen == sorted(seen)
    assert seen[-1] == 1.0
    assert all(share < 1.0 for share in seen[:-1])


def test_the_published_settings_are_the_defaults_and_survive_their_json() -> None:
    assert SpaOTsc.published() == SpaOTsc(epsilon=0.1, rho=1.0) == SpaOTsc() == rebuild(canonical(SpaOTsc()))
    assert SpaOTsc.cheap
    assert not SpaOTsc.needs.coordinates


@pytest.mark.parity
@pytest.mark.parametrize("epsilon", [1.0, 0.1])
@pytest.mark.parametrize("real", [False, pytest.param(True, marks=pytest.mark.real)], ids=["synthetic", "real"])
def test_it_equals_pot(real: bool, epsilon: float) -> None:
    ot = pytest.importorskip("ot", exc_type=ModuleNotFoundError)
    problem = part(osmfish()[0], cells=300, spots=300) if real else synthetic()
    rho = correlations(problem)
    a, b = marginals(rho)
    cost = np.exp(1 - rho) ** 2
    wanted = ot.unbalanced.sinkhorn_unbalanced(
        a, b, cost, epsilon, 1.0, reg_type="entropy", method="sinkhorn", numItermax=10_000, stopThr=1e-12
    )

    plan = our_plan(problem, SpaOTsc(epsilon=epsilon))
    found = SpaOTsc(epsilon=epsilon).impute(problem, Run.local())

    # Entries are near 1 / (n_cells n_spots): the plan is compared relative to that, and so not vacuously.
    np.testing.assert_allclose(plan * plan.size, wanted * plan.size, atol=1e-6, rtol=1e-6)
    expression = problem.cells.of(problem.targets).astype(float)
    np.testing.assert_allclose(found, wanted.T @ expression / wanted.sum(axis=0)[:, None], atol=1e-6)


@pytest.mark.real
@pytest.mark.parametrize(("raw", "epsilon", "published"), [(False, 0.1, 0.158), (True, 1.0, 0.190), (True, 0.1, 0.161)])
def test_it_scores_what_the_original_code_scores_on_real_tissue(raw: bool, epsilon: float, published: float) -> None:
    problem, truth = osmfish(raw)
    found = SpaOTsc(epsilon=epsilon).impute(problem, Run.local())
    print(f"SpaOTsc, raw {raw}, epsilon {epsilon}: PCC {mean_pcc(truth, found):.4f}, original {published}")
    assert mean_pcc(truth, found) == pytest.approx(published, abs=0.02)
