"""Audits of an experiment's rows: kept in the store, not done twice, and shown beside the rows they speak of."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from harness.audit.barrier import unavailable
from harness.cli import app
from harness.datasets.simulated import write_pair
from harness.errors import BadInput
from harness.record import Check, MethodAudit
from harness.store import Store
from reports.families.audits import section
from reports.report import comparisons, write_report
from tests.conftest import tiny_pair
from tests.reports.stores import Plan, Variant, build, genes, qualities

needs_barrier = pytest.mark.skipif(unavailable() is not None, reason=f"no barrier here: {unavailable()}")
DRIVER = Path(__file__).with_name("leaky_driver.py")
ASKED = ["--dataset", "leaky", "--variant", "remembers", "--variant", "honest", "--variant", "notes"]


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The command line of an audit of one leak, one honest row and one that cannot run."""
    data = tmp_path / "data"
    write_pair(dataclasses.replace(tiny_pair(), name="leaky"), data)
    monkeypatch.setenv("SPADIT_DATA", str(data))
    driver = tmp_path / "driver.py"
    driver.write_text(DRIVER.read_text().replace("TRUTH_FOLDER", str(data)))
    return ["audit", "experiment", str(driver), "--store", str(tmp_path / "S"), "--json", *ASKED]


@pytest.mark.slow
@needs_barrier
def test_every_row_gets_a_verdict_or_a_reason(asked: list[str], tmp_path: Path) -> None:
    first = CliRunner().invoke(app, asked)
    found = {each["label"]: each for each in json.loads(first.stdout)}

    assert first.exit_code == 1
    assert {label: (each["audit"] or {}).get("verdict") for label, each in found.items()} == {
        "remembers": "leak",
        "honest": "clean",
        "notes": None,
    }
    assert "Permission" in found["notes"]["reason"]
    assert {audit.method for audit in Store(tmp_path / "S").audits()} == {"remembers", "honest"}


@pytest.mark.slow
@needs_barrier
def test_an_audit_in_the_store_is_used_as_long_as_code_and_data_are_the_same(asked: list[str], tmp_path: Path) -> None:
    only = [*asked[: asked.index("--variant")], "--variant", "honest"]
    CliRunner().invoke(app, only)

    known = json.loads(CliRunner().invoke(app, only).stdout)
    driver = Path(asked[2])
    driver.write_text(driver.read_text().replace("+ run.rng.random()", "- run.rng.random()"))
    anew = json.loads(CliRunner().invoke(app, only).stdout)

    assert [each["known"] for each in (*known, *anew)] == [True, False]


def test_a_damaged_audit_is_one_sentence_that_names_the_file(tmp_path: Path) -> None:
    store = Store(tmp_path / "S")
    store.put_audit(audit())
    path = next((tmp_path / "S" / "audits").iterdir())
    path.write_bytes(path.read_bytes().replace(b"clean", b"Clean"))

    with pytest.raises(BadInput, match=rf"{path.name} cannot be read: its checksum"):
        store.audits()


def audit(**changes: object) -> MethodAudit:
    """Of the rows that `tests.reports.stores` makes."""
    made = MethodAudit(
        method="m", dataset="a", fold=1, genes=3, entries=30, seed=0, verdict="clean", checks=(Check("n", "clean"),),
        sampling_rate=1.0, variant_id="1" * 8, dataset_id="0" * 16, code="c0de", posed="", audited_at="2026-01-01",
    )  # fmt: skip
    return dataclasses.replace(made, **changes)  # type: ignore[arg-type]


def store_with(root: Path, *audits: MethodAudit) -> Store:
    variants = {"ours": Variant(), "low-rank ridge": Variant(method="low_rank_ridge", control=True)}
    means = {"ours": 0.5, "low-rank ridge": 0.4}
    store = build(root, Plan(variants, qualities(means), {"a": genes(8)}))
    (asked,) = store.asked()
    for each in audits:
        store.put_audit(dataclasses.replace(each, posed=each.posed or asked.posed))
    return store


def test_an_audit_survives_the_store_as_it_was(tmp_path: Path) -> None:
    made = audit(posed="12345678", checks=(Check("a", "clean"), Check("b", "leak", "prediction", "why")))
    store = Store(tmp_path / "S")
    store.put_audit(made)

    assert store.audits() == [made]


def test_an_audit_of_newer_code_takes_the_older_ones_place(tmp_path: Path) -> None:
    store = Store(tmp_path / "S")
    for code in ("older", "newer"):
        store.put_audit(audit(code=code, posed="12345678"))

    assert [each.code for each in store.audits()] == ["newer"]


@pytest.mark.parametrize(
    ("changes", "shown"),
    [
        ({}, "clean"),
        ({"verdict": "leak", "checks": (Check("n", "leak", "prediction"),)}, "leak (prediction)"),
        ({"code": "0ther"}, "clean°"),
        ({"variant_id": "other"}, "--"),
        ({"dataset_id": "other"}, "--"),
        ({"posed": "other"}, "--"),
    ],
)
def test_a_verdict_stands_where_method_data_and_question_are_the_same_and_other_code_is_marked(
    tmp_path: Path, changes: dict[str, object], shown: str
) -> None:
    """Both rows of the store have one variant id, so both are meant."""
    (comparison,) = comparisons(store_with(tmp_path / "S", audit(**changes)))

    found = section(comparison)

    if shown == "--":
        assert found is None
    else:
        assert found is not None
        cells = [cell.text for _, lines in found.tables[0].groups for line in lines for cell in line.cells]
        assert cells == [shown, shown]


def test_the_worst_verdict_stands_where_several_folds_were_audited(tmp_path: Path) -> None:
    leak = audit(fold=0, verdict="leak", checks=(Check("n", "leak", "prediction"),))
    (comparison,) = comparisons(store_with(tmp_path / "S", audit(), leak))

    found = section(comparison)

    assert found is not None
    assert set(found.frame["verdict"]) == {"leak"}


def test_the_page_has_the_verdicts(tmp_path: Path) -> None:
    write_report(store_with(tmp_path / "S", audit()), tmp_path / "report")

    assert "Leakage audits" in (tmp_path / "report" / "index.html").read_text()
    assert "clean" in (tmp_path / "report" / "audits.md").read_text()
