"""Whether two matrices name their genes alike; if not, the sentence that says why."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from harness.errors import BadInput

from .h5ad import Fields, naming
from .uri import file_name, shown

_MISSING = frozenset({"", "nan", "NaN", "None", "<NA>"})


def missing(label: Any) -> bool:
    """Whether a label stands for none: None, NaN, or the text that NaN becomes when a column is made text."""
    return label is None or (isinstance(label, float) and math.isnan(label)) or str(label) in _MISSING


def check_names(genes: Sequence[str]) -> None:
    """Raise `BadInput` naming the first gene without a name or with a name that is there twice."""
    seen: set[str] = set()
    for gene in genes:
        if not isinstance(gene, str) or missing(gene):
            raise BadInput(f"a gene is named {gene!r}; expected text, so give it a name.")
        if gene in seen:
            raise BadInput(
                f"the gene {gene!r} is there {genes.count(gene)} times; expected unique gene names, "
                "so add up or drop the repeated columns."
            )
        seen.add(gene)


def check_halves(sc_path: Path, sc: Fields, st_path: Path, st: Fields) -> None:
    """Raise `BadInput` for a pair whose two files were exchanged: only the single cells have places."""
    if sc.placed and st.coordinates is None and not st.placed:
        raise BadInput(
            f"{shown(sc_path)} has obsm['spatial'] and {shown(st_path)} has none; expected the spatial assay as st and "
            "the single cells as sc, so exchange the two names (or delete that slot of the single cells)."
        )


def check_orientation(sc_path: Path, sc: Fields, st_path: Path, st: Fields) -> None:
    """Raise `BadInput` for a matrix whose rows, not columns, are named like the other's genes."""
    st_genes, sc_genes = set(st.genes), set(sc.genes)
    right = len(st_genes & sc_genes)
    turned = {sc_path: len(st_genes & set(sc.names)), st_path: len(sc_genes & set(st.names))}
    path, matches = max(turned.items(), key=lambda item: item[1])
    if matches > 2 * right:
        axes = (sc if path == sc_path else st).axes
        raise BadInput(
            f"{shown(path)} is transposed: {matches} of its {axes.rows} but {right} of its {axes.genes} are genes of "
            f"the other file; expected {axes.expected}, so {axes.turn}."
        )
    rows = set(st.names) & set(sc.names)
    # Default names ("0", "1", ...) agree by themselves, and a difference in spelling is the likelier reason.
    alike = len(rows) >= 0.5 * min(len(st.names), len(sc.names)) and not all(name.isdigit() for name in rows)
    if right == 0 and rows and alike and _spelling(st.genes, sc.genes) is None:
        names, genes, expected, turn = (_both(st, sc, part) for part in ("rows", "genes", "expected", "turn"))
        raise BadInput(
            f"{shown(st_path)} and {shown(sc_path)} are both transposed: they share {len(rows)} {names} and no "
            f"{genes}; expected {expected}, so for each of the two {turn}."
        )


def _both(st: Fields, sc: Fields, part: str) -> str:
    """A word of the ST file's format, and of the SC file's where it has another."""
    return " or ".join(dict.fromkeys((getattr(st.axes, part), getattr(sc.axes, part))))


def symbols_in(sc_path: Path, sc: Fields, st_path: Path, st: Fields) -> str | None:
    """The sentence for two gene lists that share no name, where a column of one file has the names of the other."""
    for path, others in ((st_path, sc.genes), (sc_path, st.genes)):
        if file_name(path).lower().endswith(".h5ad") and (column := naming(path, others)) is not None:
            return (
                f"{shown(st_path)} and {shown(sc_path)}: SC and ST share no gene; expected the same gene names in "
                f"both, but {shown(path)} has them in var[{column!r}], so make that its var_names."
            )
    return None


def half_alike(st: Sequence[str], sc: Sequence[str]) -> str:
    """A remark where more names agree up to upper and lower case than agree as they are; else ""."""
    exact = set(st) & set(sc)
    loosely = {gene.upper() for gene in st} & {gene.upper() for gene in sc}
    if len(loosely) <= 2 * len(exact):
        return ""
    return (
        f"{len(exact)} names are the same in ST and SC and {len(loosely)} are up to upper and lower case; only the "
        "former are used, so write them alike."
    )


def no_shared(what: str, st: Sequence[str], sc: Sequence[str]) -> str:
    """The sentence for two gene lists that share no name: what differs, and what to do."""
    hint = _spelling(st, sc) or f"the ST has {st[0]!r} and the SC {sc[0]!r}, so use one naming in both"
    return f"{what}: SC and ST share no gene; expected the same gene names in both, but {hint}."


def _spelling(st: Sequence[str], sc: Sequence[str]) -> str | None:
    """How names of the same genes are spelt differently, as far as can be told; else None."""
    upper = {gene.upper(): gene for gene in st}
    if pair := next(((upper[gene.upper()], gene) for gene in sc if gene.upper() in upper), None):
        return f"they agree up to upper and lower case ({pair[0]!r} in ST, {pair[1]!r} in SC), so write them alike"
    if {_unversioned(gene) for gene in st} & {_unversioned(gene) for gene in sc}:
        return "they agree up to the version suffix of the Ensembl IDs, so cut it off in both"
    if _ensembl(st) != _ensembl(sc):
        which, other, gene = ("ST", "SC", st[0]) if _ensembl(st) else ("SC", "ST", sc[0])
        return f"the {which} has Ensembl IDs ({gene!r}) where the {other} has symbols, so translate one of them"
    return None


def _unversioned(gene: str) -> str:
    return gene.partition(".")[0] if gene.upper().startswith("ENS") else gene


def _ensembl(genes: Sequence[str]) -> bool:
    return sum(gene.upper().startswith("ENS") for gene in genes) > len(genes) / 2
