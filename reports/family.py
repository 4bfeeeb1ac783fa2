"""A family of tables and figures: what one file of `families/` contributes to a report.

A file that defines `FAMILY = Family(...)` is found by its name; the name is also that of the files it writes
(`<name>.csv`, `.md`, `.tex`) and of its place on the page. Adding a family is adding a file.
"""

from __future__ import annotations

import functools
import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd

from reports.reading.scores import Comparison
from reports.writing.tables import Table

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, eq=False)
class Drawing:
    """A figure: its file name, what it shows in one sentence, and how it is drawn."""

    name: str
    caption: str
    draw: Callable[[], Figure]


@dataclass(frozen=True, eq=False)
class Section:
    """What a family says about one comparison.

    text: what its numbers mean, a paragraph each. frame: the tidy table behind it, written as CSV in full.
    browse: columns of `frame` for a table on the page that can be searched; empty for none.
    """

    title: str
    text: tuple[str, ...]
    frame: pd.DataFrame
    tables: tuple[Table, ...] = ()
    drawings: tuple[Drawing, ...] = ()
    browse: tuple[str, ...] = ()


@dataclass(frozen=True)
class Family:
    """place: order on the page, lower first. section: a comparison -> its section, or None if it has nothing to say."""

    place: int
    section: Callable[[Comparison], Section | None]


@functools.cache
def families() -> dict[str, Family]:
    """The families by name, in the order of the page."""
    import reports.families

    modules = {
        info.name: importlib.import_module(f"reports.families.{info.name}")
        for info in pkgutil.iter_modules(reports.families.__path__)
    }
    found = {name: module.FAMILY for name, module in modules.items() if isinstance(vars(module).get("FAMILY"), Family)}
    return dict(sorted(found.items(), key=lambda item: (item[1].place, item[0])))
