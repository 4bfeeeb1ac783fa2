"""A method's answer, if it is one: asked for and checked in one place, whoever asks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.method import Method, Problem, Run, Skipped, refusal


def answer(method: Method, problem: Problem, run: Run) -> NDArray[Any]:
    """What a method predicts, checked; raises `Skipped` for what it cannot do, ValueError for what is no answer."""
    if (reason := refusal(method, problem)) is not None:
        raise Skipped(reason)
    before = run.rng.bit_generator.state
    with _copying_advised():
        prediction = checked(method.impute(problem, run), problem)
    if not method.needs.randomness and run.rng.bit_generator.state != before:
        raise ValueError(
            f"{type(method).__name__} draws random numbers and does not say so, so it would run for one seed and pass "
            "for all; add `needs: ClassVar[Needs] = Needs(randomness=True)` to the class (models.method has Needs)."
        )
    return prediction


@contextmanager
def _copying_advised() -> Iterator[None]:
    """Say what to do where a method writes into the problem, which is read-only."""
    try:
        yield
    except ValueError as error:
        if "read-only" in str(error):
            error.args = (f"{error} (a Problem cannot be changed: copy an array before writing into it)",)
        raise


def checked(prediction: Any, problem: Problem) -> NDArray[Any]:
    """A method's answer, if it is one: exactly the requested genes and spots, finite. ValueError says what is off."""
    expected = (len(problem.spots), len(problem.targets))
    if not isinstance(prediction, np.ndarray):
        # Labels would be ignored, and genes be scored under each other's names.
        raise ValueError(
            f"the prediction is a {type(prediction).__name__}; expected an array of floats of shape {expected}, with "
            "columns in the order of problem.targets (of a DataFrame: frame[list(problem.targets)].to_numpy())."
        )
    if prediction.shape != expected or prediction.dtype.kind != "f":
        raise ValueError(
            f"the prediction is {prediction.dtype} of shape {prediction.shape}; expected floats of shape {expected}."
        )
    if not np.isfinite(prediction).all():
        bad = problem.targets[int(np.flatnonzero(~np.isfinite(prediction).all(axis=0))[0])]
        raise ValueError(f"the prediction of gene {bad} is not finite at every spot.")
    return prediction
