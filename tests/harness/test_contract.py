"""The contract of a method: whoever misbehaves in one way breaks that promise and no other, and is told what to do."""

from __future__ import annotations

import importlib
import json
import os
import random
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from harness.contract.built_in import built_in_problem
from harness.contract.promises import PROMISES
from harness.contract.tried import Tried, verdict
from models.method import Array, Method, Needs, Problem, Run
from tests.conftest import Spadit
from tests.toys import Raises, Refuses, Wrong

ANSWERS = "it answers every spot and target with a finite float"
SEED = "the seed matters exactly if it declares randomness"
SD = "an sd is finite beside the very same prediction and says what varies"
JSON = "its settings survive json"
SAYS = "it says what it is and where it comes from"
GLOBAL = "the global random state is neither used nor changed"
BITS = "the same seed gives the same bits"
JOINT = "a gene depends on what else is asked for only if declared"


@dataclass(frozen=True)
class Honest(Method):
    """Every target is the highest visible value of a spot; who derives from it says the same."""

    def __init_subclass__(cls, **keywords: object) -> None:
        super().__init_subclass__(**keywords)
        cls.__doc__ = cls.__doc__ or Honest.__doc__

    def impute(self, problem: Problem, run: Run) -> Array:
        return np.repeat(problem.spots.lognorm.max(axis=1, keepdims=True), len(problem.targets), axis=1)


@dataclass(frozen=True)
class Demanding(Honest):
    rank: int = 3

    def __post_init__(self) -> None:
        object.__setattr__(self, "rank", self.rank + 1)


@dataclass(frozen=True)
class Sealed(Honest):
    def __post_init__(self) -> None:
        object.__setattr__(self, "network", lambda x: x)


@dataclass(frozen=True)
class Loads(Honest):
    """Loads a library when it is asked."""


@dataclass(frozen=True)
class Mute(Honest):
    """Too few words."""


@dataclass(frozen=True)
class Unversioned(Honest):
    version: ClassVar[int] = 0


@dataclass(frozen=True)
class Centred(Honest):
    def impute(self, problem: Problem, run: Run) -> Array:
        return super().impute(problem, run) - 3.0


@dataclass(frozen=True)
class Fickle(Honest):
    needs: ClassVar[Needs] = Needs(randomness=True)

    def impute(self, problem: Problem, run: Run) -> Array:
        return super().impute(problem, run) + int.from_bytes(os.urandom(4), "big") / 2**32


@dataclass(frozen=True)
class Secretive(Honest):
    def impute(self, problem: Problem, run: Run) -> Array:
        return super().impute(problem, run) + run.rng.random()


@dataclass(frozen=True)
class Boastful(Honest):
    needs: ClassVar[Needs] = Needs(randomness=True)


@dataclass(frozen=True)
class Drawing(Honest):
    needs: ClassVar[Needs] = Needs(randomness=True)

    def impute(self, problem: Problem, run: Run) -> Array:
        return super().impute(problem, run) + np.random.rand()  # noqa: NPY002 - its vice


@dataclass(frozen=True)
class Seeding(Honest):
    def impute(self, problem: Problem, run: Run) -> Array:
        np.random.seed(7)  # noqa: NPY002 - its vice
        return super().impute(problem, run)


@dataclass(frozen=True)
class Differing(Honest):
    def impute_with_sd(self, problem: Problem, run: Run) -> tuple[Array, Array | None]:
        return self.impute(problem, run) + 1e-3, None


@dataclass(frozen=True)
class Inventing(Honest):
    spread: ClassVar[str] = "nothing"

    def impute_with_sd(self, problem: Problem, run: Run) -> tuple[Array, Array | None]:
        mean = self.impute(problem, run)
        return mean, np.ones_like(mean)


@dataclass(frozen=True)
class Negative(Inventing):
    spread: ClassVar[str] = "Of nothing at all."

    def impute_with_sd(self, problem: Problem, run: Run) -> tuple[Array, Array | None]:
        mean, sd = super().impute_with_sd(problem, run)
        return mean, -sd  # type: ignore[operator]


@dataclass(frozen=True)
class Presuming(Honest):
    def impute(self, problem: Problem, run: Run) -> Array:
        return super().impute(problem, run) + problem.coordinates.max()  # type: ignore[union-attr]


@dataclass(frozen=True)
class Positional(Honest):
    def impute(self, problem: Problem, run: Run) -> Array:
        return np.repeat(problem.spots.lognorm[:, :1], len(problem.targets), axis=1)


@dataclass(frozen=True)
class Sorting(Honest):
    def impute(self, problem: Problem, run: Run) -> Array:
        return super().impute(problem, run) + problem.cells.of(sorted(problem.targets)).mean(axis=0)


@dataclass(frozen=True)
class Crowded(Honest):
    def impute(self, problem: Problem, run: Run) -> Array:
        return super().impute(problem, run) * (1 + len(problem.targets)) / 10


