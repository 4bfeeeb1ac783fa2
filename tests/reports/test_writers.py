"""One table, four languages: whatever a name holds, it stays a name."""

from __future__ import annotations

import re

import pytest

from reports.writing import latex, terminal
from reports.writing.tables import Cell, Column, Footnotes, Line, Table, markdown, markdown_text, number, shared

NASTY = r"a_b & 50% $x^2$ #1 {y} ~z \cmd [q] |p| <i>*s*</i> `c`"

TABLE = Table(
    name="one",
    caption=f"Scores on {NASTY}",
    corner="Variant",
    columns=(Column("AS", "↑"), Column("vs ridge", text=True)),
    groups=(
        (
            "",
            (
                Line(NASTY, (Cell("2.00 ±0.10", 2.0, "best"), Cell("above"))),
                Line("Φ λ", (Cell("1.90", 1.9, "tied"), Cell("level")), "†"),
                Line("[1]", (Cell("failed"), Cell("--"))),
            ),
        ),
        ("Controls (outside N)", (Line("Ridge", (Cell("(1.00)", 1.0), Cell(""))),)),
    ),
    footnotes=(("†", "tuned on 100% of these genes & more"), ("--", "no number")),
    size="3 variants × 1 dataset",
)


def unescaped(text: str, character: str) -> list[str]:
    return re.findall(rf"(?<!\\){re.escape(character)}", text)


def test_latex_escapes_every_special_character() -> None:
    escaped = latex.escape(NASTY)

    for character in "_&%#":
        assert not unescaped(escaped, character)
    assert r"\textbackslash{}cmd" in escaped
    assert r"\textasciicircum{}2" in escaped
    assert r"\textasciitilde{}z" in escaped
    assert r"\{y\}" in escaped
    assert "<" not in escaped


def test_latex_environments_braces_and_columns_balance() -> None:
    text = latex.fragment([TABLE, TABLE])
    opened = re.findall(r"\\begin\{(\w+)\}", text)
    closed = re.findall(r"\\end\{(\w+)\}", text)
    bare = re.sub(r"\\[\\{}]", "", text)

    assert sorted(opened) == sorted(closed)
    assert bare.count("{") == bare.count("}")
    rows = [line for line in text.splitlines() if line.endswith(r"\\") and "multicolumn" not in line]
    assert {len(unescaped(row, "&")) for row in rows} == {2}


def test_latex_uses_booktabs_with_a_rule_before_the_controls() -> None:
    lines = latex.fragment([TABLE]).splitlines()
    ridge = next(i for i, line in enumerate(lines) if line.startswith("Ridge"))

    assert lines[ridge - 2] == r"\midrule"
    assert lines[ridge - 1] == r"\multicolumn{3}{@{}l}{\emph{Controls (outside N)}} \\"
    assert [sum(line == rf"\{rule}rule" for line in lines) for rule in ("top", "mid", "bottom")] == [1, 2, 1]
    assert not any("hline" in line or "|" in line for line in lines)


def test_latex_marks_the_best_in_bold_the_tied_and_the_missing() -> None:
    text = latex.fragment([TABLE])

    assert r"\textbf{2.00 $\pm$0.10}" in text
    assert r"1.90 $\approx$" in text
    assert r"$\Phi$ $\lambda$$^{\dagger}$" in text
    assert r"failed & -- \\" in text
    assert r"{\footnotesize -- no number\par}" in text


def test_a_latex_row_never_starts_with_a_bracket_that_the_row_before_would_swallow() -> None:
    assert "\n[" not in latex.fragment([TABLE])


def test_the_standalone_document_inputs_the_fragment_and_loads_its_packages() -> None:
    text = latex.standalone("accuracy_score")

    assert r"\input{accuracy_score.tex}" in text
    assert r"\usepackage{booktabs}" in text
    assert r"\usepackage{graphicx}" in text
    assert text.index(r"\begin{document}") < text.index(r"\input") < text.index(r"\end{document}")


def test_markdown_has_one_cell_per_column_in_every_row() -> None:
    rows = [line for line in markdown("Scores", [TABLE]).splitlines() if line.startswith("|")]

    assert {len(unescaped(row, "|")) for row in rows} == {4}


def test_markdown_shows_markup_in_names_as_text() -> None:
    text = markdown("Scores", [TABLE], [NASTY])

    assert "<i>" not in text
    assert markdown_text("a_b *c* <b>") == r"a\_b \*c\* &lt;b&gt;"
    assert "**2.00 ±0.10**" in text


def test_the_terminal_table_is_plain_and_fits_its_width() -> None:
    text = terminal.text([TABLE], width=100)

    assert "\x1b" not in text
    assert max(map(len, text.splitlines())) <= 100
    assert text.index("Controls (outside N)") < text.index("Ridge")
    assert "1.90 ≈" in text


def test_markup_of_the_terminal_in_a_name_is_shown_as_it_is() -> None:
    line = Line("[bold]x[/bold]", (Cell("[red]1[/red]"),))
    table = Table("t", "[i]caption[/i]", "Variant", (Column("AS"),), (("", (line,)),))

    text = terminal.text([table])

    assert "[bold]x[/bold]" in text
    assert "[red]1[/red]" in text
    assert "[i]caption[/i]" in text


@pytest.mark.parametrize(
    ("value", "shown"), [(1.005, "1.00"), (-0.001, "0.00"), (-0.4, "-0.40"), (float("nan"), "--"), (0.0, "0.00")]
)
def test_numbers_have_fixed_decimals_and_no_negative_zero(value: float, shown: str) -> None:
    assert number(value, 2) == shown


def test_every_flag_is_noted_and_none_leaves_no_note() -> None:
    notes = Footnotes()
    notes.flags([])
    assert notes.listed() == ()

    notes.flags(["mask depends on truth", "size factors include held-out genes"])
    assert notes.listed() == (("Flag:", "mask depends on truth; size factors include held-out genes."),)


def noted(name: str, *footnotes: tuple[str, str]) -> Table:
    return Table(name, name, "Variant", (Column("AS"),), (), footnotes)


def test_what_several_tables_say_is_said_once_and_what_one_says_stays_there() -> None:
    tables = [
        noted("a", ("†", "tuned"), ("--", "no number"), ("N:", "3")),
        noted("b", ("--", "no number"), ("†", "tuned"), ("N:", "4")),
        noted("c", ("--", "another meaning")),
    ]

    once, apart = shared(tables)

    assert once.listed() == (("†", "tuned"), ("--", "no number"))
    assert [table.footnotes for table in apart] == [(("N:", "3"),), (("N:", "4"),), (("--", "another meaning"),)]


def test_flags_and_tuning_budgets_stand_under_every_table_that_has_them() -> None:
    tables = [noted(name, ("Flag:", "visible"), ("Tuned:", "A: elsewhere")) for name in "ab"]

    once, apart = shared(tables)

    assert once.listed() == ()
    assert list(apart) == tables


def test_a_markdown_file_says_what_its_tables_share_before_them_and_latex_in_each() -> None:
    tables = [noted(name, ("†", "tuned")) for name in "ab"]

    text = markdown("Scores", tables)

    assert text.count("† tuned") == 1
    assert text.index("† tuned") < text.index("## a")
    assert latex.fragment(tables).count("tuned") == 2
