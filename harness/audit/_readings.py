"""Readings: what a prediction claims each true value to be, on whatever scale it was written.

A reading turns the prediction into claimed values of `Measured.x` with a tolerance. It may use the prediction, other
entries' truths and other spots' truths, but never the truth of the entry it makes a claim about; `_mixtures` says why
that is all it takes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ._evidence import Array, folds_of
from ._lattices import lattices, recovered, tolerance
from ._lines import SEED, line_through
from ._measured import Measured, linear
from ._rescaled import file_factor
from ._scales import PLAIN, SCALED, raised, scales
from ._totals import numerators

STORED = 2e-6
"""Relative error of predicted values: they may have been scaled and stored more than once."""
LOOSE = 0.02
"""Relative noise on copies that the loose readings allow for."""
ALIKE = 0.5
"""Two genes predicted equal in this share of the spots are predicted alike."""
FACTOR_ERROR = 2e-5
"""Relative error of a factor that was found for the whole file."""
PARTNERS, ENOUGH = 8, 60_000
"""Other genes of a spot that a gene is read against, and entries after which there is no need for more."""


@dataclass(frozen=True, eq=False)
class Claims:
    """A reading. value, error: (r, g) claimed x and its tolerance; NaN where nothing is claimed.

    spot: (r,) the spot of each row, or None where the rows are the spots.
    loose: whether copies with a little noise are claims, too. few: whether only part of the copies can be seen.
    fitted: whether the reading was fitted to other entries' truths, as many were.
    """

    name: str
    value: Array
    error: Array
    spot: Array | None = None
    loose: bool = False
    few: bool = False
    fitted: bool = False


def readings(target: Measured, prediction: Array) -> Iterator[Claims]:
    """Every reading of an (n, g) prediction."""
    for reading in (as_written, by_spot_lattice, by_total, by_gene_lattice, by_dictionary, by_line, by_partner):
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            yield from reading(target, prediction)


def slack(y: Array, loose: bool, origin: Array | float = 0.0) -> Array:
    """(n, g) tolerance of predicted values: storage and rounding, and with `loose` noise of a few per cent."""
    error = tolerance(y, STORED)
    return error + LOOSE * np.abs(y - origin) + 0.5 * LOOSE * y.std(axis=0) if loose else error


def as_written(target: Measured, y: Array) -> Iterator[Claims]:
    """Copies on a scale that needs no fit."""
    unit = target.unit[:, None]
    for loose in (False, True):
        error = slack(y, loose)
        for scale in scales(target.kind, target.x):
            yield Claims(scale.name, scale.back(y, unit), scale.slope(y, unit) * error, loose=loose)


def by_spot_lattice(target: Measured, y: Array) -> Iterator[Claims]:
    """Counts normalised by factors of their own: in each spot multiples of a unit read off the prediction."""
    if target.kind == "values" or y.min() < 0.0 or (y == np.rint(y)).all():
        return
    for kind in ("logged counts", "scaled counts"):
        found = recovered(*linear(y, kind, STORED))
        if found is not None:
            yield Claims(f"{kind} of its own units", found.counts, np.full(y.shape, 0.1))


def by_total(target: Measured, y: Array) -> Iterator[Claims]:
    """The same where few values of a spot show their unit, from totals being whole numbers all over the file."""
    if target.kind == "counts":
        part = y != np.rint(y)  # a value divided by a factor of its spot is no whole number
        for kind in ("logged counts", "scaled counts"):
            w, error = linear(y, kind, STORED)
            claimed = numerators(np.where(part, w, 0.0), error)
            if claimed is not None:
                yield Claims(f"{kind} of whole totals", claimed, np.full(y.shape, 0.1))


def by_gene_lattice(target: Measured, y: Array) -> Iterator[Claims]:
    """Counts scaled or z-scored per gene: multiples of a unit above the gene's smallest value."""
    if target.kind == "values":
        return
    above, error = (y - y.min(axis=0)).T, 2.0 * tolerance(y, STORED).T
    above = np.where(above <= 2.0 * error, 0.0, above)
    some = np.linspace(0, above.shape[1] - 1, min(64, above.shape[1])).astype(np.intp)
    telling = np.flatnonzero(lattices(above[:, some], error[:, some], largest=12).found)
    found = lattices(above[telling], error[telling], largest=12)
    if found.sure.any():
        value = np.full(y.shape, np.nan)
        value[:, telling[found.sure]] = found.counts[found.sure].T
        yield Claims("multiples of a unit per gene", value, np.full(y.shape, 0.1))


def by_dictionary(target: Measured, y: Array) -> Iterator[Claims]:
    """Copies on any scale at all: the commonest count of entries with the same value in other spots, unless it is 0.

    Entries are halved and each half's values are looked up in the other, over the file and then gene by gene. An
    entry's half hangs on the true counts of the other genes of its spot: a table that holds a spot twice then holds
    the two in one half, and neither is evidence for the other.
    """
    if target.kind == "values":
        return
    x, known = target.x.ravel(), target.judged.ravel()
    half = _halves(target.x).ravel()
    error = tolerance(y, STORED).ravel()
    for name, offset in (("file", np.zeros(y.shape[1])), ("gene", 4.0 * np.ptp(y) * np.arange(y.shape[1]))):
        value = (y + offset).ravel()
        order = np.argsort(value, kind="stable")
        word = np.empty(len(value), dtype=np.intp)
        word[order] = np.cumsum(np.diff(value[order], prepend=value[order[0]]) > 2.0 * error[order])
        claimed = np.full(len(value), np.nan)
        for side in (0, 1):
            claimed[half == side] = _commonest(word, x, known & (half != side))[word[half == side]]
        yield Claims(
            f"equal values, equal counts, over the {name}",
            claimed.reshape(y.shape),
            np.full(y.shape, 0.1),
            fitted=True,
        )


