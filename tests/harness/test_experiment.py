"""Experiments: grids as values, found by name or file, refused in one sentence."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from harness.drivers import load_driver, load_experiment
from harness.errors import BadInput
from harness.experiment import Experiment, alike
from harness.protocol import KFold
from models.method import Needs
from tests.toys import Noise, VisibleMean

IDS = {"x": "0" * 16, "y": "1" * 16}


def experiment(**changes: object) -> Experiment:
    values: dict[str, object] = {
        "name": "q", "variants": {"noise": Noise(), "mean": VisibleMean()}, "datasets": ["x", "y"],
        "split": KFold(3), "seeds": range(2),
    }  # fmt: skip
    return Experiment(**(values | changes))  # type: ignore[arg-type]


def test_cells_are_the_whole_grid_and_trials_the_distinct_ones() -> None:
    cells = list(experiment(sampling_rates=[1.0, 0.5]).cells(IDS))

    assert len(cells) == 2 * 2 * 3 * 2 * 2
    # noise: 2 seeds; mean serves both seeds with one trial.
    assert len(experiment(sampling_rates=[1.0, 0.5]).trials(IDS)) == 2 * 3 * 2 * (2 + 1)


def test_labels_and_experiment_names_share_trials() -> None:
    one = experiment(variants={"a": Noise()}).trials(IDS)
    two = experiment(name="other", variants={"b": Noise()}).trials(IDS)

    assert [t.id for t in one] == [t.id for t in two]


def test_absent_datasets_are_left_out() -> None:
    assert {t.dataset for t in experiment().trials({"x": IDS["x"]})} == {"x"}


def test_narrowing_keeps_identities() -> None:
    whole = {t.id for t in experiment().trials(IDS)}

    part = experiment().narrowed(datasets=["y"], variants=["mean"], folds=[1], seeds=1).trials(IDS)

    assert len(part) == 1
    assert part[0].id in whole


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"name": "../up"}, "cannot be named"),
        ({"datasets": "MG"}, "give a list"),
        ({"datasets": []}, "has no datasets"),
        ({"variants": {}}, "has no variants"),
        ({"variants": {"a": Noise}}, r"class \(Noise\).*with its parentheses"),
        ({"seeds": [-1]}, "seed -1"),
        ({"seeds": [0.5]}, "seed 0.5"),
        ({"sampling_rates": [0]}, "sampling rate of 0"),
        ({"folds": [3]}, "folds 0 to 2"),
        ({"folds": 5}, r"folds is 5; give the values, such as \(0, 1\)"),
        ({"seeds": 3}, r"seeds is 3; give the values, such as range\(3\)"),
        ({"sampling_rates": 0.5}, "sampling_rates is 0.5; give the values"),
    ],
)
def test_what_cannot_run_is_refused_when_it_is_made(changes: dict[str, object], words: str) -> None:
    with pytest.raises(BadInput, match=words):
        experiment(**changes)


def test_what_methods_say_for_the_whole_class_is_no_field() -> None:
    random = Needs(randomness=True)

    @dataclasses.dataclass(frozen=True)
    class Mine(VisibleMean):
        needs: Needs = random  # type: ignore[misc]

    with pytest.raises(BadInput, match=r"Mine\.needs is a field, and Method has it.*ClassVar"):
        experiment(variants={"mine": Mine()})


def test_an_unknown_variant_gets_the_nearest_label() -> None:
    with pytest.raises(BadInput, match="did you mean noise"):
        experiment().narrowed(variants=["nosie"])


@pytest.mark.parametrize("spelling", ["Noise", "NOISE", "no-ise", " no_ise "])
def test_a_variant_may_be_spelt_in_any_way_that_means_no_other(spelling: str) -> None:
    assert list(experiment().narrowed(variants=[spelling]).variants) == ["noise"]
    assert alike("w/ U-Net", ["w U Net", "w/ u-net", "W/ U-NET"]) == "w/ U-Net"  # two are meant: as it was given
    assert alike("noise", ["noise", "Noise"]) == "noise"


def test_an_unknown_experiment_gets_the_nearest_name() -> None:
    with pytest.raises(BadInput, match="did you mean quickstart"):
        load_experiment("quikstart")


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (None, "There is no file"),
        ("x = 1\n", "defines no EXPERIMENT"),
        ("def f(:\n", "line 1"),
        ("import no_such_module\n", "No module named 'no_such_module'"),
        ("EXPERIMENT = 3\n", "is an int"),
        ("x = 1\n\ny = 1 / 0\n", "line 3, stopped with ZeroDivisionError: division by zero;"),
        ("from models.spadit import SpaDiT\nx = SpaDiT(backbne=1)\n", r"line 2, .*\(did you mean backbone\?\)"),
        (
            "import dataclasses\nfrom models.method import Method\n@dataclasses.dataclass\nclass M(Method):\n  x = 1\n",
            r"line 3, .*non-frozen.*: a method is a @dataclass\(frozen=True\);",
        ),
        ("from models.spadit import SpaDiT\nx = SpaDit()\n", r"line 2, .*\(did you mean SpaDiT\?\)"),
        ("import models.spadit as s\nx = s.SpaDit()\n", r"line 2, .*\(did you mean SpaDiT"),
    ],
)
def test_a_file_that_is_no_experiment_is_refused_by_name(tmp_path: Path, source: str | None, words: str) -> None:
    path = tmp_path / "mine.py"
    if source is not None:
        path.write_text(source)

    with pytest.raises(BadInput, match=words) as caught:
        load_experiment(str(path))

    assert str(path) in str(caught.value)


def test_a_file_that_is_named_from_where_one_stands_stops_with_its_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("near.py").write_text("x = 1\ny = x.nothing\n")

    with pytest.raises(BadInput, match=r"near\.py, line 2, stopped with AttributeError"):
        load_experiment("near.py")


def test_a_drivers_title_is_the_first_line_of_its_docstring() -> None:
    assert load_experiment("quickstart").title.startswith("Does SpaDiT")


def test_classes_of_two_versions_of_a_file_have_two_identities(tmp_path: Path) -> None:
    source = (
        "from dataclasses import dataclass\nfrom models.method import Method\n\n"
        "@dataclass(frozen=True)\nclass Mine(Method):\n"
        "    def impute(self, problem, run):\n        return FACTOR * problem.spots.lognorm[:, :1]\n"
    )
    ids = []
    for factor in (1, 2):
        path = tmp_path / f"v{factor}.py"
        path.write_text(f"FACTOR = {factor}\n{source}")
        mine = load_driver(path).Mine()
        ids.append(experiment(variants={"mine": mine}).trials(IDS)[0].id)

    assert ids[0] != ids[1]


def test_renaming_a_users_file_changes_no_identity(tmp_path: Path) -> None:
    source = (
        "from dataclasses import dataclass\nfrom models.method import Method\n\n"
        "@dataclass(frozen=True)\nclass Mine(Method):\n"
        "    def impute(self, problem, run):\n        return problem.spots.lognorm[:, :1]\n"
    )
    ids = []
    for name in ("a.py", "b.py"):
        (tmp_path / name).write_text(source)
        ids.append(experiment(variants={"mine": load_driver(tmp_path / name).Mine()}).trials(IDS)[0].id)

    assert ids[0] == ids[1]


def test_a_part_of_an_experiment_has_the_definition_of_the_whole() -> None:
    whole = Experiment("mine", {"a": VisibleMean(), "b": Noise()}, ["x"], seeds=(0, 1))
    facts = {"x": {"dataset_id": "0" * 16}}

    part = whole.narrowed(variants=["b"], folds=[1], seeds=1)

    assert part.asked(facts, "now").definition == whole.asked(facts, "now").definition
    assert part.narrowed(variants=["b"]).asked(facts, "now").definition == whole.asked(facts, "now").definition
    other = Experiment("mine", {"b": Noise()}, ["x"])
    assert other.asked(facts, "now").definition != whole.asked(facts, "now").definition
