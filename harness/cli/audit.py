"""`spadit audit ...`: does a method see what it must not, and does a file hold what it could not know?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from harness.cli._shared import DataOption, JsonOption, PredictionOption, RowsOption, print_json, say

app = typer.Typer(name="audit", help="Leakage audits, of methods and of prediction files.", no_args_is_help=True)


@app.command("method")
def audit_a_method(
    method: Annotated[str, typer.Argument(help="A name of `spadit methods`, or driver.py:VARIANT of your own file.")],
    dataset: Annotated[
        str | None, typer.Option("--dataset", help="[default: the driver's first, else bundled]")
    ] = None,
    data: DataOption = None,
    fold: Annotated[
        int | None, typer.Option(min=0, help="The fold whose truth is changed. [default: the second]")
    ] = None,
    sampling_rate: Annotated[float, typer.Option(help="Share of the visible counts that is kept.")] = 1.0,
    seed: Annotated[int, typer.Option(min=0, help="The seed of every run.")] = 0,
    as_json: JsonOption = False,
) -> None:
    """Change the held-out truth, and demand the same answer bit for bit; exit 1 with the first stage that differs.

    The truth is replaced by noise, then permuted, in copies loaded by a new process that cannot read the original. A
    third process answers another fold before, and must not remember it.
    """
    from harness.views.audit import method_audit, print_method_audit

    found = method_audit(method, dataset, data, fold, sampling_rate, seed, say)
    print_json(found.to_json()) if as_json else print_method_audit(found)
    if found.verdict != "clean":
        raise typer.Exit(1)


@app.command("predictions")
def audit_predictions(
    truth: Annotated[
        Path, typer.Option("--truth", help="The measured values, spots x genes, as counts or normalised.")
    ],
    prediction: PredictionOption,
    rows: RowsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Test files for what no honest predictor can have: the truth's zeros, its values, its noise; exit 1 on a leak."""
    from harness.external import audit_files, named_files
    from harness.views.audit import print_file_audits

    found = audit_files(truth, named_files(prediction), rows)
    facts: list[dict[str, Any]] = [{"name": name} | audit.to_json() for name, audit in found.items()]
    print_json(facts) if as_json else print_file_audits(found)
    if any(audit.verdict == "leak" for audit in found.values()):
        raise typer.Exit(1)