def _halves(x: Array) -> Array:
    """(n, g) 0 or 1 by a hash of the other counts of the row, equal wherever those are equal."""
    factors = np.random.default_rng(SEED).integers(1, 2**63, x.shape[1], dtype=np.uint64)
    terms = x.astype(np.uint64) * factors  # modulo 2^64
    others = terms.sum(axis=1, keepdims=True, dtype=np.uint64) - terms
    return ((others ^ (others >> np.uint64(29))) * np.uint64(0xBF58476D1CE4E5B9)) >> np.uint64(63)


def _commonest(word: Array, x: Array, known: Array) -> Array:
    """(words,) the commonest x of the known entries of each word; NaN for a word without any."""
    base = int(x.max()) + 1
    pairs, times = np.unique(word[known] * base + x[known].astype(np.intp), return_counts=True)
    rising = np.argsort(times, kind="stable")
    found = np.full(int(word.max()) + 1, np.nan)
    found[pairs[rising] // base] = pairs[rising] % base  # the last assignment wins: the commonest
    return found


def by_line(target: Measured, y: Array) -> Iterator[Claims]:
    """Copies on any scale and origin per gene: the line y = a + b scale(x) through most points of the other half."""
    unit, half = target.unit, folds_of(len(y)) % 2
    error = tolerance(y, STORED)
    options = [(scale, "a line per gene", y, error) for scale in scales(target.kind, target.x)]
    options += [
        (scale, "log1p of a line per gene", raised(y), error * (raised(y) + 1.0))
        for scale in (PLAIN, SCALED)
        if scale in scales(target.kind, target.x)
    ]
    for scale, name, values, stored in options:
        of_x = scale.of(target.x, unit[:, None])
        known = target.judged & (target.x != 0) & np.isfinite(values)
        for loose in (False, True):
            exact = stored + 0.25 * LOOSE * values.std(axis=0) if loose else stored
            origin, slope = np.full(y.shape, np.nan), np.full(y.shape, np.nan)
            for side in (0, 1):
                fit, read = known & (half != side)[:, None], half == side
                for gene in range(y.shape[1]):
                    rows = fit[:, gene]
                    line = line_through(of_x[rows, gene], values[rows, gene], exact[rows, gene], seed=gene)
                    if line is not None:
                        origin[read, gene], slope[read, gene] = line.origin, line.slope
            v = (values - origin) / slope
            if loose:
                exact = exact + LOOSE * np.abs(values - origin)
            claimed, steep = scale.back(v, unit[:, None]), scale.slope(v, unit[:, None]) / slope
            yield Claims(f"{name}, {scale.name}", claimed, 2.0 * exact * steep, loose=loose, fitted=True)


def by_partner(target: Measured, y: Array) -> Iterator[Claims]:
    """Copies scaled per spot by unknown factors: x_i = y_i x_j / y_j if genes i and j of a spot were both copied.

    Values are read as they are, as logarithms, and as logarithms times one factor for the file. Each gene is read
    against its next `PARTNERS` genes, so the claims have as many rows per spot.
    """
    genes = y.shape[1]
    steps = range(1, min(PARTNERS, genes - 1) + 1)
    if not steps:
        return
    y = y[: max(1, ENOUGH // genes)]
    part = y != np.rint(y)  # a value divided by a factor of its spot is no whole number
    x, judged, spot = target.x[: len(y)], target.judged[: len(y)], np.tile(np.arange(len(y)), len(steps))
    factor = None if target.kind == "values" else file_factor(x, y, judged & part & (x > 0) & (y > 0))
    for loose in (False, True):
        error = slack(y, loose)
        forms = [("plain", y, error), ("logged", raised(y), error * (raised(y) + 1.0))]
        if factor is not None:
            whole = raised(y / factor)
            forms.append(("logged and scaled", whole, (error / factor + FACTOR_ERROR * np.abs(y)) * (whole + 1.0)))
        for name, values, wrong in forms:
            claimed, within = [], []
            for step in steps:
                x_j, y_j, wrong_j, judged_j = (
                    np.roll(column, -step, axis=1) for column in (x, values, wrong, judged & part)
                )
                usable = part & judged_j & (x_j > 0) & (y_j > 0) & (values > 0)
                # Genes that are predicted alike claim to be equal, which genes often are.
                equal = usable & (np.abs(values - y_j) <= wrong + wrong_j)
                usable &= ~(equal & (equal.sum(axis=0) >= ALIKE * usable.sum(axis=0)))
                value = np.where(usable, values * x_j / y_j, np.nan)
                claimed.append(value)
                within.append(value * (wrong / values + wrong_j / y_j))
            name = f"factors per spot, {name}"
            yield Claims(name, np.vstack(claimed), np.vstack(within), spot, loose, few=True, fitted=True)
