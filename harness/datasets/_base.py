"""What a named dataset is, and what is known of it whether or not it is here."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from harness.errors import BadInput
from harness.pair import PairedSample

LAYOUT = (
    "D/NAME/sc.h5ad and D/NAME/st.h5ad (or .h5, .csv, .tsv, .txt, the last three also .gz; or "
    "D/NAME/sc/NAME_sc.h5ad and D/NAME/st/NAME_st.h5ad)"
)
"""How a data folder D is laid out, as error messages say it."""


@dataclass(frozen=True)
class Facts:
    """What is known of a dataset without having it; "" where nothing is.

    inferred: the fields that no source states and that were concluded from evidence.
    """

    technology: str = ""
    tissue: str = ""
    organism: str = ""
    source: str = ""
    size: str = ""
    inferred: tuple[str, ...] = ()

    def text(self, field: str) -> str:
        """One fact, marked where it is inferred."""
        value: str = getattr(self, field) or "unknown"
        return f"{value} [inferred]" if field in self.inferred else value


@dataclass(frozen=True)
class Entry:
    """One line of a listing: is the dataset here, and where; if not, why not and what to do."""

    name: str
    title: str
    present: bool
    where: str
    synthetic: str
    reason: str
    facts: Facts = Facts()


@dataclass(frozen=True)
class Dataset(ABC):
    """A dataset that can be asked for by name. A file of this folder declares its own in a tuple `DATASETS`.

    title: one clause. synthetic: "" for real data, else what was invented.
    from_folders: whether its files are looked for in the user's folders, so that a folder may bear its name.
    """

    from_folders: ClassVar[bool] = False

    name: str
    title: str
    facts: Facts = Facts()
    synthetic: str = ""

    @abstractmethod
    def present(self, folders: Sequence[Path]) -> str | None:
        """Where the dataset is, or None where it is absent."""

    @abstractmethod
    def absence(self, folders: Sequence[Path]) -> str:
        """Why it is absent and what to do, a clause without a full stop."""

    @abstractmethod
    def load(self, folders: Sequence[Path]) -> PairedSample:
        """The pair. Raises `BadInput` where it is absent or unusable."""

    def places(self) -> tuple[Path, ...]:
        """Its files outside the user's folders, where it has any."""
        return ()

    def entry(self, folders: Sequence[Path]) -> Entry:
        """Its line of a listing."""
        where = self.present(folders)
        reason = "" if where is not None else self.absence(folders)
        return Entry(self.name, self.title, where is not None, where or "", self.synthetic, reason, self.facts)

    def missing(self, folders: Sequence[Path]) -> BadInput:
        """The error of asking for it where it is absent."""
        return BadInput(f"The dataset {self.name} is not here: {self.absence(folders)}.")
