"""`spadit tune`: search for the settings of methods, by genes that are not the ones the winners are scored on."""

from __future__ import annotations

import dataclasses
import shlex
import sys
from typing import Annotated, Any

import typer

from harness.cli._shared import (
    AddressOption,
    CheckpointOption,
    ConcurrentOption,
    DataOption,
    DatasetOption,
    JsonOption,
    PresetOption,
    RetryOption,
    StoreOption,
    TimeoutOption,
    print_json,
    say,
)

app = typer.Typer()


@app.command()
def tune(
    experiment: Annotated[
        str, typer.Argument(help="A name in experiments/, or the path of a file, whose EXPERIMENT is a Search.")
    ],
    trials: Annotated[
        int, typer.Option("--trials", min=1, help="Configurations per study in all; a second call does the remainder.")
    ],
    store: StoreOption = "results",
    preset: PresetOption = None,
    data: DataOption = None,
    dataset: DatasetOption = None,
    space: Annotated[list[str] | None, typer.Option("--space", help="Only this space; repeatable.")] = None,
    fold: Annotated[
        list[int] | None, typer.Option("--fold", help="Search and score in this fold only; repeatable.")
    ] = None,
    metric: Annotated[
        list[str] | None,
        typer.Option(
            "--metric",
            help="What is made better: pcc | ssim | rmse | js | as, then seconds | memory; repeatable for a Pareto "
            "front. Never of test genes.",
            show_default="the search's",
        ),
    ] = None,
    sampler: Annotated[
        str | None, typer.Option(help="tpe | gp | random | qmc.", show_default="the search's, else tpe")
    ] = None,
    scheduler: Annotated[
        str | None, typer.Option(help="asha (ends poor ones early) | none.", show_default="the search's, else none")
    ] = None,
    seed: Annotated[
        int | None, typer.Option(min=0, help="Seed of the sampler.", show_default="the search's, else 0")
    ] = None,
    earlier: Annotated[
        bool, typer.Option("--earlier", help="Start from what the store has of these spaces; it counts as tried.")
    ] = False,
    storage: Annotated[
        str | None,
        typer.Option(
            help="Database for Optuna's studies (postgresql://.., sqlite:///..), which several drivers on an object "
            "store share.",
            show_default="a journal in the store",
        ),
    ] = None,
    address: AddressOption = None,
    cpus_per_trial: Annotated[float, typer.Option(help="Processors per configuration.")] = 1.0,
    gpus_per_trial: Annotated[
        str, typer.Option(help="GPUs per configuration; may be a fraction, or 'auto': by the memory it needs.")
    ] = "0",
    max_concurrent: ConcurrentOption = None,
    timeout: TimeoutOption = None,
    checkpoint_every: CheckpointOption = 30.0,
    keep_predictions: Annotated[str, typer.Option(help="all | first-seed | none, of the winners")] = "first-seed",
    retry_failed: RetryOption = False,
    plan: Annotated[bool, typer.Option("--plan", help="Say what it comes to, and run nothing.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Search with Optuna through Ray Tune; score the winners once, with fresh seeds, on genes that chose nothing."""
    from harness.cluster.resources import gpus, kept
    from harness.drivers import load_question
    from harness.search import SAMPLERS, SCHEDULERS, Search, named, search
    from harness.views.plan import left_out
    from harness.views.searches import found_facts, print_found

    asked = load_question(experiment, Search, preset)
    changes: dict[str, Any] = {}
    if metric:
        changes["metric"] = tuple(metric)
    if sampler is not None:
        changes["sampler"] = named("sampler", SAMPLERS, sampler)
    if scheduler is not None:
        changes["halving"] = named("scheduler", SCHEDULERS, scheduler)
    if earlier:
        changes["earlier"] = True
    if seed is not None:
        changes["seed"] = seed
    asked = dataclasses.replace(asked, **changes).narrowed(dataset or (), space or (), fold or ())
    if plan:
        from harness.results import data_folders
        from harness.store import Store
        from harness.views.search_plan import print_search_plan, search_plan_facts

        comes_to = search_plan_facts(asked, trials, Store(store), data_folders(data), strict=bool(dataset))
        print_json(comes_to) if as_json else print_search_plan(comes_to)
        return
    command = shlex.join(["spadit", *sys.argv[1:]])
    try:
        found = search(
            asked,
            trials,
            store,
            data or None,
            storage=storage,
            address=address,
            cpus_per_trial=cpus_per_trial,
            gpus_per_trial=gpus(gpus_per_trial),
            max_concurrent=max_concurrent,
            timeout=timeout,
            checkpoint_every=checkpoint_every,
            keep_predictions=kept(keep_predictions),
            retry_failed=retry_failed,
            strict=bool(dataset),
            command=command,
        )
    except KeyboardInterrupt:
        say(f"\nInterrupted; what had finished is in {store}. To go on: {command}")
        raise typer.Exit(130) from None
    for line in left_out(found.results.asked.excluded):
        say(line)
    facts = found_facts(asked, found)
    print_json(facts) if as_json else print_found(facts, found)
    if failed := len(found.results.failed):
        say(f"{failed} trials of the winners failed; see `spadit status --store {store}`.")
        raise typer.Exit(1)
