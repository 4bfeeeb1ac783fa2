"""`spadit explain`: what it says of a cell is what the report prints and what the store holds."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from harness.errors import BadInput
from harness.store import Store
from harness.views.explain import explain_facts, print_explain
from reports.report import scores, write_report
from tests.reports.stores import NOT_SCORED, Plan, Variant, build, genes, qualities

METRICS = ("pcc", "ssim", "rmse", "js")
MEAN = {"w/ U-Net": 0.5, "w": 0.45, "w/ U-Net/deep": 0.3, "fails": 0.2, "skips": 0.2, "plain": 0.1}


def values(label: str, dataset: str, seed: int, gene: str) -> dict[str, float]:
    return NOT_SCORED if gene == "gene003" else dict(qualities(MEAN)(label, dataset, seed, gene))


PLAN = Plan(
    variants={
        "w/ U-Net": Variant(),
        "w": Variant(random=False),
        "w/ U-Net/deep": Variant(),
        "fails": Variant(ends={("MG", 1, 0): ("failed", "ValueError: singular"), ("MG", 0, 1): ("missing", "")}),
        "skips": Variant(ends={("MG", f, s): ("skipped", "needs coordinates") for f in (0, 1) for s in (0, 1)}),
        "plain": Variant(random=False, control=True),
    },
    values=values,
    datasets={"MG": [*genes(21), "A/B"], "deep": genes(8)},
    seeds=(0, 1),
    rates=(1.0, 0.5),
)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return build(tmp_path_factory.mktemp("explain") / "store", PLAN)


# ---------------------------------------------------------------------------------------------------------------
# The numbers


def test_its_means_are_those_of_the_reports_table_to_twelve_digits(store: Store) -> None:
    printed = scores(store, "demo")
    rows = printed[(printed["scope"] == "dataset") & (printed["status"] == "complete")]
    assert len(rows) == 2 * (4 + 6)  # two rates; two of six rows did not finish MG

    for _, row in rows.iterrows():
        facts = explain_facts(store, f"demo/{row['variant']}/{row['dataset']}")
        (rate,) = [rate for rate in facts["rates"] if rate["sampling_rate"] == row["sampling_rate"]]
        assert rate["complete"]
        assert rate["agrees"]
        for name in METRICS:
            assert rate["means"][name] == pytest.approx(row[name], rel=0, abs=1e-12)
            assert rate["table"]["ranks"][name] == row[f"rank_{name}"]
        assert rate["table"]["accuracy_score"] == row["accuracy_score"]
        assert rate["genes_averaged"] == row["genes"]


@pytest.fixture(scope="module")
def written(store: Store, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report") / "out"
    write_report(store, folder, "demo")
    return folder


@pytest.mark.parametrize(("file", "column"), [("accuracy_score", "ssim"), ("metrics", "mean")])
def test_its_means_are_those_in_the_reports_files(store: Store, written: Path, file: str, column: str) -> None:
    printed = pd.read_csv(written / f"{file}.csv")
    rows = printed[(printed["variant"] == "w/ U-Net") & (printed["dataset"] == "MG")]
    rows = rows[rows["metric"] == "ssim"] if file == "metrics" else rows

    means = {rate["sampling_rate"]: rate["means"]["ssim"] for rate in explain_facts(store, "demo/w/ U-Net/MG")["rates"]}

    assert len(rows) == 2
    for _, row in rows.iterrows():  # files have nine digits
        assert row[column] == float(f"{means[row['sampling_rate']]:.9g}")


def test_the_mean_is_over_seeds_first_and_then_over_scored_genes(store: Store) -> None:
    rate = explain_facts(store, "demo/w/ U-Net/MG")["rates"][0]
    scored = [gene for gene in PLAN.datasets["MG"] if gene != "gene003"]

    by_hand = [np.mean([values("w/ U-Net", "MG", s, gene)["pcc"] for s in (0, 1)]) for gene in scored]

    assert rate["means"]["pcc"] == pytest.approx(np.mean(by_hand), abs=1e-12)
    assert rate["genes_averaged"] == len(scored)
    assert rate["table"]["genes_left_out"]["constant"] == 1


def test_the_best_and_the_worst_are_those_of_a_sorted_list(store: Store) -> None:
    found = explain_facts(store, "demo/w/MG")["rates"][0]["genes"]
    scored = [gene for gene in PLAN.datasets["MG"] if gene != "gene003"]
    ordered = sorted(scored, key=lambda gene: values("w", "MG", 0, gene)["pcc"])

    assert [row["gene"] for row in found["worst"]] == ordered[:5]
    assert [row["gene"] for row in found["best"]] == ordered[::-1][:5]
    assert (found["scored"], found["not_scored"]) == (len(scored), 1)


def test_a_gene_shows_its_fold_and_the_values_of_every_seed(store: Store) -> None:
    rate = explain_facts(store, "demo/w/ U-Net/MG/gene005")["rates"][0]
    gene = rate["gene"]

    assert gene["folds"] == [1]
    assert [row["seed"] for row in gene["seeds"]] == [0, 1]
    for row in gene["seeds"]:
        expected = values("w/ U-Net", "MG", row["seed"], "gene005")
        assert {name: row[name] for name in expected} == expected
        assert (row["truth_nonzero"], row["n_spots"]) == (20, 50)
    assert {trial["fold"] for trial in rate["trials"]} == {1}
    better = [g for g in PLAN.datasets["MG"] if _mean_pcc(g) > _mean_pcc("gene005")]
    assert gene["rank"] == len(better) + 1


def _mean_pcc(gene: str) -> float:
    return float(np.mean([values("w/ U-Net", "MG", seed, gene)["pcc"] for seed in (0, 1)]))


def test_a_gene_that_is_not_scored_says_so(store: Store) -> None:
    gene = explain_facts(store, "demo/w/MG/gene003")["rates"][0]["gene"]

    assert gene["scored"] is False
    assert "does not vary" in gene["reason"]
    assert gene["seeds"][0]["pcc"] is None


def test_every_sampling_rate_is_listed_falling(store: Store) -> None:
    facts = explain_facts(store, "demo/w/MG")

    assert [rate["sampling_rate"] for rate in facts["rates"]] == [1.0, 0.5]
    ids = [{trial["trial_id"] for trial in rate["trials"]} for rate in facts["rates"]]
    assert not ids[0] & ids[1]


@pytest.mark.parametrize("target", ["demo/w/ U-Net/MG", "demo/fails/MG", "demo/skips/MG", "demo/w/MG/gene003"])
def test_the_facts_are_plain_json(store: Store, target: str) -> None:
    facts = explain_facts(store, target)

    assert json.loads(json.dumps(facts, allow_nan=False)) == facts


# ---------------------------------------------------------------------------------------------------------------
# Trials that are not as they should be


def test_failed_skipped_and_missing_trials_are_shown_as_such_and_the_table_has_no_number(store: Store) -> None:
    failed = explain_facts(store, "demo/fails/MG")["rates"][0]
    skipped = explain_facts(store, "demo/skips/MG")["rates"][0]

    states = {(trial["fold"], trial["seeds"][0]): trial for trial in failed["trials"]}
    assert {place: trial["status"] for place, trial in states.items()} == {
        (0, 0): "ok", (1, 0): "failed", (0, 1): "missing", (1, 1): "ok",
    }  # fmt: skip
    assert "singular" in states[1, 0]["reason"]
    assert failed["table"]["status"] == "failed"
    assert failed["agrees"] is None
    assert not failed["complete"]
    assert {trial["status"] for trial in skipped["trials"]} == {"skipped"}
    assert all(value is None for value in skipped["means"].values())


def test_a_trial_that_serves_every_seed_is_one_trial(store: Store) -> None:
    trials = explain_facts(store, "demo/w/MG")["rates"][0]["trials"]

    assert [(trial["fold"], trial["seeds"]) for trial in trials] == [(0, [0, 1]), (1, [0, 1])]


@pytest.mark.parametrize(("spoil", "state"), [("cut", "damaged"), ("remove", "missing")])
def test_a_file_that_is_not_what_its_record_says_is_named_and_not_averaged(
    tmp_path: Path, spoil: str, state: str
) -> None:
    own = build(tmp_path / "store", dataclasses.replace(PLAN, rates=(1.0,)))
    trial = explain_facts(own, "demo/w/MG")["rates"][0]["trials"][0]
    path = own.files.path(trial["files"][0]["name"])
    path.write_bytes(path.read_bytes()[:-1]) if spoil == "cut" else path.unlink()

    rate = explain_facts(own, "demo/w/MG")["rates"][0]

    assert [file["state"] for file in rate["trials"][0]["files"]] == [state]
    assert [file["state"] for file in rate["trials"][1]["files"]] == ["whole"]
    assert rate["table"]["status"] == "unreadable"
    assert rate["genes_averaged"] == len([g for g in list(PLAN.datasets["MG"])[1::2] if g != "gene003"])
    assert not rate["complete"]


# ---------------------------------------------------------------------------------------------------------------
# Which cell is meant


@pytest.mark.parametrize(
    ("target", "variant", "dataset", "gene"),
    [
        ("demo/w/MG", "w", "MG", None),
        ("demo/w/ U-Net/MG", "w/ U-Net", "MG", None),
        ("demo/w/ U-Net/deep", "w/ U-Net", "deep", None),
        ("demo/w/ U-Net/deep/deep", "w/ U-Net/deep", "deep", None),
        ("demo/w/ U-Net/deep/MG/gene001", "w/ U-Net/deep", "MG", "gene001"),
        ("demo/w/MG/A/B", "w", "MG", "A/B"),
    ],
)
def test_slashes_in_labels_and_genes_are_resolved_by_what_the_store_holds(
    store: Store, target: str, variant: str, dataset: str, gene: str | None
) -> None:
    facts = explain_facts(store, target)

    assert (facts["variant"], facts["dataset"], facts["gene"]) == (variant, dataset, gene)


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("dmo/w/MG", "did you mean demo"),
        ("demo", "alone names no cell"),
        ("demo/w/ Unet/MG", "no variant 'w/ Unet'; did you mean w/ U-Net"),
        ("demo/plane/MG", "did you mean plain"),
        ("demo/w", "names no dataset"),
        ("demo/w/MGG", "no dataset 'MGG'; did you mean MG"),
        ("demo/w/MG/gene0001", "no gene 'gene0001'.*did you mean gene001"),
    ],
)
def test_what_the_store_does_not_hold_is_one_sentence_with_the_nearest_names(
    store: Store, target: str, said: str
) -> None:
    with pytest.raises(BadInput, match=said) as refused:
        explain_facts(store, target)

    assert "\n" not in str(refused.value)


def test_the_latest_definition_is_explained_and_the_others_are_listed(tmp_path: Path) -> None:
    build(tmp_path / "store", dataclasses.replace(PLAN, rates=(1.0,)))
    later = {"w": Variant(random=False, method="newer")}
    own = build(
        tmp_path / "store", dataclasses.replace(PLAN, definition="e1e1e1e1", asked_at="2026-02-02", variants=later)
    )

    now = explain_facts(own, "demo/w/MG")
    only_before = explain_facts(own, "demo/plain/MG")

    assert now["definition"] == "e1e1e1e1"
    assert [(d["definition"], d["holds_the_cell"], d["reported"]) for d in now["definitions"]] == [
        ("d0d0d0d0", True, False),
        ("e1e1e1e1", True, True),
    ]
    assert only_before["definition"] == "d0d0d0d0"
    assert [d["explained"] for d in only_before["definitions"]] == [True, False]


@pytest.mark.parametrize("target", ["demo/w/ U-Net/MG", "demo/fails/MG", "demo/w/MG/gene003", "demo/skips/MG/A/B"])
def test_what_is_printed_names_the_trials_and_the_numbers(
    store: Store, capsys: pytest.CaptureFixture[str], target: str
) -> None:
    facts: dict[str, Any] = explain_facts(store, target)
    print_explain(facts)
    printed = capsys.readouterr().out

    for rate in facts["rates"]:
        for trial in rate["trials"]:
            assert trial["trial_id"] in printed
        for value in rate["means"].values():
            assert value is None or f"{value:.4g}" in printed
