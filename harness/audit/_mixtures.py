"""What a Poisson mixture cannot do: the bound behind the tests on counts.

Counts of molecules are Poisson given their expectation L (negative binomial counts as well: L is then gamma). A
prediction made without the truth is a function of other data, so within any group of entries formed by predictions
(and by other entries' truths) the truth x is a mixture of Poisson laws, P(x = k) = E[L^k exp(-L)] / k!. For every
t > 0, 1 <= ((t / L)^d + (L / t)^d) / 2, hence

    k! P(k) <= (t^d (k - d)! P(k - d) + t^-d (k + d)! P(k + d)) / 2,

whatever the law of L. With the best t and d = 1 this is P(k)^2 <= (k + 1) / k P(k - 1) P(k + 1), an equality for one
Poisson law. Agreement by chance, however frequent, obeys it; copies put an atom on k that does not.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.special import gammaln
from scipy.stats import binom, norm

from ._evidence import FOLDS, Array, Evidence, Scores, folds_of, weighed

LARGEST_TABLED = 30
"""Up to this count t is estimated; above it t = k loses less than 2 % of the bound."""
STEADY = 10.0
"""Pseudo-observations that draw a gene's t to that of all genes."""
BANDS = np.array([1, 2, 3, 4, 5, 7, 10, 15, 22, 33, 50, 80, 130, 200, 400, 1000], dtype=np.float64)
"""Lower ends of the groups of counts that share a weight."""
LARGEST = 1e6
FEWEST_NEIGHBOURS = 10
"""Entries with k - 1 and with k + 1 below which a gene says nothing of the bound at k."""
BROKEN, SUSPECT, MARGIN = 4.5, 2.0, 1.5
"""Standard errors by which one gene must break the bound, by which others then count, and how much wider to be."""


def band(counts: Array) -> Array:
    """Which of `BANDS` each count (>= 1) falls into."""
    return np.searchsorted(BANDS, counts, side="right") - 1


def groups(counts: Array, kind: Array) -> Array:
    """(m,) which of the 2 x `BANDS` groups an entry belongs to: its count's band, and 0 or 1 for its kind."""
    return band(counts) + len(BANDS) * kind.astype(np.intp)


def nonzero_mass(x: Array, kind: Array, fold: Array) -> Array:
    """(FOLDS, groups) how many of the non-zero counts x (m,) each fold and group holds."""
    size = 2 * len(BANDS)
    return np.bincount(fold * size + groups(x, kind), minlength=FOLDS * size).reshape(FOLDS, size).astype(np.float64)


def claim_scores(x: Array, low: Array, high: Array, centre: Array, wide: Array) -> tuple[Array, Array]:
    """(m,) scores of claims "the truth lies in low..high" (integers), of expectation <= 0 for a Poisson mixture.

    x: (m,) true counts. centre: (m,) the t of the bound, anything that does not look at x. wide: (m,) factors >= 1
    that widen the bound, see `widening`.
    With d = high - low + 1, every k of the claim is held against k - d and k + d: the score is 1 where the claim is
    true, -a where x = k - d, -b where x = k + d, else 0, with a = t^d (k - d)! / (2 k!), b = t^-d (k + d)! / (2 k!).

    The second answer is (m,) what each entry adds to the variance. Where the bound is tight, hits p and neighbours
    obey a P(k - d) = b P(k + d) = p / 2, so that either neighbour tells of both: a large b with P(k + d) too rare to
    have been seen must still count. So 1 for a hit, a (a + b) / 2 and b (a + b) / 2 for the neighbours.
    """
    d = high - low + 1
    score = ((x >= low) & (x <= high)).astype(np.float64)
    variance = score.copy()
    for flank, step in (((x < low) & (x >= low - d), d), ((x > high) & (x <= high + d), -d)):
        k, width, t = x[flank] + step[flank], d[flank], np.log(centre[flank])
        below = 0.5 * wide[flank] * np.exp(width * t + gammaln(k - width + 1) - gammaln(k + 1))
        above = 0.5 * wide[flank] * np.exp(-width * t + gammaln(k + width + 1) - gammaln(k + 1))
        here = below if step is d else above
        score[flank], variance[flank] = -here, 0.5 * here * (below + above)
    return score, variance


