"""Pairs in a user's folders: `D/NAME/{sc,st}.h5ad`, or the layout of the paper's archive."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from harness.errors import BadInput
from harness.pair import PairedSample, read_pair

from ._base import LAYOUT, Dataset

SAFE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,79}")
"""Names of datasets: they become parts of file names, commands and tables."""


@dataclass(frozen=True)
class Files:
    """The two files of a pair; `sc` or `st` is None where that half is missing."""

    folder: Path
    sc: Path | None
    st: Path | None

    @property
    def whole(self) -> bool:
        """Whether both halves are there."""
        return self.sc is not None and self.st is not None


def scan(folders: Sequence[Path]) -> dict[str, Files]:
    """Every pair, whole or half, of the folders, by name; a folder that is itself a pair is found as well.

    Raises `BadInput` for a folder that does not exist or holds no pair, for a name that is not safe, and for a name
    that two folders use.
    """
    found: dict[str, Files] = {}
    for folder in dict.fromkeys(Path(given).resolve() for given in folders):
        for name, files in _pairs(folder).items():
            if name in found:
                raise BadInput(
                    f"The dataset {name} is in {found[name].folder} and in {files.folder}; expected each name once, "
                    "so rename one of the two folders or leave one out."
                )
            found[name] = files
    return found


def find(name: str, folders: Sequence[Path]) -> Files | None:
    """The pair of that name, whole or half, in the first folder that has it."""
    for folder in (Path(given).resolve() for given in folders):
        candidates = (folder, folder / name) if folder.name == name else (folder / name,)
        for candidate in candidates:
            files = _files(candidate)
            if files is not None:
                return files
    return None


@dataclass(frozen=True)
class FolderPair(Dataset):
    """A pair of a user's folder. Here it is found by name; a file's declared dataset may be one too."""

    from_folders: ClassVar[bool] = True

    def present(self, folders: Sequence[Path]) -> str | None:
        """The folder of the pair, or None where it is missing or half of it is."""
        files = find(self.name, folders)
        return str(files.folder) if files is not None and files.whole else None

    def absence(self, folders: Sequence[Path]) -> str:
        """Which half is missing, or where the files are expected."""
        files = find(self.name, folders)
        if files is not None:
            half = "sc.h5ad" if files.sc is None else "st.h5ad"
            return f"{files.folder} has no {half}; expected {LAYOUT}, so add that file"
        source = f"; its source: {self.facts.text('source')}" if self.facts.source else ""
        return f"expected {LAYOUT.replace('NAME', self.name)} in a data folder D, so put it there{source}"

    def load(self, folders: Sequence[Path]) -> PairedSample:
        """Read it. Raises `BadInput` where it is missing, half of it is, or a file cannot be used."""
        files = find(self.name, folders)
        if files is None or files.sc is None or files.st is None:
            raise self.missing(folders)
        return read_pair(self.name, files.sc, files.st)


def _pairs(folder: Path) -> dict[str, Files]:
    if not folder.is_dir():
        what = "is a file" if folder.exists() else "does not exist"
        raise BadInput(f"The data folder {folder} {what}; expected a folder with {LAYOUT}.")
    itself = _files(folder)
    if itself is not None:
        found = {folder.name: itself}
    else:
        children = sorted(child for child in folder.iterdir() if child.is_dir() and not child.name.startswith("."))
        found = {child.name: files for child in children if (files := _files(child)) is not None}
    if not found:
        raise BadInput(f"The data folder {folder} has no pair; expected {LAYOUT}, so check the folder and the names.")
    for name, files in found.items():
        if not SAFE.fullmatch(name):
            raise BadInput(
                f"{files.folder} cannot name a dataset; expected letters, digits, '.', '_' and '-' only "
                "(80 at most), so rename the folder."
            )
    return found


def _files(folder: Path) -> Files | None:
    """The files of the pair that a folder is, in either layout; None where it has neither half."""
    halves: dict[str, Path | None] = {}
    for half in ("sc", "st"):
        candidates = (folder / f"{half}.h5ad", folder / half / f"{folder.name}_{half}.h5ad")
        halves[half] = next((path for path in candidates if path.is_file()), None)
    return None if halves["sc"] is None and halves["st"] is None else Files(folder, halves["sc"], halves["st"])