@dataclass(frozen=True)
class JointlyCrowded(Crowded):
    joint: ClassVar[bool] = True
    needs: ClassVar[Needs] = Needs(randomness=True)

    def impute(self, problem: Problem, run: Run) -> Array:
        return super().impute(problem, run) + 0.01 * run.rng.random()


ASKED: list[int] = []


@dataclass(frozen=True)
class Remembering(Honest):
    def impute(self, problem: Problem, run: Run) -> Array:
        ASKED.append(len(problem.targets))
        return super().impute(problem, run) + (ASKED[-2:] == [3, 8])


@dataclass(frozen=True)
class Spoilt(Honest):
    def impute(self, problem: Problem, run: Run) -> Array:
        components = np.linalg.svd(problem.spots.lognorm)[0][:, :12]
        assert len(problem.visible) >= 12, "12 components need 12 genes"
        return np.abs(super().impute(problem, run) + 0 * components[:, :1])


@dataclass(frozen=True)
class Lacking(Honest):
    rank: int


BREAKING = {
    Demanding(): (JSON, "let __post_init__ check fields"),
    Sealed(): ("it travels to a worker and back", "keep nothing in it but its fields"),
    Mute(): (SAYS, "'Too few words.'"),
    Unversioned(): (SAYS, "its version is 0"),
    Wrong("shape"): (ANSWERS, "of shape (47, 8); expected floats of shape (48, 8)"),
    Wrong("type"): (ANSWERS, "the prediction is int64"),
    Wrong("nan"): (ANSWERS, "is not finite at every spot; return a finite float"),
    Raises(): (ANSWERS, "ArithmeticError: singular matrix; expected an answer"),
    Refuses(): (ANSWERS, "it skips: needs a moon that is not there; expected an answer"),
    Centred(): ("its answer is on the log normalised scale", "clip at 0"),
    Fickle(): (BITS, "draw from run.rng alone"),
    Secretive(): (SEED, "Needs(randomness=True)"),
    Boastful(): (SEED, "leave randomness out"),
    Drawing(): (GLOBAL, "so use run.rng"),
    Seeding(): (GLOBAL, "so use run.rng"),
    Differing(): (SD, "let one of the two call the other"),
    Inventing(): (SD, "its spread is 'nothing'"),
    Negative(): (SD, "runs from -1 to -1"),
    Presuming(): ("it names what it needs and needs nothing else", "Needs(coordinates=True)"),
    Positional(): ("another order of genes permutes its answer and nothing else", "find genes by name"),
    Sorting(): ("another order of genes permutes its answer and nothing else", "find genes by name"),
    Crowded(): (JOINT, "declare `joint: ClassVar[bool] = True`"),
    JointlyCrowded(): (JOINT, "at most twice"),
    Remembering(): ("it keeps nothing from one problem to the next", "keep nothing in globals"),
    Spoilt(): ("one target and few genes are enough", "with 10 visible genes, it stops with AssertionError"),
}
"""Who misbehaves -> the promise that is broken, and words of the sentence."""

UNTOLD = (Wrong, Raises, Refuses)
"""Toys of other tests, whose docstrings are as short as they may be there."""


def broken(tried: Tried) -> dict[str, str]:
    """Promise -> sentence of those that are broken."""
    found = [verdict(promise, tried) for promise in PROMISES]
    return {each.promise: each.found for each in found if each.verdict == "broken"}


@pytest.mark.parametrize("method", BREAKING, ids=lambda method: type(method).__name__)
def test_each_misbehaviour_breaks_its_promise_and_no_other_and_is_told_what_to_do(method: Method) -> None:
    promise, words = BREAKING[method]

    found = broken(Tried(method))

    if isinstance(method, UNTOLD):
        found.pop(SAYS, None)
    assert set(found) == {promise}, found
    assert words in found[promise]
    assert found[promise].endswith(".")


def test_every_promise_is_broken_by_somebody() -> None:
    assert {promise for promise, _ in BREAKING.values()} == {promise.__name__.replace("_", " ") for promise in PROMISES}


@pytest.mark.parametrize("by_name", [True, False])
def test_an_honest_method_keeps_them_all(by_name: bool) -> None:
    assert broken(Tried(Honest(), by_name)) == {}


def test_only_a_method_that_is_called_by_name_needs_a_default_for_every_field() -> None:
    assert broken(Tried(Lacking(rank=3))) == {}
    assert "Lacking() lacks a value for rank" in verdict(PROMISES[0], Tried(Lacking(rank=3), by_name=True)).found


def test_what_builds_on_a_broken_promise_is_not_tried() -> None:
    silent, fickle = ({v.verdict for v in (verdict(p, Tried(m)) for p in PROMISES[3:])} for m in (Raises(), Fickle()))

    assert silent == {"broken", "not tried"}
    assert fickle == {"kept", "broken", "not tried"}


