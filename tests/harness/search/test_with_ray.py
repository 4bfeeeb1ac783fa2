"""Searches through Ray: what is suggested is what Optuna suggests, and no test gene has a say in it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
import scipy.sparse as sp

from harness.datasets.simulated import write_pair
from harness.errors import BadInput
from harness.pair import PairedSample
from harness.protocol import KFold, Prepared, Protocol, prepare
from harness.search import GP, QMC, TPE, Choice, Elsewhere, Halving, Int, Random, Search, Space, search
from harness.search.objectives import pooled
from harness.search.question import TUNED
from harness.search.samplers import Sampler
from harness.search.space import Infeasible
from harness.store import Store
from harness.store.searches import Configuration
from harness.trial import Trial, run_trial
from models.controls.low_rank_ridge import LowRankRidge
from tests.searching import asked, flat, nested
from tests.toys import Dies, Peaked, Tunable

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.usefixtures("ray_here")]


@pytest.fixture(scope="module")
def data(tiny: PairedSample, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("D")
    write_pair(tiny, folder)
    return folder


def tried(store: Store, study: str) -> list[Configuration]:
    return list(store.configurations(study).values())


# -- what Optuna suggests ---------------------------------------------------------------------------------------------


def plainly(search: Search, space: Space, fold: int, pair: PairedSample, configurations: int) -> list[dict[str, Any]]:
    """Parameters that plain Optuna suggests for the same objective, one after another, until so many are methods."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    data: Prepared = prepare(pair, Protocol())
    topic = next(topic for topic in search.topics(["tiny"]) if topic.fold == fold)
    made: list[dict[str, Any]] = []

    def objective(trial: optuna.Trial) -> float:
        try:
            method = space.draw(trial)
        except Infeasible:
            trial.set_constraint("parts", 1.0)
            raise optuna.TrialPruned from None
        made.append(dict(trial.params))
        parts = search.parts(topic, method, {"tiny": pair.id})
        return pooled([run_trial(part, data).record for part in parts])["pcc"]

    study = optuna.create_study(direction="maximize", sampler=search.sampler.optuna(search.seed + fold))
    for first in space.first:
        study.enqueue_trial(space.place(first))
    while len(made) < configurations:
        study.optimize(objective, n_trials=1)
    return made


@pytest.mark.parametrize("space", [flat, nested])
@pytest.mark.parametrize(
    "sampler", [TPE(startup=4), GP(startup=4), QMC(), Random()], ids=["tpe", "gp", "qmc", "random"]
)
def test_one_at_a_time_the_suggestions_are_those_of_plain_optuna(
    tmp_path: Path, data: Path, tiny: PairedSample, sampler: Sampler, space: Callable[[], Space]
) -> None:
    search_for = asked(space(), sampler=sampler, seed=3)

    found = search(search_for, 10, tmp_path / "S", data, max_concurrent=1, progress=False)

    pair_on_disk = next(iter(found.results.asked.datasets.values()))["dataset_id"]
    assert pair_on_disk == tiny.id
    for winner in found.winners:
        assert winner.topic.fold is not None
        suggested = [configuration.params for configuration in tried(found.results.store, winner.study)]
        assert suggested == plainly(search_for, space(), winner.topic.fold, tiny, 10)


# -- what test genes have to say --------------------------------------------------------------------------------------


def swapped(pair: PairedSample, genes: tuple[str, ...], name: str) -> PairedSample:
    """The pair with each of these genes' spatial values in another order."""
    values, rng = pair.st.values.toarray(), np.random.default_rng(1)
    for gene in genes:
        column = pair.st.genes.index(gene)
        values[:, column] = rng.permutation(values[:, column])
    return dataclasses.replace(pair, name=name, st=dataclasses.replace(pair.st, values=sp.csr_matrix(values)))


