"""The ablation experiments: the paper's arms, shared where its tables share them, at every size."""

from __future__ import annotations

import importlib

import pytest

from experiments._spadit import SIZES, at_row
from experiments.presets import TABLE_1, Preset
from harness import ByDataset
from harness.datasets import known
from harness.drivers import load_experiment
from harness.experiment import method_on
from models.component import canonical
from models.spadit import SpaDiT
from models.spadit.backbones.transformer import Transformer
from models.spadit.footprint import parameters_of
from models.spadit.masking import EntryMask

NAMES = ("backbones", "modules", "conditions", "mask_ratios")
IDS = {name: f"{i:016x}" for i, name in enumerate(known())}


def ids(name: str, size: str, label: str) -> set[str]:
    """Trial ids behind a label."""
    return {cell["trial_id"] for cell, _ in load_experiment(name, size).cells(IDS) if cell["label"] == label}


@pytest.mark.parametrize("size", SIZES)
def test_configurations_that_the_papers_tables_share_are_the_same_trials(size: str) -> None:
    full = ids("modules", size, "SpaDiT")

    assert full
    assert full == ids("backbones", size, "w/ Transformer") == ids("conditions", size, "Flash-Attention")
    assert ids("modules", size, "w/o Flash-Attention") == ids("conditions", size, "MLP")
    assert ids("modules", size, "w/o Condition") == ids("conditions", size, "none")


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", NAMES)
def test_arms_are_different_trials(name: str, size: str) -> None:
    experiment = load_experiment(name, size)
    on_mg = [canonical(method_on(variant, "MG", 0)) for variant in experiment.variants.values()]

    assert len({str(each) for each in on_mg}) == len(experiment.variants)
    assert experiment.name == f"{name}-{size}"


def test_at_the_papers_size_every_dataset_has_its_own_row_of_table_1() -> None:
    variant = load_experiment("modules", "paper").variants["SpaDiT"]

    assert isinstance(variant, ByDataset)
    for dataset, row in TABLE_1.items():
        method = method_on(variant, dataset, 0)
        assert isinstance(method, SpaDiT)
        assert isinstance(method.backbone, Transformer)
        masking = method.masking
        assert isinstance(masking, EntryMask)
        assert row == Preset(
            batch=method.training.batch,
            depth=method.backbone.depth,
            steps=method.schedule.steps,
            epochs=method.training.epochs,  # type: ignore[arg-type]
            heads=method.backbone.heads,
            hidden=method.backbone.hidden,
            learning_rate=method.training.lr,
            mask_zero_ratio=masking.zero_ratio,
            mask_nonzero_ratio=masking.nonzero_ratio,
            latent_layers=method.latent.layers,
        )
    assert method_on(variant, "a_tissue_of_ones_own", 0) == at_row(TABLE_1["MG"])


@pytest.mark.parametrize("size", ["tiny", "small"])
def test_backbones_have_equal_numbers_of_parameters(size: str) -> None:
    variants = load_experiment("backbones", size).variants
    counts = {}
    for label, variant in variants.items():
        method = method_on(variant, "", 0)
        if label.startswith("w/"):
            assert isinstance(method, SpaDiT)
            counts[label] = parameters_of(method.backbone, method.tokens)

    assert len(counts) == 4
    assert max(counts.values()) == pytest.approx(min(counts.values()), rel=0.03)


@pytest.mark.parametrize("name", NAMES)
def test_its_docstring_says_question_command_cost_and_what_to_expect(name: str) -> None:
    text = importlib.import_module(f"experiments.{name}").__doc__ or ""

    for word in ("?", "Command", "Cost", "Expect", f"spadit run {name} --preset tiny"):
        assert word in text
    assert "MINUTES" not in text
