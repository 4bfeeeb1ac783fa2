"""`spadit data list` and `spadit data check`."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.markup import escape

from harness.datasets import listing as datasets
from harness.datasets import load
from harness.datasets.check import check
from harness.errors import BadInput
from harness.protocol import Protocol, frame
from harness.views.console import console, listing


def listing_facts(folders: Sequence[Path]) -> list[dict[str, Any]]:
    """One entry per dataset: name, title, present, where, what is synthetic about it, why it is absent."""
    return [dataclasses.asdict(entry) for entry in datasets(folders)]


def print_listing(facts: list[dict[str, Any]]) -> None:
    """The facts for a person."""
    table = listing("dataset", "present", "what it is", "where, or why not")
    for fact in facts:
        title = fact["title"] + (f" ({fact['synthetic']})" if fact["synthetic"] else "")
        where = fact["where"] if fact["present"] else fact["reason"]
        table.add_row(escape(fact["name"]), "yes" if fact["present"] else "no", escape(title), escape(str(where)))
    console().print(table)


def check_facts(name: str, folders: Sequence[Path]) -> dict[str, Any]:
    """What a newcomer wants to know of a dataset, its panel under the default protocol included."""
    pair = load(name, folders)
    facts = {"dataset": name, "id": pair.id, **{key: fact for key, fact in check(pair).items() if key != "name"}}
    try:
        facts["panel"] = len(frame(pair, Protocol()).panel)
        facts["panel_problem"] = None
    except BadInput as error:
        facts["panel"], facts["panel_problem"] = None, str(error)
    return facts


def print_check(facts: dict[str, Any]) -> None:
    """The facts for a person."""
    out = console()
    for key, value in facts.items():
        if value is not None and value != "":
            out.print(f"[bold]{escape(key.replace('_', ' ')):<28}[/bold] {escape(_readable(value))}", soft_wrap=True)


def _readable(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, dict):
        return ", ".join(f"{key} {_readable(item)}" for key, item in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(_readable(item) for item in value)
    return {True: "yes", False: "no"}.get(value, str(value)) if isinstance(value, bool) else str(value)
