from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from models.component import Component, canonical, discover, rebuild
from models.method import Array, Expression, Problem, Run
from models.spadit import SpaDiT, backbones, conditions
from models.spadit.conditions import FlashAttention, NoCondition
from models.spadit.diffusion import Epsilon, Quadratic, Velocity
from models.spadit.latent import Latent
from models.spadit.masking import EntryMask
from models.spadit.samplers import DDIM, DDPM
from models.spadit.sc_features import PrincipalCells, RawCells
from models.spadit.spot_space import RawSpots
from models.spadit.tokens import Context, InBatch
from models.spadit.training import EarlyStop, Training
from tests.models.spadit.spadit_problems import pcc, quick, simulated


def only(problem: Problem, targets: tuple[str, ...]) -> Problem:
    return replace(problem, targets=targets)


VARIANTS = {
    "defaults": quick(),
    "context": quick(tokens=Context(max_genes=20)),
    "ancestral": quick(sampler=DDPM(), schedule=Quadratic(steps=20)),
    "eps": quick(parametrisation=Epsilon()),
    "v": quick(parametrisation=Velocity()),
    "raw": quick(spot_space=RawSpots(), sc_features=RawCells(), masking=EntryMask()),
    "no concat": quick(latent=Latent(concat=False, direct=False)),
    "no condition": quick(condition=NoCondition()),
    "pooled": quick(condition=FlashAttention(readout="pooled", layers=2)),
}


@pytest.mark.parametrize("method", VARIANTS.values(), ids=VARIANTS.keys())
def test_every_variant_predicts_finite_values_for_each_target_at_each_spot(method: SpaDiT) -> None:
    problem, _ = simulated(extra=10)

    found = method.impute(problem, Run.local(0))

    assert found.shape == (60, 8)
    assert found.dtype == np.float32
    assert np.isfinite(found).all()
    assert found.min() >= 0


@pytest.mark.parametrize("method", VARIANTS.values(), ids=VARIANTS.keys())
def test_a_prediction_does_not_depend_on_which_other_genes_are_asked_for(method: SpaDiT) -> None:
    problem, _ = simulated(n_spots=40, extra=10)
    method = replace(method, training=Training(steps=6, warmup=1, lr=1e-2, batch=16))
    a, b, c = problem.targets[:3]

    together = method.impute(problem, Run.local(0))
    reordered = method.impute(only(problem, (c, a)), Run.local(0))
    alone = method.impute(only(problem, (b,)), Run.local(0))

    np.testing.assert_allclose(reordered, together[:, [2, 0]], atol=1e-5)
    np.testing.assert_allclose(alone, together[:, [1]], atol=1e-5)


def test_more_targets_than_fit_in_one_go_are_predicted_as_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    problem, _ = simulated()
    together = quick().impute(problem, Run.local(0))

    monkeypatch.setattr("models.spadit.spadit.TOGETHER", 3)

    np.testing.assert_allclose(quick().impute(problem, Run.local(0)), together, atol=1e-5)


def test_in_batch_tokens_make_a_prediction_depend_on_its_batch_mates() -> None:
    problem, _ = simulated()
    method = quick(tokens=InBatch())

    together = method.impute(problem, Run.local(0))
    alone = method.impute(only(problem, problem.targets[:1]), Run.local(0))

    assert np.abs(alone - together[:, :1]).max() > 1e-4


def test_the_model_learns_the_map_from_sc_to_st_of_a_simulated_pair() -> None:
    problem, truth = simulated(n_genes=80, n_targets=16, n_spots=100)
    spots = problem.spots.lognorm
    mean_pattern = np.repeat(spots.mean(1, keepdims=True), truth.shape[1], 1)

    found = SpaDiT.tiny().impute(problem, Run.local(0))

    assert pcc(found, truth) > pcc(mean_pattern, truth) + 0.15
    assert pcc(found, truth) > 0.6


def test_eight_genes_can_be_learnt_by_heart() -> None:
    problem, _ = simulated(n_genes=16, n_targets=8)
    memorised = problem.visible
    copies = tuple(f"copy of {gene}" for gene in memorised)  # the same SC profiles under names that may be asked for
    cells = Expression((*memorised, *copies), np.tile(problem.cells.of(memorised), 2))
    method = quick(
        training=Training(steps=300, warmup=10, batch=8, lr=3e-3, dropout=0.0, pairs=0.0, ema=0.9),
        sc_features=replace(SpaDiT().sc_features, noise=0.0),
    )

    found = method.impute(Problem(problem.spots, cells, memorised, copies), Run.local(0))

    assert pcc(found, problem.spots.lognorm) > 0.95


