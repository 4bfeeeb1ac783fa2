"""`spadit audit ...`: whether a method keeps its contract, or sees what it must not; whether a file holds the truth."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from harness.cli._shared import (
    DataOption,
    DatasetOption,
    ExperimentArg,
    JsonOption,
    PredictionOption,
    PresetOption,
    RowsOption,
    StoreOption,
    VariantOption,
    bar,
    print_json,
    say,
)
from harness.errors import BadInput

AuditedFoldOption = Annotated[
    int | None, typer.Option("--fold", min=0, help="The fold whose truth is changed.", show_default="the second")
]

MethodArg = Annotated[str, typer.Argument(help="A name of `spadit methods`, or driver.py:VARIANT of your own file.")]

app = typer.Typer(
    name="audit", help="The contract of a method; leakage audits, of methods and of prediction files.",
    no_args_is_help=True,
)  # fmt: skip


@app.command("method")
def audit_a_method(
    method: MethodArg,
    dataset: Annotated[str | None, typer.Option("--dataset", show_default="the driver's first, else bundled")] = None,
    data: DataOption = None,
    fold: AuditedFoldOption = None,
    sampling_rate: Annotated[float, typer.Option(help="Share of the visible counts that is kept.")] = 1.0,
    seed: Annotated[int, typer.Option(min=0, help="The seed of every run.")] = 0,
    store: Annotated[str | None, typer.Option("--store", help="Keep the verdict there, for reports.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Change the held-out truth, and demand the same answer bit for bit; exit 1 with the first stage that differs.

    The truth is replaced by noise, then permuted, in copies loaded by a new process that cannot read the original. A
    third process answers another fold before, and must not remember it. The answer itself is tested for the truth, as
    `spadit audit predictions` tests a file. Exit 1 also for a method that differs from itself.
    """
    from harness.store import Store
    from harness.views.audit import method_audit, print_method_audit

    found = method_audit(method, dataset, data, fold, sampling_rate, seed, say)
    if store is not None:
        Store(store).put_audit(found)
    print_json(asdict(found)) if as_json else print_method_audit(found)
    if found.verdict != "clean":
        raise typer.Exit(1)


@app.command("contract")
def audit_a_contract(method: MethodArg, as_json: JsonOption = False) -> None:
    """Try what every method promises on a tiny built-in problem, in seconds; exit 1 with what is broken, and a remedy.

    Of its answers: form and scale, seeds, the order of genes, what is kept between problems, what it needs. A variant
    of your own file is tried as it is set up there; a method by name at its smallest, `tiny()` where it has that.
    """
    from harness.views.contract import contract_tried, print_contract

    with bar("trying") as advance:
        found = contract_tried(method, advance)
    print_json(found.to_json()) if as_json else print_contract(found)
    if not found.kept:
        raise typer.Exit(1)


@app.command("experiment")
def audit_an_experiment(
    experiment: ExperimentArg,
    store: StoreOption = "results",
    preset: PresetOption = None,
    data: DataOption = None,
    dataset: DatasetOption = None,
    variant: VariantOption = None,
    fold: AuditedFoldOption = None,
    as_json: JsonOption = False,
) -> None:
    """Audit every row of an experiment's tables, and keep the verdicts where its report finds them; exit 1 on a leak.

    Each is `spadit audit method` on one fold of each dataset. What the store has of the same code is not done again.
    """
    from harness.drivers import load_experiment
    from harness.results import data_folders
    from harness.store import Store
    from harness.views.audit import experiment_audits, print_experiment_audits

    asked = load_experiment(experiment, preset).narrowed(dataset or (), variant or ())
    if preset and experiment.endswith(".py"):
        raise BadInput("A driver file is audited at the size of its EXPERIMENT; leave --preset out.")
    found = list(experiment_audits(experiment, asked, data_folders(data), Store(store), fold, bool(dataset), say))
    print_json([each.to_json() for each in found]) if as_json else print_experiment_audits(found)
    if any(each.audit is not None and each.audit.verdict != "clean" for each in found):
        raise typer.Exit(1)


@app.command("released")
def score_the_released_protocol(
    experiment: ExperimentArg = "baselines",
    store: StoreOption = "results",
    data: DataOption = None,
    dataset: DatasetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Score the hopeless control the way SpaDiT's released code scores: with the truth written back.

    The row joins that experiment's tables, marked as a leak and outside N; what it scores beyond the control `gene
    mean` is the protocol's doing.
    """
    from harness.datasets import here, load
    from harness.drivers import load_experiment
    from harness.released import score_released
    from harness.results import data_folders
    from harness.store import Store
    from harness.views.audit import print_released

    asked = load_experiment(experiment).narrowed(dataset or ())
    folders = data_folders(data)
    found = [
        scored
        for entry in here(asked.name, asked.datasets, folders, strict=bool(dataset))
        if entry.present
        for scored in score_released(load(entry.name, folders), asked, Store(store))
    ]
    print_json([scored.to_json() for scored in found]) if as_json else print_released(found)


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
