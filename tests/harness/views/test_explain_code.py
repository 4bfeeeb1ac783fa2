"""`spadit explain`: which code computed a trial, and the command that computes it again."""

from __future__ import annotations

import dataclasses
import shlex
from pathlib import Path

import numpy as np
import pytest

from harness.card import put_card
from harness.datasets.simulated import simulate
from harness.experiment import Experiment
from harness.protocol import KFold, prepare
from harness.store import Store
from harness.trial import Setting, run_trial
from harness.views.explain import explain_facts
from harness.views.status import status_facts
from models.baselines.spage import SpaGE
from models.component import code_hash
from models.controls.gene_mean import GeneMean
from tests.toys import Noise, Raises


@pytest.fixture
def mine(tmp_path: Path) -> tuple[Store, Experiment, dict[str, str]]:
    """A store of trials that were run here, by this code: w/ SpaGE, a mean, noise, and one that fails."""
    pair = simulate(40, 50, 20, seed=1, name="small")
    variants = {"w/ SpaGE": SpaGE(), "mean": GeneMean(), "noise": Noise(), "raises": Raises()}
    experiment = Experiment("mine", variants, ["small"], split=KFold(2), seeds=range(3))
    data = prepare(pair, experiment.protocol)
    store, ids = Store(tmp_path / "S"), {"small": pair.id}
    for trial in experiment.trials(ids):
        store.put(run_trial(trial, data, Setting(git={"commit": "c" * 40, "dirty": False})), keep_prediction=True)
    put_card(store, pair, data)
    facts = {"small": {"dataset_id": pair.id, "synthetic": pair.synthetic}}
    command = "spadit run my/driver.py --data 'my data' --data other --store S --seeds 3"
    store.put_asked(experiment.asked(facts, "2026-01-01", [command]))
    return store, experiment, ids


Mine = tuple[Store, Experiment, dict[str, str]]


def test_a_trial_says_which_code_computed_it_and_whether_that_is_todays(mine: Mine) -> None:
    facts = explain_facts(mine[0], "mine/w/ SpaGE/small")
    trial = facts["rates"][0]["trials"][0]

    assert facts["code_today"] == trial["code"] == code_hash(SpaGE())
    assert trial["code_is_todays"]
    assert trial["git"] == {"commit": "c" * 40, "dirty": False}
    assert trial["versions"]["numpy"] == np.__version__
    assert trial["seconds"] >= 0
    assert trial["peak_memory_mib"] > 0
    assert {Path(file["name"]).parts[0] for file in trial["files"]} == {"genes", "predictions"}


def test_the_code_of_a_users_own_class_is_not_claimed_to_be_known(mine: Mine) -> None:
    facts = explain_facts(mine[0], "mine/noise/small")

    assert facts["code_today"] is None
    assert "user's own file" in facts["code_unknown_because"]
    assert facts["rates"][0]["trials"][0]["code_is_todays"] is None


def test_what_other_code_computed_is_marked_and_what_it_replaced_is_listed(mine: Mine) -> None:
    store, experiment, ids = mine
    trial = next(t for t in experiment.trials(ids) if isinstance(t.method, SpaGE))
    path = store.files.path(f"trials/{trial.id}.json")
    path.write_bytes(dataclasses.replace(store.record(trial.id), code="0" * 16).to_json())

    before = explain_facts(store, "mine/w/ SpaGE/small")["rates"][0]["trials"][0]
    store.supersede([trial.id])
    after = explain_facts(store, "mine/w/ SpaGE/small")["rates"][0]["trials"][0]

    assert before["code_is_todays"] is False
    assert before["rerun"].endswith("--stale")
    assert after["status"] == "missing"
    assert [(each["code"], each["means"]) for each in after["superseded"]] == [("0" * 16, before["means"])]


def options(command: str) -> dict[str, list[str]]:
    words = shlex.split(command)
    assert words[:2] == ["spadit", "run"]
    found: dict[str, list[str]] = {"source": [words[2]]}
    for word, after in zip(words[3:], [*words[4:], "--"], strict=True):
        if word.startswith("--"):
            found.setdefault(word, []).extend([] if after.startswith("--") else [after])
    return found


