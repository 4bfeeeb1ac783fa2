"""One page per experiment: a single file that needs nothing from anywhere, readable by eye, keyboard and ear."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import jinja2
import numpy as np
import pandas as pd
from markupsafe import Markup

from reports.family import Section
from reports.figures.drawing import inline
from reports.reading.scores import Comparison
from reports.writing import latex, lineage
from reports.writing.in_short import in_short
from reports.writing.settings import kinds
from reports.writing.tables import SHARED, shared
from reports.writing.wording import headline, notes

ROWS = 50_000
"""The most rows of a table that can be searched on the page; the CSV has all."""

DECIMALS = 4

_HEADINGS = {
    "dataset": "Dataset",
    "sampling_rate": "Rate",
    "gene": "Gene",
    "variant": "Variant",
    "pcc": "PCC ↑",
    "ssim": "SSIM ↑",
    "rmse": "RMSE ↓",
    "js": "JS ↓",
    "js_flat": "JS of flat",
    "bias": "bias",
    "truth_sd": "truth sd",
}


def render(
    comparison: Comparison,
    sections: Mapping[str, Section],
    drawings: Mapping[str, bytes],
    files: Mapping[str, Sequence[str]],
) -> str:
    """The page of a comparison. drawings: figure name -> SVG. files: section name -> what was written beside it."""
    asked = comparison.asked
    return _template("page.html.j2").render(
        name=asked.name,
        title=asked.title,
        shared_heading=SHARED,
        in_short=in_short(comparison),
        headline=headline(comparison),
        notes=notes(comparison),
        sections=[
            {
                "name": name,
                "title": section.title,
                "text": section.text,
                **_tables(section),
                "figures": [
                    {"name": d.name, "caption": d.caption, "svg": Markup(inline(d.name, drawings[d.name]))}
                    for d in section.drawings
                ],
                "browse": _browse(section.frame, section.browse),
                "files": files[name],
            }
            for name, section in sections.items()
        ],
        unfinished=lineage.unfinished(comparison),
        protocol=lineage.protocol(comparison),
        origin=lineage.origin(comparison),
        commands=lineage.commands(comparison),
        explain=lineage.explain(comparison),
        kinds=kinds(comparison),
    )


def _tables(section: Section) -> dict[str, object]:
    """Each table without what several say, and whole for its LaTeX, which stands alone; and what is shared."""
    once, apart = shared(section.tables)
    return {"shared": once.listed(), "tables": list(zip(apart, section.tables, strict=True))}


def render_overview(store: str, entries: Sequence[Mapping[str, object]], empty: Sequence[str]) -> str:
    """The page that leads to several. entries: name, folder, title, headline. empty: names without a finished trial."""
    return _template("overview.html.j2").render(store=store, entries=entries, empty=empty)


def _template(name: str) -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("reports"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
    )
    environment.filters["latex"] = lambda table, prefix: latex.fragment([table], prefix)
    return environment.get_template(name)


def _browse(frame: pd.DataFrame, names: tuple[str, ...]) -> dict[str, Any] | None:
    """A frame's columns, compact: words as places in a list, numbers rounded; an equal share for each dataset."""
    if not names:
        return None
    datasets = frame["dataset"].nunique()
    kept = frame.groupby("dataset", sort=False).head(max(1, ROWS // datasets))
    words: list[list[str] | None] = []
    columns: list[list[object]] = []
    for name in names:
        if pd.api.types.is_numeric_dtype(kept[name]):
            words.append(None)
            values = np.round(kept[name].to_numpy(np.float64), DECIMALS)
            columns.append([None if math.isnan(value) else float(value) for value in values])
        else:
            codes, found = pd.factorize(kept[name])
            words.append([str(word) for word in found])
            columns.append([int(code) for code in codes])
    return {
        "headings": [_HEADINGS.get(name, name) for name in names],
        "choices": [
            {"heading": _HEADINGS[name], "column": i, "options": words[i]}
            for i, name in enumerate(names)
            if name in ("dataset", "variant") and len(words[i] or ()) > 1
        ],
        "rows": len(kept),
        "total": len(frame),
        "data": {"words": words, "decimals": DECIMALS, "rows": list(map(list, zip(*columns, strict=True)))},
    }
