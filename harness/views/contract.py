"""`spadit audit contract`: a method on trial, and what it promised."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from rich.markup import escape

from harness.audit.subject import subject
from harness.contract.promises import PROMISES
from harness.contract.tried import Tried, Verdict, small, verdict
from harness.errors import BadInput
from harness.methods import methods_by_name
from harness.trial import threads
from harness.views.console import console, listing
from models.component import Json, canonical
from models.method import absent_packages

_COLOURS = {"kept": "green", "broken": "bold red", "not tried": "yellow"}


@dataclass(frozen=True)
class ContractTried:
    """What became of every promise. settings: which were tried, in words; component: their JSON, None without one."""

    method: str
    settings: str
    component: Json
    promises: tuple[Verdict, ...]

    @property
    def kept(self) -> bool:
        """Whether all of them are."""
        return all(each.verdict == "kept" for each in self.promises)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self) | {"kept": self.kept}


def contract_tried(named: str, advance: Callable[[float], None] = lambda share: None) -> ContractTried:
    """Try every promise on what the command line names: a variant as its driver sets it up, else a small configuration.

    advance: called with the share that is done. Raises `BadInput` for what is not there or cannot run here.
    """
    tried, settings = _on_trial(named)
    if (reason := absent_packages(type(tried.method))) is not None:
        raise BadInput(reason)
    found = []
    with threads(1):  # as in a trial; two on a busy core cost many times the time
        for done, promise in enumerate(PROMISES):
            advance(done / len(PROMISES))
            found.append(verdict(promise, tried))
    return ContractTried(named, settings, _described(tried), tuple(found))


def print_contract(found: ContractTried) -> None:
    """A line per promise for a person; below, a sentence for each that is broken."""
    table = listing("", "promise")
    for each in found.promises:
        colour = _COLOURS[each.verdict]
        table.add_row(f"[{colour}]{each.verdict}[/]", escape(each.promise))
    out = console()
    out.print(table)
    for each in found.promises:
        if each.verdict == "broken":
            out.print(f"[bold]{escape(each.promise)}[/]: {escape(each.found)}", soft_wrap=True)
    kept = sum(each.verdict == "kept" for each in found.promises)
    out.print(escape(f"{found.method} with {found.settings}: {kept} of {len(PROMISES)} promises kept."), soft_wrap=True)
    if found.kept:
        out.print(escape(f"Whether it sees the truth is tried by: spadit audit method {found.method}"), soft_wrap=True)


def _on_trial(named: str) -> tuple[Tried, str]:
    """The method, and in words its settings."""
    known = methods_by_name()
    asked = subject(named, known)
    experiment = asked.experiment()
    if experiment is not None:
        return Tried(asked.method(experiment.datasets[0])), "the settings of its variant"
    method = known[asked.name]
    return Tried(small(method), by_name=True), "its tiny()" if hasattr(method, "tiny") else "its defaults"


def _described(tried: Tried) -> Json:
    try:
        return canonical(tried.method)
    except ValueError:  # the promise on JSON says why
        return None
