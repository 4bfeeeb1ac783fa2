"""The leakage audit of a method: change what it must not see, and demand the same answer, bit for bit.

*Perturbation*: the held-out values of a copy of the pair are replaced by noise, and in a second copy permuted over the
spots. Each copy is loaded by the ordinary loader in a new process from which the original cannot be read.
*Memory*: one process answers one fold and then another; the second answer must be that of a fresh process, because the
first fold showed the method what the second one asks for.
*The answer*: the undisturbed one is tested for the truth as a file from elsewhere is, which also finds a copy of the
truth that lies where no barrier is.
Panel and spots are fixed first, from the original: they are part of the task.
"""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from harness.audit.barrier import unavailable
from harness.audit.child import ANSWER
from harness.audit.predictions import audit_file
from harness.audit.subject import Subject
from harness.datasets import load, out_of_reach
from harness.datasets.simulated import write_pair
from harness.errors import BadInput
from harness.pair import Assay, PairedSample
from harness.protocol import HeldOutGenes, KFold, Prepared, Protocol, Split, Task, Truth, pose, prepare
from harness.reading.uri import located, remote, several, shown
from harness.record import Check, MethodAudit, posed
from models.component import canonical, code_hash, short_hash
from models.method import Method

PERTURBATIONS = ("noise", "permuted")
TESTED = "the answer, tested for the truth"
COPY = "audited"
"""Name of the perturbed copies; no method is told the name of its dataset."""


@dataclass(frozen=True)
class Setting:
    """What is audited on: the method must not leak under this protocol, split and task, on these folds.

    fold: whose truth is changed; None is the second. seed: the same for every run. workers: processes at once.
    """

    protocol: Protocol = field(default_factory=Protocol)
    split: Split = field(default_factory=KFold)
    task: Task = field(default_factory=HeldOutGenes)
    sampling_rate: float = 1.0
    fold: int | None = None
    seed: int = 0
    workers: int = field(default_factory=lambda: min(2, os.cpu_count() or 1))

    @property
    def folds(self) -> tuple[int, int]:
        """The fold that is answered before, and the fold that is compared; the only fold of a split serves as both."""
        compared = min(1, self.split.folds - 1) if self.fold is None else self.fold
        return ((compared + self.split.folds - 1) % self.split.folds, compared)

    @property
    def posed(self) -> str:
        """What every method is asked, as `Asked.posed`."""
        return posed(canonical(self.task), canonical(self.protocol), canonical(self.split))


