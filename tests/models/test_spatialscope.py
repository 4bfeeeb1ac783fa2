"""SpatialScope (reduced) and its cheap relative, against closed forms and simulated pairs whose types are known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from harness.datasets import load
from harness.protocol import KFold, Protocol, pose, prepare
from models.baselines._cell_typing import CellTyping
from models.baselines._score_model import ClippedLikelihood, Langevin, NoiseLevels, ScoreMatching, ScoreNet
from models.baselines.cell_type_mean import CellTypeMean
from models.baselines.spatialscope import Observed, SpatialScopeReduced
from models.component import canonical, rebuild
from models.method import Expression, Problem, Run
from models.spadit.layers import generator
from tests.models.osmfish import mean_pcc

Array = NDArray[Any]
SHORT = SpatialScopeReduced(training=ScoreMatching(hidden=64, most_steps=300))
"""The defaults with less training: 2 seconds on 200 spots."""


def logged(genes: tuple[str, ...], counts: Array) -> Expression:
    totals = np.maximum(counts.sum(axis=1), 1)
    factors = totals / np.median(totals)
    return Expression(genes, np.log1p(counts / factors[:, None]).astype(np.float32), counts.astype(np.float32), factors)


def simulated(seed: int = 0, cells: int = 1500, spots: int = 500) -> tuple[Problem, Array, Array]:
    """A pair of four types, each of log-normal expression: the problem, the types of the spots, and the truth.

    Within a type, two programmes move visible genes and targets together. Spots have patches of one type, platform
    factors with sd 0.4 on the log scale, and Poisson counts. The truth is the targets' expression without that noise.
    """
    rng = np.random.default_rng(seed)
    kinds, visible, genes = 4, 30, 40
    means = rng.uniform(1.0, 3.0, genes) + rng.normal(0.0, 0.7, (kinds, genes))
    programmes = rng.normal(0.0, 0.6, (kinds, 2, genes))

    def drawn(types: Array) -> Array:
        moved = np.einsum("np,npg->ng", rng.normal(size=(len(types), 2)), programmes[types])
        return np.exp(means[types] + moved + rng.normal(0.0, 0.2, moved.shape))

    cell_types = rng.integers(0, kinds, cells)
    places = rng.uniform(size=(spots, 2))
    spot_types = ((places > 0.5) @ [1, 2]).astype(int)
    platform = np.exp(rng.normal(0.0, 0.4, genes))
    expression = drawn(spot_types)
    names = tuple(f"g{i:02d}" for i in range(genes))
    seen = logged(names[:visible], rng.poisson(expression * platform)[:, :visible])
    problem = Problem(
        spots=seen,
        cells=logged(names, rng.poisson(drawn(cell_types))),
        visible=names[:visible],
        targets=names[visible:],
        coordinates=places,
        cell_types=np.array([f"type {k}" for k in cell_types]),
    )
    return problem, spot_types, np.log1p(expression[:, visible:] / seen.size_factors[:, None])


def gaussians(kinds: int = 2, genes: int = 12, seed: int = 0) -> Array:
    """(kinds, genes, genes) covariances of three programmes and noise, with eigenvalues from 0.15 to about 5."""
    loadings = np.random.default_rng(seed).normal(0.0, 0.6, (kinds, genes, 3))
    return loadings @ loadings.transpose(0, 2, 1) + 0.15 * np.eye(genes)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_nine_in_ten_spots_of_known_log_normal_types_are_called_right(seed: int) -> None:
    problem, types, _ = simulated(seed)
    found = CellTyping().types(problem, np.random.default_rng(0))
    np.testing.assert_array_equal(found.cells, [int(label[-1]) for label in problem.cell_types])
    assert (found.spots == types).mean() >= 0.9


@pytest.mark.slow
def test_the_learnt_score_is_within_a_tenth_of_the_closed_form_of_gaussian_types_at_five_noise_levels() -> None:
    rng, covariances = np.random.default_rng(0), gaussians()
    kinds, genes = covariances.shape[:2]
    types = rng.integers(0, kinds, 20_000)
    x = np.einsum("nij,nj->ni", np.linalg.cholesky(covariances)[types], rng.normal(size=(len(types), genes)))
    arrays = x.astype(np.float32), types, rng.normal(size=(kinds, genes)).astype(np.float32)
    net = ScoreMatching(most_steps=3000).fit(*map(torch.from_numpy, arrays), NoiseLevels(), 0, lambda: None)
    for sigma in (10.0, 3.0, 1.0, 0.5, 0.25):
        wrong = size = 0.0
        for kind, covariance in enumerate(covariances):
            total = covariance + sigma**2 * np.eye(genes)
            noised = rng.multivariate_normal(np.zeros(genes), total, 2000)
            levels = torch.full((2000, 1), sigma)
            given = net.given(torch.full((2000,), kind), levels)
            found = -net.noise(torch.from_numpy(noised).float(), levels, given).numpy() / sigma
            exact = -np.linalg.solve(total, noised.T).T
            wrong, size = wrong + ((found - exact) ** 2).sum(), size + (exact**2).sum()
        print(f"sigma {sigma}: the score is off by {np.sqrt(wrong / size):.3f} of its size")
        assert np.sqrt(wrong / size) < 0.1


def test_the_untrained_network_gives_the_exact_score_of_independent_gaussian_genes() -> None:
    sd = torch.tensor([0.3, 1.0, 2.0])
    net = ScoreNet(sd, torch.eye(3)[:2], 16, 2, generator(0))
    x, sigma = torch.randn(5, 3, generator=generator(1)), torch.full((5, 1), 0.7)
    found = net.noise(x, sigma, net.given(torch.zeros(5, dtype=torch.long), sigma))
    torch.testing.assert_close(-found / 0.7, -x / (sd**2 + 0.7**2))


class LinearGaussian:
    """y = x_1..v + noise of sd tau; the noise level adds to tau, so that steps stay stable and the limit is exact."""

    def __init__(self, y: Tensor, tau: float) -> None:
        self.y, self.tau = y, tau

    def gradient(self, x: Tensor, sigma: float) -> Tensor:
        pull = (self.y - x[:, : len(self.y)]) / (self.tau**2 + sigma**2)
        return torch.nn.functional.pad(pull, (0, x.shape[1] - len(self.y)))


def test_samples_have_the_mean_and_the_covariance_of_the_posterior_of_a_linear_gaussian_case() -> None:
    rng = np.random.default_rng(0)
    root = rng.normal(size=(4, 4))
    prior = root @ root.T / 4 + 0.3 * np.eye(4)
    y, tau, n = np.array([1.5, -1.0]), 0.5, 4000
    gain = prior[:, :2] @ np.linalg.inv(prior[:2, :2] + tau**2 * np.eye(2))
    mean, covariance = gain @ y, prior - gain @ prior[:2]

    def score(sigma: float) -> Any:
        precision = torch.from_numpy(np.linalg.inv(prior + sigma**2 * np.eye(4))).float()
        return lambda x: -x @ precision

    stream = generator(0)
    x = (
        Langevin(steps=60, rate=1e-5)
        .sample(
            torch.randn(n, 4, generator=stream),
            NoiseLevels(count=200).sigmas(),
            score,
            LinearGaussian(torch.from_numpy(y).float(), tau),
            stream,
        )
        .numpy()
    )
    variances = np.diag(covariance)
    assert (np.abs(x.mean(axis=0) - mean) < 4 * np.sqrt(variances / n)).all()
    errors = np.sqrt((np.outer(variances, variances) + covariance**2) / n)
    assert (np.abs(np.cov(x.T) - covariance) < 4 * errors).all()


def test_it_uses_what_cells_of_one_type_differ_in_and_so_beats_the_mean_of_the_type() -> None:
    problem, types, truth = simulated(0, spots=200)
    found, mean = SHORT.impute(problem, Run.local()), CellTypeMean().impute(problem, Run.local())
    assert mean_pcc(truth, found) > mean_pcc(truth, mean) + 0.2
    assert all(mean_pcc(truth[types == k], found[types == k]) > 0.4 for k in range(4))


@pytest.mark.slow
def test_its_defaults_beat_the_mean_of_the_type() -> None:
    problem, _, truth = simulated(1)
    found, mean = (method.impute(problem, Run.local()) for method in (SpatialScopeReduced(), CellTypeMean()))
    assert mean_pcc(truth, found) > mean_pcc(truth, mean) + 0.2


def test_hidden_entries_are_predicted_and_shown_ones_come_back() -> None:
    problem, _, _ = simulated(0, spots=200)
    hidden = np.random.default_rng(5).random(problem.spots.lognorm.shape) < 0.15
    whole = problem.spots
    shown = Expression(whole.genes, np.where(hidden, 0, whole.lognorm), np.where(hidden, 0, whole.counts))
    masked = Problem(shown, problem.cells, problem.visible, problem.visible[:8], coordinates=problem.coordinates,
                     cell_types=problem.cell_types, hidden=hidden)  # fmt: skip
    found, mean = SHORT.impute(masked, Run.local()), CellTypeMean().impute(masked, Run.local())
    for j in range(8):
        at = hidden[:, j]
        assert np.corrcoef(found[~at, j], whole.lognorm[~at, j])[0, 1] > 0.95
    errors = [np.corrcoef(answer[hidden[:, :8]], whole.lognorm[:, :8][hidden[:, :8]])[0, 1] for answer in (found, mean)]
    assert errors[0] > errors[1]


def test_the_clipped_gradient_is_that_of_squares_on_the_linear_scale_where_nothing_is_clipped() -> None:
    mean, shown = torch.tensor([[0.2, 0.1]]), torch.tensor([[1.0, 1.0]])
    x = torch.tensor([[0.1, -0.2, 0.7]], requires_grad=True)
    y = torch.tensor([[0.5, 0.1]])
    loss = -(((x[:, :2] + mean).exp() - 1 - y) ** 2).sum() / 2
    (wanted,) = torch.autograd.grad(loss, x)
    found = ClippedLikelihood(y, mean, shown).gradient(x.detach(), sigma=0.5)
    torch.testing.assert_close(found, wanted / 0.5)
    assert not ClippedLikelihood(y, mean, 0 * shown).gradient(x.detach(), 0.5).any()
    far = ClippedLikelihood(y, mean, shown).gradient(torch.tensor([[300.0, 3.0, 0.0]]), 0.5)
    torch.testing.assert_close(far, torch.tensor([[-4.0, -4.0, 0.0]]))


def test_the_way_to_the_cells_scale_and_back_changes_nothing() -> None:
    problem, _, _ = simulated(0, cells=50, spots=20)
    platform = np.linspace(0.5, 2.0, 30)
    nothing_hidden = np.zeros(problem.spots.lognorm.shape, dtype=bool)
    same = Problem(problem.spots, problem.cells, problem.visible, problem.visible, hidden=nothing_hidden)
    observed = Observed.of(same, platform)
    np.testing.assert_allclose(observed.back(np.log1p(observed.y), slice(None)), problem.spots.lognorm, atol=1e-6)
    cells = np.expm1(problem.cells.of(problem.visible)).sum(axis=1).mean()
    np.testing.assert_allclose(observed.y.sum(axis=1), cells, rtol=1e-5)


def test_an_empty_spot_and_genes_that_vary_nowhere_break_nothing() -> None:
    problem, _, _ = simulated(0, cells=60, spots=30)
    spots, cells = problem.spots.counts.copy(), problem.cells.counts.copy()
    spots[3], spots[:, 1], cells[:, 2], cells[:, -1] = 0, 0, 0, 0
    bare = Problem(logged(problem.visible, spots), logged(problem.cells.genes, cells), problem.visible,
                   problem.targets, coordinates=problem.coordinates)  # fmt: skip
    for method in (SpatialScopeReduced.tiny(), CellTypeMean()):
        found = method.impute(bare, Run.local())
        assert np.isfinite(found).all()
        assert not found[:, -1].any()


def test_more_replicates_are_steadier_and_their_spread_is_that_of_the_samples() -> None:
    problem, _, _ = simulated(0, cells=100, spots=40)
    tiny = SpatialScopeReduced.tiny()
    mean, sd = tiny.impute_with_sd(problem, Run.local())
    _, samples = tiny._impute(problem, Run.local())
    np.testing.assert_allclose(np.expm1(mean), np.expm1(samples.astype(float)).mean(axis=0), rtol=1e-4)
    np.testing.assert_allclose(sd, samples.std(axis=0, ddof=1))
    single = SpatialScopeReduced(tiny.typing, tiny.levels, tiny.training, tiny.sampler, replicates=1)
    assert single.impute_with_sd(problem, Run.local())[1] is None


def test_settings_without_a_meaning_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        SpatialScopeReduced(replicates=0)
    with pytest.raises(ValueError, match="high above low"):
        NoiseLevels(high=0.01, low=0.1)


def test_the_published_numbers_are_what_they_are_and_survive_their_json() -> None:
    published = SpatialScopeReduced.published()
    assert rebuild(canonical(published)) == published
    sigmas = published.levels.sigmas()
    assert (len(sigmas), float(sigmas[0]), published.sampler.steps, published.replicates) == (232, 100.0, 5, 3)
    np.testing.assert_allclose(sigmas[1:] / sigmas[:-1], 1e-4 ** (1 / 231), rtol=1e-4)
    assert published.training.steps(10_000) == 3000 * 40
    assert "reduced" in SpatialScopeReduced.label


@pytest.mark.real
@pytest.mark.slow
def test_on_real_tissue_it_knows_where_genes_are(real_data: Path) -> None:
    problem, truth = pose(prepare(load("hippocampus_visium", [real_data]), Protocol()), KFold(5), 0)
    found = {type(m).__name__: m.impute(problem, Run.local()) for m in (SpatialScopeReduced(), CellTypeMean())}
    scores = {name: mean_pcc(truth.values, prediction) for name, prediction in found.items()}
    print(scores)
    # Measured .240 and .292; one that does not know the spots has 0 on average.
    assert min(scores.values()) > 0.15