def test_a_method_that_fails_is_asked_once() -> None:
    calls = []

    @dataclass(frozen=True)
    class Counted(Raises):
        def impute(self, problem: Problem, run: Run) -> Array:
            calls.append(1)
            return super().impute(problem, run)

    broken(Tried(Counted()))

    assert len(calls) == 1


def test_a_method_that_spoils_its_problem_spoils_nobody_elses() -> None:
    before = built_in_problem()
    base = before.spots.lognorm.base
    assert base is not None
    base.flags.writeable = True

    base[:] = 0

    assert built_in_problem().spots.lognorm.any()


def test_the_problem_has_all_that_a_method_may_use() -> None:
    problem = built_in_problem()

    assert (len(problem.spots), len(problem.cells)) == (48, 60)
    assert (len(problem.visible), len(problem.targets), len(problem.cells.genes)) == (16, 8, 30)
    assert problem.spots.counts is not None
    assert problem.coordinates is not None
    assert problem.cell_types is not None
    assert problem.validation


# ---------------------------------------------------------------------------------------------------------------
# The command line

DRIVER = '''
from dataclasses import dataclass

import numpy as np

from harness import Experiment
from models.method import Array, Method, Problem, Run


@dataclass(frozen=True)
class Mean(Method):
    """Every gene follows the mean of the visible ones, as strongly as is asked for."""

    weight: float

    @classmethod
    def tiny(cls):
        raise AssertionError("a variant is tried as it is set up")

    def impute(self, problem: Problem, run: Run) -> Array:
        return np.repeat(self.weight * problem.spots.lognorm.mean(axis=1, keepdims=True), len(problem.targets), axis=1)


EXPERIMENT = Experiment("mine", {"mean": Mean(0.5), "[turned]": Mean(-0.5)}, ["a tissue that is not here"])
'''


def test_the_command_line_tries_a_variant_as_it_is_set_up(spadit: Spadit, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(DRIVER)

    code, out, _ = spadit("audit", "contract", "mine.py:mean")
    _, said, _ = spadit("audit", "contract", "mine.py:mean", "--json")

    assert code == 0
    assert f"mine.py:mean with the settings of its variant: {len(PROMISES)} of {len(PROMISES)} promises kept." in out
    assert "spadit audit method mine.py:mean" in out
    facts = json.loads(said)
    assert facts["kept"] is True
    assert facts["component"]["weight"] == 0.5


def test_the_command_line_says_what_is_broken_and_exits_with_one(spadit: Spadit, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(DRIVER)

    code, out, _ = spadit("audit", "contract", "mine.py:[turned]")
    again, said, _ = spadit("audit", "contract", "mine.py:[turned]", "--json")

    assert code == again == 1
    lines = [line.split(maxsplit=1) for line in out.splitlines() if line.startswith(("kept", "broken", "not tried"))]
    assert len(lines) == len(PROMISES)
    assert [words.strip() for word, words in lines if word == "broken"] == ["its answer is on the log normalised scale"]
    assert "clip at 0." in out
    assert f"{len(PROMISES) - 1} of {len(PROMISES)} promises kept" in out
    facts = json.loads(said)
    assert facts["kept"] is False
    assert [each["verdict"] for each in facts["promises"]].count("broken") == 1


@pytest.mark.parametrize(("named", "settings"), [("nearest_cells", "its defaults"), ("stdiff", "its tiny()")])
def test_a_method_by_name_is_tried_at_its_smallest_and_that_is_said(spadit: Spadit, named: str, settings: str) -> None:
    code, out, _ = spadit("audit", "contract", named)

    assert code == 0
    assert f"{named} with {settings}" in out


def test_what_cannot_be_tried_is_one_sentence(spadit: Spadit, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "from harness import Experiment\nfrom tests.toys import Packaged\n"
        "EXPERIMENT = Experiment('mine', {'moon': Packaged()}, ['any'])\n"
    )

    unknown, absent = (spadit("audit", "contract", named) for named in ("nearest_cels", "mine.py:moon"))

    assert (unknown[0], absent[0]) == (2, 2)
    assert "did you mean nearest_cells" in unknown[2]
    assert "moon_of_no_index, which is not installed" in absent[2]


@pytest.mark.parametrize(("own", "broken"), [(0.0, []), (1e-9, [GLOBAL])])
def test_loading_a_library_that_draws_breaks_no_promise_and_hides_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own: float, broken: list[str]
) -> None:
    name = f"drawing_library_{len(broken)}"
    (tmp_path / f"{name}.py").write_text("import random\n\nrandom.random()\n")
    monkeypatch.syspath_prepend(tmp_path)

    def impute(self: Method, problem: Problem, run: Run) -> Array:
        importlib.import_module(name)
        return Honest.impute(self, problem, run) + (own * random.random() if own else 0.0)  # type: ignore[arg-type]

    monkeypatch.setattr(Loads, "impute", impute)
    found = [verdict(promise, Tried(Loads())) for promise in PROMISES if promise.__name__.startswith("the_global")]

    assert [each.promise for each in found if each.verdict == "broken"] == broken
