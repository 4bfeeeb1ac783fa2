"""The LaTeX that reports write, typeset: alone, and inside an article of two columns."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.reports.programs import program

ARTICLE = r"""
\documentclass[twocolumn]{article}
\usepackage[T1]{fontenc}
\usepackage[utf8]{inputenc}
\usepackage{textcomp,booktabs,graphicx,amssymb}
\begin{document}
Text around the tables. %s
\end{document}
"""


def typeset(folder: Path, name: str) -> str:
    """The log of a document that has to compile without an error."""
    latex = program("texlive-latex-recommended", "pdflatex")
    words = [latex, "-interaction=nonstopmode", "-halt-on-error", name]
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, errors="replace")
    assert done.returncode == 0, done.stdout[-1500:]
    return done.stdout


@pytest.fixture
def folder(written: Path, tmp_path: Path) -> Path:
    for path in written.glob("*.tex"):
        shutil.copy(path, tmp_path)
    return tmp_path


def test_every_standalone_document_compiles(folder: Path) -> None:
    names = sorted(path.name for path in folder.glob("*_standalone.tex"))

    assert "accuracy_score_standalone.tex" in names
    for name in names:
        typeset(folder, name)


def test_all_tables_fit_into_an_article_of_two_columns(folder: Path) -> None:
    fragments = sorted(path.name for path in folder.glob("*.tex") if "standalone" not in path.name)
    (folder / "article.tex").write_text(ARTICLE % "\n".join(rf"\input{{{name}}}\clearpage" for name in fragments))

    log = typeset(folder, "article.tex")

    wide = [float(points) for points in re.findall(r"Overfull \\hbox \(([\d.]+)pt too wide", log)]
    assert max(wide, default=0.0) < 5.0
