from __future__ import annotations

import numpy as np
import pytest
import torch

from models.spadit.diffusion import CleanSample, Cosine, Diffusion, Epsilon, Parametrisation, Quadratic, Velocity
from models.spadit.samplers import DDIM, DDPM, DPMSolver, ProbabilityFlow, ReverseSDE, Sampler

PARAMETRISATIONS = [Epsilon(), CleanSample(), Velocity()]


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_the_quadratic_schedule_has_the_end_points_of_eq_31() -> None:
    betas = Quadratic(steps=1000).betas()

    assert betas[0].item() == pytest.approx(1e-4, rel=1e-12)
    assert betas[-1].item() == pytest.approx(0.02, rel=1e-12)


def test_the_quadratic_schedule_is_eq_31_at_every_step() -> None:
    T = 50
    first, last = 1e-4 * 1000 / T, 0.02 * 1000 / T
    t = np.arange(1, T + 1)
    expected = ((T - t) / (T - 1) * np.sqrt(first) + (t - 1) / (T - 1) * np.sqrt(last)) ** 2

    np.testing.assert_allclose(Quadratic(steps=T).betas().numpy(), expected, rtol=1e-12)


def test_betas_are_capped_below_one_for_very_few_steps() -> None:
    assert Quadratic(steps=10).betas().max().item() == pytest.approx(0.999)


def test_the_cosine_schedule_leaves_a_squared_cosine_of_the_signal_except_in_its_capped_last_step() -> None:
    T, s = 50, 0.008
    t = np.arange(1, T)
    expected = (np.cos((t / T + s) / (1 + s) * np.pi / 2) / np.cos(s / (1 + s) * np.pi / 2)) ** 2

    betas = Cosine(steps=T).betas()

    np.testing.assert_allclose(torch.cumprod(1 - betas, 0)[:-1].numpy(), expected, rtol=1e-9)
    assert betas[-1].item() == 0.999
    assert (betas[1:] > betas[:-1]).all()


@pytest.mark.parametrize("schedule", [Quadratic, Cosine])
@pytest.mark.parametrize("steps", [10, 200, 1000, 2000])
def test_every_length_of_a_schedule_ends_in_noise(schedule: type[Quadratic | Cosine], steps: int) -> None:
    assert torch.prod(1 - schedule(steps=steps).betas()) <= 1e-3


def test_a_schedule_that_does_not_end_in_noise_is_refused() -> None:
    with pytest.raises(ValueError, match="abar_T"):
        Quadratic(steps=1000, last=0.005)


@pytest.mark.parametrize("t", [1, 2, 500, 1000])
def test_posterior_mean_and_reverse_mean_agree_when_x0_and_eps_belong_together(t: int) -> None:
    diffusion, step = Diffusion(Quadratic(), Epsilon()), torch.tensor(t)
    x0, eps = noise(3, 5), noise(3, 5, seed=1)
    x_t = diffusion.forward(x0, step, eps)

    from_x0, _ = diffusion.posterior(x0, x_t, step)
    from_eps = diffusion.reverse_mean(diffusion.eps(x0, x_t, step), x_t, step)

    torch.testing.assert_close(from_x0, from_eps, rtol=1e-10, atol=1e-10)


def test_the_posterior_is_bayes_rule_on_the_two_gaussians_it_combines() -> None:
    diffusion, t = Diffusion(Quadratic(steps=100), Epsilon()), 40
    beta, before = diffusion.betas[t], diffusion.bars[t - 1]
    x0, x_t = noise(2, 3), noise(2, 3, seed=1)
    precision = (1 - beta) / beta + 1 / (1 - before)
    mean = ((1 - beta).sqrt() * x_t / beta + before.sqrt() * x0 / (1 - before)) / precision

    found, variance = diffusion.posterior(x0, x_t, torch.tensor(t))

    torch.testing.assert_close(found, mean)
    torch.testing.assert_close(variance, 1 / precision)


