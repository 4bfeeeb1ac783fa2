"""What labels stand for: what most rows of a class share is said once, and each row says where it differs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from reports.reading.scores import read
from reports.report import write_report
from reports.writing.settings import Kind, kinds
from tests.reports.stores import Plan, Variant, build, genes, qualities


def kinds_of(root: Path, components: dict[str, dict[str, Any]]) -> list[Kind]:
    plan = Plan({label: Variant() for label in components}, qualities(dict.fromkeys(components, 0.4)), {"a": genes(6)})
    store = build(root, plan)
    asked = store.asked(plan.name)[-1]
    variants = {
        label: asked.variants[label] | {"component": {"component": "models.some:Some", "version": 1} | own}
        for label, own in components.items()
    }
    return kinds(read(store, replace(asked, variants=variants)))


def test_settings_of_most_rows_stand_once_and_each_row_has_those_that_differ(tmp_path: Path) -> None:
    mask = {"component": "models.masks:Share", "version": 2, "zero": 0.1}
    rows = {
        "full": {"depth": 3, "width": 8, "mask": mask},
        "shallow": {"depth": 1, "width": 8, "mask": mask},
        "masked": {"depth": 3, "width": 8, "mask": mask | {"zero": 0.4}},
    }

    (kind,) = kinds_of(tmp_path, rows)

    assert (kind.name, kind.common) == ("Some", "depth=3, width=8, mask=Share, mask.zero=0.1")
    assert {each.label: each.settings for each in kind.variants} == {
        "full": "",
        "shallow": "depth=1",
        "masked": "mask.zero=0.4",
    }
    assert {each.code for each in kind.variants} == {"c0de"}


def test_a_setting_that_not_every_row_knows_stands_with_those_that_do(tmp_path: Path) -> None:
    (kind,) = kinds_of(tmp_path, {"a": {"depth": 3}, "b": {"depth": 3, "heads": 4}, "c": {"depth": 3, "heads": 4}})

    assert kind.common == "depth=3"
    assert [each.settings for each in kind.variants] == ["", "heads=4", "heads=4"]


def test_the_settings_of_a_component_go_with_it(tmp_path: Path) -> None:
    low = {"component": "models.spaces:LowRank", "version": 1, "rank": 16, "noise": 1}
    raw = {"component": "models.spaces:Raw", "version": 1, "noise": 1}

    (kind,) = kinds_of(
        tmp_path,
        {
            "a": {"space": low},
            "b": {"space": low | {"rank": 8}},
            "c": {"space": low | {"rank": 8}},
            "d": {"space": raw},
        },
    )

    assert kind.common == "space=LowRank, space.rank=8, space.noise=1"
    assert [each.settings for each in kind.variants] == ["space.rank=16", "", "", "space=Raw, space.noise=1"]


def test_a_variant_alone_in_its_class_has_all_its_settings_and_nothing_in_common(tmp_path: Path) -> None:
    (kind, other) = kinds_of(tmp_path, {"a": {"depth": 3}, "b": {"component": "models.other:Other", "depth": 3}})

    assert [(each.name, each.common, each.variants[0].settings) for each in (kind, other)] == [
        ("Some", "", "depth=3"),
        ("Other", "", "depth=3"),
    ]


def test_the_page_shows_the_common_settings_once(tmp_path: Path) -> None:
    labels = ("a", "b", "c")
    store = build(
        tmp_path / "S",
        Plan({label: Variant() for label in labels}, qualities(dict.fromkeys(labels, 0.4)), {"d": genes(6)}),
    )
    write_report(store, tmp_path / "out")

    page = (tmp_path / "out" / "index.html").read_text()

    assert page.count("depth=3") == 1
