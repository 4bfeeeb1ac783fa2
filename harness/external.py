"""Predictions made elsewhere: scored like any trial, audited, and marked as what they are wherever they are shown."""

from __future__ import annotations

import dataclasses
import hashlib
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.audit.predictions import FileAudit, audit_file, known_leak
from harness.card import facts_of, put_card
from harness.errors import BadInput
from harness.experiment import Experiment
from harness.export import AskedElsewhere, spot_names
from harness.pair import PairedSample
from harness.protocol import Prepared, Truth, pose, prepare
from harness.reading.tables import Table, read_table
from harness.record import Asked, Outcome, Record
from harness.scoring import score_table
from harness.store import Store
from harness.trial import Trial, versions
from models.component import Json, canonical, short_hash
from models.method import Array, Method, Problem, Run

Floats = NDArray[np.float64]
Leak = Callable[[Problem, Floats], Floats]

FOLD = "{fold}"
"""In the name of a file with answers: stands for the number of the fold that it answers."""


@dataclass(frozen=True)
class External(Method):
    """A prediction that was made elsewhere, by whatever its name stands for; it can be scored, not run again."""

    name: str = ""

    def impute(self, problem: Problem, run: Run) -> Array:
        """Always raises ValueError: the harness has the answer, not the method."""
        raise ValueError(f"{self.name} was made elsewhere; score its file again instead of running it.")


@dataclass(frozen=True)
class ExternalTrial(Trial):
    """The trial that a file answers; the file's content is part of its identity."""

    sha256: str = ""

    @property
    def identity(self) -> dict[str, Json]:
        """As any trial's, and which file."""
        return super().identity | {"prediction": self.sha256}


GIVEN_TRUTH: Json = {"component": "a truth that came as a file", "version": 1}
"""In place of a task, where nothing is known of what was hidden from whom."""


@dataclass(frozen=True)
class Scored:
    """What became of one file."""

    name: str
    record: Record
    audit: FileAudit

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        facts = {"name": self.name, "fold": self.record.fold, "trial_id": self.record.trial_id}
        return facts | {"means": self.record.means} | self.audit.to_json()


def named_files(given: Sequence[str]) -> dict[str, Path]:
    """NAME=FILE words as a mapping; `BadInput` for anything else, and for a name that is there twice."""
    found: dict[str, Path] = {}
    for word in given:
        name, equals, path = word.partition("=")
        if not (name and equals and path):
            raise BadInput(f"--prediction {word!r} is not NAME=FILE; for example --prediction SpaGE=spage.csv.")
        if name in found:
            raise BadInput(f"--prediction names {name!r} twice; give every file a name of its own.")
        found[name] = Path(path)
    return found


def answers_by_fold(files: Mapping[str, Path], folds: Sequence[int]) -> list[dict[str, Path]]:
    """For each fold, name -> the file that answers it: what was named, with the fold's number in place of `{fold}`.

    Raises `BadInput` where one file is named for several folds, or the file of one of several is not there.
    """
    found = [{name: Path(str(path).replace(FOLD, str(fold))) for name, path in files.items()} for fold in folds]
    if len(folds) == 1:
        return found
    for name, path in files.items():
        if FOLD not in str(path):
            raise BadInput(
                f"--prediction {name}={path} is one file, and the task has {len(folds)} folds; write {FOLD} where a "
                f"file's name has the number of its fold, as in {name}=answers/{FOLD}.csv."
            )
    if missing := [path for each in found for path in each.values() if not path.exists()]:
        raise BadInput(
            f"{missing[0]} is not there ({len(missing)} of {len(folds) * len(files)} files are not); expected an "
            f"answer to each of the folds {', '.join(map(str, folds))}, so make it, or score the folds that are "
            "answered one by one: --task with the task.json of one."
        )
    return found


def score_task(
    asked: AskedElsewhere, pair: PairedSample, files: Mapping[str, Path], store: Store, rows: Any = None
) -> list[Scored]:
    """Score files as answers to an exported task; see `score_tasks`."""
    return score_tasks([asked], pair, [files], store, rows)


def score_tasks(
    tasks: Sequence[AskedElsewhere],
    pair: PairedSample,
    answers: Sequence[Mapping[str, Path]],
    store: Store,
    rows: Any = None,
) -> list[Scored]:
    """Score files as answers to exported tasks, into the store; see `spadit score --task`.

    answers: per task, name -> file. All files are read and checked before anything is written. Raises `BadInput` where
    the pair is not the one that was exported, or a file does not answer its task.
    """
    read = []
    for asked, files in zip(tasks, answers, strict=True):
        data, problem, truth = _posed(asked, pair)
        names = spot_names(truth.spots)
        given = {name: aligned(path, truth.genes, names, rows) for name, path in files.items()}
        found = [(name, values, audit_file(truth.values, values, truth.genes)) for name, values in given.items()]
        read.append((asked, pair, data, problem, truth, found))
    return [scored for each in read for scored in _scored(*each, store)]


