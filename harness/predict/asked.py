"""Which genes are asked for: read from the command line, and checked against the pair."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from harness.errors import BadInput
from harness.pair import PairedSample
from models.component import nearest

LISTS = (".txt", ".csv", ".tsv", ".list")
"""Endings that name a file rather than a gene."""


ALL = "all"
"""Asks for every gene that only the single cells have."""


def unmeasured(pair: PairedSample) -> tuple[str, ...]:
    """Every gene that ST has not measured and that some single cell has; `BadInput` where there is none."""
    found = np.asarray((pair.sc.values > 0).sum(axis=0)).ravel()
    st = set(pair.st.genes)
    names = tuple(gene for gene, cells in zip(pair.sc.genes, found, strict=True) if cells and gene not in st)
    if not names:
        raise BadInput(f"{pair.name}: ST measured every gene that a single cell has; there is none to predict.")
    return names


def read_genes(given: str) -> tuple[str, ...]:
    """Gene names from `A,B,C`, from `@FILE`, or from the path of a file that exists, one name per line.

    Each name once, in the order given; blank lines and the space around names do not count. Raises `BadInput` where
    there is no name, or the file cannot be read.
    """
    path = Path(given.removeprefix("@"))
    if not given.startswith("@") and not path.is_file():
        if "," not in given and path.suffix.lower() in LISTS:
            raise BadInput(f"There is no file {given}; give one with a gene per line, or names with commas between.")
        return _names(given.split(","), given)
    try:
        return _names(path.read_text(encoding="utf-8-sig").splitlines(), str(path))
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise BadInput(f"{path} cannot be read ({reason}); give a text file with one gene name per line.") from None


def _names(parts: Sequence[str], where: str) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(part.strip() for part in parts if part.strip()))
    if not names:
        raise BadInput(f"{where!r} names no gene; give names with commas between, or a file with one per line.")
    return names


def checked_genes(pair: PairedSample, genes: Sequence[str]) -> tuple[str, ...]:
    """The genes, each once, if SC measured every one of them and ST none; else `BadInput` naming those at fault."""
    if isinstance(genes, str):
        raise BadInput(f"The genes are the text {genes!r}; give a list of names, or read_genes({genes!r}).")
    asked = tuple(dict.fromkeys(genes))
    if not asked:
        raise BadInput("No gene is asked for; name at least one that SC has and ST has not measured.")
    st, sc = set(pair.st.genes), set(pair.sc.genes)
    if measured := [gene for gene in asked if gene in st]:
        raise BadInput(
            f"{pair.name}: ST measured {_listed(measured)}; only genes that it did not measure are predicted, so leave "
            f"{'it' if len(measured) == 1 else 'them'} out, or benchmark on measured genes with `spadit run`."
        )
    if unknown := [gene for gene in asked if gene not in sc]:
        raise BadInput(
            f"{pair.name}: SC has no {_listed(unknown)}, and what SC lacks cannot be predicted; "
            f"{_closest(unknown[0], sc - st)}"
        )
    found = np.asarray((pair.sc.values[:, pair.sc.columns(asked)] > 0).sum(axis=0)).ravel()
    if never := [gene for gene, cells in zip(asked, found, strict=True) if cells == 0]:
        raise BadInput(
            f"{pair.name}: no single cell has a count of {_listed(never)}; nothing is known of it, so drop it."
        )
    return asked


def _listed(genes: Sequence[str], most: int = 5) -> str:
    named = ", ".join(genes[:most])
    return named if len(genes) <= most else f"{named} and {len(genes) - most} more"


def _closest(name: str, known: set[str]) -> str:
    # All names of a genome are no help: without a near miss only their number is said.
    said = nearest(name, list(known))
    return said if said.startswith("did you mean") else f"{len(known)} genes are in SC and not in ST."
