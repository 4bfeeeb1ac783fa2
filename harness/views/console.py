"""The console that results are printed on."""

from __future__ import annotations

import shutil
import sys

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

PLAIN_WIDTH = 160
"""Width where stdout is no terminal: a listing piped into a file or `grep` keeps its rows on one line."""


def console() -> Console:
    """Standard output; colours and the terminal's width where there is one."""
    width = None if sys.stdout.isatty() else max(PLAIN_WIDTH, shutil.get_terminal_size().columns)
    return Console(highlight=False, width=width)


def listing(*columns: str, right: tuple[str, ...] = ()) -> Table:
    """An empty table in the house style."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for column in columns:
        table.add_column(column, justify="right" if column in right else "left", overflow="fold")
    return table
