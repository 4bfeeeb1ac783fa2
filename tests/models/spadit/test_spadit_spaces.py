from __future__ import annotations

import numpy as np
import pytest
import torch

from models.method import Array
from models.spadit.backbones.transformer import Transformer
from models.spadit.calibration import Calibration
from models.spadit.conditions.none import NoCondition
from models.spadit.denoiser import Denoiser
from models.spadit.diffusion import CleanSample, Diffusion, Quadratic
from models.spadit.latent import Latent
from models.spadit.layers import Streams, generator
from models.spadit.masking import FullMask
from models.spadit.numerics import Numerics
from models.spadit.sc_features import RIDGES, PrincipalCells, RawCells, leave_one_out_ridge
from models.spadit.spot_space import LowRank, RawSpots
from models.spadit.tokens import Context
from models.spadit.training import Genes, Trainer, Training
from tests.models.spadit.spadit_problems import simulated


def visible() -> tuple[Array, Array]:
    problem, _ = simulated()
    return problem.spots.lognorm, problem.cells.of(problem.visible)


def trainer(recipe: Training, n: int = 12) -> Trainer:
    rows = torch.randn((n + 7, 5), generator=generator(0))
    x0 = torch.arange(n, dtype=torch.float32).unsqueeze(1).expand(n, 3).contiguous()  # a gene's sample is its place
    streams = Streams(generator(1), generator(2), 0.0)
    model = Denoiser(Latent(), NoCondition(), Transformer(hidden=8, heads=2), Context(), 3, 5, streams)
    genes = Genes(x0, torch.zeros_like(x0, dtype=torch.bool), rows, 0.5, torch.arange(n), rows[:0], lambda _: 0.0)
    return Trainer(recipe, model, Diffusion(Quadratic(), CleanSample()), FullMask(), genes, generator(3), Numerics())


def test_raw_spots_give_back_expression_exactly_and_know_its_zeros() -> None:
    spots, cells = visible()

    space = RawSpots().fit(spots, cells)

    np.testing.assert_allclose(space.decode(space.x0, cells), spots, rtol=1e-5)
    assert np.array_equal(space.zero, spots.T == 0)
    assert np.mean(space.x0**2) == pytest.approx(1.0, rel=1e-4)


def test_the_low_rank_space_gives_back_patterns_that_it_spans() -> None:
    spots, cells = visible()

    space = LowRank(rank=40).fit(spots, cells)
    found = space.decode(space.x0, cells)

    assert np.mean(space.x0**2) == pytest.approx(1.0, rel=1e-4)
    for gene in range(5):
        cut = found[:, gene] > 0  # beyond the clamp at 0 the pattern is exact
        assert np.corrcoef(found[cut, gene], spots[cut, gene])[0, 1] == pytest.approx(1.0, abs=1e-4)


@pytest.mark.parametrize("rank", [1, 4, 500])
def test_the_low_rank_space_has_its_rank_or_what_the_genes_span(rank: int) -> None:
    spots, cells = visible()

    assert LowRank(rank=rank).fit(spots, cells).x0.shape == (spots.shape[1], min(rank, spots.shape[1]))


def test_calibration_recovers_a_mean_and_sd_that_follow_from_sc_statistics() -> None:
    rng = np.random.default_rng(0)
    level = rng.uniform(0.3, 3.0, 200)
    cells = (level * rng.gamma(4.0, 0.25, (400, 200))).astype(np.float32)
    spots = (0.5 * level * rng.gamma(4.0, 0.25, (300, 200))).astype(np.float32)

    mean, sd = Calibration(factor=0.7).fit(spots[:, :150], cells[:, :150])(cells[:, 150:])

    np.testing.assert_allclose(mean, spots[:, 150:].mean(0), rtol=0.15)
    np.testing.assert_allclose(sd, 0.7 * spots[:, 150:].std(0), rtol=0.2)


