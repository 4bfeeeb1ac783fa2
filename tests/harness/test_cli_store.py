"""The command line on a store that is damaged, and on one that was compacted: nothing is lost, and it is said."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.datasets.simulated import simulate, write_pair
from tests.conftest import Spadit

DRIVER = """
from harness import Experiment, KFold
from models.controls.gene_mean import GeneMean
from models.controls.spot_total import SpotTotal
from tests.toys import VisibleMean

EXPERIMENT = Experiment(
    "mine", {"total": SpotTotal(), "mean": GeneMean(), "own": VisibleMean()}, ["small"], split=KFold(2)
)
"""


@pytest.fixture
def words(tmp_path: Path) -> list[str]:
    """The command that fills the store S with six trials."""
    write_pair(simulate(60, 80, 30, seed=1, name="small"), tmp_path / "D")
    (tmp_path / "mine.py").write_text(DRIVER)
    return ["run", "mine.py", "--data", str(tmp_path / "D"), "--store", "S"]


@pytest.mark.slow
@pytest.mark.ray
@pytest.mark.usefixtures("ray_here")
def test_what_is_damaged_is_set_aside_computed_anew_and_reported(
    spadit: Spadit, words: list[str], tmp_path: Path
) -> None:
    assert spadit(*words)[0] == 0
    before = {path.name: path.read_bytes() for path in (tmp_path / "S/genes").iterdir()}
    record, table = sorted((tmp_path / "S/trials").iterdir())[0], sorted((tmp_path / "S/genes").iterdir())[1]
    for path in (record, table):
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(bytes(data))

    _, planned, _ = spadit("plan", *words[1:], "--json")
    code, _, told = spadit(*words)
    _, status, _ = spadit("status", "--store", "S", "--json")

    assert json.loads(planned)["to_run"] == 2
    assert sorted(json.loads(planned)["damaged"]) == sorted([record.stem, table.stem])
    assert code == 0
    assert told.count("set aside, to be computed anew") == 2
    assert len(json.loads(status)["damaged"]) >= 2
    assert {path.name: path.read_bytes() for path in (tmp_path / "S/genes").iterdir()} == before
    assert "Nothing to run" in spadit(*words)[2]


@pytest.mark.slow
@pytest.mark.ray
@pytest.mark.usefixtures("ray_here")
def test_a_compacted_store_has_nothing_to_run_and_the_same_report(
    spadit: Spadit, words: list[str], tmp_path: Path
) -> None:
    assert spadit(*words)[0] == 0
    spadit("report", "--store", "S", "--out", "before")

    code, out, _ = spadit("compact", "--store", "S")
    spadit("report", "--store", "S", "--out", "after")

    assert code == 0
    assert out.startswith("6 trials of S merged")
    assert list((tmp_path / "S/trials").iterdir()) == []
    assert "Nothing to run" in spadit(*words)[2]
    tables = [path.name for path in (tmp_path / "before").iterdir() if path.suffix in (".csv", ".md", ".tex")]
    assert tables
    for name in tables:
        assert (tmp_path / "after" / name).read_bytes() == (tmp_path / "before" / name).read_bytes()
