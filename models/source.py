"""The code behind a class of a user's own file: what of that file and of modules beside it can change its numbers.

All of the file counts but comments, docstrings, layout and the question that it asks: another variant in its EXPERIMENT
leaves finished results alone. So do all modules that it imports and that are neither installed nor Python's, whether
they are imported at its top or within a function.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import sys
import sysconfig
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import ModuleType

ROOMS = ("harness", "models", "experiments", "reports")
"""Our own packages."""

QUESTIONS = {"Experiment", "Search", "submit", "search"}
"""What a file asks with; a statement at its top that calls one of these is the question, and no part of a method."""


def is_users(module: ModuleType | None) -> bool:
    """Whether a module is neither ours, nor installed, nor Python's."""
    file = getattr(module, "__file__", None)
    return module is not None and file is not None and _is_users_file(module.__name__, Path(file))


def _is_users_file(name: str, path: Path) -> bool:
    inside = any(path.resolve().is_relative_to(folder) for folder in _installed())
    return name.partition(".")[0] not in ROOMS and "site-packages" not in path.parts and not inside


@cache
def _installed() -> tuple[Path, ...]:
    return tuple(Path(sysconfig.get_path(kind)).resolve() for kind in ("stdlib", "platstdlib", "purelib", "platlib"))


def code_of(cls: type) -> bytes | None:
    """All code that the numbers of a class depend on, as one text; None where its file cannot be read."""
    module = sys.modules.get(cls.__module__)
    tree = _parsed(getattr(module, "__file__", None))
    if module is None or tree is None:
        return None
    parts = {"": _text(_without_question(tree.body))}
    _collect(module.__package__ or "", tree, parts)
    return "\n\n".join(f"# {name}\n{text}" for name, text in sorted(parts.items())).encode()


def digest(code: bytes) -> str:
    """16 hex digits."""
    return hashlib.sha256(code).hexdigest()[:16]


def _parsed(file: str | None) -> ast.Module | None:
    try:
        return ast.parse(Path(file or "").read_bytes())
    except (OSError, SyntaxError, ValueError):
        return None


def _text(statements: list[ast.stmt]) -> str:
    """Statements without comments, docstrings and the author's layout."""
    tree = ast.Module(statements, [])
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and _documented(node):
            node.body = node.body[1:] or [ast.Pass()]
    return ast.unparse(ast.fix_missing_locations(tree))


def _documented(node: ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    first = node.body[0] if node.body else None
    return isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str)


# ---------------------------------------------------------------------------------------------------------------
# The question that a file asks


def _without_question(body: list[ast.stmt]) -> list[ast.stmt]:
    """The statements without those that ask something, and without what is then done with the answer.

    What a function or a class of the file uses stays, whatever it is.
    """
    asked, names = set[int](), set[str]()
    for place, statement in enumerate(body):
        if isinstance(statement, ast.Assign | ast.AnnAssign | ast.Expr) and (
            _calls(statement) & QUESTIONS or _loaded(statement) & names
        ):
            asked.add(place)
            names |= _bound(statement)
    used = {name for place, statement in enumerate(body) if place not in asked for name in _loaded(statement)}
    return [each for place, each in enumerate(body) if place not in asked or _bound(each) & used]


def _calls(statement: ast.stmt) -> set[str]:
    called = [node.func for node in ast.walk(statement) if isinstance(node, ast.Call)]
    return {node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "") for node in called}


def _loaded(statement: ast.stmt) -> set[str]:
    names = [node for node in ast.walk(statement) if isinstance(node, ast.Name)]
    return {node.id for node in names if isinstance(node.ctx, ast.Load)}


def _bound(statement: ast.stmt) -> set[str]:
    names = [node for node in ast.walk(statement) if isinstance(node, ast.Name)]
    return {node.id for node in names if not isinstance(node.ctx, ast.Load)}


# ---------------------------------------------------------------------------------------------------------------
# The modules beside it


def _collect(package: str, tree: ast.Module, into: dict[str, str]) -> None:
    """Add the text of every user's module that a file imports, and of those that they import."""
    for name in _imported(package, tree):
        if name in into or (path := _file_of(name)) is None or not _is_users_file(name, path):
            continue
        if (inside := _parsed(str(path))) is not None:
            into[name] = _text(inside.body)
            _collect(name if path.name == "__init__.py" else name.rpartition(".")[0], inside, into)


def _file_of(name: str) -> Path | None:
    """Where a module lies, whether or not it has been imported yet; None for what is no module of a file."""
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError, AttributeError):  # its parent is no package, or it has none
        return None
    return None if spec is None or not spec.has_location or spec.origin is None else Path(spec.origin)


def _imported(package: str, tree: ast.Module) -> Iterator[str]:
    """Names of modules that a file may import, its package's own among them."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield from _with_parents(alias.name)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                base = importlib.util.resolve_name("." * node.level + base, package)
            yield from _with_parents(base)
            yield from (f"{base}.{alias.name}" for alias in node.names)


def _with_parents(name: str) -> Iterator[str]:
    while name:
        yield name
        name = name.rpartition(".")[0]
