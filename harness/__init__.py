"""The harness: data, protocol, trials, scheduling, storing, auditing, command line.

Import it first: it checks that `models`, `reports` and `experiments` are this project's and not folders of the
same name beside your script. Names are loaded when they are first used, so that `import harness` and
`spadit --help` cost nothing: neither torch nor ray nor scanpy is imported here.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from harness._house import check_house

if TYPE_CHECKING:
    from harness.errors import BadInput
    from harness.experiment import ByDataset, ByFold, Experiment
    from harness.protocol import (
        HeldOutGenes,
        Holdout,
        KFold,
        MaskedEntries,
        Panel,
        PerEntry,
        PerSpot,
        Preprocessing,
        Protocol,
    )
    from harness.results import Results, submit

check_house()

_PLACES = {
    "BadInput": "harness.errors",
    "ByDataset": "harness.experiment",
    "ByFold": "harness.experiment",
    "Experiment": "harness.experiment",
    "HeldOutGenes": "harness.protocol",
    "Holdout": "harness.protocol",
    "KFold": "harness.protocol",
    "MaskedEntries": "harness.protocol",
    "Panel": "harness.protocol",
    "PerEntry": "harness.protocol",
    "PerSpot": "harness.protocol",
    "Preprocessing": "harness.protocol",
    "Protocol": "harness.protocol",
    "Results": "harness.results",
    "submit": "harness.results",
}

__all__ = [
    "BadInput", "ByDataset", "ByFold", "Experiment", "HeldOutGenes", "Holdout", "KFold", "MaskedEntries", "Panel",
    "PerEntry", "PerSpot", "Preprocessing", "Protocol", "Results", "submit",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module 'harness' has no attribute {name!r}")
    return getattr(import_module(_PLACES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
