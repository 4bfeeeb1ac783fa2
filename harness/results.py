"""The driver: `submit` an experiment, get its `Results`."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from harness._house import ROOMS
from harness.card import facts_of, put_card
from harness.cluster.resources import Keep, Resources, kept
from harness.datasets import here, known, load
from harness.errors import BadInput
from harness.experiment import Experiment
from harness.pair import PairedSample
from harness.protocol import prepare
from harness.reading.uri import located, remote, several, shown, without_secrets
from harness.record import Record
from harness.store import Store
from harness.store.checkpoints import EVERY
from harness.store.damage import set_aside, verified
from harness.trial import Trial
from models.component import code_hash
from models.method import absent_packages

if TYPE_CHECKING:
    import pandas as pd

Folders = str | Path | Sequence[str | Path] | None


@dataclass(frozen=True, eq=False)
class Plan:
    """An experiment against a store: what is asked, what is there, what is left to run, and what was left out.

    pairs: the datasets that are present, by name, until Ray holds what a run needs of them; titles: one clause on each.
    done: finished trials, whole in the store; of those, stale: whose code is not today's.
    damaged: trials that had finished and are no longer as they were written, with what is wrong; they are run again.
    settled: unfinished trials that are not tried again (skipped; or failed by their method, with today's code).
    """

    experiment: Experiment
    store: Store
    pairs: dict[str, PairedSample]
    titles: Mapping[str, str]
    trials: tuple[Trial, ...]
    done: frozenset[str]
    stale: frozenset[str]
    damaged: Mapping[str, str]
    settled: Mapping[str, Record]
    excluded: tuple[Mapping[str, str], ...]

    def missing(self, retry_failed: bool = False, stale: bool = False) -> list[Trial]:
        """The trials that a run has to do."""
        there = self.done - self.stale if stale else self.done
        if not retry_failed:
            there = there | set(self.settled)
        return [trial for trial in self.trials if trial.id not in there]


class Results:
    """What the store holds for an experiment; reads nothing else.

    failed, skipped: records of the asked-for trials that did not finish. computed: how many trials this call ran.
    """

    def __init__(self, store: Store, name: str, computed: int = 0) -> None:
        self.store = store
        self.name = name
        self.computed = computed
        self.asked = store.asked(name)[-1]
        self.failed = [r for r in store.unfinished(self.asked.trial_ids) if r.status == "failed"]
        self.skipped = [r for r in store.unfinished(self.asked.trial_ids) if r.status == "skipped"]

    def records(self) -> list[Record]:
        """Records of the finished trials."""
        return self.store.records(self.asked.trial_ids)

    def genes(self) -> pd.DataFrame:
        """One row per variant, seed and gene, in the columns of `harness.record.GENE_COLUMNS` and `variant`.

        A trial that serves several rows of a table appears in each. For statistics of your own:
        `genes().pivot_table(index="gene", columns="variant", values="pcc")` has the genes paired.
        """
        import pandas as pd

        rows = self.store.genes(self.records())
        cells = pd.DataFrame(list(self.asked.cells)).rename(columns={"label": "variant"})
        cells = cells[["trial_id", "variant", "dataset", "seed"]]
        return cells.merge(rows.drop(columns=["dataset", "seed"]), on="trial_id") if len(rows) else rows

    def scores(self) -> pd.DataFrame:
        """One row per dataset, sampling rate and variant: accuracy score, interval, ranks, raw means, genes."""
        from reports.report import scores

        return scores(self.store, self.name)

    def table(self, value: str = "accuracy_score") -> pd.DataFrame:
        """One column of `scores` as a table of variants x datasets (x sampling rates, where there are several)."""
        from reports.report import table

        return table(self.store, self.name, value)


def submit(
    experiment: Experiment,
    store: str | Path = "results",
    data: Folders = None,
    *,
    address: str | None = None,
    cpus_per_trial: float = 1.0,
    gpus_per_trial: float | Literal["auto"] = 0.0,
    max_concurrent: int | None = None,
    timeout: float | None = None,
    checkpoint_every: float = EVERY,
    keep_predictions: Keep = "first-seed",
    retry_failed: bool = False,
    stale: bool = False,
    progress: bool = True,
    tensorboard: str | Path | None = None,
    command: str = "",
) -> Results:
    """Run what is missing of an experiment and return its results; nothing that is in the store runs again.

    store: a folder or a URI such as s3://bucket/results, made if need be. data: folder(s) of dataset pairs (default:
    $SPADIT_DATA; bundled data are always there). address: None for a Ray on this machine, "auto" or HOST:PORT for a
    cluster. gpus_per_trial may be a fraction, or "auto". checkpoint_every: seconds between two checkpoints of a trial.
    keep_predictions: of which trials the prediction itself is stored. retry_failed: also try again what was skipped or
    failed by its method. stale: also what other code computed. tensorboard: a folder for TensorBoard logs.
    Raises `BadInput` for bad input, KeyboardInterrupt when it is asked to stop (nothing that finished is lost).
    """
    resources = Resources(address, cpus_per_trial, gpus_per_trial, max_concurrent, timeout, checkpoint_every)
    kept(keep_predictions)
    plan = make_plan(experiment, Store(store), data)
    return run_plan(plan, resources, keep_predictions, retry_failed, stale, progress, command, tensorboard)


def make_plan(experiment: Experiment, store: Store, data: Folders = None, strict: bool = False) -> Plan:
    """Load what is present and compare with the store; writes nothing.

    strict: an absent dataset is an error rather than an exclusion.
    """
    folders = data_folders(data)
    entries = here(experiment.name, experiment.datasets, folders, strict)
    excluded = tuple({"dataset": entry.name, "reason": entry.reason} for entry in entries if not entry.present)
    pairs = {entry.name: load(entry.name, folders) for entry in entries if entry.present}
    trials = experiment.trials({name: pair.id for name, pair in pairs.items()})
    whole, damaged = verified(store, [trial.id for trial in trials])
    codes = {trial.id: code_hash(trial.method) for trial in trials}
    lacking = {trial.id for trial in trials if absent_packages(type(trial.method)) is not None}
    return Plan(
        experiment=experiment,
        store=store,
        pairs=pairs,
        titles={name: known()[name].title if name in known() else "" for name in pairs},
        trials=tuple(trials),
        done=frozenset(whole),
        stale=frozenset(i for i, record in whole.items() if record.code != codes[i]),
        damaged=damaged,
        settled={
            r.trial_id: r
            for r in store.unfinished(codes)
            if r.cause == "skipped"
            or (r.cause == "packages" and r.trial_id in lacking)
            or (r.cause == "method" and r.code == codes[r.trial_id])
        },
        excluded=excluded,
    )


def run_plan(
    plan: Plan,
    resources: Resources,
    keep_predictions: Keep = "first-seed",
    retry_failed: bool = False,
    stale: bool = False,
    show: bool = True,
    command: str = "",
    tensorboard: str | Path | None = None,
) -> Results:
    """Run what a plan says is missing; see `submit`."""
    experiment, store = plan.experiment, plan.store
    missing = plan.missing(retry_failed, stale)
    asked = experiment.asked(
        {name: facts_of(pair, plan.titles[name]) for name, pair in plan.pairs.items()},
        datetime.now(UTC).isoformat(timespec="microseconds"),
        [without_secrets(command or _command())],
        plan.excluded,
    )
    # Whatever can be refused is refused before anything is written.
    data = {pair.id: prepare(pair, experiment.protocol) for pair in _needed(plan.pairs, missing)}
    if not missing:
        store.put_asked(asked)
        return Results(store, experiment.name)

    from harness.cluster.connection import connected
    from harness.cluster.nodes import largest
    from harness.cluster.progress import Progress
    from harness.cluster.shares import shares, smallest_share
    from harness.cluster.tuning import Work, execute

    cells = {cell["trial_id"]: cell for cell in reversed(asked.cells)}
    remarks = [f"{pair.name}: {remark}" for pair in plan.pairs.values() for remark in pair.remarks]
    groups = {t.id: cells[t.id]["label"] for t in missing}
    labels = {t.id: f"{groups[t.id]} · {t.dataset} · fold {t.fold} · seed {t.seed}" for t in missing}
    cheap = frozenset(t.id for t in missing if t.method.cheap)
    keep = frozenset(t.id for t in missing if keep_predictions == "all" or _is_first(t, experiment, keep_predictions))
    sizes = {dataset_id: prepared.size(experiment.split) for dataset_id, prepared in data.items()}
    with Progress(labels, groups, show, cheap, tensorboard) as progress, connected(resources) as there:
        share = shares(resources, sizes, there.cards, largest(there.nodes))
        slots = resources.slots(there.resources, smallest_share(missing, share))
        store.put_asked(asked)
        for pair in _needed(plan.pairs, missing):
            put_card(store, pair, data[pair.id])
        plan.pairs.clear()
        set_aside(store, plan.damaged)
        store.supersede(plan.stale if stale else ())
        for said in plan.damaged.values():
            progress.say(f"set aside, to be computed anew: {said}")
        progress.started(slots, there.working, there.dashboard)
        for remark in (*remarks, *there.remarks):
            progress.say(remark)
        computed = execute(Work(missing, data, store, resources, share, keep, git_state()), slots, progress)
    return Results(store, experiment.name, computed)


def data_folders(data: Folders) -> list[Path]:
    """Folders to look for pairs in, local ones or URIs: those given, else $SPADIT_DATA, else none.

    Raises `BadInput` for a local one that is not there.
    """
    if data is None:
        named, origin = several(os.environ.get("SPADIT_DATA", "")), "$SPADIT_DATA names"
    else:
        named, origin = [str(data)] if isinstance(data, str | Path) else [str(d) for d in data], "--data names"
    folders = [located(folder) for folder in named]
    for folder in folders:
        if not remote(folder) and not folder.is_dir():
            raise BadInput(f"{origin} {shown(folder)}, which is not a folder; give a folder that holds dataset pairs.")
    return folders


def git_state() -> dict[str, Any]:
    """Commit of the working tree the project runs from, and whether its code differs; empty where there is none."""
    root = Path(__file__).resolve().parent.parent
    if not (root / ".git").exists():
        return {}
    try:
        git = ["git", "-C", str(root)]
        commit = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, timeout=10)
        status = subprocess.run(
            [*git, "status", "--porcelain", "--", *ROOMS, "harness"], capture_output=True, text=True, timeout=10
        )
    except (OSError, subprocess.TimeoutExpired):
        return {}
    if commit.returncode != 0:
        return {}
    return {"commit": commit.stdout.strip(), "dirty": bool(status.stdout.strip())}


def _needed(pairs: Mapping[str, PairedSample], missing: Sequence[Trial]) -> list[PairedSample]:
    ids = {trial.dataset_id for trial in missing}
    return list({pair.id: pair for pair in pairs.values() if pair.id in ids}.values())


def _is_first(trial: Trial, experiment: Experiment, keep: Keep) -> bool:
    return keep == "first-seed" and trial.seed in (0 if not trial.method.needs.randomness else experiment.seeds[0],)


def _command() -> str:
    return shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]) if sys.argv and sys.argv[0] else ""
