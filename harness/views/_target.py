"""Which cell of which experiment `EXPERIMENT/VARIANT/DATASET[/GENE]` names, by what the store holds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from harness.errors import BadInput
from harness.record import Asked
from harness.store import Store
from models.component import nearest

SHAPE = "EXPERIMENT/VARIANT/DATASET or EXPERIMENT/VARIANT/DATASET/GENE"


@dataclass(frozen=True, eq=False)
class Target:
    """A cell of a table. gene: "" for all of them. versions: every definition of the experiment, in order of asking."""

    asked: Asked
    label: str
    dataset: str
    gene: str
    versions: tuple[Asked, ...]

    @property
    def cells(self) -> tuple[dict[str, Any], ...]:
        """What was asked of this variant on this dataset."""
        return cells_of(self.asked, self.label, self.dataset)


def cells_of(asked: Asked, label: str, dataset: str) -> tuple[dict[str, Any], ...]:
    """The cells of a variant on a dataset."""
    return tuple(cell for cell in asked.cells if (cell["label"], cell["dataset"]) == (label, dataset))


def resolve(store: Store, text: str) -> Target:
    """The latest definition's cell of that name, else an earlier one's; `BadInput` with the nearest names.

    Labels and genes may hold slashes ("w/ U-Net"): the text is matched against the names that there are, the longest
    first, rather than split.
    """
    name, _, rest = text.partition("/")
    versions = tuple(store.answered(asked) for asked in store.asked(name))
    for asked in reversed(versions):
        for label, dataset, gene in _readings(rest, asked):
            if cells_of(asked, label, dataset):
                return Target(asked, label, dataset, gene, versions)
    raise BadInput(_unknown(rest, versions[-1]))


def _readings(rest: str, asked: Asked) -> Iterator[tuple[str, str, str]]:
    """(label, dataset, gene) that the text may mean."""
    for label, tail in _starts(rest, list(asked.variants)):
        for dataset, gene in _starts(tail, list(asked.datasets)):
            yield label, dataset, gene


def _starts(text: str, names: list[str]) -> Iterator[tuple[str, str]]:
    """(name, what follows its slash) of the names that the text starts with, the longest first."""
    for name in sorted(names, key=len, reverse=True):
        if text == name or text.startswith(f"{name}/"):
            yield name, text[len(name) + 1 :]


def _unknown(rest: str, asked: Asked) -> str:
    """Why the text names no cell of a definition."""
    for dataset in asked.datasets:
        guess, found, after = rest.partition(f"/{dataset}")
        if found and (not after or after.startswith("/")) and guess not in asked.variants:
            return f"Experiment {asked.name} has no variant {guess!r}; {nearest(guess, list(asked.variants))}"
    labels = list(_starts(rest, list(asked.variants)))
    if not rest:
        return f"{asked.name!r} alone names no cell; give {SHAPE}; {nearest('', list(asked.variants))}"
    if not labels:
        guess = rest.partition("/")[0]
        return f"Experiment {asked.name} has no variant {guess!r}; {nearest(guess, list(asked.variants))}"
    label, tail = labels[0]
    dataset = tail.partition("/")[0]
    if not dataset:
        return f"{asked.name}/{label} names no dataset; give {SHAPE}; {nearest('', list(asked.datasets))}"
    if dataset in asked.datasets:
        return f"Experiment {asked.name} did not ask for {label!r} on {dataset}; `spadit status` lists what it asked."
    for excluded in asked.excluded:
        if excluded.get("dataset") == dataset:
            return f"Experiment {asked.name} left {dataset} out: {excluded['reason']}"
    return f"Experiment {asked.name} has no dataset {dataset!r}; {nearest(dataset, list(asked.datasets))}"
