"""`spadit data list` and `spadit data check`."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from rich.markup import escape

from harness.datasets import LAYOUT, Facts, load
from harness.datasets import listing as datasets
from harness.datasets.check import check
from harness.errors import BadInput
from harness.methods import methods_by_name
from harness.protocol import KFold, Protocol, pose, prepare
from harness.views.console import console, listing
from models.method import refusal


def listing_facts(folders: Sequence[Path]) -> list[dict[str, Any]]:
    """One entry per dataset: name, title, present, where, why it is absent, what is synthetic about it, what is known
    of it (technology, tissue, organism, source, size, which of these are inferred), and its row of Table 1."""
    from experiments.presets import TABLE_1

    presets = {name: preset.to_json() for name, preset in TABLE_1.items()}
    return [dataclasses.asdict(entry) | {"preset": presets.get(entry.name)} for entry in datasets(folders)]


def print_listing(facts: list[dict[str, Any]]) -> None:
    """The facts for a person."""
    from experiments.presets import TABLE_1

    table = listing(
        "dataset", "here", "technology, tissue, organism", "known size", "Table 1 preset", "where, or source"
    )
    for fact in sorted(facts, key=lambda fact: not fact["present"]):
        known = Facts(**fact["facts"])
        what = ", ".join(known.text(name) for name in ("technology", "tissue", "organism") if getattr(known, name))
        what = (what or fact["title"]) + (f" ({fact['synthetic']})" if fact["synthetic"] else "")
        preset = TABLE_1[fact["name"]].short() if fact["name"] in TABLE_1 else ""
        where = fact["where"] or (known.text("source") if known.source else fact["reason"])
        size = known.text("size") if known.size else ""
        table.add_row(*map(escape, (fact["name"], "yes" if fact["present"] else "no", what, size, preset, str(where))))
    out = console()
    out.print(table)
    out.print(
        f"A dataset that is not here is expected as {LAYOUT} in a data folder D, given with --data or $SPADIT_DATA; "
        "`spadit data fetch NAME --url U` puts it there.",
        soft_wrap=True,
    )
    if any(fact["facts"]["inferred"] for fact in facts):
        out.print(
            "[inferred]: no source states it; it was concluded from gene lists and counts of genes.", markup=False
        )


def check_facts(name: str, folders: Sequence[Path]) -> dict[str, Any]:
    """What a newcomer wants to know of a dataset: sizes, kinds, sparsity, space, its panel under the default protocol,
    and for every method "" if it can run there, else why it cannot."""
    pair = load(name, folders)
    facts = {"dataset": name, "id": pair.id, **{key: fact for key, fact in check(pair).items() if key != "name"}}
    protocol = Protocol()
    try:
        data = prepare(pair, protocol)
        problem, _ = pose(data, KFold(), 0)
    except BadInput as error:
        return facts | {"panel": None, "panel_problem": str(error), "methods": {}}
    reasons = {stem: refusal(method(), problem) or "" for stem, method in methods_by_name().items()}
    return facts | {"panel": len(data.panel), "panel_problem": None, "methods": reasons}


def print_check(facts: dict[str, Any]) -> None:
    """The facts for a person."""
    table = listing("", "")
    table.show_header = False
    for term, said in _said(facts):
        table.add_row(f"[bold]{term}[/bold]", escape(said))
    console().print(table)


def _said(facts: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Terms and what is said of each, in the order in which a newcomer asks."""
    yield (
        "dataset",
        f"{facts['dataset']} (content {facts['id']})" + (f": {facts['synthetic']}" if facts["synthetic"] else ""),
    )
    for remark in facts["remarks"]:
        yield "look at", remark
    empty = f", {facts['empty_spots']} of them without a shared gene" if facts["empty_spots"] else ""
    yield "spots", f"{facts['spots']}{empty}; coordinates: {facts['coordinates'] or 'none'}"
    if facts["spot_labels"] is not None:
        yield "labels of spots", f"{facts['spot_labels']}, kept for figures; no method sees them"
    yield "cells", f"{facts['cells']}; cell types: {facts['cell_types'] or 'none'}"
    yield "genes", f"{facts['st_genes']} in ST, {facts['sc_genes']} in SC, {facts['shared_genes']} shared"
    for half in ("st", "sc"):
        kind = {"counts": "counts", "lognorm": "declared log-normalised"}.get(facts[f"{half}_values"], "no counts")
        yield (
            f"{half.upper()} values",
            f"{kind}; {facts[f'{half}_zeros']:.1%} zeros, median total {facts[f'{half}_median_total']:.4g} "
            "(over shared genes)",
        )
    if facts["moran_top"] is not None:
        top = ", ".join(f"{gene} {value:.2f}" for gene, value in facts["moran_top"].items())
        yield "Moran's I", f"median {facts['moran_median']:.3f}; highest: {top}"
    if facts["panel"] is None:
        yield "panel", f"none: {facts['panel_problem']}"
        return
    yield "panel", f"{facts['panel']} genes under the default protocol (of {facts['detected_genes']} seen often enough)"
    yield "can run", ", ".join(name for name, reason in facts["methods"].items() if not reason)
    for name, reason in facts["methods"].items():
        if reason:
            yield "cannot run", f"{name}: {reason}"
