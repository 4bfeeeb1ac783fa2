"""How tuned rows were tuned: what the winners promised, what they kept on test genes, and which settings mattered."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import spearmanr

from reports.family import Family, Section
from reports.figures.tuning_figures import drawings
from reports.published import METRICS, Published
from reports.reading.scores import Comparison
from reports.reading.tuned import Tried, front, parameters, pooled, tried
from reports.statistics.importances import FEWEST, Importance, importances
from reports.writing.tables import MISSING, Cell, Column, Footnotes, Line, Table, number

_TEXT = (
    "The settings of these rows were chosen by a search, on genes that the rows are not scored on: nested in each fold "
    "(an inner split of the genes visible there), or elsewhere (on other datasets). chosen is what a winner scored "
    "where it was chosen. It is the best of all that were tried, so it flatters; test is what it scored once, with "
    "fresh seeds, on genes that chose nothing. promised is chosen minus what the base of the space scored by the same "
    "genes, kept is test minus what the base scored there. Of a search over noise, all that is promised is lost.",
    "Importances say which settings went with good scores among the configurations that happened to be tried. "
    "PED-ANOVA asks what sets the best tenth apart, fANOVA what explains the variance; they differ, and a sampler that "
    "has stopped trying poor values hides that they are poor. They are hints of where to look. Claims about a part of "
    "a method rest on designed contrasts, on against off, as in an ablation.",
)


def section(comparison: Comparison) -> Section | None:
    """The family's tables, figures and tidy frame; nothing where no row was tuned."""
    found = tried(comparison)
    if not found:
        return None
    tables: list[Table] = []
    mattered: dict[str, list[Importance]] = {}
    for label, studies in found.items():
        tables.append(_winners(comparison, label, studies))
        tables += [_front(label, study) for study in studies if len(study.metric) > 1]
        frame = pooled(studies)
        names = parameters(frame)
        mattered[label] = importances(frame["centred"], frame[names], studies[0].higher) if len(frame) else []
        if mattered[label]:
            tables.append(_importances(label, studies, mattered[label]))
    return Section("How the tuned rows were tuned", _TEXT, as_frame(found), tuple(tables), drawings(found, mattered))


FAMILY = Family(place=25, section=section)


# ---------------------------------------------------------------------------------------------------------------
# Winners


def _winners(comparison: Comparison, label: str, studies: Sequence[Tried]) -> Table:
    """What each winner promised, and what it kept."""
    facts = comparison.asked.variants[label]["tuned"]
    metric, base = studies[0].metric[0], facts["base"]
    shown = next((m for m in METRICS if m.name == metric), METRICS[0])
    notes = Footnotes()
    names = ("chosen", "promised", "test", "kept")
    columns = (Column("tried"), *(Column(f"{shown.label} {name}", shown.arrow) for name in names))
    rows = [(study, dataset, fold) for study in studies for dataset, fold in _scored(comparison, study)]
    values = [_row(comparison, label, base, shown.name, study, dataset, fold) for study, dataset, fold in rows]
    lines = [
        Line(
            _place(dataset, fold),
            (Cell(str(len(study.configurations)), len(study.configurations)), *_cells(own, shown)),
        )
        for (study, dataset, fold), own in zip(rows, values, strict=True)
    ]
    if len(rows) > 1:
        lines.append(Line("mean", (Cell(MISSING), *_cells(np.nanmean(np.array(values), axis=0).tolist(), shown))))
    if any(cell.text == MISSING for line in lines for cell in line.cells):
        notes.mark(MISSING, "not known: a trial is missing, or it is no number of this row.")
    if shown.name != metric:
        notes.mark("Objective:", f"chosen and promised are of {metric}, test and kept of {shown.label}.")
    caption = f"{label}: what was promised where it was chosen, and what was kept on test genes"
    return Table(f"winners-{_safe(label)}", caption, "Chosen for", columns, (("", tuple(lines)),), notes.listed())


def _row(
    comparison: Comparison, label: str, base: str, metric: str, study: Tried, dataset: str, fold: int | None
) -> list[float]:
    """chosen, promised, test, kept; NaN where one is not known."""
    values = study.finished
    chosen = values.get(study.winner, math.nan)
    known = comparison.asked.variants[base]["component"]
    start = next((values[n] for n in values if study.configurations[n].component == known), math.nan)
    own, other = (_test(comparison, each, metric, dataset, fold) for each in (label, base))
    return [chosen, chosen - start, own, own - other]


def _scored(comparison: Comparison, study: Tried) -> list[tuple[str, int | None]]:
    """Where a study's winner is scored: its fold, or every dataset as a whole."""
    if study.fold is not None:
        return [(study.dataset, study.fold)]
    return [(dataset, None) for dataset in comparison.asked.datasets]


