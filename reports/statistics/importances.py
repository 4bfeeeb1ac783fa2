"""Which hyper-parameters mattered in a search, by two measures that need not agree: hints, not evidence."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

FEWEST = 10
"""Finished configurations that have a parameter, below which nothing is said of it."""

TREES_SEED = 0


@dataclass(frozen=True)
class Importance:
    """Of one parameter: PED-ANOVA (Watanabe et al. 2023) and fANOVA (Hutter et al. 2014), each a share of all those
    that were looked at together, over `configurations`.
    """

    parameter: str
    ped_anova: float
    fanova: float
    configurations: int


def importances(values: Sequence[float], params: pd.DataFrame, higher: bool) -> list[Importance]:
    """Of every parameter that varies and that enough configurations have; the most important by PED-ANOVA first.

    values: (n,) objective. params: (n, p), NaN where a configuration does not have a parameter. One that all have is
    looked at among all; one that belongs to an option, together with those, among the configurations that have it.
    """
    found: list[Importance] = []
    shared = [name for name in params if params[name].notna().all()]
    for name in params:
        own = params[name].notna().to_numpy()
        names = [n for n in dict.fromkeys([*shared, name]) if params.loc[own, n].nunique() > 1]
        if int(own.sum()) < FEWEST or name not in names:
            continue
        share = _evaluate(np.asarray(values)[own], params.loc[own, names], higher)
        found.append(Importance(str(name), share["ped"][name], share["fanova"][name], int(own.sum())))
    return sorted(found, key=lambda each: (-each.ped_anova, each.parameter))


def _evaluate(values: np.ndarray[Any, Any], params: pd.DataFrame, higher: bool) -> dict[str, dict[str, float]]:
    import optuna
    from optuna.importance import FanovaImportanceEvaluator, PedAnovaImportanceEvaluator

    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        study = optuna.create_study(direction="maximize" if higher else "minimize")
        distributions = {str(name): _distribution(params[name]) for name in params}
        for value, (_, row) in zip(values, params.iterrows(), strict=True):
            own = {str(name): _plain(row[name]) for name in params}
            study.add_trial(optuna.trial.create_trial(value=float(value), params=own, distributions=distributions))
        evaluators = {"ped": PedAnovaImportanceEvaluator(), "fanova": FanovaImportanceEvaluator(seed=TREES_SEED)}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return {
                name: optuna.importance.get_param_importances(study, evaluator=evaluator)
                for name, evaluator in evaluators.items()
            }
    finally:
        optuna.logging.set_verbosity(before)


def _distribution(column: pd.Series[Any]) -> Any:
    """A range that holds what was tried: categories for words, numbers on a log scale where they span a decade."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution

    values = [_plain(value) for value in column]
    if any(isinstance(value, bool | str) or value is None for value in values):
        return CategoricalDistribution(sorted(set(values), key=str))
    low, high = float(min(values)), float(max(values))
    return FloatDistribution(low, high, log=low > 0 and high / low >= 10)


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value
