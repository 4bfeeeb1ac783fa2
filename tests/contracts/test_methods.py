"""What every method must do, whoever wrote it: parametrised over discovery, so a new file is tested untouched."""

from __future__ import annotations

import copy
import dataclasses
import pickle
from functools import cache

import numpy as np

from models.component import canonical, code_hash, rebuild
from models.method import Method, Problem, Run, refusal
from tests.contracts.problems import every_method, reordered, small, tiny_problem


def predict(method: type[Method], problem: Problem, seed: int = 0) -> np.ndarray:
    return small(method).impute(problem, Run.local(seed))


@cache
def first(method: type[Method], seed: int = 0) -> np.ndarray:
    """The answer to the tiny problem, computed once for all tests."""
    return predict(method, tiny_problem(), seed)


@every_method
def test_its_defaults_need_no_argument_and_survive_json(method: type[Method]) -> None:
    assert rebuild(canonical(method())) == method()


@every_method
def test_it_travels_to_a_worker_and_back(method: type[Method]) -> None:
    assert pickle.loads(pickle.dumps(method())) == method()


@every_method
def test_it_says_what_it_is_and_where_it_comes_from(method: type[Method]) -> None:
    assert method.__doc__
    assert len(method.__doc__.split()) >= 8
    assert isinstance(method.version, int)
    assert method.version >= 1
    assert len(code_hash(method())) == 16


@every_method
def test_it_answers_with_every_spot_and_target_in_order_and_finite(method: type[Method]) -> None:
    problem = tiny_problem()

    prediction = first(method)

    assert prediction.shape == (len(problem.spots), len(problem.targets))
    assert prediction.dtype.kind == "f"
    assert np.isfinite(prediction).all()


@every_method
def test_an_sd_is_finite_beside_the_very_same_prediction_and_says_what_varies(method: type[Method]) -> None:
    mean, sd = small(method).impute_with_sd(tiny_problem(), Run.local(0))

    assert np.array_equal(mean, first(method))
    assert mean.dtype == first(method).dtype
    if sd is None:
        assert not method.spread
        return
    assert sd.shape == mean.shape
    assert np.isfinite(sd).all()
    assert sd.min() >= 0
    assert sd.max() > 0
    assert method.spread.endswith(".")


@every_method
def test_its_answer_is_on_the_log_normalised_scale(method: type[Method]) -> None:
    problem = tiny_problem()
    highest = max(problem.spots.lognorm.max(), problem.cells.lognorm.max())

    prediction = first(method)

    assert prediction.min() >= 0
    assert prediction.max() <= 3 * highest


@every_method
def test_the_same_seed_gives_the_same_bits(method: type[Method]) -> None:
    assert (predict(method, tiny_problem(), 3) == first(method, 3)).all()


@every_method
def test_the_seed_matters_exactly_if_it_declares_randomness(method: type[Method]) -> None:
    differs = bool((first(method) != first(method, 3)).any())

    assert differs == method.needs.randomness


@every_method
def test_the_global_random_state_is_neither_used_nor_changed(method: type[Method]) -> None:
    expected = first(method)
    np.random.seed(1)  # noqa: NPY002 - the global state is what is watched
    before = copy.deepcopy(np.random.get_state())  # noqa: NPY002

    prediction = predict(method, tiny_problem())

    assert np.array_equal(before[1], np.random.get_state()[1])  # type: ignore[index] # noqa: NPY002
    assert (prediction == expected).all()


@every_method
def test_another_order_of_genes_permutes_the_answer_and_nothing_else(method: type[Method]) -> None:
    problem = tiny_problem()
    turned = reordered(problem)

    straight = first(method)
    other = predict(method, turned)

    order = [turned.targets.index(gene) for gene in problem.targets]
    if not method.needs.randomness:
        np.testing.assert_allclose(other[:, order], straight, atol=1e-4)
    else:
        # Training draws follow the order of genes it is given (the harness always sorts them by name), so a random
        # method may move as much as another seed moves it, and no more.
        by_seed = np.abs(first(method, 3) - straight).mean()
        assert np.abs(other[:, order] - straight).mean() <= 2 * by_seed


@every_method
def test_a_genes_prediction_depends_on_what_else_is_asked_for_only_if_declared(method: type[Method]) -> None:
    problem = tiny_problem()
    alone = dataclasses.replace(problem, targets=problem.targets[2:3])

    together = first(method)
    single = predict(method, alone)

    if not method.joint:
        np.testing.assert_allclose(single[:, 0], together[:, 2], atol=1e-4)
    else:
        # A model of all targets at once changes with them, but no more than a seed changes it.
        by_seed = np.abs(first(method, 3) - together).mean()
        assert np.abs(single[:, 0] - together[:, 2]).mean() <= 2 * by_seed


@every_method
def test_it_keeps_nothing_from_one_problem_to_the_next(method: type[Method]) -> None:
    problem = tiny_problem()
    fresh = first(method)

    predict(method, dataclasses.replace(problem, targets=problem.targets[:3]))

    assert (predict(method, problem) == fresh).all()


@every_method
def test_one_target_and_few_genes_are_enough(method: type[Method]) -> None:
    problem = tiny_problem()
    visible = problem.visible[:10]
    few = dataclasses.replace(
        problem,
        visible=visible,
        spots=dataclasses.replace(
            problem.spots,
            genes=visible,
            lognorm=problem.spots.of(visible),
            counts=problem.spots.counts_of(visible),
        ),
        targets=problem.targets[:1],
        validation=tuple(gene for gene in problem.validation if gene in visible),
    )

    prediction = predict(method, few)

    assert prediction.shape == (len(problem.spots), 1)
    assert np.isfinite(prediction).all()


@every_method
def test_what_it_needs_and_does_not_get_is_refused_with_the_thing_named(method: type[Method]) -> None:
    problem = tiny_problem()
    bare = dataclasses.replace(
        problem,
        spots=dataclasses.replace(problem.spots, counts=None, size_factors=None),
        coordinates=None,
        cell_types=None,
    )
    needs = method.needs

    reason = refusal(method(), bare)

    assert (reason is not None) == (needs.counts or needs.coordinates or needs.cell_types)
    assert refusal(method(), problem) is None
