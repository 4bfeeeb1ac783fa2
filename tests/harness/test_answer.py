"""What is an answer: an array of the right shape, made without undeclared randomness; anything else says what to do."""

from __future__ import annotations

import importlib
import random
import subprocess
import sys
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import pandas as pd
import pytest
import torch

from harness.answer import answer
from models.method import Array, Method, Needs, Problem, Run
from tests.contracts.problems import tiny_problem

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Answers(Method):
    """Answers whatever a test wants it to, with or without saying that it is random."""

    made: ClassVar[Callable[[Problem, Run], object]]

    def impute(self, problem: Problem, run: Run) -> Array:
        return type(self).made(problem, run)  # type: ignore[return-value]


@dataclass(frozen=True)
class Declared(Answers):
    """The same, saying that it is random."""

    needs: ClassVar[Needs] = Needs(randomness=True)


def zeros(problem: Problem) -> Array:
    return np.zeros((len(problem.spots), len(problem.targets)))


def drawn(problem: Problem, run: Run) -> Array:
    return zeros(problem) + run.rng.random()


def written_into(problem: Problem, run: Run) -> Array:
    problem.spots.lognorm[0] = 1.0
    return zeros(problem)


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (lambda problem, run: None, "is a NoneType; expected an array"),
        (lambda problem, run: pd.DataFrame(zeros(problem), columns=list(problem.targets)), "is a DataFrame; expected"),
        (lambda problem, run: zeros(problem).T, "of shape"),
        (lambda problem, run: zeros(problem).astype(int), "expected floats"),
        (lambda problem, run: zeros(problem) + np.nan, "is not finite at every spot"),
        (lambda problem, run: zeros(problem) + np.random.random(), "draws random numbers and does not say so"),  # noqa: NPY002
        (lambda problem, run: zeros(problem) + torch.rand(1).item(), "draws random numbers and does not say so"),
        (lambda problem, run: zeros(problem) + random.random(), "draws random numbers and does not say so"),
        (drawn, "draws random numbers and does not say so.*Needs\\(randomness=True\\)"),
        (written_into, "read-only.*copy an array before writing"),
    ],
)
def test_what_is_no_answer_is_refused_with_what_to_do(
    monkeypatch: pytest.MonkeyPatch, made: Callable[[Problem, Run], object], words: str
) -> None:
    monkeypatch.setattr(Answers, "made", staticmethod(made), raising=False)

    with pytest.raises(ValueError, match=words):
        answer(Answers(), tiny_problem(), Run.local(0))


def test_whoever_says_so_may_draw_and_whoever_says_so_need_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Answers, "made", staticmethod(drawn), raising=False)
    assert answer(Declared(), tiny_problem(), Run.local(0)).any()

    monkeypatch.setattr(Answers, "made", staticmethod(lambda problem, run: zeros(problem)))
    assert not answer(Declared(), tiny_problem(), Run.local(0)).any()


@pytest.mark.parametrize(
    "draw", [random.random, np.random.random, lambda: torch.rand(1).item()], ids=["python", "numpy", "torch"]
)
def test_whoever_draws_from_a_global_generator_gets_the_same_for_the_same_seed(
    monkeypatch: pytest.MonkeyPatch, draw: Callable[[], float]
) -> None:
    monkeypatch.setattr(Answers, "made", staticmethod(lambda problem, run: zeros(problem) + draw()), raising=False)
    first, other = (answer(Declared(), tiny_problem(), Run.local(seed)) for seed in (0, 1))
    draw()
    again = answer(Declared(), tiny_problem(), Run.local(0))

    assert (first == again).all()
    assert (first != other).all()


def test_global_generators_are_as_they_were(monkeypatch: pytest.MonkeyPatch) -> None:
    def used(problem: Problem, run: Run) -> Array:
        return zeros(problem) + random.random() + np.random.random() + torch.rand(1).item()  # noqa: NPY002

    monkeypatch.setattr(Answers, "made", staticmethod(used), raising=False)
    before = (random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist())  # noqa: NPY002

    answer(Declared(), tiny_problem(), Run.local(0))

    assert (random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()) == before  # noqa: NPY002


@pytest.mark.parametrize(("extra", "refused"), [(lambda: 0.0, False), (random.random, True)])
def test_loading_a_module_that_draws_is_no_draw_and_hides_none(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, extra: Callable[[], float], refused: bool
) -> None:
    """Loading scikit-learn draws, and is done by methods without randomness in the first trial of a process."""
    name = f"draws_when_loaded_{refused}"
    (tmp_path / f"{name}.py").write_text("import random\n\nrandom.random()\n")
    monkeypatch.syspath_prepend(tmp_path)

    def loads(problem: Problem, run: Run) -> Array:
        importlib.import_module(name)
        return zeros(problem) + extra()

    monkeypatch.setattr(Answers, "made", staticmethod(loads), raising=False)

    with pytest.raises(ValueError, match="draws random numbers and does not say so") if refused else nullcontext():
        answer(Answers(), tiny_problem(), Run.local(0))


def test_cell_type_mean_without_cell_types_may_be_the_first_trial_of_a_process() -> None:
    program = """
import dataclasses, sys
import numpy as np
from harness.answer import answer
from models.baselines.cell_type_mean import CellTypeMean
from models.method import Run
from tests.contracts.problems import tiny_problem
problem = dataclasses.replace(tiny_problem(), cell_types=None)
assert "sklearn" not in sys.modules
print(np.isfinite(answer(CellTypeMean(), problem, Run.local(0))).all())
"""
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT)

    assert ran.stdout == "True\n", ran.stderr
