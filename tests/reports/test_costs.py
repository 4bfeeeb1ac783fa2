"""What rows cost: every distinct trial once, medians and sums, devices apart, and what is not known."""

from __future__ import annotations

import dataclasses
import statistics
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from matplotlib.figure import Figure

from harness import Experiment, KFold
from harness.record import Record
from models.controls.gene_mean import GeneMean
from models.controls.nearest_cells import NearestCells
from reports.families import costs
from reports.family import Section
from reports.figures.drawing import saved
from reports.reading.scores import Comparison, read
from reports.writing.tables import Table
from tests.conftest import tiny_pair
from tests.reports.real_stores import fill
from tests.reports.stores import Plan, Variant, build, genes, qualities

MEAN = {"A": 0.5, "B": 0.4, "flat": 0.0, "theirs": 0.3}
VARIANTS = {
    "A": Variant(),
    "B": Variant(random=False),
    "flat": Variant(method="gene_mean", control=True, random=False),
    "theirs": Variant(external=True, random=False),
}
PLAN = Plan(
    variants=VARIANTS, values=qualities(MEAN), datasets={"MG": genes(9), "two": genes(6)}, folds=3, seeds=(0, 1)
)


def cost(record: Record) -> dict[str, Any]:
    """A cost that differs from trial to trial: 10 s a fold, 1 s a seed, and 100 s for loading and scoring."""
    fitted = 10.0 * record.fold + record.seed + (5 if record.dataset == "two" else 1)
    return {
        "timings": {"load": 100.0, "fit": fitted - 0.5, "impute": 0.5, "score": 100.0},
        "peak_memory_mib": 400.0 + record.fold,
    }


def priced(root: Path, plan: Plan, price: Callable[[Record], Mapping[str, Any]] = cost) -> Comparison:
    store = build(root, plan)
    comparison = read(store, store.asked(plan.name)[-1])
    unknown = {"timings": {}, "peak_memory_mib": None}
    records = {
        name: dataclasses.replace(record, **(unknown if record.external else price(record)))
        for name, record in comparison.records.items()
    }
    return dataclasses.replace(comparison, records=records)


def said_of(comparison: Comparison) -> Section:
    found = costs.section(comparison)
    assert found is not None
    return found


def shown(table: Table, label: str) -> list[dict[str, str]]:
    """Heading -> text of the lines of a row."""
    headings = [column.heading for column in table.columns]
    lines = [line for _, lines in table.groups for line in lines if line.label == label]
    return [dict(zip(headings, (cell.text for cell in line.cells), strict=True)) for line in lines]


@pytest.fixture(scope="module")
def comparison(tmp_path_factory: pytest.TempPathFactory) -> Comparison:
    return priced(tmp_path_factory.mktemp("costs"), PLAN)


@pytest.fixture(scope="module")
def section(comparison: Comparison) -> Section:
    return said_of(comparison)


def of(frame: pd.DataFrame, scope: str, **where: object) -> dict[str, Any]:
    kept = frame[frame["scope"] == scope]
    for name, value in where.items():
        kept = kept[kept[name] == value]
    (found,) = kept.to_dict("records")
    return found


def test_seconds_are_fitting_and_predicting_and_each_distinct_trial_counts_once(section: Section) -> None:
    by_hand = {"A": [1.0, 11, 21, 2, 12, 22], "B": [1.0, 11, 21]}

    for label, seconds in by_hand.items():
        found = of(section.frame, "dataset", dataset="MG", variant=label)
        assert found["trials"] == len(seconds)
        assert found["seconds"] == statistics.median(seconds)
        assert (found["seconds_low"], found["seconds_high"]) == (min(seconds), max(seconds))
        assert found["seconds_total"] == sum(seconds)
        assert (found["mib"], found["mib_low"], found["mib_high"]) == (401, 400, 402)


def test_a_method_that_does_not_say_when_fitting_ended_has_the_whole_in_predicting(tmp_path: Path) -> None:
    timings = {"timings": {"load": 1.0, "fit": None, "impute": 3.0, "score": 1.0}}
    found = said_of(priced(tmp_path, PLAN, lambda record: timings))

    assert of(found.frame, "dataset", dataset="MG", variant="A")["seconds"] == 3


