"""`spadit audit ...` and `spadit score`: audits run and shown."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from rich.markup import escape

from harness.audit.methods import MethodAudit, Setting, audit_method
from harness.audit.subject import Subject, subject
from harness.datasets import present
from harness.errors import BadInput
from harness.results import data_folders
from harness.views.console import console, listing
from harness.views.methods import methods_by_name

if TYPE_CHECKING:
    from harness.audit.predictions import FileAudit
    from harness.external import Scored

BUNDLED = "pbmc_tissue"
_COLOURS = {"clean": "green", "leak": "bold red", "not reproducible": "bold yellow"}


def method_audit(
    named: str,
    dataset: str | None,
    data: Any = None,
    fold: int | None = None,
    sampling_rate: float = 1.0,
    seed: int = 0,
    say: Callable[[str], None] = lambda text: None,
) -> MethodAudit:
    """Audit what the command line names: on its driver's protocol, split, task and first present dataset if it has one.

    Raises `BadInput` for what is not there, and where the audit cannot be done.
    """
    folders = data_folders(data)
    asked = subject(named, methods_by_name())
    setting = Setting(sampling_rate=sampling_rate, seed=seed, fold=fold)
    experiment = asked.experiment()
    if experiment is not None:
        setting = replace(setting, protocol=experiment.protocol, split=experiment.split, task=experiment.task)
        dataset = dataset or _first_present(asked, experiment.datasets, folders)
    return audit_method(asked, dataset or BUNDLED, folders, setting, say)


def _first_present(asked: Subject, names: Sequence[str], folders: Any) -> str:
    entries = [present(name, folders) for name in names]
    if found := next((entry.name for entry in entries if entry.present), None):
        return found
    raise BadInput(f"{asked.name}: none of its datasets is here; {entries[0].name}: {entries[0].reason}.")


def print_method_audit(found: MethodAudit) -> None:
    """The audit for a person."""
    table = listing("changed", "answer", "first stage that differs")
    for check in found.checks:
        answer = "the same, bit for bit" if check.verdict == "clean" else "differs"
        stage = check.stage + (f": {check.detail}" if check.detail else "")
        table.add_row(escape(check.name), answer, escape(stage))
    out = console()
    out.print(table)
    where = (
        f"{found.method} on {found.dataset}, fold {found.fold} ({found.entries} hidden values of {found.genes} genes)"
    )
    out.print(f"{escape(where)}: {_verdict(found.verdict)}", soft_wrap=True)


def print_file_audits(found: Mapping[str, FileAudit]) -> None:
    """Audits of files for a person."""
    table = listing("file", "test", "verdict", "statistic", "threshold", "false alarms", "what was found")
    for name, audit in found.items():
        for test in audit.tests:
            numbers = ["" if v is None else f"{v:.4g}" for v in (test.statistic, test.threshold, test.false_alarm)]
            table.add_row(escape(name), test.name, _verdict(test.verdict), *numbers, escape(test.detail))
    out = console()
    out.print(table)
    for name, audit in found.items():
        few = f" ({len(audit.unjudged)} genes with fewer than 100 non-zeros not judged)" if audit.unjudged else ""
        out.print(f"{escape(name)}: {_verdict(audit.verdict)}{few}")


def print_scored(found: Sequence[Scored]) -> None:
    """What became of scored files, for a person."""
    table = listing("file", "PCC", "SSIM", "RMSE", "JS", "genes", "audit", "trial", right=("PCC", "SSIM", "RMSE", "JS"))
    for scored in found:
        means = ["" if (m := scored.record.means.get(k)) is None else f"{m:.3f}" for k in ("pcc", "ssim", "rmse", "js")]
        genes = str(scored.record.n_genes["scored"])
        table.add_row(escape(scored.name), *means, genes, _verdict(scored.audit.verdict), scored.record.trial_id)
    out = console()
    out.print(table)
    for scored in found:
        for test in scored.audit.tests:
            if test.verdict == "leak":
                out.print(f"{escape(scored.name)}: {test.name}: {escape(test.detail)}", soft_wrap=True)


def _verdict(verdict: str) -> str:
    colour = _COLOURS.get(verdict)
    return f"[{colour}]{verdict}[/]" if colour else verdict
