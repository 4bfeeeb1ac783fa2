"""What reports say of tuned rows: budgets under every table, promises beside what was kept, and hints as hints."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import numpy as np
import optuna
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.card import put_card
from harness.search.question import TUNED
from harness.search.winners import scoring, winner
from harness.store import Store
from harness.store.searches import Configuration, Outcome
from harness.trial import run_trial
from models.controls.low_rank_ridge import LowRankRidge
from reports.families.tuning import section
from reports.family import families
from reports.reading.scores import Comparison, read
from reports.reading.tuned import Tried, front, pooled, tried
from reports.report import write_report
from reports.statistics.importances import FEWEST, importances
from reports.writing.budgets import MARK, budgeted
from reports.writing.tables import MISSING
from reports.writing.wording import notes
from tests.conftest import tiny_pair
from tests.searching import Driver, asked, nested

TRIALS = 12


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A search of two folds, its winners scored with two seeds, and the bar beside them."""
    found, pair = Store(tmp_path_factory.mktemp("tuned") / "S"), tiny_pair()
    search = asked(nested(), metric=("pcc", "memory"), seeds=(1, 2), beside={"low-rank ridge": LowRankRidge()})
    drivers = [Driver(search, TRIALS, found, pair, fold=fold) for fold in (0, 1)]
    winners = [winner(driver.to_the_end()) for driver in drivers]
    experiment = scoring(search, [each for each in winners if each is not None])
    for trial in experiment.trials({"tiny": pair.id}):
        found.put(run_trial(trial, drivers[0].data), keep_prediction=True)
    put_card(found, pair, drivers[0].data)
    facts = {"dataset_id": pair.id, "title": "", "synthetic": "", "spots": 48, "cells": 60, "shared": 24}
    found.put_asked(experiment.asked({"tiny": facts}, "2026-01-01"))
    return found


@pytest.fixture(scope="module")
def comparison(store: Store) -> Comparison:
    return read(store, store.asked("searched")[-1])


