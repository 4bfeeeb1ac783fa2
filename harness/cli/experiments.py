"""`spadit plan | run | status | report | methods`: an experiment from grid to report."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from harness.cli._shared import (
    AddressOption,
    CheckpointOption,
    ConcurrentOption,
    DataOption,
    DatasetOption,
    ExperimentArg,
    FoldOption,
    JsonOption,
    PresetOption,
    RetryOption,
    SeedsOption,
    StaleOption,
    StoreOption,
    TimeoutOption,
    VariantOption,
    existing,
    print_json,
    say,
)
from harness.errors import BadInput

app = typer.Typer()


@app.command()
def plan(
    experiment: ExperimentArg,
    store: StoreOption = "results",
    preset: PresetOption = None,
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

    planned = _plan(experiment, preset, store, data, dataset, variant, fold, seeds)
    facts = plan_facts(planned, retry_failed, stale)
    print_json(facts) if as_json else print_plan(facts)


@app.command()
def run(
    experiment: ExperimentArg,
    store: StoreOption = "results",
    preset: PresetOption = None,
    data: DataOption = None,
    dataset: DatasetOption = None,
    variant: VariantOption = None,
    fold: FoldOption = None,
    seeds: SeedsOption = None,
    address: AddressOption = None,
    cpus_per_trial: Annotated[float, typer.Option(help="Processors per trial.")] = 1.0,
    gpus_per_trial: Annotated[
        str, typer.Option(help="GPUs per trial; may be a fraction, or 'auto': by the memory a trial needs.")
    ] = "0",
    max_concurrent: ConcurrentOption = None,
    timeout: TimeoutOption = None,
    checkpoint_every: CheckpointOption = 30.0,
    tensorboard: Annotated[str | None, typer.Option(help="Folder for TensorBoard logs.", show_default="none")] = None,
    keep_predictions: Annotated[str, typer.Option(help="all | first-seed | none")] = "first-seed",
    retry_failed: RetryOption = False,
    stale: StaleOption = False,
    as_json: JsonOption = False,
) -> None:
    """Run what is missing of an experiment through Ray Tune, and print its accuracy-score table."""
    from harness.cluster.resources import Resources, gpus, kept
    from harness.results import run_plan
    from harness.views.plan import left_out

    resources = Resources(address, cpus_per_trial, gpus(gpus_per_trial), max_concurrent, timeout, checkpoint_every)
    keep = kept(keep_predictions)
    planned = _plan(experiment, preset, store, data, dataset, variant, fold, seeds)
    for line in left_out(planned.excluded):
        say(line)
    command = shlex.join(["spadit", *sys.argv[1:]])
    try:
        results = run_plan(planned, resources, keep, retry_failed, stale, command=command, tensorboard=tensorboard)
    except KeyboardInterrupt:
        say(f"\nInterrupted; what had finished is in {store}. To go on: {command}")
        raise typer.Exit(130) from None
    if results.computed == 0:
        settled = f", {len(planned.settled)} of them failed or skipped" if planned.settled else ""
        say(f"Nothing to run: all {len(planned.trials)} trials of {results.name} are in {store}{settled}.")
    failed = len(results.failed)
    if as_json:
        counts = {"computed": results.computed, "trials": len(planned.trials), "ok": len(results.records())}
        print_json(counts | {"failed": failed, "skipped": len(results.skipped), "store": str(store)})
    elif results.records():
        from harness.views.console import console
        from reports.report import print_table

        print_table(results.store, results.name, console())
    if failed:
        say(f"{failed} of {len(planned.trials)} trials failed; see `spadit status --store {store}`.")
        raise typer.Exit(1)


@app.command()
def status(store: StoreOption = "results", as_json: JsonOption = False) -> None:
    """What a store holds: trials by state, and every failure with its reason and the command that reruns it."""
    from harness.views.status import print_status, status_facts

    facts = status_facts(existing(store))
    print_json(facts) if as_json else print_status(facts)


@app.command()
def report(
    store: StoreOption = "results",
    out: Annotated[Path, typer.Option("--out", help="Folder to write; replaced if it holds a report.")] = Path(
        "report"
    ),
    experiment: Annotated[str | None, typer.Option(help="Only this experiment.", show_default="all")] = None,
    summary: Annotated[
        Path | None, typer.Option(help="Instead: one Markdown file on all experiments, and what they support.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Write tables (.csv .md .tex), figures and one HTML page from a store."""
    from reports.report import write_report
    from reports.summary import write_summary

    if summary is not None and experiment is not None:
        raise BadInput("A summary is of all experiments of a store; leave --experiment out.")
    found = existing(store)
    written = write_report(found, out, experiment) if summary is None else [write_summary(found, summary)]
    if as_json:
        print_json([str(path) for path in written])
    else:
        typer.echo(written[0])
        if more := len(written) - 1:
            say(f"and {more} further files in {out}: tables (.csv .md .tex) and figures (.svg .pdf .png)")


@app.command()
def compact(store: StoreOption = "results", as_json: JsonOption = False) -> None:
    """Merge the small files of finished trials into few large ones; whatever reads the store cannot tell."""
    from harness.store.compaction import compact as merge

    found = existing(store)
    merged = merge(found)
    left = len(found.files.names("trials", ".json"))
    facts = {"store": found.where, "merged": merged, "packs": len(found.packs.all()), "small": left}
    print_json(facts) if as_json else typer.echo(f"{merged} trials of {found.where} merged; {facts['packs']} packs.")


@app.command()
def methods(
    name: Annotated[str | None, typer.Argument(help="Describe this method or part, and its choices.")] = None,
    as_json: JsonOption = False,
) -> None:
    """All methods and their parts that were found, with their parameters and defaults."""
    from harness.views.methods import method_facts, one_method, print_methods, print_one_method

    if name is None:
        facts = method_facts()
        print_json(facts) if as_json else print_methods(facts)
    else:
        one = one_method(name)
        print_json(one) if as_json else print_one_method(one)


def _plan(
    experiment: str,
    preset: str | None,
    store: str,
    data: list[str] | None,
    datasets: list[str] | None,
    variants: list[str] | None,
    folds: list[int] | None,
    seeds: int | None,
) -> Any:
    from harness.drivers import load_experiment
    from harness.results import make_plan
    from harness.store import Store

    asked = load_experiment(experiment, preset).narrowed(datasets or (), variants or (), folds or (), seeds)
    folders: Any = data or None
    return make_plan(asked, Store(store), folders, strict=bool(datasets))
