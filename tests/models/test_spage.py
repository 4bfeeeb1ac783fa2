"""SpaGE against a second implementation by other means, at its corners, and against figures of the original code."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from models.baselines import _neighbours
from models.baselines.spage import SpaGE, neighbour_weights, shared_vectors
from models.component import canonical, rebuild
from models.method import Expression, Problem, Run
from tests.models.osmfish import mean_pcc, osmfish, part
from tests.models.problems import synthetic

Array = NDArray[Any]


def reference(problem: Problem, components: int, neighbours: int = 50, threshold: float = 0.3) -> Array:
    """The five steps by SVD of the data and plain loops; ours uses Gram matrices, blocks and a sparse product."""
    z = []
    for side in (problem.cells, problem.spots):
        values = side.of(problem.visible).astype(float)
        sd = values.std(axis=0)
        z.append((values - values.mean(axis=0)) / np.where(sd > 0, sd, 1.0))
    cells, spots = z
    p_s, p_t = (np.linalg.svd(side, full_matrices=False)[2][:components] for side in (cells, spots))
    u, cosines, _ = np.linalg.svd(p_s @ p_t.T)
    vectors = (u.T @ p_s)[: int((cosines > threshold).sum())]
    a, b = cells @ vectors.T, spots @ vectors.T
    expression = problem.cells.of(problem.targets).astype(float)
    prediction = np.zeros((len(spots), len(problem.targets)))
    for i, spot in enumerate(b):
        d = np.array([1 - spot @ cell / np.linalg.norm(spot) / np.linalg.norm(cell) for cell in a])
        near = [j for j in np.argsort(d, kind="stable")[:neighbours] if d[j] < 1]
        for j in near:
            prediction[i] += (1 - d[j] / d[near].sum()) / (len(near) - 1) * expression[j]
    return prediction


@pytest.mark.parametrize("components", [2, 10, 20])
@pytest.mark.parametrize("seed", [0, 1])
def test_it_equals_the_reference_on_synthetic_data(components: int, seed: int) -> None:
    problem = synthetic(seed, cells=150, spots=80)
    found = SpaGE(components=components).impute(problem, Run.local())
    np.testing.assert_allclose(found, reference(problem, components), atol=1e-6)


def test_blocks_of_spots_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    problem = synthetic(cells=150, spots=80)
    whole = SpaGE().impute(problem, Run.local())
    monkeypatch.setattr(_neighbours, "BLOCK_BYTES", 20_000)
    np.testing.assert_allclose(SpaGE().impute(problem, Run.local()), whole, atol=1e-12)


@pytest.mark.real
def test_it_equals_the_reference_on_300_real_cells() -> None:
    problem, _ = osmfish()
    few = part(problem, cells=300, spots=200)
    found = SpaGE().impute(few, Run.local())
    np.testing.assert_allclose(found, reference(few, components=13), atol=1e-6)


@pytest.mark.real
def test_it_scores_what_the_original_code_scores_on_real_tissue() -> None:
    problem, truth = osmfish()
    found = SpaGE.published().impute(problem, Run.local())
    assert mean_pcc(truth, found) == pytest.approx(0.145, abs=0.02)


def test_the_published_settings_are_the_defaults_and_survive_their_json() -> None:
    assert SpaGE.published() == SpaGE() == rebuild(canonical(SpaGE()))
    assert SpaGE.cheap
    assert not SpaGE.control


def test_more_components_than_there_are_directions_are_as_many_as_there_are() -> None:
    problem = synthetic(cells=12, spots=80)
    few, many = (SpaGE(components=k).impute(problem, Run.local()) for k in (11, 500))
    np.testing.assert_allclose(few, many, atol=1e-9)


def test_genes_without_variance_change_nothing() -> None:
    problem = synthetic(cells=150, spots=80)
    spots, cells = (np.column_stack([side.lognorm, np.full(len(side), 2.5, np.float32)])
                    for side in (problem.spots, problem.cells))  # fmt: skip
    names = (*problem.visible, "flat")
    wider = Problem(Expression(names, spots), Expression((*problem.cells.genes, "flat"), cells), names, problem.targets)
    found, wanted = (SpaGE(components=10).impute(p, Run.local()) for p in (wider, problem))
    np.testing.assert_allclose(found, wanted, atol=1e-9)


def test_without_a_shared_direction_every_spot_gets_the_mean_of_all_cells() -> None:
    problem = synthetic(cells=150, spots=80)
    found = SpaGE(threshold=1.0).impute(problem, Run.local())
    mean = problem.cells.of(problem.targets).mean(axis=0, dtype=float)
    np.testing.assert_allclose(found, np.tile(mean, (80, 1)), atol=1e-12)


def test_spots_alike_everywhere_or_a_single_visible_gene_are_answered() -> None:
    problem = synthetic(cells=150, spots=80)
    alike = Problem(Expression(problem.visible, np.ones((5, 20), np.float32)), problem.cells, problem.visible,
                    problem.targets)  # fmt: skip
    single = Problem(Expression(("g04",), problem.spots.lognorm[:, :1]), problem.cells, ("g04",), problem.targets)
    for corner in (alike, single):
        assert np.isfinite(SpaGE().impute(corner, Run.local())).all()


def test_weights_sum_to_one_and_vanish_at_distance_one_and_beyond() -> None:
    d = np.array([[0.2, 0.3, 0.5, 1.2], [0.0, 0.0, 1.0, 2.0], [0.4, 1.0, 1.1, 1.2], [1.0, 1.5, 1.2, 2.0]])
    weights = neighbour_weights(d)
    np.testing.assert_allclose(weights[0], [0.4, 0.35, 0.25, 0.0])
    np.testing.assert_allclose(weights[1], [0.5, 0.5, 0.0, 0.0])
    np.testing.assert_allclose(weights[2], [1.0, 0.0, 0.0, 0.0])
    np.testing.assert_allclose(weights[3], [0.25, 0.25, 0.25, 0.25])


def test_shared_vectors_are_orthonormal_and_span_what_both_sides_share() -> None:
    rng = np.random.default_rng(0)
    shared, own_a, own_b = np.eye(9)[:2], np.eye(9)[2:4], np.eye(9)[4:6]
    a, b = (rng.normal(size=(200, 4)) @ np.vstack([shared, own]) for own in (own_a, own_b))
    vectors = shared_vectors(a, b, components=4, threshold=0.3)
    np.testing.assert_allclose(vectors @ vectors.T, np.eye(2), atol=1e-9)
    np.testing.assert_allclose(np.abs(vectors[:, 2:]), 0.0, atol=1e-9)
