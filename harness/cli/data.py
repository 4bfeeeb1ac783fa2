"""`spadit data ...`: what there is, whether it can be used, getting it, giving a problem away, and simulated pairs."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import Annotated

import typer

from harness.cli._shared import DataOption, JsonOption, print_json, say, transfer
from harness.errors import BadInput

app = typer.Typer(
    name="data", help="Datasets: what is there, whether it can be used, fetching, exporting and simulating.",
    no_args_is_help=True,
)  # fmt: skip


@app.command("list")
def data_list(data: DataOption = None, as_json: JsonOption = False) -> None:
    """Every dataset there is: bundled ones, the paper's ten (present or not), and the pairs of your folders."""
    from harness.results import data_folders
    from harness.views.data import listing_facts, print_listing

    facts = listing_facts(data_folders(data))
    print_json(facts) if as_json else print_listing(facts)


@app.command("check")
def data_check(
    dataset: Annotated[str, typer.Argument(help="A dataset's name, as `spadit data list` shows it.")],
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Validate one dataset and say what a newcomer wants to know of it."""
    from harness.results import data_folders
    from harness.views.data import check_facts, print_check

    facts = check_facts(dataset, data_folders(data))
    print_json(facts) if as_json else print_check(facts)


@app.command("simulate")
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
    print_json(facts) if as_json else typer.echo(
        f"{out}: {spots} spots, {cells} cells, {genes} genes (simulated). "
        f"Use it with: spadit run quickstart --data {out.parent} --dataset {out.name}"
    )


@app.command("export")
def data_export(
    dataset: Annotated[str, typer.Argument(help="A dataset's name, as `spadit data list` shows it.")],
    out: Annotated[Path, typer.Option("--out", help="The folder to make.")],
    fold: Annotated[
        int | None, typer.Option("--fold", min=0, help="This fold alone, straight into OUT.", show_default="all five")
    ] = None,
    sampling_rate: Annotated[float, typer.Option("--sampling-rate", help="Share of the visible counts to keep.")] = 1.0,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write problems for a method that runs elsewhere, without the truth; `spadit score` takes the answers.

    Every fold has a folder of its own, OUT/fold0, OUT/fold1, ...; once all are answered, the tables have the numbers.
    """
    from harness.datasets import load
    from harness.export import FILES, export, export_folds
    from harness.results import data_folders

    pair = load(dataset, data_folders(data))
    if fold is None:
        tasks = export_folds(pair, out, sampling_rate)
        places, answers, alone = [out / f"fold{asked.fold}" for asked in tasks], "answers/{fold}.csv", ""
    else:
        tasks = [export(pair, out, fold, sampling_rate)]
        places, answers, alone = [out], "answer.csv", f" One fold of {tasks[0].split.folds}; leave --fold out for all."
    files = [[str(place / name) for name in FILES] for place in places]
    facts = [{"fold": t.fold, "task_id": t.id, "files": each} for t, each in zip(tasks, files, strict=True)]
    if as_json:
        print_json({"folds": facts} if fold is None else facts[0])
    else:
        typer.echo("\n".join(map(str, places) if fold is None else files[0]))
    where = "".join(f" --data {shlex.quote(folder)}" for folder in data or ())
    say(
        f"spotN is row N of the ST file, counted from 0.{alone} Then: spadit score --task {shlex.quote(str(out))} "
        f"--prediction NAME={answers} --store results{where}"
    )


@app.command("fetch")
def data_fetch(
    name: Annotated[str, typer.Argument(help="The dataset's name; its folder is made in the data folder.")],
    url: Annotated[list[str], typer.Option("--url", help="One archive (.zip .tar .tar.gz), or the files of the pair.")],
    sha256: Annotated[list[str] | None, typer.Option("--sha256", help="Expected sum, one for each --url.")] = None,
    data: DataOption = None,
    timeout: Annotated[float, typer.Option("--timeout", help="Seconds without a byte after which it gives up.")] = 60.0,
    as_json: JsonOption = False,
) -> None:
    """Download a pair into a data folder: resumed where it was cut, checked, and read once before it appears."""
    from harness.datasets import Patience, fetch

    folder = _to_write(data)
    with transfer(name) as progress:
        place = fetch(name, url, folder, sha256 or (), progress=progress, patience=Patience(silence=timeout))
    print_json({"dataset": name, "folder": str(place)}) if as_json else typer.echo(
        f"{place}: read without complaint. Next: spadit data check {name} --data {folder}"
    )


def _to_write(data: list[str] | None) -> Path:
    """The one local data folder that a pair is put into; it need not exist yet."""
    from harness.reading.uri import several

    named = data or several(os.environ.get("SPADIT_DATA", ""))
    if len(named) != 1:
        given = "none is given" if not named else f"{len(named)} are given"
        raise BadInput(f"A pair is fetched into one data folder, and {given}; name it with --data FOLDER.")
    return Path(named[0])
