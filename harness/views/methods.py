"""`spadit methods`: what was found, with parameters and defaults."""

from __future__ import annotations

import dataclasses
import inspect
import re
from importlib import import_module
from typing import Any, get_args, get_type_hints

from rich.markup import escape

from harness.errors import BadInput
from harness.experiment import alike
from harness.methods import PLACES, plug_ins
from harness.views.console import console, listing
from models.component import Component, canonical, discover, is_first_party, nearest, stem
from models.method import Method

PARTS = {"backbone": "models.spadit.backbones", "condition": "models.spadit.conditions"}
"""Where the interchangeable parts of SpaDiT live; one file each."""


def method_facts() -> list[dict[str, Any]]:
    """One entry per method and per part of SpaDiT: kind, name, class, summary, needs, joint, defaults."""
    return [_facts(kind, cls) for kind, cls in _classes()]


def one_method(name: str) -> dict[str, Any]:
    """One method or part by its name: its entry, its docstring, and `choices`, the entries of all that its parts can
    be, by field. `BadInput` with the nearest names for what there is not."""
    known = {stem(cls): (kind, cls) for kind, cls in reversed(_classes())}
    named = alike(name, known)
    if named not in known:
        raise BadInput(f"There is no method or part {name!r}; {nearest(name, list(known))}")
    kind, cls = known[named]
    choices = {field: [_facts(field, each) for each in _concrete(base)] for field, base in _parts(cls).items()}
    return _facts(kind, cls) | {"doc": inspect.getdoc(cls) or "", "choices": choices}


def _classes() -> list[tuple[str, type[Component]]]:
    """(kind, class) of everything that was found."""
    found: list[tuple[str, type[Component]]] = []
    for kind, package in PLACES.items():
        found += [(kind, cls) for cls in discover(package, Method).values()]
    for kind, package in PARTS.items():
        base = getattr(import_module(package), kind.capitalize())
        found += [(kind, cls) for cls in discover(package, base).values()]
    return found + [("plug-in", cls) for cls in plug_ins()]


def _parts(cls: type[Component]) -> dict[str, type[Component]]:
    """The fields whose values are components, with the class that these have to be of."""
    hints = get_type_hints(cls)
    found = {}
    for field in dataclasses.fields(cls):
        for hint in (hints[field.name], *get_args(hints[field.name])):
            if isinstance(hint, type) and issubclass(hint, Component):
                found[field.name] = hint
    return found


def _concrete(base: type[Component]) -> list[type[Component]]:
    """Every class of ours that can stand there: that class and those derived from it, but for abstract ones."""
    below = [cls for sub in base.__subclasses__() for cls in _concrete(sub)]
    own = [] if inspect.isabstract(base) or not dataclasses.is_dataclass(base) else [base]
    return [cls for cls in dict.fromkeys([*own, *below]) if is_first_party(cls)]


def print_one_method(facts: dict[str, Any]) -> None:
    """The facts for a person: what it is, its parameters, then the choices for each of its parts."""
    out = console()
    out.print(f"[bold]{escape(facts['class'])}[/bold]  {facts['kind']} {facts['name']}, from {facts['module']}")
    out.print(escape(facts["doc"]), highlight=False, soft_wrap=True)
    table = listing("parameter", "default", "can be")
    for name, value in facts["parameters"].items():
        can_be = ", ".join(choice["class"] for choice in facts["choices"].get(name, ()))
        table.add_row(name, escape(_short(value)), escape(can_be))
    out.print(table)
    for field, choices in facts["choices"].items():
        table = listing(field, "what it is", "parameters (defaults)")
        for choice in choices:
            table.add_row(choice["class"], escape(choice["summary"]), escape(_parameters(choice)))
        out.print(table)


def print_methods(facts: list[dict[str, Any]]) -> None:
    """The facts for a person."""
    table = listing("kind", "name", "class", "what it is", "parameters (defaults)")
    for fact in facts:
        cells = (fact["kind"], fact["name"], fact["class"], fact["summary"], _parameters(fact))
        table.add_row(*map(escape, cells))
    console().print(table)
    console().print("`spadit methods NAME` describes one, and says what each of its parts can be.", markup=False)


def _parameters(fact: dict[str, Any]) -> str:
    return ", ".join(f"{name}={_short(value)}" for name, value in fact["parameters"].items()) or "none"


def _facts(kind: str, cls: type[Component]) -> dict[str, Any]:
    needs = dataclasses.asdict(cls.needs) if issubclass(cls, Method) else {}
    return {
        "kind": kind,
        "name": stem(cls),
        "class": cls.__qualname__,
        "module": cls.__module__,
        "version": cls.version,
        "summary": _first_sentence(inspect.getdoc(cls) or ""),
        "needs": {name: value for name, value in needs.items() if value},
        "joint": issubclass(cls, Method) and cls.joint,
        "parameters": {f.name: _default(f) for f in dataclasses.fields(cls)},
    }


def _first_sentence(doc: str) -> str:
    paragraph = " ".join(doc.split("\n\n")[0].split())
    return re.split(r"(?<=[^.\s]{3}\.)\s+(?=[A-Z`])", paragraph)[0]


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