def test_the_forward_process_has_the_closed_form_moments_of_its_markov_chain() -> None:
    diffusion = Diffusion(Quadratic(steps=50), Epsilon())
    x0 = torch.tensor([2.0, -1.0], dtype=torch.float64)
    mean, variance = x0, torch.zeros(2, dtype=torch.float64)
    for beta in diffusion.betas[1:31]:  # one step at a time, eq. 1
        mean, variance = (1 - beta).sqrt() * mean, (1 - beta) * variance + beta

    drawn = diffusion.forward(x0.expand(200_000, 2), torch.tensor(30), noise(200_000, 2))

    torch.testing.assert_close(drawn.mean(0), mean, atol=0.01, rtol=0)
    torch.testing.assert_close(drawn.var(0), variance, atol=0.01, rtol=0)


@pytest.mark.parametrize("parametrisation", PARAMETRISATIONS, ids=lambda p: type(p).__name__)
@pytest.mark.parametrize("t", [1, 300, 1000])
def test_a_perfect_prediction_gives_back_x0_and_eps(parametrisation: Parametrisation, t: int) -> None:
    diffusion, step = Diffusion(Quadratic(), parametrisation), torch.tensor([t, t, t])
    x0, eps = noise(3, 5), noise(3, 5, seed=1)
    x_t = diffusion.forward(x0, step, eps)

    back = diffusion.x0(diffusion.target(x0, step, eps), x_t, step)

    torch.testing.assert_close(back, x0, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(diffusion.eps(back, x_t, step), eps, rtol=1e-7, atol=1e-7)


def test_the_score_is_the_gradient_of_the_log_density_of_x_t() -> None:
    diffusion, t = Diffusion(Quadratic(steps=100), Epsilon()), torch.tensor(60)
    x0, eps = noise(4), noise(4, seed=1)
    x_t = diffusion.forward(x0, t, eps).requires_grad_()
    signal, spread = diffusion.amplitudes(t, x_t)
    log_density = torch.distributions.Normal(signal * x0, spread).log_prob(x_t).sum()

    torch.testing.assert_close(diffusion.score(eps, t), torch.autograd.grad(log_density, x_t)[0])


@pytest.mark.parametrize("parametrisation", PARAMETRISATIONS, ids=lambda p: type(p).__name__)
@pytest.mark.parametrize(
    "sampler",
    [
        DDPM(),
        DDPM(variance="beta"),
        DDIM(steps=250),
        DDIM(steps=250, eta=1.0),
        DPMSolver(steps=20),
        ReverseSDE(steps=250),
        ReverseSDE(steps=100, corrections=2),
        ProbabilityFlow(steps=25),
    ],
    ids=repr,
)
def test_with_the_exact_denoiser_of_a_gaussian_a_sampler_draws_that_gaussian(
    sampler: Sampler, parametrisation: Parametrisation
) -> None:
    n = 10_000
    mean = torch.tensor([1.0, -0.5], dtype=torch.float64)
    covariance = torch.tensor([[1.2, 0.5], [0.5, 0.6]], dtype=torch.float64)
    diffusion = Diffusion(Quadratic(steps=250), parametrisation)
    stream = torch.Generator().manual_seed(3)

    def denoise(x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        bar = diffusion.bars[t]
        total = bar * covariance + (1 - bar) * torch.eye(2, dtype=torch.float64)
        eps = (1 - bar).sqrt() * torch.linalg.solve(total, (x - bar.sqrt() * mean).T).T
        x0 = (x - (1 - bar).sqrt() * eps) / bar.sqrt()
        return diffusion.target(x0, t, eps)

    drawn = sampler.sample(denoise, diffusion, lambda: torch.randn((n, 2), generator=stream, dtype=torch.float64))

    torch.testing.assert_close(drawn.mean(0), mean, atol=0.04, rtol=0)
    torch.testing.assert_close(torch.cov(drawn.T), covariance, atol=0.05, rtol=0)


def test_ddim_without_eta_draws_noise_once_and_ddpm_draws_it_at_every_step_but_the_last() -> None:
    counts = []
    for sampler in (DDIM(steps=5), DDPM()):
        calls = []

        def drawn(calls: list[int] = calls) -> torch.Tensor:
            calls.append(1)
            return torch.zeros(2, 3)

        sampler.sample(lambda x, t: torch.zeros_like(x), Diffusion(Quadratic(steps=20), Epsilon()), drawn)
        counts.append(len(calls))

    assert counts == [1, 20]


def error_of(sampler: Sampler) -> float:
    """How far a deterministic sampler of a Gaussian is from the exact solution of its ODE, given the same noise."""
    diffusion, spread = Diffusion(Quadratic(steps=1000), Epsilon()), 1.7
    start = noise(500, 1)

    def denoise(x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        bar = diffusion.bars[t]
        return (1 - bar).sqrt() * x / (bar * spread**2 + 1 - bar)

    found = sampler.sample(denoise, diffusion, lambda: start)
    last = diffusion.bars[-1]
    exact = start * spread / (last * spread**2 + 1 - last).sqrt()  # every quantile stays where it is
    return float((found - exact).abs().max())


@pytest.mark.parametrize("kind", [DPMSolver, ProbabilityFlow])
def test_second_order_solvers_have_errors_that_fall_with_the_square_of_the_steps(kind: type[Sampler]) -> None:
    coarse, fine = (error_of(kind(steps=steps)) for steps in (20, 80))  # type: ignore[call-arg]

    assert fine < coarse / 8


def test_ten_steps_of_the_few_step_solver_are_nearer_to_the_solution_than_fifty_of_ddim() -> None:
    assert error_of(DPMSolver(steps=10)) < error_of(DDIM(steps=50))


@pytest.mark.parametrize("start", [0.0, 3.0])
def test_langevin_steps_lead_from_anywhere_to_the_density_of_x_t(start: float) -> None:
    diffusion, t, stream = (
        Diffusion(Quadratic(steps=200), Epsilon()),
        torch.tensor(80),
        torch.Generator().manual_seed(0),
    )
    bar = diffusion.bars[t]

    def denoise(x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        return (1 - bar).sqrt() * x / (bar * 4.0 + 1 - bar)

    x = torch.full((4000, 1), start, dtype=torch.float64)
    for _ in range(600):
        x = ReverseSDE(snr=0.2).corrected(x, t, denoise, diffusion, torch.randn(x.shape, generator=stream).double())

    assert float(x.mean()) == pytest.approx(0.0, abs=0.1)
    assert float(x.var()) == pytest.approx(float(bar * 4.0 + 1 - bar), rel=0.1)


@pytest.mark.parametrize(
    "sampler",
    [
        DDPM(),
        DDIM(steps=7),
        DDIM(steps=20, eta=0.5),
        DPMSolver(steps=5),
        ReverseSDE(steps=9, corrections=1),
        ProbabilityFlow(steps=6),
    ],
    ids=repr,
)
def test_the_last_step_ends_at_the_predicted_x0_with_no_noise_left(sampler: Sampler) -> None:
    x0, stream = noise(2, 3), torch.Generator().manual_seed(0)

    drawn = sampler.sample(
        lambda x, t: x0,
        Diffusion(Quadratic(steps=20), CleanSample()),
        lambda: torch.randn((2, 3), generator=stream, dtype=torch.float64),
    )

    torch.testing.assert_close(drawn, x0, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    "refused",
    [
        lambda: DDPM(variance="learnt"),
        lambda: DDIM(steps=0),
        lambda: DDIM(eta=2.0),
        lambda: DPMSolver(steps=0),
        lambda: ReverseSDE(corrections=-1),
        lambda: ReverseSDE(snr=0.0),
    ],
)
def test_a_sampler_refuses_settings_it_does_not_have(refused: object) -> None:
    with pytest.raises(ValueError, match=r"must be|expected 'beta_tilde' or"):
        refused()  # type: ignore[operator]
