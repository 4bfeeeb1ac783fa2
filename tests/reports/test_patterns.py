"""Pictures of spots and genes: chosen as they say, painted by the nearest spot, and silent about nothing."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from harness import Experiment, KFold
from harness.store import Store
from models.baselines.spage import SpaGE
from models.controls.gene_mean import GeneMean
from models.controls.low_rank_ridge import LowRankRidge
from models.controls.nearest_cells import NearestCells
from reports.families import patterns
from reports.family import Section
from reports.figures.drawing import saved
from reports.figures.spot_map import NO_SPOT, brightness, choose, disc_radius, painted, pcc, spot_map
from reports.reading.scores import Comparison, read
from tests.conftest import tiny_pair
from tests.reports.real_stores import fill

PAIR = tiny_pair()
FOUR = {"SpaGE": SpaGE(5), "ridge": LowRankRidge(), "cells": NearestCells(), "flat": GeneMean()}


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Comparison:
    bare = dataclasses.replace(PAIR, name="bare", coordinates=None)
    experiment = Experiment("e", FOUR, ["a <b>", "bare"], KFold(2), reference="cells")
    return fill(tmp_path_factory.mktemp("patterns"), experiment, {"a <b>": PAIR, "bare": bare})


@pytest.fixture(scope="module")
def found(filled: Comparison) -> Section:
    section = patterns.section(filled)
    assert section is not None
    return section


# ---------------------------------------------------------------------------------------------------------------
# Pure functions


def test_pcc_is_that_of_numpy_with_the_conventions_of_the_protocol() -> None:
    rng = np.random.default_rng(0)
    truth, guess = rng.normal(size=(2, 30, 4))
    truth[:, 1], guess[:, 2] = 3.0, -7.0
    result = pcc(truth, guess)

    assert np.isnan(result[1])
    assert result[2] == 0
    for place in (0, 3):
        assert result[place] == pytest.approx(np.corrcoef(truth[:, place], guess[:, place])[0, 1], abs=1e-12)


def test_two_highest_two_around_the_median_and_two_lowest_are_chosen() -> None:
    scores = np.array([0.1, 0.9, np.nan, 0.5, 0.3, 0.7, -0.2, 0.4])  # sorted: .9 .7 .5 .4 .3 .1 -.2

    assert {scores[place]: why for place, why in choose(scores).items()} == {
        0.9: "highest",
        0.7: "highest",
        0.5: "median",
        0.4: "median",
        0.1: "lowest",
        -0.2: "lowest",
    }


@given(st.lists(st.one_of(st.floats(-1, 1), st.just(float("nan"))), min_size=1, max_size=20))
@settings(max_examples=60, deadline=None)
def test_the_choice_is_of_distinct_genes_in_falling_order_with_both_extremes(scores: list[float]) -> None:
    values = np.array(scores)
    known = np.sort(values[~np.isnan(values)])
    found = choose(values)
    shown = values[list(found)]

    assert (np.diff(shown) <= 0).all()
    assert len(shown) == (6 if len(known) >= 6 else min(len(known), 3))
    if len(known):
        assert (shown[0], shown[-1]) == (known[-1], known[0])
    if len(known) >= 3 and len(known) % 2:
        assert np.median(known) in [value for value, why in zip(shown, found.values(), strict=True) if why == "median"]


def test_a_pixel_shows_the_nearest_spot_within_the_radius_and_else_none() -> None:
    places = np.random.default_rng(1).uniform(size=(40, 2)) * [3, 2]
    shown = spot_map(places, 60)
    span = np.ptp(places, axis=0) + 2 * disc_radius(places, float(np.ptp(places, axis=0).max()))
    pixel = span[0] / 60
    middle = (places.min(axis=0) + places.max(axis=0)) / 2

    assert shown.shape == (round(60 * span[1] / span[0]), 60)
    radius = max(pixel, disc_radius(places, float(np.ptp(places, axis=0).max())))
    for row, column in np.random.default_rng(2).integers(0, shown.shape, size=(300, 2)):
        x = middle[0] + (column - 59 / 2) * pixel
        y = middle[1] - (row - (shown.shape[0] - 1) / 2) * pixel
        distances = np.hypot(*(places - [x, y]).T)
        assert shown[row, column] == (distances.argmin() if distances.min() < radius else NO_SPOT)


def test_on_a_grid_discs_just_overlap_and_few_spots_are_no_blobs() -> None:
    grid = np.stack(np.meshgrid(np.arange(20.0), np.arange(20.0)), axis=-1).reshape(-1, 2)

    assert disc_radius(grid, 19) == pytest.approx(0.6)
    assert disc_radius(grid[:3], 19) == 19 / 20


def test_x_grows_to_the_right_and_y_upwards() -> None:
    shown = spot_map(np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [0.5, 0.5]]), 40)
    half = shown.shape[0] // 2, 20
    corners = [part[part != NO_SPOT] for part in (shown[half[0] :, :20], shown[half[0] :, 20:], shown[: half[0], :20])]

    assert [set(np.unique(corner)) - {4} for corner in corners] == [{0}, {1}, {2}]


@pytest.mark.parametrize("places", [[[2.0, 3.0]], [[0.0, 0.0], [0.0, 0.0]], [[0.0, 0.0], [0.0, 9.0]]])
def test_one_spot_equal_spots_and_a_line_have_a_picture(places: list[list[float]]) -> None:
    shown = spot_map(np.array(places), 30)

    assert set(np.unique(shown[shown != NO_SPOT])) <= set(range(len(places)))
    assert (shown != NO_SPOT).any()
    assert 0.4 * 30 - 1 <= shown.shape[0] <= 1.5 * 30 + 1


def test_painting_looks_values_up_and_leaves_the_rest_blank() -> None:
    shown = np.array([[0, 1], [NO_SPOT, 1]])

    np.testing.assert_array_equal(painted(np.array([5.0, 7.0]), shown), [[5, 7], [np.nan, 7]])


@given(arrays(np.float64, st.integers(1, 60), elements=st.floats(-5, 50)))
@settings(max_examples=60, deadline=None)
def test_brightness_is_the_share_of_the_99th_percentile_cut_at_0_and_1(values: np.ndarray) -> None:
    top = np.percentile(values, 99)
    top = top if top > 0 else values.max()
    expected = np.clip(values / top, 0, 1) if top > 0 else np.zeros(len(values))

    np.testing.assert_allclose(brightness(values), expected)


# ---------------------------------------------------------------------------------------------------------------
# The family


def test_the_pcc_shown_is_the_recorded_one(filled: Comparison, found: Section) -> None:
    block = filled.blocks[0]
    recorded = {
        (label, gene): block.averaged[v, g, 0]
        for v, label in enumerate(block.labels)
        for g, gene in enumerate(block.genes)
    }

    assert len(found.frame) == 6 * len(FOUR)
    for row in found.frame.itertuples():
        assert row.pcc == pytest.approx(recorded[row.variant, row.gene], abs=2e-6)


def test_genes_are_the_extremes_and_the_middle_of_the_reference_row(filled: Comparison, found: Section) -> None:
    block = filled.blocks[0]
    own = block.averaged[block.labels.index("cells"), :, 0]
    order = [block.genes[i] for i in np.argsort(-own)]
    n = len(order)

    assert set(found.frame["chosen_by"]) == {"cells"}
    shown = found.frame[found.frame["variant"] == "cells"]
    assert list(shown["gene"]) == [order[i] for i in (0, 1, n // 2 - 1, n // 2, n - 2, n - 1)]
    assert list(shown["choice"]) == ["highest"] * 2 + ["median"] * 2 + ["lowest"] * 2
    (drawing,) = found.drawings
    assert "2 with the highest, 2 with the median and 2 with the lowest PCC of cells among 24" in drawing.caption


def test_a_dataset_without_coordinates_says_so(found: Section) -> None:
    assert found.text[-1] == "No figure for bare: the store has no coordinates of its spots."


def test_what_was_not_kept_says_so(tmp_path: Path, golden: Store) -> None:
    unkept = fill(tmp_path, Experiment("e", {"x": GeneMean()}, ["a"], KFold(3)), {"a": PAIR}, keep=False)
    sections = [patterns.section(each) for each in (unkept, read(golden, golden.asked("demo")[-1]))]

    assert sections[0] is not None
    assert sections[0].text == (
        "No figure for a: the store has of no row the predictions of all held-out genes of one seed.",
    )
    assert sections[1] is not None
    assert "MG [simulated] and sim_a [simulated]: the store has no coordinates" in sections[1].text[0]
    assert not any(section.drawings or len(section.frame) for section in sections if section)


def test_the_figure_names_its_rows_and_genes_and_is_the_same_twice(found: Section) -> None:
    (drawing,) = found.drawings
    first, again = (saved(drawing.name, drawing.draw) for _ in range(2))
    svg = first["svg"].decode()

    assert first == again
    assert drawing.name == "patterns-1-a__b_"
    for text in ("measured", *FOUR, *found.frame["gene"], "highest PCC", "99th percentile"):
        assert f">{text}<" in svg
    # Six genes of four rows and of the truth, and the colour scale.
    assert svg.count("<image") == 6 * 5 + 1


def test_rows_beyond_the_room_are_named_and_the_reference_and_the_bar_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patterns, "ROOM", 3)
    rows = {"flat": GeneMean(), "weak": SpaGE(1), "good": SpaGE(8), "middle": SpaGE(3), "ridge": LowRankRidge()}
    comparison = fill(tmp_path, Experiment("e", rows, ["a"], KFold(2), reference="flat"), {"a": PAIR})
    (block,) = comparison.blocks
    score = {label: block.averaged[block.labels.index(label), :, 0].mean() for label in ("weak", "good", "middle")}
    best = max(score, key=lambda label: score[label])
    found = patterns.section(comparison)

    assert found is not None
    assert set(found.frame["variant"]) == {"flat", "ridge", best}
    caption = found.drawings[0].caption
    assert f"Not shown: {' and '.join(label for label in score if label != best)} (no room)." in caption
    assert "A figure has room for 3 rows. First come the reference and low-rank ridge, then the variants" in caption


def test_a_third_coordinate_is_named_and_not_shown(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    deep = dataclasses.replace(PAIR, coordinates=rng.uniform(size=(len(PAIR.st), 3)))
    comparison = fill(tmp_path, Experiment("e", {"x": NearestCells()}, ["a"], KFold(2)), {"a": deep})
    found = patterns.section(comparison)

    assert found is not None
    assert "third coordinate" in found.drawings[0].caption


def test_spots_that_other_spots_hide_are_counted(tmp_path: Path) -> None:
    places = np.repeat(np.random.default_rng(0).uniform(size=(len(PAIR.st) // 2, 2)), 2, axis=0)
    pair = dataclasses.replace(PAIR, coordinates=places)
    comparison = fill(tmp_path, Experiment("e", {"x": NearestCells()}, ["a"], KFold(2)), {"a": pair})
    found = patterns.section(comparison)

    assert found is not None
    assert f"{len(places) // 2} spots are visible" in found.drawings[0].caption
