"""What `spadit explain` found, for a person."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.markup import escape

from harness.views.console import console, listing


def print_explain(facts: Mapping[str, Any]) -> None:
    """The facts of `explain_facts`, the whole of which `--json` prints."""
    out = console()

    def say(text: str) -> None:
        out.print(escape(text), soft_wrap=True)

    cell = " / ".join(filter(None, (facts["experiment"], facts["variant"], facts["dataset"], facts["gene"])))
    out.print(f"[bold]{escape(cell)}[/bold]  {escape(facts['title'])}", soft_wrap=True)
    for line in _about(facts):
        say(line)
    for rate in facts["rates"]:
        out.print(f"\n[bold]sampling rate {rate['sampling_rate']:g}[/bold]")
        for line in _numbers(rate):
            say(line)
        out.print(_trials(rate))
        for line in _notes(rate):
            say(line)
        shown, caption = _seeds(rate["gene"]) if "gene" in rate else _genes(rate["genes"])
        out.print(shown)
        say(caption)
    if facts["rerun"] and not facts["gene"]:
        say(f"\nThe whole cell again, in a store of its own: {facts['rerun']}")


def _about(facts: Mapping[str, Any]) -> Iterator[str]:
    ids = f"dataset {facts['dataset_id']}, protocol {facts['protocol_id']}"
    yield f"variant {facts['variant_id']} ({facts['method']}), {ids}"
    if facts["tuned"]:
        from reports.writing.budgets import budget

        yield f"Tuned by the search {facts['tuned']['search']}: {budget(facts['variant'], facts['tuned'])}"
    if facts["synthetic"]:
        yield f"Not real data: {facts['synthetic']}."
    for flag in facts["flags"]:
        yield f"Flag: {flag}."
    if facts["code_today"] is None:
        yield f"Today's code for it is not known: {facts['code_unknown_because']}"
    for other in facts["definitions"]:
        if not other["explained"]:
            what = "also holds this cell" if other["holds_the_cell"] else "does not hold this cell"
            yield (
                f"Another definition of this name, {other['definition']} ({other['variants']} variants, asked "
                f"{other['asked_at']}), {what}" + (" and is the one that a report shows." if other["reported"] else ".")
            )


def _numbers(rate: Mapping[str, Any]) -> Iterator[str]:
    table = rate["table"]
    own = ", ".join(f"{name.upper()} {_short(value)}" for name, value in rate["means"].items())
    yield f"From the per-gene files, over {rate['genes_averaged']} genes: {own or 'nothing'}"
    if rate["agrees"] is None:
        yield f"In the report's table: no number ({table['reason'] or table['status']})."
    else:
        same = "the same means" if rate["agrees"] else f"OTHER means, {table['means']}"
        yield f"In the report's table: {same}, over {table['genes']} genes."
        left_out = ", ".join(f"{count} {why}" for why, count in table["genes_left_out"].items() if count)
        if left_out:
            yield f"Left out there: {left_out}."
    if table.get("accuracy_score") is not None:
        ranks = ", ".join(f"{name.upper()} {value:g}" for name, value in table["ranks"].items())
        yield (
            f"AS {table['accuracy_score']:.2f} [{_short(table['low'])}, {_short(table['high'])}], the mean of the "
            f"ranks among {table['among']}: {ranks}."
        )


def _trials(rate: Mapping[str, Any]) -> Any:
    numbers = ("fold", "seeds", "PCC", "seconds", "MiB")
    table = listing("trial", *numbers, "status", "code", "device", "node", "commit", "started", "files", right=numbers)
    for trial in rate["trials"]:
        git = trial.get("git") or {}
        mark = {True: "", False: " (not today's)", None: " (?)"}[trial.get("code_is_todays")]
        broken = [file["name"] for file in trial["files"] if file["state"] != "whole"]
        table.add_row(
            trial["trial_id"],
            str(trial["fold"]),
            _span(trial["seeds"]),
            _short((trial.get("means") or {}).get("pcc")),
            _short(trial.get("seconds")),
            _short(trial.get("peak_memory_mib")),
            trial["status"],
            f"{trial['code'][:8]}{mark}" if trial.get("code") else "",
            escape(trial.get("device", "")),
            escape(trial.get("node", "")),
            (git.get("commit", "")[:8] + (" dirty" if git.get("dirty") else "")),
            trial.get("started_at", ""),
            "whole" if trial["files"] and not broken else escape(", ".join(broken)),
        )
    return table


def _notes(rate: Mapping[str, Any]) -> Iterator[str]:
    yield from _shared(rate["trials"])
    reasons: dict[str, list[str]] = {}
    commands: dict[str, list[tuple[str, str]]] = {}
    for trial in rate["trials"]:
        where = f"fold {trial['fold']}, seed {_span(trial['seeds'])}"
        if trial.get("reason"):
            reasons.setdefault(f"{trial['status']} ({trial['cause']}): {trial['reason']}", []).append(where)
        for earlier in trial["superseded"]:
            pcc = _short(earlier["means"].get("pcc"))
            yield f"{where}: replaces a record of {earlier['started_at']} by code {earlier['code'][:8]}, PCC {pcc}"
        # Of a whole cell, only what is not as it should be: the command for all of it is printed once, below.
        if "gene" in rate or trial["status"] != "ok" or trial["code_is_todays"] is False:
            commands.setdefault(trial["rerun_note"], []).append((where, trial["rerun"] or "no command"))
    for reason, places in reasons.items():
        yield f"{_places(places)}: {reason}"
    for note, again in commands.items():
        alike = {command for _, command in again}
        likewise = "" if len(alike) == 1 else f" ({len(alike) - 1} more likewise, each with its own --fold or --seeds)"
        yield f"{_places([where for where, _ in again])}: {again[0][1]}{likewise}\n  {note}"


def _places(places: Sequence[str]) -> str:
    return "; ".join(places) if len(places) <= 2 else f"{places[0]} and {len(places) - 1} more"


def _shared(trials: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """What is mostly the same for all trials, said once for each of its values."""
    there = [trial for trial in trials if trial["status"] != "missing"]
    said = {
        "settings chosen": {trial["selection"] for trial in there},
        "flags": {flag for trial in there for flag in trial["flags"]},
        "versions": {", ".join(f"{name} {number}" for name, number in trial["versions"].items()) for trial in there},
        "audit": {str(trial["audit"]) for trial in there if trial["audit"]},
        "made elsewhere": {"scored, not run" for trial in there if trial["external"]},
    }
    for what, values in said.items():
        for value in sorted(values):
            yield f"{what}: {value}"


def _genes(genes: Mapping[str, Any]) -> tuple[Any, str]:
    rows = [("best", row) for row in genes["best"]] + [("worst", row) for row in genes["worst"]]
    names = [name for name in (rows[0][1] if rows else {}) if name != "gene"]
    table = listing("", "gene", *(name.upper() for name in names), right=tuple(name.upper() for name in names))
    for kind, row in rows:
        table.add_row(kind, escape(row["gene"]), *(_short(row[name]) for name in names))
    return table, f"{genes['scored']} genes scored, {genes['not_scored']} not; all of them: {genes['all']}"


def _seeds(gene: Mapping[str, Any]) -> tuple[Any, str]:
    names = [name for name in (gene["seeds"][0] if gene["seeds"] else {}) if name != "trial_id"]
    table = listing(*names, "trial", right=tuple(names))
    for row in gene["seeds"]:
        table.add_row(*(_short(row[name]) for name in names), row["trial_id"])
    if not gene["scored"]:
        return table, f"{gene['gene']} is not scored: {gene['reason']}."
    means = ", ".join(f"{name.upper()} {_short(value)}" for name, value in gene["means"].items())
    return table, f"Mean over seeds: {means}; by PCC number {gene['rank']} of {gene['of']}."


def _span(seeds: list[int]) -> str:
    whole = len(seeds) > 2 and seeds == list(range(seeds[0], seeds[-1] + 1))
    return f"{seeds[0]}-{seeds[-1]}" if whole else ", ".join(map(str, seeds))


def _short(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else str(value)
