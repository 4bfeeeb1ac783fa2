"""What `spadit explain` says of one trial: its record, its files, what it replaced, and how to run it again."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from harness.record import Record
from harness.store import Store
from harness.store.damage import state
from harness.views._rerun import rerun, runs_by_name, searched
from harness.views._target import Target
from models.component import ComponentError, code_hash, rebuild

ELSEWHERE = ("trial", "schema", "fold", "sampling_rate", "dataset", "dataset_id", "method", "variant_id", "files")
"""Fields of a record that are said once for the whole cell, or in other words."""


def code_today(component: Any) -> tuple[str | None, str]:
    """The hash of the code that would compute it now; None and the reason where that cannot be known."""
    try:
        return code_hash(rebuild(component)), ""
    except (ComponentError, TypeError, ValueError, LookupError) as error:
        return None, str(error)


def trial_facts(
    store: Store, found: Target, cells: Sequence[Mapping[str, Any]], record: Record | None, code: str | None
) -> dict[str, Any]:
    """One distinct trial, which answers `cells` (several for a method without randomness); code: today's, if known."""
    trial_id = cells[0]["trial_id"]
    facts: dict[str, Any] = {
        "trial_id": trial_id,
        "fold": cells[0]["fold"],
        "seeds": sorted({cell["seed"] for cell in cells}),
        "status": record.status if record else "missing",
        "superseded": _superseded(store, trial_id),
        **dict(zip(("rerun", "rerun_note"), _again(store, found, cells[0], record, code), strict=True)),
        "files": [],
    }
    if record is None:
        return facts
    return {
        **facts,
        **{name: value for name, value in json.loads(record.to_json()).items() if name not in ELSEWHERE},
        "selection": found.asked.selection(found.label, found.dataset, record.selection),
        "code_is_todays": None if code is None else record.code == code,
        "seconds": round(sum(value or 0.0 for value in record.timings.values()), 4) if record.timings else None,
        "files": [{"name": name, **known, "state": state(store, record, name)} for name, known in record.files.items()],
    }


def _superseded(store: Store, trial_id: str) -> list[dict[str, Any]]:
    """Earlier records that `--stale` set aside: their means are kept, their per-gene rows were written over."""
    names = [name for name in store.files.names("superseded", ".json") if name.startswith(f"{trial_id}-")]
    records = [Record.from_json(store.files.read(f"superseded/{name}.json")) for name in names]
    return [{"code": r.code, "started_at": r.started_at, "means": r.means, "git": r.git} for r in records]


def _again(
    store: Store, found: Target, cell: Mapping[str, Any], record: Record | None, code: str | None
) -> tuple[str | None, str]:
    """The command that runs a trial again, and what must be known about it."""
    asked = found.asked
    if record is not None and record.external:
        return None, "Made elsewhere: `spadit score` scores its file again."
    if searched(asked) is not None:
        return rerun(asked, cell, store.where, "--retry-failed"), (
            "Its settings were chosen by a search: the same command finds them again and runs what is missing."
        )
    if not runs_by_name(asked):
        return (asked.commands[-1] if asked.commands else None), "Asked for by a script: run it again."
    if record is None:
        return rerun(asked, cell, store.where), "Not run yet."
    if record.status != "ok":
        return rerun(asked, cell, store.where, "--retry-failed"), (
            "Tried again only when asked for; `reason` says what happened."
        )
    if code is not None and record.code != code:
        return rerun(asked, cell, store.where, "--stale"), (
            "Computed by other code: this computes it anew and sets the record aside in superseded/."
        )
    return rerun(asked, cell, f"{store.where}-again"), (
        "What is stored is never computed twice: this computes it in a store of its own, to compare prediction_sha256."
    )
