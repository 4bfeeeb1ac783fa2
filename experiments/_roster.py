"""Everybody: every method that was found, under the name that tables give it; a new file joins by itself."""

from __future__ import annotations

from harness.views.methods import methods_by_name
from models.method import Method

DATASETS = ("pbmc_tissue", "MG", "MH", "MHPR", "MVC", "MHM", "HBC", "ME", "MPMC", "MC", "ML")
"""The bundled pair, so that everything runs anywhere, and the paper's ten; what is not there is left out and said."""


def everybody() -> dict[str, Method]:
    """Label -> method with its defaults: methods first, then controls, each by name."""
    classes = sorted(methods_by_name().values(), key=lambda cls: (cls.control, cls.label or cls.__name__))
    return {cls.label or cls.__name__: cls() for cls in classes}
