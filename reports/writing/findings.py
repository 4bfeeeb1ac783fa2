"""Three lists in words: what a store's numbers support, what they refute, and what they cannot tell."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from reports.reading.claims import LEVEL, NEGLIGIBLE, PCC, Claim, Finding, claims, fair_datasets
from reports.reading.scores import Comparison
from reports.reading.standings import standings
from reports.writing.counts import count
from reports.writing.tables import interval, markdown_text, number
from reports.writing.wording import at_rate, listed

TITLES: dict[Finding, str] = {
    "holds": "What holds",
    "does not": "What does not",
    "too noisy": "What is too noisy to say",
}

MOST = 4
"""So many rows in the same state are named; of more, the nearest ones."""

RULE = (
    "A claim is that the row an experiment is about has a higher mean PCC over held-out genes than another row. It "
    f"holds if that is so on each of two or more tissues, with a p below {LEVEL:g} (paired over genes, Holm-adjusted) "
    "and an interval above 0. It does not if the other row is better on one tissue by the same measure, or the two are "
    f"within {NEGLIGIBLE:g} of each other on each. Tissues whose genes chose the settings of either row do not count. "
    "Anything else is too noisy to say. In brackets: the difference in mean PCC, from the lowest to the highest of the "
    f"tissues. Of more than {MOST} rows in the same state the {MOST} nearest are named."
)


def findings(found: Sequence[Comparison]) -> Iterator[tuple[str, str, list[str]]]:
    """(heading, how many claims, bullets in Markdown) of the three; a bullet per experiment with something to say."""
    told = [_Told(comparison, comparison.rates[-1]) for comparison in found]
    every = [claim for each in told for claim in each.claims]
    for finding, title in TITLES.items():
        said = [bullet for each in told if (bullet := each.bullet(finding))]
        if finding == "does not":
            said += [markdown_text(sentence) for comparison in found[:1] for sentence in _leaks(comparison)]
        own = [claim for claim in every if claim.finding == finding]
        yield title, f"{len(own)} of {count(len(every), 'claim')}{_divided(finding, own)}.", said


def _divided(finding: Finding, own: Sequence[Claim]) -> str:
    """Of what kinds the claims under a heading are."""
    if finding == "holds" or not own:
        return ""
    if finding == "does not":
        worse = sum(any(i.sign < 0 for i in claim.instances) for claim in own)
        return f": the other row is better on a tissue in {worse}, the two are the same in {len(own) - worse}"
    ahead = sum(all(i.lead > 0 for i in claim.instances) for claim in own)
    behind = sum(all(i.lead < 0 for i in claim.instances) for claim in own)
    return (
        f": in {ahead} the experiment's row is ahead on every tissue, but not surely on each of two or more; in "
        f"{behind} it is behind on every tissue; in {len(own) - ahead - behind} neither"
    )


@dataclass(frozen=True, eq=False)
class _Told:
    """An experiment's claims at a sampling rate: the highest of one without others, else the lowest, its subject."""

    comparison: Comparison
    rate: float

    @functools.cached_property
    def claims(self) -> tuple[Claim, ...]:
        return claims(self.comparison, self.rate)

    @property
    def reference(self) -> str:
        return self.comparison.reference

    def bullet(self, finding: Finding) -> str:
        """What is said under a heading; empty where nothing is."""
        own = [claim for claim in self.claims if claim.finding == finding]
        if not own:
            return ""
        datasets = fair_datasets(self.claims)
        if finding == "too noisy" and len(datasets) == 1:
            said = self._on_one(own)
        else:
            said = {"holds": self._held, "does not": self._refuted, "too noisy": self._open}[finding](own)
        where = f"{count(len(datasets), 'tissue')}: {', '.join(datasets)}"
        name = self.comparison.asked.name + at_rate(self.comparison, self.rate)
        return f"**{markdown_text(name)}** ({markdown_text(where)}): {markdown_text(said)}"

    def _held(self, own: Sequence[Claim]) -> str:
        return f"{self.reference} is better than {_rivals(own)}{_against(own)}."

    def _refuted(self, own: Sequence[Claim]) -> str:
        worse = [claim for claim in own if any(i.sign < 0 for i in claim.instances)]
        same = [claim for claim in own if claim not in worse]
        identical = [claim for claim in same if all(i.identical for i in claim.instances)]
        close = [claim for claim in same if claim not in identical]
        said = [f"is not better than {_rivals(worse, _behind)}"] if worse else []
        said += [f"is within {NEGLIGIBLE:g} of {_rivals(close)}"] if close else []
        said += [f"predicts the same to the last bit as {_rivals(identical)}"] if identical else []
        return f"{self.reference} {'; it '.join(said)}."

    def _open(self, own: Sequence[Claim]) -> str:
        return f"whether {self.reference} is better than {_rivals(own)}."

    def _on_one(self, own: Sequence[Claim]) -> str:
        """One tissue says what is so there, and can make no claim hold."""
        better = [claim for claim in own if claim.instances[0].sign > 0]
        level = [claim for claim in own if claim not in better]
        said = [f"{self.reference} is better than {_rivals(better)}"] if better else []
        said += [f"{'it' if better else self.reference} cannot be told from {_rivals(level)}"] if level else []
        return f"one tissue can never make a claim hold; there {', and '.join(said)}."


