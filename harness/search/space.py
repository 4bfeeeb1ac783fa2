"""Spaces of methods: a component, and which of its fields vary over what.

`Space(SpaDiT.tiny(), {"training.lr": Float(1e-4, 1e-2, log=True)})` is every SpaDiT with another learning rate. A space
is read in both directions: an Optuna trial draws a method of it, field after field, so that an option's own fields are
drawn only where that option was (define-by-run); and of a method it says which parameters would draw it.
"""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.errors import BadInput
from models.component import Component, ComponentError, Json, canonical, nearest, stem

if TYPE_CHECKING:
    from optuna.trial import BaseTrial

Scalar = None | bool | int | float | str
Paths = tuple[str, ...]


class Infeasible(Exception):  # noqa: N818 - an outcome of drawing, not an error
    """What was drawn is no method: its parts do not go together. The message says why."""


class Outside(Exception):  # noqa: N818 - an answer, not an error
    """The method is not in the space. The message says where it leaves it."""


class Domain(ABC):
    """What a field, or several that only make sense together, may be."""

    @abstractmethod
    def draw(self, trial: BaseTrial, name: str) -> Any:
        """A value, by the trial's parameter of that name (and others whose names begin with it)."""

    @abstractmethod
    def place(self, value: Any, name: str) -> dict[str, Scalar]:
        """The parameters that `draw` would draw that value with; `Outside` if there are none."""

    @abstractmethod
    def values(self) -> Sequence[Any]:
        """Some values that a field must be able to have for this domain to be its."""

    @abstractmethod
    def described(self) -> Json:
        """The domain as JSON; equal domains have equal JSON."""


@dataclass(frozen=True)
class Float(Domain):
    """A number from `low` to `high`, both included; on a log scale, or in steps from `low`, where it is so said."""

    low: float
    high: float
    log: bool = False
    step: float | None = None

    def __post_init__(self) -> None:
        _check_range(self, "Float")

    def draw(self, trial: BaseTrial, name: str) -> float:
        """See `Domain.draw`."""
        return trial.suggest_float(name, self.low, self.high, step=self.step, log=self.log)

    def place(self, value: Any, name: str) -> dict[str, Scalar]:
        """See `Domain.place`."""
        if not isinstance(value, int | float) or isinstance(value, bool) or not self.low <= value <= self.high:
            raise Outside(f"{name} is {value}, and the space has {self.low:g} to {self.high:g}")
        if self.step is not None and not _on_grid((value - self.low) / self.step):
            raise Outside(f"{name} is {value}, and the space has steps of {self.step:g} from {self.low:g}")
        return {name: float(value)}

    def values(self) -> Sequence[Any]:
        """See `Domain.values`."""
        return (float(self.low), float(self.high))

    def described(self) -> Json:
        """See `Domain.described`."""
        return {"float": canonical(dataclasses.astuple(self))}


@dataclass(frozen=True)
class Int(Domain):
    """A whole number from `low` to `high`, both included; on a log scale, or in steps from `low`."""

    low: int
    high: int
    log: bool = False
    step: int = 1

    def __post_init__(self) -> None:
        _check_range(self, "Int")

    def draw(self, trial: BaseTrial, name: str) -> int:
        """See `Domain.draw`."""
        return trial.suggest_int(name, self.low, self.high, step=self.step, log=self.log)

    def place(self, value: Any, name: str) -> dict[str, Scalar]:
        """See `Domain.place`."""
        if not isinstance(value, int) or isinstance(value, bool) or not self.low <= value <= self.high:
            raise Outside(f"{name} is {value}, and the space has {self.low} to {self.high}")
        if (value - self.low) % self.step:
            raise Outside(f"{name} is {value}, and the space has steps of {self.step} from {self.low}")
        return {name: value}

    def values(self) -> Sequence[Any]:
        """See `Domain.values`."""
        return (self.low, self.high)

    def described(self) -> Json:
        """See `Domain.described`."""
        return {"int": canonical(dataclasses.astuple(self))}


class Choice(Domain):
    """One of several options: plain values, components, spaces of components, or tuples of these for several fields.

    options: a sequence, whose components and spaces are called by the name of their file; or label -> option.
    """

    def __init__(self, options: Sequence[Any] | Mapping[str, Any]) -> None:
        named = options if isinstance(options, Mapping) else _labelled(options)
        if len(named) < 2:
            raise BadInput(f"Choice({options!r}) leaves no choice; give at least two options.")
        self.options: dict[Any, Any] = dict(named)

    def draw(self, trial: BaseTrial, name: str) -> Any:
        """See `Domain.draw`."""
        label = trial.suggest_categorical(name, list(self.options))
        return _drawn(self.options[label], trial, f"{name}.{label}.")

    def place(self, value: Any, name: str) -> dict[str, Scalar]:
        """See `Domain.place`; of several options that fit, the first."""
        for label, option in self.options.items():
            try:
                return {name: label} | _placed(option, value, f"{name}.{label}.")
            except Outside:
                continue
        raise Outside(f"{name} is {value}, which is none of {', '.join(map(str, self.options))}")

    def values(self) -> Sequence[Any]:
        """See `Domain.values`."""
        return [_base(option) for option in self.options.values()]

    def described(self) -> Json:
        """See `Domain.described`."""
        return {"choice": [[label, _described(option)] for label, option in self.options.items()]}


