"""Each backbone can learn: eight genes by heart, and say them again from their SC profiles."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from models.method import Expression, Run
from models.spadit import SpaDiT
from models.spadit.backbones import Backbone
from models.spadit.backbones.mamba import Mamba
from models.spadit.backbones.transformer import Transformer
from models.spadit.backbones.unet import UNet
from models.spadit.latent import Latent
from models.spadit.sc_features import PrincipalCells
from models.spadit.tokens import Alone
from models.spadit.training import Training
from tests.models.spadit.spadit_problems import pcc, simulated


@pytest.mark.slow
@pytest.mark.parametrize("backbone", [Transformer(), UNet(), Mamba()], ids=lambda it: type(it).__name__)
def test_eight_genes_are_learned_by_heart(backbone: Backbone) -> None:
    problem, _ = simulated(n_genes=16, n_targets=8)
    eight = problem.visible
    # The linear path and all regularisation are off: only the backbone can learn it. The genes are then asked for
    # under other names, as SC profiles alone.
    method = SpaDiT(
        backbone=backbone,
        latent=Latent(direct=False),
        tokens=Alone(),
        sc_features=PrincipalCells(noise=0.0),
        draws=4,
        training=Training(steps=300, lr=3e-3, pairs=0.0, dropout=0.0, weight_decay=0.0),
    )
    names = tuple(f"{gene} again" for gene in eight)
    cells = np.concatenate([problem.cells.lognorm, problem.cells.of(eight)], axis=1)
    again = replace(problem, cells=Expression((*problem.cells.genes, *names), cells), targets=names)

    found = method.impute(again, Run.local(0))

    assert len(eight) == 8
    assert pcc(found, problem.spots.of(eight)) > 0.95