def audit_method(
    subject: Subject,
    dataset: str,
    folders: Sequence[Path] = (),
    setting: Setting | None = None,
    say: Callable[[str], None] = lambda text: None,
) -> MethodAudit:
    """Audit a method on a dataset; `BadInput` where that cannot be done (no barrier, or the method cannot run)."""
    setting = setting or Setting()
    hidden = _hidden(subject, dataset, folders)
    pair = load(dataset, folders)
    data = prepare(pair, setting.protocol)
    first, second = setting.folds
    truth = pose(data, setting.split, second, setting.sampling_rate, setting.task)[1]
    ask = Ask(subject, setting, data)
    with tempfile.TemporaryDirectory(prefix="spadit-audit-") as scratch, ThreadPoolExecutor(setting.workers) as pool:
        place = Path(scratch).resolve()
        whole = pool.submit(ask.run, place / "undisturbed", dataset, folders, (), (second,))
        warm = pool.submit(ask.run, place / "warm", dataset, folders, (), (first, second))
        copies = {}
        for kind in PERTURBATIONS:
            write_pair(replace(perturbed(pair, truth, kind), name=COPY), place / f"{kind} data")
            copies[kind] = pool.submit(ask.run, place / kind, COPY, [place / f"{kind} data"], hidden, (second,))
        say("undisturbed run")
        (reference,) = whole.result()
        if reference["outcome"] != "ok":
            raise BadInput(f"{subject.name} cannot be audited on {dataset}: {reference['reason']}")
        checks = [_tested(np.load(place / "undisturbed" / ANSWER), truth)] if truth.scored is None else []
        for kind, run in copies.items():
            say(f"held-out truth: {kind}")
            checks.append(_compared(f"held-out truth: {kind}", reference, run.result()[0]))
        say("another fold before")
        checks.append(_compared("another fold before, in the same process", reference, warm.result()[-1]))
        verdict = "clean" if all(check.verdict == "clean" for check in checks) else "leak"
        if verdict == "leak":
            say("undisturbed run, once more")
            (again,) = ask.run(place / "again", dataset, folders, (), (second,))
            repeat = _compared("the same run once more", reference, again)
            if repeat.verdict != "clean" and not any(c.name == TESTED and c.verdict == "leak" for c in checks):
                verdict, checks = "not reproducible", [replace(repeat, verdict="not reproducible"), *checks]
    method = subject.method(dataset)
    return MethodAudit(
        method=subject.name,
        dataset=dataset,
        fold=second,
        genes=len(truth.genes),
        entries=truth.values.size if truth.scored is None else int(truth.scored.sum()),
        seed=setting.seed,
        verdict=verdict,
        checks=tuple(checks),
        sampling_rate=float(setting.sampling_rate),
        variant_id=short_hash(method, 8),
        dataset_id=pair.id,
        code=code_hash(method),
        posed=setting.posed,
        audited_at=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def _hidden(subject: Subject, dataset: str, folders: Sequence[Path]) -> tuple[Path, ...]:
    """The places that the method must not read; `BadInput` where they cannot be kept from it."""
    if (reason := unavailable()) is not None:
        raise BadInput(f"The audit cannot put the original data out of a method's reach here: {reason}.")
    also = [located(named) for named in several(os.environ.get("SPADIT_DATA", ""))]
    hidden = out_of_reach(dataset, [*folders, *also])
    if beyond := [place for place in hidden if remote(place)]:
        raise BadInput(
            f"The audit cannot put {shown(beyond[0])} out of a method's reach; copy the pair to a local folder first, "
            "and leave other data folders out."
        )
    driver = Path(subject.driver).resolve()
    if subject.driver and any(driver.is_relative_to(place) for place in hidden):
        raise BadInput(f"{subject.driver} lies in a folder of data that the audit hides; move it elsewhere.")
    return hidden


def same(audit: MethodAudit, method: Method, dataset_id: str, setting: Setting) -> bool:
    """Whether an audit was of this method, with this code, on this data and in this setting."""
    at = (audit.fold, audit.seed, audit.sampling_rate, audit.posed)
    wanted = (setting.folds[1], setting.seed, float(setting.sampling_rate), setting.posed)
    made = (audit.variant_id, audit.dataset_id, audit.code)
    return at == wanted and made == (short_hash(method, 8), dataset_id, code_hash(method))


@dataclass(frozen=True, eq=False)
class Ask:
    """What every process of one audit is asked alike."""

    subject: Subject
    setting: Setting
    data: Prepared

    def run(
        self, place: Path, dataset: str, folders: Sequence[Path], hidden: Sequence[Path], folds: Sequence[int]
    ) -> list[dict[str, Any]]:
        """The answers of a new process that finds the dataset in these folders and cannot read the hidden ones."""
        place.mkdir()
        asked = {
            "subject": self.subject.to_json(),
            "dataset": dataset,
            "folders": [str(Path(folder).resolve()) for folder in folders],
            "hidden": [str(path) for path in hidden],
            "panel": self.data.frame.panel,
            "spots": self.data.frame.spots.tolist(),
            "protocol": canonical(self.setting.protocol),
            "split": canonical(self.setting.split),
            "task": canonical(self.setting.task),
            "folds": list(folds),
            "seed": self.setting.seed,
            "sampling_rate": self.setting.sampling_rate,
        }
        (place / "ask.json").write_text(json.dumps(asked))
        surroundings = dict(os.environ, TMPDIR=str(place), PYTHONDONTWRITEBYTECODE="1", OMP_NUM_THREADS="1")
        surroundings["SPADIT_DATA"] = os.pathsep.join(asked["folders"])
        ran = subprocess.run(
            [sys.executable, "-m", "harness.audit.child", str(place)],
            env=surroundings,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
        )
        if ran.returncode != 0:
            last = (ran.stderr.strip().splitlines() or [f"exit code {ran.returncode}"])[-1]
            return [{"stages": [["start of the process", last]], "outcome": "failed", "reason": last}] * len(folds)
        answers: list[dict[str, Any]] = json.loads((place / "answer.json").read_text())
        return answers


def perturbed(pair: PairedSample, truth: Truth, kind: str) -> PairedSample:
    """The pair with the hidden values of a fold replaced by "noise" or "permuted" over spots; nothing else changes.

    Noise has another level, other zeros and no spatial pattern, but is of the same kind (whole numbers for counts).
    The stream is fixed: neither content nor names are entropy.
    """
    rng = np.random.default_rng(np.random.SeedSequence(0, spawn_key=(PERTURBATIONS.index(kind),)))
    columns = pair.st.columns(truth.genes)
    whole = pair.st.values.toarray()
    values = whole[:, columns]
    changed = _noise(values, pair.st.kind, rng) if kind == "noise" else rng.permuted(values, axis=0)
    if truth.scored is not None:
        at = np.zeros(values.shape, dtype=bool)
        at[truth.spots] = truth.scored
        changed = np.where(at, changed, values)
    whole[:, columns] = changed
    return replace(pair, st=Assay(pair.st.genes, sp.csr_matrix(whole), pair.st.kind))


def _noise(values: NDArray[np.float32], kind: str, rng: np.random.Generator) -> NDArray[np.float32]:
    level = rng.gamma(1.0, 2.0 * values.mean(axis=0) + 1.0, size=values.shape)
    noise = rng.poisson(level) if kind == "counts" else level * (rng.random(values.shape) < 0.7)
    return noise.astype(np.float32)


def _tested(answer: NDArray[Any], truth: Truth) -> Check:
    """Whether the undisturbed answer holds the truth, wherever it may have come from (see `predictions`)."""
    found = audit_file(truth.values, answer, truth.genes)
    leaks = [test for test in found.tests if test.verdict == "leak"]
    stage = "the answer itself: " + ", ".join(test.name for test in leaks) if leaks else ""
    return Check(TESTED, found.verdict, stage, leaks[0].detail if leaks else "")


def _compared(name: str, reference: dict[str, Any], other: dict[str, Any]) -> Check:
    """Whether two runs of one fold are the same at every stage; else the first stage at which they differ."""
    ours, theirs = reference["stages"], other["stages"]
    if list(ours) == list(theirs):
        return Check(name, "clean")
    same = sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], zip(ours, theirs, strict=False)))
    mine, its = (stages[same][0] if same < len(stages) else "the end" for stages in (ours, theirs))
    stage = its if mine == its or other["outcome"] == "failed" else f"{mine} (the other run: {its})"
    return Check(name, "leak", stage, other["reason"])
