"""From a pair to `(Problem, Truth)`: nothing of a held-out gene reaches a problem, and truth is what the page says."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import scipy.sparse as sp

from harness.errors import BadInput
from harness.pair import Assay, PairedSample
from harness.protocol import KFold, Panel, Preprocessing, Protocol, pose, prepare
from tests.conftest import tiny_pair

SPLIT = KFold(4)


def with_hidden_values(pair: PairedSample, hidden: tuple[str, ...], make) -> PairedSample:  # type: ignore[no-untyped-def]
    """A copy of the pair whose ST values of the hidden genes are replaced; detection stays, so the panel does."""
    values = pair.st.values.toarray()
    columns = [pair.st.genes.index(gene) for gene in hidden]
    values[:, columns] = make(values[:, columns])
    return dataclasses.replace(pair, st=Assay(pair.st.genes, sp.csr_matrix(values), pair.st.kind))


def arrays(problem) -> list[np.ndarray]:  # type: ignore[no-untyped-def]
    parts = [problem.spots.lognorm, problem.spots.counts, problem.spots.size_factors, problem.cells.lognorm]
    return [*parts, problem.coordinates]


@pytest.mark.parametrize("rate", [1.0, 0.4])
@pytest.mark.parametrize("fold", range(4))
def test_a_problem_does_not_change_when_held_out_values_do(tiny: PairedSample, fold: int, rate: float) -> None:
    data = prepare(tiny, Protocol())
    problem, truth = pose(data, SPLIT, fold, rate)
    changed = with_hidden_values(tiny, problem.targets, lambda x: np.where(x > 0, x * 7 + 1, x))

    other, other_truth = pose(prepare(changed, Protocol()), SPLIT, fold, rate)

    assert other.visible == problem.visible
    assert other.targets == problem.targets
    assert all((a == b).all() for a, b in zip(arrays(problem), arrays(other), strict=True))
    assert not np.allclose(truth.values, other_truth.values)


def test_the_all_genes_variant_does_change_and_says_so(tiny: PairedSample) -> None:
    protocol = Protocol(preprocessing=Preprocessing(normalisation="all-genes"))
    problem, _ = pose(prepare(tiny, protocol), SPLIT, 0)
    changed = with_hidden_values(tiny, problem.targets, lambda x: np.where(x > 0, x * 7 + 1, x))

    other, _ = pose(prepare(changed, protocol), SPLIT, 0)

    assert not np.allclose(problem.spots.lognorm, other.spots.lognorm)
    assert protocol.flags == ("size factors include held-out genes",)
    assert Protocol().flags == ()


def test_truth_is_log1p_of_counts_over_visible_size_factors(tiny: PairedSample) -> None:
    problem, truth = pose(prepare(tiny, Protocol()), SPLIT, 1)
    raw = tiny.st.values.toarray()
    visible = raw[:, [tiny.st.genes.index(gene) for gene in problem.visible]].sum(axis=1)
    factors = visible / np.median(visible[visible > 0])

    expected = np.log1p(raw[:, [tiny.st.genes.index(gene) for gene in truth.genes]] / factors[:, None])

    np.testing.assert_allclose(truth.values, expected[truth.spots], rtol=1e-5)
    np.testing.assert_allclose(
        problem.spots.lognorm, np.log1p(problem.spots.counts / factors[truth.spots, None]), rtol=1e-5
    )


def test_truth_is_one_array_at_every_sampling_rate(tiny: PairedSample) -> None:
    data = prepare(tiny, Protocol())

    full, thin = (pose(data, SPLIT, 0, rate)[1].values for rate in (1.0, 0.1))

    assert (full == thin).all()


def test_a_spot_without_a_visible_count_leaves_the_task_and_one_emptied_by_thinning_stays(tiny: PairedSample) -> None:
    values = tiny.st.values.toarray()
    targets = SPLIT.fold(Panel().genes(tiny), 0).test
    values[3, [i for i, gene in enumerate(tiny.st.genes) if gene not in targets]] = 0
    values[5] = 0
    values[5, 0 if tiny.st.genes[0] not in targets else 1] = 1
    pair = dataclasses.replace(tiny, st=Assay(tiny.st.genes, sp.csr_matrix(values), "counts"))
    panel = prepare(pair, Protocol()).panel
    fold = next(i for i in range(4) if SPLIT.fold(panel, i).test == targets)

    problem, truth = pose(prepare(pair, Protocol()), SPLIT, fold, 0.01)

    assert 3 not in truth.spots
    assert 5 in truth.spots
    empty = problem.spots.counts.sum(axis=1) == 0  # type: ignore[union-attr]
    assert empty.any()
    assert (problem.spots.size_factors[empty] == 1).all()  # type: ignore[index]
    assert (problem.spots.lognorm[empty] == 0).all()


def test_columns_are_sorted_by_name_whatever_the_file_says(tiny: PairedSample) -> None:
    order = np.random.default_rng(1).permutation(len(tiny.st.genes))
    turned = Assay(tuple(tiny.st.genes[i] for i in order), sp.csr_matrix(tiny.st.values.toarray()[:, order]), "counts")

    one, _ = pose(prepare(tiny, Protocol()), SPLIT, 2)
    two, _ = pose(prepare(dataclasses.replace(tiny, st=turned), Protocol()), SPLIT, 2)

    assert one.visible == tuple(sorted(one.visible))
    assert (one.visible, one.targets) == (two.visible, two.targets)
    assert (one.spots.lognorm == two.spots.lognorm).all()


def test_non_counts_are_logged_without_size_factors(tiny: PairedSample) -> None:
    values = tiny.st.values.toarray() * 0.37
    pair = dataclasses.replace(tiny, st=Assay(tiny.st.genes, sp.csr_matrix(values), "intensities"))

    problem, truth = pose(prepare(pair, Protocol()), SPLIT, 0)

    assert problem.spots.counts is None
    assert truth.counts is None
    column = tiny.st.genes.index(problem.visible[0])
    np.testing.assert_allclose(problem.spots.lognorm[:, 0], np.log1p(values[truth.spots, column]), rtol=1e-5)


def test_declared_lognormal_data_pass_as_they_are(tiny: PairedSample) -> None:
    values = np.log1p(tiny.st.values.toarray() / 3)
    pair = dataclasses.replace(tiny, st=Assay(tiny.st.genes, sp.csr_matrix(values), "lognorm"))

    problem, _ = pose(prepare(pair, Protocol()), SPLIT, 0)

    column = tiny.st.genes.index(problem.visible[0])
    np.testing.assert_allclose(problem.spots.lognorm[:, 0], values[:, column], rtol=1e-6)


def test_a_problem_is_read_only(tiny: PairedSample) -> None:
    problem, _ = pose(prepare(tiny, Protocol()), SPLIT, 0)

    with pytest.raises(ValueError, match="read-only"):
        problem.spots.lognorm[0, 0] = 1


def test_the_reference_keeps_the_panel_and_the_most_variable_other_genes(tiny: PairedSample) -> None:
    data = prepare(tiny, Protocol(preprocessing=Preprocessing(sc_genes=2)))

    totals = tiny.sc.values.toarray().sum(axis=1)
    logged = np.log1p(tiny.sc.values.toarray() / (totals / np.median(totals))[:, None])
    others = [i for i, gene in enumerate(tiny.sc.genes) if gene not in data.panel]
    best = sorted(sorted(others, key=lambda i: -logged[:, i].var())[:2])
    assert data.cells.genes == data.panel + tuple(sorted(tiny.sc.genes[i] for i in best))
    np.testing.assert_allclose(
        data.cells.lognorm, logged[:, [tiny.sc.genes.index(gene) for gene in data.cells.genes]], rtol=1e-5
    )


def test_the_panel_keeps_genes_detected_in_enough_spots_and_cells() -> None:
    pair = tiny_pair(genes=24)
    spots, cells = pair.st.values.toarray(), pair.sc.values.toarray()
    spots[2:, 0] = 0  # Gene00: 2 of 48 spots
    cells[1:, 1] = 0  # Gene01: 1 of 60 cells
    sparse = dataclasses.replace(
        pair,
        st=Assay(pair.st.genes, sp.csr_matrix(spots), "counts"),
        sc=Assay(pair.sc.genes, sp.csr_matrix(cells), "counts"),
    )

    panel = Panel(min_spots=0.05, min_cells=0.02).genes(sparse)

    assert "Gene00" not in panel
    assert "Gene01" not in panel
    assert panel == tuple(sorted(panel))
    assert len(panel) == 22


@pytest.mark.parametrize("choose", ["moran", "variance"])
def test_a_panel_above_its_size_keeps_the_genes_with_most_signal(choose: str) -> None:
    pair = tiny_pair(genes=24)
    values = pair.st.values.toarray()
    stripe = pair.coordinates[:, 0] > 0.5  # type: ignore[index]
    values[:, 7] = np.where(stripe, 40, 1)
    striped = dataclasses.replace(pair, st=Assay(pair.st.genes, sp.csr_matrix(values), "counts"))

    panel = Panel(max_genes=10, choose=choose).genes(striped)  # type: ignore[arg-type]

    assert len(panel) == 10
    assert "Gene07" in panel


def test_too_small_a_panel_is_refused_with_the_thresholds_and_what_they_removed() -> None:
    pair = tiny_pair(genes=12)

    with pytest.raises(BadInput, match=r"100%.*10 are needed"):
        Panel(min_spots=1.0, min_cells=1.0).genes(pair)


def test_moran_without_coordinates_is_refused_with_the_alternative() -> None:
    pair = dataclasses.replace(tiny_pair(genes=24), coordinates=None)

    with pytest.raises(BadInput, match='choose="variance"'):
        Panel(max_genes=10).genes(pair)
