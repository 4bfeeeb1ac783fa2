"""Pairs in a user's folders, local or anywhere fsspec reaches: `D/NAME/{sc,st}.h5ad`, or the paper's archive's layout.

A half may be any of the forms that `read_pair` knows; its suffix says which.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from harness.errors import BadInput
from harness.pair import PairedSample, read_pair
from harness.reading.half import FORMS
from harness.reading.uri import is_file, listed, located, over_http, remote, shown

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


def scan(folders: Sequence[Path | str]) -> dict[str, Files]:
    """Every pair, whole or half, of the folders, by name; a folder that is itself a pair is found as well.

    A folder is a local path or a URI that can be listed. Raises `BadInput` for a folder that does not exist or holds no
    pair, for a name that two folders use, and for two files that are the same half.
    """
    found: dict[str, Files] = {}
    for folder in dict.fromkeys(_resolved(given) for given in folders):
        for name, files in _pairs(folder).items():
            if name in found:
                raise BadInput(
                    f"The dataset {name} is in {shown(found[name].folder)} and in {shown(files.folder)}; expected each "
                    "name once, so rename one of the two folders or leave one out."
                )
            found[name] = files
    return found


def find(name: str, folders: Sequence[Path | str]) -> Files | None:
    """The pair of that name, whole or half, in the first folder that has it."""
    for folder in (_resolved(given) for given in folders):
        candidates = (folder, folder / name) if folder.name == name else (folder / name,)
        for candidate in candidates:
            files = pair_files(candidate)
            if files is not None:
                return files
    return None


@dataclass(frozen=True)
class FolderPair(Dataset):
    """A pair of a user's folder. Here it is found by name; a file's declared dataset may be one too."""

    from_folders: ClassVar[bool] = True

    def present(self, folders: Sequence[Path]) -> str | None:
        """The folder of the pair, or None where it is missing or half of it is, or its name will not do."""
        if not SAFE.fullmatch(self.name):
            return None
        files = find(self.name, folders)
        return shown(files.folder) if files is not None and files.whole else None

    def absence(self, folders: Sequence[Path]) -> str:
        """Which half is missing, or where the files are expected."""
        files = find(self.name, folders)
        if files is not None and not SAFE.fullmatch(self.name):
            return (
                f"{shown(files.folder)} cannot name a dataset; expected letters, digits, '.', '_' and '-' only (80 at "
                "most), so rename the folder"
            )
        if files is not None:
            half = "sc.h5ad" if files.sc is None else "st.h5ad"
            others = [name for name in loose(files.folder) if name not in ("sc.h5ad", "st.h5ad")]
            do = f"rename {others[0]!r} if that is it" if others else "add that file"
            return f"{shown(files.folder)} has no {half}; expected {LAYOUT}, so {do}"
        source = f"; its source: {self.facts.text('source')}" if self.facts.source else ""
        return f"expected {LAYOUT.replace('NAME', self.name)} in a data folder D, so put it there{source}"

    def load(self, folders: Sequence[Path]) -> PairedSample:
        """Read it. Raises `BadInput` where it is missing, half of it is, or a file cannot be used."""
        files = find(self.name, folders)
        if self.present(folders) is None or files is None or files.sc is None or files.st is None:
            raise self.missing(folders)
        return read_pair(self.name, files.sc, files.st)


def pair_files(folder: Path, name: str = "") -> Files | None:
    """The files of the pair that a folder is, in either layout; None where it has neither half.

    name: what the paper's layout calls the pair; by default as the folder. Raises `BadInput` for two candidates.
    """
    halves: dict[str, Path | None] = {}
    files, folders = _listed(folder)
    for half in ("sc", "st"):
        inner = f"{name or folder.name}_{half}"
        nested = _listed(folders[half])[0] if half in folders else {}
        candidates = [files[f"{half}{form}"] for form in FORMS if f"{half}{form}" in files]
        candidates += [nested[f"{inner}{form}"] for form in FORMS if f"{inner}{form}" in nested]
        if len(candidates) > 1:
            raise BadInput(
                f"{shown(candidates[0])} and {shown(candidates[1])} are both there; expected one {half} file, so "
                "remove or rename the other."
            )
        halves[half] = candidates[0] if candidates else None
    return None if halves["sc"] is None and halves["st"] is None else Files(folder, halves["sc"], halves["st"])


def _what_to_do(folder: Path) -> str:
    """With a data folder that has no pair, by the AnnData files that are in it or one folder further down."""
    if own := loose(folder):
        return f"give {' and '.join(own[:2])} a folder of their own, and those names"
    for name, below in sorted(_listed(folder)[1].items()):
        if own := loose(below):
            return f"rename {' and '.join(f'{name}/{file}' for file in own[:2])}"
    return "check the folder and the names"


def loose(folder: Path) -> list[str]:
    """Names of the AnnData and 10x files that lie in a folder."""
    return sorted(name for name in _listed(folder)[0] if name.lower().endswith((".h5ad", ".h5")))


def _listed(folder: Path) -> tuple[dict[str, Path], dict[str, Path]]:
    try:
        return listed(folder)
    except FileNotFoundError:
        return {}, {}


def _pairs(folder: Path) -> dict[str, Files]:
    try:
        _, folders = listed(folder)
    except FileNotFoundError:
        what = "is a file" if is_file(folder) else "does not exist"
        raise BadInput(f"The data folder {shown(folder)} {what}; expected a folder with {LAYOUT}.") from None
    itself = pair_files(folder)
    if itself is not None:
        found = {folder.name: itself}
    else:
        children = sorted(name for name in folders if not name.startswith("."))
        found = {name: files for name in children if (files := pair_files(folders[name])) is not None}
    if not found:
        raise BadInput(f"The data folder {shown(folder)} has no pair; expected {LAYOUT}, so {_what_to_do(folder)}.")
    return found


def _resolved(given: Path | str) -> Path:
    folder = located(given)
    if over_http(folder):
        raise BadInput(
            f"The data folder {shown(folder)} is a web address, which cannot be listed; expected a folder or a bucket, "
            "so download the pair first (spadit data fetch)."
        )
    return folder if remote(folder) else folder.resolve()