def test_the_total_of_a_row_is_that_of_its_datasets_and_rates(tmp_path: Path) -> None:
    frame = said_of(priced(tmp_path, dataclasses.replace(PLAN, rates=(1.0, 0.5)))).frame

    for label in ("A", "B", "flat"):
        whole = of(frame, "all", variant=label)
        for scope in ("dataset", "sampling rate"):
            parts = frame[(frame["scope"] == scope) & (frame["variant"] == label)]
            assert parts["seconds_total"].sum() == whole["seconds_total"]
            assert parts["trials"].sum() == whole["trials"]
        assert whole["datasets"] == 2


def test_over_datasets_there_is_a_sum_and_no_median(section: Section) -> None:
    assert section.frame.loc[section.frame["scope"] == "all", ["seconds", "mib"]].isna().all(axis=None)
    assert [column.heading for column in section.tables[0].columns][-1] == "Seconds in all"


def test_a_trial_that_answers_two_rows_counts_once_in_the_sum_of_all(comparison: Comparison) -> None:
    of_b = [cell | {"label": "flat"} for cell in comparison.asked.cells if cell["label"] == "B"]
    asked = dataclasses.replace(comparison.asked, cells=(*comparison.asked.cells, *of_b))
    shared = said_of(dataclasses.replace(comparison, asked=asked)).tables[0]

    assert shown(shared, "flat")[0]["Trials"] == "12"
    assert shared.size == said_of(comparison).tables[0].size
    # A: 3 folds x 2 seeds; B and flat: 3 folds; on MG from 1 s, on two from 5 s.
    own = [10 * f + s + d for d in (1, 5) for f in range(3) for s in (0, 1)]
    each = [10 * f + d for d in (1, 5) for f in range(3)]
    assert f"they took {sum(own) + 2 * sum(each):,.0f} s in all" in said_of(comparison).tables[0].size


def test_devices_stand_apart_in_a_line_each(tmp_path: Path) -> None:
    def price(record: Record) -> dict[str, Any]:
        return cost(record) | {"device": "cuda: Card" if record.fold else "cpu", "threads": 1 + record.fold}

    table = said_of(priced(tmp_path, PLAN, price)).tables[1]
    lines = shown(table, "B")

    assert [line["Device"] for line in lines] == ["cpu, 1 thread", "cuda: Card, 2 threads", "cuda: Card, 3 threads"]
    assert [line["Trials"] for line in lines] == ["1 of 3"] * 3
    assert [line["Seconds"] for line in lines] == ["1.00", "11.0", "21.0"]


def test_what_ran_elsewhere_has_no_cost_and_says_so(section: Section) -> None:
    (line,) = shown(section.tables[1], "theirs")

    assert {text for heading, text in line.items() if heading != "Trials"} == {"--"}
    assert any(mark == "--" and "elsewhere" in sentence for mark, sentence in section.tables[1].footnotes)


def test_a_row_shows_how_many_of_its_trials_finished(tmp_path: Path) -> None:
    ends = {("MG", 0, 1): ("missing", "")} | {("two", f, s): ("failed", "boom") for f in range(3) for s in (0, 1)}
    plan = dataclasses.replace(PLAN, variants=VARIANTS | {"A": Variant(ends=ends)})
    tables = said_of(priced(tmp_path, plan)).tables
    (partly,), (nothing,) = (shown(each, "A") for each in tables[1:])

    assert partly["Trials"] == "5 of 6"
    assert (nothing["Device"], nothing["Trials"], nothing["Seconds"]) == ("failed", "0 of 6", "--")
    assert any("boom" in sentence for _, sentence in tables[2].footnotes)


def test_without_any_recorded_time_there_is_no_section(tmp_path: Path) -> None:
    assert costs.section(priced(tmp_path, PLAN, lambda record: {"timings": {}})) is None


