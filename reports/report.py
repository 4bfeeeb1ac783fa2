"""`spadit report`: from a store to a folder of tables and figures with one page, and to a table in a terminal."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from harness.errors import BadInput
from harness.record import Asked
from harness.store import Store
from reports import page
from reports.families import accuracy_score
from reports.family import Section, families
from reports.figures import drawing
from reports.folder import Files, put
from reports.reading.scores import Comparison, read
from reports.writing import latex, tables, terminal
from reports.writing.budgets import budgeted
from reports.writing.in_short import in_short
from reports.writing.wording import headline, notes

if TYPE_CHECKING:
    from rich.console import Console


def write_report(store: Store, out: Path, experiment: str | None = None) -> list[Path]:
    """Write the report of one experiment into `out`, or of every experiment into `out/<name>/` with a page that leads
    to them; returns the files, the page to open first.

    Everything is made before anything is put in place, and what an earlier report left there goes. The same store gives
    the same bytes. `BadInput` if there is no such experiment, or no finished trial to report.
    """
    if out.exists() and not out.is_dir():
        raise BadInput(f"{out} is a file; give a folder for the report (it may not exist yet).")
    everything = _read(store, experiment)
    filled = _filled(store, everything)
    if experiment is not None or len(everything) == 1:
        return put(out, _files(filled[0]))
    files: Files = {}
    entries = []
    for comparison in filled:
        folder = _folder(comparison.asked.name)
        files |= {f"{folder}/{name}": data for name, data in _files(comparison).items()}
        entries.append(
            {
                "name": comparison.asked.name,
                "folder": folder,
                "title": comparison.asked.title,
                "headline": [in_short(comparison), *headline(comparison)],
            }
        )
    empty = [comparison.asked.name for comparison in everything if not comparison.records]
    files["index.html"] = page.render_overview(filled[0].store, entries, empty).encode()
    return put(out, files)


def comparisons(store: Store) -> list[Comparison]:
    """All experiments with a finished trial, by name; `BadInput` where there is none."""
    return _filled(store, _read(store))


def scores(store: Store, name: str) -> pd.DataFrame:
    """Everything that is known of each row on each dataset, tidy: see `accuracy_score.as_frame`."""
    return accuracy_score.as_frame(_comparison(store, name))


def table(store: Store, name: str, value: str = "accuracy_score") -> pd.DataFrame:
    """One column of `scores` as variants x datasets, see `accuracy_score.wide`."""
    return accuracy_score.wide(_comparison(store, name), value)


def print_table(store: Store, name: str, console: Console) -> None:
    """Print the accuracy-score tables of an experiment, with what must be known about them, and what came out."""
    comparison = _comparison(store, name)
    once, apart = tables.shared([budgeted(each, comparison.asked) for each in accuracy_score.tables(comparison)])
    for shown in apart:
        console.print(*terminal.renderables(shown), sep="\n")
    said = [f"{mark} {sentence}" for mark, sentence in once.listed()]
    if said:
        said = [tables.SHARED, *said, ""]
    said += [f"Note: {note}" for note in notes(comparison)]
    for line in (*said, in_short(comparison)):
        console.print(line, markup=False, highlight=False)


def _latest(store: Store, name: str | None) -> list[tuple[Asked, tuple[str, ...]]]:
    """The latest definition of each experiment, with the earlier ones' digits and what was predicted elsewhere.

    Answers from elsewhere are an experiment of their own only where no other asked the same.
    """
    by_name: dict[str, list[Asked]] = {}
    for asked in store.asked(name):
        by_name.setdefault(asked.name, []).append(asked)
    if not by_name:
        raise BadInput(f"The store {store.where} holds no experiment; run one with `spadit run` first.")
    latest = [(store.answered(each[-1]), each[:-1]) for _, each in sorted(by_name.items())]
    joined = {cell["trial_id"] for asked, _ in latest if not asked.external for cell in asked.cells}
    found = [(asked, tuple(older.definition for older in earlier)) for asked, earlier in latest]
    return [each for each in found if name or not each[0].external or not joined >= set(each[0].trial_ids)]


def _read(store: Store, experiment: str | None = None) -> list[Comparison]:
    return [read(store, asked, older) for asked, older in _latest(store, experiment)]


def _filled(store: Store, found: Sequence[Comparison]) -> list[Comparison]:
    """Those with a finished trial; `BadInput` where there is none."""
    filled = [comparison for comparison in found if comparison.records]
    if not filled:
        raise BadInput(
            f"The store {store.where} has no finished trial of {', '.join(each.asked.name for each in found)}; "
            "`spadit status` says why, `spadit run` runs what is missing."
        )
    return filled


def _comparison(store: Store, name: str) -> Comparison:
    return _filled(store, _read(store, name))[0]


def _files(comparison: Comparison) -> Files:
    """Name -> bytes of everything a comparison's report consists of."""
    sections = {
        name: _with_budgets(found, comparison.asked)
        for name, family in families().items()
        if (found := family.section(comparison)) is not None
    }
    files: Files = {}
    written: dict[str, list[str]] = {}
    svgs: dict[str, bytes] = {}
    for name, section in sections.items():
        own = {file: write(section).encode() for file, write in _writers(name, comparison).items()}
        if not section.tables:
            own = {file: data for file, data in own.items() if file.endswith(".csv")}
        files |= own
        written[name] = list(own)
        for each in section.drawings:
            kinds = drawing.saved(each.name, each.draw)
            svgs[each.name] = kinds["svg"]
            files |= {f"figures/{each.name}.{kind}": data for kind, data in kinds.items()}
    files["index.html"] = page.render(comparison, sections, svgs, written).encode()
    return files


def _with_budgets(section: Section, asked: Asked) -> Section:
    return replace(section, tables=tuple(budgeted(table, asked) for table in section.tables))


def _writers(name: str, comparison: Comparison) -> Mapping[str, Callable[[Section], str]]:
    said, title = notes(comparison), comparison.asked.name
    return {
        f"{name}.csv": lambda section: tables.csv(section.frame),
        f"{name}.md": lambda section: tables.markdown(f"{title}: {section.title}", section.tables, said),
        f"{name}.tex": lambda section: latex.fragment(section.tables, f"{title}-{name}"),
        f"{name}_standalone.tex": lambda section: latex.standalone(name),
    }


def _folder(name: str) -> str:
    # Names come from a store that others may have written.
    return re.sub(r"[^A-Za-z0-9._-]", "_", name).lstrip(".") or "_"
