"""`spadit tune` as a user meets it: its words, its refusals, and what other verbs make of a search."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.datasets.simulated import write_pair
from models.component import stem
from tests.conftest import Spadit, tiny_pair

PUBLISHED = ("spadit", "tangram", "gimvi", "spage", "stplus", "spaotsc", "novosparc", "spatialscope", "stdiff")

DRIVER = """
\"\"\"Which weights are best?\"\"\"
import dataclasses
from tests.searching import asked, flat

EXPERIMENT = asked(flat())
"""


@pytest.fixture
def words(tmp_path: Path) -> list[str]:
    """The command that searches with three trials in each of two folds."""
    write_pair(tiny_pair(), tmp_path / "D")
    (tmp_path / "mine.py").write_text(DRIVER)
    return ["tune", "mine.py", "--trials", "3", "--data", str(tmp_path / "D"), "--store", "S"]


@pytest.mark.slow
@pytest.mark.ray
@pytest.mark.usefixtures("ray_here")
def test_a_search_from_command_to_report(spadit: Spadit, words: list[str], tmp_path: Path) -> None:
    code, out, said = spadit(*words)
    assert code == 0, said
    assert "flatters" in out
    assert "toy (tuned)" in out
    assert "Tuned: toy (tuned): nested, 3 configurations in each of 2 folds (6 in all" in " ".join(out.split())

    code, out, said = spadit(*words, "--json")
    facts = json.loads(out)
    assert (code, facts["results"]["computed"], facts["selection"]) == (0, 0, "nested")
    assert [(w["fold"], w["tried"]) for w in facts["winners"]] == [(0, 3), (1, 3)]
    for each in facts["winners"]:
        assert each["changed"].items() <= each["params"].items()
        assert -1 <= each["test"]["pcc"] <= 1
        assert -1 <= each["base_test"]["pcc"] <= 1

    status = json.loads(spadit("status", "--store", "S", "--json")[1])
    states = [(s["fold"], s["configurations"], s["finished"], s["failed"]) for s in status["searches"]]
    assert states == [(0, 3, 3, 0), (1, 3, 3, 0)]
    best = {study["fold"]: study["best"] for study in status["searches"]}
    assert best == pytest.approx({w["fold"]: w["chosen"] for w in facts["winners"]})
    assert "toy · tiny · fold 1" in spadit("status", "--store", "S")[1]

    assert spadit("report", "--store", "S", "--out", "R")[0] == 0
    assert (tmp_path / "R/tuning.md").exists()
    explained = json.loads(spadit("explain", "searched/toy (tuned)/tiny", "--store", "S", "--json")[1])
    assert explained["method"] == "Tunable"
    assert explained["tuned"]["configurations"] == 3
    assert {trial["selection"] for trial in explained["rates"][0]["trials"]} == {"nested"}
    assert "tune mine.py" in explained["rerun"]
    assert "--store S-again" in explained["rerun"]
    assert "3 configurations in each of 2 folds" in spadit("explain", "searched/toy (tuned)/tiny", "--store", "S")[1]


@pytest.mark.ray
@pytest.mark.usefixtures("ray_here")
def test_a_plan_says_what_a_search_comes_to_and_what_is_left_of_it(spadit: Spadit, words: list[str]) -> None:
    words = ["1" if word == "3" else word for word in words]
    plan = json.loads(spadit(*words, "--plan", "--json")[1])
    assert [(s["fold"], s["parts"], s["done"], s["to_run"]) for s in plan["studies"]] == [(0, 2, 0, 1), (1, 2, 0, 1)]
    assert plan["trials_to_run"] == 4
    assert not Path("S").exists()

    code, _, said = spadit(*words, "--fold", "1")
    assert code == 0, said
    plan = json.loads(spadit(*words, "--plan", "--json")[1])
    assert [(s["fold"], s["done"], s["to_run"]) for s in plan["studies"]] == [(0, 0, 1), (1, 1, 0)]
    assert (
        "Studies: 2; configurations of each: 1, judged by pcc; trials to run: at most 2 " in spadit(*words, "--plan")[1]
    )


@pytest.mark.parametrize(
    ("more", "why"),
    [
        (["--metric", "test_pcc"], "test genes are scored once, for its winners"),
        (["--sampler", "tpee"], "There is no sampler 'tpee'; did you mean tpe?"),
        (["--scheduler", "hyperband"], "There is no scheduler 'hyperband'; available: asha, none."),
        (["--metric", "pcc", "--metric", "seconds", "--scheduler", "asha"], "halving compares one number, not 2"),
        (["--space", "other"], "has no space 'other'; available: toy."),
        (["--fold", "7"], "there is no fold 7"),
        (["--dataset", "nowhere"], "There is no dataset 'nowhere'"),
        (["--storage", "nonsense://x"], "The database of --storage (nonsense) cannot be opened"),
        (["--address", "ray://there:10001"], "submit the same command as a job"),
    ],
)
def test_bad_words_are_one_sentence_and_nothing_is_written(
    spadit: Spadit, words: list[str], tmp_path: Path, more: list[str], why: str
) -> None:
    code, out, said = spadit(*words, *more)

    assert (code, out) == (2, "")
    assert why in " ".join(said.split())
    assert "Traceback" not in said
    assert not (tmp_path / "S/trials").exists()


def test_run_and_tune_say_which_of_them_asks_what(spadit: Spadit, words: list[str], tmp_path: Path) -> None:
    (tmp_path / "grid.py").write_text("from harness import Experiment\nfrom tests.toys import Noise\n"
                                      "EXPERIMENT = Experiment('g', {'n': Noise()}, ['tiny'])\n")  # fmt: skip

    assert "is a Search; `spadit tune` asks it (with --plan: what it comes to); expected" in spadit("run", "mine.py")[2]
    assert (
        "is an Experiment; `spadit run` asks it; expected a harness.Search"
        in spadit("tune", "grid.py", "--trials", "2")[2]
    )


def test_the_searches_of_the_house_can_be_asked(spadit: Spadit) -> None:
    from harness.drivers import load_question
    from harness.methods import methods_by_name
    from harness.search import Search

    for name, sizes in {"search": 3, "search_elsewhere": 3, "everyone_tuned": 2}.items():
        for size in ("tiny", "small", "paper")[:sizes]:
            found = load_question(name, Search, size)
            assert found.title
            assert all(space.first for space in found.spaces.values()), "the base is in every space"
    everyone = load_question("everyone_tuned", Search)
    tuned = {stem(type(space.base)) for space in everyone.spaces.values()}
    assert tuned == set(PUBLISHED)
    assert len(everyone.spaces) + len(everyone.beside) == len(methods_by_name())  # whoever has no space stands beside
