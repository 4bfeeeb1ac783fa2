"""`spadit status`: what a store holds."""

from __future__ import annotations

from typing import Any

from rich.markup import escape

from harness.record import Asked, Record
from harness.store import Store
from harness.views._rerun import rerun
from harness.views.console import console, listing


def status_facts(store: Store) -> dict[str, Any]:
    """Trials by state per experiment, and each failure and skip with reason, cause and the command that reruns it."""
    done = store.done()
    unfinished = {record.trial_id: record for record in store.unfinished()}
    experiments = []
    for asked in store.asked():
        ids = asked.trial_ids
        states = [_state(i, done, unfinished) for i in ids]
        experiments.append(
            {
                "experiment": asked.name,
                "definition": asked.definition,
                "title": asked.title,
                "trials": len(ids),
                **{state: states.count(state) for state in ("ok", "failed", "skipped", "missing")},
                "problems": _problems(asked, unfinished, done, store),
                "excluded": [dict(e) for e in asked.excluded],
            }
        )
    return {"store": store.where, "records": len(done), "unfinished": len(unfinished), "experiments": experiments}


def print_status(facts: dict[str, Any]) -> None:
    """The facts for a person."""
    out = console()
    numbers = ("trials", "ok", "failed", "skipped", "missing")
    table = listing("experiment", "version", *numbers, right=numbers)
    for row in facts["experiments"]:
        table.add_row(escape(row["experiment"]), row["definition"], *[str(row[n]) for n in numbers])
    out.print(table)
    for row in facts["experiments"]:
        for problem in row["problems"]:
            where = f"{problem['label']} · {problem['dataset']} · fold {problem['fold']} · seed {problem['seed']}"
            out.print(f"\n[bold]{problem['status']}[/bold] ({problem['cause']}): {escape(where)}", soft_wrap=True)
            out.print(f"  {escape(problem['reason'])}", soft_wrap=True)
            out.print(f"  {escape(problem['rerun'])}", soft_wrap=True)
    out.print(f"\n{facts['records']} finished trials in {escape(facts['store'])}.")


def _state(trial_id: str, done: set[str], unfinished: dict[str, Record]) -> str:
    if trial_id in done:
        return "ok"
    return unfinished[trial_id].status if trial_id in unfinished else "missing"


def _problems(asked: Asked, unfinished: dict[str, Record], done: set[str], store: Store) -> list[dict[str, Any]]:
    found = [_problem(unfinished[i], asked, store) for i in asked.trial_ids if i in unfinished and i not in done]
    return sorted(found, key=lambda p: (p["status"], p["label"], p["dataset"], p["seed"], p["fold"]))


def _problem(record: Record, asked: Asked, store: Store) -> dict[str, Any]:
    cell = next(cell for cell in asked.cells if cell["trial_id"] == record.trial_id)
    return {
        "trial_id": record.trial_id,
        "status": record.status,
        "cause": record.cause,
        "reason": record.reason,
        "label": cell["label"],
        "dataset": cell["dataset"],
        "fold": cell["fold"],
        "seed": cell["seed"],
        "attempts": record.attempts,
        "traceback": record.traceback,
        "rerun": rerun(asked, cell, store.where, "--retry-failed"),
    }
