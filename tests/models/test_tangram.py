"""Tangram against autograd with torch's own Adam, the original package, closed forms, and published figures."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from models.baselines import _mapping
from models.baselines._clusters import cell_groups
from models.baselines._mapping import Mapping, Weights
from models.baselines.tangram import Cells, Clusters, EarlyStop, Tangram, Units
from models.component import canonical, rebuild
from models.method import Expression, Problem, Run, Skipped
from tests.models.osmfish import mean_pcc, osmfish, part

Array = NDArray[Any]

TERMS = {
    "genes": Weights(genes=1.0, spots=0.0, density=0.0),
    "published": Weights(),
    "all": Weights(genes=0.8, spots=0.5, density=1.5, entropy=1e-3),
}


class Heard(Run):
    """A run that remembers what it is told."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__(np.random.default_rng(seed))
        self.reports: list[tuple[int, int, float | None]] = []

    def report(self, step: int, of: int, validation: float | None = None) -> None:
        self.reports.append((step, of, validation))


def synthetic(seed: int = 0, cells: int = 60, spots: int = 40, genes: int = 24, types: int | None = None) -> Problem:
    """Cells of 5 kinds, spots that mix them; with `types`, as many labels."""
    rng = np.random.default_rng(seed)
    programme = rng.gamma(0.6, 1.0, (5, genes))
    names = tuple(f"g{i:02d}" for i in range(genes))
    x = np.log1p(rng.poisson(5 * rng.dirichlet(np.full(5, 0.2), cells) @ programme)).astype(np.float32)
    y = np.log1p(rng.poisson(5 * rng.dirichlet(np.full(5, 0.5), spots) @ programme)).astype(np.float32)
    labels = None if types is None else np.array([f"type {i}" for i in rng.permutation(cells) % types])
    return Problem(Expression(names[4:], y[:, 4:]), Expression(names, x), names[4:], names[:4], names[4:8],
                   cell_types=labels)  # fmt: skip


def arrays(problem: Problem, units: Units) -> tuple[Array, Array, Array, Array]:
    """S, w, G, d of a problem, made without the method's own code; no gene or spot of `synthetic` is empty."""
    expression, labels = problem.cells.of(problem.visible), problem.cell_types
    if isinstance(units, Clusters):
        assert labels is not None
        members = [labels == name for name in sorted(set(labels))]
        s, w = np.array([expression[m].sum(axis=0) for m in members]), np.array([m.mean() for m in members])
    else:
        s, w = expression, np.full(len(expression), 1 / len(expression))
    y = problem.spots.lognorm
    return s, w, y, y.sum(axis=1) / y.sum()


def by_autograd(m: torch.Tensor, sides: tuple[Array, ...], weights: Weights) -> torch.Tensor:
    """The objective by torch's own functions."""
    s, w, g, d = (torch.tensor(side, dtype=m.dtype) for side in sides)
    a = m.softmax(dim=1)
    image = a.T @ s
    cosine = torch.nn.functional.cosine_similarity
    expression = weights.genes * cosine(image, g, dim=0).mean() + weights.spots * cosine(image, g, dim=1).mean()
    density = torch.nn.functional.kl_div((w @ a).log(), d, reduction="sum")
    return -expression + weights.density * density - weights.entropy * (a * a.log()).sum()


def begun(problem: Problem, method: Tangram, seed: int = 0) -> Mapping:
    return method.begin(problem, method.units.gathers(problem, np.random.default_rng(0)), problem.visible, seed, "cpu")


def raw(fit: Mapping) -> torch.Tensor:
    """M, a copy."""
    return torch.cat([block.detach().clone() for block in fit.blocks])


def method_of(weights: Weights, units: Units) -> Tangram:
    return Tangram(units, lambda_g1=weights.genes, lambda_g2=weights.spots, lambda_d=weights.density,
                   lambda_r=weights.entropy, early_stop=None)  # fmt: skip


# ---------------------------------------------------------------------------------------------------------------
# The objective and its descent


