"""One process of a method's audit: behind a barrier, load the pair, pose folds, run the method, say what came of it.

`python -m harness.audit.child FOLDER` reads FOLDER/ask.json and writes FOLDER/answer.json: for every fold the digests
of its stages, in the order in which they came about. Two runs are compared stage by stage, so that the first stage at
which a changed truth shows is known. The last prediction lies beside it.
"""

from __future__ import annotations

import json
import os
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.audit.barrier import seal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.protocol import Truth
    from models.method import Method, Problem

Stages = list[tuple[str, str]]
ANSWER = "answer.npy"
"""What was predicted of the last fold, in the process's folder."""


def main() -> None:
    """Answer what FOLDER/ask.json asks; the barrier comes first, before threads, numpy and the user's file."""
    folder = Path(sys.argv[1])
    ask = json.loads((folder / "ask.json").read_text())
    os.chdir(folder)
    seal([Path(path) for path in ask["hidden"]], folder)
    (folder / "answer.json").write_text(json.dumps(_answer(ask)))


def _answer(ask: dict[str, Any]) -> list[dict[str, Any]]:
    """One {"stages", "outcome", "reason"} per asked fold, in order, in this one process."""
    import numpy as np

    from harness.audit.subject import Subject
    from harness.datasets import load
    from harness.protocol import Frame, pose, prepare
    from models.component import rebuild

    warnings.simplefilter("ignore")
    method = Subject(**ask["subject"]).method(ask["dataset"])
    fixed = Frame(tuple(ask["panel"]), np.array(ask["spots"], dtype=np.intp))
    protocol, split, task = (rebuild(ask[name]) for name in ("protocol", "split", "task"))
    data = prepare(load(ask["dataset"], [Path(f) for f in ask["folders"]]), protocol, fixed)
    answers = []
    for fold in ask["folds"]:
        problem, truth = pose(data, split, fold, ask["sampling_rate"], task)
        answers.append(_run(method, problem, truth, ask["seed"], fold))
    return answers


def _run(method: Method, problem: Problem, truth: Truth, seed: int, fold: int) -> dict[str, Any]:
    import numpy as np

    from harness.answer import answer
    from harness.trial import method_stream, threads
    from models.method import Run, Skipped

    stages: Stages = [(name, digest(parts)) for name, parts in _inputs(problem, truth)]

    class Watched(Run):
        def report(self, step: int, of: int, validation: float | None = None) -> None:
            stages.append((f"fit, report {step} of {of}", digest([repr((step, of, validation))])))

    with threads(1):
        try:
            prediction = answer(method, problem, Watched(method_stream(seed, fold)))
        except Skipped as skip:
            return {"stages": stages, "outcome": "skipped", "reason": str(skip)}
        except Exception as error:  # whatever a method raises is what the audit reports
            text = " ".join(f"{type(error).__name__}: {error}".split())[:300]
            if isinstance(error, PermissionError):
                text += " (in an audit a method writes to no place but its temporary folder, and cannot read the data)"
            return {"stages": [*stages, ("prediction", text)], "outcome": "failed", "reason": text}
    np.save(ANSWER, prediction)
    return {"stages": [*stages, ("prediction", digest([prediction]))], "outcome": "ok", "reason": ""}


def _inputs(problem: Problem, truth: Truth) -> Iterator[tuple[str, list[Any]]]:
    """Everything that a method receives, in the order in which the protocol makes it."""
    spots, cells = problem.spots, problem.cells
    yield "which genes are visible and which are asked for", [problem.visible, problem.targets, problem.hidden]
    yield "which spots are scored", [truth.spots]
    yield "size factors of the spots", [spots.size_factors]
    yield "visible values of the spots", [spots.counts, spots.lognorm]
    yield "single-cell reference", [cells.genes, cells.size_factors, cells.counts, cells.lognorm]
    yield "coordinates and cell types", [problem.coordinates, problem.cell_types]
    yield "validation genes", [problem.validation]


def digest(parts: list[Any]) -> str:
    """A hash of arrays (type, shape, bytes), texts and Nones, in order."""
    import hashlib

    import numpy as np

    found = hashlib.sha256()
    for part in parts:
        if isinstance(part, np.ndarray):
            content = f"{part.dtype.str} {part.shape} ".encode() + np.ascontiguousarray(part).tobytes()
        else:
            content = repr(part).encode()
        found.update(len(content).to_bytes(8, "little") + content)
    return found.hexdigest()


if __name__ == "__main__":
    main()