def test_machines_are_counted_and_not_named(tmp_path: Path) -> None:
    def price(record: Record) -> dict[str, Any]:
        return cost(record) | {"node": f"secret-{record.fold % 2}"}

    found = said_of(priced(tmp_path, PLAN, price))

    assert "2 machines" in found.text[-1]
    assert "secret" not in " ".join(found.text) + found.frame.to_csv()


def test_the_figure_sets_mean_pcc_against_median_seconds(section: Section, comparison: Comparison) -> None:
    block, axes = comparison.blocks[0], section.drawings[0].draw().axes[0]
    points = {(x, round(y, 9)) for line in axes.lines for x, y in [line.get_xydata()[0]] if len(line.get_xdata()) == 1}

    means = dict(zip(block.labels, block.averaged[..., 0].mean(axis=1), strict=True))
    expected = {"A": 11.5, "B": 11.0, "flat": 11.0}
    assert points == {(seconds, round(means[label], 9)) for label, seconds in expected.items()}


def test_the_figure_shows_the_highest_sampling_rate(tmp_path: Path) -> None:
    plan = dataclasses.replace(PLAN, variants={"A": Variant()}, rates=(1.0, 0.5))
    (drawing,) = said_of(priced(tmp_path, plan, lambda r: {"timings": {"impute": r.sampling_rate}})).drawings

    assert {float(x) for line in drawing.draw().axes[0].lines for x in line.get_xdata()} == {1.0}


def test_the_figure_can_show_what_took_no_time(tmp_path: Path) -> None:
    found = said_of(priced(tmp_path, PLAN, lambda record: {"timings": {"fit": None, "impute": 0.0}}))
    svg = saved("costs", found.drawings[0].draw)["svg"].decode()

    assert {float(x) for line in found.drawings[0].draw().axes[0].lines for x in line.get_xdata()} == {costs.SHORTEST}
    assert ">0.0001</text>" in svg
    assert "mathdefault" not in svg
    assert shown(found.tables[1], "A")[0]["Seconds"] == "<0.001"


def test_costs_of_real_trials_are_those_of_their_records(tmp_path: Path) -> None:
    experiment = Experiment("e", {"x": NearestCells(), "y": GeneMean()}, ["a"], KFold(3))
    comparison = fill(tmp_path, experiment, {"a": tiny_pair()})
    found = of(said_of(comparison).frame, "dataset", variant="x")

    own = [r for r in comparison.records.values() if r.method == "nearest_cells"]
    assert found["trials"] == len(own) == 3
    assert found["seconds_total"] == pytest.approx(sum(r.timings["impute"] or 0 for r in own))
    assert found["mib_high"] == max(r.peak_memory_mib or 0 for r in own)
    assert len(said_of(comparison).tables) == 1


@pytest.mark.parametrize(("rows", "datasets"), [(2, 1), (14, 1), (14, 4), (25, 4)])
def test_the_legend_leaves_the_panels_their_room_however_many_rows_there_are(
    tmp_path: Path, rows: int, datasets: int
) -> None:
    labels = ["low-rank ridge", *(f"SpatialScope (reduced) {i}" for i in range(rows - 1))]
    plan = Plan(
        variants={label: Variant(random=False) for label in labels},
        values=qualities(dict.fromkeys(labels, 0.4)),
        datasets={f"dataset_{i}": genes(6) for i in range(datasets)},
    )
    (made,) = said_of(priced(tmp_path, plan)).drawings
    drawn: list[Figure] = []

    def draw() -> Figure:
        drawn.append(made.draw())
        return drawn[-1]

    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a layout that collapses is a warning
        saved("costs", draw)

    (figure,) = drawn
    (legend,) = figure.legends
    assert {text.get_text() for text in legend.get_texts()} == set(labels)
    for axes in figure.axes[:datasets]:
        assert axes.get_position().height * figure.get_figheight() > 1.2
        assert axes.get_position().width * figure.get_figwidth() > 1.2
    box = legend.get_window_extent()
    assert figure.bbox.x0 <= box.x0 < box.x1 <= figure.bbox.x1
    assert figure.bbox.y0 <= box.y0 < box.y1 <= min(axes.get_window_extent().y0 for axes in figure.axes)
