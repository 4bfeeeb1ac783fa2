"""`predict`: the benchmark's problem with nothing held out, and an expectation that rests on held-out genes."""

from __future__ import annotations

import dataclasses
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from harness.datasets import load
from harness.errors import BadInput
from harness.pair import Assay, PairedSample
from harness.predict import predict
from harness.predict.expected import CLOSEST, SIMILAR, expected_pcc, relatedness
from harness.predict.posing import WithFurther, further_genes, representative
from harness.protocol import KFold, Panel, Protocol, prepare
from harness.trial import Trial, run_trial
from models.baselines.spage import SpaGE
from models.controls.low_rank_ridge import LowRankRidge
from models.controls.nearest_cells import NearestCells
from models.method import Array, Expression, Method, Problem, Run
from tests.benchmarks.expected_pcc import compared, drawn, without
from tests.toys import Counting, Noise, Raises, Refuses, VisibleMean

ONLY_SC = ("Gene27", "Gene24", "Gene25")
SEEN: list[Problem] = []


@dataclass(frozen=True)
class Watching(VisibleMean):
    """Notes the problems it is given."""

    def impute(self, problem: Problem, run: Run) -> Array:
        SEEN.append(problem)
        return super().impute(problem, run)


@dataclass(frozen=True)
class FailsOn(VisibleMean):
    """Fails where a gene is a target."""

    gene: str = ""

    def impute(self, problem: Problem, run: Run) -> Array:
        if self.gene in problem.targets:
            raise ArithmeticError("singular matrix")
        return super().impute(problem, run)


@dataclass(frozen=True)
class BelowZero(VisibleMean):
    """Has a standard deviation that is none."""

    spread: ClassVar[str] = "Nothing."

    def impute_with_sd(self, problem: Problem, run: Run) -> tuple[Array, Array | None]:
        mean = self.impute(problem, run)
        return mean, np.full_like(mean, -1.0)


def with_an_empty_spot(pair: PairedSample, spot: int) -> PairedSample:
    values = pair.st.values.tolil(copy=True)
    values[spot] = 0
    return dataclasses.replace(pair, st=Assay(pair.st.genes, values.tocsr(), "counts"))


# ---------------------------------------------------------------------------------------------------------------
# The problem


def problem_of(pair: PairedSample, genes: tuple[str, ...] = ONLY_SC) -> Problem:
    SEEN.clear()
    predict(pair, Watching(), genes, folds=0)
    return SEEN.pop()


def test_the_whole_panel_is_visible_and_only_what_was_asked_for_is_a_target(tiny: PairedSample) -> None:
    problem = problem_of(tiny)

    assert problem.visible == Protocol().panel.genes(tiny) == tiny.shared
    assert set(problem.targets) == set(ONLY_SC)
    assert problem.hidden is None


def test_spots_are_scaled_by_the_totals_of_what_was_measured(tiny: PairedSample) -> None:
    counts = tiny.st.values.toarray().astype(np.float64)
    totals = counts.sum(axis=1)

    problem = problem_of(tiny)

    expected = np.log1p(counts / (totals / np.median(totals))[:, None])
    np.testing.assert_allclose(problem.spots.of(tiny.st.genes), expected, rtol=1e-5, atol=1e-6)


def test_a_fifth_of_the_visible_genes_validates_by_the_hash_of_their_names(tiny: PairedSample) -> None:
    by_hash = sorted(tiny.shared, key=lambda gene: hashlib.sha256(gene.encode()).hexdigest())

    assert set(problem_of(tiny).validation) == set(by_hash[: round(len(by_hash) / 5)])


def test_a_spot_without_a_visible_count_leaves_and_the_others_keep_their_rows(tiny: PairedSample) -> None:
    found = predict(with_an_empty_spot(tiny, 5), VisibleMean(), ONLY_SC, folds=0)

    assert found.spots.tolist() == [i for i in range(48) if i != 5]
    assert found.values.shape == (47, 3)
    assert tiny.coordinates is not None
    assert found.coordinates is not None
    assert (found.coordinates == tiny.coordinates[found.spots]).all()


