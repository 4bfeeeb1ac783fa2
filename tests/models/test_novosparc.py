"""novoSpaRc against slow references, at its corners, against POT and the original package, and published figures."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.spatial.distance import cdist
from scipy.special import logsumexp

from models.baselines import novosparc
from models.baselines._graphs import evenly, nearest_points, on_a_grid, path_lengths
from models.baselines.novosparc import NovoSpaRc, marker_cost, sinkhorn, variable
from models.component import canonical, rebuild
from models.method import Expression, Problem, Run, Stopped
from tests.models.osmfish import mean_pcc, osmfish, part

Array = NDArray[Any]


def tissue(seed: int = 0, cells: int = 90, spots: int = 70, genes: int = 12) -> tuple[Problem, Array]:
    """Genes that vary smoothly over a square, measured in cells and in spots at places of their own; and the truth."""
    rng = np.random.default_rng(seed)
    frequencies, phases = rng.uniform(0.5, 2.5, (2, genes)), rng.uniform(0, 6, genes)

    def measured(places: Array) -> Array:
        return (2.0 + np.sin(places @ frequencies + phases) + rng.normal(0, 0.1, (len(places), genes))).clip(0.0)

    there, here = rng.uniform(0, 2, (cells, 2)), rng.uniform(0, 2, (spots, 2))
    names = tuple(f"g{i}" for i in range(genes))
    x, y = (measured(places).astype(np.float32) for places in (there, here))
    problem = Problem(Expression(names[4:], y[:, 4:]), Expression(names, x), names[4:], names[:4], coordinates=here)
    return problem, y[:, :4]


def hops(points: Array, neighbours: int) -> Array:
    """Path lengths by breadth-first search in the graph of neighbours, scaled and centred."""
    n = len(points)
    distances = cdist(points, points)
    edges = np.zeros((n, n), dtype=bool)
    for i in range(n):
        edges[i, np.argsort(distances[i], kind="stable")[:neighbours]] = True
    edges |= edges.T
    found = np.full((n, n), np.inf)
    for i in range(n):
        reached, front, length = np.zeros(n, dtype=bool), np.eye(n, dtype=bool)[i], 0
        while front.any():
            found[i, front] = length
            reached |= front
            front, length = edges[front].any(axis=0) & ~reached, length + 1
    found[np.isinf(found)] = found[np.isfinite(found)].max()
    found /= found.max()
    return found - found.mean()


def structures(problem: Problem, method: NovoSpaRc) -> tuple[Array, Array, Array]:
    """M, D_c and D_s by other means than ours."""
    x, y = (side.of(problem.visible).astype(float) for side in (problem.cells, problem.spots))
    m = cdist(x / x.max(), y / y.max())
    assert problem.coordinates is not None
    return (
        m / m.max(),
        hops(problem.cells.of(variable(problem.cells, method.variable_genes)).astype(float), method.neighbours),
        hops(problem.coordinates, method.neighbours),
    )


def projection(cost: Array, steps: int = 3000) -> Array:
    """Sinkhorn's plan of uniform marginals in the log domain; cost in units of epsilon."""
    n, s = cost.shape
    f, g = np.zeros(n), np.zeros(s)
    for _ in range(steps):
        f = -np.log(n) - logsumexp(g - cost, axis=1)
        new = -np.log(s) - logsumexp(f[:, None] - cost, axis=0)
        g, moved = new, np.abs(new - g).max()
        if moved < 1e-13:
            break
    return np.exp(f[:, None] + g - cost)


def reference_plan(m: Array, d_c: Array, d_s: Array, alpha: float, epsilon: float) -> Array:
    """Projected gradient, every projection from nothing and to convergence."""
    plan = np.full(m.shape, 1 / m.size)
    for _ in range(1000):
        before, plan = plan, projection(((alpha - 1) * d_c @ plan @ d_s + alpha * m) / epsilon)
        if np.linalg.norm(plan - before) < 1e-12:
            break
    return plan


@pytest.mark.parametrize(("alpha", "epsilon"), [(0.5, 0.01), (0.8, 0.02), (0.0, 0.05)])
def test_it_equals_the_reference(alpha: float, epsilon: float) -> None:
    problem, _ = tissue(cells=40, spots=30)
    method = NovoSpaRc(alpha=alpha, epsilon=epsilon)
    plan = reference_plan(*structures(problem, method), alpha, epsilon)
    expression = problem.cells.of(problem.targets).astype(float)
    wanted = plan.T @ expression * 30

    mean, sd = method.impute_with_sd(problem, Run.local())

    np.testing.assert_allclose(mean, wanted, atol=1e-6)
    assert sd is not None
    spread = [30 * plan[:, j] @ (expression - wanted[j]) ** 2 for j in range(30)]
    np.testing.assert_allclose(sd**2, spread, atol=1e-6)


def test_held_out_genes_that_are_smooth_over_the_tissue_are_found() -> None:
    problem, truth = tissue(cells=300, spots=200)
    assert mean_pcc(truth, NovoSpaRc().impute(problem, Run.local())) > 0.9