def edge_cases() -> dict[str, Problem]:
    tiny, _ = simulated(n_genes=11, n_spots=20, n_cells=15, n_targets=1)
    flat, _ = simulated(n_genes=20, n_spots=25)
    spots, cells = flat.spots.lognorm.copy(), flat.cells.lognorm.copy()
    spots[:, 2], cells[:, 5], cells[:, 18] = (
        0.0,
        0.0,
        0.0,
    )  # visible without ST, visible and target without SC
    silent = replace(flat, spots=replace(flat.spots, lognorm=np.zeros_like(spots)))
    return {
        "ten visible genes, one target": tiny,
        "genes without variance": replace(
            flat, spots=replace(flat.spots, lognorm=spots), cells=replace(flat.cells, lognorm=cells)
        ),
        "nothing measured": silent,
        "no SC signal": replace(flat, cells=replace(flat.cells, lognorm=np.zeros_like(cells))),
        "SC genes beyond the panel": simulated(extra=200)[0],
    }


@pytest.mark.parametrize("case", edge_cases())
@pytest.mark.parametrize("variant", ["defaults", "context", "raw"])
def test_a_difficult_problem_still_gets_a_finite_answer(case: str, variant: str) -> None:
    problem = edge_cases()[case]

    found: Array = VARIANTS[variant].impute(problem, Run.local(0))

    assert found.shape == (len(problem.spots), len(problem.targets))
    assert np.isfinite(found).all()


PRESETS = {
    "defaults": SpaDiT(),
    "small": SpaDiT.small(),
    "tiny": SpaDiT.tiny(),
    "paper_literal": SpaDiT.paper_literal(),
    "early stop": SpaDiT(training=Training(early_stop=EarlyStop())),
}


@pytest.mark.parametrize("method", PRESETS.values(), ids=PRESETS.keys())
def test_a_preset_survives_the_round_trip_through_json(method: SpaDiT) -> None:
    assert rebuild(json.loads(json.dumps(canonical(method)))) == method


def test_small_is_the_default_and_the_presets_differ() -> None:
    assert SpaDiT.small() == SpaDiT()
    assert len({SpaDiT(), SpaDiT.tiny(), SpaDiT.paper_literal()}) == 3


def test_the_paper_read_literally_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    problem, _ = simulated(n_genes=20, n_spots=25)
    method = SpaDiT.paper_literal()

    found = replace(method, training=replace(method.training, steps=3), schedule=Quadratic(steps=20)).impute(
        problem, Run.local(0)
    )

    assert np.isfinite(found).all()


@pytest.mark.parametrize(("package", "base"), [(backbones, backbones.Backbone), (conditions, conditions.Condition)])
def test_a_part_is_importable_by_name_from_its_folder(package: Any, base: type[Component]) -> None:
    found = discover(package, base)

    assert found
    for cls in found.values():
        assert getattr(package, cls.__name__) is cls
    with pytest.raises(ImportError, match="Mambda"):
        exec(f"from {package.__name__} import Mambda")


@pytest.mark.parametrize(
    ("refused", "because"),
    [
        (lambda: SpaDiT(draws=0), "at least 1 draw"),
        (lambda: SpaDiT(masking=EntryMask()), r"RawSpots\(\)"),
        (lambda: SpaDiT(sampler=DDIM(steps=30), schedule=Quadratic(steps=20)), "more timesteps"),
        (lambda: Training(lr=0.0), "above 0"),
        (lambda: Training(ema=1.0), "below 1"),
        (lambda: PrincipalCells(rank=0), r"RawCells\(\)"),
        (lambda: PrincipalCells(noise=-1.0), "at least 0"),
        (lambda: Latent(layers=0), "at least 1 layer"),
        (lambda: Latent(concat=False), "direct=False"),
    ],
)
def test_settings_that_cannot_work_are_refused_in_a_sentence(refused: Any, because: str) -> None:
    with pytest.raises(ValueError, match=because):
        refused()
