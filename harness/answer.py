"""A method's answer, if it is one: asked for and checked in one place, whoever asks."""

from __future__ import annotations

import hashlib
import random
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.method import Method, Problem, Run, Skipped, refusal


def answer(method: Method, problem: Problem, run: Run) -> NDArray[Any]:
    """What a method predicts, checked; raises `Skipped` for what it cannot do, ValueError for what is no answer.

    Draws belong to `run.rng`. Whoever draws from a global generator all the same (a library does, or torch's own
    initialisation) gets the same numbers for the same seed.
    """
    if (reason := refusal(method, problem)) is not None:
        raise Skipped(reason)
    before, loaded = run.rng.bit_generator.state, len(sys.modules)
    prediction, drew = _asked(method, problem, run)
    if drew and not method.needs.randomness and len(sys.modules) > loaded:
        # To load a library may draw (it does with scikit-learn); it is there now, so what is drawn is the method's own.
        run.rng.bit_generator.state = before
        prediction, drew = _asked(method, problem, run)
    if drew and not method.needs.randomness:
        raise ValueError(
            f"{type(method).__name__} draws random numbers and does not say so, so it would run for one seed and pass "
            "for all; add `needs: ClassVar[Needs] = Needs(randomness=True)` to the class (models.method has Needs)."
        )
    return prediction


def _asked(method: Method, problem: Problem, run: Run) -> tuple[NDArray[Any], bool]:
    """The checked prediction, and whether anything was drawn for it."""
    before = run.rng.bit_generator.state
    with _copying_advised(), global_streams(before) as drawn:
        prediction = checked(method.impute(problem, run), problem)
        return prediction, drawn() or run.rng.bit_generator.state != before


@contextmanager
def global_streams(state: Any) -> Iterator[Callable[[], bool]]:
    """Seed the global generators of Python, numpy and torch by a state, and put them back as they were.

    What it gives says whether one of them was drawn from, or seeded, since.
    """
    seed = int.from_bytes(hashlib.sha256(repr(state).encode()).digest()[:4], "little")
    kept = _states()
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 - it is the old generator that others draw from
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(seed)
    seeded = _states()
    try:
        yield lambda: _differ(_states(), seeded)
    finally:
        random.setstate(kept[0])
        np.random.set_state(kept[1])  # noqa: NPY002
        if kept[2] is not None:
            sys.modules["torch"].set_rng_state(kept[2])


def _states() -> tuple[Any, Any, Any]:
    """Of Python's, numpy's and torch's global generators; None for torch where nobody has loaded it."""
    torch = sys.modules.get("torch")
    return random.getstate(), np.random.get_state(), None if torch is None else torch.get_rng_state()  # noqa: NPY002


def _differ(now: tuple[Any, Any, Any], then: tuple[Any, Any, Any]) -> bool:
    if now[0] != then[0] or not all(np.array_equal(a, b) for a, b in zip(now[1], then[1], strict=True)):
        return True
    return then[2] is not None and not bool((now[2] == then[2]).all())


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