class Space:
    """Every component that is as `base` but for fields that vary.

    vary: a field, by its path ("training.lr"), or a tuple of fields that vary together -> its domain.
    first: components of the space that a search tries before anything else, in that order; by default the base, where
        it is in the space.
    Raises `BadInput` for what is no field, for a domain that is not the field's, and for `first` outside the space.
    """

    def __init__(
        self,
        base: Component,
        vary: Mapping[str, Domain] | Mapping[Paths, Domain] | Mapping[str | Paths, Domain],
        first: Sequence[Component] | None = None,
    ) -> None:
        self.base = base
        self.vary: dict[Paths, Domain] = {(key,) if isinstance(key, str) else tuple(key): d for key, d in vary.items()}
        if not self.vary:
            raise BadInput(f"The space of {type(base).__name__} varies nothing; give at least one field.")
        self._check()
        self.first: tuple[Component, ...] = (base,) if first is None and self.contains(base) else tuple(first or ())
        for component in self.first:
            try:
                self.place(component)
            except Outside as why:
                raise BadInput(f"{component} cannot be tried first, since it is not in the space: {why}.") from None

    def draw(self, trial: BaseTrial, at: str = "") -> Any:
        """The component that a trial draws; `Infeasible` where its parts do not go together."""
        changes: dict[str, Any] = {}
        for paths, domain in self.vary.items():
            drawn = domain.draw(trial, at + _name(paths))
            changes |= zip(paths, drawn if len(paths) > 1 else (drawn,), strict=True)
        return _changed(self.base, changes)

    def place(self, component: Any, at: str = "") -> dict[str, Scalar]:
        """The parameters that `draw` would draw that component with; `Outside` if there are none."""
        if type(component) is not type(self.base):
            raise Outside(f"it is a {type(component).__name__}, and the space is one of {type(self.base).__name__}")
        found: dict[str, Scalar] = {}
        changes: dict[str, Any] = {}
        for paths, domain in self.vary.items():
            own = {path: _at(component, path) for path in paths}
            found |= domain.place(tuple(own.values()) if len(paths) > 1 else own[paths[0]], at + _name(paths))
            changes |= own
        if canonical(_changed(self.base, changes)) != canonical(component):
            raise Outside("a field that the space leaves alone is not as in its base")
        return found

    def contains(self, component: Any) -> bool:
        """Whether the component is in the space."""
        try:
            self.place(component)
        except Outside:
            return False
        return True

    def described(self) -> Json:
        """The space as JSON; equal spaces have equal JSON."""
        vary = [[list(paths), domain.described()] for paths, domain in self.vary.items()]
        return {"base": canonical(self.base), "vary": vary, "first": [canonical(c) for c in self.first]}

    def _check(self) -> None:
        named = [path for paths in self.vary for path in paths]
        for path in named:
            for other in named:
                if named.count(path) > 1 or other.startswith(f"{path}."):
                    raise BadInput(
                        f"The space of {type(self.base).__name__} varies {path!r} and {other!r}, one within the other; "
                        "to vary an option's own fields, make it a Space inside a Choice."
                    )
        for paths, domain in self.vary.items():
            if not isinstance(domain, Domain):
                raise BadInput(
                    f"{', '.join(paths)} varies over {domain!r}, which is no range; give Float(low, high), Int(low, "
                    "high) or Choice([...])."
                )
            for value in domain.values():
                parts = value if len(paths) > 1 else (value,)
                if not isinstance(parts, tuple) or len(parts) != len(paths):
                    raise BadInput(f"{', '.join(paths)} vary together; every option must be a tuple of {len(paths)}.")
                for path, part in zip(paths, parts, strict=True):
                    _check_field(self.base, path, _base(part))


# ---------------------------------------------------------------------------------------------------------------
# Options


def _labelled(options: Sequence[Any]) -> dict[Any, Any]:
    found: dict[Any, Any] = {}
    for option in options:
        if isinstance(option, tuple):
            raise BadInput("Options for several fields need labels; give Choice({'label': (value, value), ...}).")
        base = _base(option)
        label = stem(type(base)) if isinstance(base, Component) else base
        if label in found:
            raise BadInput(f"Two options of a Choice are called {label!r}; give labels: Choice({{'label': option}}).")
        found[label] = option
    return found


