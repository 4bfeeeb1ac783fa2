"""The variational bound, the losses and the learned variance, against closed forms."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import stats

from models.method import Run
from models.spadit.backbones.transformer import Transformer
from models.spadit.conditions.none import NoCondition
from models.spadit.denoiser import Denoiser
from models.spadit.diffusion import CleanSample, Cosine, Diffusion, Epsilon, Linear, Quadratic, Schedule, Velocity
from models.spadit.latent import Latent
from models.spadit.layers import Streams, generator
from models.spadit.likelihood import bound, prior_term, step_term, weight_of_eps
from models.spadit.losses import Batch, BoundWeighted, Released, SquaredError
from models.spadit.masking import FullMask
from models.spadit.numerics import Numerics
from models.spadit.samplers import DDPM
from models.spadit.tokens import Alone
from models.spadit.training import Genes, Trainer, Training
from tests.models.spadit.spadit_problems import quick, simulated

MEAN = torch.tensor([1.0, -0.5], dtype=torch.float64)
COVARIANCE = torch.tensor([[1.2, 0.5], [0.5, 0.6]], dtype=torch.float64)


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_the_linear_schedule_is_linear_and_the_cosine_one_has_the_published_abar() -> None:
    np.testing.assert_allclose(Linear(steps=200).betas().numpy(), np.linspace(5e-4, 0.1, 200), rtol=1e-12)
    bars = torch.cumprod(1 - Cosine(steps=100).betas(), 0)
    t = torch.arange(1, 100, dtype=torch.float64)
    f = torch.cos((t / 100 + 0.008) / 1.008 * math.pi / 2) ** 2 / math.cos(0.008 / 1.008 * math.pi / 2) ** 2

    torch.testing.assert_close(bars[:-1], f)


@pytest.mark.parametrize("schedule", [Quadratic(steps=250), Linear(steps=250), Cosine(steps=250)], ids=repr)
def test_the_bound_of_the_exact_denoiser_is_above_the_surprise_and_near_it(schedule: Schedule) -> None:
    diffusion, n = Diffusion(schedule, Epsilon()), 10_000
    x0 = MEAN + noise(n, 2) @ torch.linalg.cholesky(COVARIANCE).T
    stream = torch.Generator().manual_seed(1)

    def denoise(x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        bar = diffusion.bars[t]
        total = bar * COVARIANCE + (1 - bar) * torch.eye(2, dtype=torch.float64)
        return (1 - bar).sqrt() * torch.linalg.solve(total, (x - bar.sqrt() * MEAN).T).T

    terms = bound(denoise, diffusion, x0, lambda: torch.randn((n, 2), generator=stream, dtype=torch.float64))
    surprise = -stats.multivariate_normal(MEAN.numpy(), COVARIANCE.numpy()).logpdf(x0.numpy())
    above = terms.sum(0).numpy() - surprise
    error = above.std() / n**0.5

    assert terms.shape == (251, n)
    assert terms.isfinite().all()
    assert -3 * error <= above.mean() <= 0.1 + 3 * error
    assert error < 0.02
    assert 0 <= terms[-1].mean().item() < 0.01


def test_every_term_is_the_divergence_of_two_normal_distributions() -> None:
    diffusion, t = Diffusion(Quadratic(steps=100), Epsilon()), torch.tensor(40)
    x0, guess, x_t = noise(3, 4), noise(3, 4, seed=1), noise(3, 4, seed=2)
    log_variance = 0.3 * noise(3, 4, seed=3) - 4
    true_mean, true_variance = diffusion.posterior(x0, x_t, t)
    mean, _ = diffusion.posterior(guess, x_t, t)
    normal = torch.distributions.Normal
    expected = torch.distributions.kl_divergence(
        normal(true_mean, true_variance.sqrt().expand(3, 4)), normal(mean, (log_variance / 2).exp())
    )

    torch.testing.assert_close(step_term(diffusion, x0, x_t, t, guess, log_variance), expected)


def test_the_first_term_is_the_density_of_x0_and_the_last_the_divergence_from_the_prior() -> None:
    diffusion, one = Diffusion(Quadratic(steps=100), Epsilon()), torch.tensor(1)
    x0, guess, x_t = noise(3, 4), noise(3, 4, seed=1), noise(3, 4, seed=2)
    mean, _ = diffusion.posterior(guess, x_t, one)
    normal = torch.distributions.Normal

    torch.testing.assert_close(
        step_term(diffusion, x0, x_t, one, guess, torch.tensor(-2.0, dtype=torch.float64)),
        -normal(mean, math.exp(-1.0)).log_prob(x0),
    )
    bar = diffusion.bars[-1]
    torch.testing.assert_close(
        prior_term(diffusion, x0),
        torch.distributions.kl_divergence(normal(bar.sqrt() * x0, (1 - bar).sqrt()), normal(0.0, 1.0)),
    )


@pytest.mark.parametrize("t", [2, 30, 100])
def test_eq_22_is_what_the_means_terms_cost(t: int) -> None:
    diffusion, step = Diffusion(Quadratic(steps=100), Epsilon()), torch.tensor(t)
    x0, said = noise(2, 5), noise(2, 5, seed=1)
    x_t = diffusion.forward(x0, step, noise(2, 5, seed=2))
    variance = diffusion.betas[t]
    guess = diffusion.x0(said, x_t, step)
    with_means = step_term(diffusion, x0, x_t, step, guess, variance.log())
    without = step_term(diffusion, x0, x_t, step, x0, variance.log())

    weighted = weight_of_eps(diffusion, step, variance) * (diffusion.eps(x0, x_t, step) - said) ** 2

    torch.testing.assert_close(with_means - without, weighted)


def batch(zero: torch.Tensor, noised: torch.Tensor, diffusion: Diffusion) -> Batch:
    t = torch.tensor([3, 40, 90])
    x0, eps = noise(3, 5), noise(3, 5, seed=1)
    x_t = diffusion.forward(x0, t, eps)
    return Batch(noise(3, 5, seed=2), diffusion.target(x0, t, eps), noised, zero, x0, x_t, t)


@pytest.mark.parametrize("parametrisation", [Epsilon(), CleanSample(), Velocity()], ids=lambda p: type(p).__name__)
def test_the_bounds_weight_counts_the_same_error_alike_in_every_parametrisation(parametrisation) -> None:  # type: ignore[no-untyped-def]
    diffusion, reference = Diffusion(Quadratic(steps=100), parametrisation), Diffusion(Quadratic(steps=100), Epsilon())
    everything = torch.ones(3, 5, dtype=torch.bool)
    by_eps = batch(~everything, everything, reference)
    x0 = reference.x0(by_eps.said, by_eps.x_t, by_eps.t)
    eps = by_eps.said
    said = {Epsilon: eps, CleanSample: x0}.get(type(parametrisation))
    if said is None:
        signal, spread = diffusion.amplitudes(by_eps.t, x0)
        said = signal * eps - spread * x0

    found = BoundWeighted().of(replace(by_eps, said=said), diffusion)

    torch.testing.assert_close(found, BoundWeighted().of(by_eps, reference))


def test_only_noised_entries_cost_and_the_released_loss_is_huber_where_a_gene_is_not_expressed() -> None:
    diffusion = Diffusion(Quadratic(steps=100), Epsilon())
    zero, noised = noise(3, 5, seed=3) > 0, noise(3, 5, seed=4) > 0
    given = batch(zero, noised, diffusion)
    error = given.said - given.wanted
    squared = float((error**2)[noised].mean())
    huber = torch.where(error.abs() <= 1, error**2 / 2, error.abs() - 0.5)
    released = float(((error**2)[noised & ~zero].sum() + huber[noised & zero].sum()) / 15)

    assert float(SquaredError().of(given, diffusion)) == pytest.approx(squared)
    assert float(Released().of(given, diffusion)) == pytest.approx(released)
    shown = given.said + 7.0 * ~noised
    for loss in (SquaredError(), BoundWeighted(), Released()):
        assert loss.of(replace(given, said=shown), diffusion) == loss.of(given, diffusion)


@pytest.mark.parametrize("t", [1, 2, 50])
def test_a_learned_variance_lies_between_beta_tilde_and_beta(t: int) -> None:
    diffusion, step = Diffusion(Quadratic(steps=100), Epsilon()), torch.tensor(t)
    x_t = noise(1, 2)
    said = torch.cat([x_t, torch.tensor([[-1.0, 1.0]], dtype=torch.float64)], -1)
    tilde = diffusion.posterior(x_t, x_t, step.clamp(min=2))[1]

    found = diffusion.learned_log_variance(said, x_t, step).exp()

    torch.testing.assert_close(found, torch.stack([tilde, diffusion.betas[t]]).unsqueeze(0))


def test_ancestral_sampling_uses_the_variance_that_the_network_says() -> None:
    diffusion, n = Diffusion(Quadratic(steps=60), CleanSample()), 4000
    drawn = {}
    for variance, said in (("beta", 0.0), ("learned", 1.0), ("beta_tilde", 0.0), ("learned_low", -1.0)):
        stream = torch.Generator().manual_seed(0)

        def denoise(x: torch.Tensor, t: torch.Tensor, said: float = said) -> torch.Tensor:
            return torch.cat([0.3 * x, torch.full_like(x, said)], -1)

        def fresh(stream: torch.Generator = stream) -> torch.Tensor:
            return torch.randn((n, 1), generator=stream, dtype=torch.float64)

        drawn[variance] = DDPM(variance=variance.removesuffix("_low")).sample(denoise, diffusion, fresh)  # type: ignore[arg-type]

    torch.testing.assert_close(drawn["learned"], drawn["beta"])
    torch.testing.assert_close(drawn["learned_low"], drawn["beta_tilde"], rtol=0.05, atol=0.05)
    assert (drawn["beta"] - drawn["beta_tilde"]).abs().max() > 0.01


def test_the_bounds_share_of_the_hybrid_loss_moves_the_variance_and_not_the_mean() -> None:
    diffusion, t = Diffusion(Quadratic(steps=50), CleanSample()), torch.tensor([1, 20, 50])
    x0 = noise(3, 4).float()
    x_t = diffusion.forward(x0, t, noise(3, 4, seed=1).float())
    streams = Streams(generator(0), generator(1), 0.0)
    model = Denoiser(Latent(), NoCondition(), Transformer(hidden=8, heads=2), Alone(), 4, 5, streams, True)
    rows, everything = noise(3, 5, seed=2).float(), torch.ones(3, 4, dtype=torch.bool)
    genes = Genes(x0, ~everything, rows, 0.0, None, rows[:0], lambda _: 0.0)
    trainer = Trainer(Training(), model, diffusion, FullMask(), genes, generator(2), Numerics())
    said = model(x_t, t, model.given(rows, rows, None))

    trainer.of_variance(said, Batch(said[:, :4], x0, everything, ~everything, x0, x_t, t)).backward()

    assert model.variance is not None
    assert model.variance.bias.grad is not None
    assert model.variance.bias.grad.abs().min() > 0
    assert model.head.weight.grad is None or not model.head.weight.grad.any()


def test_a_method_with_a_learned_variance_runs_and_another_variance_gives_other_draws() -> None:
    problem, _ = simulated()
    found = {
        variance: quick(sampler=DDPM(variance=variance), schedule=Quadratic(steps=50)).impute(problem, Run.local(0))  # type: ignore[arg-type]
        for variance in ("learned", "beta")
    }

    assert np.isfinite(found["learned"]).all()
    assert not np.array_equal(found["learned"], found["beta"])
