"""The audit of prediction files: what no honest predictor can have is found, and chance agreement is never accused."""

from __future__ import annotations

import json
import math
import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from harness.audit._lattices import others_divisor
from harness.audit._mixtures import claim_scores
from harness.audit.predictions import FEWEST_NONZEROS, audit_file
from harness.errors import BadInput
from tests.benchmarks.file_audit_calibration import TELLING, accused, honest_files, judged, leaking_files

GENES = tuple(f"g{i:02d}" for i in range(12))
TESTS = ("zero-pattern", "exact-copies", "vanishing-residuals", "beyond-ceiling")


def tissue(seed: int = 0, spots: int = 600, mean: float = 2.0) -> tuple[np.ndarray, np.ndarray]:
    """(n, 12) rates of a tissue and counts drawn from them."""
    rng = np.random.default_rng(seed)
    rates = mean * rng.gamma(2.0, 0.5, (spots, 3)) @ rng.dirichlet(np.ones(3), 12).T * 1.0
    return rates, rng.poisson(rates).astype(float)


def guess(rates: np.ndarray, seed: int = 1) -> np.ndarray:
    """An honest, good prediction: the logged rates with some error."""
    return np.log1p(rates) + 0.2 * np.random.default_rng(seed).normal(size=rates.shape)


def copied(x: np.ndarray, base: np.ndarray, share: float, seed: int = 2) -> np.ndarray:
    """`base` with that share of the non-zero entries of x written in."""
    return np.where((x != 0) & (np.random.default_rng(seed).random(x.shape) < share), x, base)


@given(rate=st.floats(0.2, 20.0), k=st.integers(1, 12))
def test_a_claim_on_a_poisson_count_scores_nothing_at_its_best_and_less_elsewhere(rate: float, k: int) -> None:
    x = np.arange(200)
    claim = np.full(200, k)
    weights = stats.poisson.pmf(x, rate)

    best, off = (
        float(weights @ claim_scores(x, claim, claim, np.full(200, centre), np.ones(200))[0])
        for centre in (rate, 1.5 * rate)
    )

    assert best == pytest.approx(0.0, abs=1e-9)
    assert off <= 1e-9


@given(mean=st.floats(0.2, 10.0), shape=st.floats(0.2, 5.0), k=st.integers(1, 8), centre=st.floats(0.2, 20.0))
def test_no_negative_binomial_can_make_a_claim_pay(mean: float, shape: float, k: int, centre: float) -> None:
    x = np.arange(3000)
    weights = stats.nbinom.pmf(x, shape, shape / (shape + mean))

    score, _ = claim_scores(x, np.full(3000, k), np.full(3000, k), np.full(3000, centre), np.ones(3000))

    assert float(weights @ score) <= 1e-9


@pytest.mark.parametrize("truth", ["raw", "log-normalised"])
@pytest.mark.parametrize("way", ["as it is", "scaled", "per gene", "logged", "rounded", "z-scored"])
def test_a_fifth_of_the_values_copied_is_found_on_every_scale(truth: str, way: str) -> None:
    rates, counts = tissue()
    x = counts if truth == "raw" else np.log1p(counts / (counts.sum(axis=1, keepdims=True) / 20.0))
    scale = {"scaled": 0.37, "per gene": np.linspace(0.1, 3.0, 12)}.get(way, 1.0)
    values = np.log1p(x) if way == "logged" else np.round(x, 3) if way == "rounded" else x * scale
    base = guess(rates) if truth == "log-normalised" or way == "logged" else rates
    file = np.where(copied(x, np.full(x.shape, np.nan), 0.2) == x, values, base * np.ones(12) * scale)
    file = np.round(file, 3) if way == "rounded" else file
    file = (file - file.mean(axis=0)) / file.std(axis=0) if way == "z-scored" else file

    found = audit_file(x, file, GENES)

    assert found.verdict == "leak"
    assert any(test.name == "exact-copies" and test.verdict == "leak" for test in found.tests)


@pytest.mark.parametrize("factor", [0.37, 1 / np.log(2), 3.0])
def test_copies_of_log_normalised_values_times_any_factor_are_found_from_raw_counts(factor: float) -> None:
    rates, counts = tissue(mean=6.0)
    sizes = counts.sum(axis=1, keepdims=True) * np.random.default_rng(6).lognormal(0.0, 0.3, (len(counts), 1)) / 70.0
    honest = np.log1p(rates / rates.sum(axis=1, keepdims=True) * 70.0)
    file = factor * copied(np.log1p(counts / sizes), honest, 0.3)

    assert audit_file(counts, file, GENES).verdict == "leak"
    assert audit_file(counts, factor * honest, GENES).verdict == "clean"


def test_the_released_samplers_file_is_found_by_its_zeros_and_by_its_copies() -> None:
    _, x = tissue()
    rng = np.random.default_rng(3)
    file = np.where((x != 0) & (rng.random(x.shape) < 0.3), rng.normal(0, 0.012, x.shape), x)

    found = {test.name: test.verdict for test in audit_file(x, file, GENES).tests}

    assert found["exact-copies"] == "leak"
    assert audit_file(x, np.where(x == 0, 0.0, rng.normal(3.0, 1.0, x.shape)), GENES).tests[0].verdict == "leak"


def test_copies_with_a_little_noise_are_found_by_their_residuals() -> None:
    rates, x = tissue(mean=6.0)
    noisy = x * (1 + 0.005 * np.random.default_rng(4).normal(size=x.shape))

    found = {t.name: t.verdict for t in audit_file(x, np.where(copied(x, -x, 0.3) == x, noisy, rates), GENES).tests}

    assert found["vanishing-residuals"] == "leak"