@pytest.mark.parametrize(
    "method", [LowRankRidge(), SpaGE(), NearestCells(), VisibleMean()], ids=lambda m: type(m).__name__
)
def test_a_gene_that_st_lacks_is_predicted_as_the_benchmark_predicts_a_held_out_gene(
    tiny: PairedSample, method: Method
) -> None:
    held_out = KFold(3).fold(tiny.shared, 0).test
    trial = Trial(method, tiny.name, tiny.id, KFold(3), 0, 0)
    benchmark = run_trial(trial, prepare(tiny, Protocol())).prediction

    found = predict(without(tiny, held_out), method, held_out, folds=0)

    assert benchmark is not None
    np.testing.assert_allclose(found.values, benchmark, rtol=1e-6, atol=1e-6)


def test_a_measured_gene_outside_the_panel_is_neither_shown_nor_counted(tiny: PairedSample) -> None:
    protocol = Protocol(panel=Panel(max_genes=12))
    panel = protocol.panel.genes(tiny)
    louder = tiny.st.values.toarray()
    louder[:, [i for i, gene in enumerate(tiny.st.genes) if gene not in panel]] = 0
    quiet = dataclasses.replace(tiny, st=Assay(tiny.st.genes, louder, "counts"))

    found, same = (predict(pair, LowRankRidge(), ONLY_SC, protocol=protocol, folds=0) for pair in (tiny, quiet))

    assert (found.values == same.values).all()
    assert found.provenance["panel"] == 12


def test_a_prediction_does_not_depend_on_what_else_is_asked_for_nor_on_the_order(tiny: PairedSample) -> None:
    together = predict(tiny, SpaGE(), ONLY_SC, folds=0)
    alone = predict(tiny, SpaGE(), ONLY_SC[1:2], folds=0)
    turned = predict(tiny, SpaGE(), ONLY_SC[::-1], folds=0)

    np.testing.assert_allclose(alone.values[:, 0], together.values[:, 1], rtol=1e-6)
    assert turned.genes == ONLY_SC[::-1]
    assert (turned.values == together.values[:, ::-1]).all()


def test_the_seed_is_that_of_the_method_and_the_folds_do_not_touch_it(tiny: PairedSample) -> None:
    first, again, other = (predict(tiny, Noise(), ONLY_SC, seed=s, folds=f) for s, f in ((1, 0), (1, 2), (2, 0)))

    assert (first.values == again.values).all()
    assert (first.values != other.values).any()
    assert predict(tiny, VisibleMean(), ONLY_SC, seed=7, folds=0).provenance["seed"] == 0


def test_the_sd_is_the_methods_own(tiny: PairedSample) -> None:
    found = predict(tiny, NearestCells(neighbours=10**6), ONLY_SC, folds=0)

    cells = prepare(tiny, Protocol()).cells.of(ONLY_SC)
    assert found.sd is not None
    np.testing.assert_allclose(found.sd, np.tile(cells.std(axis=0), (48, 1)), rtol=1e-5)
    assert predict(tiny, LowRankRidge(), ONLY_SC, folds=0).sd is None


def test_a_listener_hears_growing_shares_that_end_at_one(tiny: PairedSample) -> None:
    heard: list[float] = []

    predict(tiny, VisibleMean(), ONLY_SC, folds=3, listen=heard.append)

    assert heard == sorted(heard)
    assert heard == pytest.approx([0.25, 0.5, 0.75, 1.0])


# ---------------------------------------------------------------------------------------------------------------
# What to expect


def made_up(cells: int = 40, genes: int = 30) -> Expression:
    rng = np.random.default_rng(0)
    values = np.log1p(rng.poisson(2 * rng.gamma(0.5, 1.0, (cells, 4)) @ rng.gamma(0.5, 1.0, (4, genes))))
    values[:, 3] = 0.5  # detected, and without variance
    return Expression(tuple(f"g{i:02d}" for i in range(genes)), values.astype(np.float32))


def test_relatedness_is_that_of_a_loop_over_correlations_with_the_others() -> None:
    cells, visible = made_up(), tuple(f"g{i:02d}" for i in range(20))
    asked = ("g05", "g25", "g03")

    found = relatedness(cells, asked, visible)

    for gene, row in zip(asked, found, strict=True):
        others = [other for other in visible if other != gene]
        correlations = [_correlation(cells.of([gene])[:, 0], cells.of([other])[:, 0]) for other in others]
        closest = sorted(correlations)[-CLOSEST:]
        np.testing.assert_allclose(row, [np.mean(closest), np.sqrt(np.mean(np.square(correlations)))], atol=1e-6)


def _correlation(a: Array, b: Array) -> float:
    return float(np.corrcoef(a.astype(float), b.astype(float))[0, 1]) if np.ptp(a) > 0 and np.ptp(b) > 0 else 0.0