def _rivals(own: Sequence[Claim], more: Callable[[Claim], str] = lambda claim: "") -> str:
    """Rows with their differences; of many, the nearest ones and what the others span."""
    if len(own) <= MOST:
        return listed([f"{claim.other} ({_span([claim])}{more(claim)})" for claim in own])
    near = sorted(own, key=lambda claim: max(abs(i.lead) for i in claim.instances))[:MOST]
    others = [claim for claim in own if claim not in near]
    named = ", ".join(f"{claim.other} ({_span([claim])}{more(claim)})" for claim in near)
    left = f"{count(len(others), 'other row')}, differences {_span(others)}"
    return f"{named} and {left} (all in the tables below)"


def _span(own: Sequence[Claim]) -> str:
    """The differences over tissues and rows, from the lowest to the highest."""
    leads = [i.lead for claim in own for i in claim.instances]
    low, high = (number(end(leads), 3, signed=True) for end in (min, max))
    return low if low == high else f"{low} to {high}"


def _behind(claim: Claim) -> str:
    """Where the other row is better, and how sure that is."""
    where = [
        f"{i.dataset} {number(i.lead, 3, signed=True)} {interval(i.low, i.high, 3)}"
        for i in claim.instances
        if i.sign < 0
    ]
    return f"; behind on {', '.join(where)}"


def _against(own: Sequence[Claim]) -> str:
    """What other metrics say against these claims, of every row."""
    where: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for claim in own:
        for instance in claim.instances:
            if instance.against:
                where.setdefault((claim.other, instance.against), []).append(instance.dataset)
    return "".join(
        f"; but {listed(list(names))} {'says' if len(names) == 1 else 'say'} the opposite on {listed(datasets)} "
        f"({other})"
        for (other, names), datasets in where.items()
    )


def _leaks(comparison: Comparison) -> list[str]:
    """What rows that hold the truth score, beside the best honest row."""
    found: dict[str, list[str]] = {}
    ahead: dict[str, int] = {}
    for block in comparison.blocks:
        whole = [standing for standing in standings(block) if standing.row.status == "complete"]
        honest = max((s.means[PCC] for s in whole if s.row.group != "external"), default=math.nan)
        for label, score in ((s.row.label, s.means[PCC]) for s in whole if s.row.group == "external"):
            said = f"{number(score, 3)} on {block.name} (best honest row {number(honest, 3)})"
            found.setdefault(label, []).append(said)
            ahead[label] = ahead.get(label, 0) + (score > honest)
    return [
        f"The score of a prediction that holds the truth says nothing of its model: {label} has a mean PCC of "
        f"{listed(own)}, above every honest row on {ahead[label]} of {len(own)}."
        for label, own in found.items()
    ]
