"""A problem as files, for methods that run elsewhere: everything a method may see, and no truth.

`spadit data export` writes it, of every fold or of one; `spadit score --task` takes answers back and scores each as its
fold's trial.
"""

from __future__ import annotations

import json
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from harness.errors import BadInput
from harness.pair import PairedSample
from harness.protocol import KFold, Protocol, Split, Truth, pose, prepare
from harness.protocol.task import HeldOutGenes, Task
from models.component import ComponentError, canonical, rebuild, short_hash
from models.method import Expression, Problem

SCHEMA = 1
FILES = ("sc.h5ad", "st_visible.h5ad", "targets.txt", "task.json")
"""What is written of a fold; see `export`."""

ANSWER = (
    "Predict every gene of targets.txt at every spot of st_visible.h5ad, on the log-normalised scale of its X: a table "
    "of spots x genes (.csv, .tsv, .parquet or .h5ad) with spot names in rows and gene names in columns. spotN is row "
    "N of the ST file, counted from 0; spots without a visible count are left out. Then: spadit score --task task.json "
    "--prediction NAME=FILE --store STORE --data DATA."
)


@dataclass(frozen=True)
class AskedElsewhere:
    """What `task.json` says: which fold of which dataset under which protocol was given away.

    id: 16 hex digits over everything else but the dataset's name.
    """

    dataset: str
    dataset_id: str
    protocol: Protocol
    split: Split
    task: Task
    fold: int
    sampling_rate: float

    @property
    def id(self) -> str:
        """The task id."""
        return short_hash({key: value for key, value in self._described().items() if key != "dataset"}, 16)

    def to_json(self, problem: Problem) -> dict[str, Any]:
        """The content of `task.json`; of the problem only names and sizes."""
        return {
            "schema": SCHEMA,
            "task_id": self.id,
            **self._described(),
            "spots": len(problem.spots),
            "visible": list(problem.visible),
            "validation": list(problem.validation),
            "targets": list(problem.targets),
            "answer": ANSWER,
        }

    @classmethod
    def read(cls, path: Path) -> AskedElsewhere:
        """From a `task.json`; `BadInput` for anything else, or where this installation cannot pose the same task."""
        try:
            found = json.loads(path.read_text())
            made = cls(
                dataset=str(found["dataset"]),
                dataset_id=str(found["dataset_id"]),
                protocol=rebuild(found["protocol"]),
                split=rebuild(found["split"]),
                task=rebuild(found["task"]),
                fold=int(found["fold"]),
                sampling_rate=float(found["sampling_rate"]),
            )
            same = found["schema"] == SCHEMA and found["task_id"] == made.id
        except OSError as error:
            raise BadInput(f"{path} cannot be read ({error.strerror}); give the task.json of an export.") from None
        except ComponentError as error:
            raise BadInput(f"{path} asks for what is not here: {error}") from None
        except (ValueError, TypeError, KeyError, AttributeError):
            raise BadInput(f"{path} is no task of `spadit data export`; give the task.json that it wrote.") from None
        if not same:
            raise BadInput(f"{path} was changed since it was exported, its id does not match; export it again.")
        return made

    def _described(self) -> dict[str, Any]:
        return {
            "dataset": self.dataset,
            "dataset_id": self.dataset_id,
            "protocol": canonical(self.protocol),
            "split": canonical(self.split),
            "task": canonical(self.task),
            "fold": self.fold,
            "sampling_rate": canonical(float(self.sampling_rate)),
        }


def export(
    pair: PairedSample,
    out: Path,
    fold: int = 0,
    sampling_rate: float = 1.0,
    protocol: Protocol | None = None,
    split: Split | None = None,
) -> AskedElsewhere:
    """Write one fold's problem into a new folder `out`, whole or not at all.

    sc.h5ad and st_visible.h5ad: X log-normalised, layers["counts"] and obs["size_factor"] where the data are counts;
    obs["cell_type"] of the cells; obsm["spatial"] of the spots, whose names are those of `spot_names`;
    var["validation"] marks genes for early stopping. targets.txt: a name per line. task.json: see `AskedElsewhere`.
    Raises `BadInput` for a folder that is there already, an impossible fold or rate.
    """
    protocol, split = protocol or Protocol(), split or KFold()
    asked = AskedElsewhere(pair.name, pair.id, protocol, split, HeldOutGenes(), fold, sampling_rate)
    _require_new(out)
    problem, truth = pose(prepare(pair, protocol), split, fold, sampling_rate)
    with _new_folder(out) as writing:
        _write(asked, problem, truth, writing)
    return asked


