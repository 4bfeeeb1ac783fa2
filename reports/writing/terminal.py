"""Tables in a terminal: colour where there is one, plain text elsewhere, readable at 100 columns."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence

from rich import box
from rich.console import Console, RenderableType
from rich.table import Table as RichTable
from rich.text import Text

from reports.writing.tables import Table

WIDTH = 100
"""Columns of a text that is not for a terminal."""

_NAME = 18
"""Columns a variant's name may claim before it is folded."""


def renderables(table: Table) -> Iterator[RenderableType]:
    """A table and what stands below it."""
    shown = RichTable(
        title=Text(table.caption, "bold"), title_justify="left", box=box.SIMPLE_HEAD, padding=0, pad_edge=False
    )
    shown.add_column(Text(table.corner), overflow="fold", min_width=min(_NAME, _longest(table)), vertical="bottom")
    for column in table.columns:
        # Headings are stacked word by word, so that ten columns of short numbers fit.
        words = " ".join(column.heading.split()).replace(" ", "\n")
        shown.add_column(
            Text(f"{words} {column.arrow}".strip()),
            justify="left" if column.text else "right",
            no_wrap=not column.text or len(table.columns) > 6,
            vertical="bottom",
        )
    filled = [(heading, lines) for heading, lines in table.groups if lines]
    for place, (heading, lines) in enumerate(filled):
        if place:
            shown.add_section()
            shown.add_row(Text(heading, "italic"))
        for line in lines:
            cells = [Text(cell.plain, "bold" if cell.emphasis == "best" else "") for cell in line.cells]
            shown.add_row(Text(line.label + line.marks), *cells)
    yield shown
    for mark, sentence in table.footnotes:
        yield Text(f"{mark} {sentence}".strip())
    if table.size:
        yield Text(table.size)
    yield Text("")


def text(tables: Sequence[Table], width: int = WIDTH) -> str:
    """Tables as plain text, no escape codes."""
    out = io.StringIO()
    console = Console(file=out, width=width, color_system=None, force_terminal=False)
    for table in tables:
        console.print(*renderables(table), sep="\n")
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines()).rstrip() + "\n"


def _longest(table: Table) -> int:
    return max((len(line.label + line.marks) for _, lines in table.groups for line in lines), default=0)