@pytest.mark.parametrize("space", [flat, nested])
def test_permuting_the_truth_of_a_folds_test_genes_leaves_its_search_and_its_winner_as_they_were(
    tmp_path: Path, tiny: PairedSample, space: Callable[[], Space]
) -> None:
    split = KFold(3)
    panel = prepare(tiny, Protocol()).panel
    pairs = {"tiny": tiny} | {
        f"fold{fold}": swapped(tiny, split.fold(panel, fold).test, f"fold{fold}") for fold in range(3)
    }
    for pair in pairs.values():
        write_pair(pair, tmp_path / "D")
    search_for = dataclasses.replace(asked(space(), split=split), datasets=tuple(pairs))

    found = search(search_for, 6, tmp_path / "S", tmp_path / "D", max_concurrent=1, progress=False)

    def seen(dataset: str, fold: int) -> list[Any]:
        """All that a study came to: what was suggested, what it scored, and what won."""
        [winner] = [w for w in found.winners if (w.topic.dataset, w.topic.fold) == (dataset, fold)]
        outcomes = found.results.store.outcomes(winner.study)
        return [
            *[(c.params, outcomes[c.number].metrics) for c in tried(found.results.store, winner.study)],
            (winner.number, winner.params, winner.value),
        ]

    for fold in range(3):
        for other in range(3):
            alike = seen(f"fold{fold}", other) == seen("tiny", other)
            assert alike == (fold == other)  # that genes which are visible do have a say shows that this can fail


# -- winners, budgets, faults -----------------------------------------------------------------------------------------


def test_a_search_scores_its_winners_once_with_fresh_seeds_and_a_second_call_does_the_remainder(
    tmp_path: Path, data: Path
) -> None:
    tally = tmp_path / "tally"
    search_for = asked(flat(tally=str(tally)), seeds=(5, 6), beside={"low-rank ridge": LowRankRidge()})

    first = search(search_for, 3, tmp_path / "S", data, progress=False)
    calls = len(tally.read_text().splitlines())
    again = search(search_for, 3, tmp_path / "S", data, progress=False)
    calls_again = len(tally.read_text().splitlines())
    more = search(search_for, 5, tmp_path / "S", data, progress=False)

    assert calls == calls_again
    assert again.results.computed == 0
    assert [w.params for w in again.winners] == [w.params for w in first.winners]
    assert [w.tried for w in more.winners] == [5, 5]
    rows = more.results.genes()
    assert set(rows["variant"]) == {f"toy {TUNED}", "toy", "low-rank ridge"}
    assert set(rows[rows["variant"] == f"toy {TUNED}"].groupby("gene")["fold"].nunique()) == {1}
    assert rows["gene"].nunique() == 24  # every gene is held out once, and scored by its own fold's winner
    store = Store(tmp_path / "S")
    assert [facts["label"] for facts in store.studies().values()] == ["toy", "toy"]
    changed = [w.params for w in first.winners] != [w.params for w in more.winners]
    assert len(store.asked("searched")) == 1 + changed  # each set of winners is a version of its own


def test_halving_ends_poor_configurations_and_the_winner_has_all_its_parts(tmp_path: Path, data: Path) -> None:
    space = Space(Tunable(Peaked()), {"shape.place": Choice((0.0, 0.25, 0.5, 0.75, 1.0)), "shift": Int(0, 9)})
    search_for = asked(space, halving=Halving(reduction=2), sampler=Random(), tuning_seeds=(0,), folds=(0,))
    search_for = dataclasses.replace(search_for, selection=dataclasses.replace(search_for.selection, inner=KFold(4)))

    found = search(search_for, 16, tmp_path / "S", data, max_concurrent=1, progress=False)

    store, [winner] = found.results.store, found.winners
    outcomes = store.outcomes(winner.study)
    stopped = {n: o for n, o in outcomes.items() if o.state == "stopped"}
    assert len(outcomes) == 16
    assert len(stopped) >= 4
    assert all(outcome.parts in (1, 2) for outcome in stopped.values())
    assert (outcomes[winner.number].state, outcomes[winner.number].parts) == ("finished", 4)
    for number, outcome in stopped.items():  # the rest of it was not computed
        trials = store.configurations(winner.study)[number].trials
        assert sum(store.has(trial) for trial in trials) == outcome.parts
    # At the first rung each has to be in the better half of those that were there before it (a slow reference).
    rungs: list[float] = []
    first: set[tuple[str, ...]] = set()
    for number, configuration in store.configurations(winner.study).items():
        [record] = store.records(configuration.trials[:1])
        value = float(record.means["pcc"] or 0.0)
        if configuration.trials in first:  # told at once, as it was
            continue
        first.add(configuration.trials)
        if rungs and outcomes[number].parts == 1:
            assert value < np.percentile(rungs, 50)
        elif rungs:
            assert value >= np.percentile(rungs, 50)
        rungs.append(value)


