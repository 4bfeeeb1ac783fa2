"""The use behind the benchmark: train a method on every measured gene, predict genes that only the single cells have.

`predict` poses the problem as the benchmark does, with nothing held out, and says how well each gene may be expected
to be predicted; `write_prediction` keeps the answer as an AnnData file.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from harness.answer import checked, global_streams
from harness.errors import BadInput
from harness.pair import PairedSample
from harness.predict.asked import ALL, checked_genes, read_genes, unmeasured
from harness.predict.expected import Expected, expected_pcc
from harness.predict.posing import AllMeasured, WithFurther, further_genes, posed, representative
from harness.predict.prediction import Prediction, of_expected, provenance
from harness.predict.written import check_target, write_prediction
from harness.protocol import Frame, KFold, Prepared, Protocol, frame, prepare
from harness.trial import Setting, Trial, TrialRun, run_trial
from harness.trial import threads as limited
from models.component import stem
from models.method import Method, Problem, Skipped, refusal

__all__ = [
    "ALL",
    "Expected",
    "Prediction",
    "check_target",
    "predict",
    "read_genes",
    "unmeasured",
    "write_prediction",
]

Listen = Callable[[float], None]


def predict(
    pair: PairedSample,
    method: Method,
    genes: Sequence[str],
    *,
    protocol: Protocol | None = None,
    seed: int = 0,
    folds: int = 5,
    device: str = "cpu",
    threads: int = 1,
    listen: Listen | None = None,
) -> Prediction:
    """Train `method` on the whole panel and predict `genes`, which SC has and ST has not measured.

    protocol: panel and preprocessing; the defaults if None. seed: of the method's random stream.
    folds: into how many the panel is divided to learn what PCC to expect: the method runs once for each, on the other
    panel genes. 0 leaves that out. listen: called now and then with the share of all the work that is done.
    Raises `BadInput` for genes or settings that cannot be used, and where the method skips or fails.
    """
    asked, protocol = checked_genes(pair, genes), protocol or Protocol()
    if folds < 0:
        raise BadInput(f"The panel cannot be divided into {folds} folds; give at least 2, or 0 for no expected PCC.")
    split = KFold(folds) if folds else None
    setting = Setting(device=device, threads=threads)
    whole = Trial(method, pair.name, pair.id, AllMeasured(tuple(sorted(asked))), 0, seed, protocol=protocol)
    fixed = frame(pair, protocol)
    if split is not None:
        split.fold(fixed.panel, 0)  # refuses more folds than genes, before any work

    def part(index: int) -> Listen:
        return lambda share: None if listen is None else listen((index + share) / (folds + 1))

    problem, spots = posed(pair, fixed, whole)
    values, sd = _imputed(whole, problem, setting, part(0))
    expected = None
    if split is not None:
        further = further_genes(pair, fixed.panel)
        data = prepare(pair, protocol, Frame(tuple(sorted(fixed.panel + further)), fixed.spots))
        held_out = dataclasses.replace(whole, split=WithFurther(split, further))
        achieved: dict[str, float] = {}
        for fold in range(folds):
            achieved |= _achieved(dataclasses.replace(held_out, fold=fold), data, setting, part(fold + 1))
        alike = representative(pair, fixed.panel, further)
        cells, _ = protocol.preprocessing.reference(pair, tuple(sorted({*data.panel, *asked})))
        like = {gene: pcc for gene, pcc in achieved.items() if gene in alike}
        expected = expected_pcc(cells, like, asked, fixed.panel)
    facts = provenance(pair, whole, problem, setting, folds)
    facts |= {} if sd is None else {"sd": method.spread}
    facts |= {} if expected is None else of_expected(expected)
    order = [problem.targets.index(gene) for gene in asked]
    return Prediction(
        genes=asked,
        spots=spots,
        values=values[:, order],
        sd=None if sd is None else sd[:, order],
        coordinates=problem.coordinates,
        expected=expected,
        provenance=facts,
        names=tuple(pair.spot_names[row] for row in spots) if pair.spot_names else (),
    )


def _imputed(
    trial: Trial, problem: Problem, setting: Setting, listen: Listen
) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
    """Prediction and sd, (n_spots, n_targets) as the problem's targets; `BadInput` where the method skips."""
    name = stem(type(trial.method))
    if (reason := refusal(trial.method, problem)) is not None:
        raise BadInput(f"{name} cannot predict on {trial.dataset}: {reason}")
    with limited(setting.threads):
        run = TrialRun(trial.rng(), setting, lambda share, _: listen(share))
        try:
            with global_streams(run.rng.bit_generator.state):
                values, sd = trial.method.impute_with_sd(problem, run)
        except Skipped as skip:
            raise BadInput(f"{name} cannot predict on {trial.dataset}: {skip}") from None
    listen(1.0)
    if sd is not None:
        sd = checked(sd, problem)
        if sd.min() < 0:
            raise ValueError(f"{name} gives a negative standard deviation; it must be 0 or more.")
    return checked(values, problem).astype(np.float32), None if sd is None else sd.astype(np.float32)


def _achieved(trial: Trial, data: Prepared, setting: Setting, listen: Listen) -> dict[str, float]:
    """PCC of the panel genes that a fold holds out; genes that do not vary over its spots are not among them."""
    outcome = run_trial(trial, data, setting, lambda share, _: listen(share))
    listen(1.0)
    if outcome.genes is None:
        raise BadInput(
            f"{outcome.record.method} {outcome.record.status} in fold {trial.fold} of {trial.split.folds} of the "
            f"cross-validation ({outcome.record.reason}); folds=0 predicts without an expected PCC."
        )
    rows = zip(*(outcome.genes[name].to_pylist() for name in ("gene", "pcc")), strict=True)
    return {gene: pcc for gene, pcc in rows if np.isfinite(pcc)}
