"""What components are by default, and what methods answer to the tiny problem: fixed until a version is raised."""

from __future__ import annotations

import importlib
import inspect
import json
import pkgutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

import harness.metrics
import harness.protocol
import models
from harness.metrics import metrics, score
from models.component import Component, canonical, type_name
from models.method import Method, Run
from tests.contracts.problems import METHODS, small, tiny_problem

DEFAULTS = Path(__file__).with_name("defaults.json")
NUMBERS = Path(__file__).with_name("numbers.json")


def components() -> Iterator[type[Component]]:
    """Every concrete first-party component whose fields all have defaults."""
    found = {}
    for package in (models, harness.protocol):
        for info in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            for cls in vars(importlib.import_module(info.name)).values():
                if inspect.isclass(cls) and issubclass(cls, Component) and not inspect.isabstract(cls):
                    found[type_name(cls)] = cls
    for _, cls in sorted(found.items()):
        if cls is not Component and _has_defaults(cls):
            yield cls


def _has_defaults(cls: type[Component]) -> bool:
    return all(p.default is not p.empty for p in inspect.signature(cls).parameters.values())


def own_methods() -> list[type[Method]]:
    """Methods whose numbers are ours: what runs on another package changes with that package."""
    return [cls for cls in METHODS.values() if cls.needs.packages is None]


def tag(cls: type[Component]) -> str:
    """module:Class@version."""
    return f"{type_name(cls)}@{cls.version}"


def defaults() -> dict[str, Any]:
    """The canonical form of every component's defaults."""
    return {tag(cls): canonical(cls()) for cls in components()}


def numbers() -> dict[str, Any]:
    """A fingerprint of every method's answer to the tiny problem at seed 0, and of every metric on fixed arrays."""
    found: dict[str, Any] = {}
    for cls in own_methods():
        prediction = small(cls).impute(tiny_problem(), Run.local(0))
        found[tag(cls)] = {
            "means": [round(float(v), 6) for v in prediction.mean(axis=0)],
            "sds": [round(float(v), 6) for v in prediction.std(axis=0)],
            "first": [round(float(v), 6) for v in prediction[:3].ravel()],
        }
    rng = np.random.default_rng(0)
    truth, prediction = rng.gamma(1.0, 1.0, (50, 3)), rng.gamma(1.0, 1.0, (50, 3))
    values = score(truth, prediction + 0.5 * truth).values
    for metric in metrics().values():
        found[f"metric {metric.tag}"] = [round(float(v), 9) for v in values[metric.name]]
    return found


def write() -> None:
    """Write both golden files."""
    for path, content in ((DEFAULTS, defaults()), (NUMBERS, numbers())):
        path.write_text(json.dumps(content, indent=1, sort_keys=True) + "\n")