def test_the_closed_form_ridge_constant_is_the_one_found_by_leaving_genes_out() -> None:
    rng = np.random.default_rng(1)
    features = rng.normal(size=(14, 9))
    x0 = features @ rng.normal(size=(9, 2)) + 2.0 * rng.normal(size=(14, 2))
    errors = []
    for constant in RIDGES:
        error = 0.0
        for out in range(14):
            F, y = np.delete(features, out, 0), np.delete(x0, out, 0)
            slopes = np.linalg.solve(F.T @ F + constant * np.eye(9), F.T @ y)
            error += float(((features[out] @ slopes - x0[out]) ** 2).sum())
        errors.append(error)

    assert leave_one_out_ridge(features, x0) == RIDGES[int(np.argmin(errors))]


def test_the_noise_on_features_is_the_ridge_constant_spread_over_the_genes() -> None:
    spots, cells = visible()
    x0 = LowRank().fit(spots, cells).x0

    fitted = PrincipalCells(noise=2.0).fit(cells, x0)

    features = fitted.encode(cells).astype(np.float64)
    unit = np.median(np.linalg.norm(features, axis=1))
    assert np.mean(features**2) == pytest.approx(1.0, rel=1e-4)
    assert len(features) * fitted.noise**2 == pytest.approx(2.0 * leave_one_out_ridge(features / unit, x0) * unit**2)
    assert PrincipalCells(noise=0.0).fit(cells, x0).noise == 0


def test_principal_cells_keep_the_inner_products_between_training_genes() -> None:
    spots, cells = visible()
    x0 = LowRank().fit(spots, cells).x0

    raw, principal = (kind.fit(cells, x0).encode(cells) for kind in (RawCells(), PrincipalCells()))

    a, b = raw @ raw.T, principal @ principal.T
    np.testing.assert_allclose(a / np.trace(a), b / np.trace(b), atol=1e-6)


def test_targets_and_their_partners_are_never_in_the_context_they_are_trained_with() -> None:
    training = trainer(Training(batch=8))
    for _ in range(30):
        pool, shown = training.roles(training.draw_scope())
        first, second, _ = training.draw_pairs(pool)

        assert shown is not None
        assert len(shown.x0) == 6
        assert not set(shown.x0[:, 0].tolist()) & {float(place) for place in torch.cat([first, second])}


def test_a_step_sees_all_training_genes_and_its_share_of_further_ones_with_noise() -> None:
    training = trainer(Training(further=4))
    scopes = torch.stack([training.draw_scope() for _ in range(4000)])

    assert scopes.shape[1:] == (12 + 4, 5)
    torch.testing.assert_close(scopes[:, :12].mean(0), training.genes.scope[:12], atol=0.05, rtol=0)
    assert scopes[:, :12].std(0).mean().item() == pytest.approx(0.5, abs=0.01)
    further = training.genes.scope[12:].mean(0)
    torch.testing.assert_close(scopes[:, 12:].mean((0, 1)), further, atol=0.05, rtol=0)


def test_batches_beyond_the_number_of_genes_are_all_genes_or_drawn_with_replacement() -> None:
    pool = torch.arange(6)

    once, _, _ = trainer(Training(batch=64, resample=False)).draw_pairs(pool)
    many, _, _ = trainer(Training(batch=64)).draw_pairs(pool)

    assert sorted(once.tolist()) == pool.tolist()
    assert len(many) == 64


def test_the_learning_rate_warms_up_and_falls_to_a_tenth() -> None:
    recipe = Training(steps=1000, lr=2e-3, warmup=100)

    rates = [recipe.rate(step, of=1000) for step in range(1000)]

    assert rates[0] == pytest.approx(2e-5)
    assert max(rates) == pytest.approx(2e-3, rel=0.03)
    assert rates[-1] == pytest.approx(2e-4, rel=0.01)


def test_the_averaged_weights_follow_the_weights_at_the_given_decay() -> None:
    training = trainer(Training(ema=0.5))
    before = {name: value.clone() for name, value in training.average.items()}
    for _ in range(9):  # (1 + k) / (10 + k) reaches 0.5 at k = 8
        training.advance()
        before = {name: value.clone() for name, value in training.average.items()} if training.step < 9 else before

    for name, value in training.average.items():
        torch.testing.assert_close(value, 0.5 * before[name] + 0.5 * training.weights[name].detach())
