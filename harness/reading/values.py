"""What the values of a file are, counts or not, and what is said where nobody declared it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import scipy.sparse as sp

from harness.errors import BadInput

from .elsewhere import integers
from .h5ad import DECLARED_KIND, Fields
from .uri import shown

KINDS = ("counts", "intensities", "lognorm")
_ROWS = 500
"""So many rows tell whether values are log-normalised."""


def kind_of(path: Path, fields: Fields, declared: str | None) -> tuple[str, str]:
    """The kind of the values, as declared or else as found, and a remark where it was guessed from fractions.

    Fractions that nobody declared are intensities, for that is what some assays measure. Raises `BadInput` where they
    plainly are something else: the file has counts in another place, or the values are log-normalised already.
    """
    declared = declared or fields.kind
    if declared is not None:
        if declared not in KINDS:
            raise BadInput(
                f"{shown(path)}: values are declared {declared!r} (uns['{DECLARED_KIND}']); expected one of "
                f"{', '.join(KINDS)}, so correct or remove that."
            )
        return declared, ""
    if integers(fields.values.data):
        return "counts", ""
    if fields.counts_in:
        raise BadInput(
            f"{shown(path)}: its values have fractions, and {fields.counts_in} has integers; expected the counts, so "
            "put those in X or layers['counts'] (adata.raw.to_adata() gives raw ones), or declare what the values are "
            f"with uns['{DECLARED_KIND}']."
        )
    if (total := _log_normalised(fields.values)) is not None:
        raise BadInput(
            f"{shown(path)}: its values are log-normalised (undone, each row adds up to {total:,.0f}); expected the "
            f"counts, so put those in X or layers['counts'], or declare uns['{DECLARED_KIND}'] = 'lognorm'."
        )
    return "intensities", (
        "values have fractions and nothing says what they are, so they are taken as intensities: logged, and not "
        "divided by the total of their row. If they are corrected counts, round them; if they are on a log scale, "
        f"declare uns['{DECLARED_KIND}'] = 'lognorm'; if they are intensities, 'intensities'. Scores of the three are "
        "not comparable: totals that nobody divided by are easy to predict."
    )


def _log_normalised(values: sp.csr_matrix) -> float | None:
    """The total to which rows had been scaled before the logarithm, where all have the same; else None."""
    rows = values[:: max(1, values.shape[0] // _ROWS)].astype(np.float64)
    if rows.nnz == 0 or rows.data.min() < 0 or not rows.data.max() < 30:
        return None
    totals = np.asarray(rows.expm1().sum(axis=1)).ravel()
    totals = totals[totals > 0]
    alike = len(totals) >= 10 and totals.std() < 1e-3 * totals.mean()
    return float(totals.mean()) if alike else None
