"""The problem of a prediction: the benchmark's own, with the whole panel shown and genes asked for that ST lacks."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from harness.pair import Assay, PairedSample
from harness.protocol import Fold, Frame, KFold, Split, pose, prepare
from harness.protocol.splits import validators
from harness.trial import Trial
from models.method import Problem

FURTHER = 500
"""Most measured genes beyond the panel that are predicted as well, to learn what PCC to expect."""


@dataclass(frozen=True)
class AllMeasured(Split):
    """Nothing measured is held out: the genes of the panel but `asked` are visible, and `asked` are asked for.

    validation: share of the visible genes that validate, by the rule of `KFold`, for methods that stop early.
    """

    asked: tuple[str, ...] = ()
    validation: float = 0.2

    @property
    def folds(self) -> int:
        """There is one."""
        return 1

    def fold(self, panel: Sequence[str], index: int) -> Fold:
        """The one fold."""
        visible = sorted(set(panel) - set(self.asked))
        validation = validators(visible, self.validation)
        training = tuple(gene for gene in visible if gene not in validation)
        return Fold(training, tuple(sorted(validation)), tuple(sorted(self.asked)))


def posed(pair: PairedSample, fixed: Frame, whole: Trial) -> tuple[Problem, NDArray[np.intp]]:
    """The problem of a trial whose split is `AllMeasured`, and the rows in the ST file of its spots.

    fixed: panel and spots of the pair. `prepare` and `pose` see a pair in whose ST the asked genes are empty columns:
    as held-out genes their zeros reach no method, and the truth made of them is dropped here.
    """
    asked = whole.split.fold((), 0).test
    measured = pair.st.values[:, pair.st.columns(fixed.panel)]
    empty = sp.csr_matrix((len(pair.st), len(asked)), dtype=np.float32)
    widened = Assay(fixed.panel + asked, sp.hstack([measured, empty], format="csr"), pair.st.kind)
    panel = tuple(sorted(fixed.panel + asked))
    data = prepare(dataclasses.replace(pair, st=widened), whole.protocol, Frame(panel, fixed.spots))
    problem, truth = pose(data, whole.split, whole.fold)
    return problem, truth.spots


@dataclass(frozen=True)
class WithFurther(Split):
    """`split` over a panel that `further` genes have joined: they are never visible, and asked for in one fold each."""

    split: KFold = field(default_factory=KFold)
    further: tuple[str, ...] = ()

    @property
    def folds(self) -> int:
        """As many as `split` has."""
        return self.split.folds

    def fold(self, panel: Sequence[str], index: int) -> Fold:
        """The fold of that index."""
        parts = self.split.fold(sorted(set(panel) - set(self.further)), index)
        test = parts.test + self.further[index :: self.folds]
        return Fold(parts.training, parts.validation, tuple(sorted(test)))


def further_genes(pair: PairedSample, panel: Sequence[str], most: int = FURTHER) -> tuple[str, ...]:
    """At most `most` measured genes beyond the panel that some spot and some cell has, drawn by a hash of their names.

    A panel prefers genes that vary over space. What holds for its genes only would promise too much of one that the
    assay never looked at.
    """
    others = [gene for gene in pair.shared if gene not in set(panel)]
    seen = [
        np.asarray((assay.values[:, assay.columns(others)] > 0).sum(axis=0)).ravel() for assay in (pair.st, pair.sc)
    ]
    found = [gene for gene, spots, cells in zip(others, *seen, strict=True) if spots and cells]
    return tuple(sorted(sorted(found, key=_digest)[:most]))


def representative(pair: PairedSample, panel: Sequence[str], further: Sequence[str]) -> set[str]:
    """Measured genes in the panel's own proportion among them: all of them, or `further` and some of the panel."""
    beyond = len(further_genes(pair, panel, len(pair.shared)))
    if len(further) == beyond:
        return {*panel, *further}
    share = len(further) / beyond
    return {*further, *sorted(panel, key=_digest)[: round(share * len(panel))]}


def _digest(gene: str) -> str:
    return hashlib.sha256(gene.encode()).hexdigest()
