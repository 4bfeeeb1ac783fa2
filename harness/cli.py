"""`spadit`: the command line, thin over the driver. Progress goes to stderr, results to stdout.

Exit codes: 0 all asked-for trials are ok or skipped; 1 some failed and the rest finished; 2 bad input, one sentence;
130 interrupted, nothing lost.
"""

from __future__ import annotations

import json
import os
import shlex
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from harness.errors import BadInput

app = typer.Typer(
    name="spadit",
    help="Which way of predicting unmeasured genes in spatial transcriptomics is better, by how much, and how sure?",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
data_app = typer.Typer(name="data", help="Datasets: what is there, whether it can be used, and simulated ones.")
app.add_typer(data_app, no_args_is_help=True)

ExperimentArg = Annotated[str, typer.Argument(help="A name in experiments/, or the path of a file with EXPERIMENT.")]
StoreOption = Annotated[Path, typer.Option("--store", help="Folder of records; made if need be.")]
DataOption = Annotated[
    list[Path] | None, typer.Option("--data", help="Folder of dataset pairs; repeatable. [default: $SPADIT_DATA]")
]
DatasetOption = Annotated[
    list[str] | None, typer.Option("--dataset", help="Run on this dataset instead of the experiment's; repeatable.")
]
VariantOption = Annotated[list[str] | None, typer.Option("--variant", help="Only this variant; repeatable.")]
FoldOption = Annotated[list[int] | None, typer.Option("--fold", help="Only this fold; repeatable.")]
SeedsOption = Annotated[int | None, typer.Option("--seeds", min=1, help="Seeds 0 to K-1 instead of the experiment's.")]
RetryOption = Annotated[bool, typer.Option("--retry-failed", help="Also try again what failed or was skipped.")]
StaleOption = Annotated[bool, typer.Option("--stale", help="Also run again what other code computed.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Machine-readable output.")]


@app.command()
def plan(
    experiment: ExperimentArg,
    store: StoreOption = Path("results"),
    data: DataOption = None,
    dataset: DatasetOption = None,
    variant: VariantOption = None,
    fold: FoldOption = None,
    seeds: SeedsOption = None,
    retry_failed: RetryOption = False,
    stale: StaleOption = False,
    as_json: JsonOption = False,
) -> None:
    """Expand the grid without running it: how many trials, what is stored already, what is left out and why."""
    from harness.views.plan import plan_facts, print_plan

    planned = _plan(experiment, store, data, dataset, variant, fold, seeds)
    facts = plan_facts(planned, retry_failed, stale)
    _print_json(facts) if as_json else print_plan(facts)


@app.command()
def run(
    experiment: ExperimentArg,
    store: StoreOption = Path("results"),
    data: DataOption = None,
    dataset: DatasetOption = None,
    variant: VariantOption = None,
    fold: FoldOption = None,
    seeds: SeedsOption = None,
    address: Annotated[str | None, typer.Option(help="A Ray cluster: 'auto' or HOST:PORT. [default: local]")] = None,
    cpus_per_trial: Annotated[float, typer.Option(help="Processors per trial.")] = 1.0,
    gpus_per_trial: Annotated[float, typer.Option(help="GPUs per trial; may be a fraction.")] = 0.0,
    max_concurrent: Annotated[int | None, typer.Option(min=1, help="At most so many at once.")] = None,
    timeout: Annotated[float | None, typer.Option(help="Seconds after which a trial is stopped.")] = None,
    keep_predictions: Annotated[str, typer.Option(help="all | first-seed | none")] = "first-seed",
    retry_failed: RetryOption = False,
    stale: StaleOption = False,
    as_json: JsonOption = False,
) -> None:
    """Run what is missing of an experiment through Ray Tune, and print its accuracy-score table."""
    from harness.cluster.resources import Resources, kept
    from harness.results import run_plan

    resources = Resources(address, cpus_per_trial, gpus_per_trial, max_concurrent, timeout)
    keep = kept(keep_predictions)
    planned = _plan(experiment, store, data, dataset, variant, fold, seeds)
    for excluded in planned.excluded:
        _say(f"left out: {excluded['dataset']}: {excluded['reason']}")
    command = shlex.join(["spadit", *sys.argv[1:]])
    try:
        results = run_plan(planned, resources, keep, retry_failed, stale, command=command)
    except KeyboardInterrupt:
        _say(f"\nInterrupted; what had finished is in {store}. To go on: {command}")
        raise typer.Exit(130) from None
    if results.computed == 0:
        settled = f", {len(planned.settled)} of them failed or skipped" if planned.settled else ""
        _say(f"Nothing to run: all {len(planned.trials)} trials of {results.name} are in {store}{settled}.")
    failed = len(results.failed)
    if as_json:
        counts = {"computed": results.computed, "trials": len(planned.trials), "ok": len(results.records())}
        _print_json(counts | {"failed": failed, "skipped": len(results.skipped), "store": str(store)})
    elif results.records():
        from harness.views.console import console
        from reports.report import print_table

        print_table(results.store, results.name, console())
    if failed:
        _say(f"{failed} of {len(planned.trials)} trials failed; see `spadit status --store {store}`.")
        raise typer.Exit(1)


@app.command()
def status(store: StoreOption = Path("results"), as_json: JsonOption = False) -> None:
    """What a store holds: trials by state, and every failure with its reason and the command that reruns it."""
    from harness.store import Store
    from harness.views.status import print_status, status_facts

    facts = status_facts(Store(_existing(store)))
    _print_json(facts) if as_json else print_status(facts)


@app.command()
def report(
    store: StoreOption = Path("results"),
    out: Annotated[Path, typer.Option("--out", help="Folder to write; replaced if it holds a report.")] = Path(
        "report"
    ),
    experiment: Annotated[str | None, typer.Option(help="Only this experiment. [default: all]")] = None,
    as_json: JsonOption = False,
) -> None:
    """Write tables (.csv .md .tex), figures and one HTML page from a store."""
    from harness.store import Store
    from reports.report import write_report

    written = write_report(Store(_existing(store)), out, experiment)
    if as_json:
        _print_json([str(path) for path in written])
    else:
        for path in written:
            typer.echo(path)


@app.command()
def methods(as_json: JsonOption = False) -> None:
    """All methods and their parts that were found, with their parameters and defaults."""
    from harness.views.methods import method_facts, print_methods

    facts = method_facts()
    _print_json(facts) if as_json else print_methods(facts)


@data_app.command("list")
def data_list(data: DataOption = None, as_json: JsonOption = False) -> None:
    """Every dataset there is: bundled ones, the paper's ten (present or not), and the pairs of your folders."""
    from harness.results import data_folders
    from harness.views.data import listing_facts, print_listing

    facts = listing_facts(data_folders(data))
    _print_json(facts) if as_json else print_listing(facts)


@data_app.command("check")
def data_check(
    dataset: Annotated[str, typer.Argument(help="A dataset's name, as `spadit data list` shows it.")],
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Validate one dataset and say what a newcomer wants to know of it."""
    from harness.results import data_folders
    from harness.views.data import check_facts, print_check

    facts = check_facts(dataset, data_folders(data))
    _print_json(facts) if as_json else print_check(facts)


@data_app.command("simulate")
def data_simulate(
    out: Annotated[Path, typer.Option("--out", help="The pair's folder, to be made; its name is the dataset's.")],
    spots: Annotated[int, typer.Option(min=20)] = 1000,
    cells: Annotated[int, typer.Option(min=50)] = 1000,
    genes: Annotated[int, typer.Option(min=10)] = 200,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    as_json: JsonOption = False,
) -> None:
    """Write a simulated pair of any size, for trying things out and for tests of scale."""
    from harness.datasets.simulated import simulate, write_pair

    if out.exists():
        raise BadInput(f"{out} exists already; name a folder that does not, or remove it first.")
    pair = simulate(spots, cells, genes, seed, name=out.name)
    write_pair(pair, out.parent)
    facts = {"dataset": out.name, "folder": str(out), "spots": spots, "cells": cells, "genes": genes, "id": pair.id}
    _print_json(facts) if as_json else typer.echo(
        f"{out}: {spots} spots, {cells} cells, {genes} genes (simulated). "
        f"Use it with: spadit run quickstart --data {out.parent} --dataset {out.name}"
    )


def main() -> None:
    """The console script: bad input is one sentence and exit code 2, never a traceback."""
    from models.component import ComponentError

    try:
        app(standalone_mode=True)
    except (BadInput, ComponentError) as error:
        _say(f"spadit: {' '.join(str(error).split())}")
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:  # the reader of our output has gone, as in `spadit methods | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:  # a full disk, a folder that may not be written
        if error.filename is None and error.strerror is None:
            raise
        _say(f"spadit: {error.filename or 'the system'}: {error.strerror}; make room or choose another folder.")
        sys.exit(2)


def _plan(
    experiment: str,
    store: Path,
    data: list[Path] | None,
    datasets: list[str] | None,
    variants: list[str] | None,
    folds: list[int] | None,
    seeds: int | None,
) -> Any:
    from harness.experiment import load_experiment
    from harness.results import make_plan
    from harness.store import Store

    asked = load_experiment(experiment).narrowed(datasets or (), variants or (), folds or (), seeds)
    folders: Any = data or None
    return make_plan(asked, Store(store), folders, strict=bool(datasets))


def _existing(store: Path) -> Path:
    if not store.is_dir():
        raise BadInput(f"There is no store {store}; `spadit run EXPERIMENT --store {store}` makes one.")
    return store


def _print_json(value: Any) -> None:
    typer.echo(json.dumps(value, indent=2, allow_nan=False))


def _say(text: str) -> None:
    typer.echo(text, err=True)


if __name__ == "__main__":
    main()
