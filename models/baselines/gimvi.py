"""gimVI: one latent space for cells and spots, trained by variational inference; scvi-tools' own implementation.

Lopez, Nazaret, Langevin, Samaran, Regier, Jordan & Yosef, 2019, arXiv:1905.02269. Papers of this field often call it
"scVI", which is another model. The network, its loss and its training are those of the package scvi-tools; here are
what goes in, what comes out, and what keeps a run from reaching beyond itself. Random.
"""

from __future__ import annotations

import logging
import random
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch

from ..method import Array, Method, Needs, Problem, Run, Skipped

if TYPE_CHECKING:
    from anndata import AnnData

TRAINED_ON = 0.9
"""Share of the cells and of the spots that gimVI trains on; the rest is its validation set, as by default there."""

FEWEST = 10
"""Cells, and spots, of which a tenth is at least one."""


@dataclass(frozen=True)
class GimVI(Method):
    """What the decoder that cells and spots share says of a spot's place in the latent space.

    Cells are counts of the visible genes and the targets, spots counts of the visible genes. The decoder gives every
    gene a share of a spot's visible total; times the total over the spot's size factor, and log1p of that, it is on the
    log-normalised scale. The field's benchmark scores the share times the total instead, held against raw counts.
    Cells without a count in these genes and spots without a visible one do not take part; such a spot is answered with
    the mean over the others, since gimVI cannot tell where it lies.

    The batch is made smaller, by one or a few, where a set of cells or spots would leave a last batch of a single one:
    scvi-tools fails on that.

    epochs: passes over the larger side; 200 is the package's default and the benchmark's. The weight of the KL terms
        grows by 1/400 per epoch, so a longer training is also another objective.
    latent: dimensions of the latent space.
    batch: cells, and spots, per step, at most.
    kappa: weight of fooling the classifier that tells cells from spots in the latent space.
    """

    label: ClassVar[str] = "gimVI"
    needs: ClassVar[Needs] = Needs(counts=True, randomness=True, packages="gimvi", modules=("scvi",))
    joint: ClassVar[bool] = True

    epochs: int = 200
    latent: int = 10
    batch: int = 128
    kappa: float = 5.0

    def __post_init__(self) -> None:
        if min(self.epochs, self.latent) < 1 or self.batch < 2 or self.kappa < 0:
            raise ValueError("GimVI: epochs and latent are at least 1, batch at least 2, kappa at least 0.")

    @classmethod
    def published(cls) -> GimVI:
        """scvi-tools' defaults, which are also the settings of the benchmark of Li et al. 2022."""
        return cls(epochs=200, latent=10, batch=128, kappa=5.0)

    @classmethod
    def tiny(cls) -> GimVI:
        """A few passes."""
        return cls(epochs=5, batch=32)

    def impute(self, problem: Problem, run: Run) -> Array:
        """(n_spots, n_targets) float64. `Skipped` without counts, or with too few cells or spots."""
        visible = sorted(problem.visible)
        genes = sorted({*problem.visible, *problem.targets})
        spots, cells = problem.spots.counts_of(visible), problem.cells.counts_of(genes)
        told = spots.any(axis=1)
        cells, spots = cells[cells.any(axis=1)], spots[told]
        if min(len(cells), len(spots)) < FEWEST:
            raise Skipped(
                f"gimVI needs at least {FEWEST} cells and {FEWEST} spots with a count, and there are {len(cells)} and "
                f"{len(spots)}."
            )
        # scvi-tools would draw its validation set from no seed at all; here it is the first rows in an order of ours.
        cells, order = run.rng.permutation(cells), run.rng.permutation(len(spots))
        share = np.empty((len(spots), len(genes)))
        with apart(int(run.rng.integers(2**32))):
            share[order] = self.shares(_anndata(cells, genes), _anndata(spots[order], visible), run)
        assert problem.spots.size_factors is not None  # there are counts
        total = spots.sum(axis=1, dtype=np.float64) / problem.spots.size_factors[told]
        found = np.log1p(share[:, [genes.index(gene) for gene in problem.targets]] * total[:, None])
        prediction = np.tile(found.mean(axis=0), (len(problem.spots), 1))
        prediction[told] = found
        return prediction

    def shares(self, cells: AnnData, spots: AnnData, run: Run) -> Array:
        """(n_spots, d) each gene of `cells` (n_cells, d), as a share of what a spot has in its own genes."""
        from lightning.pytorch.callbacks import LambdaCallback
        from scvi.external import GIMVI

        epochs = self.epochs

        def report(trainer: Any, _: Any) -> None:
            run.report(trainer.current_epoch + 1, epochs)

        for side in (cells, spots):
            GIMVI.setup_anndata(side)
        model = GIMVI(cells, spots, n_latent=self.latent)
        where = torch.device(run.device)
        batch = batch_size([len(cells), len(spots)], self.batch)
        try:
            model.train(
                max_epochs=epochs,
                accelerator={"cuda": "gpu"}.get(where.type, where.type),
                devices=1 if where.type == "cpu" else [where.index or 0],
                kappa=self.kappa,
                train_size=TRAINED_ON,
                shuffle_set_split=False,
                batch_size=batch,
                enable_progress_bar=False,
                enable_model_summary=False,
                callbacks=[LambdaCallback(on_train_epoch_end=report)],
            )
            return np.asarray(model.get_imputed_values(normalized=True, batch_size=batch)[1], dtype=np.float64)
        finally:
            for side in (cells, spots):
                model.deregister_manager(side)


def batch_size(sizes: list[int], at_most: int) -> int:
    """The largest batch, of at least 2, that leaves no last batch of one in any of the sets or their training parts."""
    parts = [*sizes, *(int(np.ceil(TRAINED_ON * size)) for size in sizes)]
    return next((b for b in range(at_most, 1, -1) if all(n % b != 1 for n in parts)), at_most)


@contextmanager
def apart(seed: int) -> Iterator[None]:
    """A room with global random states of its own, where nothing is printed or left on disk.

    scvi-tools and Lightning draw from the global states of Python, numpy and torch, log, warn, and name a folder for
    logs; all of that ends here.
    """
    python, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002 - what scvi-tools draws from
    import lightning.pytorch  # noqa: F401 - it sets the levels of its loggers when it is imported
    import scvi

    devices = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else []
    with (
        torch.random.fork_rng(devices=devices),
        tempfile.TemporaryDirectory() as folder,
        warnings.catch_warnings(),
        _silent("lightning", "pytorch_lightning", "lightning.pytorch", "scvi"),
    ):
        warnings.simplefilter("ignore")
        before = scvi.settings.logging_dir
        scvi.settings.logging_dir = folder
        try:
            random.seed(seed)
            np.random.seed(seed)  # noqa: NPY002
            torch.manual_seed(seed)
            yield
        finally:
            scvi.settings.logging_dir = before
            random.setstate(python)
            np.random.set_state(numpy)  # noqa: NPY002


@contextmanager
def _silent(*names: str) -> Iterator[None]:
    """Only errors are logged by these."""
    loggers = [logging.getLogger(name) for name in names]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _anndata(counts: Array, genes: list[str]) -> AnnData:
    import anndata
    import pandas as pd

    rows = pd.DataFrame(index=[str(i) for i in range(len(counts))])
    return anndata.AnnData(counts, rows, pd.DataFrame(index=list(genes)))
