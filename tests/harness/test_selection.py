"""How settings were chosen follows the content of the data, and what is tuned on the scored genes says so in tables."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pytest

from harness.errors import BadInput
from harness.experiment import Experiment
from harness.pair import PairedSample
from harness.protocol import KFold, Protocol, prepare
from harness.record import Record
from harness.store import Store
from harness.trial import Trial, run_trial
from models.controls.gene_mean import GeneMean
from reports.reading.scores import read
from reports.report import scores
from tests.conftest import tiny_pair
from tests.contracts.problems import METHODS
from tests.toys import VisibleMean

SPLIT = KFold(2)


@dataclass(frozen=True)
class TunedOnTiny(VisibleMean):
    """Its defaults were chosen on the tiny pair."""

    chosen_on: ClassVar[Mapping[str, str]] = {"tiny": tiny_pair().id}


def recorded(method: VisibleMean, pair: PairedSample) -> Record:
    return run_trial(Trial(method, pair.name, pair.id, SPLIT, 0, 0), prepare(pair, Protocol())).record


def test_selection_goes_by_content_and_not_by_name() -> None:
    same, other = dataclasses.replace(tiny_pair(), name="renamed"), dataclasses.replace(tiny_pair(1), name="tiny")

    assert recorded(TunedOnTiny(), same).selection == "tuned on these genes"
    assert recorded(TunedOnTiny(), other).selection == "elsewhere"
    assert recorded(VisibleMean(), same).selection == "untuned"


@pytest.mark.real
@pytest.mark.parametrize("name", sorted({name for method in METHODS.values() for name in method.chosen_on}))
def test_the_pairs_that_defaults_were_chosen_on_are_known_by_their_content(real_data: Path, name: str) -> None:
    from harness.datasets import load

    said = {method.chosen_on[name] for method in METHODS.values() if name in method.chosen_on}

    assert said == {load(name, [real_data]).id}


def test_a_variant_chosen_on_a_dataset_says_so_in_its_rows_there_and_only_there(tmp_path: Path) -> None:
    pairs = {"a": tiny_pair(), "b": tiny_pair(1)}
    ids = {name: pair.id for name, pair in pairs.items()}
    experiment = Experiment("mine", {"x": VisibleMean(), "y": GeneMean()}, list(pairs), SPLIT, chosen_on={"x": ["a"]})
    store = Store(tmp_path)
    for trial in experiment.trials(ids):
        store.put(run_trial(trial, prepare(dataclasses.replace(pairs[trial.dataset]), Protocol())))
    store.put_asked(experiment.asked({n: {"dataset_id": i} for n, i in ids.items()}, "now"))

    found = read(store, store.asked("mine")[-1])

    tuned = {(block.dataset, row.label) for block in found.blocks for row in block.rows if "tuned on" in row.selection}
    assert tuned == {("a", "x")}
    rows = scores(store, "mine")
    rows = rows[rows["scope"] == "dataset"]
    assert set(rows[rows["selection"] == "tuned on these genes"]["dataset"]) == {"a"}


def test_narrowing_keeps_what_was_chosen_where() -> None:
    experiment = Experiment("mine", {"x": VisibleMean(), "y": GeneMean()}, ["a"], chosen_on={"x": ["a"]})

    assert experiment.narrowed(variants=["x"]).chosen_on == {"x": ["a"]}
    assert experiment.narrowed(variants=["y"]).chosen_on == {}


def test_chosen_on_names_variants_that_exist() -> None:
    with pytest.raises(BadInput, match="chosen_on names 'z'"):
        Experiment("mine", {"x": VisibleMean()}, ["a"], chosen_on={"z": ["a"]})