def best_centres(x: Array, k: Array, gene: Array, fold: Array, genes: int) -> Array:
    """(m,) for claims of one value k: t = sqrt(k (k + 1) n[k + 1] / n[k - 1]), the tightest, from other folds.

    n counts the entries of the same gene and claim; the ratio is drawn to that of all genes with the same claim, and
    that one to t = k. Above `LARGEST_TABLED`, t = k.
    """
    centre = k.astype(np.float64)
    low = k <= LARGEST_TABLED
    x, k, gene, fold = (part[low] for part in (x, k.astype(np.intp), gene, fold))
    shape = (FOLDS, genes, LARGEST_TABLED + 1)
    place = np.ravel_multi_index((fold, gene, k), shape)
    above, below = (np.bincount(place[x == k + step], minlength=int(np.prod(shape))).reshape(shape) for step in (1, -1))
    above, below = (part.sum(axis=0) - part for part in (above, below))
    counts = np.arange(LARGEST_TABLED + 1, dtype=np.float64)
    flat = counts / (2.0 * counts + 1.0)  # n[k + 1] / (n[k + 1] + n[k - 1]) at t = k
    pooled = (above.sum(axis=1) + 2.0 * flat) / (above.sum(axis=1) + below.sum(axis=1) + 2.0)
    share = (above + STEADY * pooled[:, None]) / (above + below + STEADY)
    share = np.clip(share, 1e-6, 1 - 1e-6)
    centre[low] = np.sqrt(counts * (counts + 1.0) * share / (1.0 - share)).reshape(-1)[place]
    return centre


def widening(x: Array, judged: Array) -> Array:
    """(LARGEST_TABLED + 1,) how far the truth itself breaks the bound at each count, 1 where it does not.

    x, judged: (n, g). Some measurements are no counts of molecules: in one public seqFISH+ table most genes have more
    twos than ones and threes. What holds for a gene at large is no evidence of copies, so the bound at k is widened by
    the ratio that the worst gene reaches there, times `MARGIN` for what mixing over the gene's entries hides.
    """
    top = LARGEST_TABLED + 2
    spot, gene = np.nonzero(judged & (x < top))
    table = np.bincount(gene * top + x[spot, gene].astype(np.intp), minlength=x.shape[1] * top).reshape(-1, top)
    counts = np.arange(1, LARGEST_TABLED + 1)
    below, here, above = (table[:, counts + step] for step in (-1, 0, 1))
    bound = np.sqrt((counts + 1) / counts * below * above)
    noise = here + 0.25 * bound**2 * (1 / np.maximum(below, 1) + 1 / np.maximum(above, 1))
    known = np.minimum(below, above) >= FEWEST_NEIGHBOURS
    beyond = np.where(known, (here - bound) / np.sqrt(noise + 1e-9), 0.0)
    ratio = np.where(beyond > SUSPECT, here / np.maximum(bound, 1e-9), 1.0).max(axis=0)
    factor = np.ones(LARGEST_TABLED + 1)
    factor[counts] = np.where(beyond.max(axis=0) > BROKEN, MARGIN * ratio, 1.0)
    return factor


def nearest(wide: float) -> float:
    """The largest P(x = k) / P(|x - k| <= 1) of a Poisson mixture: 1 / (1 + 2 sqrt(k / (k + 1))), so at k = 1."""
    return wide / (wide + np.sqrt(2.0))


def surprise(hits: Array, tries: Array, chance: float) -> float:
    """Standard errors of the best of several groups of hits among tries, each a hit with probability `chance` at most.

    Exact, and so what counts where copies stand out from a prediction that otherwise never comes near a true value:
    twenty hits without a near miss are beyond doubt, though they are only twenty.
    """
    return float(norm.isf(min(1.0, len(hits) * binom.sf(hits - 1, tries, chance).min())))


def excess(
    x: Array, low: Array, high: Array, kind: Array, place: tuple[Array, Array], shape: tuple[int, int], mass: Array,
    broken: Array, twice: bool = False,
) -> Evidence:  # fmt: skip
    """Evidence that claims come true beyond what a Poisson mixture allows.

    x, low, high: (m,) per claim; low >= 1 and, for claims of several values, low >= high - low + 1.
    kind: (m,) 0 or 1, any division of the claims that may differ in how often they come true.
    place: (m,) spots and genes of the claims in a matrix of `shape`.
    mass: (FOLDS, groups) the non-zero entries that could have been copied. broken: the truth's `widening`.
    twice: whether every hit is there twice.
    """
    spot, gene = place
    centre, single = 0.5 * (low + high), low == high
    group = groups(np.maximum(np.rint(centre), 1.0), kind)
    tabled = single & (low <= LARGEST_TABLED)
    wide = np.full(len(x), broken.max())
    wide[tabled] = broken[low[tabled].astype(np.intp)]
    centre[single] = best_centres(x[single], low[single], gene[single], folds_of(shape[0])[spot[single]], shape[1])
    found = weighed(Scores(*claim_scores(x, low, high, centre, wide), spot, group, mass), shape[0])
    near = single & (np.abs(x - low) <= 1.0)
    tries, hits = (np.bincount(kind[part].astype(np.intp), minlength=2) for part in (near, near & (x == low)))
    if twice:  # i is read against j and j against i: one observation
        tries, hits = (tries + 1) // 2, hits // 2
    return replace(found, z=max(found.z, surprise(hits, tries, nearest(float(broken.max())))))