def export_folds(
    pair: PairedSample,
    out: Path,
    sampling_rate: float = 1.0,
    protocol: Protocol | None = None,
    split: Split | None = None,
) -> list[AskedElsewhere]:
    """Write the problem of every fold as `export` does, into fold0, fold1, ... of a new folder `out`; all or none."""
    protocol, split = protocol or Protocol(), split or KFold()
    first = AskedElsewhere(pair.name, pair.id, protocol, split, HeldOutGenes(), 0, sampling_rate)
    tasks = [replace(first, fold=fold) for fold in range(split.folds)]
    _require_new(out)
    data = prepare(pair, protocol)
    pose(data, split, 0, sampling_rate)  # so that what cannot be posed is refused before a folder is made
    with _new_folder(out) as writing:
        for asked in tasks:
            place = writing / f"fold{asked.fold}"
            place.mkdir()
            _write(asked, *pose(data, split, asked.fold, sampling_rate), place)
    return tasks


def read_tasks(path: Path) -> list[AskedElsewhere]:
    """The tasks of a task.json, of the folder that it lies in, or of a folder of such folders, by fold.

    Raises `BadInput` where there is none, and where a folder's tasks are not folds of one and the same question.
    """
    if not path.is_dir():
        return [AskedElsewhere.read(path)]
    files = [path / "task.json"] if (path / "task.json").exists() else sorted(path.glob("*/task.json"))
    if not files:
        raise BadInput(f"{path} holds no task.json; give the folder that `spadit data export` wrote, or a task.json.")
    tasks = sorted((AskedElsewhere.read(file) for file in files), key=lambda asked: asked.fold)
    folds = [asked.fold for asked in tasks]
    if len({replace(asked, fold=0).id for asked in tasks}) > 1 or len(set(folds)) < len(folds):
        raise BadInput(
            f"{path} holds tasks of more than one question (folds {', '.join(map(str, folds))}); expected different "
            "folds of one export, so give each export's folder on its own."
        )
    return tasks


def _require_new(out: Path) -> None:
    if out.exists():
        raise BadInput(f"{out} exists already; name a folder that does not, or remove it first.")


@contextmanager
def _new_folder(out: Path) -> Iterator[Path]:
    """A folder to write into, which becomes `out` at the end and vanishes otherwise; `BadInput` where it cannot be."""
    writing = out.parent / f".{out.name}-{uuid.uuid4().hex[:8]}"
    try:
        writing.mkdir(parents=True)
        yield writing
        writing.rename(out)
    except OSError as error:
        raise BadInput(f"{out} cannot be written ({error.strerror or error}); give a folder you may write.") from None
    finally:
        shutil.rmtree(writing, ignore_errors=True)


def _write(asked: AskedElsewhere, problem: Problem, truth: Truth, folder: Path) -> None:
    """The files of one fold (see `export`); of the truth, which spots it is about."""
    cells = _annotated(problem.cells, [f"cell{i}" for i in range(len(problem.cells))])
    if problem.cell_types is not None:
        cells.obs["cell_type"] = np.asarray(problem.cell_types).astype(object)
    spots = _annotated(problem.spots, spot_names(truth.spots))
    spots.var["validation"] = [gene in problem.validation for gene in problem.visible]
    if problem.coordinates is not None:
        spots.obsm["spatial"] = np.array(problem.coordinates)
    cells.write_h5ad(folder / "sc.h5ad", compression="gzip")
    spots.write_h5ad(folder / "st_visible.h5ad", compression="gzip")
    (folder / "targets.txt").write_text("".join(f"{gene}\n" for gene in problem.targets))
    (folder / "task.json").write_text(json.dumps(asked.to_json(problem), indent=1) + "\n")


def spot_names(spots: Any) -> list[str]:
    """Names of spots in exported files and in answers: "spot" and the row in the ST file, counted from 0."""
    return [f"spot{index}" for index in spots]


def _annotated(expression: Expression, names: list[str]) -> Any:
    import anndata
    import pandas as pd

    data = anndata.AnnData(
        np.array(expression.lognorm), obs=pd.DataFrame(index=names), var=pd.DataFrame(index=list(expression.genes))
    )
    if expression.counts is not None:
        data.layers["counts"] = np.array(expression.counts)
    if expression.size_factors is not None:
        data.obs["size_factor"] = np.array(expression.size_factors)
    return data
