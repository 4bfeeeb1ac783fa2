"""The house's plan, held by reading imports: data flows one way, and heavy packages stay in their rooms."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
ROOMS = ("harness", "models", "experiments", "reports")
FILES = [path for room in ROOMS for path in sorted((ROOT / room).rglob("*.py"))]
LONGEST = 400


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path: Path, top_level_only: bool = False) -> Iterator[str]:
    """Absolute names of what a file imports; names imported from a package count as possible modules of it."""
    tree = ast.parse(path.read_text())
    package = module_name(path) if path.name == "__init__.py" else module_name(path).rpartition(".")[0]
    nodes = _run_on_import(tree.body) if top_level_only else ast.walk(tree)
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parts = package.split(".")
                base = ".".join([*parts[: len(parts) - node.level + 1], *([node.module] if node.module else [])])
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)


def _run_on_import(body: list[ast.stmt]) -> Iterator[ast.AST]:
    for node in body:
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        yield node


def under(name: str, *packages: str) -> bool:
    return any(name == package or name.startswith(package + ".") for package in packages)


@pytest.mark.parametrize("path", FILES, ids=module_name)
def test_a_file_imports_only_what_its_room_may(path: Path) -> None:
    here = module_name(path)
    for name in imports(path):
        if not under(name, *ROOMS):
            continue
        if under(here, "models"):
            assert under(name, "models"), f"{here} imports {name}; models know nothing of ours"
        elif under(here, "harness"):
            views_and_verbs = under(here, "harness.cli", "harness.results", "harness.views", "harness.drivers")
            if under(name, "reports", "experiments"):
                assert views_and_verbs, f"{here} imports {name}"
                assert name not in set(imports(path, top_level_only=True)), f"{here} imports {name} at the top"
            elif under(name, "models"):
                assert (
                    under(name, "models.method", "models.component", "models.devices", "models.states", "models.source")
                    or name == "models"
                ), f"{here} imports {name}; the harness knows no method by name"
        elif under(here, "reports"):
            assert under(name, "reports", "harness.store", "harness.record", "harness.errors", "experiments.presets"), (
                f"{here} imports {name}; reports read the store and nothing else"
            )
        else:
            assert under(name, "harness", "models", "experiments"), f"{here} imports {name}"


@pytest.mark.parametrize("path", FILES, ids=module_name)
def test_heavy_packages_stay_in_their_rooms(path: Path) -> None:
    here = module_name(path)
    names = set(imports(path))
    if not under(here, "harness.cluster", "harness.search"):
        assert not any(under(name, "ray") for name in names), f"{here} imports ray"
    if not under(here, "reports"):
        assert not any(under(name, "matplotlib") for name in names), f"{here} imports matplotlib"
    if not under(here, "models"):
        assert not any(under(name, "torch") for name in names), f"{here} imports torch"
    for name in imports(path, top_level_only=True):
        alone = here == "harness.search.conductor" and under(name, "ray")  # it is made of Ray's classes
        assert alone or not under(name, "scanpy", "ray"), f"{here} imports {name} as soon as it is imported"


@pytest.mark.parametrize("path", [*FILES, *sorted((ROOT / "tests").rglob("*.py"))], ids=module_name)
def test_a_file_is_one_thing_of_readable_length(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= LONGEST


def test_modules_import_each_other_in_one_direction() -> None:
    known = {module_name(path): path for path in FILES}
    graph = {
        here: {name for name in imports(path, top_level_only=True) if name in known and name != here}
        for here, path in known.items()
    }
    # A package's __init__ gathers its own files, and they may read its shared types: one room, not a cycle of rooms.
    edges = {h: {n for n in ns if not under(h, n) and not under(n, h)} for h, ns in graph.items()}
    done: set[str] = set()

    def visit(name: str, way: tuple[str, ...]) -> None:
        assert name not in way, "imports go round: " + " -> ".join([*way[way.index(name) :], name])
        if name in done:
            return
        for other in sorted(edges[name]):
            visit(other, (*way, name))
        done.add(name)

    for name in sorted(edges):
        visit(name, ())


@pytest.mark.parametrize("statement", ["import harness", "import harness.cli"])
def test_importing_the_harness_loads_no_heavy_package(statement: str) -> None:
    code = (
        f"{statement}\nimport sys\n"
        "print([m for m in ('torch', 'ray', 'scanpy', 'anndata', 'pandas', 'matplotlib') if m in sys.modules])"
    )

    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout

    assert printed.strip() == "[]"


@pytest.mark.parametrize("intruder", ["models", "reports", "experiments"])
def test_a_stray_folder_beside_a_script_is_named_not_used(tmp_path: Path, intruder: str) -> None:
    (tmp_path / intruder).mkdir()
    (tmp_path / intruder / "__init__.py").write_text("")
    (tmp_path / "script.py").write_text("import harness\n")

    ran = subprocess.run([sys.executable, "script.py"], cwd=tmp_path, capture_output=True, text=True)

    assert ran.returncode != 0
    assert str(tmp_path / intruder) in ran.stderr
    assert "rename it" in ran.stderr


def test_a_stray_module_that_was_imported_first_is_named_too(tmp_path: Path) -> None:
    (tmp_path / "models.py").write_text("")
    (tmp_path / "script.py").write_text("import models\nimport harness\n")

    ran = subprocess.run([sys.executable, "script.py"], cwd=tmp_path, capture_output=True, text=True)

    assert ran.returncode != 0
    assert str(tmp_path / "models.py") in ran.stderr


def test_the_tree_of_the_readme_names_every_file() -> None:
    readme = (ROOT / "README.md").read_text()
    tree = readme[readme.index("## The tree") :]

    missing = [str(path.relative_to(ROOT)) for path in FILES if not path.name.startswith("_") and path.name not in tree]

    assert missing == []


def test_the_readmes_method_works_as_it_stands(tmp_path: Path) -> None:
    readme = (ROOT / "README.md").read_text()
    source = next(block for block in readme.split("```python\n") if "class ShrunkenMean" in block).split("```")[0]
    (tmp_path / "mine.py").write_text(source.replace("from ..method", "from models.method"))
    code = (
        "from mine import ShrunkenMean; from tests.contracts.problems import tiny_problem;"
        "from models.method import Run; p = tiny_problem(); shape = ShrunkenMean().impute(p, Run.local()).shape;"
        "print(shape == (len(p.spots), len(p.targets)))"
    )

    ran = subprocess.run(
        [sys.executable, "-c", code], env={"PYTHONPATH": f"{tmp_path}:{ROOT}"}, capture_output=True, text=True
    )

    assert ran.stdout.strip() == "True", ran.stderr