def score_leak(asked: AskedElsewhere, pair: PairedSample, name: str, make: Leak, store: Store) -> Scored:
    """Score an answer that is made from the truth, as what it is: marked a leak by construction, outside every ranking.

    make: the problem, and the (n_spots, n_genes) truth on the log-normalised scale -> an answer of that shape.
    """
    data, problem, truth = _posed(asked, pair)
    values = np.ascontiguousarray(make(problem, truth.values.astype(np.float64)))
    audit = known_leak(audit_file(truth.values, values, truth.genes))
    return _scored(asked, pair, data, problem, truth, [(name, values, audit)], store)[0]


def _posed(asked: AskedElsewhere, pair: PairedSample) -> tuple[Prepared, Problem, Truth]:
    if pair.id != asked.dataset_id:
        raise BadInput(
            f"{pair.name} holds other data ({pair.id}) than were exported ({asked.dataset_id}); give the folder of the "
            "original with --data."
        )
    data = prepare(pair, asked.protocol)
    return data, *pose(data, asked.split, asked.fold, asked.sampling_rate, asked.task)


def _scored(
    asked: AskedElsewhere,
    pair: PairedSample,
    data: Prepared,
    problem: Problem,
    truth: Truth,
    answers: Sequence[tuple[str, Floats, FileAudit]],
    store: Store,
) -> list[Scored]:
    experiment = Experiment(
        "elsewhere",
        {name: External(name) for name, _, _ in answers},
        [pair.name],
        split=asked.split,
        sampling_rates=[asked.sampling_rate],
        task=asked.task,
        protocol=asked.protocol,
        folds=[asked.fold],
        title="Predictions made elsewhere",
    )
    question = experiment.asked({pair.name: facts_of(pair)}, _now())
    # What was asked does not change with who answers: all answers to one protocol are one experiment.
    name = f"elsewhere-{question.posed}"
    question = dataclasses.replace(question, name=name, definition=question.posed, external=True)
    sparsity = float((problem.spots.lognorm == 0).mean())
    found = []
    for name, values, audit in answers:
        base = Trial(
            External(name), pair.name, pair.id, asked.split, asked.fold, 0, asked.sampling_rate, asked.protocol,
            asked.task,
        )  # fmt: skip
        trial = ExternalTrial(**{f.name: getattr(base, f.name) for f in dataclasses.fields(base)}, sha256=_sha(values))
        more = {"flags": trial.flags(data.kind), "input_sparsity": sparsity, "trial": trial.identity}
        found.append((name, _outcome(trial.columns, values, truth, audit, more), audit))
    put_card(store, pair, data)
    return _put(store, question, found)


def score_truth(path: Path, files: Mapping[str, Path], store: Store, rows: Any = None) -> list[Scored]:
    """Score files against a truth that is a file, in a table of its own, on the scale that the truth has."""
    given = read_table(path, rows)
    values = _finite(path, given)
    truth = Truth(given.columns, values.astype(np.float32), np.arange(len(values)), None, None, None)
    answers = {name: aligned(file, given.columns, given.rows, rows) for name, file in files.items()}
    dataset, dataset_id = path.name.partition(".")[0] or path.name, _sha(values, given.columns)
    variants = {name: _variant(name) for name in files}
    question = Asked(
        name="scored-" + "".join(c if c.isalnum() else "-" for c in dataset)[:60],
        definition=short_hash([GIVEN_TRUTH, dataset_id], 8),
        asked_at=_now(),
        title=f"Predictions scored against {path.name}",
        commands=(),
        variants=variants,
        datasets={dataset: {"dataset_id": dataset_id, "title": "a truth that came as a file", "spots": len(values)}},
        task=GIVEN_TRUTH,
        protocol={},
        protocol_id="none",
        split={},
        folds=1,
        flags=("the truth came as a file, so nothing is known of what the predictions were made from",),
        cells=(),
    )
    found = []
    for name, answer in answers.items():
        identity = {"method": canonical(External(name)), "truth": dataset_id, "prediction": _sha(answer)}
        columns = {
            "trial_id": short_hash(identity, 16),
            "dataset": dataset,
            "dataset_id": dataset_id,
            "method": "external",
            "variant_id": variants[name]["variant_id"],
            "task": GIVEN_TRUTH["component"],
            "split": "{}",
            "protocol_id": "none",
            "fold": 0,
            "seed": 0,
            "sampling_rate": 1.0,
        }
        audit = audit_file(values, answer, given.columns)
        more = {"flags": question.flags, "trial": identity}
        found.append((name, _outcome(columns, answer, truth, audit, more), audit))
    return _put(store, question, found)


