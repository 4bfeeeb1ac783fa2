"""What a record says of the working tree: its commit, and whether the code that ran is that commit's."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from harness import results


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small checkout that the harness believes to run from."""
    for room in ("harness", "models", "experiments", "reports"):
        (tmp_path / room).mkdir()
        (tmp_path / room / "a.py").write_text("x = 1\n")
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    for words in (["init", "-q"], ["add", "."], [*identity, "commit", "-q", "-m", "start"]):
        subprocess.run(["git", *words], cwd=tmp_path, check=True)
    monkeypatch.setattr(results, "__file__", str(tmp_path / "harness" / "results.py"))
    return tmp_path


def test_outputs_beside_the_code_leave_it_clean(checkout: Path) -> None:
    (checkout / "my_results").mkdir()
    (checkout / "my_results/record.json").write_text("{}")

    state = results.git_state()

    assert len(state["commit"]) == 40
    assert state["dirty"] is False


@pytest.mark.parametrize("name", ["models/a.py", "models/new_method.py"])
def test_changed_or_new_code_makes_it_dirty(checkout: Path, name: str) -> None:
    (checkout / name).write_text("x = 2\n")

    assert results.git_state()["dirty"] is True


def test_without_a_repository_nothing_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(results, "__file__", str(tmp_path / "harness" / "results.py"))

    assert results.git_state() == {}
