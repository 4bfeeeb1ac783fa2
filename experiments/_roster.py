"""Everybody: every method that was found, under the name that tables give it; a new file joins by itself."""

from __future__ import annotations

from harness.methods import methods_by_name
from models.method import Method

DATASETS = ("pbmc_tissue", "MG", "MH", "MHPR", "MVC", "MHM", "HBC", "ME", "MPMC", "MC", "ML")
"""The bundled pair, so that everything runs anywhere, and the paper's ten; what is not there is left out and said."""


def everybody() -> dict[str, Method]:
    """Label -> method with its defaults: methods first, then controls, each by name."""
    classes = sorted(methods_by_name().values(), key=lambda cls: (cls.control, cls.label or cls.__name__))
    return {cls.label or cls.__name__: cls() for cls in classes}


def published() -> dict[str, Method]:
    """Label -> the method at its published settings, for those that have some, and the controls.

    Where these are not the method's defaults, the label says "(published)": both may stand in one table, under two
    names.
    """
    found: dict[str, Method] = {}
    for label, method in everybody().items():
        if hasattr(method, "published"):
            settings = type(method).published()
            found[label if settings == method else f"{label} (published)"] = settings
        elif method.control:
            found[label] = method
    return found