def test_knowing_the_counting_noise_is_beyond_the_ceiling() -> None:
    rates, x = tissue(mean=6.0)
    half_known = rates + 0.7 * (x - rates)

    found = {test.name: test.verdict for test in audit_file(x, half_known, GENES).tests}

    assert found["beyond-ceiling"] == "leak"
    assert audit_file(x, rates, GENES).verdict == "clean"


@pytest.mark.parametrize("seed", range(4))
def test_honest_predictions_are_clean_however_often_they_agree_by_chance(seed: int) -> None:
    rates, x = tissue(seed, mean=0.8)
    rng = np.random.default_rng(seed + 10)
    again = rng.poisson(rates).astype(float)

    for file in (rates, np.rint(rates), np.ones(x.shape), again, np.log1p(again), guess(rates), np.zeros(x.shape)):
        assert audit_file(x, file, GENES).verdict == "clean"


@settings(deadline=None, max_examples=3)
@given(order=st.permutations(range(12)), spots=st.permutations(range(300)), scale=st.sampled_from([0.5, 2.0, 8.0]))
def test_neither_order_nor_a_scale_changes_a_verdict(order: list[int], spots: list[int], scale: float) -> None:
    rates, x = tissue(spots=300)
    file = copied(x, rates, 0.3)
    before = audit_file(x, file, GENES)

    after = audit_file(x[spots][:, order], file[spots][:, order], [GENES[i] for i in order])

    assert [t.statistic for t in after.tests] == pytest.approx([t.statistic for t in before.tests], rel=1e-6)
    assert after.verdict == audit_file(x, scale * file, GENES).verdict == before.verdict == "leak"


def test_genes_with_few_values_are_reported_and_not_judged() -> None:
    rates, x = tissue()
    x[FEWEST_NONZEROS - 1 :, 0] = 0.0
    file = rates.copy()
    file[:, 0] = x[:, 0]

    found = audit_file(x, file, GENES)

    assert found.verdict == "clean"
    assert found.unjudged == ("g00",)
    assert {test.judged_genes for test in found.tests if test.verdict != "not applicable"} == {11}
    nobody = audit_file(x[:90], x[:90], GENES)
    assert (nobody.verdict, set(nobody.unjudged)) == ("clean", set(GENES))
    assert {test.verdict for test in nobody.tests} == {"not applicable"}


def test_the_truth_itself_and_values_that_are_no_counts() -> None:
    rng = np.random.default_rng(5)
    x = np.where(rng.random((400, 12)) < 0.5, rng.lognormal(1.0, 0.7, (400, 12)), 0.0)
    _, counts = tissue()

    assert audit_file(counts, counts, GENES).verdict == "leak"
    assert audit_file(x, x, GENES).verdict == "leak"
    assert audit_file(x, copied(x, rng.lognormal(1.0, 0.7, x.shape), 0.2), GENES).verdict == "leak"
    assert audit_file(x, rng.lognormal(1.0, 0.7, x.shape), GENES).verdict == "clean"
    assert audit_file(x, -rng.random(x.shape), GENES).verdict == "clean"


def test_its_answer_is_plain_json_with_every_test_its_statistic_and_its_false_alarm_rate() -> None:
    rates, x = tissue()

    facts = audit_file(x, rates, GENES).to_json()

    assert json.loads(json.dumps(facts)) == facts
    assert tuple(test["name"] for test in facts["tests"]) == TESTS
    for test in facts["tests"]:
        assert 0.0 <= test["false_alarm"] <= 0.01
        assert test["detail"].endswith(".")


@pytest.mark.parametrize(
    ("truth", "prediction", "genes", "words"),
    [
        (np.ones((5, 2)), np.ones((4, 2)), ("a", "b"), "one shape"),
        (np.ones((5, 2)), np.ones((5, 2)), ("a", "a"), "name of its own"),
        (np.full((5, 2), np.nan), np.ones((5, 2)), ("a", "b"), "truth of the gene 'a'"),
        (np.ones((5, 2)), np.full((5, 2), np.inf), ("a", "b"), "prediction of the gene 'a'"),
    ],
)
def test_what_cannot_be_audited_is_refused(truth, prediction, genes, words: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(BadInput, match=words):
        audit_file(truth, prediction, genes)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_at_most_one_honest_file_in_a_hundred_is_accused_and_every_telling_copy_found() -> None:
    files = 120 if os.environ.get("SPADIT_SHORT") else 1000

    alarms = [file for file in judged(honest_files, files, seed=7) if accused(file)]
    leaking = [file for file in judged(leaking_files, files, seed=8) if file.telling >= TELLING and not file.disguised]
    missed = [file for file in leaking if not accused(file)]

    assert len(alarms) <= files // 100, [(file.tissue, file.base, file.truth.shape) for file in alarms]
    assert not missed, [(file.tissue, file.base, file.copies, file.share, file.telling) for file in missed]


@pytest.mark.filterwarnings("error")
@given(st.lists(st.integers(0, 10**6), min_size=2, max_size=6))
def test_the_divisor_of_a_rows_other_counts_is_that_of_mathematics_and_one_beside_what_is_no_count(
    row: list[int],
) -> None:
    counts = np.array([row, [*row[:-1], 1e300], [*row[:-1], np.inf], [*row[:-1], np.nan]], dtype=float)

    found = others_divisor(counts)

    assert found[0].tolist() == [math.gcd(*row[:i], *row[i + 1 :]) for i in range(len(row))]
    assert (found[1:, :-1] == 1).all()