def test_spots_beyond_the_plan_are_read_out_almost_as_if_they_were_in_it() -> None:
    problem, truth = tissue(cells=300, spots=240)
    whole, half = (NovoSpaRc(max_spots=n).impute(problem, Run.local()) for n in (None, 120))
    assert mean_pcc(whole, half) > 0.98
    assert mean_pcc(truth, half) > 0.9


def test_cells_beyond_the_plan_are_left_out_and_the_same_ones_every_time() -> None:
    problem, truth = tissue(cells=300, spots=100)
    once, again = (NovoSpaRc(max_cells=100).impute(problem, Run.local(seed)) for seed in (0, 1))
    assert (once == again).all()
    assert mean_pcc(truth, once) > 0.8


def test_blocks_of_spots_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    problem, _ = tissue()
    whole = NovoSpaRc().impute(problem, Run.local())
    monkeypatch.setattr(novosparc, "BLOCK_BYTES", 8 * 90 * 9)
    np.testing.assert_allclose(NovoSpaRc().impute(problem, Run.local()), whole, atol=1e-10)


def test_a_time_limit_stops_it() -> None:
    class Late(Run):
        def report(self, step: int, of: int, validation: float | None = None) -> None:
            raise Stopped("the time is over")

    with pytest.raises(Stopped):
        NovoSpaRc().impute(tissue()[0], Late(np.random.default_rng(0)))


def test_its_progress_never_falls_and_ends_at_the_whole() -> None:
    seen: list[float] = []

    class Watched(Run):
        def report(self, step: int, of: int, validation: float | None = None) -> None:
            seen.append(step / of)

    NovoSpaRc(epsilon=2e-3).impute(tissue()[0], Watched(np.random.default_rng(0)))

    assert seen == sorted(seen)
    assert seen[-1] == 1.0
    assert all(share < 1.0 for share in seen[:-1])


@pytest.mark.parametrize("scale", [10.0, 500.0, 20_000.0])
def test_a_projection_is_sinkhorns_whether_or_not_its_kernel_underflows(scale: float) -> None:
    cost = scale * np.random.default_rng(0).random((12, 9)) / 10
    cost[:, 4] += scale  # at 20,000 and at 500 nothing of this column is left in exp(-cost)
    p, q = (torch.full((n,), 1 / n, dtype=torch.float64) for n in cost.shape)
    start = torch.zeros(9, dtype=torch.float64)

    plan, f, g = sinkhorn(torch.from_numpy(cost.copy()), p, q, start)

    assert np.isfinite(plan.numpy()).all()
    np.testing.assert_allclose(plan.sum(dim=1), p, atol=1e-12)
    np.testing.assert_allclose(plan, torch.exp(f[:, None] + g - torch.from_numpy(cost)), rtol=1e-6, atol=1e-12)
    if scale < 1000:
        np.testing.assert_allclose(plan.sum(dim=0), q, atol=1e-8)
        np.testing.assert_allclose(plan, projection(cost, 100_000), atol=1e-8)


def test_an_epsilon_at_which_the_kernel_underflows_is_answered_without_raising_it() -> None:
    problem, truth = tissue(cells=40, spots=40)
    found = NovoSpaRc(epsilon=2e-5, max_steps=21).impute(problem, Run.local())
    assert np.isfinite(found).all()
    assert mean_pcc(truth, found) > 0.5


@pytest.mark.parametrize("neighbours", [2, 5])
def test_path_lengths_are_those_of_a_breadth_first_search_also_between_islands(neighbours: int) -> None:
    rng = np.random.default_rng(0)
    points = np.vstack([rng.normal(size=(40, 3)), 100 + rng.normal(size=(15, 3))])
    np.testing.assert_allclose(path_lengths(points, neighbours, np.arange(55)), hops(points, neighbours), atol=1e-12)


def test_of_points_equally_near_the_first_in_order_are_taken() -> None:
    lattice = 50.0 * np.stack(np.meshgrid(np.arange(6.0), np.arange(6.0)), axis=-1).reshape(-1, 2) + 1e4
    wanted = [sorted(np.argsort(d, kind="stable")[:5]) for d in cdist(lattice, lattice).round(6)]
    np.testing.assert_array_equal(nearest_points(lattice, 5), wanted)


def test_points_all_alike_or_fewer_than_neighbours_are_answered() -> None:
    np.testing.assert_array_equal(path_lengths(np.ones((7, 2)), 3, np.arange(7)).shape, (7, 7))
    np.testing.assert_allclose(path_lengths(np.zeros((1, 2)), 5, np.arange(1)), 0.0)