@pytest.mark.parametrize("units", [Cells(), Clusters()], ids=["cells", "clusters"])
@pytest.mark.parametrize("weights", TERMS.values(), ids=TERMS.keys())
def test_its_steps_are_those_of_autograd_and_torchs_adam(
    weights: Weights, units: Units, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_mapping, "CPU_BLOCK", 4 * 40 * 7)  # blocks of 7 units, the last one shorter
    problem = synthetic(types=9)
    fit = begun(problem, method_of(weights, units))
    reference = torch.nn.Parameter(raw(fit).double())
    adam = torch.optim.Adam([reference], lr=0.1)
    sides = arrays(problem, units)
    assert fit.objective() == pytest.approx(by_autograd(reference, sides, weights).item(), rel=1e-5)
    for _ in range(30):
        fit.step()
        adam.zero_grad()
        by_autograd(reference, sides, weights).backward()
        adam.step()
    assert len(fit.blocks) == -(-len(sides[0]) // 7)
    np.testing.assert_allclose(raw(fit).numpy(), reference.detach().numpy(), atol=2e-3)
    np.testing.assert_allclose(fit.assigned.numpy(), raw(fit).softmax(dim=1).numpy(), atol=1e-6)
    assert fit.objective() == pytest.approx(by_autograd(reference, sides, weights).item(), rel=1e-4)


def test_cells_that_are_the_spots_themselves_are_put_where_they_belong() -> None:
    problem = synthetic(cells=30, spots=30)
    same = dataclasses.replace(problem, cells=problem.cells, spots=Expression(problem.visible,
                               problem.cells.of(problem.visible)))  # fmt: skip
    found = Tangram.published().impute(same, Run.local())
    assert mean_pcc(same.cells.of(same.targets), found) > 0.9


def test_it_learns_what_a_shuffled_reference_does_not_teach() -> None:
    problem = synthetic(cells=200, spots=120)
    truth = np.random.default_rng(0)  # the generator of `synthetic`, to draw the held-out genes of the spots again
    programme = truth.gamma(0.6, 1.0, (5, 24))
    truth.poisson(5 * truth.dirichlet(np.full(5, 0.2), 200) @ programme)
    held = np.log1p(truth.poisson(5 * truth.dirichlet(np.full(5, 0.5), 120) @ programme))[:, :4]
    shuffled = dataclasses.replace(problem, cells=Expression(problem.cells.genes, np.column_stack(
        [column[np.random.default_rng(i).permutation(200)] for i, column in enumerate(problem.cells.lognorm.T)]
    )))  # fmt: skip
    scores = [mean_pcc(held, Tangram(Cells()).impute(p, Run.local())) for p in (problem, shuffled)]
    assert scores[0] > scores[1] + 0.2


# ---------------------------------------------------------------------------------------------------------------
# From a mapping to expression


@pytest.mark.parametrize("units", [Cells(), Clusters()], ids=["cells", "clusters"])
def test_a_genes_mean_over_spots_is_its_mean_over_cells(units: Units) -> None:
    problem = synthetic(types=4)
    found = Tangram(units).impute(problem, Run.local())
    np.testing.assert_allclose(found.mean(axis=0), problem.cells.of(problem.targets).mean(axis=0), rtol=1e-5)


@pytest.mark.parametrize("units", [Cells(), Clusters()], ids=["cells", "clusters"])
def test_its_sd_is_that_of_the_cells_under_their_weights_at_the_spot(units: Units) -> None:
    problem = synthetic(types=4)
    method = Tangram(units, epochs=40, early_stop=None)
    mean, sd = method.impute_with_sd(problem, Run.local())
    gathers = units.gathers(problem, np.random.default_rng(0))
    fit = method.fitted(problem, gathers, Run.local())
    weights = gathers.T @ fit.assigned.numpy().astype(float)  # (cells, spots) how much of a cell is at a spot
    z = problem.cells.of(problem.targets).astype(float)
    for spot in range(3):
        share, load = weights[:, spot] / weights[:, spot].sum(), weights[:, spot].sum() / (60 / 40)
        average = share @ z
        np.testing.assert_allclose(mean[spot], load * average, rtol=1e-4)
        np.testing.assert_allclose(sd[spot], load * np.sqrt(share @ (z - average) ** 2), rtol=1e-3)


def test_of_many_cells_no_more_than_asked_for_are_mapped() -> None:
    problem = synthetic()
    gathers = Cells(at_most=20).gathers(problem, np.random.default_rng(0))
    assert gathers.shape == (20, 60)
    assert gathers.sum(axis=0).max() == 1
    assert Cells(at_most=100).gathers(problem, np.random.default_rng(0)).shape == (60, 60)
    found = Tangram(Cells(at_most=20)).impute(problem, Run.local())
    np.testing.assert_allclose(
        found.mean(axis=0), (gathers @ problem.cells.of(problem.targets)).mean(axis=0), rtol=1e-5
    )


def test_given_cell_types_are_the_clusters_and_their_names_do_not_matter() -> None:
    problem = synthetic(types=4)
    assert problem.cell_types is not None
    gathers = Clusters().gathers(problem, np.random.default_rng(0))
    assert sorted(gathers.sum(axis=1)) == sorted(np.unique(problem.cell_types, return_counts=True)[1])
    numbered = dataclasses.replace(problem, cell_types=np.array([int(name[-1]) for name in problem.cell_types]))
    found = [Tangram().impute(p, Run.local()) for p in (problem, numbered)]
    np.testing.assert_array_equal(*found)


def test_without_cell_types_groups_that_stand_apart_are_found() -> None:
    rng = np.random.default_rng(0)
    kind = rng.permutation(90) % 3
    values = rng.gamma(1.0, 1.0, (3, 12))[kind] * 3 + rng.normal(0, 0.05, (90, 12))
    labels = cell_groups(values.astype(np.float32), 3, np.random.default_rng(1))
    assert len({(a, b) for a, b in zip(kind, labels, strict=True)}) == 3


def test_cells_that_are_all_alike_are_one_group() -> None:
    assert set(cell_groups(np.ones((7, 3), np.float32), 5, np.random.default_rng(0))) == {0}


# ---------------------------------------------------------------------------------------------------------------
# Early stopping


def test_early_stopping_runs_as_many_epochs_anew_as_predicted_the_validation_genes_best() -> None:
    problem, run = synthetic(), Heard()
    stopped = Tangram(Cells(), epochs=300, early_stop=EarlyStop(every=5, patience=4))
    found = stopped.impute(problem, run)
    looked = {step: score for step, _, score in run.reports if score is not None}
    chosen = max(looked, key=lambda step: looked[step])
    assert max(looked) == chosen + 20  # the four looks that were no better
    assert run.reports[-1][:2] == (600, 600)
    assert len(run.reports) == max(looked) + chosen
    plain = dataclasses.replace(stopped, epochs=chosen, early_stop=None).impute(problem, Run.local())
    np.testing.assert_array_equal(found, plain)


def test_its_validation_score_is_the_pcc_of_a_fit_without_the_validation_genes() -> None:
    problem, run = synthetic(), Heard()
    # The density is of all visible genes in the one, of the training genes in the other: left out.
    Tangram(Cells(), epochs=5, early_stop=EarlyStop(), lambda_d=0.0).impute(problem, run)
    others = Problem(Expression(problem.training, problem.spots.of(problem.training)), problem.cells,
                     problem.training, problem.validation)  # fmt: skip
    fit = Tangram(Cells(), epochs=5, early_stop=None, lambda_d=0.0).impute(others, Run.local())
    assert run.reports[4][2] == pytest.approx(mean_pcc(problem.spots.of(problem.validation), fit), abs=1e-5)


def test_without_validation_genes_early_stopping_draws_some_of_the_visible() -> None:
    problem, run = dataclasses.replace(synthetic(), validation=()), Heard()
    Tangram(Cells()).impute(problem, run)
    assert any(score is not None for _, _, score in run.reports)


# ---------------------------------------------------------------------------------------------------------------
# Corners


def test_genes_without_a_count_on_either_side_change_nothing() -> None:
    problem = synthetic()
    nothing, something = np.zeros(40, np.float32), np.ones(60, np.float32)
    spots = Expression((*problem.visible, "no"), np.column_stack([problem.spots.lognorm, nothing]))
    cells = Expression((*problem.cells.genes, "no"), np.column_stack([problem.cells.lognorm, something]))
    wider = dataclasses.replace(problem, spots=spots, cells=cells, visible=spots.genes)
    method = Tangram(Cells(), epochs=50, early_stop=None)
    np.testing.assert_array_equal(method.impute(wider, Run.local()), method.impute(problem, Run.local()))


@pytest.mark.parametrize("weights", TERMS.values(), ids=TERMS.keys())
def test_empty_spots_and_cells_are_answered(weights: Weights) -> None:
    problem = synthetic()
    y, x = problem.spots.lognorm.copy(), problem.cells.lognorm.copy()
    y[:5], x[:5] = 0, 0
    empty = dataclasses.replace(problem, spots=Expression(problem.visible, y), cells=Expression(problem.cells.genes, x))
    assert np.isfinite(method_of(weights, Cells()).impute(empty, Run.local())).all()


def test_what_cannot_be_fitted_is_refused_in_a_sentence_that_helps() -> None:
    problem = synthetic()
    dark = dataclasses.replace(problem, spots=Expression(problem.visible, np.zeros((40, 20), np.float32)))
    with pytest.raises(Skipped, match="no visible gene"):
        Tangram(early_stop=None).impute(dark, Run.local())
    single = Problem(Expression(("g04",), problem.spots.lognorm[:, :1]), problem.cells, ("g04",), ("g00",))
    with pytest.raises(Skipped, match="early_stop=None"):
        Tangram().impute(single, Run.local())
    assert np.isfinite(Tangram(early_stop=None, epochs=5).impute(single, Run.local())).all()


def test_settings_without_a_meaning_are_refused() -> None:
    for wrong in ({"epochs": 0}, {"lr": 0.0}, {"lambda_g1": 0.0}, {"lambda_d": -1.0}):
        with pytest.raises(ValueError, match="Tangram"):
            Tangram(**wrong)  # type: ignore[arg-type]
    for part_of_it, wrong in ((Cells, {"at_most": 0}), (Clusters, {"k": 0}), (EarlyStop, {"every": 0})):
        with pytest.raises(ValueError, match="at least 1"):
            part_of_it(**wrong)


def test_the_published_settings_are_those_of_the_package_and_survive_their_json() -> None:
    published = Tangram.published()
    assert (published.units, published.epochs, published.lr, published.early_stop) == (Cells(), 1000, 0.1, None)
    assert (published.lambda_g1, published.lambda_g2, published.lambda_d, published.lambda_r) == (1, 0, 1, 0)
    assert rebuild(canonical(published)) == published


# ---------------------------------------------------------------------------------------------------------------
# The original package, and its figures


def original(problem: Problem, units: Units, weights: Weights, seed: int | None = None) -> Any:
    """The original's optimizer on the same arrays; its prediction is A'S of whatever S."""
    optimizer = pytest.importorskip(
        "tangram.mapping_optimizer", reason="needs tangram-sc, of the extra `parity`", exc_type=ModuleNotFoundError
    )
    s, w, g, d = arrays(problem, units)
    return optimizer.Mapper(
        S=s, G=g, d=d, d_source=w if isinstance(units, Clusters) else None, lambda_g1=weights.genes,
        lambda_g2=weights.spots, lambda_d=weights.density, lambda_r=weights.entropy, random_state=seed,
    )  # fmt: skip


@pytest.mark.parity
@pytest.mark.parametrize("units", [Cells(), Clusters()], ids=["cells", "clusters"])
@pytest.mark.parametrize("weights", [TERMS["published"], TERMS["all"]], ids=["published", "all"])
def test_its_objective_and_its_descent_are_those_of_the_original(weights: Weights, units: Units) -> None:
    problem = synthetic(types=6)
    theirs = original(problem, units, weights)
    fit = begun(problem, method_of(weights, units))
    theirs.M = raw(fit).requires_grad_()
    assert fit.objective() == pytest.approx(theirs._loss_fn(verbose=False)[0].item(), rel=1e-5)
    assigned, _ = theirs.train(num_epochs=50, learning_rate=0.1, print_each=None)
    for _ in range(50):
        fit.step()
    np.testing.assert_allclose(fit.assigned.numpy(), assigned, atol=1e-3)
    theirs.M = raw(fit).requires_grad_()
    assert fit.objective() == pytest.approx(theirs._loss_fn(verbose=False)[0].item(), rel=1e-5)


@pytest.mark.parity
@pytest.mark.real
@pytest.mark.parametrize("units", [Cells(), Clusters()], ids=["cells", "clusters"])
def test_it_scores_what_the_original_scores_on_a_part_of_real_tissue(units: Units) -> None:
    whole, truth = osmfish()
    problem, truth = part(whole, 500, 500), truth[:500]
    groups = cell_groups(problem.cells.of(problem.visible), 12, np.random.default_rng(0))
    problem = dataclasses.replace(problem, cell_types=groups.astype(str))
    expression, labels = problem.cells.of(problem.targets), problem.cell_types
    if isinstance(units, Clusters):
        expression = np.array([expression[labels == name].sum(axis=0) for name in sorted(set(groups.astype(str)))])
    ours, theirs = [], []
    for seed in (1, 2, 3):
        ours.append(mean_pcc(truth, Tangram(units, early_stop=None, epochs=300).impute(problem, Run.local(seed))))
        assigned, _ = original(problem, units, Weights(), seed).train(300, print_each=None)
        theirs.append(mean_pcc(truth, assigned.T @ expression))
    print(f"ours {np.round(ours, 3)}, the original {np.round(theirs, 3)}")
    assert np.mean(ours) == pytest.approx(np.mean(theirs), abs=0.03)


@pytest.mark.real
@pytest.mark.slow
@pytest.mark.parametrize(("units", "published"), [(Cells(), 0.182), (Clusters(), 0.253)], ids=["cells", "clusters"])
def test_it_scores_what_the_original_code_scores_on_real_tissue(units: Units, published: float) -> None:
    problem, truth = osmfish()
    method = dataclasses.replace(Tangram.published(), units=units)
    scores = [mean_pcc(truth, method.impute(problem, Run.local(seed))) for seed in range(3)]
    print(f"ours {np.round(scores, 3)}, published {published}")
    assert np.mean(scores) == pytest.approx(published, abs=0.03)


@pytest.mark.real
def test_early_stopping_predicts_better_than_the_published_thousand_epochs_do() -> None:
    problem, truth = osmfish()
    problem, truth = part(problem, 800, 800), truth[:800]
    scores = {stop: mean_pcc(truth, Tangram(Cells(), early_stop=stop).impute(problem, Run.local()))
              for stop in (EarlyStop(), None)}  # fmt: skip
    assert scores[EarlyStop()] > scores[None] + 0.02
