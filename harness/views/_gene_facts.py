"""What `spadit explain` says of genes: means over seeds, the best and the worst, and one gene by name."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from harness.errors import BadInput
from harness.store import Store
from harness.views._target import Target
from models.component import nearest

EXTREMES = 5
"""How many of the best and of the worst genes are shown."""

OF_A_ROW = ("js_flat", "bias", "truth_sd", "truth_nonzero", "n_spots")
"""What is shown of a gene's row beside its metrics."""


def averaged_genes(rows: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    """(index: gene) mean over its rows (seeds) of each metric, of the genes scored in all of them."""
    if not len(rows):
        return pd.DataFrame(columns=list(names), dtype=float)
    scored = np.isfinite(rows[list(names)]).all(axis=1).groupby(rows["gene"]).all()
    return rows.groupby("gene")[list(names)].mean()[scored]


def extremes(store: Store, averaged: pd.DataFrame, rows: pd.DataFrame) -> dict[str, Any]:
    """The best and the worst genes by PCC, how many there are, and where the rest is."""
    ordered = averaged.sort_values("pcc", kind="stable") if len(averaged) else averaged

    def shown(part: pd.DataFrame) -> list[dict[str, Any]]:
        return [{"gene": gene, **{n: plain(v) for n, v in row.items()}} for gene, row in part.iterrows()]

    return {
        "scored": len(averaged),
        "not_scored": (rows["gene"].nunique() if len(rows) else 0) - len(averaged),
        "best": shown(ordered[::-1][:EXTREMES]),
        "worst": shown(ordered[:EXTREMES]),
        "all": f"{store.where}/genes/<trial_id>.parquet, one row per held-out gene and trial",
    }


def gene_facts(
    store: Store, found: Target, rows: pd.DataFrame, averaged: pd.DataFrame, names: Sequence[str]
) -> dict[str, Any]:
    """One gene: the fold that holds it out, its values of every seed, their means, and its rank by PCC."""
    own = rows[rows["gene"] == found.gene].sort_values(["seed", "fold"]) if len(rows) else rows
    if not len(own):
        return {"gene": found.gene, "folds": [], "scored": False, "seeds": [], "reason": _no_rows(store, found, rows)}
    scored = found.gene in averaged.index
    columns = ["seed", "fold", "trial_id", *names, *(name for name in OF_A_ROW if name in own)]
    return {
        "gene": found.gene,
        "folds": sorted(int(fold) for fold in own["fold"].unique()),
        "scored": scored,
        "reason": "" if scored else "what ST measured of it does not vary over the scored spots",
        "means": {name: plain(own[name].mean()) for name in names},
        "seeds": [{name: plain(row[name]) for name in columns} for _, row in own.iterrows()],
        "rank": int((averaged["pcc"] > averaged["pcc"].get(found.gene)).sum()) + 1 if scored else None,
        "of": len(averaged),
    }


def _no_rows(store: Store, found: Target, rows: pd.DataFrame) -> str:
    """Why no finished trial has the gene; `BadInput` where none could have."""
    card = store.cards().get(found.asked.datasets[found.dataset]["dataset_id"], {})
    panel = card.get("panels", {}).get(found.asked.protocol_id, [])
    known = panel or (list(rows["gene"]) if len(rows) else [])
    if found.gene in panel or not known:
        return "no trial that holds it out is finished, with a file that is whole"
    raise BadInput(
        f"{found.dataset} has no gene {found.gene!r} among the {len(set(known))} that {found.asked.name} holds out; "
        f"{_close(found.gene, known)} Genes that were not measured are for `spadit predict`."
    )


def _close(gene: str, known: Sequence[str]) -> str:
    said = nearest(gene, list(set(known)))
    return said if said.startswith("did you mean") else "leave the gene out to see the best and the worst."


def plain(value: Any) -> Any:
    """A number or text as JSON has it."""
    if isinstance(value, str) or value is None:
        return value
    number = value.item() if hasattr(value, "item") else value
    return None if isinstance(number, float) and not math.isfinite(number) else number
