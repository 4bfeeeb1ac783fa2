"""`spadit methods`: what was found, with parameters and defaults."""

from __future__ import annotations

import dataclasses
import inspect
from importlib import import_module
from typing import Any

from rich.markup import escape

from harness.methods import PLACES, plug_ins
from harness.views.console import console, listing
from models.component import Component, canonical, discover, stem
from models.method import Method

PARTS = {"backbone": "models.spadit.backbones", "condition": "models.spadit.conditions"}
"""Where the interchangeable parts of SpaDiT live; one file each."""


def method_facts() -> list[dict[str, Any]]:
    """One entry per method and per part of SpaDiT: kind, name, class, summary, needs, joint, defaults."""
    facts = []
    for kind, package in PLACES.items():
        facts += [_facts(kind, cls) for cls in discover(package, Method).values()]
    for kind, package in PARTS.items():
        base = getattr(import_module(package), kind.capitalize())
        facts += [_facts(kind, cls) for cls in discover(package, base).values()]
    return facts + [_facts("plug-in", cls) for cls in plug_ins()]


def print_methods(facts: list[dict[str, Any]]) -> None:
    """The facts for a person."""
    table = listing("kind", "name", "class", "what it is", "parameters (defaults)")
    for fact in facts:
        parameters = ", ".join(f"{name}={_short(value)}" for name, value in fact["parameters"].items())
        table.add_row(fact["kind"], fact["name"], fact["class"], escape(fact["summary"]), escape(parameters or "none"))
    console().print(table)


def _facts(kind: str, cls: type[Component]) -> dict[str, Any]:
    needs = dataclasses.asdict(cls.needs) if issubclass(cls, Method) else {}
    return {
        "kind": kind,
        "name": stem(cls),
        "class": cls.__qualname__,
        "module": cls.__module__,
        "version": cls.version,
        "summary": (inspect.getdoc(cls) or "").split("\n")[0],
        "needs": {name: value for name, value in needs.items() if value},
        "joint": issubclass(cls, Method) and cls.joint,
        "parameters": {f.name: _default(f) for f in dataclasses.fields(cls)},
    }


def _default(field: dataclasses.Field[Any]) -> Any:
    if field.default is not dataclasses.MISSING:
        return canonical(field.default)
    if field.default_factory is not dataclasses.MISSING:
        return canonical(field.default_factory())
    return "required"


def _short(value: Any) -> str:
    if isinstance(value, dict) and "component" in value:
        return value["component"].rpartition(":")[2] + "()"
    return str(value)