def test_several_objectives_have_their_values_and_the_first_decides(tmp_path: Path, data: Path) -> None:
    search_for = asked(flat(), metric=("as", "seconds", "memory"), folds=(1,))

    found = search(search_for, 5, tmp_path / "S", data, progress=False)

    [winner] = found.winners
    outcomes = found.results.store.outcomes(winner.study)
    assert all(set(outcome.values) == {"as", "seconds", "memory"} for outcome in outcomes.values())
    assert all(0 < outcome.values["as"] < 1 for outcome in outcomes.values())
    assert winner.value == max(outcome.values["as"] for outcome in outcomes.values())


def test_a_configuration_whose_worker_dies_each_time_is_given_up_and_the_others_finish(
    tmp_path: Path, data: Path
) -> None:
    space = Space(Dies(str(tmp_path / "tally"), 1), {"times": Choice((0, 1, 99))})
    search_for = asked(space, sampler=Random(), folds=(0,), beside={"low-rank ridge": LowRankRidge()})

    found = search(search_for, 5, tmp_path / "S", data, progress=False)

    store, [winner] = found.results.store, found.winners
    configurations, outcomes = store.configurations(winner.study), store.outcomes(winner.study)
    finished = {configurations[n].params["times"] for n, o in outcomes.items() if o.state == "finished"}
    assert 99 not in finished
    assert finished
    given_up = [r for r in store.unfinished() if r.cause == "infrastructure"]
    assert all(record.attempts == 3 for record in given_up)


def test_a_dataset_to_search_on_that_is_not_there_is_an_error_that_names_it(tmp_path: Path, data: Path) -> None:
    with pytest.raises(BadInput, match="searched cannot be searched: MG is not there"):
        search(asked(flat(), selection=Elsewhere(("MG",))), 3, tmp_path / "S", data)
    assert not (tmp_path / "S").exists()


def test_to_score_on_a_renamed_copy_of_what_decides_is_refused(tmp_path: Path, tiny: PairedSample) -> None:
    for name in ("tiny", "copy"):
        write_pair(dataclasses.replace(tiny, name=name), tmp_path / "D")

    with pytest.raises(BadInput, match="tiny has the content of copy, which would decide, and be scored as well"):
        search(asked(flat(), selection=Elsewhere(("copy",))), 3, tmp_path / "S", tmp_path / "D")
    assert not (tmp_path / "S").exists()


def test_trials_of_a_search_are_ordinary_trials(tmp_path: Path, data: Path, tiny: PairedSample) -> None:
    search_for = asked(flat(), folds=(0,))
    found = search(search_for, 2, tmp_path / "S", data, progress=False)

    store, [winner] = found.results.store, found.winners
    configuration = tried(store, winner.study)[1]
    method = search_for.spaces["toy"].draw(optuna.trial.FixedTrial(configuration.params))
    for trial in search_for.parts(winner.topic, method, {"tiny": tiny.id}):
        assert isinstance(trial, Trial)
        again = run_trial(trial, prepare(tiny, Protocol()))
        assert store.record(trial.id).prediction_sha256 == again.record.prediction_sha256


@pytest.mark.parametrize("memory", [1.0, None], ids=["as asked", "as the machine has"])
def test_what_takes_more_memory_than_there_is_is_never_run(tmp_path: Path, data: Path, memory: float | None) -> None:
    space = Space(Tunable(mib=1), {"mib": Choice((1, 10**9)), "shift": Int(0, 30)})

    found = search(asked(space, memory=memory, folds=(0,)), 6, tmp_path / "S", data, progress=False)

    [winner] = found.winners
    configurations = tried(found.results.store, winner.study)
    assert {configuration.params["mib"] for configuration in configurations} == {1}
    assert sum(configuration.infeasible for configuration in configurations) > 0


def test_a_trial_that_was_damaged_is_set_aside_and_computed_anew(tmp_path: Path, data: Path) -> None:
    search_for, tally = asked(flat(tally=str(tmp_path / "tally")), folds=(0,)), tmp_path / "tally"
    first = search(search_for, 3, tmp_path / "S", data, progress=False)
    store, [winner] = first.results.store, first.winners
    path = tmp_path / f"S/searches/{winner.study}/outcomes/2.json"
    lost = store.configurations(winner.study)[2].trials[0]
    value = store.outcomes(winner.study)[2].values
    path.unlink()
    record = tmp_path / f"S/trials/{lost}.json"
    record.write_bytes(record.read_bytes()[:-50])
    before = len(tally.read_text().splitlines())

    search(search_for, 3, tmp_path / "S", data, progress=False)

    assert len(tally.read_text().splitlines()) == before + 1
    assert Store(tmp_path / "S").outcomes(winner.study)[2].values == value
    assert list((tmp_path / "S/damaged").rglob("*"))
