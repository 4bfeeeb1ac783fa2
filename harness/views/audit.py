"""`spadit audit ...` and `spadit score`: audits run and shown."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.markup import escape

from harness.audit.methods import TESTED, Setting, audit_method, same
from harness.audit.subject import subject, subjects
from harness.datasets import here, load
from harness.errors import BadInput
from harness.experiment import Experiment
from harness.methods import methods_by_name
from harness.record import MethodAudit
from harness.results import data_folders
from harness.store import Store
from harness.views.console import console, listing

if TYPE_CHECKING:
    from harness.audit.predictions import FileAudit
    from harness.external import Scored

BUNDLED = "pbmc_tissue"
LIMITS = (
    "Clean speaks of this code on this data. It cannot rule out what leaves no trace in one answer: a copy of the "
    "truth kept elsewhere and used sparingly, or notes on disk that a method keeps only where it may write."
)
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
        entries = here(experiment.name, experiment.datasets, folders)
        dataset = dataset or next(entry.name for entry in entries if entry.present)
    return audit_method(asked, dataset or BUNDLED, folders, setting, say)


@dataclass(frozen=True)
class Audited:
    """One variant on one dataset: its audit, or why there is none. known: the audit was in the store already."""

    label: str
    dataset: str
    audit: MethodAudit | None = None
    known: bool = False
    reason: str = ""

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)


def experiment_audits(
    named: str,
    experiment: Experiment,
    folders: Sequence[Path],
    store: Store,
    fold: int | None = None,
    strict: bool = False,
    say: Callable[[str], None] = lambda text: None,
) -> Iterator[Audited]:
    """Audit every variant of an experiment on its datasets that are here, at the full sampling rate, into the store.

    What the store has of the same code is not audited again. One that cannot be audited says why, and the others go on.
    """
    setting = Setting(protocol=experiment.protocol, split=experiment.split, task=experiment.task, fold=fold)
    kept = {audit.id: audit for audit in store.audits()}
    for dataset in (
        entry.name for entry in here(experiment.name, experiment.datasets, folders, strict) if entry.present
    ):
        dataset_id = load(dataset, folders).id
        for label, asked in subjects(named, experiment, dataset, setting.folds[1]).items():
            known = next((a for a in kept.values() if same(a, asked.method(dataset), dataset_id, setting)), None)
            if known is not None:
                yield Audited(label, dataset, known, known=True)
                continue
            say(f"{label} on {dataset}")
            try:
                audit = audit_method(asked, dataset, folders, setting)
            except BadInput as error:
                yield Audited(label, dataset, reason=str(error))
                continue
            store.put_audit(audit)
            kept[audit.id] = audit
            yield Audited(label, dataset, audit)


def print_method_audit(found: MethodAudit) -> None:
    """The audit for a person."""
    table = listing("changed", "answer", "first stage that differs")
    for check in found.checks:
        words = ("does not hold it", "holds it") if check.name == TESTED else ("the same, bit for bit", "differs")
        answer = words[check.verdict != "clean"]
        stage = check.stage + (f": {check.detail}" if check.detail else "")
        table.add_row(escape(check.name), answer, escape(stage))
    out = console()
    out.print(table)
    where = (
        f"{found.method} on {found.dataset}, fold {found.fold} ({found.entries} hidden values of {found.genes} genes)"
    )
    out.print(f"{escape(where)}: {_verdict(found.verdict)}", soft_wrap=True)
    if found.verdict == "clean":
        out.print(LIMITS, soft_wrap=True)


def print_experiment_audits(found: Sequence[Audited]) -> None:
    """The audits of an experiment for a person; reasons and first differing stages below the table."""
    table = listing("variant", "dataset", "fold", "hidden values", "verdict")
    for each in found:
        numbers = ("", "") if each.audit is None else (str(each.audit.fold), f"{each.audit.entries:,}")
        verdict = "not audited" if each.audit is None else each.audit.verdict
        table.add_row(escape(each.label), escape(each.dataset), *numbers, _verdict(verdict))
    out = console()
    out.print(table)
    for each in found:
        for check in each.audit.checks if each.audit else ():
            if check.verdict != "clean":
                said = f"{each.label} on {each.dataset}: {check.name}: {check.stage} {check.detail}"
                out.print(escape(said.rstrip()), soft_wrap=True)
        if each.reason:
            out.print(escape(f"{each.label} on {each.dataset}: {each.reason}"), soft_wrap=True)


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
    measures = ("PCC", "SSIM", "RMSE", "JS")
    table = listing("file", "fold", *measures, "genes", "audit", "trial", right=("fold", *measures))
    for scored in found:
        means = ["" if (m := scored.record.means.get(k)) is None else f"{m:.3f}" for k in ("pcc", "ssim", "rmse", "js")]
        fold, genes = str(scored.record.fold), str(scored.record.n_genes["scored"])
        table.add_row(escape(scored.name), fold, *means, genes, _verdict(scored.audit.verdict), scored.record.trial_id)
    out = console()
    out.print(table)
    for scored in found:
        for test in scored.audit.tests:
            if test.verdict == "leak":
                where = f"{escape(scored.name)}, fold {scored.record.fold}"
                out.print(f"{where}: {test.name}: {escape(test.detail)}", soft_wrap=True)


def print_released(found: Sequence[Scored]) -> None:
    """What the released protocol made of the hopeless control, a line per fold, and what a table will do with it."""
    table = listing("dataset", "fold", "PCC", "SSIM", "RMSE", "JS", "genes", "the audit sees", right=("PCC",))
    for scored in found:
        record = scored.record
        means = [f"{record.means[name] or 0.0:.3f}" for name in ("pcc", "ssim", "rmse", "js")]
        seen = [test.name for test in scored.audit.tests[1:] if test.verdict == "leak"]  # the first is our own word
        table.add_row(escape(record.dataset), str(record.fold), *means, str(record.n_genes["scored"]), ", ".join(seen))
    out = console()
    out.print(table)
    out.print(
        f"The row {found[0].name!r} now stands in every table of the store that asked the same, marked and outside N."
        " The control `gene mean` makes the same prediction without the truth: PCC 0.",
        soft_wrap=True,
    )


def _verdict(verdict: str) -> str:
    colour = _COLOURS.get(verdict)
    return f"[{colour}]{verdict}[/]" if colour else verdict
