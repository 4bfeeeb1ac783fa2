"""What would fool itself is refused when it is asked, before anything runs."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from harness import ByFold, Experiment, KFold, MaskedEntries
from harness.errors import BadInput
from harness.protocol import Protocol, Within, pose, prepare
from harness.protocol.preprocessing import Preprocessing
from harness.search import Elsewhere, Float, Halving, Search, Space
from harness.search.winners import Winner, scoring
from tests.conftest import tiny_pair
from tests.searching import asked, flat
from tests.toys import Noise, Peaked, Tunable

IDS = {"tiny": "0" * 16, "a": "1" * 16, "b": "2" * 16}


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"metric": ("test_pcc",)}, "test genes are scored once, for its winners"),
        ({"metric": ()}, r"metric is \(\); give different names"),
        ({"metric": ("pcc", "pcc")}, "give different names"),
        ({"metric": "pcc"}, "metric is 'pcc'; give different names"),
        ({"metric": ("seconds", "pcc")}, "the cheapest configuration is not the best"),
        ({"metric": ("pcc", "seconds"), "halving": Halving()}, "halving compares one number, not 2"),
        ({"seeds": (0, 1)}, "winners would be scored with seed 0, with which they were chosen"),
        ({"selection": Elsewhere(("a", "tiny"))}, "tiny would decide, and be scored as well"),
        ({"selection": Elsewhere(())}, "names no dataset to search on"),
        ({"task": MaskedEntries()}, "MaskedEntries hides entries of all of them; use Elsewhere"),
        ({"spaces": {"toy": Tunable()}}, "'toy' is no space of a method"),
        (
            {"spaces": {"toy": Space(Peaked(), {"place": Float(0.0, 1.0)})}},
            "no space of",
        ),
        ({"spaces": {}}, "has no variants"),
        ({"datasets": "tiny"}, "datasets is the text 'tiny'"),
        ({"beside": {"toy (tuned)": Noise()}}, r"beside has 'toy \(tuned\)', which is a row of its own"),
        ({"beside": {"toy": Noise()}}, "beside has 'toy', which is a row of its own"),
        ({"folds": (2,)}, "there is no fold 2"),
    ],
)
def test_it_is_refused_with_the_reason(changes: dict[str, Any], why: str) -> None:
    with pytest.raises(BadInput, match=why):
        dataclasses.replace(asked(flat()), **changes)


def test_masked_entries_may_be_searched_elsewhere() -> None:
    search = asked(flat(), task=MaskedEntries(), selection=Elsewhere(("a",)))

    assert {trial.task for trial in search.parts(next(search.topics(["a"])), Tunable(), IDS)} == {MaskedEntries()}


def test_a_nested_search_has_a_study_for_each_space_dataset_and_fold_and_one_elsewhere_for_each_space() -> None:
    nested = Search("s", {"x": flat(), "y": flat(shift=1)}, ["a", "b"], split=KFold(3))

    assert len(list(nested.topics(["a", "b"]))) == 2 * 2 * 3
    assert {topic.dataset for topic in nested.topics(["b"])} == {"b"}
    assert len(list(dataclasses.replace(nested, folds=(1,)).topics(["a", "b"]))) == 2 * 2
    elsewhere = dataclasses.replace(nested, selection=Elsewhere(("tiny",)))
    assert [topic.label for topic in elsewhere.topics(["tiny"])] == ["x", "y"]
    assert nested.needed == ("a", "b")
    assert elsewhere.needed == ("tiny",)


def test_the_parts_of_a_search_elsewhere_are_all_folds_there_fold_by_fold_over_the_datasets() -> None:
    search = Search("s", {"x": flat()}, ["tiny"], selection=Elsewhere(("a", "b")), split=KFold(2), tuning_seeds=(0, 4))

    parts = search.parts(next(search.topics([])), Noise(), IDS)  # type: ignore[arg-type]

    order = [(trial.seed, trial.fold, trial.dataset) for trial in parts]
    assert order == [(s, f, d) for s in (0, 4) for f in (0, 1) for d in ("a", "b")]
    assert len(search.parts(next(search.topics([])), Tunable(), IDS)) == 4  # without randomness, seeds share theirs


def test_folds_within_a_fold_divide_its_visible_genes_and_nothing_else() -> None:
    panel = [f"g{i:02d}" for i in range(37)]
    for outer in (KFold(5), KFold(3, seed=4)):
        for fold in range(outer.folds):
            within, held = Within(outer, fold, KFold(3)), set(outer.fold(panel, fold).test)
            parts = [within.fold(panel, inner) for inner in range(within.folds)]
            assert all({*p.training, *p.validation, *p.test} == set(panel) - held for p in parts)
            assert sorted(gene for p in parts for gene in p.test) == sorted(set(panel) - held)
            assert all(p.validation and not {*p.validation} & {*p.test} for p in parts)
    with pytest.raises(BadInput, match="no fold 5"):
        Within(KFold(5), 5)


@pytest.mark.parametrize("normalisation", ["visible", "all-genes"])
def test_nothing_of_a_held_out_gene_is_in_a_problem_within_its_fold(normalisation: Any) -> None:
    pair = tiny_pair()
    protocol = Protocol(preprocessing=Preprocessing(normalisation=normalisation))
    data = prepare(pair, protocol)
    held = [data.panel.index(gene) for gene in KFold(3).fold(data.panel, 1).test]
    spoilt = data.spots.copy()
    spoilt[:, held] = 1e6
    other = dataclasses.replace(data, spots=spoilt)

    for inner in range(3):
        (one, truth), (two, same) = (pose(each, Within(KFold(3), 1), inner) for each in (data, other))
        assert one.visible == two.visible
        assert (one.spots.lognorm == two.spots.lognorm).all()
        assert one.spots.size_factors is not None
        assert (one.spots.size_factors == two.spots.size_factors).all()
        assert (truth.values == same.values).all()


def test_one_winner_of_one_fold_is_not_scored_by_the_others() -> None:
    one = ByFold({"tiny": {0: Tunable(shift=2)}})

    with pytest.raises(BadInput, match=r"No settings were chosen for fold 1 of tiny.*search in this fold as well"):
        Experiment("e", {"tuned": one}, ["tiny"], split=KFold(2)).trials(IDS)
    trials = Experiment("e", {"tuned": one}, ["tiny"], split=KFold(2), folds=(0,)).trials(IDS)
    assert [(trial.fold, trial.method) for trial in trials] == [(0, Tunable(shift=2))]


def test_winners_are_scored_each_on_its_own_fold_with_fresh_seeds_beside_the_base() -> None:
    search = asked(flat(), seeds=(3, 4), beside={"noise": Noise()})
    found = [
        Winner(topic, f"{i:016x}", i, Tunable(Peaked(place=0.1 * i)), {"shape.place": 0.1 * i}, 0.5, 8, 7)
        for i, topic in enumerate(search.topics(["tiny"]))
    ]

    experiment = scoring(search, found)

    assert list(experiment.variants) == ["toy (tuned)", "toy", "noise"]
    assert experiment.reference == "toy"
    tuned = [t for cell, t in experiment.cells(IDS) if cell["label"] == "toy (tuned)"]
    assert {(t.fold, t.method) for t in tuned} == {(i, Tunable(Peaked(place=0.1 * i))) for i in (0, 1)}
    assert {t.seed for c, t in experiment.cells(IDS) if c["label"] == "noise"} == {3, 4}
    asked_for = experiment.asked({"tiny": {"dataset_id": IDS["tiny"]}}, "2026-01-01")
    assert asked_for.selection("toy (tuned)", "tiny", "untuned") == "nested"
    assert asked_for.selection("toy (tuned)", "tiny", "tuned on these genes") == "tuned on these genes"
    assert asked_for.selection("toy", "tiny", "untuned") == "untuned"
    assert asked_for.variant_on("toy (tuned)", "tiny", 1)["component"]["shape"]["place"] == 0.1
    budget = asked_for.variants["toy (tuned)"]["tuned"]
    assert (budget["configurations"], [s["distinct"] for s in budget["studies"]]) == (8, [7, 7])


def test_a_winner_from_elsewhere_is_marked_where_it_was_chosen() -> None:
    search = asked(flat(), selection=Elsewhere(("a",)))
    topic = next(search.topics([]))
    found = Winner(topic, "0" * 16, 0, Tunable(Peaked()), {}, 0.5, 8, 8)

    experiment = scoring(search, [found]).narrowed(datasets=["tiny", "a"])
    asked_for = experiment.asked({name: {"dataset_id": IDS[name]} for name in ("tiny", "a")}, "2026-01-01")

    assert asked_for.selection("toy (tuned)", "tiny", "untuned") == "elsewhere"
    assert asked_for.selection("toy (tuned)", "a", "untuned") == "tuned on these genes"


def test_totals_of_masked_entries_within_a_fold_count_all_that_is_in_play() -> None:
    pair = tiny_pair()
    data = prepare(pair, Protocol(preprocessing=Preprocessing(normalisation="all-genes")))

    problem, _ = pose(data, Within(KFold(3), 1), 0, task=MaskedEntries(0.5))

    totals = data.spots.sum(axis=1, dtype=float)  # every gene is visible, hidden entries included in the habit's totals
    assert problem.spots.size_factors == pytest.approx(totals / np.median(totals))