@pytest.fixture(scope="module")
def report(store: Store, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("report") / "out"
    write_report(store, out)
    return out


# -- budgets ----------------------------------------------------------------------------------------------------------


def test_every_table_with_a_tuned_row_says_how_many_configurations_were_tried(comparison: Comparison) -> None:
    said = f"toy {TUNED}: nested, 12 configurations in each of 2 folds (24 in all, "
    seen = 0
    for family in families().values():
        found = family.section(comparison)
        for table in found.tables if found is not None else ():
            rows = {line.label for _, lines in table.groups for line in lines}
            footnotes = dict(budgeted(table, comparison.asked).footnotes)
            assert (f"toy {TUNED}" in rows) == (MARK in footnotes)
            seen += MARK in footnotes
            if MARK in footnotes:
                assert footnotes[MARK].startswith(said)
    assert seen >= 4


def test_the_budget_stands_in_every_form_that_a_table_has(comparison: Comparison, report: Path) -> None:
    for name in ("accuracy_score.md", "accuracy_score.tex", "metrics.md", "ablation.tex", "index.html"):
        text = re.sub(r"\s+", " ", (report / name).read_text())
        assert "12 configurations in each of 2 folds" in text, name
    assert any(note.startswith(f"Tuning budget of toy {TUNED}: nested, 12 config") for note in notes(comparison))


def test_a_table_without_a_tuned_row_is_as_it_was(golden: Store) -> None:
    other = read(golden, golden.asked("demo")[-1])
    for family in families().values():
        found = family.section(other)
        for table in found.tables if found is not None else ():
            assert budgeted(table, other.asked) is table


# -- what was promised, and what was kept -----------------------------------------------------------------------------


def test_winners_stand_with_what_they_promised_and_what_they_kept(store: Store, comparison: Comparison) -> None:
    found = section(comparison)
    assert found is not None
    table = next(table for table in found.tables if table.name == "winners-toy--tuned")
    genes = store.genes(store.records(comparison.asked.trial_ids))
    ids = {(c["label"], c["fold"]): c["trial_id"] for c in comparison.asked.cells}
    [[_, lines]] = table.groups

    assert [line.label for line in lines] == ["tiny, fold 0", "tiny, fold 1", "mean"]
    for study, line in zip(tried(comparison)[f"toy {TUNED}"], lines, strict=False):
        own, base = (
            genes[genes["trial_id"] == ids[label, study.fold]]["pcc"].mean() for label in (f"toy {TUNED}", "toy")
        )
        chosen, start = max(study.finished.values()), study.finished[0]
        expected = [TRIALS, chosen, chosen - start, own, own - base]
        assert [cell.sort for cell in line.cells] == pytest.approx(expected)
        assert chosen >= start
    for place in range(1, 5):
        column = [line.cells[place].sort for line in lines]
        assert column[2] == pytest.approx(np.mean(column[:2]))  # type: ignore[arg-type]


def test_what_is_not_known_of_a_winner_is_said_to_be_missing(comparison: Comparison) -> None:
    lost = next(c["trial_id"] for c in comparison.asked.cells if c["label"] == "toy" and c["fold"] == 1)
    records = {i: r for i, r in comparison.records.items() if i != lost}

    found = section(dataclasses.replace(comparison, records=records))

    assert found is not None
    [[_, lines]] = found.tables[0].groups
    assert [cell.text for cell in lines[1].cells][4] == MISSING
    assert MISSING in dict(found.tables[0].footnotes)


def test_the_csv_has_every_configuration_with_its_settings_and_what_came_of_it(report: Path, store: Store) -> None:
    frame = pd.read_csv(report / "tuning.csv")

    assert len(frame) == 2 * TRIALS
    assert frame.groupby("fold")["number"].apply(list).tolist() == [list(range(TRIALS))] * 2
    assert frame.groupby("fold")["won"].sum().tolist() == [1, 1]
    assert {"shape", "shape.Peaked.place", "shift", "objective_pcc", "seconds", "memory_mib", "seen"} <= set(frame)
    for study, facts in store.studies().items():
        own = frame[frame["fold"] == facts["fold"]].set_index("number")["objective_pcc"]
        assert own.to_dict() == pytest.approx({n: o.values["pcc"] for n, o in store.outcomes(study).items()})


def test_the_figures_of_a_search_are_drawn(report: Path) -> None:
    names = {path.name for path in (report / "figures").iterdir()}

    assert {
        f"tuning_{name}.{kind}" for name in ("history", "slices", "parallel") for kind in ("svg", "pdf", "png")
    } <= names


def test_folds_with_other_settings_may_have_other_code_and_one_setting_may_not(comparison: Comparison) -> None:
    by_settings = {i: dataclasses.replace(r, code=r.variant_id) for i, r in comparison.records.items()}
    said = notes(dataclasses.replace(comparison, records=by_settings))
    assert not any("different code" in note for note in said)
    fold0 = next(r for r in comparison.records.values() if r.method == "low_rank_ridge" and r.fold == 0)
    mixed = {fold0.trial_id: dataclasses.replace(fold0, code="other")}
    changed = dataclasses.replace(comparison, records=dict(comparison.records) | mixed)
    assert any("low-rank ridge were run by different code" in note for note in notes(changed))


# -- Pareto front and importances -------------------------------------------------------------------------------------


def study_of(points: list[tuple[float, float]]) -> Tried:
    """A study whose configurations have these PCCs and seconds."""
    outcomes = {n: Outcome("finished", {"pcc": a, "seconds": b}) for n, (a, b) in enumerate(points)}
    configurations = {n: Configuration("s", n, {"x": n}, {}, {}, (), 0, "sampler", n) for n in outcomes}
    return Tried("t", "", None, 0, ("pcc", "seconds"), True, configurations, outcomes)


@given(st.lists(st.tuples(st.integers(0, 5).map(float), st.integers(0, 5).map(float)), min_size=1, max_size=20))
def test_the_front_is_what_no_other_beats_and_beats_or_equals_all_the_rest(points: list[tuple[float, float]]) -> None:
    found = front(study_of(points))

    assert found
    for n in found:
        assert not any(a >= points[n][0] and b <= points[n][1] and (a, b) != points[n] for a, b in points)
    for n in set(range(len(points))) - set(found):
        assert any(points[m][0] >= points[n][0] and points[m][1] <= points[n][1] for m in found)
    assert len({points[n] for n in found}) == len(found)


def test_what_matters_is_told_from_what_does_not_by_both_measures() -> None:
    rng = np.random.default_rng(0)
    params = pd.DataFrame({"matters": rng.random(60), "noise": rng.random(60), "word": rng.choice(["a", "b"], 60)})
    found = importances(list(-((params["matters"] - 0.3) ** 2)), params, higher=True)

    assert found[0].parameter == "matters"
    assert {each.parameter for each in found} == {"matters", "noise", "word"}
    for name in ("ped_anova", "fanova"):
        assert getattr(found[0], name) > 0.8
        assert sum(getattr(each, name) for each in found) == pytest.approx(1.0)


def test_importances_are_those_of_optuna_on_the_same_trials() -> None:
    rng = np.random.default_rng(1)
    params = pd.DataFrame({"x": rng.random(30), "y": rng.random(30)})
    values = (params["x"] * 2 - params["y"]).tolist()
    spread = {
        name: optuna.distributions.FloatDistribution(float(c.min()), float(c.max())) for name, c in params.items()
    }
    study = optuna.create_study(direction="minimize")
    for value, row in zip(values, params.to_dict("records"), strict=True):
        study.add_trial(optuna.trial.create_trial(value=value, params=row, distributions=spread))  # type: ignore[arg-type]

    found = {each.parameter: each.fanova for each in importances(values, params, higher=False)}

    evaluator = optuna.importance.FanovaImportanceEvaluator(seed=0)
    assert found == pytest.approx(optuna.importance.get_param_importances(study, evaluator=evaluator))


def test_a_setting_of_an_option_is_judged_among_those_that_have_it_and_not_by_few() -> None:
    rng = np.random.default_rng(2)
    option = np.array(["a"] * 40 + ["b"] * (FEWEST - 1))
    inner = np.where(option == "a", rng.random(len(option)), np.nan)
    rare = np.where(option == "b", rng.random(len(option)), np.nan)
    params = pd.DataFrame({"option": option, "a.inner": inner, "b.rare": rare, "fixed": 1.0})

    found = {e.parameter: e for e in importances(np.nan_to_num(inner).tolist(), params, higher=True)}

    assert set(found) == {"option", "a.inner"}
    assert (found["a.inner"].configurations, found["option"].configurations) == (40, len(option))


def test_values_of_several_studies_are_pooled_about_their_means(comparison: Comparison) -> None:
    frame = pooled(tried(comparison)[f"toy {TUNED}"])

    assert frame.groupby("study")["centred"].mean().tolist() == pytest.approx([0.0, 0.0], abs=1e-12)
    assert len(frame) == 2 * TRIALS
