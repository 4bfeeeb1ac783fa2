"""A release says the same of itself everywhere."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import yaml

from tests.conftest import Spadit

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
CITATION = yaml.safe_load((ROOT / "CITATION.cff").read_text())


def test_version_and_date_are_those_of_the_newest_entry_of_the_changelog() -> None:
    version, date = re.findall(r"^## (\S+) - (\S+)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)[0]

    assert PROJECT["version"] == CITATION["version"] == version
    assert str(CITATION["date-released"]) == date


def test_the_command_line_says_the_version_to_cite(spadit: Spadit) -> None:
    assert spadit("--version") == (0, f"spadit {CITATION['version']}\n", "")


def test_the_citation_has_what_the_format_demands_and_the_projects_own_licence() -> None:
    """The required keys of https://citation-file-format.github.io, version 1.2.0."""
    assert {"cff-version", "message", "title", "authors"} <= set(CITATION)
    assert CITATION["cff-version"] == "1.2.0"
    assert CITATION["license"] == PROJECT["license"]


def test_the_readme_can_be_read_at_a_sitting() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) < 250


def test_every_dependency_is_justified_in_contributing() -> None:
    told = (ROOT / ".github" / "CONTRIBUTING.md").read_text()
    optional = [each for group in PROJECT["optional-dependencies"].values() for each in group]
    names = {re.split(r"[\[<>=~! ]", each)[0] for each in (*PROJECT["dependencies"], *optional)}

    other = {"pot": "POT"}  # under the names that people know
    assert {name for name in names if other.get(name, name) not in told} == set()
