"""What tells two versions of a user's own method apart: whatever can change its numbers, and nothing else."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from harness.drivers import load_experiment
from harness.errors import BadInput
from models.component import canonical, source_hash
from models.method import Method

METHOD = '''"""My method."""
from dataclasses import dataclass

import numpy as np

import HELPER
from harness import Experiment
from models.method import Method

SCALE = 2.0
TABLE = {}
TABLE.update(a=1.0)
UNUSED = 1


def shrunk(x):
    return HELPER.shrink(x) * SCALE


@dataclass(frozen=True)
class Mine(Method):
    """Predicts something or other, which is of no interest here."""

    weight: float = 0.5

    def impute(self, problem, run):
        return shrunk(np.zeros((len(problem.spots), len(problem.targets)))) + TABLE["a"]  # why


EXPERIMENT = Experiment("mine", {"mine": Mine()}, ["pbmc_tissue"])
'''
HELPER = "def shrink(x):\n    return x * 1.0\n"


class Files:
    """A driver file and the module beside it, written anew with some text replaced."""

    def __init__(self, folder: Path) -> None:
        self.driver, self.helper = folder / "driver.py", folder / f"helper_{abs(hash(folder))}.py"

    def loaded(self, old: str = "", new: str = "", helper: tuple[str, str] = ("", "")) -> Method:
        """The first variant of the driver."""
        sys.modules.pop(self.helper.stem, None)
        source_hash.cache_clear()
        shutil.rmtree(self.helper.parent / "__pycache__", ignore_errors=True)
        text = METHOD.replace("HELPER", self.helper.stem)
        assert old in text
        self.helper.write_text(HELPER.replace(*helper))
        self.driver.write_text(text.replace(old, new, 1) if old else text)
        found = next(iter(load_experiment(str(self.driver)).variants.values()))
        assert isinstance(found, Method)
        return found

    def hashed(self, old: str = "", new: str = "", helper: tuple[str, str] = ("", "")) -> str:
        """What tells its class apart."""
        return source_hash(type(self.loaded(old, new, helper)))


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Files:
    monkeypatch.setattr(sys, "path", list(sys.path))
    return Files(tmp_path)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("# why", "# because"),
        ('"""My method."""', '"""Nobody\'s method."""'),
        ("which is of no interest here", "which may be of interest"),
        ('{"mine": Mine()}', '{"mine": Mine(), "more": Mine(0.7)}'),
        ("def impute(self, problem, run):", "def impute(self,  problem,  run):"),
    ],
)
def test_what_cannot_change_its_numbers_does_not_change_it(files: Files, old: str, new: str) -> None:
    assert files.hashed(old, new) == files.hashed()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("SCALE = 2.0", "SCALE = 3.0"),
        ("TABLE = {}", "TABLE = {}\nnp.seterr(all='ignore')"),
        ("TABLE.update(a=1.0)", "for key in ('a',):\n    TABLE[key] = 1.0"),
        ("TABLE.update(a=1.0)", "TABLE.update(a=2.0)"),
        ("shrink(x) * SCALE", "shrink(x)"),
        ("np.zeros", "np.ones"),
        ("weight: float = 0.5", "weight: float = 0.6"),
    ],
)
def test_whatever_its_class_reaches_by_name_does(files: Files, old: str, new: str) -> None:
    assert files.hashed(old, new) != files.hashed()


def test_the_code_of_a_module_beside_it_counts_and_its_comments_do_not(files: Files) -> None:
    assert files.hashed(helper=("x * 1.0", "x * -1.0")) != files.hashed()
    assert files.hashed(helper=("x * 1.0", "x * 1.0  # as it is")) == files.hashed()


def test_a_module_that_is_imported_only_when_it_is_needed_counts_as_well(files: Files) -> None:
    late = ("import HELPER\nfrom harness", "from harness")
    inside = "def shrunk(x):\n    import HELPER\n"
    name = files.helper.stem

    def hashed(factor: str) -> str:
        text = METHOD.replace(*late).replace("def shrunk(x):\n", inside).replace("HELPER", name)
        files.hashed(helper=("x * 1.0", f"x * {factor}"))  # writes the helper
        sys.modules.pop(name, None)
        source_hash.cache_clear()
        files.driver.write_text(text)
        return source_hash(type(next(iter(load_experiment(str(files.driver)).variants.values()))))

    assert hashed("1.0") != hashed("2.0")


def test_a_question_that_a_method_itself_uses_counts(files: Files) -> None:
    used = 'TABLE["a"] + len(EXPERIMENT.variants)'
    more = ('{"mine": Mine()}', '{"mine": Mine(), "more": Mine(0.7)}')

    one = files.hashed('TABLE["a"]', used)
    files.driver.write_text(files.driver.read_text().replace(*more))
    source_hash.cache_clear()
    other = source_hash(type(next(iter(load_experiment(str(files.driver)).variants.values()))))

    assert one != other


def test_the_identity_of_a_users_method_holds_its_code(files: Files) -> None:
    method = files.loaded()

    assert canonical(method)["source"] == source_hash(type(method))


def test_a_class_with_an_init_of_its_own_is_refused_and_told_what_to_write(files: Files) -> None:
    files.driver.write_text(
        "from harness import Experiment\n"
        "from models.method import Method\n"
        "class Mine(Method):\n"
        '    """Predicts something or other, which is of no interest here."""\n'
        "    def __init__(self, weight=0.5):\n"
        "        self.__dict__['weight'] = weight\n"
        "    def impute(self, problem, run):\n"
        "        return None\n"
        'EXPERIMENT = Experiment("mine", {"a": Mine(0.1), "b": Mine(0.9)}, ["pbmc_tissue"])\n'
    )

    with pytest.raises(BadInput, match=r"Mine is no dataclass of its own.*@dataclass\(frozen=True\)"):
        load_experiment(str(files.driver))
