"""`spadit predict`: what was predicted, for a person or as plain data."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.markup import escape

from harness.predict import Prediction
from harness.views.console import console, listing

CHOSEN = {
    "tuned on these genes": "on measured genes of this dataset, which flatters the expected PCC.",
    "elsewhere": "on other datasets, so the expected PCC owes them nothing.",
}
"""What is said of settings that were not left as they were."""

MOST = 20
"""How many genes are printed; all are in the file and in `--json`."""


def predict_facts(prediction: Prediction, path: Path | str) -> dict[str, Any]:
    """The file, its provenance, and per gene, best expected first: mean and sd over spots, expected PCC if known."""
    genes: list[dict[str, Any]] = [
        {"gene": gene, "mean": float(values.mean()), "sd_over_spots": float(values.std())}
        for gene, values in zip(prediction.genes, prediction.values.T, strict=True)
    ]
    if (expected := prediction.expected) is not None:
        for i, gene in enumerate(genes):
            gene |= {name: float(getattr(expected, name)[i]) for name in ("pcc", "low", "high")}
        genes.sort(key=lambda gene: -gene["pcc"])
    return {
        "file": str(path),
        "spots": len(prediction.spots),
        "genes": genes,
        "has_sd": prediction.sd is not None,
        "similar_genes": None if expected is None else expected.similar,
        "provenance": prediction.provenance,
    }


def print_predict(facts: Mapping[str, Any]) -> None:
    """The facts for a person."""
    out, made, genes = console(), facts["provenance"], facts["genes"]

    def say(text: str) -> None:
        out.print(escape(text), soft_wrap=True)

    say(
        f"{facts['file']}: {facts['spots']} spots x {len(genes)} genes by {made['method_id']}, from {made['panel']} "
        "measured genes"
    )
    say(f"Values: {made['scale']}.")
    if made["synthetic"]:
        say(f"Not real data: {made['synthetic']}.")
    if made["remarks"]:
        say(made["remarks"])
    if facts["has_sd"]:
        say(f"sd: {made['sd']}")
    numbers = ("mean", "sd over spots", "expected PCC", "80 % interval")
    table = listing("gene", *numbers, right=numbers)
    for gene in genes[:MOST]:
        level = (f"{gene['mean']:.3f}", f"{gene['sd_over_spots']:.3f}")
        known = (f"{gene['pcc']:.2f}", f"[{gene['low']:.2f}, {gene['high']:.2f}]") if "pcc" in gene else ("", "")
        table.add_row(escape(gene["gene"]), *level, *known)
    out.print(table)
    if len(genes) > MOST:
        say(f"and {len(genes) - MOST} more, in the file")
    if facts["similar_genes"] is None:
        say("No PCC is expected of any gene: no cross-validation was asked for (0 folds).")
        return
    say(made["expected_pcc"])
    say(
        f"In {made['folds']}-fold cross-validation over {made['cv_genes']} measured genes, in and beyond the panel, "
        f"the mean PCC is {made['cv_mean_pcc']:.3f}; expected and achieved PCC correlate by "
        f"{made['cv_correlation']:.2f}, and "
        f"{made['cv_covered']:.0%} of the intervals hold."
    )
    if made["selection"] != "untuned":
        say(f"The settings of {made['method_id']} were chosen {CHOSEN[made['selection']]}")
