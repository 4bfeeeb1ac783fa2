"""One model of a table, and its Markdown; `latex`, `terminal` and `page` write the same model their way.

Cells hold plain text and marks, never markup: each writer escapes for its own language.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import pandas as pd

MISSING = "--"
"""What stands where there is no number; a table that uses it explains it in a footnote."""

SHARED = "For all tables here, unless a note below one says otherwise:"
"""Above the footnotes that several tables have."""

TIED = "≈"
"""Mark of a row that cannot be told from the best."""

Emphasis = Literal["", "best", "tied"]


@dataclass(frozen=True)
class Cell:
    """Text as shown, the number it is sorted by (None: last), and whether it is the best or tied with the best."""

    text: str
    sort: float | str | None = None
    emphasis: Emphasis = ""

    @property
    def plain(self) -> str:
        """The text with its tie mark, for writers without typography."""
        return f"{self.text} {TIED}" if self.emphasis == "tied" else self.text


@dataclass(frozen=True)
class Column:
    """A heading, the arrow of better values ("" where there is none), and whether its cells are text."""

    heading: str
    arrow: str = ""
    text: bool = False

    @property
    def shown(self) -> str:
        """The heading with its arrow."""
        return f"{self.heading} {self.arrow}".strip()


@dataclass(frozen=True)
class Line:
    """A row's label with its footnote marks, and its cells."""

    label: str
    cells: tuple[Cell, ...]
    marks: str = ""


@dataclass(frozen=True)
class Table:
    """A table for people.

    name: file-safe and unique in its section. groups: (heading, lines); a rule stands between groups.
    footnotes: (mark, sentence), in order. size: what it is about: variants x datasets x folds x seeds, failures.
    """

    name: str
    caption: str
    corner: str
    columns: tuple[Column, ...]
    groups: tuple[tuple[str, tuple[Line, ...]], ...]
    footnotes: tuple[tuple[str, str], ...] = ()
    size: str = ""


@dataclass(frozen=True)
class Footnotes:
    """Collects footnotes in the order of first use; the same sentence keeps its mark."""

    found: dict[str, str] = field(default_factory=dict)

    def mark(self, symbol: str, sentence: str) -> str:
        """The symbol, after noting its sentence."""
        self.found.setdefault(symbol, sentence)
        return symbol

    def flags(self, flags: Sequence[str]) -> None:
        """Note what the protocol, the task or the data demand to be said beside every number."""
        if flags:
            self.mark("Flag:", f"{'; '.join(flags)}.")

    def listed(self) -> tuple[tuple[str, str], ...]:
        """(mark, sentence) in order of first use."""
        return tuple(self.found.items())


ALWAYS = ("Flag:", "Tuned:")
"""Marks of what must stand beside every number, however often it was said before."""


def shared(tables: Sequence[Table]) -> tuple[Footnotes, tuple[Table, ...]]:
    """The footnotes that several of these tables have, to be said once, and the tables without them.

    Of a mark with several meanings the most frequent is shared; a table that means another says so itself.
    """
    times = Counter(note for table in tables for note in table.footnotes if note[0] not in ALWAYS)
    often = {mark: (mark, said) for (mark, said), n in reversed(times.most_common()) if n > 1}
    once = Footnotes()
    for mark, said in (note for table in tables for note in table.footnotes):
        if often.get(mark) == (mark, said):
            once.mark(mark, said)
    own = (tuple(note for note in table.footnotes if often.get(note[0]) != note) for table in tables)
    return once, tuple(replace(table, footnotes=left) for table, left in zip(tables, own, strict=True))


def number(value: float, decimals: int, signed: bool = False) -> str:
    """A number with fixed decimals; `MISSING` for NaN, and never a negative zero."""
    if math.isnan(value):
        return MISSING
    text = f"{value:+.{decimals}f}" if signed else f"{value:.{decimals}f}"
    return text.replace("-", "", 1) if float(text) == 0 and text.startswith("-") else text


def interval(low: float, high: float, decimals: int) -> str:
    """[low, high], or `MISSING`."""
    if math.isnan(low):
        return MISSING
    return f"[{number(low, decimals)}, {number(high, decimals)}]"


def markdown(title: str, tables: Sequence[Table], notes: Sequence[str] = ()) -> str:
    """Tables as GitHub Markdown; every label is escaped, so that no name can become markup."""
    once, apart = shared(tables)
    parts = [f"# {markdown_text(title)}", "", *markdown_shared(once)]
    for table in apart:
        parts += [f"## {markdown_text(table.caption)}", "", *markdown_lines(table)]
    parts += [f"- {markdown_text(note)}" for note in notes]
    return "\n".join(parts).rstrip() + "\n"


def markdown_shared(once: Footnotes) -> list[str]:
    """What is said once for several tables, as Markdown; an empty line stands last."""
    if not once.found:
        return []
    return [SHARED, "", *_markdown_notes(once.listed()), ""]


def markdown_lines(table: Table) -> list[str]:
    """One table with its footnotes and its size, without its caption; an empty line stands last."""
    headings = [table.corner, *(column.shown for column in table.columns)]
    lines = [_pipe(markdown_text(heading) for heading in headings)]
    lines.append(_pipe([":---", *(":---" if c.text else "---:" for c in table.columns)]))
    for place, (heading, own) in enumerate(table.groups):
        if place and own:
            lines.append(_pipe([f"*{markdown_text(heading)}*", *("" for _ in table.columns)]))
        for line in own:
            lines.append(_pipe([markdown_text(line.label + line.marks), *map(_markdown_cell, line.cells)]))
    lines.append("")
    lines += _markdown_notes(table.footnotes)
    return [*lines, markdown_text(table.size), ""] if table.size else [*lines, ""]


def _markdown_notes(notes: Iterable[tuple[str, str]]) -> list[str]:
    return [f"{markdown_text(mark)} {markdown_text(text)}  " for mark, text in notes]


def markdown_text(text: str) -> str:
    """Text that Markdown shows as it is."""
    escaped = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    for character in "\\`*_{}[]|#~$":
        escaped = escaped.replace(character, f"\\{character}")
    return " ".join(escaped.split())


def csv(frame: pd.DataFrame) -> str:
    """A tidy frame as CSV: nine significant digits, empty where there is no number, one line end everywhere."""
    return frame.to_csv(index=False, float_format="%.9g", lineterminator="\n")


def _markdown_cell(cell: Cell) -> str:
    text = markdown_text(cell.text)
    if cell.emphasis == "best":
        return f"**{text}**"
    return f"{text} {TIED}" if cell.emphasis == "tied" else text


def _pipe(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cells) + " |"