def audit_files(truth: Path, files: Mapping[str, Path], rows: Any = None) -> dict[str, FileAudit]:
    """Audit files against a truth that is a file, genes and spots matched by name; name -> audit."""
    given = read_table(truth, rows)
    values = _finite(truth, given)
    answers = {name: aligned(file, given.columns, given.rows, rows) for name, file in files.items()}
    return {name: audit_file(values, answer, given.columns) for name, answer in answers.items()}


def aligned(path: Path, genes: Sequence[str], spots: Sequence[str], rows: Any = None) -> Floats:
    """(n_spots, n_genes) values of a file, by the names of genes and spots; further genes are left out.

    Rows without names of their own (0, 1, 2, ... as tables get them by default) are taken in order. Raises `BadInput`
    where a gene or spot is missing, or a value is not finite.
    """
    found = read_table(path, rows)
    place = {gene: i for i, gene in enumerate(found.columns)}
    if missing := [gene for gene in genes if gene not in place]:
        turned = len(set(genes) & set(found.rows)) > len(genes) - len(missing)
        advice = "its rows are genes, so say --rows genes" if turned else "so add what is missing"
        raise BadInput(
            f"{path} lacks {len(missing)} of {len(genes)} genes, {missing[0]!r} for one; expected a column for every "
            f"gene asked for, {advice}."
        )
    order = {spot: i for i, spot in enumerate(found.rows)}
    unnamed = all(name == str(i) for i, name in enumerate(found.rows))
    if unnamed and len(found.rows) == len(spots):
        at = list(range(len(spots)))
    elif absent := [spot for spot in spots if spot not in order]:
        raise BadInput(
            f"{path} has {len(found.rows)} rows and lacks {len(absent)} of {len(spots)} spots, {absent[0]!r} for one; "
            "expected a row for every spot, by name or without names and in order."
        )
    else:
        at = [order[spot] for spot in spots]
    values = _finite(path, found)[at][:, [place[gene] for gene in genes]]
    return np.ascontiguousarray(values)


def _finite(path: Path, table: Table) -> Floats:
    values = np.asarray(table.values, dtype=np.float64)
    if not np.isfinite(values).all():
        gene = table.columns[int(np.flatnonzero(~np.isfinite(values).all(axis=0))[0])]
        raise BadInput(f"{path}: {gene!r} is not finite at every spot; expected a number for each.")
    return values


def _outcome(columns: dict[str, Any], values: Floats, truth: Truth, audit: FileAudit, more: dict[str, Any]) -> Outcome:
    table, facts = score_table(columns, values, truth)
    record = Record(
        status="ok",
        prediction_sha256=hashlib.sha256(np.ascontiguousarray(values, dtype="<f4").tobytes()).hexdigest(),
        n_spots={"measured": len(truth.values), "scored": len(truth.values)},
        node=platform.node(),
        versions=versions(),
        selection="unknown",
        audit=audit.to_json(),
        external=True,
        started_at=_now(),
        **{key: columns[key] for key in (
            "trial_id", "dataset", "dataset_id", "method", "variant_id", "fold", "seed", "sampling_rate",
        )},
        **facts,
        **more,
    )  # fmt: skip
    return Outcome(record, table, values.astype(np.float32), truth.genes, truth.spots)


def _put(store: Store, question: Asked, found: Sequence[tuple[str, Outcome, FileAudit]]) -> list[Scored]:
    """Store the outcomes, then the question that they answer."""
    cells, scored = [], []
    for name, outcome, audit in found:
        record = store.put(outcome, keep_prediction=True)
        cell = {"label": name, "dataset": record.dataset, "fold": record.fold, "seed": 0}
        cells.append(cell | {"sampling_rate": record.sampling_rate, "trial_id": record.trial_id})
        scored.append(Scored(name, record, audit))
    store.put_asked(dataclasses.replace(question, cells=tuple(cells)))
    return scored


def _variant(name: str) -> dict[str, Any]:
    method = External(name)
    return {
        "variant_id": short_hash(method, 8),
        "method": "external",
        "control": False,
        "component": canonical(method),
        "chosen_on": [],
    }


def _sha(values: Floats, names: Sequence[str] = ()) -> str:
    """16 hex digits over an array and names."""
    text = f"{values.shape} {list(names)} ".encode()
    return hashlib.sha256(text + np.ascontiguousarray(values, dtype="<f8").tobytes()).hexdigest()[:16]


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds")
