"""stPlus against a literal network in one piece, plain loops over neighbours, and figures of the original code."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from harness.contract.built_in import reordered
from models.baselines.stplus import Autoencoder, Encoder, StPlus, most_variable
from models.component import canonical, rebuild
from models.method import Expression, Problem, Run
from tests.models.osmfish import mean_pcc, osmfish
from tests.models.problems import synthetic

Array = NDArray[Any]

QUICK = StPlus(hidden=32, max_epochs=8, batch=32, neighbours=10)


def sides(problem: Problem) -> tuple[torch.Tensor, torch.Tensor]:
    """Cells (n, D) with the visible genes first, and spots (n, g)."""
    others = [gene for gene in problem.cells.genes if gene not in problem.visible]
    cells = torch.from_numpy(problem.cells.of([*problem.visible, *others]))
    return cells, torch.from_numpy(problem.spots.of(problem.visible))


class Literal(nn.Module):
    """The network in one piece, with every input in full length."""

    def __init__(self, ours: Autoencoder) -> None:
        super().__init__()
        first, second = ours.encoder(), torch.cat([ours.out_shared, ours.out_others])
        self.w1, self.b1 = nn.Parameter(first.weight.clone()), nn.Parameter(first.bias.clone())
        self.w2, self.b2 = nn.Parameter(second.detach().clone()), nn.Parameter(ours.out_bias.detach().clone())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(torch.relu(x @ self.w1.T + self.b1) @ self.w2.T + self.b2)

    def loss(self, spots: torch.Tensor, cells: torch.Tensor, q: float, scale: float) -> torch.Tensor:
        g, d = spots.shape[1], cells.shape[1]
        padded = torch.cat([spots, torch.zeros(len(spots), d - g)], dim=1)
        total = ((self(padded)[:, :g] - spots) ** 2).sum()
        masked = cells.clone()
        masked[:, g:] = 0
        predicted = self(masked)
        for row, cell in zip(predicted, cells, strict=True):
            for p, x in zip(row[g:], cell[g:], strict=True):
                total = total + (1.0 if x != 0 else q) * (p - x) ** 2 * g / (d - g) * scale
        return total


def test_its_loss_and_its_steps_are_those_of_the_network_in_one_piece() -> None:
    cells, spots = sides(synthetic(sc_only=4))
    ours = Autoencoder(cells.shape[1], spots.shape[1], 12, torch.Generator().manual_seed(0))
    literal = Literal(ours)
    method = StPlus(lr=0.01, weight_decay=0.3)  # a weight decay that shows
    adams = [method.optimizer(ours, 70), torch.optim.Adam(literal.parameters(), lr=0.01, weight_decay=0.3)]
    for step in range(4):
        batch = spots[5 * step : 5 * step + 5], cells[6 * step : 6 * step + 6]
        losses = [network.loss(*batch, 0.4, 0.7) for network in (ours, literal)]
        assert losses[0].item() == pytest.approx(losses[1].item(), rel=1e-5)
        for adam, loss in zip(adams, losses, strict=True):
            adam.zero_grad(set_to_none=False)
            loss.backward()
            adam.step()
    torch.testing.assert_close(ours.encoder().weight, literal.w1.detach(), atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(torch.cat([ours.out_shared, ours.out_others]), literal.w2, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(ours.out_bias, literal.b2, atol=1e-5, rtol=1e-4)


def test_spots_are_embedded_as_if_their_other_genes_were_0() -> None:
    cells, spots = sides(synthetic(sc_only=4))
    encoder = Autoencoder(cells.shape[1], spots.shape[1], 12, torch.Generator().manual_seed(0)).encoder()
    padded = torch.cat([spots, torch.zeros(50, 8)], dim=1)
    np.testing.assert_allclose(encoder.embedded(spots), encoder.embedded(padded), atol=1e-5)
    assert encoder.embedded(cells).shape == (70, 12)
    assert encoder.embedded(cells).min() == 0


def test_its_answer_is_the_mean_over_networks_of_the_weighted_neighbours_and_its_sd_theirs_together(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    problem, rng = synthetic(sc_only=4), torch.Generator().manual_seed(0)
    encoders = [Encoder(torch.rand(6, 24, generator=rng) - 0.4, torch.zeros(6)) for _ in range(3)]
    monkeypatch.setattr(StPlus, "trained", lambda *_: encoders)
    mean, sd = QUICK.impute_with_sd(problem, Run.local())
    cells, spots = sides(problem)
    z = problem.cells.of(problem.targets).astype(float)
    for spot in range(50):
        shares = np.zeros(70)
        for encoder in encoders:
            a, b = encoder.embedded(cells), encoder.embedded(spots)[spot]
            lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b)
            d = 1 - np.where(lengths > 0, a @ b / np.where(lengths > 0, lengths, 1), 0)
            near = [j for j in np.argsort(d, kind="stable")[:10] if d[j] < 1]
            shares[near] += (1 - d[near] / d[near].sum()) / (len(near) - 1) / 3
        np.testing.assert_allclose(mean[spot], shares @ z, atol=1e-6)
        np.testing.assert_allclose(sd[spot], np.sqrt(shares @ (z - shares @ z) ** 2), atol=1e-5)


def test_the_networks_of_the_epochs_of_lowest_loss_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    losses = iter([9.0, 5.0, 7.0, 3.0, 6.0, 4.0])

    def epoch(_: StPlus, network: Autoencoder, *rest: object) -> float:
        loss = next(losses)
        network.in_bias.data.fill_(loss)
        return loss

    monkeypatch.setattr(StPlus, "epoch", epoch)
    encoders = dataclasses.replace(QUICK, kept=3, max_epochs=6).trained(*sides(synthetic(sc_only=4)), Run.local())
    assert [float(encoder.bias[0]) for encoder in encoders] == [3.0, 4.0, 5.0]


def test_converging_at_once_still_leaves_as_many_networks_as_are_to_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[int] = []
    run = Run.local()
    monkeypatch.setattr(run, "report", lambda step, of, validation=None: told.append(step))
    method = dataclasses.replace(QUICK, tolerance=1e9, kept=4, max_epochs=50)
    assert len(method.trained(*sides(synthetic(sc_only=4)), run)) == 4
    assert told == [1, 2, 3, 4, 5, 50]


def test_training_ends_when_the_loss_hardly_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    losses = iter([10.0, 9.0, 8.0, 7.0, 6.9, 5.0])
    monkeypatch.setattr(StPlus, "epoch", lambda *_: next(losses))
    dataclasses.replace(QUICK, kept=2, tolerance=0.02).trained(*sides(synthetic(sc_only=4)), Run.local())
    assert next(losses) == 5.0


def test_the_other_genes_are_the_most_variable_whatever_is_asked_for() -> None:
    problem = synthetic(sc_only=4)
    variance = {gene: problem.cells.of([gene]).var() for gene in problem.cells.genes if gene not in problem.visible}
    assert most_variable(problem, 3) == sorted(sorted(variance, key=lambda gene: -variance[gene])[:3])
    assert most_variable(problem, 2000) == sorted(variance)
    assert most_variable(dataclasses.replace(problem, targets=("g07",)), 3) == most_variable(problem, 3)
    flat = Expression(problem.cells.genes, np.ones((4, 24), np.float32))
    assert most_variable(dataclasses.replace(problem, cells=flat), 2) == ["g00", "g01"]


def test_another_order_of_genes_and_fewer_targets_change_no_bit() -> None:
    problem = synthetic(sc_only=4)
    turned = reordered(problem)
    found, other = (QUICK.impute(p, Run.local()) for p in (problem, turned))
    np.testing.assert_array_equal(other[:, [turned.targets.index(gene) for gene in problem.targets]], found)
    alone = QUICK.impute(dataclasses.replace(problem, targets=problem.targets[1:2]), Run.local())
    np.testing.assert_array_equal(alone[:, 0], found[:, 1])


def test_without_any_other_gene_the_spots_alone_train_the_network() -> None:
    problem = synthetic(sc_only=4)
    hidden = np.zeros((50, 16), dtype=bool)
    hidden[::7, 0] = True
    spots = Expression(problem.visible, np.where(hidden, 0, problem.spots.lognorm))
    cells = Expression(problem.visible, problem.cells.of(problem.visible))
    masked = Problem(spots, cells, problem.visible, problem.visible[:1], hidden=hidden)
    assert np.isfinite(QUICK.impute(masked, Run.local())).all()


def test_batches_of_cells_only_or_of_spots_only_are_trained_on() -> None:
    few = synthetic(cells=6, spots=4, sc_only=4)
    assert np.isfinite(dataclasses.replace(QUICK, batch=1, neighbours=3).impute(few, Run.local())).all()


def test_a_cell_or_spot_without_counts_is_answered() -> None:
    problem = synthetic(sc_only=4)
    y, x = problem.spots.lognorm.copy(), problem.cells.lognorm.copy()
    y[:3], x[:3] = 0, 0
    empty = dataclasses.replace(problem, spots=Expression(problem.visible, y), cells=Expression(problem.cells.genes, x))
    assert np.isfinite(QUICK.impute(empty, Run.local())).all()


def test_it_writes_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    QUICK.impute(synthetic(sc_only=4), Run.local())
    assert list(tmp_path.iterdir()) == []


def test_its_learning_rate_falls_with_ten_thousand_cells() -> None:
    network = Autoencoder(3, 2, 4, torch.Generator().manual_seed(0))
    rates = [method.optimizer(network, n).param_groups[0]["lr"]
             for method, n in ((StPlus(), 9_999), (StPlus(), 10_000), (StPlus(lr=0.5), 10_000))]  # fmt: skip
    assert rates == [4e-3, 8e-5, 0.5]


def test_settings_without_a_meaning_are_refused() -> None:
    for name in ("hidden", "batch", "max_epochs", "kept", "neighbours"):
        with pytest.raises(ValueError, match=name):
            StPlus(**{name: 0})  # type: ignore[arg-type]


def test_the_published_settings_are_those_of_the_package_and_survive_their_json() -> None:
    published = StPlus.published()
    assert (published.other_genes, published.hidden, published.batch, published.kept) == (2000, 1000, 512, 5)
    assert (published.tolerance, published.weight_decay, published.neighbours) == (0.004, 2e-4, 50)
    assert rebuild(canonical(published)) == published


@pytest.mark.slow
@pytest.mark.real
def test_it_scores_what_the_original_code_scores_on_real_tissue() -> None:
    problem, truth = osmfish()
    scores = [mean_pcc(truth, StPlus.published().impute(problem, Run.local(seed))) for seed in range(3)]
    print(f"ours {np.round(scores, 3)}, published [0.190 0.193 0.148]")
    assert np.mean(scores) == pytest.approx(np.mean([0.190, 0.193, 0.148]), abs=0.06)
