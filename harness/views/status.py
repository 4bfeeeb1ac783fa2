"""`spadit status`: what a store holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.markup import escape
from rich.table import Table

from harness.metrics import metrics
from harness.record import Asked, Record
from harness.store import Store
from harness.store.claims import Claim, claims
from harness.store.damage import damaged_names
from harness.views._rerun import rerun
from harness.views.console import console, listing

STATES = ("ok", "running", "failed", "skipped", "missing")
"""What can be said of a trial that was asked for."""


def status_facts(store: Store) -> dict[str, Any]:
    """Trials by state per experiment, each failure and skip with reason, cause and the command that reruns it.

    `now`: what runs, as claims tell wherever it runs. `searches`: each study with its configurations by state, the best
    value so far, why some failed, and what of it runs. `damaged` are files that were set aside.
    """
    done = store.done()
    running = {i: claim for i, claim in claims(store.files).items() if i not in done}
    unfinished = {record.trial_id: record for record in store.unfinished() if record.trial_id not in done}
    experiments = []
    for asked in store.asked():
        ids = asked.trial_ids
        cells = {cell["trial_id"]: cell for cell in reversed(asked.cells)}
        states = [_state(i, done, unfinished, running) for i in ids]
        experiments.append(
            {
                "experiment": asked.name,
                "definition": asked.definition,
                "title": asked.title,
                "trials": len(ids),
                **{state: states.count(state) for state in STATES},
                "now": [_running(cells[i], running[i]) for i in ids if i in running],
                "problems": _problems(asked, cells, unfinished, store),
                "excluded": [dict(e) for e in asked.excluded],
            }
        )
    return {
        "store": store.where,
        "records": len(done),
        "unfinished": len(unfinished),
        "damaged": damaged_names(store),
        "experiments": experiments,
        "searches": sorted(
            (_study(store, study, facts, running) for study, facts in store.studies().items()),
            key=lambda s: (s["search"], s["label"], s["dataset"], -1 if s["fold"] is None else s["fold"]),
        ),
    }


def print_status(facts: dict[str, Any]) -> None:
    """The facts for a person."""
    out = console()
    numbers = ("trials", *STATES)
    table = listing("experiment", "version", *numbers, right=numbers)
    for row in facts["experiments"]:
        table.add_row(escape(row["experiment"]), row["definition"], *[str(row[n]) for n in numbers])
    out.print(table)
    for row in facts["experiments"]:
        for trial in row["now"]:
            out.print(
                f"\n[bold]running[/bold] on {escape(trial['node'])} since {trial['since']}: {_where(trial)}",
                soft_wrap=True,
            )
        for alike in _alike(row["problems"]):
            first = alike[0]
            cause = "" if first["cause"] == first["status"] else f" ({first['cause']}{_tries(first)})"
            where = _where(first) if len(alike) == 1 else _row(first, len(alike))
            out.print(f"\n[bold]{first['status']}[/bold]{cause}: {where}", soft_wrap=True)
            out.print(f"  {escape(first['reason'])}", soft_wrap=True)
            out.print(f"  {escape(first['rerun' if len(alike) == 1 else 'rerun_all'])}", soft_wrap=True)
    if facts["searches"]:
        out.print(_studies(facts["searches"]))
    for study in facts["searches"]:
        for failed in study["problems"]:
            out.print(f"\n[bold]failed[/bold]: {_topic(study)} · #{failed['number']}", soft_wrap=True)
            out.print(f"  {escape(failed['reason'])}", soft_wrap=True)
    if facts["damaged"]:
        out.print(f"\n{len(facts['damaged'])} damaged files were set aside in {escape(facts['store'])}/damaged.")
    out.print(f"\n{facts['records']} finished trials in {escape(facts['store'])}.")


def _studies(studies: Sequence[Mapping[str, Any]]) -> Table:
    numbers = ("configurations", "running", "finished", "stopped", "failed", "best so far")
    table = listing("search", "study", *numbers, right=numbers)
    for each in studies:
        best = "" if each["best"] is None else f"{each['metric'][0]} {each['best']:.3f}"
        cells = [str(each[name]) for name in numbers[:-1]]
        table.add_row(escape(each["search"]), _topic(each), *cells, best)
    return table


def _topic(study: Mapping[str, Any]) -> str:
    inside = [] if study["fold"] is None else [study["dataset"], f"fold {study['fold']}"]
    return escape(" · ".join([study["label"], *inside]))


def _study(store: Store, study: str, facts: Mapping[str, Any], running: Mapping[str, Claim]) -> dict[str, Any]:
    """One study: configurations by state, and the best finished one so far."""
    configurations, outcomes = store.configurations(study), store.outcomes(study)
    metric, states = facts["metric"], [outcome.state for outcome in outcomes.values()]
    values = [outcome.values[metric[0]] for outcome in outcomes.values() if outcome.state == "finished"]
    less = metric[0] in metrics() and not metrics()[metric[0]].higher_is_better
    known = {name: facts[name] for name in ("search", "label", "dataset", "fold", "metric")}
    return {
        "study": study,
        **known,
        "configurations": len(configurations),
        "running": sum(any(trial in running for trial in c.trials) for c in configurations.values()),
        **{state: states.count(state) for state in ("finished", "stopped", "failed")},
        "best": None if not values else min(values) if less else max(values),
        "problems": [{"number": n, "reason": o.reason} for n, o in outcomes.items() if o.state == "failed"],
    }


def _where(trial: Mapping[str, Any]) -> str:
    rate = "" if trial["sampling_rate"] == 1 else f" · sampling rate {trial['sampling_rate']:g}"
    return escape(f"{trial['label']} · {trial['dataset']} · fold {trial['fold']} · seed {trial['seed']}{rate}")


def _row(trial: Mapping[str, Any], count: int) -> str:
    return escape(f"{trial['label']} · {trial['dataset']} · {count} trials")


def _tries(problem: Mapping[str, Any]) -> str:
    return "" if problem["attempts"] == 1 else f", {problem['attempts']} attempts"


def _alike(problems: Sequence[Mapping[str, Any]]) -> list[list[Mapping[str, Any]]]:
    """Those of one variant on one dataset that ended alike, for the same reason, together."""
    found: dict[tuple[str, ...], list[Mapping[str, Any]]] = {}
    for problem in problems:
        key = tuple(str(problem[name]) for name in ("status", "cause", "attempts", "label", "dataset", "reason"))
        found.setdefault(key, []).append(problem)
    return list(found.values())


def _state(trial_id: str, done: set[str], unfinished: dict[str, Record], running: Mapping[str, Claim]) -> str:
    if trial_id in done:
        return "ok"
    if trial_id in running:
        return "running"
    return unfinished[trial_id].status if trial_id in unfinished else "missing"


def _running(cell: Mapping[str, Any], claim: Claim) -> dict[str, Any]:
    facts = {name: cell[name] for name in ("label", "dataset", "fold", "seed", "sampling_rate")}
    return {"trial_id": claim.trial_id, **facts, "node": claim.node, "since": claim.since}


def _problems(
    asked: Asked, cells: Mapping[str, dict[str, Any]], unfinished: dict[str, Record], store: Store
) -> list[dict[str, Any]]:
    found = [_problem(unfinished[i], asked, cells[i], store) for i in asked.trial_ids if i in unfinished]
    return sorted(found, key=lambda p: (p["status"], p["label"], p["dataset"], p["seed"], p["fold"]))


def _problem(record: Record, asked: Asked, cell: dict[str, Any], store: Store) -> dict[str, Any]:
    return {
        "trial_id": record.trial_id,
        "status": record.status,
        "cause": record.cause,
        "reason": record.reason,
        "label": cell["label"],
        "dataset": cell["dataset"],
        "fold": cell["fold"],
        "seed": cell["seed"],
        "sampling_rate": cell["sampling_rate"],
        "attempts": record.attempts,
        "traceback": record.traceback,
        "rerun": rerun(asked, cell, store.where, "--retry-failed"),
        "rerun_all": rerun(asked, cell, store.where, "--retry-failed", fold=False),
    }
