"""Stores with real trials of small pairs in them, run in this process: what figures read, from predictions to cards."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from harness.card import put_card
from harness.experiment import Experiment
from harness.pair import PairedSample
from harness.protocol import prepare
from harness.store import Store
from harness.trial import run_trial
from reports.reading.scores import Comparison, read


def fill(root: Path, experiment: Experiment, pairs: Mapping[str, PairedSample], keep: bool = True) -> Comparison:
    """Run an experiment on pairs by name, keep every prediction if asked to, and read it back."""
    store = Store(root)
    data = {name: prepare(pair, experiment.protocol) for name, pair in pairs.items()}
    for name, pair in pairs.items():
        put_card(store, pair, data[name])
    ids = {name: pair.id for name, pair in pairs.items()}
    for trial in experiment.trials(ids):
        store.put(run_trial(trial, data[trial.dataset]), keep_prediction=keep)
    facts = {
        name: {"dataset_id": pair.id, "synthetic": pair.synthetic, "spots": len(pair.st), "cells": len(pair.sc)}
        for name, pair in pairs.items()
    }
    asked = experiment.asked(facts, "2026-01-01")
    store.put_asked(asked)
    return read(store, asked)
