"""One Markdown page on all that a store holds: the same bytes from the same records, and nothing else."""

from __future__ import annotations

import dataclasses
import html
import re
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from harness.cli import app
from harness.errors import BadInput
from harness.store import Store
from harness.store.compaction import compact
from reports.report import comparisons, table
from reports.summary import summary, write_summary
from reports.writing import lineage
from tests.reports.stores import Plan, Variant, build, genes, qualities

MEANS = {"Ours": 0.6, "Theirs": 0.4, "low-rank ridge": 0.3}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Three experiments: the main one, a table of the paper, and one with several sampling rates."""
    variants = {"Ours": Variant(), "Theirs": Variant(ends={("a", 0, 0): ("failed", "MemoryError: too large")})}
    variants["low-rank ridge"] = Variant(method="low_rank_ridge", control=True, random=False)
    plan = Plan(variants, qualities(MEANS), {"a": genes(40), "b": genes(40)}, name="baselines")
    build(tmp_path / "results", plan)
    whole = {**variants, "Theirs": Variant()}
    build(tmp_path / "results", dataclasses.replace(plan, variants=whole, name="backbones-tiny", definition="e0e0e0e0"))
    rates = dataclasses.replace(plan, variants=whole, name="sparsity", definition="f0f0f0f0", rates=(1.0, 0.5, 0.1))
    return build(tmp_path / "results", rates)


def test_the_same_store_gives_the_same_bytes_moved_copied_or_compacted(store: Store, tmp_path: Path) -> None:
    first = summary(store)
    (tmp_path / "elsewhere").mkdir()
    shutil.copytree(tmp_path / "results", tmp_path / "elsewhere" / "results")

    assert summary(Store(tmp_path / "elsewhere" / "results")) == first
    compact(store)
    assert summary(Store(tmp_path / "results")) == first


def test_another_prediction_gives_another_fingerprint(store: Store) -> None:
    before = re.search(r"fingerprint of their predictions: (\w+)", summary(store))
    record = store.records()[0]
    changed = dataclasses.replace(record, prediction_sha256="f" * 64)
    store.files.write(f"trials/{record.trial_id}.json", changed.to_json())

    after = re.search(r"fingerprint of their predictions: (\w+)", summary(store))

    assert before is not None
    assert after is not None
    assert before[1] != after[1]


def test_experiments_stand_in_the_papers_order_each_with_the_command_that_ran_it(store: Store) -> None:
    text = summary(store)

    headings = re.findall(r"^## (\S+?):", text, re.MULTILINE)
    assert [heading.replace("\\", "") for heading in headings] == ["baselines", "backbones-tiny", "sparsity"]
    for name in ("baselines", "backbones-tiny", "sparsity"):
        assert f"```sh\nspadit run {name} --store results\n```" in text


def test_the_papers_table_has_the_scores_that_python_gives(store: Store) -> None:
    text = summary(store)
    scores = table(store, "backbones-tiny")

    own = text[text.index("Table 2. Result of different network backbones") :]
    (line,) = [line for line in own.splitlines() if line.startswith("| Ours")][:1]
    shown = [float(re.sub(r"[^0-9.]", "", cell.partition("±")[0])) for cell in line.split("|")[2:4]]

    assert shown == [round(value, 2) for value in scores.loc["Ours"]]


def test_failures_are_listed_with_their_reason_and_never_averaged(store: Store) -> None:
    text = summary(store)

    assert "MemoryError: too large" in text
    assert "| Theirs | failed |" in text


def test_several_sampling_rates_are_summed_up_in_curves_and_claims_are_made_at_the_lowest(store: Store) -> None:
    text = summary(store)

    assert "**sparsity, sampling rate 0.1**" in text
    sparsity = text[text.index("## sparsity") :]
    assert "AUC" in sparsity
    assert "Accuracy score on a" not in sparsity


def test_names_cannot_become_markup(golden: Store) -> None:
    text = summary(golden)

    assert "<script>" not in text
    assert "alert(1)" in html.unescape(text)


def test_a_folder_in_place_of_a_file_and_an_empty_store_are_refused(store: Store, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="is a folder; give a file"):
        write_summary(store, tmp_path)
    with pytest.raises(BadInput, match="holds no experiment"):
        write_summary(Store(tmp_path / "empty"), tmp_path / "R.md")
    assert not (tmp_path / "R.md").exists()


def test_the_command_writes_it_and_refuses_half_a_store(store: Store, tmp_path: Path) -> None:
    where = ["report", "--store", str(tmp_path / "results"), "--summary", str(tmp_path / "R.md")]

    ran = CliRunner().invoke(app, where)
    refused = CliRunner().invoke(app, [*where, "--experiment", "sparsity"], standalone_mode=False)

    assert ran.exit_code == 0
    assert (tmp_path / "R.md").read_text() == summary(store)
    assert isinstance(refused.exception, BadInput)


def test_the_rule_stands_once_above_the_three_lists_and_each_experiment_has_one_bullet_in_a_list(store: Store) -> None:
    text = summary(store)

    assert text.count("A claim is that the row") == 1
    assert text.index("A claim is that the row") < text.index("## What holds")
    for title in ("What holds", "What does not", "What is too noisy to say"):
        said = text[text.index(f"## {title}") :].split("\n## ")[0].split("\n\n", 1)[1].strip().splitlines()
        opening, _, *said = [*said, "", ""]
        said = [line for line in said if line]
        assert re.match(r"\d+ of \d+ claims?[.:]", opening)
        assert all(line.startswith("- ") for line in said)
        names = [line.partition("** (")[0] for line in said if line.startswith("- **")]
        assert len(set(names)) == len(names)


def test_what_several_tables_of_an_experiment_say_below_is_said_once(store: Store) -> None:
    text = summary(store)
    own = text[text.index("## backbones-tiny") : text.index("## sparsity")]

    assert own.count("Cohen's d\\_z") == 1
    assert own.index("For all tables here") < own.index("Cohen's d\\_z")


def test_the_differences_that_claims_rest_on_are_among_the_tables_of_several_rates(store: Store) -> None:
    sparsity = summary(store)
    sparsity = sparsity[sparsity.index("## sparsity") :]

    assert "Each row minus Ours on a, sampling rate 0.1" in sparsity
    assert "Each row minus Ours on a, sampling rate 0.5" not in sparsity


def test_commands_are_those_that_were_typed_each_once_and_without_the_cluster_that_ran_them(store: Store) -> None:
    comparison = comparisons(store)[0]
    ask = "spadit run backbones --dataset a --store S"
    typed = (f"{ask} --address auto", ask, "spadit run backbones --address=h:1 --seeds 1")

    again = dataclasses.replace(comparison, asked=dataclasses.replace(comparison.asked, commands=typed))

    assert lineage.typed(again) == [ask, "spadit run backbones --seeds 1"]
