"""Which methods there are, by the names that the command line calls them: ours, one file each, and plug-ins."""

from __future__ import annotations

import warnings
from importlib.metadata import entry_points

from models.component import discover, stem
from models.method import Method

PLACES = {"model": "models.spadit", "baseline": "models.baselines", "control": "models.controls"}
"""Where methods live; one file each."""

PLUG_INS = "spadit.methods"
"""The entry-point group under which another package offers its methods."""


def methods_by_name() -> dict[str, type[Method]]:
    """Every method that was found, by the name that the command line calls it; plug-ins too."""
    found = {name: cls for package in PLACES.values() for name, cls in discover(package, Method).items()}
    return found | {stem(cls): cls for cls in plug_ins() if stem(cls) not in found}


def plug_ins() -> list[type[Method]]:
    """Methods of other installed packages, from the entry points `spadit.methods`; a broken one is a warning."""
    found = []
    for point in entry_points(group=PLUG_INS):
        try:
            loaded = point.load()
        except Exception as error:  # another package's code may raise anything, and the others still count
            warnings.warn(f"the plug-in {point.name} ({point.value}) cannot be loaded: {error}", stacklevel=2)
            continue
        if isinstance(loaded, type) and issubclass(loaded, Method):
            found.append(loaded)
        else:
            warnings.warn(f"the plug-in {point.name} ({point.value}) is no Method; it is left out.", stacklevel=2)
    return found
