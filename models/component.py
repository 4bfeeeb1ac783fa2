"""Components: frozen dataclasses that document, configure, identify and build the parts of a trial.

`Transformer(depth=8, heads=16)` is at once documentation, a grid value, part of a trial's identity, and a factory.
This file gives such a dataclass its canonical JSON form (and back), the hash of the code behind it, and discovery
by folder: one file = one component, found by its name, with no registry to edit.
"""

from __future__ import annotations

import ast
import difflib
import functools
import hashlib
import importlib
import importlib.util
import inspect
import json
import math
import pkgutil
from abc import ABC
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar, TypeVar

from .field_types import misfits
from .source import code_of, digest

Json = Any
"""None, bool, int, float, str, or lists and string-keyed dicts of them."""

FIRST_PARTY = ("harness", "models")
"""Packages whose classes are identified by place and version; any other class also by the hash of its source."""


class ComponentError(ValueError):
    """A component that cannot be described, found or rebuilt; the message says which, and what would do."""


@dataclass(frozen=True)
class Component(ABC):  # noqa: B024 - so that abstract methods of subclasses are enforced
    """Base of everything that can vary in a trial.

    Subclasses are frozen dataclasses whose fields are JSON scalars, tuples of them, or other components.
    Raise `version` whenever the same fields start to mean other numbers: old and new results then have different
    identities, and a golden test fails until you do.
    """

    version: ClassVar[int] = 1

    def __init_subclass__(cls, **keywords: Any) -> None:
        """What a subclass checks comes after the types of its fields, so that it may rely on these."""
        super().__init_subclass__(**keywords)
        own = vars(cls).get("__post_init__")
        if own is not None:

            @functools.wraps(own)
            def check(self: Component) -> None:
                _require_fitting(self)
                own(self)

            type.__setattr__(cls, "__post_init__", check)

    def __post_init__(self) -> None:
        _require_fitting(self)


C = TypeVar("C", bound=Component)


def _require_fitting(component: Component) -> None:
    for complaint in misfits(component):
        raise ComponentError(complaint)


def canonical(value: Any, where: str = "value") -> Json:
    """The JSON form of a component or of plain data; equal meaning gives equal JSON, on any machine.

    Numerically equal numbers are written alike (`1` and `1.0` are one value). Raises `ComponentError` naming the
    field for anything that has no canonical form: arrays, functions, sets, non-finite numbers.
    """
    if isinstance(value, Component):
        return _described(value)
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, int):
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ComponentError(f"{where} is {value}; only finite numbers can identify a trial.")
        return int(value) if value.is_integer() and abs(value) < 2**53 else value
    if isinstance(value, tuple | list):
        return [canonical(item, f"{where}[{i}]") for i, item in enumerate(value)]
    if isinstance(value, Mapping):
        if unnamed := [key for key in value if not isinstance(key, str)]:
            raise ComponentError(f"{where} has the key {unnamed[0]!r}; keys are text, so that 1 and '1' stay apart.")
        return {key: canonical(item, f"{where}[{key!r}]") for key, item in value.items()}
    raise ComponentError(
        f"{where} is a {type(value).__name__}; fields of components are numbers, text, booleans, None, "
        "tuples of these, or other components."
    )


def _described(component: Component) -> Json:
    # Kept with the (frozen) object: a grid of 10^4 trials shares a few components, and a class that reached a worker
    # by value has no source there to hash.
    kept = component.__dict__.get("_described")
    if kept is None:
        cls = type(component)
        _require_own_fields(cls)
        kept = {"component": type_name(cls), "version": cls.version}
        if not is_first_party(cls):
            kept["source"] = source_hash(cls)
        for field in fields(component):
            where, value = f"{cls.__name__}.{field.name}", getattr(component, field.name)
            kept[field.name] = canonical(value, where)
            _require_fixed(value, where)
        component.__dict__["_described"] = kept
    return kept


def _require_own_fields(cls: type) -> None:
    # A class that inherits being a dataclass and sets attributes of its own would have one identity for all settings.
    if "__dataclass_params__" not in vars(cls):
        raise ComponentError(
            f"{cls.__name__} is no dataclass of its own, so nothing would tell its settings apart; write "
            "@dataclass(frozen=True) above it, and each parameter as a field with a type, such as `weight: float = "
            "0.5`, in place of an __init__."
        )


def _require_fixed(value: Any, where: str) -> None:
    # A list could change after the identity was taken, and two different trials would share it.
    try:
        hash(value)
    except TypeError:
        raise ComponentError(f"{where} holds a list or another value that can change; use a tuple.") from None


