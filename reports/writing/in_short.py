"""One plain sentence for somebody new: which variant leads, whether it beats low-rank ridge, and how sure that is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from reports.reading.scores import Block, Comparison
from reports.reading.standings import OverallRow, Standing, overall, standings
from reports.writing.counts import count
from reports.writing.tables import number
from reports.writing.wording import at_rate, listed

_BAR = "low-rank ridge, the simple method to beat"

MOST = 3
"""So many names stand in the sentence; of more, their number."""


def in_short(comparison: Comparison) -> str:
    """The sentence, at the highest sampling rate."""
    rate = comparison.rates[0]
    ranked = {block: own for block in comparison.counted(rate) if (own := _complete(block))}
    if not ranked:
        return "In short: no variant has finished every fold and seed of a dataset yet, so none can be said to lead."
    if len(ranked) == 1:
        ((block, inside),) = ranked.items()
        said = _on_one(block, inside)
        where = f"on {block.name}{at_rate(comparison, rate)}, "
    else:
        found = [row for row in overall(comparison, rate, "finished by all").rows if row.row.group == "variant"]
        said = _over_several(ranked, [row for row in found if row.datasets])
        where = f"over {count(len(ranked), 'dataset')}{at_rate(comparison, rate)}, "
    return f"In short: {where}{said}."


def _complete(block: Block) -> list[Standing]:
    return [s for s in standings(block) if s.row.group == "variant" and s.row.status == "complete" and s.n]


def _on_one(block: Block, inside: Sequence[Standing]) -> str:
    best, tied = ([s for s in inside if getattr(s, which)] for which in ("best", "tied"))
    names = listed([s.row.label for s in best])
    if len(inside) == 1:
        said = f"{names} alone has finished, so there is no other variant to compare it with"
    else:
        lead = "leads" if len(best) == 1 else "lead together"
        near = f"but {_some(tied)} cannot be told from it" if tied else "and no other comes within its noise"
        said = f"{names} {lead} among {count(len(inside), 'variant')}, {near}"
    versus = {"above": f"it beats {_BAR}", "level": f"it cannot be told from {_BAR}", "below": f"it loses to {_BAR}"}
    bar = versus.get(best[0].versus_bar, f"{_BAR}, is not there to compare it with")
    sure = (
        f"all by 95% intervals over {count(block.n_genes, 'gene')} of this dataset, which say nothing of other tissues"
    )
    return "; ".join([said, bar, *_flattered(best), sure])


def _over_several(ranked: dict[Block, list[Standing]], rows: Sequence[OverallRow]) -> str:
    if not rows:
        return "no variant can be said to lead, since they finished different datasets; see each"
    top = max(row.share for row in rows)
    best = [row.row.label for row in rows if row.share == top]
    own = [s for inside in ranked.values() for s in inside if s.row.label == best[0]]
    alone = sum(s.best and not any(other.tied for other in ranked[b]) for b in ranked for s in _of(ranked[b], best[0]))
    near = sum(s.best or s.tied for s in own) - alone
    lead = "leads" if len(best) == 1 else "lead together"
    led = {"ahead of every other variant": alone, "among those in front": near, "behind": len(own) - alone - near}
    said = f"{listed(best)} {lead} with the highest mean AS/N, {number(top, 2)} ({_on(led)})"
    against = _on({verb: sum(s.versus_bar == word for s in own) for word, verb in _VERBS})
    bar = f"against {_BAR}: {against}" if against else f"{_BAR}, is not there to compare it with"
    sure = "on each by the 95% interval over its genes, which says nothing of other tissues"
    return "; ".join([said, bar, *_flattered(own), sure])


_VERBS = (("above", "better"), ("level", "no clear difference"), ("below", "worse"))


def _on(counts: Mapping[str, int]) -> str:
    """On how many datasets what is so."""
    return ", ".join(f"{what} on {n}" for what, n in counts.items() if n)


def _of(inside: Sequence[Standing], label: str) -> list[Standing]:
    return [s for s in inside if s.row.label == label]


def _flattered(own: Sequence[Standing]) -> list[str]:
    tuned = any(s.row.selection == "tuned on these genes" for s in own)
    return ["its settings were chosen by some of these genes (†), which flatters it"] if tuned else []


def _some(found: Sequence[Standing]) -> str:
    names = [s.row.label for s in found]
    return listed(names) if len(names) <= MOST else f"{len(names)} others"
