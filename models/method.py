"""The contract every method implements, and everything a method ever sees.

A method receives a `Problem`: the visible genes of the spatial sample, the single-cell reference, and the names of
the genes it must predict. The held-out values are not in it, so using them is impossible rather than forbidden.
A `Run` says how (random stream, device, threads, checkpoints); nothing in it may change what is computed.
"""

from __future__ import annotations

import copy
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from .component import Component

Array = NDArray[Any]


class Skipped(Exception):  # noqa: N818 - an outcome, not an error
    """Raised by a method that cannot do what a problem asks; the message is the reason and what would help."""


class Stopped(Exception):  # noqa: N818 - an outcome, not an error
    """Raised by `Run.report` when the run must end now (time limit, stopped by the scheduler)."""


@dataclass(frozen=True, eq=False)
class Expression:
    """Expression of n cells or spots over g genes, read-only.

    genes: g names, unique, in column order.
    lognorm: (n, g) float32, log1p of size-factor-normalised counts (log1p of the values where they are no counts).
    counts: (n, g) float32 raw counts, or None where the data are no counts.
    size_factors: (n,) float64 by which counts were divided, or None where the data are no counts.
    """

    genes: tuple[str, ...]
    lognorm: Array
    counts: Array | None = None
    size_factors: Array | None = None

    def __post_init__(self) -> None:
        for name in ("lognorm", "counts", "size_factors"):
            object.__setattr__(self, name, _read_only(getattr(self, name)))
        if self.lognorm.ndim != 2 or self.lognorm.shape[1] != len(self.genes):
            raise ValueError(f"lognorm is {self.lognorm.shape}; expected (n, {len(self.genes)}), a column per gene.")
        if self.counts is not None and self.counts.shape != self.lognorm.shape:
            raise ValueError(f"counts are {self.counts.shape}, lognorm is {self.lognorm.shape}; they must agree.")

    def __len__(self) -> int:
        return int(self.lognorm.shape[0])

    def columns(self, genes: Sequence[str]) -> NDArray[np.intp]:
        """Column indices of the named genes, in the order asked; KeyError names a gene that is not here."""
        place = {gene: i for i, gene in enumerate(self.genes)}
        return np.array([place[gene] for gene in genes], dtype=np.intp)

    def of(self, genes: Sequence[str]) -> Array:
        """(n, len(genes)) float32 log-normalised expression of the named genes, a copy."""
        return self.lognorm[:, self.columns(genes)]

    def counts_of(self, genes: Sequence[str]) -> Array:
        """(n, len(genes)) float32 counts of the named genes, a copy; `Skipped` where the data are no counts."""
        if self.counts is None:
            raise Skipped("the data are not counts, and this method's likelihood is one of counts.")
        return self.counts[:, self.columns(genes)]


@dataclass(frozen=True, eq=False)
class Problem:
    """One task: predict `targets` at every spot. Holds no value of a target gene in the spatial sample.

    spots: (n_spots, n_visible) the visible genes, validation genes among them.
    cells: (n_cells, n_sc_genes) the single-cell reference; it covers visible genes and targets.
    visible: names of the spots' columns.
    targets: names of the genes to predict, in the order of the answer's columns; all are in `cells`.
    validation: visible genes that a method may keep aside for early stopping.
    coordinates: (n_spots, 2 or 3) or None.
    cell_types: (n_cells,) labels of the single cells, or None.
    hidden: (n_spots, n_visible) bool, True where an entry of a visible gene is hidden: `spots` holds 0 there, which
        says nothing. None where visible genes are seen whole; then no gene is both visible and a target.
    """

    spots: Expression
    cells: Expression
    visible: tuple[str, ...]
    targets: tuple[str, ...]
    validation: tuple[str, ...] = ()
    coordinates: Array | None = None
    cell_types: Array | None = None
    hidden: Array | None = None

    def __post_init__(self) -> None:
        for name in ("coordinates", "cell_types", "hidden"):
            object.__setattr__(self, name, _read_only(getattr(self, name)))
        if self.visible != self.spots.genes:
            raise ValueError("visible must name the columns of spots, in order.")
        if self.hidden is None:
            if leaked := set(self.targets) & set(self.visible):
                raise ValueError(f"{sorted(leaked)[:3]} are both visible and targets.")
        elif self.hidden.shape != self.spots.lognorm.shape or self.spots.lognorm[self.hidden].any():
            raise ValueError("hidden marks entries of spots, and every value that it marks must be 0.")
        if missing := (set(self.targets) | set(self.visible)) - set(self.cells.genes):
            raise ValueError(f"{sorted(missing)[:3]} are not in the single-cell reference.")
        if unknown := set(self.validation) - set(self.visible):
            raise ValueError(f"{sorted(unknown)[:3]} are validation genes but not visible.")

    @property
    def training(self) -> tuple[str, ...]:
        """Visible genes that are not validation genes, in column order."""
        kept = set(self.validation)
        return tuple(gene for gene in self.visible if gene not in kept)


