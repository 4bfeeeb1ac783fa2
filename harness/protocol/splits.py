"""Which genes are held out in which fold (protocol section 3). Order is by name, never by set or file order."""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from harness.errors import BadInput
from models.component import Component


@dataclass(frozen=True)
class Fold:
    """One fold of a panel: three disjoint sets of names, each sorted."""

    training: tuple[str, ...]
    validation: tuple[str, ...]
    test: tuple[str, ...]


@dataclass(frozen=True)
class Split(Component):
    """A way of dividing a panel into training, validation and test genes."""

    @property
    @abstractmethod
    def folds(self) -> int:
        """How many folds there are."""

    @abstractmethod
    def fold(self, panel: Sequence[str], index: int) -> Fold:
        """The fold of that index, 0 <= index < folds."""


@dataclass(frozen=True)
class KFold(Split):
    """Every panel gene is held out once; `validation` of the visible genes, chosen by a hash of the name, validate."""

    k: int = 5
    validation: float = 0.2
    seed: int = 0

    def __post_init__(self) -> None:
        if self.k < 2:
            raise BadInput(f"KFold(k={self.k}): at least 2 folds are needed, so that some genes stay visible.")
        if not 0 <= self.validation < 1:
            raise BadInput(f"KFold(validation={self.validation}) is a share of the visible genes, from 0 to below 1.")

    @property
    def folds(self) -> int:
        """How many folds there are."""
        return self.k

    def fold(self, panel: Sequence[str], index: int) -> Fold:
        """The fold of that index; fold sizes differ by at most one gene."""
        _check_index(index, self.k)
        if len(panel) < self.k:
            raise BadInput(f"A panel of {len(panel)} genes cannot be divided into {self.k} folds; lower k.")
        shuffled = _shuffled(panel, self.seed)
        test = set(shuffled[index :: self.k])
        visible = [gene for gene in sorted(panel) if gene not in test]
        return _fold(visible, validators(visible, self.validation), test)


@dataclass(frozen=True)
class Holdout(Split):
    """One split by shares of the panel, the paper's 0.7 / 0.2 / 0.1 by default."""

    train: float = 0.7
    validation: float = 0.2
    test: float = 0.1
    seed: int = 42

    def __post_init__(self) -> None:
        shares = (self.train, self.validation, self.test)
        if min(shares) < 0 or self.test == 0 or self.train == 0 or abs(sum(shares) - 1) > 1e-9:
            raise BadInput(f"Holdout{shares}: train, validation and test are shares that sum to 1, train and test > 0.")

    @property
    def folds(self) -> int:
        """There is one."""
        return 1

    def fold(self, panel: Sequence[str], index: int) -> Fold:
        """The one fold."""
        _check_index(index, 1)
        shuffled = _shuffled(panel, self.seed)
        n_test = max(1, round(self.test * len(panel)))
        n_validation = round(self.validation * len(panel))
        test = set(shuffled[:n_test])
        validation = set(shuffled[n_test : n_test + n_validation])
        return _fold([gene for gene in sorted(panel) if gene not in test], validation, test)


@dataclass(frozen=True)
class Within(Split):
    """The visible genes of one fold of `outer`, divided again; that fold's test genes are in no part of any fold.

    What is chosen by these folds never saw a gene that fold `index` of `outer` is scored on (nested selection).
    """

    outer: Split
    index: int
    inner: KFold = field(default_factory=lambda: KFold(3))

    def __post_init__(self) -> None:
        _check_index(self.index, self.outer.folds)

    @property
    def folds(self) -> int:
        """How many folds there are."""
        return self.inner.folds

    def fold(self, panel: Sequence[str], index: int) -> Fold:
        """The fold of that index."""
        outer = self.outer.fold(panel, self.index)
        return self.inner.fold(outer.training + outer.validation, index)


def validators(visible: Sequence[str], share: float) -> set[str]:
    """The share of the visible genes that validate, by a hash of the name.

    A gene then validates in nearly every fold or in none: the validation score means the same from fold to fold.
    """
    ranked = sorted(visible, key=lambda name: (hashlib.sha256(name.encode()).hexdigest(), name))
    return set(ranked[: round(share * len(visible))])


def _fold(visible: list[str], validation: set[str], test: set[str]) -> Fold:
    training = tuple(gene for gene in visible if gene not in validation)
    return Fold(training, tuple(sorted(validation)), tuple(sorted(test)))


def _shuffled(panel: Sequence[str], seed: int) -> list[str]:
    names = sorted(panel)
    return [names[i] for i in np.random.default_rng(seed).permutation(len(names))]


def _check_index(index: int, folds: int) -> None:
    if not 0 <= index < folds:
        raise BadInput(f"There is no fold {index}; this split has folds 0 to {folds - 1}.")
