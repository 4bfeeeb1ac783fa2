"""Figure 2's experiment: everybody, on every dataset, at six rates, paired."""

from __future__ import annotations

import dataclasses
import itertools
from pathlib import Path

import numpy as np

from experiments._roster import DATASETS, everybody
from harness.datasets import known
from harness.drivers import load_experiment
from harness.protocol import PerEntry, Protocol, pose, prepare
from tests.conftest import tiny_pair
from tests.contracts.problems import METHODS

EXPERIMENT = load_experiment("sparsity")


def test_it_asks_every_discovered_method_at_the_papers_rates_on_the_papers_datasets() -> None:
    assert {type(method) for method in EXPERIMENT.variants.values()} == set(METHODS.values())
    assert tuple(EXPERIMENT.sampling_rates) == (1.0, 0.9, 0.7, 0.5, 0.3, 0.1)
    assert set(EXPERIMENT.datasets) == set(known()) == set(DATASETS)


def test_controls_stand_last_and_every_label_is_one_method() -> None:
    labels = list(everybody())

    assert [everybody()[label].control for label in labels] == sorted(everybody()[label].control for label in labels)
    assert "low-rank ridge" in labels
    assert "SpaDiT" in labels


def test_its_inputs_get_sparser_entry_by_entry_and_its_truth_stays() -> None:
    data = prepare(dataclasses.replace(tiny_pair(), name="tiny"), Protocol(thinning=PerEntry()))
    posed = [pose(data, EXPERIMENT.split, 0, rate) for rate in EXPERIMENT.sampling_rates]

    for (denser, truth), (sparser, later) in itertools.pairwise(posed):
        assert (sparser.spots.counts <= denser.spots.counts).all()  # type: ignore[operator]
        assert (truth.values == later.values).all()
    zeros = [float(np.mean(problem.spots.lognorm == 0)) for problem, _ in posed]
    assert zeros == sorted(zeros)


def test_its_docstring_says_question_command_cost_and_what_to_expect() -> None:
    import experiments.sparsity as module

    assert module.__doc__ is not None
    for word in ("?", "Command", "Cost", "Expect", "spadit run sparsity"):
        assert word in module.__doc__
    assert "MINUTES" not in module.__doc__
    assert Path(module.__file__).name == "sparsity.py"
