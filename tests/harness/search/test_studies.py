"""Studies without Ray: exactly as many configurations as asked for, whoever suggests, fails, stops or starts anew."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import optuna
import pytest

from harness.errors import BadInput
from harness.pair import PairedSample
from harness.search import GP, QMC, TPE, Choice, Int, Random, Space
from harness.search.samplers import Sampler
from harness.search.study import Running
from harness.search.winners import winner
from harness.store import Store
from harness.trial import Setting, Trial, lost, run_trial
from tests.searching import Driver, asked, flat, nested
from tests.toys import Peaked, Raises, Tunable

SAMPLERS = [TPE(startup=3), GP(startup=3), QMC(), Random()]


def journal(folder: Path) -> optuna.storages.BaseStorage:
    backend = optuna.storages.journal.JournalFileBackend(str(folder / "journal"))
    return optuna.storages.JournalStorage(backend)


def lines(tally: Path) -> list[str]:
    return tally.read_text().splitlines() if tally.exists() else []


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "S")


@pytest.mark.parametrize("sampler", SAMPLERS, ids=str)
def test_a_study_has_as_many_configurations_as_asked_for_each_with_an_outcome_and_its_sampler_saw_all_before(
    store: Store, tiny: PairedSample, sampler: Sampler
) -> None:
    study = Driver(asked(nested(), sampler=sampler), 7, store, tiny).to_the_end()

    assert study.finished
    assert list(study.configurations) == list(study.outcomes) == list(range(7))
    assert {outcome.state for outcome in study.outcomes.values()} == {"finished"}
    assert [c.seen for c in study.configurations.values()] == list(range(7))
    assert [c.origin for c in study.configurations.values()] == ["first", *["sampler"] * 6]


def test_its_values_are_means_over_the_genes_of_its_parts(store: Store, tiny: PairedSample) -> None:
    study = Driver(asked(flat()), 3, store, tiny).to_the_end()

    for number, configuration in study.configurations.items():
        genes = store.genes(store.records(configuration.trials))
        assert len(genes) == 12  # the visible half of 24, each once
        assert study.outcomes[number].values["pcc"] == pytest.approx(genes["pcc"].mean())


def test_no_part_of_a_nested_study_shows_or_scores_a_test_gene_of_its_fold(store: Store, tiny: PairedSample) -> None:
    driver = Driver(asked(flat()), 1, store, tiny, fold=1)
    held = set(driver.study.search.split.fold(driver.data.panel, 1).test)

    running = driver.next()

    assert running is not None
    for trial in running.parts:
        fold = trial.split.fold(driver.data.panel, trial.fold)
        assert not held & {*fold.training, *fold.validation, *fold.test}
    assert len(held) == 12


@pytest.mark.parametrize("sampler", SAMPLERS, ids=str)
@pytest.mark.parametrize("kept", [True, False], ids=["journal", "memory"])
def test_a_study_that_starts_anew_goes_on_where_it_was_and_suggests_nothing_twice(
    tmp_path: Path, store: Store, tiny: PairedSample, sampler: Sampler, kept: bool
) -> None:
    search, seen = asked(flat(tally=str(tmp_path / "tally")), sampler=sampler), []
    for start in range(4):
        driver = Driver(search, 8, store, tiny, journal(tmp_path) if kept else None)
        for _ in range(2):
            running = driver.next()
            assert running is not None
            driver.run(running)
        seen.append(len(driver.study.outcomes))
        left = driver.next()  # killed with one that runs
        assert (left is None) == (start == 3)

    study = driver.study
    assert seen == [2, 4, 6, 8]
    assert list(study.configurations) == list(study.outcomes) == list(range(8))
    assert len({str(c.params) for c in study.configurations.values()}) == 8
    assert len(lines(tmp_path / "tally")) == 16  # two parts each, none twice
    for number, configuration in study.configurations.items():
        assert configuration.seen in (number, number - 1)  # all but the one that was left


@pytest.mark.parametrize("kept", [True, False], ids=["journal", "memory"])
def test_what_a_killed_driver_left_running_is_run_first(
    tmp_path: Path, store: Store, tiny: PairedSample, kept: bool
) -> None:
    storage = [journal(tmp_path) if kept else None for _ in range(2)]
    left = Driver(asked(flat()), 3, store, tiny, storage[0]).next()

    again = Driver(asked(flat()), 3, store, tiny, storage[1]).next()

    assert left is not None
    assert again is not None
    assert again.configuration == left.configuration
    assert again.method == left.method


def test_two_drivers_share_a_study_and_make_exactly_as_many_configurations(
    tmp_path: Path, store: Store, tiny: PairedSample
) -> None:
    search = asked(flat(tally=str(tmp_path / "tally")))
    drivers = [Driver(search, 9, store, tiny, journal(tmp_path)) for _ in range(2)]
    while not all(driver.study.finished for driver in drivers):
        both = [(driver, driver.next()) for driver in drivers]
        for driver, running in both:
            if running is not None:
                driver.run(running)
        for driver in drivers:
            driver.study._taken_in = 0.0

    made = [driver.study.configurations for driver in drivers]
    assert made[0] == made[1]
    assert list(made[0]) == list(range(9))
    assert len(lines(tmp_path / "tally")) == 2 * len({c.trials for c in made[0].values()})
    assert drivers[0].study.outcomes == drivers[1].study.outcomes


def test_a_configuration_that_is_suggested_twice_is_computed_once_and_both_have_its_outcome(
    tmp_path: Path, store: Store, tiny: PairedSample
) -> None:
    space = Space(Tunable(tally=str(tmp_path / "tally")), {"shift": Int(0, 1)})
    driver = Driver(asked(space, sampler=Random()), 8, store, tiny)
    first = [driver.next(), driver.next()]  # both there are, still running; the next are all twins

    assert all(first)
    assert driver.next() is None
    for running in first:
        assert running is not None
        driver.run(running)
    study = driver.to_the_end()

    assert len(lines(tmp_path / "tally")) == 4
    assert len(study.outcomes) == 8
    assert len({(c.trials, study.outcomes[n].values["pcc"]) for n, c in study.configurations.items()}) == 2


def test_what_a_grid_has_computed_is_not_computed_again(tmp_path: Path, store: Store, tiny: PairedSample) -> None:
    search = asked(flat(tally=str(tmp_path / "tally")))
    first = Driver(search, 1, Store(tmp_path / "other"), tiny).next()
    assert first is not None
    driver = Driver(search, 2, store, tiny)
    for trial in first.parts:
        store.put(run_trial(trial, driver.data))

    running = driver.next()

    assert running is not None
    assert running.configuration.number == 1
    assert driver.study.outcomes[0].state == "finished"


# -- what is no configuration -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("sampler", SAMPLERS, ids=str)
def test_what_does_not_fit_is_never_run_and_takes_nothing_of_the_budget(
    store: Store, tiny: PairedSample, sampler: Sampler
) -> None:
    driver = Driver(
        asked(flat(), sampler=sampler), 8, store, tiny, too_large=lambda method: 1.0 if method.shift else -0.5
    )

    study = driver.to_the_end()

    assert len(study.outcomes) == 8
    assert all(c.params["shift"] == 0 for c in study.configurations.values())
    assert sum(c.infeasible for c in study.configurations.values()) > 0


def test_a_space_in_which_hardly_anything_fits_is_refused_with_the_reason(store: Store, tiny: PairedSample) -> None:
    driver = Driver(asked(flat()), 2, store, tiny, too_large=lambda method: 2.0)

    with pytest.raises(BadInput, match=r"hardly a configuration .*it takes 3.0 times the memory that there is.*narrow"):
        driver.next()


# -- what fails, and what is stopped ----------------------------------------------------------------------------------


def failing(driver: Driver, running: Running, **facts: Any) -> None:
    record = lost(running.parts[0], "it broke", Setting(), **facts)
    driver.store.put_unfinished(record)
    driver.study.ended(running)


def test_a_configuration_that_fails_is_told_recorded_and_never_the_winner(store: Store, tiny: PairedSample) -> None:
    search = asked(Space(Raises(), {"text": Choice(["singular matrix", "no convergence"])}))
    study = Driver(search, 2, store, tiny).to_the_end()

    assert [outcome.state for outcome in study.outcomes.values()] == ["failed", "failed"]
    assert all("ArithmeticError" in outcome.reason for outcome in study.outcomes.values())
    assert store.outcomes(study.id) == study.outcomes
    assert winner(study) is None


@pytest.mark.parametrize(("cause", "kept"), [("infrastructure", False), ("timeout", False), ("method", True)])
def test_a_failure_that_was_not_the_methods_is_tried_again_when_the_search_is(
    store: Store, tiny: PairedSample, cause: Any, kept: bool
) -> None:
    driver = Driver(asked(flat()), 1, store, tiny)
    running = driver.next()
    assert running is not None

    failing(driver, running, cause=cause)

    assert driver.study.finished
    assert (0 in store.outcomes(driver.study.id)) == kept
    again = Driver(asked(flat()), 1, store, tiny)
    assert again.study.finished == kept
    assert again.to_the_end().outcomes[0].state == ("failed" if kept else "finished")


def test_a_configuration_that_was_stopped_has_the_value_of_its_parts_and_is_not_the_winner(
    store: Store, tiny: PairedSample
) -> None:
    driver = Driver(asked(flat()), 2, store, tiny)
    running = driver.next()
    assert running is not None
    running.stopped = True
    driver.run(running, parts=1)
    other = driver.next()
    assert other is not None
    driver.run(other)

    [record] = store.records(running.configuration.trials)
    outcome = driver.study.outcomes[0]
    assert (outcome.state, outcome.parts) == ("stopped", 1)
    assert outcome.values == {"pcc": record.means["pcc"]}
    found = winner(driver.study)
    assert found is not None
    assert found.number == 1


def test_what_was_lost_waits_and_is_run_again(
    store: Store, tiny: PairedSample, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver = Driver(asked(flat()), 1, store, tiny)
    running = driver.next()
    assert running is not None

    driver.run(running, parts=1)

    assert driver.study.outcomes == {}
    assert driver.next() is None  # not at once
    running.not_before = 0.0
    assert driver.next() is running
    driver.run(running)
    assert driver.study.outcomes[0].state == "finished"


# -- winners, warm starts, damage -------------------------------------------------------------------------------------


@pytest.mark.parametrize("metric", ["pcc", "rmse", "js"])
def test_the_winner_is_the_best_by_the_metrics_direction_the_earliest_of_several(
    store: Store, tiny: PairedSample, metric: str
) -> None:
    study = Driver(asked(Space(Tunable(), {"shift": Int(0, 3)}), metric=(metric,)), 8, store, tiny).to_the_end()

    found = winner(study)

    assert found is not None
    values = [outcome.values[metric] for outcome in study.outcomes.values()]
    best = max(values) if metric == "pcc" else min(values)
    assert (found.value, found.number, found.tried) == (best, values.index(best), 8)
    assert found.distinct == len({c.trials for c in study.configurations.values()}) <= 4
    assert found.method == Tunable(shift=int(found.params["shift"]))


def test_a_warm_start_takes_what_the_store_has_of_the_space_and_counts_it(store: Store, tiny: PairedSample) -> None:
    from models.controls.nearest_cells import NearestCells

    space = Space(NearestCells(), {"neighbours": Int(5, 60)})
    search = asked(space, earlier=True)
    cold = Driver(asked(space), 1, store, tiny)
    for method in (NearestCells(neighbours=7), NearestCells(neighbours=9), NearestCells(neighbours=70)):
        for trial in search.parts(cold.study.topic, method, {"tiny": tiny.id}):
            store.put(run_trial(trial, cold.data))
    half = search.parts(cold.study.topic, NearestCells(neighbours=11), {"tiny": tiny.id})[0]
    store.put(run_trial(half, cold.data))

    driver = Driver(search, 3, store, tiny)
    running = driver.next()

    assert running is not None
    assert running.configuration.number == 2
    assert running.configuration.seen == 2
    assert {c.params["neighbours"] for c in driver.study.configurations.values() if c.origin == "earlier"} == {7, 9}
    assert [outcome.state for outcome in driver.study.outcomes.values()] == ["finished", "finished"]


def test_a_damaged_configuration_is_refused_with_what_to_do(tmp_path: Path, store: Store, tiny: PairedSample) -> None:
    study = Driver(asked(flat()), 2, store, tiny).to_the_end()
    path = tmp_path / f"S/searches/{study.id}/1.json"
    path.write_bytes(path.read_bytes()[:-40])

    with pytest.raises(BadInput, match=r"1.json is damaged: .*delete it and search again, which repeats no finished"):
        Driver(asked(flat()), 2, store, tiny)

    path.unlink()
    assert Driver(asked(flat()), 2, store, tiny).to_the_end().finished


def test_studies_of_other_content_are_other_studies(tiny: PairedSample) -> None:
    base = asked(flat())
    others = [
        base,
        asked(nested()),
        asked(flat(shift=1)),
        asked(flat(), sampler=GP()),
        asked(flat(), seed=1),
        asked(flat(), metric=("js",)),
        asked(flat(), tuning_seeds=(5,)),
        asked(flat(), earlier=True),
    ]
    topics = list(base.topics(["tiny"]))

    ids = [search.study_id(topic, {"tiny": tiny.id}) for search in others for topic in topics]

    assert len(set(ids)) == len(ids) == 16
    renamed = dataclasses.replace(base, name="other", seeds=(7, 8))
    assert [renamed.study_id(topic, {"tiny": tiny.id}) for topic in topics] == ids[:2]


def test_a_trial_is_the_same_whichever_study_asks(tiny: PairedSample) -> None:
    one, other = asked(flat()), asked(flat(), metric=("js",), seed=9)
    topic = next(one.topics(["tiny"]))

    def parts(search: Any) -> list[Trial]:
        return list(search.parts(topic, Tunable(Peaked()), {"tiny": tiny.id}))

    assert [t.id for t in parts(one)] == [t.id for t in parts(other)]
