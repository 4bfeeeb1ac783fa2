"""What a network takes, counted without making it, against the network made and the memory measured."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch

from models.spadit import SpaDiT
from models.spadit.backbones._base import Backbone
from models.spadit.backbones.blind_mlp import BlindMLP
from models.spadit.backbones.mamba import Mamba
from models.spadit.backbones.transformer import Transformer
from models.spadit.backbones.unet import UNet
from models.spadit.denoiser import Denoiser
from models.spadit.footprint import footprint, parameters_of, sized_like
from models.spadit.layers import Streams, generator
from models.spadit.samplers import DDPM
from models.spadit.tokens import Alone, Context, InBatch, Tokens

BACKBONES = [Transformer(hidden=32), UNet(hidden=32), Mamba(hidden=32), BlindMLP(hidden=32)]


def streams() -> Streams:
    return Streams(generator(0), generator(1), 0.0)


@pytest.mark.parametrize("tokens", [Alone(), Context(), InBatch()], ids=lambda t: type(t).__name__)
@pytest.mark.parametrize("backbone", BACKBONES, ids=lambda b: type(b).__name__)
def test_parameters_are_counted_without_being_made(backbone: Backbone, tokens: Tokens) -> None:
    made = sum(weight.numel() for weight in backbone.build(tokens, streams()).parameters())

    assert parameters_of(backbone, tokens) == made


@pytest.mark.parametrize("method", [SpaDiT(), SpaDiT.tiny(), SpaDiT.paper_literal()], ids=["small", "tiny", "literal"])
def test_a_methods_parameters_are_those_of_the_network_it_trains(method: SpaDiT) -> None:
    spots, cells, genes = 90, 70, 40
    size, features = method.spot_space.size(spots, genes), method.sc_features.size(cells, genes)
    made = Denoiser(method.latent, method.condition, method.backbone, method.tokens, size, features, streams())

    found = footprint(method, spots, cells, genes)

    assert found.parameters == sum(weight.numel() for weight in made.parameters())
    assert found.weights == 4 * found.parameters
    assert found.total == found.weights + found.training + found.activations + found.data


def test_a_network_too_large_to_make_is_counted_in_a_moment() -> None:
    huge = SpaDiT(backbone=Transformer(hidden=2048, depth=32, heads=16))

    assert footprint(huge, 8000, 10_000, 280).parameters > 1.5e9


@pytest.mark.parametrize("depth", [2, 8])
@pytest.mark.parametrize(
    ("candidate", "field"),
    [(UNet(hidden=64), "mlp_ratio"), (Mamba(hidden=64), "expand"), (BlindMLP(hidden=64), "widening")],
    ids=lambda it: type(it).__name__,
)
def test_a_backbone_can_be_given_the_size_of_another(candidate: Backbone, field: str, depth: int) -> None:
    other = Transformer(hidden=64, depth=depth)

    same = sized_like(other, Context(), candidate, field)

    assert parameters_of(same, Context()) == pytest.approx(parameters_of(other, Context()), rel=0.03)


def test_a_size_that_no_value_of_the_field_comes_near_is_refused() -> None:
    with pytest.raises(ValueError, match=r"No mlp_ratio gives UNet.* the nearest was"):
        sized_like(Transformer(hidden=16, depth=1), Alone(), UNet(hidden=256), "mlp_ratio")


def test_a_learned_variance_costs_a_head_more() -> None:
    without, learned = (
        footprint(SpaDiT(sampler=DDPM(variance=variance)), 90, 70, 40).parameters  # type: ignore[arg-type]
        for variance in ("beta", "learned")
    )

    assert learned - without == 16 * 128 + 16  # rank x hidden, and the biases


MEASURE = """
import sys, torch
from tests.models.spadit.test_spadit_footprint import SIZES, measured
print(measured(*SIZES[int(sys.argv[1])]))
"""

SIZES = [(256, 4, 256), (512, 4, 128), (1024, 3, 64)]
"""Hidden width, depth, batch."""


def sized(hidden: int, depth: int, batch: int) -> SpaDiT:
    from dataclasses import replace

    base = SpaDiT()
    return replace(
        base, backbone=Transformer(hidden=hidden, depth=depth), training=replace(base.training, steps=3, batch=batch)
    )


def measured(hidden: int, depth: int, batch: int) -> int:
    """Bytes that three training steps add to this process at most."""
    from harness.trial import Setting, TrialRun, peak_memory_mib, reset_peak_memory
    from tests.models.spadit.spadit_problems import simulated

    torch.set_num_threads(1)
    problem, _ = simulated(n_genes=300, n_spots=400, n_cells=300, n_targets=8)
    run = TrialRun(np.random.default_rng(0), Setting())
    sized(32, 1, 32).impute(problem, run)  # imports and warms up what everyone shares
    reset_peak_memory()
    before = peak_memory_mib()
    sized(hidden, depth, batch).impute(problem, run)
    return round((peak_memory_mib() - before) * 2**20)


@pytest.mark.skipif(sys.platform != "linux", reason="the high-water mark of a process is reset through /proc")
@pytest.mark.parametrize("which", [0, *(pytest.param(which, marks=pytest.mark.slow) for which in (1, 2))])
def test_memory_is_what_training_takes_within_15_percent(which: int) -> None:
    # A process of its own: what an allocator keeps from other tests would count.
    out = subprocess.run([sys.executable, "-c", MEASURE, str(which)], capture_output=True, text=True, check=True)

    expected = footprint(sized(*SIZES[which]), spots=400, cells=300, genes=292).total

    assert expected == pytest.approx(int(out.stdout), rel=0.15)
