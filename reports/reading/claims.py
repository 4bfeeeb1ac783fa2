"""What a store's numbers support: one claim per row, that an experiment's reference predicts better than that row.

The paper's claims are all of this form: SpaDiT against each baseline, the full model against each of its ablations, one
backbone or encoder against the others. The evidence is the paired difference in mean PCC, dataset by dataset; a dataset
whose genes chose the settings of either row is no evidence and is left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from reports.published import METRICS
from reports.reading.contrasts import Contrast, contrasts
from reports.reading.scores import Comparison, Group
from reports.reading.standings import BAR
from reports.statistics.paired import SIGN

Finding = Literal["holds", "does not", "too noisy"]

LEVEL = 0.05
"""A difference counts on a dataset where its p, Holm-adjusted over the rows compared there, is below this, and its
interval lies on one side of 0."""
NEGLIGIBLE = 0.01
"""Rows are the same where the whole 95 % interval of their difference in mean PCC lies within this of 0."""
PCC = 0
TUNED = "tuned on these genes"


@dataclass(frozen=True)
class Instance:
    """A claim on one dataset: lead is the reference's mean PCC minus the other row's, with its 95 % interval.

    p: Holm-adjusted. identical: the same predictions to the bit. against: metrics by which the other row is better
    there, at the same level.
    """

    dataset: str
    lead: float
    low: float
    high: float
    p: float
    identical: bool = False
    against: tuple[str, ...] = ()

    @property
    def sign(self) -> int:
        """1 where the reference is better, -1 where the other row is, 0 where that cannot be told."""
        return 0 if self.p >= LEVEL else int(self.low > 0) - int(self.high < 0)

    @property
    def same(self) -> bool:
        """Whether the two are the same for all that matters."""
        return self.identical or (self.low >= -NEGLIGIBLE and self.high <= NEGLIGIBLE)


@dataclass(frozen=True)
class Claim:
    """That the reference predicts better than the other row, at a sampling rate; instances by dataset."""

    other: str
    group: Group
    rate: float
    instances: tuple[Instance, ...]

    @property
    def finding(self) -> Finding:
        """Holds: better on each dataset. Does not: worse on one, or the same on each. Anything else is too noisy.

        One dataset alone can refute, and cannot support: the unit of a general claim is the tissue.
        """
        signs = [instance.sign for instance in self.instances]
        if -1 in signs or all(instance.same for instance in self.instances):
            return "does not"
        return "holds" if len(signs) > 1 and all(sign == 1 for sign in signs) else "too noisy"


def claims(comparison: Comparison, rate: float) -> tuple[Claim, ...]:
    """The claims of a comparison at a sampling rate, against its variants and the bar, in the table's order."""
    found = [contrast for contrast in contrasts(comparison) if contrast.block.rate == rate]
    instances: dict[str, list[Instance]] = {}
    rows = {}
    for contrast in found:
        tuned = {row.label for row in contrast.block.rows if row.selection == TUNED}
        for k, row in enumerate(contrast.rows):
            rows[row.label] = row
            fair = not tuned & {row.label, comparison.reference}
            instances.setdefault(row.label, []).extend([_instance(contrast, k)] if fair else [])
    return tuple(
        Claim(label, rows[label].group, rate, tuple(own))
        for label, own in instances.items()
        if own and (rows[label].group == "variant" or rows[label].method == BAR)
    )


def fair_datasets(found: Sequence[Claim]) -> tuple[str, ...]:
    """The datasets that are evidence for at least one claim."""
    return tuple(dict.fromkeys(instance.dataset for claim in found for instance in claim.instances))


def _instance(contrast: Contrast, k: int) -> Instance:
    paired = contrast.paired
    against = [
        metric.label
        for m, metric in enumerate(METRICS)
        if metric.name in ("ssim", "js") and contrast.adjusted[k, m] < LEVEL and SIGN[m] * paired.mean[k, m] > 0
    ]
    return Instance(
        contrast.block.name,
        -float(paired.mean[k, PCC]),
        -float(paired.high[k, PCC]),
        -float(paired.low[k, PCC]),
        float(contrast.adjusted[k, PCC]),
        contrast.identical[k],
        tuple(against),
    )
