"""`spadit tune --plan`: what a search comes to, before it runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.markup import escape

from harness.datasets import present
from harness.search import Search
from harness.search.running import looked_at
from harness.store import Store
from harness.views.console import console, listing


def search_plan_facts(
    asked: Search, configurations: int, store: Store, folders: Sequence[Path], strict: bool = False
) -> dict[str, Any]:
    """Studies with what each has and lacks, and the trials that score the winners, as plain JSON; writes nothing.

    studies: one per space and, of a nested search, per dataset and fold: `parts`, the trials that judge one
    configuration; `done`, configurations with an outcome; `to_run`, how many are left.
    """
    pairs = looked_at(asked, folders, strict)
    ids = {name: pair.id for name, pair in pairs.items()}
    studies, to_run = [], 0
    for topic in asked.topics(list(ids)):
        study = asked.study_id(topic, ids)
        parts, done = len(asked.parts(topic, asked.base(topic.label), ids)), len(store.outcomes(study))
        left = max(0, configurations - done)
        to_run += parts * left
        studies.append(
            {
                "study": study,
                "space": topic.label,
                "dataset": topic.dataset or None,
                "fold": topic.fold,
                "searched": ["+".join(paths) for paths in asked.spaces[topic.label].vary],
                "parts": parts,
                "done": done,
                "to_run": left,
            }
        )
    rows = {label: asked.base(label) for label in asked.spaces}
    scored = asked.scored(rows).trials({name: name for name in asked.datasets if present(name, folders).present})
    return {
        "search": asked.name,
        "title": asked.title,
        "selection": "nested" if asked.nested else "elsewhere",
        "metric": list(asked.metric),
        "configurations": configurations,
        "studies": studies,
        "trials_to_run": to_run,
        "seeds": list(asked.seeds),
        "trials_beside": len(scored),
        "remarks": [f"{name}: {remark}" for name, pair in pairs.items() for remark in pair.remarks],
    }


def print_search_plan(facts: Mapping[str, Any]) -> None:
    """The facts for a person."""
    out = console()
    out.print(f"[bold]{escape(facts['search'])}[/bold]  {escape(facts['title'])}")
    numbers = ("fold", "trials each", "done", "to run")
    table = listing("space", "dataset", *numbers, "what is searched", right=numbers)
    for each in facts["studies"]:
        place = (each["dataset"] or "all", "all" if each["fold"] is None else str(each["fold"]))
        counts = [str(each[key]) for key in ("parts", "done", "to_run")]
        table.add_row(escape(each["space"]), *map(escape, place), *counts, escape(", ".join(each["searched"])))
    out.print(table)
    for remark in facts["remarks"]:
        out.print(remark, markup=False, soft_wrap=True)
    out.print(
        f"Studies: {len(facts['studies'])}; configurations of each: {facts['configurations']}, judged by "
        f"{' and '.join(facts['metric'])}; trials to run: at most {facts['trials_to_run']} (configurations that are "
        f"ended early or come twice take fewer). The winners are then scored with seeds "
        f"{', '.join(map(str, facts['seeds']))}, beside {facts['trials_beside']} trials of what they are compared "
        "with.",
        soft_wrap=True,
        highlight=False,
    )