@pytest.mark.parametrize("label", ["w/ SpaGE", "raises"])
def test_the_command_reaches_the_trial_and_no_other_fold_variant_or_dataset(mine: Mine, label: str) -> None:
    store, experiment, ids = mine

    for trial in explain_facts(store, f"mine/{label}/small")["rates"][0]["trials"]:
        given = options(trial["rerun"])
        assert given["source"] == ["my/driver.py"]
        assert given["--data"] == ["my data", "other"]
        asked = experiment.narrowed(
            given["--dataset"], given["--variant"], [int(f) for f in given["--fold"]], int(given["--seeds"][0])
        )
        assert {t.id for t in asked.trials(ids)} == {trial["trial_id"]}


def test_each_state_has_the_command_that_changes_it(mine: Mine) -> None:
    store = mine[0]
    done = explain_facts(store, "mine/mean/small")["rates"][0]["trials"][0]
    failed = explain_facts(store, "mine/raises/small")["rates"][0]["trials"][0]
    store.files.delete(f"unfinished/{failed['trial_id']}.json")
    missing = explain_facts(store, "mine/raises/small")["rates"][0]["trials"][0]

    assert options(done["rerun"])["--store"] == [f"{store.where}-again"]
    assert "--retry-failed" in options(failed["rerun"])
    assert options(missing["rerun"]).keys().isdisjoint({"--retry-failed", "--stale"})
    assert options(missing["rerun"])["--store"] == [store.where]


def test_the_seeds_of_a_random_method_are_reached(mine: Mine) -> None:
    trials = explain_facts(mine[0], "mine/noise/small")["rates"][0]["trials"]

    assert {(t["seeds"][0], *options(t["rerun"])["--seeds"]) for t in trials} == {(0, "1"), (1, "2"), (2, "3")}


def test_status_gives_the_very_same_command(mine: Mine) -> None:
    store = mine[0]
    (experiment,) = status_facts(store)["experiments"]

    explained = {t["trial_id"]: t["rerun"] for t in explain_facts(store, "mine/raises/small")["rates"][0]["trials"]}

    assert {problem["trial_id"]: problem["rerun"] for problem in experiment["problems"]} == explained


@pytest.mark.parametrize(("commands", "said"), [(["my_script.py --fast"], "my_script.py --fast"), ([], None)])
def test_what_a_script_asked_for_is_run_by_that_script(
    mine: Mine, tmp_path: Path, commands: list[str], said: str | None
) -> None:
    _, experiment, ids = mine
    other = Store(tmp_path / "other")
    facts = {"small": {"dataset_id": ids["small"], "synthetic": ""}}
    other.put_asked(experiment.asked(facts, "2026-01-01", commands))

    found = explain_facts(other, "mine/mean/small")

    assert found["rerun"] is None
    assert found["rates"][0]["trials"][0]["rerun"] == said
    assert "script" in found["rates"][0]["trials"][0]["rerun_note"]


def test_what_was_made_elsewhere_has_no_command(mine: Mine) -> None:
    store, experiment, ids = mine
    trial = next(t for t in experiment.trials(ids) if isinstance(t.method, GeneMean))
    path = store.files.path(f"trials/{trial.id}.json")
    path.write_bytes(dataclasses.replace(store.record(trial.id), external=True).to_json())

    found = explain_facts(store, "mine/mean/small")["rates"][0]["trials"][0]

    assert found["rerun"] is None
    assert "spadit score" in found["rerun_note"]


def test_a_panel_gene_whose_trial_is_not_done_says_that(mine: Mine) -> None:
    store, experiment, _ = mine
    held_out = KFold(2).fold(next(iter(store.cards().values()))["panels"][experiment.protocol.id], 0).test[0]

    gene = explain_facts(store, f"mine/raises/small/{held_out}")["rates"][0]["gene"]

    assert not gene["scored"]
    assert "no trial that holds it out is finished" in gene["reason"]
