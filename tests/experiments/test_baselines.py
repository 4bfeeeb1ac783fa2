"""The main comparison, and the same at published settings: never two settings under one name."""

from __future__ import annotations

import importlib

import pytest

from experiments._roster import everybody, published
from harness.datasets import known
from harness.drivers import load_experiment
from models.method import absent_packages
from tests.contracts.problems import METHODS

NINE = {
    "SpaDiT", "Tangram", "gimVI", "SpaGE", "stPlus", "SpaOTsc", "novoSpaRc", "SpatialScope (reduced)", "stDiff",
}  # fmt: skip
CONTROLS = {"cell-type mean", "gene mean", "low-rank ridge", "nearest cells", "spot total"}


def test_it_asks_the_papers_nine_methods_and_every_control_on_every_dataset() -> None:
    experiment = load_experiment("baselines")

    assert {label for label, method in experiment.variants.items() if not method.control} == NINE
    assert {label for label, method in experiment.variants.items() if method.control} == CONTROLS
    assert set(experiment.datasets) == set(known())
    assert (experiment.split.folds, len(experiment.seeds)) == (5, 2)


def test_every_baseline_has_published_settings_and_they_are_asked_for() -> None:
    asked = load_experiment("baselines_published").variants

    for name, cls in METHODS.items():
        if cls.__module__.startswith("models.baselines") and not cls.control:
            assert hasattr(cls, "published"), name
            assert cls.published() in asked.values()


def test_other_settings_have_another_name_and_equal_ones_the_same() -> None:
    defaults = everybody()

    for label, method in published().items():
        if label.endswith(" (published)"):
            assert defaults[label.removesuffix(" (published)")] != method
        else:
            assert defaults[label] == method


@pytest.mark.parametrize("name", ["baselines", "baselines_published"])
def test_its_docstring_says_question_command_cost_and_what_to_expect(name: str) -> None:
    text = importlib.import_module(f"experiments.{name}").__doc__ or ""

    for word in ("?", "Command", "Cost", "Expect", f"spadit run {name}"):
        assert word in text
    assert "MINUTES" not in text


def test_only_gimvi_needs_a_package_of_its_own() -> None:
    assert {cls.__name__ for cls in METHODS.values() if cls.needs.packages} == {"GimVI"}
    assert absent_packages(METHODS["spage"]) is None
