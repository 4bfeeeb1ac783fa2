"""`spadit tune`: the winners of a search, what they scored where they were chosen, and what on test genes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
from rich.markup import escape

from harness.metrics import metrics
from harness.search import Found, Search
from harness.search.question import TUNED
from harness.search.winners import Winner
from harness.views.console import console, listing


def found_facts(asked: Search, found: Found) -> dict[str, Any]:
    """The search, its winners and the trials that scored them, as plain JSON.

    Of a winner: `params`, and of these `changed` what its space's base has otherwise; `chosen`, its objective where it
    was chosen (the best of `tried`, so it flatters); `test` and `base_test`, the means of its metrics and of those of
    the base over the test genes of its fold (of all, where there is one for all), with fresh seeds; None where nothing
    finished.
    """
    genes = found.results.genes()
    return {
        "search": asked.name,
        "selection": "nested" if asked.nested else "elsewhere",
        "metric": list(asked.metric),
        "winners": [_winner(asked, each, genes) for each in found.winners],
        "results": {
            "computed": found.results.computed,
            "ok": len(found.results.records()),
            "failed": len(found.results.failed),
            "skipped": len(found.results.skipped),
        },
        "store": found.results.store.where,
    }


def _winner(asked: Search, winner: Winner, genes: pd.DataFrame) -> dict[str, Any]:
    label = winner.topic.label
    space = asked.spaces[label]
    base = space.place(space.base) if space.contains(space.base) else {}
    return {
        "space": label,
        "dataset": winner.topic.dataset or None,
        "fold": winner.topic.fold,
        "study": winner.study,
        "configuration": winner.number,
        "params": dict(winner.params),
        "changed": {name: value for name, value in winner.params.items() if name not in base or base[name] != value},
        "tried": winner.tried,
        "distinct": winner.distinct,
        "chosen": winner.value,
        "test": _means(genes, f"{label} {TUNED}", winner),
        "base_test": _means(genes, label, winner),
    }


def _means(genes: pd.DataFrame, label: str, winner: Winner) -> dict[str, float] | None:
    """Mean of each metric over genes, each averaged over seeds first."""
    if not len(genes):
        return None
    own = genes[genes["variant"] == label]
    if winner.topic.fold is not None:
        own = own[(own["dataset"] == winner.topic.dataset) & (own["fold"] == winner.topic.fold)]
    each = own.groupby(["dataset", "gene"])[list(metrics())].mean().groupby("dataset").mean().mean()
    return None if each.isna().all() else {name: float(value) for name, value in each.items()}


def print_found(facts: Mapping[str, Any], found: Found) -> None:
    """The facts for a person, then the table that has the winners as rows."""
    from reports.report import print_table

    out, first = console(), facts["metric"][0]
    shown = first if first in metrics() else "pcc"
    right = ("fold", "tried", f"{first} chosen", f"{shown} test", f"{shown} test, base")
    table = listing("space", "dataset", "fold", "tried", "winner", *right[2:], right=right)
    for each in facts["winners"]:
        table.add_row(
            escape(each["space"]),
            escape(each["dataset"] or "all"),
            "all" if each["fold"] is None else str(each["fold"]),
            str(each["tried"]),
            escape(", ".join(f"{name} {_short(value)}" for name, value in each["changed"].items()) or "the base"),
            f"{each['chosen']:.3f}",
            *("n/a" if each[key] is None else f"{each[key][shown]:.3f}" for key in ("test", "base_test")),
        )
    out.print(table)
    out.print(
        f"\n{first} chosen is the best of all that were tried, by the genes that chose it, and flatters; test is of "
        "genes that chose nothing, with fresh seeds.\n",
        highlight=False,
    )
    print_table(found.results.store, found.results.name, out)


def _short(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