def test_an_expectation_is_the_mean_of_the_nearest_measured_genes() -> None:
    cells, panel = made_up(), [f"g{i:02d}" for i in range(20)]
    achieved = dict(zip(panel, np.random.default_rng(1).uniform(-0.1, 0.9, 20), strict=True))

    found = expected_pcc(cells, achieved, ("g22", "g27"), panel)

    known = relatedness(cells, panel, panel)
    for i, gene in enumerate(("g22", "g27")):
        own = relatedness(cells, [gene], panel)[0]
        distance = {p: np.sum(((row - own) / known.std(axis=0)) ** 2) for p, row in zip(panel, known, strict=True)}
        nearest = [achieved[p] for p in sorted(panel, key=distance.__getitem__)[: found.similar]]
        assert found.pcc[i] == pytest.approx(np.mean(nearest))
        assert min(nearest) <= found.low[i] <= found.pcc[i] <= found.high[i] <= max(nearest)
    assert found.similar == 20 // 3
    assert found.mean == pytest.approx(np.mean(list(achieved.values())))


def test_a_panel_gene_is_judged_by_the_others_alone() -> None:
    cells, panel = made_up(), [f"g{i:02d}" for i in range(20)]
    achieved = dict(zip(panel, np.random.default_rng(1).uniform(size=20), strict=True))
    shifted = achieved | {"g07": achieved["g07"] + 100}

    before, after = (expected_pcc(cells, each, ("g22",), panel).left_out for each in (achieved, shifted))

    assert before[panel.index("g07")] == after[panel.index("g07")]
    assert (before != after).any()


def test_of_genes_of_one_kind_an_interval_holds_four_of_five() -> None:
    rng = np.random.default_rng(2)
    names = tuple(f"g{i:04d}" for i in range(600))
    cells = Expression(names, rng.normal(size=(50, 600)).astype(np.float32))

    found = expected_pcc(cells, dict(zip(names, rng.normal(0.3, 0.1, 600), strict=True)), names[:1], names)

    assert found.similar == SIMILAR
    assert found.covered == pytest.approx(0.8, abs=0.05)
    assert abs(found.correlation) < 0.2  # nothing to tell them apart by


def test_the_achieved_pcc_is_that_of_the_benchmarks_trials(tiny: PairedSample) -> None:
    data = prepare(tiny, Protocol())
    trials = [Trial(LowRankRidge(), tiny.name, tiny.id, KFold(4), fold, 0) for fold in range(4)]
    tables = [run_trial(trial, data).genes for trial in trials]
    benchmark = {gene: pcc for t in tables if t is not None for gene, pcc in zip(*_columns(t), strict=True)}

    expected = predict(tiny, LowRankRidge(), ONLY_SC, folds=4).expected

    assert expected is not None
    np.testing.assert_allclose(expected.achieved, [benchmark[gene] for gene in sorted(benchmark)], rtol=1e-6)
    assert len(expected.achieved) == len(tiny.shared)


def _columns(table: Any) -> tuple[list[str], list[float]]:
    return table["gene"].to_pylist(), table["pcc"].to_pylist()


def test_without_folds_nothing_is_expected(tiny: PairedSample) -> None:
    found = predict(tiny, SpaGE(), ONLY_SC, folds=0)

    assert found.expected is None
    assert not [name for name in found.provenance if name.startswith("cv_")]


# ---------------------------------------------------------------------------------------------------------------
# What is refused


@pytest.mark.parametrize(
    ("genes", "said"),
    [
        (("Gene03", "Gene27"), "ST measured Gene03;.*leave it out"),
        (("Gene99",), "SC has no Gene99"),
        (("gene27",), "did you mean Gene27"),
        (("zzz",), "6 genes are in SC and not in ST"),
        ((), "No gene is asked for"),
        ("Gene27", "read_genes"),
    ],
)
def test_genes_that_cannot_be_predicted_are_refused_by_name(tiny: PairedSample, genes: Any, said: str) -> None:
    with pytest.raises(BadInput, match=said):
        predict(tiny, SpaGE(), genes, folds=0)


def test_a_gene_that_no_cell_has_is_refused(tiny: PairedSample) -> None:
    values = tiny.sc.values.tolil(copy=True)
    values[:, tiny.sc.genes.index("Gene25")] = 0
    pair = dataclasses.replace(tiny, sc=Assay(tiny.sc.genes, values.tocsr(), "counts"))

    with pytest.raises(BadInput, match="no single cell has a count of Gene25"):
        predict(pair, SpaGE(), ONLY_SC, folds=0)