def _test(comparison: Comparison, label: str, metric: str, dataset: str, fold: int | None) -> float:
    """Mean over the test genes and the seeds; NaN where a trial is missing."""
    found: list[tuple[float, int]] = []
    for cell in comparison.asked.cells:
        if (cell["label"], cell["dataset"]) == (label, dataset) and fold in (None, cell["fold"]):
            record = comparison.records.get(cell["trial_id"])
            if record is None or record.means.get(metric) is None:
                return math.nan
            found.append((float(record.means[metric] or 0.0), record.n_genes["scored"]))
    return float(np.average([v for v, _ in found], weights=[n for _, n in found])) if found else math.nan


def _cells(values: Sequence[float], shown: Published) -> list[Cell]:
    return [Cell(number(value, shown.decimals, signed=place in (1, 3)), value) for place, value in enumerate(values)]


def _place(dataset: str, fold: int | None) -> str:
    return dataset if fold is None else f"{dataset}, fold {fold}"


def _safe(label: str) -> str:
    return "".join(c if c.isalnum() else "-" for c in label).strip("-")


# ---------------------------------------------------------------------------------------------------------------
# Pareto front and importances


def _front(label: str, study: Tried) -> Table:
    """The configurations that no other beats on every objective."""
    arrows = {m.name: m.arrow for m in METRICS} | {"as": "↑", "seconds": "↓", "memory": "↓"}
    decimals = {m.name: m.decimals for m in METRICS}
    units = {"seconds": "seconds", "memory": "memory, MiB"}
    columns = (*(Column(units.get(n, n), arrows[n]) for n in study.metric), Column("settings", text=True))
    lines = []
    for n in sorted(front(study), key=lambda n: -study.outcomes[n].values[study.metric[0]]):
        own = study.outcomes[n].values
        settings = ", ".join(f"{k} {_spelled(v)}" for k, v in study.configurations[n].params.items())
        digits = {name: decimals.get(name, 3 if abs(own[name]) < 10 else 0) for name in study.metric}
        cells = [Cell(number(own[name], digits[name]), own[name]) for name in study.metric]
        lines.append(Line(f"#{n}" + (" (scored)" if n == study.winner else ""), (*cells, Cell(settings))))
    caption = f"{label}: Pareto front of {' and '.join(study.metric)}, by the genes that chose ({study.named})"
    size = f"{len(lines)} of {len(study.finished)} finished configurations; values flatter, as those of winners do."
    name = f"front-{_safe(label)}-{_safe(study.named)}"
    return Table(name, caption, "Configuration", columns, (("", tuple(lines)),), (), size)


def _spelled(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _importances(label: str, studies: Sequence[Tried], found: Sequence[Importance]) -> Table:
    columns = (Column("PED-ANOVA"), Column("fANOVA"), Column("configurations"))
    lines = [
        Line(
            each.parameter.removeprefix("param:"),
            (
                Cell(number(each.ped_anova, 2), each.ped_anova),
                Cell(number(each.fanova, 2), each.fanova),
                Cell(str(each.configurations), each.configurations),
            ),
        )
        for each in found
    ]
    agreement = math.nan
    if len(found) > 2:
        agreement = float(spearmanr([e.ped_anova for e in found], [e.fanova for e in found]).statistic)
    said = "" if math.isnan(agreement) else f" Spearman's correlation of the two: {number(agreement, 2)}."
    studies_of = f" of {len(studies)} studies, each about its mean" if len(studies) > 1 else ""
    size = (
        f"Shares of importance, over the finished configurations{studies_of}; at least {FEWEST} have the setting.{said}"
    )
    caption = f"{label}: which settings went with good scores (hints)"
    return Table(f"importances-{_safe(label)}", caption, "Setting", columns, (("", tuple(lines)),), (), size)


# ---------------------------------------------------------------------------------------------------------------
# Tidy frame


def as_frame(found: Mapping[str, Sequence[Tried]]) -> pd.DataFrame:
    """One row per configuration: row, study, number, state, objectives, cost, how it came about, and its parameters."""
    rows: list[dict[str, Any]] = []
    for label, studies in found.items():
        for study in studies:
            for n, configuration in study.configurations.items():
                outcome = study.outcomes.get(n)
                facts: dict[str, Any] = {
                    "variant": label,
                    "dataset": study.dataset,
                    "fold": study.fold,
                    "number": n,
                    "state": "running" if outcome is None else outcome.state,
                    "won": n == study.winner,
                    "origin": configuration.origin,
                    "seen": configuration.seen,
                    "parts": None if outcome is None else outcome.parts,
                }
                if outcome is not None:
                    facts |= {f"objective_{name}": value for name, value in outcome.values.items()}
                    facts |= outcome.metrics | {"seconds": outcome.seconds, "memory_mib": outcome.memory}
                rows.append(facts | configuration.params)
    return pd.DataFrame(rows)
