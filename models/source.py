"""The code behind a class of a user's own file: what of that file and of modules beside it can change its numbers.

Of the file that defines the class only what the class reaches by name counts: another variant in the question of the
same file, a comment or a docstring leaves finished results alone. Of modules that it imports, and that are neither
installed nor Python's, all code counts. Where names are looked up at run time (`globals`, `eval`) the whole file does.
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

LOOKUPS = {"globals", "vars", "eval", "exec", "__import__", "import_module"}
"""Names that reach others which no reader of the file can follow."""


def is_users(module: ModuleType | None) -> bool:
    """Whether a module is neither ours, nor installed, nor Python's."""
    file = getattr(module, "__file__", None)
    if module is None or file is None or module.__name__.partition(".")[0] in ROOMS:
        return False
    path = Path(file).resolve()
    return "site-packages" not in path.parts and not any(path.is_relative_to(folder) for folder in _installed())


@cache
def _installed() -> tuple[Path, ...]:
    return tuple(Path(sysconfig.get_path(kind)).resolve() for kind in ("stdlib", "platstdlib", "purelib", "platlib"))


def code_of(cls: type) -> bytes | None:
    """All code that the numbers of a class depend on, as one text; None where its file cannot be read."""
    module = sys.modules.get(cls.__module__)
    tree = _parsed(module)
    if module is None or tree is None:
        return None
    parts = {"": _text(_reached(tree, cls.__qualname__.partition(".")[0]))}
    _collect(module, tree, parts)
    return "\n\n".join(f"# {name}\n{text}" for name, text in sorted(parts.items())).encode()


def digest(code: bytes) -> str:
    """16 hex digits."""
    return hashlib.sha256(code).hexdigest()[:16]


def _parsed(module: ModuleType | None) -> ast.Module | None:
    try:
        return ast.parse(Path(str(getattr(module, "__file__", ""))).read_bytes())
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
# What a name reaches in its file


def _reached(tree: ast.Module, name: str) -> list[ast.stmt]:
    """The top-level statements that a name depends on, in the order of the file; all where that cannot be told."""
    taken: set[int] = set()
    wanted, seen = [name], set()
    while wanted:
        if (name := wanted.pop()) in seen:
            continue
        seen.add(name)
        for place, statement in enumerate(tree.body):
            if place not in taken and name in _touched(statement):
                taken.add(place)
                used = {node.id for node in ast.walk(statement) if isinstance(node, ast.Name)}
                used |= {node.attr for node in ast.walk(statement) if isinstance(node, ast.Attribute)} & LOOKUPS
                if used & LOOKUPS:
                    return tree.body
                wanted += used
    return [statement for place, statement in enumerate(tree.body) if place in taken]


def _touched(statement: ast.stmt) -> set[str]:
    """The names that a statement binds or changes: `x = 1`, `x[0] = 1`, `x.update(...)`, `import x`, `def x` ..."""
    found: set[str] = set()
    for node in ast.walk(statement):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            found.add(node.id)
        elif isinstance(node, ast.Attribute | ast.Subscript) and not isinstance(node.ctx, ast.Load):
            found |= _root(node)
        elif isinstance(node, ast.alias):
            found |= {(node.asname or node.name).partition(".")[0]}
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
            found |= _root(node.value.func)
    return found


def _root(node: ast.expr) -> set[str]:
    """The name at the bottom of `name.a[0].b`."""
    while isinstance(node, ast.Attribute | ast.Subscript | ast.Call):
        node = node.func if isinstance(node, ast.Call) else node.value
    return {node.id} if isinstance(node, ast.Name) else set()


# ---------------------------------------------------------------------------------------------------------------
# The modules beside it


def _collect(module: ModuleType, tree: ast.Module, into: dict[str, str]) -> None:
    """Add the text of every user's module that a file imports, and of those that they import."""
    for name in _imported(module, tree):
        found = sys.modules.get(name)
        if name not in into and found is not None and is_users(found) and (inside := _parsed(found)) is not None:
            into[name] = _text(inside.body)
            _collect(found, inside, into)


def _imported(module: ModuleType, tree: ast.Module) -> Iterator[str]:
    """Names of modules that a file may import, its package's own among them."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield from _with_parents(alias.name)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                base = importlib.util.resolve_name("." * node.level + base, module.__package__ or module.__name__)
            yield from _with_parents(base)
            yield from (f"{base}.{alias.name}" for alias in node.names)


def _with_parents(name: str) -> Iterator[str]:
    while name:
        yield name
        name = name.rpartition(".")[0]
