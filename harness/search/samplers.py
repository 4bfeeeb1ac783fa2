"""How configurations are suggested, and which of them end early: Optuna's samplers, and successive halving."""

from __future__ import annotations

import warnings
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.errors import BadInput
from models.component import Component, nearest

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler


@dataclass(frozen=True)
class Sampler(Component):
    """A way of suggesting the next configuration from what the earlier ones scored."""

    @abstractmethod
    def optuna(self, seed: int) -> BaseSampler:
        """Optuna's sampler, drawing from that seed."""


@dataclass(frozen=True)
class TPE(Sampler):
    """Tree-structured Parzen estimator; multivariate, and pessimistic about what still runs, as Optuna has it.

    startup: configurations that are drawn at random first.
    """

    startup: int = 10

    def optuna(self, seed: int) -> BaseSampler:
        """See `Sampler.optuna`."""
        from optuna.samplers import TPESampler

        return TPESampler(seed=seed, n_startup_trials=self.startup)


@dataclass(frozen=True)
class GP(Sampler):
    """A Gaussian process with expected improvement; a third of a second per suggestion and more.

    startup: configurations that are drawn at random first. Fields of an option are drawn independently of the rest.
    """

    startup: int = 10

    def optuna(self, seed: int) -> BaseSampler:
        """See `Sampler.optuna`."""
        from optuna.samplers import GPSampler

        return GPSampler(seed=seed, n_startup_trials=self.startup, warn_independent_sampling=False)


@dataclass(frozen=True)
class Random(Sampler):
    """Every configuration drawn at random, which is the yardstick for the others."""

    def optuna(self, seed: int) -> BaseSampler:
        """See `Sampler.optuna`."""
        from optuna.samplers import RandomSampler

        return RandomSampler(seed=seed)


@dataclass(frozen=True)
class QMC(Sampler):
    """A scrambled Sobol sequence: random, but evenly spread. Fields of an option are drawn at random."""

    def optuna(self, seed: int) -> BaseSampler:
        """See `Sampler.optuna`."""
        from optuna.exceptions import ExperimentalWarning
        from optuna.samplers import QMCSampler

        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            return QMCSampler(seed=seed, scramble=True, warn_independent_sampling=False)


SAMPLERS: Mapping[str, Sampler] = {"tpe": TPE(), "gp": GP(), "random": Random(), "qmc": QMC()}
"""By the name that the command line has for each."""


@dataclass(frozen=True)
class Halving(Component):
    """Asynchronous successive halving (ASHA, Li et al. 2020) over the parts of an objective.

    After `grace` parts, and after every `reduction` times as many, a configuration goes on only if the mean of its
    parts so far is among the best 1/`reduction` of those that got there before it. All configurations have their parts
    in the same order. Which are stopped depends on which come first: with several at once, no search is repeatable.
    """

    grace: int = 1
    reduction: int = 3

    def __post_init__(self) -> None:
        if self.grace < 1 or self.reduction < 2:
            raise BadInput(f"{self}: give a grace of at least 1 part and a reduction of at least 2.")


SCHEDULERS: Mapping[str, Halving | None] = {"none": None, "asha": Halving()}
"""By the name that the command line has for each."""


def named(kind: str, known: Mapping[str, Any], name: str) -> Any:
    """What is called so; `BadInput` for a name that nothing has."""
    if name not in known:
        raise BadInput(f"There is no {kind} {name!r}; {nearest(name, list(known))}")
    return known[name]
