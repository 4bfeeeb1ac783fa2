"""A method on trial: what it answers to the built-in problem, and what becomes of a promise."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from harness.answer import checked, global_streams
from harness.contract.built_in import built_in_problem
from models.method import Array, Method, Problem, Run, Skipped

OTHER = 3
"""The seed that is compared with seed 0."""


class NoAnswer(Exception):  # noqa: N818 - an outcome, not an error
    """What a method did where an answer was expected, as a sentence; skipped: whether it gave a reason of its own."""

    def __init__(self, sentence: str, skipped: bool = False) -> None:
        super().__init__(sentence)
        self.skipped = skipped


class NotTried(Exception):  # noqa: N818 - an outcome, not an error
    """Why a promise cannot be tried: one that it builds on is broken."""


@dataclass(frozen=True, eq=False)
class Answer:
    """A prediction (n_spots, n_targets), and whether a global generator was drawn from or seeded on the way."""

    values: Array
    drew: bool


@dataclass(frozen=True, eq=False)
class Tried:
    """A method on trial. What several promises compare with is answered once and kept.

    by_name: whether it is called by name, as discovered methods are, and so made without arguments too.
    """

    method: Method
    by_name: bool = False
    _kept: dict[tuple[int, str], Answer | NoAnswer] = field(default_factory=dict, repr=False)

    @property
    def settings(self) -> tuple[Method, ...]:
        """The settings that have to travel: those on trial and, of a method that is called by name, its defaults."""
        return (self.method, type(self.method)()) if self.by_name else (self.method,)

    def answer(self, problem: Problem, seed: int = 0, when: str = "") -> Answer:
        """A new answer; `NoAnswer` says what came instead, after the words of `when`.

        As in a trial, global generators are seeded by the run's stream and put back, and who draws while libraries are
        loaded is asked once more.
        """
        loaded = len(sys.modules)
        found = self._answer(problem, seed, when)
        return self._answer(problem, seed, when) if found.drew and len(sys.modules) > loaded else found

    def _answer(self, problem: Problem, seed: int, when: str) -> Answer:
        run = Run.local(seed)
        with global_streams(run.rng.bit_generator.state) as drawn:
            try:
                prediction = self.method.impute(problem, run)
            except Exception as error:  # whatever a method raises is what is to be told
                raise NoAnswer(when + stopped(error), isinstance(error, Skipped)) from error
            drew = drawn()
        try:
            return Answer(np.array(checked(prediction, problem)), drew)
        except ValueError as error:
            told = f"{when}{line(error)}; return a finite float for every spot (row) and target (column)."
            raise NoAnswer(told) from error

    def once(self, seed: int = 0, time: str = "first") -> Answer:
        """The answer to the whole problem, computed once; `NoAnswer` where there is none, as often as it is asked."""
        if (seed, time) not in self._kept:
            try:
                self._kept[seed, time] = self.answer(built_in_problem(), seed)
            except NoAnswer as instead:
                self._kept[seed, time] = instead
        kept = self._kept[seed, time]
        if isinstance(kept, NoAnswer):
            raise kept
        return kept

    def first(self, seed: int = 0) -> Array:
        """(n_spots, n_targets) to compare with; `NotTried` where it gives no answer at all."""
        try:
            return self.once(seed).values
        except NoAnswer:
            if seed:  # it does answer another seed, so this is what is wrong with it
                raise
            raise NotTried("it gives no answer to compare with") from None

    def by_repeating(self) -> float:
        """How far two answers with the same seed are apart, at most."""
        self.first()
        first = self.first(OTHER)
        return float(np.abs(self.once(OTHER, "second").values - first).max())

    def by_seed(self) -> float:
        """How far another seed moves the answer, in the mean."""
        return float(np.abs(self.first(OTHER) - self.first()).mean())

    def require_repeatable(self) -> None:
        """Raise `NotTried` where answers differ whatever is done between them."""
        if self.by_repeating() > 0:
            raise NotTried("it differs from itself, so nothing else that changes could be told")


Promise = Callable[[Tried], str | None]


@dataclass(frozen=True)
class Verdict:
    """What became of a promise: "kept", "broken" or "not tried"; found: the sentence of one that is not kept."""

    promise: str
    verdict: str
    found: str = ""


def verdict(promise: Promise, tried: Tried) -> Verdict:
    """Whether a method keeps a promise; whatever it raises is a sentence too."""
    words = promise.__name__.replace("_", " ")
    try:
        found = promise(tried)
    except NotTried as reason:
        return Verdict(words, "not tried", f"{reason}; mend what is broken above.")
    except NoAnswer as instead:
        found = str(instead)
    except Exception as error:  # a user's class may raise anything, wherever it is touched
        found = stopped(error)
    return Verdict(words, "kept") if found is None else Verdict(words, "broken", found)


def small(method: type[Method]) -> Method:
    """The smallest honest configuration of a method: `tiny()` where it has one, else its defaults."""
    return method.tiny() if hasattr(method, "tiny") else method()


def stopped(error: Exception) -> str:
    """What a method raised instead of answering, and what to do."""
    if isinstance(error, Skipped):
        return (
            f"it skips: {line(error)}; expected an answer to so ordinary a problem, so skip what cannot be done only."
        )
    advice = "copy an array of the problem before writing into it" if "read-only" in str(error) else "mend that"
    return f"it stops with {type(error).__name__}: {line(error)}; expected an answer, so {advice}."


def line(error: Exception) -> str:
    """What an error says, on one line, to be gone on with."""
    return " ".join(str(error).split()).rstrip(".") or "no message"