def test_a_grid_takes_one_place_of_each_square_and_leaves_none_far_from_all_taken() -> None:
    lattice = np.stack(np.meshgrid(np.arange(10.0), np.arange(10.0)), axis=-1).reshape(-1, 2)
    assert len(on_a_grid(lattice, 25)) == 25
    places = np.random.default_rng(0).normal(size=(2000, 2))
    taken = on_a_grid(places, 300)
    assert (np.diff(taken) > 0).all()
    assert 250 < len(taken) <= 300
    extent = np.ptp(places, axis=0).max()
    assert cdist(places, places[taken]).min(axis=1).max() < 0.15 * extent
    assert len(on_a_grid(np.arange(1000.0)[:, None] * [1.0, 2.0], 100)) > 50
    np.testing.assert_array_equal(on_a_grid(np.ones((50, 2)), 10), [0])
    np.testing.assert_array_equal(on_a_grid(places, None), np.arange(2000))


def test_cells_are_taken_evenly() -> None:
    np.testing.assert_array_equal(evenly(10, 4), [0, 2, 5, 7])
    np.testing.assert_array_equal(evenly(3, 4), [0, 1, 2])


def test_variable_genes_are_those_of_highest_variance_over_mean_of_the_counts() -> None:
    counts = np.random.default_rng(0).poisson([1, 5, 0, 9], (500, 4)) * [1, 3, 1, 2]
    cells = Expression(("d", "c", "b", "a"), np.ones((500, 4), np.float32), counts.astype(np.float32))
    assert variable(cells, 2) == ["a", "c"]
    assert variable(cells, 3) == ["a", "c", "d"]
    assert variable(dataclasses.replace(cells, counts=None), 2) == ["a", "b"]


def test_the_marker_cost_is_the_distance_of_what_is_scaled_to_1() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.random((7, 4)) * 3, rng.random((5, 4)) * 9
    wanted = cdist(x / x.max(), y / y.max())
    np.testing.assert_allclose(marker_cost(x, y), wanted / wanted.max(), atol=1e-7)
    np.testing.assert_array_equal(marker_cost(np.zeros((2, 3)), np.zeros((4, 3))), np.zeros((2, 4)))


def test_settings_out_of_range_are_refused() -> None:
    for wrong in ({"alpha": 1.5}, {"epsilon": 0.0}, {"max_spots": 0}):
        with pytest.raises(ValueError, match="NovoSpaRc"):
            NovoSpaRc(**wrong)  # type: ignore[arg-type]


def test_the_published_settings_take_all_cells_and_spots_and_survive_their_json() -> None:
    published = NovoSpaRc.published()
    assert published == NovoSpaRc(0.5, 5e-3, 5, 2000, None, None) == rebuild(canonical(published))
    assert dataclasses.replace(NovoSpaRc(), max_cells=None, max_spots=None) == published
    assert NovoSpaRc.needs.coordinates


@pytest.mark.parity
@pytest.mark.parametrize("alpha", [0.5, 0.8])
@pytest.mark.parametrize("real", [False, pytest.param(True, marks=pytest.mark.real)], ids=["synthetic", "real"])
def test_it_equals_pot(real: bool, alpha: float) -> None:
    ot = pytest.importorskip("ot", exc_type=ModuleNotFoundError)
    problem = part(osmfish()[0], cells=300, spots=300) if real else tissue()[0]
    method = NovoSpaRc(alpha=alpha)
    m, d_c, d_s = structures(problem, method)
    theirs = (1 - alpha) / ((1 - alpha) + 4 * alpha)
    wanted = ot.gromov.entropic_fused_gromov_wasserstein(
        m, d_c, d_s, *map(ot.unif, m.shape), "square_loss", epsilon=method.epsilon * (1 - theirs) / alpha,
        alpha=theirs, solver="PGD", tol=1e-9, stopThr=1e-13, numItermax=100_000,
    )  # fmt: skip

    plan, _ = method.plan(*map(torch.from_numpy, (m, d_c, d_s)), Run.local())
    found = method.impute(problem, Run.local())

    np.testing.assert_allclose(plan, wanted, atol=1e-9)
    assert np.linalg.norm(plan.numpy() - wanted) < 1e-6 * np.linalg.norm(wanted)
    expression = problem.cells.of(problem.targets).astype(float)
    np.testing.assert_allclose(found, wanted.T @ expression * m.shape[1], atol=1e-6)


@pytest.mark.slow
@pytest.mark.real
@pytest.mark.parametrize(("raw", "published"), [(False, 0.193), (True, 0.179)])
def test_it_scores_what_the_original_code_scores_on_real_tissue(raw: bool, published: float) -> None:
    problem, truth = osmfish(raw)
    counts = problem.cells.counts
    assert counts is not None
    # The original ran with the 27 visible genes as its variable ones; here all others are without variance.
    counts = np.where(np.isin(problem.cells.genes, problem.visible), counts, 0.0)
    problem = dataclasses.replace(problem, cells=dataclasses.replace(problem.cells, counts=counts))

    found = NovoSpaRc(variable_genes=27).impute(problem, Run.local())

    print(f"novoSpaRc, raw {raw}: PCC {mean_pcc(truth, found):.4f}, original {published}")
    assert mean_pcc(truth, found) == pytest.approx(published, abs=0.02)