def canonical_text(value: Any) -> str:
    """`canonical(value)` as one line of JSON with sorted keys: what identities are hashed from."""
    return json.dumps(canonical(value), sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def short_hash(value: Any, digits: int) -> str:
    """The first hex digits of the SHA-256 of a value's canonical text."""
    return hashlib.sha256(canonical_text(value).encode()).hexdigest()[:digits]


def rebuild(described: Json) -> Any:
    """The inverse of `canonical` for components of installed packages.

    Raises `ComponentError` when the class is gone, its version has moved on, or a field is unknown.
    """
    if isinstance(described, list):
        return tuple(rebuild(item) for item in described)
    if not (isinstance(described, dict) and "component" in described):
        return described
    cls = _class_named(described["component"])
    if cls.version != described["version"]:
        raise ComponentError(
            f"{described['component']} is at version {cls.version} here, but version {described['version']} was asked "
            "for; install the release that wrote it to rebuild it."
        )
    values = {key: rebuild(item) for key, item in described.items() if key not in ("component", "version", "source")}
    known = [field.name for field in fields(cls)]
    for key in values:
        if key not in known:
            raise ComponentError(f"{cls.__name__} has no field {key!r}; {nearest(key, known)}")
    return cls(**values)


def nearest(name: str, known: Iterator[str] | list[str]) -> str:
    """A clause for error messages: the names nearest to a misspelt one, else all of them."""
    known = sorted(known)
    close = difflib.get_close_matches(name.lower(), [k.lower() for k in known], n=3, cutoff=0.6)
    matches = [k for lowered in close for k in known if k.lower() == lowered]
    if matches:
        return "did you mean " + " or ".join(matches) + "?"
    return ("available: " + ", ".join(known) + ".") if known else "there are none."


def type_name(cls: type) -> str:
    """`package.module:Class` for first-party classes, `user:Class` for classes of a user's own file."""
    if is_first_party(cls):
        return f"{cls.__module__}:{cls.__qualname__}"
    return f"user:{cls.__qualname__}"


def stem(cls: type) -> str:
    """The short name of a component: its file's stem, or the class name for classes of a user's own file."""
    return cls.__module__.rpartition(".")[2] if is_first_party(cls) else cls.__qualname__


def is_first_party(cls: type) -> bool:
    """Whether a class belongs to this project."""
    return cls.__module__.split(".")[0] in FIRST_PARTY


def _class_named(name: str) -> type[Component]:
    module_name, _, qualname = name.partition(":")
    if module_name == "user":
        raise ComponentError(
            f"{qualname} was defined in a user's own file, which the record does not hold; `spadit plan` of that file "
            "shows the code that it has now."
        )
    try:
        found: Any = importlib.import_module(module_name)
        for part in qualname.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError) as error:
        raise ComponentError(f"There is no component {name} in this installation ({error}).") from None
    return found


# ---------------------------------------------------------------------------------------------------------------
# The code behind a component


@functools.cache
def source_hash(cls: type) -> str:
    """16 hex digits over what of its file, and of the modules beside it, a user's class depends on (see `source`)."""
    code = code_of(cls)
    if code is None:
        try:
            code = inspect.getsource(cls).encode()
        except (OSError, TypeError):
            raise ComponentError(
                f"The source of {cls.__qualname__} cannot be read; define it in a file, so that its results can be "
                "told from those of another class of that name."
            ) from None
    return digest(code)


def code_hash(component: Component) -> str:
    """16 hex digits over the modules of a component, of its parts, and of all first-party modules they import."""
    sources: dict[str, str] = {}
    for part in walk(component):
        cls = type(part)
        if is_first_party(cls):
            _collect_sources(cls.__module__, sources)
        else:
            sources[type_name(cls)] = source_hash(cls)
            for base in cls.__mro__:
                if is_first_party(base):
                    _collect_sources(base.__module__, sources)
    text = "\n".join(f"{name} {digest}" for name, digest in sorted(sources.items()))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def walk(value: Any) -> Iterator[Component]:
    """A component and every component among its fields, depth first."""
    if isinstance(value, Component):
        yield value
        for field in fields(value):
            yield from walk(getattr(value, field.name))
    elif isinstance(value, tuple | list):
        for item in value:
            yield from walk(item)


def _collect_sources(module_name: str, into: dict[str, str]) -> None:
    if module_name not in into and (found := _source(module_name)) is not None:
        into[module_name], imported = found
        for name in imported:
            _collect_sources(name, into)


@functools.cache
def _source(module_name: str) -> tuple[str, tuple[str, ...]] | None:
    """Hash of a module's source, and the first-party modules it imports; read once, as the process's code was."""
    spec = importlib.util.find_spec(module_name)
    if spec is None or spec.origin is None:
        return None
    path = Path(spec.origin)
    source = path.read_bytes()
    return hashlib.sha256(source).hexdigest(), tuple(_first_party_imports(module_name, path, source))


def _first_party_imports(module_name: str, path: Path, source: bytes) -> Iterator[str]:
    package = module_name if path.name == "__init__.py" else module_name.rpartition(".")[0]
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = importlib.util.resolve_name("." * node.level + (node.module or ""), package)
            names = [base] + [f"{base}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            if name.split(".")[0] == "models" and _is_module(name):
                yield name


@functools.cache
def _is_module(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:
        return False


# ---------------------------------------------------------------------------------------------------------------
# Discovery


def discover(package: ModuleType | str, base: type[C]) -> dict[str, type[C]]:
    """The components of a folder: file stem -> the one concrete subclass of `base` that the file defines.

    Files whose name starts with an underscore are helpers. A file that defines none is not a component; one that
    defines two is an error, because its name could then mean either.
    """
    module = importlib.import_module(package) if isinstance(package, str) else package
    found: dict[str, type[C]] = {}
    for info in pkgutil.iter_modules(module.__path__):
        if info.name.startswith("_") or info.ispkg:
            continue
        member = importlib.import_module(f"{module.__name__}.{info.name}")
        classes = [
            cls
            for cls in vars(member).values()
            if inspect.isclass(cls)
            and issubclass(cls, base)
            and cls.__module__ == member.__name__
            and is_dataclass(cls)
            and not inspect.isabstract(cls)
        ]
        if len(classes) > 1:
            names = " and ".join(sorted(cls.__name__ for cls in classes))
            raise ComponentError(f"{member.__name__} defines {names}; one file holds one component.")
        if classes:
            found[info.name] = classes[0]
    return found
