"""Three paragraphs in words: what a store's numbers support, what they refute, and what they cannot tell."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

from reports.reading.claims import LEVEL, NEGLIGIBLE, PCC, Claim, Finding, Instance, claims, fair_datasets
from reports.reading.scores import Comparison
from reports.reading.standings import standings
from reports.writing.tables import interval, markdown_text, number
from reports.writing.wording import at_rate, count, listed

TITLES: dict[Finding, str] = {
    "holds": "What holds",
    "does not": "What does not",
    "too noisy": "What is too noisy to say",
}

RULE = (
    "A claim is that the row an experiment is about has a higher mean PCC over held-out genes than another row. It "
    f"holds if that is so on each of two or more tissues, with a p below {LEVEL:g} (paired over genes, Holm-adjusted) "
    "and an interval above 0. It does not if the other row is better on one tissue by the same measure, or the two are "
    f"within {NEGLIGIBLE:g} of each other on each. Tissues whose genes chose the settings of either row do not count."
)


def paragraphs(found: Sequence[Comparison]) -> Iterator[tuple[str, str]]:
    """(heading, Markdown) of the three, in order."""
    told = [(comparison, _claims(comparison)) for comparison in found]
    for finding, title in TITLES.items():
        said = [markdown_text(RULE)] if finding == "holds" else []
        for comparison, by_rate in told:
            for rate, own in by_rate.items():
                said += _sentences(comparison, rate, own, finding)
        if finding == "does not":
            said += [sentence for comparison in found[:1] for sentence in _leaks(comparison)]
        yield title, " ".join(said) if said else "Nothing that these experiments asked."


def _claims(comparison: Comparison) -> dict[float, tuple[Claim, ...]]:
    """By sampling rate: the highest of an experiment without others, else the lowest, which is what it is about."""
    rate = comparison.rates[-1]
    return {rate: claims(comparison, rate)}


def _sentences(comparison: Comparison, rate: float, found: Sequence[Claim], finding: Finding) -> list[str]:
    own = [claim for claim in found if claim.finding == finding]
    if not own:
        return []
    said = {"holds": _held, "does not": _refuted, "too noisy": _open}[finding]
    where = f"**{markdown_text(comparison.asked.name + at_rate(comparison, rate))}** ({_where(found)})"
    return [f"{where}: {said(comparison.reference, own)}"]


def _where(found: Sequence[Claim]) -> str:
    datasets = fair_datasets(found)
    return markdown_text(f"{count(len(datasets), 'tissue')}: {', '.join(datasets)}")


def _held(reference: str, own: Sequence[Claim]) -> str:
    leads = [f"{claim.other} (by {_span(claim.instances)}{_against(claim)})" for claim in own]
    return markdown_text(f"{reference} is better than {listed(leads)}.")


def _refuted(reference: str, own: Sequence[Claim]) -> str:
    said = []
    for claim in own:
        if worse := [i for i in claim.instances if i.sign < 0]:
            said.append(f"better than {claim.other}, which leads on {_each(worse, lambda i: _lead(i, -1))}")
        elif all(i.identical for i in claim.instances):
            said.append(f"different from {claim.other}, which predicts the same to the last bit")
        else:
            said.append(f"better than {claim.other}, which is the same ({_each(claim.instances, _lead)})")
    return markdown_text(f"{reference} is not {'; nor '.join(said)}.")


def _open(reference: str, own: Sequence[Claim]) -> str:
    leads = [f"{claim.other} ({_each(claim.instances, _lead)})" for claim in own]
    return markdown_text(f"whether {reference} is better than {listed(leads)}.")


def _span(instances: Sequence[Instance]) -> str:
    low, high = min(i.lead for i in instances), max(i.lead for i in instances)
    return f"{number(low, 3)} to {number(high, 3)}"


def _against(claim: Claim) -> str:
    where: dict[tuple[str, ...], list[str]] = {}
    for instance in claim.instances:
        if instance.against:
            where.setdefault(instance.against, []).append(instance.dataset)
    return "".join(
        f"; but {listed(list(names))} {'says' if len(names) == 1 else 'say'} the opposite on {listed(datasets)}"
        for names, datasets in where.items()
    )


def _each(instances: Sequence[Instance], said: Callable[[Instance], str]) -> str:
    return ", ".join(f"{instance.dataset} {said(instance)}" for instance in instances)


def _lead(instance: Instance, sign: int = 1) -> str:
    low, high = sorted((sign * instance.low, sign * instance.high))
    return f"{number(sign * instance.lead, 3, signed=True)} {interval(low, high, 3)}"


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
        markdown_text(
            f"The score of a prediction that holds the truth says nothing of its model: {label} has a mean PCC of "
            f"{listed(own)}, above every honest row on {ahead[label]} of {len(own)}."
        )
        for label, own in found.items()
    ]
