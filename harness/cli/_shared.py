"""What the verbs of the command line share: options that mean the same everywhere, and how they speak."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from harness.errors import BadInput

if TYPE_CHECKING:
    from harness.store import Store

ExperimentArg = Annotated[str, typer.Argument(help="A name in experiments/, or the path of a file with EXPERIMENT.")]
StoreOption = Annotated[str, typer.Option("--store", help="Folder of records, or its URI (s3://..); made if need be.")]
DataOption = Annotated[
    list[str] | None,
    typer.Option("--data", help="Folder of dataset pairs, or its URI; repeatable.", show_default="$SPADIT_DATA"),
]
DatasetOption = Annotated[
    list[str] | None, typer.Option("--dataset", help="Run on this dataset instead of the experiment's; repeatable.")
]
VariantOption = Annotated[list[str] | None, typer.Option("--variant", help="Only this variant; repeatable.")]
PresetOption = Annotated[
    str | None,
    typer.Option("--preset", help="The experiment at this size, if it has several: tiny | small | paper."),
]
FoldOption = Annotated[list[int] | None, typer.Option("--fold", help="Only this fold; repeatable.")]
SeedsOption = Annotated[int | None, typer.Option("--seeds", min=1, help="Seeds 0 to K-1 instead of the experiment's.")]
RetryOption = Annotated[bool, typer.Option("--retry-failed", help="Also try again what failed or was skipped.")]
StaleOption = Annotated[bool, typer.Option("--stale", help="Also run again what other code computed.")]
AddressOption = Annotated[str | None, typer.Option(help="A Ray cluster: 'auto' or HOST:PORT.", show_default="local")]
ConcurrentOption = Annotated[int | None, typer.Option(min=1, help="At most so many at once.")]
TimeoutOption = Annotated[float | None, typer.Option(help="Seconds after which a trial is stopped.")]
CheckpointOption = Annotated[
    float, typer.Option(help="Seconds between two checkpoints of a trial: so much is lost with its worker.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Machine-readable output.")]
RowsOption = Annotated[
    str | None,
    typer.Option("--rows", help="What the rows of the files are: spots | genes.", show_default="spots, checked"),
]
PredictionOption = Annotated[
    list[str], typer.Option("--prediction", help="NAME=FILE (.csv .tsv .parquet .h5ad), spots x genes; repeatable.")
]


def existing(where: str) -> Store:
    """The store there; `BadInput` where there is none."""
    from harness.store import Store

    store = Store(where)
    if not any(store.files.names(folder, ".json") for folder in ("experiments", "trials", "unfinished")):
        raise BadInput(f"There is no store {store.where}; `spadit run EXPERIMENT --store {store.where}` makes one.")
    return store


def print_json(value: Any) -> None:
    """Results for a program, on stdout."""
    typer.echo(json.dumps(value, indent=2, allow_nan=False))


def say(text: str) -> None:
    """Progress and remarks, on stderr."""
    typer.echo(text, err=True)


@contextmanager
def bar(what: str) -> Iterator[Callable[[float], None]]:
    """A progress bar on stderr, in a terminal only; what it gives is called with the share that is done."""
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as progress:
        task = progress.add_task(what, total=1.0)
        yield lambda share: progress.update(task, completed=share)


@contextmanager
def transfer(what: str) -> Iterator[Callable[[int, int | None], None]]:
    """A progress bar of a download; what it gives is called with the bytes that are there and those expected."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    quiet = not sys.stderr.isatty()
    with Progress(*columns, console=Console(stderr=True), transient=True, disable=quiet) as progress:
        task = progress.add_task(what, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)
