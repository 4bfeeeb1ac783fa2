"""`spadit`: the command line, thin over the driver. Progress goes to stderr, results to stdout.

Exit codes: 0 all asked-for trials are ok or skipped; 1 some failed and the rest finished, or an audit found a leak;
2 bad input, one sentence; 130 interrupted, nothing lost.
"""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from harness.cli import audit, data, experiments, predictions, searches
from harness.cli._shared import say
from harness.errors import BadInput

app = typer.Typer(
    name="spadit",
    help="Which way of predicting unmeasured genes in spatial transcriptomics is better, by how much, and how sure?",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
app.add_typer(experiments.app)
app.add_typer(searches.app)
app.add_typer(predictions.app)
app.add_typer(audit.app)
app.add_typer(data.app)


def say_version(asked: bool) -> None:
    """Print the version that records name, and end."""
    if asked:
        from harness.trial import versions

        print(f"spadit {versions().get('spadit-harness', '(not installed)')}")
        raise typer.Exit


@app.callback()
def common(
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=say_version, help="Print the version and end.")
    ] = False,
) -> None:
    """What holds for no verb alone; the text of `--help` stands above."""


def main() -> None:
    """The console script: bad input is one sentence and exit code 2, never a traceback."""
    from harness.store.files import StoreFailed
    from models.component import ComponentError

    try:
        app(standalone_mode=True)
    except (BadInput, ComponentError, StoreFailed) as error:
        say(f"spadit: {' '.join(str(error).split())}")
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:  # the reader of our output has gone, as in `spadit methods | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:  # a full disk, a folder that may not be written
        if error.filename is None and error.strerror is None:
            raise
        say(f"spadit: {error.filename or 'the system'}: {error.strerror}; make room or choose another folder.")
        sys.exit(2)