@dataclass(frozen=True)
class Size:
    """How large a problem is: spots, single cells, visible genes, and genes of the single-cell reference."""

    spots: int
    cells: int
    visible: int
    sc_genes: int


class Run:
    """How a method runs: its random stream, its device, its threads, and where it reports and checkpoints.

    The harness subclasses it; `Run.local(seed)` serves a debugger, a notebook and the tests.
    """

    def __init__(self, rng: np.random.Generator, device: str = "cpu", threads: int = 1) -> None:
        self.rng = rng
        self.device = device
        self.threads = threads
        self._saved: Any = None

    @classmethod
    def local(cls, seed: int = 0, device: str = "cpu", threads: int = 1) -> Run:
        """A run that keeps its checkpoint in memory and reports to nobody."""
        return cls(np.random.default_rng(seed), device, threads)

    def report(self, step: int, of: int, validation: float | None = None) -> None:
        """Say how far the run is (`step` of `of`) and its validation score; may raise `Stopped`."""

    def save(self, state: Any) -> None:
        """Checkpoint: dicts and lists of torch tensors, numbers and text. Removed when the trial is recorded.

        The state may be live, as training goes on in place: what is to be kept of it is copied before this returns.
        """
        self._saved = copy.deepcopy(state)

    def restored(self) -> Any:
        """The last saved state, or None at a fresh start."""
        return self._saved


@dataclass(frozen=True)
class Needs:
    """What a method cannot do without; the harness skips it, with the reason, where it is missing.

    packages: the extra (as in `pip install spadit-harness[NAME]`) that brings the method's own packages.
    modules: what of these packages is imported.
    """

    counts: bool = False
    coordinates: bool = False
    cell_types: bool = False
    randomness: bool = False
    packages: str | None = None
    modules: tuple[str, ...] = ()


@dataclass(frozen=True)
class Method(Component):
    """A way of predicting unmeasured genes. Subclasses are frozen dataclasses; their fields are the hyper-parameters.

    label: what tables call it; the name of the class where it is empty.
    needs: what it cannot do without. A method that declares no randomness runs once per fold and serves every seed.
    cheap: whether a trial takes so little that scheduling it alone would cost more than running it;
        where shares of a GPU are automatic, it is given none.
    control: whether it is a control, listed under a rule and outside the ranking.
    chosen_on: dataset pairs whose scores influenced the defaults, name -> content id; rows on data of that content, by
        whatever name, say "tuned on these genes".
    joint: whether it models the targets together, so that what it says of one may depend on which others are asked for.
    spread: what the sd of `impute_with_sd` is a spread of, as a sentence; empty for a method that has none.
    """

    label: ClassVar[str] = ""
    needs: ClassVar[Needs] = Needs()
    cheap: ClassVar[bool] = False
    control: ClassVar[bool] = False
    chosen_on: ClassVar[Mapping[str, str]] = {}
    joint: ClassVar[bool] = False
    spread: ClassVar[str] = ""

    @abstractmethod
    def impute(self, problem: Problem, run: Run) -> Array:
        """Predict the targets: (n_spots, n_targets) finite values on the log-normalised scale, columns as `targets`.

        Raises `Skipped` with a reason for what it cannot do.
        """

    def impute_with_sd(self, problem: Problem, run: Run) -> tuple[Array, Array | None]:
        """The prediction of `impute`, bit for bit, and a standard deviation per entry where the method has one.

        The sd is (n_spots, n_targets), finite and never negative, on the scale of the prediction; `spread` says what
        varies. It is None where nothing natural does: a method invents no uncertainty.
        """
        return self.impute(problem, run), None

    def memory(self, size: Size) -> int | None:
        """Bytes that a run on a problem of that size takes on its device beyond its input; None where unknown."""
        return None


def absent_packages(method: type[Method]) -> str | None:
    """Why a method cannot run here, where packages of its own are not installed; None where it can."""
    absent = [module for module in method.needs.modules if find_spec(module) is None]
    if not absent:
        return None
    return (
        f"{method.__name__} runs on the package {' and '.join(absent)}, which is not installed; run "
        f"pip install 'spadit-harness[{method.needs.packages}]'."
    )


def refusal(method: Method, problem: Problem) -> str | None:
    """Why a method cannot run on a problem, from its declared needs; None when it can."""
    name = type(method).__name__
    if method.needs.counts and (problem.spots.counts is None or problem.cells.counts is None):
        return f"{name} models raw counts, and this pair's values are not counts."
    if method.needs.coordinates and problem.coordinates is None:
        return f"{name} needs spot coordinates (obsm['spatial']), and this pair has none."
    if method.needs.cell_types and problem.cell_types is None:
        return f"{name} needs cell types of the single cells (obs['cell_type']), and this pair has none."
    return absent_packages(type(method))


def _read_only(array: Array | None) -> Array | None:
    if array is None:
        return None
    view = np.asarray(array).view()
    view.flags.writeable = False
    return view
