"""No dead options: whatever somebody can set from Python or the command line is set by some test.

What methods and their parts can be set to is tried one by one in `contracts/test_options.py`.
"""

from __future__ import annotations

import ast
import dataclasses
import inspect
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import typer

import harness
import harness.search
from harness.cli import app
from harness.datasets import fetch
from harness.predict import predict

TESTS = Path(__file__).parent
PUBLIC = {
    name: getattr(package, name)
    for package in (harness, harness.search)
    for name in package.__all__
    if name != "Results"
} | {"fetch": fetch, "predict": predict}
"""What a driver file calls: questions, protocols, searches, and what runs them."""


@cache
def parsed() -> tuple[tuple[ast.AST, ...], ...]:
    """Every node of every test, file by file."""
    return tuple(tuple(ast.walk(ast.parse(path.read_text()))) for path in TESTS.rglob("*.py"))


def optional(made: Any) -> Iterator[tuple[str, int]]:
    """Parameters with a default, and how many positional arguments reach them."""
    if not callable(made) or (inspect.isclass(made) and issubclass(made, Exception)):
        return
    hidden = {f.name for f in dataclasses.fields(made) if not f.repr} if dataclasses.is_dataclass(made) else set()
    for place, parameter in enumerate(inspect.signature(made).parameters.values(), start=1):
        if parameter.default is not parameter.empty and parameter.name not in hidden:
            yield parameter.name, place if parameter.kind is not parameter.KEYWORD_ONLY else 1000


def called(node: ast.Call) -> str:
    return node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")


def given() -> tuple[set[tuple[str, str]], dict[str, int]]:
    """(callable, keyword) pairs of all calls, and the most positional arguments of each callable.

    A helper of the tests that hands its own keywords on (`def asked(**more): return Search(**more)`) counts as what it
    calls; so do what changes a field of something that is there (`replace`), and the keys of a dictionary in a file
    that hands dictionaries to that callable (`Search(**changes)`).
    """
    named: set[tuple[str, str]] = set()
    most: dict[str, int] = {}
    hands_on: dict[str, set[str]] = {}
    for nodes in parsed():
        calls = [node for node in nodes if isinstance(node, ast.Call)]
        unpacking = {called(node) for node in calls if any(keyword.arg is None for keyword in node.keywords)}
        keys = {key.value for node in nodes if isinstance(node, ast.Dict) for key in node.keys if _is_text(key)}
        named |= {(name, key) for name in unpacking for key in keys}
        for node in calls:
            named |= {(called(node), keyword.arg) for keyword in node.keywords if keyword.arg}
            most[called(node)] = max(most.get(called(node), 0), len(node.args))
        for node in nodes:
            if isinstance(node, ast.FunctionDef) and node.args.kwarg:
                inside = [each for each in ast.walk(node) if isinstance(each, ast.Call)]
                onto = {called(each) for each in inside if any(keyword.arg is None for keyword in each.keywords)}
                hands_on.setdefault(node.name, set()).update(onto)
    for _ in range(3):  # helpers of helpers
        named |= {(target, option) for helper, option in named for target in hands_on.get(helper, ())}
    return named, most


def _is_text(node: ast.AST | None) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def test_every_optional_parameter_is_set_by_some_test() -> None:
    named, most = given()
    changed = {keyword for called, keyword in named if called == "replace"}

    never = [
        f"{name}({option}=)"
        for name, made in PUBLIC.items()
        for option, place in optional(made)
        if (name, option) not in named and option not in changed and most.get(name, 0) < place
    ]

    assert not never, "\n".join(["set by no test:", *never])


def test_every_option_of_the_command_line_is_given_by_some_test() -> None:
    words = {node.value for nodes in parsed() for node in nodes if _is_text(node)}
    given = {word.partition("=")[0] for word in words if word.startswith("--")}

    def never(command: Any, path: str) -> Iterator[str]:
        for verb, each in getattr(command, "commands", {}).items():
            yield from never(each, f"{path} {verb}")
        for parameter in command.params:
            long = [name for name in parameter.opts if name.startswith("--")]
            if long and not given & set(long):
                yield f"{path} {long[0]}"

    left = list(never(typer.main.get_command(app), "spadit"))
    assert not left, "\n".join(["given by no test:", *left])
