"""No method is told a held-out value, and none remembers one: every discovered method passes the audit."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from harness.audit.barrier import unavailable
from harness.audit.methods import Setting, audit_method
from harness.audit.subject import Subject
from harness.datasets.simulated import write_pair
from harness.protocol import KFold
from models.component import canonical
from models.method import Method
from tests.conftest import tiny_pair
from tests.contracts.problems import METHODS, asked, quick


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    write_pair(dataclasses.replace(tiny_pair(), name="tiny"), folder)
    return folder


AT_ONCE = ("spage", "low_rank_ridge", "spot_total")
"""Audited in the fast suite; the others, whose processes take seconds to import a network, in the slow one."""

audited = pytest.mark.parametrize(
    "method", [asked(name, *(() if name in AT_ONCE else (pytest.mark.slow,))) for name in METHODS]
)


@pytest.mark.skipif(unavailable() is not None, reason=f"no barrier here: {unavailable()}")
@audited
def test_neither_the_truth_nor_an_earlier_fold_changes_its_answer(data: Path, method: type[Method]) -> None:
    asked = Subject(method.__name__, component=canonical(quick(method)))

    found = audit_method(asked, "tiny", [data], Setting(split=KFold(3)))

    assert found.verdict == "clean", found.checks
    assert len(found.checks) == 4
