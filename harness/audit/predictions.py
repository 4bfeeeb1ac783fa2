"""Does a file of predictions contain the truth? Four tests that no honest predictor passes by chance.

The released SpaDiT sampler writes the true test values back wherever its mask is 0, and files made that way still
circulate. `audit_file` needs the truth and the prediction, and nothing about how the prediction was made. A truth of
counts is judged by what Poisson mixtures cannot do (`_mixtures`), so that agreement by chance, however frequent, is
never held against anyone; for other values exact agreement itself is the evidence.

What it cannot see: copies in files with few non-zero values (below a thousand in genes that can be judged), and copies
that were divided by spot factors unknown here and then rescaled gene by gene.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.stats import norm

from harness.errors import BadInput

from ._ceiling import beyond_ceiling
from ._claims import evidence
from ._evidence import Array, Evidence
from ._measured import Measured, measured
from ._readings import Claims, readings
from ._zeros import zero_pattern

FEWEST_NONZEROS = 100
"""Genes with fewer non-zero truths are reported, never judged."""
JUDGED_ENTRIES = 200_000
"""Files with more entries are judged on a sample of their spots: more would sharpen nothing and cost minutes."""
HELPERS = 50
"""Genes that are not judged but looked at for the units of spots."""
STEPS = {"zero-pattern": 4.0, "exact-copies": 3.3, "vanishing-residuals": 4.0, "beyond-ceiling": 4.0}
"""Standard errors above which a test speaks of a leak."""
FITTED_STEPS = 4.0
"""The same for the readings that were fitted, of which there are many."""
SHARES = {"zero-pattern": 0.25, "exact-copies": 0.05, "vanishing-residuals": 0.05, "beyond-ceiling": 0.25}
"""And the least effect: significance alone would turn a slight error of the model into an accusation."""
FITTED_SHARE = 0.08
"""The same for readings that were fitted."""
FEW_SHARE = 0.02
"""The least effect where only copies that meet another copy can be seen (a fifth of a fifth is a twenty-fifth)."""
FALSE_ALARMS = dict.fromkeys(STEPS, 0.0037)
"""How often each test accuses an honest file: 95 % upper bound from none of 1,000 (`file_audit_calibration.py`)."""


@dataclass(frozen=True)
class Finding:
    """One test.

    verdict: "leak", "clean" or "not applicable". statistic: standard errors, cut to `threshold` times the effect over
    the least effect, so that reaching the threshold means both. p_value: of the standard errors, one-sided, times
    the readings tried. false_alarm: upper bound of how often it accuses honest files. detail: one sentence.
    """

    name: str
    verdict: str
    statistic: float | None
    threshold: float | None
    p_value: float | None
    false_alarm: float
    judged_genes: int
    detail: str

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return dict(self.__dict__)


@dataclass(frozen=True)
class FileAudit:
    """verdict: "leak" if any test says so, else "clean". unjudged: genes with too few non-zero truths to judge."""

    verdict: str
    tests: tuple[Finding, ...]
    unjudged: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "verdict": self.verdict,
            "tests": [test.to_json() for test in self.tests],
            "unjudged_genes": list(self.unjudged),
        }


def audit_file(truth: Array, prediction: Array, genes: Sequence[str]) -> FileAudit:
    """Audit (n_spots, n_genes) predictions of a truth of the same shape, columns named by `genes`, on any scale.

    The truth may be raw counts, counts normalised per spot, their log1p, or other values. Nothing depends on the
    order of spots or genes. Raises `BadInput` for shapes that differ, names that repeat, and NaN or infinite values.
    """
    x, y, names = _checked(truth, prediction, genes)
    judged = (x != 0).sum(axis=0) >= FEWEST_NONZEROS
    unjudged = tuple(name for name, is_judged in zip(names, judged, strict=True) if not is_judged)
    if not judged.any():
        reason = f"No gene has {FEWEST_NONZEROS} non-zero true values, so nothing is judged."
        tests = tuple(
            Finding(name, "not applicable", None, None, None, FALSE_ALARMS[name], 0, reason) for name in STEPS
        )
        return FileAudit("clean", tests, unjudged)
    kept = judged | _helpers(x, judged)
    spots = max(1, JUDGED_ENTRIES // int(kept.sum()))
    y = y[:spots, kept]
    target = measured(x[:spots, kept], y).only(judged[kept])
    whole = y == np.rint(y)
    exact: list[tuple[Claims, Evidence]] = []
    loose: list[tuple[Claims, Evidence]] = []
    for claims in readings(target, y):
        (loose if claims.loose else exact).append((claims, evidence(target, claims, whole)))
    tests = (
        _zero_test(target, y),
        _copies_test("exact-copies", target, exact),
        _copies_test("vanishing-residuals", target, loose),
        _ceiling_test(target, y),
    )
    return FileAudit("leak" if any(test.verdict == "leak" for test in tests) else "clean", tests, unjudged)


def known_leak(audit: FileAudit) -> FileAudit:
    """The audit of a file into which we wrote the truth ourselves: a leak, whatever the tests could see of it."""
    detail = "The truth was written into this answer on purpose, to show what that is worth."
    made = Finding("by construction", "leak", None, None, None, 0.0, 0, detail)
    return replace(audit, verdict="leak", tests=(made, *audit.tests))


def _checked(truth: Array, prediction: Array, genes: Sequence[str]) -> tuple[Array, Array, list[str]]:
    """Float64 copies in an order of their own: genes by name, spots by a hash of their truth, so shuffled."""
    x, y, names = np.array(truth, dtype=np.float64), np.array(prediction, dtype=np.float64), [str(g) for g in genes]
    if x.ndim != 2 or x.shape != y.shape or 0 in x.shape:
        raise BadInput(
            f"The truth is {x.shape} and the prediction {y.shape}; expected two matrices of one shape, spots by genes, "
            "so align them first."
        )
    if len(names) != x.shape[1] or len(set(names)) != len(names):
        raise BadInput(
            f"There are {len(names)} gene names ({len(set(names))} different ones) for {x.shape[1]} columns; expected "
            "a name of its own for each column."
        )
    for label, values in (("truth", x), ("prediction", y)):
        bad = ~np.isfinite(values).all(axis=0)
        if bad.any():
            raise BadInput(
                f"The {label} of the gene {names[int(np.argmax(bad))]!r} has NaN or infinite values; expected a "
                "number for every spot, so leave that gene or those spots out."
            )
    order = np.argsort(np.array(names), kind="stable")
    x, y = x[:, order] + 0.0, y[:, order] + 0.0
    digests = np.array([hashlib.blake2b(row.tobytes(), digest_size=8).digest() for row in np.ascontiguousarray(x)])
    spots = np.lexsort((y.sum(axis=1), digests))
    return x[spots], y[spots], [names[i] for i in order]


def _helpers(x: Array, judged: Array) -> Array:
    """(n_genes,) the fullest of the genes that are not judged: they help to tell the unit of a spot."""
    fullest = np.argsort(np.where(judged, 0, -(x != 0).sum(axis=0)), kind="stable")[:HELPERS]
    return np.isin(np.arange(len(judged)), fullest) & ~judged


def _finding(
    name: str, target: Measured, found: Evidence, steps: float, least: float, tried: int, detail: str
) -> Finding:
    statistic = min(found.z, steps * found.share / least)
    return Finding(
        name=name,
        verdict="leak" if statistic >= steps else "clean",
        statistic=float(statistic),
        threshold=steps,
        p_value=float(min(1.0, tried * norm.sf(found.z))),
        false_alarm=FALSE_ALARMS[name],
        judged_genes=int(target.judged.any(axis=0).sum()),
        detail=detail,
    )


def _copies_test(name: str, target: Measured, found: list[tuple[Claims, Evidence]]) -> Finding:
    def limits(claims: Claims) -> tuple[float, float]:
        if not claims.fitted:
            return STEPS[name], SHARES[name]
        return FITTED_STEPS, FEW_SHARE if claims.few else FITTED_SHARE

    def strength(pair: tuple[Claims, Evidence]) -> float:
        steps, least = limits(pair[0])
        return min(pair[1].z / steps, pair[1].share / least)

    claims, best = max(found, key=strength)
    how = "exactly" if name == "exact-copies" else "within a few per cent"
    if best.claims == 0:
        detail = f"No prediction equals a possible true value {how} on any scale tried."
    else:
        detail = (
            f"Read as {claims.name!r}, predictions agree with the truth {how} for {best.share:.1%} (standard error "
            f"{best.error:.1%}) of the {best.mass:.0f} non-zero entries more than chance can explain."
        )
    return _finding(name, target, best, *limits(claims), len(found), detail)


def _zero_test(target: Measured, y: Array) -> Finding:
    name = "zero-pattern"
    found = zero_pattern(target, y)
    if found is None:
        reason = "The truth holds no counts, or the prediction no repeated value that could stand for zeros."
        return Finding(name, "not applicable", None, None, None, FALSE_ALARMS[name], 0, reason)
    detail = (
        f"Where the prediction is not at its background, {found.zeros} true zeros stand beside {found.ones} ones and "
        f"{found.twos} twos; {max(found.evidence.share, 0.0):.0%} of the ones are too many for so few zeros."
    )
    return _finding(name, target, found.evidence, STEPS[name], SHARES[name], 1, detail)


def _ceiling_test(target: Measured, y: Array) -> Finding:
    name = "beyond-ceiling"
    if target.kind == "values":
        reason = "The truth holds no counts, so its noise, and with it the ceiling, is unknown."
        return Finding(name, "not applicable", None, None, None, FALSE_ALARMS[name], 0, reason)
    found = beyond_ceiling(target, y)
    detail = (
        f"Where the prediction knows most, {max(found.share, 0.0):.0%} (standard error {found.error:.0%}) of the "
        "counting noise that no predictor can know is missing from the residuals."
    )
    return _finding(name, target, found, STEPS[name], SHARES[name], 1, detail)
