"""Every held-out gene: its metrics under every variant, averaged over seeds."""

from __future__ import annotations

import numpy as np
import pandas as pd

from reports.family import Family, Section
from reports.published import METRICS
from reports.reading.pooled import FACTS
from reports.reading.scores import Block, Comparison

_TEXT = (
    "Each held-out gene under each variant that finished its dataset, averaged over seeds. JS of flat is what a flat "
    "prediction scores on the gene; bias is the predicted minus the measured mean; truth sd is on the same scale.",
)

BROWSE = ("dataset", "sampling_rate", "gene", "variant", *(m.name for m in METRICS), *FACTS)
"""Columns shown on the page."""


def section(comparison: Comparison) -> Section | None:
    """The tidy frame; nothing where no gene is scored."""
    found = as_frame(comparison)
    if found.empty:
        return None
    browse = tuple(name for name in BROWSE if name != "sampling_rate" or len(comparison.rates) > 1)
    return Section("Genes", _TEXT, found, browse=browse)


FAMILY = Family(place=90, section=section)


def as_frame(comparison: Comparison) -> pd.DataFrame:
    """One row per block, gene and complete variant, by gene and then in the order of the table."""
    parts = [_rows(block) for block in comparison.blocks if block.n_genes]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def _rows(block: Block) -> pd.DataFrame:
    n_variants, n_genes = len(block.labels), block.n_genes
    flat = {
        "dataset": block.dataset,
        "sampling_rate": block.rate,
        "gene": np.repeat(np.array(block.genes, dtype=object), n_variants),
        "variant": np.tile(np.array(block.labels, dtype=object), n_genes),
    }
    facts = block.facts.astype(np.float64).round(7)  # kept in single precision
    values = np.concatenate([block.averaged, facts], axis=-1).transpose(1, 0, 2).reshape(-1, len(METRICS) + 3)
    names = [*(metric.name for metric in METRICS), *FACTS]
    return pd.DataFrame(flat | {name: values[:, i] for i, name in enumerate(names)})
