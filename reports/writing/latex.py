"""Tables as LaTeX: booktabs, fixed decimals, everything escaped.

A fragment is for `\\input`; it needs the packages booktabs, graphicx and amssymb. In an article of two columns a table
of many columns spans both. The wrapper around a fragment compiles on its own.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

from reports.writing.tables import TIED, Cell, Table

_CHARACTERS = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': "''",
    "`": r"\textasciigrave{}",
    "[": "{[}",  # after a line end, a bare bracket would be taken for an optional argument
    "]": "{]}",
    "↑": r"$\uparrow$",
    "↓": r"$\downarrow$",
    "≈": r"$\approx$",
    "±": r"$\pm$",
    "×": r"$\times$",
    "−": r"$-$",
    "≤": r"$\leq$",
    "≥": r"$\geq$",
    "·": r"$\cdot$",
    "†": r"$^{\dagger}$",
    "‡": r"$^{\ddagger}$",
    "✓": r"$\checkmark$",
    "✗": r"$\times$",
    "–": "--",
    "—": "---",
    "…": r"\ldots{}",
}
SPANNING = 5
"""A table of more columns takes both columns of an article that has two."""

_GREEK_CAPITALS = ("Gamma", "Delta", "Theta", "Lambda", "Xi", "Pi", "Sigma", "Upsilon", "Phi", "Psi", "Omega")


def fragment(tables: Sequence[Table], prefix: str = "") -> str:
    """Tables to `\\input`, each a float of its own, labelled tab:PREFIX-NAME."""
    head = "% Needs \\usepackage{booktabs}, \\usepackage{graphicx} and \\usepackage{amssymb}.\n"
    return head + "\n".join(_float(table, f"{prefix}-{table.name}".strip("-")) for table in tables)


def standalone(name: str) -> str:
    """A document that compiles the fragment `<name>.tex` beside it."""
    return (
        "\\documentclass{article}\n"
        "\\usepackage[T1]{fontenc}\n"
        "\\usepackage[utf8]{inputenc}\n"
        "\\usepackage{textcomp}\n"
        "\\usepackage{booktabs}\n"
        "\\usepackage{graphicx}\n"
        "\\usepackage{amssymb}\n"
        "\\usepackage[margin=2cm]{geometry}\n"
        "\\begin{document}\n"
        f"\\input{{{name}.tex}}\n"
        "\\end{document}\n"
    )


def escape(text: str) -> str:
    """Text that LaTeX prints as it is; Greek letters become mathematics."""
    return "".join(_CHARACTERS.get(c) or _greek(c) for c in " ".join(text.split()))


def _unnumbered(caption: str) -> str:
    """LaTeX numbers its tables itself, so the paper's number would be a second one."""
    return re.sub(r"^Table \d+\. ", "", caption)


def _float(table: Table, label: str) -> str:
    aligned = "l" + "".join("l" if column.text else "r" for column in table.columns)
    kind = "table*" if len(table.columns) > SPANNING else "table"
    lines = [
        rf"\begin{{{kind}}}[htbp]",
        r"\centering",
        rf"\caption{{{escape(_unnumbered(table.caption))}}}",
        rf"\label{{tab:{re.sub(r'[^A-Za-z0-9.-]+', '-', label)}}}",
        r"\vspace{0.5ex}",
        r"\small",
        r"\begin{minipage}{\linewidth}",
        r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%",
        rf"\begin{{tabular}}{{@{{}}{aligned}@{{}}}}",
        r"\toprule",
        _row([escape(table.corner), *(escape(column.shown) for column in table.columns)]),
        r"\midrule",
    ]
    filled = [(heading, rows) for heading, rows in table.groups if rows]
    for place, (heading, rows) in enumerate(filled):
        if place:
            lines += [
                r"\midrule",
                rf"\multicolumn{{{len(table.columns) + 1}}}{{@{{}}l}}{{\emph{{{escape(heading)}}}}} \\",
            ]
        lines += [_row([escape(row.label + row.marks), *map(_cell, row.cells)]) for row in rows]
    lines += [r"\bottomrule", r"\end{tabular}}", ""]
    for mark, sentence in table.footnotes:
        lines.append(rf"{{\footnotesize {escape(mark)} {escape(sentence)}\par}}")
    lines += [rf"{{\footnotesize {escape(table.size)}\par}}"] if table.size else []
    return "\n".join([*lines, r"\end{minipage}", rf"\end{{{kind}}}", ""])


def _row(cells: Sequence[str]) -> str:
    return " & ".join(cells) + r" \\"


def _cell(cell: Cell) -> str:
    text = re.sub(r"(?<![\w.-])-(?=\d)", "$-$", escape(cell.text))  # a minus sign, not a hyphen
    if cell.emphasis == "best":
        return rf"\textbf{{{text}}}"
    return f"{text} {escape(TIED)}" if cell.emphasis == "tied" else text


def _greek(character: str) -> str:
    kind, _, letter = unicodedata.name(character, "").partition(" LETTER ")
    command = letter.replace("LAMDA", "LAMBDA").lower()
    if kind == "GREEK SMALL" and command.isalpha() and command != "omicron":
        return rf"$\{command}$"
    if kind == "GREEK CAPITAL" and command.capitalize() in _GREEK_CAPITALS:
        return rf"$\{command.capitalize()}$"
    return character
