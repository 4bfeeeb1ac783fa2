"""Whether the fields of a component hold what their annotations say, so that a slip is named where it was made.

Two components with equal identities must be equal: `depth=2.0` would have the identity of `depth=2` and fail later, in
another variant's name.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Iterator
from dataclasses import fields
from functools import cache
from typing import Any


def misfits(component: Any) -> Iterator[str]:
    """A sentence for each field of a dataclass instance whose value does not fit its annotation."""
    cls: type = type(component)
    hints = _hints(cls)
    for field in fields(component):
        if field.name in hints and not _fits(value := getattr(component, field.name), hints[field.name]):
            yield f"{type(component).__name__}.{field.name} is {_shown(value)}; expected {_told(hints[field.name])}."


@cache
def _hints(cls: type) -> dict[str, Any]:
    try:
        return typing.get_type_hints(cls)
    except (NameError, AttributeError, TypeError):  # a user's annotation may name what only a type checker sees
        return {}


def _fits(value: Any, hint: Any) -> bool:
    """Whether a value fits a hint; True for hints that say more than can be looked at."""
    origin, inside = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return any(_fits(value, each) for each in inside)
    if origin is typing.Literal:
        return any(value == each and type(value) is type(each) for each in inside)
    if origin is tuple:
        each = inside[0] if inside[1:] == (...,) else Any
        return isinstance(value, tuple | list) and all(_fits(item, each) for item in value)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if isinstance(hint, type) and origin is None and hint is not Any:
        return isinstance(value, hint)
    return True


_WORDS = {int: "a whole number", float: "a number", str: "a text", bool: "True or False", type(None): "None"}


def _told(hint: Any) -> str:
    origin, inside = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(map(_told, inside))
    if origin is typing.Literal:
        return " or ".join(map(repr, inside))
    if origin is tuple:
        return f"a tuple, of {_told(inside[0])} each" if inside else "a tuple"
    if hint in _WORDS:
        return _WORDS[hint]
    if isinstance(hint, type):
        return f"{'an' if hint.__name__[0] in 'AEIOU' else 'a'} {hint.__name__}"
    return str(hint)


def _shown(value: Any) -> str:
    if isinstance(value, type):
        return f"the class {value.__name__} (an instance has parentheses: {value.__name__}())"
    text = repr(value)
    return text if len(text) <= 60 else f"a {type(value).__name__}"
