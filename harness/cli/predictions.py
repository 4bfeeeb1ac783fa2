"""`spadit score | explain | predict`: answers from elsewhere, a cell back to its trials, unmeasured genes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from harness.cli._shared import (
    DataOption,
    JsonOption,
    PredictionOption,
    RowsOption,
    StoreOption,
    bar,
    existing,
    print_json,
)
from harness.errors import BadInput

app = typer.Typer()


@app.command()
def score(
    prediction: PredictionOption,
    task: Annotated[
        Path | None, typer.Option("--task", help="The folder of `spadit data export`, or one task.json in it.")
    ] = None,
    truth: Annotated[Path | None, typer.Option("--truth", help="Or a truth from a file, spots x genes.")] = None,
    store: StoreOption = "results",
    data: DataOption = None,
    rows: RowsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Score predictions made elsewhere, audit their files, and put them into the store's tables.

    With --task a file answers a fold like a trial and stands in every table that asked the same; where the folder holds
    several folds, {fold} in FILE stands for the number of each. With --truth it is scored in a table of its own.
    """
    from harness.external import answers_by_fold, named_files, score_tasks, score_truth
    from harness.store import Store
    from harness.views.audit import print_scored

    if (task is None) == (truth is None):
        raise BadInput("Give either --task FOLDER or --truth FILE: what the predictions are to be scored against.")
    files = named_files(prediction)
    if task is not None:
        from harness.datasets import load
        from harness.export import read_tasks
        from harness.results import data_folders

        tasks = read_tasks(task)
        answers = answers_by_fold(files, [asked.fold for asked in tasks])
        found = score_tasks(tasks, load(tasks[0].dataset, data_folders(data)), answers, Store(store), rows)
    elif truth is not None:
        found = score_truth(truth, files, Store(store), rows)
    print_json([scored.to_json() for scored in found]) if as_json else print_scored(found)


@app.command()
def explain(
    target: Annotated[str, typer.Argument(help="EXPERIMENT/VARIANT/DATASET or EXPERIMENT/VARIANT/DATASET/GENE.")],
    store: StoreOption = "results",
    as_json: JsonOption = False,
) -> None:
    """From a table's cell back to trials, seeds, folds, genes, code, and the command that reruns exactly that."""
    from harness.views.explain import explain_facts, print_explain

    facts = explain_facts(existing(store), target)
    print_json(facts) if as_json else print_explain(facts)


@app.command()
def predict(
    dataset: Annotated[str, typer.Argument(help="A dataset's name, as `spadit data list` shows it.")],
    method: Annotated[str, typer.Option("--method", help="A name of `spadit methods`, or driver.py:VARIANT.")],
    genes: Annotated[str, typer.Option("--genes", help="Names with commas between, a file with one per line, or all.")],
    out: Annotated[Path, typer.Option("--out", help="The .h5ad file to write.")],
    data: DataOption = None,
    folds: Annotated[int, typer.Option("--folds", min=0, help="Of the cross-validation; 0 for no expected PCC.")] = 5,
    seed: Annotated[int, typer.Option("--seed", min=0)] = 0,
    device: Annotated[str, typer.Option("--device", help="cpu, cuda, cuda:1, ...")] = "cpu",
    threads: Annotated[int, typer.Option("--threads", min=1)] = 1,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the file if it is there.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Train on all measured genes, predict genes that only the single cells have, and say what PCC to expect."""
    from harness.audit.subject import subject
    from harness.datasets import load
    from harness.methods import methods_by_name
    from harness.predict import ALL, check_target, read_genes, unmeasured, write_prediction
    from harness.predict import predict as predicted
    from harness.results import data_folders
    from harness.views.predict import predict_facts, print_predict

    check_target(out, overwrite)
    named = () if genes == ALL else read_genes(genes)
    chosen = subject(method, methods_by_name()).method(dataset)
    pair = load(dataset, data_folders(data))
    asked = named or unmeasured(pair)
    with bar("predicting") as advance:
        found = predicted(pair, chosen, asked, seed=seed, folds=folds, device=device, threads=threads, listen=advance)
    write_prediction(found, out, overwrite)
    facts = predict_facts(found, out)
    print_json(facts) if as_json else print_predict(facts)
