"""Named datasets: bundled, the paper's ten, and whatever pairs lie in a user's folders.

Adding a dataset adds one file to this folder that declares a tuple `DATASETS`; nothing else needs to know.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from harness.errors import BadInput
from harness.pair import PairedSample
from harness.reading.uri import shown
from models.component import nearest

from ._base import LAYOUT, Dataset, Entry, Facts
from ._download import Patience
from ._fetch import fetch
from ._folders import SAFE, FolderPair, loose, scan

__all__ = [
    "LAYOUT",
    "Dataset",
    "Entry",
    "Facts",
    "Patience",
    "fetch",
    "here",
    "known",
    "listing",
    "load",
    "out_of_reach",
    "present",
]


def known() -> dict[str, Dataset]:
    """The datasets that files of this folder declare, by name: bundled ones and the paper's."""
    found: dict[str, Dataset] = {}
    for info in pkgutil.iter_modules(__path__):
        if info.name.startswith("_"):
            continue
        for dataset in getattr(importlib.import_module(f"{__name__}.{info.name}"), "DATASETS", ()):
            if dataset.name in found:
                raise ValueError(f"{info.name}.py declares {dataset.name}, which another file declares already.")
            found[dataset.name] = dataset
    return dict(sorted(found.items(), key=lambda item: item[1].from_folders))  # bundled first, else as declared


def listing(folders: Sequence[Path] = ()) -> list[Entry]:
    """Everything that can be asked for: declared datasets, present or not and why, then every pair of the folders.

    Raises `BadInput` for a folder without a pair, an unsafe name, or a name that is there twice.
    """
    return [dataset.entry(folders) for dataset in _everything(folders).values()]


def present(name: str, folders: Sequence[Path] = ()) -> Entry:
    """The entry of one dataset. Raises `BadInput` with the nearest names where it is unknown."""
    return _find(name, folders).entry(folders)


def here(asked: str, names: Sequence[str], folders: Sequence[Path], strict: bool = False) -> list[Entry]:
    """The entries of an experiment's datasets, at least one of them present; `asked` is the experiment's name.

    Raises `BadInput` where none is, and with `strict` where one is not.
    """
    entries = [present(name, folders) for name in names]
    absent = [entry for entry in entries if not entry.present]
    if strict and absent:
        raise BadInput(f"Dataset {absent[0].name} is not there: {absent[0].reason}")
    if len(absent) == len(entries):
        raise BadInput(f"Experiment {asked} has no dataset to run on: {absent[0].name}: {absent[0].reason}")
    return entries


def load(name: str, folders: Sequence[Path] = ()) -> PairedSample:
    """The pair of that name.

    Raises `BadInput`: with the nearest names where it is unknown, with the expected files where it is absent, and
    with what is wrong where a file cannot be used.
    """
    return _find(name, folders).load(folders)


def out_of_reach(name: str, folders: Sequence[Path] = ()) -> tuple[Path, ...]:
    """Where a dataset lies on this machine, and every other pair of the folders: what an audit hides from a method."""
    places = list(_find(name, folders).places())
    for folder in folders:
        with suppress(BadInput):  # a folder without a pair hides nothing
            places += [files.folder for files in scan([folder]).values()]
    return tuple(dict.fromkeys(places))


def _find(name: str, folders: Sequence[Path]) -> Dataset:
    everything = _everything(folders)
    if name not in everything:
        raise BadInput(f"There is no dataset {name!r} {_what_is_there(name, folders, list(everything))}")
    return everything[name]


def _what_is_there(name: str, folders: Sequence[Path], names: Sequence[str]) -> str:
    """The rest of the sentence on a dataset that there is not: what to do."""
    if not folders:
        return (
            "without a data folder, and none is given; name it with --data FOLDER or $SPADIT_DATA. Known without one: "
            f"{', '.join(names)}."
        )
    for folder in folders if SAFE.fullmatch(name) else ():
        if files := loose(folder / name):
            return (
                f"in {shown(folder / name)}, which holds {' and '.join(files[:3])}; expected {LAYOUT}, so rename them."
            )
    return f"in {', '.join(map(shown, folders))}; {nearest(name, list(names))}"


def _everything(folders: Sequence[Path]) -> dict[str, Dataset]:
    everything = known()
    for name, files in scan(folders).items():
        if name not in everything:
            everything[name] = FolderPair(name, "a pair of your data folder")
        elif not everything[name].from_folders:
            raise BadInput(
                f"The dataset {name} is in {files.folder} and is also the name of a bundled one; "
                "expected each name once, so rename that folder."
            )
    return everything