@pytest.mark.parametrize(("folds", "said"), [(-1, "-1 folds"), (1, "at least 2 folds"), (25, "lower k")])
def test_folds_that_cannot_be_are_refused(tiny: PairedSample, folds: int, said: str) -> None:
    with pytest.raises(BadInput, match=said):
        predict(tiny, VisibleMean(), ONLY_SC, folds=folds)


def test_a_method_that_cannot_is_refused_with_its_reason(tiny: PairedSample) -> None:
    halves = dataclasses.replace(tiny, st=dataclasses.replace(tiny.st, values=tiny.st.values * 0.5, kind="intensities"))

    with pytest.raises(BadInput, match="a moon that is not there"):
        predict(tiny, Refuses(), ONLY_SC)
    with pytest.raises(BadInput, match="values are not counts"):
        predict(halves, Counting(), ONLY_SC)


def test_a_method_that_fails_on_a_fold_only_says_how_to_go_on_without(tiny: PairedSample) -> None:
    with pytest.raises(BadInput, match=r"failed in fold \d of 3.*singular matrix.*folds=0"):
        predict(tiny, FailsOn(gene="Gene07"), ONLY_SC, folds=3)
    assert predict(tiny, FailsOn(gene="Gene07"), ONLY_SC, folds=0).values.shape == (48, 3)


def test_a_method_that_fails_raises_what_it_raised(tiny: PairedSample) -> None:
    with pytest.raises(ArithmeticError, match="singular matrix"):
        predict(tiny, Raises(), ONLY_SC)


def test_an_sd_below_zero_is_no_sd(tiny: PairedSample) -> None:
    with pytest.raises(ValueError, match="negative standard deviation"):
        predict(tiny, BelowZero(), ONLY_SC, folds=0)


# ---------------------------------------------------------------------------------------------------------------
# Real tissue


def pooled(pair: PairedSample, beyond: bool) -> list[Array]:
    """Expected and achieved PCC and the ends of the interval of 100 genes left out of ST, in two draws."""
    parts = [compared(pair, LowRankRidge(), drawn(pair, 50, seed, beyond)) for seed in range(2)]
    return [np.concatenate([part[key] for part in parts]) for key in ("expected", "achieved", "low", "high")]


@pytest.mark.slow
@pytest.mark.real
@pytest.mark.parametrize("name", ["seqfishplus_cortex", "pdac"])
def test_expected_and_achieved_pcc_of_genes_left_out_of_st_go_together(real_data: Path, name: str) -> None:
    expected, achieved, _, _ = pooled(load(name, [real_data]), beyond=False)

    assert np.corrcoef(expected, achieved)[0, 1] > 0.3


@pytest.mark.slow
@pytest.mark.real
@pytest.mark.parametrize("name", ["seqfishplus_cortex", "pdac"])
def test_of_genes_as_they_are_measured_no_more_is_expected_than_comes(real_data: Path, name: str) -> None:
    expected, achieved, low, high = pooled(load(name, [real_data]), beyond=True)

    assert abs(expected.mean() - achieved.mean()) < 0.03
    assert np.mean((low <= achieved) & (achieved <= high)) > 0.7


def test_further_genes_are_measured_ones_that_no_fold_shows_and_every_fold_asks_some_of(tiny: PairedSample) -> None:
    panel = Panel(max_genes=12).genes(tiny)
    further = further_genes(tiny, panel, most=8)
    split = WithFurther(KFold(4), further)
    folds = [split.fold(sorted(panel + further), i) for i in range(4)]

    assert len(further) == 8
    assert set(further) < set(tiny.shared) - set(panel)
    assert sorted(gene for fold in folds for gene in fold.test) == sorted(panel + further)
    assert not any(set(further) & {*fold.training, *fold.validation} for fold in folds)
    plain = [KFold(4).fold(panel, i) for i in range(4)]
    assert [(fold.training, fold.validation) for fold in folds] == [(fold.training, fold.validation) for fold in plain]


def test_an_expectation_rests_on_the_panel_in_its_own_proportion(tiny: PairedSample) -> None:
    panel = Panel(max_genes=12).genes(tiny)  # of 24 measured genes

    some = representative(tiny, panel, further_genes(tiny, panel, most=6))

    assert len(some) == 6 + 6
    assert representative(tiny, panel, further_genes(tiny, panel)) == set(tiny.shared)
