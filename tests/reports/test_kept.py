"""What figures are made of: predictions, and the truth on the scale on which they were scored."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from harness import Experiment, KFold
from harness.protocol import Preprocessing, Protocol, pose, prepare
from harness.protocol.task import MaskedEntries
from models.controls.gene_mean import GeneMean
from models.controls.nearest_cells import NearestCells
from tests.conftest import tiny_pair
from tests.reports.real_stores import fill

PAIR = tiny_pair()
CUT = Protocol(preprocessing=Preprocessing(target=1e4))
OPEN = Protocol(preprocessing=Preprocessing(normalisation="all-genes"))


@pytest.mark.parametrize("protocol", [Protocol(), CUT, OPEN], ids=["default", "target", "all-genes"])
@pytest.mark.parametrize("kind", ["counts", "intensities", "lognorm"])
def test_the_truth_of_figures_is_what_the_scorer_held_predictions_against(
    tmp_path: Path, kind: str, protocol: Protocol
) -> None:
    pair = dataclasses.replace(PAIR, st=dataclasses.replace(PAIR.st, kind=kind))
    comparison = fill(tmp_path, Experiment("e", {"x": GeneMean()}, ["a"], KFold(3), protocol=protocol), {"a": pair})
    found = comparison.kept.truth("x", "a", 1.0)

    data = prepare(pair, protocol)
    assert found is not None
    assert list(found.columns) == sorted(data.panel)
    for fold in range(3):
        _, truth = pose(data, KFold(3), fold)
        np.testing.assert_array_equal(found.loc[truth.spots, list(truth.genes)].to_numpy(), truth.values)


def test_pcc_of_kept_predictions_and_truth_is_the_recorded_one(tmp_path: Path) -> None:
    comparison = fill(tmp_path, Experiment("e", {"x": NearestCells()}, ["a"], KFold(3)), {"a": PAIR})
    truth, guess = (f("x", "a", 1.0) for f in (comparison.kept.truth, comparison.kept.prediction))
    (block,) = comparison.blocks

    assert truth is not None
    assert guess is not None
    assert truth.index.equals(guess.index)
    own = [np.corrcoef(truth[gene], guess[gene])[0, 1] for gene in block.genes]
    np.testing.assert_allclose(own, block.averaged[0, :, 0], atol=2e-6)


def test_what_was_not_kept_or_not_held_out_whole_is_none(tmp_path: Path) -> None:
    unkept = fill(tmp_path / "1", Experiment("e", {"x": GeneMean()}, ["a"], KFold(3)), {"a": PAIR}, keep=False)
    masked = fill(
        tmp_path / "2", Experiment("e", {"x": GeneMean()}, ["a"], KFold(3), task=MaskedEntries(0.7)), {"a": PAIR}
    )

    for comparison in (unkept, masked):
        assert comparison.kept.prediction("x", "a", 1.0) is None
        assert comparison.kept.truth("x", "a", 1.0) is None


def test_spots_and_genes_are_described_by_name(tmp_path: Path) -> None:
    kept = fill(tmp_path, Experiment("e", {"x": GeneMean()}, ["a"], KFold(3)), {"a": PAIR}).kept

    np.testing.assert_array_equal(kept.spots("a")[["x", "y"]].to_numpy(), PAIR.coordinates)
    assert "morans_i" in kept.genes("a").columns
    assert set(kept.genes("a").index) == set(PAIR.st.genes)


def test_the_reference_is_the_named_variant_and_else_the_first(tmp_path: Path) -> None:
    both = {"x": GeneMean(), "y": NearestCells()}
    first = fill(tmp_path / "1", Experiment("e", both, ["a"], KFold(3)), {"a": PAIR})
    named = fill(tmp_path / "2", Experiment("e", both, ["a"], KFold(3), reference="y"), {"a": PAIR})

    assert (first.reference, named.reference) == ("x", "y")