def _base(option: Any) -> Any:
    """An option with each space in it replaced by its base."""
    if isinstance(option, tuple):
        return tuple(_base(part) for part in option)
    return option.base if isinstance(option, Space) else option


def _drawn(option: Any, trial: BaseTrial, at: str) -> Any:
    if isinstance(option, tuple):
        return tuple(_drawn(part, trial, _inside(at, option, i)) for i, part in enumerate(option))
    return option.draw(trial, at) if isinstance(option, Space) else option


def _inside(at: str, option: tuple[Any, ...], i: int) -> str:
    """What names begin with in the i-th part of an option for several fields."""
    names = [stem(type(part.base)) if isinstance(part, Space) else "" for part in option]
    return f"{at}{names[i]}." if names.count(names[i]) == 1 else f"{at}{names[i]}.{i}."


def _placed(option: Any, value: Any, at: str) -> dict[str, Scalar]:
    if isinstance(option, tuple):
        parts = [_placed(part, value[i], _inside(at, option, i)) for i, part in enumerate(option)]
        return {name: v for part in parts for name, v in part.items()}
    if isinstance(option, Space):
        return option.place(value, at)
    if canonical(option) != canonical(value) or isinstance(option, bool) != isinstance(value, bool):
        raise Outside("it is another")
    return {}


def _described(option: Any) -> Json:
    if isinstance(option, tuple):
        return [_described(part) for part in option]
    return option.described() if isinstance(option, Space) else canonical(option)


# ---------------------------------------------------------------------------------------------------------------
# Fields


def _name(paths: Paths) -> str:
    return "+".join(paths)


def _at(component: Any, path: str) -> Any:
    for part in path.split("."):
        component = getattr(component, part)
    return component


def _changed(component: Any, changes: Mapping[str, Any]) -> Any:
    """The component with other values at these paths; `Infeasible` where it refuses them."""
    own: dict[str, dict[str, Any]] = {}
    for path, value in changes.items():
        head, _, rest = path.partition(".")
        own.setdefault(head, {})[rest] = value
    fields = {
        head: inner[""] if "" in inner else _changed(getattr(component, head), inner) for head, inner in own.items()
    }
    try:
        return dataclasses.replace(component, **fields)
    except (ValueError, ComponentError) as error:
        raise Infeasible(str(error)) from None


def _check_field(base: Component, path: str, value: Any) -> None:
    component: Any = base
    *outer, last = path.split(".")
    for part in (*outer, last):
        known = [f.name for f in dataclasses.fields(component)] if isinstance(component, Component) else []
        if part not in known:
            raise BadInput(f"{type(component).__name__} has no field {part!r} ({path}); {nearest(part, known)}")
        owner, component = component, getattr(component, part)
    hint = typing.get_type_hints(type(owner))[last]
    if not _may_be(value, hint):
        raise BadInput(f"{path} cannot be {value!r}; {type(owner).__name__}.{last} is declared as {_spelled(hint)}.")


def _may_be(value: Any, hint: Any) -> bool:
    """Whether a field that is declared so may have that value."""
    if typing.get_origin(hint) is typing.Literal:
        return value in typing.get_args(hint)
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return any(_may_be(value, option) for option in typing.get_args(hint))
    kind = typing.get_origin(hint) or hint
    if kind in (type(None), None):
        return value is None
    if kind is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if kind is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return not isinstance(kind, type) or isinstance(value, kind)


def _spelled(hint: Any) -> str:
    return hint.__name__ if isinstance(hint, type) else str(hint).replace("typing.", "")


def _check_range(domain: Float | Int, kind: str) -> None:
    said = f"{kind}({domain.low}, {domain.high})"
    if not (math.isfinite(domain.low) and math.isfinite(domain.high) and domain.low < domain.high):
        raise BadInput(f"{said} is no range; give low < high.")
    if domain.log and (domain.low <= 0 or domain.step not in (None, 1)):
        raise BadInput(f"{said} on a log scale needs low > 0 and no step.")
    if domain.step is not None and domain.step <= 0:
        raise BadInput(f"{said} with a step of {domain.step}; give a step above 0.")
    if kind == "Int" and not (isinstance(domain.low, int) and isinstance(domain.high, int)):
        raise BadInput(f"{said} is a range of whole numbers; use Float for others.")
    if domain.step is not None and not _on_grid((domain.high - domain.low) / domain.step):
        raise BadInput(
            f"{said} with steps of {domain.step} does not end at {domain.high}; give a step that divides it."
        )


def _on_grid(steps: float) -> bool:
    return math.isclose(steps, round(steps), abs_tol=1e-9)
