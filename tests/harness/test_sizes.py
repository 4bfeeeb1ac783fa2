"""Experiments in several sizes, variants set up anew for each dataset, and what a plan says of memory."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from harness import BadInput, ByDataset, Experiment, Holdout
from harness.datasets.simulated import write_pair
from harness.drivers import load_experiment
from harness.experiment import method_on
from harness.results import make_plan
from harness.store import Store
from harness.views.plan import plan_facts, print_plan
from models.spadit import SpaDiT
from models.spadit.backbones.transformer import Transformer
from tests.conftest import Spadit, tiny_pair
from tests.toys import Noise, VisibleMean

DRIVER = """
\"\"\"Does it differ by dataset?\"\"\"
from harness import ByDataset, Experiment, KFold
from pathlib import Path
from tests.toys import VisibleMean
from models.controls.spot_total import SpotTotal

HERE = ByDataset(
    {"a": VisibleMean(tally=""), "b": VisibleMean(tally=str(Path("b").absolute()))}, elsewhere=VisibleMean(tally="")
)
EXPERIMENT = Experiment("sized", {"own": HERE, "total": SpotTotal()}, ["a", "b"], split=KFold(2))
PRESETS = {"tiny": EXPERIMENT}
"""


@pytest.mark.slow
@pytest.mark.ray
@pytest.mark.usefixtures("ray_here")
def test_a_variant_that_differs_by_dataset_is_one_row_of_every_table(spadit: Spadit, tmp_path: Path) -> None:
    for seed, name in enumerate("ab"):
        write_pair(dataclasses.replace(tiny_pair(seed), name=name), tmp_path / "data")
    (tmp_path / "driver.py").write_text(DRIVER)

    code, shown, _ = spadit("run", "driver.py", "--data", "data", "--store", "S", "--preset", "tiny")
    explained, facts, _ = spadit("explain", "sized/own/b", "--store", "S", "--json")

    assert code == explained == 0
    for name in "ab":
        table = shown.split(f"Accuracy score on {name}")[1].split("0 not run")[0]
        assert " own " in table
        assert "4 of 4 trials finished" in table
    notes = {(r.dataset, r.trial["method"]["tally"]) for r in Store("S").records() if "tally" in r.trial["method"]}
    assert notes == {("a", ""), ("b", str(tmp_path / "b"))}
    assert json.loads(facts)["component"]["tally"] == str(tmp_path / "b")
    assert json.loads(facts)["variant_id"] in {r.variant_id for r in Store("S").records() if r.dataset == "b"}
    assert "--preset tiny" in json.loads(facts)["rerun"]


def test_settings_by_dataset_are_those_of_one_method() -> None:
    with pytest.raises(BadInput, match=r"a Noise on a and a VisibleMean elsewhere; a variant is one method"):
        ByDataset({"a": Noise()}, elsewhere=VisibleMean())


def test_a_dataset_without_settings_of_its_own_has_those_of_elsewhere() -> None:
    variant = ByDataset({"a": VisibleMean("x")}, elsewhere=VisibleMean("y"))

    assert (method_on(variant, "a", 0), method_on(variant, "b", 0)) == (VisibleMean("x"), VisibleMean("y"))


def test_settings_by_dataset_change_what_is_asked_and_the_trials_of_that_dataset_alone() -> None:
    def asked(tally: str) -> Experiment:
        variant = ByDataset({"a": VisibleMean(tally)}, elsewhere=VisibleMean("y"))
        return Experiment("it", {"own": variant}, ["a", "b"], split=Holdout())

    ids = {"a": "0" * 16, "b": "1" * 16}
    first, second = ({cell["dataset"]: cell["trial_id"] for cell, _ in asked(tally).cells(ids)} for tally in ("x", "z"))

    assert first["a"] != second["a"]
    assert first["b"] == second["b"]


@pytest.mark.parametrize(
    ("name", "preset", "said"),
    [
        ("modules", "huge", "modules has no preset 'huge'; expected one of tiny, small, paper."),
        ("quickstart", "tiny", "quickstart has no preset 'tiny'; it comes in one size; leave --preset out."),
    ],
)
def test_a_size_that_is_not_there_is_refused(name: str, preset: str, said: str) -> None:
    with pytest.raises(BadInput) as refused:
        load_experiment(name, preset)

    assert str(refused.value) == said


def test_a_plan_says_what_trials_take_and_names_those_that_do_not_fit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_pair(dataclasses.replace(tiny_pair(), name="tiny"), tmp_path)
    wide = SpaDiT(backbone=Transformer(hidden=512))
    variants = {"slim": SpaDiT(backbone=Transformer(hidden=32)), "wide": wide, "mean": VisibleMean()}
    plan = make_plan(Experiment("it", variants, ["tiny"], split=Holdout()), Store(tmp_path / "S"), tmp_path)
    monkeypatch.setattr("harness.views.plan.memory_of", {"cpu": 50 * 2**20, "cuda": None}.get)

    facts = plan_facts(plan)
    print_plan(facts)

    memory = {row["variant"]: row["memory_mib"] for row in facts["rows"]}
    assert memory["slim"] < 50 < memory["wide"]
    assert memory["mean"] is None
    out = capsys.readouterr().out
    assert "cpu, 50 MiB: too large: wide on tiny" in out
    assert "cuda" not in out
